// SPDX-License-Identifier: Apache-2.0
#include "messenger_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* What may follow on what: a mask of states. */
static const uint8_t legal[CONN_STATES] = {
	[CONN_CONNECTING] = 1 << CONN_HANDSHAKE | 1 << CONN_DEAD,
	[CONN_HANDSHAKE] = 1 << CONN_UP | 1 << CONN_REFUSING | 1 << CONN_DEAD,
	[CONN_UP] = 1 << CONN_DEAD,
	[CONN_REFUSING] = 1 << CONN_DEAD,
	[CONN_DEAD] = 0,
};

static bool is_half_open(enum conn_state state)
{
	return state == CONN_HANDSHAKE || state == CONN_REFUSING;
}

bool conn_is_half_open(const struct datafs_conn *conn)
{
	return conn->accepted && is_half_open(conn->state);
}

static bool conn_become(struct datafs_conn *conn, enum conn_state state)
{
	if (!(legal[conn->state] & 1 << state))
		return false;
	if (conn_is_half_open(conn) && !is_half_open(state))
		conn->wire->half_open--;
	conn->state = state;
	return true;
}

struct datafs_conn *datafs_conn_get(struct datafs_conn *conn)
{
	conn->refs++;
	return conn;
}

void datafs_conn_put(struct datafs_conn *conn)
{
	if (--conn->refs)
		return;
	if (conn->wire)
		TAILQ_REMOVE(&conn->wire->conns, conn, link);
	queue_free(&conn->queue);
	datafs_encoder_free(&conn->enc);
	datafs_decoder_free(&conn->dec);
	close(conn->fd);
	free(conn->calls);
	free(conn);
}

const struct datafs_wire_peer *datafs_conn_who(const struct datafs_conn *conn)
{
	return &conn->who;
}

int64_t datafs_conn_heard(const struct datafs_conn *conn)
{
	return conn->heard;
}

struct datafs_peer *datafs_conn_peer(const struct datafs_conn *conn)
{
	return conn->peer;
}

size_t datafs_conn_queued(const struct datafs_conn *conn)
{
	return conn->queue.bytes;
}

void datafs_conn_end(struct datafs_conn *conn, int err)
{
	struct datafs_wire *wire = conn->wire;
	bool was_up = conn->state == CONN_UP;
	struct datafs_peer *peer = conn->peer;
	const char *why = strerror(-err);

	if (conn->refused)
		why = datafs_refusal_text(conn->hs.refusal);
	if (!conn_become(conn, CONN_DEAD))
		return;
	if (conn->accepted)
		wire->accepted--;
	if (conn->dirty)
		TAILQ_REMOVE(&wire->dirty, conn, dirty_link);
	conn->dirty = false;
	datafs_deadline_clear(wire->deadlines, &conn->deadline);
	datafs_loop_abort(wire->conf.loop, &conn->recv);
	datafs_loop_abort(wire->conf.loop, &conn->send);
	datafs_handshake_end(&conn->hs);
	if (was_up) {
		calls_fail(conn);
		wire->conf.ops->down(wire->conf.arg, conn, err);
	}
	/* down() may have given up the peer. */
	if (peer && conn->peer == peer) {
		conn->peer = NULL;
		wire_lost(peer, err, why, conn->heard_frame);
	}
	/* Who keeps its memory does not keep it open for the other side. */
	shutdown(conn->fd, SHUT_RDWR);
	datafs_conn_put(conn);
}

static void conn_recv(struct datafs_conn *conn)
{
	size_t len;
	void *to = datafs_decoder_room(&conn->dec, &len);
	int err = to ? datafs_loop_recv(conn->wire->conf.loop, &conn->recv,
					conn->fd, to, len) : -ENOMEM;

	if (err)
		datafs_conn_end(conn, err);
	else
		datafs_conn_get(conn);
}

/*
 * Not heard since a PING went out that asked for an answer. While that PING waits
 * behind other frames, the peer is known to live by what it takes.
 */
static bool conn_silent(const struct datafs_conn *conn, int64_t now)
{
	const struct datafs_wire_limits *l = &conn->wire->conf.limits;

	return now - conn->heard >= l->dead * DATAFS_MSEC && conn->asked &&
	       now - conn->asked >= ((int64_t)l->dead - l->idle) * DATAFS_MSEC;
}

