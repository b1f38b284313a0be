/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS, the kernel side: concepts and the calls between its files.
 *
 *   main.c      module, caches, workqueues
 *   instance.c  names, one daemon after another, mounts and their states
 *   request.c   upcalls: states, queues, waiting
 *   transfer.c  requests go out to a daemon, answers come in
 *   dev.c       /dev/datafs: ioctl, read, write, poll
 *   reply.c     checks of all that a daemon says; pure, no locks, no sleep
 *   backing.c   registered backing files
 *   netlink.c   generic netlink: state, statistics, revoke, events
 *   super.c     mount, umount, statfs
 *   options.c   mount options
 *   sysfs.c     /sys/fs/datafs
 *   debugfs.c   the live tables of requests and extents
 *   trace.h     tracepoints
 *   inode.c     inodes, their attributes
 *   valid.c     until when those are good; revalidation, getattr, permission
 *   invalid.c   what is known is not to be believed any more
 *   dir.c       lookup, readlink
 *   listing.c   readdir
 *   kept.c      listings that are kept
 *   change.c    changes of the namespace: asking, and what a killed one leaves
 *   namei.c     names that are made, moved and removed
 *   setattr.c   attributes that are set
 *   xattr.c     extended attributes, ACLs
 *   export.c    file handles
 *   extent.c    the tree of extents of an inode
 *   revoke.c    revocation of extents
 *   shrink.c    memory of extents: the shrinker, the limit
 *   held.c      which extents are held, told to the next daemon
 *   miss.c      data upcalls: asking for extents, joining those who ask
 *   io.c        reads of backing files into folios, checksums
 *   file.c      read, splice, mmap, fault
 *   dio.c       O_DIRECT
 *
 * The first half of their declarations is below, from the instance to backing files;
 * the second, from the inode on, in inode.h.
 *
 * Lock order, outermost first:
 *   mmap_lock, i_rwsem, invalidate_lock, folio lock   (VFS)
 *     datafs_inode.update_lock       (never above an upcall or a folio lock
 *                                     that an upcall could hold)
 *       datafs_instances_lock         (instance.c; a mutex)
 *         datafs_instance.lock
 *       datafs_inode.extent_lock
 *         datafs_mount.order_lock
 *           the lock of datafs_mount.lru
 *       datafs_inode.attr_lock
 *         the lock of datafs_mount.kept
 * The inner ones are never nested but as shown. Upcalls are made with none of
 * these held but i_rwsem, by the VFS in lookup and readdir: shared, or for who
 * would create something exclusive. Changes are asked for with the i_rwsem of
 * all that they change held exclusive, and in a rename s_vfs_rename_mutex (a
 * directory that moves within its parent is not locked): so of two changes of an
 * inode by this mount one ends before the other begins, unless its waiter was
 * killed.
 */
#ifndef DATAFS_KMOD_H
#define DATAFS_KMOD_H

#include <linux/fs.h>
#include <linux/completion.h>
#include <linux/fs_parser.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/list_lru.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "../proto/datafs_netlink.h"
#include "compat.h"
#include "reply.h"

struct datafs_instance;
struct datafs_mount;
struct mem_cgroup;
struct datafs_ask;
struct datafs_request;
struct datafs_revoke;

/* ----------------------------------------------------------- statistics */

/**
 * enum datafs_stat - counters of a mount, DATAFS_CMD_GET_STATS
 *
 * The names are in datafs_stat_names (netlink.c) and are ABI.
 */
enum datafs_stat {
	DATAFS_STAT_EXTENT_HITS,	/* extents used by reads */
	DATAFS_STAT_EXTENT_MISSES,	/* granule ranges asked for, by waiters */
	DATAFS_STAT_PREFETCHES,		/* of EXTENT upcalls: nobody waited */
	DATAFS_STAT_EXTENTS,		/* live now (a gauge) */
	DATAFS_STAT_EXTENTS_INSTALLED,
	DATAFS_STAT_EXTENTS_REVOKED,
	DATAFS_STAT_EXTENTS_RECLAIMED,	/* for want of memory, or by the limit */
	DATAFS_STAT_WAITS,		/* for an answer of the daemon */
	DATAFS_STAT_REPLIES_STALE,	/* replies dropped, asked again */
	DATAFS_STAT_REPLIES_BAD,	/* replies that broke the contract */
	DATAFS_STAT_CRC_ERRORS,		/* granules that did not match */
	DATAFS_STAT_BACKING_READS,	/* I/Os to backing files */
	DATAFS_STAT_BACKING_BYTES,
	DATAFS_STAT_DIRECT_BYTES,	/* of those, for O_DIRECT */
	DATAFS_STAT_CONTENT_CHANGES,	/* files whose bytes changed */
	DATAFS_STAT_INVALIDATIONS,	/* items of INVALIDATE */
	DATAFS_STAT_NR
};

