// SPDX-License-Identifier: Apache-2.0
/* Two messengers that keep the rules: frames, calls, and what fails. */
#define _GNU_SOURCE
#include "wire_messenger_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/util.h"

static unsigned int replies, timeouts, resets;

static int setup(void **state)
{
	replies = timeouts = resets = 0;
	return messenger_setup(state);
}

static void listen_b6(void)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	assert_int_equal(datafs_wire_new(&b.conf, &b.wire), 0);
	assert_int_equal(datafs_wire_listen(b.wire, (void *)&in, sizeof(in)), 0);
}

static void connect_a6(void)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	in.sin6_port = htons(datafs_wire_port(b.wire));
	assert_int_equal(datafs_wire_new(&a.conf, &a.wire), 0);
	assert_int_equal(datafs_wire_connect(a.wire, (void *)&in, sizeof(in), 2,
					     &peer), 0);
}

static void check_who(void)
{
	assert_int_equal(datafs_conn_who(a.conn)->node, 2);
	assert_int_equal(datafs_conn_who(b.conn)->node, 1);
	assert_int_equal(datafs_conn_who(b.conn)->role, DATAFS_ROLE_MEMBER);
	assert_ptr_equal(datafs_conn_peer(a.conn), peer);
	assert_null(datafs_conn_peer(b.conn));
}

static void hang_up(void)
{
	datafs_wire_disconnect(peer);
	assert_null(a.conn);
	assert_int_equal(a.err, -ESHUTDOWN);
}

static void up_and_down(void **state)
{
	(void)state;
	both();
	on_loop(check_who);
	on_loop(hang_up);
	until(both_down);
	assert_int_equal(a.ups, 1);
	assert_int_equal(b.ups, 1);
	assert_int_equal(b.err, -ECONNRESET);
}

static void over_ipv6(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 in = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool have = fd >= 0 && !bind(fd, (void *)&in, sizeof(in));

	(void)state;
	if (fd >= 0)
		close(fd);
	if (!have) {
		skip();
		return;
	}
	on_loop(listen_b6);
	on_loop(connect_a6);
	until(both_up);
	on_loop(check_who);
}

/* With which key it connects from now on. */
static void right_key(void)
{
	a.keys.key[0].key[0] ^= 1;
	if (a.wire)
		assert_int_equal(datafs_wire_rekey(a.wire, &a.keys), 0);
}

static unsigned int looks;

static bool looked_often(void)
{
	return ++looks == 100;
}

/* Refused, again and again, until the key is right. */
static void wrong_key(void **state)
{
	(void)state;
	looks = 0;
	right_key();
	on_loop(listen_b);
	on_loop(connect_a);
	until(looked_often);
	assert_int_equal(a.ups + b.ups, 0);
	on_loop(right_key);
	until(both_up);
}

static void authentication_off(void **state)
{
	(void)state;
	datafs_keys_off(&a.keys, a.keys.cluster);
	looks = 0;
	on_loop(listen_b);
	on_loop(connect_a);
	until(looked_often);
	assert_int_equal(a.ups + b.ups, 0);
}

static void both_off(void **state)
{
	(void)state;
	datafs_keys_off(&a.keys, a.keys.cluster);
	datafs_keys_off(&b.keys, b.keys.cluster);
	both();
	on_loop(check_who);
	assert_int_equal(datafs_conn_who(a.conn)->key, 0);
}

static struct sockaddr_in place;

/* A port at which nobody is any more. */
static void leave(void)
{
	place.sin_family = AF_INET;
	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	place.sin_port = htons(datafs_wire_port(b.wire));
	datafs_wire_free(b.wire);
	b.wire = NULL;
}

static void come_back(void)
{
	assert_int_equal(datafs_wire_new(&b.conf, &b.wire), 0);
	assert_int_equal(datafs_wire_listen(b.wire, (void *)&place,
					    sizeof(place)), 0);
}

static bool a_down(void)
{
	return a.downs == 1 && b.downs == 1;
}

/* The other side ends as a whole, and later there is one again. */
static void restart(void **state)
{
	(void)state;
	both();
	on_loop(leave);
	assert_int_equal(b.err, -ESHUTDOWN);
	until(a_down);
	looks = 0;
	until(looked_often);
	on_loop(come_back);
	until(both_up);
	assert_int_equal(a.ups, 2);
	assert_int_equal(b.ups, 2);
}

/* Frames of all sizes, as many as fit, in order. */
static unsigned int to_send;
static uint32_t sent_crc;
static uint8_t *big;

static void send_more(void)
{
	while (to_send && a.conn) {
		struct datafs_frame f = {
			.type = to_send % 2 ? DATAFS_FRAME_BULK : DATAFS_FRAME_RAFT,
			.id = to_send, .body = big,
			.len = to_send % 50 ? 1 + to_send * 37 % 900 :
					      DATAFS_FRAME_MAX_BULK,
		};
		int err;

		datafs_put_be64(big, wire_rnd());
		err = datafs_conn_send(a.conn, &f);
		if (err) {
			wrong += err != -EAGAIN;
			return;
		}
		wrong += datafs_conn_queued(a.conn) > a.conf.limits.queue;
		sent_crc = datafs_crc32c_more(sent_crc, big, f.len);
		to_send--;
	}
}

