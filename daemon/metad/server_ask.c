// SPDX-License-Identifier: Apache-2.0
/*
 * What clients ask. The network thread decodes and checks it, the raft thread does
 * it or says when it may be answered, and the network thread replies, at once or when
 * there is room for it.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/decode.h"

/* Of a Reply with an error and nothing else. */
#define SMALL_REPLY	16
/* Of an Ask with a lease, at the most. */
#define LEASE_LEN	64

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
	if (a->answer)
		metad__answer__free_unpacked(a->answer, NULL);
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
	server_post(a->s, &a->task);
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

void server_ask_answer(struct ask *a, Metad__Answer *answer)
{
	Metad__Reply r = METAD__REPLY__INIT;

	r.answer = answer;
	server_ask_reply(a, &r);
	metad__answer__free_unpacked(answer, NULL);
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

static void read_ask(struct datafs_server *s, struct letter *l)
{
	struct ask *a = (struct ask *)l;

	(void)s;
	switch (a->what.what->what_case) {
	case METAD__ASK__WHAT_COMMAND:
		server_command(a);
		break;
	case METAD__ASK__WHAT_QUERY:
		server_query(a);
		break;
	case METAD__ASK__WHAT_LEASE:
		server_lease(a);
		break;
	default:
		server_admin(a);
	}
}

static bool for_anybody(const struct datafs_ask *what)
{
	switch (what->what->what_case) {
	case METAD__ASK__WHAT_ADMIN:
		return what->what->admin->of_case == METAD__ADMIN__OF_STATUS;
	case METAD__ASK__WHAT_COMMAND:
		return !metad_is_operators(what->command);
	default:
		return true;
	}
}

/*
 * Anybody may ask how the quorum is; who has the cluster's key may change it. Without keys
 * nobody can show that, and whoever reaches the port is believed.
 */
static int check_rights(const struct datafs_server *s, const struct datafs_conn *conn,
			const struct datafs_ask *what)
{
	return for_anybody(what) || s->keys.off ||
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
	case METAD__QUERY__OF_MOUNTS:
		return 2 * DATAFS_MOUNTS_TEXTS;
	case METAD__QUERY__OF_NODES:
		return DATAFS_NODES_PAGE * 512;
	case METAD__QUERY__OF_JOBS:
		return 2 * DATAFS_JOBS_BYTES;
	case METAD__QUERY__OF_POLICIES:
		return 2 * DATAFS_POLICIES_TEXTS;
	case METAD__QUERY__OF_LISTING_PAGE:
		return DATAFS_LISTING_PAGE_MAX;
	default:
		return 0;
	}
}

/* Changes may wait for a lease: all that there is room for. Others are renewed meanwhile. */
static bool has_room(const struct datafs_server *s, const struct datafs_ask *what, uint32_t len)
{
	bool lease = what->what->what_case == METAD__ASK__WHAT_LEASE && len <= LEASE_LEN;

	return s->asks < SERVER_ASKS_MAX + (lease ? SERVER_LEASES_MAX : 0) &&
	       (lease || s->asks_bytes + len + reply_max(what) <= SERVER_ASKS_BYTES);
}

static int admit(struct datafs_server *s, struct datafs_conn *conn, const void *body,
		 uint32_t len, struct datafs_ask *what)
{
	int err;

	if (s->net_ends)
		return -EIO;
	err = datafs_ask_decode(body, len, what);
	if (err == -ENOMEM)
		return -EAGAIN;
	if (!err && !has_room(s, what, len)) {
		datafs_ask_free(what);
		return -EAGAIN;
	}
	if (!err)
		err = check_rights(s, conn, what);
	if (err) {
		say_refused(s, conn, err);
		datafs_ask_free(what);
	}
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
	a->letter.gathers = what.what->what_case != METAD__ASK__WHAT_ADMIN;
	a->s = s;
	a->conn = datafs_conn_get(conn);
	a->call = id;
	a->bytes = len + reply_max(&what);
	a->what = what;
	a->came = server_now();
	a->arrival = ++s->arrival;
	a->conn_nr = server_client_nr(s, conn, what.what->what_case == METAD__ASK__WHAT_LEASE &&
					       what.what->lease->fresh);
	s->asks++;
	s->asks_bytes += a->bytes;
	if (!server_mail_later(s, &a->letter)) {
		a->error = EIO;
		send_reply(a);
		ask_free(a);
	}
}
