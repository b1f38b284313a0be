// SPDX-License-Identifier: Apache-2.0
/* Two state machines, and who sits between them. */
#include "wire_fixture.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define M	DATAFS_ROLE_MEMBER
#define C	DATAFS_ROLE_CLIENT
#define P	DATAFS_ROLE_PEER
#define ALL	(1u << M | 1u << C | 1u << P)

/* Offsets of the format. */
#define AT_ROLE		4
#define AT_FLAGS	6
#define AT_NODE		16
#define AT_CLUSTER	24
#define AT_NONCE	40
#define AT_KEY		72

struct side {
	struct datafs_keys keys;
	struct datafs_handshake_conf conf;
	struct datafs_handshake hs;
	int err;
};

static struct side a, b;	/* initiator, responder */
static uint64_t expect;		/* of the initiator */
static uint8_t nonces;

static void be(struct side *s, enum datafs_role role, uint64_t node,
	       struct datafs_keys keys)
{
	s->keys = keys;
	s->conf = (struct datafs_handshake_conf) {
		.role = role, .node = node, .features = 0xf0 | node,
		.peers = ALL, .keys = &s->keys,
	};
}

static int setup(void **state)
{
	(void)state;
	expect = 0;
	be(&a, M, 1, wire_keys(1, 1));
	be(&b, M, 2, wire_keys(1, 1));
	return 0;
}

static void begin(struct side *s, bool initiator,
		  struct datafs_handshake_msg *out)
{
	uint8_t nonce[DATAFS_NONCE_LEN];

	memset(nonce, ++nonces, sizeof(nonce));
	s->err = 0;
	datafs_handshake_begin(&s->hs, &s->conf, initiator, initiator ? expect : 0,
			       nonce, out);
}

static void input(struct side *s, const struct datafs_handshake_msg *msg,
		  struct datafs_handshake_msg *out)
{
	/* Of exactly this size, for the sanitizer to see. */
	uint8_t *body = test_malloc(msg->len + 1);

	memcpy(body, msg->body, msg->len);
	s->err = datafs_handshake_input(&s->hs, msg->type, body, msg->len, out);
	test_free(body);
}

/*
 * Lets them speak until nobody has anything to say. The @at-th message (from 0)
 * is changed by @fn on its way. How many there were.
 */
static int speak(int at, void (*fn)(struct datafs_handshake_msg *msg))
{
	struct datafs_handshake_msg msg, out;
	int n;

	begin(&b, false, &msg);
	assert_int_equal(msg.len, 0);
	begin(&a, true, &msg);
	for (n = 0; msg.len && n < 10; n++) {
		if (n == at)
			fn(&msg);
		input(n % 2 ? &a : &b, &msg, &out);
		msg = out;
	}
	return n;
}

static void both_done(void)
{
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_int_equal(a.hs.state, DATAFS_HANDSHAKE_DONE);
	assert_int_equal(b.hs.state, DATAFS_HANDSHAKE_DONE);
	assert_int_equal(a.hs.peer.node, b.conf.node);
	assert_int_equal(b.hs.peer.node, a.conf.node);
	assert_int_equal(a.hs.peer.role, b.conf.role);
	assert_int_equal(b.hs.peer.role, a.conf.role);
	assert_int_equal(a.hs.peer.features, a.conf.features & b.conf.features);
	assert_int_equal(a.hs.peer.features, b.hs.peer.features);
	assert_int_equal(a.hs.peer.key, b.hs.peer.key);
	assert_int_equal(a.hs.authenticated, !a.keys.off);
	assert_int_equal(b.hs.authenticated, !b.keys.off);
	assert_memory_equal(a.hs.send_key, b.hs.recv_key, DATAFS_HASH_LEN);
	assert_memory_equal(a.hs.recv_key, b.hs.send_key, DATAFS_HASH_LEN);
	if (a.hs.authenticated)
		assert_memory_not_equal(a.hs.send_key, a.hs.recv_key,
					DATAFS_HASH_LEN);
}