static bool b_has_1000(void)
{
	return b.frames == 1000;
}

static void refuse_to_send(void)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_CALL };

	assert_int_equal(datafs_conn_send(a.conn, &f), -EPROTO);
	f.type = DATAFS_FRAME_BULK;
	f.len = DATAFS_FRAME_MAX_BULK + 1;
	assert_int_equal(datafs_conn_send(a.conn, &f), -EMSGSIZE);
}

static void frames(void **state)
{
	(void)state;
	wire_seed();
	to_send = 1000;
	sent_crc = 0;
	big = calloc(1, DATAFS_FRAME_MAX_BULK);
	a.on_ready = send_more;
	both();
	on_loop(send_more);
	until(b_has_1000);
	assert_int_equal(to_send, 0);
	assert_int_equal(b.crc, sent_crc);
	assert_true(a.readies > 0);
	on_loop(refuse_to_send);
	free(big);
}

/* Calls. What becomes of one is in its first byte. */
enum fate { ANSWERED, NEVER, GIVEN_UP, FATES };

struct a_call {
	struct datafs_call call;
	enum fate fate;
	uint32_t len, crc;
	bool busy;
};

#define IN_FLIGHT	600

static struct a_call pool[DATAFS_CALLS_MAX + 1];
static unsigned int to_call, made[FATES];
static struct { uint64_t id; uint32_t len; uint8_t *body; } held[IN_FLIGHT];
static unsigned int n_held;

static void answer_some(struct datafs_conn *conn, uint64_t id,
			const void *body, uint32_t len)
{
	const uint8_t *p = body;
	unsigned int i;

	if (len && p[0] != ANSWERED)
		return;
	/* Some wait, and others are answered in their stead. */
	if (n_held < IN_FLIGHT / 4) {
		i = n_held++;
	} else {
		i = wire_rnd() % n_held;
		wrong += datafs_conn_reply(conn, held[i].id, held[i].body,
					   held[i].len) != 0;
		wrong += datafs_conn_reply(conn, held[i].id, NULL, 0) != -ENOENT;
		free(held[i].body);
	}
	held[i].id = id;
	held[i].len = len;
	held[i].body = malloc(len + 1);
	if (len)
		memcpy(held[i].body, body, len);
}

static void make_calls(void);

static void called(struct datafs_call *c, int err, const void *body,
		   uint32_t len)
{
	struct a_call *x = (struct a_call *)c;

	wrong += !x->busy || c->conn;
	x->busy = false;
	replies += !err;
	timeouts += err == -ETIMEDOUT;
	resets += err == -ECONNRESET;
	wrong += !err && (len != x->len || datafs_crc32c(body, len) != x->crc ||
			  x->fate != ANSWERED);
	wrong += err == -ETIMEDOUT && x->fate != NEVER;
	make_calls();
}

static uint8_t body_of_call[3000];

static bool make_call(struct a_call *x, enum fate fate, uint32_t len, uint32_t ms)
{
	int err;

	wire_fill(body_of_call, DATAFS_MIN(len, 40));
	body_of_call[0] = fate;
	x->call.fn = called;
	x->fate = fate;
	x->len = len;
	x->crc = datafs_crc32c(body_of_call, len);
	err = datafs_conn_call(a.conn, &x->call, body_of_call, len, ms);
	wrong += err && err != -EAGAIN;
	x->busy = !err;
	return !err;
}

static void make_calls(void)
{
	for (unsigned int i = 0; i < IN_FLIGHT && to_call && a.conn; i++) {
		unsigned int dice = wire_rnd() % 100;
		enum fate fate = dice == 0 ? NEVER : dice == 1 ? GIVEN_UP : ANSWERED;

		if (pool[i].busy)
			continue;
		if (!make_call(&pool[i], fate, 1 + wire_rnd() %
			       (dice < 10 ? sizeof(body_of_call) - 1 : 300),
			       fate == NEVER ? 1 + dice * 5 : 600000))
			return;
		to_call--;
		made[fate]++;
		if (fate == GIVEN_UP) {
			datafs_call_cancel(&pool[i].call);
			datafs_call_cancel(&pool[i].call);
			pool[i].busy = false;
		}
	}
}

/* Those that wait are answered when nothing else comes any more. */
static bool all_ended(void)
{
	if (to_call || b.calls < made[ANSWERED] + made[NEVER] + made[GIVEN_UP])
		return false;
	while (n_held) {
		n_held--;
		wrong += datafs_conn_reply(b.conn, held[n_held].id,
					   held[n_held].body, held[n_held].len) != 0;
		free(held[n_held].body);
	}
	return replies == made[ANSWERED] && timeouts == made[NEVER] &&
	       b.cancels == made[NEVER] + made[GIVEN_UP];
}

