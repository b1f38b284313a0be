// SPDX-License-Identifier: Apache-2.0
/*
 * The feature level. While more is known to who leads than is in force, it asks the other
 * members of the configuration once a second, in the calls that `datafs meta status` makes,
 * too. When all have answered, it proposes the highest level that all of them know. So a
 * member that does not run keeps the level where it is.
 *
 * A member that is added is asked before it is, unless the level is the first, which all
 * know. What is being raised counts as in force; and a member that is in the configuration
 * when the answers come, and was not asked, keeps the level where it is. So no member of
 * the quorum meets an entry that it does not know, unless one is replaced by an older
 * version in the moment between its answer and the entry.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/decode.h"

#define ANSWER_MS	5000	/* for one answer, and to reach who is to be added */
#define REACH_MS	100	/* until it is tried again */

struct level_of {
	struct datafs_call call;
	struct level_ask *of;
	uint64_t id;
	uint32_t level;		/* that it knows; 0: it has not told */
};

/* Members that are asked. The raft thread's, but between task and letter. */
struct level_ask {
	TAILQ_ENTRY(level_ask) link;
	struct letter letter;
	struct datafs_task task;
	struct datafs_server *s;
	struct ask *add;		/* who wants the one member added; NULL: all are asked */
	struct datafs_deadline again;
	int64_t until;
	unsigned int open;		/* calls, and whoever still makes some */
	unsigned int n;
	struct level_of m[DATAFS_RAFT_SERVERS_MAX];
};

static uint32_t in_force(struct datafs_server *s)
{
	return DATAFS_MAX(datafs_metad_level(datafs_fsm_ns(s->fsm)), s->level.raising);
}

/* ---- the network thread ---- */

static void finish(struct level_ask *l)
{
	struct datafs_server *s = l->s;

	TAILQ_REMOVE(&s->level_asks, l, link);
	datafs_deadline_clear(s->deadlines, &l->again);
	if (server_mail(s, &l->letter))
		return;
	if (l->add)
		server_ask_end(l->add, EIO);
	free(l);
}

/* Who is to be added may be starting: it is not reached yet, or answers with an error. */
static bool try_again(struct level_ask *l)
{
	return l->add && !l->m[0].level && datafs_now() < l->until &&
	       !datafs_deadline_set(l->s->deadlines, &l->again, REACH_MS);
}

static void close_one(struct level_ask *l)
{
	if (!--l->open && !try_again(l))
		finish(l);
}

static void answered(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	struct level_of *m = (void *)((char *)call - offsetof(struct level_of, call));
	Metad__Reply *r = NULL;

	if (!err)
		metad_unpack(&metad__reply__descriptor, body, len, &r);
	/* who tells none is of the first version, which knew one */
	if (r && r->status)
		m->level = DATAFS_MAX(r->status->feature_known, 1u);
	metad__reply__free_unpacked(r, NULL);
	close_one(m->of);
}

/* False: it is not connected to. */
static bool call_one(struct level_of *m)
{
	Metad__StatusAsk status = METAD__STATUS_ASK__INIT;
	Metad__Admin admin = METAD__ADMIN__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	const struct server_link *link = server_link_find(m->of->s, m->id);
	struct datafs_conn *conn = !link ? NULL : link->out ? link->out : link->in;
	uint8_t buf[16];

	admin.of_case = METAD__ADMIN__OF_STATUS;
	admin.status = &status;
	ask.what_case = METAD__ASK__WHAT_ADMIN;
	ask.admin = &admin;
	m->call.fn = answered;
	if (!conn || datafs_conn_call(conn, &m->call, buf, (uint32_t)metad__ask__pack(&ask, buf),
				      ANSWER_MS))
		return false;
	m->of->open++;
	return true;
}

static void ask_all(struct datafs_task *task)
{
	struct level_ask *l = (void *)((char *)task - offsetof(struct level_ask, task));

	TAILQ_INSERT_TAIL(&l->s->level_asks, l, link);
	l->open = 1;
	for (unsigned int i = 0; i < l->n; i++)
		call_one(&l->m[i]);
	close_one(l);
}

static void ask_new(struct level_ask *l)
{
	if (!call_one(&l->m[0]) && !try_again(l))
		finish(l);
}

static void ask_again(struct datafs_deadline *d)
{
	ask_new((void *)((char *)d - offsetof(struct level_ask, again)));
}

/* It is nobody's peer yet. */
static void reach(struct datafs_task *task)
{
	struct level_ask *l = (void *)((char *)task - offsetof(struct level_ask, task));

	TAILQ_INSERT_TAIL(&l->s->level_asks, l, link);
	server_link_want(l->s, l->m[0].id, l->add->what.what->admin->add->address);
	l->until = datafs_now() + ANSWER_MS * DATAFS_MSEC;
	l->again.fn = ask_again;
	ask_new(l);
}

void server_level_quiet(struct datafs_server *s)
{
	struct level_ask *l;

	while ((l = TAILQ_FIRST(&s->level_asks))) {
		for (unsigned int i = 0; i < l->n; i++)
			datafs_call_cancel(&l->m[i].call);
		finish(l);
	}
}

