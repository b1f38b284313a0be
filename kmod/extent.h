/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: what extent.c, revoke.c and shrink.c share: the life of an extent.
 */
#ifndef DATAFS_EXTENT_H
#define DATAFS_EXTENT_H

#include "datafs.h"

static inline u64 datafs_ext_end(const struct datafs_ext *ext)
{
	return ext->off + ext->len;
}

/* --------------------------------------------------------------- extent.c */

/*
 * Tree -> dying list; what the tree's reference was the last one of goes to
 * @drop, for datafs_ext_free_list() after the lock. extent_lock.
 */
void datafs_ext_kill(struct datafs_ext *ext, struct list_head *drop);
/* The same, for who has taken it out of the order of use. */
void datafs_ext_unlink(struct datafs_ext *ext, struct list_head *drop);
/* What an ask may install shrinks by what goes while it is under way. extent_lock */
void datafs_ask_stale(struct datafs_inode *di, u64 seq, u64 off, u64 end);

/* --------------------------------------------------------------- revoke.c */

/* Drops an extent's reference; the last one tells the daemon. @rv may be NULL. */
void datafs_revoke_put(struct datafs_revoke *rv);

/* --------------------------------------------------------------- shrink.c */

/*
 * datafs_ext_make - an extent of a checked answer, in no tree yet
 *
 * Charged to the memory cgroup that is active. ERR_PTR: -EIO, it names no
 * backing file, or is beyond its end; -ENOMEM. May sleep.
 */
struct datafs_ext *datafs_ext_make(struct datafs_inode *di,
				   const struct datafs_extent *src,
				   u64 content, const __u32 *crc);
/* Nobody has a reference. May sleep. */
void datafs_ext_free(struct datafs_ext *ext);
void datafs_ext_free_list(struct list_head *drop);
/* Into the order of use, as the newest, and out of it. extent_lock */
void datafs_lru_add(struct datafs_ext *ext);
void datafs_lru_del(struct datafs_ext *ext);

#endif /* DATAFS_EXTENT_H */
