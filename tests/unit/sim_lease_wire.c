// SPDX-License-Identifier: Apache-2.0
/*
 * The messenger, a double: what is sent on a connection arrives in its order, late, or not at
 * all, if the connection ends before. The two ends of one notice that at different times.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim_lease_wrap.h"

#define CLIENT_NODE	100u	/* of the first client */
#define LATE_MS		1500u	/* how much later the other end may notice */

static uint64_t delay_of(struct sim *s)
{
	return sim_pick(s, 30) ? 1 + sim_pick(s, 8) : sim_pick(s, 200);
}

static struct lease_frame *frame_new(enum lease_frame_kind kind, uint64_t id, const void *body,
				     uint32_t len)
{
	struct lease_frame *f = calloc(1, sizeof(*f) + len);

	assert(f);
	f->kind = kind;
	f->id = id;
	f->len = len;
	if (len)
		memcpy(f->body, body, len);
	return f;
}

static void frame_event(struct datafs_conn *to, uint64_t delay)
{
	lease_event(lease_sim(), delay, LEASE_FRAME, to->at_member ? to->member : 0, to->client,
		    to->nr, 0);
}

static void transmit(struct datafs_conn *to, uint64_t delay, struct lease_frame *f)
{
	const struct lease_client *c = &lease_work()->c[to->client];
	struct sim *s = lease_sim();
	uint64_t at = s->now + delay;

	at = DATAFS_MAX(at, c->stalled[to->member] + sim_pick(s, 5));
	to->busy = DATAFS_MAX(at, to->busy);
	STAILQ_INSERT_TAIL(&to->frames, f, link);
	frame_event(to, to->busy - s->now);
}

static struct datafs_conn *end_new(unsigned int member, unsigned int client, bool at_member)
{
	struct datafs_conn *end = calloc(1, sizeof(*end));
	struct lease_work *w = lease_work();

	assert(end && w->conns < LEASE_CONNS);
	end->nr = w->conns;
	end->member = member;
	end->client = client;
	end->at_member = at_member;
	end->who.role = at_member ? DATAFS_ROLE_CLIENT : DATAFS_ROLE_MEMBER;
	end->who.node = at_member ? CLIENT_NODE + client : member;
	TAILQ_INIT(&end->pending);
	STAILQ_INIT(&end->frames);
	w->conn[w->conns++] = end;
	return end;
}

/* Again, until somebody is there. */
static void connect_later(struct lease_client *c, unsigned int member)
{
	lease_event(c->s, 20 + sim_pick(c->s, 150), LEASE_CONNECT, 0, c->nr, member, 0);
}

void lease_connect(struct lease_client *c, unsigned int member)
{
	const struct sim_member *m = &c->s->members[member];
	struct datafs_conn *end, *other;

	if (!m->m || m->paused || c->stalled[member] > c->s->now) {
		connect_later(c, member);
		return;
	}
	end = end_new(member, c->nr, false);
	other = end_new(member, c->nr, true);
	end->other = other;
	other->other = end;
	other->up = true;
	transmit(end, delay_of(c->s), frame_new(FRAME_UP, 0, NULL, 0));
}

/* ------------------------------------------------------------------- calls */

static struct datafs_call *take_call(struct datafs_conn *end, uint64_t id)
{
	struct lease_pending *p;
	struct datafs_call *call;

	TAILQ_FOREACH(p, &end->pending, link)
		if (p->id == id)
			break;
	if (!p)
		return NULL;
	call = p->call;
	TAILQ_REMOVE(&end->pending, p, link);
	free(p);
	call->conn = NULL;
	return call;
}

static void call_ends(struct datafs_conn *end, uint64_t id, int err, const void *body,
		      uint32_t len)
{
	struct datafs_call *call = take_call(end, id);

	if (call)
		call->fn(call, err, body, len);
}

void lease_call_timeout(struct datafs_conn *end, uint64_t id)
{
	call_ends(end, id, -ETIMEDOUT, NULL, 0);
}

int __wrap_datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call, const void *body,
			    uint32_t len, uint32_t ms)
{
	struct lease_pending *p;

	if (!conn->up)
		return -ENOTCONN;
	p = calloc(1, sizeof(*p));
	assert(p);
	p->call = call;
	p->id = ++conn->calls;
	call->conn = conn;
	call->id = p->id;
	TAILQ_INSERT_TAIL(&conn->pending, p, link);
	transmit(conn->other, delay_of(lease_sim()), frame_new(FRAME_CALL, p->id, body, len));
	lease_event(lease_sim(), lease_delay(ms), LEASE_TIMEOUT, conn->at_member ? conn->member : 0,
		    conn->client, conn->nr, p->id);
	return 0;
}

void __wrap_datafs_call_cancel(struct datafs_call *call)
{
	if (call->conn)
		take_call(call->conn, call->id);
}

int __wrap_datafs_conn_reply(struct datafs_conn *conn, uint64_t id, const void *body,
			     uint32_t len)
{
	if (!conn->up)
		return -ENOTCONN;
	transmit(conn->other, delay_of(lease_sim()), frame_new(FRAME_REPLY, id, body, len));
	return 0;
}

