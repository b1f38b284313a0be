/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS, the kernel side: inodes, names, and where a file's bytes are. Part of
 * datafs.h, which everybody includes; the concepts and the order of locks are there.
 */
#ifndef DATAFS_INODE_H
#define DATAFS_INODE_H

#include "datafs.h"

/* ---------------------------------------------------------------- inode */

struct datafs_inode {
	struct inode		vfs_inode;

	/*
	 * Held while a changed content is published: the sequence goes up,
	 * extents and pages go, then size, times and @content change.
	 */
	struct mutex		update_lock;

	/*
	 * The next ones, and the attributes in @vfs_inode. They are written
	 * under update_lock as well.
	 */
	spinlock_t		attr_lock;
	u64			content;
	u64			attr_until;	/* datafs_until() */
	u64			attr_seq;	/* answers to older requests are old */
	u64			invalid_seq;	/* those to older ones are not kept */
	bool			attr_changed;	/* @attr_seq is of a change */
	unsigned int		changing_by;	/* datafs_inode_change_begin() less _end() */
	u32			attr_flags;	/* DATAFS_ATTR_* */
	struct timespec64	btime;
	struct datafs_link __rcu *link;		/* a symlink's target, or NULL */
	u64			names;		/* generation of what dentries in it say */
	u64			name_seq;	/* no older answer tells of a name in it */

	/*
	 * The RELEASE that is owed when the inode goes, since a daemon was asked
	 * to hold it; or NULL. i_rwsem.
	 */
	struct datafs_request	*release;
	/*
	 * Of a directory: changes of its names under way, and how many have ended.
	 * Who asks for a name without i_rwsem looks at both.
	 */
	atomic_t		changing;
	atomic_t		changed;
	atomic_t		pruned;		/* names that left the dcache */
	struct datafs_kept	*kept;		/* its listing, or NULL; attr_lock */

	/*
	 * Odd while a changed content is being published, so that a read(2)
	 * can tell whether all it copied was of one content. Written under
	 * update_lock, by datafs_content_change_begin() and _end() only.
	 */
	unsigned int		content_seq;

	spinlock_t		extent_lock;	/* all below */
	struct rb_root		extents;	/* by offset, without overlap */
	struct list_head	dying;		/* out of the tree, still used by I/O */
	bool			held;		/* is in datafs_mount.held */
	u64			extent_content;	/* of all @extents; 0: take none */
	struct list_head	asking;		/* struct datafs_ask under way */
	wait_queue_head_t	answered;	/* one of them ended */
	struct datafs_bad_extent_req bad;	/* the last that did not match */
	bool			bad_pending;	/* @bad is not yet reported */
};

static inline struct datafs_inode *datafs_i(const struct inode *inode)
{
	return container_of(inode, struct datafs_inode, vfs_inode);
}

static inline void datafs_content_change_begin(struct datafs_inode *di)
{
	lockdep_assert_held(&di->update_lock);
	WRITE_ONCE(di->content_seq, di->content_seq + 1);
	smp_wmb();	/* before pages go; pairs with datafs_content_same() */
}

static inline void datafs_content_change_end(struct datafs_inode *di)
{
	smp_wmb();	/* after size and content; pairs with _seq() */
	WRITE_ONCE(di->content_seq, di->content_seq + 1);
}

static inline unsigned int datafs_content_seq(const struct datafs_inode *di)
{
	unsigned int seq = READ_ONCE(di->content_seq);

	smp_rmb();	/* pairs with datafs_content_change_end() */
	return seq;
}

/* Was all since @seq was taken of one content? */
static inline bool datafs_content_same(const struct datafs_inode *di,
				       unsigned int seq)
{
	smp_rmb();	/* pairs with datafs_content_change_begin() */
	return !(seq & 1) && READ_ONCE(di->content_seq) == seq;
}

/* The end of the file's last granule. */
static inline u64 datafs_eof(const struct inode *inode)
{
	return round_up((u64)i_size_read(inode), DATAFS_GRANULE);
}

int datafs_inode_cache_init(void);
void datafs_inode_cache_exit(void);
struct inode *datafs_alloc_inode(struct super_block *sb);
void datafs_free_inode(struct inode *inode);
void datafs_evict_inode(struct inode *inode);

/*
 * datafs_iget - the inode of checked attributes, made or brought up to date
 * @seq:	of the request that they answer
 * @when:	jiffies64 when the answer came; @attr->valid_ms counts from there
 *
 * ERR_PTR(-EIO) if the daemon changed its type, -ENOMEM. May sleep, also on
 * folios; never on the daemon.
 */
