// SPDX-License-Identifier: Apache-2.0
/*
 * The posix under-store: a directory tree of this machine, or an NFS mount.
 *
 * Every path is resolved below the root without following any symbolic link:
 * links belong to whoever reads them through the mount. What may be a FIFO or
 * a device is looked at through O_PATH files only, never opened. Filesystems
 * mounted inside the tree are entered, except datafs: the daemon would wait
 * for itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "datafs_abi.h"
#include "posix_fds.h"
#include "posix_temp.h"

#define PIECE_MAX	4000	/* of a key, for one system call; < PATH_MAX */

/* ------------------------------------------------------------ resolution */

/* EDEADLK: a mount of our own, which would wait for us. */
static int last_error(void)
{
	return errno == EDEADLK ? -ELOOP : -errno;
}

static int open_piece(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	/* EAGAIN: somebody renames a directory on the way just now. */
	do
		fd = syscall(SYS_openat2, dirfd, *path ? path : ".", &how,
			     sizeof(how));
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	if (fd >= 0)
		return fd;
	/* A link where a directory is wanted. ELOOP is kept for datafs. */
	return errno == ELOOP ? -ENOTDIR : last_error();
}

/* The directory of the last name in @key, which *@last becomes. */
static int open_parent(struct posix *p, const char *key, const char **last)
{
	const char *end = strrchr(key, '/');
	char piece[PIECE_MAX + 1];
	int dir = p->root_fd, fd;

	while (end && key < end) {
		size_t n = end - key;

		if (n > PIECE_MAX)
			for (n = PIECE_MAX; n && key[n] != '/'; n--)
				;
		memcpy(piece, key, n);
		piece[n] = 0;
		key += n + 1;
		fd = n ? open_piece(dir, piece, O_PATH | O_DIRECTORY) :
			 -ENAMETOOLONG;
		if (dir != p->root_fd)
			close(dir);
		if (fd < 0)
			return fd;
		dir = fd;
	}
	*last = key;
	return dir;
}

/*
 * The client of a network filesystem believes a name for as long as it believes
 * what it knows of the directory, so that is looked at first. Those further up
 * were looked at when their own names were.
 */
int datafs_posix_open_key(struct posix *p, const char *key, int flags)
{
	const char *last;
	struct statx x;
	int dir, fd;

	dir = open_parent(p, key, &last);
	if (dir < 0)
		return dir;
	fd = *last ? datafs_posix_look(p, dir, &x) : 0;
	if (!fd && datafs_posix_is_temp(last))
		fd = -ENOENT;
	if (!fd)
		fd = open_piece(dir, last, flags);
	if (dir != p->root_fd)
		close(dir);
	return fd;
}

static int refuse_datafs(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return last_error();
	return fs.f_type == DATAFS_SUPER_MAGIC ? -ELOOP : 0;
}

int datafs_posix_look(struct posix *p, int fd, struct statx *x)
{
	if (statx(fd, "", DATAFS_POSIX_LOOK, DATAFS_POSIX_STAT, x))
		return last_error();
	return dev_of(x) == p->root_dev ? 0 : refuse_datafs(fd);
}

/* Opens what may be anything, without touching it. */
int datafs_posix_open_object(struct posix *p, const char *key, struct statx *x)
{
	int fd, err;

	/* ESTALE: another client replaced it between the two looks. */
	for (int i = 0; i < 3; i++) {
		fd = datafs_posix_open_key(p, key, O_PATH);
		/* Below what is no directory there is nothing: proven. */
		if (fd == -ENOTDIR)
			return -ENOENT;
		if (fd < 0)
			return fd;
		err = datafs_posix_look(p, fd, x);
		if (!err)
			return fd;
		close(fd);
		if (err != -ESTALE)
			break;
	}
	return err;
}

/* --------------------------------------------------------------- reading */

int datafs_posix_check_state(struct posix *p, int fd, const struct datafs_fingerprint *fp)
{
	struct datafs_fingerprint now;
	struct statx x;

	if (statx(fd, "", DATAFS_POSIX_LOOK, DATAFS_POSIX_STAT, &x))
		return -errno;
	now = datafs_posix_fingerprint(p, &x);
	return memcmp(&now, fp, sizeof(now)) ? -ESTALE : 0;
}

int datafs_posix_open_data(struct posix *p, const char *key,
			   const struct datafs_fingerprint *fp)
{
	struct statx x;
	int obj = datafs_posix_open_object(p, key, &x), fd, err;

	/* The name is gone or leads elsewhere: so is this state of it. */
	if (obj == -ENOENT)
		return -ESTALE;
	if (obj < 0)
		return obj;
	err = S_ISREG(x.stx_mode) ? datafs_posix_check_state(p, obj, fp) : -ESTALE;
	if (err) {
		close(obj);
		return err;
	}
	/* The very object that was looked at, and known to be a regular file. */
	fd = open(proc_path(obj).s, O_RDONLY | O_NOATIME | O_CLOEXEC);
	if (fd < 0 && errno == EPERM)
		fd = open(proc_path(obj).s, O_RDONLY | O_CLOEXEC);
	err = -errno;
	close(obj);
	return fd < 0 ? err : fd;
}

