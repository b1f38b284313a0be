// SPDX-License-Identifier: Apache-2.0
/* Two clients of three members: what one believes, and the other changes. */
#define _GNU_SOURCE
#include "server_client.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "metad/server_internal.h"

static struct client a, b;

/* Members with another lease; they begin anew. */
static void restart(uint32_t ms, uint32_t timeout)
{
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	lease = ms;
	session_timeout = timeout;
	for (unsigned int id = 1; id <= 3; id++)
		node_start(id);
}

/* The session that the fixture has opened has no lease, ever: no leader waits for it. */
static int setup_with(void **state, uint32_t ms, uint32_t timeout)
{
	server_setup(state);
	restart(ms, timeout);
	a = (struct client){ 0 };
	b = (struct client){ 0 };
	client_open(&a, 1001);
	client_open(&b, 1002);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 2000, DATAFS_SERVER_SESSION);
}

static int setup_long(void **state)
{
	return setup_with(state, 20000, DATAFS_SERVER_SESSION);
}

static int setup_waits(void **state)
{
	return setup_with(state, 5000, DATAFS_SERVER_SESSION);
}

static int setup_cut_off(void **state)
{
	return setup_with(state, 300, DATAFS_SERVER_SESSION);
}

static int setup_short(void **state)
{
	return setup_with(state, 1000, 2);
}

static int teardown(void **state)
{
	client_close(&a);
	client_close(&b);
	return server_teardown(state);
}

static bool keeps(struct client *c, const struct datafs_told *told, struct datafs_grant_object o)
{
	return datafs_quorum_keep(c->q, told, &o);
}

/* Soon: a copy of a change that was asked for again may be under way still. */
static void believe_attr(struct client *c, uint64_t ino)
{
	static const struct timespec pause = { .tv_nsec = 10000000 };
	bool believed = false;

	for (unsigned int i = 0; !believed && i < 2000; i++) {
		struct datafs_told told;
		Metad__Answer *r = client_getattr(c, ino, &told);

		believed = r->believe && keeps(c, &told, attr_of(ino));
		metad__answer__free_unpacked(r, NULL);
		if (!believed)
			nanosleep(&pause, NULL);
	}
	assert_true(believed);
}

/* What is told may be kept; then it is changed, and A hears of it first. */
static void test_recall(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	struct datafs_told told, later;
	Metad__Answer *r;

	(void)state;
	r = client_lookup(&a, 1, "f", &told);
	assert_true(r->believe && r->believe_attr);
	assert_int_equal(r->attr->ino, f);
	metad__answer__free_unpacked(r, NULL);
	r = client_getattr(&a, 1, &later);
	assert_true(r->believe);
	metad__answer__free_unpacked(r, NULL);
	assert_true(keeps(&a, &told, name_of(1, "f")));
	assert_true(keeps(&a, &told, attr_of(f)));
	assert_true(keeps(&a, &later, attr_of(1)));

	client_must(&b, (struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 0600 } });
	assert_int_equal(a.recalls, 1);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.objects[0].ino, f);
	assert_int_equal(a.objects[0].kind, DATAFS_GRANT_ATTR);
	/* what it was told before is not kept any more, other things are */
	assert_false(keeps(&a, &told, attr_of(f)));
	assert_true(keeps(&a, &told, name_of(1, "f")));
	assert_true(keeps(&a, &later, attr_of(1)));

	/* nobody believes it now: nobody is told */
	client_must(&b, (struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 0640 } });
	assert_int_equal(a.recalls, 1);
	r = client_getattr(&a, f, &told);
	assert_int_equal(r->attr->mode, 0100640);
	assert_true(r->believe && keeps(&a, &told, attr_of(f)));
	metad__answer__free_unpacked(r, NULL);

	/* its name, its attributes and the directory's: one recall; B may not know where it leads */
	assert_int_equal(b.recalls, 0);
	client_must(&b, (struct req){ OP(UNLINK), 1, "f" });
	assert_int_equal(a.recalls, 2);
	assert_int_equal(a.n, 3);
	assert_int_equal(b.recalls, 1);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.objects[0].ino, f);
	assert_int_equal(a.losses + b.losses, 0);
}

