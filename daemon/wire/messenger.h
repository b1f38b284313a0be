/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messenger: frames and calls over TCP, to whom the handshake has shown to
 * be of the cluster. One messenger has at most one port to listen on, any
 * number of peers to keep connected to, and the connections of both kinds.
 *
 * All of it is of the loop's thread and never blocks; other threads reach it
 * with datafs_loop_post(). Callbacks may call anything here but
 * datafs_wire_free().
 *
 * Flow control. Frames and calls are refused with -EAGAIN while more than
 * limits.queue bytes wait in a connection; so are calls while DATAFS_CALLS_MAX
 * of them, or DATAFS_CALLS_BYTES of their bodies, are in flight. A peer that has
 * more is cut off. While more than limits.queue bytes of replies wait, call() is
 * not called for new calls: they wait here, and all other frames go past them.
 * So who answers in call() can always do so. Who answers later is refused with
 * -EAGAIN when four times as much waits, and gives the same reply again in
 * ready(), which tells after each -EAGAIN that there is room: half of limits.queue,
 * and that of a call of any length. What the messenger says itself has room of
 * its own.
 */
#ifndef DATAFS_WIRE_MESSENGER_H
#define DATAFS_WIRE_MESSENGER_H

#include "base/loop.h"
#include "deadline.h"
#include "handshake.h"

/* Calls in flight in one direction of a connection. Of the wire: a power of 2. */
#define DATAFS_CALLS_MAX	1024
/* Bytes of their bodies. Of the wire, too. */
#define DATAFS_CALLS_BYTES	(8u << 20)

struct datafs_wire;
struct datafs_conn;	/* one connection that is up or was */
struct datafs_peer;	/* who is connected to, again and again */

/* Times in milliseconds. */
struct datafs_wire_limits {
	size_t queue;		/* bytes, at least that of the longest frame */
	/*
	 * Connections accepted whose handshake is not done, and all that were accepted.
	 * Above either the oldest of the former makes room for a new one.
	 */
	unsigned int half_open, conns;
	uint32_t handshake;	/* from connecting or accepting to its end */
	uint32_t idle;		/* nothing heard for so long: ping */
	uint32_t dead;		/* nothing heard or taken for so long: end */
	uint32_t backoff;	/* before connecting again: doubled up to the next */
	uint32_t backoff_max;
};

/* 8 MiB, 64, 1024, DATAFS_HANDSHAKE_MS, 5 s, 15 s, 100 ms, 5 s. */
extern const struct datafs_wire_limits datafs_wire_limits;

struct datafs_wire_ops {
	/* Until down() the connection may be used without a reference. */
	void (*up)(void *arg, struct datafs_conn *conn);
	/* Once for each up(); its calls have failed before. */
	void (*down)(void *arg, struct datafs_conn *conn, int err);
	/* RAFT and BULK. @f->body is valid during the call only. */
	void (*frame)(void *arg, struct datafs_conn *conn,
		      const struct datafs_frame *f);
	/* To be answered, now or later, with datafs_conn_reply(). */
	void (*call)(void *arg, struct datafs_conn *conn, uint64_t id,
		     const void *body, uint32_t len);
	/* Nobody waits for the reply to @id any more. May be NULL. */
	void (*cancelled)(void *arg, struct datafs_conn *conn, uint64_t id);
	/* There is room again, after -EAGAIN. May be NULL. */
	void (*ready)(void *arg, struct datafs_conn *conn);
};

struct datafs_wire_conf {
	struct datafs_loop *loop;
	struct datafs_handshake_conf self;	/* its keys are copied */
	struct datafs_wire_limits limits;
	const struct datafs_wire_ops *ops;
	void *arg;
};

int datafs_wire_new(const struct datafs_wire_conf *conf,
		    struct datafs_wire **res);
/*
 * Ends everything: calls get -ECONNRESET, connections go down with -ESHUTDOWN.
 * Runs the loop for a moment, so not from a callback of the messenger.
 */
void datafs_wire_free(struct datafs_wire *wire);
/*
 * Other keys for the handshakes to come: of the same cluster and holder, and
 * with authentication on or off as before; else -EINVAL after a line in the log,
 * and nothing changes. Connections go on with the keys they have; those of a key
 * that is not live any more go down with -EKEYREVOKED, and connect again.
 */
int datafs_wire_rekey(struct datafs_wire *wire, const struct datafs_keys *keys);
/*
 * The same from a key file, for a program that is told so (SIGHUP). May block on
 * the disk. 0, -EINVAL as above, or the error of datafs_keys_load().
 */
int datafs_wire_reload(struct datafs_wire *wire, const char *path);
/* Once. -EADDRINUSE and the like, after a line in the log. */
int datafs_wire_listen(struct datafs_wire *wire, const struct sockaddr *addr,
		       socklen_t len);
/* The port that is listened on, also where 0 was asked for. 0: none. */
uint16_t datafs_wire_port(const struct datafs_wire *wire);
/* Keep connected to node @node (0: whoever it is) at @addr. */
int datafs_wire_connect(struct datafs_wire *wire, const struct sockaddr *addr,
			socklen_t len, uint64_t node, struct datafs_peer **res);
/* Not any more; a connection goes down with -ESHUTDOWN. */
void datafs_wire_disconnect(struct datafs_peer *peer);

/* Keeps the connection's memory, also after down(). */
struct datafs_conn *datafs_conn_get(struct datafs_conn *conn);
void datafs_conn_put(struct datafs_conn *conn);
const struct datafs_wire_peer *datafs_conn_who(const struct datafs_conn *conn);
/* When anything of the peer came last, also that it lives: datafs_now(). */
int64_t datafs_conn_heard(const struct datafs_conn *conn);
/* Whose connection it is; NULL: it was accepted, or the peer is not kept. */
struct datafs_peer *datafs_conn_peer(const struct datafs_conn *conn);
/* Bytes that wait to be sent. */
size_t datafs_conn_queued(const struct datafs_conn *conn);
/* Goes down with @err, at once. */
void datafs_conn_end(struct datafs_conn *conn, int err);

/*
 * Queues a RAFT or BULK frame; the body is copied. 0, -EAGAIN, -ENOTCONN (down),
 * -EPROTO, -EMSGSIZE, -ENOMEM, -EIO (libcrypto).
 */
int datafs_conn_send(struct datafs_conn *conn, const struct datafs_frame *f);

/* The caller's, who keeps it until @fn is called or it is cancelled. */
struct datafs_call {
	/*
	 * Once: 0 and the reply, which is valid during the call only; or
	 * -ETIMEDOUT, or -ECONNRESET, and then whether it was done is not known.
	 */
	void (*fn)(struct datafs_call *call, int err, const void *body,
		   uint32_t len);
	struct datafs_conn *conn;	/* NULL: not under way */
	uint64_t id;
	struct datafs_deadline deadline;
};

/*
 * @ms: from 1; there is no call without a deadline. Errors as of send, and then
 * @fn is not called; -EINVAL for no deadline.
 */
int datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call,
		     const void *body, uint32_t len, uint32_t ms);
/* @fn is not called any more. Nothing, if it is not under way. */
void datafs_call_cancel(struct datafs_call *call);
/*
 * 0, -ENOENT (answered or cancelled already), -ENOTCONN, -EMSGSIZE; -EAGAIN: it
 * is still owed, to be given again in ready(). -ENOMEM and -EIO have ended the
 * connection.
 */
int datafs_conn_reply(struct datafs_conn *conn, uint64_t id, const void *body,
		      uint32_t len);

#endif