/*
 * A file that was kept open is not looked up again by its name: whether the
 * name still leads to it matters to the namespace, not to the bytes. Its state
 * is what the fingerprint says or the answer is ESTALE; taking a name away
 * changes ctime and is therefore seen as well.
 *
 * The bytes pass through the page cache of the source. They are left there:
 * other programs of this machine may use it, and it is clean memory.
 */
static ssize_t posix_read(struct datafs_under *u, const char *key,
			  const struct datafs_fingerprint *fp, uint64_t off,
			  void *buf, size_t len)
{
	struct posix *p = posix_of(u);
	struct datafs_posix_fd *f = datafs_posix_fd_get(p->fds, key, fp);
	size_t done = 0;
	int fd, err;

	if (f) {
		fd = datafs_posix_fd_nr(f);
		err = datafs_posix_check_state(p, fd, fp);
	} else {
		fd = datafs_posix_open_data(p, key, fp);
		if (fd < 0)
			return fd;
		f = datafs_posix_fd_add(p->fds, key, fp, fd);
		err = 0; /* looked at just now */
	}
	while (!err && done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
				  off + done);

		if (n > 0)
			done += n;
		else if (!n)
			break;
		else if (errno != EINTR)
			err = -errno;
	}
	if (!err)
		err = datafs_posix_check_state(p, fd, fp);
	if (f)
		datafs_posix_fd_put(p->fds, f, !err);
	else
		close(fd);
	return err ?: (ssize_t)done;
}

/* --------------------------------------------------------------- the store */

static int posix_statfs(struct datafs_under *u, struct statfs *st)
{
	return fstatfs(posix_of(u)->root_fd, st) ? -errno : 0;
}

static void posix_close(struct datafs_under *u)
{
	struct posix *p = posix_of(u);

	if (p->fds)
		datafs_posix_fds_free(p->fds);
	if (p->root_fd >= 0)
		close(p->root_fd);
}

static int open_root(struct posix *p, const char *path)
{
	struct statx x;
	int err;

	if (*path != '/') {
		datafs_under_log(p->u.opts, LOG_ERR, "source %s: not an absolute path", path);
		return -EINVAL;
	}
	p->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->root_fd < 0 || statx(p->root_fd, "", DATAFS_POSIX_LOOK,
				    DATAFS_POSIX_STAT, &x)) {
		err = -errno;
		datafs_under_log(p->u.opts, LOG_ERR, "source %s: %s", path, strerror(-err));
		return err;
	}
	p->root_dev = dev_of(&x);
	err = refuse_datafs(p->root_fd);
	if (err)
		datafs_under_log(p->u.opts, LOG_ERR, "source %s: %s", path, err == -ELOOP ?
				 "is on datafs itself; name the tree it shows" :
				 strerror(-err));
	return err;
}

static int posix_open(struct datafs_under *u, const char *source)
{
	static const char scheme[] = "posix://";
	struct posix *p = posix_of(u);
	int err;

	u->caps = DATAFS_UNDER_WRITE | DATAFS_UNDER_DIRS | DATAFS_UNDER_ATTRS |
		  DATAFS_UNDER_LINKS | DATAFS_UNDER_XATTRS | DATAFS_UNDER_COPY |
		  DATAFS_UNDER_RENAME | DATAFS_UNDER_RENAME_DIR | DATAFS_UNDER_IF_ABSENT;
	p->root_fd = -1;
	p->fds = datafs_posix_fds_new();
	if (!strncmp(source, scheme, sizeof(scheme) - 1))
		source += sizeof(scheme) - 1;
	err = p->fds ? open_root(p, source) : -ENOMEM;
	if (err)
		posix_close(u);
	return err;
}

const struct datafs_under_ops datafs_under_posix = {
	.size = sizeof(struct posix),
	.one_request = true,
	.open = posix_open,
	.close = posix_close,
	.stat = datafs_posix_stat,
	.list = datafs_posix_list,
	.read = posix_read,
	.readlink = datafs_posix_readlink,
	.getxattr = datafs_posix_getxattr,
	.listxattr = datafs_posix_listxattr,
	.statfs = posix_statfs,
	.put = datafs_posix_put,
	.begin = datafs_posix_begin,
	.part = datafs_posix_part,
	.complete = datafs_posix_complete,
	.abort = datafs_posix_abort,
	.mkdir = datafs_posix_mkdir,
	.rmdir = datafs_posix_rmdir,
	.remove = datafs_posix_remove,
	.rename = datafs_posix_rename,
	.copy = datafs_posix_copy,
};
