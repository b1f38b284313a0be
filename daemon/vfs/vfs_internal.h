/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   vfs.c      mounts, calls
 *   stats.c    counters
 *   tree_under.c   a mount of an under-store
 *   tree_quorum.c  a mount of a quorum's namespace
 *   quorum_join.c  ... and which quorum that is
 *   quorum_session.c  its session there
 *   quorum_lease.c    ... and what the kernel keeps of its answers
 *   quorum_names.c, quorum_change.c   what is asked of it, and what changes it
 *   quorum_tell.c  what its other mounts must not believe any more
 *   names.c    lookup, attributes, directories
 *   share.h    ... which are listed once for all daemons of a cluster
 *   misc.c     links' targets, extended attributes, statfs
 *   data.c     extents
 *   stream.c   what to fetch ahead
 *   fetch.c    ... by several requests at a time
 *   ramp.c     ... and by how many
 *   cached.c   what of a file is in the cache, is to be, and is not to be
 *   table.h    what a quorum's table of mounts adds to its tree
 *   invalidate.c  what is known is looked at again
 *   options.c  mount options
 */
#ifndef DATAFS_VFS_INTERNAL_H
#define DATAFS_VFS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "meta/meta.h"
#include "meta/quorum.h"
#include "options.h"
#include "policy.h"
#include "ramp.h"
#include "stream.h"
#include "under/under.h"
#include "vfs.h"

struct vfs_mount;
typedef int (*vfs_call_fn)(struct vfs_mount *mnt, struct datafs_call *call);

/* What a mount shows. */
struct vfs_tree {
	/* A new mount, whose options are parsed. Errors are logged by the caller. */
	int (*open)(struct vfs_mount *mnt, struct datafs_attr *root);
	/* A predecessor's. -ENOENT, -EINVAL: all that is asked of it is ESTALE. */
	int (*adopt)(struct vfs_mount *mnt);
	/* It was unmounted; calls may still be under way. */
	void (*gone)(struct vfs_mount *mnt);
	/* Nothing is under way; also one that was not opened. */
	void (*close)(struct vfs_mount *mnt);
	/* Something was changed behind our back; @ino 0: everything may have been. */
	int (*look_again)(struct vfs_mount *mnt, uint64_t ino);
	vfs_call_fn calls[DATAFS_OP_NR];	/* NULL: -ENOSYS */
};

struct vfs_mount {
	struct vfs_mount *next;
	uint32_t id;
	unsigned int refs;	/* v->lock; the table's and each call's */
	struct datafs_vfs *v;
	char *source, *options_text;
	char *log_name;		/* of log lines of its store: the number, and a branch's path */
	struct datafs_options options;
	uint64_t part;		/* what who reads in order is fetched by; of whole pages */
	struct datafs_ramp ramp;	/* how many of them at a time */
	uint8_t incarnation[16];
	const struct vfs_tree *tree;
	uint64_t root;

	atomic_bool gone;	/* it was unmounted; nothing is waited for any more */

	/* of vfs_tree_quorum */
	_Atomic(struct datafs_quorum *) quorum;	/* NULL: not joined; cannot be served */
	uint64_t session;		/* known before @quorum is */
	char *members;			/* of one elsewhere; NULL: the instance's own */
	_Atomic(struct datafs_quorum *) share;	/* of the instance's connection to them */
	pthread_mutex_t joining;	/* held by an upcall that joins, until it has */
	atomic_bool damaged;		/* what said which session it has */
	atomic_bool ended;	/* the session has, which was logged */
	atomic_bool alien;	/* the quorum has answered with what is a branch's; logged */
	atomic_bool untold;	/* something has changed that could not be told */
	bool adopted;		/* the kernel may keep what a predecessor has told */
	bool leased;		/* the session has its lease, or is about to; who joins */
	bool is_node;		/* it counts in v->node.mounts; who mounts and unmounts */
	atomic_bool lease_none;	/* the kernel takes none */
	pthread_mutex_t lease_lock;	/* protects @lease_doubt, and the kernel's end of it */
	bool lease_doubt;	/* the kernel may keep what is not so; it was told that it has none */

	struct vfs_shares *shares;	/* of one elsewhere: its listings that all daemons share */

