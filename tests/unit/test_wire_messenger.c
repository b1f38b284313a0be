// SPDX-License-Identifier: Apache-2.0
/*
 * Two messengers on one loop, in a thread of its own; and peers made by hand,
 * which break the rules. Steps run on the loop's thread: on_loop().
 */
#define _GNU_SOURCE
#include "wire_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/util.h"
#include "wire/messenger.h"

struct side {
	struct datafs_keys keys;
	struct datafs_wire_conf conf;
	struct datafs_wire *wire;
	struct datafs_conn *conn;	/* while it is up */
	unsigned int ups, downs, frames, calls, cancels, readies;
	int err;			/* of the last down */
	uint32_t crc;			/* of all frames' bodies */
	bool echo;			/* answers calls at once */
	uint64_t ids[DATAFS_CALLS_MAX];	/* else keeps them, those by hand too */
	unsigned int kept;
};

static struct datafs_loop *loop;
static pthread_t thread;
static struct side a, b;	/* a connects to b */
static struct datafs_peer *peer;
static unsigned int replies, timeouts, resets, wrong;

static void up(void *arg, struct datafs_conn *conn)
{
	struct side *s = arg;

	s->ups++;
	s->conn = conn;
}

static void down(void *arg, struct datafs_conn *conn, int err)
{
	struct side *s = arg;

	s->downs++;
	s->err = err;
	wrong += s->conn != conn;
	s->conn = NULL;
	s->kept = 0;
}

static void frame(void *arg, struct datafs_conn *conn,
		  const struct datafs_frame *f)
{
	struct side *s = arg;

	(void)conn;
	s->frames++;
	s->crc = datafs_crc32c_more(s->crc, f->body, f->len);
}

static void call(void *arg, struct datafs_conn *conn, uint64_t id,
		 const void *body, uint32_t len);

static void cancelled(void *arg, struct datafs_conn *conn, uint64_t id)
{
	struct side *s = arg;

	(void)conn;
	(void)id;
	s->cancels++;
}

static void send_more(void);

static void ready(void *arg, struct datafs_conn *conn)
{
	struct side *s = arg;

	(void)conn;
	s->readies++;
	if (s == &a)
		send_more();
}

static const struct datafs_wire_ops ops = {
	.up = up, .down = down, .frame = frame, .call = call,
	.cancelled = cancelled, .ready = ready,
};

/* One step on the loop's thread. */
struct step {
	struct datafs_task task;
	void (*fn)(void);
	sem_t done;
};

static void step_run(struct datafs_task *task)
{
	struct step *s = (struct step *)task;

	s->fn();
	sem_post(&s->done);
}

static void on_loop(void (*fn)(void))
{
	struct step s = { .task.fn = step_run, .fn = fn };

	sem_init(&s.done, 0, 0);
	datafs_loop_post(loop, &s.task);
	while (sem_wait(&s.done))
		;
	sem_destroy(&s.done);
}

static bool (*until_fn)(void);
static bool until_res;

static void until_step(void)
{
	until_res = until_fn();
}

/* Long enough for any machine; a test that passes does not wait for it. */
static void until(bool (*fn)(void))
{
	until_fn = fn;
	for (int i = 0; i < 60000; i++) {
		on_loop(until_step);
		if (until_res)
			return;
		usleep(1000);
	}
	fail_msg("did not happen");
}

static void *run(void *arg)
{
	(void)arg;
	datafs_loop_run(loop);
	return NULL;
}

static void be(struct side *s, enum datafs_role role, uint64_t node,
	       struct datafs_keys keys)
{
	memset(s, 0, sizeof(*s));
	s->keys = keys;
	s->conf = (struct datafs_wire_conf) {
		.loop = loop, .limits = datafs_wire_limits, .ops = &ops,
		.arg = s,
		.self = { .role = role, .node = node, .keys = &s->keys,
			  .peers = 1u << DATAFS_ROLE_MEMBER |
				   1u << DATAFS_ROLE_CLIENT },
	};
	s->conf.limits.backoff = 5;
	s->conf.limits.backoff_max = 20;
	s->echo = true;
}

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_ERR);
	replies = timeouts = resets = wrong = 0;
	peer = NULL;
	if (datafs_loop_new(&loop))
		return -1;
	be(&a, DATAFS_ROLE_MEMBER, 1, wire_keys(1, 1));
	be(&b, DATAFS_ROLE_MEMBER, 2, wire_keys(1, 1));
	return pthread_create(&thread, NULL, run, NULL);
}

