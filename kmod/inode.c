// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: inodes, and what is known about them for how long.
 *
 * Attributes arrive in answers of many kinds, in no particular order. Which
 * of two is newer is decided by the mount's sequence alone: publishing a
 * change raises it, and an answer to a request that the daemon read before
 * that is dropped, for it may tell what was before the change. Who must know
 * what is there now asks again: the answer that was faster may be of an earlier
 * look than the one that was dropped.
 *
 *   asks A                    asks B
 *   A is read, seq = s
 *   daemon looks: old
 *                             daemon looks: new
 *                             publishes: seq = attr_seq = s + 1
 *   A is answered: s < attr_seq, dropped
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/posix_acl.h>
#include <linux/slab.h>
#include "datafs.h"

/* Looks of which others were faster; by then many have seen something new. */
#define DATAFS_REVALIDATE_TRIES	4

static struct kmem_cache *datafs_inode_cache;

/* ----------------------------------------------------------- the VFS's own */

static void datafs_inode_init_once(void *p)
{
	struct datafs_inode *di = p;

	inode_init_once(&di->vfs_inode);
}

int datafs_inode_cache_init(void)
{
	datafs_inode_cache = kmem_cache_create("datafs_inode",
					       sizeof(struct datafs_inode), 0,
					       SLAB_RECLAIM_ACCOUNT |
					       SLAB_ACCOUNT,
					       datafs_inode_init_once);
	return datafs_inode_cache ? 0 : -ENOMEM;
}

void datafs_inode_cache_exit(void)
{
	/* datafs_free_inode() is called from RCU. */
	rcu_barrier();
	kmem_cache_destroy(datafs_inode_cache);
}

struct inode *datafs_alloc_inode(struct super_block *sb)
{
	struct datafs_inode *di;

	di = alloc_inode_sb(sb, datafs_inode_cache, GFP_KERNEL);
	if (!di)
		return NULL;
	mutex_init(&di->update_lock);
	spin_lock_init(&di->attr_lock);
	di->content_seq = 0;
	di->content = 0;
	di->attr_until = 0;
	di->attr_flags = 0;
	di->attr_seq = 0;
	di->attr_changed = false;
	di->btime = (struct timespec64) {};
	RCU_INIT_POINTER(di->link, NULL);
	datafs_ext_init(di);
	return &di->vfs_inode;
}

void datafs_free_inode(struct inode *inode)
{
	kmem_cache_free(datafs_inode_cache, datafs_i(inode));
}

void datafs_evict_inode(struct inode *inode)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	s64 old = atomic64_read(&mnt->evicted_seq);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	datafs_ext_evict(di);
	datafs_link_put(rcu_dereference_protected(di->link, 1));
	RCU_INIT_POINTER(di->link, NULL);

	/* Its attr_seq is forgotten with it; see datafs_inode_fill(). */
	while (di->attr_changed && old < (s64)di->attr_seq &&
	       !atomic64_try_cmpxchg(&mnt->evicted_seq, &old, di->attr_seq))
		;
}

static int datafs_inode_test(struct inode *inode, void *ino)
{
	return inode->i_ino == *(u64 *)ino;
}

static int datafs_inode_set(struct inode *inode, void *ino)
{
	inode->i_ino = *(u64 *)ino;
	return 0;
}

struct inode *datafs_ilookup(struct super_block *sb, u64 ino)
{
	return sb ? ilookup5(sb, ino, datafs_inode_test, &ino) : NULL;
}

/* -------------------------------------------------------------- attributes */

#define DATAFS_UNTIL_BITS	48
#define DATAFS_UNTIL_FOREVER	((1ull << DATAFS_UNTIL_BITS) - 1)

u64 datafs_until(const struct datafs_policy *policy, u32 valid_ms, u64 when)
{
	u64 generation = READ_ONCE(policy->generation), until;

	if (!valid_ms)
		return 0;
	valid_ms = min(valid_ms, READ_ONCE(policy->max_ms));
	if (valid_ms == DATAFS_FOREVER)
		until = DATAFS_UNTIL_FOREVER;
	else
		until = when + div_u64((u64)valid_ms * HZ, MSEC_PER_SEC);
	return generation << DATAFS_UNTIL_BITS | until;
}

bool datafs_is_valid(const struct datafs_mount *mnt,
		     const struct datafs_policy *policy, u64 until)
{
	u64 time = until & DATAFS_UNTIL_FOREVER;

	if (!until || !READ_ONCE(policy->max_ms))
		return false;
	if (!datafs_mount_is_live(mnt))
		return true;
	if (until >> DATAFS_UNTIL_BITS != READ_ONCE(policy->generation))
		return false;
	return time == DATAFS_UNTIL_FOREVER ||
	       time_before64(get_jiffies_64(), time);
}

bool datafs_inode_attr_valid(struct inode *inode)
{
	const struct datafs_mount *mnt = datafs_mnt(inode->i_sb);

	return datafs_is_valid(mnt, &mnt->attr_policy,
			       READ_ONCE(datafs_i(inode)->attr_until));
}

