// SPDX-License-Identifier: Apache-2.0
/*
 * A session's lease, on the network thread. It is counted from when what began or
 * renewed it was sent, less a margin for clocks that do not go alike; by a clock that goes on
 * while the machine is suspended. It is lost when it has ended, with its connection, when
 * the leader does not know it, and when another leads. Then its user forgets all, and only
 * then says the client that it is fresh. Until all have, a new leader lets nothing change.
 */
#include "meta/remote_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"

#define FRESH_MS	1000	/* to wait for an answer */
#define AGAIN_MS	20
#define RENEWALS	3	/* in a lease */
#define MARGIN		10	/* the lease's part that is not counted on */

static void lease_send(struct datafs_lease *l);

static void later(struct datafs_lease *l, uint32_t ms)
{
	/* without memory the lease ends, and is said to have */
	if (datafs_deadline_set(l->r->deadlines, &l->again, ms))
		datafs_loop_fail(l->r->loop, -ENOMEM, "for a lease");
}

static void be_quiet(struct datafs_lease *l)
{
	datafs_call_cancel(&l->call);
	datafs_deadline_clear(l->r->deadlines, &l->again);
	datafs_deadline_clear(l->r->deadlines, &l->end);
	remote_listen_end(l);
	remote_told_lease(&l->told, 0, 0);
}

void remote_lease_lose(struct datafs_lease *l)
{
	l->state = LEASE_FORGETS;
	l->target = NULL;
	be_quiet(l);
	l->ticket = ++l->tickets;
	l->watch.lost(l->watch.arg, l->ticket);
}

static void on_again(struct datafs_deadline *d)
{
	lease_send((void *)((char *)d - offsetof(struct datafs_lease, again)));
}

static void on_end(struct datafs_deadline *d)
{
	remote_lease_lose((void *)((char *)d - offsetof(struct datafs_lease, end)));
}

static uint32_t share(const struct datafs_lease *l)
{
	return DATAFS_MAX(l->ms / RENEWALS, 1u);
}

/* False: it is stopped. */
static bool user_holds(struct datafs_lease *l, int64_t until)
{
	if (!l->watch.held || !l->watch.held(l->watch.arg, until))
		return true;
	remote_lease_stop(l);
	return false;
}

/* It is held, from when @sent on. Too late: it was lost while this was on its way. */
static void held(struct datafs_lease *l)
{
	int64_t until = l->sent + (int64_t)(l->ms - l->ms / MARGIN) * DATAFS_MSEC;
	int64_t left;

	/* of a renewal beside a recall the time is short: no shorter than it was */
	if (l->state == LEASE_HELD)
		until = DATAFS_MAX(until, remote_told_until(&l->told));
	left = (until - datafs_now()) / DATAFS_MSEC;
	if (left <= 0) {
		if (l->state == LEASE_HELD)
			remote_lease_lose(l);
		else
			later(l, AGAIN_MS);
		return;
	}
	if (l->state == LEASE_ASKS) {
		l->number++;
		remote_listen_begin(l);
	}
	l->state = LEASE_HELD;
	/* what keeps for its user knows the end before there is anything to be kept */
	if (!user_holds(l, until))
		return;
	remote_told_lease(&l->told, l->number, until);
	if (datafs_deadline_set(l->r->deadlines, &l->end, (uint32_t)left))
		datafs_loop_fail(l->r->loop, -ENOMEM, "for a lease");
	later(l, share(l));
}

/* It does not lead, or cannot say. */
static void refused(struct datafs_lease *l, const Metad__Reply *reply)
{
	if (reply->error == EREMOTE)
		remote_hint(l->r, l->target, reply);
	if (l->state == LEASE_HELD && reply->error == EREMOTE)
		remote_lease_lose(l);
	else
		later(l, reply->error == EREMOTE || reply->error == EIO ||
				 reply->error == EAGAIN ? AGAIN_MS : FRESH_MS);
}

/* It is said anew, with the leader's term. */
static void lease_ask_in(struct datafs_lease *l, uint64_t term)
{
	l->term = term;
	lease_send(l);
}

static void settle(struct datafs_lease *l, const Metad__Reply *reply)
{
	const Metad__Leased *leased = reply->leased;

	if (reply->error || !leased || !leased->ms) {
		refused(l, reply);
		return;
	}
	remote_leads(l->r, l->target);
	l->ms = leased->ms;
	if (!leased->error)
		held(l);
	else if (leased->error == ENOENT && l->state == LEASE_HELD)
		remote_lease_lose(l);
	else if (l->state == LEASE_ASKS && leased->term != l->term)
		lease_ask_in(l, leased->term);
	else if (leased->error == EAGAIN)
		/* a recall is answered soon */
		later(l, DATAFS_MAX(share(l) / RENEWALS, 1u));
	else
		/*
		 * A session that has ended: its user hears of it with its next change. Or there
		 * are no leases as yet.
		 */
		later(l, FRESH_MS);
}

static void on_reply(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	struct datafs_lease *l = (void *)((char *)call - offsetof(struct datafs_lease, call));
	Metad__Reply *reply = err ? NULL : metad__reply__unpack(NULL, len, body);

	if (reply) {
		l->target->silent = 0;
		settle(l, reply);
		metad__reply__free_unpacked(reply, NULL);
		return;
	}
	/* of a renewal the time may be short */
	if (err == -ETIMEDOUT && l->state == LEASE_ASKS)
		remote_silent(l->target);
	if (l->r->leader == l->target)
		l->r->leader = NULL;
	later(l, AGAIN_MS);
}