static void stop(void)
{
	datafs_wire_free(a.wire);
	datafs_wire_free(b.wire);
	datafs_loop_stop(loop);
}

/* From a deferred task: the messengers' end runs the loop itself. */
static int teardown(void **state)
{
	(void)state;
	on_loop(stop);
	pthread_join(thread, NULL);
	datafs_loop_free(loop);
	return a.ups == a.downs && b.ups == b.downs && !wrong ? 0 : -1;
}

static void listen_b(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(datafs_wire_new(&b.conf, &b.wire), 0);
	assert_int_equal(datafs_wire_listen(b.wire, (void *)&in, sizeof(in)), 0);
	assert_int_not_equal(datafs_wire_port(b.wire), 0);
}

static void listen_b6(void)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	assert_int_equal(datafs_wire_new(&b.conf, &b.wire), 0);
	assert_int_equal(datafs_wire_listen(b.wire, (void *)&in, sizeof(in)), 0);
}

static void connect_a(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(datafs_wire_port(b.wire));
	assert_int_equal(datafs_wire_new(&a.conf, &a.wire), 0);
	assert_int_equal(datafs_wire_connect(a.wire, (void *)&in, sizeof(in), 2,
					     &peer), 0);
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

static bool both_up(void)
{
	return a.conn && b.conn;
}

static bool both_down(void)
{
	return a.downs && b.downs;
}

static void both(void)
{
	on_loop(listen_b);
	on_loop(connect_a);
	until(both_up);
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

static bool tried_a_while(void)
{
	static int n;

	return ++n % 50 == 0;
}

static void wrong_key(void **state)
{
	(void)state;
	a.keys.key[0].key[0] ^= 1;
	on_loop(listen_b);
	on_loop(connect_a);
	until(tried_a_while);
	assert_int_equal(a.ups + b.ups, 0);
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

static void call(void *arg, struct datafs_conn *conn, uint64_t id,
		 const void *body, uint32_t len)
{
	struct side *s = arg;
	const uint8_t *p = body;
	unsigned int i;

	s->calls++;
	if (!s->echo) {
		s->ids[s->kept++ % DATAFS_CALLS_MAX] = id;
		return;
	}
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
	b.echo = false;
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

/* Peers made by hand, on the test's own thread with a blocking socket. */
struct raw {
	int fd;
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_handshake_conf conf;
	struct datafs_keys keys;
};

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
	uint8_t out[2000];
	size_t n = datafs_encoder_size(&r->enc, len);

	assert_int_equal(datafs_encoder_put(&r->enc, &f, out), 0);
	/* It may have been hung up on us already. */
	if (send(r->fd, out, n, MSG_NOSIGNAL) != (ssize_t)n)
		assert_true(errno == EPIPE || errno == ECONNRESET);
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
	b.echo = false;
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
	b.echo = false;
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
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(i - 1, 25);
	assert_int_equal(b.err, -ENOBUFS);
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
	b.echo = false;
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
	/* It reads no more. */
	for (unsigned int i = 2; i < 50; i++)
		raw_send(&r, DATAFS_FRAME_CALL, 1024 + i, NULL, 0);
	until(b_has_50);
	on_loop(reply_too_much);
	assert_int_equal(b.downs, 1);
	raw_close(&r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(up_and_down), T(over_ipv6), T(wrong_key), T(frames), T(chaos),
		T(loss), T(no_raft_from_clients), T(bad_calls),
		T(too_many_calls), T(stray), T(half_open), T(too_late),
		T(garbage), T(silent), T(slow_reader),
	};

	return cmocka_run_group_tests_name("wire_messenger", tests, NULL, NULL);
}
