// SPDX-License-Identifier: Apache-2.0
/* The posix under-store: what an object is, and what a directory holds. */
#define _GNU_SOURCE
#include "posix_temp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* An entry of a directory, for calls that do not follow links. */
static struct proc_path proc_path_of(int dirfd, const char *name)
{
	struct proc_path p;

	snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d/%s", dirfd, name);
	return p;
}

static uint64_t ns_of(const struct statx_timestamp *t)
{
	return (uint64_t)t->tv_sec * 1000000000u + t->tv_nsec;
}

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){ t->tv_sec, t->tv_nsec };
}

struct datafs_fingerprint datafs_posix_fingerprint(struct posix *p,
					     const struct statx *x)
{
	uint64_t dev = dev_of(x);

	return (struct datafs_fingerprint){ {
		dev == p->root_dev ? 0 : dev,
		x->stx_ino,
		x->stx_size,
		ns_of(&x->stx_mtime),
		ns_of(&x->stx_ctime),
		x->stx_mask & STATX_BTIME ? ns_of(&x->stx_btime) : 0,
	} };
}

/*
 * Believed only in the second in which it was found: after a remount below the
 * source the number may be of another filesystem, whose ACLs must be seen. One
 * word, so that threads need no lock: Linux numbers devices with 12 and 20 bits.
 */
static uint64_t no_xattr(const struct statx *x)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)(uint32_t)now.tv_sec << 32 |
	       (uint32_t)x->stx_dev_major << 20 | x->stx_dev_minor;
}

static bool lacks_xattrs(struct posix *p, const struct statx *x)
{
	uint64_t entry = no_xattr(x);

	for (int i = 0; i < NO_XATTR_MAX; i++)
		if (__atomic_load_n(&p->no_xattr[i], __ATOMIC_RELAXED) == entry)
			return true;
	return false;
}

static bool names_have_acl(const char *names, ssize_t len)
{
	for (const char *n = names; n < names + len; n += strlen(n) + 1)
		if (!strcmp(n, "system.posix_acl_access") ||
		    !strcmp(n, "system.posix_acl_default"))
			return true;
	return false;
}

/*
 * An error is an error of the whole stat: an ACL that is not seen would let in
 * whom it shuts out.
 */
static int look_at_xattrs(struct posix *p, const char *path,
			  ssize_t (*list)(const char *, char *, size_t),
			  const struct statx *x, struct datafs_under_stat *st)
{
	char few[1024], *names = few, *many = NULL;
	uint32_t i;
	ssize_t n;

	if (lacks_xattrs(p, x))
		return 0;
	n = list(path, few, sizeof(few));
	if (n < 0 && errno == ERANGE) {
		names = many = malloc(XATTR_LIST_MAX);
		if (!many)
			return -ENOMEM;
		n = list(path, many, XATTR_LIST_MAX);
	}
	if (n > 0) {
		st->has_xattr = true;
		st->has_acl = names_have_acl(names, n);
	}
	free(many);
	if (n >= 0)
		return 0;
	if (errno == E2BIG) { /* more than a list can hold: all may be there */
		st->has_xattr = st->has_acl = true;
		return 0;
	}
	if (errno != EOPNOTSUPP)
		return -errno;
	/* Some filesystems say so of links and devices only. */
	if (S_ISREG(x->stx_mode) || S_ISDIR(x->stx_mode)) {
		i = __atomic_fetch_add(&p->no_xattr_next, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&p->no_xattr[i % NO_XATTR_MAX], no_xattr(x),
				 __ATOMIC_RELAXED);
	}
	return 0;
}

static uint64_t file_id(const struct datafs_fingerprint *fp)
{
	uint64_t id = fp->v[1] ^ fp->v[0] * 0x9e3779b97f4a7c15ull;

	return id ?: 1;
}

static void fill_stat(struct posix *p, const struct statx *x,
		      const struct timespec *seen,
		      struct datafs_under_stat *st)
{
	*st = (struct datafs_under_stat){
		.size = x->stx_size,
		.blocks = x->stx_blocks,
		.atime = time_of(&x->stx_atime),
		.mtime = time_of(&x->stx_mtime),
		.ctime = time_of(&x->stx_ctime),
		.btime = time_of(&x->stx_btime),
		.mode = x->stx_mode,
		.nlink = x->stx_nlink,
		.uid = x->stx_uid,
		.gid = x->stx_gid,
		.rdev_major = x->stx_rdev_major,
		.rdev_minor = x->stx_rdev_minor,
		.has_btime = x->stx_mask & STATX_BTIME,
		.fp = datafs_posix_fingerprint(p, x),
		.seen = *seen,
	};
	st->file_id = file_id(&st->fp);
}

