/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of snapshots on the wire: the bodies of BULK frames, whose id is the
 * token of who fetches. Big-endian:
 *
 *	asked	u8 1, u8 length of the name; u16 0; u32 length, u64 index, term,
 *		offset; the name
 *	piece	u8 2, u8 0; u16 0; u32 errno, or 0 and then the bytes
 */
#ifndef DATAFS_METAD_PIECE_H
#define DATAFS_METAD_PIECE_H

#include "metad/manifest.h"
#include "metad/member.h"

#define DATAFS_PIECE_ASKED	32u	/* bytes without the name */
#define DATAFS_PIECE_HEAD	8u

enum datafs_piece_kind {
	DATAFS_PIECE_ASK = 1,
	DATAFS_PIECE_GIVE,
};

/* What was decoded points into the bytes, but the name. */
struct datafs_piece_frame {
	enum datafs_piece_kind kind;
	struct datafs_raft_piece piece;		/* that is asked for */
	char name[DATAFS_MANIFEST_NAME_MAX + 1];
	int err;				/* of what is given: negative, or 0 */
	const void *data;
	size_t len;
};

/* Bytes written to @buf, which has DATAFS_PIECE_ASKED + DATAFS_MANIFEST_NAME_MAX. */
size_t datafs_piece_ask(const struct datafs_raft_piece *piece, uint8_t *buf);
/* The head of what is given; @err negative or 0. */
void datafs_piece_give(int err, uint8_t buf[DATAFS_PIECE_HEAD]);
/* 0 or -EBADMSG. */
int datafs_piece_decode(const void *buf, size_t len, struct datafs_piece_frame *res);

#endif
