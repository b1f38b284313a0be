/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a byte stream, without any I/O: an encoder and a decoder for each
 * direction. Documentation/wire.rst has the format with its offsets.
 *
 * A frame has a head (with a CRC32C of its own and the body's), a body, and,
 * once keys are agreed, an authentication code over both and the number of the
 * frame in its direction. That number is counted on both sides and not sent:
 * a frame that is replayed, left out or moved has the wrong one.
 *
 * What a peer may send depends on who it is: a stranger the handshake only, a
 * client or another node's daemon no Raft. The table in frame.c says so; the sender is held to it and the
 * receiver checks it.
 *
 * Errors: -EBADMSG (damaged or forged), -EMSGSIZE (longer than its type may be),
 * -EPROTO (a type or flag that this sender may not send), -ENOMEM, -EIO
 * (libcrypto). None of it blocks. One thread at a time.
 */
#ifndef DATAFS_WIRE_FRAME_H
#define DATAFS_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"

#define DATAFS_FRAME_VERSION	1	/* of the head; the last byte of the magic */
#define DATAFS_FRAME_HEAD	28

/* What a side of a connection is. Numbers of the wire. */
enum datafs_role {
	DATAFS_ROLE_STRANGER,	/* has proven nothing yet */
	DATAFS_ROLE_MEMBER,	/* of the quorum */
	DATAFS_ROLE_CLIENT,	/* a node's daemon, to members */
	DATAFS_ROLE_PEER,	/* the same, to those of other nodes */
	DATAFS_ROLE_NR
};

/* Numbers of the wire: never used for anything else. */
enum datafs_frame_type {
	DATAFS_FRAME_HELLO = 1,	/* the handshake, see handshake.h */
	DATAFS_FRAME_ANSWER,
	DATAFS_FRAME_PROOF,
	DATAFS_FRAME_REFUSE,
	DATAFS_FRAME_PING,
	DATAFS_FRAME_PONG,
	DATAFS_FRAME_CALL,	/* id: of the call, also in the next two */
	DATAFS_FRAME_REPLY,
	DATAFS_FRAME_CANCEL,	/* nobody waits for the reply any more */
	DATAFS_FRAME_RAFT,
	DATAFS_FRAME_BULK,	/* id: of the stream */
	DATAFS_FRAME_TYPES
};

#define DATAFS_FRAME_LAST	0x0001	/* of a BULK stream */

/* Longest bodies, by class of type. */
#define DATAFS_FRAME_MAX_HANDSHAKE	256u
#define DATAFS_FRAME_MAX_CONTROL	(64u << 10)
#define DATAFS_FRAME_MAX_CALL		(1u << 20)
#define DATAFS_FRAME_MAX_BULK		(4u << 20)

struct datafs_frame {
	uint16_t type;		/* enum datafs_frame_type */
	uint16_t flags;
	uint32_t len;		/* bytes of the body */
	uint64_t id;
	const void *body;
};

/* May @role send it? 0, -EPROTO or -EMSGSIZE. */
int datafs_frame_allowed(enum datafs_role role, uint16_t type, uint16_t flags,
			 uint32_t len);

struct datafs_encoder {
	enum datafs_role self;	/* what we are to the peer */
	struct datafs_mac *mac;	/* NULL: CRCs only */
	uint64_t seq;		/* of the next frame */
};

/* A stranger's, who has nothing to free until it has a key. */
void datafs_encoder_init(struct datafs_encoder *enc);
void datafs_encoder_free(struct datafs_encoder *enc);
/* From the next frame on. @key NULL: authentication is off. */
int datafs_encoder_agreed(struct datafs_encoder *enc, enum datafs_role self,
			  const uint8_t *key);
/* Bytes that a frame with a body of @len takes. */
size_t datafs_encoder_size(const struct datafs_encoder *enc, uint32_t len);
/*
 * Writes datafs_encoder_size() bytes to @out; the body may lie already where it
 * belongs, at @out + DATAFS_FRAME_HEAD. After an error nothing is counted: the
 * next frame has the number that this one would have had.
 */
int datafs_encoder_put(struct datafs_encoder *enc,
		       const struct datafs_frame *f, uint8_t *out);

struct datafs_decoder {
	enum datafs_role peer;
	struct datafs_mac *mac;
	uint64_t seq;
	uint8_t *buf;
	size_t size, start, end;	/* what is in @buf: from start to end */
	size_t need;	/* of the frame at start; 0: its head is not looked at yet */
	size_t given;	/* bytes of the frame that next() gave last */
	int err;	/* why no more frames come */
	const char *why;
};

void datafs_decoder_init(struct datafs_decoder *dec);
void datafs_decoder_free(struct datafs_decoder *dec);
/* From the next frame on, bytes that are here already included. */
int datafs_decoder_agreed(struct datafs_decoder *dec, enum datafs_role peer,
			  const uint8_t *key);
/*
 * Where to read the next bytes to, *@len of them at most, which is never 0; then
 * tell how many came. NULL: no memory. Only after next() has answered 0. What
 * is allocated is never more than a frame whose length was found allowed, and
 * 512 bytes as long as the peer is a stranger.
 */
void *datafs_decoder_room(struct datafs_decoder *dec, size_t *len);
void datafs_decoder_came(struct datafs_decoder *dec, size_t n);
/*
 * 1 and a frame, whose body is in the decoder's buffer until the next call of
 * room() or next(); 0 if more bytes are needed; or an error, for good, and
 * @dec->why says in a few words what was wrong.
 */
int datafs_decoder_next(struct datafs_decoder *dec, struct datafs_frame *f);

#endif
