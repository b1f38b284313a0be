// SPDX-License-Identifier: Apache-2.0
/* The table of grants: by hand, and a world of sessions that break down at random. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "metad/grants_internal.h"

#define LEASE	1000

static struct datafs_grants *g;

/* What the sessions were told last. */
static struct {
	unsigned int count;
	uint64_t session, id;
	unsigned int n;
	struct datafs_grant_object objects[64];
} told;

static void recall(void *ctx, uint64_t session, uint64_t id,
		   const struct datafs_grant_object *objects, unsigned int n)
{
	(void)ctx;
	told.count++;
	told.session = session;
	told.id = id;
	told.n = n;
	memcpy(told.objects, objects, n * sizeof(*objects));
}

static const struct datafs_grant_object attr7 = { .ino = 7, .kind = DATAFS_GRANT_ATTR };
static const struct datafs_grant_object names7 = { .ino = 7, .kind = DATAFS_GRANT_NAMES };

static struct datafs_grant_object name7(const char *name)
{
	return (struct datafs_grant_object) {
		.ino = 7, .kind = DATAFS_GRANT_NAME, .name = name,
		.len = (uint8_t)strlen(name),
	};
}

struct chg {
	struct datafs_change c;
	unsigned int gone;
	int err;
};

static void went(struct datafs_change *c, int err)
{
	struct chg *t = (struct chg *)c;

	t->gone++;
	t->err = err;
}

static struct chg *change(uint64_t session, unsigned int n, ...)
{
	struct chg *t = calloc(1, sizeof(*t));
	va_list ap;

	t->c.go = went;
	t->c.session = session;
	t->c.said = n;
	t->c.n = n;
	va_start(ap, n);
	for (unsigned int i = 0; i < n; i++)
		t->c.objects[i] = va_arg(ap, struct datafs_grant_object);
	va_end(ap);
	return t;
}

/* Its command names the first of them only. */
static struct chg *change_found(uint64_t session, unsigned int said,
				struct datafs_grant_object a, struct datafs_grant_object b)
{
	struct chg *t = change(session, 2, a, b);

	t->c.said = said;
	return t;
}

static void lead(uint64_t now, size_t max, const uint64_t *sessions, size_t n)
{
	const struct datafs_grants_conf conf = {
		.lease = LEASE, .max = max, .recall = recall,
	};

	memset(&told, 0, sizeof(told));
	assert_int_equal(datafs_grants_new(&conf, now, LEASE, sessions, n, &g), 0);
}

static int setup(void **state)
{
	(void)state;
	lead(0, 100, NULL, 0);
	for (uint64_t s = 1; s <= 3; s++)
		assert_int_equal(datafs_grants_fresh(g, s, 0), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	datafs_grants_free(g);
	return 0;
}

static void test_recall(void **state)
{
	struct datafs_grant_object a = name7("a"), b = name7("b");
	struct chg *c;

	(void)state;
	assert_true(datafs_grant(g, 1, 10, &a));
	assert_true(datafs_grant(g, 2, 10, &a));
	assert_true(datafs_grant(g, 2, 10, &attr7));
	assert_true(datafs_grant(g, 2, 10, &names7));
	assert_true(datafs_grant(g, 3, 10, &b));
	assert_int_equal(datafs_grants_count(g), 5);

	/* 1 changes a: 2 is told of all that, 3 of nothing. */
	c = change(1, 3, a, names7, attr7);
	assert_int_equal(datafs_change_begin(g, &c->c, 20), 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.session, 2);
	assert_int_equal(told.n, 3);
	assert_memory_equal(told.objects[0].name, "a", 1);
	assert_int_equal(c->gone, 0);
	/* Meanwhile none of it is granted; other things are. */
	assert_false(datafs_grant(g, 1, 20, &a));
	assert_false(datafs_grant(g, 3, 20, &a));
	assert_true(datafs_grant(g, 3, 20, &b));
	datafs_recall_done(g, 2, told.id + 1);
	datafs_recall_done(g, 3, told.id);
	assert_int_equal(c->gone, 0);
	datafs_recall_done(g, 2, told.id);
	assert_int_equal(c->gone, 1);
	assert_int_equal(c->err, 0);
	assert_false(datafs_grant(g, 2, 20, &a));
	assert_true(datafs_change_end(g, &c->c, 20, true));
	/* 1 believes what it was told of its change: a, all names, attributes. */
	assert_int_equal(datafs_grants_count(g), 4);
	assert_true(datafs_grant(g, 2, 20, &a));
	free(c);
	c = change(2, 1, attr7);
	assert_int_equal(datafs_change_begin(g, &c->c, 20), 0);
	assert_int_equal(told.session, 1);
	datafs_recall_done(g, 1, told.id);
	assert_int_equal(c->gone, 1);
	assert_false(datafs_change_end(g, &c->c, 20, false));
	free(c);
}

/* What its command does not name who asks for it is told, too. */
static void test_found(void **state)
{
	struct chg *c = change_found(1, 1, names7, attr7);

	(void)state;
	assert_true(datafs_grant(g, 1, 10, &attr7));
	assert_true(datafs_grant(g, 1, 10, &names7));
	assert_int_equal(datafs_change_begin(g, &c->c, 10), 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.session, 1);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.objects[0].kind, DATAFS_GRANT_ATTR);
	assert_int_equal(c->gone, 0);
	datafs_recall_done(g, 1, told.id);
	assert_int_equal(c->gone, 1);
	assert_true(datafs_change_end(g, &c->c, 10, true));
	assert_int_equal(datafs_grants_count(g), 2);
	free(c);
}