/* ------------------------------------------------------------- instance */

/**
 * struct datafs_instance - a name, its daemon while one lives, its mounts
 *
 * Created by the first hello under a name; @gone with the last of: daemon,
 * mount. The memory stays while somebody has a reference: each file that is or
 * was its daemon's, each mount, each request. One daemon follows another: the
 * hello of a higher epoch fences the one before, whose requests are its own
 * from then on.
 */
struct datafs_instance {
	refcount_t		ref;
	struct list_head	node;		/* datafs_instances, until @gone */
	char			name[DATAFS_INSTANCE_MAX + 1];
	u8			session[16];
	/* written under the lock; apart from it, for each path walk reads this */
	struct pid		*daemon;	/* its thread group, for EDEADLK */

	/*
	 * Protects all below up to @backings, the queues and the answer of
	 * every request of this instance, the list of mounts and their states.
	 */
	spinlock_t		lock ____cacheline_aligned_in_smp;
	bool			gone;		/* for ever: takes no request, no mount */
	u64			epoch;		/* of the last daemon */
	u64			features;	/* DATAFS_FEATURE_* that it and the module have */
	struct file		*file;		/* of the daemon; NULL without one; no reference */
	struct list_head	pending;	/* requests not yet read, oldest first */
	struct list_head	sent;		/* requests read, not answered */
	struct hlist_head	sent_hash[64];	/* the same by id */
	struct list_head	mounts;		/* struct datafs_mount.node */
	wait_queue_head_t	readers;	/* poll and read of the device */

	struct xarray		backings;	/* id -> struct datafs_backing_file */
	atomic64_t		replies_unknown; /* replies to no known request */
	atomic64_t		requeued[DATAFS_OP_NR];	/* SENT, and sent again */
	struct rcu_head		rcu;		/* path walks look into it */
};

/* Finds a name and takes a reference, or NULL. May sleep. */
struct datafs_instance *datafs_instance_find(const char *name);
void datafs_instance_get(struct datafs_instance *inst);
/* The last one frees it. May sleep. */
void datafs_instance_put(struct datafs_instance *inst);

/*
 * datafs_instance_hello - @file becomes the daemon of a name; may sleep
 *
 * Errors as DATAFS_IOC_HELLO tells them. On success @file holds a reference
 * which datafs_instance_bye() gives back.
 */
int datafs_instance_hello(struct file *file, struct datafs_hello *hello,
			  struct datafs_instance **res);
/* The daemon's file is released: sent requests become pending again. */
void datafs_instance_bye(struct datafs_instance *inst, struct file *file);
/* Is @file the daemon, not fenced? */
bool datafs_instance_serves(struct datafs_instance *inst, struct file *file);
/*
 * mnt->lease_until of that mount of @inst; @file is the daemon's. -ENOENT; -ENOTCONN: it
 * is fenced, and nothing is changed. Does not sleep.
 */
int datafs_instance_lease(struct datafs_instance *inst, struct file *file, u32 mount_id,
			  u64 until);
/* mnt->counts of that mount; the same rules. */
int datafs_instance_counts(struct datafs_instance *inst, struct file *file,
			   const struct datafs_counts *counts);
/* Is the caller a thread of the daemon? It must not wait for itself. */
bool datafs_is_daemon(struct datafs_instance *inst);

/*
 * datafs_instance_add_mount - @mnt is one of @inst's; may sleep
 *
 * @mnt is complete but for its superblock's root: it has its id, an initialised
 * node and one user, and mnt->inst is @inst with a reference. From here on it
 * is LIVE, is found by its id and takes requests. -ENOTCONN: no daemon lives.
 */
