// SPDX-License-Identifier: Apache-2.0
/* Checks of a source, a mount point and options; see mount_check.h. */
#define _GNU_SOURCE 1
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "datafs_abi.h"
#include "meta/source.h"
#include "mount_check.h"
#include "mount_opts.h"
#include "under/under.h"
#include "vfs/options.h"

#define POSIX_SCHEME	"posix://"

int datafs_mount_place_open(const char *dir, struct datafs_mount_place *place,
			    char *err, size_t errlen)
{
	int ret;

	place->dir = realpath(dir, NULL);
	if (!place->dir) {
		ret = -errno;
		snprintf(err, errlen, "mount point %s: %s", dir, strerror(-ret));
		return ret;
	}
	place->fd = open(place->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place->fd < 0) {
		ret = -errno;
		snprintf(err, errlen, "mount point %s: %s", dir, strerror(-ret));
		free(place->dir);
		return ret;
	}
	return 0;
}

void datafs_mount_place_close(struct datafs_mount_place *place)
{
	close(place->fd);
	free(place->dir);
}

static bool has_scheme(const char *source)
{
	const char *p = source;

	if (!isalpha((unsigned char)*p))
		return false;
	while (isalnum((unsigned char)*p) || *p == '+' || *p == '-' || *p == '.')
		p++;
	return !strncmp(p, "://", 3);
}

/*
 * Is @dir_fd the file @st, or below it? By device and inode on the way up,
 * so that no bind mount or symbolic link hides it.
 * Returns 0 (no), 1 (the same), 2 (below) or a negative errno.
 */
static int inside(int dir_fd, const struct stat *st)
{
	struct stat cur, up;
	int fd, next, ret = 1;

	fd = openat(dir_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &cur))
		goto fail;
	while (cur.st_dev != st->st_dev || cur.st_ino != st->st_ino) {
		ret = 2;
		next = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			goto fail;
		close(fd);
		fd = next;
		if (fstat(fd, &up))
			goto fail;
		if (up.st_dev == cur.st_dev && up.st_ino == cur.st_ino) {
			ret = 0;
			break;
		}
		cur = up;
	}
	close(fd);
	return ret;
fail:
	ret = -errno;
	close(fd);
	return ret;
}

static int check_dir(const char *source, const char *path,
		     const struct datafs_mount_place *place, char *err,
		     size_t errlen)
{
	struct statfs fs;
	struct stat st;
	int fd, ret;

	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || fstatfs(fd, &fs)) {
		ret = -errno;
		snprintf(err, errlen, "source %s: %s", source, strerror(-ret));
		if (fd >= 0)
			close(fd);
		return ret;
	}
	close(fd);
	if (fs.f_type == DATAFS_SUPER_MAGIC) {
		snprintf(err, errlen, "source %s is on datafs itself (%s)", source,
			 strerror(ELOOP));
		return -ELOOP;
	}
	ret = inside(place->fd, &st);
	if (ret < 0)
		snprintf(err, errlen, "looking above the mount point %s: %s",
			 place->dir, strerror(-ret));
	else if (ret == 1)
		snprintf(err, errlen, "source %s is the mount point (%s)", source,
			 strerror(ELOOP));
	else if (ret == 2)
		snprintf(err, errlen, "source %s contains the mount point %s (%s)",
			 source, place->dir, strerror(ELOOP));
	return ret > 0 ? -ELOOP : ret;
}

/* Names that a quorum has, not a path. */
static int check_members(const char *source, char *err, size_t errlen)
{
	struct datafs_source parsed;

	return datafs_source_parse(source, &parsed, err, errlen);
}

int datafs_mount_source(const char *source,
			const struct datafs_mount_place *place, char **res,
			char *err, size_t errlen)
{
	const char *where = source;
	char *path;
	int ret;

	if (!strncmp(source, POSIX_SCHEME, strlen(POSIX_SCHEME))) {
		where += strlen(POSIX_SCHEME);
	} else if (datafs_source_kind(source) != DATAFS_SOURCE_UNDER) {
		ret = check_members(source, err, errlen);
		if (ret)
			return ret;
		path = strdup(source);
		if (!path)
			return -ENOMEM;
		goto out;
	} else if (has_scheme(source)) {
		/* not shown */
		if (datafs_under_source_secret(source)) {
			snprintf(err, errlen, "the source has a user or a password, which everybody would see (%s)",
				 strerror(EINVAL));
			return -EINVAL;
		}
		path = strdup(source);
		if (!path)
			return -ENOMEM;
		goto out;
	}
	path = realpath(where, NULL);
	if (!path) {
		ret = -errno;
		snprintf(err, errlen, "source %s: %s", source, strerror(-ret));
		return ret;
	}
	ret = check_dir(source, path, place, err, errlen);
	if (ret) {
		free(path);
		return ret;
	}
out:
	if (strlen(path) > DATAFS_SOURCE_MAX) {
		snprintf(err, errlen, "source %.80s...: longer than %d bytes",
			 source, DATAFS_SOURCE_MAX);
		free(path);
		return -ENAMETOOLONG;
	}
	*res = path;
	return 0;
}

/* Whose values are the kernel's to judge: the module's own, and of all filesystems. */
static bool is_kernels(const char *key)
{
	static const char *const keys[] = {
		"instance", "verify", "ro", "rw", "context", "fscontext", "defcontext",
		"rootcontext", "seclabel",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!strcmp(key, keys[i]))
			return true;
	return false;
}

static int check_option(struct datafs_options *all, const struct datafs_mount_param *p,
			char *err, size_t errlen)
{
	const char *want;
	int ret;

	if (is_kernels(p->key))
		return 0;
	ret = datafs_options_set(all, p->key, p->value, &want);
	if (ret == -ENOENT)
		snprintf(err, errlen, "option %.80s: there is none of that name (%s)", p->key,
			 strerror(EINVAL));
	else if (ret == -EINVAL)
		snprintf(err, errlen, "option %.80s%s%.200s: wanted %s (%s)", p->key,
			 p->value ? "=" : "", p->value ? p->value : "", want,
			 strerror(EINVAL));
	return ret;
}

int datafs_mount_options(struct datafs_mount_opts *o, bool sloppy, char *err, size_t errlen)
{
	struct datafs_options all;
	size_t i = 0;
	int ret = 0;

	datafs_options_init(&all);
	while (!ret && i < o->nparams) {
		ret = check_option(&all, &o->params[i], err, errlen);
		if (!ret) {
			i++;
		} else if (sloppy && ret != -ENOMEM) {
			warnx("%s; it is left out", err);
			datafs_mount_opts_drop(o, i);
			*err = '\0';
			ret = 0;
		}
	}
	datafs_options_free(&all);
	return ret == -ENOENT ? -EINVAL : ret;
}