/* Two changes of one thing: which of them was the later one is not known. */
static void test_two(void **state)
{
	struct chg *c = change(1, 1, attr7), *d = change(2, 1, attr7);

	(void)state;
	assert_true(datafs_grant(g, 3, 10, &attr7));
	assert_int_equal(datafs_change_begin(g, &c->c, 10), 0);
	assert_int_equal(datafs_change_begin(g, &d->c, 10), 0);
	/* Both wait for 3, who was told twice; once is enough. */
	assert_int_equal(told.count, 2);
	datafs_recall_done(g, 3, told.id - 1);
	assert_int_equal(c->gone, 1);
	assert_int_equal(d->gone, 0);
	datafs_recall_done(g, 3, told.id);
	assert_int_equal(d->gone, 1);
	assert_false(datafs_change_end(g, &c->c, 10, true));
	assert_false(datafs_grant(g, 3, 10, &attr7));
	assert_false(datafs_change_end(g, &d->c, 10, true));
	assert_true(datafs_grant(g, 3, 10, &attr7));
	free(c);
	free(d);
}

/* How long it lasts, or the error. */
static int renew(uint64_t session, uint64_t asked)
{
	uint32_t ms;
	int err = datafs_grants_renew(g, session, asked, &ms);

	return err ? err : (int)ms;
}

/* Two names of one checksum, in one change: they are one object. */
static void test_one_sum(void **state)
{
	struct datafs_grant_object a = name7("\1\1\1\1\1\1\1\1\2");
	struct datafs_grant_object b = name7("\x84\x1f\x0f\xae\x2a\xae\xd9\x93\3");
	struct chg *c = change(1, 2, a, b);

	(void)state;
	assert_true(datafs_grant(g, 2, 10, &a));
	assert_true(datafs_grant(g, 2, 10, &b));
	assert_int_equal(datafs_grants_count(g), 1);
	assert_int_equal(datafs_change_begin(g, &c->c, 20), 0);
	assert_int_equal(told.n, 2);
	datafs_recall_done(g, 2, told.id);
	assert_int_equal(c->gone, 1);
	assert_int_equal(datafs_grants_count(g), 0);
	datafs_change_end(g, &c->c, 20, true);
	free(c);
}

