// SPDX-License-Identifier: Apache-2.0
/* Frames: what comes out is what went in, or nothing does. */
#include "wire_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"

#define CODED(n)	(DATAFS_FRAME_HEAD + (n) + DATAFS_MAC_LEN)

static uint8_t key[DATAFS_HASH_LEN], other_key[DATAFS_HASH_LEN];

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = i;
		other_key[i] = 255 - i;
	}
	return 0;
}

static void both(struct datafs_encoder *enc, struct datafs_decoder *dec,
		 enum datafs_role sender, const uint8_t *k)
{
	datafs_encoder_init(enc);
	datafs_decoder_init(dec);
	assert_int_equal(datafs_encoder_agreed(enc, sender, k), 0);
	assert_int_equal(datafs_decoder_agreed(dec, sender, k), 0);
}

static void done(struct datafs_encoder *enc, struct datafs_decoder *dec)
{
	datafs_encoder_free(enc);
	datafs_decoder_free(dec);
}

/* Encodes into a buffer to be freed. */
static uint8_t *encode(struct datafs_encoder *enc, uint16_t type, uint64_t id,
		       const void *body, uint32_t len, size_t *size)
{
	struct datafs_frame f = { .type = type, .id = id, .len = len,
				  .body = body };
	uint8_t *out;

	*size = datafs_encoder_size(enc, len);
	out = malloc(*size);
	assert_int_equal(datafs_encoder_put(enc, &f, out), 0);
	return out;
}

/* Bytes that another program made, with Python's hmac. */
static void vector(void **state)
{
	static const uint8_t want[] = {
		0x44, 0x46, 0x57, 0x01, 0x00, 0x07, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x05, 0x9a, 0x71, 0xbb, 0x4c,
		0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
		0xac, 0xac, 0x82, 0x89, 0x68, 0x65, 0x6c, 0x6c,
		0x6f, 0x2c, 0xd2, 0x89, 0x40, 0x1b, 0xc5, 0xe5,
		0x09, 0x42, 0xae, 0xca, 0x76, 0xc4, 0xe3, 0xdd, 0xab,
	};
	static const uint8_t hkdf[] = {
		0x78, 0xf9, 0xda, 0x61, 0x3e, 0x75, 0x9e, 0xbf, 0x68, 0xe9,
		0x8c, 0x4a, 0xfa, 0x1b, 0xa4, 0x99, 0x71, 0xd0, 0x47, 0x57,
		0x71, 0xac, 0xbb, 0x4b, 0x57, 0xf2, 0xac, 0x28, 0x86, 0x94,
		0x03, 0x89,
	};
	uint8_t salt[DATAFS_HASH_LEN], derived[DATAFS_HASH_LEN], *out;
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	size_t size;

	(void)state;
	both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
	out = encode(&enc, DATAFS_FRAME_CALL, 0x1122334455667788, "hello", 5,
		     &size);
	assert_int_equal(size, sizeof(want));
	assert_memory_equal(out, want, size);
	free(out);
	done(&enc, &dec);
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = 32 + i;
	assert_int_equal(datafs_hkdf(key, salt, "datafs wire 1 key to responder",
				     derived), 0);
	assert_memory_equal(derived, hkdf, sizeof(hkdf));
}

struct sent {
	struct datafs_frame f;
	uint8_t *body;
};

static void random_frame(struct sent *s)
{
	static const uint16_t types[] = {
		DATAFS_FRAME_PING, DATAFS_FRAME_CALL, DATAFS_FRAME_REPLY,
		DATAFS_FRAME_CANCEL, DATAFS_FRAME_RAFT, DATAFS_FRAME_BULK,
	};

	s->f.type = types[wire_rnd() % 6];
	s->f.id = wire_rnd();
	if (s->f.type == DATAFS_FRAME_BULK)
		s->f.flags = wire_rnd() % 2 ? DATAFS_FRAME_LAST : 0;
	if (s->f.type != DATAFS_FRAME_PING && s->f.type != DATAFS_FRAME_CANCEL)
		s->f.len = wire_rnd() % (wire_rnd() % 8 ? 700 : 200000);
	s->body = malloc(s->f.len + 1);
	wire_fill(s->body, s->f.len);
	s->f.body = s->body;
}