/* Both know why, one of them because it was told. */
static void both_failed(enum datafs_refusal why, const struct side *who)
{
	static const uint8_t zero[DATAFS_HASH_LEN];
	const struct side *const sides[] = { &a, &b };

	for (int i = 0; i < 2; i++) {
		const struct side *s = sides[i];

		assert_int_equal(s->hs.state, DATAFS_HANDSHAKE_FAILED);
		assert_int_equal(s->hs.refusal, why);
		assert_int_equal(s->err, datafs_refusal_errno(why));
		assert_true(s->err < 0);
		assert_int_equal(s->hs.told, s != who);
		assert_false(s->hs.authenticated);
		assert_memory_equal(s->hs.shared, zero, sizeof(zero));
		assert_memory_equal(s->hs.send_key, zero, sizeof(zero));
		assert_memory_equal(s->hs.recv_key, zero, sizeof(zero));
	}
}

static void members(void **state)
{
	uint8_t first[DATAFS_HASH_LEN];

	(void)state;
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	memcpy(first, a.hs.send_key, sizeof(first));
	/* Other nonces, other keys. */
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	assert_memory_not_equal(first, a.hs.send_key, sizeof(first));
	datafs_handshake_end(&a.hs);
	assert_int_equal(a.hs.state, DATAFS_HANDSHAKE_FAILED);
}

static void client(void **state)
{
	struct datafs_keys keys = wire_keys(3, 2);

	(void)state;
	/* With its own key only, either side beginning. */
	be(&a, C, 9, wire_client_keys(&keys, 9));
	be(&b, M, 2, keys);
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	be(&a, M, 2, keys);
	be(&b, C, 9, wire_client_keys(&keys, 9));
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	/* On a node that has the cluster's key. */
	be(&b, C, 9, keys);
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
}

/* A client's key makes nobody a member or another node. */
static void pretender(void **state)
{
	struct datafs_keys keys = wire_keys(3, 2);
	struct datafs_keys stolen = wire_client_keys(&keys, 9);

	(void)state;
	be(&b, M, 2, keys);
	stolen.holder = M;	/* what a liar's program believes */
	be(&a, M, 9, stolen);
	assert_int_equal(speak(-1, NULL), 3);
	both_failed(DATAFS_REFUSAL_WRONG_KEY, &a);
	stolen.holder = C;
	stolen.node = 10;
	be(&a, C, 10, stolen);
	assert_int_equal(speak(-1, NULL), 3);
	both_failed(DATAFS_REFUSAL_WRONG_KEY, &a);
	/* Nor does it answer as a member would. */
	stolen.holder = M;
	stolen.node = 0;
	be(&a, C, 10, wire_client_keys(&keys, 10));
	be(&b, M, 2, stolen);
	assert_int_equal(speak(-1, NULL), 3);
	both_failed(DATAFS_REFUSAL_WRONG_KEY, &a);
}

static void rotation(void **state)
{
	static const struct {
		unsigned int a_newest, a_n, b_newest, b_n, used;
	} cases[] = {
		{ 1, 1, 2, 2, 1 }, { 2, 2, 1, 1, 1 }, { 2, 2, 2, 2, 2 },
		{ 2, 1, 2, 2, 2 }, { 2, 2, 2, 1, 2 }, { 3, 2, 2, 2, 2 },
		{ 2, 2, 3, 2, 2 }, { 1, 1, 2, 1, 0 }, { 4, 2, 2, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		be(&a, M, 1, wire_keys(cases[i].a_newest, cases[i].a_n));
		be(&b, M, 2, wire_keys(cases[i].b_newest, cases[i].b_n));
		if (cases[i].used) {
			assert_int_equal(speak(-1, NULL), 3);
			both_done();
			assert_int_equal(a.hs.peer.key, cases[i].used);
		} else {
			assert_int_equal(speak(-1, NULL), 2);
			both_failed(DATAFS_REFUSAL_NO_KEY, &b);
		}
	}
}

static void wrong_key(void **state)
{
	(void)state;
	b.keys.key[0].key[31] ^= 1;
	/* HELLO, ANSWER, REFUSE: who answers proves first. */
	assert_int_equal(speak(-1, NULL), 3);
	both_failed(DATAFS_REFUSAL_WRONG_KEY, &a);
}

static void off(void **state)
{
	(void)state;
	datafs_keys_off(&a.keys, b.keys.cluster);
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_AUTH, &b);
	datafs_keys_off(&b.keys, b.keys.cluster);
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	be(&a, M, 1, wire_keys(1, 1));
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_AUTH, &b);
}