static void test_lease(void **state)
{
	struct chg *c = change(1, 1, attr7);

	(void)state;
	assert_true(datafs_grant(g, 2, 10, &attr7));
	assert_int_equal(renew(2, 500), LEASE);
	assert_int_equal(datafs_grants_deadline(g), UINT64_MAX);
	assert_int_equal(datafs_change_begin(g, &c->c, 600), 0);
	assert_int_equal(datafs_grants_deadline(g), 500 + LEASE);
	/* Who does not do what it is told does not go on believing for long. */
	assert_int_equal(renew(2, 700), LEASE - 100);
	assert_int_equal(datafs_grants_deadline(g), 600 + LEASE);
	assert_int_equal(renew(2, 800), -EAGAIN);
	datafs_grants_tick(g, 600 + LEASE - 1);
	assert_int_equal(c->gone, 0);
	datafs_grants_tick(g, 600 + LEASE);
	assert_int_equal(c->gone, 1);
	datafs_change_end(g, &c->c, 600 + LEASE, true);
	/* Something went on without it: it must forget all before it begins anew. */
	assert_int_equal(renew(2, 600 + LEASE), -ENOENT);
	assert_false(datafs_grant(g, 2, 600 + LEASE, &attr7));
	assert_int_equal(datafs_grants_fresh(g, 2, 600 + LEASE), 0);
	assert_true(datafs_grant(g, 2, 600 + LEASE, &attr7));
	free(c);

	/* Its lease has ended before, but nobody had noticed. */
	assert_int_equal(renew(2, 700 + LEASE), LEASE);
	c = change(0, 1, attr7);
	assert_int_equal(datafs_change_begin(g, &c->c, 700 + 2 * LEASE), 0);
	assert_int_equal(c->gone, 1);
	assert_int_equal(renew(2, 700 + 2 * LEASE - 1), -ENOENT);
	datafs_change_end(g, &c->c, 700 + 2 * LEASE, true);
	free(c);
	/* Session 3's has too, and nobody minded: it just goes on. */
	assert_int_equal(renew(3, 700 + 2 * LEASE), LEASE);
}

static void test_new_leader(void **state)
{
	static const uint64_t sessions[] = { 1, 2 };
	struct chg *c = change(3, 1, attr7), *d;

	(void)state;
	datafs_grants_free(g);
	lead(100, 100, sessions, 2);
	assert_int_equal(datafs_grants_fresh(g, 3, 100), 0);
	assert_int_equal(datafs_change_begin(g, &c->c, 100), 0);
	assert_int_equal(datafs_grants_deadline(g), 100 + LEASE);
	assert_int_equal(renew(1, 100), -ENOENT);
	assert_false(datafs_grant(g, 1, 100, &attr7));
	assert_int_equal(datafs_grants_fresh(g, 1, 100), 0);
	assert_int_equal(c->gone, 0);
	assert_int_equal(datafs_grants_fresh(g, 2, 100), 0);
	assert_int_equal(c->gone, 1);
	datafs_change_end(g, &c->c, 100, true);
	datafs_grants_free(g);
	free(c);

	/* One that does not come: a lease; one that ends: at once. */
	lead(100, 100, sessions, 2);
	assert_int_equal(datafs_grants_fresh(g, 1, 100), 0);
	c = change(1, 1, attr7);
	d = change(1, 1, names7);
	assert_int_equal(datafs_change_begin(g, &c->c, 100), 0);
	datafs_grants_tick(g, 99 + LEASE);
	assert_int_equal(c->gone, 0);
	datafs_grants_tick(g, 100 + LEASE);
	assert_int_equal(c->gone, 1);
	assert_int_equal(datafs_change_begin(g, &d->c, 100 + LEASE), 0);
	assert_int_equal(d->gone, 1);
	datafs_change_end(g, &c->c, 100 + LEASE, true);
	datafs_change_end(g, &d->c, 100 + LEASE, true);
	datafs_grants_free(g);
	lead(100, 100, sessions, 1);
	assert_int_equal(datafs_change_begin(g, &c->c, 100), 0);
	c->gone = 0;
	datafs_grants_gone(g, 1);
	assert_int_equal(c->gone, 1);
	datafs_change_end(g, &c->c, 100, true);
	datafs_grants_free(g);

	/* It leads no more. */
	lead(100, 100, sessions, 1);
	c->gone = d->gone = 0;
	assert_int_equal(datafs_change_begin(g, &c->c, 100), 0);
	datafs_grants_free(g);
	assert_int_equal(c->gone, 1);
	assert_int_equal(c->err, -ECANCELED);
	g = NULL;
	free(c);
	free(d);
}

