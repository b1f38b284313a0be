/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a namespace should be, in the plainest way: a list of inodes and a list
 * of names in the order in which they came. Links, children and orphans are counted
 * when somebody asks.
 */
#ifndef DATAFS_TEST_METAD_MODEL_H
#define DATAFS_TEST_METAD_MODEL_H

#include <time.h>

#include "metad_req.h"

#define MODEL_INODES	60000
#define MODEL_NAMES	4096
#define MODEL_SESSIONS	3	/* 1 to this */
#define MODEL_XATTRS	3	/* user.0 to user.2 */

struct model_inode {
	uint32_t mode, uid, gid;	/* mode 0: not there */
	uint64_t size, version;
	struct timespec atime, mtime, ctime, btime;
	bool held[MODEL_SESSIONS + 1];
	int xattr[MODEL_XATTRS];	/* 0: none, else the value's first byte */
	const char *target;
};

struct model_name {
	uint64_t dir, ino;	/* @ino 0: was removed */
	char name[8];
};

struct model {
	struct model_inode in[MODEL_INODES];
	struct model_name name[MODEL_NAMES];
	int names;
	uint64_t next;
	struct timespec now;
};

void model_init(struct model *w);
/* Does it; the negative errno of its answer. */
int model_do(struct model *w, const struct req *r);
uint32_t model_nlink(const struct model *w, uint64_t ino);
bool model_held(const struct model *w, uint64_t ino);

#endif