static struct timespec64 datafs_ts(s64 sec, u32 nsec)
{
	return (struct timespec64) { .tv_sec = sec, .tv_nsec = nsec };
}

static dev_t datafs_rdev(const struct datafs_attr *attr)
{
	return MKDEV(attr->rdev_major, attr->rdev_minor);
}

/* All that an inode can never change into, or that this kernel cannot hold. */
static int datafs_attr_check(struct super_block *sb, struct inode *inode,
			     const struct datafs_attr *attr)
{
	const char *what = NULL;

	if (attr->rdev_major > MAJOR(~0U) || attr->rdev_minor > MINORMASK)
		what = "has a device number that is too large";
	else if (!inode)
		return 0;
	else if (inode_wrong_type(inode, attr->mode))
		what = "changed its type";
	else if ((S_ISCHR(attr->mode) || S_ISBLK(attr->mode)) &&
		 inode->i_rdev != datafs_rdev(attr))
		what = "changed its device number";
	if (!what)
		return 0;
	pr_warn_ratelimited("datafs: mount %u: the daemon says that inode %llu %s; refused\n",
			    datafs_mnt(sb)->id, attr->ino, what);
	return -EIO;
}

/* Everything a program can see of an inode, at once; getattr sees no mixture. */
static void datafs_attr_publish(struct inode *inode,
				const struct datafs_attr *attr, u64 until)
{
	struct datafs_inode *di = datafs_i(inode);

	lockdep_assert_held(&di->attr_lock);
	inode->i_mode = attr->mode;
	i_uid_write(inode, attr->uid);
	i_gid_write(inode, attr->gid);
	set_nlink(inode, attr->nlink);
	i_size_write(inode, attr->size);
	inode->i_blocks = attr->blocks;
	datafs_set_atime_mtime(inode, datafs_ts(attr->atime, attr->atime_ns),
			       datafs_ts(attr->mtime, attr->mtime_ns));
	datafs_set_ctime(inode, datafs_ts(attr->ctime, attr->ctime_ns));
	di->btime = datafs_ts(attr->btime, attr->btime_ns);
	di->attr_flags = attr->flags;
	WRITE_ONCE(di->content, attr->content);
	WRITE_ONCE(di->attr_until, until);
}

/* Do they tell nothing new? Under update_lock, so the inode stays as it is. */
static bool datafs_attr_same(struct inode *inode, const struct datafs_attr *attr)
{
	struct datafs_inode *di = datafs_i(inode);
	struct timespec64 mtime = datafs_ts(attr->mtime, attr->mtime_ns);
	struct timespec64 ctime = datafs_ts(attr->ctime, attr->ctime_ns);
	struct timespec64 btime = datafs_ts(attr->btime, attr->btime_ns);
	struct timespec64 old_mtime = datafs_get_mtime(inode);
	struct timespec64 old_ctime = datafs_get_ctime(inode);

	return attr->content == di->content &&
	       attr->size == i_size_read(inode) &&
	       attr->blocks == inode->i_blocks &&
	       attr->mode == inode->i_mode &&
	       attr->nlink == inode->i_nlink &&
	       attr->uid == i_uid_read(inode) &&
	       attr->gid == i_gid_read(inode) &&
	       attr->flags == di->attr_flags &&
	       timespec64_equal(&mtime, &old_mtime) &&
	       timespec64_equal(&ctime, &old_ctime) &&
	       timespec64_equal(&btime, &di->btime);
}

/*
 * A file's bytes changed. Between the two states nobody gets an extent: who
 * looks for one asks for attributes instead and waits for update_lock.
 *
 *   - The sequence goes up, extents go, and none are taken: from here on no
 *     folio can be filled, except from extents that were got before.
 *   - The folios go, those being filled when they are unlocked. A folio that
 *     comes into the cache behind this finds no extent. So none of the old
 *     content is left.
 *   - The new size, times and content are published together, and only then
 *     extents are taken again, of the new content.
 */
static int datafs_content_publish(struct inode *inode,
				  const struct datafs_attr *attr, u64 until)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	u64 seq;
	int ret;

	lockdep_assert_held(&di->update_lock);
	datafs_content_change_begin(di);
	seq = atomic64_inc_return(&mnt->seq);
	datafs_ext_drop_all(di);
	ret = invalidate_inode_pages2(inode->i_mapping);
	if (!ret) {
		spin_lock(&di->attr_lock);
		datafs_attr_publish(inode, attr, until);
		di->attr_seq = seq;
		di->attr_changed = true;
		spin_unlock(&di->attr_lock);
		datafs_ext_publish(di, attr->content);
		datafs_count(mnt, DATAFS_STAT_CONTENT_CHANGES, 1);
	}
	datafs_content_change_end(di);
	if (ret) {
		/* The next answer finds another content again, and repeats. */
		pr_warn_ratelimited("datafs: mount %u: inode %llu: pages of its old content are not to be had back (%d); not updated\n",
				    mnt->id, attr->ino, ret);
		return -EIO;
	}
	return 0;
}

