// SPDX-License-Identifier: Apache-2.0
/* Several threads do all there is to do, in any order. */
#define _GNU_SOURCE
#include "cache_fixture.h"

#include <time.h>

#include "base/log.h"

#define RANDOM_FILES 60

static struct source random_files[RANDOM_FILES];

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static int random_get(uint64_t *x, uint32_t mount)
{
	struct source *s = &random_files[rnd(x) % RANDOM_FILES];
	uint64_t granules = (s->size + G - 1) / G, off = rnd(x) % granules * G;
	struct datafs_cache_want want = want_of(s, off, 0, mount);
	struct datafs_cache_answer a;
	uint64_t pos = off, crcs = 0;
	int err;

	want.len = (1 + rnd(x) % 64) * G << (rnd(x) % 4 ? 0 : 5);
	want.max = rnd(x) % 3 ? 0 : 16 * MIB;
	want.page_size = 4096u << rnd(x) % 8;
	err = datafs_cache_get(w.c, &want, &a);
	if (err)
		return err;
	for (uint32_t i = 0; i < a.count; i++) {
		if (a.ext[i].off != pos ||
		    !extent_is_right(&s->key, s->size, &a.ext[i],
				     a.crc + crcs))
			err = -EBADMSG;
		pos += a.ext[i].len;
		crcs += a.ext[i].len / G;
	}
	if (mount)
		hold(s, mount, &a);
	datafs_cache_put(w.c, &a);
	return err;
}

struct walker {
	pthread_t t;
	uint64_t seed;
	int id, ops, err;
};

static void *walk(void *arg)
{
	struct walker *r = arg;

	for (int i = 0; i < r->ops && !r->err; i++) {
		struct source *s = &random_files[rnd(&r->seed) % RANDOM_FILES];
		uint64_t off = rnd(&r->seed) % s->size;

		switch (rnd(&r->seed) % 40) {
		case 0:
			datafs_cache_bad(w.c, &s->key, off / G * G);
			break;
		case 1:
			datafs_cache_drop(w.c, &s->key);
			break;
		case 2:
			datafs_cache_has(w.c, &s->key, off, 4 * MIB);
			break;
		default:
			r->err = random_get(&r->seed, r->id);
		}
	}
	return NULL;
}

static void random_operations(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	struct walker r[4];

	(void)state;
	datafs_log_set_level(LOG_ERR);
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < RANDOM_FILES; i++)
		random_files[i] = source(i + 1, 1 + rnd(&seed) %
			(i % 3 ? 600 * KIB : 20 * MIB));
	for (int round = 0; round < 3; round++) {
		assert_int_equal(cache_up(128 * MIB), 0);
		pump_start();
		for (int i = 0; i < 4; i++) {
			r[i] = (struct walker){ .id = i, .ops = 250,
						.seed = rnd(&seed) | 1 };
			pthread_create(&r[i].t, NULL, walk, &r[i]);
		}
		for (int i = 0; i < 4; i++) {
			pthread_join(r[i].t, NULL);
			assert_int_equal(r[i].err, 0);
		}
		pump_end();
		assert_int_equal(w.wrong, 0);
		assert_int_equal(stats().index_rebuilt, 0);
		cache_down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(random_operations),
	};

	return cmocka_run_group_tests_name("cache_random", tests, NULL, NULL);
}
