/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernels is here, decided by compile probes
 * (probe.sh); the other files know one interface only. Included by datafs.h
 * after <linux/fs.h>.
 */
#ifndef DATAFS_COMPAT_H
#define DATAFS_COMPAT_H

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/list_lru.h>
#include <linux/mm.h>
#include <linux/mnt_idmapping.h>
#include <linux/pagemap.h>
#include <linux/posix_acl_xattr.h>
#include <linux/uio.h>
#include <linux/xattr.h>

#include "datafs_config.h"

/* Inode numbers and directory cookies need 64 bits in i_ino, d_time, f_pos. */
#if BITS_PER_LONG < 64
#error "DataFS needs a 64-bit kernel"
#endif

/* What inode operations are given first; this filesystem hands it on only. */
#ifdef DATAFS_HAVE_MNT_IDMAP
typedef struct mnt_idmap datafs_idmap;
#else
typedef struct user_namespace datafs_idmap;
#endif

static inline void datafs_fillattr(datafs_idmap *idmap, u32 mask,
				   struct inode *inode, struct kstat *stat)
{
#ifdef DATAFS_HAVE_FILLATTR_MASK
	generic_fillattr(idmap, mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

/* .DATAFS_IOP_GET_ACL = in an inode_operations */
#ifdef DATAFS_HAVE_GET_INODE_ACL
#define DATAFS_IOP_GET_ACL	get_inode_acl
#else
#define DATAFS_IOP_GET_ACL	get_acl
#endif

/* What ->set_acl is given an ACL for. */
#ifdef DATAFS_HAVE_SET_ACL_DENTRY
typedef struct dentry datafs_acl_of;
#define datafs_acl_inode(of)	d_inode(of)
#else
typedef struct inode datafs_acl_of;
#define datafs_acl_inode(of)	(of)
#endif

/*
 * DATAFS_MKDIR(fn, core) defines fn() for ->mkdir upon
 *
 *   int core(struct inode *dir, struct dentry *dentry, umode_t mode)
 */
#ifdef DATAFS_HAVE_MKDIR_DENTRY
#define DATAFS_MKDIR(fn, core)						\
static struct dentry *fn(datafs_idmap *idmap, struct inode *dir,	\
			 struct dentry *dentry, umode_t mode)		\
{									\
	return ERR_PTR(core(dir, dentry, mode));			\
}
#else
#define DATAFS_MKDIR(fn, core)						\
static int fn(datafs_idmap *idmap, struct inode *dir,			\
	      struct dentry *dentry, umode_t mode)			\
{									\
	return core(dir, dentry, mode);					\
}
#endif

/* Entries of an array of xattr handlers that the ACLs need, each with a comma. */
#ifdef DATAFS_HAVE_POSIX_ACL_XATTR_HANDLER
#define DATAFS_ACL_HANDLERS	&posix_acl_access_xattr_handler, \
				&posix_acl_default_xattr_handler,
#else
#define DATAFS_ACL_HANDLERS
#endif

static inline void datafs_set_xattr_handlers(struct super_block *sb,
					     const struct xattr_handler * const *h)
{
#ifdef DATAFS_HAVE_XATTR_CONST
	sb->s_xattr = h;
#else
	sb->s_xattr = (const struct xattr_handler **)h;
#endif
}

static inline void datafs_set_d_op(struct super_block *sb,
				   const struct dentry_operations *ops)
{
#ifdef DATAFS_HAVE_SET_DEFAULT_D_OP
	set_default_d_op(sb, ops);
#else
	sb->s_d_op = ops;
#endif
}

static inline void datafs_set_uuid(struct super_block *sb, const u8 uuid[16])
{
#ifdef DATAFS_HAVE_SUPER_SET_UUID
	super_set_uuid(sb, uuid, 16);
#else
	memcpy(&sb->s_uuid, uuid, 16);
#endif
}

static inline void datafs_set_ctime(struct inode *inode, struct timespec64 ts)
{
#ifdef DATAFS_HAVE_INODE_CTIME
	inode_set_ctime_to_ts(inode, ts);
#else
	inode->i_ctime = ts;
#endif
}

static inline void datafs_set_atime_mtime(struct inode *inode,
					  struct timespec64 atime,
					  struct timespec64 mtime)
{
#ifdef DATAFS_HAVE_INODE_TIMES
	inode_set_atime_to_ts(inode, atime);
	inode_set_mtime_to_ts(inode, mtime);
#else
	inode->i_atime = atime;
	inode->i_mtime = mtime;
#endif
}

static inline struct timespec64 datafs_get_ctime(const struct inode *inode)
{
#ifdef DATAFS_HAVE_INODE_CTIME
	return inode_get_ctime(inode);
#else
	return inode->i_ctime;
#endif
}

static inline struct timespec64 datafs_get_mtime(const struct inode *inode)
{
#ifdef DATAFS_HAVE_INODE_TIMES
	return inode_get_mtime(inode);
#else
	return inode->i_mtime;
#endif
}

static inline bool datafs_inode_is_new(struct inode *inode)
{
#ifdef DATAFS_HAVE_INODE_STATE_READ
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

static inline struct dentry *datafs_d_alloc_parallel(struct dentry *parent,
						     const struct qstr *name,
						     wait_queue_head_t *wq)
{
#ifdef DATAFS_HAVE_D_ALLOC_PARALLEL_NO_WQ
	return d_alloc_parallel(parent, name);
#else
	return d_alloc_parallel(parent, name, wq);
#endif
}

/*
 * DATAFS_D_REVALIDATE(fn, core) defines fn() for ->d_revalidate upon
 *
 *   int core(struct inode *dir, const struct qstr *name,
 *	      struct dentry *dentry, unsigned int flags)
 *
 * whose @dir and @name stay what they are while it sleeps (in RCU walk they
 * may be stale, which the VFS notices).
 */
#ifdef DATAFS_HAVE_D_REVALIDATE_NAME
#define DATAFS_D_REVALIDATE(fn, core)					\
static int fn(struct inode *dir, const struct qstr *name,		\
	      struct dentry *dentry, unsigned int flags)		\
{									\
	return core(dir, name, dentry, flags);				\
}
#else
#define DATAFS_D_REVALIDATE(fn, core)					\
static int fn(struct dentry *dentry, unsigned int flags)		\
{									\
	struct name_snapshot name;					\
	struct dentry *parent;						\
	struct inode *dir;						\
	int ret;							\
									\
	if (flags & LOOKUP_RCU) {					\
		dir = d_inode_rcu(READ_ONCE(dentry->d_parent));		\
		return dir ? core(dir, &dentry->d_name, dentry, flags)	\
			   : -ECHILD;					\
	}								\
	parent = dget_parent(dentry);					\
	take_dentry_name_snapshot(&name, dentry);			\
	ret = core(d_inode(parent), &name.name, dentry, flags);		\
	release_dentry_name_snapshot(&name);				\
	dput(parent);							\
	return ret;							\
}
#endif

/* Splicing out of the page cache, through the readers' own locking. */
#ifdef DATAFS_HAVE_FILEMAP_SPLICE_READ
#define datafs_generic_splice_read	filemap_splice_read
#else
#define datafs_generic_splice_read	generic_file_splice_read
#endif

static inline void datafs_folio_end_read(struct folio *folio, bool success)
{
#ifdef DATAFS_HAVE_FOLIO_END_READ
	folio_end_read(folio, success);
#else
	if (success)
		folio_mark_uptodate(folio);
	folio_unlock(folio);
#endif
}

/* A fault gives back what the VM took for it, to sleep. */
static inline void datafs_release_fault_lock(struct vm_fault *vmf)
{
#ifdef DATAFS_HAVE_RELEASE_FAULT_LOCK
	release_fault_lock(vmf);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

/*
 * The pages of a user's buffer, to be written to by I/O. Returns bytes, @start
 * is the offset in the first page; @to advances.
 */
static inline ssize_t datafs_pin_pages(struct iov_iter *to, struct page **pages,
				       size_t len, unsigned int max,
				       size_t *start)
{
#ifdef DATAFS_HAVE_IOV_ITER_EXTRACT_PAGES
	return iov_iter_extract_pages(to, &pages, len, max, 0, start);
#else
	return iov_iter_get_pages2(to, pages, len, max, start);
#endif
}

static inline void datafs_unpin_pages(struct page **pages, unsigned int n,
				      bool dirty)
{
#ifdef DATAFS_HAVE_IOV_ITER_EXTRACT_PAGES
	unpin_user_pages_dirty_lock(pages, n, dirty);
#else
	while (n--) {
		if (dirty)
			set_page_dirty_lock(pages[n]);
		put_page(pages[n]);
	}
#endif
}

/* A superblock's shrinker, for its list_lru's. */
static inline struct shrinker *datafs_sb_shrinker(struct super_block *sb)
{
#ifdef DATAFS_HAVE_SB_SHRINKER_POINTER
	return sb->s_shrink;
#else
	return &sb->s_shrink;
#endif
}

/* Whose memory cgroup it is in, the object itself tells. */
static inline void datafs_list_lru_add(struct list_lru *lru,
				       struct list_head *item)
{
#ifdef DATAFS_HAVE_LIST_LRU_ADD_OBJ
	list_lru_add_obj(lru, item);
#else
	list_lru_add(lru, item);
#endif
}

static inline void datafs_list_lru_del(struct list_lru *lru,
				       struct list_head *item)
{
#ifdef DATAFS_HAVE_LIST_LRU_ADD_OBJ
	list_lru_del_obj(lru, item);
#else
	list_lru_del(lru, item);
#endif
}

/* The head of a list_lru's walker, called under the list's lock. */
#ifdef DATAFS_HAVE_LIST_LRU_WALK_LOCK
#define DATAFS_LRU_ISOLATE(fn, item, lru, arg)				\
static enum lru_status fn(struct list_head *item,			\
			  struct list_lru_one *lru, spinlock_t *lock,	\
			  void *arg)
#else
#define DATAFS_LRU_ISOLATE(fn, item, lru, arg)				\
static enum lru_status fn(struct list_head *item,			\
			  struct list_lru_one *lru, void *arg)
#endif

/* For alloc_workqueue(): bound to processors */
#ifdef DATAFS_HAVE_WQ_PERCPU
#define DATAFS_WQ_PERCPU	WQ_PERCPU
#else
#define DATAFS_WQ_PERCPU	0
#endif

/* ->llseek of a file that does not seek */
#ifdef DATAFS_HAVE_NO_LLSEEK
#define DATAFS_NO_LLSEEK	no_llseek
#else
#define DATAFS_NO_LLSEEK	NULL
#endif

#endif /* DATAFS_COMPAT_H */
