/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   vfs.c      mounts, calls, counters
 *   tree_under.c   a mount of an under-store
 *   tree_quorum.c  a mount of a quorum's namespace, and its session
 *   quorum_names.c, quorum_change.c   what is asked of it, and what changes it
 *   names.c    lookup, attributes, directories
 *   misc.c     links' targets, extended attributes, statfs
 *   data.c     extents
 *   stream.c   what to fetch ahead
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
#include "stream.h"
#include "under/under.h"
#include "vfs.h"

/* What under-stores are asked; names in vfs.c. */
enum under_method {
	UNDER_STAT,
	UNDER_LIST,
	UNDER_READ,
	UNDER_READLINK,
	UNDER_XATTR,
	UNDER_STATFS,
	UNDER_NR
};

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
	struct datafs_options options;
	uint8_t incarnation[16];
	const struct vfs_tree *tree;
	uint64_t root;

	/* of vfs_tree_quorum */
	struct datafs_quorum *quorum;	/* the instance's; NULL: cannot be served */
	uint64_t session;

	/* of vfs_tree_under */
	_Atomic(struct datafs_under *) under;	/* NULL: not open yet */
	atomic_llong failed;	/* when it could not be opened; datafs_now() */
	atomic_llong not_before;	/* older looks answer nothing; datafs_now() */
};

struct datafs_vfs {
	struct datafs_meta *meta;
	struct datafs_cache *cache;
	struct datafs_streams *streams;
	struct datafs_pool *pool;
	int (*invalidate)(void *arg, const void *items, size_t bytes);
	void *arg;	/* of @invalidate */
	atomic_bool stopping;

	char *dir;
	struct datafs_quorum *quorum;	/* of one, in @dir; NULL: not needed yet */

	/* protects the list of mounts, their refs, and the making of @quorum */
	pthread_mutex_t lock;
	struct vfs_mount *mounts;

	atomic_ullong upcalls[DATAFS_OP_NR];
	atomic_ullong under_requests[UNDER_NR];
	atomic_ullong under_bytes;
};

/* ---- vfs.c ---- */

/* A reference, or NULL. */
struct vfs_mount *vfs_mount_get(struct datafs_vfs *v, uint32_t id);
void vfs_mount_put(struct vfs_mount *mnt);
/*
 * The mount's under-store. That of an adopted mount is opened by who needs it
 * first; -EIO, logged, if it is away: an error, whatever it is, says nothing of
 * names in it.
 */
int vfs_under(struct vfs_mount *mnt, struct datafs_under **res);
static inline void vfs_count_under(struct datafs_vfs *v, enum under_method m)
{
	atomic_fetch_add_explicit(&v->under_requests[m], 1, memory_order_relaxed);
}

/* ---- names.c ---- */

/* The least time of a look whose result @mnt takes now. */
int64_t vfs_fresh(const struct vfs_mount *mnt);
/*
 * The inode as @fresh demands, looked at in the under-store if need be.
 * -ESTALE: it is gone, or is not below the mount's root.
 */
int vfs_getattr(struct vfs_mount *mnt, uint64_t ino, int64_t fresh,
		struct datafs_meta_inode *res);
/* As datafs_meta_readdir(), looked at in the under-store if need be. @eof: or NULL. */
int vfs_list(struct vfs_mount *mnt, uint64_t dir, uint64_t cookie, int64_t fresh,
	     datafs_meta_entry_fn fn, void *arg, bool *eof);
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

/* ---- trees ---- */

extern const struct vfs_tree vfs_tree_under, vfs_tree_quorum;

/* invalidate.c */
int vfs_look_again(struct vfs_mount *mnt, uint64_t ino);

/* tree_quorum.c: is it one of vfs_tree_quorum ("HOST,...:/DIR")? */
bool vfs_quorum_source(const char *source);
/* Ends the sessions of mounts that are none any more. After all are adopted. */
void vfs_sessions_clean(struct datafs_vfs *v);

/* quorum_names.c */
void vfs_quorum_attr(const Metad__Attr *a, struct datafs_attr *attr);
int vfs_quorum_lookup(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_getattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_readdir(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_parent(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_readlink(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_getxattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_listxattr(struct vfs_mount *mnt, struct datafs_call *call);
int vfs_quorum_statfs(struct vfs_mount *mnt, struct datafs_call *call);

/* quorum_change.c: all of CREATE to RELEASE */
int vfs_quorum_change(struct vfs_mount *mnt, struct datafs_call *call);
/* @cmd, of the mount's session. 0 and @res, or an error of the way or of it. */
int vfs_command(struct vfs_mount *mnt, Metad__Command *cmd, uint64_t request,
		uint64_t lowest, Metad__Result **res);

#endif