/* Says fresh to who leads; renews where it is held. */
static void lease_send(struct datafs_lease *l)
{
	Metad__Lease lease = METAD__LEASE__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	uint8_t buf[96];
	size_t len;

	if (l->call.conn || (l->state != LEASE_ASKS && l->state != LEASE_HELD))
		return;
	if (l->state == LEASE_ASKS)
		l->target = remote_choose(l->r, &l->next);
	/* remote_leases_up() */
	if (!l->target || !l->target->conn)
		return;
	if (l->state == LEASE_ASKS && !user_holds(l, 0))
		return;
	ask.what_case = METAD__ASK__WHAT_LEASE;
	ask.lease = &lease;
	lease.has_session = lease.has_fresh = true;
	lease.session = l->session;
	lease.fresh = l->state == LEASE_ASKS;
	if (lease.fresh) {
		lease.has_holder = lease.has_number = lease.has_term = true;
		lease.term = l->term;
		lease.holder = l->holder;
		lease.number = ++l->said;
		remote_told_fresh(&l->told);
	}
	len = metad__ask__pack(&ask, buf);
	l->sent = datafs_now();
	l->call.fn = on_reply;
	if (datafs_conn_call(l->target->conn, &l->call, buf, (uint32_t)len,
			     l->state == LEASE_ASKS ? FRESH_MS : share(l)))
		later(l, AGAIN_MS);
}

void remote_lease_open(struct datafs_lease *l)
{
	l->again.fn = on_again;
	l->end.fn = on_end;
	remote_listen_open(l);
	l->state = LEASE_ASKS;
	lease_send(l);
}

void remote_lease_stop(struct datafs_lease *l)
{
	l->state = LEASE_NONE;
	be_quiet(l);
}

void remote_lease_free(struct datafs_lease *l)
{
	remote_recalls_free(l);
	remote_told_free(&l->told);
	free(l);
}

void remote_lease_forgotten(struct datafs_lease *l)
{
	l->state = LEASE_ASKS;
	lease_send(l);
}

void remote_leases_up(struct datafs_remote *r)
{
	struct datafs_lease *l;

	TAILQ_FOREACH(l, &r->leases, link)
		if (l->state == LEASE_ASKS && !l->again.pos)
			lease_send(l);
}

void remote_leases_moved(struct datafs_remote *r, const struct remote_target *leader)
{
	struct datafs_lease *l;

	TAILQ_FOREACH(l, &r->leases, link)
		if (l->state == LEASE_HELD && l->target != leader)
			remote_lease_lose(l);
}

void remote_leases_down(struct datafs_remote *r, struct datafs_conn *conn)
{
	struct datafs_lease *l;

	TAILQ_FOREACH(l, &r->leases, link) {
		remote_recalls_down(l, conn);
		if (l->state == LEASE_HELD && !l->target->conn)
			remote_lease_lose(l);
	}
}

void remote_leases_stop(struct datafs_remote *r)
{
	struct datafs_lease *l;

	TAILQ_FOREACH(l, &r->leases, link)
		remote_lease_stop(l);
}

/* -------------------------------------------------------- of other threads */

struct lease_order {
	struct remote_order o;
	struct datafs_lease *l;
};

static void do_begin(struct datafs_task *task)
{
	struct lease_order *o = (struct lease_order *)task;
	struct datafs_remote *r = o->o.r;

	TAILQ_INSERT_TAIL(&r->leases, o->l, link);
	if (!r->stopped)
		remote_lease_open(o->l);
	remote_is_done(&o->o);
}

struct datafs_lease *datafs_lease_new(struct datafs_remote *r, uint64_t session,
				      const struct datafs_quorum_watch *watch)
{
	struct datafs_lease *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	if (datafs_random(&l->holder, sizeof(l->holder))) {
		free(l);
		return NULL;
	}
	l->r = r;
	l->session = session;
	l->watch = *watch;
	TAILQ_INIT(&l->recalls);
	STAILQ_INIT(&l->forgotten);
	remote_told_init(&l->told);
	return l;
}

void datafs_lease_begin(struct datafs_lease *l)
{
	struct lease_order o = { { .r = l->r }, l };

	remote_have_done(&o.o, do_begin);
}

static void do_stop(struct datafs_task *task)
{
	struct lease_order *o = (struct lease_order *)task;

	remote_lease_stop(o->l);
	remote_is_done(&o->o);
}

void datafs_lease_stop(struct datafs_lease *l)
{
	struct lease_order o = { { .r = l->r }, l };

	remote_have_done(&o.o, do_stop);
}

/* Tickets that were given back before it are read before it. */
static void do_end(struct datafs_task *task)
{
	struct lease_order *o = (struct lease_order *)task;

	remote_lease_stop(o->l);
	TAILQ_REMOVE(&o->o.r->leases, o->l, link);
	remote_is_done(&o->o);
}

void datafs_lease_end(struct datafs_lease *l)
{
	struct lease_order o = { { .r = l->r }, l };

	remote_have_done(&o.o, do_end);
	remote_lease_free(l);
}