static void test_what_is_not_there(void **state)
{
	uint64_t d = client_must(&b, (struct req){ OP(MKDIR), 1, "d", .mode = 0755 });
	struct datafs_told told;
	Metad__Answer *r;

	(void)state;
	r = client_lookup(&a, d, "new", &told);
	assert_int_equal(r->error, ENOENT);
	assert_true(r->believe && keeps(&a, &told, name_of(d, "new")));
	metad__answer__free_unpacked(r, NULL);
	client_must(&b, (struct req){ OP(CREATE), d, "other", .mode = 0644 });
	assert_int_equal(a.recalls, 0);
	client_must(&b, (struct req){ OP(CREATE), d, "new", .mode = 0644 });
	assert_int_equal(a.recalls, 1);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.objects[0].kind, DATAFS_GRANT_NAME);
	assert_false(keeps(&a, &told, name_of(d, "new")));
	/* an xattr that is not there is one of the attributes; no inode, no belief */
	r = client_getattr(&a, 4711, &told);
	assert_int_equal(r->error, ESTALE);
	assert_false(r->believe);
	metad__answer__free_unpacked(r, NULL);
	/* what fails changes nothing */
	r = client_lookup(&a, d, "new", &told);
	assert_true(r->believe);
	metad__answer__free_unpacked(r, NULL);
	metad__result__free_unpacked(client_do(&b, (struct req){ OP(CREATE), d, "new",
					       .mode = 0644 }, &told), NULL);
	assert_int_equal(a.recalls, 1);
}

static void test_listing(void **state)
{
	uint64_t d = client_must(&b, (struct req){ OP(MKDIR), 1, "d", .mode = 0755 }), cookie = 0;
	struct datafs_told told[8];
	unsigned int pieces = 0, entries = 0;
	uint64_t last = 0;
	Metad__Answer *r;
	char name[16];
	bool eof;

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		client_must(&b, (struct req){ OP(CREATE), d, name, .mode = 0644 });
	}
	do {
		r = client_readdir(&a, d, cookie, 500, &told[pieces]);
		assert_true(r->believe && keeps(&a, &told[pieces], names_of(d)));
		for (size_t i = 0; i < r->n_entries; i++) {
			assert_true(r->entries[i]->believe_attr);
			last = r->entries[i]->attr->ino;
			cookie = r->entries[i]->cookie;
		}
		entries += r->n_entries;
		eof = r->eof;
		metad__answer__free_unpacked(r, NULL);
	} while (!eof && ++pieces < 8);
	assert_int_equal(entries, 10);
	assert_true(pieces > 0);
	client_must(&b, (struct req){ OP(SETATTR), last,
		    .set = { .has_mode = true, .mode = 0600 } });
	assert_int_equal(a.recalls, 1);
	assert_true(keeps(&a, &told[0], names_of(d)));
	/* of all pieces at once, with the moved one's attributes no more: they are */
	client_must(&b, (struct req){ OP(RENAME), d, "f0", 1, "moved" });
	assert_int_equal(a.recalls, 2);
	assert_int_equal(a.n, 2);
	for (unsigned int i = 0; i <= pieces; i++)
		assert_false(keeps(&a, &told[i], names_of(d)));
}

/* What a session changes itself it may keep, if nobody else did so at the same time. */
static void test_own_change(void **state)
{
	struct datafs_told before, told, again;
	Metad__Answer *r = client_lookup(&a, 1, "n", &before);
	Metad__Result *res;
	uint64_t n;

	(void)state;
	assert_true(r->believe && keeps(&a, &before, name_of(1, "n")));
	metad__answer__free_unpacked(r, NULL);
	res = client_do(&a, (struct req){ OP(CREATE), 1, "n", .mode = 0644 }, &told);
	n = res->node->ino;
	assert_true(keeps(&a, &told, name_of(1, "n")));
	assert_true(keeps(&a, &told, attr_of(n)));
	assert_true(keeps(&a, &told, attr_of(1)));
	assert_false(keeps(&a, &before, name_of(1, "n")));
	metad__result__free_unpacked(res, NULL);
	/* the same again is an old answer: somebody may have changed it since */
	res = client_do(&a, (struct req){ OP(CREATE), 1, "n", .mode = 0644, .request = a.request,
			.lowest = a.request }, &again);
	assert_int_equal(res->error, 0);
	assert_int_equal(res->node->ino, n);
	assert_false(keeps(&a, &again, attr_of(n)));
	metad__result__free_unpacked(res, NULL);
	for (int i = 0; i < 2; i++) {
		res = client_do(&a, (struct req){ OP(SETATTR), n, .request = 100, .lowest = 100,
				.set = { .has_mode = true, .mode = 0640 } }, &again);
		assert_int_equal(res->error, 0);
		assert_true(keeps(&a, &again, attr_of(n)) == !i);
		metad__result__free_unpacked(res, NULL);
	}
	believe_attr(&a, n);
	assert_int_equal(a.recalls, 0);
	client_must(&b, (struct req){ OP(SETATTR), n, .set = { .has_mode = true, .mode = 0600 } });
	assert_int_equal(a.recalls, 1);
	assert_int_equal(a.objects[0].ino, n);
	assert_false(keeps(&a, &told, attr_of(n)));
}

