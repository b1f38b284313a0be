/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: checks of what a daemon says (reply.c).
 *
 * Each returns 0 or -EIO and reads @body once. They are pure: they may be called
 * anywhere, and are built for userspace as well (tests/unit/reply_shim.h), so nothing
 * of the kernel is included here.
 */
#ifndef DATAFS_REPLY_H
#define DATAFS_REPLY_H

#include "../proto/datafs_abi.h"

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

#endif /* DATAFS_REPLY_H */
