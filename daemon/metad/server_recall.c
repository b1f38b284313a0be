// SPDX-License-Identifier: Apache-2.0
/*
 * Recalls, as calls of the leader to its clients, on the network thread. One that cannot
 * be sent, or is not answered while the lease lasts, is dropped: the change waits for the
 * lease's end.
 *
 * Nothing orders recalls and answers, nor needs to: what a recall takes back was granted
 * before it was made, so it was asked for before the recall came; and a session keeps no
 * answer to that.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct recall_call {
	TAILQ_ENTRY(recall_call) link;	/* of the client's that wait for room */
	struct letter letter;
	struct datafs_task task;
	struct datafs_call call;
	struct datafs_server *s;
	struct server_client *c;
	uint64_t conn_nr, nr, session, id;
	uint32_t len;
	uint8_t body[];
};

/* A connection on which a session has said fresh. */
struct server_client {
	TAILQ_ENTRY(server_client) next;
	TAILQ_HEAD(, recall_call) waiting;
	struct datafs_conn *conn;
	uint64_t nr;
};

static struct server_client *client_of(struct datafs_server *s, const struct datafs_conn *conn)
{
	struct server_client *c;

	TAILQ_FOREACH(c, &s->clients, next)
		if (c->conn == conn)
			break;
	return c;
}

uint64_t server_client_nr(struct datafs_server *s, struct datafs_conn *conn, bool make)
{
	struct server_client *c = client_of(s, conn);

	if (c || !make)
		return c ? c->nr : 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return 0;
	c->conn = conn;
	c->nr = ++s->conn_nr;
	TAILQ_INIT(&c->waiting);
	TAILQ_INSERT_TAIL(&s->clients, c, next);
	return c->nr;
}

void server_client_down(struct datafs_server *s, struct datafs_conn *conn)
{
	struct server_client *c = client_of(s, conn);
	struct recall_call *r;

	if (!c)
		return;
	while ((r = TAILQ_FIRST(&c->waiting))) {
		TAILQ_REMOVE(&c->waiting, r, link);
		free(r);
	}
	TAILQ_REMOVE(&s->clients, c, next);
	free(c);
}

/* On the raft thread. */
static void read_recalled(struct datafs_server *s, struct letter *l)
{
	struct recall_call *r = (void *)((char *)l - offsetof(struct recall_call, letter));

	server_recalled(s, r->nr, r->session, r->id);
	free(r);
}

static void on_answer(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	struct recall_call *r = (void *)((char *)call - offsetof(struct recall_call, call));

	(void)body;
	(void)len;
	r->letter = (struct letter) { .fn = read_recalled };
	if (err || !server_mail_later(r->s, &r->letter))
		free(r);
}

/* False: there is no room. */
static bool send_recall(struct recall_call *r)
{
	int err;

	r->call.fn = on_answer;
	err = datafs_conn_call(r->c->conn, &r->call, r->body, r->len, r->s->cfg.lease);
	if (err && err != -EAGAIN)
		free(r);
	return err != -EAGAIN;
}

void server_client_ready(struct datafs_server *s, struct datafs_conn *conn)
{
	struct server_client *c = client_of(s, conn);
	struct recall_call *r;

	while (c && (r = TAILQ_FIRST(&c->waiting))) {
		TAILQ_REMOVE(&c->waiting, r, link);
		if (send_recall(r))
			continue;
		TAILQ_INSERT_HEAD(&c->waiting, r, link);
		return;
	}
}

static void do_recall(struct datafs_task *task)
{
	struct recall_call *r = (void *)((char *)task - offsetof(struct recall_call, task));

	TAILQ_FOREACH(r->c, &r->s->clients, next)
		if (r->c->nr == r->conn_nr)
			break;
	if (!r->c)
		free(r);
	else if (!TAILQ_EMPTY(&r->c->waiting) || !send_recall(r))
		TAILQ_INSERT_TAIL(&r->c->waiting, r, link);
}

static int pack(uint64_t session, const struct datafs_grant_object *objects, unsigned int n,
		struct recall_call **res)
{
	Metad__Object *all = calloc(n, sizeof(*all)), **list = calloc(n, sizeof(*list));
	Metad__Recall m = METAD__RECALL__INIT;
	size_t len;

	m.has_session = true;
	m.session = session;
	m.n_objects = n;
	m.objects = list;
	for (unsigned int i = 0; all && list && i < n; i++) {
		metad__object__init(&all[i]);
		all[i].has_ino = all[i].has_kind = true;
		all[i].ino = objects[i].ino;
		all[i].kind = METAD__OBJECT_KIND__ATTR + (int)objects[i].kind;
		all[i].has_name = objects[i].kind == DATAFS_GRANT_NAME;
		all[i].name = (ProtobufCBinaryData) { objects[i].len,
						      (uint8_t *)objects[i].name };
		list[i] = &all[i];
	}
	len = all && list ? metad__recall__get_packed_size(&m) : 0;
	*res = all && list ? calloc(1, sizeof(**res) + len) : NULL;
	if (*res)
		(*res)->len = (uint32_t)metad__recall__pack(&m, (*res)->body);
	free(all);
	free(list);
	return *res ? 0 : -ENOMEM;
}

void server_recall(struct datafs_server *s, uint64_t conn_nr, uint64_t nr, uint64_t session,
		   uint64_t id, const struct datafs_grant_object *objects, unsigned int n)
{
	struct recall_call *r;

	if (pack(session, objects, n, &r))
		return;
	r->s = s;
	r->conn_nr = conn_nr;
	r->nr = nr;
	r->session = session;
	r->id = id;
	r->task.fn = do_recall;
	server_post(s, &r->task);
}
