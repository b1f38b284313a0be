// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: the memory of extents, and how it is given back.
 *
 * Each extent in a tree is in two orders of use of its mount: by memory cgroup,
 * for that of who asked for it pays for it, where the superblock's shrinker takes
 * what has not been used for long; and in one of all, for the limit. The daemon is
 * not told: it revokes what it wants back in any case.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "extent.h"

/* As many as the limit looks at with its lock held. */
#define DATAFS_TRIM_SCAN	128

/*
 * Whose memory cgroup has no room gets ENOMEM: it is the daemon that is here, and
 * it must not wait for the end of another's processes.
 */
#define DATAFS_EXT_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static struct kmem_cache *datafs_ext_cache;

/* ------------------------------------------------------------------ extents */

struct datafs_ext *datafs_ext_make(struct datafs_inode *di,
				   const struct datafs_extent *src,
				   u64 content, const __u32 *crc)
{
	struct datafs_mount *mnt = datafs_mnt(di->vfs_inode.i_sb);
	u32 n = src->len >> DATAFS_GRANULE_SHIFT;
	struct datafs_backing_file *bf;
	struct datafs_ext *ext;

	bf = datafs_backing_get(mnt->inst, src->backing_id);
	if (!bf) {
		pr_warn_ratelimited("mount %u: extent names backing file %u, which is not registered\n",
				    mnt->id, src->backing_id);
		return ERR_PTR(-EIO);
	}
	if (src->len > bf->size || src->backing_off > bf->size - src->len) {
		pr_warn_ratelimited("mount %u: extent [%llu, +%llu) is beyond backing file %u\n",
				    mnt->id, src->backing_off, src->len, bf->id);
		datafs_backing_put(bf);
		return ERR_PTR(-EIO);
	}
	ext = kmem_cache_alloc_lru(datafs_ext_cache, &mnt->lru, DATAFS_EXT_GFP);
	if (!ext)
		goto no_ext;
	*ext = (struct datafs_ext) {
		.di = di, .mnt = mnt, .bf = bf,
		.off = src->off, .len = src->len,
		.backing_off = src->backing_off, .content = content,
		.used = true,
	};
	INIT_LIST_HEAD(&ext->lru);
	refcount_set(&ext->ref, 1);
	ext->crc = kvmalloc_array(n, sizeof(*crc), DATAFS_EXT_GFP);
	if (!ext->crc)
		goto no_crc;
	memcpy(ext->crc, crc, n * sizeof(*crc));
	if (READ_ONCE(mnt->verify) == DATAFS_VERIFY_FIRST) {
		ext->verified = bitmap_zalloc(n, DATAFS_EXT_GFP);
		if (!ext->verified)
			goto no_bits;
	}
	datafs_count(mnt, DATAFS_STAT_EXTENTS, 1);
	return ext;
no_bits:
	kvfree(ext->crc);
no_crc:
	kmem_cache_free(datafs_ext_cache, ext);
no_ext:
	datafs_backing_put(bf);
	return ERR_PTR(-ENOMEM);
}

void datafs_ext_free(struct datafs_ext *ext)
{
	datafs_count(ext->mnt, DATAFS_STAT_EXTENTS, -1);
	datafs_backing_put(ext->bf);
	datafs_revoke_put(ext->revoke);
	bitmap_free(ext->verified);
	kvfree(ext->crc);
	kmem_cache_free(datafs_ext_cache, ext);
}

void datafs_ext_free_list(struct list_head *drop)
{
	struct datafs_ext *ext, *next;

	list_for_each_entry_safe(ext, next, drop, dying)
		datafs_ext_free(ext);
}

/* ------------------------------------------------------------- order of use */

void datafs_lru_add(struct datafs_ext *ext)
{
	struct datafs_mount *mnt = ext->mnt;

	lockdep_assert_held(&ext->di->extent_lock);
	spin_lock(&mnt->order_lock);
	list_add_tail(&ext->order, &mnt->order);
	datafs_list_lru_add(&mnt->lru, &ext->lru);
	spin_unlock(&mnt->order_lock);
}

/* order_lock, too */
static void datafs_lru_del_locked(struct datafs_ext *ext)
{
	list_del(&ext->order);
	datafs_list_lru_del(&ext->mnt->lru, &ext->lru);
}

void datafs_lru_del(struct datafs_ext *ext)
{
	struct datafs_mount *mnt = ext->mnt;

	lockdep_assert_held(&ext->di->extent_lock);
	spin_lock(&mnt->order_lock);
	datafs_lru_del_locked(ext);
	spin_unlock(&mnt->order_lock);
}

/* Used since it was passed last, or just now? Then it is spared this time. */
static bool datafs_ext_spare(struct datafs_ext *ext)
{
	bool spare = ext->used || refcount_read(&ext->ref) > 1;

	lockdep_assert_held(&ext->di->extent_lock);
	ext->used = false;
	return spare;
}

