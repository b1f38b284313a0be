// SPDX-License-Identifier: Apache-2.0
#include "handshake.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

/* Offsets in a HELLO, and in an ANSWER, whose proof follows. */
#define AT_MAJOR	0
#define AT_MINOR	2
#define AT_ROLE		4
#define AT_FLAGS	6
#define AT_FEATURES	8
#define AT_NODE		16
#define AT_CLUSTER	24
#define AT_NONCE	40
#define AT_KEY		72	/* offered: the newest; in an ANSWER: chosen */
#define AT_OLD_KEY	76	/* 0: none */

#define FLAG_AUTH	0x0001	/* authentication is on */

/* Each says what it is for; none may be what another begins with. */
#define LABEL_HASH	"datafs wire 1 transcript"
#define LABEL_ANSWER	"datafs wire 1 proof of responder"
#define LABEL_PROOF	"datafs wire 1 proof of initiator"
#define LABEL_TO_RESP	"datafs wire 1 key to responder"
#define LABEL_TO_INIT	"datafs wire 1 key to initiator"

_Static_assert(AT_NONCE + DATAFS_NONCE_LEN == AT_KEY &&
	       AT_OLD_KEY + 4 == DATAFS_HELLO_LEN, "no holes");

static const struct {
	int err;
	const char *text;
} refusals[DATAFS_REFUSALS] = {
	[DATAFS_REFUSAL_NONE] = { 0, "none" },
	[DATAFS_REFUSAL_MALFORMED] = { -EBADMSG, "malformed message" },
	[DATAFS_REFUSAL_UNEXPECTED] = { -EPROTO, "message out of turn" },
	[DATAFS_REFUSAL_VERSION] = { -EPROTONOSUPPORT, "incompatible version" },
	[DATAFS_REFUSAL_CLUSTER] = { -EXDEV, "another cluster" },
	[DATAFS_REFUSAL_ROLE] = { -EACCES, "role not allowed" },
	[DATAFS_REFUSAL_AUTH] = { -EOPNOTSUPP, "authentication is on at one side and off at the other" },
	[DATAFS_REFUSAL_NO_KEY] = { -ENOKEY, "no key in common" },
	[DATAFS_REFUSAL_WRONG_KEY] = { -EKEYREJECTED, "wrong key, or a recorded handshake" },
	[DATAFS_REFUSAL_REFLECTED] = { -ELOOP, "the other side says it is this one" },
	[DATAFS_REFUSAL_NODE] = { -ENXIO, "another node than was meant" },
	[DATAFS_REFUSAL_INTERNAL] = { -EIO, "libcrypto failed" },
};

const char *datafs_refusal_text(enum datafs_refusal refusal)
{
	return refusals[refusal].text;
}

int datafs_refusal_errno(enum datafs_refusal refusal)
{
	return refusals[refusal].err;
}

static const uint8_t no_proof[DATAFS_PROOF_LEN];

void datafs_handshake_begin(struct datafs_handshake *hs,
			    const struct datafs_handshake_conf *conf,
			    bool initiator, uint64_t expect,
			    const uint8_t nonce[DATAFS_NONCE_LEN],
			    struct datafs_handshake_msg *out)
{
	const struct datafs_keys *keys = conf->keys;
	uint8_t *p;

	memset(hs, 0, sizeof(*hs));
	p = hs->mine;
	hs->conf = conf;
	hs->expect = expect;
	datafs_put_be16(p + AT_MAJOR, DATAFS_WIRE_MAJOR);
	datafs_put_be16(p + AT_MINOR, DATAFS_WIRE_MINOR);
	datafs_put_be16(p + AT_ROLE, conf->role);
	datafs_put_be16(p + AT_FLAGS, keys->off ? 0 : FLAG_AUTH);
	datafs_put_be64(p + AT_FEATURES, conf->features);
	datafs_put_be64(p + AT_NODE, conf->node);
	memcpy(p + AT_CLUSTER, keys->cluster, DATAFS_CLUSTER_LEN);
	memcpy(p + AT_NONCE, nonce, DATAFS_NONCE_LEN);
	out->len = 0;
	hs->state = DATAFS_HANDSHAKE_HELLO;
	if (!initiator)
		return;
	if (keys->n)
		datafs_put_be32(p + AT_KEY, keys->key[0].id);
	if (keys->n > 1)
		datafs_put_be32(p + AT_OLD_KEY, keys->key[1].id);
	out->type = DATAFS_FRAME_HELLO;
	out->len = DATAFS_HELLO_LEN;
	memcpy(out->body, p, DATAFS_HELLO_LEN);
	hs->state = DATAFS_HANDSHAKE_ANSWER;
}

