// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "posix_temp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define PREFIX		".datafs-"
#define SUFFIX		".part"
#define RANDOM_BYTES	16
#define TOKEN_MAX	(DATAFS_POSIX_TEMP_LEN + 64)
#define NAME_TRIES	8	/* no two are ever alike: somebody plays with us */

_Static_assert(TOKEN_MAX <= DATAFS_UNDER_TOKEN_MAX, "room for a token");
_Static_assert(sizeof(PREFIX) + sizeof(SUFFIX) - 2 + 2 * RANDOM_BYTES == DATAFS_POSIX_TEMP_LEN,
	       "length of a reserved name");

bool datafs_posix_is_temp(const char *name)
{
	const size_t prefix = sizeof(PREFIX) - 1;

	return !strncmp(name, PREFIX, prefix) &&
	       strspn(name + prefix, "0123456789abcdef") == 2 * RANDOM_BYTES &&
	       !strcmp(name + prefix + 2 * RANDOM_BYTES, SUFFIX);
}

/* ------------------------------------------------------------ directories */

int datafs_posix_dir_open(struct posix *p, const char *key, struct posix_dir *d)
{
	const char *end = strrchr(key, '/');
	struct statx x;
	char *parent;
	int err;

	d->name = end ? end + 1 : key;
	if (datafs_posix_is_temp(d->name))
		return -EINVAL;
	if (strlen(d->name) > NAME_MAX)
		return -ENAMETOOLONG;
	parent = strndup(key, end ? end - key : 0);
	if (!parent)
		return -ENOMEM;
	d->fd = datafs_posix_open_key(p, parent, O_RDONLY | O_DIRECTORY);
	free(parent);
	if (d->fd < 0)
		return d->fd;
	err = datafs_posix_look(p, d->fd, &x);
	if (err)
		close(d->fd);
	return err;
}

int datafs_posix_dir_sync(const struct posix_dir *d)
{
	/* EINVAL: this filesystem has nothing to do for it. */
	return fsync(d->fd) && errno != EINVAL ? -errno : 0;
}

/* ------------------------------------------------------------------ files */

int datafs_posix_temp_new_name(char name[DATAFS_POSIX_TEMP_LEN + 1])
{
	uint8_t random[RANDOM_BYTES];
	char hex[2 * RANDOM_BYTES + 1];
	int err = datafs_random(random, sizeof(random));

	if (err)
		return err;
	datafs_hex(random, sizeof(random), hex);
	snprintf(name, DATAFS_POSIX_TEMP_LEN + 1, PREFIX "%s" SUFFIX, hex);
	return 0;
}

