/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told about a source, a mount point and options before mounting. */
#ifndef DATAFS_MOUNT_CHECK_H
#define DATAFS_MOUNT_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct datafs_mount_opts;

/**
 * struct datafs_mount_place - a mount point that was looked at
 * @dir:	its absolute path, without symbolic links
 * @fd:		O_PATH; what was checked is what is mounted on
 */
struct datafs_mount_place {
	char *dir;
	int fd;
};

/*
 * Both write one line without a newline to @err on failure, and return a
 * negative errno.
 */

/* -ENOENT, -ENOTDIR, ... On success give it to datafs_mount_place_close(). */
int datafs_mount_place_open(const char *dir, struct datafs_mount_place *place,
			    char *err, size_t errlen);
void datafs_mount_place_close(struct datafs_mount_place *place);

/*
 * datafs_mount_source - what to tell the kernel as the source
 *
 * A path becomes absolute; it must be a directory, not on datafs, and neither
 * the mount point nor a directory above it: the mount would contain itself.
 * "scheme://..." and "HOST,...:/DIR" are left to the daemon, but "posix://PATH" is
 * PATH. *@res is allocated. -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG, ...
 */
int datafs_mount_source(const char *source,
			const struct datafs_mount_place *place, char **res,
			char *err, size_t errlen);

/*
 * datafs_mount_options - would the daemon understand those that are its own?
 * @sloppy:	those that it would not are left out, with a warning
 *
 * Whether one is for this source the daemon says. -EINVAL, -ENOMEM.
 */
int datafs_mount_options(struct datafs_mount_opts *o, bool sloppy, char *err, size_t errlen);

#endif
