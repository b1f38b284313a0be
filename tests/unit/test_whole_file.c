// SPDX-License-Identifier: Apache-2.0
/* What is at the path, and beside it, while a file is written and after each kind of end. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../utils/whole_file.h"
#include "base/util.h"
#include "tmpdir.h"
#include "whole_wrap.h"

static char top[PATH_MAX - 10], path[PATH_MAX];
static bool no_tmpfile;		/* a file system that has none */

int __wrap_open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((flags & O_TMPFILE) == O_TMPFILE && no_tmpfile) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_open(name, flags, mode);
}

static int setup(void **state)
{
	(void)state;
	no_tmpfile = false;
	if (tmpdir_make(top, sizeof(top), "whole"))
		return -1;
	snprintf(path, sizeof(path), "%s/f", top);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return tmpdir_remove(top);
}

static unsigned int files(void)
{
	DIR *d = opendir(top);
	unsigned int n = 0;
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

static void assert_has(const char *want)
{
	char text[100];

	assert_true(datafs_read_small(path, text, sizeof(text)) >= 0);
	assert_string_equal(text, want);
}

static void put(const char *text, bool commit)
{
	struct datafs_whole w;

	assert_int_equal(datafs_whole_begin(&w, path), 0);
	assert_int_equal(write(w.fd, text, strlen(text)), strlen(text));
	if (commit)
		assert_int_equal(datafs_whole_commit(&w), 0);
	datafs_whole_end(&w);
}

static void replaces(void)
{
	struct stat st;

	put("one", true);
	assert_has("one");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	put("two", true);
	assert_has("two");
	put("three", false);
	assert_has("two");
	assert_int_equal(files(), 1);
}

/* One that is in the middle of it gets @sig: how it ended. */
static int interrupted(int sig, bool ignored, unsigned int beside)
{
	struct datafs_whole w;
	int fds[2], status;
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		/* whatever who runs the tests ignores, as nohup(1) does */
		signal(sig, ignored ? SIG_IGN : SIG_DFL);
		if (datafs_whole_begin(&w, path) || write(w.fd, "half", 4) != 4 ||
		    write(fds[1], &c, 1) != 1)
			_exit(98);
		if (!ignored)
			pause();
		raise(sig);
		_exit(datafs_whole_commit(&w) ? 97 : 0);
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	if (!ignored) {
		assert_int_equal(files(), 1 + beside);
		kill(pid, sig);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fds[0]);
	close(fds[1]);
	return status;
}

static void leaves_nothing(unsigned int beside)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };

	put("one", true);
	for (size_t i = 0; i < sizeof(sigs) / sizeof(*sigs); i++) {
		int status = interrupted(sigs[i], false, beside);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), sigs[i]);
		assert_has("one");
		assert_int_equal(files(), 1);
	}
	assert_int_equal(interrupted(SIGHUP, true, beside), 0);
	assert_has("half");
	assert_int_equal(files(), 1);
}

static void without_name(void **state)
{
	(void)state;
	replaces();
	leaves_nothing(0);
	/* Not even where nothing can be done about it. */
	assert_int_equal(WTERMSIG(interrupted(SIGKILL, false, 0)), SIGKILL);
	assert_int_equal(files(), 1);
}

static void with_name(void **state)
{
	(void)state;
	no_tmpfile = true;
	replaces();
	leaves_nothing(1);
}

/* Where nothing can be made. */
static void nowhere(void **state)
{
	struct datafs_whole w;

	(void)state;
	snprintf(path, sizeof(path), "%s/none/f", top);
	assert_int_equal(datafs_whole_begin(&w, path), -ENOENT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(without_name), T(with_name), T(nowhere) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
