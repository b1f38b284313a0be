// SPDX-License-Identifier: Apache-2.0
#include "messenger_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int calls_new(struct calls **res)
{
	struct calls *calls = calloc(1, sizeof(*calls));

	if (!calls)
		return -ENOMEM;
	for (unsigned int i = 0; i < DATAFS_CALLS_MAX; i++)
		calls->unused[i] = DATAFS_CALLS_MAX - 1 - i;
	calls->n_unused = DATAFS_CALLS_MAX;
	TAILQ_INIT(&calls->held);
	*res = calls;
	return 0;
}

bool calls_have_room(const struct calls *calls)
{
	return calls->n_unused &&
	       calls->out_bytes <= DATAFS_CALLS_BYTES - DATAFS_FRAME_MAX_CALL;
}

/* From here on nobody but the caller knows of it. */
static void call_forget(struct datafs_call *call)
{
	struct datafs_conn *conn = call->conn;
	struct calls *calls = conn->calls;

	calls->out[SLOT(call->id)] = NULL;
	calls->out_bytes -= calls->out_len[SLOT(call->id)];
	calls->unused[calls->n_unused++] = SLOT(call->id);
	datafs_deadline_clear(conn->wire->deadlines, &call->deadline);
	call->conn = NULL;
}

static void call_late(struct datafs_deadline *d)
{
	struct datafs_call *call = (void *)((char *)d -
				offsetof(struct datafs_call, deadline));

	/*
	 * The other side need not answer; it uses the slot no longer than until
	 * then. If that ends the connection, the call has failed with it, before
	 * down(), and may be gone.
	 */
	if (conn_must_queue(call->conn, DATAFS_FRAME_CANCEL, call->id, NULL, 0))
		return;
	call_forget(call);
	call->fn(call, -ETIMEDOUT, NULL, 0);
}

int datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call,
		     const void *body, uint32_t len, uint32_t ms)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_CALL, .body = body,
				  .len = len };
	struct calls *calls = conn->calls;
	unsigned int slot;
	int err;

	if (!ms)
		return -EINVAL;
	if (conn->state != CONN_UP)
		return -ENOTCONN;
	err = datafs_frame_allowed(conn->enc.self, f.type, 0, len);
	if (err)
		return err;
	if (!calls->n_unused || calls->out_bytes + len > DATAFS_CALLS_BYTES) {
		conn->calls_full = true;
		return -EAGAIN;
	}
	slot = calls->unused[calls->n_unused - 1];
	call->id = (calls->generation + 1) * DATAFS_CALLS_MAX | slot;
	call->deadline = (struct datafs_deadline) { .fn = call_late };
	err = datafs_deadline_set(conn->wire->deadlines, &call->deadline, ms);
	if (err)
		return err;
	f.id = call->id;
	err = conn_queue(conn, &f, conn->wire->conf.limits.queue);
	if (err) {
		datafs_deadline_clear(conn->wire->deadlines, &call->deadline);
		conn->full |= err == -EAGAIN;
		return err;
	}
	calls->generation++;
	calls->n_unused--;
	calls->out[slot] = call;
	calls->out_len[slot] = len;
	calls->out_bytes += len;
	call->conn = conn;
	return 0;
}

void datafs_call_cancel(struct datafs_call *call)
{
	struct datafs_conn *conn = call->conn;

	if (!conn)
		return;
	/* First: if the CANCEL ends the connection all others fail. */
	call_forget(call);
	conn_must_queue(conn, DATAFS_FRAME_CANCEL, call->id, NULL, 0);
}

/* It is owed no reply any more. */
static void owe_no_more(struct calls *calls, uint64_t id)
{
	calls->in[SLOT(id)] = 0;
	calls->in_bytes -= calls->in_len[SLOT(id)];
}

int datafs_conn_reply(struct datafs_conn *conn, uint64_t id, const void *body,
		      uint32_t len)
{
	struct datafs_frame f = { .type = DATAFS_FRAME_REPLY, .id = id,
				  .body = body, .len = len };
	int err;

	if (conn->state != CONN_UP)
		return -ENOTCONN;
	if (!id || conn->calls->in[SLOT(id)] != id)
		return -ENOENT;
	err = conn_queue(conn, &f, conn->wire->conf.limits.queue * QUEUE_HARD);
	if (!err)
		owe_no_more(conn->calls, id);
	else if (err == -EAGAIN)
		conn->full = true;
	else if (err != -EMSGSIZE)
		datafs_conn_end(conn, err);
	return err;
}