static void not_them(void **state)
{
	(void)state;
	a.keys.cluster[15] ^= 1;
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_CLUSTER, &b);
	setup(NULL);
	expect = 3;
	assert_int_equal(speak(-1, NULL), 3);
	both_failed(DATAFS_REFUSAL_NODE, &a);
	expect = 2;
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	expect = 0;
	a.conf.node = 0;
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_NODE, &b);
}

static void role_not_allowed(void **state)
{
	(void)state;
	b.conf.peers = 1u << C;
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_ROLE, &b);
	b.conf.peers = ALL;
	a.conf.peers = 1u << C;
	assert_int_equal(speak(-1, NULL), 3);
	both_failed(DATAFS_REFUSAL_ROLE, &a);
	/* Clients have no key in common. */
	be(&a, C, 1, wire_keys(1, 1));
	be(&b, C, 2, wire_keys(1, 1));
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_ROLE, &b);
}

/* Daemons of nodes, to each other, and to nobody else. */
static void peers(void **state)
{
	static const enum datafs_role others[] = { M, C };
	struct datafs_keys member = wire_keys(2, 2), keys;

	(void)state;
	assert_int_equal(datafs_keys_for(&member, P, 0, &keys), 0);
	be(&a, P, 1, keys);
	be(&b, P, 2, keys);
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
	assert_int_equal(b.hs.peer.role, P);
	for (unsigned int i = 0; i < 2; i++) {
		/* A member has what their key is made of, and does not use it. */
		be(&b, others[i], 2, others[i] == M ? member :
					wire_client_keys(&member, 2));
		be(&a, P, 1, keys);
		assert_int_equal(speak(-1, NULL), 2);
		both_failed(DATAFS_REFUSAL_ROLE, &b);
		/* Nor is it good for another role. */
		be(&a, others[i], 1, keys);
		be(&b, M, 2, member);
		assert_int_equal(speak(-1, NULL), 3);
		assert_int_equal(a.hs.refusal, DATAFS_REFUSAL_ROLE);
	}
}

static void another_major(struct datafs_handshake_msg *msg)
{
	msg->body[1]++;
	msg->len += 8;	/* it may look different */
}

static void another_minor(struct datafs_handshake_msg *msg)
{
	msg->body[3]++;
}

static void a_stranger(struct datafs_handshake_msg *msg)
{
	datafs_put_be16(msg->body + AT_ROLE, DATAFS_ROLE_STRANGER);
}

static void role_77(struct datafs_handshake_msg *msg)
{
	datafs_put_be16(msg->body + AT_ROLE, 77);
}

static void versions(void **state)
{
	(void)state;
	assert_int_equal(speak(0, another_major), 2);
	both_failed(DATAFS_REFUSAL_VERSION, &b);
	assert_int_equal(b.hs.major, DATAFS_WIRE_MAJOR + 1);
	assert_int_equal(speak(0, a_stranger), 2);
	both_failed(DATAFS_REFUSAL_ROLE, &b);
	assert_int_equal(speak(0, role_77), 2);
	both_failed(DATAFS_REFUSAL_ROLE, &b);
	/* The minor one may be another, but nobody may change it. */
	assert_int_equal(speak(0, another_minor), 3);
	both_failed(DATAFS_REFUSAL_WRONG_KEY, &a);
	datafs_keys_off(&a.keys, a.keys.cluster);
	datafs_keys_off(&b.keys, b.keys.cluster);
	assert_int_equal(speak(0, another_minor), 3);
	both_done();
	assert_int_equal(b.hs.minor, DATAFS_WIRE_MINOR + 1);
	assert_int_equal(b.hs.peer.minor, DATAFS_WIRE_MINOR);
}

