/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that mount 2 shows, found as `find` does, and what it is to be by a model: the
 * directories of the disk at the paths where they are mounted. Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_VFS_WALK_H
#define DATAFS_TEST_VFS_WALK_H

#include "vfs_changes.h"

#define WALK_MOUNTS	8

/* At "" (the root), "/shared", ...; NULL: none. */
struct walk_mount {
	const char *path, *dir;
};

/* What is to be there: @base below all; to be freed. A line for each name, sorted. */
char *walk_expected(const char *base, const struct walk_mount *mounts, unsigned int n);
/*
 * What is there, likewise, by listings of @max bytes. Each name is looked up as well, and
 * each directory's parent and names that are not there are asked for. @skip: a path that
 * may come and go, or NULL.
 */
char *walk_shown(uint32_t max, const char *skip);
/* An inode by its path in mount 2. 0 or an error; -ENOENT. */
int walk_to(const char *path, struct datafs_attr *attr);
/* The bytes at the beginning of a file, as its extents have them: the first @len, up to a granule. */
int walk_read(const struct datafs_attr *attr, char *buf, size_t len);

int table_add(const char *path, const char *dir, const char *options);
int table_remove(const char *path);

#endif
