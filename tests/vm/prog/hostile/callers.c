// SPDX-License-Identifier: Apache-2.0
/*
 * Programs that use the mount without a pause. While the daemon is hostile they may
 * get any error and any bytes, but each call must end; while it behaves well, what
 * they get is compared with the tree.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "hostile.h"

#define ROOM		(1u << 20)
#define HANG_MS		(faults ? 240000 : 120000)

static struct caller *me;
static uint64_t rng;
static char path[PATHS];
static unsigned char *room;
static char mount_point[32];

static const char *path_of(unsigned int node)
{
	return tree_path(node, path);
}

static unsigned int any_node(void)
{
	/* Most of all those that are not one of many alike. */
	return rnd(&rng) % (rnd(&rng) % 4 ? 21 : n_nodes);
}

/* ------------------------------------------------------------------- calls */

static sigjmp_buf bus;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(bus, 1);
}

/* O_NONBLOCK: by a lie it may be a FIFO. */
static int open_any(int flags)
{
	return open(path_of(any_node()), O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
}

static void do_stat(void)
{
	struct stat st;

	fstatat(AT_FDCWD, path_of(any_node()), &st, AT_SYMLINK_NOFOLLOW);
}

static void do_look(void)
{
	struct statx st;

	statx(AT_FDCWD, path_of(any_node()), AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC,
	      STATX_BASIC_STATS | STATX_BTIME, &st);
}

static void do_absent(void)
{
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s%u", mount_dir, rnd(&rng) % 2 ? "" : "dir/",
		 (unsigned int)(rnd(&rng) % 1000));
	stat(path, &st);
}

/* Some files stay open: then there is no name on the way to their bytes. */
#define OPEN		6

static int open_fd[2][OPEN];		/* without and with O_DIRECT; 0: none */

static void close_all(void)
{
	int i;

	for (i = 0; i < 2 * OPEN; i++)
		if (open_fd[i / OPEN][i % OPEN]) {
			close(open_fd[i / OPEN][i % OPEN]);
			open_fd[i / OPEN][i % OPEN] = 0;
		}
}

static int some_file(bool direct)
{
	int *fd = &open_fd[direct][rnd(&rng) % OPEN], got;

	if (*fd && rnd(&rng) % 12)
		return *fd;
	got = open_any(direct ? O_DIRECT : 0);
	if (got < 0)
		return *fd ? *fd : -1;
	if (*fd)
		close(*fd);
	return *fd = got;
}

static void do_read(bool direct)
{
	int fd = some_file(direct);
	size_t n = (1 + rnd(&rng) % 40) * GRANULE;
	off_t at = rnd(&rng) % 3 ? 0 : rnd(&rng) % 100 * GRANULE;

	if (fd < 0)
		return;
	if (!direct && rnd(&rng) % 2)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (rnd(&rng) % 32 == 0)
		at = INT64_MAX - n;
	if (pread(fd, room, n, at) > 0 && !direct)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void do_cached(void)
{
	do_read(false);
}

static void do_direct(void)
{
	do_read(true);
}

static void do_ahead(void)
{
	int fd = some_file(false);

	if (fd < 0)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, rnd(&rng) % 8 * GRANULE, 64 * GRANULE, POSIX_FADV_WILLNEED);
}

/* Reads a byte of a mapping, if it is there. */
static void touch(const volatile unsigned char *p)
{
	if (!sigsetjmp(bus, 1))
		(void)*p;
}

static void do_map(void)
{
	size_t i, n = (1 + rnd(&rng) % 16) * GRANULE;
	int fd = some_file(false);
	unsigned char *p;

	if (fd < 0)
		return;
	p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED) {
		for (i = 0; i < n; i += GRANULE)
			touch(p + i);
		munmap(p, n);
	}
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void do_list(void)
{
	static const unsigned int dirs[] = { 0, 1, 2, 3, 4 };
	DIR *d = opendir(path_of(dirs[rnd(&rng) % 5]));
	int n = 0;

	if (!d)
		return;
	if (rnd(&rng) % 8 == 0)
		seekdir(d, rnd(&rng) % 2 ? (long)(rnd(&rng) % 300) : (long)(rnd(&rng) >> 1));
	/* A listing may go on without end, if its cookies do. */
	while (n++ < 1000 && readdir(d))
		;
	closedir(d);
}