struct inode *datafs_iget(struct super_block *sb, const struct datafs_attr *attr,
			  u64 seq, u64 when);
/* The same by an upcall, for an inode that need not be cached. */
struct inode *datafs_iget_upcall(struct super_block *sb, u64 ino);
/*
 * The cached inode of that number, with a reference, or NULL. @sb may be NULL
 * (a mount that has none yet). May sleep.
 */
struct inode *datafs_ilookup(struct super_block *sb, u64 ino);
/*
 * datafs_inode_update - publish checked attributes
 *
 * If the content changed, first the old pages and extents go, then size,
 * times and content change together. Sleeps on folios. -EIO: type changed.
 * 1 if something newer than @seq was published already: nothing is done then.
 */
int datafs_inode_update(struct inode *inode, const struct datafs_attr *attr,
			u64 seq, u64 when);
/*
 * datafs_inode_changed - publish what a change by this mount has made of it
 * @attr:	checked; NULL: not known
 * @seq:	of the change's request
 *
 * Answers to all requests that were read before this moment are old from now on.
 * If @attr is not known or not to be trusted, since something newer than @seq
 * was published already, they are asked for anew. Otherwise as
 * datafs_inode_update().
 */
int datafs_inode_changed(struct inode *inode, const struct datafs_attr *attr,
			 u64 seq, u64 when);
/*
 * datafs_inode_change_begin - it is being changed by this mount, under a lease
 * @n:	of those who call datafs_inode_change_end()
 *
 * Others may see the change before it is answered. So its attributes are asked for each
 * time until all of those have ended; what the last of them has published before is kept.
 */
void datafs_inode_change_begin(struct inode *inode, unsigned int n);
void datafs_inode_change_end(struct inode *inode);
/* It has lost its last name, says a daemon that was asked by this mount. */
void datafs_inode_removed(struct inode *inode);
/*
 * Upcall if the attributes have expired or @force. ESTALE: it is gone. What lost
 * its last name here is asked for no more: only this mount can change it.
 */
int datafs_inode_revalidate(struct inode *inode, bool force);
bool datafs_inode_attr_valid(struct inode *inode);
/*
 * valid_ms of an answer got at @when (jiffies64), to a request of @seq -> until when
 * it may be used: 0, or the policy's generation above jiffies64, whose bits are all
 * ones for ever.
 */
u64 datafs_until(const struct datafs_mount *mnt, const struct datafs_policy *policy,
		 u32 valid_ms, u64 seq, u64 when);
/* Others change what @mnt shows, too. */
bool datafs_has_lease(const struct datafs_mount *mnt);
/* Somebody else may change what @mnt knows without telling it. */
bool datafs_lease_over(const struct datafs_mount *mnt);
/*
 * Is it not later than @until, nor than the mount's lease? Without a daemon what has
 * expired still answers: nobody can say better. What never was to answer (0) does not,
 * nor what was invalidated, nor what is of a lease that is over: somebody can.
 */
bool datafs_is_valid(const struct datafs_mount *mnt,
		     const struct datafs_policy *policy, u64 until);

/*
 * datafs_invalidate - what @items name is asked for anew before it answers again
 * @bytes:	of @items, which are checked here: -EINVAL
 *
 * May sleep, but neither on the daemon nor on a folio.
 */
int datafs_invalidate(struct datafs_instance *inst, const void *items, size_t bytes);
/* dir.c: the name in @dir, if it is cached, is asked for anew. May sleep. */
void datafs_entry_expire(struct inode *dir, const char *name, unsigned int len);

/**
 * struct datafs_link - a symlink's target
 *
 * References: the inode, and each path walk that follows it, for as long as
 * it does: the inode may get another target meanwhile. Freed by RCU.
 */
struct datafs_link {
	refcount_t		ref;
	struct rcu_head		rcu;
	char			target[];
};

void datafs_link_put(struct datafs_link *link);

int datafs_getattr(datafs_idmap *idmap, const struct path *path,
		   struct kstat *stat, u32 mask, unsigned int flags);
int datafs_setattr(datafs_idmap *idmap, struct dentry *dentry,
		   struct iattr *attr);
int datafs_permission(datafs_idmap *idmap, struct inode *inode, int mask);

/* May it be changed? As far as is known: revalidate first if that matters. */
static inline bool datafs_may_change(const struct inode *inode)
{
	return READ_ONCE(datafs_i(inode)->attr_flags) & DATAFS_ATTR_CHANGES;
}

