// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon's life as a process: what it tells a service manager, another program
 * in its place, the guard that watches it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../utils/upgrade.h"
#include "base/config.h"
#include "base/guard.h"
#include "base/loop.h"
#include "base/notify.h"
#include "base/program.h"
#include "base/util.h"
#include "tmpdir.h"

static char top[PATH_MAX], said_path[PATH_MAX + 10];

static int setup(void **state)
{
	(void)state;
	if (tmpdir_make(top, sizeof(top), "program"))
		return -1;
	snprintf(said_path, sizeof(said_path), "%s/said", top);
	setenv("SAID", said_path, 1);
	/* A guard that outlives its starter becomes ours. */
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static int teardown(void **state)
{
	(void)state;
	return tmpdir_remove(top);
}

/* What was written to $SAID since the last time. */
static const char *said(void)
{
	static char text[1000];
	ssize_t n = datafs_read_small(said_path, text, sizeof(text));

	unlink(said_path);
	return n < 0 ? "" : text;
}

static void say(const char *text)
{
	int fd = open(said_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(99);
	close(fd);
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- notify.c ---- */

static int manager(struct sockaddr_un *sa, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sa->sun_family = AF_UNIX;
	assert_int_equal(bind(fd, (struct sockaddr *)sa, len), 0);
	return fd;
}

static void assert_heard(int fd, const char *want)
{
	char text[100];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n >= 0);
	text[n] = 0;
	assert_string_equal(text, want);
}

static void test_notify(void **state)
{
	struct sockaddr_un sa = { 0 };
	char name[sizeof(sa.sun_path) + 2];
	int fd, len;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(datafs_notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(datafs_notify("READY=1"), 0);

	/* Not in @top, whose path may be too long for a socket. */
	snprintf(name, sizeof(name), "/tmp/datafs-notify.%d", (int)getpid());
	strcpy(sa.sun_path, name);
	fd = manager(&sa, sizeof(sa));
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(datafs_notify("READY=1\nSTATUS=serving"), 0);
	assert_heard(fd, "READY=1\nSTATUS=serving");
	close(fd);
	assert_int_equal(datafs_notify("STOPPING=1"), -ECONNREFUSED);
	unlink(name);
	assert_int_equal(datafs_notify("STOPPING=1"), -ENOENT);

	/* The abstract kind: its length counts, there is no NUL at its end. */
	memset(&sa, 0, sizeof(sa));
	len = snprintf(name, sizeof(name), "@datafs/notify.%d", (int)getpid());
	memcpy(sa.sun_path + 1, name + 1, len - 1);
	fd = manager(&sa, offsetof(struct sockaddr_un, sun_path) + len);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(datafs_notify("STOPPING=1"), 0);
	assert_heard(fd, "STOPPING=1");
	close(fd);

	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(datafs_notify("READY=1"), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = 0;
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(datafs_notify("READY=1"), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
}

/* ---- program.c ---- */

static void test_again(void **state)
{
	static char *const argv[] = {
		"/bin/sh", "-c",
		"{ echo \"successor=$DATAFSD_SUCCESSOR\"; pwd;"
		"  readlink /proc/self/fd/47; } > \"$SAID\"", NULL
	};
	char want[PATH_MAX + 100];
	pid_t pid;

	(void)state;
	assert_int_equal(chdir(top), 0);
	pid = fork();
	if (!pid) {
		datafs_program_note(argv);
		if (chdir("/") || strcmp(datafs_program_path(), "/bin/sh"))
			_exit(98);
		datafs_program_again(47);
		_exit(99);
	}
	assert_int_equal(status_of(pid), 0);
	snprintf(want, sizeof(want), "successor=1\n%s\n/dev/null\n", top);
	assert_string_equal(said(), want);
}

static void test_again_fails(void **state)
{
	char path[PATH_MAX + 10], *const argv[] = { path, NULL };
	char relative[] = "sh", *const called[] = { relative, NULL };
	char self[PATH_MAX] = "";

	(void)state;
	snprintf(path, sizeof(path), "%s/none", top);
	datafs_program_note(argv);
	assert_int_equal(datafs_program_again(-1), -ENOENT);
	/* Nobody who is started from here is a successor. */
	assert_false(datafs_program_successor());
	/* Called by a name that does not say where it is: where this one is. */
	datafs_program_note(called);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_string_equal(datafs_program_path(), self);
}

static void test_successor(void **state)
{
	(void)state;
	setenv("DATAFSD_SUCCESSOR", "1", 1);
	assert_true(datafs_program_successor());
	assert_false(datafs_program_successor());
	assert_null(getenv("DATAFSD_SUCCESSOR"));
}

/* ---- guard.c ---- */

/*
 * A guard with @argv as its program, whose first daemon becomes ready, gives way
 * and ends, by @sig if that is none. Its later ones, of this image, say so and end
 * with 7.
 */
static int guarded(char *const *argv, bool again, int sig)
{
	pid_t pid = fork();
	bool first = !again;

	if (pid)
		return status_of(pid);
	datafs_program_note(argv);
	if (datafs_guard(&again, 48))
		_exit(98);
	if (!datafs_guard_watches())
		_exit(97);
	if (again && first) {
		say("the same image\n");
		datafs_guard_ready();
		_exit(7);
	}
	say(again ? "a successor\n" : "the first\n");
	datafs_guard_ready();
	datafs_guard_upgrade();
	if (sig)
		kill(getpid(), sig);
	_exit(0);
}

static void test_guard_upgrade(void **state)
{
	static char *const argv[] = {
		"/bin/sh", "-c",
		"{ echo \"then $DATAFSD_SUCCESSOR\"; readlink /proc/self/fd/48; } >> \"$SAID\";"
		" exit 5", NULL
	};
	char path[PATH_MAX + 10], *const none[] = { path, NULL };

	(void)state;
	/* The guard itself becomes the program: its status is the program's. */
	assert_int_equal(WEXITSTATUS(guarded(argv, false, 0)), 5);
	assert_string_equal(said(), "the first\nthen 1\n/dev/null\n");
	/* One that was a successor from its start gives way as well. */
	assert_int_equal(WEXITSTATUS(guarded(argv, true, 0)), 5);
	assert_string_equal(said(), "a successor\nthen 1\n/dev/null\n");
	/* One that has given way and hangs is killed: no matter. */
	assert_int_equal(WEXITSTATUS(guarded(argv, false, SIGKILL)), 5);
	assert_string_equal(said(), "the first\nthen 1\n/dev/null\n");
	/* But who tells it to end does not want another. */
	assert_int_equal(WEXITSTATUS(guarded(argv, false, SIGTERM)), 1);
	assert_string_equal(said(), "the first\n");
	/* What is not there cannot be: the old one goes on. */
	snprintf(path, sizeof(path), "%s/none", top);
	assert_int_equal(WEXITSTATUS(guarded(none, false, 0)), 7);
	assert_string_equal(said(), "the first\nthe same image\n");
}

/* One that was ready and could not go on has a successor. */
static void test_guard_loop(void **state)
{
	static char *const argv[] = { "/bin/true", NULL };
	bool again = false;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		datafs_program_note(argv);
		if (datafs_guard(&again, -1))
			_exit(98);
		say(again ? "a successor\n" : "the first\n");
		datafs_guard_ready();
		_exit(again ? 7 : DATAFS_LOOP_EXIT);
	}
	assert_int_equal(WEXITSTATUS(status_of(pid)), 7);
	assert_string_equal(said(), "the first\na successor\n");
}

/* A successor that cannot begin is tried again, also the very first of a guard. */
static void test_guard_successor(void **state)
{
	static char *const argv[] = { "/bin/true", NULL };
	bool again = true;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		datafs_program_note(argv);
		if (datafs_guard(&again, -1))
			_exit(98);
		if (access(said_path, F_OK)) {
			say("one\n");
			_exit(1);
		}
		say("two\n");
		_exit(DATAFS_GUARD_TAKEN);
	}
	assert_int_equal(WEXITSTATUS(status_of(pid)), DATAFS_GUARD_TAKEN);
	assert_string_equal(said(), "one\ntwo\n");
}

static void test_not_guarded(void **state)
{
	(void)state;
	assert_false(datafs_guard_watches());
}

/* ---- what a program says of itself ---- */

static int parse_version(const char *text, struct datafs_program_version *v)
{
	FILE *f = fmemopen((char *)text, strlen(text), "r");
	int ret = datafs_program_version_parse(f, v);

	fclose(f);
	return ret;
}

static void test_version(void **state)
{
	static const char *const bad[] = {
		"rubbish\n", "version 1.2\n", "abi 1.0\n", "version \nabi 1.0\n",
		"version 1\nabi x\n", "\n",
	};
	struct datafs_program_version v;
	int saved, fd;
	FILE *f;

	(void)state;
	assert_int_equal(parse_version("version 1.2.3\nabi 4.5\n", &v), 0);
	assert_string_equal(v.version, "1.2.3");
	assert_int_equal(v.abi_major, 4);
	assert_int_equal(parse_version("abi 7.0\nmore 3\nversion x", &v), 0);
	assert_int_equal(v.abi_major, 7);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!parse_version(bad[i], &v))
			fail_msg("taken: %s", bad[i]);

	/* And that is what this one says. */
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	fd = open(said_path, O_WRONLY | O_CREAT, 0600);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	datafs_config_version();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	f = fopen(said_path, "r");
	assert_non_null(f);
	assert_int_equal(datafs_program_version_parse(f, &v), 0);
	fclose(f);
	said();
	assert_string_equal(v.version, DATAFS_VERSION);
	assert_int_equal(v.abi_major, DATAFS_ABI_MAJOR);
}

/* It is asked with the arguments of the one that runs, and where that began. */
static void test_try(void **state)
{
	static char *const argv[] = {
		"datafsd", "-c", "kill -STOP $$", "--name", "a b", "--ready-fd",
		"47", NULL
	};
	char path[PATH_MAX + 10], want[PATH_MAX + 200];
	struct datafs_program_version v = { .abi_major = 0 };
	pid_t pid;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/try", top);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n"
		   "{ pwd; printf '%%s|' \"$@\"; readlink /proc/self/fd/47; } > \"$SAID\"\n"
		   "echo version 9.1; echo abi 3.0; exit $(cat %s/status)\n", top);
	fchmod(fileno(f), 0700);
	fclose(f);
	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
	snprintf(want, sizeof(want), "%s/status", top);
	assert_int_equal(datafs_write_small(want, "0\n"), 0);
	assert_int_equal(datafs_program_try(path, top, pid, &v), 0);
	assert_string_equal(v.version, "9.1");
	assert_int_equal(v.abi_major, 3);
	snprintf(want, sizeof(want),
		 "%s\n-c|kill -STOP $$|--name|a b|--ready-fd|47|--version|/dev/null\n",
		 top);
	assert_string_equal(said(), want);
	/* It tells its version, but does not understand what it would be given. */
	snprintf(want, sizeof(want), "%s/status", top);
	assert_int_equal(datafs_write_small(want, "2\n"), 0);
	assert_int_equal(datafs_program_try(path, top, pid, &v), -1);
	said();
	kill(pid, SIGKILL);
	status_of(pid);
	assert_int_equal(datafs_program_try(path, top, pid, &v), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_again_fails),
		cmocka_unit_test(test_successor),
		cmocka_unit_test(test_guard_upgrade),
		cmocka_unit_test(test_guard_loop),
		cmocka_unit_test(test_guard_successor),
		cmocka_unit_test(test_not_guarded),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_try),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
