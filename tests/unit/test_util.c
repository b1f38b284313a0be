// SPDX-License-Identifier: Apache-2.0
/* What base/util.h makes on a disk is there after a loss of power; words of a line. */
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
#include "base/word.h"
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

/* Whatever a text is, it is one word of one line, and comes back. */
static void test_words(void **state)
{
	static const char *const as_is[] = { "\\", "\\1", "\\12", "\\400", "\\000", "\\08x", "a\\" };
	char text[256], word[4 * sizeof(text)];
	FILE *f;

	(void)state;
	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = (char)(i + 1);
	f = fmemopen(word, sizeof(word), "w");
	assert_non_null(f);
	datafs_word_puts(f, text);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(strncmp(word, "\\001\\002", 8), 0);
	assert_non_null(strstr(word, "\\037\\040!"));
	assert_non_null(strstr(word, "[\\134]"));
	assert_non_null(strstr(word, "~\\177\200"));
	datafs_word_take(word);
	assert_string_equal(word, text);
	for (size_t i = 0; i < sizeof(as_is) / sizeof(*as_is); i++) {
		strcpy(word, as_is[i]);
		datafs_word_take(word);
		assert_string_equal(word, as_is[i]);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_mkdirs), T(test_write_small), cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
