// SPDX-License-Identifier: Apache-2.0
/* What a connection has to send: encoded at once, written together. */
#include "messenger_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"

#define CHUNK_SIZE	(64u << 10)

static struct chunk *queue_room(struct queue *q, size_t n)
{
	struct chunk *c = TAILQ_LAST(&q->chunks, chunks);

	/* A write that is under way has taken what was there before. */
	if (c && c->size - c->end >= n)
		return c;
	c = malloc(sizeof(*c) + DATAFS_MAX(n, CHUNK_SIZE));
	if (!c)
		return NULL;
	c->size = DATAFS_MAX(n, CHUNK_SIZE);
	c->start = c->end = c->replies = 0;
	TAILQ_INSERT_TAIL(&q->chunks, c, link);
	return c;
}

/* A chunk in which nothing is in the end is not left in the queue. */
static void queue_unroom(struct queue *q, struct chunk *c)
{
	if (c->start < c->end)
		return;
	TAILQ_REMOVE(&q->chunks, c, link);
	free(c);
}

void queue_sent(struct queue *q, size_t n)
{
	struct chunk *c;

	q->bytes -= n;
	q->gone += n;
	while (n) {
		size_t part;

		c = TAILQ_FIRST(&q->chunks);
		part = DATAFS_MIN(n, c->end - c->start);
		c->start += part;
		n -= part;
		if (c->start < c->end)
			return;
		q->replies -= c->replies;
		TAILQ_REMOVE(&q->chunks, c, link);
		free(c);
	}
}

void queue_free(struct queue *q)
{
	queue_sent(q, q->bytes);
}

int conn_queue(struct datafs_conn *conn, const struct datafs_frame *f,
	       size_t limit)
{
	struct queue *q = &conn->queue;
	struct chunk *c;
	size_t n;
	int err;

	/* A call that fails may cancel others. What is freed is on no list. */
	if (conn->state == CONN_DEAD)
		return -ENOTCONN;
	err = datafs_frame_allowed(conn->enc.self, f->type, f->flags, f->len);
	if (err)
		return err;
	n = datafs_encoder_size(&conn->enc, f->len);
	if (q->bytes && n + q->bytes > limit)
		return -EAGAIN;
	c = queue_room(q, n);
	if (!c)
		return -ENOMEM;
	err = datafs_encoder_put(&conn->enc, f, c->data + c->end);
	if (err) {
		queue_unroom(q, c);
		return err;
	}
	c->end += n;
	if (!q->bytes)
		conn->taken = datafs_now();
	q->bytes += n;
	if (f->type == DATAFS_FRAME_REPLY) {
		c->replies += n;
		q->replies += n;
	}
	if (!conn->dirty && !conn->send.pending) {
		if (!conn->wire->flushing)
			datafs_loop_defer(conn->wire->conf.loop,
					  &conn->wire->flush);
		conn->wire->flushing = true;
		TAILQ_INSERT_TAIL(&conn->wire->dirty, conn, dirty_link);
		conn->dirty = true;
	}
	return 0;
}

int conn_must_queue(struct datafs_conn *conn, uint16_t type, uint64_t id,
		    const void *body, uint32_t len)
{
	struct datafs_frame f = { .type = type, .id = id, .body = body,
				  .len = len };
	int err = conn_queue(conn, &f, SIZE_MAX);

	if (err)
		datafs_conn_end(conn, err);
	return err;
}

void conn_beat(struct datafs_conn *conn, uint16_t type)
{
	uint64_t *end = type == DATAFS_FRAME_PING ? &conn->ping_end :
						    &conn->pong_end;

	if (*end > conn->queue.gone)
		return;
	if (!conn_must_queue(conn, type, 0, NULL, 0))
		*end = conn->queue.gone + conn->queue.bytes;
}

void conn_flush(struct datafs_conn *conn)
{
	struct queue *q = &conn->queue;
	struct chunk *c;
	size_t n = 0;
	int err;

	if (conn->send.pending || conn->state == CONN_DEAD || !q->bytes)
		return;
	TAILQ_FOREACH(c, &q->chunks, link) {
		if (n == SEND_CHUNKS)
			break;
		q->iov[n].iov_base = c->data + c->start;
		q->iov[n++].iov_len = c->end - c->start;
	}
	q->msg = (struct msghdr) { .msg_iov = q->iov, .msg_iovlen = n };
	conn->send.fn = conn_sent;
	err = datafs_loop_send(conn->wire->conf.loop, &conn->send, conn->fd,
			       &q->msg);
	if (err)
		datafs_conn_end(conn, err);
	else
		datafs_conn_get(conn);
}

void wire_flush(struct datafs_task *task)
{
	struct datafs_wire *wire = (void *)((char *)task -
					    offsetof(struct datafs_wire, flush));
	struct datafs_conn *conn;

	wire->flushing = false;
	while ((conn = TAILQ_FIRST(&wire->dirty))) {
		TAILQ_REMOVE(&wire->dirty, conn, dirty_link);
		conn->dirty = false;
		conn_flush(conn);
	}
}
