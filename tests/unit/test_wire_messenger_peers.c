// SPDX-License-Identifier: Apache-2.0
/* A messenger, and peers made by hand that break the rules. */
#define _GNU_SOURCE
#include "wire_messenger_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/util.h"

/* On the test's own thread with a blocking socket. */
struct raw {
	int fd;
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_handshake_conf conf;
	struct datafs_keys keys;
};

/* Of a socket that takes little before it is read; 0: as they are. */
static int rcvbuf;

static void raw_open(struct raw *r)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct timeval limit = { .tv_sec = 60 };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(datafs_wire_port(b.wire));
	datafs_encoder_init(&r->enc);
	datafs_decoder_init(&r->dec);
	r->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (rcvbuf)
		setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	assert_int_equal(connect(r->fd, (void *)&in, sizeof(in)), 0);
}

static void raw_close(struct raw *r)
{
	close(r->fd);
	datafs_encoder_free(&r->enc);
	datafs_decoder_free(&r->dec);
}

static void raw_send(struct raw *r, uint16_t type, uint64_t id,
		     const void *body, uint32_t len)
{
	struct datafs_frame f = { .type = type, .id = id, .body = body, .len = len };
	static uint8_t out[DATAFS_FRAME_MAX_CALL + 100];
	size_t n = datafs_encoder_size(&r->enc, len);

	assert_int_equal(datafs_encoder_put(&r->enc, &f, out), 0);
	for (size_t at = 0; at < n;) {
		ssize_t part = send(r->fd, out + at, n - at, MSG_NOSIGNAL);

		if (part < 0 && errno == EINTR)
			continue;
		/* It may have been hung up on us already. */
		if (part < 0) {
			assert_true(errno == EPIPE || errno == ECONNRESET);
			return;
		}
		at += part;
	}
}

/* The end of an earlier ring may interrupt, though there are no signals. */
static ssize_t raw_recv(struct raw *r, void *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(r->fd, buf, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	return n;
}

/* The next frame, or false if it was hung up. */
static bool raw_next(struct raw *r, struct datafs_frame *f)
{
	size_t room;
	ssize_t n;
	void *to;
	int res;

	while (!(res = datafs_decoder_next(&r->dec, f))) {
		to = datafs_decoder_room(&r->dec, &room);
		n = raw_recv(r, to, room);
		if (n <= 0)
			return false;
		datafs_decoder_came(&r->dec, n);
	}
	assert_int_equal(res, 1);
	return true;
}

static bool hung_up(struct raw *r)
{
	struct datafs_frame f;

	while (raw_next(r, &f))
		assert_true(f.type == DATAFS_FRAME_PING ||
			    f.type == DATAFS_FRAME_REPLY);
	return true;
}

static void raw_up(struct raw *r, enum datafs_role role, uint64_t node)
{
	uint8_t nonce[DATAFS_NONCE_LEN];
	struct datafs_handshake_msg out;
	struct datafs_handshake hs;
	struct datafs_frame f;

	r->keys = wire_keys(1, 1);
	r->conf = (struct datafs_handshake_conf) {
		.role = role, .node = node, .keys = &r->keys,
		.peers = 1u << DATAFS_ROLE_MEMBER,
	};
	raw_open(r);
	assert_int_equal(datafs_random(nonce, sizeof(nonce)), 0);
	datafs_handshake_begin(&hs, &r->conf, true, 2, nonce, &out);
	raw_send(r, out.type, 0, out.body, out.len);
	assert_true(raw_next(r, &f));
	assert_int_equal(datafs_handshake_input(&hs, f.type, f.body, f.len, &out), 0);
	raw_send(r, out.type, 0, out.body, out.len);
	assert_int_equal(datafs_encoder_agreed(&r->enc, role, hs.send_key), 0);
	assert_int_equal(datafs_decoder_agreed(&r->dec, DATAFS_ROLE_MEMBER,
					       hs.recv_key), 0);
	datafs_handshake_end(&hs);
	/* That it is up. */
	assert_true(raw_next(r, &f));
	assert_int_equal(f.type, DATAFS_FRAME_PING);
}

/* Of a frame without a body. */
#define CONTROL	(DATAFS_FRAME_HEAD + DATAFS_MAC_LEN)

static unsigned int looks;

static bool b_downs_1(void)
{
	return b.downs == 1;
}

/* What clients may not do, whatever key they have. */
static void no_raft_from_clients(void **state)
{
	struct raw r;

	(void)state;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_CLIENT, 7);
	/* Its own messenger would refuse that. */
	r.enc.self = DATAFS_ROLE_MEMBER;
	raw_send(&r, DATAFS_FRAME_RAFT, 0, "x", 1);
	assert_true(hung_up(&r));
	until(b_downs_1);
	assert_int_equal(b.err, -EPROTO);
	assert_int_equal(b.frames, 0);
	raw_close(&r);
}