static void conn_late(struct datafs_deadline *d)
{
	struct datafs_conn *conn = (void *)((char *)d -
				offsetof(struct datafs_conn, deadline));
	const struct datafs_wire_limits *l = &conn->wire->conf.limits;
	int64_t now = datafs_now();

	if (conn->state != CONN_UP) {
		if (conn->accepted)
			wire_stranger(conn->wire, "no handshake in time", "");
		datafs_conn_end(conn, conn->refused ? conn->refused : -ETIMEDOUT);
		return;
	}
	if (conn_silent(conn, now) ||
	    (conn->queue.bytes && now - conn->taken >= l->dead * DATAFS_MSEC)) {
		datafs_conn_end(conn, -ETIMEDOUT);
		return;
	}
	if (now - conn->heard >= l->idle * DATAFS_MSEC)
		conn_beat(conn, DATAFS_FRAME_PING);
	/* There is room where this one was. */
	if (conn->state == CONN_UP)
		datafs_deadline_set(conn->wire->deadlines, d, l->idle);
}

static void conn_up(struct datafs_conn *conn)
{
	struct datafs_handshake *hs = &conn->hs;
	struct datafs_wire *wire = conn->wire;
	int err = calls_new(&conn->calls);

	conn->who = hs->peer;
	if (!err)
		err = datafs_encoder_agreed(&conn->enc, wire->conf.self.role,
					    hs->authenticated ? hs->send_key : NULL);
	if (!err)
		err = datafs_decoder_agreed(&conn->dec, hs->peer.role,
					    hs->authenticated ? hs->recv_key : NULL);
	datafs_handshake_end(hs);
	if (err) {
		datafs_conn_end(conn, err);
		return;
	}
	/* It tells the initiator that its proof was accepted. */
	if (conn->accepted)
		conn_beat(conn, DATAFS_FRAME_PING);
	if (!conn_become(conn, CONN_UP))
		return;
	/* Set already, so that there is room. */
	datafs_deadline_set(wire->deadlines, &conn->deadline,
			    wire->conf.limits.idle);
	wire->conf.ops->up(wire->conf.arg, conn);
}

static void conn_say(struct datafs_conn *conn,
		     const struct datafs_handshake_msg *msg)
{
	if (msg->len)
		conn_must_queue(conn, msg->type, 0, msg->body, msg->len);
}

static void conn_handshake(struct datafs_conn *conn,
			   const struct datafs_frame *f)
{
	struct datafs_handshake_msg out;
	int err = datafs_handshake_input(&conn->hs, f->type, f->body, f->len,
					 &out);

	if (err && conn->accepted)
		wire_stranger(conn->wire, datafs_refusal_text(conn->hs.refusal),
			      conn->hs.told ? " (says the other side)" : "");
	conn->refused = err;
	conn_say(conn, &out);
	if (conn->state == CONN_DEAD)
		return;
	if (err && out.len)
		conn_become(conn, CONN_REFUSING);
	else if (err)
		datafs_conn_end(conn, err);
	else if (conn->hs.state == DATAFS_HANDSHAKE_DONE)
		conn_up(conn);
}

/* 0, or why the peer is not to be listened to any more. */
static int conn_frame(struct datafs_conn *conn, const struct datafs_frame *f)
{
	if (conn->state == CONN_HANDSHAKE) {
		conn_handshake(conn, f);
		return 0;
	}
	conn->heard_frame = true;
	switch (f->type) {
	case DATAFS_FRAME_PING:
		conn_beat(conn, DATAFS_FRAME_PONG);
		return 0;
	case DATAFS_FRAME_PONG:
		return 0;
	case DATAFS_FRAME_RAFT:
	case DATAFS_FRAME_BULK:
		conn->wire->conf.ops->frame(conn->wire->conf.arg, conn, f);
		return 0;
	default:
		return calls_frame(conn, f);
	}
}

static void conn_broken(struct datafs_conn *conn, int err, const char *why)
{
	if (conn->state == CONN_UP)
		datafs_log(LOG_WARNING, "node %llu: %s; connection ended",
			   (unsigned long long)conn->who.node, why);
	else if (conn->accepted)
		wire_stranger(conn->wire, why, "");
	datafs_conn_end(conn, err);
}

static bool conn_listens(const struct datafs_conn *conn)
{
	return conn->state == CONN_HANDSHAKE || conn->state == CONN_UP;
}

/* To who was told -EAGAIN, once there is room again of what there was none. */
static void conn_tell_ready(struct datafs_conn *conn)
{
	const struct datafs_wire_conf *conf = &conn->wire->conf;
	bool calls = conn->calls_full && calls_have_room(conn->calls);

	if (conn->state != CONN_UP || !(conn->full || calls) ||
	    conn->queue.bytes > conf->limits.queue / 2)
		return;
	conn->full = false;
	if (calls)
		conn->calls_full = false;
	if (conf->ops->ready)
		conf->ops->ready(conf->arg, conn);
}

