/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_VFS_FETCH_H
#define DATAFS_VFS_FETCH_H

#include "vfs_internal.h"

/* Where the bytes of one content come from. */
struct vfs_source {
	struct vfs_mount *mnt;
	char *key;
	uint64_t size;
	struct datafs_fingerprint fp;
};

/* A datafs_cache_fetch_fn; @arg: struct vfs_source. -ESTALE: it is another file now. */
int vfs_source_fetch(void *arg, uint64_t off, void *buf, uint32_t len);
/*
 * vfs_fetch_parts - has what is missing of [from, to) under way
 * @want:	of the source, but for the range and how it is fetched; page_size is the
 *		mount's
 * @from:	at a page's border
 * @waited:	there may be more than the mount's ramp allows
 *
 * Each part (mnt->part) by one request, or by as many as there are gaps in it; in jobs of
 * the pool, that take a reference of the mount. Returns up to where it is there or under
 * way. Does not block; errors go to who then waits in the cache.
 */
uint64_t vfs_fetch_parts(const struct vfs_source *src,
			 const struct datafs_cache_want *want, uint64_t from,
			 uint64_t to, bool waited);
/* The mount's part and ramp, once its options are known. */
void vfs_fetch_init(struct vfs_mount *mnt);

#endif
