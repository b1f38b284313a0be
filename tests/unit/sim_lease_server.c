// SPDX-License-Identifier: Apache-2.0
/*
 * A member's machine: the product's server but its threads. Each letter, job and task is an
 * event, and before the "raft thread" waits it does what it does there (server_raft.c).
 */
#define _GNU_SOURCE
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim_lease_wrap.h"

#define LOOK_MS		200u
#define DRIFT		40	/* two clocks differ by less than a lease's margin, 100 */

struct lease_sums lease_sums;

struct lease_machine *lease_machine(struct sim *s, unsigned int id)
{
	return s->members[id].state;
}

static void *make(struct sim *s, const char *dir)
{
	struct lease_machine *m = calloc(1, sizeof(*m));

	assert(m);
	lease_time_begin(s);
	m->ns = sim_namespace.make(s, dir);
	return m;
}

static void free_machine(void *state)
{
	struct lease_machine *m = state;

	sim_namespace.free(m->ns);
	free(m);
}

/* As server_open() and its threads do. */
static void open_machine(void *state)
{
	struct lease_machine *m = state;
	struct datafs_server *server = &m->server;
	struct sim *s = lease_sim();

	sim_namespace.open(m->ns);
	memset(server, 0, sizeof(*server));
	m->drift = (int)sim_pick(s, 2 * DRIFT) - DRIFT;
	m->tick = 0;
	m->raising = false;
	m->loop.member = s->at;
	STAILQ_INIT(&m->loop.tasks);
	STAILQ_INIT(&m->jobs);
	server->cfg = (struct datafs_server_config) { .id = s->at, .lease = LEASE_MS };
	server->keys.off = true;
	server->fsm = sim_ns_fsm(m->ns);
	server->ns = sim_ns_of(m->ns);
	server->apply = sim_namespace.ops(m->ns);
	server->loop = &m->loop;
	pthread_rwlock_init(&server->ns_lock, NULL);
	pthread_mutex_init(&server->lock, NULL);
	STAILQ_INIT(&server->letters);
	TAILQ_INIT(&server->owed);
	TAILQ_INIT(&server->known);
	TAILQ_INIT(&server->reads);
	pthread_mutex_init(&server->reads_lock, NULL);
	TAILQ_INIT(&server->clients);
	server_leases_init(server);
	lease_event(s, LOOK_MS, LEASE_LOOK, s->at, 0, 0, 0);
}

static struct datafs_raft_fsm ops(void *state)
{
	return server_fsm_ops(&((struct lease_machine *)state)->server);
}

/* ------------------------------------------------------------------ threads */

static bool run_job(struct lease_machine *m)
{
	struct lease_job *j = STAILQ_FIRST(&m->jobs);

	if (!j)
		return false;
	STAILQ_REMOVE_HEAD(&m->jobs, link);
	j->job->run(j->job);
	free(j);
	return true;
}

/* A few at once, as they come. */
static void on_mail(struct sim *s, struct lease_machine *m)
{
	server_read_mail(&m->server, 1 + (unsigned int)sim_pick(s, 4));
	if (!STAILQ_EMPTY(&m->server.letters))
		uv_async_send(&m->server.mail);
}

static void raised(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	struct lease_machine *m =
		(void *)((char *)op - offsetof(struct lease_machine, raise));

	(void)err;
	(void)res;
	(void)len;
	free((void *)op->buf);
	m->raising = false;
}

/* Once a second there. The feature level rises without that the others are asked. */
static void on_look(struct lease_machine *m)
{
	const struct req r = { OP(FEATURE), .level = DATAFS_METAD_LEVEL };
	struct datafs_server *server = &m->server;

	server_sessions_look(server);
	if (m->raising || !server_table(server) ||
	    datafs_metad_level(server->ns) == DATAFS_METAD_LEVEL)
		return;
	m->raising = true;
	m->raise = (struct datafs_member_op) { .done = raised };
	m->raise.buf = req_pack_command(&r, &m->raise.len);
	if (datafs_member_submit(server->member, &m->raise))
		raised(&m->raise, 0, NULL, 0);
}

static void ran(struct sim *s, unsigned int id)
{
	struct lease_machine *m = lease_machine(s, id);
	uint64_t at;

	if (!s->members[id].m)
		return;
	m->server.member = s->members[id].m;
	server_leases_run(&m->server);
	server_push(&m->server);
	at = server_leases_deadline(&m->server);
	if (at == UINT64_MAX || at == m->tick)
		return;
	m->tick = at;
	at = lease_when(at, m->drift);
	lease_event(s, at > s->now ? at - s->now : 0, LEASE_TICK, id, 0, 0, 0);
}

