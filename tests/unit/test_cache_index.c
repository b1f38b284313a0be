// SPDX-License-Identifier: Apache-2.0
/* What a cache knows after a restart, and what it must not believe. */
#define _GNU_SOURCE
#include "cache_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void restart_is_warm(void **state)
{
	struct source big = source(3, 9 * MIB + 77), page = source(4, 64 * MIB);
	unsigned int calls;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&big, 0, 9 * MIB + G, 0, 1);
	get(&page, 20 * MIB + 8 * KIB, G, 0, 1);
	for (int i = 0; i < 300; i++) {
		struct source s = source(1000 + i, 1 + i * 91 % 30000);

		get(&s, 0, (s.size + G - 1) / G * G, 0, 1);
	}
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 304);
	calls = big.calls + page.calls;
	get(&big, 0, 9 * MIB + G, 0, 1);
	get(&page, 20 * MIB, 64 * KIB, 0, 1);
	assert_int_equal(big.calls + page.calls, calls);
	for (int i = 0; i < 300; i++) {
		struct source s = source(1000 + i, 1 + i * 91 % 30000);

		get(&s, 0, (s.size + G - 1) / G * G, 0, 1);
		assert_int_equal(s.calls, 0);
	}
	assert_int_equal(stats().index_rebuilt, 0);
	assert_int_equal(stats().misses, 0);

	/* another namespace's inodes are other files */
	cache_down();
	w.cfg.namespace_id[3] ^= 1;
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 0);
	assert_int_equal(stats().index_rebuilt, 1);
	big.key.content = 2;
	get(&big, 0, 9 * MIB + G, 0, 1);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().index_rebuilt, 0);
	assert_true(datafs_cache_has(w.c, &big.key, 0, big.size));
}

/* Overwrites the middle of the index's files whose names contain @part. */
static int damage(const char *part)
{
	char path[5000];
	struct dirent *e;
	struct stat st;
	int n = 0, fd;
	DIR *d;

	snprintf(path, sizeof(path), "%s/index", w.dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, part))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		if (st.st_size > 16) {
			assert_int_equal(pwrite(fd, "\xde\xad\xbe\xef\x55", 5,
						st.st_size / 2), 5);
			n++;
		}
		close(fd);
	}
	closedir(d);
	return n;
}

static void damaged_index(void **state)
{
	static const char *const parts[] = { "MANIFEST", ".log", ".ldb",
					     "CURRENT" };

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct source s = source(50 + i, 8 * MIB);

		get(&s, 0, 8 * MIB, 0, 1);
		cache_down();
		/* at an open, LevelDB makes its log a table */
		if (!strcmp(parts[i], ".ldb")) {
			assert_int_equal(cache_up(128 * MIB), 0);
			cache_down();
		}
		if (!damage(parts[i])) {
			assert_string_equal(parts[i], "CURRENT");
			break;
		}
		assert_int_equal(cache_up(128 * MIB), 0);
		assert_int_equal(stats().index_rebuilt, 1);
		assert_int_equal(stats().chunks, 0);
		s.calls = 0;
		get(&s, 0, 8 * MIB, 0, 1);
		assert_int_equal(s.calls, 2);
	}
}

/* What cannot be opened just now is not damaged. */
static void no_files(void **state)
{
	struct source s = source(1, 4096);
	struct rlimit few, many;
	int fd, err;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	cache_down();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &many), 0);
	few = many;
	fd = open("/dev/null", O_RDONLY);
	for (int i = 0; i < 10; i++) {
		few.rlim_cur = fd + i;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		err = cache_up(128 * MIB);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
		if (err)
			assert_int_equal(cache_up(128 * MIB), 0);
		assert_int_equal(stats().index_rebuilt, 0);
		assert_int_equal(stats().chunks, 1);
		cache_down();
	}
	close(fd);
}

/* An index that cannot be written must not be believed at the next start. */
static void lost_index(void **state)
{
	struct source s = source(1, 4096);
	char *junk = aligned_alloc(4096, G), path[5000];

	(void)state;
	memset(junk, 0x77, G);
	snprintf(path, sizeof(path), "%s/index.lost", w.dir);
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	limit_files(8 * KIB); /* of the index's log; the slab's start is below */
	for (int i = 0; i < 500 && access(path, F_OK); i++) {
		assert_int_equal(pwrite(w.fds[1], junk, G, 0), G);
		datafs_cache_bad(w.c, &s.key, 0);
		get(&s, 0, G, 0, 1);
	}
	limit_files(0);
	free(junk);
	assert_int_equal(access(path, F_OK), 0);
	get(&s, 0, G, 0, 1);
	fill_up(100, 10, 1);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 0);
	assert_int_equal(stats().index_rebuilt, 1);
	assert_int_equal(access(path, F_OK), -1);
	get(&s, 0, G, 0, 1);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 1);
}