static const struct {
	uint64_t ids[3];
	unsigned int n, calls;
} bad_ids[] = {
	{ { 1025, 1025 }, 2, 1 },		/* twice the same */
	{ { 1025, 2049 }, 2, 1 },		/* the slot is taken */
	{ { 5 }, 1, 0 },			/* no generation */
	{ { 1024, 1025, 0 }, 3, 2 },
};

static void bad_calls(void **state)
{
	struct raw r;

	(void)state;
	on_loop(listen_b);
	for (unsigned int i = 0; i < sizeof(bad_ids) / sizeof(bad_ids[0]); i++) {
		b.calls = 0;
		raw_up(&r, DATAFS_ROLE_CLIENT, 7);
		for (unsigned int j = 0; j < bad_ids[i].n; j++)
			raw_send(&r, DATAFS_FRAME_CALL, bad_ids[i].ids[j], "x", 1);
		assert_true(hung_up(&r));
		raw_close(&r);
		assert_int_equal(b.calls, bad_ids[i].calls);
		assert_int_equal(b.err, -EPROTO);
	}
	assert_int_equal(b.downs, 4);
}

/* More calls than may be, each in a slot of its own, then one more. */
static void too_many_calls(void **state)
{
	struct raw r;

	(void)state;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_CLIENT, 7);
	for (unsigned int i = 0; i <= DATAFS_CALLS_MAX; i++)
		raw_send(&r, DATAFS_FRAME_CALL, DATAFS_CALLS_MAX + i, NULL, 0);
	assert_true(hung_up(&r));
	until(b_downs_1);
	assert_int_equal(b.calls, DATAFS_CALLS_MAX);
	raw_close(&r);
}

/* Replies and cancels that mean nothing do no harm. */
static void stray(void **state)
{
	struct datafs_frame f;
	struct raw r;

	(void)state;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_CLIENT, 7);
	for (uint64_t id = 0; id < 3000; id++) {
		raw_send(&r, DATAFS_FRAME_REPLY, id, "x", 1);
		raw_send(&r, DATAFS_FRAME_CANCEL, id, NULL, 0);
	}
	raw_send(&r, DATAFS_FRAME_PING, 0, NULL, 0);
	assert_true(raw_next(&r, &f));
	assert_int_equal(f.type, DATAFS_FRAME_PONG);
	assert_int_equal(b.cancels, 0);
	raw_close(&r);
	until(b_downs_1);
}

static bool is_closed(struct raw *r)
{
	char c[100];
	ssize_t n;

	/* Maybe after a word of refusal. */
	do
		n = raw_recv(r, c, sizeof(c));
	while (n > 0);
	return true;
}

/* Those who say nothing: only so many, and not for long. */
static void half_open(void **state)
{
	struct raw r[7], ok;

	(void)state;
	b.conf.limits.half_open = 4;
	b.conf.limits.handshake = 600000;
	on_loop(listen_b);
	for (int i = 0; i < 7; i++)
		raw_open(&r[i]);
	for (int i = 4; i < 7; i++)
		assert_true(is_closed(&r[i]));
	/* One that is gone makes room for one that is serious. */
	raw_send(&r[0], DATAFS_FRAME_PROOF, 0, NULL, 0);
	assert_true(is_closed(&r[0]));
	raw_close(&r[0]);
	raw_up(&ok, DATAFS_ROLE_CLIENT, 7);
	raw_close(&ok);
	for (int i = 1; i < 7; i++)
		raw_close(&r[i]);
	until(b_downs_1);
}

static void too_late(void **state)
{
	struct raw r[3];

	(void)state;
	b.conf.limits.handshake = 30;
	on_loop(listen_b);
	for (int i = 0; i < 3; i++)
		raw_open(&r[i]);
	for (int i = 0; i < 3; i++) {
		assert_true(is_closed(&r[i]));
		raw_close(&r[i]);
	}
	assert_int_equal(b.ups, 0);
}

/* Too much, or nonsense, before anything is proven. */
static void garbage(void **state)
{
	uint8_t noise[1000];
	struct raw r;

	(void)state;
	wire_seed();
	b.conf.limits.handshake = 600000;
	on_loop(listen_b);
	for (int i = 0; i < 200; i++) {
		wire_fill(noise, sizeof(noise));
		raw_open(&r);
		if (send(r.fd, noise, sizeof(noise), MSG_NOSIGNAL) < 0)
			assert_true(errno == EPIPE || errno == ECONNRESET);
		assert_true(is_closed(&r));
		raw_close(&r);
	}
	assert_int_equal(b.ups, 0);
}

