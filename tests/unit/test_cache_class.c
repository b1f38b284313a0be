// SPDX-License-Identifier: Apache-2.0
/* What goes first: the classes of slots. */
#define _GNU_SOURCE
#include "cache_fixture.h"

#define NORMAL	DATAFS_CACHE_NORMAL
#define KEEP	DATAFS_CACHE_KEEP
#define ONCE	DATAFS_CACHE_ONCE
#define AS_IS	DATAFS_CACHE_AS_IS

/* Of 32 slots, as the keeper counts it; and what cache.h says of these. */
#define SLOTS		32
#define LOW_WATER	2
#define ONCE_MAX	4
#define KEEP_MAX	24

static void want(uint64_t ino, uint64_t size, enum datafs_cache_class class)
{
	struct source s = source(ino, size);
	struct datafs_cache_want want = want_of(&s, 0, G, 0);
	struct datafs_cache_answer a;

	want.class = class;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	datafs_cache_put(w.c, &a);
}

/* Room is made after it, not at the next: so what goes follows from what is there. */
static void settle(void)
{
	while (stats().free_slots < LOW_WATER)
		sleep_ms(1);
}

/* A slot for each. */
static void fill(uint64_t first, int n, enum datafs_cache_class class)
{
	for (int i = 0; i < n; i++) {
		want(first + (uint64_t)i, 4 * MIB, class);
		settle();
	}
}

static int count(uint64_t first, int n)
{
	int res = 0;

	for (int i = 0; i < n; i++) {
		struct datafs_cache_key key = { first + (uint64_t)i, 1 };

		res += datafs_cache_has(w.c, &key, 0, G);
	}
	return res;
}

static bool has(uint64_t ino)
{
	return count(ino, 1);
}

static void assert_classes(unsigned int normal, unsigned int keep, unsigned int once)
{
	struct datafs_cache_stats st = stats();

	assert_int_equal(st.normal_slots, normal);
	assert_int_equal(st.keep_slots, keep);
	assert_int_equal(st.once_slots, once);
}

static void up(void)
{
	assert_int_equal(cache_up(128 * MIB), 0);
}

/* One pass over what is much larger than the cache takes an eighth of it. */
static void once_passes_by(void **state)
{
	(void)state;
	up();
	fill(1, 20, NORMAL);
	fill(1000, 200, ONCE);
	assert_int_equal(count(1, 20), 20);
	assert_classes(20, 0, 10);
	/* those that came first have gone first */
	assert_int_equal(count(1000, 190), 0);
	/* others take that room, down to an eighth */
	fill(50, 6, NORMAL);
	assert_int_equal(count(1, 20) + count(50, 6), 26);
	assert_classes(26, 0, ONCE_MAX);
	fill(60, 1, NORMAL);
	assert_int_equal(count(1, 20) + count(50, 6) + has(60), 26);
	assert_classes(26, 0, ONCE_MAX);
	/* ... which goes on to be what one pass has */
	fill(2000, 50, ONCE);
	assert_int_equal(count(1, 20) + count(50, 6) + has(60), 25 + 1);
	assert_int_equal(count(2046, 4), ONCE_MAX);
}

/* It goes in its order even if it is used over and over. */
static void once_has_no_second_chance(void **state)
{
	(void)state;
	up();
	fill(1, 20, NORMAL);
	fill(1000, 10, ONCE);
	for (int i = 0; i < 5; i++)
		want(1000, 4 * MIB, ONCE);
	fill(1010, 1, ONCE);
	assert_false(has(1000));
	assert_int_equal(count(1001, 10), 10);
}

static void keep_goes_last(void **state)
{
	(void)state;
	up();
	fill(1, 10, KEEP);
	fill(1000, 100, NORMAL);
	assert_int_equal(count(1, 10), 10);
	assert_classes(SLOTS - LOW_WATER - 10, 10, 0);
	fill(2000, 100, ONCE);
	assert_int_equal(count(1, 10), 10);
	assert_int_equal(count(1000, 100), SLOTS - LOW_WATER - 10 - ONCE_MAX);
	assert_classes(SLOTS - LOW_WATER - 10 - ONCE_MAX, 10, ONCE_MAX);
}

