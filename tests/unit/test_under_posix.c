// SPDX-License-Identifier: Apache-2.0
/* The attributes and the bytes of files, while they change. */
#define _GNU_SOURCE
#include "under_fixture.h"

#include "under_conform.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The double of a network filesystem's client: while @believing, it answers
 * with what it saw of an inode first, unless it is told to ask its server.
 */
static bool believing;
static struct statx believed[64];
static int nbelieved;

int statx(int fd, const char *path, int flags, unsigned int mask,
	  struct statx *x)
{
	int ret = syscall(SYS_statx, fd, path, flags, mask, x);

	if (ret || !believing || flags & AT_STATX_FORCE_SYNC)
		return ret;
	for (int i = 0; i < nbelieved; i++)
		if (believed[i].stx_ino == x->stx_ino) {
			*x = believed[i];
			return 0;
		}
	assert_true(nbelieved < 64);
	believed[nbelieved++] = *x;
	return 0;
}

static int teardown(void **state)
{
	believing = false;
	nbelieved = 0;
	return under_teardown(state);
}

static void sources(void **state)
{
	struct datafs_under *o = NULL;
	char path[5000];

	(void)state;
	put("file", "x");
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(datafs_under_open(path, NULL, &o), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(datafs_under_open(path, NULL, &o), -ENOENT);
	assert_int_equal(datafs_under_open("relative", NULL, &o), -EINVAL);
	assert_int_equal(datafs_under_open("gopher://x", NULL, &o), -EPROTONOSUPPORT);
	assert_null(o);
	snprintf(path, sizeof(path), "posix://%s", dir);
	assert_int_equal(datafs_under_open(path, NULL, &o), 0);
	datafs_under_close(o);
}

static void attributes(void **state)
{
	struct datafs_under_stat st, again;
	struct statfs fs;
	struct stat sb;
	char buf[8];

	(void)state;
	put("a", "hello");
	assert_int_equal(linkat(dfd, "a", dfd, "b", 0), 0);
	st = look("a");
	assert_int_equal(fstatat(dfd, "a", &sb, 0), 0);
	assert_int_equal(st.mode, S_IFREG | 0640);
	assert_int_equal(st.size, 5);
	assert_int_equal(st.nlink, 2);
	assert_int_equal(st.uid, getuid());
	assert_int_equal(st.blocks, sb.st_blocks);
	assert_int_equal(st.mtime.tv_nsec, sb.st_mtim.tv_nsec);
	assert_int_equal(st.ctime.tv_sec, sb.st_ctim.tv_sec);
	assert_true(datafs_under_young(&st));
	again = look("b");
	assert_int_equal(st.file_id, again.file_id);
	assert_true(same(&st, &again));
	st = look("");
	assert_true(S_ISDIR(st.mode));
	assert_true(st.file_id && st.file_id != again.file_id);
	assert_int_equal(datafs_under_statfs(u, &fs), 0);
	assert_true(fs.f_blocks > 0);
	a_tick();
	st = look("a");
	assert_false(datafs_under_young(&st));
	/* reading is no change, and leaves no trace */
	assert_int_equal(rd("a", &st, 0, buf, 8), 5);
	again = look("a");
	assert_true(same(&st, &again));
	assert_int_equal(st.atime.tv_sec, again.atime.tv_sec);
	assert_int_equal(st.atime.tv_nsec, again.atime.tv_nsec);
}

static void young(void **state)
{
	struct datafs_under_stat st = { 0 };

	(void)state;
	st.seen = (struct timespec){ 1000, 10000000 };
	st.ctime = st.mtime = (struct timespec){ 999, 999000000 };
	assert_true(datafs_under_young(&st));
	st.ctime = st.mtime = (struct timespec){ 999, 980000000 };
	assert_false(datafs_under_young(&st));
	st.ctime = (struct timespec){ 1000, 20000000 }; /* the future */
	assert_true(datafs_under_young(&st));
	st.ctime = (struct timespec){ 5000, 1 };
	assert_true(datafs_under_young(&st));
	st.ctime = st.mtime = (struct timespec){ 999, 0 }; /* whole seconds */
	assert_true(datafs_under_young(&st));
	st.ctime = st.mtime = (struct timespec){ 997, 0 };
	assert_false(datafs_under_young(&st));
	st.ctime = (struct timespec){ -1000000000000, 5 };
	assert_false(datafs_under_young(&st));
}

static void changes(void **state)
{
	struct datafs_under_stat st, now;
	char buf[64];
	int fd;

	(void)state;
	put("f", "one one one");
	st = look("f");
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), 11);
	assert_memory_equal(buf, "one one one", 11);
	assert_int_equal(rd("f", &st, 4, buf, 3), 3);
	assert_int_equal(rd("f", &st, 11, buf, 3), 0);
	a_tick();
	/* grown, while it is kept open */
	fd = openat(dfd, "f", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, " more", 5), 5);
	close(fd);
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), -ESTALE);
	now = look("f");
	assert_false(same(&st, &now));
	assert_int_equal(rd("f", &now, 0, buf, sizeof(buf)), 16);
	a_tick();
	/* written in place, same size */
	fd = openat(dfd, "f", O_WRONLY);
	assert_int_equal(write(fd, "two", 3), 3);
	close(fd);
	assert_int_equal(rd("f", &now, 0, buf, sizeof(buf)), -ESTALE);
	now = look("f");
	assert_int_equal(rd("f", &now, 0, buf, 3), 3);
	assert_memory_equal(buf, "two", 3);
	/* replaced */
	put("g", "another");
	assert_int_equal(renameat(dfd, "g", dfd, "f"), 0);
	assert_int_equal(rd("f", &now, 0, buf, sizeof(buf)), -ESTALE);
	st = look("f");
	assert_true(st.file_id != now.file_id);
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), 7);
	/* gone, replaced by what must not be opened */
	assert_int_equal(unlinkat(dfd, "f", 0), 0);
	assert_int_equal(datafs_under_stat(u, "f", &now), -ENOENT);
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), -ESTALE);
	assert_int_equal(mkfifoat(dfd, "f", 0600), 0);
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), -ESTALE);
	now = look("f");
	assert_int_equal(rd("f", &now, 0, buf, sizeof(buf)), -ESTALE);
}

