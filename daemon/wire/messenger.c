// SPDX-License-Identifier: Apache-2.0
#include "messenger.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "messenger_internal.h"

#define BACKLOG		128
#define ACCEPT_AGAIN_MS	100	/* after it failed, for want of descriptors say */

const struct datafs_wire_limits datafs_wire_limits = {
	.queue = 8 << 20, .half_open = 64, .conns = 1024,
	.handshake = DATAFS_HANDSHAKE_MS, .idle = 5000, .dead = 15000,
	.backoff = 100, .backoff_max = 5000,
};

void wire_stranger(struct datafs_wire *wire, const char *why, const char *more)
{
	int64_t now = datafs_now();

	if (wire->said && now - wire->said < DATAFS_SEC) {
		wire->unsaid++;
		return;
	}
	datafs_log(LOG_WARNING, "port %u: somebody was refused: %s%s; %u more since the last line",
		   wire->port, why, more, wire->unsaid);
	wire->said = now;
	wire->unsaid = 0;
}

static void peer_again(struct datafs_peer *peer)
{
	uint16_t random = 0;
	uint32_t ms = peer->backoff;

	/* Members that were cut off together do not come back together. */
	datafs_random(&random, sizeof(random));
	ms += random % (ms / 4 + 1);
	peer->backoff = DATAFS_MIN(peer->backoff * 2,
				   peer->wire->conf.limits.backoff_max);
	/* Nobody else would ever connect to it. */
	if (datafs_deadline_set(peer->wire->deadlines, &peer->again, ms))
		datafs_loop_fail(peer->wire->conf.loop, -ENOMEM,
				 "to connect again");
}

void wire_lost(struct datafs_peer *peer, int err, const char *why, bool was_up)
{
	peer->conn = NULL;
	if (was_up)
		peer->backoff = peer->wire->conf.limits.backoff;
	/* Not again and again. */
	if (err != peer->said || was_up)
		datafs_log(LOG_WARNING, "node %llu: %s: %s",
			   (unsigned long long)peer->node,
			   was_up ? "connection lost" : "cannot connect", why);
	peer->said = err;
	peer_again(peer);
}

static void peer_connect(struct datafs_deadline *d)
{
	struct datafs_peer *peer = (void *)((char *)d -
					    offsetof(struct datafs_peer, again));
	struct datafs_wire *wire = peer->wire;
	struct datafs_conn *conn;
	int fd, err;

	fd = socket(peer->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	err = fd < 0 ? -errno : conn_new(wire, fd, peer, &conn);
	if (err) {
		wire_lost(peer, err, strerror(-err), false);
		return;
	}
	peer->conn = conn;
	conn->send.fn = conn_connected;
	err = datafs_loop_connect(wire->conf.loop, &conn->send, fd,
				  (struct sockaddr *)&peer->addr, peer->addr_len);
	if (err)
		datafs_conn_end(conn, err);
	else
		datafs_conn_get(conn);
}

int datafs_wire_connect(struct datafs_wire *wire, const struct sockaddr *addr,
			socklen_t len, uint64_t node, struct datafs_peer **res)
{
	struct datafs_peer *peer;
	int err;

	if (len > sizeof(peer->addr))
		return -EINVAL;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	peer->wire = wire;
	memcpy(&peer->addr, addr, len);
	peer->addr_len = len;
	peer->node = node;
	peer->backoff = wire->conf.limits.backoff;
	peer->again.fn = peer_connect;
	/* Not from here: the caller has not got it yet. */
	err = datafs_deadline_set(wire->deadlines, &peer->again, 0);
	if (err) {
		free(peer);
		return err;
	}
	TAILQ_INSERT_TAIL(&wire->peers, peer, link);
	*res = peer;
	return 0;
}

void datafs_wire_disconnect(struct datafs_peer *peer)
{
	struct datafs_conn *conn = peer->conn;

	datafs_deadline_clear(peer->wire->deadlines, &peer->again);
	TAILQ_REMOVE(&peer->wire->peers, peer, link);
	if (conn) {
		conn->peer = NULL;
		datafs_conn_end(conn, -ESHUTDOWN);
	}
	free(peer);
}

/* Nobody else would ever accept any more. */
static void accept_later(struct datafs_wire *wire)
{
	if (datafs_deadline_set(wire->deadlines, &wire->accept_again,
				ACCEPT_AGAIN_MS))
		datafs_loop_fail(wire->conf.loop, -ENOMEM, "to accept again");
}

static void accept_more(struct datafs_wire *wire)
{
	if (datafs_loop_accept(wire->conf.loop, &wire->accept, wire->listen_fd))
		accept_later(wire);
}

static void accept_again(struct datafs_deadline *d)
{
	accept_more((void *)((char *)d -
			     offsetof(struct datafs_wire, accept_again)));
}

/*
 * The one that has been without a handshake for the longest makes room: it is the least
 * likely one to end it, and those who only connect keep nobody else out. False: all are up.
 */
static bool drop_half_open(struct datafs_wire *wire)
{
	struct datafs_conn *conn;

	TAILQ_FOREACH(conn, &wire->conns, link)
		if (conn_is_half_open(conn))
			break;
	if (!conn)
		return false;
	wire_stranger(wire, "too many connections; this one had no handshake yet", "");
	datafs_conn_end(conn, conn->refused ? conn->refused : -ECONNABORTED);
	return true;
}

static void accepted(struct datafs_event *ev, int res)
{
	struct datafs_wire *wire = (void *)((char *)ev -
					    offsetof(struct datafs_wire, accept));
	const struct datafs_wire_limits *l = &wire->conf.limits;

	if (wire->listen_fd < 0) {
		if (res >= 0)
			close(res);
		return;
	}
	if (res < 0) {
		wire_stranger(wire, strerror(-res), "");
		accept_later(wire);
		return;
	}
	if ((wire->half_open >= l->half_open || wire->accepted >= l->conns) &&
	    !drop_half_open(wire)) {
		wire_stranger(wire, "too many connections", "");
		close(res);
	} else if (conn_new(wire, res, NULL, NULL)) {
		wire_stranger(wire, "no memory", "");
	}
	accept_more(wire);
}

int datafs_wire_listen(struct datafs_wire *wire, const struct sockaddr *addr,
		       socklen_t len)
{
	struct sockaddr_storage is = { 0 };
	socklen_t is_len = sizeof(is);
	int one = 1, err, fd;

	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, addr, len) || listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&is, &is_len)) {
		err = -errno;
		datafs_log(LOG_ERR, "cannot listen: %s", strerror(-err));
		if (fd >= 0)
			close(fd);
		return err;
	}
	wire->listen_fd = fd;
	wire->port = ntohs(is.ss_family == AF_INET6 ?
			   ((struct sockaddr_in6 *)&is)->sin6_port :
			   ((struct sockaddr_in *)&is)->sin_port);
	accept_more(wire);
	return 0;
}

