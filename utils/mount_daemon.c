// SPDX-License-Identifier: Apache-2.0
/* Loading the module and starting an embedded daemon; see mount_daemon.h. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "datafs_abi.h"
#include "mount_daemon.h"

#define DEVICE		"/dev/" DATAFS_DEVICE

/* Where the daemon finds the pipe on which it says that it is ready. */
#define READY_FD	3

/* How long a daemon that is given up may take to end, before and after SIGKILL. */
#define END_MS		5000

/* How a daemon's complaint about another one of its name begins. */
#define SECOND_DAEMON	"second daemon of the same name"

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * One line from a pipe, without its newline, until @deadline. Returns 1, 0 if
 * the pipe ended before (@line has what came), -ETIMEDOUT or another errno.
 */
static int read_line(int fd, int64_t deadline, char *line, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	int64_t left;
	ssize_t n;
	char *end;

	*line = '\0';
	while (used < size - 1) {
		left = deadline - now_ms();
		if (left < 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)left) <= 0)
			continue;
		n = read(fd, line + used, size - 1 - used);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n < 0)
			continue;
		used += (size_t)n;
		line[used] = '\0';
		end = strchr(line, '\n');
		if (end) {
			*end = '\0';
			return 1;
		}
	}
	return 1;
}

static void say_status(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
}

static void wait_child(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
}

/* Has it ended within @ms? */
static bool child_ends(pid_t pid, int ms)
{
	int64_t deadline = now_ms() + ms;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() >= deadline)
			return false;
		usleep(20000);
	}
	return true;
}

/* ---------------------------------------------------------------- module */

static void exec_modprobe(int out)
{
	char *const argv[] = { "modprobe", "datafs", NULL };

	dup2(out, STDERR_FILENO);
	execv("/sbin/modprobe", argv);
	execvp("modprobe", argv);
	dprintf(STDERR_FILENO, "modprobe: %s\n", strerror(errno));
	_exit(127);
}

int datafs_module_load(char *err, size_t errlen)
{
	char line[300], how[60] = "";
	int said, status = 0, i, ret;
	struct utsname un;
	ssize_t n;
	pid_t pid;

	if (!access(DEVICE, F_OK))
		return 0;
	/* Not a pipe, whose end could kill it in the middle of its work. */
	said = memfd_create("modprobe", MFD_CLOEXEC);
	if (said < 0) {
		ret = -errno;
		snprintf(err, errlen, "memfd_create: %s", strerror(-ret));
		return ret;
	}
	pid = fork();
	if (!pid)
		exec_modprobe(said);
	if (pid < 0) {
		snprintf(err, errlen, "fork: %s", strerror(errno));
		close(said);
		return -EAGAIN;
	}
	wait_child(pid, &status);
	n = pread(said, line, sizeof(line) - 1, 0);
	line[n < 0 ? 0 : n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	close(said);

	/* the node appears a moment after the module where no devtmpfs is */
	for (i = 0; !status && i < 100 && access(DEVICE, F_OK); i++)
		usleep(20000);
	if (!access(DEVICE, F_OK))
		return 0;

	uname(&un);
	if (status)
		say_status(status, how, sizeof(how));
	if (status)
		snprintf(err, errlen,
			 "cannot load the module datafs for kernel %s: modprobe %s%s%s",
			 un.release, how, *line ? ": " : "", line);
	else
		snprintf(err, errlen, "the module datafs is loaded but %s is missing",
			 DEVICE);
	return -ENODEV;
}

/* ------------------------------------------------------------------ lock */

static int run_path(char **path, const char *instance, const char *suffix)
{
	if (asprintf(path, DATAFS_RUN_DIR "/%s.%s", instance, suffix) < 0)
		return -ENOMEM;
	return 0;
}

/* The lock's file, open; @path is the caller's then. */
static int open_lock(const char *instance, char **path, char *err, size_t errlen)
{
	int fd, ret;

	if (mkdir(DATAFS_RUN_DIR, 0755) && errno != EEXIST) {
		ret = -errno;
		snprintf(err, errlen, "%s: %s", DATAFS_RUN_DIR, strerror(-ret));
		return ret;
	}
	ret = run_path(path, instance, "lock");
	if (ret) {
		snprintf(err, errlen, "%s", strerror(-ret));
		return ret;
	}
	fd = open(*path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	ret = -errno;
	snprintf(err, errlen, "%s: %s", *path, strerror(-ret));
	free(*path);
	return ret;
}

int datafs_instance_lock(const char *instance, char *err, size_t errlen)
{
	char *path;
	int fd, ret;

	fd = open_lock(instance, &path, err, errlen);
	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_SH)) {
		if (errno == EINTR)
			continue;
		ret = -errno;
		snprintf(err, errlen, "%s: %s", path, strerror(-ret));
		close(fd);
		fd = ret;
		break;
	}
	free(path);
	return fd;
}

int datafs_instance_lock_alone(const char *instance, int timeout_ms, char *err,
			       size_t errlen)
{
	int64_t deadline = now_ms() + timeout_ms;
	char *path;
	int fd, ret = 0;

	fd = open_lock(instance, &path, err, errlen);
	if (fd < 0)
		return fd;
	while (!ret && flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			ret = -errno;
		else if (now_ms() >= deadline)
			ret = -ETIMEDOUT;
		else
			usleep(20000);
	}
	if (ret) {
		snprintf(err, errlen, "%s: %s", path, ret == -ETIMEDOUT ?
			 "somebody is mounting from this instance and does not come to an end" :
			 strerror(-ret));
		close(fd);
		fd = ret;
	}
	free(path);
	return fd;
}

/* ---------------------------------------------------------------- daemon */

