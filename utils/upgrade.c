// SPDX-License-Identifier: Apache-2.0
/* datafs daemon upgrade; see upgrade.h. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon_client.h"
#include "mount_daemon.h"
#include "report.h"
#include "upgrade.h"

#define POLL_US		50000
#define TIMEOUT_MAX_S	86400

/* How a daemon describes itself. */
struct self {
	char version[64];
	char *program, *directory;
	uint64_t epoch;		/* 0: it did not say */
	pid_t pid;
};

static void see_self(void *arg, const char *key, const char *value)
{
	struct self *s = arg;

	if (!strcmp(key, "version")) {
		snprintf(s->version, sizeof(s->version), "%s", value);
	} else if (!strcmp(key, "epoch")) {
		s->epoch = strtoull(value, NULL, 10);
	} else if (!strcmp(key, "program")) {
		free(s->program);
		s->program = strdup(value);
	} else if (!strcmp(key, "directory")) {
		free(s->directory);
		s->directory = strdup(value);
	}
}

static void forget_self(struct self *s)
{
	free(s->program);
	free(s->directory);
	memset(s, 0, sizeof(*s));
}

static int ask_self(const char *instance, struct self *s)
{
	int ret;

	forget_self(s);
	ret = datafs_daemon_ask(instance, "status", DATAFS_DAEMON_ASK_S, see_self, s);
	if (!ret)
		s->pid = datafs_daemon_pid(instance);
	return ret;
}

/* ------------------------------------------------- what would be its successor */

int datafs_program_version_parse(FILE *f, struct datafs_program_version *v)
{
	bool version = false, abi = false;
	char line[200];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "version %63s", v->version) == 1)
			version = true;
		else if (sscanf(line, "abi %d.", &v->abi_major) == 1)
			abi = true;
	return version && abi ? 0 : -EINVAL;
}

/* NULL-terminated. */
struct args {
	char **a;
	size_t n;
};

static int args_add(struct args *args, char *arg)
{
	char **a = realloc(args->a, (args->n + 2) * sizeof(*a));

	if (!a || !arg) {
		free(arg);
		args->a = a ? a : args->a;
		return -1;
	}
	args->a = a;
	a[args->n++] = arg;
	a[args->n] = NULL;
	return 0;
}

static void args_free(struct args *args)
{
	while (args->n)
		free(args->a[--args->n]);
	free(args->a);
}

/* Those of process @pid, and --version: it tells that after it has read them all. */
static int args_of(pid_t pid, struct args *args)
{
	char path[40], *arg = NULL;
	size_t size = 0;
	int ret = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (!ret && getdelim(&arg, &size, 0, f) > 0)
		ret = args_add(args, strdup(arg));
	free(arg);
	fclose(f);
	return ret || !args->n ? -1 : args_add(args, strdup("--version"));
}

/* The descriptor that an argument says is open, or -1. */
static int ready_fd_of(const struct args *args)
{
	static const char name[] = "--ready-fd";
	const size_t len = sizeof(name) - 1;
	size_t i;

	for (i = 1; i + 1 < args->n; i++) {
		if (!strcmp(args->a[i], name))
			return atoi(args->a[i + 1]);
		if (!strncmp(args->a[i], name, len) && args->a[i][len] == '=')
			return atoi(args->a[i] + len + 1);
	}
	return -1;
}

static int spawn(const char *program, const char *directory,
		 const struct args *args, int out, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int fd = ready_fd_of(args), ret;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (fd > STDERR_FILENO)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null",
						 O_RDWR, 0);
	if (directory && *directory == '/')
		posix_spawn_file_actions_addchdir_np(&actions, directory);
	ret = posix_spawn(pid, program, &actions, NULL, args->a, environ);
	posix_spawn_file_actions_destroy(&actions);
	return ret;
}

int datafs_program_try(const char *program, const char *directory, pid_t like,
		       struct datafs_program_version *v)
{
	struct args args = { 0 };
	int fds[2], ret, status = 0;
	pid_t pid;
	FILE *f;

	if (args_of(like, &args)) {
		warn("the arguments of process %d", (int)like);
		args_free(&args);
		return -1;
	}
	if (pipe2(fds, O_CLOEXEC)) {
		warn("pipe");
		args_free(&args);
		return -1;
	}
	ret = spawn(program, directory, &args, fds[1], &pid);
	args_free(&args);
	close(fds[1]);
	if (ret) {
		close(fds[0]);
		warnx("%s: %s", program, strerror(ret));
		return -1;
	}
	f = fdopen(fds[0], "r");
	ret = f ? datafs_program_version_parse(f, v) : -ENOMEM;
	if (f)
		fclose(f);
	else
		close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ret && !status)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == DATAFS_EXIT_USAGE)
		warnx("%s refuses the options or the configuration file of the daemon that runs (process %d): make them fit first",
		      program, (int)like);
	else
		warnx("%s --version does not tell a version: it is broken, or no datafsd",
		      program);
	return -1;
}

/* A daemon that the loaded module refuses would leave the mounts without one. */
static int check_protocol(const char *program,
			  const struct datafs_program_version *v)
{
	FILE *f = fopen("/sys/fs/datafs/protocol", "re");
	int major, n;

	if (!f) {
		warn("/sys/fs/datafs/protocol");
		return -1;
	}
	n = fscanf(f, "%d.", &major);
	fclose(f);
	if (n == 1 && major == v->abi_major)
		return 0;
	warnx("%s speaks version %d of the protocol, the loaded module another: unmount, and load the module that belongs to it",
	      program, v->abi_major);
	return -1;
}

