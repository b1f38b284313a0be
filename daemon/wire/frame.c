// SPDX-License-Identifier: Apache-2.0
#include "frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"

#define MAGIC		(0x44465700u | DATAFS_FRAME_VERSION)	/* "DFW" */

/* Offsets in the head. */
#define AT_MAGIC	0
#define AT_TYPE		4
#define AT_FLAGS	6
#define AT_LEN		8
#define AT_BODY_CRC	12
#define AT_ID		16
#define AT_HEAD_CRC	24

#define STRANGER	(1u << DATAFS_ROLE_STRANGER)
#define MEMBER		(1u << DATAFS_ROLE_MEMBER)
#define CLIENT		(1u << DATAFS_ROLE_CLIENT)
#define PEER		(1u << DATAFS_ROLE_PEER)
#define KNOWN		(MEMBER | CLIENT | PEER)

/* Of a decoder's buffer, as long as no single frame needs more. */
#define BUF_STRANGER	512
#define BUF_KNOWN	(64u << 10)

_Static_assert(DATAFS_FRAME_HEAD + DATAFS_FRAME_MAX_HANDSHAKE <= BUF_STRANGER,
	       "a handshake needs no other buffer");

/* What may be sent by whom. A type that is not here may not be sent. */
static const struct {
	uint32_t max;
	uint8_t senders;
	uint16_t flags;
} rules[DATAFS_FRAME_TYPES] = {
	[DATAFS_FRAME_HELLO] = { DATAFS_FRAME_MAX_HANDSHAKE, STRANGER, 0 },
	[DATAFS_FRAME_ANSWER] = { DATAFS_FRAME_MAX_HANDSHAKE, STRANGER, 0 },
	[DATAFS_FRAME_PROOF] = { DATAFS_FRAME_MAX_HANDSHAKE, STRANGER, 0 },
	[DATAFS_FRAME_REFUSE] = { DATAFS_FRAME_MAX_HANDSHAKE, STRANGER, 0 },
	[DATAFS_FRAME_PING] = { 0, KNOWN, 0 },
	[DATAFS_FRAME_PONG] = { 0, KNOWN, 0 },
	[DATAFS_FRAME_CALL] = { DATAFS_FRAME_MAX_CALL, KNOWN, 0 },
	[DATAFS_FRAME_REPLY] = { DATAFS_FRAME_MAX_CALL, KNOWN, 0 },
	[DATAFS_FRAME_CANCEL] = { 0, KNOWN, 0 },
	[DATAFS_FRAME_RAFT] = { DATAFS_FRAME_MAX_BULK, MEMBER, 0 },
	[DATAFS_FRAME_BULK] = { DATAFS_FRAME_MAX_BULK, MEMBER | PEER,
				DATAFS_FRAME_LAST },
};

int datafs_frame_allowed(enum datafs_role role, uint16_t type, uint16_t flags,
			 uint32_t len)
{
	if (type >= DATAFS_FRAME_TYPES ||
	    !(rules[type].senders & 1u << role) || flags & ~rules[type].flags)
		return -EPROTO;
	return len > rules[type].max ? -EMSGSIZE : 0;
}

void datafs_encoder_init(struct datafs_encoder *enc)
{
	memset(enc, 0, sizeof(*enc));
}

void datafs_encoder_free(struct datafs_encoder *enc)
{
	datafs_mac_free(enc->mac);
	enc->mac = NULL;
}

int datafs_encoder_agreed(struct datafs_encoder *enc, enum datafs_role self,
			  const uint8_t *key)
{
	int err = key ? datafs_mac_new(key, &enc->mac) : 0;

	if (err)
		return err;
	enc->self = self;
	/* Both sides count from where the keys begin. */
	enc->seq = 0;
	return 0;
}

size_t datafs_encoder_size(const struct datafs_encoder *enc, uint32_t len)
{
	return DATAFS_FRAME_HEAD + (size_t)len + (enc->mac ? DATAFS_MAC_LEN : 0);
}

int datafs_encoder_put(struct datafs_encoder *enc,
		       const struct datafs_frame *f, uint8_t *out)
{
	uint8_t *body = out + DATAFS_FRAME_HEAD;
	int err;

	err = datafs_frame_allowed(enc->self, f->type, f->flags, f->len);
	if (err)
		return err;
	if (f->len && f->body != body)
		memcpy(body, f->body, f->len);
	datafs_put_be32(out + AT_MAGIC, MAGIC);
	datafs_put_be16(out + AT_TYPE, f->type);
	datafs_put_be16(out + AT_FLAGS, f->flags);
	datafs_put_be32(out + AT_LEN, f->len);
	datafs_put_be32(out + AT_BODY_CRC, datafs_crc32c(body, f->len));
	datafs_put_be64(out + AT_ID, f->id);
	datafs_put_be32(out + AT_HEAD_CRC, datafs_crc32c(out, AT_HEAD_CRC));
	if (enc->mac) {
		err = datafs_mac_frame(enc->mac, enc->seq, out,
				       DATAFS_FRAME_HEAD, body, f->len,
				       body + f->len);
		if (err)
			return err;
	}
	enc->seq++;
	return 0;
}

void datafs_decoder_init(struct datafs_decoder *dec)
{
	memset(dec, 0, sizeof(*dec));
}

