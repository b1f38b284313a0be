// SPDX-License-Identifier: Apache-2.0
/* What of a content is there, and one content's eviction on request. */
#define _GNU_SOURCE
#include "cache_fixture.h"

#include <time.h>

static bool next_is(const struct source *s, uint64_t *at, uint64_t off, uint64_t len)
{
	struct datafs_extent run;

	if (!datafs_cache_next(w.c, &s->key, *at, s->size, &run))
		return false;
	*at = run.off + run.len;
	return run.off == off && run.len == len &&
	       extent_is_right(&s->key, s->size, &run, NULL);
}

static void runs(void **state)
{
	struct source s = source(1, 10 * MIB + 100), none = source(2, 10 * MIB);
	struct datafs_extent run;
	uint64_t at = 0;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(datafs_cache_bytes(w.c, &s.key, s.size), 0);
	assert_false(datafs_cache_next(w.c, &s.key, 0, s.size, &run));
	/* A page, two on both sides of a chunk's border, and the end, which is no granule. */
	get(&s, 64 * KIB, 64 * KIB, 0, 1);
	get(&s, 4 * MIB - 64 * KIB, 128 * KIB, 0, 1);
	get(&s, 10 * MIB, G, 0, 1);
	assert_int_equal(datafs_cache_bytes(w.c, &s.key, s.size), 3 * 64 * KIB + 100);
	assert_int_equal(datafs_cache_bytes(w.c, &none.key, none.size), 0);
	assert_true(next_is(&s, &at, 64 * KIB, 64 * KIB));
	assert_true(next_is(&s, &at, 4 * MIB - 64 * KIB, 64 * KIB));
	assert_true(next_is(&s, &at, 4 * MIB, 64 * KIB));
	assert_true(next_is(&s, &at, 10 * MIB, G));
	assert_false(datafs_cache_next(w.c, &s.key, at, s.size, &run));
	/* Begun in the middle of one, and ended before one. */
	at = 64 * KIB + G;
	assert_true(next_is(&s, &at, 64 * KIB + G, 60 * KIB));
	assert_false(datafs_cache_next(w.c, &s.key, at, 4 * MIB - 64 * KIB, &run));
	/* Behind more chunks than are looked for in one go. */
	s = source(3, 5000 * 4 * MIB);
	get(&s, 4999 * 4 * MIB, 64 * KIB, 0, 1);
	at = 0;
	assert_true(next_is(&s, &at, 4999 * 4 * MIB, 64 * KIB));
	assert_int_equal(w.wrong, 0);
}

static struct datafs_cache_left evict(const struct source *s)
{
	struct datafs_cache_left left;

	assert_int_equal(datafs_cache_evict(w.c, &s->key, &left), 0);
	return left;
}

static void gone(const struct source *s)
{
	while (datafs_cache_leaving(w.c, &s->key)) {
		answer_revokes();
		sleep_ms(1);
	}
}

static void wait_revokes(uint32_t n)
{
	while (w.ncookies < n)
		sleep_ms(1);
	assert_int_equal(w.ncookies, n);
}

static uint64_t taken(void)
{
	struct datafs_cache_stats st = stats();

	return st.slots - st.free_slots;
}

static void alone(void **state)
{
	struct source s = source(1, 8 * MIB), other = source(2, 4 * MIB);
	struct datafs_cache_left left;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 8 * MIB, 0, 1);
	get(&s, 0, 8 * MIB, 0, 2);
	get(&other, 0, 4 * MIB, 0, 1);
	assert_int_equal(s.bytes, 8 * MIB);
	left = evict(&s);
	assert_int_equal(left.staying, 0);
	assert_int_equal(left.leaving, 8 * MIB);
	/* Not found, but not free either before the kernel has let go of it. */
	assert_int_equal(datafs_cache_bytes(w.c, &s.key, s.size), 0);
	assert_false(datafs_cache_has(w.c, &s.key, 0, G));
	wait_revokes(2);
	assert_int_equal(taken(), 3);
	left = evict(&s);
	assert_int_equal(left.leaving, 8 * MIB);
	assert_int_equal(w.ncookies, 2);
	gone(&s);
	while (taken() != 1)
		sleep_ms(1);
	assert_int_equal(stats().used, 4 * MIB);
	assert_int_equal(w.nheld, 1);
	/* Fetched again, each byte once; the other was not touched. */
	get(&s, 0, 8 * MIB, 0, 1);
	assert_int_equal(s.bytes, 16 * MIB);
	get(&other, 0, 4 * MIB, 0, 1);
	assert_int_equal(other.bytes, 4 * MIB);
	assert_int_equal(w.wrong, 0);
}

