/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kmod/reply.c needs of the kernel, in userspace: it is pure, and tested
 * here byte for byte as the module has it.
 */
#ifndef DATAFS_REPLY_SHIM_H
#define DATAFS_REPLY_SHIM_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "datafs_abi.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define S64_MAX	INT64_MAX

int datafs_reply_attr(const void *body, u32 len, struct datafs_attr *attr);
int datafs_reply_entry(const void *body, u32 len, struct datafs_entry *entry);
int datafs_reply_statfs(const void *body, u32 len, struct datafs_statfs *st);
int datafs_reply_readdir(const void *body, u32 len,
			 struct datafs_readdir_rep *rep);
int datafs_reply_dirent(const void *body, u32 len, u32 *pos, u64 prev_cookie,
			struct datafs_dirent *ent, const char **name);

/* kmod/datafs.h says what they are. */
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
int datafs_reply_extents(const void *body, u32 len,
			 struct datafs_extent_rep *rep,
			 const struct datafs_extent **ext, const __u32 **crc);

#endif /* DATAFS_REPLY_SHIM_H */
