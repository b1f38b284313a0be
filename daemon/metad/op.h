/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command while it is done. The inodes it concerns are got once into its
 * table, changed there, and written by op_flush(), so that two roles of one inode
 * (both parents of a rename) are one thing. Names and xattrs are written at once.
 * A command that fails is not flushed, and what it wrote is dropped by the caller,
 * with its changes of @n and @s.
 *
 * The functions of commands answer 0 or a negative errno, which is the command's
 * answer unless the transaction has failed.
 */
#ifndef DATAFS_METAD_OP_H
#define DATAFS_METAD_OP_H

#include "meta.pb-c.h"
#include "schema.h"

/* Two directories and two inodes of a rename. */
#define OP_INODES	4

struct op_inode {
	struct rec_inode r;
	bool dirty;		/* to be written */
	bool changed;		/* ... as a new version */
	bool gone;		/* not there any more */
};

/* Whose attributes the Result has. */
enum op_told { TOLD_NODE, TOLD_PARENT, TOLD_NEW_PARENT, TOLD_OTHER, TOLD_NR };

struct op {
	struct txn *t;
	struct rec_node *n;
	struct rec_session *s;	/* NULL: the leader's own command */
	uint64_t session;
	bool opened;		/* the session is there: it was before, or is now */
	uint64_t time;		/* of the entry, or a later one before it */
	struct timespec now;	/* the same */
	bool more;		/* it is not done: to be sent again */
	uint64_t job;		/* the id of one that was added; else 0 */
	Metad__Listing listing;	/* of the Result, if it has a state */
	unsigned int inodes;
	struct op_inode in[OP_INODES];
	struct op_inode *told[TOLD_NR];
};

/* ---- op.c ---- */

/* Of the table, or read into it. -ESTALE: no such inode. */
int op_get(struct op *o, uint64_t ino, struct op_inode **res);
/* ... a directory that can get names: -ENOTDIR; -ENOENT: it is removed. */
int op_get_dir(struct op *o, uint64_t ino, struct op_inode **res);
/* A new one in the table, with times, no name yet and no rights. -ENOSPC. */
int op_new(struct op *o, uint32_t type, struct op_inode **res);
/* A new version, with ctime. */
void op_changed(struct op *o, struct op_inode *in);
/* ... and mtime. */
void op_modified(struct op *o, struct op_inode *in);
/* Writes the table and empties it; what is told stays good. */
void op_flush(struct op *o);
/*
 * The directories of the namespace that are above @ino, itself included: is @above
 * one? -ENAMETOOLONG: @ino is too deep to tell.
 */
int op_is_above(struct op *o, uint64_t above, uint64_t ino);

/* 0, -ENAMETOOLONG or -EINVAL. */
int op_name_check(struct txn_bytes name);
/* 0, -ENOENT, or op_name_check(). */
int op_lookup(struct op *o, const struct op_inode *dir, struct txn_bytes name,
	      struct rec_dirent *de);
/* What it has found: an inode that has names, in a directory that has children. */
int op_get_named(struct op *o, const struct op_inode *dir,
		 const struct rec_dirent *de, struct op_inode **res);
/* A name for @in in a directory: links, counts and the directory's times. -EMLINK, -ENOSPC. */
int op_add_name(struct op *o, struct op_inode *dir, struct txn_bytes name,
		struct op_inode *in);
/* Takes one away. @in keeps its own nlink, if it is to have another name. */
void op_del_name(struct op *o, struct op_inode *dir, struct txn_bytes name,
		 const struct rec_dirent *de, const struct op_inode *in);
/* It has lost a name: with the last one it is gone, or an orphan while held. */
void op_unlinked(struct op *o, struct op_inode *in);
/* A session has let it go: an orphan may be gone. */
void op_let_go(struct op *o, struct op_inode *in);

static inline struct txn_bytes op_bytes(ProtobufCBinaryData b)
{
	return (struct txn_bytes){ b.data, b.len };
}

/* ---- the commands ---- */

typedef int (*op_fn)(struct op *o, const struct Metad__Command *c);

/* NULL: no such command. */
op_fn op_find(Metad__Command__OpCase op);
/* The feature level that has it. */
uint32_t op_level(Metad__Command__OpCase op);