int datafs_posix_temp_new(const struct posix_dir *d, bool named, struct posix_temp *t)
{
	int err;

	*t->name = 0;
	t->fd = named ? -1 : openat(d->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (t->fd >= 0)
		return 0;
	/* How filesystems, and kernels, say that they have no such files. */
	if (!named && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	for (int i = 0; i < NAME_TRIES; i++) {
		err = datafs_posix_temp_new_name(t->name);
		if (err)
			return err;
		t->fd = openat(d->fd, t->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			       0600);
		if (t->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return -errno;
}

/*
 * The owner of the directory can put anything under a name that he sees, for us to write
 * to or to publish: a token says which file it was, too.
 */
static int identify(int fd, const char *name, char *token)
{
	struct statx x;

	if (statx(fd, "", DATAFS_POSIX_LOOK, STATX_INO | STATX_TYPE | STATX_BTIME, &x))
		return -errno;
	if (!S_ISREG(x.stx_mode))
		return -ENOENT;
	snprintf(token, TOKEN_MAX, "%s %llx %llx.%x", name, (unsigned long long)x.stx_ino,
		 x.stx_mask & STATX_BTIME ? (unsigned long long)x.stx_btime.tv_sec : 0,
		 x.stx_mask & STATX_BTIME ? x.stx_btime.tv_nsec : 0);
	return 0;
}

int datafs_posix_temp_token(const struct posix_temp *t, struct datafs_under_upload *up)
{
	return identify(t->fd, t->name, up->token);
}

int datafs_posix_temp_name(const struct datafs_under_upload *up, char *name)
{
	size_t len = strcspn(up->token, " ");

	if (len != DATAFS_POSIX_TEMP_LEN)
		return -EINVAL;
	memcpy(name, up->token, len);
	name[len] = 0;
	return datafs_posix_is_temp(name) ? 0 : -EINVAL;
}

int datafs_posix_temp_open(const struct posix_dir *d, const struct datafs_under_upload *up,
			   struct posix_temp *t)
{
	char token[TOKEN_MAX];
	int err = datafs_posix_temp_name(up, t->name), fd;

	if (err)
		return err;
	/* It may be anything: what is not ours is not opened. */
	fd = openat(d->fd, t->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = identify(fd, t->name, token);
	if (!err && strcmp(token, up->token))
		err = -ENOENT;
	if (!err) {
		t->fd = open(proc_path(fd).s, O_RDWR | O_CLOEXEC);
		err = t->fd < 0 ? -errno : 0;
	}
	close(fd);
	return err;
}

void datafs_posix_temp_close(struct posix_temp *t)
{
	close(t->fd);
	t->fd = -1;
}

void datafs_posix_temp_drop(const struct posix_dir *d, struct posix_temp *t)
{
	if (*t->name)
		unlinkat(d->fd, t->name, 0);
	datafs_posix_temp_close(t);
}

int datafs_posix_temp_write(const struct posix_temp *t, const void *buf, size_t len,
			    uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(t->fd, (const char *)buf + done, len - done, off + done);

		if (n > 0)
			done += n;
		else if (!n)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* ------------------------------------------------------------ publication */

int datafs_posix_check_cond(struct posix *p, const char *key,
			    const struct datafs_under_cond *cond)
{
	struct datafs_fingerprint now;
	struct statx x;
	int fd;

	if (cond->is == DATAFS_UNDER_ANY)
		return 0;
	fd = datafs_posix_open_object(p, key, &x);
	if (fd >= 0)
		close(fd);
	else if (fd != -ENOENT)
		return fd;
	if (cond->is == DATAFS_UNDER_ABSENT)
		return fd < 0 ? 0 : -EEXIST;
	if (fd < 0)
		return -ESTALE;
	now = datafs_posix_fingerprint(p, &x);
	return memcmp(&now, &cond->fp, sizeof(now)) ? -ESTALE : 0;
}

int datafs_posix_set_attr(int fd, const struct datafs_under_attr *attr)
{
	const uint32_t as_it_comes = UINT32_MAX;	/* to fchown(2), too */
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	/* Filesystems without owners refuse even what is so already. */
	if (((attr->uid != as_it_comes && attr->uid != st.st_uid) ||
	     (attr->gid != as_it_comes && attr->gid != st.st_gid)) &&
	    fchown(fd, attr->uid, attr->gid))
		return -errno;
	/* After the owner, whose change takes set-id bits away. */
	return fchmod(fd, attr->mode & 07777) ? -errno : 0;
}

static int finish(const struct posix_temp *t, const struct datafs_under_attr *attr)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, attr->mtime };
	int err = datafs_posix_set_attr(t->fd, attr);

	if (err)
		return err;
	return futimens(t->fd, times) || fsync(t->fd) ? -errno : 0;
}

/* Gives a file without a name its first one. */
static int link_as(const struct posix_dir *d, const struct posix_temp *t, const char *name)
{
	return linkat(AT_FDCWD, proc_path(t->fd).s, d->fd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* Filesystems that cannot rename without replacing can make a second name. */
static int move_if_absent(const struct posix_dir *d, const struct posix_temp *t)
{
	if (!renameat2(d->fd, t->name, d->fd, d->name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(d->fd, t->name, d->fd, d->name, 0))
		return -errno;
	return unlinkat(d->fd, t->name, 0) ? -errno : 0;
}

/* @t has the name, and no other, if this is 0. */
static int move(const struct posix_dir *d, struct posix_temp *t, bool if_absent)
{
	int err;

	if (!*t->name) {
		err = link_as(d, t, d->name);
		if (err != -EEXIST || if_absent)
			return err;
		err = datafs_posix_temp_new_name(t->name);
		if (!err)
			err = link_as(d, t, t->name);
		if (err) {
			*t->name = 0;
			return err;
		}
	}
	if (if_absent)
		err = move_if_absent(d, t);
	else
		err = renameat(d->fd, t->name, d->fd, d->name) ? -errno : 0;
	if (!err)
		*t->name = 0;
	return err;
}

static bool same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int datafs_posix_temp_publish(struct posix *p, const char *key, const struct posix_dir *d,
			      struct posix_temp *t, const struct datafs_under_attr *attr,
			      const struct datafs_under_cond *cond,
			      struct datafs_fingerprint *fp)
{
	struct statx before, after;
	int err = finish(t, attr);

	if (!err)
		err = datafs_posix_look(p, t->fd, &before);
	if (!err)
		err = datafs_posix_check_cond(p, key, cond);
	if (!err)
		err = move(d, t, cond->is == DATAFS_UNDER_ABSENT);
	if (!err)
		err = datafs_posix_dir_sync(d);
	if (!err)
		err = datafs_posix_look(p, t->fd, &after);
	if (err)
		return err;
	/*
	 * Naming it has changed its ctime. If more is changed somebody has written to it
	 * since: not what was published, whose fingerprint nothing has any more.
	 */
	if (after.stx_size != before.stx_size || !same_time(&after.stx_mtime, &before.stx_mtime))
		after = before;
	*fp = datafs_posix_fingerprint(p, &after);
	return 0;
}
