// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: the memory of extents, and how it is given back.
 *
 * Each extent in a tree is in its mount's order of use too, which is kept by
 * memory cgroup: that of who asked for it pays for it. The shrinker of the
 * superblock takes from there what has not been used for long, and so does the
 * mount's limit. The daemon is not told: it revokes what it wants back in any
 * case.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "extent.h"

/* As many at once as the order's lock is held for; and no less than that. */
#define DATAFS_LRU_BATCH	128u
#define DATAFS_LRU_BATCH_MIN	16u

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
	ext = kmem_cache_alloc_lru(datafs_ext_cache, &mnt->lru, GFP_KERNEL);
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
	ext->crc = kvmalloc_array(n, sizeof(*crc), GFP_KERNEL_ACCOUNT);
	if (!ext->crc)
		goto no_crc;
	memcpy(ext->crc, crc, n * sizeof(*crc));
	if (READ_ONCE(mnt->verify) == DATAFS_VERIFY_FIRST) {
		ext->verified = bitmap_zalloc(n, GFP_KERNEL_ACCOUNT);
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
	lockdep_assert_held(&ext->di->extent_lock);
	datafs_list_lru_add(&ext->mnt->lru, &ext->lru);
}

void datafs_lru_del(struct datafs_ext *ext)
{
	lockdep_assert_held(&ext->di->extent_lock);
	datafs_list_lru_del(&ext->mnt->lru, &ext->lru);
}

/*
 * The order's lock is inside of extent_lock, and is held here: so only a try.
 * What is in the order is in a tree, hence its inode is there.
 */
DATAFS_LRU_ISOLATE(datafs_lru_isolate, item, lru, arg)
{
	struct datafs_ext *ext = list_entry(item, struct datafs_ext, lru);
	struct list_head *drop = arg;

	if (!spin_trylock(&ext->di->extent_lock))
		return LRU_SKIP;
	/* used since it was passed last, or just now */
	if (ext->used || refcount_read(&ext->ref) > 1) {
		ext->used = false;
		spin_unlock(&ext->di->extent_lock);
		return LRU_ROTATE;
	}
	list_lru_isolate(lru, item);
	datafs_count(ext->mnt, DATAFS_STAT_EXTENTS_RECLAIMED, 1);
	datafs_ext_unlink(ext, drop);
	spin_unlock(&ext->di->extent_lock);
	return LRU_REMOVED;
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

void datafs_lru_trim(struct datafs_mount *mnt, unsigned int more)
{
	unsigned int max = READ_ONCE(mnt->max_extents);
	s64 left, over;
	LIST_HEAD(drop);

	if (!max)
		return;
	over = atomic64_read(&mnt->stats[DATAFS_STAT_EXTENTS]) + more - max;
	/* each is passed twice at the most: once to be spared, for it was used */
	for (left = 2 * (over + max); over > 0 && left > 0;) {
		unsigned int n = clamp_t(s64, over, DATAFS_LRU_BATCH_MIN,
					 DATAFS_LRU_BATCH);

		list_lru_walk(&mnt->lru, datafs_lru_isolate, &drop, n);
		datafs_ext_free_list(&drop);
		INIT_LIST_HEAD(&drop);
		left -= n;
		cond_resched();
		over = atomic64_read(&mnt->stats[DATAFS_STAT_EXTENTS]) + more - max;
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
