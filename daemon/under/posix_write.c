// SPDX-License-Identifier: Apache-2.0
/*
 * The posix under-store: what changes it. Whatever appears under a name was written
 * elsewhere first and is on the disk; a link in the way of a name is replaced or
 * removed, never followed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix_temp.h"

#define COPY_PIECE	(1 << 20)

int datafs_posix_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		     const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		     struct datafs_fingerprint *fp)
{
	struct posix *p = posix_of(u);
	struct posix_temp t;
	struct posix_dir d;
	int err = datafs_posix_dir_open(p, key, &d);

	if (err)
		return err;
	err = datafs_posix_check_cond(p, key, cond);
	if (!err)
		err = datafs_posix_temp_new(&d, false, &t);
	if (!err) {
		err = datafs_posix_temp_write(&t, buf, len, 0);
		if (!err)
			err = datafs_posix_temp_publish(p, key, &d, &t, attr, cond, fp);
		datafs_posix_temp_drop(&d, &t);
	}
	close(d.fd);
	return err;
}

/* ---------------------------------------------------------------- uploads */

int datafs_posix_begin(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr, struct datafs_under_upload *up)
{
	struct posix_temp t;
	struct posix_dir d;
	int err = datafs_posix_dir_open(posix_of(u), key, &d);

	(void)attr;
	if (err)
		return err;
	err = datafs_posix_temp_new(&d, true, &t);
	if (!err) {
		err = datafs_posix_temp_token(&t, up);
		if (err)
			datafs_posix_temp_drop(&d, &t);
		else
			datafs_posix_temp_close(&t);
	}
	close(d.fd);
	return err;
}

static int upload_open(struct posix *p, const char *key, const struct datafs_under_upload *up,
		       struct posix_dir *d, struct posix_temp *t)
{
	int err = datafs_posix_dir_open(p, key, d);

	if (err)
		return err;
	err = datafs_posix_temp_open(d, up, t);
	if (err)
		close(d->fd);
	return err;
}

int datafs_posix_part(struct datafs_under *u, const char *key,
		      const struct datafs_under_upload *up, struct datafs_under_part *part,
		      const void *buf)
{
	struct posix_temp t;
	struct posix_dir d;
	int err = upload_open(posix_of(u), key, up, &d, &t);

	if (err)
		return err;
	err = datafs_posix_temp_write(&t, buf, part->len, part->off);
	/* Who closes the file may be the only one to be told that it was not written. */
	if (!err && fdatasync(t.fd))
		err = -errno;
	datafs_posix_temp_close(&t);
	close(d.fd);
	return err;
}

/* What a part that failed has left behind the last one goes; nothing may be missing. */
static int cut(const struct posix_temp *t, uint64_t size)
{
	struct stat st;

	if (fstat(t->fd, &st))
		return -errno;
	if ((uint64_t)st.st_size < size)
		return -EIO;
	return (uint64_t)st.st_size > size && ftruncate(t->fd, size) ? -errno : 0;
}

int datafs_posix_complete(struct datafs_under *u, const char *key,
			  const struct datafs_under_upload *up,
			  const struct datafs_under_part *parts, size_t n,
			  const struct datafs_under_attr *attr,
			  const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	struct posix *p = posix_of(u);
	struct posix_temp t;
	struct posix_dir d;
	int err = upload_open(p, key, up, &d, &t);

	if (err)
		return err;
	err = cut(&t, parts[n - 1].off + parts[n - 1].len);
	if (!err)
		err = datafs_posix_temp_publish(p, key, &d, &t, attr, cond, fp);
	datafs_posix_temp_close(&t);
	close(d.fd);
	return err;
}

int datafs_posix_abort(struct datafs_under *u, const char *key,
		       const struct datafs_under_upload *up)
{
	char name[DATAFS_POSIX_TEMP_LEN + 1];
	struct posix_dir d;
	int err = datafs_posix_temp_name(up, name);

	if (err)
		return err;
	err = datafs_posix_dir_open(posix_of(u), key, &d);
	/* With its directory it has gone, too. */
	if (err)
		return err == -ENOENT || err == -ENOTDIR ? 0 : err;
	if (unlinkat(d.fd, name, 0) && errno != ENOENT)
		err = -errno;
	else
		err = datafs_posix_dir_sync(&d);
	close(d.fd);
	return err;
}

/* ------------------------------------------------------------------ copies */