struct datafs_conn *__wrap_datafs_conn_get(struct datafs_conn *conn)
{
	return conn;
}

void __wrap_datafs_conn_put(struct datafs_conn *conn)
{
	(void)conn;
}

const struct datafs_wire_peer *__wrap_datafs_conn_who(const struct datafs_conn *conn)
{
	return &conn->who;
}

/* Who runs and is reached gives a sign. */
int64_t __wrap_datafs_conn_heard(const struct datafs_conn *conn)
{
	const struct lease_client *c = &lease_work()->c[conn->client];
	const struct sim_member *m = &c->s->members[conn->member];

	return m->m && !m->paused && c->stalled[conn->member] <= c->s->now ? datafs_now() :
									      conn->heard;
}

void __wrap_datafs_conn_end(struct datafs_conn *conn, int err)
{
	(void)conn;
	(void)err;
	lease_sim()->bad = "what was sent is refused by who got it";
}

/* -------------------------------------------------------------- up and down */

static struct remote_target *target_of(const struct datafs_conn *end)
{
	return &lease_work()->c[end->client].r->targets[end->member - 1];
}

/* As remote.c does. */
static void client_up(struct datafs_conn *end)
{
	struct datafs_remote *r = lease_work()->c[end->client].r;
	struct remote_target *t = target_of(end);

	t->conn = end;
	t->node = end->member;
	remote_up(r);
	remote_leases_up(r);
}

static void client_down(struct datafs_conn *end)
{
	struct lease_client *c = &lease_work()->c[end->client];
	struct remote_target *t = target_of(end);

	if (t->conn == end) {
		t->conn = NULL;
		if (c->r->leader == t)
			c->r->leader = NULL;
	}
	remote_leases_down(c->r, end);
	connect_later(c, end->member);
}

static void end_down(struct datafs_conn *end, struct datafs_server *server)
{
	struct lease_pending *p;

	end->up = false;
	while ((p = TAILQ_FIRST(&end->pending)))
		call_ends(end, p->id, -ECONNRESET, NULL, 0);
	if (!end->at_member) {
		client_down(end);
		return;
	}
	server_ask_down(server, end);
	server_client_down(server, end);
}

/* The other end gets all that was sent before. */
static void tell_other(struct datafs_conn *end)
{
	struct sim *s = lease_sim();

	transmit(end->other, sim_pick(s, 3) ? sim_pick(s, 50) : sim_pick(s, LATE_MS),
		 frame_new(FRAME_DOWN, 0, NULL, 0));
}

void lease_break(struct datafs_conn *end)
{
	struct lease_frame *f = frame_new(FRAME_DOWN, 0, NULL, 0);

	STAILQ_INSERT_HEAD(&end->frames, f, link);
	frame_event(end, 0);
	tell_other(end);
}

void lease_member_gone(struct datafs_server *server, unsigned int id)
{
	struct lease_work *w = lease_work();

	for (unsigned int i = 0; w && i < w->conns; i++) {
		if (!w->conn[i]->at_member || w->conn[i]->member != id || !w->conn[i]->up)
			continue;
		end_down(w->conn[i], server);
		tell_other(w->conn[i]);
	}
}

static void call_arrives(struct datafs_conn *end, struct lease_frame *f)
{
	struct lease_machine *m;

	if (!end->at_member) {
		lease_sums.recalls++;
		remote_recall(lease_work()->c[end->client].r, end, f->id, f->body, f->len);
		return;
	}
	m = lease_machine(lease_sim(), end->member);
	server_call(&m->server, end, f->id, f->body, f->len);
}

void lease_frame_arrives(struct datafs_conn *end)
{
	struct lease_frame *f = STAILQ_FIRST(&end->frames);

	if (!f)
		return;
	STAILQ_REMOVE_HEAD(&end->frames, link);
	end->heard = datafs_now();
	if (f->kind == FRAME_UP) {
		end->up = true;
		client_up(end);
	} else if (!end->up) {
		/* nobody is there any more */
	} else if (f->kind == FRAME_DOWN) {
		end_down(end, end->at_member ?
			 &lease_machine(lease_sim(), end->member)->server : NULL);
	} else if (f->kind == FRAME_CALL) {
		call_arrives(end, f);
	} else {
		call_ends(end, f->id, 0, f->body, f->len);
	}
	free(f);
}

void lease_conns_free(struct lease_work *w)
{
	for (unsigned int i = 0; i < w->conns; i++) {
		struct datafs_conn *end = w->conn[i];
		struct lease_pending *p;
		struct lease_frame *f;

		while ((p = TAILQ_FIRST(&end->pending))) {
			TAILQ_REMOVE(&end->pending, p, link);
			free(p);
		}
		while ((f = STAILQ_FIRST(&end->frames))) {
			STAILQ_REMOVE_HEAD(&end->frames, link);
			free(f);
		}
		free(end);
	}
}
