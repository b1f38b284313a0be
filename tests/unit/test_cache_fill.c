// SPDX-License-Identifier: Apache-2.0
/* What is fetched, for whom, how often, and what is answered. */
#define _GNU_SOURCE
#include "cache_fixture.h"

static void fill_and_read_back(void **state)
{
	static const uint64_t sizes[] = { 1, 8, 4095, 4096, 4097, 100000,
					  1 * MIB, 1 * MIB + 1, 4 * MIB,
					  4 * MIB + 5, 13 * MIB - 3 };

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct source s = source(100 + i, sizes[i]);
		uint64_t up = (sizes[i] + G - 1) / G * G;

		assert_int_equal(get(&s, 0, up, 0, 1), up);
		assert_int_equal(s.bytes, sizes[i]);
		assert_int_equal(s.calls, (sizes[i] + 4 * MIB - 1) / (4 * MIB));
		/* again, and more than there is: no fetch */
		assert_int_equal(get(&s, 0, up + 7 * G, 1ull << 40, 1), up);
		assert_int_equal(s.bytes, sizes[i]);
		assert_true(datafs_cache_has(w.c, &s.key, 0, sizes[i]));
		assert_false(datafs_cache_has(w.c, &s.key, 0, up + 1));
	}
	assert_false(datafs_cache_has(w.c, &(struct datafs_cache_key){ 1, 1 },
				      0, 1));
}

