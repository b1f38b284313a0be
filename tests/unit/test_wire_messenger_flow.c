// SPDX-License-Identifier: Apache-2.0
/* Who sends, calls or answers more than the other side takes. */
#define _GNU_SOURCE
#include "wire_raw.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

/* What bodies are made of. */
static uint8_t bulk[DATAFS_FRAME_MAX_CALL];

/* Calls that are made together and not answered. */
#define LATE	60

static struct datafs_call calls[LATE];
static unsigned int replies, timeouts, resets;

static unsigned int n_late;

static void late(struct datafs_call *c, int err, const void *body, uint32_t len)
{
	(void)c;
	(void)body;
	(void)len;
	timeouts += err == -ETIMEDOUT;
	resets += err == -ECONNRESET;
}

/* As many at once as the queue takes. */
static bool make_late(void)
{
	while (n_late < LATE) {
		calls[n_late].fn = late;
		if (datafs_conn_call(a.conn, &calls[n_late], NULL, 0, 1000))
			return false;
		n_late++;
	}
	return true;
}

static void sleep_on(void)
{
	usleep(1200000);
}

static bool all_late(void)
{
	return timeouts == LATE && b.cancels == LATE;
}

/* Their CANCELs are more than the queue has room for, which is not asked. */
static void many_cancels(void **state)
{
	(void)state;
	n_late = 0;
	a.conf.limits.queue = 512;
	both();
	until(make_late);
	on_loop(sleep_on);
	until(all_late);
	assert_int_equal(resets, 0);
	assert_int_equal(a.downs, 0);
}

/* Bodies of calls in flight: so many bytes, and then one gets -EAGAIN. */
#define LONG_CALLS	(DATAFS_CALLS_BYTES / DATAFS_FRAME_MAX_CALL)

static unsigned int n_long, readies_seen;

static int long_call(struct datafs_call *c, uint32_t len)
{
	c->fn = late;
	return datafs_conn_call(a.conn, c, bulk, len, 600000);
}

/* As many as the queue takes, which is less: it also has heads. */
static bool make_long(void)
{
	while (n_long < LONG_CALLS &&
	       !long_call(&calls[n_long], DATAFS_FRAME_MAX_CALL))
		n_long++;
	return n_long == LONG_CALLS;
}

static bool b_has_long(void)
{
	return b.kept == LONG_CALLS && !datafs_conn_queued(a.conn);
}

static void one_too_long(void)
{
	readies_seen = a.readies;
	assert_int_equal(long_call(&calls[n_long], DATAFS_FRAME_MAX_CALL + 1),
			 -EMSGSIZE);
	assert_int_equal(long_call(&calls[n_long], 1), -EAGAIN);
	/* Without a body there is room. */
	assert_int_equal(long_call(&calls[n_long], 0), 0);
}

static void answer_first(void)
{
	assert_int_equal(datafs_conn_reply(b.conn, b.ids[0], NULL, 0), 0);
}

static bool told_ready(void)
{
	return a.readies == readies_seen + 1;
}

static void call_again(void)
{
	assert_false(calls[0].conn);
	assert_int_equal(long_call(&calls[0], DATAFS_FRAME_MAX_CALL), 0);
}

static bool b_has_all_long(void)
{
	return b.kept == LONG_CALLS + 2;
}

static void long_calls(void **state)
{
	(void)state;
	n_long = 0;
	both();
	until(make_long);
	until(b_has_long);
	on_loop(one_too_long);
	on_loop(answer_first);
	until(told_ready);
	on_loop(call_again);
	until(b_has_all_long);
	assert_int_equal(a.downs, 0);
}

/*
 * Both call each other, and answer at once, more than any queue takes: whose
 * replies wait has to go on hearing those of the other side.
 */
#define MUTUAL	100

static struct datafs_call mutual[2][MUTUAL];

static void answer_long(struct datafs_conn *conn, uint64_t id, const void *body,
			uint32_t len)
{
	(void)body;
	(void)len;
	wrong += datafs_conn_reply(conn, id, bulk, DATAFS_FRAME_MAX_CALL) != 0;
}

static void mutual_done(struct datafs_call *c, int err, const void *body,
			uint32_t len)
{
	(void)c;
	(void)body;
	wrong += err || len != DATAFS_FRAME_MAX_CALL;
	replies++;
}

static void call_each_other(void)
{
	struct datafs_conn *conns[2] = { a.conn, b.conn };

	for (unsigned int side = 0; side < 2; side++)
		for (unsigned int i = 0; i < MUTUAL; i++) {
			mutual[side][i].fn = mutual_done;
			assert_int_equal(datafs_conn_call(conns[side],
							  &mutual[side][i], bulk,
							  1000, 600000), 0);
		}
}

static bool all_mutual(void)
{
	return replies == 2 * MUTUAL;
}

static void each_other(void **state)
{
	(void)state;
	a.answer = answer_long;
	b.answer = answer_long;
	both();
	on_loop(call_each_other);
	until(all_mutual);
	assert_int_equal(a.downs + b.downs, 0);
	assert_int_equal(wrong, 0);
}

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

static unsigned int looks;

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
	raw_rcvbuf = 65536;
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	raw_rcvbuf = 0;
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
	raw_rcvbuf = 65536;
	raw_up(&r, DATAFS_ROLE_MEMBER, 7);
	raw_rcvbuf = 0;
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

static int setup(void **state)
{
	replies = timeouts = resets = 0;
	return messenger_setup(state);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, messenger_teardown)
	const struct CMUnitTest tests[] = {
		T(many_cancels), T(long_calls), T(each_other), T(slow_reader),
		T(held_calls), T(held_and_gone), T(full_queue), T(slow_stream),
	};

	return cmocka_run_group_tests_name("wire_messenger_flow", tests, NULL,
					   NULL);
}
