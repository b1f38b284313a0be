// SPDX-License-Identifier: Apache-2.0
/* Ranges over chunks that are fetched by one request: how many, for whom, of what. */
#define _GNU_SOURCE
#include "cache_fixture.h"

/* A source that gives its bytes as they come. */
struct store {
	struct source src;	/* first: the fixture's fetch gets it */
	atomic_uint requests, released;
	atomic_ullong asked;	/* bytes */
	uint64_t break_at;	/* ends with an error there; 0: nowhere */
	uint64_t again_at;	/* begins again there, once */
	uint64_t odd;		/* says that it has been another behind that */
	bool never;		/* streams nothing */
	/* Stands still at @gate until it is open. */
	uint64_t gate;
	atomic_bool open, at_gate;
};

static int give(void *arg, uint64_t off, uint64_t len, datafs_cache_take_fn take, void *take_arg)
{
	static _Thread_local char buf[96 * KIB] __attribute__((aligned(4096)));
	struct store *st = arg;
	uint64_t at = off, end = off + len;
	int err = 0;

	if (st->never)
		return -EOPNOTSUPP;
	st->requests++;
	st->asked += len;
	while (!err && at < end) {
		uint64_t from = at / G * G, n = sizeof(buf) < end - from ? sizeof(buf) : end - from;

		if (st->break_at && at >= st->break_at)
			return -ETIMEDOUT;
		while (st->gate && at >= st->gate && !st->open) {
			st->at_gate = true;
			sleep_ms(1);
		}
		if (st->again_at && at >= st->again_at) {
			st->again_at = 0;
			at = off;
			continue;
		}
		/* not on any border */
		if (n > 1000 && from + n < end)
			n -= 999;
		make_bytes(&st->src.key, st->src.size, from, buf, sizeof(buf));
		err = take(take_arg, at, buf + (at - from), n - (at - from));
		at = from + n;
	}
	return err;
}

static void released(void *arg)
{
	((struct store *)arg)->released++;
}

static struct store store(uint64_t ino, uint64_t size)
{
	return (struct store){ .src = source(ino, size) };
}

static struct datafs_cache_want claim_of(struct store *st, uint64_t off, uint64_t len)
{
	struct datafs_cache_want w = want_of(&st->src, off, len, 0);

	w.stream = give;
	w.release = released;
	return w;
}

static struct datafs_flight *claim(struct store *st, uint64_t off, uint64_t len)
{
	struct datafs_cache_want want = claim_of(st, off, len);
	struct datafs_flight *f;

	assert_int_equal(datafs_cache_claim(w.c, &want, &f), 0);
	return f;
}

static void is_range(const struct datafs_flight *f, uint64_t off, uint64_t len)
{
	uint64_t o, l;

	assert_non_null(f);
	datafs_flight_range(f, &o, &l);
	assert_int_equal(o, off);
	assert_int_equal(l, len);
}

/* A part that is no number of chunks: a request for each, whoever reads. */
static void exact(void **state)
{
	const uint64_t size = 23 * MIB + 5, part = 5 * MIB;
	struct store st = store(7, size);
	struct datafs_flight *f;
	uint32_t n = 0;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (uint64_t at = 0; at < size; at += part, n++) {
		f = claim(&st, at, part);
		is_range(f, at, at + part < size ? part : 3 * MIB + G);
		/* claimed is claimed */
		assert_null(claim(&st, at, part));
		datafs_cache_fly(w.c, f, false);
		assert_null(claim(&st, at, part));
	}
	assert_int_equal(n, 5);
	assert_int_equal(st.requests, n);
	assert_int_equal(st.released, n);
	assert_int_equal(st.asked, size);
	/* All is there, right, and on the disk. */
	assert_int_equal(get(&st.src, 0, 24 * MIB, 0, 1), 23 * MIB + G);
	assert_int_equal(st.src.calls, 0);
	assert_int_equal(stats().fetches, n);
	assert_int_equal(stats().fetched_bytes, size);
	assert_int_equal(stats().misses, 369);
}