static void datafs_ext_reclaim(struct datafs_ext *ext, struct list_head *drop)
{
	datafs_count(ext->mnt, DATAFS_STAT_EXTENTS_RECLAIMED, 1);
	datafs_ext_unlink(ext, drop);
}

/* -------------------------------------------------------------- the shrinker */

static bool datafs_order_try_del(struct datafs_ext *ext)
{
	struct datafs_mount *mnt = ext->mnt;

	if (!spin_trylock(&mnt->order_lock))
		return false;
	list_del(&ext->order);
	spin_unlock(&mnt->order_lock);
	return true;
}

/*
 * The lock of the list_lru is the innermost, and is held here: so only a try of
 * the others. What is in the list is in a tree, hence its inode is there.
 */
DATAFS_LRU_ISOLATE(datafs_lru_isolate, item, lru, arg)
{
	struct datafs_ext *ext = list_entry(item, struct datafs_ext, lru);
	struct datafs_inode *di = ext->di;
	enum lru_status status = LRU_SKIP;
	struct list_head *drop = arg;

	if (!spin_trylock(&di->extent_lock))
		return LRU_SKIP;
	if (datafs_ext_spare(ext)) {
		status = LRU_ROTATE;
	} else if (datafs_order_try_del(ext)) {
		list_lru_isolate(lru, item);
		datafs_ext_reclaim(ext, drop);
		status = LRU_REMOVED;
	}
	spin_unlock(&di->extent_lock);
	return status;
}

unsigned long datafs_lru_count(struct datafs_mount *mnt,
			       struct shrink_control *sc)
{
	return list_lru_shrink_count(&mnt->lru, sc);
}

unsigned long datafs_lru_scan(struct datafs_mount *mnt,
			      struct shrink_control *sc)
{
	unsigned long freed;
	LIST_HEAD(drop);

	freed = list_lru_shrink_walk(&mnt->lru, sc, datafs_lru_isolate, &drop);
	datafs_ext_free_list(&drop);
	return freed;
}

/* ----------------------------------------------------------------- the limit */

/* By how many the limit is, or will be, exceeded. */
static s64 datafs_extents_over(struct datafs_mount *mnt)
{
	unsigned int max = READ_ONCE(mnt->max_extents);

	return max ? atomic64_read(&mnt->stats[DATAFS_STAT_EXTENTS]) +
		     atomic_read(&mnt->extents_to_come) - max : 0;
}

/* order_lock is held, which is inside of extent_lock: so only a try. */
static bool datafs_order_take(struct datafs_ext *ext, struct list_head *drop)
{
	struct datafs_inode *di = ext->di;
	bool spare;

	if (!spin_trylock(&di->extent_lock))
		return false;
	spare = datafs_ext_spare(ext);
	if (!spare) {
		datafs_lru_del_locked(ext);
		datafs_ext_reclaim(ext, drop);
	}
	spin_unlock(&di->extent_lock);
	return !spare;
}

/* Takes the one that was not used for longest; looks at @scan of them. */
static bool datafs_order_reclaim(struct datafs_mount *mnt, unsigned int scan,
				 struct list_head *drop)
{
	struct datafs_ext *ext;
	bool taken = false;

	spin_lock(&mnt->order_lock);
	while (!taken && scan-- && !list_empty(&mnt->order)) {
		ext = list_first_entry(&mnt->order, struct datafs_ext, order);
		list_move_tail(&ext->order, &mnt->order);
		taken = datafs_order_take(ext, drop);
	}
	spin_unlock(&mnt->order_lock);
	return taken;
}

void datafs_lru_trim(struct datafs_mount *mnt)
{
	LIST_HEAD(drop);
	/* each is passed twice at the most: once to be spared, for it was used */
	s64 left = 2 * atomic64_read(&mnt->stats[DATAFS_STAT_EXTENTS]);

	while (left > 0 && datafs_extents_over(mnt) > 0) {
		left -= datafs_order_reclaim(mnt, DATAFS_TRIM_SCAN, &drop) ?
			1 : DATAFS_TRIM_SCAN;
		datafs_ext_free_list(&drop);
		INIT_LIST_HEAD(&drop);
		cond_resched();
	}
}

/* ------------------------------------------------------------------- a mount */

int datafs_lru_init(struct datafs_mount *mnt, struct super_block *sb)
{
	return list_lru_init_memcg(&mnt->lru, datafs_sb_shrinker(sb));
}

void datafs_lru_exit(struct datafs_mount *mnt)
{
	list_lru_destroy(&mnt->lru);
}

/* ---------------------------------------------------------------- the module */

int datafs_ext_cache_init(void)
{
	datafs_ext_cache = kmem_cache_create("datafs_extent",
					     sizeof(struct datafs_ext), 0,
					     SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					     NULL);
	return datafs_ext_cache ? 0 : -ENOMEM;
}

void datafs_ext_cache_exit(void)
{
	kmem_cache_destroy(datafs_ext_cache);
}