/* Silent, though it was pinged. */
static void silent(void **state)
{
	struct datafs_frame f;
	struct raw r;

	(void)state;
	b.conf.limits.idle = 20;
	b.conf.limits.dead = 100;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_CLIENT, 7);
	assert_true(raw_next(&r, &f));
	assert_int_equal(f.type, DATAFS_FRAME_PING);
	assert_true(hung_up(&r));
	until(b_downs_1);
	assert_int_equal(b.err, -ETIMEDOUT);
	raw_close(&r);
}

static uint8_t bulk[1 << 20];
static unsigned int n_sent;

static void send_too_much(void)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_BULK, .body = bulk,
				  .len = sizeof(bulk) };
	int err;

	for (n_sent = 0; n_sent < 1000; n_sent++) {
		err = datafs_conn_send(b.conn, &f);
		if (err)
			break;
	}
	assert_int_equal(err, -EAGAIN);
	assert_true(datafs_conn_queued(b.conn) <= b.conf.limits.queue);
	/* 8 MiB less the heads: what the socket took is still counted. */
	assert_int_equal(n_sent, 7);
}

static bool b_has_two(void)
{
	return b.kept == 2;
}

static unsigned int n_replied;
static void reply_more(void);

static void reply_too_much(void)
{
	int err = 0;
	unsigned int i;

	/* In the same step, so that nothing is sent meanwhile. */
	send_too_much();
	/* Replies are taken longer than frames, but not for ever. */
	assert_int_equal(datafs_conn_reply(b.conn, b.ids[0], bulk, 1000), 0);
	assert_int_equal(datafs_conn_reply(b.conn, b.ids[1], bulk,
					   DATAFS_FRAME_MAX_CALL + 1), -EMSGSIZE);
	for (i = 1; i < b.kept && !err; i++)
		err = datafs_conn_reply(b.conn, b.ids[i], bulk, sizeof(bulk));
	assert_int_equal(err, -EAGAIN);
	assert_int_equal(i - 1, 25);
	n_replied = i - 1;
	b.readies = 0;
	b.on_ready = reply_more;
}

/* Those that were owed still are. */
static void reply_more(void)
{
	while (n_replied < b.kept) {
		int err = datafs_conn_reply(b.conn, b.ids[n_replied], bulk,
					    sizeof(bulk));

		if (err == -EAGAIN)
			return;
		assert_int_equal(err, 0);
		n_replied++;
	}
}

static bool b_has_50(void)
{
	return b.kept == 50;
}

static void slow_reader(void **state)
{
	struct datafs_frame f;
	struct raw r;

	(void)state;
	b.conf.limits.idle = 600000;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	raw_send(&r, DATAFS_FRAME_CALL, 1024, NULL, 0);
	raw_send(&r, DATAFS_FRAME_CALL, 1025, NULL, 0);
	until(b_has_two);
	on_loop(send_too_much);
	/* It reads, all comes, and then there is room. */
	for (int i = 0; i < 7; i++) {
		assert_true(raw_next(&r, &f));
		assert_int_equal(f.type, DATAFS_FRAME_BULK);
	}
	raw_send(&r, DATAFS_FRAME_PING, 0, NULL, 0);
	assert_true(raw_next(&r, &f));
	assert_int_equal(b.readies, 1);
	/* It does not read, and there are more replies than may wait. */
	for (unsigned int i = 2; i < 50; i++)
		raw_send(&r, DATAFS_FRAME_CALL, 1024 + i, NULL, 0);
	until(b_has_50);
	on_loop(reply_too_much);
	for (int i = 0; i < 7; i++) {
		assert_true(raw_next(&r, &f));
		assert_int_equal(f.type, DATAFS_FRAME_BULK);
	}
	for (unsigned int i = 0; i < 50; i++) {
		assert_true(raw_next(&r, &f));
		assert_int_equal(f.type, DATAFS_FRAME_REPLY);
		assert_int_equal(f.id, 1024 + i);
		assert_int_equal(f.len, i ? sizeof(bulk) : 1000);
	}
	assert_true(b.readies > 0);
	assert_int_equal(b.downs, 0);
	raw_close(&r);
	until(b_downs_1);
}

static size_t most_queued;