static void do_link(void)
{
	unsigned int node = 13 + rnd(&rng) % 4;

	if (readlink(path_of(node), (char *)room, 5000) < 0)
		return;
}

static void do_getxattr(void)
{
	static const char *const names[] = {
		"user.small", "user.large", "user.none", "system.posix_acl_access",
		"system.posix_acl_default", "security.capability",
	};
	ssize_t n = lgetxattr(path_of(any_node()), names[rnd(&rng) % 6], room,
			      rnd(&rng) % 3 ? 65536 : rnd(&rng) % 8);

	(void)n;
}

static void do_listxattr(void)
{
	ssize_t n = llistxattr(path_of(any_node()), (char *)room,
			       rnd(&rng) % 3 ? 65536 : rnd(&rng) % 8);

	(void)n;
}

static void do_statfs(void)
{
	struct statfs s;

	statfs(path_of(0), &s);
}

/* By a handle, so that a directory's parent must be asked for. */
static void do_handle(void)
{
	static const unsigned int dirs[] = { 1, 2, 3, 4 };
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 128];
	} u;
	uint64_t ino = tree_ino(rnd(&rng) % 3 ? dirs[rnd(&rng) % 4] : any_node(),
				UNKNOWN_GENERATION + 64 + rnd(&rng) % 512);
	int dir = open(mount_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	if (dir < 0)
		return;
	u.h.handle_bytes = shared->handle_bytes;
	u.h.handle_type = shared->handle_type;
	memcpy(u.h.f_handle, shared->handle, shared->handle_bytes);
	memcpy(u.h.f_handle + shared->handle_ino, &ino, sizeof(ino));
	fd = open_by_handle_at(dir, &u.h, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	close(dir);
}

static bool put(const char *file, const char *what)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool res;

	if (fd < 0)
		return false;
	res = write(fd, what, strlen(what)) >= 0;
	close(fd);
	return res;
}

static void do_drop(void)
{
	static const char *const what[] = { "1", "2", "3" };

	if (rnd(&rng) % 30)
		return;
	if (rnd(&rng) % 4 == 0) {
		put("/proc/sys/vm/drop_caches", what[rnd(&rng) % 3]);
		return;
	}
	snprintf(path, sizeof(path), "/sys/fs/datafs/%u/drop_caches", mount_id);
	put(path, what[rnd(&rng) % 3]);
}

static void do_mount(void)
{
	if (mount("/hostile/other", mount_point, "datafs", MS_NODEV | MS_NOSUID,
		  rnd(&rng) % 2 ? "instance=" INSTANCE : "instance=" INSTANCE ",what=ever"))
		return;
	umount2(mount_point, rnd(&rng) % 4 ? 0 : MNT_DETACH);
}

/* In some directory: a name that is there when the daemon behaves well, or is not. */
static char *some_name(char *out)
{
	static const unsigned int dirs[] = { 0, 1, 2, 3, 4 };
	size_t n;

	if (rnd(&rng) % 2) {
		tree_path(1 + rnd(&rng) % 20, out);
		return out;
	}
	n = strlen(tree_path(dirs[rnd(&rng) % 5], out));
	snprintf(out + n, PATHS - n, "/made%u", (unsigned int)(rnd(&rng) % 8));
	return out;
}

