/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that a store lists without saying what is at them are looked at: each is a request
 * of its own, and takes as long as the way to the store and back. So several are under way
 * at a time.
 */
#ifndef DATAFS_VFS_LOOKS_H
#define DATAFS_VFS_LOOKS_H

#include <stdatomic.h>

#include "vfs_internal.h"

#define VFS_LOOKS_MAX		64	/* names that are looked at together */
#define VFS_LOOKS_THREADS	8	/* ... at one time; the mount's concurrency may be less */

struct vfs_look {
	char name[DATAFS_NAME_MAX + 1];
	int err;		/* 0, or what a look at it has met */
	struct datafs_under_stat st;
};

struct vfs_looks {
	struct datafs_under *u;
	const char *key;	/* the directory's */
	unsigned int n;
	atomic_uint next;	/* nobody looks at it yet */
	struct vfs_look looks[VFS_LOOKS_MAX];
};

/* Looks at all @n names, and returns when that is done. It blocks. */
void vfs_looks_go(struct vfs_looks *l);

#endif