/* What is there, or is being fetched, is left out. */
static void gaps(void **state)
{
	struct store st = store(7, 64 * MIB);
	struct datafs_flight *a, *b;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&st.src, 2 * MIB, 64 * KIB, 0, 0);
	a = claim(&st, 0, 8 * MIB);
	is_range(a, 0, 2 * MIB);
	b = claim(&st, 0, 8 * MIB);
	is_range(b, 2 * MIB + 64 * KIB, 6 * MIB - 64 * KIB);
	assert_null(claim(&st, 0, 8 * MIB));
	datafs_cache_fly(w.c, b, false);
	datafs_cache_fly(w.c, a, false);
	assert_int_equal(st.requests, 2);
	assert_int_equal(st.asked, 8 * MIB - 64 * KIB);
	assert_int_equal(st.src.calls, 1);
	assert_int_equal(get(&st.src, 0, 8 * MIB, 0, 1), 8 * MIB);
	assert_int_equal(st.src.calls, 1);
}

/* After trouble bytes may come again: once is enough. A source that cannot stream. */
static void again(void **state)
{
	struct store st = store(7, 12 * MIB), never = store(8, 12 * MIB);

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	st.again_at = 7 * MIB;
	datafs_cache_fly(w.c, claim(&st, 0, 12 * MIB), false);
	assert_int_equal(st.again_at, 0);
	assert_int_equal(get(&st.src, 0, 12 * MIB, 0, 1), 12 * MIB);
	assert_int_equal(st.src.calls, 0);
	never.never = true;
	datafs_cache_fly(w.c, claim(&never, MIB, 9 * MIB), false);
	assert_int_equal(never.src.calls, 3);
	assert_int_equal(never.src.bytes, 9 * MIB);
	assert_int_equal(get(&never.src, MIB, 9 * MIB, 0, 1), 9 * MIB);
	assert_int_equal(never.src.calls, 3);
}

struct runner {
	pthread_t t;
	struct store *st;
	pthread_barrier_t *b;
	struct datafs_flight *f;	/* to fly; NULL: gets */
	uint64_t off, len;
	int err;
};

static void *run(void *arg)
{
	struct runner *r = arg;
	struct datafs_cache_want want = want_of(&r->st->src, r->off, r->len, 1);
	struct datafs_cache_answer a;

	if (r->b)
		pthread_barrier_wait(r->b);
	if (r->f) {
		datafs_cache_fly(w.c, r->f, false);
		return NULL;
	}
	r->err = datafs_cache_get(w.c, &want, &a);
	if (r->err)
		return NULL;
	for (uint32_t i = 0; i < a.count; i++)
		if (!extent_is_right(&r->st->src.key, r->st->src.size, &a.ext[i], NULL))
			r->err = -EBADMSG;
	datafs_cache_put(w.c, &a);
	return NULL;
}

