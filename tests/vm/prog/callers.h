/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers who make a request of each opcode, all at once, whose answers they
 * compare: processes that have prepared, and wait to be told. The mount has the
 * tree of make_callers() (lib.sh) below "s".
 */
#ifndef DATAFS_TEST_CALLERS_H
#define DATAFS_TEST_CALLERS_H

#include <dirent.h>
#include <signal.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "channel.h"

#define CALLERS_MAX	16

static const char *instance;
static int callers;		/* of each opcode */
static struct stat dirs[CALLERS_MAX];

static const char *name_of(const char *what, int i)
{
	static char name[100];

	snprintf(name, sizeof(name), "%s/s/%s%d", dir, what, i);
	return name;
}

static int opened(const char *name, int flags)
{
	int fd = open(name, O_RDONLY | flags);

	if (fd < 0)
		die("%s: %m", name);
	return fd;
}

static void drop(const char *what)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (fd < 0 || write(fd, what, 1) != 1)
		die("drop_caches: %m");
	close(fd);
}

/* -------------------------------------------------------------- the callers */

/* What each prepares while the real daemon answers is an open file... */
static int at_odd(int i)
{
	(void)i;
	return opened(name_of("odd", 0), 0);
}

static int at_top(int i)
{
	(void)i;
	return opened(dir, O_DIRECTORY);
}

static int at_list(int i)
{
	(void)i;
	int fd = opened(name_of("dirs", 0), O_DIRECTORY);

	/* "." and "..", which need no answer, would hide an error */
	if (lseek(fd, 2, SEEK_SET) != 2)
		die("lseek: %m");
	return fd;
}

static int at_link(int i)
{
	return opened(name_of("links0/l", i), O_PATH | O_NOFOLLOW);
}

static int at_cold(int i)
{
	return opened(name_of("cold0/f", i), 0);
}

static char first[DATAFS_GRANULE];

static int at_bad(int i)
{
	int fd = opened(name_of("bad0/f", i), 0);

	if (pread(fd, first, DATAFS_GRANULE, 0) != DATAFS_GRANULE)
		die("bad %d: %m", i);
	return fd;
}

static struct file_handle *handle;

static int at_dir(int i)
{
	int mount_id;

	handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, name_of("dirs0/d", i), handle, &mount_id, 0))
		die("name_to_handle_at: %m");
	return opened(dir, O_DIRECTORY);
}

/* ...and this is what it then does with it: 0, or what was wrong. */
static int do_lookup(int fd, int i)
{
	struct stat st;
	char name[40];

	snprintf(name, sizeof(name), "none.%d.%d", getpid(), i);
	return fstatat(fd, name, &st, 0) && errno == ENOENT ? 0 : errno;
}

static int do_getattr(int fd, int i)
{
	struct statx stx;

	(void)i;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_ALL, &stx))
		return errno;
	return stx.stx_size == 70001 ? 0 : ERANGE;
}

static int do_readdir(int fd, int i)
{
	char entries[4096];
	ssize_t n = getdents64(fd, entries, sizeof(entries));

	(void)i;
	return n < 0 ? errno : n > 0 ? 0 : ENOENT;
}

static int do_readlink(int fd, int i)
{
	char got[100] = "", want[100];

	if (readlinkat(fd, "", got, sizeof(got) - 1) < 0)
		return errno;
	snprintf(want, sizeof(want), "to/%d", i);
	return strcmp(got, want) ? EILSEQ : 0;
}

/* Each of these files is its own number, as text, and zeros. */
static int do_extent(int fd, int i)
{
	char got[8] = "";

	if (pread(fd, got, 4, 0) != 4)
		return errno;
	return atoi(got) == i + 1 ? 0 : EILSEQ;
}

static int do_bad_extent(int fd, int i)
{
	static char again[DATAFS_GRANULE];

	(void)i;
	if (pread(fd, again, DATAFS_GRANULE, 0) != DATAFS_GRANULE)
		return errno;
	return memcmp(again, first, DATAFS_GRANULE) ? EILSEQ : 0;
}

static int do_getxattr(int fd, int i)
{
	char got[10] = "";

	(void)i;
	if (fgetxattr(fd, "user.colour", got, sizeof(got)) < 0)
		return errno;
	return strcmp(got, "blue") ? EILSEQ : 0;
}

static int do_listxattr(int fd, int i)
{
	char got[100] = "";

	(void)i;
	if (flistxattr(fd, got, sizeof(got)) < 0)
		return errno;
	return strcmp(got, "user.colour") ? EILSEQ : 0;
}

static int do_statfs(int fd, int i)
{
	struct statfs st;

	(void)i;
	return fstatfs(fd, &st) ? errno : 0;
}

static int do_parent(int fd, int i)
{
	struct stat st;
	int got = open_by_handle_at(fd, handle, O_RDONLY | O_DIRECTORY);

	if (got < 0 || fstat(got, &st))
		return errno;
	return st.st_ino == dirs[i].st_ino ? 0 : EILSEQ;
}

