// SPDX-License-Identifier: Apache-2.0
/*
 * Clients that believe what they were told, and change it for each other, while leaders
 * change, members stop, and clients do not answer or stand still: nothing that is believed
 * is older than what anybody has seen. DATAFS_SEED decides what is tried. Two clients
 * share a connection, and there is a session that keeps nothing.
 *
 * Of names the test knows what they lead to while no change of them is under way. Of
 * inodes it knows the latest version that was told to any client, by a change or a question.
 */
#define _GNU_SOURCE
#include "server_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

#define LEASE		400
#define CLIENTS		4
#define ALONE		3	/* of these; the others are on the first one's connection */
#define THREADS		2	/* of each */
#define STEPS		2500	/* of each of these */
#define DIRS		2
#define NAMES		3
#define SLOTS		64
#define INODES		65536

static uint64_t dirs[DIRS];
static const char *const names[NAMES] = { "a", "b", "c" };

/* What is so, as far as was acknowledged. */
static pthread_mutex_t world_lock = PTHREAD_MUTEX_INITIALIZER;
static struct where {
	unsigned int pending;
	uint64_t begun;
	bool known;
	uint64_t ino;		/* 0: it leads nowhere */
} world[DIRS][NAMES];
static _Atomic uint64_t seen[INODES];

/* What a client believes; under its lock. */
struct belief {
	struct client c;
	struct { bool there; uint64_t ino; } name[DIRS][NAMES];
	struct { bool there; uint64_t ino[NAMES]; } list[DIRS];
	struct { uint64_t ino, version; } attr[SLOTS];
	unsigned int freeze_ms;
	bool freeze_all;
	atomic_uint requests;
	pthread_t threads[THREADS], looks;
};

static struct belief clients[CLIENTS];
static atomic_uint believed_names, believed_attrs, believed_lists, workers;
static unsigned int seed;

static int dir_index(uint64_t ino)
{
	for (int d = 0; d < DIRS; d++)
		if (dirs[d] == ino)
			return d;
	return -1;
}

/* Its network hears nothing; with @all nobody of it does anything. */
static void freeze(struct belief *b)
{
	struct timespec t = { 0, b->freeze_ms * DATAFS_MSEC };
	bool all = b->freeze_all;

	b->freeze_ms = 0;
	if (!all)
		pthread_mutex_unlock(&b->c.lock);
	nanosleep(&t, NULL);
	if (!all)
		pthread_mutex_lock(&b->c.lock);
}

static void forget(struct belief *b, const struct datafs_grant_object *o, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		int d = dir_index(o[i].ino);

		if (o[i].kind == DATAFS_GRANT_ATTR && b->attr[o[i].ino % SLOTS].ino == o[i].ino)
			b->attr[o[i].ino % SLOTS].ino = 0;
		if (o[i].kind == DATAFS_GRANT_NAMES && d >= 0)
			b->list[d].there = false;
		for (int k = 0; k < NAMES && d >= 0 && o[i].kind == DATAFS_GRANT_NAME; k++)
			if (!o[i].len || (o[i].len == 1 && o[i].name[0] == names[k][0]))
				b->name[d][k].there = false;
	}
}

static void on_recalled(struct client *c, const struct datafs_grant_object *o, unsigned int n)
{
	struct belief *b = (struct belief *)c;

	forget(b, o, n);
	if (b->freeze_ms)
		freeze(b);
}

static void forget_all(struct client *c)
{
	struct belief *b = (struct belief *)c;

	memset(b->name, 0, sizeof(b->name));
	memset(b->list, 0, sizeof(b->list));
	memset(b->attr, 0, sizeof(b->attr));
}

/* With the lock, after what is believed was looked at. */
static bool is_time(struct belief *b)
{
	return datafs_quorum_until(b->c.q) > datafs_now();
}

static struct where where(int d, int k)
{
	struct where w;

	pthread_mutex_lock(&world_lock);
	w = world[d][k];
	pthread_mutex_unlock(&world_lock);
	return w;
}

/* Nothing was under way to it from @was till now. */
static bool still(int d, int k, const struct where *was)
{
	struct where w = where(d, k);

	return was->known && !was->pending && !w.pending && w.begun == was->begun;
}

static void check_name(struct belief *b, int d, int k)
{
	struct where was = where(d, k);
	bool there;
	uint64_t ino;

	pthread_mutex_lock(&b->c.lock);
	there = b->name[d][k].there;
	ino = b->name[d][k].ino;
	there = there && is_time(b);
	pthread_mutex_unlock(&b->c.lock);
	if (!there || !still(d, k, &was))
		return;
	atomic_fetch_add(&believed_names, 1);
	if (ino != was.ino)
		fail_msg("seed %u: name %d/%s: believed %llu, is %llu", seed, d, names[k],
			 (unsigned long long)ino, (unsigned long long)was.ino);
}