static void test_room(void **state)
{
	struct datafs_grant_object o = attr7, back;
	unsigned int granted = 0;

	(void)state;
	datafs_grants_free(g);
	lead(0, 100, NULL, 0);
	assert_int_equal(datafs_grants_fresh(g, 1, 0), 0);
	assert_int_equal(datafs_grants_fresh(g, 2, 0), 0);
	for (o.ino = 1; o.ino <= 100; o.ino++)
		assert_true(datafs_grant(g, 1, 1, &o));
	/* The oldest of one session are taken back, once. */
	for (o.ino = 101; o.ino <= 110; o.ino++)
		granted += datafs_grant(g, 2, 1, &o);
	assert_int_equal(granted, 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.session, 1);
	assert_int_equal(told.n, 64);
	back = told.objects[0];
	assert_int_equal(back.ino, 1);
	assert_int_equal(datafs_grants_count(g), 100);
	/* What is taken back is not given at the same time. */
	assert_false(datafs_grant(g, 1, 1, &back));
	datafs_recall_done(g, 1, told.id);
	assert_int_equal(datafs_grants_count(g), 36);
	for (o.ino = 101; o.ino <= 110; o.ino++)
		granted += datafs_grant(g, 2, 1, &o);
	assert_int_equal(granted, 10);
	assert_true(datafs_grant(g, 1, 1, &back));
}

/* One that lets its lease run out. */
static void be_deaf(uint64_t now)
{
	struct chg *c;

	assert_true(datafs_grant(g, 1, now, &attr7));
	c = change(2, 1, attr7);
	assert_int_equal(datafs_change_begin(g, &c->c, now), 0);
	assert_int_equal(c->gone, 0);
	datafs_grants_tick(g, now + LEASE);
	assert_int_equal(c->gone, 1);
	datafs_change_end(g, &c->c, now + LEASE, true);
	free(c);
}

/* Who never answers gets no lease for a while, longer each time, until it answers. */
static void test_deaf(void **state)
{
	struct chg *c;

	(void)state;
	be_deaf(0);
	assert_int_equal(datafs_grants_fresh(g, 1, 1000), 0);
	be_deaf(1000);
	assert_int_equal(datafs_grants_fresh(g, 1, 2000), -EAGAIN);
	assert_false(datafs_grant(g, 1, 2000, &attr7));
	assert_int_equal(renew(1, 2000), -ENOENT);
	assert_int_equal(datafs_grants_fresh(g, 1, 2999), -EAGAIN);
	assert_int_equal(datafs_grants_fresh(g, 1, 3000), 0);
	be_deaf(3000);
	assert_int_equal(datafs_grants_fresh(g, 1, 5999), -EAGAIN);
	assert_int_equal(datafs_grants_fresh(g, 1, 6000), 0);
	assert_true(datafs_grant(g, 1, 6000, &attr7));
	c = change(2, 1, attr7);
	assert_int_equal(datafs_change_begin(g, &c->c, 6000), 0);
	datafs_recall_done(g, 1, told.id);
	assert_int_equal(c->gone, 1);
	datafs_change_end(g, &c->c, 6000, true);
	free(c);
	be_deaf(6000);
	assert_int_equal(datafs_grants_fresh(g, 1, 7000), 0);
	/* also if it says that it has forgotten all before that is noticed */
	assert_true(datafs_grant(g, 1, 7000, &attr7));
	c = change(2, 1, attr7);
	assert_int_equal(datafs_change_begin(g, &c->c, 7000), 0);
	assert_int_equal(datafs_grants_fresh(g, 1, 7900), -EAGAIN);
	assert_int_equal(c->gone, 1);
	assert_int_equal(datafs_grants_fresh(g, 1, 8900), 0);
	datafs_change_end(g, &c->c, 8900, true);
	free(c);
}

/* ------------------------------------------------------ a world at random */

