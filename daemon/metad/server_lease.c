// SPDX-License-Identifier: Apache-2.0
/*
 * The leases of sessions, of a member that leads, on the raft thread.
 *
 * The table of grants is made when all that the log had when this member was elected is
 * applied: then all sessions that a predecessor can have told something are in the state,
 * or have ended by themselves, or were without a lease for long; and nothing that was
 * proposed before is left to be applied. Until then what changes something waits. The
 * table goes when another term is seen, before anything else is asked of it.
 *
 * Before a session has a lease the state says how long it may be, and who has it
 * (SESSION_LEASE). So the next leader waits for none that never had one, and for those that
 * had for as long as its predecessors may have given them, whatever lease_ms is now; and it
 * takes nobody's word for another's.
 *
 * A lease begins or goes on when the member has shown, after it was asked for, that it
 * leads. A session is told on the connection on which it said fresh. What comes on another
 * one is of before, and is answered, but not to be believed.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

#define READY_AT_ONCE	256	/* commands that are looked at in one round */

uint64_t server_now(void)
{
	return (uint64_t)(datafs_now() / DATAFS_MSEC);
}

void server_leases_init(struct datafs_server *s)
{
	struct server_leases *l = &s->leases;

	TAILQ_INIT(&l->sessions);
	TAILQ_INIT(&l->ready);
	TAILQ_INIT(&l->going);
	for (unsigned int i = 0; i < SERVER_NAME_BUCKETS; i++)
		TAILQ_INIT(&l->names[i]);
}

void server_leases_free(struct datafs_server *s)
{
	server_sessions_drop(s);
}

/* -------------------------------------------------------------- the table */

static void recall(void *ctx, uint64_t session, uint64_t id,
		   const struct datafs_grant_object *objects, unsigned int n)
{
	struct datafs_server *s = ctx;
	const struct server_session *se = server_session_find(s, session);

	if (se && se->conn_nr)
		server_recall(s, se->conn_nr, s->leases.nr, session, id, objects, n);
}

/*
 * What is damaged here may not be elsewhere: another is to lead, as when an entry cannot be
 * applied. Without memory it is tried again.
 */
void server_damaged(struct datafs_server *s, int err)
{
	if (err < 0 && err != -ENOMEM && err != -ENOTCONN)
		datafs_member_fail(s->member, err, "the namespace cannot be read");
}

static void table_free(struct datafs_server *s)
{
	struct datafs_grants *table = s->leases.table;

	s->leases.table = NULL;
	s->leases.nr++;
	datafs_grants_free(table);
	server_sessions_drop(s);
}

struct ids {
	struct datafs_server *s;
	uint64_t *id;
	size_t n, room;
	uint32_t longest;
};