static void check_list(struct belief *b, int d)
{
	struct where was[NAMES];
	uint64_t ino[NAMES];
	bool there;

	for (int k = 0; k < NAMES; k++)
		was[k] = where(d, k);
	pthread_mutex_lock(&b->c.lock);
	there = b->list[d].there;
	memcpy(ino, b->list[d].ino, sizeof(ino));
	there = there && is_time(b);
	pthread_mutex_unlock(&b->c.lock);
	for (int k = 0; there && k < NAMES; k++) {
		if (!still(d, k, &was[k]))
			continue;
		atomic_fetch_add(&believed_lists, 1);
		if (ino[k] != was[k].ino)
			fail_msg("seed %u: listing %d/%s: believed %llu, is %llu", seed, d,
				 names[k], (unsigned long long)ino[k],
				 (unsigned long long)was[k].ino);
	}
}

static void check_attr(struct belief *b, unsigned int slot)
{
	uint64_t ino, least, version;
	bool there;

	pthread_mutex_lock(&b->c.lock);
	ino = b->attr[slot].ino;
	pthread_mutex_unlock(&b->c.lock);
	least = atomic_load(&seen[ino]);
	pthread_mutex_lock(&b->c.lock);
	there = ino && b->attr[slot].ino == ino;
	version = b->attr[slot].version;
	there = there && is_time(b);
	pthread_mutex_unlock(&b->c.lock);
	if (!there)
		return;
	atomic_fetch_add(&believed_attrs, 1);
	if (version < least)
		fail_msg("seed %u: inode %llu: believed version %llu, is %llu", seed,
			 (unsigned long long)ino, (unsigned long long)version,
			 (unsigned long long)least);
}

static void see(const Metad__Attr *attr)
{
	uint64_t was;

	if (!attr)
		return;
	assert_true(attr->ino < INODES);
	was = atomic_load(&seen[attr->ino]);
	while (was < attr->version &&
	       !atomic_compare_exchange_weak(&seen[attr->ino], &was, attr->version))
		;
}

static void check_all(struct belief *b)
{
	for (int n = 0; n < DIRS * NAMES; n++)
		check_name(b, n / NAMES, n % NAMES);
	for (unsigned int n = 0; n < SLOTS; n++)
		check_attr(b, n);
	for (int d = 0; d < DIRS; d++)
		check_list(b, d);
}

/* With the lock. */
static void keep_attr(struct belief *b, const struct datafs_told *told, const Metad__Attr *attr)
{
	const struct datafs_grant_object o = attr_of(attr->ino);

	if (attr->nlink && datafs_quorum_keep(b->c.q, told, &o)) {
		b->attr[attr->ino % SLOTS].ino = attr->ino;
		b->attr[attr->ino % SLOTS].version = attr->version;
	}
}

static void keep_name(struct belief *b, const struct datafs_told *told, int d, int k,
		      uint64_t ino)
{
	const struct datafs_grant_object o = name_of(dirs[d], names[k]);

	if (datafs_quorum_keep(b->c.q, told, &o)) {
		b->name[d][k].there = true;
		b->name[d][k].ino = ino;
	}
}

static void ask_name(struct belief *b, int d, int k)
{
	struct where was = where(d, k);
	struct datafs_told told;
	Metad__Answer *r = client_lookup(&b->c, dirs[d], names[k], &told);
	uint64_t ino = r->attr ? r->attr->ino : 0;

	see(r->attr);
	pthread_mutex_lock(&b->c.lock);
	if (r->believe)
		keep_name(b, &told, d, k, ino);
	if (r->believe_attr)
		keep_attr(b, &told, r->attr);
	pthread_mutex_unlock(&b->c.lock);
	metad__answer__free_unpacked(r, NULL);
	/* a rename does not tell what it made of its names */
	pthread_mutex_lock(&world_lock);
	if (!was.pending && !world[d][k].pending && was.begun == world[d][k].begun) {
		assert_true(!was.known || was.ino == ino);
		world[d][k].known = true;
		world[d][k].ino = ino;
	}
	pthread_mutex_unlock(&world_lock);
}