/* Beyond three quarters of the slots it goes first, what was kept longest at the front. */
static void keep_is_bounded(void **state)
{
	(void)state;
	up();
	fill(500, 6, NORMAL);
	fill(1, KEEP_MAX, KEEP);
	assert_int_equal(count(1, KEEP_MAX), KEEP_MAX);
	assert_int_equal(count(500, 6), 6);
	fill(100, 20, KEEP);
	assert_classes(6, KEEP_MAX, 0);
	assert_int_equal(count(500, 6), 6);
	assert_int_equal(count(100, 20), 20);
	assert_int_equal(count(1, KEEP_MAX), KEEP_MAX - 20);
	assert_int_equal(count(21, 4), 4);
}

/* If there is nothing else they go all the same, within what is kept of them. */
static void the_last_ones(void **state)
{
	struct datafs_cache_answer a[8];

	(void)state;
	up();
	for (uint32_t i = 0; i < 8; i++) {
		struct source s = source(500 + i, 4 * MIB);
		struct datafs_cache_want pinned = want_of(&s, 0, G, 1);

		assert_int_equal(datafs_cache_get(w.c, &pinned, &a[i]), 0);
	}
	/* all else is pinned */
	fill(1, 22, KEEP);
	fill(100, 2, KEEP);
	assert_classes(8, 22, 0);
	assert_int_equal(count(500, 8), 8);
	assert_int_equal(count(100, 2), 2);
	for (uint32_t i = 0; i < 8; i++)
		datafs_cache_put(w.c, &a[i]);
}

/* The class is that of the last want, and of a slot in use also if all is there. */
static void last_want_says(void **state)
{
	(void)state;
	up();
	fill(1, 5, NORMAL);
	for (uint64_t i = 1; i <= 3; i++)
		want(i, 4 * MIB, KEEP);
	assert_classes(2, 3, 0);
	want(4, 4 * MIB, ONCE);
	assert_classes(1, 3, 1);
	/* who does not know leaves it */
	for (uint64_t i = 1; i <= 5; i++)
		want(i, 4 * MIB, AS_IS);
	assert_classes(1, 3, 1);
	want(1, 4 * MIB, NORMAL);
	assert_classes(2, 2, 1);
	fill(1000, 60, NORMAL);
	assert_int_equal(count(1, 3), 2);
	assert_false(has(1));
	/* what nobody said anything of is normal */
	want(9, 4 * MIB, AS_IS);
	settle();
	assert_classes(27, 2, 1);
}

/* Small ones are packed with those of their class, so none takes another's with it. */
static void small_ones_do_not_mix(void **state)
{
	(void)state;
	up();
	for (uint64_t i = 0; i < 300; i++)
		want(1 + i, 10 * KIB, i % 3 ? i % 3 == 1 ? KEEP : ONCE : NORMAL);
	assert_classes(1, 1, 1);
	/* 100 of 3 granules are 300 of 1024 */
	for (uint64_t i = 0; i < 300; i++)
		want(1001 + i, 10 * KIB, KEEP);
	assert_classes(1, 2, 1);
	fill(5000, 60, NORMAL);
	for (uint64_t i = 1; i < 300; i += 3)
		assert_true(has(1 + i));
	assert_int_equal(count(1001, 300), 300);
}

/* As it was filled it is known again. */
static void after_a_restart(void **state)
{
	(void)state;
	up();
	fill(1, 5, KEEP);
	fill(100, 3, ONCE);
	fill(200, 2, NORMAL);
	/* which is not written */
	want(200, 4 * MIB, KEEP);
	assert_classes(1, 6, 3);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_classes(2, 5, 3);
	assert_int_equal(count(1, 5) + count(100, 3) + count(200, 2), 10);
	want(200, 4 * MIB, KEEP);
	assert_classes(1, 6, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(once_passes_by),
		CACHE_TEST(once_has_no_second_chance),
		CACHE_TEST(keep_goes_last),
		CACHE_TEST(keep_is_bounded),
		CACHE_TEST(the_last_ones),
		CACHE_TEST(last_want_says),
		CACHE_TEST(small_ones_do_not_mix),
		CACHE_TEST(after_a_restart),
	};

	return cmocka_run_group_tests_name("cache_class", tests, NULL, NULL);
}