static void do_make(void)
{
	int fd;

	some_name(path);
	switch (rnd(&rng) % 5) {
	case 0:
		fd = open(path, O_RDONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640);
		/* Without a name it lives on, and is released. */
		if (rnd(&rng) % 4)
			unlink(path);
		if (fd >= 0)
			close(fd);
		break;
	case 1:
		mkdir(path, 0750);
		break;
	case 2:
		mknod(path, S_IFIFO | 0600, 0);
		break;
	case 3:
		if (symlink("made0", path))
			return;
		break;
	default:
		if (link(tree_path(FILE_NODE, (char *)room), path))
			return;
	}
}

/* What the daemon has forgotten is there again when it is looked for. */
static void do_remove(void)
{
	char to[PATHS];
	int fd = -1;

	some_name(path);
	if (rnd(&rng) % 4)
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	switch (rnd(&rng) % 6) {
	case 0:
		rmdir(path);
		break;
	case 1:
		rename(path, some_name(to));
		break;
	case 2:
		renameat2(AT_FDCWD, path, AT_FDCWD, some_name(to),
			  rnd(&rng) % 2 ? RENAME_EXCHANGE : RENAME_NOREPLACE);
		break;
	default:
		unlink(path);
	}
	if (fd >= 0) {
		fchmod(fd, 0600);
		close(fd);
	}
}

static void do_set(void)
{
	some_name(path);
	switch (rnd(&rng) % 4) {
	case 0:
		if (lchown(path, rnd(&rng) % 3, 7))
			return;
		break;
	case 1:
		lsetxattr(path, "user.new", room, rnd(&rng) % 500, 0);
		break;
	case 2:
		lremovexattr(path, rnd(&rng) % 2 ? "user.small" : "system.posix_acl_access");
		break;
	default:
		chmod(path, 0600);
	}
}

static const struct {
	const char *name;
	void (*fn)(void);
	unsigned int share;
} ops[] = {
	{ "stat", do_stat, 10 }, { "statx", do_look, 10 }, { "no such file", do_absent, 4 },
	{ "read", do_cached, 20 }, { "read O_DIRECT", do_direct, 20 }, { "fadvise", do_ahead, 4 },
	{ "mmap", do_map, 8 }, { "readdir", do_list, 6 }, { "readlink", do_link, 6 },
	{ "getxattr", do_getxattr, 6 }, { "listxattr", do_listxattr, 4 },
	{ "statfs", do_statfs, 4 }, { "open_by_handle_at", do_handle, 10 },
	{ "create", do_make, 10 }, { "remove", do_remove, 12 }, { "set", do_set, 8 },
	{ "drop_caches", do_drop, 1 }, { "mount", do_mount, 0 },
};

#define OPS	(sizeof(ops) / sizeof(ops[0]))
#define MOUNTER	0		/* the caller that mounts, and does nothing else */

static void one_op(unsigned int i)
{
	unsigned int op, sum = 0, pick;

	for (op = 0; op < OPS; op++)
		sum += ops[op].share;
	pick = rnd(&rng) % sum;
	for (op = 0; pick >= ops[op].share; op++)
		pick -= ops[op].share;
	if (i == MOUNTER)
		op = OPS - 1;
	me->op = op;
	me->ops++;
	ops[op].fn();
}

/* -------------------------------------------------------------- their lives */

void fail_allocations(bool on)
{
	static bool now;		/* children have it from their parent, as the kernel's */

	/* What ends it needs memory itself. */
	while (faults && on != now)
		if (put("/proc/self/make-it-fail", on ? "1" : "0"))
			now = on;
}