static void chaos(void **state)
{
	int64_t from;

	(void)state;
	wire_seed();
	memset(made, 0, sizeof(made));
	n_held = 0;
	to_call = 100000;
	b.answer = answer_some;
	both();
	from = datafs_now();
	on_loop(make_calls);
	until(all_ended);
	print_message("%u calls, %lld ms\n", b.calls,
		      (long long)((datafs_now() - from) / DATAFS_MSEC));
	assert_int_equal(b.calls, 100000);
	assert_int_equal(replies + timeouts + made[GIVEN_UP], 100000);
	assert_int_equal(resets, 0);
	assert_int_equal(wrong, 0);
}

static void fill_calls(void)
{
	for (unsigned int i = 0; i < DATAFS_CALLS_MAX; i++)
		assert_true(make_call(&pool[i], ANSWERED, 100, 600000));
	assert_false(make_call(&pool[DATAFS_CALLS_MAX], ANSWERED, 1, 600000));
	assert_int_equal(datafs_conn_call(a.conn, &pool[DATAFS_CALLS_MAX].call,
					  NULL, 0, 0), -EINVAL);
}

static bool b_has_calls(void)
{
	return b.kept == DATAFS_CALLS_MAX;
}

static struct datafs_conn *old;

static void lose(void)
{
	old = datafs_conn_get(a.conn);
	/* One of them is answered, and that does not reach anybody. */
	assert_int_equal(datafs_conn_reply(b.conn, b.ids[7], "x", 1), 0);
	datafs_conn_end(b.conn, -EIO);
	assert_int_equal(b.err, -EIO);
}

static bool up_again(void)
{
	return a.ups == 2 && b.ups == 2 && both_up();
}

static void check_old(void)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_RAFT };

	assert_int_equal(resets, DATAFS_CALLS_MAX);
	assert_int_equal(datafs_conn_send(old, &f), -ENOTCONN);
	assert_int_equal(datafs_conn_call(old, &pool[0].call, NULL, 0, 1), -ENOTCONN);
	assert_int_equal(datafs_conn_reply(old, 1025, NULL, 0), -ENOTCONN);
	datafs_conn_put(old);
	assert_true(make_call(&pool[0], ANSWERED, 10, 600000));
}

static bool b_has_one(void)
{
	return b.kept == 1;
}

static void answer_it(void)
{
	assert_int_equal(datafs_conn_reply(b.conn, b.ids[0], body_of_call, 10), 0);
}

static bool replied(void)
{
	return replies == 1;
}

/* Every call fails once, and the connection comes back. */
static void loss(void **state)
{
	(void)state;
	to_call = 0;
	both();
	on_loop(fill_calls);
	until(b_has_calls);
	on_loop(lose);
	until(up_again);
	on_loop(check_old);
	until(b_has_one);
	on_loop(answer_it);
	until(replied);
	assert_int_equal(resets, DATAFS_CALLS_MAX);
	assert_int_equal(a.downs, 1);
}

/* Calls whose owner gives up all the others when one has failed. */
static void give_up_others(struct datafs_call *c, int err, const void *body,
			   uint32_t len)
{
	(void)body;
	(void)len;
	wrong += err != -ECONNRESET;
	resets++;
	for (unsigned int i = 0; i < 3; i++)
		if (&pool[i].call != c)
			datafs_call_cancel(&pool[i].call);
}

static void make_three(void)
{
	for (unsigned int i = 0; i < 3; i++) {
		pool[i].call.fn = give_up_others;
		assert_int_equal(datafs_conn_call(a.conn, &pool[i].call, NULL, 0,
						  600000), 0);
	}
}

static bool b_has_three(void)
{
	return b.kept == 3;
}

static void end_b(void)
{
	datafs_conn_end(b.conn, -EIO);
}

/* Nothing is queued any more in a connection that is failing its calls. */
static void cancel_while_failing(void **state)
{
	(void)state;
	both();
	on_loop(make_three);
	until(b_has_three);
	on_loop(end_b);
	until(up_again);
	assert_int_equal(resets, 1);
}

static void keep_and_hang_up(void)
{
	old = datafs_conn_get(a.conn);
	hang_up();
}

static void put_old(void)
{
	datafs_conn_put(old);
}

/* Who keeps a connection does not keep it open. */
static void kept(void **state)
{
	(void)state;
	both();
	on_loop(keep_and_hang_up);
	until(both_down);
	on_loop(put_old);
	assert_int_equal(b.err, -ECONNRESET);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, messenger_teardown)
	const struct CMUnitTest tests[] = {
		T(up_and_down), T(over_ipv6), T(wrong_key),
		T(authentication_off), T(both_off), T(restart), T(frames),
		T(chaos), T(loss), T(cancel_while_failing), T(kept),
	};

	return cmocka_run_group_tests_name("wire_messenger_calls", tests, NULL,
					   NULL);
}
