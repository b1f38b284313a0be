// SPDX-License-Identifier: Apache-2.0
/*
 * The quorum in the network, as its client's interface has it. Several may share one
 * connection; each has a session, and a lease if it wants one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/quorum.h"
#include "meta/remote.h"
#include "metad/touched.h"

struct remote_quorum {
	struct datafs_quorum q;
	struct datafs_remote *r;
	struct datafs_quorum *counts;	/* its own, or whose connection it shares */
	atomic_bool over;		/* of one that shares: stopped */
	atomic_llong end;		/* of its calls, datafs_now(); 0: none */
	atomic_ullong session;		/* that has a lease; 0: none has */
	struct datafs_lease *_Atomic lease;
};

/* Not 0, which would be without end. */
static uint32_t ms_left(const struct remote_quorum *rq)
{
	int64_t end = atomic_load(&rq->end), left;

	if (!end)
		return 0;
	left = (end - datafs_now()) / DATAFS_MSEC;
	return left > 0 ? (uint32_t)left : 1;
}

static struct datafs_quorum *counts(struct datafs_quorum *q)
{
	return ((struct remote_quorum *)q)->counts;
}

static int call(struct datafs_quorum *q, const Metad__Ask *ask, Metad__Reply **res,
		struct datafs_told *told)
{
	struct remote_quorum *rq = (struct remote_quorum *)q;
	uint8_t *buf = malloc(metad__ask__get_packed_size(ask) + 1);
	int err;

	if (!buf)
		return -ENOMEM;
	err = datafs_remote_call_until(rq->r, buf, metad__ask__pack(ask, buf), ms_left(rq),
				       &rq->over, res, atomic_load(&rq->lease), told);
	free(buf);
	return err;
}

/* The members have no room. Nobody has done or remembers it. */
static Metad__Result *no_room(const Metad__Command *cmd)
{
	Metad__Result *r = malloc(sizeof(*r));

	if (!r)
		return NULL;
	metad__result__init(r);
	r->has_session = r->has_request = r->has_error = true;
	r->session = cmd->session;
	r->request = cmd->request;
	r->error = ENOSPC;
	return r;
}

static int refused(const Metad__Reply *reply)
{
	datafs_log(LOG_ERR, "the quorum refuses what it is asked: %s",
		   reply->error ? strerror((int)reply->error) : "its answer is empty");
	return -EIO;
}

static int result_of(const Metad__Command *cmd, const Metad__Reply *reply, Metad__Result **res)
{
	if (reply->error == ENOSPC) {
		*res = no_room(cmd);
		return *res ? 0 : -ENOMEM;
	}
	/* they are tried until the quorum has the level; before, and of older members, no line */
	if ((cmd->op_case == METAD__COMMAND__OP_NODE_JOIN ||
	     cmd->op_case == METAD__COMMAND__OP_LISTING_TICKET) &&
	    (reply->error == EOPNOTSUPP || reply->error == EPROTO))
		return -EOPNOTSUPP;
	if (reply->error || !reply->has_result)
		return refused(reply);
	*res = metad__result__unpack(NULL, reply->result.len, reply->result.data);
	return *res ? 0 : refused(reply);
}

#define CHANGED_MAX	(DATAFS_TOUCHED_MAX + 4)

_Static_assert(DATAFS_TOUCHED_MAX <= DATAFS_LEASE_CHANGES, "all that a change names");

struct changed {
	struct datafs_grant_object o[CHANGED_MAX];
	unsigned int n;
};

static void add_attr(struct changed *c, const Metad__Attr *attr)
{
	if (attr)
		c->o[c->n++] = (struct datafs_grant_object) {
			.ino = attr->ino, .kind = DATAFS_GRANT_ATTR,
		};
}

static int pack(const Metad__Command *cmd, Metad__Ask *ask)
{
	metad__ask__init(ask);
	ask->what_case = METAD__ASK__WHAT_COMMAND;
	ask->command.data = malloc(metad__command__get_packed_size(cmd) + 1);
	if (!ask->command.data)
		return -ENOMEM;
	ask->command.len = metad__command__pack(cmd, ask->command.data);
	return 0;
}

/* What it names is believed by nobody here until it is known to be done, or not. */
static int change_told(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res,
		       struct datafs_told *told)
{
	struct datafs_lease *lease = atomic_load(&((struct remote_quorum *)q)->lease);
	struct datafs_lease_change *under_way = NULL;
	struct changed c = { .n = 0 };
	Metad__Reply *reply;
	Metad__Ask ask;
	int err = pack(cmd, &ask);

	if (err)
		return err;
	if (lease)
		c.n = datafs_touched_said(cmd, c.o);
	if (c.n) {
		under_way = datafs_lease_changes(lease, c.o, c.n);
		if (!under_way) {
			free(ask.command.data);
			return -ENOMEM;
		}
	}
	atomic_fetch_add_explicit(&counts(q)->changes, 1, memory_order_relaxed);
	err = call(q, &ask, &reply, told);
	free(ask.command.data);
	if (err == -EHOSTUNREACH && under_way)
		datafs_lease_changed(lease, under_way, NULL, 0, told);
	else if (err && under_way)
		datafs_lease_change_unknown(lease, under_way);
	if (err)
		return err;
	err = result_of(cmd, reply, res);
	if (!reply->believe)
		told->lease = 0;
	if (!err && under_way) {
		/* also of a command that has failed: then it costs an answer that is not kept */
		add_attr(&c, (*res)->node);
		add_attr(&c, (*res)->parent);
		add_attr(&c, (*res)->new_parent);
		add_attr(&c, (*res)->other);
		datafs_lease_changed(lease, under_way, c.o, c.n, told);
	} else if (under_way) {
		datafs_lease_change_unknown(lease, under_way);
	}
	metad__reply__free_unpacked(reply, NULL);
	return err;
}

