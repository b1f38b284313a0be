// SPDX-License-Identifier: Apache-2.0
/*
 * What a stranger can send: the frame decoder, and the handshake behind it, of
 * the side that the first byte says. The checksums are put right, else nothing
 * would get past them. With bit 1 the peer is known already, with a key or
 * (bit 2) without.
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "fuzz.h"
#include "wire/handshake.h"

static const uint8_t nonce[DATAFS_NONCE_LEN] = { 1 };

static struct datafs_keys keys = {
	.cluster = { 1 }, .holder = DATAFS_ROLE_MEMBER, .n = 2,
	.key = { { 2, { 2 } }, { 1, { 1 } } },
};

/* Checksums of the frame at @p, as far as it is there. */
static void put_right(uint8_t *p, size_t n)
{
	uint32_t len;

	if (n < DATAFS_FRAME_HEAD)
		return;
	memcpy(p, "DFW\001", 4);
	len = datafs_get_be32(p + 8);
	if (len <= n - DATAFS_FRAME_HEAD)
		datafs_put_be32(p + 12, datafs_crc32c(p + DATAFS_FRAME_HEAD, len));
	datafs_put_be32(p + 24, datafs_crc32c(p, 24));
}

/* One frame of a stranger. Does the other side go on? */
static bool stranger(struct datafs_handshake *hs, const struct datafs_frame *f)
{
	struct datafs_handshake_msg out;
	uint8_t *body = malloc(f->len);
	int err;

	MUST(body || !f->len);
	if (f->len)
		memcpy(body, f->body, f->len);
	err = datafs_handshake_input(hs, f->type, body, f->len, &out);
	free(body);
	MUST(out.len <= sizeof(out.body));
	MUST(!out.len || !datafs_frame_allowed(DATAFS_ROLE_STRANGER, out.type,
					       0, out.len));
	MUST(!err == (hs->state != DATAFS_HANDSHAKE_FAILED));
	MUST(err == datafs_refusal_errno(hs->refusal));
	/* Nobody knows the keys. */
	MUST(hs->state != DATAFS_HANDSHAKE_DONE);
	return !err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_handshake_conf conf = {
		.role = DATAFS_ROLE_MEMBER, .node = 1, .features = 7,
		.peers = 1u << DATAFS_ROLE_MEMBER | 1u << DATAFS_ROLE_CLIENT,
		.keys = &keys,
	};
	struct datafs_handshake_msg out;
	struct datafs_handshake hs;
	struct datafs_decoder dec;
	struct datafs_frame f;
	size_t at = 1, room;
	uint8_t *copy;
	int res = 0;

	if (!size)
		return 0;
	copy = malloc(size);
	MUST(copy);
	memcpy(copy, data, size);
	datafs_decoder_init(&dec);
	datafs_handshake_begin(&hs, &conf, data[0] & 1, 0, nonce, &out);
	if (data[0] & 2)
		MUST(!datafs_decoder_agreed(&dec, DATAFS_ROLE_CLIENT,
					    data[0] & 4 ? NULL : keys.key[0].key));
	while (res >= 0 && at < size) {
		uint8_t *to = datafs_decoder_room(&dec, &room);
		size_t n = DATAFS_MIN(room, size - at);

		MUST(to && room);
		MUST(dec.peer || dec.size <= 512);
		MUST(dec.size <= DATAFS_FRAME_HEAD + DATAFS_FRAME_MAX_BULK +
				 DATAFS_MAC_LEN);
		if (!(dec.end - dec.start))
			put_right(copy + at, size - at);
		memcpy(to, copy + at, n);
		datafs_decoder_came(&dec, n);
		at += n;
		while ((res = datafs_decoder_next(&dec, &f)) == 1) {
			MUST(!datafs_frame_allowed(dec.peer, f.type, f.flags,
						   f.len));
			/* No code is right by chance. */
			MUST(!dec.mac);
			if (!dec.peer && !stranger(&hs, &f))
				break;
			put_right(dec.buf + dec.start + dec.given,
				  dec.end - dec.start - dec.given);
		}
		if (res == 1)
			break;
		MUST(res == 0 || dec.why);
	}
	datafs_handshake_end(&hs);
	datafs_decoder_free(&dec);
	free(copy);
	return 0;
}