int datafs_inode_update(struct inode *inode, const struct datafs_attr *attr,
			u64 seq, u64 when)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	u64 until = datafs_until(&mnt->attr_policy, attr->valid_ms, when);
	struct datafs_link *link = NULL;
	bool same, content;
	int ret;

	ret = datafs_attr_check(inode->i_sb, inode, attr);
	if (ret)
		return ret;

	mutex_lock(&di->update_lock);
	if (seq < di->attr_seq) {
		datafs_count(mnt, DATAFS_STAT_REPLIES_STALE, 1);
		ret = 1;
		goto out;
	}
	same = datafs_attr_same(inode, attr);
	content = attr->content != di->content;
	if (S_ISREG(inode->i_mode) && content) {
		ret = datafs_content_publish(inode, attr, until);
		if (ret)
			goto out;
	} else if (S_ISREG(inode->i_mode) &&
		   attr->size != i_size_read(inode)) {
		pr_warn_ratelimited("datafs: mount %u: the daemon says that inode %llu has another size and the same content; refused\n",
				    mnt->id, attr->ino);
		ret = -EIO;
		goto out;
	} else {
		u64 new_seq = same ? di->attr_seq : atomic64_inc_return(&mnt->seq);

		spin_lock(&di->attr_lock);
		datafs_attr_publish(inode, attr, until);
		di->attr_seq = new_seq;
		di->attr_changed |= !same;
		if (content)
			link = rcu_replace_pointer(di->link, NULL,
						   lockdep_is_held(&di->attr_lock));
		spin_unlock(&di->attr_lock);
		datafs_link_put(link);
	}
	/*
	 * After the flags are published: an ACL that was asked for before is
	 * not cached by the VFS if it is forgotten while under way.
	 */
	if (!same)
		forget_all_cached_acls(inode);
out:
	mutex_unlock(&di->update_lock);
	return ret;
}

/* ------------------------------------------------------------- new inodes */

static void datafs_inode_fill(struct inode *inode,
			      const struct datafs_attr *attr, u64 seq, u64 when)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	u64 until = datafs_until(&mnt->attr_policy, attr->valid_ms, when);

	/*
	 * It may have been here before, with attributes newer than these.
	 * Then they are used only until somebody asks.
	 */
	if (seq < atomic64_read(&mnt->evicted_seq))
		until = 0;

	/*
	 * Answers that are under way may be older than this one, those of
	 * listings much older. An eviction does not keep this sequence: it would
	 * make the rest of a listing old while its beginning is evicted.
	 */
	spin_lock(&di->attr_lock);
	datafs_attr_publish(inode, attr, until);
	di->attr_seq = atomic64_inc_return(&mnt->seq);
	spin_unlock(&di->attr_lock);
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	if (!(attr->flags & DATAFS_ATTR_ACL))
		cache_no_acl(inode);

	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &datafs_file_iops;
		inode->i_fop = &datafs_file_ops;
		inode->i_mapping->a_ops = &datafs_aops;
		mapping_set_large_folios(inode->i_mapping);
		datafs_ext_publish(di, attr->content);
		break;
	case S_IFDIR:
		inode->i_op = &datafs_dir_iops;
		inode->i_fop = &datafs_dir_ops;
		break;
	case S_IFLNK:
		inode->i_op = &datafs_symlink_iops;
		break;
	default:
		inode->i_op = &datafs_special_iops;
		init_special_inode(inode, attr->mode, datafs_rdev(attr));
		break;
	}
}

struct inode *datafs_iget(struct super_block *sb, const struct datafs_attr *attr,
			  u64 seq, u64 when)
{
	u64 ino = attr->ino;
	struct inode *inode;
	int ret;

	ret = datafs_attr_check(sb, NULL, attr);
	if (ret)
		return ERR_PTR(ret);
	inode = iget5_locked(sb, ino, datafs_inode_test, datafs_inode_set, &ino);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (datafs_inode_is_new(inode)) {
		datafs_inode_fill(inode, attr, seq, when);
		unlock_new_inode(inode);
		return inode;
	}
	ret = datafs_inode_update(inode, attr, seq, when);
	if (ret < 0) {
		iput(inode);
		return ERR_PTR(ret);
	}
	return inode;
}

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

	if (!force && datafs_inode_attr_valid(inode))
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

	if (!datafs_inode_attr_valid(inode)) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		ret = datafs_inode_revalidate(inode, false);
		if (ret)
			return ret;
	}
	return generic_permission(idmap, inode, mask);
}

const struct inode_operations datafs_file_iops = {
	.getattr		= datafs_getattr,
	.permission		= datafs_permission,
	.listxattr		= datafs_listxattr,
	.DATAFS_IOP_GET_ACL	= datafs_get_acl,
};

const struct inode_operations datafs_special_iops = {
	.getattr		= datafs_getattr,
	.permission		= datafs_permission,
	.listxattr		= datafs_listxattr,
	.DATAFS_IOP_GET_ACL	= datafs_get_acl,
};