/* ------------------------------------------------------------------- upgrade */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct answer {
	bool begins;
	char error[300];
};

static void see_answer(void *arg, const char *key, const char *value)
{
	struct answer *a = arg;

	if (!strcmp(key, "upgrade"))
		a->begins = true;
	else if (!strcmp(key, "error"))
		snprintf(a->error, sizeof(a->error), "%s", value);
}

static int request_upgrade(const char *instance)
{
	struct answer a = { .error = "no answer" };
	int ret;

	ret = datafs_daemon_ask(instance, "upgrade", DATAFS_DAEMON_ASK_S, see_answer, &a);
	if (!ret && a.begins)
		return 0;
	warnx("instance %s: the daemon does not give way: %s", instance,
	      ret ? strerror(-ret) : a.error);
	return -1;
}

static int await_successor(const char *instance, const struct self *old,
			   int timeout_s, struct self *s)
{
	int64_t deadline = now_ms() + timeout_s * 1000LL;
	int ret;

	do {
		ret = ask_self(instance, s);
		if (!ret && s->epoch > old->epoch)
			return 0;
		usleep(POLL_US);
	} while (now_ms() < deadline);
	/* Its socket goes first: that nobody answers does not say where it is. */
	if (!kill(old->pid, 0))
		warnx("instance %s: process %d has not ended yet, or does not serve anew: does its source answer, and its cache's disk? kill -KILL %d is safe, and gives way to a new one",
		      instance, (int)old->pid, (int)old->pid);
	else
		warnx("instance %s: no new daemon serves yet: its log (" DATAFS_RUN_DIR "/%s.log, or the journal) says why; the mounts wait for one",
		      instance, instance);
	return -1;
}

/* The daemon, and what would be its successor; or says why there can be none. */
static int look(const char *instance, struct self *s,
		struct datafs_program_version *v)
{
	int ret = ask_self(instance, s);

	if (ret) {
		warnx("instance %s: %s", instance,
		      ret == -ENOENT || ret == -ECONNREFUSED ?
		      "no daemon of that name runs" : strerror(-ret));
		return -1;
	}
	if (!s->epoch || !s->program || s->pid <= 0) {
		warnx("instance %s: its daemon cannot do this: end it with SIGTERM, and start the new one",
		      instance);
		return -1;
	}
	if (datafs_program_try(s->program, s->directory, s->pid, v))
		return -1;
	return check_protocol(s->program, v);
}

/* With the lock: who serves now does so until it has given way. */
static int replace(const char *instance, int timeout_s)
{
	struct self old = { 0 }, s = { 0 };
	struct datafs_program_version v;
	int ret;

	ret = look(instance, &old, &v);
	if (!ret) {
		printf("old_version %s\nold_epoch %" PRIu64 "\n", old.version,
		       old.epoch);
		fflush(stdout);
		ret = request_upgrade(instance);
	}
	if (!ret)
		ret = await_successor(instance, &old, timeout_s, &s);
	if (!ret) {
		printf("new_version %s\nnew_epoch %" PRIu64 "\n", s.version,
		       s.epoch);
		if (strcmp(s.version, v.version)) {
			warnx("instance %s: a new daemon serves, but %s is version %s: it could not be executed; the log says why",
			      instance, old.program, v.version);
			ret = -1;
		}
	}
	forget_self(&old);
	forget_self(&s);
	return ret;
}

static int upgrade(const char *instance, int timeout_s)
{
	struct datafs_program_version v;
	struct self s = { 0 };
	char err[400];
	int ret, lock;

	/* What cannot work need not wait, nor have others wait. */
	ret = look(instance, &s, &v);
	forget_self(&s);
	if (ret)
		return DATAFS_EXIT_FAIL;
	/*
	 * Between the two daemons a mount(8) would find none, and start one: it
	 * waits, as for a daemon that is about to end.
	 */
	lock = datafs_instance_lock_alone(instance, timeout_s * 1000, err,
					  sizeof(err));
	if (lock < 0) {
		warnx("%s", err);
		return DATAFS_EXIT_FAIL;
	}
	ret = replace(instance, timeout_s);
	close(lock);
	return ret ? DATAFS_EXIT_FAIL : 0;
}

/* ------------------------------------------------------------------ commands */

static int cmd_upgrade(int argc, char **argv);

static const struct {
	const char *name, *args, *what;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "upgrade", "[--instance NAME] [--timeout SECONDS]",
	  "the installed datafsd in the place of the one that runs", cmd_upgrade },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(*commands))

static int usage(void)
{
	size_t i;

	fputs("usage: datafs daemon COMMAND\n", stderr);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(stderr, "  %s %s\n          %s\n", commands[i].name,
			commands[i].args, commands[i].what);
	return DATAFS_EXIT_USAGE;
}

static int cmd_upgrade(int argc, char **argv)
{
	const char *instance = "default";
	long timeout_s = DATAFS_DAEMON_WAIT_MS / 1000;
	char *end;
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--instance")) {
			instance = argv[i + 1];
		} else if (!strcmp(argv[i], "--timeout")) {
			timeout_s = strtol(argv[i + 1], &end, 10);
			if (*end || timeout_s < 1 || timeout_s > TIMEOUT_MAX_S)
				return usage();
		} else {
			return usage();
		}
	}
	if (i != argc || strchr(instance, '/'))
		return usage();
	if (geteuid()) {
		warnx("only root can ask the daemons");
		return DATAFS_EXIT_FAIL;
	}
	return upgrade(instance, (int)timeout_s);
}

int datafs_daemon_command(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return usage();
}
