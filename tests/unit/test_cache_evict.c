// SPDX-License-Identifier: Apache-2.0
/* Nothing is used again that the kernel may still read. */
#define _GNU_SOURCE
#include "cache_fixture.h"

static void packing(void **state)
{
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (int i = 0; i < 1000; i++) {
		struct source s = source(1000 + i, 1 + i * 37 % 20000);
		uint64_t up = (s.size + G - 1) / G * G;

		assert_int_equal(get(&s, 0, up, 0, 1), up);
		bytes += up;
	}
	assert_int_equal(stats().used, bytes);
	assert_int_equal(stats().chunks, 1000);
	/* hold() has seen to it that no two share a place */
	assert_true(32 - stats().free_slots <= bytes / (4 * MIB) + 1 ||
		    stats().slots < 32);
	/* 1,000 files of four mounts are revoked in batches */
	for (int i = 0; i < 1000; i++)
		for (int m = 2; m < 5; m++) {
			struct source s = source(1000 + i, 1 + i * 37 % 20000);

			get(&s, 0, G, 0, m);
			assert_int_equal(s.calls, 0);
		}
	pump_start();
	for (int i = 0; i < 40; i++) {
		struct source s = source(5000 + i, 4 * MIB);

		get(&s, 0, 4 * MIB, 0, 1);
	}
	pump_end();
	assert_int_equal(w.wrong, 0);
	assert_true(stats().revokes > stats().evicted_slots);
}

static void eviction_waits_for_the_kernel(void **state)
{
	struct source s[64];
	struct datafs_cache_stats st;
	struct datafs_cache_want want;
	struct datafs_cache_answer a;
	uint32_t answered = 0;
	int n = 0;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	/* up to the low-water mark nothing need go */
	for (; n < 30; n++) {
		s[n] = source(n + 1, 4 * MIB);
		get(&s[n], 0, 4 * MIB, 0, 1);
	}
	assert_int_equal(stats().evicted_slots, 0);
	/* a pinned slot is no victim, whatever comes */
	want = want_of(&s[0], 0, 4 * MIB, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	for (; n < 32; n++) {
		s[n] = source(n + 1, 4 * MIB);
		get(&s[n], 0, 4 * MIB, 0, 1);
	}
	/* now revocations are asked, and nothing comes free without answers */
	for (int i = 0; i < 200 && !w.ncookies; i++)
		sleep_ms(5);
	sleep_ms(50);
	st = stats();
	assert_true(st.evicted_slots > 0);
	assert_int_equal(st.free_slots, 0);
	assert_int_equal(st.evicted_slots, st.revokes);
	for (int i = 0; i < 1000 && n < 64; n++) {
		s[n] = source(n + 1, 4 * MIB);
		for (; !stats().free_slots && i < 1000; i++) {
			answered += answer_revokes();
			sleep_ms(5);
		}
		get(&s[n], 0, 4 * MIB, 0, 1);
	}
	assert_true(answered >= 31);
	check_answer(&s[0], &a, 0);
	assert_true(datafs_cache_has(w.c, &s[0].key, 0, 4 * MIB));
	datafs_cache_put(w.c, &a);
	datafs_cache_revoked(w.c, 1); /* nobody's */
	assert_int_equal(w.wrong, 0);
}

/* Of 32 slots, as the keeper counts it. */
#define LOW_WATER	2

static void victims(void **state)
{
	struct source dropped = source(1, 4 * MIB), hot = source(2, 4 * MIB);

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fill_up(1, 29, 1);
	datafs_cache_drop(w.c, &(struct datafs_cache_key){ 25, 1 });
	datafs_cache_drop(w.c, &(struct datafs_cache_key){ 999, 1 });
	pump_start();
	for (int i = 0; i < 20; i++) {
		fill_up(100 + i, 1, 1);
		get(&hot, 0, 64 * KIB, 0, 1);
		if (i == 4) { /* the first to go, not the oldest */
			dropped.key.ino = 25;
			assert_false(datafs_cache_has(w.c, &dropped.key, 0, G));
		}
		/* What is made room for at once is less than a round of the clock. */
		while (stats().free_slots < LOW_WATER)
			sleep_ms(1);
	}
	assert_int_equal(hot.calls, 0);
	/* what was handed to nobody any more is not revoked */
	datafs_cache_forget_mount(w.c, 1);
	pump_end();
	answer_revokes();
	w.nheld = 0;
	sleep_ms(20);
	answer_revokes();
	{
		uint64_t before = stats().revokes;

		fill_up(200, 30, 0);
		assert_true(stats().evicted_slots > 20);
		assert_true(stats().revokes <= before);
	}
}

/* Nothing goes before what was there when it came, wherever in the slabs it lies. */
static void newest_goes_last(void **state)
{
	struct datafs_cache_key early = { 4, 1 };
	struct datafs_cache_left left;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fill_up(1, 29, 0);
	/* Its place is used again before older ones come free, but after the empty ones. */
	assert_int_equal(datafs_cache_evict(w.c, &early, &left), 0);
	while (datafs_cache_leaving(w.c, &early) || stats().free_slots < 4)
		sleep_ms(1);
	fill_up(40, 4, 0);
	for (uint64_t ino = 50; ino < 60; ino++) {
		while (stats().free_slots < LOW_WATER)
			sleep_ms(1);
		fill_up(ino, 1, 0);
		for (uint64_t new = 40; new < 44; new++)
			assert_true(datafs_cache_has(w.c, &(struct datafs_cache_key){ new, 1 },
						     0, 64 * KIB));
	}
}

static void revocation_is_repeated(void **state)
{
	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	w.revoke_error = -ENOBUFS;
	fill_up(1, 32, 1);
	sleep_ms(20);
	assert_int_equal(stats().free_slots, 0);
	assert_int_equal(w.ncookies, 0);
	w.revoke_error = 0;
	pump_start();
	fill_up(100, 8, 1); /* waits for the second try */
	pump_end();
}

static void *get_late(void *arg)
{
	struct source s = source(1000, 4 * MIB);
	struct datafs_cache_want want = want_of(&s, 0, 64 * KIB, 1);
	struct datafs_cache_answer a;

	*(int *)arg = datafs_cache_get(w.c, &want, &a);
	return NULL;
}

/* The kernel's answers are not read any more: nobody waits for them. */
static void stopped(void **state)
{
	struct source s = source(1, 4 * MIB);
	int ret[2] = { 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fill_up(1, 32, 1);
	assert_int_equal(pthread_create(&thread, NULL, get_late, &ret[0]), 0);
	for (int i = 0; i < 1000 && !w.ncookies; i++)
		sleep_ms(5);
	datafs_cache_stop(w.c);
	pthread_join(thread, NULL);
	assert_int_equal(ret[0], -ESHUTDOWN);
	get_late(&ret[1]);
	assert_int_equal(ret[1], -ESHUTDOWN);
	answer_revokes();
	/* What is there is there, or may have been a victim. */
	if (datafs_cache_has(w.c, &s.key, 0, 64 * KIB))
		get(&s, 0, 64 * KIB, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(packing),
		CACHE_TEST(eviction_waits_for_the_kernel),
		CACHE_TEST(victims),
		CACHE_TEST(newest_goes_last),
		CACHE_TEST(revocation_is_repeated),
		CACHE_TEST(stopped),
	};

	return cmocka_run_group_tests_name("cache_evict", tests, NULL, NULL);
}