/* ---------------------------------------------------------------- names */

/*
 * dir.c. A daemon has just said what @dentry, a name in @dir, is. @names: the
 * directory's before the daemon was asked, so never too new; @seq: of the request.
 */
void datafs_entry_confirm(struct dentry *dentry, const struct inode *dir, u64 names,
			  u64 seq, u64 until);
/* Nothing is known of it any more. */
void datafs_entry_doubt(struct dentry *dentry);
/* After it is hashed, if it was confirmed before: an INVALIDATE may not have found it. */
void datafs_entry_hashed(struct dentry *dentry, const struct inode *dir, u64 seq);
/*
 * After an answer to the request of @seq was taken for @dentry: if a change was under
 * way, as @changed of datafs_names_begin() tells, it may be of before it.
 */
void datafs_entry_settle(struct dentry *dentry, struct inode *dir, int changed, u64 seq);
/* As datafs_until(), of a name in @dir. */
u64 datafs_entry_until(const struct inode *dir, u32 valid_ms, u64 seq, u64 when);

static inline u64 datafs_dir_names(const struct inode *dir)
{
	return READ_ONCE(datafs_i(dir)->names);
}

/**
 * datafs_splice - d_splice_alias(), of which nothing goes astray
 *
 * A directory that was reached by a handle, and has no way to the root yet, takes none
 * from below the root: -ESTALE. If it never gets one, what is below it is found by no
 * walk over the tree. The root itself would be lost. Takes over the reference.
 */
struct dentry *datafs_splice(struct inode *inode, struct dentry *dentry);
struct dentry *datafs_lookup(struct inode *dir, struct dentry *dentry,
			     unsigned int flags);

/*
 * Names that are asked for without the directory's i_rwsem, or of which a change
 * goes on without its waiter: take a number before, and see afterwards whether a
 * change was under way.
 *
 *   asks for a name               changes it
 *   n = datafs_names_begin
 *                                 changing++
 *   the daemon looks
 *                                 the daemon changes it; the dentry is moved
 *                                 changed++, changing--
 *   datafs_names_changed(n): the answer may be of before it
 */
static inline int datafs_names_begin(const struct inode *dir)
{
	return atomic_read_acquire(&datafs_i(dir)->changed);
}

static inline bool datafs_names_changed(const struct inode *dir, int n)
{
	smp_mb();	/* after a dentry is hashed; pairs with datafs_names_ended() */
	return atomic_read_acquire(&datafs_i(dir)->changing) ||
	       atomic_read(&datafs_i(dir)->changed) != n;
}

/* -------------------------------------------------------------- extents */

/**
 * struct datafs_ext - an extent the kernel holds
 *
 * References: the tree, and each I/O that uses it. @revoke is set (under
 * extent_lock) when a revocation takes it from the tree and is told when
 * the last reference goes. @dead and @used are protected by extent_lock.
 */
struct datafs_ext {
	union {
		struct rb_node		node;	/* in di->extents */
		struct list_head	dying;	/* in di->dying */
	};
	struct list_head	lru;		/* in mnt->lru while it is in the tree */
	struct list_head	order;		/* in mnt->order likewise */
	bool			dead;		/* in di->dying */
	bool			used;		/* since the shrinker passed it last */
	refcount_t		ref;
	struct datafs_inode	*di;
	u64			off;
	u64			len;
	u64			backing_off;
	u64			content;
	struct datafs_backing_file *bf;	/* reference */
	struct datafs_mount	*mnt;		/* outlives all I/O: a superblock is busy */
	struct datafs_revoke	*revoke;
	unsigned long		*verified;	/* verify=first: granules seen right */
	u32			*crc;		/* of each granule; kvfree'd */
};

/*
 * The extent that covers @off, or the first one after it, or NULL. extent_lock.
 */
struct datafs_ext *datafs_ext_find(struct datafs_inode *di, u64 off);
/* Finds the extent at @off and takes a reference, or NULL. Does not sleep. */
struct datafs_ext *datafs_ext_get(struct datafs_inode *di, u64 off);
/* First offset at or after @off, below @end, with no extent; @end if none. */
u64 datafs_ext_gap(struct datafs_inode *di, u64 off, u64 end);
void datafs_ext_put(struct datafs_ext *ext);
/*
 * datafs_ext_install - take the extents of a checked answer
 * @ask:	what was asked; it collects what was invalidated meanwhile
 * @seq:	the sequence its request carried
 * @epoch:	of the daemon whose answer it is
 *
 * -EAGAIN: an invalidation of what was asked came in between, the content
 * is not the inode's, or the daemon is fenced. -EIO: unknown backing, out of its
 * size. -ENOMEM. May sleep; called in the daemon's write(2).
 */