static int change(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res)
{
	struct datafs_told told;

	return change_told(q, cmd, res, &told);
}

static int ask_told(struct datafs_quorum *q, const Metad__Query *query, Metad__Answer **res,
		    struct datafs_told *told)
{
	struct datafs_lease *lease = atomic_load(&((struct remote_quorum *)q)->lease);
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Reply *reply;
	int err;

	ask.what_case = METAD__ASK__WHAT_QUERY;
	ask.query = (Metad__Query *)query;
	/* members of a feature level without leases do not know the field */
	if (lease && datafs_lease_until(lease)) {
		ask.has_session = true;
		ask.session = atomic_load(&((struct remote_quorum *)q)->session);
	}
	atomic_fetch_add_explicit(&counts(q)->questions, 1, memory_order_relaxed);
	err = call(q, &ask, &reply, told);
	if (err)
		return err;
	/* members that do not know of policies or jobs have none */
	if (reply->error == EPROTO && (query->of_case == METAD__QUERY__OF_POLICIES ||
				       query->of_case == METAD__QUERY__OF_JOBS)) {
		err = -EOPNOTSUPP;
	} else if (reply->error || !reply->answer) {
		err = refused(reply);
	} else {
		*res = reply->answer;
		reply->answer = NULL;
	}
	metad__reply__free_unpacked(reply, NULL);
	return err;
}

static int ask(struct datafs_quorum *q, const Metad__Query *query, Metad__Answer **res)
{
	struct datafs_told told;

	return ask_told(q, query, res, &told);
}

static int lease(struct datafs_quorum *q, uint64_t session,
		 const struct datafs_quorum_watch *watch)
{
	struct remote_quorum *rq = (struct remote_quorum *)q;
	struct datafs_lease *l = datafs_lease_new(rq->r, session, watch);

	if (!l)
		return -ENOMEM;
	atomic_store(&rq->session, session);
	atomic_store(&rq->lease, l);
	datafs_lease_begin(l);
	/* stop_share() has not seen it, or stops it a second time */
	if (atomic_load(&rq->over))
		datafs_lease_stop(l);
	return 0;
}

static bool keep(struct datafs_quorum *q, const struct datafs_told *told,
		 const struct datafs_grant_object *o)
{
	struct datafs_lease *l = atomic_load(&((struct remote_quorum *)q)->lease);

	return l && datafs_lease_keep(l, told, o);
}

static int64_t until(struct datafs_quorum *q)
{
	struct datafs_lease *l = atomic_load(&((struct remote_quorum *)q)->lease);

	return l ? datafs_lease_until(l) : 0;
}

static void forgotten(struct datafs_quorum *q, uint64_t ticket)
{
	datafs_lease_forgotten(atomic_load(&((struct remote_quorum *)q)->lease), ticket);
}

static void stop(struct datafs_quorum *q)
{
	datafs_remote_stop(((struct remote_quorum *)q)->r);
}

static void close_remote(struct datafs_quorum *q)
{
	datafs_remote_close(((struct remote_quorum *)q)->r);
	free(q);
}

static const struct datafs_quorum_ops ops = {
	.change = change, .ask = ask, .change_told = change_told, .ask_told = ask_told,
	.lease = lease, .keep = keep, .until = until, .forgotten = forgotten,
	.stop = stop, .close = close_remote,
};

int datafs_quorum_open_remote(const struct datafs_remote_config *cfg, struct datafs_quorum **res)
{
	struct remote_quorum *rq = calloc(1, sizeof(*rq));
	int err;

	if (!rq)
		return -ENOMEM;
	rq->q.ops = &ops;
	rq->counts = &rq->q;
	memcpy(rq->q.id, cfg->keys->cluster, sizeof(rq->q.id));
	err = datafs_remote_open(cfg, &rq->r);
	if (err)
		free(rq);
	else
		*res = &rq->q;
	return err;
}

static void stop_share(struct datafs_quorum *q)
{
	struct remote_quorum *rq = (struct remote_quorum *)q;
	struct datafs_lease *l;

	atomic_store(&rq->over, true);
	datafs_remote_over(rq->r);
	l = atomic_load(&rq->lease);
	if (l)
		datafs_lease_stop(l);
}

static void close_share(struct datafs_quorum *q)
{
	struct datafs_lease *l = atomic_load(&((struct remote_quorum *)q)->lease);

	if (l)
		datafs_lease_end(l);
	free(q);
}

/* The same but for what ends with it. */
static const struct datafs_quorum_ops share_ops = {
	.change = change, .ask = ask, .change_told = change_told, .ask_told = ask_told,
	.lease = lease, .keep = keep, .until = until, .forgotten = forgotten,
	.stop = stop_share, .close = close_share,
};

int datafs_quorum_share(struct datafs_quorum *remote, struct datafs_quorum **res)
{
	struct remote_quorum *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return -ENOMEM;
	rq->q.ops = &share_ops;
	memcpy(rq->q.id, remote->id, sizeof(rq->q.id));
	rq->r = ((struct remote_quorum *)remote)->r;
	rq->counts = remote;
	*res = &rq->q;
	return 0;
}

int datafs_quorum_add_members(struct datafs_quorum *remote, const char *members)
{
	return datafs_remote_add(((struct remote_quorum *)remote)->r, members);
}

void datafs_quorum_limit(struct datafs_quorum *remote, uint32_t ms)
{
	atomic_store(&((struct remote_quorum *)remote)->end,
		     ms ? datafs_now() + ms * DATAFS_MSEC : 0);
}