static int do_mount(int fd, int i)
{
	char to[40], opts[100];

	(void)fd;
	snprintf(to, sizeof(to), "/mnt/none%d", i);
	snprintf(opts, sizeof(opts), "instance=%s", instance);
	mkdir(to, 0700);
	return mount("/mnt/disk/src", to, "datafs", 0, opts) ? errno : 0;
}

static int do_umount(int fd, int i)
{
	char to[40];

	(void)fd;
	snprintf(to, sizeof(to), "/mnt/more%d", i);
	return umount(to) ? errno : 0;
}

/*
 * In the order in which they prepare: each with what has to be dropped after
 * them. REVOKE_DONE is nobody's.
 */
static struct kind {
	enum datafs_opcode op;
	const char *name;
	int (*prepare)(int i);
	int (*act)(int fd, int i);
	int expect;
	const char *drop;
} kinds[] = {
	{ DATAFS_OP_PARENT, "parent", at_dir, do_parent, 0, "3" },
	{ DATAFS_OP_BAD_EXTENT, "bad_extent", at_bad, do_bad_extent, 0, "1" },
	{ DATAFS_OP_LOOKUP, "lookup", at_top, do_lookup, 0, NULL },
	{ DATAFS_OP_GETATTR, "getattr", at_odd, do_getattr, 0, NULL },
	{ DATAFS_OP_READDIR, "readdir", at_list, do_readdir, 0, NULL },
	{ DATAFS_OP_READLINK, "readlink", at_link, do_readlink, 0, NULL },
	{ DATAFS_OP_EXTENT, "extent", at_cold, do_extent, 0, NULL },
	{ DATAFS_OP_GETXATTR, "getxattr", at_odd, do_getxattr, 0, NULL },
	{ DATAFS_OP_LISTXATTR, "listxattr", at_odd, do_listxattr, 0, NULL },
	{ DATAFS_OP_STATFS, "statfs", at_odd, do_statfs, 0, NULL },
	/* who mounts has nothing yet that could be worth a wait */
	{ DATAFS_OP_MOUNT, "mount", NULL, do_mount, ENOTCONN, NULL },
	{ DATAFS_OP_UMOUNT, "umount", NULL, do_umount, 0, NULL },
	{ DATAFS_OP_REVOKE_DONE, "revoke_done", NULL, NULL, 0, NULL },
};

#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static pid_t pids[KINDS][CALLERS_MAX];

/* Prepares, says so, and acts when told. */
static pid_t caller(const struct kind *k, int i, int ready_fd, const int go[2])
{
	pid_t pid = fork();
	char c = 0;
	int fd;

	if (pid)
		return pid;
	close(go[1]);
	fd = k->prepare ? k->prepare(i) : -1;
	if (write(ready_fd, &c, 1) != 1 || read(go[0], &c, 1))
		_exit(EPIPE);
	_exit(k->act(fd, i));
}

static void more_mounts(void)
{
	char to[40], opts[100];
	int i;

	snprintf(opts, sizeof(opts), "instance=%s", instance);
	for (i = 0; i < callers; i++) {
		snprintf(to, sizeof(to), "/mnt/more%d", i);
		mkdir(to, 0700);
		if (mount("/mnt/disk/src", to, "datafs", 0, opts))
			die("%s: %m", to);
	}
}

/* @store: where the daemon keeps what it caches. @go: a pipe, for tell_callers() */
static inline void prepare_callers(const char *store, const int go[2])
{
	char command_line[4300];
	int p[2], i;
	size_t k;
	char c;

	for (i = 0; i < callers; i++)
		if (stat(name_of("dirs0/d", i), &dirs[i]))
			die("%s: %m", name_of("dirs0/d", i));
	more_mounts();
	if (pipe(p))
		die("pipe: %m");
	for (k = 0; k < KINDS; k++) {
		for (i = 0; kinds[k].act && i < callers; i++) {
			pids[k][i] = caller(&kinds[k], i, p[1], go);
			if (read(p[0], &c, 1) != 1)
				die("pipe: %m");
		}
		if (kinds[k].op == DATAFS_OP_BAD_EXTENT) {
			snprintf(command_line, sizeof(command_line),
				 "[ $(corrupt /run/bad 0 %d %s/slabs/*) -ge %d ]",
				 callers, store, callers);
			if (system(command_line))
				die("the cache has not what was read");
		}
		if (kinds[k].drop)
			drop(kinds[k].drop);
	}
}

/* They wait for that. */
static inline void tell_callers(const int go[2])
{
	close(go[1]);
}

/* All of them end, as expected: by a status of reap(). */
static inline void callers_end(void)
{
	int i, status, wrong;
	size_t k;

	for (k = 0; k < KINDS; k++) {
		if (!kinds[k].act)
			continue;
		for (wrong = i = 0; i < callers; i++) {
			status = reap(pids[k][i]);
			if (status == kinds[k].expect)
				continue;
			printf("# %s %d: %d %s\n", kinds[k].name, i, status,
			       strerror(status));
			wrong++;
		}
		ok(!wrong, "every %s ends as it should", kinds[k].name);
	}
}

#endif
