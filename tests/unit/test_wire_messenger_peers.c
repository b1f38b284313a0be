// SPDX-License-Identifier: Apache-2.0
/* A messenger, and peers made by hand that break the rules. */
#define _GNU_SOURCE
#include "wire_raw.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

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
	assert_true(raw_hung_up(&r));
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
		assert_true(raw_hung_up(&r));
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
	assert_true(raw_hung_up(&r));
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

static uint8_t bulk[1 << 20];

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
	assert_true(raw_hung_up(&r));
	until(b_downs_1);
	assert_int_equal(b.err, -EPROTO);
	assert_int_equal(b.calls, 10);
	assert_int_equal(b.cancels, 1);
	raw_close(&r);
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

/* Those who say nothing: only so many, and they keep nobody else out. */
static void half_open(void **state)
{
	struct raw r[7], ok, more;
	char c;

	(void)state;
	b.conf.limits.half_open = 4;
	b.conf.limits.handshake = 600000;
	on_loop(listen_b);
	for (int i = 0; i < 7; i++)
		raw_open(&r[i]);
	/* The oldest ones make room. */
	for (int i = 0; i < 3; i++)
		assert_true(is_closed(&r[i]));
	/* Also for one that is serious, */
	raw_up(&ok, DATAFS_ROLE_CLIENT, 7);
	assert_true(is_closed(&r[3]));
	/* which is not of them any more: one more has room. */
	raw_open(&more);
	raw_send(&more, DATAFS_FRAME_PROOF, 0, NULL, 0);
	assert_true(is_closed(&more));
	for (int i = 4; i < 7; i++)
		assert_int_equal(recv(r[i].fd, &c, 1, MSG_DONTWAIT), -1);
	for (int i = 0; i < 7; i++)
		raw_close(&r[i]);
	raw_close(&more);
	raw_close(&ok);
	until(b_downs_1);
}

/* The bound of all that were accepted: who is up is not ended for another one. */
static void conns_full(void **state)
{
	struct raw silent, ok, late;

	(void)state;
	b.conf.limits.conns = 1;
	b.conf.limits.handshake = 600000;
	on_loop(listen_b);
	raw_open(&silent);
	raw_up(&ok, DATAFS_ROLE_CLIENT, 7);
	assert_true(is_closed(&silent));
	raw_open(&late);
	assert_true(is_closed(&late));
	assert_int_equal(b.downs, 0);
	raw_close(&silent);
	raw_close(&late);
	raw_close(&ok);
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
	assert_true(raw_hung_up(&r));
	until(b_downs_1);
	assert_int_equal(b.err, -ETIMEDOUT);
	raw_close(&r);
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
		T(too_long_calls), T(stray), T(half_open), T(conns_full),
		T(too_late), T(garbage), T(silent), T(two_at_once),
	};

	return cmocka_run_group_tests_name("wire_messenger_peers", tests, NULL,
					   NULL);
}