int datafs_instance_add_mount(struct datafs_instance *inst,
			      struct datafs_mount *mnt);
/*
 * Nobody finds @mnt any more and it takes no new request; those it has go on
 * until datafs_requests_abort(). Harmless for one that was not added. May sleep.
 */
void datafs_instance_del_mount(struct datafs_mount *mnt);
/*
 * The mount is ABORTED until the next hello: what waits for the daemon ends
 * with ENOTCONN, and so does what would. May sleep.
 */
void datafs_mount_abort(struct datafs_mount *mnt);
/* Sets @grace_s, also for a GRACE that has begun. May sleep. */
void datafs_mount_set_grace(struct datafs_mount *mnt, unsigned int seconds);

/* ---------------------------------------------------------------- mount */

enum datafs_verify {
	DATAFS_VERIFY_ALWAYS,	/* every read of a backing file */
	DATAFS_VERIFY_FIRST,	/* the first read of each extent's granules */
	DATAFS_VERIFY_NEVER,
};

/*
 * struct datafs_policy - for how long answers are believed at the most
 *
 * The bound is written by sysfs only. When it gets lower, or the whole mount is
 * invalidated, what is known already is of an older generation, and is asked for
 * again.
 */
struct datafs_policy {
	unsigned int	max_ms;		/* DATAFS_FOREVER: as the daemon says */
	atomic_t	generation;	/* datafs_until() keeps its low bits */
};

/* struct datafs_mount - s_fs_info of a superblock */
struct datafs_mount {
	struct datafs_instance	*inst;		/* reference */
	struct list_head	node;		/* inst->mounts, inst->lock */
	/*
	 * NULL while the daemon is asked for the root; the sb lives for as
	 * long as a user does.
	 */
	struct super_block	*sb;
	struct datafs_attr	root;		/* its answer, for the first iget */
	u64			root_seq;
	u64			root_when;
	/*
	 * inst->lock; the legal transitions are in instance.c. What is not LIVE
	 * answers from its caches, also from what has expired.
	 */
	enum datafs_state	state;
	unsigned int		grace_s;	/* GRACE ends then; 0: never */
	struct delayed_work	grace_work;
	/*
	 * inst->lock: the WAITING ones are those beyond @max_requests, oldest
	 * first; @under_way are in inst->pending and inst->sent.
	 */
	struct list_head	waiting;
	unsigned int		aborts;		/* how often all requests were ended */
	int			abort_error;	/* with that, the last time */
	unsigned int		under_way;
	unsigned int		max_requests;
	struct list_head	changes;	/* inst->lock: not answered, by their ids */
	u32			id;		/* unique while the module is loaded */
	u8			incarnation[16];
	enum datafs_verify	verify;
	struct datafs_policy	attr_policy;
	struct datafs_policy	entry_policy;
	atomic64_t		lease_until;	/* boottime in ns; DATAFS_LEASE_NONE; inst->lock writes */
	char			*source;
	char			*options;	/* the daemon's, as given */

	/*
	 * The invalidation sequence: goes up before anything is invalidated,
	 * so that a reply to a request which carries a lower value than the
	 * inode's revoke_seq is known to be older.
	 */
	atomic64_t		seq;
	spinlock_t		statfs_lock;	/* protects @statfs, last told of the root */
	struct datafs_statfs	statfs;
	atomic64_t		evicted_seq;	/* highest attr_seq of inodes that went */
	atomic64_t		invalid_seq;	/* answers to older requests are never kept */
	/*
	 * Callers from outside the VFS (netlink, a daemon's write) hold a
	 * user; kill_sb waits for them after it has made new ones impossible.
	 */
	refcount_t		users;
	struct completion	users_gone;
	bool			asked;		/* a MOUNT was queued: UMOUNT is owed */
	struct xarray		held;		/* inodes that have, or had, extents; by number */
	struct list_lru		lru;		/* datafs_ext.lru, for the shrinker */
	struct list_lru		kept;		/* datafs_kept.lru, likewise */
	atomic64_t		kept_making;	/* bytes of those that are not in it yet */
	/*
	 * The same in one order, for the limit: datafs_ext.order, what was not
	 * used for longest first. order_lock protects it.
	 */
	spinlock_t		order_lock;
	struct list_head	order;
	unsigned int		max_extents;	/* 0: as many as memory has room for */
	atomic_t		extents_to_come; /* those of answers that are taken just now */
	/* O_DIRECT reads that nobody waits for, again after a failure; may wait */
	struct workqueue_struct	*retry_wq;
	struct datafs_request	*umount_req;	/* made at mount, so that umount cannot fail */