static void round_trip(const uint8_t *k, size_t frames)
{
	struct sent *sent = calloc(frames, sizeof(*sent));
	size_t total = 0, at = 0, got = 0, n;
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_frame f;
	uint8_t *stream;

	both(&enc, &dec, DATAFS_ROLE_MEMBER, k);
	for (size_t i = 0; i < frames; i++) {
		random_frame(&sent[i]);
		total += datafs_encoder_size(&enc, sent[i].f.len);
	}
	stream = malloc(total);
	for (size_t i = 0, to = 0; i < frames; i++) {
		assert_int_equal(datafs_encoder_put(&enc, &sent[i].f,
						    stream + to), 0);
		to += datafs_encoder_size(&enc, sent[i].f.len);
	}
	while (at < total) {
		size_t room, part;
		void *to = datafs_decoder_room(&dec, &room);

		assert_non_null(to);
		assert_true(room);
		part = 1 + wire_rnd() % (wire_rnd() % 3 ? 300 : 90000);
		part = DATAFS_MIN(part, room);
		part = DATAFS_MIN(part, total - at);
		memcpy(to, stream + at, part);
		datafs_decoder_came(&dec, part);
		at += part;
		while (datafs_decoder_next(&dec, &f) == 1) {
			assert_true(got < frames);
			assert_int_equal(f.type, sent[got].f.type);
			assert_int_equal(f.flags, sent[got].f.flags);
			assert_int_equal(f.id, sent[got].f.id);
			assert_int_equal(f.len, sent[got].f.len);
			assert_memory_equal(f.body, sent[got].body, f.len);
			got++;
		}
		assert_int_equal(dec.err, 0);
	}
	assert_int_equal(got, frames);
	/* A buffer that a long frame needed is gone. */
	assert_non_null(datafs_decoder_room(&dec, &n));
	assert_int_equal(dec.size, 64 << 10);
	for (size_t i = 0; i < frames; i++)
		free(sent[i].body);
	free(sent);
	free(stream);
	done(&enc, &dec);
}

static void round_trips(void **state)
{
	(void)state;
	wire_seed();
	round_trip(key, 1000);
	round_trip(NULL, 1000);
}

/* What a decoder with the key @k says to these bytes: 1, 0 or an error. */
static int verdict(const uint8_t *k, const uint8_t *p, size_t n)
{
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_frame f;
	int res = 0;

	both(&enc, &dec, DATAFS_ROLE_MEMBER, k);
	while (n && !res) {
		size_t room, part;
		void *to = datafs_decoder_room(&dec, &room);

		part = DATAFS_MIN(n, room);
		memcpy(to, p, part);
		datafs_decoder_came(&dec, part);
		p += part;
		n -= part;
		res = datafs_decoder_next(&dec, &f);
	}
	if (res < 0) {
		assert_non_null(dec.why);
		/* For good. */
		assert_int_equal(datafs_decoder_next(&dec, &f), res);
	}
	done(&enc, &dec);
	return res;
}

static void every_bit(void **state)
{
	const uint8_t *keys[] = { NULL, key };
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	uint8_t *out;
	size_t size;

	(void)state;
	for (int i = 0; i < 2; i++) {
		both(&enc, &dec, DATAFS_ROLE_MEMBER, keys[i]);
		out = encode(&enc, DATAFS_FRAME_CALL, 77, "some words", 10, &size);
		assert_int_equal(verdict(keys[i], out, size), 1);
		for (size_t bit = 0; bit < size * 8; bit++) {
			out[bit / 8] ^= 1 << bit % 8;
			assert_int_equal(verdict(keys[i], out, size), -EBADMSG);
			out[bit / 8] ^= 1 << bit % 8;
		}
		assert_int_equal(verdict(keys[i], out, size), 1);
		free(out);
		done(&enc, &dec);
	}
}

static void new_head_crc(uint8_t *frame)
{
	datafs_put_be32(frame + 24, datafs_crc32c(frame, 24));
}

/* Who can compute checksums, but has no key, changes one field at a time. */
static void forged(void **state)
{
	static const size_t at[] = { 5, 7, 11, 15, 23 };
	uint8_t body[CODED(300)] = { 0 };
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	uint8_t *out, *copy;
	size_t size;

	(void)state;
	both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
	out = encode(&enc, DATAFS_FRAME_BULK, 77, body, 300, &size);
	copy = malloc(size);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		memcpy(copy, out, size);
		/* one less, or a type of the same rules */
		copy[at[i]] = at[i] == 7 ? 1 : copy[at[i]] - 1;
		if (at[i] == 11)
			datafs_put_be32(copy + 12, datafs_crc32c(body, 299));
		new_head_crc(copy);
		assert_int_equal(verdict(key, copy, size), -EBADMSG);
	}
	memcpy(copy, out, size);
	copy[DATAFS_FRAME_HEAD] = 1;
	datafs_put_be32(copy + 12, datafs_crc32c(copy + DATAFS_FRAME_HEAD, 300));
	new_head_crc(copy);
	assert_int_equal(verdict(key, copy, size), -EBADMSG);
	/* That body is what somebody without keys believes. */
	assert_int_equal(verdict(NULL, copy, size), 1);
	free(copy);
	free(out);
	done(&enc, &dec);
}