void datafs_handshake_end(struct datafs_handshake *hs)
{
	datafs_wipe(hs, sizeof(*hs));
	hs->state = DATAFS_HANDSHAKE_FAILED;
}

/* Version first: another one may look different from there on. */
static enum datafs_refusal check_form(struct datafs_handshake *hs,
				      const uint8_t *p, uint32_t len,
				      uint32_t want)
{
	if (len < AT_ROLE)
		return DATAFS_REFUSAL_MALFORMED;
	hs->major = datafs_get_be16(p + AT_MAJOR);
	hs->minor = datafs_get_be16(p + AT_MINOR);
	if (hs->major != DATAFS_WIRE_MAJOR)
		return DATAFS_REFUSAL_VERSION;
	if (len != want || datafs_get_be16(p + AT_FLAGS) & ~FLAG_AUTH)
		return DATAFS_REFUSAL_MALFORMED;
	return DATAFS_REFUSAL_NONE;
}

/* Takes in who the peer says it is. */
static enum datafs_refusal check_hello(struct datafs_handshake *hs,
				       const uint8_t *p, uint32_t len,
				       uint32_t want)
{
	const struct datafs_handshake_conf *conf = hs->conf;
	enum datafs_refusal refusal = check_form(hs, p, len, want);
	unsigned int role;

	if (refusal)
		return refusal;
	if (memcmp(p + AT_CLUSTER, conf->keys->cluster, DATAFS_CLUSTER_LEN))
		return DATAFS_REFUSAL_CLUSTER;
	role = datafs_get_be16(p + AT_ROLE);
	hs->peer.node = datafs_get_be64(p + AT_NODE);
	if (!memcmp(p + AT_NONCE, hs->mine + AT_NONCE, DATAFS_NONCE_LEN) ||
	    (role == conf->role && hs->peer.node == conf->node))
		return DATAFS_REFUSAL_REFLECTED;
	if (!hs->peer.node || (hs->expect && hs->peer.node != hs->expect))
		return DATAFS_REFUSAL_NODE;
	if (role >= DATAFS_ROLE_NR || role == DATAFS_ROLE_STRANGER ||
	    !(conf->peers & 1u << role))
		return DATAFS_REFUSAL_ROLE;
	hs->peer.role = role;
	if (!(datafs_get_be16(p + AT_FLAGS) & FLAG_AUTH) != conf->keys->off)
		return DATAFS_REFUSAL_AUTH;
	hs->peer.features = datafs_get_be64(p + AT_FEATURES) & conf->features;
	hs->peer.minor = DATAFS_MIN(hs->minor, DATAFS_WIRE_MINOR);
	return DATAFS_REFUSAL_NONE;
}

/* The key @id, for this pair: what both sides prove that they have. */
static enum datafs_refusal take_key(struct datafs_handshake *hs, uint32_t id)
{
	int err = datafs_keys_between(hs->conf->keys, id, hs->conf->role,
				      hs->conf->node, hs->peer.role,
				      hs->peer.node, hs->shared);

	hs->peer.key = id;
	return err == -ENOKEY ? DATAFS_REFUSAL_NO_KEY :
	       err == -EACCES ? DATAFS_REFUSAL_ROLE :
	       err ? DATAFS_REFUSAL_INTERNAL : DATAFS_REFUSAL_NONE;
}

static int hash_both(struct datafs_handshake *hs, const uint8_t *hello,
		     const uint8_t *answer)
{
	uint8_t data[sizeof(LABEL_HASH) - 1 + 2 * DATAFS_HELLO_LEN];
	uint8_t *p = data + sizeof(LABEL_HASH) - 1;

	memcpy(data, LABEL_HASH, sizeof(LABEL_HASH) - 1);
	memcpy(p, hello, DATAFS_HELLO_LEN);
	memcpy(p + DATAFS_HELLO_LEN, answer, DATAFS_HELLO_LEN);
	return datafs_sha256(data, sizeof(data), hs->hash);
}

