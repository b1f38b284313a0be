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
 *   dir.c       lookup, readdir, readlink
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

#include "../proto/datafs_abi.h"
#include "compat.h"

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
	char			*source;
	char			*options;	/* the daemon's, as given */

	/*
	 * The invalidation sequence: goes up before anything is invalidated,
	 * so that a reply to a request which carries a lower value than the
	 * inode's revoke_seq is known to be older.
	 */
	atomic64_t		seq;
	spinlock_t		statfs_lock;	/* protects @statfs, what was last told */
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

/* ---------------------------------------------------------------- reply */

/*
 * Checks of what a daemon says. Each returns 0 or -EIO and reads @body once.
 * Pure: they may be called anywhere and are built for userspace as well.
 */
int datafs_reply_attr(const void *body, u32 len, struct datafs_attr *attr);
/* ino 0 (absent) is accepted only by datafs_reply_entry. */
int datafs_reply_entry(const void *body, u32 len, struct datafs_entry *entry);
int datafs_reply_statfs(const void *body, u32 len, struct datafs_statfs *st);
/* The head; then entries one after another: *pos goes on, 0 at first. */
int datafs_reply_readdir(const void *body, u32 len,
			 struct datafs_readdir_rep *rep);
int datafs_reply_dirent(const void *body, u32 len, u32 *pos, u64 prev_cookie,
			struct datafs_dirent *ent, const char **name);
/**
 * struct datafs_change_want - what an answer to a change must be about
 * @opcode:	of the change
 * @exchange:	of RENAME: two names change places
 * @removed:	@node has no name any more, before the change
 * @type:	of what is made: S_IFMT bits
 * @rdev_major:	@rdev_minor: of what is made
 * @node:	the inode that is changed; what is made has none yet
 * @parent:	the directory of the name; 0: it is of no name
 * @new_parent:	of RENAME to another directory, else 0
 * @other:	of RENAME: what is replaced or exchanged, else 0
 */
struct datafs_change_want {
	u16	opcode;
	bool	exchange;
	bool	removed;
	u32	type;
	u32	rdev_major;
	u32	rdev_minor;
	u64	node;
	u64	parent;
	u64	new_parent;
	u64	other;
};

int datafs_reply_change(const void *body, u32 len,
			const struct datafs_change_want *want,
			struct datafs_change_rep *rep);
/*
 * The head, the extents and where the checksums are. @ext and @crc point into
 * @body, which must be the kernel's own copy.
 */
int datafs_reply_extents(const void *body, u32 len,
			 struct datafs_extent_rep *rep,
			 const struct datafs_extent **ext, const __u32 **crc);

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
/*
 * Is it not later than @until? Without a daemon what has expired still answers:
 * nobody can say better. What never was to answer (0) does not, nor what was
 * invalidated: somebody did say better.
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
/* As datafs_until(), of a name in @dir. */
u64 datafs_entry_until(const struct inode *dir, u32 valid_ms, u64 seq, u64 when);

static inline u64 datafs_dir_names(const struct inode *dir)
{
	return READ_ONCE(datafs_i(dir)->names);
}

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
