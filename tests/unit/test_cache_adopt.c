// SPDX-License-Identifier: Apache-2.0
/*
 * A cache that follows another, whose extents the kernel (a double, which only
 * notes what it is told) still holds.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache.h"
#include "tmpdir.h"

#define MIB	(1ull << 20)
#define CHUNK	(4 * MIB)
#define SLOTS	32		/* of a cache of 128 MiB */
#define MOUNT	7

static struct {
	char dir[4096];
	struct datafs_cache *c;
	pthread_mutex_t lock;		/* what follows */
	int fds[4];
	struct datafs_range asked[200];	/* to forget */
	uint64_t cookies[200];
	unsigned int nasked;
} w;

static int backing_add(void *arg, int fd, uint32_t id)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	w.fds[id] = fd;
	pthread_mutex_unlock(&w.lock);
	return 0;
}

static int ask_to_forget(void *arg, uint64_t cookie,
			 const struct datafs_range *ranges, uint32_t n)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	for (uint32_t i = 0; i < n && w.nasked < 200; i++) {
		w.cookies[w.nasked] = cookie;
		w.asked[w.nasked++] = ranges[i];
	}
	pthread_mutex_unlock(&w.lock);
	return 0;
}

/* Every byte of a file tells whose it is. */
static int fetch(void *arg, uint64_t off, void *buf, uint32_t len)
{
	(void)off;
	memset(buf, *(uint64_t *)arg & 0xff, len);
	return 0;
}

static void open_cache(void)
{
	struct datafs_cache_config cfg = {
		.dir = w.dir, .size = 128 * MIB, .backing_add = backing_add,
		.revoke = ask_to_forget,
	};

	assert_int_equal(datafs_cache_open(&cfg, &w.c), 0);
}

/* One chunk of a file; its place. */
static int get(uint64_t ino, uint32_t mount, struct datafs_extent *ext)
{
	struct datafs_cache_want want = {
		.key = { ino, 1 }, .size = CHUNK, .page_size = 1 << 20,
		.len = CHUNK, .mount_id = mount, .fetch = fetch, .arg = &ino,
	};
	struct datafs_cache_answer a;
	int err = datafs_cache_get(w.c, &want, &a);

	if (!err && mount)
		*ext = a.ext[0];
	if (!err)
		datafs_cache_put(w.c, &a);
	return err;
}

static bool intact(uint64_t ino, const struct datafs_extent *ext)
{
	static char buf[4096] __attribute__((aligned(4096)));

	for (uint64_t at = 0; at < ext->len; at += sizeof(buf)) {
		assert_int_equal(pread(w.fds[ext->backing_id], buf, sizeof(buf),
				       ext->backing_off + at), sizeof(buf));
		for (size_t i = 0; i < sizeof(buf); i += 512)
			if ((uint8_t)buf[i] != (ino & 0xff))
				return false;
	}
	return true;
}

static struct datafs_held held_of(uint64_t ino, const struct datafs_extent *ext)
{
	return (struct datafs_held) {
		.ino = ino, .content = 1, .off = ext->off, .len = ext->len,
		.backing_off = ext->backing_off, .backing_id = ext->backing_id,
		.mount_id = MOUNT,
	};
}

static unsigned int asked_for(uint64_t ino)
{
	unsigned int n = 0;

	pthread_mutex_lock(&w.lock);
	for (unsigned int i = 0; i < w.nasked; i++)
		n += w.asked[i].ino == ino && w.asked[i].mount_id == MOUNT &&
		     !w.asked[i].off && w.asked[i].len == CHUNK;
	pthread_mutex_unlock(&w.lock);
	return n;
}

static void answer_all_but(uint64_t ino)
{
	unsigned int i;

	pthread_mutex_lock(&w.lock);
	for (i = 0; i < w.nasked; i++) {
		uint64_t cookie = w.cookies[i];

		if (!cookie || w.asked[i].ino == ino)
			continue;
		w.cookies[i] = 0;
		pthread_mutex_unlock(&w.lock);
		datafs_cache_revoked(w.c, cookie);
		pthread_mutex_lock(&w.lock);
	}
	pthread_mutex_unlock(&w.lock);
}

/* Writes more than the cache holds; only @ino's place is not to be had. */
static void fill(uint64_t ino)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	for (uint64_t other = 1000; other < 1000 + 3 * SLOTS; other++) {
		struct datafs_cache_stats st;

		assert_int_equal(get(other, 0, NULL), 0);
		for (int i = 0; i < 5000; i++) {
			answer_all_but(ino);
			datafs_cache_get_stats(w.c, &st);
			if (st.free_slots)
				break;
			nanosleep(&ms, NULL);
		}
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	pthread_mutex_init(&w.lock, NULL);
	return tmpdir_make(w.dir, sizeof(w.dir), "adopt");
}

static int teardown(void **state)
{
	(void)state;
	datafs_cache_close(w.c);
	w.c = NULL;
	return tmpdir_remove(w.dir);
}

/* A cache that has handed @ino out ends; its successor is open, not started. */
static void succeed(uint64_t ino, struct datafs_extent *ext)
{
	open_cache();
	assert_int_equal(datafs_cache_start(w.c), 0);
	assert_int_equal(get(ino, MOUNT, ext), 0);
	datafs_cache_close(w.c);
	open_cache();
}

/* What is known is revoked before its place is used again. */
static void test_known(void **state)
{
	struct datafs_cache_stats st;
	struct datafs_extent ext;
	struct datafs_held held;

	(void)state;
	succeed(5, &ext);
	held = held_of(5, &ext);
	/* part of it, and told twice: once is enough */
	held.len = 8192;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	held.flags = DATAFS_HELD_DYING;
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	datafs_cache_get_stats(w.c, &st);
	assert_int_equal(st.adopted, 2);
	assert_int_equal(st.strays, 0);
	assert_int_equal(datafs_cache_start(w.c), 0);
	assert_true(datafs_cache_has(w.c, &(struct datafs_cache_key){ 5, 1 }, 0, CHUNK));
	fill(5);
	assert_int_equal(asked_for(5), 1);
	assert_true(intact(5, &ext));
}

/* The kernel holds something that the index does not know. */
static void test_stray(void **state)
{
	struct datafs_cache_stats st;
	struct datafs_extent ext;
	struct datafs_held held;

	(void)state;
	succeed(5, &ext);
	/* another file is said to be where this one lies */
	held = held_of(6, &ext);
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	datafs_cache_get_stats(w.c, &st);
	assert_int_equal(st.strays, 1);
	assert_false(datafs_cache_has(w.c, &(struct datafs_cache_key){ 5, 1 }, 0, CHUNK));
	assert_int_equal(datafs_cache_start(w.c), 0);
	fill(6);
	assert_int_equal(asked_for(6), 1);
	assert_true(intact(5, &ext));
}

/* In a file that is no slab any more: revoked, and not waited for. */
static void test_other(void **state)
{
	struct datafs_held held = {
		.ino = 5, .content = 1, .len = CHUNK, .backing_id = 1,
		.mount_id = MOUNT, .flags = DATAFS_HELD_OTHER,
	};

	(void)state;
	open_cache();
	assert_int_equal(datafs_cache_adopt(w.c, &held), 0);
	assert_int_equal(asked_for(5), 1);
	assert_int_equal(w.cookies[0], 0);
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
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_known), T(test_stray), T(test_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