static NORETURN void life(unsigned int i)
{
	unsigned int orders = 0;

	close_range(3, ~0u, 0);
	signal(SIGBUS, on_bus);
	signal(SIGALRM, SIG_DFL);
	alarm(0);
	me = &shared->caller[i];
	room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		_exit(1);
	if (i == MOUNTER)
		while (!umount2(mount_point, MNT_DETACH))
			;
	for (;;) {
		if (shared->orders == orders && shared->order != RUN) {
			usleep(2000);
			continue;
		}
		orders = shared->orders;
		switch (shared->order) {
		case RUN:
			fail_allocations(true);
			one_op(i);
			break;
		case CHECK:
			close_all();
			fail_allocations(false);
			if (i != MOUNTER)
				check_all(me, &rng);
			break;
		case REST:
			close_all();
			fail_allocations(false);
			/* Without a daemon the last numbers serve: now they are right. */
			do_statfs();
			break;
		case END:
			_exit(0);
		}
		me->obeyed = orders;
	}
}

static void start(unsigned int i)
{
	pid_t pid;

	rng = mix(seed ^ (uint64_t)i << 32 ^ shared->caller[i].ops);
	fflush(stdout);
	fail_allocations(false);
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (!pid)
		life(i);
	shared->caller[i].pid = pid;
	fail_allocations(shared->order == RUN);
}

void callers_start(void)
{
	unsigned int i;

	strcpy(mount_point, "/tmp/hostileXXXXXX");
	if (!mkdtemp(mount_point))
		die("%s: %m", mount_point);
	for (i = 0; i < CALLERS; i++)
		start(i);
}

void callers_order(enum order order)
{
	shared->order = order;
	shared->orders++;
}

bool callers_obeyed(void)
{
	unsigned int i;

	for (i = 0; i < CALLERS; i++)
		if (shared->caller[i].obeyed != shared->orders)
			return false;
	return true;
}

static void hung(unsigned int i, const char *what)
{
	char command[100];

	report(false, "caller %u hangs in %s %s", i, ops[shared->caller[i].op].name, what);
	snprintf(command, sizeof(command), "sed 's/^/# /' /proc/%d/stack", shared->caller[i].pid);
	if (system(command) || system("echo w > /proc/sysrq-trigger"))
		printf("# its stack cannot be had\n");
	die("# it goes no further");
}

void callers_kill(unsigned int i)
{
	uint64_t until = now_ms() + HANG_MS;
	int status;

	kill(shared->caller[i].pid, SIGKILL);
	serve_excuse();
	/* It may wait for a name that another one has asked for, until that is answered. */
	while (waitpid(shared->caller[i].pid, &status, WNOHANG) != shared->caller[i].pid) {
		serve(2);
		serve_excuse();
		if (now_ms() > until)
			hung(i, "and cannot be killed");
	}
	tally.kills++;
	start(i);
}

void callers_watch(void)
{
	static unsigned int seen[CALLERS];
	static uint64_t since[CALLERS];
	uint64_t now = now_ms();
	unsigned int i, sum;
	int status;

	for (i = 0; i < CALLERS; i++) {
		struct caller *c = &shared->caller[i];

		since[i] = since[i] ? since[i] : now;

		if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
			/* A fault that found no memory ends a program, which is no harm. */
			if (!faults)
				report(false, "caller %u ended with status %x", i, status);
			start(i);
		}
		sum = c->ops + c->checks;
		if (sum != seen[i] || (c->obeyed == shared->orders && shared->order != RUN)) {
			seen[i] = sum;
			since[i] = now;
		}
		if (now - since[i] > HANG_MS)
			hung(i, "");
	}
}

void callers_end(void)
{
	uint64_t until = now_ms() + HANG_MS;
	unsigned int i, left = CALLERS;
	int status;

	callers_order(END);
	while (left) {
		serve(5);
		for (i = 0; i < CALLERS; i++)
			if (shared->caller[i].pid &&
			    waitpid(shared->caller[i].pid, &status, WNOHANG) == shared->caller[i].pid) {
				shared->caller[i].pid = 0;
				left--;
			}
		if (now_ms() > until)
			hung(0, "or another, at the end");
	}
	/* By another process: this one is the daemon. */
	if (!fork()) {
		while (!umount2(mount_point, MNT_DETACH))
			;
		rmdir(mount_point);
		_exit(0);
	}
}
