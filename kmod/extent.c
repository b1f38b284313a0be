// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: the extents an inode holds, and their revocation.
 *
 * An extent is in its inode's tree, or dead: out of the tree, but used by
 * I/O and therefore on the dying list. A revocation covers both, so that its
 * REVOKE_DONE means what it says.
 *
 *   reader                                revoke
 *   ------                                ------
 *   datafs_ext_get: ref                   seq++, tree -> dying, ext->revoke
 *   I/O to the backing file                 (holds one reference for each)
 *   datafs_ext_put: last reference
 *     off the dying list
 *     datafs_revoke_put: last   --------> REVOKE_DONE
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include "datafs.h"
#include "trace.h"

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

static void datafs_revoke_put(struct datafs_revoke *rv)
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

static u64 datafs_ext_end(const struct datafs_ext *ext)
{
	return ext->off + ext->len;
}

static void datafs_ext_free(struct datafs_ext *ext)
{
	datafs_count(ext->mnt, DATAFS_STAT_EXTENTS, -1);
	datafs_backing_put(ext->bf);
	datafs_revoke_put(ext->revoke);
	bitmap_free(ext->verified);
	kvfree(ext);
}

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

/* Tree -> dying list; the tree's reference is the caller's, on @drop. */
static void datafs_ext_kill(struct datafs_ext *ext, struct list_head *drop)
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

static void datafs_ext_free_list(struct list_head *drop)
{
	struct datafs_ext *ext, *next;

	list_for_each_entry_safe(ext, next, drop, dying)
		datafs_ext_free(ext);
}

struct datafs_ext *datafs_ext_get(struct datafs_inode *di, u64 off)
{
	struct datafs_ext *ext;

	spin_lock(&di->extent_lock);
	ext = datafs_ext_find(di, off);
	if (ext && ext->off <= off)
		refcount_inc(&ext->ref);
	else
		ext = NULL;
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

/* What an ask may install shrinks by what goes while it is under way. */
static void datafs_ask_stale(struct datafs_inode *di, u64 seq, u64 off, u64 end)
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

static struct datafs_ext *datafs_ext_make(struct datafs_inode *di,
					  const struct datafs_extent *src,
					  u64 content, const __u32 *crc)
{
	struct datafs_mount *mnt = datafs_mnt(di->vfs_inode.i_sb);
	u32 n = src->len >> DATAFS_GRANULE_SHIFT;
	struct datafs_backing_file *bf;
	struct datafs_ext *ext;

	bf = datafs_backing_get(mnt->inst, src->backing_id);
	if (!bf) {
		pr_warn_ratelimited("datafs: mount %u: extent names backing file %u, which is not registered\n",
				    mnt->id, src->backing_id);
		return ERR_PTR(-EIO);
	}
	if (src->len > bf->size || src->backing_off > bf->size - src->len) {
		pr_warn_ratelimited("datafs: mount %u: extent [%llu, +%llu) is beyond backing file %u\n",
				    mnt->id, src->backing_off, src->len, bf->id);
		datafs_backing_put(bf);
		return ERR_PTR(-EIO);
	}
	ext = kvmalloc(struct_size(ext, crc, n), GFP_KERNEL);
	if (!ext)
		goto nomem;
	*ext = (struct datafs_ext) {
		.di = di, .mnt = mnt, .bf = bf,
		.off = src->off, .len = src->len,
		.backing_off = src->backing_off, .content = content,
	};
	refcount_set(&ext->ref, 1);
	memcpy(ext->crc, crc, n * sizeof(*crc));
	if (READ_ONCE(mnt->verify) == DATAFS_VERIFY_FIRST) {
		ext->verified = bitmap_zalloc(n, GFP_KERNEL);
		if (!ext->verified)
			goto nomem;
	}
	datafs_count(mnt, DATAFS_STAT_EXTENTS, 1);
	return ext;
nomem:
	kvfree(ext);
	datafs_backing_put(bf);
	return ERR_PTR(-ENOMEM);
}

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
	u32 i;

	err = datafs_ext_hold(di);
	if (err)
		return err;
	made = kcalloc(rep->count, sizeof(*made), GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	for (i = 0; i < rep->count; i++) {
		made[i] = datafs_ext_make(di, &src[i], rep->content, crc);
		if (IS_ERR(made[i])) {
			err = PTR_ERR(made[i]);
			made[i] = NULL;
			goto out;
		}
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
	for (i = 0; i < rep->count; i++)
		if (made[i])
			datafs_ext_free(made[i]);
	kfree(made);
	return err;
}

/* -------------------------------------------------------------- revocation */

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