uint16_t datafs_wire_port(const struct datafs_wire *wire)
{
	return wire->port;
}

int datafs_wire_new(const struct datafs_wire_conf *conf,
		    struct datafs_wire **res)
{
	struct datafs_wire *wire = calloc(1, sizeof(*wire));
	int err;

	if (!wire)
		return -ENOMEM;
	wire->conf = *conf;
	wire->keys = *conf->self.keys;
	wire->conf.self.keys = &wire->keys;
	wire->listen_fd = -1;
	wire->accept.fn = accepted;
	wire->accept_again.fn = accept_again;
	wire->flush.fn = wire_flush;
	TAILQ_INIT(&wire->conns);
	TAILQ_INIT(&wire->dirty);
	TAILQ_INIT(&wire->peers);
	err = datafs_deadlines_new(conf->loop, &wire->deadlines);
	if (err) {
		datafs_keys_wipe(&wire->keys);
		free(wire);
		return err;
	}
	if (conf->self.keys->off)
		datafs_log(LOG_WARNING, "authentication is off: whoever reaches this node is believed");
	*res = wire;
	return 0;
}

/* The kernel uses what belongs to the event until it is over. */
static void conn_settle(struct datafs_conn *conn, struct datafs_event *ev)
{
	if (!ev->pending)
		return;
	datafs_loop_cancel(conn->wire->conf.loop, ev);
	datafs_conn_put(conn);
}

void datafs_wire_free(struct datafs_wire *wire)
{
	struct datafs_conn *conn, *next;
	struct datafs_peer *peer;
	int fd;

	if (!wire)
		return;
	fd = wire->listen_fd;
	wire->listen_fd = -1;
	datafs_deadline_clear(wire->deadlines, &wire->accept_again);
	datafs_loop_cancel(wire->conf.loop, &wire->accept);
	if (fd >= 0)
		close(fd);
	while ((peer = TAILQ_FIRST(&wire->peers)))
		datafs_wire_disconnect(peer);
	for (conn = TAILQ_FIRST(&wire->conns); conn; conn = next) {
		datafs_conn_get(conn);
		datafs_conn_end(conn, -ESHUTDOWN);
		next = TAILQ_NEXT(conn, link);
		datafs_conn_put(conn);
	}
	while ((conn = TAILQ_FIRST(&wire->conns))) {
		datafs_conn_get(conn);
		conn_settle(conn, &conn->recv);
		conn_settle(conn, &conn->send);
		/* What is left are users. */
		TAILQ_REMOVE(&wire->conns, conn, link);
		conn->wire = NULL;
		datafs_conn_put(conn);
	}
	datafs_loop_forget(wire->conf.loop, &wire->flush);
	datafs_deadlines_free(wire->deadlines);
	datafs_keys_wipe(&wire->keys);
	free(wire);
}