int datafs_ext_install(struct datafs_ask *ask, u64 seq, u64 epoch,
		       const struct datafs_extent_rep *rep,
		       const struct datafs_extent *ext, const __u32 *crc);
/*
 * Forget all extents, and take no new ones until datafs_ext_publish(): a
 * content change or eviction. The mount's sequence must have gone up before.
 */
void datafs_ext_drop_all(struct datafs_inode *di);
/* Forget those that there are; new ones may come. May sleep. */
void datafs_ext_forget(struct datafs_inode *di);
/* From now on extents of @content are taken. */
void datafs_ext_publish(struct datafs_inode *di, u64 content);
void datafs_ext_init(struct datafs_inode *di);
/* The inode goes. */
void datafs_ext_evict(struct datafs_inode *di);
/*
 * datafs_ext_list - tell a daemon which extents are held; see DATAFS_IOC_HELD
 *
 * Advances the cursor in @list and sets @list->count. Returns -ERANGE if not
 * even the first inode's dying extents have room. May sleep.
 */
int datafs_ext_list(struct datafs_instance *inst, struct datafs_held_list *list,
		    struct datafs_held *items);
/* The granule at @off did not match: drop @ext, note it for the next miss. */
void datafs_ext_bad(struct datafs_ext *ext, u64 off);

/**
 * datafs_revoke_start - forget the extents in @ranges
 *
 * Returns at once; queues REVOKE_DONE with @cookie to @inst when no I/O uses
 * them. May sleep, but neither on the daemon nor on a folio. -ENOMEM.
 */
int datafs_revoke_start(struct datafs_instance *inst, u64 cookie,
			const struct datafs_range *ranges, u32 n);

int datafs_ext_cache_init(void);
void datafs_ext_cache_exit(void);
/* Of a superblock that is being made, and of one whose inodes are gone. */
int datafs_lru_init(struct datafs_mount *mnt, struct super_block *sb);
void datafs_lru_exit(struct datafs_mount *mnt);
/* For the superblock's shrinker. Neither waits for the daemon. */
unsigned long datafs_lru_count(struct datafs_mount *mnt,
			       struct shrink_control *sc);
unsigned long datafs_lru_scan(struct datafs_mount *mnt,
			      struct shrink_control *sc);
/*
 * Forgets extents until there is room below the mount's limit, if it has one, for
 * all that are to come, or all that are left are in use. May sleep.
 */
void datafs_lru_trim(struct datafs_mount *mnt);

/* ----------------------------------------------------------------- miss */

/**
 * struct datafs_ask - an EXTENT upcall under way
 * @stale_off:	@stale_end: union of what was revoked since it was queued
 * @stale_seq:	the sequence of the last of those; 0 none
 *
 * In di->asking and protected by extent_lock; freed with its request.
 */
struct datafs_ask {
	struct list_head	node;
	struct datafs_inode	*di;
	u64			off;
	u64			end;
	u64			stale_off;
	u64			stale_end;
	u64			stale_seq;
	bool			prefetch;
};

/*
 * datafs_miss_resolve - have extents for [@off, @end), as far as the file goes
 *
 * Upcalls and waits, killably, until each granule of the range had an extent;
 * joins an upcall that covers the gap. Reports a bad extent first if there
 * is one. Errors: EINTR, ESTALE, ENOTCONN, EIO, what the daemon answered.
 * Must not be called under a folio lock, invalidate_lock or mmap_lock.
 */
int datafs_miss_resolve(struct inode *inode, u64 off, u64 end);
/* Post an EXTENT that nobody waits for, unless one is under way there. */
void datafs_miss_prefetch(struct inode *inode, u64 off, u64 end);

/* ------------------------------------------------------------------- io */

/*
 * What ->read_folio answers when it has no extent or the checksum did not
 * hold: the readers above resolve and come again. Not an errno of anything
 * below them, and never shown to a program.
 */
#define DATAFS_AGAIN	EUCLEAN

extern const struct address_space_operations datafs_aops;
int datafs_io_init(void);
void datafs_io_exit(void);

#endif /* DATAFS_INODE_H */
