// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: inodes, and what is known about them.
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
#include <linux/posix_acl.h>
#include <linux/slab.h>
#include "datafs.h"
#include "kept.h"

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
	di->invalid_seq = 0;
	di->attr_changed = false;
	di->changing_by = 0;
	di->names = 0;
	di->name_seq = 0;
	di->btime = (struct timespec64) {};
	RCU_INIT_POINTER(di->link, NULL);
	di->release = NULL;
	atomic_set(&di->changing, 0);
	atomic_set(&di->changed, 0);
	atomic_set(&di->pruned, 0);
	di->kept = NULL;
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
	u64 seq = di->invalid_seq;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	datafs_ext_evict(di);
	datafs_kept_evict(di);
	datafs_link_put(rcu_dereference_protected(di->link, 1));
	RCU_INIT_POINTER(di->link, NULL);
	/* With the mount going it is not taken: an UMOUNT says the same of all. */
	if (di->release) {
		datafs_request_queue(di->release);
		datafs_request_put(di->release);
	}

	/* What is too old for it is forgotten with it; see datafs_inode_fill(). */
	if (di->attr_changed)
		seq = max(seq, di->attr_seq);
	while (old < (s64)seq &&
	       !atomic64_try_cmpxchg(&mnt->evicted_seq, &old, seq))
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

/*
 * Everything a program can see of an inode, at once; getattr sees no mixture.
 * @seq: of the request that told it, @own: a change by this mount, which is one of those
 * under way.
 */
static void datafs_attr_publish(struct inode *inode, const struct datafs_attr *attr,
				u64 seq, u64 until, bool own)
{
	struct datafs_inode *di = datafs_i(inode);

	lockdep_assert_held(&di->attr_lock);
	if (seq < di->invalid_seq || di->changing_by > own)
		until = 0;
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
	if (attr->content != di->content)
		WRITE_ONCE(di->names, di->names + 1);
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
static int datafs_content_publish(struct inode *inode, const struct datafs_attr *attr,
				  u64 asked, u64 until, bool own)
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
		datafs_attr_publish(inode, attr, asked, until, own);
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

/* What is known is asked for again, and what was asked for before is old. */
static void datafs_attr_expire(struct datafs_inode *di)
{
	struct datafs_mount *mnt = datafs_mnt(di->vfs_inode.i_sb);

	lockdep_assert_held(&di->update_lock);
	spin_lock(&di->attr_lock);
	WRITE_ONCE(di->attr_until, 0);
	di->attr_seq = atomic64_inc_return(&mnt->seq);
	di->attr_changed = true;
	spin_unlock(&di->attr_lock);
}

/* @own: of a change by this mount, see datafs_inode_changed() */
static int datafs_attr_take(struct inode *inode, const struct datafs_attr *attr,
			    u64 seq, u64 when, bool own)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	u64 until = datafs_until(mnt, &mnt->attr_policy, attr->valid_ms, seq, when);
	struct datafs_link *link = NULL;
	bool same, content;
	int ret;

	ret = datafs_attr_check(inode->i_sb, inode, attr);

	mutex_lock(&di->update_lock);
	if (ret)
		goto out;
	if (seq < di->attr_seq) {
		datafs_count(mnt, DATAFS_STAT_REPLIES_STALE, 1);
		ret = 1;
		goto out;
	}
	same = !own && datafs_attr_same(inode, attr);
	content = attr->content != di->content;
	if (S_ISREG(inode->i_mode) && content) {
		ret = datafs_content_publish(inode, attr, seq, until, own);
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
		datafs_attr_publish(inode, attr, seq, until, own);
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
	 * not cached by the VFS if it is forgotten while under way. What is cached
	 * is used for as long as the attributes are valid, and no longer.
	 */
	if (!same || datafs_has_lease(mnt))
		forget_all_cached_acls(inode);
out:
	if (ret && own)
		datafs_attr_expire(di);
	mutex_unlock(&di->update_lock);
	return ret;
}

int datafs_inode_update(struct inode *inode, const struct datafs_attr *attr,
			u64 seq, u64 when)
{
	return datafs_attr_take(inode, attr, seq, when, false);
}

int datafs_inode_changed(struct inode *inode, const struct datafs_attr *attr,
			 u64 seq, u64 when)
{
	struct datafs_inode *di = datafs_i(inode);

	if (attr)
		return datafs_attr_take(inode, attr, seq, when, true);
	mutex_lock(&di->update_lock);
	datafs_attr_expire(di);
	mutex_unlock(&di->update_lock);
	forget_all_cached_acls(inode);
	return 1;
}

void datafs_inode_change_begin(struct inode *inode, unsigned int n)
{
	struct datafs_inode *di = datafs_i(inode);

	spin_lock(&di->attr_lock);
	di->changing_by += n;
	WRITE_ONCE(di->attr_until, 0);
	spin_unlock(&di->attr_lock);
}

void datafs_inode_change_end(struct inode *inode)
{
	struct datafs_inode *di = datafs_i(inode);

	spin_lock(&di->attr_lock);
	di->changing_by--;
	spin_unlock(&di->attr_lock);
}

void datafs_inode_removed(struct inode *inode)
{
	struct datafs_inode *di = datafs_i(inode);

	mutex_lock(&di->update_lock);
	spin_lock(&di->attr_lock);
	clear_nlink(inode);
	spin_unlock(&di->attr_lock);
	mutex_unlock(&di->update_lock);
}

/* ------------------------------------------------------------- new inodes */

static void datafs_inode_fill(struct inode *inode,
			      const struct datafs_attr *attr, u64 seq, u64 when)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	u64 until = datafs_until(mnt, &mnt->attr_policy, attr->valid_ms, seq, when);

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
	datafs_attr_publish(inode, attr, seq, until, false);
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
