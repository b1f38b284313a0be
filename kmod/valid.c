// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: until when what is known of an inode may be used, asking anew, and
 * the operations that need it to be valid.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/timekeeping.h>
#include "datafs.h"

/*
 * 2^40 jiffies are 34 years at the highest HZ there is. What nobody has asked
 * about during 2^24 generations seems valid again: they are made by hand, or when
 * all grants were lost, not many a minute.
 */
#define DATAFS_UNTIL_BITS	40
#define DATAFS_UNTIL_FOREVER	((1ull << DATAFS_UNTIL_BITS) - 1)

static u64 datafs_generation(const struct datafs_policy *policy)
{
	return (u64)atomic_read(&policy->generation) << DATAFS_UNTIL_BITS;
}

/*
 *   takes an answer              datafs_invalidate_all()
 *   reads the generation: old
 *                                raises invalid_seq, then the generation
 *   reads invalid_seq: new       (either would do: what is of an old generation
 *                                is not valid)
 *
 * So the generation is read first: if that is the new one, so is invalid_seq.
 */
u64 datafs_until(const struct datafs_mount *mnt, const struct datafs_policy *policy,
		 u32 valid_ms, u64 seq, u64 when)
{
	u64 generation = datafs_generation(policy), until;

	smp_rmb();	/* pairs with datafs_invalidate_all() */
	if (!valid_ms || seq < (u64)atomic64_read(&mnt->invalid_seq))
		return 0;
	valid_ms = min(valid_ms, READ_ONCE(policy->max_ms));
	if (valid_ms == DATAFS_FOREVER)
		until = DATAFS_UNTIL_FOREVER;
	else
		until = (when + div_u64((u64)valid_ms * HZ, MSEC_PER_SEC)) &
			DATAFS_UNTIL_FOREVER;
	return generation | until;
}

bool datafs_has_lease(const struct datafs_mount *mnt)
{
	return atomic64_read(&mnt->lease_until) != DATAFS_LEASE_NONE;
}

bool datafs_lease_over(const struct datafs_mount *mnt)
{
	u64 until = atomic64_read(&mnt->lease_until);

	return until != DATAFS_LEASE_NONE && ktime_get_boottime_ns() >= until;
}

bool datafs_is_valid(const struct datafs_mount *mnt,
		     const struct datafs_policy *policy, u64 until)
{
	u64 time = until & DATAFS_UNTIL_FOREVER;

	if (!until || !READ_ONCE(policy->max_ms))
		return false;
	if ((until ^ datafs_generation(policy)) >> DATAFS_UNTIL_BITS ||
	    datafs_lease_over(mnt))
		return false;
	if (!datafs_mount_is_live(mnt))
		return true;
	return time == DATAFS_UNTIL_FOREVER ||
	       time_before64(get_jiffies_64(), time);
}

/* No name leads to it, so nobody else can change it. */
static bool datafs_inode_is_removed(const struct inode *inode)
{
	return !READ_ONCE(inode->i_nlink);
}

bool datafs_inode_attr_valid(struct inode *inode)
{
	const struct datafs_mount *mnt = datafs_mnt(inode->i_sb);

	return datafs_inode_is_removed(inode) ||
	       datafs_is_valid(mnt, &mnt->attr_policy,
			       READ_ONCE(datafs_i(inode)->attr_until));
}

/* ------------------------------------------------------------ asking anew */

/* Looks of which others were faster; by then many have seen something new. */
#define DATAFS_REVALIDATE_TRIES	4

/* GETATTR; on success *@seq is what the request carried. */
static int datafs_attr_upcall(struct super_block *sb, u64 ino,
			      struct datafs_attr *attr, u64 *seq)
{
	struct datafs_request *req;
	int ret;

