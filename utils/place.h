/* SPDX-License-Identifier: Apache-2.0 */
/* Which mount a path is in. */
#ifndef DATAFS_PLACE_H
#define DATAFS_PLACE_H

#include <stddef.h>
#include <sys/stat.h>

#include "genl.h"

/* All mounts of the kernel. */
struct datafs_places {
	struct datafs_genl_mount *list;
	size_t n;
};

/* 0, or -1 after a line that says what is wrong. */
int datafs_places_open(struct datafs_places *p);
void datafs_places_close(struct datafs_places *p);
/*
 * The mount that @path is in, and what lies there (*@st; a symbolic link is not
 * followed); NULL, after a line. It stays @p's.
 */
const struct datafs_genl_mount *datafs_place_of(const struct datafs_places *p,
						const char *path, struct stat *st);

#endif