/* One that is held open has no name: what is told of it is not believed, ever. */
static void test_orphan(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	struct datafs_told told;
	Metad__Answer *r;

	(void)state;
	client_must(&b, (struct req){ OP(HOLD), f });
	r = client_getattr(&a, f, &told);
	assert_true(r->believe);
	metad__answer__free_unpacked(r, NULL);
	client_must(&b, (struct req){ OP(UNLINK), 1, "f" });
	assert_int_equal(a.recalls, 1);
	r = client_getattr(&a, f, &told);
	assert_int_equal(r->attr->nlink, 0);
	assert_false(r->believe);
	metad__answer__free_unpacked(r, NULL);
	client_must(&b, (struct req){ OP(RELEASE), f });
	assert_int_equal(a.recalls, 1);
	r = client_getattr(&a, f, &told);
	assert_int_equal(r->error, ESTALE);
	metad__answer__free_unpacked(r, NULL);
}

static void chmod_of(struct client *c, uint64_t ino, uint32_t mode)
{
	client_must(c, (struct req){ OP(SETATTR), ino, .set = { .has_mode = true, .mode = mode } });
}

struct changing {
	pthread_t thread;
	uint64_t ino;
	int64_t ended;
	atomic_bool done;
};

static void *change(void *arg)
{
	struct changing *c = arg;

	chmod_of(&b, c->ino, 0600);
	c->ended = datafs_now();
	atomic_store(&c->done, true);
	return NULL;
}

static void begin_change(struct changing *c, uint64_t ino)
{
	*c = (struct changing){ .ino = ino };
	assert_int_equal(pthread_create(&c->thread, NULL, change, c), 0);
}

/* Who does not answer delays it by what it may still believe, and is not renewed. */
static void test_silent(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	struct changing c;
	unsigned int recalls;
	int64_t until;

	(void)state;
	believe_attr(&a, f);
	client_mute(&a);
	begin_change(&c, f);
	client_recalls(&a, 1);
	/* a renewal that was on its way may have prolonged it; no later one does */
	until = datafs_quorum_until(a.q);
	client_losses(&a, 1);
	pthread_join(c.thread, NULL);
	assert_true(c.ended > until);
	assert_int_equal(datafs_quorum_until(a.q), 0);
	client_speak(&a);
	client_held(&a);
	/* B has asked again meanwhile, perhaps */
	recalls = a.recalls;
	believe_attr(&a, f);
	chmod_of(&b, f, 0640);
	assert_int_equal(a.recalls, recalls + 1);
	assert_int_equal(a.losses, 1);
}

/* The lease of who is slow to answer ends before the change goes, not after it. */
static void test_not_before(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	static const struct timespec pause = { .tv_nsec = 1000000 };
	struct changing c;
	int64_t until, now;

	(void)state;
	believe_attr(&a, f);
	client_mute(&a);
	begin_change(&c, f);
	client_recalls(&a, 1);
	do {
		now = datafs_now();
		until = datafs_quorum_until(a.q);
		/* in this order: it was not done when it was believed */
		if (until > datafs_now())
			assert_false(atomic_load(&c.done) && datafs_quorum_until(a.q) > datafs_now());
		nanosleep(&pause, NULL);
	} while (!atomic_load(&c.done));
	assert_true(now > until);
	pthread_join(c.thread, NULL);
	client_losses(&a, 1);
	client_speak(&a);
}

/* Who was told something by the last leader is waited for. */
static void test_new_leader_waits(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	struct changing c;
	int64_t until;

	(void)state;
	believe_attr(&a, f);
	client_mute(&a);
	/* A hears of it at once; the next leader does not hear of A */
	until = datafs_quorum_until(a.q);
	node_stop(leader());
	begin_change(&c, f);
	client_losses(&a, 1);
	pthread_join(c.thread, NULL);
	/* A has not said that it believes nothing: its lease was waited for */
	assert_true(c.ended > until);
	assert_int_equal(a.recalls, 0);
	client_speak(&a);
	client_held(&a);
	believe_attr(&a, f);
	chmod_of(&b, f, 0640);
	assert_int_equal(a.recalls, 1);
}

