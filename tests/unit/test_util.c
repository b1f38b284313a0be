// SPDX-License-Identifier: Apache-2.0
/* What base/util.h makes on a disk is there after a loss of power. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "tmpdir.h"
#include "util_wrap.h"

static char top[4096];
static ino_t synced[8];
static unsigned int nsynced;
static int sync_error;		/* of directories */

int __wrap_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISDIR(st.st_mode) && sync_error) {
		errno = sync_error;
		return -1;
	}
	assert_true(nsynced < 8);
	synced[nsynced++] = st.st_ino;
	return __real_fsync(fd);
}

static int setup(void **state)
{
	(void)state;
	nsynced = 0;
	sync_error = 0;
	return tmpdir_make(top, sizeof(top), "util");
}

static int teardown(void **state)
{
	(void)state;
	return tmpdir_remove(top);
}

static ino_t ino_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void test_mkdirs(void **state)
{
	char path[4200], above[4200];

	(void)state;
	snprintf(above, sizeof(above), "%s/a", top);
	snprintf(path, sizeof(path), "%s/a/b", top);
	assert_int_equal(datafs_mkdirs(path, 0700), 0);
	assert_int_equal(nsynced, 2);
	assert_int_equal(synced[0], ino_of(top));
	assert_int_equal(synced[1], ino_of(above));
	assert_int_equal(datafs_mkdirs(path, 0700), 0);
	assert_int_equal(nsynced, 2);
	strcat(path, "/c");
	sync_error = EIO;
	assert_int_equal(datafs_mkdirs(path, 0700), -EIO);
	/* A filesystem that cannot sync a directory has nothing to lose. */
	sync_error = EINVAL;
	strcat(path, "/d");
	assert_int_equal(datafs_mkdirs(path, 0700), 0);
}

static void test_write_small(void **state)
{
	char path[4200], text[40];

	(void)state;
	snprintf(path, sizeof(path), "%s/file", top);
	assert_int_equal(datafs_write_small(path, "one\n"), 0);
	assert_int_equal(nsynced, 2);
	assert_int_equal(synced[0], ino_of(path));
	assert_int_equal(synced[1], ino_of(top));
	assert_int_equal(datafs_write_small(path, "two\n"), 0);
	assert_int_equal(datafs_read_small(path, text, sizeof(text)), 4);
	assert_string_equal(text, "two\n");
	sync_error = EIO;
	assert_int_equal(datafs_write_small(path, "three\n"), -EIO);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_mkdirs), T(test_write_small) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
