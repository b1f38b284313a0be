// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: revocation of extents, and when it is done. It covers those in the
 * tree and the dying ones, so that its REVOKE_DONE means what it says.
 *
 *   reader                                revoke
 *   ------                                ------
 *   datafs_ext_get: ref                   seq++, tree -> dying, ext->revoke
 *   I/O to the backing file                 (holds one reference for each)
 *   datafs_ext_put: last reference
 *     off the dying list
 *     datafs_revoke_put: last   --------> REVOKE_DONE
 */
#include <linux/slab.h>
#include "extent.h"

/* struct datafs_revoke - one REVOKE command; told when the last extent goes */
struct datafs_revoke {
	refcount_t		ref;
	struct datafs_request	*done;	/* made in advance: it cannot fail */
	/*
	 * A later revocation that met an extent which waits for this one: a
	 * reference, given back when this one is told. Only ever from older to
	 * newer, so that there is no circle.
	 */
	struct datafs_revoke	*next;
};

/* Protects datafs_revoke.next; inside extent_lock. */
static DEFINE_SPINLOCK(datafs_revoke_lock);

/*
 * One revocation is begun at a time, so that of two the same is the older one
 * for all extents.
 */
static DEFINE_MUTEX(datafs_revoke_mutex);

void datafs_revoke_put(struct datafs_revoke *rv)
{
	while (rv && refcount_dec_and_test(&rv->ref)) {
		struct datafs_revoke *next = rv->next;

		/* Without a daemon that could want it, it is dropped. */
		datafs_request_queue(rv->done);
		datafs_request_put(rv->done);
		kfree(rv);
		rv = next;
	}
}

static void datafs_ext_set_revoke(struct datafs_ext *ext,
				  struct datafs_revoke *rv)
{
	struct datafs_revoke *old = ext->revoke;

	if (!old) {
		refcount_inc(&rv->ref);
		ext->revoke = rv;
		return;
	}
	spin_lock(&datafs_revoke_lock);
	while (old != rv && old->next)
		old = old->next;
	if (old != rv) {
		refcount_inc(&rv->ref);
		old->next = rv;
	}
	spin_unlock(&datafs_revoke_lock);
}

/* @rv: NULL if nobody wants to know when it is done */
static void datafs_revoke_inode(struct datafs_inode *di, u64 seq, u64 off,
				u64 end, struct datafs_revoke *rv)
{
	struct datafs_mount *mnt = datafs_mnt(di->vfs_inode.i_sb);
	struct datafs_ext *ext;
	LIST_HEAD(drop);
	u64 n = 0;

	spin_lock(&di->extent_lock);
	datafs_ask_stale(di, seq, off, end);
	while ((ext = datafs_ext_find(di, off)) && ext->off < end) {
		datafs_ext_kill(ext, &drop);
		n++;
	}
	list_for_each_entry(ext, &di->dying, dying)
		if (rv && ext->off < end && datafs_ext_end(ext) > off)
			datafs_ext_set_revoke(ext, rv);
	spin_unlock(&di->extent_lock);
	datafs_ext_free_list(&drop);
	datafs_count(mnt, DATAFS_STAT_EXTENTS_REVOKED, n);
}

void datafs_ext_forget(struct datafs_inode *di)
{
	struct datafs_mount *mnt = datafs_mnt(di->vfs_inode.i_sb);

	datafs_revoke_inode(di, atomic64_inc_return(&mnt->seq), 0, U64_MAX, NULL);
}

int datafs_revoke_start(struct datafs_instance *inst, u64 cookie,
			const struct datafs_range *ranges, u32 n)
{
	struct datafs_revoke *rv;
	u32 i;

	rv = kzalloc(sizeof(*rv), GFP_KERNEL);
	if (!rv)
		return -ENOMEM;
	rv->done = datafs_request_alloc_inst(inst, DATAFS_OP_REVOKE_DONE,
					     sizeof(struct datafs_revoke_done),
					     GFP_KERNEL);
	if (!rv->done) {
		kfree(rv);
		return -ENOMEM;
	}
	((struct datafs_revoke_done *)rv->done->body)->cookie = cookie;
	refcount_set(&rv->ref, 1);

	mutex_lock(&datafs_revoke_mutex);
	for (i = 0; i < n; i++) {
		const struct datafs_range *r = &ranges[i];
		u64 end = r->off + r->len;
		struct datafs_mount *mnt;
		struct inode *inode;
		u64 seq;

		if (!r->len || end < r->off)
			end = U64_MAX;
		mnt = datafs_mount_get(r->mount_id);
		if (!mnt)
			continue;
		if (mnt->inst == inst) {
			seq = atomic64_inc_return(&mnt->seq);
			inode = datafs_ilookup(mnt->sb, r->ino);
			if (inode) {
				datafs_revoke_inode(datafs_i(inode), seq,
						    r->off, end, rv);
				iput(inode);
			}
		}
		datafs_mount_put(mnt);
	}
	mutex_unlock(&datafs_revoke_mutex);
	datafs_revoke_put(rv);
	return 0;
}
