// SPDX-License-Identifier: Apache-2.0
/* A disk that is damaged, full, failing, or not to be had. */
#define _GNU_SOURCE
#include "cache_fixture.h"

#include <sys/resource.h>
#include <unistd.h>

#include "iobuf_wrap.h"

/* In front of what slabs are written with (the linker's --wrap). */
static atomic_int write_error;

int __wrap_datafs_iobuf_rw(struct datafs_iobuf *b, int fd, uint64_t off,
			   uint32_t len, bool write)
{
	if (write && write_error)
		return -write_error;
	return __real_datafs_iobuf_rw(b, fd, off, len, write);
}

static void damaged_slab(void **state)
{
	struct source s = source(8, 8 * MIB);
	struct datafs_cache_want want = want_of(&s, 5 * MIB, 64 * KIB, 1);
	struct datafs_cache_answer a;
	struct datafs_extent was;
	char *junk = aligned_alloc(4096, G);

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 8 * MIB, 0, 2);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	was = a.ext[0];
	datafs_cache_put(w.c, &a);
	memset(junk, 0x5a, G);
	assert_int_equal(pwrite(w.fds[was.backing_id], junk, G,
				was.backing_off + 2 * G), G);
	free(junk);
	/* a granule that is right on the disk is only counted */
	datafs_cache_bad(w.c, &s.key, 5 * MIB);
	assert_int_equal(stats().bad_granules, 1);
	assert_true(datafs_cache_has(w.c, &s.key, 0, 8 * MIB));
	datafs_cache_bad(w.c, &s.key, 5 * MIB + 2 * G);
	assert_int_equal(stats().bad_granules, 2);
	assert_false(datafs_cache_has(w.c, &s.key, 5 * MIB + 2 * G, G));
	datafs_cache_bad(w.c, &s.key, 5 * MIB + 2 * G);
	datafs_cache_bad(w.c, &s.key, 1ull << 60);
	assert_int_equal(stats().bad_granules, 2);
	/* the record went too */
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_false(datafs_cache_has(w.c, &s.key, 5 * MIB + 2 * G, G));
	s.bytes = 0;
	assert_int_equal(get(&s, 5 * MIB, 64 * KIB, 0, 1), 64 * KIB);
	assert_int_equal(s.bytes, G);
	/* in its old place: extents given before are right again */
	assert_true(extent_is_right(&s.key, s.size, &was, NULL));
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_true(datafs_cache_has(w.c, &s.key, 0, 8 * MIB));
}

static void no_room_on_disk(void **state)
{
	(void)state;
	/* not even one slab */
	limit_files(32 * MIB);
	assert_int_equal(cache_up(256 * MIB), -EFBIG);
	limit_files(0);
	/* one, and no more: it goes on with what there is */
	assert_int_equal(cache_up(256 * MIB), 0);
	limit_files(32 * MIB);
	pump_start();
	fill_up(1, 7, 1);
	limit_files(0);
	pump_end();
	assert_true(stats().slots == 16 || stats().slots == 32);
}

/* Each slab is an open file; sources, the index and clients need some too. */
static void few_files(void **state)
{
	struct rlimit was, rl;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	rl = was;
	rl.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(cache_up(200 * 64 * MIB), 0);
	assert_int_equal(stats().size, 50 * 64 * MIB);
	cache_down();
	rl.rlim_cur = 1024;
	if (rl.rlim_max >= rl.rlim_cur) {
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
		assert_int_equal(cache_up(3200 * 64 * MIB), 0);
		assert_int_equal(stats().size, 512 * 64 * MIB);
		cache_down();
		assert_int_equal(cache_up(512 * 64 * MIB), 0);
		assert_int_equal(stats().size, 512 * 64 * MIB);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void device_errors(void **state)
{
	static const int errors[] = { EIO, EROFS, EUCLEAN, ENODEV };
	struct source s = source(1, 8 * MIB);
	struct datafs_cache_want want = want_of(&s, 0, G, 1);
	struct datafs_cache_answer a;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fill_up(100, 1, 1);
	wait_for_slabs();
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		uint64_t slots = stats().slots;

		write_error = errors[e];
		assert_int_equal(datafs_cache_get(w.c, &want, &a), -EIO);
		for (int i = 0; i < 500 && stats().slots == slots; i++)
			sleep_ms(10);
		write_error = 0;
		/* what failed is never used again, other places are */
		assert_true(stats().slots < slots);
	}
	assert_int_equal(get(&s, 0, 8 * MIB, 0, 1), 8 * MIB);
	fill_up(100, 1, 1);
}

/* The device did not fail: what is told is told, and all is as it was. */
static void passing_errors(void **state)
{
	static const int errors[] = { ENOSPC, EDQUOT, ENOMEM, EAGAIN, EFBIG };
	struct source s = source(1, 8 * MIB), small = source(2, 100 * KIB);
	struct datafs_cache_want want = want_of(&s, 64 * KIB, G, 1);
	struct datafs_cache_want more = want_of(&small, 64 * KIB, G, 1);
	struct datafs_cache_answer a;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	get(&small, 0, G, 0, 1);
	wait_for_slabs();
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		write_error = errors[e];
		assert_int_equal(datafs_cache_get(w.c, &want, &a), -errors[e]);
		assert_int_equal(datafs_cache_get(w.c, &more, &a), -errors[e]);
		write_error = 0;
		assert_true(datafs_cache_has(w.c, &s.key, 0, 64 * KIB));
		assert_true(datafs_cache_has(w.c, &small.key, 0, 64 * KIB));
	}
	sleep_ms(50);
	assert_int_equal(stats().slots, 32);
	assert_int_equal(stats().evicted_slots, 0);
	assert_int_equal(get(&s, 0, 8 * MIB, 0, 1), 8 * MIB);
	assert_int_equal(get(&small, 0, 25 * G, 0, 1), 25 * G);
}

static void bad_places(void **state)
{
	struct datafs_cache *other = NULL;

	(void)state;
	assert_int_equal(cache_up(127 * MIB), -EINVAL);
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(datafs_cache_open(&w.cfg, &other), -EBUSY);
	cache_down();
	w.cfg.dir = "/nonexistent/cache";
	assert_int_equal(datafs_cache_open(&w.cfg, &other), -ENOENT);
	w.cfg.dir = "/proc/self";
	assert_true(datafs_cache_open(&w.cfg, &other) < 0);
	assert_null(other);
}

static int setup(void **state)
{
	write_error = 0;
	return cache_setup(state);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, cache_teardown)
	const struct CMUnitTest tests[] = {
		T(damaged_slab),
		T(no_room_on_disk),
		T(few_files),
		T(device_errors),
		T(passing_errors),
		T(bad_places),
	};

	return cmocka_run_group_tests_name("cache_disk", tests, NULL, NULL);
}