/* What the client of a network filesystem remembers is not believed. */
static void remembered(void **state)
{
	struct datafs_under_stat st, now;
	char buf[16];
	int fd;

	(void)state;
	put("f", "one");
	believing = true;
	st = look("f");
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), 3);
	a_tick();
	fd = openat(dfd, "f", O_WRONLY);
	assert_int_equal(write(fd, "two", 3), 3);
	close(fd);
	assert_int_equal(rd("f", &st, 0, buf, sizeof(buf)), -ESTALE);
	now = look("f");
	assert_false(same(&st, &now));
	assert_int_equal(rd("f", &now, 0, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "two", 3);
}

static void many_open(void **state)
{
	struct datafs_under_stat st[200];
	char name[16], buf[16];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(name, name);
		st[i] = look(name);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			int n = snprintf(name, sizeof(name), "%d", i);

			assert_int_equal(rd(name, &st[i], 0, buf, 16), n);
			assert_memory_equal(buf, name, n);
		}
	}
}

static void *read_often(void *arg)
{
	const struct datafs_under_stat *st = arg;
	char name[16], buf[16];
	intptr_t bad = 0;

	for (int i = 0; i < 2000; i++) {
		int k = i * 7 % 100, n = snprintf(name, 16, "%d", k);

		if (rd(name, &st[k], 0, buf, 16) != n || memcmp(buf, name, n))
			bad++;
	}
	return (void *)bad;
}

static void many_threads(void **state)
{
	struct datafs_under_stat st[100];
	pthread_t t[8];
	char name[16];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(name, name);
		st[i] = look(name);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_often, st),
				 0);
	for (int i = 0; i < 8; i++) {
		void *bad;

		pthread_join(t[i], &bad);
		assert_null(bad);
	}
}