static int make_proof(const struct datafs_handshake *hs, const char *label,
		      uint8_t out[DATAFS_PROOF_LEN])
{
	uint8_t data[64 + DATAFS_HASH_LEN];
	size_t n = strlen(label);

	if (hs->conf->keys->off) {
		memcpy(out, no_proof, DATAFS_PROOF_LEN);
		return 0;
	}
	memcpy(data, label, n);
	memcpy(data + n, hs->hash, DATAFS_HASH_LEN);
	return datafs_hmac(hs->shared, data, n + DATAFS_HASH_LEN, out);
}

_Static_assert(sizeof(LABEL_ANSWER) <= 64 && sizeof(LABEL_PROOF) <= 64,
	       "make_proof has room for them");

static enum datafs_refusal check_proof(const struct datafs_handshake *hs,
				       const char *label, const uint8_t *proof)
{
	uint8_t want[DATAFS_PROOF_LEN];

	if (make_proof(hs, label, want))
		return DATAFS_REFUSAL_INTERNAL;
	return datafs_same_secret(proof, want, sizeof(want)) ?
		       DATAFS_REFUSAL_NONE : DATAFS_REFUSAL_WRONG_KEY;
}

static enum datafs_refusal make_keys(struct datafs_handshake *hs,
				     bool initiator)
{
	uint8_t *to_resp = initiator ? hs->send_key : hs->recv_key;
	uint8_t *to_init = initiator ? hs->recv_key : hs->send_key;

	if (hs->conf->keys->off)
		return DATAFS_REFUSAL_NONE;
	if (datafs_hkdf(hs->shared, hs->hash, LABEL_TO_RESP, to_resp) ||
	    datafs_hkdf(hs->shared, hs->hash, LABEL_TO_INIT, to_init))
		return DATAFS_REFUSAL_INTERNAL;
	datafs_wipe(hs->shared, sizeof(hs->shared));
	hs->authenticated = true;
	return DATAFS_REFUSAL_NONE;
}

static enum datafs_refusal got_hello(struct datafs_handshake *hs,
				     const uint8_t *p, uint32_t len,
				     struct datafs_handshake_msg *out)
{
	enum datafs_refusal refusal = check_hello(hs, p, len, DATAFS_HELLO_LEN);
	uint32_t id;

	if (refusal)
		return refusal;
	if (!hs->conf->keys->off) {
		refusal = take_key(hs, datafs_get_be32(p + AT_KEY));
		id = datafs_get_be32(p + AT_OLD_KEY);
		if (refusal == DATAFS_REFUSAL_NO_KEY && id)
			refusal = take_key(hs, id);
		if (refusal)
			return refusal;
	}
	datafs_put_be32(hs->mine + AT_KEY, hs->peer.key);
	memcpy(out->body, hs->mine, DATAFS_HELLO_LEN);
	if (hash_both(hs, p, hs->mine) ||
	    make_proof(hs, LABEL_ANSWER, out->body + DATAFS_HELLO_LEN))
		return DATAFS_REFUSAL_INTERNAL;
	out->type = DATAFS_FRAME_ANSWER;
	out->len = DATAFS_ANSWER_LEN;
	return DATAFS_REFUSAL_NONE;
}

static enum datafs_refusal got_answer(struct datafs_handshake *hs,
				      const uint8_t *p, uint32_t len,
				      struct datafs_handshake_msg *out)
{
	enum datafs_refusal refusal = check_hello(hs, p, len, DATAFS_ANSWER_LEN);
	uint32_t id;

	if (refusal)
		return refusal;
	id = datafs_get_be32(p + AT_KEY);
	if (datafs_get_be32(p + AT_OLD_KEY) || !id != hs->conf->keys->off)
		return DATAFS_REFUSAL_MALFORMED;
	if (id)
		refusal = take_key(hs, id);
	if (!refusal && hash_both(hs, hs->mine, p))
		refusal = DATAFS_REFUSAL_INTERNAL;
	if (!refusal)
		refusal = check_proof(hs, LABEL_ANSWER, p + DATAFS_HELLO_LEN);
	if (!refusal && make_proof(hs, LABEL_PROOF, out->body))
		refusal = DATAFS_REFUSAL_INTERNAL;
	if (!refusal)
		refusal = make_keys(hs, true);
	out->type = DATAFS_FRAME_PROOF;
	out->len = refusal ? 0 : DATAFS_PROOF_LEN;
	return refusal;
}