	/* ... of its table: table.h */
	pthread_mutex_t table_building;	/* held over the making of a table; the embedded namespace */
	/* Protects those below, and the refs and validity of tables. Nothing is locked in it. */
	pthread_mutex_t table_lock;
	struct vfs_table *table;	/* the last one, with a reference; NULL: none yet */
	uint64_t table_epoch;	/* rises when what tables say may be so no more */

	struct vfs_policies policies;	/* of its quorum */

	/* of a branch: what a table has mounted in the tree of another mount; never in v->mounts */
	struct vfs_mount *over;		/* that one, whose @id it has; NULL: it is no branch */
	uint64_t row, generation;	/* of the table's line */
	char *path;			/* from the quorum's root on */
	char *root_name;		/* of its root in the embedded namespace */
	uint64_t known;		/* its root when the branch was made; 0: none yet */
	bool broken;		/* it cannot be opened with what the table says */
	atomic_bool opened;	/* @root is known, under @joining */

	/* of vfs_tree_under */
	_Atomic(struct datafs_under *) under;	/* NULL: not open yet */
	atomic_llong failed;	/* when it could not be opened; datafs_now() */
	atomic_llong not_before;	/* older looks answer nothing; datafs_now() */
	/* protected by v->lock */
	struct vfs_mount *branches;	/* all that are there, of whichever table; by their next */
	struct datafs_under_stats closed;	/* of stores it has opened and closed */
	struct datafs_under_stats told;		/* by datafs_vfs_tell_stats(), if @is_told */
	bool is_told;
};

/* The daemon as a node of the quorum elsewhere: quorum_node.c. */
struct vfs_node {
	char *name;		/* NULL: it is none */
	/* Protects what follows. Nothing is waited for under it, but v->lock. */
	pthread_mutex_t lock;
	pthread_cond_t idle;	/* not busy any more */
	bool busy;		/* @job is in the pool, or the node leaves */
	unsigned int mounts;	/* of that quorum */
	char *members;		/* as one of them names these; freed by who is busy */
	/* of who is busy */
	struct datafs_job job;
	uint64_t session, request;
	bool leased;		/* the session has its lease, or is about to */
	int told;		/* 1: that it has joined; or which error; 0: nothing yet */
	/* Held over the making, stopping and closing of @share; not taken in its watch. */
	pthread_mutex_t share_lock;
	struct datafs_quorum *share;	/* of the instance's connection */
	bool stopped;		/* @share is */
	/* of any thread */
	atomic_bool over;	/* no mount is left */
	atomic_bool due;	/* it is to say (again) that it is there */
	atomic_llong not_before;	/* datafs_now() */
};

/* The thread that does jobs of the quorum elsewhere: quorum_job.c. */
struct vfs_jobs {
	pthread_t thread;
	bool running;		/* it is there; who starts and stops it */
	uint64_t known;		/* the thread's: the version of the table that has none for it */
	atomic_bool again;	/* all of the table is to be looked at, whatever its version */
	pthread_mutex_t lock;	/* protects @over */
	pthread_cond_t wake;
	bool over;
};

struct datafs_vfs {
	struct datafs_meta *meta;
	struct datafs_cache *cache;
	struct datafs_streams *streams;
	struct datafs_pool *pool;
	int (*invalidate)(void *arg, const void *items, size_t bytes);
	int (*recall)(void *arg, const void *items, size_t bytes);
	int (*lease)(void *arg, uint32_t mount, uint64_t until);
	void *arg;	/* of these */
	bool listings;	/* the kernel keeps them */
	atomic_bool stopping;

	char *dir, *key_file;
	uint32_t mount_ms;	/* a MOUNT of a quorum elsewhere waits no longer */
	pthread_mutex_t remote_lock;	/* held over the making of @remote; name resolution */
	_Atomic(struct datafs_quorum *) remote;	/* elsewhere; NULL: not needed yet */
	struct vfs_node node;		/* ... there */
	struct vfs_jobs jobs;		/* ... of it */
	pthread_mutex_t quorum_lock;	/* held over the making of @quorum */
	_Atomic(struct datafs_quorum *) quorum;	/* of one, in @dir; NULL: not needed yet */

	pthread_mutex_t lock;	/* protects the lists of mounts, their refs, and is_ending */
	struct vfs_mount *mounts;
	struct vfs_mount *leaving;	/* unmounted, with calls under way */
	struct datafs_under_stats closed;	/* @lock; of mounts that are freed */
	struct datafs_job ending;	/* of sessions, in @pool */
	bool is_ending;