static void truncated(void **state)
{
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	uint8_t *out;
	size_t size;

	(void)state;
	both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
	out = encode(&enc, DATAFS_FRAME_RAFT, 1, "0123456789", 10, &size);
	assert_int_equal(size, CODED(10));
	for (size_t n = 0; n < size; n++)
		assert_int_equal(verdict(key, out, n), 0);
	assert_int_equal(verdict(key, out, size), 1);
	free(out);
	done(&enc, &dec);
}

/* The longest body of each type that a member may send. */
static const struct {
	uint16_t type;
	uint32_t max;
} longest[] = {
	{ DATAFS_FRAME_PING, 0 }, { DATAFS_FRAME_PONG, 0 },
	{ DATAFS_FRAME_CALL, 1 << 20 }, { DATAFS_FRAME_REPLY, 1 << 20 },
	{ DATAFS_FRAME_CANCEL, 0 }, { DATAFS_FRAME_RAFT, 4 << 20 },
	{ DATAFS_FRAME_BULK, 4 << 20 },
};

static void oversized(void **state)
{
	uint8_t head[DATAFS_FRAME_HEAD] = { 'D', 'F', 'W', 1 };
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_frame f = { 0 };
	size_t room;

	(void)state;
	for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
		uint32_t max = longest[i].max;
		const uint32_t bad[] = { max + 1, UINT32_MAX, 1u << 31 };

		datafs_put_be16(head + 4, longest[i].type);
		for (int j = 0; j < 3; j++) {
			both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
			datafs_put_be32(head + 8, bad[j]);
			new_head_crc(head);
			wire_feed(&dec, head, sizeof(head));
			assert_int_equal(datafs_decoder_next(&dec, &f), -EMSGSIZE);
			assert_int_equal(dec.size, 64 << 10);
			f.type = longest[i].type;
			f.len = bad[j];
			assert_int_equal(datafs_encoder_put(&enc, &f, NULL),
					 -EMSGSIZE);
			done(&enc, &dec);
		}
		both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
		datafs_put_be32(head + 8, max);
		new_head_crc(head);
		wire_feed(&dec, head, sizeof(head));
		assert_int_equal(datafs_decoder_next(&dec, &f), 0);
		assert_non_null(datafs_decoder_room(&dec, &room));
		assert_true(dec.size >= CODED(max));
		done(&enc, &dec);
	}
}

/* Who may send what, written down once more. */
static void roles(void **state)
{
	static const char who[DATAFS_FRAME_TYPES][5] = {
		[DATAFS_FRAME_HELLO] = "s", [DATAFS_FRAME_ANSWER] = "s",
		[DATAFS_FRAME_PROOF] = "s", [DATAFS_FRAME_REFUSE] = "s",
		[DATAFS_FRAME_PING] = "mcp", [DATAFS_FRAME_PONG] = "mcp",
		[DATAFS_FRAME_CALL] = "mcp", [DATAFS_FRAME_REPLY] = "mcp",
		[DATAFS_FRAME_CANCEL] = "mcp", [DATAFS_FRAME_RAFT] = "m",
		[DATAFS_FRAME_BULK] = "mp",
	};
	uint8_t head[DATAFS_FRAME_HEAD] = { 'D', 'F', 'W', 1 };
	struct datafs_decoder dec;
	struct datafs_frame f;

	(void)state;
	for (int role = 0; role < DATAFS_ROLE_NR; role++) {
		for (int type = 0; type < DATAFS_FRAME_TYPES + 3; type++) {
			bool may = type < DATAFS_FRAME_TYPES &&
				   who[type][0] && strchr(who[type], "smcp"[role]);

			datafs_put_be16(head + 4, type);
			new_head_crc(head);
			datafs_decoder_init(&dec);
			dec.peer = role;
			wire_feed(&dec, head, sizeof(head));
			assert_int_equal(datafs_decoder_next(&dec, &f),
					 may ? 1 : -EPROTO);
			datafs_decoder_free(&dec);
		}
	}
	/* A flag that the type does not have. */
	assert_int_equal(datafs_frame_allowed(DATAFS_ROLE_MEMBER,
			 DATAFS_FRAME_CALL, DATAFS_FRAME_LAST, 0), -EPROTO);
	assert_int_equal(datafs_frame_allowed(DATAFS_ROLE_MEMBER,
			 DATAFS_FRAME_BULK, 2, 0), -EPROTO);
}