/* A piece of @from at @off; its bytes, 0 at the end, or an error. */
static ssize_t copy_some(int from, const struct posix_temp *to, void *buf, uint64_t off)
{
	ssize_t n;

	do
		n = pread(from, buf, COPY_PIECE, off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return datafs_posix_temp_write(to, buf, n, off) ?: n;
}

static int copy_by_hand(int from, const struct posix_temp *to, uint64_t off)
{
	void *buf = malloc(COPY_PIECE);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	for (; (n = copy_some(from, to, buf, off)) > 0; off += n)
		;
	free(buf);
	return n;
}

static int copy_bytes(int from, const struct posix_temp *to)
{
	uint64_t off = 0;

	for (;;) {
		loff_t in = off, out = off;
		ssize_t n = copy_file_range(from, &in, to->fd, &out, 1 << 30, 0);

		if (n > 0) {
			off += n;
			continue;
		}
		/*
		 * Nothing was copied: that was all, or this filesystem says so of what it
		 * makes up when it is read. Or it cannot, or not between these.
		 */
		if (!n || errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL ||
		    errno == ENOSYS)
			return copy_by_hand(from, to, off);
		if (errno != EINTR)
			return -errno;
	}
}

int datafs_posix_copy(struct datafs_under *u, const char *from,
		      const struct datafs_fingerprint *from_fp, const char *to,
		      const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		      struct datafs_fingerprint *fp)
{
	struct posix *p = posix_of(u);
	int data = datafs_posix_open_data(p, from, from_fp), err;
	struct posix_temp t;
	struct posix_dir d;

	if (data < 0)
		return data;
	err = datafs_posix_dir_open(p, to, &d);
	if (err)
		goto out;
	err = datafs_posix_check_cond(p, to, cond);
	if (!err)
		err = datafs_posix_temp_new(&d, false, &t);
	if (!err) {
		err = copy_bytes(data, &t);
		if (!err)
			err = datafs_posix_check_state(p, data, from_fp);
		if (!err)
			err = datafs_posix_temp_publish(p, to, &d, &t, attr, cond, fp);
		datafs_posix_temp_drop(&d, &t);
	}
	close(d.fd);
out:
	close(data);
	return err;
}

/* ------------------------------------------------------------------- names */

int datafs_posix_remove(struct datafs_under *u, const char *key,
			const struct datafs_under_cond *cond)
{
	struct posix *p = posix_of(u);
	struct posix_dir d;
	int err = datafs_posix_dir_open(p, key, &d);

	if (err)
		return err;
	err = datafs_posix_check_cond(p, key, cond);
	if (!err)
		err = unlinkat(d.fd, d.name, 0) ? -errno : datafs_posix_dir_sync(&d);
	close(d.fd);
	return err;
}

static bool same_file(const struct posix_dir *a, const struct posix_dir *b)
{
	struct stat x, y;

	return !fstatat(a->fd, a->name, &x, AT_SYMLINK_NOFOLLOW) &&
	       !fstatat(b->fd, b->name, &y, AT_SYMLINK_NOFOLLOW) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/*
 * rename(2) does nothing if both are names of one file, and says nothing of it. By way of
 * a third name the first one goes, and the second, which may be the same name to a
 * filesystem that does not tell cases apart, stays.
 */
static int rename_link(const struct posix_dir *a, const struct posix_dir *b)
{
	char name[DATAFS_POSIX_TEMP_LEN + 1];
	int err = datafs_posix_temp_new_name(name);

	if (err)
		return err;
	if (renameat(a->fd, a->name, a->fd, name))
		return -errno;
	if (renameat(a->fd, name, b->fd, b->name)) {
		err = -errno;
		renameat(a->fd, name, a->fd, a->name);
		return err;
	}
	return unlinkat(a->fd, name, 0) && errno != ENOENT ? -errno : 0;
}

int datafs_posix_rename(struct datafs_under *u, const char *from, const char *to)
{
	struct posix *p = posix_of(u);
	struct posix_dir a, b;
	int err = datafs_posix_dir_open(p, from, &a);

	if (err)
		return err;
	err = datafs_posix_dir_open(p, to, &b);
	if (err)
		goto out;
	if (strcmp(from, to) && same_file(&a, &b))
		err = rename_link(&a, &b);
	else
		err = renameat(a.fd, a.name, b.fd, b.name) ? -errno : 0;
	if (!err)
		err = datafs_posix_dir_sync(&b);
	if (!err)
		err = datafs_posix_dir_sync(&a);
	close(b.fd);
out:
	close(a.fd);
	/* EXDEV: another filesystem is mounted there. */
	return err == -EXDEV ? -EOPNOTSUPP : err == -EEXIST ? -ENOTEMPTY : err;
}

int datafs_posix_mkdir(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr)
{
	struct posix_dir d;
	int err = datafs_posix_dir_open(posix_of(u), key, &d), fd;

	if (err)
		return err;
	if (mkdirat(d.fd, d.name, 0700)) {
		err = -errno;
		goto out;
	}
	fd = openat(d.fd, d.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = fd < 0 ? -errno : datafs_posix_set_attr(fd, attr);
	if (!err && fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (!err)
		err = datafs_posix_dir_sync(&d);
	else
		unlinkat(d.fd, d.name, AT_REMOVEDIR);
out:
	close(d.fd);
	return err;
}

/* Is there nothing but what is nobody's to see? -ENOTEMPTY. With @removing, nothing then. */
static int clear(DIR *dir, bool removing)
{
	struct dirent *e;

	rewinddir(dir);
	for (;;) {
		errno = 0;
		e = readdir(dir);
		if (!e)
			return -errno;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!datafs_posix_is_temp(e->d_name))
			return -ENOTEMPTY;
		if (removing && unlinkat(dirfd(dir), e->d_name, 0) && errno != ENOENT)
			return -errno;
	}
}

/* Files that are not published must not keep a directory from going that seems empty. */
static int remove_cleared(const struct posix_dir *d)
{
	int fd = openat(d->fd, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int err = dir ? 0 : -errno;

	if (!err)
		err = clear(dir, false);
	if (!err)
		err = clear(dir, true);
	if (!err && unlinkat(d->fd, d->name, AT_REMOVEDIR))
		err = -errno;
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return err;
}

int datafs_posix_rmdir(struct datafs_under *u, const char *key)
{
	struct posix_dir d;
	int err = datafs_posix_dir_open(posix_of(u), key, &d);

	if (err)
		return err;
	err = unlinkat(d.fd, d.name, AT_REMOVEDIR) ? -errno : 0;
	if (err == -ENOTEMPTY || err == -EEXIST)
		err = remove_cleared(&d);
	if (!err)
		err = datafs_posix_dir_sync(&d);
	close(d.fd);
	return err;
}