static void answer_bulk(struct datafs_conn *conn, uint64_t id, const void *body,
			uint32_t len)
{
	(void)body;
	(void)len;
	wrong += datafs_conn_reply(conn, id, bulk, sizeof(bulk)) != 0;
	most_queued = DATAFS_MAX(most_queued, datafs_conn_queued(conn));
}

static bool b_has_frame(void)
{
	return b.frames == 1;
}

#define HELD	200

/*
 * All calls that may be, from one who does not read: they wait, what follows on
 * them does not, and those that it gives up meanwhile never happen.
 */
static void held_calls(void **state)
{
	struct datafs_frame f;
	struct raw r;

	(void)state;
	most_queued = 0;
	b.answer = answer_bulk;
	b.conf.limits.idle = 600000;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	for (unsigned int i = 0; i < HELD; i++)
		raw_send(&r, DATAFS_FRAME_CALL, 1024 + i, "body", i % 5);
	/* The last one, and one that is not the first of those that wait. */
	raw_send(&r, DATAFS_FRAME_CANCEL, 1024 + HELD - 1, NULL, 0);
	raw_send(&r, DATAFS_FRAME_CANCEL, 1024 + HELD - 50, NULL, 0);
	/* The slot is free again. */
	raw_send(&r, DATAFS_FRAME_CALL, 2048 + HELD - 1, NULL, 0);
	raw_send(&r, DATAFS_FRAME_RAFT, 0, "x", 1);
	until(b_has_frame);
	assert_true(b.calls < HELD - 50);
	for (unsigned int i = 0; i < HELD - 1; i++) {
		assert_true(raw_next(&r, &f));
		assert_int_equal(f.type, DATAFS_FRAME_REPLY);
		assert_int_equal(f.id, i < HELD - 50 ? 1024 + i :
				 i < HELD - 2 ? 1025 + i : 2048 + HELD - 1);
	}
	raw_close(&r);
	until(b_downs_1);
	assert_int_equal(b.calls, HELD - 1);
	assert_int_equal(b.cancels, 0);
	assert_true(most_queued <= b.conf.limits.queue + 2 * sizeof(bulk));
}

/* Gone while its calls wait: nobody hears of them. */
static void held_and_gone(void **state)
{
	unsigned int calls;
	struct raw r;

	(void)state;
	b.answer = answer_bulk;
	b.conf.limits.idle = 600000;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	for (unsigned int i = 0; i < HELD; i++)
		raw_send(&r, DATAFS_FRAME_CALL, 1024 + i, "body", 4);
	raw_send(&r, DATAFS_FRAME_RAFT, 0, "x", 1);
	until(b_has_frame);
	calls = b.calls;
	raw_close(&r);
	until(b_downs_1);
	assert_true(calls < HELD);
	assert_int_equal(b.cancels, 0);
}

/* More bytes in calls than may be in flight, then none more. */
static void too_long_calls(void **state)
{
	struct raw r;

	(void)state;
	on_loop(listen_b);
	raw_up(&r, DATAFS_ROLE_CLIENT, 7);
	for (unsigned int i = 0; i < 8; i++)
		raw_send(&r, DATAFS_FRAME_CALL, DATAFS_CALLS_MAX + i, bulk,
			 sizeof(bulk));
	raw_send(&r, DATAFS_FRAME_CALL, DATAFS_CALLS_MAX + 8, NULL, 0);
	raw_send(&r, DATAFS_FRAME_CANCEL, DATAFS_CALLS_MAX + 7, NULL, 0);
	raw_send(&r, DATAFS_FRAME_CALL, DATAFS_CALLS_MAX + 9, bulk, sizeof(bulk));
	raw_send(&r, DATAFS_FRAME_CALL, DATAFS_CALLS_MAX + 10, bulk, 1);
	assert_true(hung_up(&r));
	until(b_downs_1);
	assert_int_equal(b.err, -EPROTO);
	assert_int_equal(b.calls, 10);
	assert_int_equal(b.cancels, 1);
	raw_close(&r);
}

/* A queue without room for a single frame more. */
static size_t brim;

static void fill_to_the_brim(void)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_BULK, .body = bulk,
				  .len = sizeof(bulk) };

	while (f.len) {
		int err = datafs_conn_send(b.conn, &f);

		assert_true(!err || err == -EAGAIN);
		if (err)
			f.len /= 2;
	}
	brim = datafs_conn_queued(b.conn);
	assert_true(b.conf.limits.queue - brim < CONTROL);
}

/* The socket takes no more, and nothing has gone for a while. */
static bool is_stuck(void)
{
	static size_t last;
	size_t now = datafs_conn_queued(b.conn);
	bool stuck = now == last && ++looks > 20;

	if (now != last)
		looks = 0;
	last = now;
	return stuck;
}

