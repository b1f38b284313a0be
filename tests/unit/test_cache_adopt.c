// SPDX-License-Identifier: Apache-2.0
/* A cache that follows another, whose extents the kernel still holds. */
#define _GNU_SOURCE
#include "cache_fixture.h"

#define CHUNK	(4 * MIB)
#define SLOTS	32		/* of a cache of 128 MiB */
#define MOUNT	7
#define ASKED_MAX 200

/* What the kernel was asked to forget, and has not until it is told to. */
static struct {
	struct datafs_range range[ASKED_MAX];
	uint64_t cookie[ASKED_MAX];	/* 0: it has */
	unsigned int n;
} asked;

static int ask_to_forget(void *arg, uint64_t cookie,
			 const struct datafs_range *ranges, uint32_t n)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	for (uint32_t i = 0; i < n && asked.n < ASKED_MAX; i++) {
		asked.cookie[asked.n] = cookie;
		asked.range[asked.n++] = ranges[i];
	}
	pthread_mutex_unlock(&w.lock);
	return 0;
}

static unsigned int asked_for(uint64_t ino)
{
	unsigned int n = 0;

	pthread_mutex_lock(&w.lock);
	for (unsigned int i = 0; i < asked.n; i++) {
		const struct datafs_range *r = &asked.range[i];

		n += r->ino == ino && r->mount_id == MOUNT && !r->off &&
		     r->len == CHUNK;
	}
	pthread_mutex_unlock(&w.lock);
	return n;
}

static void answer_all_but(uint64_t ino)
{
	pthread_mutex_lock(&w.lock);
	for (unsigned int i = 0; i < asked.n; i++) {
		uint64_t cookie = asked.cookie[i];

		if (!cookie || asked.range[i].ino == ino)
			continue;
		asked.cookie[i] = 0;
		pthread_mutex_unlock(&w.lock);
		datafs_cache_revoked(w.c, cookie);
		pthread_mutex_lock(&w.lock);
	}
	pthread_mutex_unlock(&w.lock);
}

/* Writes more than the cache holds; only @ino's place is not to be had. */
static void fill(uint64_t ino)
{
	for (int i = 0; i < 3 * SLOTS; i++) {
		struct source other = source(1000 + i, CHUNK);

		get(&other, 0, CHUNK, 0, 0);
		for (int ms = 0; ms < 5000; ms++) {
			answer_all_but(ino);
			if (stats().free_slots)
				break;
			sleep_ms(1);
		}
	}
}

static int setup(void **state)
{
	int err = cache_setup(state);

	memset(&asked, 0, sizeof(asked));
	w.cfg.revoke = ask_to_forget;
	return err;
}

/* A cache that has handed @s out ends; its successor is open, not started. */
static struct datafs_held succeed(struct source *s)
{
	const struct datafs_extent *ext = &w.held[0].ext;
	struct datafs_held held;

	assert_int_equal(cache_up(SLOTS * CHUNK), 0);
	assert_int_equal(get(s, 0, CHUNK, 0, MOUNT), CHUNK);
	held = (struct datafs_held){
		.ino = s->key.ino, .content = s->key.content,
		.off = ext->off, .len = ext->len,
		.backing_off = ext->backing_off, .backing_id = ext->backing_id,
		.mount_id = MOUNT,
	};
	cache_down();
	assert_int_equal(cache_open(SLOTS * CHUNK), 0);
	return held;
}

static void assert_intact(const struct source *s, const struct datafs_held *held)
{
	struct datafs_extent ext = {
		.len = CHUNK, .backing_off = held->backing_off,
		.backing_id = held->backing_id,
	};

	assert_true(extent_is_right(&s->key, s->size, &ext, NULL));
}

/* What is known is revoked before its place is used again. */
static void test_known(void **state)
{
	struct source s = source(5, CHUNK);
	struct datafs_held held;

	(void)state;
	held = succeed(&s);
	/* part of it, and told twice: once is enough */
	held.len = 8192;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	held.flags = DATAFS_HELD_DYING;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	assert_int_equal(stats().adopted, 2);
	assert_int_equal(stats().strays, 0);
	assert_int_equal(datafs_cache_start(w.c), 0);
	assert_true(datafs_cache_has(w.c, &s.key, 0, CHUNK));
	fill(5);
	assert_int_equal(asked_for(5), 1);
	assert_intact(&s, &held);
}

/* The kernel holds something that the index does not know. */
static void test_stray(void **state)
{
	struct source s = source(5, CHUNK);
	struct datafs_held held;

	(void)state;
	held = succeed(&s);
	/* another file is said to be where this one lies */
	held.ino = 6;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	assert_int_equal(stats().strays, 1);
	assert_false(datafs_cache_has(w.c, &s.key, 0, CHUNK));
	assert_int_equal(datafs_cache_start(w.c), 0);
	fill(6);
	assert_int_equal(asked_for(6), 1);
	assert_intact(&s, &held);
}

/* In a file that is no slab any more: revoked, and not waited for. */
static void test_other(void **state)
{
	struct datafs_held held = {
		.ino = 5, .content = 1, .len = CHUNK, .backing_id = 1,
		.mount_id = MOUNT, .flags = DATAFS_HELD_OTHER,
	};

	(void)state;
	assert_int_equal(cache_open(SLOTS * CHUNK), 0);
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	assert_int_equal(asked_for(5), 1);
	assert_int_equal(asked.cookie[0], 0);
	held.flags = 0;
	held.backing_id = 999;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	held.backing_id = 1;
	held.backing_off = DATAFS_SLAB_SIZE - 4096;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	assert_int_equal(asked_for(5), 3);
	assert_int_equal(datafs_cache_start(w.c), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, cache_teardown)
	const struct CMUnitTest tests[] = {
		T(test_known), T(test_stray), T(test_other),
	};

	return cmocka_run_group_tests_name("cache_adopt", tests, NULL, NULL);
}