	atomic64_t		stats[DATAFS_STAT_NR];
	atomic64_t		requests[DATAFS_OP_NR];	/* queued, by opcode */
	atomic64_t		counts[DATAFS_COUNT_NR];	/* as the daemon told them last */
	struct kobject		kobj;		/* its directory in sysfs */
	struct completion	kobj_gone;
	struct dentry		*debug;		/* its directory in debugfs */
	struct rcu_head		rcu;		/* path walks look into it */
};

static inline struct datafs_mount *datafs_mnt(const struct super_block *sb)
{
	return sb->s_fs_info;
}

/* May be another in the next moment: for hints only. */
static inline bool datafs_mount_is_live(const struct datafs_mount *mnt)
{
	return READ_ONCE(mnt->state) == DATAFS_STATE_LIVE;
}

static inline void datafs_count(struct datafs_mount *mnt,
				enum datafs_stat stat, s64 n)
{
	atomic64_add(n, &mnt->stats[stat]);
}

/*
 * Both in instance.c: a mount of any instance, by its id or with the least id
 * from @from on; takes a user; NULL if there is none. May sleep.
 */
struct datafs_mount *datafs_mount_get(u32 id);
struct datafs_mount *datafs_mount_next(u32 from);
/* The last one completes users_gone; the mount's own first one counts too. */
void datafs_mount_put(struct datafs_mount *mnt);

/* -------------------------------------------------------------- request */

/**
 * enum datafs_req_state - a request's life
 *
 *   NEW -> PENDING -> SENT -> ANSWERING -> DONE
 *             ^         |
 *             +---------+       the daemon died or was fenced, or could not
 *                               be handed it
 *   NEW -> WAITING -> PENDING   its mount had as many under way as it may
 *   NEW, WAITING, PENDING, SENT -> DONE
 *                               abandoned by its waiter, aborted, umount
 *
 * Transitions happen in request.c only, under the instance's lock.
 */
enum datafs_req_state {
	DATAFS_REQ_NEW,
	DATAFS_REQ_WAITING,
	DATAFS_REQ_PENDING,
	DATAFS_REQ_SENT,
	DATAFS_REQ_ANSWERING,	/* a write has its answer; nobody else may end it */
	DATAFS_REQ_DONE,
};

/* By enum datafs_stat, and ABI. Requests have names of their own, by opcode. */
extern const char * const datafs_stat_names[DATAFS_STAT_NR];
/* by opcode; [0] is NULL */
extern const char * const datafs_op_names[DATAFS_OP_NR];

/**
 * struct datafs_request - an upcall
 * @inode:	of an EXTENT or BAD_EXTENT: pinned until the request is freed
 * @install:	if set, called in the daemon's write(2), before @done, with a
 *		reply whose error is 0: checks the body and installs it. May
 *		sleep, but neither on the daemon nor on a folio. Its return
 *		value becomes @error. Without it the body is kept in @reply
 *		for the waiter, who checks it.
 * @ended:	if set, called once with @error set, before @done is completed,
 *		in any context that may sleep (answer, kill, abort, umount).
 * @reply:	the body of the answer, kvmalloc'ed, freed with the request
 *
 * References: one of the maker, one of the queue. A waiter that is killed
 * ends the request (the daemon's answer then finds no id) and drops its own;
 * if it is being answered at that moment, the answer goes into the request and
 * is freed with it. While it is queued, and until the queue's reference is
 * dropped, it holds a user of its mount.
 *
 * A change that a daemon may have had is not ended by that: it goes on without
 * its waiter (@left), until it is answered or all of its mount is ended.
 */