/* Gets until one fails. How many did not. */
static int get_until_error(uint64_t first, int n, int *err)
{
	struct datafs_cache_answer a;

	*err = 0;
	for (int i = 0; i < n; i++) {
		struct source s = source(first + i, 4 * MIB);
		struct datafs_cache_want want = want_of(&s, 0, 4 * MIB, 0);

		*err = datafs_cache_get(w.c, &want, &a);
		if (*err)
			return i;
	}
	return n;
}

static void lost_path(char *path, size_t len, const char *name)
{
	snprintf(path, len, "%s/index.lost%s", w.dir, name);
}

/*
 * The index cannot be written any more, and not be moved either. @s is one
 * granule in the first slot, which is made full and the oldest.
 */
static void stick_index(struct source *s)
{
	char *junk = aligned_alloc(4096, G), path[5000];
	int err, fd;

	datafs_log_set_level(LOG_ERR);
	memset(junk, 0x77, G);
	get(s, 0, G, 0, 1); /* handed out: it keeps its place */
	get_until_error(100, 1, &err);
	wait_for_slabs();
	lost_path(path, sizeof(path), "");
	assert_int_equal(mkdir(path, 0700), 0);
	lost_path(path, sizeof(path), "/x");
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	limit_files(8 * KIB); /* of the index's log; the slab's start is below */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(pwrite(w.fds[1], junk, G, 0), G);
		datafs_cache_bad(w.c, &s->key, 0);
		get(s, 0, G, 0, 1);
	}
	limit_files(0);
	free(junk);
	datafs_cache_forget_mount(w.c, 1);
	w.nheld = 0;
	for (int i = 0; i < 4; i++) {
		struct source mib = source(50 + i, 1 * MIB);

		get(&mib, 0, 1 * MIB, 0, 0);
	}
}

static void unstick_index(void)
{
	char path[5000];

	lost_path(path, sizeof(path), "/x");
	assert_int_equal(unlink(path), 0);
	lost_path(path, sizeof(path), "");
	assert_int_equal(rmdir(path), 0);
}

/* It will be believed at the next start: what it names stays as it is. */
static void stuck_index(void **state)
{
	struct source s = source(1, 4096);
	uint64_t slots;
	int n, err;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	stick_index(&s);
	n = get_until_error(200, 40, &err);
	slots = stats().slots;
	cache_down();
	unstick_index();
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	/* without room for more, and without losing what was there */
	assert_int_equal(err, -EIO);
	assert_true(n >= 20);
	assert_int_equal(slots, 32);
}

/* Once it can be moved, all is as with one that could be moved at once. */
static void stuck_index_is_freed(void **state)
{
	struct source s = source(1, 4096);
	int err;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	stick_index(&s);
	get_until_error(200, 40, &err);
	assert_int_equal(err, -EIO);
	unstick_index();
	for (int i = 0; i < 500 && err; i++) {
		sleep_ms(10);
		get_until_error(300, 40, &err);
	}
	assert_int_equal(err, 0);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().index_rebuilt, 1);
	assert_int_equal(stats().chunks, 0);
	get(&s, 0, G, 0, 1);
}

/* A kernel whose daemon died may still read the slabs that an index forgot. */
static void slab_not_reused(void **state)
{
	struct source s = source(1, 4096);
	char path[5000], before[G], after[G];
	int fd;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	cache_down();
	snprintf(path, sizeof(path), "%s/slabs/000000", w.dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, before, G, 0), G);
	snprintf(path, sizeof(path), "rm -rf %s/index", w.dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(pread(fd, after, G, 0), G);
	assert_memory_equal(before, after, G);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(restart_is_warm),
		CACHE_TEST(damaged_index),
		CACHE_TEST(no_files),
		CACHE_TEST(lost_index),
		CACHE_TEST(stuck_index),
		CACHE_TEST(stuck_index_is_freed),
		CACHE_TEST(slab_not_reused),
	};

	return cmocka_run_group_tests_name("cache_index", tests, NULL, NULL);
}