	atomic_ullong upcalls[DATAFS_OP_NR];
	atomic_ullong quorum_told;	/* messages of what has changed */
	/* Of directories of under-stores: */
	atomic_ullong listings_taken;	/* listed from what another daemon has put into the quorum */
	atomic_ullong listings_put;	/* ... from the store, and put there, whole */
	atomic_ullong listings_alone;	/* ... from the store alone, where that was tried in vain */
};

/* ---- vfs.c ---- */

/* A reference, or NULL. */
struct vfs_mount *vfs_mount_get(struct datafs_vfs *v, uint32_t id);
void vfs_mount_put(struct vfs_mount *mnt);
/* One more; of a branch also of the mount that it is in. */
void vfs_mount_hold(struct vfs_mount *mnt);
/* Not in the list, with one reference. NULL: no memory. */
struct vfs_mount *vfs_mount_new(struct datafs_vfs *v, uint32_t id,
				const uint8_t incarnation[16], const char *source,
				size_t source_len, const char *options, size_t options_len);
void vfs_mount_free(struct vfs_mount *mnt);
/* Its source and options. -EINVAL: logged; or -ENOMEM. */
int vfs_mount_parse(struct vfs_mount *mnt);
/*
 * The mount's under-store. That of an adopted mount is opened by who needs it
 * first; -EIO, logged, if it is away: an error, whatever it is, says nothing of
 * names in it.
 */
int vfs_under(struct vfs_mount *mnt, struct datafs_under **res);

/* ---- stats.c ---- */

/* @u is about to be closed, and the mount goes on. */
void vfs_stats_closed(struct vfs_mount *mnt, struct datafs_under *u);
/* A branch was made: it is counted with the mount that it is of, until it is freed. */
void vfs_stats_branch(struct vfs_mount *b);
/* The mount, or branch, is about to be freed, with its under-store. */
void vfs_stats_gone(struct vfs_mount *mnt);

/* ---- list.c ---- */

/* As datafs_meta_readdir(), looked at in the under-store if need be. @eof: or NULL. */
int vfs_list(struct vfs_mount *mnt, uint64_t dir, uint64_t cookie, int64_t fresh,
	     datafs_meta_entry_fn fn, void *arg, bool *eof);

/* ---- names.c ---- */

/*
 * How often what was just synced may turn out to be out of date again (an
 * inode that loses one name after the other) before the caller hears of it.
 */
#define VFS_SYNC_TRIES	16

/* Looks at @key in the under-store. */
int vfs_look(struct vfs_mount *mnt, const char *key, struct datafs_under_stat *st);
/* Looks at what a ticket of one name asks for, and imports it. */
int vfs_sync_name(struct vfs_mount *mnt, const struct datafs_meta_ticket *ticket);
/* The least time of a look whose result @mnt takes now. */
int64_t vfs_fresh(const struct vfs_mount *mnt);
/*
 * The inode as @fresh demands, looked at in the under-store if need be.
 * -ESTALE: it is gone, or is not below the mount's root.
 */
int vfs_getattr(struct vfs_mount *mnt, uint64_t ino, int64_t fresh,
		struct datafs_meta_inode *res);
void vfs_attr(const struct vfs_mount *mnt, const struct datafs_meta_inode *in,
	      struct datafs_attr *attr);
/*
 * The under-store said @err about the key of @ino. Where that means that the
 * key does not lead there any more, looks what became of the inode: -ESTALE,
 * or @err if it is still there.
 */
int vfs_lost(struct vfs_mount *mnt, uint64_t ino, int err);