static void packed(void **state)
{
	struct source s[50];
	struct datafs_cache_left left;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (int i = 0; i < 50; i++) {
		s[i] = source(i + 1, 5000);
		get(&s[i], 0, 2 * G, 0, 1);
	}
	for (int i = 0; i < 50; i += 2) {
		left = evict(&s[i]);
		assert_int_equal(left.leaving, 2 * G);
	}
	for (int i = 0; i < 50; i += 2)
		gone(&s[i]);
	assert_int_equal(stats().used, 25 * 2 * G);
	/* It stays so over a restart, and the neighbours are still right. */
	for (int again = 0; again < 2; again++) {
		for (int i = 0; i < 50; i++)
			assert_int_equal(datafs_cache_bytes(w.c, &s[i].key, s[i].size),
					 i % 2 ? 5000 : 0);
		if (again)
			break;
		cache_down();
		w.nheld = 0;
		assert_int_equal(cache_up(128 * MIB), 0);
	}
	for (int i = 0; i < 50; i++) {
		get(&s[i], 0, 2 * G, 0, 1);
		assert_int_equal(s[i].bytes, i % 2 ? 5000 : 10000);
	}
	assert_int_equal(w.wrong, 0);
}

static void in_use(void **state)
{
	struct source s = source(1, 8 * MIB);
	struct datafs_cache_want want;
	struct datafs_cache_answer a;
	struct datafs_cache_left left;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 8 * MIB, 0, 0);
	want = want_of(&s, 0, 64 * KIB, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	left = evict(&s);
	assert_int_equal(left.staying, 4 * MIB);
	assert_int_equal(datafs_cache_bytes(w.c, &s.key, s.size), 4 * MIB);
	check_answer(&s, &a, 0);
	/* Handed to nobody: the kernel is not asked for the other one. */
	gone(&s);
	assert_int_equal(stats().revokes, 0);
	datafs_cache_put(w.c, &a);
	left = evict(&s);
	assert_int_equal(left.staying, 0);
	assert_int_equal(left.leaving, 4 * MIB);
	gone(&s);
	assert_int_equal(stats().used, 0);
	assert_int_equal(stats().revokes, 1);
	assert_int_equal(w.wrong, 0);
}

/* While the cache is too small for all of them, and the kernel slow. */
static void mixed(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 10) : (unsigned int)time(NULL);
	struct source s[60];
	uint64_t sum = 0;

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	srand(seed);
	assert_int_equal(cache_up(128 * MIB), 0);
	for (int i = 0; i < 60; i++)
		s[i] = source(i + 1, 1 + rand() % (i % 3 ? 60000 : 6 * MIB));
	pump_start();
	for (int n = 0; n < 3000; n++) {
		struct source *f = &s[rand() % 60];
		uint64_t pages = (f->size + 64 * KIB - 1) / (64 * KIB);

		if (rand() % 4)
			get(f, rand() % pages * 64 * KIB, 64 * KIB, 0, 1 + rand() % 3);
		else
			evict(f);
	}
	/* only so many are leaving at one time */
	for (int i = 0; i < 60; i += 2)
		while (evict(&s[i]).staying)
			sleep_ms(1);
	for (int i = 0; i < 60; i++)
		while (datafs_cache_leaving(w.c, &s[i].key))
			sleep_ms(1);
	pump_end();
	for (int i = 0; i < 60; i++) {
		uint64_t bytes = datafs_cache_bytes(w.c, &s[i].key, s[i].size);

		if (!(i % 2))
			assert_int_equal(bytes, 0);
		sum += (bytes + G - 1) / G * G;
	}
	assert_true(sum > 0);
	assert_int_equal(w.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(runs),
		CACHE_TEST(alone),
		CACHE_TEST(packed),
		CACHE_TEST(in_use),
		CACHE_TEST(mixed),
	};

	return cmocka_run_group_tests_name("cache_free", tests, NULL, NULL);
}
