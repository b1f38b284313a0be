// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: which extents are held, for a daemon that follows another.
 *
 * The cursor is (mount, inode, offset). An inode's dying extents are told all
 * at once, with offset 0, for they have no order that would stay; those in its
 * tree by their offsets, from 1 on.
 */
#include <linux/sched/signal.h>
#include "datafs.h"

static void datafs_held_tell(const struct datafs_ext *ext,
			     struct datafs_held_list *list,
			     struct datafs_held *items)
{
	struct datafs_instance *inst = ext->mnt->inst;
	struct datafs_held *item = &items[list->count++];

	*item = (struct datafs_held) {
		.ino = ext->di->vfs_inode.i_ino,
		.content = ext->content,
		.off = ext->off,
		.len = ext->len,
		.backing_off = ext->backing_off,
		.backing_id = ext->bf->id,
		.mount_id = ext->mnt->id,
	};
	if (ext->dead)
		item->flags |= DATAFS_HELD_DYING;
	/* compared only */
	if (xa_load(&inst->backings, ext->bf->id) != ext->bf)
		item->flags |= DATAFS_HELD_OTHER;
}

/* 1: there is no room for all of them. */
static int datafs_held_inode(struct datafs_inode *di,
			     struct datafs_held_list *list,
			     struct datafs_held *items)
{
	struct datafs_ext *ext;
	u32 dying = 0;
	struct rb_node *n;
	int ret = 0;

	spin_lock(&di->extent_lock);
	if (!list->off) {
		list_for_each_entry(ext, &di->dying, dying)
			dying++;
		if (dying > list->room - list->count) {
			ret = list->count ? 1 : -ERANGE;
			goto out;
		}
		list_for_each_entry(ext, &di->dying, dying)
			datafs_held_tell(ext, list, items);
		list->off = 1;
	}
	ext = datafs_ext_find(di, list->off);
	while (ext && list->count < list->room) {
		datafs_held_tell(ext, list, items);
		list->off = ext->off + ext->len;
		n = rb_next(&ext->node);
		ext = n ? rb_entry(n, struct datafs_ext, node) : NULL;
	}
	ret = ext ? 1 : 0;
out:
	spin_unlock(&di->extent_lock);
	return ret;
}

static int datafs_held_mount(struct datafs_mount *mnt,
			     struct datafs_held_list *list,
			     struct datafs_held *items)
{
	unsigned long ino = list->ino;
	struct inode *inode;
	int ret = 0;
	void *found;

	while (!ret) {
		/*
		 * The lock orders this with datafs_ext_hold(): whoever comes
		 * later sees the epoch of who asks here, and installs nothing.
		 */
		xa_lock(&mnt->held);
		found = xa_find(&mnt->held, &ino, ULONG_MAX, XA_PRESENT);
		xa_unlock(&mnt->held);
		if (!found)
			return 0;
		if (ino != list->ino)
			list->off = 0;
		list->ino = ino;
		inode = datafs_ilookup(mnt->sb, ino);
		if (inode) {
			ret = datafs_held_inode(datafs_i(inode), list, items);
			iput(inode);
		}
		if (!ret) {
			list->ino = ++ino;
			list->off = 0;
		}
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return ret;
}

int datafs_ext_list(struct datafs_instance *inst, struct datafs_held_list *list,
		    struct datafs_held *items)
{
	struct datafs_mount *mnt;
	int ret;

	list->count = 0;
	while ((mnt = datafs_mount_next(list->mount_id))) {
		if (mnt->id != list->mount_id) {
			list->mount_id = mnt->id;
			list->ino = 0;
			list->off = 0;
		}
		ret = mnt->inst == inst ? datafs_held_mount(mnt, list, items) : 0;
		datafs_mount_put(mnt);
		if (ret)
			return min(ret, 0);
		list->mount_id++;
		list->ino = 0;
		list->off = 0;
	}
	return 0;
}