static size_t flip_bit;

static void flip(struct datafs_handshake_msg *msg)
{
	msg->body[flip_bit / 8] ^= 1 << flip_bit % 8;
}

static size_t cut_to;

static void cut(struct datafs_handshake_msg *msg)
{
	msg->len = cut_to;
}

static const size_t lengths[] = {
	DATAFS_HELLO_LEN, DATAFS_ANSWER_LEN, DATAFS_PROOF_LEN
};

/* Whatever is changed on the way, they never both accept. */
static void every_bit(void **state)
{
	(void)state;
	be(&a, M, 1, wire_keys(2, 2));
	be(&b, M, 2, wire_keys(2, 2));
	for (int at = 0; at < 3; at++) {
		for (flip_bit = 0; flip_bit < lengths[at] * 8; flip_bit++) {
			speak(at, flip);
			assert_int_not_equal(b.hs.state, DATAFS_HANDSHAKE_DONE);
			assert_true(b.err < 0);
			if (at < 2)
				assert_int_equal(a.hs.state,
						 DATAFS_HANDSHAKE_FAILED);
		}
	}
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
}

static void every_length(void **state)
{
	(void)state;
	for (int at = 0; at < 3; at++) {
		for (cut_to = 0; cut_to < lengths[at]; cut_to++) {
			speak(at, cut);
			/* Nothing at all: they go on waiting. */
			assert_int_equal(b.hs.state, DATAFS_HANDSHAKE_FAILED);
			assert_int_equal(b.hs.refusal, DATAFS_REFUSAL_MALFORMED);
		}
	}
}

/* What was recorded of one handshake, told to the next responder. */
static void replay(void **state)
{
	struct datafs_handshake_msg hello, answer, proof, out;

	(void)state;
	begin(&b, false, &out);
	begin(&a, true, &hello);
	input(&b, &hello, &answer);
	input(&a, &answer, &proof);
	input(&b, &proof, &out);
	both_done();
	begin(&b, false, &out);
	input(&b, &hello, &out);
	assert_int_equal(b.err, 0);
	input(&b, &proof, &out);
	assert_int_equal(b.err, -EKEYREJECTED);
	/* A failed responder says nothing to whom has proven nothing. */
	assert_int_equal(out.len, 0);
	/* And to an initiator. */
	begin(&a, true, &hello);
	input(&a, &answer, &out);
	assert_int_equal(a.err, -EKEYREJECTED);
}

/* The peer sends back what it gets, as it is or under another type. */
static void echo(void **state)
{
	struct datafs_handshake_msg hello, back, out;

	(void)state;
	begin(&a, true, &hello);
	input(&a, &hello, &out);
	assert_int_equal(a.err, -EPROTO);
	begin(&a, true, &hello);
	back = hello;
	back.type = DATAFS_FRAME_ANSWER;
	back.len = DATAFS_ANSWER_LEN;
	memset(back.body + DATAFS_HELLO_LEN, 0, DATAFS_HASH_LEN);
	memset(back.body + AT_KEY + 4, 0, 4);
	input(&a, &back, &out);
	assert_int_equal(a.err, -ELOOP);
	/* With another name: its nonce gives it away. */
	begin(&a, true, &hello);
	memcpy(back.body, hello.body, DATAFS_HELLO_LEN);
	datafs_put_be64(back.body + AT_NODE, 2);
	input(&a, &back, &out);
	assert_int_equal(a.err, -ELOOP);
	/* The responder's proof is not good as an initiator's. */
	begin(&b, false, &out);
	begin(&a, true, &hello);
	input(&b, &hello, &back);
	out = back;
	out.type = DATAFS_FRAME_PROOF;
	out.len = DATAFS_PROOF_LEN;
	memcpy(out.body, back.body + DATAFS_HELLO_LEN, DATAFS_PROOF_LEN);
	input(&b, &out, &back);
	assert_int_equal(b.err, -EKEYREJECTED);
}