static void member_event(struct sim *s, struct sim_event *e)
{
	struct lease_machine *m = lease_machine(s, e->to);
	struct lease_work *w = s->work;

	if (e->c != s->members[e->to].life)
		return;
	m->server.member = s->members[e->to].m;
	switch (e->a) {
	case LEASE_FRAME:
		lease_frame_arrives(w->conn[e->b]);
		break;
	case LEASE_TIMEOUT:
		lease_call_timeout(w->conn[e->b], e->d);
		break;
	case LEASE_TASK:
		lease_task_run(&m->loop);
		break;
	case LEASE_MAIL:
		on_mail(s, m);
		break;
	case LEASE_JOB:
		run_job(m);
		break;
	case LEASE_LOOK:
		on_look(m);
		lease_event(s, LOOK_MS, LEASE_LOOK, e->to, 0, 0, 0);
		break;
	default:
		m->tick = 0;
	}
}

/* As if it came a little later: what its threads have begun they have done. */
static void crashing(struct sim *s, unsigned int id)
{
	struct lease_machine *m = lease_machine(s, id);

	m->server.member = s->members[id].m;
	do
		server_push(&m->server);
	while (server_read_mail(&m->server, 1) || run_job(m));
	m->server.raft_ends = true;
}

/* Its member is closed. Who waits is not told: the connections are gone. */
static void crash(void *state)
{
	struct lease_machine *m = state;
	struct datafs_server *server = &m->server;

	server->member = NULL;
	server_leases_end(server);
	lease_member_gone(server, (unsigned int)server->cfg.id);
	while (lease_task_run(&m->loop))
		;
	assert(!server->asks && TAILQ_EMPTY(&server->clients));
	server_leases_free(server);
	pthread_mutex_destroy(&server->lock);
	pthread_mutex_destroy(&server->reads_lock);
	pthread_rwlock_destroy(&server->ns_lock);
	sim_namespace.crash(m->ns);
}

/* -------------------------------------------------------------- the machine */

static void client_event(struct sim *s, struct sim_event *e)
{
	struct lease_work *w = s->work;
	struct lease_client *c = &w->c[e->from];

	if (e->a == LEASE_TROUBLE) {
		lease_trouble(s);
		return;
	}
	if (c->paused && e->a != LEASE_RESUME) {
		sim_event(s, 10, *e);
		e->buf = NULL;
		return;
	}
	lease_at(c);
	switch (e->a) {
	case LEASE_FRAME:
		lease_frame_arrives(w->conn[e->b]);
		break;
	case LEASE_TIMEOUT:
		lease_call_timeout(w->conn[e->b], e->d);
		break;
	case LEASE_TASK:
		lease_task_run(&c->loop);
		break;
	case LEASE_DEADLINE:
		lease_deadline_due(c, e->b);
		break;
	case LEASE_WAKE:
		lease_user_run(c);
		break;
	case LEASE_FORGET:
		lease_user_forget(c, e->buf);
		break;
	case LEASE_CONNECT:
		lease_connect(c, (unsigned int)e->b);
		break;
	case LEASE_GLANCE:
		lease_user_glance(c);
		break;
	default:
		c->paused = false;
	}
	lease_at(NULL);
}

static void event(struct sim *s, struct sim_event *e)
{
	if (e->kind == SIM_AT_MEMBER)
		member_event(s, e);
	else
		client_event(s, e);
}

static const char *snapshots(const void *state)
{
	return sim_namespace.snapshots(((const struct lease_machine *)state)->ns);
}

static char *dump(void *state, size_t *len)
{
	return sim_namespace.dump(((struct lease_machine *)state)->ns, len);
}

static const char *broken(void *state)
{
	return sim_namespace.broken(((struct lease_machine *)state)->ns);
}

static const char *check(struct sim *s)
{
	struct lease_work *w = s->work;

	return ns_linearizable(s, lease_machine(s, sim_leader(s))->ns, &w->ops[SIM_OPS],
			       &w->tree);
}

const struct sim_machine sim_leases = {
	.make = make, .free = free_machine, .open = open_machine, .crash = crash, .ops = ops,
	.snapshots = snapshots, .dump = dump, .broken = broken,
	.begin = lease_users_begin, .end = lease_users_end, .ran = ran, .crashing = crashing,
	.event = event, .check = check,
};
