/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the quorum's table of mounts adds to the tree of a mount of that quorum: branches,
 * each the tree of an under-store, at paths of it.
 *
 *   trie.c		the paths
 *   branch.c		an under-store at a path
 *   table.c		the table as it was at one time: its trie and branches
 *   table_read.c	how it is asked for, and until when it is believed
 *   table_where.c	what an inode is of: the quorum, a branch, or the way to one
 *   table_calls.c	upcalls of such a tree
 *   table_list.c	... listings
 *   table_own.c	the table of the quorum of one is changed
 *
 * Nothing is translated: inodes of branches and of the directories on the way to them are
 * of the embedded namespace, with DATAFS_META_BRANCH, and a quorum has none with it. Only
 * the mount's root has one number whatever is mounted there, since the kernel has it for
 * as long as the mount is.
 */
#ifndef DATAFS_VFS_TABLE_H
#define DATAFS_VFS_TABLE_H

#include "metad/mounts.h"
#include "trie.h"
#include "vfs_internal.h"

struct vfs_mounted {
	struct vfs_mount *branch;	/* a reference */
	struct trie_node *node;		/* whose mount it is */
};

/*
 * The table at one version, below the directory that the mount shows. All but @refs and
 * @valid, which are mnt->table_lock's, stays as it is, and so do the branches; which
 * inode an inner node is (trie_node.ino) is learned.
 */
struct vfs_table {
	unsigned int refs;
	uint64_t version;
	uint64_t valid;		/* believed while mnt->table_epoch is this */
	struct trie_node *root;	/* of what the mount shows */
	struct vfs_mounted *mounted;
	size_t n_mounted;
	struct trie_node **inner;	/* nodes at which nothing is mounted; parents first */
	size_t n_inner;
};

/* What a call goes by. */
struct vfs_table_use {
	struct vfs_table *t;
	bool believed;		/* what it says may be kept by the kernel until it is recalled */
	uint64_t epoch;		/* mnt->table_epoch before; 0: not known */
};

/* ---- table.c ---- */

/*
 * From pieces of a listing, which are all of one version. What is in @old (or NULL) and
 * has not changed is the same branch. -ENOMEM, or an error of the embedded namespace.
 */
int vfs_table_build(struct vfs_mount *mnt, struct Metad__Answer *const *pieces, size_t n,
		    struct vfs_table *old, struct vfs_table **res);
void vfs_table_free(struct vfs_table *t);
/* The path from the quorum's root on, to be freed; NULL: no memory. */
char *vfs_table_path(const struct vfs_mount *mnt, const struct trie_node *n);
/* Does it lead through another mount, or is it of what @top covers itself? */
bool vfs_table_within(const struct trie_node *n, const struct trie_node *top);
/* The nearest node up from @n, or @n, at which something is mounted; NULL: the quorum is. */
struct trie_node *vfs_table_cover(struct trie_node *n);

/* ---- table_read.c ---- */

/*
 * The table as it is now, asked for unless it is believed. 0, and vfs_table_put() must
 * follow. Blocks on the quorum; errors of it.
 */
int vfs_table_get(struct vfs_mount *mnt, struct vfs_table_use *use);
/* Its listing, of one version: @n pieces, the caller's to free. */
int vfs_table_read(struct datafs_quorum *q, struct Metad__Answer *piece[DATAFS_METAD_MOUNTS_MAX],
		   size_t *n);
/*
 * Which inode an inner node is, by an answer that was asked for in @epoch. A later one is not
 * undone by an answer that comes late.
 */
void vfs_table_learn(struct vfs_mount *mnt, uint64_t epoch, struct trie_node *n, uint64_t ino);
/* The last one, of whatever time, or NULL. */
struct vfs_table *vfs_table_last(struct vfs_mount *mnt);
void vfs_table_put(struct vfs_mount *mnt, struct vfs_table *t);

/* ---- table_where.c ---- */

struct vfs_where {
	enum { VFS_OF_QUORUM, VFS_OF_BRANCH, VFS_OF_WAY } of;
	struct vfs_mount *branch;	/* VFS_OF_BRANCH */
	uint64_t ino;			/* as that knows it */
	struct trie_node *node;		/* of VFS_OF_WAY, and of a branch's root */
};

/* What @ino is of. -ESTALE: of nothing that is mounted now; -EIO: the store is away. */
int vfs_where(struct vfs_mount *mnt, struct vfs_table *t, uint64_t ino, struct vfs_where *w);
/* The node of a directory, or NULL: nothing is mounted below it. -ENOMEM, -ESTALE, -EIO. */
int vfs_where_node(struct vfs_mount *mnt, struct vfs_table *t, const struct vfs_where *w,
		   struct trie_node **res);
/* The call, with another inode. */
int vfs_call_as(struct vfs_mount *mnt, struct datafs_call *call, uint64_t ino, vfs_call_fn fn);
/* What the name @call->name in an inode of @w leads to in what is there, mounts left out. */
int vfs_where_lookup(struct vfs_mount *mnt, const struct vfs_where *w, const char *name,
		     struct datafs_entry *e);
/* What is mounted at the node. -EIO: the store is away. */
int vfs_mounted_entry(struct vfs_mount *mnt, const struct vfs_table_use *use,
		      struct trie_node *n, struct datafs_entry *e);
/* A directory that is only there because something is mounted below it. */
int vfs_way_attr(struct vfs_mount *mnt, struct trie_node *n, struct datafs_attr *attr);
/* The number that such a directory has, if it was ever told; 0: it was not. */
int vfs_way_known(struct vfs_mount *mnt, struct trie_node *n, uint64_t *ino);
/* The directory that a node is. */
int vfs_node_entry(struct vfs_mount *mnt, const struct vfs_table_use *use, struct trie_node *n,
		   struct datafs_entry *e);

/* ---- table_list.c ---- */
int vfs_table_readdir(struct vfs_mount *mnt, struct datafs_call *call);

/* ---- branch.c ---- */

/* A branch of a mount; with one reference. NULL: no memory. What is wrong with it is logged. */
struct vfs_mount *vfs_branch_new(struct vfs_mount *over, const char *path, const Metad__Mount *row);
/* It can be asked: its root is known. -EIO, logged: the store is away. May block on it. */
int vfs_branch_have(struct vfs_mount *b);
/* The number of its root, 0 if that was never known. */
uint64_t vfs_branch_root(const struct vfs_mount *b);
void vfs_branch_get(struct vfs_mount *b);
void vfs_branch_put(struct vfs_mount *b);

#endif
