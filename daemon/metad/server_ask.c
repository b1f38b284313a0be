// SPDX-License-Identifier: Apache-2.0
/*
 * What clients ask. The network thread decodes and checks it, the raft thread has
 * it proposed or says when it may be answered, a worker answers questions, and
 * the network thread replies, at once or when there is room for it.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/answer.h"

/* Of a Reply with an error and nothing else. */
#define SMALL_REPLY	16

static int send_reply(const struct ask *a)
{
	Metad__Reply r = METAD__REPLY__INIT;
	uint8_t small[SMALL_REPLY];

	if (a->reply)
		return datafs_conn_reply(a->conn, a->call, a->reply, (uint32_t)a->reply_len);
	r.has_error = true;
	r.error = (uint32_t)a->error;
	return datafs_conn_reply(a->conn, a->call, small,
				 (uint32_t)metad__reply__pack(&r, small));
}

static void ask_free(struct ask *a)
{
	a->s->asks--;
	a->s->asks_bytes -= a->bytes;
	datafs_conn_put(a->conn);
	datafs_ask_free(&a->what);
	free(a->reply);
	free(a);
}

/* On the network thread. */
static void ask_back(struct datafs_task *task)
{
	struct ask *a = (void *)((char *)task - offsetof(struct ask, task));

	if (send_reply(a) == -EAGAIN)
		TAILQ_INSERT_TAIL(&a->s->owed, a, owed);
	else
		ask_free(a);
}

void server_ask_ready(struct datafs_server *s, struct datafs_conn *conn)
{
	struct ask *a, *next;

	for (a = TAILQ_FIRST(&s->owed); a; a = next) {
		next = TAILQ_NEXT(a, owed);
		if (a->conn != conn)
			continue;
		if (send_reply(a) == -EAGAIN)
			return;
		TAILQ_REMOVE(&s->owed, a, owed);
		ask_free(a);
	}
}

void server_ask_down(struct datafs_server *s, struct datafs_conn *conn)
{
	struct ask *a, *next;

	for (a = TAILQ_FIRST(&s->owed); a; a = next) {
		next = TAILQ_NEXT(a, owed);
		if (a->conn != conn)
			continue;
		TAILQ_REMOVE(&s->owed, a, owed);
		ask_free(a);
	}
}

static void ask_give_back(struct ask *a)
{
	a->task.fn = ask_back;
	datafs_loop_post(a->s->loop, &a->task);
}

void server_ask_reply(struct ask *a, const Metad__Reply *reply)
{
	a->reply = malloc(metad__reply__get_packed_size(reply) + 1);
	if (a->reply)
		a->reply_len = metad__reply__pack(reply, a->reply);
	else
		a->error = EAGAIN;
	ask_give_back(a);
}

/* It does not lead: who does, if that is known here. */
static void reply_hint(struct ask *a, Metad__Reply *r)
{
	struct datafs_member_server m;
	struct datafs_member_status st;

	datafs_member_status(a->s->member, &st);
	if (st.leader && st.leader != a->s->cfg.id) {
		r->has_leader = true;
		r->leader = st.leader;
	}
	for (unsigned int i = 0; r->has_leader && datafs_member_server(a->s->member, i, &m); i++)
		if (m.id == st.leader)
			r->leader_address = (char *)m.address;
	server_ask_reply(a, r);
}

void server_ask_end(struct ask *a, int error)
{
	Metad__Reply r = METAD__REPLY__INIT;

	if (error == ENOMEM || error == ENOBUFS)
		error = EAGAIN;
	a->error = error;
	if (error != EREMOTE) {
		ask_give_back(a);
		return;
	}
	r.has_error = true;
	r.error = EREMOTE;
	reply_hint(a, &r);
}

static void command_done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	struct ask *a = (void *)((char *)op - offsetof(struct ask, op));
	Metad__Reply r = METAD__REPLY__INIT;

	if (err) {
		server_ask_end(a, -err);
		return;
	}
	r.has_result = true;
	r.result = (ProtobufCBinaryData) { len, (uint8_t *)res };
	server_ask_reply(a, &r);
}

/*
 * What needs next to no room, or makes some; or comes before what does: a session, without
 * which a mount does not even read, and the hold of what is open and loses its name.
 */
static bool is_small(Metad__Command__OpCase op)
{
	static const Metad__Command__OpCase small[] = {
		METAD__COMMAND__OP_NOOP, METAD__COMMAND__OP_SESSION_OPEN,
		METAD__COMMAND__OP_SESSION_RENEW, METAD__COMMAND__OP_SESSION_CLOSE,
		METAD__COMMAND__OP_UNLINK, METAD__COMMAND__OP_RMDIR,
		METAD__COMMAND__OP_REMOVEXATTR, METAD__COMMAND__OP_HOLD,
		METAD__COMMAND__OP_RELEASE,
	};

	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if (small[i] == op)
			return true;
	return false;
}