/* op_session.c */
int op_noop(struct op *o, const Metad__Command *c);
int op_feature(struct op *o, const Metad__Command *c);
int op_session_open(struct op *o, const Metad__Command *c);
int op_session_renew(struct op *o, const Metad__Command *c);
int op_session_close(struct op *o, const Metad__Command *c);
int op_session_lease(struct op *o, const Metad__Command *c);
int op_hold(struct op *o, const Metad__Command *c);
int op_release(struct op *o, const Metad__Command *c);
/* Drops answers below what the session now says. */
void op_forget_answers(struct op *o, uint64_t lowest);

/* op_make.c */
int op_create(struct op *o, const Metad__Command *c);
int op_mkdir(struct op *o, const Metad__Command *c);
int op_mknod(struct op *o, const Metad__Command *c);
int op_symlink(struct op *o, const Metad__Command *c);
int op_link(struct op *o, const Metad__Command *c);

/* op_remove.c */
int op_unlink(struct op *o, const Metad__Command *c);
int op_rmdir(struct op *o, const Metad__Command *c);

/* op_rename.c */
int op_rename(struct op *o, const Metad__Command *c);

/* op_attr.c */
int op_setattr(struct op *o, const Metad__Command *c);

/* op_quota.c */
int op_set_quota(struct op *o, const Metad__Command *c);
int op_remove_quota(struct op *o, const Metad__Command *c);
/* A new inode comes into the quota of its directory. -EDQUOT. */
int op_quota_new(struct op *o, const struct op_inode *dir, struct op_inode *in);
/* It is not there any more. */
void op_quota_gone(struct op *o, const struct op_inode *in);
/* A regular file is to have this size. -EDQUOT: it grows, above the limit. */
int op_quota_resize(struct op *o, const struct op_inode *in, uint64_t size);
/* Does the same quota, or none, count both? 0, or -EXDEV. */
int op_quota_same(struct op *o, const struct op_inode *a, const struct op_inode *b);

/* op_mount.c */
int op_mount_add(struct op *o, const Metad__Command *c);
int op_mount_set(struct op *o, const Metad__Command *c);
int op_mount_remove(struct op *o, const Metad__Command *c);
/* Would it be -EINVAL for what it says, be it another command? NULL: no; else why. */
const char *op_mount_wrong(const Metad__Command *c);

/* op_node.c */
int op_node_join(struct op *o, const Metad__Command *c);
int op_node_set(struct op *o, const Metad__Command *c);
int op_node_remove(struct op *o, const Metad__Command *c);
/* A session is ending: the node that it speaks for is away. 0, or damage. */
int op_node_session_ends(struct op *o, uint64_t session);

/* op_job.c */
int op_job_add(struct op *o, const Metad__Command *c);
int op_job_claim(struct op *o, const Metad__Command *c);
int op_job_report(struct op *o, const Metad__Command *c);
int op_job_cancel(struct op *o, const Metad__Command *c);
int op_job_remove(struct op *o, const Metad__Command *c);
/* A session is ending, or speaks for another node: what it has waits again. 0, or damage. */
int op_job_session_leaves(struct op *o, uint64_t session);
/* What was for a node that is removed is cancelled. 0, or damage. */
int op_job_node_gone(struct op *o, uint64_t node);

/* op_policy.c */
int op_policy_set(struct op *o, const Metad__Command *c);
int op_policy_remove(struct op *o, const Metad__Command *c);
/* op_listing.c */
int op_listing_ticket(struct op *o, const Metad__Command *c);
int op_listing_put(struct op *o, const Metad__Command *c);
int op_listing_drop(struct op *o, const Metad__Command *c);

/* op_xattr.c */
int op_setxattr(struct op *o, const Metad__Command *c);
int op_removexattr(struct op *o, const Metad__Command *c);
/* The mode has new permission bits: so has the access ACL. */
void op_acl_chmod(struct op *o, struct op_inode *in);
/* ACLs and permission bits of a new inode, as its directory and @umask want. */
int op_acl_inherit(struct op *o, const struct op_inode *dir, struct op_inode *in,
		   uint32_t umask);

#endif