#define OBJECTS	4
#define CLIENTS	4
#define MESSAGES 256

struct client {
	uint64_t lease;		/* until then it believes, by its own clock */
	uint64_t forgot;	/* answers to what was asked before are not kept */
	unsigned int connection, term;
	bool fresh;		/* and has heard that it is */
	bool paused, connected;
	bool have[OBJECTS];
	uint64_t value[OBJECTS];
	unsigned int changing[OBJECTS];	/* applied, and it does not know yet */
};

enum kind { ASK, ANSWER, RECALL, DONE, FRESH, RENEW, LEASE_ANSWER, CHANGE, CHANGED };

struct message {
	enum kind kind;
	unsigned int client, n, objects[OBJECTS];
	uint64_t at, asked, id, value[OBJECTS];
	unsigned int term, connection;
	uint32_t ms;
	bool believe, lost, fresh;
};

struct world_change {
	struct datafs_change c;
	struct message m;
};

static struct world {
	uint64_t now, seed;
	unsigned int term;
	struct client clients[CLIENTS];
	uint64_t value[OBJECTS];
	struct message messages[MESSAGES];
	unsigned int nmessages;
	unsigned long applied, believed, stale, recalls;
} w;

static uint64_t rnd(uint64_t n)
{
	uint64_t x = w.seed += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (x ^ (x >> 31)) % n;
}

static void post(struct message m)
{
	if (w.nmessages == MESSAGES)
		return;		/* lost; who waits for it tries again or lapses */
	m.at = w.now + rnd(rnd(20) ? 30 : 1500);
	m.term = w.term;
	m.connection = w.clients[m.client].connection;
	w.messages[w.nmessages++] = m;
}

static struct datafs_grant_object object(unsigned int i)
{
	return i % 2 ? (struct datafs_grant_object) { .ino = i, .kind = DATAFS_GRANT_ATTR } :
		(struct datafs_grant_object) {
			.ino = 9, .kind = DATAFS_GRANT_NAME,
			.name = &"abcdefgh"[i], .len = 1,
		};
}

static unsigned int number(const struct datafs_grant_object *o)
{
	return o->kind == DATAFS_GRANT_ATTR ? (unsigned int)o->ino :
	       (unsigned int)(o->name[0] - 'a');
}

static void world_recall(void *ctx, uint64_t session, uint64_t id,
			 const struct datafs_grant_object *objects, unsigned int n)
{
	struct message m = { .kind = RECALL, .client = session - 1, .id = id };

	(void)ctx;
	w.recalls++;
	/* For want of room: of a name only its directory is told. */
	for (unsigned int i = 0; i < n && m.n < OBJECTS; i++)
		if (objects[i].kind == DATAFS_GRANT_NAME && !objects[i].len)
			for (m.n = 0; m.n < OBJECTS; m.n++)
				m.objects[m.n] = m.n;
		else
			m.objects[m.n++] = number(&objects[i]);
	post(m);
}

/* It is applied at once. Nobody else may believe what was. */
static void world_go(struct datafs_change *c, int err)
{
	struct world_change *t = (struct world_change *)c;

	if (err) {
		free(t);
		return;
	}
	for (unsigned int i = 0; i < t->m.n; i++) {
		unsigned int o = t->m.objects[i];

		t->m.value[i] = ++w.value[o];
		for (unsigned int k = 0; k < CLIENTS; k++)
			if (k != t->m.client && w.clients[k].have[o] &&
			    w.clients[k].lease > w.now)
				w.stale++;
	}
	for (unsigned int i = 0; i < t->m.n; i++)
		w.clients[t->m.client].changing[t->m.objects[i]]++;
	w.applied++;
	/* It ends some time later. */
	t->m.kind = CHANGED;
	t->m.id = (uintptr_t)t;
	post(t->m);
}

