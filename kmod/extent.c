// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: the extents an inode holds.
 *
 * An extent is in its inode's tree and in its mount's order of use, or dead: out
 * of both, but used by I/O and therefore on the dying list.
 */
#include <linux/slab.h>
#include "extent.h"
#include "trace.h"

void datafs_ext_put(struct datafs_ext *ext)
{
	struct datafs_inode *di = ext->di;
	bool last;

	if (refcount_dec_not_one(&ext->ref))
		return;
	/*
	 * The last reference of a dead extent takes it off the dying list
	 * under the lock that a revocation holds while it walks the list. The
	 * tree's own reference is never dropped here.
	 */
	spin_lock(&di->extent_lock);
	last = refcount_dec_and_test(&ext->ref);
	if (last)
		list_del(&ext->dying);
	spin_unlock(&di->extent_lock);
	if (last)
		datafs_ext_free(ext);
}

struct datafs_ext *datafs_ext_find(struct datafs_inode *di, u64 off)
{
	struct rb_node *n = di->extents.rb_node;
	struct datafs_ext *best = NULL;

	lockdep_assert_held(&di->extent_lock);
	while (n) {
		struct datafs_ext *ext = rb_entry(n, struct datafs_ext, node);

		if (off >= datafs_ext_end(ext)) {
			n = n->rb_right;
		} else {
			best = ext;
			if (off >= ext->off)
				break;
			n = n->rb_left;
		}
	}
	return best;
}

void datafs_ext_unlink(struct datafs_ext *ext, struct list_head *drop)
{
	struct datafs_inode *di = ext->di;

	lockdep_assert_held(&di->extent_lock);
	rb_erase(&ext->node, &di->extents);
	ext->dead = true;
	trace_datafs_extent_revoke(ext);
	/*
	 * With the tree's reference the last one it can be freed by the
	 * caller, after the lock; nobody can find it any more.
	 */
	if (refcount_dec_and_test(&ext->ref))
		list_add(&ext->dying, drop);
	else
		list_add(&ext->dying, &di->dying);
}

void datafs_ext_kill(struct datafs_ext *ext, struct list_head *drop)
{
	datafs_lru_del(ext);
	datafs_ext_unlink(ext, drop);
}

struct datafs_ext *datafs_ext_get(struct datafs_inode *di, u64 off)
{
	struct datafs_ext *ext;

	spin_lock(&di->extent_lock);
	ext = datafs_ext_find(di, off);
	if (ext && ext->off <= off) {
		refcount_inc(&ext->ref);
		ext->used = true;
	} else {
		ext = NULL;
	}
	spin_unlock(&di->extent_lock);
	return ext;
}

u64 datafs_ext_gap(struct datafs_inode *di, u64 off, u64 end)
{
	struct datafs_ext *ext;
	struct rb_node *n;

	spin_lock(&di->extent_lock);
	ext = datafs_ext_find(di, off);
	while (ext && ext->off <= off && off < end) {
		off = datafs_ext_end(ext);
		n = rb_next(&ext->node);
		ext = n ? rb_entry(n, struct datafs_ext, node) : NULL;
	}
	spin_unlock(&di->extent_lock);
	return min(off, end);
}

void datafs_ext_init(struct datafs_inode *di)
{
	spin_lock_init(&di->extent_lock);
	di->extents = RB_ROOT;
	INIT_LIST_HEAD(&di->dying);
	INIT_LIST_HEAD(&di->asking);
	init_waitqueue_head(&di->answered);
	di->extent_content = 0;
	di->bad_pending = false;
	di->held = false;
}

void datafs_ext_publish(struct datafs_inode *di, u64 content)
{
	spin_lock(&di->extent_lock);
	di->extent_content = content;
	spin_unlock(&di->extent_lock);
}