struct datafs_request {
	refcount_t		ref;
	enum datafs_req_state	state;
	struct datafs_instance	*inst;		/* reference */
	struct datafs_mount	*mnt;		/* NULL for UMOUNT, REVOKE_DONE */
	struct list_head	node;		/* waiting, pending, sent */
	struct hlist_node	hash;
	struct inode		*inode;
	int (*install)(struct datafs_request *req, const void *body, u32 len);
	void (*ended)(struct datafs_request *req);
	void			*private;	/* kfree'd with the request */
	struct mem_cgroup	*memcg;		/* who pays for what @install makes; reference */
	struct completion	done;
	struct list_head	change;		/* of a change: in mnt->changes */
	bool			left;		/* inst->lock: its waiter was killed */
	int			error;
	u64			epoch;		/* of the daemon that answers it; 0: none did */
	void			*reply;
	u32			reply_len;
	struct datafs_req	head;
	u64			body[];		/* head.len - sizeof(head) bytes, zeroed */
};

/**
 * datafs_request_alloc - make a request
 * @mnt:	whose instance it goes to
 * @body_len:	bytes of the body; rounded up to eight, zeroed
 *
 * Returns NULL without memory. GFP_KERNEL context unless @gfp says less.
 */
struct datafs_request *datafs_request_alloc(struct datafs_mount *mnt,
					    enum datafs_opcode op, u64 ino,
					    u32 body_len, gfp_t gfp);
/* The same, with @name as the body; name must fit. */
struct datafs_request *datafs_request_alloc_name(struct datafs_mount *mnt,
						 enum datafs_opcode op, u64 ino,
						 const char *name, u32 namelen);
/* REVOKE_DONE has no mount. */
struct datafs_request *datafs_request_alloc_inst(struct datafs_instance *inst,
						 enum datafs_opcode op,
						 u32 body_len, gfp_t gfp);
/* The last one frees it and puts @inode. May sleep. */
void datafs_request_put(struct datafs_request *req);

/*
 * datafs_request_queue - hand it to the daemon, present or future
 *
 * Takes a reference for the queue. Never sleeps; not from interrupts. Errors:
 * ENOTCONN (aborted, the mount or the instance is gone; a prefetch without a
 * living daemon), EDEADLK (the caller is the daemon itself). After an error
 * the request is as it was: @ended has not been called.
 */
int datafs_request_queue(struct datafs_request *req);

/*
 * datafs_request_wait - wait, killably, freezably, until it is done
 *
 * Returns @error of the request, or -EINTR if the waiter was killed (the
 * request has then been ended with that). May sleep for as long as there is
 * no daemon: no lock may be held but i_rwsem, as the VFS holds it in lookup and
 * readdir.
 */
int datafs_request_wait(struct datafs_request *req);

/* queue and wait; returns the answer's error */
int datafs_request_call(struct datafs_request *req);

/*
 * End it with @error wherever it is, unless it is done or being answered. May
 * sleep.
 */
void datafs_request_end(struct datafs_request *req, int error);
/* End all of @mnt (umount -f); new ones may come. May sleep. */
void datafs_requests_abort(struct datafs_mount *mnt, int error);
/* How many of @mnt a daemon has, or (not @sent) has still to be given. */
unsigned int datafs_requests_count(struct datafs_mount *mnt, int op, bool sent);
/* How many of @mnt may be under way, from 1 on; holds at once. */
void datafs_requests_limit(struct datafs_mount *mnt, unsigned int max);
/* End all of an instance that is gone. May sleep. */
void datafs_requests_end_all(struct datafs_instance *inst, int error);

/*
 * datafs_request_bad - the answer broke the contract: count it, log @what
 *
 * Returns -EIO. For waiters that check @reply themselves; an @install that
 * returns -EIO is counted and logged by its caller.
 */
int datafs_request_bad(struct datafs_request *req, const char *what);

/* How anything waits for the daemon: killably, and without delaying suspend. */
#define DATAFS_WAIT_STATE	(TASK_KILLABLE | TASK_FREEZABLE_UNSAFE)

/* For dev.c: copy pending requests out, take an answer in. */
ssize_t datafs_requests_read(struct datafs_instance *inst, struct file *file,
			     struct iov_iter *to, bool nonblock);
ssize_t datafs_requests_write(struct datafs_instance *inst, struct file *file,
			      struct iov_iter *from);
/* For instance.c: SENT becomes PENDING with RESEND, in order; lock held. */
void datafs_requests_requeue(struct datafs_instance *inst);
/*
 * For instance.c: takes the MOUNTs that are under way from the queues, to be
 * ended with @error by datafs_requests_tell(). Lock held.
 */