/* Three frames; the decoder gets those that @order names. */
static int in_order(const char *order)
{
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_frame f;
	uint8_t *out[3];
	size_t size;
	int res = 0;

	both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
	for (int i = 0; i < 3; i++)
		out[i] = encode(&enc, DATAFS_FRAME_CALL, 5, "same", 4, &size);
	for (; *order; order++) {
		wire_feed(&dec, out[*order - '0'], size);
		res = datafs_decoder_next(&dec, &f);
		if (res != 1)
			break;
	}
	for (int i = 0; i < 3; i++)
		free(out[i]);
	done(&enc, &dec);
	/* how many were left when it stopped */
	return res == 1 ? 0 : res == -EBADMSG ? (int)strlen(order) : -1;
}

static void moved(void **state)
{
	(void)state;
	assert_int_equal(in_order("012"), 0);
	assert_int_equal(in_order("00"), 1);	/* replayed */
	assert_int_equal(in_order("0121"), 1);
	assert_int_equal(in_order("02"), 1);	/* one is missing */
	assert_int_equal(in_order("12"), 2);
	assert_int_equal(in_order("102"), 3);	/* reordered */
}

/* Sent back to who sent it: each direction has its key. */
static void reflected(void **state)
{
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	uint8_t *out;
	size_t size;

	(void)state;
	both(&enc, &dec, DATAFS_ROLE_MEMBER, key);
	out = encode(&enc, DATAFS_FRAME_RAFT, 1, "x", 1, &size);
	assert_int_equal(verdict(other_key, out, size), -EBADMSG);
	/* Without a code, where one is due. */
	free(out);
	done(&enc, &dec);
	both(&enc, &dec, DATAFS_ROLE_MEMBER, NULL);
	out = encode(&enc, DATAFS_FRAME_RAFT, 1, "0123456789abcdef", 16, &size);
	out[11] = 0;
	datafs_put_be32(out + 12, 0);
	new_head_crc(out);
	assert_int_equal(verdict(key, out, size), -EBADMSG);
	free(out);
	done(&enc, &dec);
}

/* Bytes that came with the last frame of the handshake are of the new key. */
static void key_begins(void **state)
{
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	uint8_t *a, *b, stream[400];
	struct datafs_frame f;
	size_t na, nb;

	(void)state;
	datafs_encoder_init(&enc);
	datafs_decoder_init(&dec);
	a = encode(&enc, DATAFS_FRAME_PROOF, 0, key, 32, &na);
	assert_int_equal(datafs_encoder_agreed(&enc, DATAFS_ROLE_CLIENT, key), 0);
	b = encode(&enc, DATAFS_FRAME_CALL, 9, "first", 5, &nb);
	memcpy(stream, a, na);
	memcpy(stream + na, b, nb);
	wire_feed(&dec, stream, na + nb);
	assert_int_equal(dec.size, 512);
	assert_int_equal(datafs_decoder_next(&dec, &f), 1);
	assert_int_equal(f.type, DATAFS_FRAME_PROOF);
	assert_int_equal(datafs_decoder_agreed(&dec, DATAFS_ROLE_CLIENT, key), 0);
	assert_int_equal(datafs_decoder_next(&dec, &f), 1);
	assert_int_equal(f.id, 9);
	assert_memory_equal(f.body, "first", 5);
	assert_int_equal(datafs_decoder_next(&dec, &f), 0);
	free(a);
	free(b);
	done(&enc, &dec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vector),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(every_bit),
		cmocka_unit_test(forged),
		cmocka_unit_test(truncated),
		cmocka_unit_test(oversized),
		cmocka_unit_test(roles),
		cmocka_unit_test(moved),
		cmocka_unit_test(reflected),
		cmocka_unit_test(key_begins),
	};

	return cmocka_run_group_tests_name("wire_frame", tests, setup, NULL);
}