void datafs_ask_stale(struct datafs_inode *di, u64 seq, u64 off, u64 end)
{
	struct datafs_ask *ask;

	lockdep_assert_held(&di->extent_lock);
	list_for_each_entry(ask, &di->asking, node) {
		if (!ask->stale_seq) {
			ask->stale_off = off;
			ask->stale_end = end;
		} else {
			ask->stale_off = min(ask->stale_off, off);
			ask->stale_end = max(ask->stale_end, end);
		}
		ask->stale_seq = seq;
	}
}

void datafs_ext_drop_all(struct datafs_inode *di)
{
	u64 seq = atomic64_read(&datafs_mnt(di->vfs_inode.i_sb)->seq);
	struct rb_node *n;
	LIST_HEAD(drop);

	spin_lock(&di->extent_lock);
	di->extent_content = 0;
	di->bad_pending = false;
	datafs_ask_stale(di, seq, 0, U64_MAX);
	while ((n = rb_first(&di->extents)))
		datafs_ext_kill(rb_entry(n, struct datafs_ext, node), &drop);
	spin_unlock(&di->extent_lock);
	datafs_ext_free_list(&drop);
}

void datafs_ext_evict(struct datafs_inode *di)
{
	datafs_ext_drop_all(di);
	if (di->held)
		xa_erase(&datafs_mnt(di->vfs_inode.i_sb)->held,
			 di->vfs_inode.i_ino);
}

void datafs_ext_bad(struct datafs_ext *ext, u64 off)
{
	struct datafs_inode *di = ext->di;
	LIST_HEAD(drop);

	datafs_count(ext->mnt, DATAFS_STAT_CRC_ERRORS, 1);
	spin_lock(&di->extent_lock);
	if (!ext->dead) {
		di->bad = (struct datafs_bad_extent_req) {
			.want.content = di->extent_content,
			.want.off = off,
			.want.len = DATAFS_GRANULE,
			.backing_id = ext->bf->id,
			.backing_off = ext->backing_off + (off - ext->off),
		};
		di->bad_pending = true;
		/* The caller's reference is not the last. */
		datafs_ext_kill(ext, &drop);
	}
	spin_unlock(&di->extent_lock);
	pr_warn_ratelimited("datafs: mount %u: inode %llu: granule at %llu of backing file %u does not match its checksum; fetching it again\n",
			    ext->mnt->id, (u64)di->vfs_inode.i_ino, off, ext->bf->id);
}

/* ------------------------------------------------------------- installing */

/* Cut [@ext->off, @off) or [@end, ...) away; the checksums move along. */
static void datafs_ext_trim(struct datafs_ext *ext, u64 off, u64 end)
{
	if (off > ext->off) {
		u64 cut = off - ext->off;

		memmove(ext->crc, ext->crc + (cut >> DATAFS_GRANULE_SHIFT),
			((ext->len - cut) >> DATAFS_GRANULE_SHIFT) *
			sizeof(ext->crc[0]));
		ext->off += cut;
		ext->backing_off += cut;
		ext->len -= cut;
	}
	if (end < datafs_ext_end(ext))
		ext->len = end - ext->off;
}

/*
 * New knowledge replaces what it covers and gives way to what it only
 * touches. Returns false if nothing of @new was needed.
 */
static bool datafs_ext_insert(struct datafs_inode *di, struct datafs_ext *new,
			      struct list_head *drop)
{
	struct rb_node **p = &di->extents.rb_node, *parent = NULL;
	struct datafs_ext *old;

	lockdep_assert_held(&di->extent_lock);
	old = datafs_ext_find(di, new->off);
	if (old && old->off <= new->off) {
		if (datafs_ext_end(old) >= datafs_ext_end(new))
			return false;
		if (old->off < new->off)
			datafs_ext_trim(new, datafs_ext_end(old), U64_MAX);
	}
	while ((old = datafs_ext_find(di, new->off)) &&
	       old->off < datafs_ext_end(new)) {
		if (datafs_ext_end(old) > datafs_ext_end(new)) {
			/* With its beginning cut off there may be nothing left. */
			if (old->off <= new->off)
				return false;
			datafs_ext_trim(new, 0, old->off);
			break;
		}
		datafs_ext_kill(old, drop);
	}
	while (*p) {
		parent = *p;
		if (new->off < rb_entry(parent, struct datafs_ext, node)->off)
			p = &parent->rb_left;
		else
			p = &parent->rb_right;
	}
	rb_link_node(&new->node, parent, p);
	rb_insert_color(&new->node, &di->extents);
	datafs_lru_add(new);
	trace_datafs_extent_insert(new);
	return true;
}