static void pages(void **state)
{
	struct source s = source(5, 1 << 30);
	struct datafs_cache_want want;
	struct datafs_cache_answer a;
	struct datafs_cache_stats st;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	/* a granule fetches its page, and answers itself */
	assert_int_equal(get(&s, 64 * KIB + G, G, 0, 1), G);
	assert_int_equal(s.bytes, 64 * KIB);
	assert_int_equal(get(&s, 64 * KIB, G, 4 * MIB, 1), 64 * KIB);
	assert_int_equal(s.calls, 1);
	assert_false(datafs_cache_has(w.c, &s.key, 60 * KIB, 8 * KIB));
	assert_true(datafs_cache_has(w.c, &s.key, 64 * KIB, 64 * KIB));
	/* around what is there: one call before it, one behind */
	assert_int_equal(get(&s, 0, 1 * MIB, 0, 1), 1 * MIB);
	assert_int_equal(s.calls, 3);
	assert_int_equal(s.bytes, 1 * MIB);
	/* pages of another mount's size */
	want = want_of(&s, 2 * MIB + 12 * KIB, G, 2);
	want.page_size = 4096;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	datafs_cache_put(w.c, &a);
	assert_int_equal(s.bytes, 1 * MIB + 4096);
	assert_int_equal(get(&s, 2 * MIB + 12 * KIB, 2 * G, 0, 1), 2 * G);
	assert_int_equal(s.bytes, 1 * MIB + 64 * KIB);
	st = stats();
	assert_int_equal(st.fetched_bytes, s.bytes);
	assert_int_equal(st.fetches, s.calls);
	assert_int_equal(st.used, s.bytes);
	/* over chunk borders, more than one */
	assert_int_equal(get(&s, 3 * MIB, 10 * MIB, 0, 1), 10 * MIB);
	/* only fetching hands nothing out */
	get(&s, 16 * MIB, 4 * MIB, 0, 0);
	assert_int_equal(get(&s, 12 * MIB, G, 64 * MIB, 1), 1 * MIB);
	/* what is wrong is said */
	want = want_of(&s, 1, G, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want = want_of(&s, 1 << 30, G, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want = want_of(&s, 0, 0, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want = want_of(&s, 0, G, 1);
	want.page_size = 3 * 4096;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want.page_size = 8 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
}

/* Only what is there: without a size, nothing made, nothing fetched. */
static void cached_only(void **state)
{
	struct source s = source(5, 9 * MIB + 5), other = source(6, 1);
	struct datafs_cache_want want = want_of(&s, 64 * KIB, 128 * KIB, 2);
	struct datafs_cache_answer a;
	uint64_t chunks;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 5 * MIB, 0, 1);
	get(&s, 9 * MIB, G, 0, 1);
	chunks = stats().chunks;
	want.fetch = NULL;
	want.size = 0;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	assert_int_equal(answer_len(&a), 128 * KIB);
	datafs_cache_put(w.c, &a);
	/* over a chunk's end, as far as it goes; up to the content's end */
	want.off = 3 * MIB;
	want.len = 4 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	assert_int_equal(answer_len(&a), 2 * MIB);
	datafs_cache_put(w.c, &a);
	want.off = 9 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	assert_int_equal(answer_len(&a), G);
	datafs_cache_put(w.c, &a);
	/* a page that is not there, one behind the end, a chunk, a content */
	want.off = 6 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	want.off = 9 * MIB + G;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	want.off = 12 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	want.off = (1ull << 62) - 4 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want.off = 0;
	want.key = other.key;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	assert_int_equal(stats().chunks, chunks);
}

struct runner {
	pthread_t t;
	struct source *s;
	pthread_barrier_t *b;
	uint32_t mount;
	int err;
};

static void *run_get(void *arg)
{
	struct runner *r = arg;
	struct datafs_cache_want want = want_of(r->s, 64 * KIB, G, r->mount);
	struct datafs_cache_answer a;

	pthread_barrier_wait(r->b);
	r->err = datafs_cache_get(w.c, &want, &a);
	if (!r->err && !extent_is_right(&r->s->key, r->s->size, a.ext, a.crc))
		r->err = -EBADMSG;
	datafs_cache_put(w.c, &a);
	return NULL;
}

static void at_once(struct source *s, int err)
{
	struct runner r[8];
	pthread_barrier_t b;

	pthread_barrier_init(&b, NULL, 8);
	for (int i = 0; i < 8; i++) {
		r[i] = (struct runner){ .s = s, .b = &b, .mount = i + 1 };
		assert_int_equal(pthread_create(&r[i].t, NULL, run_get, &r[i]),
				 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(r[i].t, NULL);
		assert_int_equal(r[i].err, err);
	}
	pthread_barrier_destroy(&b);
}

static void one_page_at_once(void **state)
{
	struct source s = source(9, 100 * MIB), bad = source(10, 100 * MIB);
	uint64_t free_slots;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	s.sleep_ms = bad.sleep_ms = 100;
	at_once(&s, 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.bytes, 64 * KIB);
	assert_int_equal(stats().hits, 7);
	assert_int_equal(stats().misses, 1);
	/* a failure is shared by those who wait, and not remembered */
	bad.error = -ESTALE;
	at_once(&bad, -ESTALE);
	assert_int_equal(bad.calls, 1);
	bad.error = 0;
	at_once(&bad, 0);
	assert_int_equal(bad.calls, 2);
	/* nothing of a failed content stays behind */
	bad.key.ino = 11;
	bad.error = -EIO;
	free_slots = stats().free_slots;
	at_once(&bad, -EIO);
	for (int i = 0; i < 100 && stats().free_slots < free_slots; i++)
		sleep_ms(10);
	assert_true(stats().free_slots >= free_slots);
	assert_int_equal(stats().chunks, 2);
}

static void partial(void **state)
{
	struct source s = source(9, 100 * MIB);
	struct datafs_cache_want want = want_of(&s, 0, 8 * MIB, 1);
	struct datafs_cache_answer a;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 1 * MIB, 0, 1);
	s.error = -ETIMEDOUT;
	/* what is there comes first, the error when nothing else is left */
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	assert_int_equal(answer_len(&a), 1 * MIB);
	datafs_cache_put(w.c, &a);
	want.off = 1 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ETIMEDOUT);
	assert_int_equal(a.count, 0);
	want.mount_id = 0;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(fill_and_read_back),
		CACHE_TEST(pages),
		CACHE_TEST(cached_only),
		CACHE_TEST(one_page_at_once),
		CACHE_TEST(partial),
	};

	return cmocka_run_group_tests_name("cache_fill", tests, NULL, NULL);
}