	req = datafs_request_alloc(datafs_mnt(sb), DATAFS_OP_GETATTR, ino, 0,
				   GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	ret = datafs_request_call(req);
	if (!ret && (datafs_reply_attr(req->reply, req->reply_len, attr) ||
		     attr->ino != ino))
		ret = datafs_request_bad(req, "attributes");
	*seq = req->head.seq;
	datafs_request_put(req);
	return ret;
}

struct inode *datafs_iget_upcall(struct super_block *sb, u64 ino)
{
	struct datafs_attr attr;
	u64 seq;
	int ret;

	ret = datafs_attr_upcall(sb, ino, &attr, &seq);
	return ret ? ERR_PTR(ret) :
		     datafs_iget(sb, &attr, seq, get_jiffies_64());
}

int datafs_inode_revalidate(struct inode *inode, bool force)
{
	struct datafs_attr attr;
	int ret, tries = 0;
	u64 seq;

	if (datafs_inode_is_removed(inode) ||
	    (!force && datafs_inode_attr_valid(inode)))
		return 0;
	do {
		ret = datafs_attr_upcall(inode->i_sb, inode->i_ino, &attr, &seq);
		if (!ret)
			ret = datafs_inode_update(inode, &attr, seq,
						  get_jiffies_64());
		/*
		 * Dropped, for another answer came first. Which of the two looks
		 * was the later one is not known: looked at once more.
		 */
	} while (ret > 0 && ++tries < DATAFS_REVALIDATE_TRIES);
	return min(ret, 0);
}

/* --------------------------------------------------------- inode operations */

int datafs_getattr(datafs_idmap *idmap, const struct path *path,
		   struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct datafs_inode *di = datafs_i(inode);
	int ret;

	if (!(flags & AT_STATX_DONT_SYNC)) {
		ret = datafs_inode_revalidate(inode, flags & AT_STATX_FORCE_SYNC);
		if (ret)
			return ret;
	}
	spin_lock(&di->attr_lock);
	datafs_fillattr(idmap, mask, inode, stat);
	if (di->attr_flags & DATAFS_ATTR_BTIME) {
		stat->btime = di->btime;
		stat->result_mask |= STATX_BTIME;
	}
	spin_unlock(&di->attr_lock);
	/*
	 * Any multiple of a sector goes; what is no multiple of a granule
	 * costs a copy.
	 */
	if ((mask & STATX_DIOALIGN) && S_ISREG(inode->i_mode)) {
		stat->dio_mem_align = DATAFS_DIO_ALIGN;
		stat->dio_offset_align = DATAFS_DIO_ALIGN;
		stat->result_mask |= STATX_DIOALIGN;
	}
	return 0;
}

int datafs_permission(datafs_idmap *idmap, struct inode *inode, int mask)
{
	int ret;

	/*
	 * Before it waits for a lock or a dentry of who waits for it. In an RCU
	 * walk, which the instance's memory outlives.
	 */
	if (S_ISDIR(inode->i_mode) &&
	    datafs_is_daemon(datafs_mnt(inode->i_sb)->inst))
		return -EDEADLK;
	if (!datafs_inode_attr_valid(inode)) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		ret = datafs_inode_revalidate(inode, false);
		if (ret)
			return ret;
	}
	/* As on a filesystem that is read-only, whoever it is. */
	if ((mask & MAY_WRITE) && !datafs_may_change(inode) &&
	    (S_ISREG(inode->i_mode) || S_ISDIR(inode->i_mode) ||
	     S_ISLNK(inode->i_mode)))
		return -EROFS;
	return generic_permission(idmap, inode, mask);
}

const struct inode_operations datafs_file_iops = {
	.setattr		= datafs_setattr,
	.getattr		= datafs_getattr,
	.permission		= datafs_permission,
	.listxattr		= datafs_listxattr,
	.DATAFS_IOP_GET_ACL	= datafs_get_acl,
	.set_acl		= datafs_set_acl,
};

const struct inode_operations datafs_special_iops = {
	.setattr		= datafs_setattr,
	.getattr		= datafs_getattr,
	.permission		= datafs_permission,
	.listxattr		= datafs_listxattr,
	.DATAFS_IOP_GET_ACL	= datafs_get_acl,
	.set_acl		= datafs_set_acl,
};