/* Eight want what was claimed, and nobody has begun: one of them does it. */
static void waiters_run_it(void **state)
{
	struct store st = store(9, 64 * MIB);
	struct datafs_flight *f;
	struct runner r[8];
	pthread_barrier_t b;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	f = claim(&st, 0, 8 * MIB);
	pthread_barrier_init(&b, NULL, 8);
	for (int i = 0; i < 8; i++) {
		r[i] = (struct runner){ .st = &st, .b = &b, .off = i * MIB, .len = MIB };
		assert_int_equal(pthread_create(&r[i].t, NULL, run, &r[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(r[i].t, NULL);
		assert_int_equal(r[i].err, 0);
	}
	pthread_barrier_destroy(&b);
	assert_int_equal(st.requests, 1);
	assert_int_equal(st.asked, 8 * MIB);
	assert_int_equal(st.src.calls, 0);
	/* The claimer comes too late, and is the last to let it go. */
	assert_int_equal(st.released, 0);
	datafs_cache_fly(w.c, f, false);
	assert_int_equal(st.released, 1);
	assert_int_equal(st.requests, 1);
}

/* A chunk that is there is answered while the next one comes; then the error is shared. */
static void pieces(void **state)
{
	struct store st = store(9, 64 * MIB);
	struct runner fly = { .st = &st };
	struct runner late = { .st = &st, .off = 5 * MIB, .len = MIB };

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fly.f = claim(&st, 0, 12 * MIB);
	st.gate = 6 * MIB;
	st.break_at = 7 * MIB;
	assert_int_equal(pthread_create(&fly.t, NULL, run, &fly), 0);
	/* Who came first would run it himself. */
	while (!st.at_gate)
		sleep_ms(1);
	assert_int_equal(get(&st.src, 3 * MIB, G, 0, 1), G);
	assert_int_equal(get(&st.src, 0, 4 * MIB, 0, 1), 4 * MIB);
	/* Over the border: what is there, and no pin waits for the rest. */
	assert_int_equal(get(&st.src, 3 * MIB, 2 * MIB, 0, 1), MIB);
	assert_int_equal(pthread_create(&late.t, NULL, run, &late), 0);
	sleep_ms(20);
	st.open = true;
	pthread_join(fly.t, NULL);
	pthread_join(late.t, NULL);
	assert_true(late.err == -ETIMEDOUT || !late.err);
	assert_int_equal(st.requests, 1);
	/* It is not remembered; what came stays. */
	assert_int_equal(get(&st.src, 4 * MIB, MIB, 0, 1), MIB);
	st.break_at = 0;
	is_range(fly.f = claim(&st, 0, 12 * MIB), late.err ? 5 * MIB : 6 * MIB,
		 late.err ? 7 * MIB : 6 * MIB);
	/* Given up: nobody waits for ever. */
	datafs_cache_fly(w.c, fly.f, true);
	assert_int_equal(st.requests, 1);
	assert_int_equal(st.released, 2);
}

/* The beginning can be had while most of the first chunk is still to come. */
static void beginning(void **state)
{
	struct store st = store(9, 64 * MIB);
	struct runner fly = { .st = &st };

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fly.f = claim(&st, 8 * MIB, 8 * MIB);
	st.gate = 10 * MIB;
	assert_int_equal(pthread_create(&fly.t, NULL, run, &fly), 0);
	while (!st.at_gate)
		sleep_ms(1);
	assert_int_equal(get(&st.src, 8 * MIB, G, 0, 1), G);
	assert_int_equal(get(&st.src, 8 * MIB, MIB, 8 * MIB, 1), 2 * MIB);
	st.open = true;
	pthread_join(fly.t, NULL);
	assert_int_equal(get(&st.src, 8 * MIB, 8 * MIB, 0, 1), 8 * MIB);
	assert_int_equal(st.requests, 1);
	assert_int_equal(st.src.calls, 0);
	assert_int_equal(stats().fetched_bytes, 8 * MIB);
}

/*
 * Who waits for small ones to come takes no room for them meanwhile. A page that had to be
 * waited for was not there.
 */
static void waiters_take_no_room(void **state)
{
	struct store st[16];
	struct runner r[16][2];

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (int i = 0; i < 16; i++) {
		st[i] = store(20 + i, MIB);
		r[i][0] = (struct runner){ .st = &st[i], .f = claim(&st[i], 0, MIB) };
		for (int n = 0; n < 2; n++) {
			r[i][1] = (struct runner){ .st = &st[i], .len = MIB };
			run(&r[i][1]);
			assert_int_equal(r[i][1].err, 0);
			assert_int_equal(stats().hits, (i + n) * 16);
		}
		run(&r[i][0]);
		assert_int_equal(st[i].requests, 1);
	}
	assert_int_equal(stats().misses, 16 * 16);
	while (stats().slots < 32)
		sleep_ms(1);
	assert_int_equal(stats().slots - stats().free_slots, 4);
}

/* More than the cache: it makes room for what comes, and no thread stands still. */
static void larger_than_the_cache(void **state)
{
	struct store st = store(9, 300 * MIB);

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	pump_start();
	datafs_cache_fly(w.c, claim(&st, 0, 300 * MIB), false);
	assert_int_equal(st.requests, 1);
	assert_int_equal(st.asked, 300 * MIB);
	assert_int_equal(stats().fetched_bytes, 300 * MIB);
	assert_true(datafs_cache_has(w.c, &st.src.key, 296 * MIB, 4 * MIB));
	pump_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(exact),
		CACHE_TEST(gaps),
		CACHE_TEST(again),
		CACHE_TEST(waiters_run_it),
		CACHE_TEST(pieces),
		CACHE_TEST(beginning),
		CACHE_TEST(waiters_take_no_room),
		CACHE_TEST(larger_than_the_cache),
	};

	return cmocka_run_group_tests_name("cache_flight", tests, NULL, NULL);
}
