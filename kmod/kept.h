/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: listings that are kept; see kept.c. None of these waits for the daemon; those
 * that take an inode or a listing may sleep for memory.
 */
#ifndef DATAFS_KEPT_H
#define DATAFS_KEPT_H

#include "datafs.h"

/*
 * Of a listing that is about to be asked for from its beginning, before that: NULL if
 * there is no memory, which is no error. The caller's until it is published or abandoned
 * (NULL is fine).
 */
struct datafs_kept *datafs_kept_begin(struct inode *dir);
void datafs_kept_abandon(struct datafs_kept *kept);
/*
 * datafs_kept_take - the checked answer @rep, @req, to what comes after @cookie
 * @when:	jiffies64 when it came
 *
 * False: it is not to be kept, or too long, or does not follow the one before it; then
 * @kept is of no use any more.
 */
bool datafs_kept_take(struct datafs_kept *kept, const struct datafs_request *req,
		      u64 cookie, const struct datafs_readdir_rep *rep, u64 when);
/* All of it was taken, up to the directory's end, and told. Takes over @kept. */
void datafs_kept_publish(struct datafs_kept *kept);
/* The inode goes. */
void datafs_kept_evict(struct datafs_inode *di);

/* Lists what comes after @cookie; false: nothing is known that holds. */
bool datafs_kept_list(struct inode *dir, u64 cookie, struct dir_context *ctx);

/*
 * What a name leads to, for datafs_entry_confirm(): @inode, with a reference, or NULL:
 * it is not there.
 */
struct datafs_kept_name {
	struct inode	*inode;
	u64		names;
	u64		seq;
	u64		until;
};

/* False: it is not known, or nothing valid of the inode is. */
bool datafs_kept_lookup(struct inode *dir, const struct qstr *name,
			struct datafs_kept_name *res);

/* For the superblock's shrinker, in listings. */
unsigned long datafs_kept_count(struct datafs_mount *mnt, struct shrink_control *sc);
unsigned long datafs_kept_scan(struct datafs_mount *mnt, struct shrink_control *sc);
/* Of a superblock that is being made, and of one whose inodes are gone. */
int datafs_kept_mount(struct datafs_mount *mnt, struct super_block *sb);
void datafs_kept_umount(struct datafs_mount *mnt);
int datafs_kept_init(void);
void datafs_kept_exit(void);

#endif
