// SPDX-License-Identifier: Apache-2.0
/*
 * The sessions of the state, as the leader knows them, on the raft thread: where each is
 * told what it is to forget, and when it was last heard of.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"

#define CLOSE_MAX	64	/* sessions ended at once */
#define DEAF_MS		5000	/* it looks at them more often, unless it stood still */

static struct server_session **slot(struct server_leases *l, uint64_t id)
{
	struct server_session **p = &l->by_id[id % SERVER_SESSION_BUCKETS];

	while (*p && (*p)->id != id)
		p = &(*p)->hash_next;
	return p;
}

struct server_session *server_session_find(struct datafs_server *s, uint64_t id)
{
	return *slot(&s->leases, id);
}

struct server_session *server_session_get(struct datafs_server *s, uint64_t id)
{
	struct server_session **p = slot(&s->leases, id), *new = *p;

	if (new)
		return new;
	new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	new->id = id;
	new->seen = server_now();
	TAILQ_INSERT_TAIL(&s->leases.sessions, new, next);
	*p = new;
	return new;
}

static void session_drop(struct server_leases *l, struct server_session **p)
{
	struct server_session *se = *p;

	*p = se->hash_next;
	TAILQ_REMOVE(&l->sessions, se, next);
	free(se);
}

void server_sessions_drop(struct datafs_server *s)
{
	struct server_leases *l = &s->leases;
	struct server_session *se;

	while ((se = TAILQ_FIRST(&l->sessions)))
		session_drop(l, slot(l, se->id));
}

struct server_session *server_session_seen(struct datafs_server *s, uint64_t id)
{
	struct server_session *se = server_session_find(s, id);

	if (se)
		se->seen = server_now();
	return se;
}

/* Without memory it is known when it says fresh, or to the next leader. */
void server_session_opened(struct datafs_server *s, uint64_t id)
{
	if (s->leases.table)
		server_session_get(s, id);
}

void server_session_closed(struct datafs_server *s, uint64_t id, bool more)
{
	struct server_session **p = slot(&s->leases, id);

	if (s->leases.table)
		datafs_grants_gone(s->leases.table, id);
	if (*p && !more)
		session_drop(&s->leases, p);
}

bool server_session_at(struct datafs_server *s, uint64_t id, uint64_t conn_nr)
{
	const struct server_session *se = *slot(&s->leases, id);

	return conn_nr && se && se->conn_nr == conn_nr;
}

/* What a connection brings it brings in the order in which it was sent. */
bool server_session_sent(struct datafs_server *s, uint64_t id, const struct ask *a)
{
	return server_session_at(s, id, a->conn_nr) && a->arrival > (*slot(&s->leases, id))->arrival;
}

/* -------------------------------------------------- those that are long gone */

struct closing {
	struct datafs_member_op op;
	struct datafs_server *s;
	uint64_t session;
	uint8_t buf[64];
};

static void close_done(struct datafs_member_op *op, int err, const void *buf, size_t len);

static void close_submit(struct closing *c)
{
	int err;

	c->op.done = close_done;
	err = datafs_member_submit(c->s->member, &c->op);
	if (err)
		close_done(&c->op, err, NULL, 0);
}

static void close_done(struct datafs_member_op *op, int err, const void *buf, size_t len)
{
	struct closing *c = (struct closing *)op;
	struct server_session *se = *slot(&c->s->leases, c->session);
	Metad__Result *res = err ? NULL : metad__result__unpack(NULL, len, buf);
	bool more = res && res->more;

	if (res && !res->error)
		server_session_closed(c->s, c->session, more);
	else if (se)
		se->closing = false;
	if (res)
		metad__result__free_unpacked(res, NULL);
	if (more)
		close_submit(c);
	else
		free(c);
}

static void session_close(struct datafs_server *s, struct server_session *se)
{
	Metad__SessionClose what = METAD__SESSION_CLOSE__INIT;
	Metad__Command cmd = METAD__COMMAND__INIT;
	struct closing *c = calloc(1, sizeof(*c));

	if (!c)
		return;
	datafs_log(LOG_NOTICE, "session %llu: nothing was heard of it for %u seconds; it is ended",
		   (unsigned long long)se->id, s->cfg.session);
	what.has_session = cmd.has_session = true;
	what.session = se->id;
	cmd.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	cmd.session_close = &what;
	c->s = s;
	c->session = se->id;
	c->op.buf = c->buf;
	c->op.len = metad__command__pack(&cmd, c->buf);
	se->closing = true;
	close_submit(c);
}

/* While this machine was suspended, or the program stopped, nobody could be heard. */
static void forgive(struct server_leases *l, uint64_t now)
{
	uint64_t gap = l->looked ? now - l->looked : 0;
	struct server_session *se;

	l->looked = now;
	if (gap <= DEAF_MS)
		return;
	TAILQ_FOREACH(se, &l->sessions, next)
		se->seen += gap;
}

/* Its lease, if it ever had one, has ended long ago: it believes nothing. */
void server_sessions_look(struct datafs_server *s)
{
	uint64_t ids[CLOSE_MAX], now = server_now(), wait = s->cfg.session * 1000ull;
	struct server_session *se;
	unsigned int n = 0;

	forgive(&s->leases, now);
	if (!s->cfg.session || !server_table(s))
		return;
	TAILQ_FOREACH(se, &s->leases.sessions, next)
		if (n < CLOSE_MAX && !se->closing &&
		    se->seen + wait + DATAFS_MAX(se->lease, s->cfg.lease) < now)
			ids[n++] = se->id;
	for (unsigned int i = 0; i < n; i++) {
		se = *slot(&s->leases, ids[i]);
		if (se)
			session_close(s, se);
	}
}