/* $DATAFSD, else the one beside this program, else the installed one. */
static char *find_daemon(void)
{
	const char *env = secure_getenv("DATAFSD");
	char self[4096], *path, *slash;
	ssize_t n;

	if (env && *env)
		return strdup(env);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
			if (asprintf(&path, "%s/datafsd", self) < 0)
				return NULL;
			if (!access(path, X_OK))
				return path;
			free(path);
		}
	}
	return strdup("/usr/sbin/datafsd");
}

/* The daemon changes to "/": a relative directory is the caller's. */
static char *absolute(const char *path)
{
	char *cwd, *res;

	if (*path == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	if (asprintf(&res, "%s/%s", cwd, path) < 0)
		res = NULL;
	free(cwd);
	return res;
}

/*
 * In the child: becomes the daemon. Its standard error is a file that only
 * root reads, since nobody else is there to take it.
 */
static void exec_daemon(char **argv, int ready, int logfd)
{
	static const int reset[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD };
	sigset_t none;
	size_t i;
	int null;

	for (i = 0; i < sizeof(reset) / sizeof(*reset); i++)
		signal(reset[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	/* above all that is about to be replaced */
	ready = fcntl(ready, F_DUPFD_CLOEXEC, READY_FD + 1);
	logfd = fcntl(logfd, F_DUPFD_CLOEXEC, READY_FD + 1);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (ready < 0 || logfd < 0 || null < 0)
		_exit(126);
	null = fcntl(null, F_DUPFD_CLOEXEC, READY_FD + 1);
	if (null < 0 || setsid() < 0 || chdir("/") ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(logfd, STDERR_FILENO) < 0 || dup2(ready, READY_FD) < 0)
		_exit(126);
	umask(022);
	/* whatever the caller had open is none of its business */
	close_range(READY_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execv(argv[0], argv);
	dprintf(READY_FD, "error: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Nothing may be left that begins to serve when nobody counts on it any more. */
static bool end_daemon(pid_t pid, int ms)
{
	kill(pid, SIGTERM);
	if (child_ends(pid, ms))
		return true;
	kill(pid, SIGKILL);
	return child_ends(pid, END_MS);
}

static int await_ready(pid_t pid, int fd, int timeout_ms, const char *daemon,
		       const char *log, char *err, size_t errlen)
{
	char line[1000], how[60];
	int status = 0, ret;
	bool ended;

	ret = read_line(fd, now_ms() + timeout_ms, line, sizeof(line));
	if (ret == 1 && !strcmp(line, "ready"))
		return 0;
	if (ret < 0) {
		ended = end_daemon(pid, timeout_ms < END_MS ? timeout_ms : END_MS);
		snprintf(err, errlen, "%s was not ready after %d seconds and %s; see %s",
			 daemon, timeout_ms / 1000, ended ? "was ended" :
			 "cannot be killed (does its cache's disk answer?)", log);
		return ret;
	}
	wait_child(pid, &status);
	if (ret == 0) {
		say_status(status, how, sizeof(how));
		snprintf(err, errlen, "%s %s before it was ready; see %s",
			 daemon, how, log);
		return -EIO;
	}
	if (!strncmp(line, "error: ", 7))
		snprintf(err, errlen, "%s", line + 7);
	else
		snprintf(err, errlen, "%s said \"%.200s\" instead of ready",
			 daemon, line);
	return strstr(line, SECOND_DAEMON) ? -EBUSY : -EIO;
}

/* Fork, with the pipe and the log open; see datafs_daemon_start(). */
static int spawn(char **argv, const char *log, int timeout_ms, char *err,
		 size_t errlen)
{
	int pipefd[2] = { -1, -1 }, logfd, ret;
	pid_t pid;

	logfd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
		     0600);
	if (logfd < 0) {
		ret = -errno;
		snprintf(err, errlen, "%s: %s", log, strerror(-ret));
		return ret;
	}
	pid = pipe2(pipefd, O_CLOEXEC) ? -1 : fork();
	if (!pid)
		exec_daemon(argv, pipefd[1], logfd);
	if (pid < 0) {
		ret = -errno;
		snprintf(err, errlen, "cannot start %s: %s", argv[0], strerror(-ret));
	}
	close(logfd);
	if (pipefd[1] >= 0)
		close(pipefd[1]);
	if (pid > 0)
		ret = await_ready(pid, pipefd[0], timeout_ms, argv[0], log, err,
				  errlen);
	if (pipefd[0] >= 0)
		close(pipefd[0]);
	return ret;
}

int datafs_daemon_start(const struct datafs_mount_opts *opts, int timeout_ms,
			char *err, size_t errlen)
{
	char fd_arg[12], *argv[12], *log = NULL, *dir = NULL;
	int n = 0, ret = -ENOMEM;

	snprintf(fd_arg, sizeof(fd_arg), "%d", READY_FD);
	argv[n++] = find_daemon();
	argv[n++] = "--embedded";
	argv[n++] = "--name";
	argv[n++] = opts->instance;
	argv[n++] = "--ready-fd";
	argv[n++] = fd_arg;
	if (opts->cache_dir) {
		dir = absolute(opts->cache_dir);
		if (!dir)
			goto out;
		argv[n++] = "--cache-dir";
		argv[n++] = dir;
	}
	if (opts->cache_size) {
		argv[n++] = "--cache-size";
		argv[n++] = opts->cache_size;
	}
	argv[n] = NULL;
	if (argv[0] && !run_path(&log, opts->instance, "log"))
		ret = spawn(argv, log, timeout_ms, err, errlen);
out:
	if (ret == -ENOMEM)
		snprintf(err, errlen, "%s", strerror(ENOMEM));
	free(argv[0]);
	free(log);
	free(dir);
	return ret;
}