/* ---- the raft thread ---- */

static struct level_ask *level_ask_new(struct datafs_server *s,
				       void (*fn)(struct datafs_task *task),
				       void (*done)(struct datafs_server *s, struct letter *l))
{
	struct level_ask *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->s = s;
	l->task.fn = fn;
	l->letter.fn = done;
	return l;
}

static void level_ask_add(struct level_ask *l, uint64_t id)
{
	l->m[l->n].of = l;
	l->m[l->n++].id = id;
}

/* That of one member: 0 if it is not known. */
static uint32_t level_of(const struct datafs_server *s, const struct level_ask *l, uint64_t id)
{
	if (id == s->cfg.id)
		return s->cfg.level;
	for (unsigned int i = 0; i < l->n; i++)
		if (l->m[i].id == id)
			return l->m[i].level;
	return 0;
}

/* That all of the configuration know. */
static uint32_t level_of_all(const struct datafs_server *s, const struct level_ask *l)
{
	struct datafs_member_server m;
	uint32_t level = s->cfg.level;

	for (unsigned int i = 0; datafs_member_server(s->member, i, &m); i++)
		level = DATAFS_MIN(level, level_of(s, l, m.id));
	return level;
}

static void raised(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	struct datafs_server *s = (void *)((char *)op - offsetof(struct datafs_server, level.op));

	/* whatever came of it: who leads asks again */
	(void)err, (void)res, (void)len;
	s->level.raising = 0;
}

static void raise_level(struct datafs_server *s, uint32_t level)
{
	Metad__Feature feature = METAD__FEATURE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;

	feature.has_level = true;
	feature.level = level;
	c.op_case = METAD__COMMAND__OP_FEATURE;
	c.feature = &feature;
	s->level.op.done = raised;
	s->level.op.buf = s->level.command;
	s->level.op.len = metad__command__pack(&c, s->level.command);
	s->level.raising = level;
	datafs_log(LOG_NOTICE, "quorum: all members know feature level %u, which is proposed", level);
	if (datafs_member_submit(s->member, &s->level.op))
		s->level.raising = 0;
}

static bool may_rise(struct datafs_server *s)
{
	struct datafs_member_status st;

	datafs_member_status(s->member, &st);
	return st.ready && !s->level.raising && s->cfg.level > in_force(s);
}

static void all_asked(struct datafs_server *s, struct letter *letter)
{
	struct level_ask *l = (void *)((char *)letter - offsetof(struct level_ask, letter));
	uint32_t level;

	s->level.asking = false;
	level = level_of_all(s, l);
	if (may_rise(s) && level > in_force(s))
		raise_level(s, level);
	free(l);
}

void server_level_look(struct datafs_server *s)
{
	struct datafs_member_server m;
	struct level_ask *l;

	if (s->level.asking || !may_rise(s))
		return;
	l = level_ask_new(s, ask_all, all_asked);
	if (!l)
		return;
	for (unsigned int i = 0; datafs_member_server(s->member, i, &m); i++)
		if (m.id != s->cfg.id)
			level_ask_add(l, m.id);
	s->level.asking = true;
	datafs_loop_post(s->loop, &l->task);
}

static void new_asked(struct datafs_server *s, struct letter *letter)
{
	struct level_ask *l = (void *)((char *)letter - offsetof(struct level_ask, letter));
	struct ask *a = l->add;

	(void)s;
	a->asked = true;
	a->level = l->m[0].level;
	free(l);
	/* the level may have risen meanwhile */
	server_level_add(a);
}

static void ask_who_is_new(struct ask *a)
{
	struct level_ask *l = level_ask_new(a->s, reach, new_asked);

	if (!l) {
		server_ask_end(a, ENOMEM);
		return;
	}
	l->add = a;
	level_ask_add(l, a->what.what->admin->add->id);
	datafs_loop_post(a->s->loop, &l->task);
}

static void refuse(struct ask *a)
{
	datafs_log(LOG_WARNING, "quorum: member %llu is not added: %s",
		   (unsigned long long)a->what.what->admin->add->id,
		   a->level ? "it does not know the feature level in force" :
			      "it does not answer");
	server_ask_end(a, a->level ? EPROTONOSUPPORT : EHOSTUNREACH);
}

static bool is_member(struct datafs_server *s, uint64_t id)
{
	struct datafs_member_server m;

	for (unsigned int i = 0; datafs_member_server(s->member, i, &m); i++)
		if (m.id == id)
			return true;
	return false;
}

/* The state has all that was raised before. */
static void add_read(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));
	struct datafs_server *s = a->s;
	uint32_t level = in_force(s);
	bool asked = a->asked;

	if (err) {
		server_ask_end(a, -err);
	} else if (level <= 1 || a->level >= level ||
		   is_member(s, a->what.what->admin->add->id)) {
		/* what is there is refused by the change */
		server_admin_add(a);
	} else if (asked) {
		refuse(a);
	} else {
		ask_who_is_new(a);
		return;
	}
	/* one that was not added is disconnected */
	if (asked)
		server_peers_again(s);
}

void server_level_add(struct ask *a)
{
	int err;

	a->read.done = add_read;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}