static void ask_list(struct belief *b, int d)
{
	const struct datafs_grant_object o = names_of(dirs[d]);
	struct datafs_told told[NAMES + 1];
	uint64_t ino[NAMES] = { 0 }, cookie = 0;
	bool eof = false, keep = true;
	Metad__Answer *r;
	int n = 0;

	while (!eof && n <= NAMES) {
		r = client_readdir(&b->c, dirs[d], cookie, 150, &told[n++]);
		assert_int_equal(r->error, 0);
		keep = keep && r->believe;
		eof = r->eof;
		pthread_mutex_lock(&b->c.lock);
		for (size_t i = 0; i < r->n_entries; i++) {
			ino[r->entries[i]->name.data[0] - 'a'] = r->entries[i]->attr->ino;
			cookie = r->entries[i]->cookie;
			see(r->entries[i]->attr);
			if (r->entries[i]->believe_attr)
				keep_attr(b, &told[n - 1], r->entries[i]->attr);
		}
		pthread_mutex_unlock(&b->c.lock);
		metad__answer__free_unpacked(r, NULL);
	}
	pthread_mutex_lock(&b->c.lock);
	for (int i = 0; i < n; i++)
		keep = keep && datafs_quorum_keep(b->c.q, &told[i], &o);
	if (keep && eof) {
		b->list[d].there = true;
		memcpy(b->list[d].ino, ino, sizeof(ino));
	}
	pthread_mutex_unlock(&b->c.lock);
}

struct what {
	struct req r;
	int n, d[2], k[2];		/* names that it changes */
	bool told;			/* the result says where the first leads now */
	uint64_t alone;			/* the first's begun, if no other was under way; or 0 */
};

static struct what choose(unsigned int *rnd)
{
	struct what w = { .n = 1, .told = true };
	int d = rand_r(rnd) % DIRS, k = rand_r(rnd) % NAMES, e = rand_r(rnd) % DIRS,
	    l = rand_r(rnd) % NAMES;

	w.d[0] = d;
	w.k[0] = k;
	switch (rand_r(rnd) % 5) {
	case 0:
		w.r = (struct req){ OP(CREATE), dirs[d], names[k], .mode = 0644 };
		break;
	case 1:
		w.r = (struct req){ OP(UNLINK), dirs[d], names[k] };
		break;
	case 2:
		w.r = (struct req){ OP(RENAME), dirs[d], names[k], dirs[e], names[l] };
		w.r.replace = rand_r(rnd) % 2;
		w.n = d == e && k == l ? 1 : 2;
		w.d[1] = e;
		w.k[1] = l;
		w.told = false;
		break;
	case 3:
		/* of what it leads to, as far as is known */
		w.r = (struct req){ OP(LINK), where(e, l).ino, NULL, dirs[d], names[k] };
		break;
	default:
		w.r = (struct req){ OP(SETATTR), where(d, k).ino,
				    .set = { .has_mode = true, .mode = 0600 } };
		w.n = 0;
	}
	return w;
}

static void world_begin(struct what *w)
{
	pthread_mutex_lock(&world_lock);
	for (int i = 0; i < w->n; i++) {
		struct where *at = &world[w->d[i]][w->k[i]];

		at->begun++;
		if (!i && !at->pending)
			w->alone = at->begun;
		at->pending++;
	}
	pthread_mutex_unlock(&world_lock);
}

/* Of two that were under way at once the one that ends later may have been done before. */
static void world_end(const struct what *w, const Metad__Result *res)
{
	pthread_mutex_lock(&world_lock);
	for (int i = 0; i < w->n; i++) {
		struct where *at = &world[w->d[i]][w->k[i]];

		at->pending--;
		if (at->begun != w->alone || !w->told)
			at->known = false;
		else if (!res->error) {
			at->known = true;
			at->ino = w->r.op == OP(UNLINK) ? 0 : res->node->ino;
		}
	}
	pthread_mutex_unlock(&world_lock);
	see(res->node);
	see(res->parent);
	see(res->new_parent);
	see(res->other);
}

static void do_change(struct belief *b, unsigned int *rnd)
{
	struct what w = choose(rnd);
	struct datafs_told told;
	Metad__Result *res;

	if (!w.r.ino)
		return;
	world_begin(&w);
	w.r.request = atomic_fetch_add(&b->requests, 1);
	/* any of them may be wanted still: one that waits for a lease is passed by many */
	w.r.lowest = 1;
	res = client_do(&b->c, w.r, &told);
	if (res->error == ENOTCONN || res->error == EALREADY)
		fail_msg("seed %u: a change got %s", seed, strerror((int)res->error));
	pthread_mutex_lock(&b->c.lock);
	if (!res->error) {
		if (w.n && w.told)
			keep_name(b, &told, w.d[0], w.k[0],
				  w.r.op == OP(UNLINK) ? 0 : res->node->ino);
		if (res->node)
			keep_attr(b, &told, res->node);
		if (res->parent)
			keep_attr(b, &told, res->parent);
	}
	pthread_mutex_unlock(&b->c.lock);
	world_end(&w, res);
	metad__result__free_unpacked(res, NULL);
}

struct worker_arg {
	struct belief *b;
	unsigned int seed;
};

static struct worker_arg args[CLIENTS][THREADS];