void datafs_decoder_free(struct datafs_decoder *dec)
{
	datafs_mac_free(dec->mac);
	free(dec->buf);
	datafs_decoder_init(dec);
}

int datafs_decoder_agreed(struct datafs_decoder *dec, enum datafs_role peer,
			  const uint8_t *key)
{
	int err = key ? datafs_mac_new(key, &dec->mac) : 0;

	if (err)
		return err;
	dec->peer = peer;
	dec->seq = 0;
	return 0;
}

/* The frame that was given last is not used any more. */
static void decoder_take_back(struct datafs_decoder *dec)
{
	dec->start += dec->given;
	dec->given = 0;
	if (dec->start == dec->end)
		dec->start = dec->end = 0;
}

static bool decoder_resize(struct datafs_decoder *dec, size_t size)
{
	uint8_t *buf = malloc(size);

	if (!buf)
		return false;
	if (dec->end > dec->start)
		memcpy(buf, dec->buf + dec->start, dec->end - dec->start);
	free(dec->buf);
	dec->buf = buf;
	dec->size = size;
	dec->end -= dec->start;
	dec->start = 0;
	return true;
}

void *datafs_decoder_room(struct datafs_decoder *dec, size_t *len)
{
	size_t base = dec->peer == DATAFS_ROLE_STRANGER ? BUF_STRANGER :
							  BUF_KNOWN;
	size_t want;

	decoder_take_back(dec);
	want = DATAFS_MAX(base, dec->need);
	/* One that a long frame needed is not kept for short ones. */
	if (dec->size < want || (dec->size > want && dec->end - dec->start <= base)) {
		if (!decoder_resize(dec, want))
			return NULL;
	} else if (dec->start && dec->size - dec->end < dec->size / 2) {
		/* Each byte at most once: it begins at 0 from now on. */
		memmove(dec->buf, dec->buf + dec->start, dec->end - dec->start);
		dec->end -= dec->start;
		dec->start = 0;
	}
	*len = dec->size - dec->end;
	return dec->buf + dec->end;
}

void datafs_decoder_came(struct datafs_decoder *dec, size_t n)
{
	dec->end += n;
}

static int decoder_fail(struct datafs_decoder *dec, int err, const char *why)
{
	dec->err = err;
	dec->why = why;
	return err;
}

/* Nothing of the head is believed before its checksum was right. */
static int decoder_head(struct datafs_decoder *dec, const uint8_t *head)
{
	uint32_t len = datafs_get_be32(head + AT_LEN);
	int err;

	if (datafs_get_be32(head + AT_MAGIC) != MAGIC)
		return decoder_fail(dec, -EBADMSG, "no frame, or one of another version");
	if (datafs_get_be32(head + AT_HEAD_CRC) !=
	    datafs_crc32c(head, AT_HEAD_CRC))
		return decoder_fail(dec, -EBADMSG, "head damaged");
	err = datafs_frame_allowed(dec->peer, datafs_get_be16(head + AT_TYPE),
				   datafs_get_be16(head + AT_FLAGS), len);
	if (err)
		return decoder_fail(dec, err, err == -EMSGSIZE ?
			"longer than its type may be" :
			"a type or flag that this peer may not send");
	dec->need = DATAFS_FRAME_HEAD + (size_t)len +
		    (dec->mac ? DATAFS_MAC_LEN : 0);
	return 0;
}

static int decoder_body(struct datafs_decoder *dec, const uint8_t *head,
			uint32_t len)
{
	const uint8_t *body = head + DATAFS_FRAME_HEAD;
	uint8_t code[DATAFS_MAC_LEN];
	int err;

	if (datafs_get_be32(head + AT_BODY_CRC) != datafs_crc32c(body, len))
		return decoder_fail(dec, -EBADMSG, "body damaged");
	if (!dec->mac)
		return 0;
	err = datafs_mac_frame(dec->mac, dec->seq, head, DATAFS_FRAME_HEAD,
			       body, len, code);
	if (err)
		return decoder_fail(dec, err, "libcrypto failed");
	if (!datafs_same_secret(code, body + len, DATAFS_MAC_LEN))
		return decoder_fail(dec, -EBADMSG, "authentication code is wrong");
	return 0;
}

int datafs_decoder_next(struct datafs_decoder *dec, struct datafs_frame *f)
{
	const uint8_t *head;
	uint32_t len;

	decoder_take_back(dec);
	if (dec->err)
		return dec->err;
	if (dec->end - dec->start < DATAFS_FRAME_HEAD)
		return 0;
	head = dec->buf + dec->start;
	if (!dec->need && decoder_head(dec, head))
		return dec->err;
	if (dec->end - dec->start < dec->need)
		return 0;
	len = datafs_get_be32(head + AT_LEN);
	if (decoder_body(dec, head, len))
		return dec->err;
	*f = (struct datafs_frame) {
		.type = datafs_get_be16(head + AT_TYPE),
		.flags = datafs_get_be16(head + AT_FLAGS),
		.len = len, .id = datafs_get_be64(head + AT_ID),
		.body = head + DATAFS_FRAME_HEAD,
	};
	dec->given = dec->need;
	dec->need = 0;
	dec->seq++;
	return 1;
}