static enum datafs_refusal got_proof(struct datafs_handshake *hs,
				     const uint8_t *p, uint32_t len,
				     struct datafs_handshake_msg *out)
{
	enum datafs_refusal refusal;

	(void)out;
	if (len != DATAFS_PROOF_LEN)
		return DATAFS_REFUSAL_MALFORMED;
	refusal = check_proof(hs, LABEL_PROOF, p);
	return refusal ? refusal : make_keys(hs, false);
}

static enum datafs_refusal got_refuse(struct datafs_handshake *hs,
				      const uint8_t *p, uint32_t len,
				      struct datafs_handshake_msg *out)
{
	unsigned int refusal;

	(void)out;
	hs->told = true;
	if (len != DATAFS_REFUSE_LEN)
		return DATAFS_REFUSAL_MALFORMED;
	refusal = datafs_get_be16(p);
	hs->major = datafs_get_be16(p + 2);
	hs->minor = datafs_get_be16(p + 4);
	return refusal && refusal < DATAFS_REFUSALS ? refusal :
						      DATAFS_REFUSAL_MALFORMED;
}

/* The legal transitions. What is not here is out of turn. */
static const struct {
	enum datafs_handshake_state from;
	uint16_t type;
	enum datafs_handshake_state to;	/* if fn has no objection */
	enum datafs_refusal (*fn)(struct datafs_handshake *hs, const uint8_t *p,
				  uint32_t len, struct datafs_handshake_msg *out);
} steps[] = {
	{ DATAFS_HANDSHAKE_HELLO, DATAFS_FRAME_HELLO,
	  DATAFS_HANDSHAKE_PROOF, got_hello },
	{ DATAFS_HANDSHAKE_ANSWER, DATAFS_FRAME_ANSWER,
	  DATAFS_HANDSHAKE_DONE, got_answer },
	{ DATAFS_HANDSHAKE_PROOF, DATAFS_FRAME_PROOF,
	  DATAFS_HANDSHAKE_DONE, got_proof },
	{ DATAFS_HANDSHAKE_ANSWER, DATAFS_FRAME_REFUSE,
	  DATAFS_HANDSHAKE_FAILED, got_refuse },
	{ DATAFS_HANDSHAKE_PROOF, DATAFS_FRAME_REFUSE,
	  DATAFS_HANDSHAKE_FAILED, got_refuse },
};

/*
 * Says why, but not to who has said so, and not to an initiator that has
 * finished: what comes to it now without a code is a forgery.
 */
static void refuse(const struct datafs_handshake *hs,
		   struct datafs_handshake_msg *out)
{
	out->len = 0;
	if (hs->told || (hs->state != DATAFS_HANDSHAKE_HELLO &&
			 hs->state != DATAFS_HANDSHAKE_ANSWER))
		return;
	out->type = DATAFS_FRAME_REFUSE;
	out->len = DATAFS_REFUSE_LEN;
	memset(out->body, 0, DATAFS_REFUSE_LEN);
	datafs_put_be16(out->body, hs->refusal);
	datafs_put_be16(out->body + 2, DATAFS_WIRE_MAJOR);
	datafs_put_be16(out->body + 4, DATAFS_WIRE_MINOR);
}

int datafs_handshake_input(struct datafs_handshake *hs, uint16_t type,
			   const void *body, uint32_t len,
			   struct datafs_handshake_msg *out)
{
	const size_t n = sizeof(steps) / sizeof(steps[0]);
	size_t i;

	out->len = 0;
	for (i = 0; i < n; i++)
		if (steps[i].from == hs->state && steps[i].type == type)
			break;
	hs->refusal = i == n ? DATAFS_REFUSAL_UNEXPECTED :
			       steps[i].fn(hs, body, len, out);
	if (!hs->refusal) {
		hs->state = steps[i].to;
		return 0;
	}
	refuse(hs, out);
	hs->state = DATAFS_HANDSHAKE_FAILED;
	hs->authenticated = false;
	datafs_wipe(hs->shared, sizeof(hs->shared));
	datafs_wipe(hs->send_key, sizeof(hs->send_key));
	datafs_wipe(hs->recv_key, sizeof(hs->recv_key));
	return datafs_refusal_errno(hs->refusal);
}
