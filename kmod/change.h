/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: changes of the namespace, as namei.c, setattr.c and xattr.c ask for
 * them:
 *
 *   req = datafs_change_alloc(...)         and fill what follows datafs_change_req
 *   ret = datafs_change_call(req, &about, &want, &rep)
 *   if (!ret) datafs_change_publish(...)   and the names
 *   datafs_change_end(req, &about)
 */
#ifndef DATAFS_CHANGE_H
#define DATAFS_CHANGE_H

#include "datafs.h"

/**
 * struct datafs_about - the inodes that a change is about
 * @dir:	of the name that is made, removed or moved; NULL: no name
 * @new_dir:	of RENAME to another directory, else NULL
 * @node:	what is linked, removed, moved or changed; NULL: it is made
 * @other:	of RENAME: what is replaced or exchanged, else NULL
 */
struct datafs_about {
	struct inode	*dir;
	struct inode	*new_dir;
	struct inode	*node;
	struct inode	*other;
};

/**
 * datafs_change_alloc - a change of @inode
 * @fixed:	size of the struct that its body begins with
 * @name:	follows it, @datafs_req.namelen; may be NULL
 * @more:	@more_len bytes, which follow the name; may be NULL
 *
 * NULL without memory. May sleep.
 */
struct datafs_request *datafs_change_alloc(enum datafs_opcode op,
					   struct inode *inode, u32 fixed,
					   const struct qstr *name,
					   const void *more, u32 more_len);
/*
 * datafs_change_call - have the daemon make it, and check what it says of it
 * @want:	type, rdev and exchange are given; the rest is filled in
 *
 * After an error of its own the daemon has changed nothing. After all others (EIO
 * of a bad answer or umount -f, ENOTCONN, EINTR) it may have been done, or be done
 * yet: then nothing that is known of @about is trusted any more. May sleep for
 * as long as there is no daemon.
 */
int datafs_change_call(struct datafs_request *req,
		       const struct datafs_about *about,
		       struct datafs_change_want *want,
		       struct datafs_change_rep *rep);
/*
 * The attributes of all of @about as @rep tells them; @when: jiffies64 of it. What a
 * successor answers may be older than what others have seen since: then they are asked
 * for anew.
 */
void datafs_change_publish(const struct datafs_request *req,
			   const struct datafs_about *about,
			   const struct datafs_change_rep *rep, u64 when);
/* What was made, with a reference, or ERR_PTR. */
struct inode *datafs_change_made(const struct datafs_request *req,
				 const struct datafs_about *about,
				 const struct datafs_change_rep *rep, u64 when);
/* Until when the name, or its absence, is known; as datafs_until(). */
u64 datafs_change_until(const struct datafs_request *req,
			const struct datafs_change_rep *rep, u64 when);
/* After datafs_change_call(), when the names are right again; puts @req. */
void datafs_change_end(struct datafs_request *req,
		       const struct datafs_about *about);

/* setattr.c: SETATTR of what @attr has, by whoever may. */
int datafs_setattr_ask(struct inode *inode, const struct iattr *attr);

#endif /* DATAFS_CHANGE_H */
