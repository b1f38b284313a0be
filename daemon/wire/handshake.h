/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end: a state machine without I/O. The side that has
 * connected is the initiator.
 *
 *	initiator				responder
 *	HELLO: who I am, nonce, ids of keys ->
 *			<- ANSWER: who I am, nonce, id of the key, proof
 *	PROOF ->
 *
 * and then both sides have the same keys, one for each direction. Instead of
 * an ANSWER or a PROOF a REFUSE says why not; nobody vouches for that one, it
 * is for the log. Each proof is an HMAC, under the key both have, of a hash of
 * all that both have said, with a label that differs for the two sides; so what is
 * recorded, sent back or changed proves nothing.
 *
 * With authentication off the proofs are zeroes and there are no keys. Both
 * sides must have it off, or none of them accepts.
 */
#ifndef DATAFS_WIRE_HANDSHAKE_H
#define DATAFS_WIRE_HANDSHAKE_H

#include "frame.h"
#include "keys.h"

#define DATAFS_WIRE_MAJOR	1	/* must be the same on both sides */
#define DATAFS_WIRE_MINOR	0	/* the lower one is spoken */

#define DATAFS_NONCE_LEN	32
#define DATAFS_HELLO_LEN	80
#define DATAFS_ANSWER_LEN	(DATAFS_HELLO_LEN + DATAFS_HASH_LEN)
#define DATAFS_PROOF_LEN	DATAFS_HASH_LEN
#define DATAFS_REFUSE_LEN	8

/* Who takes longer is no peer. The messenger's clock. */
#define DATAFS_HANDSHAKE_MS	5000

enum datafs_handshake_state {
	DATAFS_HANDSHAKE_HELLO,		/* responder: waits for a HELLO */
	DATAFS_HANDSHAKE_ANSWER,	/* initiator: waits for an ANSWER */
	DATAFS_HANDSHAKE_PROOF,		/* responder: waits for a PROOF */
	DATAFS_HANDSHAKE_DONE,
	DATAFS_HANDSHAKE_FAILED,
	DATAFS_HANDSHAKE_STATES
};

/* Why it failed. Numbers of the wire, in a REFUSE. */
enum datafs_refusal {
	DATAFS_REFUSAL_NONE,
	DATAFS_REFUSAL_MALFORMED,	/* -EBADMSG */
	DATAFS_REFUSAL_UNEXPECTED,	/* -EPROTO: not in this state */
	DATAFS_REFUSAL_VERSION,		/* -EPROTONOSUPPORT */
	DATAFS_REFUSAL_CLUSTER,		/* -EXDEV */
	DATAFS_REFUSAL_ROLE,		/* -EACCES */
	DATAFS_REFUSAL_AUTH,		/* -EOPNOTSUPP: on here, off there */
	DATAFS_REFUSAL_NO_KEY,		/* -ENOKEY */
	DATAFS_REFUSAL_WRONG_KEY,	/* -EKEYREJECTED, or a replay */
	DATAFS_REFUSAL_REFLECTED,	/* -ELOOP: it is this node itself */
	DATAFS_REFUSAL_NODE,		/* -ENXIO: not the node that was meant */
	DATAFS_REFUSAL_INTERNAL,	/* -EIO: libcrypto */
	DATAFS_REFUSALS
};

struct datafs_handshake_conf {
	enum datafs_role role;
	uint64_t node;			/* this one's id; not 0 */
	uint64_t features;
	unsigned int peers;		/* 1 << role of whom to speak to */
	const struct datafs_keys *keys;	/* also says which cluster */
};

/* What the other side has said, to be believed after DONE. */
struct datafs_wire_peer {
	enum datafs_role role;
	uint64_t node;
	uint64_t features;		/* that both sides have */
	uint16_t minor;			/* the lower one */
	uint32_t key;			/* id; 0: authentication is off */
};

struct datafs_handshake {
	const struct datafs_handshake_conf *conf;
	enum datafs_handshake_state state;
	uint64_t expect;		/* node; 0: any */
	uint8_t mine[DATAFS_HELLO_LEN];	/* of a responder: the ANSWER's */
	uint8_t hash[DATAFS_HASH_LEN];	/* of the transcript */
	uint8_t shared[DATAFS_HASH_LEN];
	struct datafs_wire_peer peer;
	enum datafs_refusal refusal;
	bool told;			/* the refusal is the peer's */
	uint16_t major, minor;		/* of the peer, for the log */
	/* After DONE. */
	bool authenticated;
	uint8_t send_key[DATAFS_HASH_LEN], recv_key[DATAFS_HASH_LEN];
};

/* What is to be sent: @len 0 for nothing. Frames of the handshake have id 0. */
struct datafs_handshake_msg {
	uint16_t type;
	uint32_t len;
	uint8_t body[DATAFS_ANSWER_LEN];
};

/*
 * @conf must live as long as @hs. @nonce: fresh from datafs_random().
 * @initiator: @out is a HELLO, and @expect the node that was meant (0: any).
 */
void datafs_handshake_begin(struct datafs_handshake *hs,
			    const struct datafs_handshake_conf *conf,
			    bool initiator, uint64_t expect,
			    const uint8_t nonce[DATAFS_NONCE_LEN],
			    struct datafs_handshake_msg *out);
/*
 * One frame of the peer's. 0, then look at the state; or the error of
 * @hs->refusal. What is in @out is to be sent in either case.
 */
int datafs_handshake_input(struct datafs_handshake *hs, uint16_t type,
			   const void *body, uint32_t len,
			   struct datafs_handshake_msg *out);
/* Wipes what is secret. */
void datafs_handshake_end(struct datafs_handshake *hs);

/* For the log: "wrong key", for instance. */
const char *datafs_refusal_text(enum datafs_refusal refusal);
int datafs_refusal_errno(enum datafs_refusal refusal);

#endif
