// SPDX-License-Identifier: Apache-2.0
#include "messenger_internal.h"

#include <errno.h>
#include <stdlib.h>

int calls_new(struct calls **res)
{
	struct calls *calls = calloc(1, sizeof(*calls));

	if (!calls)
		return -ENOMEM;
	for (unsigned int i = 0; i < DATAFS_CALLS_MAX; i++)
		calls->unused[i] = DATAFS_CALLS_MAX - 1 - i;
	calls->n_unused = DATAFS_CALLS_MAX;
	*res = calls;
	return 0;
}

/* From here on nobody but the caller knows of it. */
static void call_forget(struct datafs_call *call)
{
	struct datafs_conn *conn = call->conn;
	struct calls *calls = conn->calls;

	calls->out[SLOT(call->id)] = NULL;
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
	if (!calls->n_unused)
		return -EAGAIN;
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
	call->conn = conn;
	return 0;
}

void datafs_call_cancel(struct datafs_call *call)
{
	struct datafs_conn *conn = call->conn;

	if (!conn)
		return;
	/* First: if there is no room for the CANCEL all others fail. */
	call_forget(call);
	conn_must_queue(conn, DATAFS_FRAME_CANCEL, call->id, NULL, 0);
}

int datafs_conn_reply(struct datafs_conn *conn, uint64_t id, const void *body,
		      uint32_t len)
{
	int err;

	if (conn->state != CONN_UP)
		return -ENOTCONN;
	if (!id || conn->calls->in[SLOT(id)] != id)
		return -ENOENT;
	err = conn_must_queue(conn, DATAFS_FRAME_REPLY, id, body, len);
	if (!err)
		conn->calls->in[SLOT(id)] = 0;
	return err;
}

void calls_fail(struct datafs_conn *conn)
{
	struct datafs_call *call;

	for (unsigned int i = 0; i < DATAFS_CALLS_MAX; i++) {
		call = conn->calls->out[i];
		if (!call)
			continue;
		call_forget(call);
		call->fn(call, -ECONNRESET, NULL, 0);
	}
}

static int got_call(struct datafs_conn *conn, const struct datafs_frame *f)
{
	uint64_t *in = &conn->calls->in[SLOT(f->id)];

	/* More than DATAFS_CALLS_MAX of them would need a slot twice. */
	if (f->id < DATAFS_CALLS_MAX || *in)
		return -EPROTO;
	*in = f->id;
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
	uint64_t *in = &conn->calls->in[SLOT(f->id)];

	if (!f->id || *in != f->id)
		return 0;
	*in = 0;
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