static bool over_brim(void)
{
	return datafs_conn_queued(b.conn) > b.conf.limits.queue;
}

static bool is_late(void)
{
	return ++looks == 100;
}

/* PING and PONG have room in a queue that is full: one of each waits. */
static void full_queue(void **state)
{
	unsigned int pings = 0, pongs = 0;
	struct datafs_frame f;
	struct raw r;

	(void)state;
	looks = 0;
	b.conf.limits.idle = 20;
	b.conf.limits.dead = 600000;
	on_loop(listen_b);
	rcvbuf = 65536;
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	rcvbuf = 0;
	on_loop(fill_to_the_brim);
	until(is_stuck);
	/* Full, whether or not a PING has come already. */
	on_loop(fill_to_the_brim);
	for (int i = 0; i < 5; i++)
		raw_send(&r, DATAFS_FRAME_PING, 0, NULL, 0);
	until(over_brim);
	looks = 0;
	until(is_late);
	assert_true(datafs_conn_queued(b.conn) <= brim + 2 * CONTROL);
	/* It reads, and finds both of them. */
	while (!pings || !pongs) {
		assert_true(raw_next(&r, &f));
		pings += f.type == DATAFS_FRAME_PING;
		pongs += f.type == DATAFS_FRAME_PONG;
	}
	assert_int_equal(pings, 1);
	assert_int_equal(pongs, 1);
	assert_int_equal(b.downs, 0);
	raw_close(&r);
	until(b_downs_1);
}

/*
 * Takes its time with a queue that is full, longer than one who says nothing may
 * live: until it comes to the PING it cannot know that it is asked.
 */
static void slow_stream(void **state)
{
	struct datafs_frame f;
	int64_t from;
	struct raw r;

	(void)state;
	looks = 0;
	b.conf.limits.idle = 100;
	b.conf.limits.dead = 2000;
	on_loop(listen_b);
	rcvbuf = 65536;
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	rcvbuf = 0;
	raw_send(&r, DATAFS_FRAME_PONG, 0, NULL, 0);
	on_loop(fill_to_the_brim);
	until(is_stuck);
	from = datafs_now();
	for (;;) {
		assert_true(raw_next(&r, &f));
		if (f.type == DATAFS_FRAME_PING)
			break;
		usleep(f.len * 300000ull / sizeof(bulk));
	}
	assert_true(datafs_now() - from > b.conf.limits.dead * DATAFS_MSEC);
	assert_int_equal(b.downs, 0);
	raw_close(&r);
	until(b_downs_1);
}

static struct datafs_conn *first, *second;

static void send_to_both(void)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_RAFT, .id = 1 };

	second = b.conn;
	assert_ptr_not_equal(first, second);
	assert_int_equal(datafs_conn_send(first, &f), 0);
	assert_int_equal(datafs_conn_send(second, &f), 0);
}

/* One goes while what it has to send waits to be written with the other's. */
static void send_and_end(void)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_RAFT, .id = 2 };

	assert_int_equal(datafs_conn_send(first, &f), 0);
	b.conn = first;
	datafs_conn_end(first, -EIO);
	b.conn = second;
	assert_int_equal(datafs_conn_send(second, &f), 0);
	f.id = 3;
	assert_int_equal(datafs_conn_send(second, &f), 0);
}

static void two_at_once(void **state)
{
	struct datafs_frame f;
	struct raw r[2];

	(void)state;
	on_loop(listen_b);
	raw_up(&r[0], DATAFS_ROLE_MEMBER, 7);
	first = b.conn;
	raw_up(&r[1], DATAFS_ROLE_MEMBER, 8);
	on_loop(send_to_both);
	on_loop(send_and_end);
	/* What the one that went has to say may be lost. */
	while (raw_next(&r[0], &f))
		assert_int_equal(f.id, 1);
	for (uint64_t id = 1; id <= 3; id++) {
		assert_true(raw_next(&r[1], &f));
		assert_int_equal(f.id, id);
	}
	raw_close(&r[0]);
	raw_close(&r[1]);
}

int main(void)
{
#define T(f) MESSENGER_TEST(f)
	const struct CMUnitTest tests[] = {
		T(no_raft_from_clients), T(bad_calls), T(too_many_calls),
		T(stray), T(half_open), T(too_late), T(garbage), T(silent),
		T(slow_reader), T(two_at_once), T(held_calls),
		T(held_and_gone), T(too_long_calls), T(full_queue),
		T(slow_stream),
	};

	return cmocka_run_group_tests_name("wire_messenger_peers", tests, NULL,
					   NULL);
}