int datafs_posix_stat(struct datafs_under *u, const char *key,
		      struct datafs_under_stat *st)
{
	struct posix *p = posix_of(u);
	struct proc_path path;
	struct timespec seen;
	struct statx x;
	int fd, err;

	clock_gettime(CLOCK_REALTIME, &seen);
	fd = datafs_posix_open_object(p, key, &x);
	if (fd < 0)
		return fd;
	fill_stat(p, &x, &seen, st);
	path = proc_path(fd);
	err = look_at_xattrs(p, path.s, listxattr, &x, st);
	close(fd);
	return err;
}

static int list_one(struct posix *p, int dirfd, const char *name,
		    datafs_under_list_fn fn, void *arg)
{
	struct datafs_under_stat st;
	struct proc_path path;
	struct timespec seen;
	struct statx x;
	int err;

	clock_gettime(CLOCK_REALTIME, &seen);
	err = statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		    DATAFS_POSIX_STAT, &x) ? -errno : 0;
	if (!err) {
		fill_stat(p, &x, &seen, &st);
		path = proc_path_of(dirfd, name);
		err = look_at_xattrs(p, path.s, llistxattr, &x, &st);
	}
	if (err == -ENOENT)
		return 0; /* went while we listed */
	if (err == -ENOMEM)
		return err;
	/* Another mount perhaps, of a user who lets nobody in, or of our own. */
	return fn(arg, name, err ? NULL : &st);
}

/* A place is the offset of seekdir(3), as digits. */
static int go_to(DIR *d, const struct datafs_under_place *place)
{
	char *end;
	long off;

	if (!*place->token)
		return 0;
	errno = 0;
	off = strtol(place->token, &end, 10);
	if (errno || *end)
		return -EINVAL;
	seekdir(d, off);
	return 0;
}

int datafs_posix_list(struct datafs_under *u, const char *key,
		      struct datafs_under_place *place, datafs_under_list_fn fn, void *arg)
{
	struct posix *p = posix_of(u);
	int fd = datafs_posix_open_key(p, key, O_RDONLY | O_DIRECTORY), err;
	struct dirent *e;
	struct statx x;
	DIR *d;

	if (fd < 0)
		return fd;
	err = datafs_posix_look(p, fd, &x);
	d = err ? NULL : fdopendir(fd);
	if (!d) {
		err = err ?: -errno;
		close(fd);
		return err;
	}
	err = go_to(d, place);
	while (!err) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			err = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    !datafs_posix_is_temp(e->d_name))
			err = list_one(p, fd, e->d_name, fn, arg);
		if (err >= 0)
			snprintf(place->token, sizeof(place->token), "%ld", (long)e->d_off);
	}
	closedir(d);
	return err;
}

ssize_t datafs_posix_readlink(struct datafs_under *u, const char *key,
			      char *buf, size_t len)
{
	struct statx x;
	int fd = datafs_posix_open_object(posix_of(u), key, &x);
	ssize_t n;

	if (fd < 0)
		return fd;
	/* readlinkat says ENOENT to what is there and is no link. */
	n = S_ISLNK(x.stx_mode) ? readlinkat(fd, "", buf, len) : -1;
	n = n >= 0 ? n : S_ISLNK(x.stx_mode) ? -errno : -EINVAL;
	close(fd);
	return n;
}

ssize_t datafs_posix_getxattr(struct datafs_under *u, const char *key,
			      const char *name, void *buf, size_t len)
{
	struct statx x;
	int fd = datafs_posix_open_object(posix_of(u), key, &x);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = getxattr(proc_path(fd).s, name, buf, len);
	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

ssize_t datafs_posix_listxattr(struct datafs_under *u, const char *key,
			       char *buf, size_t len)
{
	struct statx x;
	int fd = datafs_posix_open_object(posix_of(u), key, &x);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = listxattr(proc_path(fd).s, buf, len);
	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}
