// SPDX-License-Identifier: Apache-2.0
/* datafs daemon upgrade; see upgrade.h. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
	char *program;
	uint64_t epoch;		/* 0: it did not say */
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
	}
}

static int ask_self(const char *instance, struct self *s)
{
	free(s->program);
	memset(s, 0, sizeof(*s));
	return datafs_daemon_ask(instance, "status", see_self, s);
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

/* Does it run at all, and what is it? */
static int try_program(const char *program, struct datafs_program_version *v)
{
	char *const argv[] = { (char *)program, "--version", NULL };
	posix_spawn_file_actions_t actions;
	int fds[2], ret, status = 0;
	pid_t pid;
	FILE *f;

	if (pipe2(fds, O_CLOEXEC)) {
		warn("pipe");
		return -1;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	ret = posix_spawn(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
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
	if (ret || status) {
		warnx("%s --version does not tell a version: it is broken, or no datafsd",
		      program);
		return -1;
	}
	return 0;
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

	ret = datafs_daemon_ask(instance, "upgrade", see_answer, &a);
	if (!ret && a.begins)
		return 0;
	warnx("instance %s: the daemon does not give way: %s", instance,
	      ret ? strerror(-ret) : a.error);
	return -1;
}

static int await_successor(const char *instance, uint64_t epoch,
			   int64_t deadline, struct self *s)
{
	int ret;

	do {
		ret = ask_self(instance, s);
		if (!ret && s->epoch > epoch)
			return 0;
		usleep(POLL_US);
	} while (now_ms() < deadline);
	if (!ret && s->epoch == epoch)
		warnx("instance %s: the old daemon has not ended yet: does its source answer, and its cache's disk?",
		      instance);
	else
		warnx("instance %s: no new daemon serves yet: its log (" DATAFS_RUN_DIR "/%s.log, or the journal) says why; the mounts wait for one",
		      instance, instance);
	return -1;
}

static int upgrade(const char *instance, int timeout_s, struct self *s)
{
	int64_t deadline = now_ms() + timeout_s * 1000LL;
	struct datafs_program_version v;
	uint64_t old_epoch;
	char err[400];
	int ret, lock;

	ret = ask_self(instance, s);
	if (ret) {
		warnx("instance %s: %s", instance,
		      ret == -ENOENT || ret == -ECONNREFUSED ?
		      "no daemon of that name runs" : strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	if (!s->epoch || !s->program) {
		warnx("instance %s: its daemon cannot do this: end it with SIGTERM, and start the new one",
		      instance);
		return DATAFS_EXIT_FAIL;
	}
	if (try_program(s->program, &v) || check_protocol(s->program, &v))
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
	printf("old_version %s\nold_epoch %" PRIu64 "\n", s->version, s->epoch);
	fflush(stdout);
	old_epoch = s->epoch;
	ret = request_upgrade(instance);
	if (!ret)
		ret = await_successor(instance, old_epoch, deadline, s);
	close(lock);
	if (ret)
		return DATAFS_EXIT_FAIL;
	printf("new_version %s\nnew_epoch %" PRIu64 "\n", s->version, s->epoch);
	return 0;
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
	struct self s = { 0 };
	char *end;
	int i, ret;

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
	ret = upgrade(instance, (int)timeout_s, &s);
	free(s.program);
	return ret;
}

int datafs_daemon_command(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return usage();
}