/* Of who does not lead the room is not asked. */
static int check_room(struct ask *a)
{
	struct datafs_member_status st;

	if (a->s->room == ROOM_ENOUGH)
		return 0;
	datafs_member_status(a->s->member, &st);
	if (!st.leads || (a->s->room == ROOM_LITTLE && is_small(a->what.command->op_case)))
		return 0;
	return a->s->room == ROOM_LITTLE ? ENOSPC : EAGAIN;
}

static void do_command(struct ask *a)
{
	int err = check_room(a);

	if (err) {
		server_ask_end(a, err);
		return;
	}
	a->op.done = command_done;
	a->op.buf = a->what.what->command.data;
	a->op.len = a->what.what->command.len;
	err = datafs_member_submit(a->s->member, &a->op);
	if (err)
		server_ask_end(a, err == -EBUSY ? EAGAIN : -err);
}

/* On a worker. */
static void answer(struct datafs_job *job)
{
	struct ask *a = (void *)((char *)job - offsetof(struct ask, job));
	struct datafs_metad *m = server_read_begin(a->s);
	Metad__Reply r = METAD__REPLY__INIT;
	int err = datafs_metad_answer(m, a->what.what->query, &r.answer);

	server_read_end(a->s);
	if (err) {
		server_ask_end(a, -err);
		return;
	}
	server_ask_reply(a, &r);
	metad__answer__free_unpacked(r.answer, NULL);
}

static void read_done(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));

	if (err) {
		server_ask_end(a, -err);
		return;
	}
	a->job.run = answer;
	datafs_pool_add(a->s->pool, &a->job, DATAFS_PRIO_WAITED);
}

static void do_query(struct ask *a)
{
	int err;

	a->read.done = read_done;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}

static void read_ask(struct datafs_server *s, struct letter *l)
{
	struct ask *a = (struct ask *)l;

	(void)s;
	switch (a->what.what->what_case) {
	case METAD__ASK__WHAT_COMMAND:
		do_command(a);
		break;
	case METAD__ASK__WHAT_QUERY:
		do_query(a);
		break;
	default:
		server_admin(a);
	}
}

/* Anybody may ask how the quorum is; who has the cluster's key may change it. */
static int check_rights(const struct datafs_conn *conn, const struct datafs_ask *what)
{
	return what->what->what_case != METAD__ASK__WHAT_ADMIN ||
	       what->what->admin->of_case == METAD__ADMIN__OF_STATUS ||
	       datafs_conn_who(conn)->role == DATAFS_ROLE_MEMBER ? 0 : -EACCES;
}

/* One line a second at most: who sends nonsense may send much of it. */
static void say_refused(struct datafs_server *s, const struct datafs_conn *conn, int err)
{
	int64_t now = datafs_now();

	if (s->said && now - s->said < DATAFS_SEC) {
		s->unsaid++;
		return;
	}
	datafs_log(LOG_WARNING, "node %llu: what it asks is refused: %s; %u more since the last line",
		   (unsigned long long)datafs_conn_who(conn)->node, strerror(-err), s->unsaid);
	s->said = now;
	s->unsaid = 0;
}

/* Bytes that its reply may have. */
static size_t reply_max(const struct datafs_ask *what)
{
	const Metad__Query *q = what->what->query;

	if (what->what->what_case != METAD__ASK__WHAT_QUERY)
		return 0;
	switch (q->of_case) {
	case METAD__QUERY__OF_READDIR:
		return DATAFS_MIN(q->readdir->max, DATAFS_READDIR_MAX);
	case METAD__QUERY__OF_GETXATTR:
	case METAD__QUERY__OF_LISTXATTR:
		return DATAFS_METAD_LIST_MAX;
	default:
		return 0;
	}
}

static int admit(struct datafs_server *s, struct datafs_conn *conn, const void *body,
		 uint32_t len, struct datafs_ask *what)
{
	int err;

	if (s->net_ends)
		return -EIO;
	if (s->asks >= SERVER_ASKS_MAX)
		return -EAGAIN;
	err = datafs_ask_decode(body, len, what);
	if (err == -ENOMEM)
		return -EAGAIN;
	if (!err)
		err = check_rights(conn, what);
	if (err)
		say_refused(s, conn, err);
	else if (s->asks_bytes + len + reply_max(what) > SERVER_ASKS_BYTES)
		err = -EAGAIN;
	if (err)
		datafs_ask_free(what);
	return err;
}

void server_call(void *arg, struct datafs_conn *conn, uint64_t id, const void *body,
		 uint32_t len)
{
	struct datafs_server *s = arg;
	struct ask *a, refused = { .conn = conn, .call = id };
	struct datafs_ask what = { 0 };
	int err = admit(s, conn, body, len, &what);

	a = err ? NULL : calloc(1, sizeof(*a));
	if (!a) {
		datafs_ask_free(&what);
		refused.error = err ? -err : EAGAIN;
		send_reply(&refused);
		return;
	}
	a->letter.fn = read_ask;
	a->s = s;
	a->conn = datafs_conn_get(conn);
	a->call = id;
	a->bytes = len + reply_max(&what);
	a->what = what;
	s->asks++;
	s->asks_bytes += a->bytes;
	if (!server_mail(s, &a->letter)) {
		a->error = EIO;
		send_reply(a);
		ask_free(a);
	}
}
