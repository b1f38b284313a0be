// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: what is known is not to be believed any more.
 *
 * Nothing is thrown away here, and nobody is waited for: what is marked asks the
 * daemon before it answers again, and goes then, if the daemon says so. An answer
 * that is under way meanwhile may be from before: the mount's sequence tells.
 */
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include "datafs.h"

static void datafs_raise(atomic64_t *v, s64 seq)
{
	s64 old = atomic64_read(v);

	while (old < seq && !atomic64_try_cmpxchg(v, &old, seq))
		;
}

static void datafs_invalidate_all(struct datafs_mount *mnt)
{
	datafs_raise(&mnt->invalid_seq, atomic64_inc_return(&mnt->seq));
	smp_wmb();	/* pairs with datafs_until() */
	atomic_inc(&mnt->attr_policy.generation);
	atomic_inc(&mnt->entry_policy.generation);
}

/*
 * An inode that is being made of an older answer is found, and marked when it is
 * complete, or it sees evicted_seq. That is raised only if need be: it makes all answers
 * old that inodes are being made of.
 */
static struct inode *datafs_invalid_find(struct datafs_mount *mnt,
					 const struct datafs_invalid *item, u64 seq)
{
	struct inode *inode = datafs_ilookup(mnt->sb, item->ino);

	if (inode || !(item->what & DATAFS_INVALID_ATTR))
		return inode;
	datafs_raise(&mnt->evicted_seq, seq);
	return datafs_ilookup(mnt->sb, item->ino);
}

static void datafs_invalidate_item(struct datafs_mount *mnt,
				   const struct datafs_invalid *item, const char *name)
{
	u64 seq = atomic64_inc_return(&mnt->seq);
	struct datafs_inode *di;
	struct inode *inode;

	inode = datafs_invalid_find(mnt, item, seq);
	if (!inode)
		return;
	di = datafs_i(inode);
	spin_lock(&di->attr_lock);
	if (item->what & DATAFS_INVALID_ATTR) {
		di->invalid_seq = max(di->invalid_seq, seq);
		WRITE_ONCE(di->attr_until, 0);
	}
	if (item->what & DATAFS_INVALID_NAMES)
		WRITE_ONCE(di->names, di->names + 1);
	if (item->what & DATAFS_INVALID_NAME)
		WRITE_ONCE(di->name_seq, max(di->name_seq, seq));
	spin_unlock(&di->attr_lock);
	if (item->what & DATAFS_INVALID_ATTR)
		forget_all_cached_acls(inode);
	smp_mb();	/* before the name is looked for; pairs with datafs_entry_hashed() */
	if (item->what & DATAFS_INVALID_NAME && S_ISDIR(inode->i_mode))
		datafs_entry_expire(inode, name, item->namelen);
	iput(inode);
}

/* The bytes of the item, or -EINVAL. */
static int datafs_invalid_check(const struct datafs_invalid *item, size_t bytes)
{
	const u16 all = DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES;
	size_t len;

	if (bytes < sizeof(*item))
		return -EINVAL;
	len = sizeof(*item) + round_up(item->namelen, 8);
	if (len > bytes || item->namelen > DATAFS_NAME_MAX || !item->what ||
	    item->what & ~(all | DATAFS_INVALID_NAME) ||
	    !!item->namelen != !!(item->what & DATAFS_INVALID_NAME) ||
	    (!item->ino && item->what != all))
		return -EINVAL;
	return len;
}

int datafs_invalidate(struct datafs_instance *inst, const void *items, size_t bytes)
{
	const struct datafs_invalid *item;
	struct datafs_mount *mnt;
	size_t pos;
	int len;

	/* All are looked at before the first is done. */
	for (pos = 0; pos < bytes; pos += len) {
		len = datafs_invalid_check(items + pos, bytes - pos);
		if (len < 0)
			return len;
	}
	for (pos = 0; pos < bytes; pos += sizeof(*item) + round_up(item->namelen, 8)) {
		item = items + pos;
		mnt = datafs_mount_get(item->mount_id);
		if (!mnt)
			continue;
		if (mnt->inst == inst) {
			if (item->ino)
				datafs_invalidate_item(mnt, item,
						       (const char *)(item + 1));
			else
				datafs_invalidate_all(mnt);
			datafs_count(mnt, DATAFS_STAT_INVALIDATIONS, 1);
		}
		datafs_mount_put(mnt);
	}
	return 0;
}