static void unhold(struct calls *calls, struct held_call *h)
{
	TAILQ_REMOVE(&calls->held, h, link);
	free(h);
}

void calls_fail(struct datafs_conn *conn)
{
	struct datafs_call *call;

	while (!TAILQ_EMPTY(&conn->calls->held))
		unhold(conn->calls, TAILQ_FIRST(&conn->calls->held));
	for (unsigned int i = 0; i < DATAFS_CALLS_MAX; i++) {
		call = conn->calls->out[i];
		if (!call)
			continue;
		call_forget(call);
		call->fn(call, -ECONNRESET, NULL, 0);
	}
}

/* What it answers would only wait behind what waits already. */
static bool hands_out(const struct datafs_conn *conn)
{
	return conn->state == CONN_UP &&
	       conn->queue.replies <= conn->wire->conf.limits.queue;
}

static int hold(struct calls *calls, const struct datafs_frame *f)
{
	struct held_call *h = malloc(sizeof(*h) + f->len);

	if (!h)
		return -ENOMEM;
	h->id = f->id;
	h->len = f->len;
	if (f->len)
		memcpy(h->body, f->body, f->len);
	TAILQ_INSERT_TAIL(&calls->held, h, link);
	return 0;
}

void calls_hand_out(struct datafs_conn *conn)
{
	const struct datafs_wire_conf *conf = &conn->wire->conf;
	struct held_call *h;

	while (hands_out(conn) && (h = TAILQ_FIRST(&conn->calls->held))) {
		/* The callback may end the connection, and drop what is held. */
		TAILQ_REMOVE(&conn->calls->held, h, link);
		conf->ops->call(conf->arg, conn, h->id, h->body, h->len);
		free(h);
	}
}

static int got_call(struct datafs_conn *conn, const struct datafs_frame *f)
{
	struct calls *calls = conn->calls;
	uint32_t slot = SLOT(f->id);

	/* More than DATAFS_CALLS_MAX of them would need a slot twice. */
	if (f->id < DATAFS_CALLS_MAX || calls->in[slot] ||
	    calls->in_bytes + f->len > DATAFS_CALLS_BYTES)
		return -EPROTO;
	calls->in[slot] = f->id;
	calls->in_len[slot] = f->len;
	calls->in_bytes += f->len;
	if (!TAILQ_EMPTY(&calls->held) || !hands_out(conn))
		return hold(calls, f);
	conn->wire->conf.ops->call(conn->wire->conf.arg, conn, f->id, f->body,
				   f->len);
	return 0;
}

static int got_reply(struct datafs_conn *conn, const struct datafs_frame *f)
{
	struct datafs_call *call = conn->calls->out[SLOT(f->id)];

	/* One that was given up; its CANCEL and this have met on the way. */
	if (!call || call->id != f->id)
		return 0;
	call_forget(call);
	call->fn(call, 0, f->body, f->len);
	return 0;
}

static int got_cancel(struct datafs_conn *conn, const struct datafs_frame *f)
{
	struct calls *calls = conn->calls;
	struct held_call *h;

	if (!f->id || calls->in[SLOT(f->id)] != f->id)
		return 0;
	owe_no_more(calls, f->id);
	/* Of one that nobody was told of nobody need be told. */
	TAILQ_FOREACH(h, &calls->held, link)
		if (h->id == f->id) {
			unhold(calls, h);
			return 0;
		}
	if (conn->wire->conf.ops->cancelled)
		conn->wire->conf.ops->cancelled(conn->wire->conf.arg, conn,
						f->id);
	return 0;
}

int calls_frame(struct datafs_conn *conn, const struct datafs_frame *f)
{
	switch (f->type) {
	case DATAFS_FRAME_CALL:
		return got_call(conn, f);
	case DATAFS_FRAME_REPLY:
		return got_reply(conn, f);
	default:
		return got_cancel(conn, f);
	}
}