static int add_id(void *arg, uint64_t id, uint32_t lease)
{
	struct server_session *se;
	struct ids *ids = arg;
	uint64_t *more;

	se = server_session_get(ids->s, id);
	if (!se)
		return -ENOMEM;
	se->lease = lease;
	if (!lease)
		return 0;
	ids->longest = DATAFS_MAX(ids->longest, lease);
	if (ids->n == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		more = realloc(ids->id, ids->room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		ids->id = more;
	}
	ids->id[ids->n++] = id;
	return 0;
}

/* Without memory: it is tried again before the thread waits the next time. */
static void table_make(struct datafs_server *s)
{
	struct server_leases *l = &s->leases;
	const struct datafs_grants_conf conf = {
		.lease = s->cfg.lease, .max = DATAFS_SERVER_GRANTS, .recall = recall, .ctx = s,
	};
	struct ids ids = { .s = s };
	int err = datafs_metad_sessions(s->ns, add_id, &ids);

	if (!err)
		err = datafs_grants_new(&conf, l->since, ids.longest, ids.id, ids.n, &l->table);
	free(ids.id);
	if (err) {
		server_sessions_drop(s);
		server_damaged(s, err);
		return;
	}
	l->nr++;
	l->idle = !ids.n;
	l->unmarked = 0;
}

/* Does it lead, and since when? What was of another term goes. */
static void look(struct datafs_server *s, const struct datafs_member_status *st)
{
	struct server_leases *l = &s->leases;

	if (l->leads && (!st->leads || st->term != l->term)) {
		l->leads = false;
		if (l->table)
			table_free(s);
	}
	if (st->leads && !l->leads) {
		l->leads = true;
		l->term = st->term;
		l->since = server_now();
		l->last = st->last;
	}
}

struct datafs_grants *server_table(struct datafs_server *s)
{
	struct datafs_member_status st;

	datafs_member_status(s->member, &st);
	look(s, &st);
	return s->leases.table;
}

static struct ask *take(struct asks *from)
{
	struct ask *a = TAILQ_FIRST(from);

	if (a)
		TAILQ_REMOVE(from, a, ready);
	return a;
}

/* False: there is no table yet, for which those that are ready wait. */
static bool run_some(struct datafs_server *s, unsigned int *most)
{
	struct server_leases *l = &s->leases;
	struct ask *a;

	do {
		while ((a = take(&l->going)))
			server_command_go(a);
		if (!l->closed)
			server_table(s);
		if (l->leads && !l->table && !l->closed)
			return false;
		a = *most ? take(&l->ready) : NULL;
		*most -= a ? 1 : 0;
		if (a)
			server_command_ready(a);
	} while (a || !TAILQ_EMPTY(&l->going));
	return true;
}

/* What is proposed goes together; whatever that lets go, or makes ready, goes next. */
static void run(struct datafs_server *s, unsigned int most)
{
	struct server_leases *l = &s->leases;
	bool table;

	do {
		server_cork(s);
		table = run_some(s, &most);
		server_uncork(s);
		/* if it leads no more, or has halted, that lets go who waits for the table */
		if (!l->closed)
			server_table(s);
	} while (!TAILQ_EMPTY(&l->going) || (table && most && !TAILQ_EMPTY(&l->ready)));
	/* the disk and the clock have their turn first */
	if (table && !TAILQ_EMPTY(&l->ready))
		uv_async_send(&s->mail);
}

/* It leads, there is none, and all that was there when it was elected is applied. */
static bool table_is_due(struct datafs_server *s)
{
	struct server_leases *l = &s->leases;
	struct datafs_member_status st;

	datafs_member_status(s->member, &st);
	look(s, &st);
	return l->leads && !l->table && st.ready && st.applied >= l->last;
}

void server_leases_run(struct datafs_server *s)
{
	struct server_leases *l = &s->leases;
	bool due;

	if (l->closed)
		return;
	due = table_is_due(s);
	if (due)
		table_make(s);
	if (l->table && server_now() >= datafs_grants_deadline(l->table))
		datafs_grants_tick(l->table, server_now());
	run(s, READY_AT_ONCE);
	/* what run() has had applied may have been the last of it */
	if (!due && table_is_due(s))
		uv_async_send(&s->mail);
}

uint64_t server_leases_deadline(const struct datafs_server *s)
{
	return s->leases.table ? datafs_grants_deadline(s->leases.table) : UINT64_MAX;
}

void server_leases_end(struct datafs_server *s)
{
	s->leases.closed = true;
	if (s->leases.table)
		table_free(s);
	run(s, UINT_MAX);
}

/* ----------------------------------------------------------------- leases */

static void reply(struct ask *a, int err, uint32_t ms)
{
	Metad__Leased leased = METAD__LEASED__INIT;
	Metad__Reply r = METAD__REPLY__INIT;

	leased.has_error = leased.has_ms = leased.has_term = true;
	leased.error = (uint32_t)-err;
	leased.ms = ms;
	leased.term = a->s->leases.term;
	r.leased = &leased;
	server_ask_reply(a, &r);
}

/* A command of the leader's own: how long a lease may be, and whose. */
struct marking {
	struct datafs_member_op op;
	struct ask *a;
	uint8_t buf[96];
};

static void begin(struct ask *a);

static void marked(struct datafs_member_op *op, int err, const void *buf, size_t len)
{
	struct marking *m = (struct marking *)op;
	struct ask *a = m->a;
	Metad__Result *res = err ? NULL : metad__result__unpack(NULL, len, buf);

	free(m);
	if (err)
		server_ask_end(a, -err);
	else if (!res)
		server_ask_end(a, EAGAIN);
	else if (res->error)
		reply(a, -(int)res->error, a->s->cfg.lease);
	else
		begin(a);
	if (res)
		metad__result__free_unpacked(res, NULL);
}

static void mark(struct ask *a)
{
	Metad__SessionLease what = METAD__SESSION_LEASE__INIT;
	Metad__Command cmd = METAD__COMMAND__INIT;
	struct marking *m;
	int err;

	/* there may be members that would halt at it */
	if (datafs_metad_level(a->s->ns) < DATAFS_METAD_LEVEL_LEASE) {
		reply(a, -EOPNOTSUPP, a->s->cfg.lease);
		return;
	}
	a->s->leases.idle = false;
	m = calloc(1, sizeof(*m));
	if (!m) {
		server_ask_end(a, EAGAIN);
		return;
	}
	what.has_session = what.has_ms = what.has_holder = cmd.has_session = true;
	what.session = a->what.what->lease->session;
	what.ms = a->s->cfg.lease;
	what.holder = a->what.what->lease->holder;
	cmd.op_case = METAD__COMMAND__OP_SESSION_LEASE;
	cmd.session_lease = &what;
	m->a = a;
	m->op.done = marked;
	m->op.buf = m->buf;
	m->op.len = metad__command__pack(&cmd, m->buf);
	err = datafs_member_submit(a->s->member, &m->op);
	if (!err)
		return;
	free(m);
	server_ask_end(a, err == -EBUSY ? EAGAIN : -err);
}

/*
 * A "fresh" that comes late, from a connection that is gone, is of a time before what the
 * session was told since: by this leader, whom it gives an old number, or by another, whose
 * term it gives. One of another holder of the session says nothing of what the last one
 * believes: unless it came later on the same connection, that one's lease is waited for.
 */
static int check_fresh(const struct ask *a, const struct server_session *se,
		       const struct datafs_grants *table, uint64_t holder)
{
	const Metad__Lease *lease = a->what.what->lease;
	bool wait;

	if (lease->term != a->s->leases.term)
		return -EAGAIN;
	if (se->conn_nr && lease->holder == se->holder)
		return lease->number > se->number ? 0 : -ESTALE;
	if (se->conn_nr)
		wait = se->conn_nr != a->conn_nr &&
		       datafs_grants_believes(table, se->id, server_now());
	else
		wait = lease->holder != holder &&
		       datafs_grants_waits(table, se->id, server_now());
	return wait ? -EAGAIN : 0;
}

/* 1: not before the state says how long, and whose. */
static int say_fresh(struct ask *a, struct datafs_grants *table)
{
	const Metad__Lease *what = a->what.what->lease;
	struct server_leases *l = &a->s->leases;
	struct datafs_metad_lease lease;
	struct server_session *se;
	int err = datafs_metad_session(a->s->ns, what->session, &lease);

	server_damaged(a->s, err);
	if (err)
		return err;
	se = server_session_get(a->s, what->session);
	if (!se)
		return -ENOMEM;
	/* when that is done nobody is told what it would believe by then */
	if (se->closing)
		return -ENOTCONN;
	err = check_fresh(a, se, table, lease.holder);
	if (err)
		return err;
	se->lease = lease.ms;
	if (lease.ms < a->s->cfg.lease || lease.holder != what->holder)
		return 1;
	if (l->unmarked)
		return -EAGAIN;
	/* before recalls can be made for it */
	se->conn_nr = a->conn_nr;
	se->arrival = a->arrival;
	se->holder = what->holder;
	se->number = what->number;
	se->seen = server_now();
	return datafs_grants_fresh(table, what->session, a->came);
}

static int renew(struct ask *a, struct datafs_grants *table, uint32_t *ms)
{
	uint64_t id = a->what.what->lease->session;
	const struct server_session *se = server_session_seen(a->s, id);

	if (!se || se->closing || !server_session_at(a->s, id, a->conn_nr))
		return -ENOENT;
	return datafs_grants_renew(table, id, a->came, ms);
}

static void begin(struct ask *a)
{
	struct datafs_grants *table = server_table(a->s);
	uint32_t ms = a->s->cfg.lease;
	int err;

	if (!table) {
		server_ask_end(a, EAGAIN);
		return;
	}
	err = a->what.what->lease->fresh ? say_fresh(a, table) : renew(a, table, &ms);
	if (err > 0)
		mark(a);
	else if (err == -ENOMEM)
		server_ask_end(a, EAGAIN);
	else if (server_table(a->s) != table)
		server_ask_end(a, EIO);
	else
		reply(a, err, ms);
}

/* Since it came this member has shown that it leads. */
static void confirmed(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));

	if (err)
		server_ask_end(a, -err);
	else
		begin(a);
}

void server_lease(struct ask *a)
{
	int err;

	a->read.done = confirmed;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}

void server_recalled(struct datafs_server *s, uint64_t nr, uint64_t session, uint64_t id)
{
	struct datafs_grants *table = server_table(s);

	/* ids of another table mean something else */
	if (table && s->leases.nr == nr)
		datafs_recall_done(table, session, id);
}