static bool datafs_ask_is_stale(const struct datafs_ask *ask, u64 seq, u64 off,
				u64 end)
{
	return ask->stale_seq > seq && off < ask->stale_end &&
	       end > ask->stale_off;
}

/* Before its first extent, so that datafs_ext_list() finds the inode. */
static int datafs_ext_hold(struct datafs_inode *di)
{
	int err;

	if (READ_ONCE(di->held))
		return 0;
	err = xa_insert(&datafs_mnt(di->vfs_inode.i_sb)->held,
			di->vfs_inode.i_ino, xa_mk_value(1), GFP_KERNEL);
	if (err && err != -EBUSY)
		return err;
	WRITE_ONCE(di->held, true);
	return 0;
}

int datafs_ext_install(struct datafs_ask *ask, u64 seq, u64 epoch,
		       const struct datafs_extent_rep *rep,
		       const struct datafs_extent *src, const __u32 *crc)
{
	struct datafs_inode *di = ask->di;
	struct datafs_mount *mnt = datafs_mnt(di->vfs_inode.i_sb);
	struct datafs_ext **made;
	LIST_HEAD(drop);
	int err = 0, taken = 0;
	u32 i, to_come;

	err = datafs_ext_hold(di);
	if (err)
		return err;
	made = kcalloc(rep->count, sizeof(*made), GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	/* Room is reserved, for there may be several answers at once. */
	to_come = rep->count;
	atomic_add(to_come, &mnt->extents_to_come);
	datafs_lru_trim(mnt);
	for (i = 0; i < rep->count; i++) {
		made[i] = datafs_ext_make(di, &src[i], rep->content, crc);
		if (IS_ERR(made[i])) {
			err = PTR_ERR(made[i]);
			made[i] = NULL;
			goto out;
		}
		atomic_dec(&mnt->extents_to_come);
		to_come--;
		crc += src[i].len >> DATAFS_GRANULE_SHIFT;
	}

	/*
	 *   daemon's write              content change, or revoke
	 *   --------------              -------------------------
	 *   request read: seq = s
	 *                               seq = s + 1
	 *                               lock, ask->stale_seq = s + 1
	 *   lock, s + 1 > s: refused
	 *
	 * The other order finds the extents in the tree and takes them out.
	 * A change of the daemon: see datafs_instance_takeover().
	 */
	spin_lock(&di->extent_lock);
	if (rep->content != di->extent_content ||
	    READ_ONCE(mnt->inst->epoch) != epoch ||
	    datafs_ask_is_stale(ask, seq, ask->off, ask->end))
		err = -EAGAIN;
	for (i = 0; !err && i < rep->count; i++) {
		if (datafs_ask_is_stale(ask, seq, made[i]->off,
					datafs_ext_end(made[i])))
			continue;
		if (datafs_ext_insert(di, made[i], &drop)) {
			made[i] = NULL;
			taken++;
		}
	}
	spin_unlock(&di->extent_lock);
	datafs_ext_free_list(&drop);
	datafs_count(mnt, DATAFS_STAT_EXTENTS_INSTALLED, taken);
	if (err)
		datafs_count(mnt, DATAFS_STAT_REPLIES_STALE, 1);
out:
	atomic_sub(to_come, &mnt->extents_to_come);
	for (i = 0; i < rep->count; i++)
		if (made[i])
			datafs_ext_free(made[i]);
	kfree(made);
	return err;
}