static void *work(void *arg)
{
	struct worker_arg *w = arg;
	struct belief *b = w->b;
	unsigned int rnd = w->seed;

	for (int i = 0; i < STEPS; i++) {
		int d = rand_r(&rnd) % DIRS, k = rand_r(&rnd) % NAMES;

		switch (rand_r(&rnd) % 12) {
		case 0:
		case 1:
			do_change(b, &rnd);
			break;
		case 2:
		case 3:
			ask_name(b, d, k);
			break;
		case 4:
			ask_list(b, d);
			break;
		default:
			check_all(b);
		}
	}
	atomic_fetch_sub(&workers, 1);
	return NULL;
}

static void nap(unsigned int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * DATAFS_MSEC };

	nanosleep(&t, NULL);
}

/* Looks also while those that ask wait. */
static void *look_on(void *arg)
{
	struct belief *b = arg;

	while (atomic_load(&workers)) {
		check_all(b);
		nap(1);
	}
	return NULL;
}

static void transfer(void)
{
	Metad__Change to = METAD__CHANGE__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;

	admin.of_case = METAD__ADMIN__OF_TRANSFER;
	admin.transfer = &to;
	admin_error(&admin);
}

static void trouble(unsigned int *rnd)
{
	struct belief *b = &clients[rand_r(rnd) % CLIENTS];
	unsigned int id;

	switch (rand_r(rnd) % 5) {
	case 0:
		transfer();
		break;
	case 4:
		/* it does not hear that it has lost its lease */
		pthread_mutex_lock(&b->c.lock);
		b->freeze_ms = 2 * LEASE;
		b->freeze_all = false;
		pthread_mutex_unlock(&b->c.lock);
		nap(20 + rand_r(rnd) % 50);
		transfer();
		break;
	case 1:
		id = rand_r(rnd) % 3 + 1;
		node_stop(id);
		nap(rand_r(rnd) % LEASE);
		node_start(id);
		break;
	case 2:
		client_mute(&b->c);
		nap(rand_r(rnd) % (2 * LEASE));
		client_speak(&b->c);
		break;
	default:
		pthread_mutex_lock(&b->c.lock);
		b->freeze_ms = rand_r(rnd) % (2 * LEASE);
		b->freeze_all = rand_r(rnd) % 2;
		pthread_mutex_unlock(&b->c.lock);
	}
}

static void test_coherence(void **state)
{
	unsigned int rnd, recalls = 0, losses = 0;
	const char *text = getenv("DATAFS_SEED");

	(void)state;
	seed = text ? (unsigned int)strtoul(text, NULL, 10) : (unsigned int)time(NULL);
	rnd = seed;
	print_message("DATAFS_SEED=%u\n", seed);
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	lease = LEASE;
	for (unsigned int id = 1; id <= 3; id++)
		node_start(id);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i].c.recalled = on_recalled;
		clients[i].c.lost = forget_all;
		if (i < ALONE)
			client_open(&clients[i].c, 1001 + (uint64_t)i);
		else
			client_open_shared(&clients[i].c, 1001 + (uint64_t)i, &clients[0].c);
		atomic_store(&clients[i].requests, 1000);
	}
	dirs[0] = client_must(&clients[0].c, (struct req){ OP(MKDIR), 1, "d0", .mode = 0755 });
	dirs[1] = client_must(&clients[0].c, (struct req){ OP(MKDIR), 1, "d1", .mode = 0755 });
	for (int d = 0; d < DIRS; d++)
		for (int k = 0; k < NAMES; k++)
			world[d][k] = (struct where){ .known = true };
	atomic_store(&workers, CLIENTS * THREADS);
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_equal(pthread_create(&clients[i].looks, NULL, look_on, &clients[i]), 0);
		for (int t = 0; t < THREADS; t++) {
			args[i][t] = (struct worker_arg){ &clients[i], (unsigned int)rand_r(&rnd) };
			assert_int_equal(pthread_create(&clients[i].threads[t], NULL, work,
							&args[i][t]), 0);
		}
	}
	/* whatever else is tried: what was believed under another leader */
	transfer();
	while (atomic_load(&workers)) {
		nap(rand_r(&rnd) % 400);
		trouble(&rnd);
	}
	for (int i = CLIENTS - 1; i >= 0; i--) {
		for (int t = 0; t < THREADS; t++)
			pthread_join(clients[i].threads[t], NULL);
		pthread_join(clients[i].looks, NULL);
		recalls += clients[i].c.recalls;
		losses += clients[i].c.losses;
		client_close(&clients[i].c);
	}
	print_message("believed: %u names, %u attributes, %u names of listings; %u recalls, %u leases lost\n",
		      atomic_load(&believed_names), atomic_load(&believed_attrs),
		      atomic_load(&believed_lists), recalls, losses);
	assert_true(atomic_load(&believed_names) && atomic_load(&believed_attrs) &&
		    atomic_load(&believed_lists) && recalls && losses);
	check_same_states();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_coherence),
	};

	return cmocka_run_group_tests_name("server_coherence", tests, NULL, NULL);
}