static void world_lead(size_t max)
{
	const struct datafs_grants_conf conf = {
		.lease = LEASE, .max = max, .recall = world_recall,
	};
	static const uint64_t sessions[] = { 1, 2, 3, 4 };

	/* What is under way between leader and clients is so no more. */
	w.term++;
	for (unsigned int i = 0; i < w.nmessages; i++)
		if (w.messages[i].kind == CHANGED)
			free((void *)(uintptr_t)w.messages[i].id);
	for (unsigned int i = 0; i < w.nmessages; i++)
		if (w.messages[i].kind == CHANGED)
			w.messages[i--] = w.messages[--w.nmessages];
	datafs_grants_free(g);
	assert_int_equal(datafs_grants_new(&conf, w.now, LEASE, sessions, CLIENTS, &g), 0);
	for (unsigned int k = 0; k < CLIENTS; k++)
		w.clients[k].connected = false;
}

static void forget(struct client *c, const struct message *m)
{
	c->forgot = w.now;
	for (unsigned int i = 0; i < (m ? m->n : OBJECTS); i++)
		c->have[m ? m->objects[i] : i] = false;
}

static void take(struct client *c, const struct message *m)
{
	for (unsigned int i = 0; i < m->n; i++) {
		unsigned int o = m->objects[i];

		/* Its own change, or what it was told: the old is gone in any case. */
		c->have[o] = m->believe && m->asked > c->forgot;
		c->value[o] = m->value[i];
		w.believed += c->have[o];
	}
}

static void to_leader(struct message m)
{
	struct world_change *t;
	struct message r = m;

	switch (m.kind) {
	case ASK:
		r.kind = ANSWER;
		r.believe = true;
		for (unsigned int i = 0; i < m.n; i++) {
			struct datafs_grant_object o = object(m.objects[i]);

			if (!datafs_grant(g, m.client + 1, w.now, &o))
				r.believe = false;
			r.value[i] = w.value[m.objects[i]];
		}
		post(r);
		break;
	case DONE:
		datafs_recall_done(g, m.client + 1, m.id);
		break;
	case FRESH:
		if (datafs_grants_fresh(g, m.client + 1, w.now))
			break;	/* it was deaf; it asks again */
		r.kind = LEASE_ANSWER;
		r.fresh = true;
		r.ms = LEASE;
		post(r);
		break;
	case RENEW:
		r.kind = LEASE_ANSWER;
		switch (datafs_grants_renew(g, m.client + 1, w.now, &r.ms)) {
		case -ENOENT:
			r.lost = true;
			post(r);
			break;
		case 0:
			post(r);
			break;
		}
		break;
	case CHANGE:
		t = calloc(1, sizeof(*t));
		t->c.go = world_go;
		t->c.session = m.client + 1;
		t->c.n = m.n;
		/* the others are found only, and it is told as others are */
		t->c.said = (unsigned int)(w.now % (m.n + 1));
		t->m = m;
		for (unsigned int i = 0; i < m.n; i++)
			t->c.objects[i] = object(m.objects[i]);
		assert_int_equal(datafs_change_begin(g, &t->c, w.now), 0);
		break;
	default:
		fail();
	}
}

static void deliver(struct message m)
{
	struct client *c = &w.clients[m.client];

	if (m.kind == CHANGED) {
		struct world_change *t = (void *)(uintptr_t)m.id;

		m.believe = datafs_change_end(g, &t->c, w.now, true);
		free(t);
		for (unsigned int i = 0; i < m.n; i++)
			c->changing[m.objects[i]]--;
		take(c, &m);
		/* Answers to what was asked before may be of before. */
		c->forgot = w.now;
		return;
	}
	if (m.term != w.term || m.connection != c->connection)
		return;
	switch (m.kind) {
	case ANSWER:
		take(c, &m);
		break;
	case RECALL:
		forget(c, &m);
		m.kind = DONE;
		post(m);
		break;
	case LEASE_ANSWER:
		if (m.lost) {
			c->connected = false;
		} else if (c->connected) {
			/* What was asked before may have been answered before. */
			if (m.fresh)
				c->forgot = w.now;
			c->fresh |= m.fresh;
			c->lease = DATAFS_MAX(c->lease, m.asked + m.ms);
		}
		break;
	default:
		to_leader(m);
	}
}

