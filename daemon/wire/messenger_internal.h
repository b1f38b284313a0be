/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the messenger share: messenger.c (listening, connecting
 * again), rekey.c (other keys), conn.c (a connection's life), queue.c (what it sends), calls.c.
 */
#ifndef DATAFS_WIRE_MESSENGER_INTERNAL_H
#define DATAFS_WIRE_MESSENGER_INTERNAL_H

#include <sys/queue.h>

#include "messenger.h"

/* Times limits.queue: where replies are not taken any more either. */
#define QUEUE_HARD	4

enum conn_state {
	CONN_CONNECTING,	/* connect(2) is under way */
	CONN_HANDSHAKE,
	CONN_UP,
	CONN_REFUSING,		/* ends when what it has to say is sent */
	CONN_DEAD,		/* lives until its events and users are gone */
	CONN_STATES
};

/* A stretch of bytes to be sent; frames are appended while there is room. */
struct chunk {
	TAILQ_ENTRY(chunk) link;
	size_t size, start, end;
	size_t replies;		/* bytes of replies that were appended */
	uint8_t data[];
};

#define SEND_CHUNKS	16	/* at most so many in one write */

struct queue {
	TAILQ_HEAD(chunks, chunk) chunks;
	size_t bytes;
	size_t replies;		/* of @bytes; a chunk's until all of it is sent */
	uint64_t gone;		/* bytes that were sent, from the beginning */
	struct msghdr msg;
	struct iovec iov[SEND_CHUNKS];
};

#define SLOT(id)	((id) & (DATAFS_CALLS_MAX - 1))

/*
 * An id is a generation, from 1, and a slot. A slot has one call at a time, so
 * that both sides know how many there can be and none needs to search.
 */
struct calls {
	uint64_t generation;
	struct datafs_call *out[DATAFS_CALLS_MAX];
	uint16_t unused[DATAFS_CALLS_MAX];	/* slots of out, a stack */
	unsigned int n_unused;
	uint64_t in[DATAFS_CALLS_MAX];		/* ids that we owe a reply; 0: none */
	/* Of the bodies of those in flight, and their sums. */
	uint32_t out_len[DATAFS_CALLS_MAX], in_len[DATAFS_CALLS_MAX];
	uint32_t out_bytes, in_bytes;
	TAILQ_HEAD(, held_call) held;		/* of @in: not handed out yet */
};

/* A call that came while too many replies waited. */
struct held_call {
	TAILQ_ENTRY(held_call) link;
	uint64_t id;
	uint32_t len;
	uint8_t body[];
};

struct datafs_conn {
	struct datafs_wire *wire;	/* NULL: outlived it */
	struct datafs_peer *peer;	/* whose it is; NULL: accepted */
	unsigned int refs;		/* alive, each pending event, each user */
	enum conn_state state;
	int fd;
	bool accepted;
	int refused;			/* the error that REFUSING ends with */
	struct datafs_handshake hs;
	struct datafs_wire_peer who;
	struct datafs_encoder enc;
	struct datafs_decoder dec;
	struct datafs_event recv, send;	/* send: also of connect */
	struct datafs_deadline deadline;	/* of the handshake, then keepalive */
	int64_t heard, taken;		/* when the peer last sent, took bytes */
	int64_t asked;			/* when a PING went out; 0: not since heard */
	/* Where in the stream the last ones end: one of each waits at most. */
	uint64_t ping_end, pong_end;
	bool heard_frame;		/* since it is up */
	bool full;			/* somebody was told -EAGAIN: the queue is */
	bool calls_full;		/* the same: too many calls in flight */
	bool dirty;			/* on wire->dirty */
	struct queue queue;
	struct calls *calls;
	TAILQ_ENTRY(datafs_conn) link;	/* wire->conns, until freed */
	TAILQ_ENTRY(datafs_conn) dirty_link;
};

struct datafs_peer {
	struct datafs_wire *wire;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	uint64_t node;
	struct datafs_conn *conn;	/* NULL: waits to connect again */
	uint32_t backoff;
	int said;			/* the last error in the log */
	struct datafs_deadline again;
	TAILQ_ENTRY(datafs_peer) link;
};

struct datafs_wire {
	struct datafs_wire_conf conf;
	struct datafs_keys keys;	/* of conf.self */
	struct datafs_deadlines *deadlines;
	TAILQ_HEAD(, datafs_conn) conns, dirty;
	TAILQ_HEAD(, datafs_peer) peers;
	struct datafs_task flush;
	bool flushing;			/* flush is deferred */
	int listen_fd;			/* -1: none */
	uint16_t port;
	struct datafs_event accept;
	struct datafs_deadline accept_again;
	unsigned int accepted, half_open;
	int64_t said;			/* when a stranger was last in the log */
	unsigned int unsaid;
};

/* messenger.c */
void wire_lost(struct datafs_peer *peer, int err, const char *why, bool was_up);
/* A stranger was refused: one line a second at most. */
void wire_stranger(struct datafs_wire *wire, const char *why, const char *more);

/* conn.c */
int conn_new(struct datafs_wire *wire, int fd, struct datafs_peer *peer,
	     struct datafs_conn **res);
/* Accepted, and its handshake has not ended well. */
bool conn_is_half_open(const struct datafs_conn *conn);
void conn_connected(struct datafs_event *ev, int res);
void conn_sent(struct datafs_event *ev, int res);

/*
 * queue.c: 0, -EAGAIN (more than @limit bytes wait), -ENOTCONN (dead), or the
 * encoder's error.
 */
int conn_queue(struct datafs_conn *conn, const struct datafs_frame *f,
	       size_t limit);
/*
 * Of what must not be left out, and that there can only be so much of: CANCELs
 * (one for a call in flight), a PING and a PONG, the handshake. They have room
 * whatever else waits. The connection ends if it cannot be queued.
 */
int conn_must_queue(struct datafs_conn *conn, uint16_t type, uint64_t id,
		    const void *body, uint32_t len);
/* PING or PONG. If one waits already, that one does. */
void conn_beat(struct datafs_conn *conn, uint16_t type);
void wire_flush(struct datafs_task *task);
void conn_flush(struct datafs_conn *conn);
/* @n of the first bytes are the socket's now. */
void queue_sent(struct queue *q, size_t n);
void queue_free(struct queue *q);

/* calls.c */
int calls_new(struct calls **res);
/* All that are under way fail; those that are held are dropped. */
void calls_fail(struct datafs_conn *conn);
/* CALL, REPLY, CANCEL. 0, -EPROTO (the peer breaks the rules), or -ENOMEM. */
int calls_frame(struct datafs_conn *conn, const struct datafs_frame *f);
/* Those that are held, as far as the replies that wait allow. */
void calls_hand_out(struct datafs_conn *conn);
/* Would a call of any length be taken? */
bool calls_have_room(const struct calls *calls);

#endif