/* When all have, it does not wait: the lease is long here. */
static void test_new_leader_hears_all(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	struct changing c;

	(void)state;
	believe_attr(&a, f);
	client_mute(&a);
	let_another_lead();
	begin_change(&c, f);
	client_losses(&a, 1);
	client_losses(&b, 1);
	client_held(&b);
	assert_false(atomic_load(&c.done));
	client_speak(&a);
	client_held(&a);
	pthread_join(c.thread, NULL);
	assert_int_equal(a.recalls, 0);
	assert_int_equal(a.losses, 1);
	believe_attr(&a, f);
	chmod_of(&b, f, 0640);
	assert_int_equal(a.recalls, 1);
}

/*
 * What the network thread of a leader does, which hangs. It is still in there when the test
 * ends, perhaps: so this is not on the test's stack, and teardown_hangs() lets it go.
 */
static struct hang {
	struct datafs_task task;
	sem_t is, go;
} hang;

static void do_hang(struct datafs_task *task)
{
	struct hang *h = (struct hang *)task;

	sem_post(&h->is);
	sem_wait(&h->go);
}

/* The lease ends before the messenger takes a connection for dead. */
static int setup_hangs(void **state)
{
	hang.task.fn = do_hang;
	sem_init(&hang.is, 0, 0);
	sem_init(&hang.go, 0, 0);
	return setup_with(state, 15000, DATAFS_SERVER_SESSION);
}

static int teardown_hangs(void **state)
{
	int err;

	sem_post(&hang.go);
	err = teardown(state);
	/* its thread is gone */
	sem_destroy(&hang.is);
	sem_destroy(&hang.go);
	return err;
}

/* Its connections stay, and A asks for nothing; but its lease is not waited for. */
static void test_leader_hangs(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	struct changing c;
	unsigned int losses;
	int64_t until;

	(void)state;
	believe_attr(&a, f);
	until = datafs_quorum_until(a.q);
	datafs_loop_post(nodes[leader()].s->loop, &hang.task);
	sem_wait(&hang.is);
	begin_change(&c, f);
	pthread_join(c.thread, NULL);
	/* more often if more than one is elected meanwhile, with much other work */
	assert_true(a.losses);
	assert_int_equal(a.recalls, 0);
	assert_true(c.ended < until);
	client_held(&a);
	losses = a.losses;
	believe_attr(&a, f);
	sem_post(&hang.go);
	chmod_of(&b, f, 0640);
	/* it is told, if it has not just heard of another leader again */
	assert_true(a.recalls == 1 || a.losses > losses);
}

/* Whom no majority listens to does not prolong anything, also before it knows it. */
static void test_cut_off(void **state)
{
	uint64_t f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	int64_t stopped, until, last = 0;
	unsigned int alone = leader();

	(void)state;
	believe_attr(&a, f);
	for (unsigned int id = 1; id <= 3; id++)
		if (id != alone)
			node_stop(id);
	stopped = datafs_now();
	/* renewed every 100 ms, and it steps down after 300 */
	while ((until = datafs_quorum_until(a.q)))
		last = DATAFS_MAX(last, until);
	client_losses(&a, 1);
	assert_true(last < stopped + lease * DATAFS_MSEC);
	for (unsigned int id = 1; id <= 3; id++)
		if (id != alone)
			node_start(id);
	client_held(&a);
	client_held(&b);
	/* one that ends in between, as short as they are, is nobody's to be told */
	for (int i = 0; !a.recalls && i < 100; i++) {
		believe_attr(&a, f);
		chmod_of(&b, f, 0600);
	}
	assert_true(a.recalls);
}

/* A session of nobody is ended; those that have a lease are not. */
static void test_long_gone(void **state)
{
	struct req open = { OP(SESSION_OPEN), .session = 2000, .request = 1 };
	struct req use = { OP(CREATE), 1, "x", .mode = 0644, .session = 2000, .request = 2 };
	static const struct timespec pause = { .tv_sec = 6 };

	(void)state;
	assert_int_equal(error_of(open), 0);
	assert_int_equal(error_of(use), 0);
	nanosleep(&pause, NULL);
	use.request = 3;
	use.name = "y";
	assert_int_equal(error_of(use), ENOTCONN);
	client_must(&a, (struct req){ OP(CREATE), 1, "z", .mode = 0644 });
	assert_int_equal(a.losses + b.losses, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_recall, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_leader_waits, setup_waits, teardown),
		cmocka_unit_test_setup_teardown(test_new_leader_hears_all, setup_long, teardown),
		cmocka_unit_test_setup_teardown(test_leader_hangs, setup_hangs,
						teardown_hangs),
		cmocka_unit_test_setup_teardown(test_cut_off, setup_cut_off, teardown),
		cmocka_unit_test_setup_teardown(test_long_gone, setup_short, teardown),
	};

	return cmocka_run_group_tests_name("server_lease", tests, NULL, NULL);
}