static void client_step(unsigned int k)
{
	struct client *c = &w.clients[k];
	struct message m = { .client = k, .asked = w.now };

	if (c->paused)
		return;
	if (!c->connected) {
		/* Before it says so, and before anything of the new leader counts. */
		forget(c, NULL);
		/* What another leader applied is answered by nobody. */
		if (c->term != w.term)
			memset(c->changing, 0, sizeof(c->changing));
		c->term = w.term;
		c->connected = true;
		c->connection++;
		c->fresh = false;
		m.kind = FRESH;
		post(m);
		return;
	}
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (!rnd(2))
			m.objects[m.n++] = i;
	if (!c->fresh) {
		if (!rnd(50))
			c->connected = false;
		return;
	}
	switch (rnd(12)) {
	case 0: case 1:
		m.kind = RENEW;
		post(m);
		break;
	case 2: case 3:
		m.kind = CHANGE;
		post(m);
		break;
	case 4:
		if (!rnd(10))
			c->connected = false;
		break;
	default:
		m.kind = ASK;
		post(m);
	}
}

/* True: something was believed that had changed. */
static bool one_world(uint64_t seed)
{
	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.now = 1;
	g = NULL;
	world_lead(1 + rnd(20));
	while (w.now < 60000 && !w.stale) {
		w.now += rnd(4);
		for (unsigned int i = 0; i < w.nmessages; i++) {
			struct message m = w.messages[i];

			/* Nothing reaches who is paused; a change ends without it. */
			if (m.at > w.now || (w.clients[m.client].paused &&
					     m.kind != CHANGED))
				continue;
			w.messages[i--] = w.messages[--w.nmessages];
			deliver(m);
		}
		if (!rnd(3))
			client_step(rnd(CLIENTS));
		if (!rnd(2000))
			w.clients[rnd(CLIENTS)].paused ^= true;
		if (!rnd(5000))
			world_lead(1 + rnd(20));
		for (unsigned int i = 0; i < CLIENTS * OBJECTS; i++) {
			const struct client *c = &w.clients[i / OBJECTS];
			unsigned int o = i % OBJECTS;

			if (c->have[o] && c->lease > w.now && !c->changing[o])
				w.stale += c->value[o] != w.value[o];
		}
		datafs_grants_tick(g, w.now);
		assert_true(datafs_grants_deadline(g) > w.now);
	}
	for (unsigned int i = 0; i < w.nmessages; i++)
		if (w.messages[i].kind == CHANGED)
			free((void *)(uintptr_t)w.messages[i].id);
	datafs_grants_free(g);
	g = NULL;
	return w.stale;
}

static bool plant;

bool datafs_grants_plant_early(void)
{
	return plant;
}

/* "Recall after apply" is found, soon. */
static void test_planted(void **state)
{
	uint64_t first = (uint64_t)datafs_now();
	unsigned int n = 0;

	(void)state;
	datafs_grants_free(g);
	plant = true;
	while (n < 30 && !one_world(first + n))
		n++;
	plant = false;
	print_message("# found in world %u\n", n + 1);
	assert_true(n < 30);
}

static void test_world(void **state)
{
	const char *seed = getenv("DATAFS_SEED"), *runs = getenv("DATAFS_SEEDS");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : (uint64_t)datafs_now();
	unsigned long applied = 0, believed = 0, recalls = 0;

	(void)state;
	datafs_grants_free(g);
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)first);
	for (unsigned int i = 0; i < (runs ? strtoul(runs, NULL, 0) : seed ? 1 : 30); i++) {
		if (one_world(first + i))
			fail_msg("DATAFS_SEED=%llu: at %llu something was believed that had changed",
				 (unsigned long long)(first + i), (unsigned long long)w.now);
		applied += w.applied;
		believed += w.believed;
		recalls += w.recalls;
	}
	print_message("# %lu changes, %lu recalls, %lu answers believed\n", applied, recalls,
		      believed);
	assert_true(applied > 100 && believed > 100 && recalls > 100);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_recall), T(test_one_sum), T(test_found), T(test_two), T(test_lease),
		T(test_new_leader), T(test_room), T(test_deaf), T(test_world),
		T(test_planted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