/* A node's own responder is made to answer its initiator. */
static void mirror(void **state)
{
	(void)state;
	b.conf.node = a.conf.node;
	assert_int_equal(speak(-1, NULL), 2);
	both_failed(DATAFS_REFUSAL_REFLECTED, &b);
	/* One node, but two programs: that is no mirror. */
	be(&b, C, 1, wire_keys(1, 1));
	assert_int_equal(speak(-1, NULL), 3);
	both_done();
}

/* A key that was not offered, or none, is no answer. */
static void no_choice(struct datafs_handshake_msg *msg)
{
	datafs_put_be32(msg->body + AT_KEY, 0);
}

static void other_choice(struct datafs_handshake_msg *msg)
{
	datafs_put_be32(msg->body + AT_KEY, 99);
}

static void no_auth(struct datafs_handshake_msg *msg)
{
	datafs_put_be16(msg->body + AT_FLAGS, 0);
	datafs_put_be32(msg->body + AT_KEY, 0);
	memset(msg->body + DATAFS_HELLO_LEN, 0, DATAFS_HASH_LEN);
}

static void downgrade(void **state)
{
	(void)state;
	assert_int_equal(speak(1, no_choice), 3);
	both_failed(DATAFS_REFUSAL_MALFORMED, &a);
	assert_int_equal(speak(1, other_choice), 3);
	both_failed(DATAFS_REFUSAL_NO_KEY, &a);
	assert_int_equal(speak(1, no_auth), 3);
	both_failed(DATAFS_REFUSAL_AUTH, &a);
}

/* Which message is taken in which state, written down once more. */
static void out_of_turn(void **state)
{
	struct datafs_handshake_msg msg, out;

	(void)state;
	for (int st = 0; st < DATAFS_HANDSHAKE_STATES; st++) {
		for (uint16_t type = 0; type < DATAFS_FRAME_TYPES; type++) {
			bool legal = (st == DATAFS_HANDSHAKE_HELLO &&
				      type == DATAFS_FRAME_HELLO) ||
				     (st == DATAFS_HANDSHAKE_ANSWER &&
				      (type == DATAFS_FRAME_ANSWER ||
				       type == DATAFS_FRAME_REFUSE)) ||
				     (st == DATAFS_HANDSHAKE_PROOF &&
				      (type == DATAFS_FRAME_PROOF ||
				       type == DATAFS_FRAME_REFUSE));

			begin(&b, false, &out);
			b.hs.state = st;
			msg.type = type;
			msg.len = 0;
			input(&b, &msg, &out);
			assert_int_equal(b.hs.refusal, legal ?
				DATAFS_REFUSAL_MALFORMED :
				DATAFS_REFUSAL_UNEXPECTED);
			assert_int_equal(b.hs.state, DATAFS_HANDSHAKE_FAILED);
		}
	}
}

/* A refusal of a number that is not known yet is one, too. */
static void refusals(void **state)
{
	struct datafs_handshake_msg msg = { .type = DATAFS_FRAME_REFUSE,
					    .len = DATAFS_REFUSE_LEN }, out;

	(void)state;
	for (unsigned int i = 0; i < DATAFS_REFUSALS + 2; i++) {
		begin(&a, true, &out);
		datafs_put_be16(msg.body, i);
		input(&a, &msg, &out);
		assert_true(a.err < 0);
		assert_true(a.hs.told);
		assert_int_equal(a.hs.refusal, i && i < DATAFS_REFUSALS ? i :
				 DATAFS_REFUSAL_MALFORMED);
		assert_int_equal(out.len, 0);
		assert_non_null(datafs_refusal_text(a.hs.refusal));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(members), T(client), T(pretender), T(rotation), T(wrong_key),
		T(off), T(not_them), T(role_not_allowed), T(peers), T(versions),
		T(every_bit), T(every_length), T(replay), T(echo), T(mirror),
		T(downgrade), T(out_of_turn), T(refusals),
	};

	return cmocka_run_group_tests_name("wire_handshake", tests, NULL, NULL);
}