/* Behind the store's back; a replaced file is another one. */
static void plant(void *arg, const char *key, const void *buf, size_t len)
{
	char above[512], *end = above;
	int fd;

	(void)arg;
	snprintf(above, sizeof(above), "%s", key);
	while ((end = strchr(end, '/'))) {
		*end = 0;
		assert_true(!mkdirat(dfd, above, 0755) || errno == EEXIST);
		*end++ = '/';
	}
	assert_true(!unlinkat(dfd, key, 0) || errno == ENOENT);
	fd = openat(dfd, key, O_WRONLY | O_CREAT | O_EXCL, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, len), len);
	close(fd);
}

static void uproot(void *arg, const char *key)
{
	(void)arg;
	assert_int_equal(unlinkat(dfd, key, 0), 0);
}

static void conforms(void **state)
{
	struct under_conform c = { .u = u, .part = 5 << 20, .many = 300 };

	(void)state;
	assert_int_equal(under_conform(&c), 23);
}

/* One that is written by others only. */
static void conforms_read_only(void **state)
{
	struct datafs_under_opts opts = datafs_under_opts_default;
	struct under_conform c = { .many = 300, .plant = plant, .uproot = uproot };

	(void)state;
	opts.read_only = true;
	assert_int_equal(datafs_under_open(dir, &opts, &c.u), 0);
	assert_int_equal(under_conform(&c), 10);
	datafs_under_close(c.u);
}

static int note(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)st;
	strcat(strcat(arg, name), " ");
	return 0;
}

/* Names are bytes: what is no UTF-8 is one, too. Not longer than the filesystem has them. */
static void names(void **state)
{
	static const char *const no_text[] = { "\xff", "\xc3", "\xed\xa0\x80", "\xc0\xaf", "a\x80z" };
	static const char *const no_paths[] = {
		"/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b",
	};
	char listed[64], below[64], part[257], buf[4];
	struct datafs_under_stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(no_text) / sizeof(*no_text); i++) {
		const char *name = no_text[i];

		assert_int_equal(datafs_under_mkdir(u, name, NULL), 0);
		snprintf(below, sizeof(below), "%s/%s", name, name);
		assert_int_equal(datafs_under_put(u, below, "text", 4, NULL, NULL, NULL), 0);
		assert_int_equal(faccessat(dfd, below, F_OK, 0), 0);
		assert_int_equal(datafs_under_stat(u, below, &st), 0);
		assert_int_equal(datafs_under_read(u, below, &st.fp, 0, buf, 4), 4);
		assert_memory_equal(buf, "text", 4);
		*listed = 0;
		assert_int_equal(datafs_under_list(u, name, NULL, note, listed), 0);
		assert_int_equal(strncmp(listed, name, strlen(name)), 0);
		assert_string_equal(listed + strlen(name), " ");
		assert_int_equal(datafs_under_remove(u, below, NULL), 0);
		assert_int_equal(datafs_under_stat(u, below, &st), -ENOENT);
		assert_int_equal(datafs_under_rmdir(u, name), 0);
	}
	memset(part, 'n', 256);
	part[256] = 0;
	assert_int_equal(datafs_under_stat(u, part, &st), -ENAMETOOLONG);
	assert_int_equal(datafs_under_put(u, part, "x", 1, NULL, NULL, NULL), -ENAMETOOLONG);
	assert_int_equal(datafs_under_mkdir(u, part, NULL), -ENAMETOOLONG);
	assert_int_equal(mkdirat(dfd, "a", 0755), 0);
	for (size_t i = 0; i < sizeof(no_paths) / sizeof(*no_paths); i++) {
		assert_int_equal(datafs_under_stat(u, no_paths[i], &st), -EINVAL);
		assert_int_equal(datafs_under_put(u, no_paths[i], "x", 1, NULL, NULL, NULL), -EINVAL);
		assert_int_equal(datafs_under_remove(u, no_paths[i], NULL), -EINVAL);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, under_setup, teardown)
	const struct CMUnitTest tests[] = {
		T(sources),
		T(attributes),
		cmocka_unit_test(young),
		T(changes),
		T(remembered),
		T(many_open),
		T(many_threads),
		T(names),
		T(conforms),
		T(conforms_read_only),
	};

	return cmocka_run_group_tests_name("under_posix", tests, NULL, NULL);
}
