/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup of a quorum in one file: a snapshot (manifest.h) of the state between two
 * entries, as it comes from the member that leads. All big-endian:
 *
 *	head		u32 magic "DFSB", u32 version 1, cluster 16, u64 index, u64 term,
 *			u64 seconds since 1970 when it was made, u32 length of the
 *			manifest, u32 CRC32C of all before it
 *	manifest	as encoded, with its own CRC32C
 *	pieces		of each file of the manifest in its order, of an empty file
 *			none: DATAFS_BACKUP_PIECE bytes, fewer at a file's end, and the
 *			u32 CRC32C of u32 number of the file, u64 offset, and them
 *
 * So its length follows from its first bytes, and each of its bytes is in a sum. A
 * file's own CRC32C, of the manifest, is that of its pieces.
 */
#ifndef DATAFS_METAD_BACKUP_H
#define DATAFS_METAD_BACKUP_H

#include "metad/manifest.h"

#define DATAFS_BACKUP_HEAD	56u
#define DATAFS_BACKUP_PIECE	(256u << 10)
#define DATAFS_BACKUP_MANIFEST_MAX	(1u << 20)
#define DATAFS_BACKUP_CLUSTER	16u

struct datafs_backup_head {
	uint8_t cluster[DATAFS_BACKUP_CLUSTER];
	uint64_t index, term, time;
	uint32_t manifest;	/* bytes */
};

void datafs_backup_head_encode(const struct datafs_backup_head *h,
			       uint8_t buf[DATAFS_BACKUP_HEAD]);
/* 0 or -EBADMSG. */
int datafs_backup_head_decode(const uint8_t buf[DATAFS_BACKUP_HEAD],
			      struct datafs_backup_head *res);
/* What stands behind a piece. */
uint32_t datafs_backup_sum(unsigned int file, uint64_t off, const void *buf, size_t len);

enum datafs_backup_state {
	DATAFS_BACKUP_AT_HEAD,
	DATAFS_BACKUP_AT_MANIFEST,
	DATAFS_BACKUP_AT_PIECE,
	DATAFS_BACKUP_DONE,
};

/* Reads one that comes in parts of any length. One thread. */
struct datafs_backup_reader {
	enum datafs_backup_state state;
	struct datafs_backup_head head;		/* from AT_MANIFEST on */
	struct datafs_manifest manifest;	/* from AT_PIECE on */
	/* Who is told each piece once it is known to be whole; NULL: nobody. */
	int (*piece)(void *ctx, const struct datafs_manifest_file *f, uint64_t off,
		     const void *buf, size_t len);
	void *ctx;

	unsigned int file;
	uint64_t off;
	uint32_t crc;		/* of the file, so far */
	uint8_t *buf;		/* what has come of the next thing */
	size_t have, want;
};

/* 0 or -ENOMEM. */
int datafs_backup_reader_open(struct datafs_backup_reader *r);
void datafs_backup_reader_close(struct datafs_backup_reader *r);
/*
 * 0; -EBADMSG: it is no backup, or damaged, or goes on behind its end; -ENOMEM; or what
 * @piece said. After an error: close. It is whole when the state is DONE.
 */
int datafs_backup_feed(struct datafs_backup_reader *r, const void *buf, size_t len);

#endif
