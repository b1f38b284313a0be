/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members of a quorum tell each other, as bytes. A frame is one message of
 * libraft, or one of the round that confirms a leader's term (member.h). Who
 * carries frames tells who sent them and that they are whole.
 *
 * Version 1, all numbers big-endian:
 *
 *	u8 version, u8 kind, u8 message version of libraft, u8 0, then by kind
 *
 *	vote		u64 term, candidate, last index, last term; u8 disrupt,
 *			pre-vote, 0, 0
 *	vote result	u64 term; u8 granted, pre-vote; u16 features, capacity; u16 0
 *	append		u64 term, previous index, previous term, commit; u32 count;
 *			count times: u64 term, u32 length, u8 type, 3 times u8 0, bytes
 *	append result	u64 term, rejected, last index; u16 features, capacity
 *	snapshot	u64 term, last index, last term, configuration's index;
 *			u32 servers; each: u64 id, u8 role, u8 length of the
 *			address, address; u32 length, manifest
 *	timeout now	u64 term, last index, last term
 *	confirm, confirmed	u64 term, round
 *
 * A change of the configuration is only ever the first entry of a frame:
 * libraft 0.22.1 takes the index of the first entry for that of any change in
 * the message, and so would neither commit it nor roll it back.
 */
#ifndef DATAFS_RAFT_WIRE_H
#define DATAFS_RAFT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <raft.h>

#include "metad/raft_conf.h"

#define DATAFS_RAFT_ENTRY_MAX	(1u << 20)	/* bytes of one entry */
#define DATAFS_RAFT_ENTRIES_MAX	1024u		/* entries in a frame */
/* No frame is longer: what carries them has no room for more. */
#define DATAFS_RAFT_FRAME_MAX	(4u << 20)
/* Bytes of all entries in a frame. */
#define DATAFS_RAFT_BATCH_MAX	(DATAFS_RAFT_FRAME_MAX - 16 * DATAFS_RAFT_ENTRIES_MAX - 64)
#define DATAFS_RAFT_MANIFEST_MAX	(1u << 20)

enum datafs_raft_kind {
	/* up to here the types of libraft */
	DATAFS_RAFT_KIND_RAFT_LAST = RAFT_TIMEOUT_NOW,
	DATAFS_RAFT_KIND_CONFIRM,	/* is this still your term? */
	DATAFS_RAFT_KIND_CONFIRMED,
	DATAFS_RAFT_KIND_END
};

struct datafs_raft_frame {
	unsigned int kind;	/* enum raft_message_type or enum datafs_raft_kind */
	union {
		struct raft_message raft;	/* its type is the kind */
		struct {
			uint64_t term, round;
		} confirm;
	};
};

/*
 * The frame as bytes in *@res, for free(); their number, or -ENOMEM, or -EINVAL
 * if it has more than the bounds above allow. Of a message of libraft the
 * server's id and address are not carried.
 */
long datafs_raft_encode(const struct datafs_raft_frame *frame, void **res);

/*
 * 0, -ENOMEM, or -EBADMSG: these bytes are no frame. All bytes must be used.
 * What it points to is allocated as libraft frees it: entries with one batch, a
 * configuration, a manifest. The server's id and address are for the caller.
 */
int datafs_raft_decode(const void *buf, size_t len, struct datafs_raft_frame *res);

/* What datafs_raft_decode() allocated, if libraft has not taken it. */
void datafs_raft_frame_free(struct datafs_raft_frame *frame);

#endif
