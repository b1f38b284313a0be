// SPDX-License-Identifier: Apache-2.0
/*
 * A leader that is killed takes its connections along. One that hangs, or is cut off, does not:
 * others elect another, which lets nothing change until all sessions have said fresh to it,
 * and a session that asks for nothing would hear of it at the end of its lease. So who holds
 * one listens, and when it hears nothing it asks others. The lease is lost when they say that
 * another leads, and not for want of a sign: it may be this client that is cut off.
 */
#include "meta/remote_internal.h"

#include <errno.h>
#include <stddef.h>

#include "base/loop.h"

#define LOOK_MS		200
/*
 * There is a sign each 600 ms (IDLE_MS, and looked for as often). Looks are counted, and not
 * the time: when this process stood still what came meanwhile is read before the next one.
 */
#define LOOKS		4
#define PROBE_MS	1000	/* to wait for an answer */

static struct remote_target *another(struct datafs_lease *l)
{
	struct datafs_remote *r = l->r;

	for (unsigned int i = 0; i < r->n; i++) {
		struct remote_target *t = &r->targets[l->next++ % r->n];

		if (t->conn && t != l->target)
			return t;
	}
	return NULL;
}

/* Who leads has answered itself, or who does not has said who does. */
static void settle(struct datafs_lease *l, const Metad__Reply *reply)
{
	const struct remote_target *leader;

	if (!reply->error && reply->leased && reply->leased->ms) {
		remote_leads(l->r, l->probed);
		return;
	}
	leader = reply->error == EREMOTE ? remote_hint(l->r, l->probed, reply) : NULL;
	if (leader && leader != l->target)
		remote_lease_lose(l);
}

static void on_reply(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	struct datafs_lease *l = (void *)((char *)call - offsetof(struct datafs_lease, probe));
	Metad__Reply *reply = err ? NULL : metad__reply__unpack(NULL, len, body);

	if (!reply)
		return;
	settle(l, reply);
	metad__reply__free_unpacked(reply, NULL);
}

/* A renewal: a leader that the session has said nothing to refuses it. */
static void ask_another(struct datafs_lease *l)
{
	Metad__Lease lease = METAD__LEASE__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	uint8_t buf[32];

	if (l->probe.conn)
		return;
	l->probed = another(l);
	if (!l->probed)
		return;
	ask.what_case = METAD__ASK__WHAT_LEASE;
	ask.lease = &lease;
	lease.has_session = lease.has_fresh = true;
	lease.session = l->session;
	l->probe.fn = on_reply;
	/* what fails is tried again at the next look */
	(void)datafs_conn_call(l->probed->conn, &l->probe, buf,
			       (uint32_t)metad__ask__pack(&ask, buf), PROBE_MS);
}

static void look_later(struct datafs_lease *l)
{
	if (datafs_deadline_set(l->r->deadlines, &l->listen, LOOK_MS))
		datafs_loop_fail(l->r->loop, -ENOMEM, "for a lease");
}

static void on_look(struct datafs_deadline *d)
{
	struct datafs_lease *l = (void *)((char *)d - offsetof(struct datafs_lease, listen));
	int64_t heard = datafs_conn_heard(l->target->conn);

	l->quiet = heard == l->heard ? l->quiet + 1 : 0;
	l->heard = heard;
	look_later(l);
	if (l->quiet >= LOOKS)
		ask_another(l);
}

void remote_listen_open(struct datafs_lease *l)
{
	l->listen.fn = on_look;
}

void remote_listen_begin(struct datafs_lease *l)
{
	l->quiet = 0;
	l->heard = datafs_conn_heard(l->target->conn);
	look_later(l);
}

void remote_listen_end(struct datafs_lease *l)
{
	datafs_call_cancel(&l->probe);
	datafs_deadline_clear(l->r->deadlines, &l->listen);
}
