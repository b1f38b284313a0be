// SPDX-License-Identifier: Apache-2.0
/*
 * Whom to be connected to. The raft thread tells the configuration when it is
 * another; the network thread keeps a connection of its own to each member in it,
 * and speaks over one that the member has made where it has none: so one that
 * is new, and knows nobody yet, can answer.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define LOOK_UP_AGAIN_MS	1000

/* A host's name, for a worker. */
struct look_up {
	struct datafs_job job;
	struct datafs_task task;
	struct datafs_server *s;
	uint64_t id;
	char text[DATAFS_ADDRESS_MAX + 1];
	struct datafs_address address;
	int err;
};

static void links_set(struct datafs_task *task);

static bool is_as_told(const struct datafs_server *s)
{
	struct datafs_member_server m;
	unsigned int i = 0;

	for (; datafs_member_server(s->member, i, &m); i++)
		if (!s->who || i >= s->who->n || s->who->m[i].id != m.id ||
		    s->who->m[i].role != m.role || strcmp(s->who->m[i].address, m.address))
			return false;
	return s->who ? s->who->n == i : !i;
}

void server_peers_look(struct datafs_server *s)
{
	struct server_who *who, *tell;
	struct datafs_member_server m;

	if (is_as_told(s))
		return;
	who = calloc(1, sizeof(*who));
	tell = calloc(1, sizeof(*tell));
	/* without memory: the next time */
	if (!who || !tell) {
		free(who);
		free(tell);
		return;
	}
	while (who->n < DATAFS_RAFT_SERVERS_MAX && datafs_member_server(s->member, who->n, &m)) {
		who->m[who->n].id = m.id;
		who->m[who->n].role = m.role;
		snprintf(who->m[who->n].address, sizeof(who->m[0].address), "%s", m.address);
		who->n++;
	}
	free(s->who);
	s->who = who;
	*tell = *who;
	tell->s = s;
	tell->task.fn = links_set;
	datafs_loop_post(s->loop, &tell->task);
}

void server_peers_again(struct datafs_server *s)
{
	free(s->who);
	s->who = NULL;
}

struct server_link *server_link_find(struct datafs_server *s, uint64_t id)
{
	for (unsigned int i = 0; i < SERVER_LINKS; i++)
		if (s->links[i].id == id)
			return &s->links[i];
	return NULL;
}

static void connect_again(struct datafs_deadline *d);

static struct server_link *link_get(struct datafs_server *s, uint64_t id)
{
	struct server_link *l = server_link_find(s, id);

	if (l)
		return l;
	l = server_link_find(s, 0);
	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->id = id;
	l->s = s;
	l->again.fn = connect_again;
	return l;
}

/* It goes when nobody needs it. */
static void link_put(struct server_link *l)
{
	if (l->wanted || l->out || l->in || l->looking)
		return;
	datafs_deadline_clear(l->s->deadlines, &l->again);
	l->id = 0;
}

static void link_connect(struct server_link *l, const struct datafs_address *at)
{
	int err = datafs_wire_connect(l->s->wire, (const struct sockaddr *)&at->sa, at->len,
				      l->id, &l->peer);

	if (err)
		datafs_deadline_set(l->s->deadlines, &l->again, LOOK_UP_AGAIN_MS);
}

static void looked_up(struct datafs_task *task)
{
	struct look_up *u = (void *)((char *)task - offsetof(struct look_up, task));
	struct server_link *l = server_link_find(u->s, u->id);

	if (l) {
		l->looking = false;
		if (!l->wanted)
			link_put(l);
		else if (u->err || strcmp(l->address, u->text))
			datafs_deadline_set(u->s->deadlines, &l->again, LOOK_UP_AGAIN_MS);
		else if (!u->s->net_ends)
			link_connect(l, &u->address);
	}
	free(u);
}

/* On a worker. */
static void look_up(struct datafs_job *job)
{
	struct look_up *u = (struct look_up *)job;

	u->err = datafs_address_resolve(u->text, false, &u->address);
	if (u->err)
		datafs_log(LOG_WARNING, "member %llu: host of \"%s\": %s; is tried again",
			   (unsigned long long)u->id, u->text, strerror(-u->err));
	datafs_loop_post(u->s->loop, &u->task);
}

static void link_begin(struct server_link *l)
{
	struct datafs_address at;
	struct look_up *u;

	if (l->looking || l->s->net_ends || !l->wanted)
		return;
	if (!datafs_address_resolve(l->address, true, &at)) {
		link_connect(l, &at);
		return;
	}
	u = calloc(1, sizeof(*u));
	if (!u) {
		datafs_deadline_set(l->s->deadlines, &l->again, LOOK_UP_AGAIN_MS);
		return;
	}
	u->job.run = look_up;
	u->task.fn = looked_up;
	u->s = l->s;
	u->id = l->id;
	strcpy(u->text, l->address);
	l->looking = true;
	datafs_pool_add(l->s->pool, &u->job, DATAFS_PRIO_WAITED);
}

static void connect_again(struct datafs_deadline *d)
{
	link_begin((void *)((char *)d - offsetof(struct server_link, again)));
}

static void link_disconnect(struct server_link *l)
{
	struct datafs_peer *peer = l->peer;

	datafs_deadline_clear(l->s->deadlines, &l->again);
	/* its connection goes down meanwhile */
	l->peer = NULL;
	if (peer)
		datafs_wire_disconnect(peer);
}

void server_link_want(struct datafs_server *s, uint64_t id, const char *address)
{
	struct server_link *l = id == s->cfg.id ? NULL : link_get(s, id);

	if (!l)
		return;
	if (l->wanted && strcmp(l->address, address))
		link_disconnect(l);
	l->wanted = true;
	strcpy(l->address, address);
	if (!l->peer)
		link_begin(l);
}

static bool is_in(const struct server_who *who, uint64_t id)
{
	for (unsigned int i = 0; i < who->n; i++)
		if (who->m[i].id == id)
			return true;
	return false;
}

static void links_set(struct datafs_task *task)
{
	struct server_who *who = (struct server_who *)task;
	struct datafs_server *s = who->s;

	for (unsigned int i = 0; !s->net_ends && i < SERVER_LINKS; i++) {
		struct server_link *l = &s->links[i];

		if (!l->id || !l->wanted || is_in(who, l->id))
			continue;
		l->wanted = false;
		link_disconnect(l);
		link_put(l);
	}
	for (unsigned int i = 0; !s->net_ends && i < who->n; i++)
		server_link_want(s, who->m[i].id, who->m[i].address);
	free(who);
}

void server_link_up(struct datafs_server *s, struct datafs_conn *conn)
{
	struct server_link *l = link_get(s, datafs_conn_who(conn)->node);
	struct datafs_peer *peer = datafs_conn_peer(conn);

	if (!l)
		return;
	if (peer && peer == l->peer)
		l->out = conn;
	else
		l->in = conn;
}

void server_link_down(struct datafs_server *s, struct datafs_conn *conn)
{
	struct server_link *l = server_link_find(s, datafs_conn_who(conn)->node);

	if (!l)
		return;
	if (l->out == conn)
		l->out = NULL;
	if (l->in == conn)
		l->in = NULL;
	link_put(l);
}

void server_links_end(struct datafs_server *s)
{
	for (unsigned int i = 0; s->deadlines && i < SERVER_LINKS; i++)
		if (s->links[i].id)
			datafs_deadline_clear(s->deadlines, &s->links[i].again);
}