static void conn_received(struct datafs_event *ev, int res)
{
	struct datafs_conn *conn = (void *)((char *)ev -
					    offsetof(struct datafs_conn, recv));
	struct datafs_frame f;
	int err;

	if (!conn_listens(conn)) {
		datafs_conn_put(conn);
		return;
	}
	if (res <= 0 && res != -EAGAIN && res != -EINTR) {
		datafs_conn_end(conn, res ? res : -ECONNRESET);
		datafs_conn_put(conn);
		return;
	}
	if (res > 0) {
		conn->heard = datafs_now();
		conn->asked = 0;
		datafs_decoder_came(&conn->dec, res);
	}
	while (conn_listens(conn)) {
		err = datafs_decoder_next(&conn->dec, &f);
		if (!err)
			break;
		if (err < 0) {
			conn_broken(conn, err, conn->dec.why);
			break;
		}
		err = conn_frame(conn, &f);
		if (err)
			conn_broken(conn, err, err == -EPROTO ?
				    "a call where none may be" : strerror(-err));
	}
	conn_tell_ready(conn);
	if (conn_listens(conn))
		conn_recv(conn);
	datafs_conn_put(conn);
}

void conn_sent(struct datafs_event *ev, int res)
{
	struct datafs_conn *conn = (void *)((char *)ev -
					    offsetof(struct datafs_conn, send));
	bool pings = conn->ping_end > conn->queue.gone;

	if (conn->state == CONN_DEAD) {
		datafs_conn_put(conn);
		return;
	}
	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		datafs_conn_end(conn, res == -EPIPE ? -ECONNRESET : res);
		datafs_conn_put(conn);
		return;
	}
	if (res > 0) {
		queue_sent(&conn->queue, res);
		conn->taken = datafs_now();
		/* Of several the first is the one that was not answered. */
		if (pings && !conn->asked && conn->ping_end <= conn->queue.gone)
			conn->asked = conn->taken;
	}
	if (conn->state == CONN_REFUSING && !conn->queue.bytes)
		datafs_conn_end(conn, conn->refused);
	conn_flush(conn);
	calls_hand_out(conn);
	conn_tell_ready(conn);
	datafs_conn_put(conn);
}

/* The socket is connected: begins to speak, or to listen. */
static void conn_begin(struct datafs_conn *conn)
{
	uint8_t nonce[DATAFS_NONCE_LEN];
	struct datafs_handshake_msg out;
	int one = 1, err;

	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	err = datafs_random(nonce, sizeof(nonce));
	if (err) {
		datafs_conn_end(conn, err);
		return;
	}
	datafs_handshake_begin(&conn->hs, &conn->wire->conf.self,
			       !conn->accepted, conn->peer ? conn->peer->node : 0,
			       nonce, &out);
	conn_say(conn, &out);
	if (conn->state == CONN_HANDSHAKE)
		conn_recv(conn);
}

void conn_connected(struct datafs_event *ev, int res)
{
	struct datafs_conn *conn = (void *)((char *)ev -
					    offsetof(struct datafs_conn, send));

	if (res < 0)
		datafs_conn_end(conn, res);
	else if (conn_become(conn, CONN_HANDSHAKE))
		conn_begin(conn);
	datafs_conn_put(conn);
}

int conn_new(struct datafs_wire *wire, int fd, struct datafs_peer *peer,
	     struct datafs_conn **res)
{
	struct datafs_conn *conn = calloc(1, sizeof(*conn));
	int err = conn ? 0 : -ENOMEM;

	if (!err) {
		conn->deadline.fn = conn_late;
		err = datafs_deadline_set(wire->deadlines, &conn->deadline,
					  wire->conf.limits.handshake);
	}
	if (err) {
		free(conn);
		close(fd);
		return err;
	}
	conn->wire = wire;
	conn->peer = peer;
	conn->refs = 1;
	conn->fd = fd;
	conn->accepted = !peer;
	conn->state = peer ? CONN_CONNECTING : CONN_HANDSHAKE;
	conn->recv.fn = conn_received;
	conn->heard = datafs_now();
	TAILQ_INIT(&conn->queue.chunks);
	datafs_encoder_init(&conn->enc);
	datafs_decoder_init(&conn->dec);
	TAILQ_INSERT_TAIL(&wire->conns, conn, link);
	if (res)
		*res = conn;
	if (peer)
		return 0;
	wire->accepted++;
	wire->half_open++;
	conn_begin(conn);
	return 0;
}

int datafs_conn_send(struct datafs_conn *conn, const struct datafs_frame *f)
{
	int err;

	if (conn->state != CONN_UP)
		return -ENOTCONN;
	if (f->type != DATAFS_FRAME_RAFT && f->type != DATAFS_FRAME_BULK)
		return -EPROTO;
	err = conn_queue(conn, f, conn->wire->conf.limits.queue);
	conn->full |= err == -EAGAIN;
	return err;
}