/* Upcalls of a mount of an under-store. */
int vfs_lookup(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_op_getattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_readdir(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_parent(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_readlink(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_getxattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_listxattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_statfs(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_extent(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_bad_extent(struct vfs_mount *mnt, struct datafs_call *call);

/* ---- data.c ---- */

/* What is known of a file of the mount, without asking. -ESTALE: it is none. */
int vfs_file(struct vfs_mount *mnt, uint64_t ino, struct datafs_meta_inode *in);
/*
 * Under a young fingerprint the bytes could change once more unseen: waits
 * until it has grown old, or the content is another (-ESTALE).
 */
int vfs_settle(struct vfs_mount *mnt, struct datafs_meta_inode *in);
/*
 * Has [from, to) of the content in the cache, a chunk at a time; both are multiples of
 * a granule, and @in is not young. -ESHUTDOWN: the daemon ends. Blocks.
 */
int vfs_have(struct vfs_mount *mnt, const struct datafs_meta_inode *in, uint64_t from,
	     uint64_t to);

/* ---- trees ---- */

extern const struct vfs_tree vfs_tree_under, vfs_tree_quorum;

/* invalidate.c */
int vfs_look_again(struct vfs_mount *mnt, uint64_t ino);

/* tree_quorum.c */

/* Is it one of vfs_tree_quorum? */
bool vfs_quorum_source(const char *source);
/* What its source says. -EINVAL: logged. */
int vfs_quorum_parse(struct vfs_mount *mnt);
/* After all mounts are adopted: what a predecessor may have left undone is done. */
void vfs_quorum_start(struct datafs_vfs *v);
/* quorum_join.c */

/* That of the daemon, made once for the instance. Logged. */
int vfs_own_quorum(struct datafs_vfs *v, struct datafs_quorum **res);
/* ... if it has been made. Else -ENOENT, without a line. */
int vfs_own_quorum_there(struct datafs_vfs *v, struct datafs_quorum **res);
/*
 * The connection to a quorum elsewhere, with these members among those it knows. Key and
 * names are looked for until they are there. -ESHUTDOWN: it is @over (or NULL), or the
 * daemon ends.
 */
int vfs_connect_again(struct datafs_vfs *v, const char *members, const atomic_bool *over,
		      struct datafs_quorum **res);
/*
 * The mount has a session of its quorum elsewhere. @ms: all that is asked of it must be
 * answered until then, up to vfs_joined(); and key and names be there at once; 0: without
 * end. -ENOKEY, -EHOSTUNREACH, -ETIMEDOUT, -ESHUTDOWN; -EUCLEAN (logged).
 */
int vfs_join(struct vfs_mount *mnt, uint32_t ms);
void vfs_joined(struct vfs_mount *mnt);
/* All that waits for a quorum elsewhere for this mount ends, now and later: -ESHUTDOWN. */
void vfs_leave(struct vfs_mount *mnt);
/* Whom to ask, joined if need be. -ESTALE: it cannot be served. */
int vfs_quorum_of(struct vfs_mount *mnt, struct datafs_quorum **res);
/* For the log. */
const char *vfs_quorum_why(const struct vfs_mount *mnt, int err);

/* quorum_session.c */

/* mnt->session, of @q, is open. -EUCLEAN: logged. */
int vfs_session_have(struct vfs_mount *mnt, struct datafs_quorum *q);
/* It is ended, now or later. */
void vfs_session_gone(struct vfs_mount *mnt);
/* One command in a session of its own. 0, or an error of the way or of it. */
int vfs_session_once(struct datafs_quorum *q, Metad__Command *c);
/* Those of mounts that are none any more, and that of the node if there are no mounts. */
void vfs_sessions_clean(struct datafs_vfs *v);
/* The session in that file, made if there is none or it has ended; *@id is it. As vfs_session_have(). */
int vfs_session_at(struct datafs_vfs *v, struct datafs_quorum *q, const char *members,
		   const char *name, uint64_t *id);
/* The one in that file, if there is one, is ended, now or later. */
void vfs_session_end_at(struct datafs_vfs *v, const char *name);
/* A command of a session, with this number, below which none is waited for. 0 or the error. */
int vfs_session_change(struct datafs_quorum *q, Metad__Command *c, uint64_t id,
		       uint64_t request);

/* quorum_node.c */

#define VFS_NODE_SESSION	"node"	/* the file of its session */

/* @name NULL: the daemon is no node; nor with one that none may have, which is logged. -ENOMEM. */
int vfs_node_init(struct datafs_vfs *v, const char *name);
/* Nothing runs any more, and the connection is still open. */
void vfs_node_exit(struct datafs_vfs *v);
/* There is a mount; with the first one of a quorum elsewhere the node joins. Does not wait for it. */
void vfs_node_mounted(struct vfs_mount *mnt);
/* It is gone; with the last one the node is away. Waits for that, not for long. */
void vfs_node_unmounted(struct vfs_mount *mnt);
/*
 * What @fn returns, which is called as the one who is busy with the node, joined, so that its
 * connection and session are there. -ESHUTDOWN: there is no mount, or the daemon ends;
 * -EAGAIN: it has not joined, or is about to say so again. Blocks while others are busy.
 */
int vfs_node_use(struct datafs_vfs *v, int (*fn)(struct vfs_node *n, void *arg), void *arg);
/* A command of the node's session; of who is busy. 0 or the error. */
int vfs_node_change(struct vfs_node *n, Metad__Command *c);

/* quorum_job.c */

void vfs_jobs_init(struct datafs_vfs *v);
/* The thread has been stopped, if there was one. */
void vfs_jobs_exit(struct datafs_vfs *v);
/* If the daemon is to be a node. Without a thread, which is logged, jobs are done by others. */
void vfs_jobs_start(struct datafs_vfs *v);
/* v->stopping is set. Waits for the thread: until what it has asked for or called has ended. */
void vfs_jobs_stop(struct datafs_vfs *v);
/* There is one more mount: what could not be done before may be done now. */
void vfs_jobs_again(struct datafs_vfs *v);

/* quorum_lease.c */

/* The session has a lease, or is about to. 0; or it has not, and what stood in the way. */
int vfs_lease_have(struct vfs_mount *mnt, struct datafs_quorum *q);
/*
 * For how long the kernel may use what is told of @o: FOREVER is until it is invalidated,
 * or the lease ends. @believe: as the answer says.
 */
uint32_t vfs_keep(struct vfs_mount *mnt, const struct datafs_told *told, bool believe,
		  const struct datafs_grant_object *o);
uint32_t vfs_keep_attr(struct vfs_mount *mnt, const struct datafs_told *told, bool believe,
		       const Metad__Attr *a);

/* quorum_names.c */
/*
 * Is @n, which a quorum answers, an inode or cookie that only branches have? Then the answer
 * is worth nothing (EIO), and the first one of a mount is logged.
 */
bool vfs_quorum_alien(struct vfs_mount *mnt, uint64_t n);
void vfs_quorum_attr(const Metad__Attr *a, uint32_t valid_ms, struct datafs_attr *attr);
int vfs_quorum_lookup(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_getattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_readdir(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_parent(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_readlink(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_getxattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_listxattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_statfs(struct vfs_mount *mnt, struct datafs_call *call);

/* table_calls.c: a quorum's tree with what its table mounts; see table.h */
int vfs_table_lookup(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_table_parent(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_table_readdir(struct vfs_mount *mnt, struct datafs_call *call);
/* GETATTR, and what else is asked of one inode. */
int vfs_table_call(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_table_change(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_table_look_again(struct vfs_mount *mnt, uint64_t ino);
/* The branch that an inode is of: vfs_mount_put() must follow. -ESTALE; -EIO: it is away. */
int vfs_table_branch(struct vfs_mount *mnt, uint64_t ino, struct vfs_mount **res);

/* table_read.c */

/* It is to be asked for again. Does not block. */
void vfs_table_doubt(struct vfs_mount *mnt);
/*
 * As that, if one of @objects, which are recalled or changed, is of what the table's paths
 * lead through: then the kernel must forget all of the mount. Does not block.
 */
bool vfs_table_touched(struct vfs_mount *mnt, const struct datafs_grant_object *objects,
		       unsigned int n);
/* Nobody uses it any more. */
void vfs_table_exit(struct vfs_mount *mnt);

/* quorum_tell.c */

/* What one change makes untrue: two names, and four inodes at the most. */
struct vfs_told {
	size_t len;
	char buf[4 * sizeof(struct datafs_invalid) +
		 2 * (sizeof(struct datafs_invalid) + DATAFS_NAME_MAX + 1)]
		__attribute__((aligned(8)));
};

/* @a may be NULL. */
void vfs_told_inode(struct vfs_told *t, const Metad__Attr *a);
void vfs_told_name(struct vfs_told *t, uint64_t dir, const void *name, size_t len);
/* The other mounts of @mnt's namespace ask before they answer with that again. */
void vfs_tell_others(struct vfs_mount *mnt, struct vfs_told *t);
/* All mounts of the namespace, with anything. */
void vfs_tell_doubt(struct datafs_vfs *v, const struct datafs_quorum *q);

/* quorum_change.c: all of CREATE to RELEASE */
int vfs_quorum_change(struct vfs_mount *mnt, struct datafs_call *call);
/* @cmd, of the mount's session. 0, @res and what of it may be kept (vfs_keep()), or an error of the way or of it. */
int vfs_command(struct vfs_mount *mnt, Metad__Command *cmd, uint64_t request,
		uint64_t lowest, Metad__Result **res, struct datafs_told *told);

#endif
