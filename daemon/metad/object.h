/* SPDX-License-Identifier: Apache-2.0 */
/* What a session may believe while its lease lasts, and is told to forget. */
#ifndef DATAFS_METAD_OBJECT_H
#define DATAFS_METAD_OBJECT_H

#include <stdint.h>

/* In the order of quorum.proto, where they begin with 1. */
enum datafs_grant_kind {
	DATAFS_GRANT_ATTR,	/* attributes of @ino, its xattrs and target */
	DATAFS_GRANT_NAME,	/* what @name leads to in @ino, or that it is not there */
	DATAFS_GRANT_NAMES,	/* all names in @ino, and what is not there */
	DATAFS_GRANT_MOUNTS,	/* the table of mounts; @ino is the root */
};

struct datafs_grant_object {
	uint64_t ino;
	enum datafs_grant_kind kind;
	uint8_t len;		/* of @name; NAME only. 0 in a recall for want of room */
	const char *name;	/* without NUL */
};

#endif