void datafs_requests_take_mounts(struct datafs_instance *inst, int error,
				 struct list_head *taken);
/* Ends what was taken. Without the lock; may sleep. */
void datafs_requests_tell(struct list_head *taken);

/* -------------------------------------------------------------- backing */

/* struct datafs_backing_file - a registered file; RCU-freed */
struct datafs_backing_file {
	refcount_t		ref;
	u32			id;
	struct file		*file;
	const struct cred	*cred;
	u64			size;
	u64			epoch;		/* of the last daemon that registered it */
#ifdef CONFIG_LOCKDEP
	struct lock_class_key	*lock_key;	/* of its i_rwsem before; NULL: not ours to give back */
	const char		*lock_name;
	struct work_struct	work;		/* to be freed there */
#endif
	struct rcu_head		rcu;
};

/* Checks arg->fd and registers it; sets arg->length. May sleep. */
int datafs_backing_add(struct datafs_instance *inst, struct datafs_backing *arg);
/* -ENOENT; @id 0: all that the daemon of today has not registered */
int datafs_backing_del(struct datafs_instance *inst, u32 id);
void datafs_backing_del_all(struct datafs_instance *inst);
/* Finds an id and takes a reference, or NULL. Does not sleep. */
struct datafs_backing_file *datafs_backing_get(struct datafs_instance *inst,
					       u32 id);
void datafs_backing_put(struct datafs_backing_file *bf);

#include "inode.h"

/* --------------------------------------------------- the VFS's operations */

extern const struct file_operations datafs_file_ops;
extern const struct file_operations datafs_dir_ops;
extern const struct inode_operations datafs_file_iops;
extern const struct inode_operations datafs_dir_iops;
extern const struct inode_operations datafs_symlink_iops;
extern const struct inode_operations datafs_special_iops;
extern const struct dentry_operations datafs_dentry_ops;
extern const struct export_operations datafs_export_ops;
extern const struct xattr_handler * const datafs_xattr_handlers[];
extern struct file_system_type datafs_fs_type;

/*
 * file.c: at the end of what is known of the file, does it go on? 1, 0, or
 * -EAGAIN: a daemon would have to be asked, and @iocb must not wait. May upcall.
 */
int datafs_file_grew(struct kiocb *iocb);
/* file.c: wait, killably, until nobody publishes a content; -EINTR */
int datafs_content_settle(struct datafs_inode *di);
/* What O_DIRECT asks of the caller's memory and of offsets, as statx tells. */
#define DATAFS_DIO_ALIGN	512
ssize_t datafs_direct_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t datafs_listxattr(struct dentry *dentry, char *list, size_t size);
struct posix_acl *datafs_get_acl(struct inode *inode, int type, bool rcu);
int datafs_set_acl(datafs_idmap *idmap, datafs_acl_of *of,
		   struct posix_acl *acl, int type);

/* options.c; by enum datafs_verify */
extern const struct constant_table datafs_verify_names[];

/* sysfs.c; a mount that has its superblock. May sleep. */
int datafs_sysfs_init(void);
void datafs_sysfs_exit(void);
int datafs_sysfs_add(struct datafs_mount *mnt);
/* Waits until nobody is in one of its files. Harmless if it was not added. */
void datafs_sysfs_del(struct datafs_mount *mnt);

/* debugfs.c; the same */
int datafs_debugfs_init(void);
void datafs_debugfs_exit(void);
void datafs_debugfs_add(struct datafs_mount *mnt);
void datafs_debugfs_del(struct datafs_mount *mnt);

/* dev.c, netlink.c */
int datafs_dev_init(void);
void datafs_dev_exit(void);
int datafs_netlink_init(void);
void datafs_netlink_exit(void);
/* Multicasts an event; never fails loudly. May sleep. */
void datafs_event_mount(enum datafs_genl_cmd cmd, struct datafs_mount *mnt);
void datafs_event_daemon(enum datafs_genl_cmd cmd, struct datafs_instance *inst);

/* WQ_MEM_RECLAIM: completions of backing I/O; must not wait for the daemon */
extern struct workqueue_struct *datafs_wq;

#endif /* DATAFS_KMOD_H */
