// SPDX-License-Identifier: Apache-2.0
/*
 * Clients of the namespace. Each has a session, whose ids are above those of all
 * before; one that gives up opens another. A session that was given up, or any
 * other at times, is closed by the leader, as after its lease; then what it asked
 * last can take no effect any more, and the node that it spoke for is away.
 *
 * There are tables once somebody has raised the feature level.
 */
#include "sim_ns_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "metad/fsm.h"
#include "sim_ns.h"

#define STEPS	1000000ul	/* of the check of a history; each may keep 4 KiB */
#define KNOWN	4u		/* inodes that clients have heard of lately */

enum doing { OPENING, CLOSING, RAISING, CHANGING, READING };

struct client {
	enum doing doing;
	uint64_t session;
	bool open;
	uint64_t request;
	uint64_t given_up;	/* a session to be closed; 0: none */
	uint64_t closing;	/* which one is */
};

struct work {
	uint64_t sessions;	/* ids given */
	struct client c[SIM_CLIENTS];
	struct ns_op ops[SIM_OPS + 1];
	uint64_t dirs[KNOWN], files[KNOWN];
	uint64_t generations[KNOWN];	/* of mounts; 0: none */
	bool raised;
	struct ns_tree tree;
};

static const char *const names[] = { "a", "b", "c", "d" };

void ns_clients_begin(struct sim *s)
{
	struct work *w = calloc(1, sizeof(*w));

	assert(w);
	for (unsigned int i = 0; i < KNOWN; i++)
		w->dirs[i] = w->files[i] = DATAFS_METAD_ROOT;
	s->work = w;
}

void ns_clients_end(struct sim *s)
{
	free(s->work);
}

/* --- what is asked --- */

static uint64_t some_dir(struct sim *s)
{
	struct work *w = s->work;

	return sim_pick(s, 3) ? w->dirs[sim_pick(s, KNOWN)] : DATAFS_METAD_ROOT;
}

static uint64_t some_inode(struct sim *s)
{
	struct work *w = s->work;

	return sim_pick(s, 4) ? w->files[sim_pick(s, KNOWN)] : some_dir(s);
}

static struct req some_mount(struct sim *s, Metad__Command__OpCase op)
{
	static const char *const paths[NS_LINES] = { "/a", "/b", "/a/c" };
	static const char *const sources[] = { "/s", "/t" };
	static const char *const options[] = { "", "uid=7" };
	struct work *w = s->work;

	return (struct req) {
		.op = op, .name = paths[sim_pick(s, NS_LINES)], .source = sources[sim_pick(s, 2)],
		.options = options[sim_pick(s, 2)],
		.generation = sim_pick(s, 2) ? w->generations[sim_pick(s, KNOWN)] : 0,
	};
}

static struct req some_node(struct sim *s, Metad__Command__OpCase op)
{
	static const char *const nodes[NS_LINES] = { "n1", "n2", "n3" };
	static const char *const addresses[] = { "", "h:1", "h:2" };
	unsigned int how = sim_pick(s, 3);

	/* a weight of 0 is refused */
	return (struct req) {
		.op = op, .name = nodes[sim_pick(s, NS_LINES)],
		.source = addresses[sim_pick(s, 3)], .has_weight = sim_pick(s, 2),
		.level = sim_pick(s, 4), .create = how == 1, .replace = how == 2,
	};
}

static struct req some_change(struct sim *s)
{
	static const struct {
		Metad__Command__OpCase op;
		unsigned int weight;
	} ops[] = {
		{ OP(CREATE), 12 }, { OP(MKDIR), 10 }, { OP(LINK), 8 }, { OP(UNLINK), 10 },
		{ OP(RMDIR), 7 }, { OP(RENAME), 22 }, { OP(SETATTR), 8 },
		{ OP(MOUNT_ADD), 5 }, { OP(MOUNT_SET), 4 }, { OP(MOUNT_REMOVE), 4 },
		{ OP(NODE_JOIN), 10 }, { OP(NODE_SET), 6 }, { OP(NODE_REMOVE), 4 },
	};
	unsigned int at = sim_pick(s, 110), i = 0, how = sim_pick(s, 8);
	struct req r = { 0 };

	while (at >= ops[i].weight)
		at -= ops[i++].weight;
	r.op = ops[i].op;
	if (r.op >= OP(NODE_JOIN))
		return some_node(s, r.op);
	if (r.op >= OP(MOUNT_ADD))
		return some_mount(s, r.op);
	r.ino = r.op == OP(LINK) || r.op == OP(SETATTR) ? some_inode(s) : some_dir(s);
	r.to = some_dir(s);
	r.name = names[sim_pick(s, 4)];
	r.new_name = names[sim_pick(s, 4)];
	r.mode = sim_pick(s, 01000);
	r.umask = 022;
	r.uid = sim_pick(s, 3);
	r.gid = sim_pick(s, 3);
	if (r.op == OP(RENAME)) {
		r.create = !how;
		r.replace = how == 1 || how == 2;
	}
	r.set = (struct Metad__Setattr) {
		.has_mode = true, .mode = sim_pick(s, 010000), .has_uid = how % 2, .uid = 7,
		.has_size = how == 3, .size = sim_random(s) % 1000,
	};
	return r;
}

static void send_command(struct sim *s, unsigned int i, const struct req *r)
{
	struct sim_client *c = &s->clients[i];

	c->req = req_pack_command(r, &c->len);
	c->read = false;
	/* as who takes it from a client does */
	assert(!datafs_fsm_decode(c->req, c->len, NULL, NULL));
}

static void send_read(struct sim *s, unsigned int i, const struct ns_op *o)
{
	struct sim_client *c = &s->clients[i];
	struct ns_read *r = calloc(1, sizeof(*r));

	assert(r);
	r->kind = o->kind;
	r->ino = o->r.ino;
	strcpy(r->name, o->r.name);
	c->req = r;
	c->len = sizeof(*r);
	c->read = true;
}

static void open_session(struct sim *s, unsigned int i)
{
	struct work *w = s->work;
	struct client *c = &w->c[i];
	struct req r = { OP(SESSION_OPEN), .request = 1, .lowest = 1 };

	w->sessions += 1 + sim_pick(s, 5);
	c->session = w->sessions;
	c->request = 1;
	c->doing = OPENING;
	r.session = c->session;
	send_command(s, i, &r);
}

/* As the leader does, whose own commands have no session, and are the same when done twice. */
static void lead(struct sim *s, unsigned int i, enum doing doing, struct req r)
{
	struct work *w = s->work;
	struct ns_op *o = &w->ops[s->clients[i].op];

	w->c[i].doing = doing;
	o->kind = NS_CHANGE;
	o->r = r;
	s->history[s->clients[i].op].what = o;
	send_command(s, i, &r);
}

static void raise_level(struct sim *s, unsigned int i)
{
	lead(s, i, RAISING, (struct req) { OP(FEATURE), .level = DATAFS_METAD_LEVEL_NODE });
}

/* One that is not @open, as far as is known, may be opened yet, and then meet a copy of this. */
static void close_session(struct sim *s, unsigned int i, uint64_t session, bool open)
{
	struct work *w = s->work;

	w->c[i].closing = session;
	w->ops[s->clients[i].op].late = !open;
	lead(s, i, CLOSING, (struct req) { OP(SESSION_CLOSE), .ino = session });
}

static void read_something(struct sim *s, unsigned int i, struct ns_op *o)
{
	struct work *w = s->work;

	w->c[i].doing = READING;
	o->kind = NS_LOOKUP + sim_pick(s, 5);
	o->r.ino = o->kind == NS_GETATTR ? some_inode(s) : some_dir(s);
	o->r.name = names[sim_pick(s, 4)];
	s->history[s->clients[i].op].what = o;
	send_read(s, i, o);
}

static void change_something(struct sim *s, unsigned int i, struct ns_op *o)
{
	struct work *w = s->work;
	struct client *c = &w->c[i];

	c->doing = CHANGING;
	o->kind = NS_CHANGE;
	o->r = some_change(s);
	o->r.session = c->session;
	o->r.request = ++c->request;
	/* not all answers that it had are done with */
	o->r.lowest = c->request - DATAFS_MIN(c->request - 1, sim_pick(s, 3));
	s->history[s->clients[i].op].what = o;
	send_command(s, i, &o->r);
}

void ns_ask(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];
	struct work *w = s->work;
	const struct client *other = &w->c[sim_pick(s, s->n_clients)];

	if (c->last)
		read_something(s, i, &w->ops[c->op]);
	else if (w->c[i].given_up && sim_pick(s, 2))
		close_session(s, i, w->c[i].given_up, true);
	else if (other->session && !sim_pick(s, 50))
		close_session(s, i, other->session, other->open);
	else if (!w->raised && !sim_pick(s, 8))
		raise_level(s, i);
	else if (!w->c[i].open)
		open_session(s, i);
	else if (!sim_pick(s, 3))
		read_something(s, i, &w->ops[c->op]);
	else
		change_something(s, i, &w->ops[c->op]);
}

/* --- what is told --- */

static void heard_of(struct sim *s, const struct ns_attr *a)
{
	struct work *w = s->work;

	if (S_ISDIR(a->mode))
		w->dirs[sim_pick(s, KNOWN)] = a->ino;
	else
		w->files[sim_pick(s, KNOWN)] = a->ino;
}

void ns_take_attr(struct ns_answer *a, enum ns_role role, const Metad__Attr *m)
{
	if (!m)
		return;
	a->told |= 1u << role;
	a->attr[role] = (struct ns_attr) {
		.ino = m->ino, .version = m->version, .size = m->size, .mode = m->mode,
		.nlink = m->nlink, .uid = m->uid, .gid = m->gid,
	};
	if (role == NS_NODE)
		a->time = (uint64_t)m->ctime * DATAFS_SEC + m->ctime_ns;
}

void ns_take_result(struct ns_answer *a, const Metad__Result *res)
{
	memset(a, 0, sizeof(*a));
	a->err = -(int)res->error;
	ns_take_attr(a, NS_NODE, res->node);
	ns_take_attr(a, NS_PARENT, res->parent);
	ns_take_attr(a, NS_NEW_PARENT, res->new_parent);
	ns_take_attr(a, NS_OTHER_NODE, res->other);
}

/* False: it is no Result. */
static bool take_result(const void *buf, size_t len, const struct req *r, struct ns_answer *a)
{
	Metad__Result *res = metad__result__unpack(NULL, len, buf);
	bool ours = res && res->session == r->session && res->request == r->request;

	memset(a, 0, sizeof(*a));
	if (ours)
		ns_take_result(a, res);
	if (res)
		metad__result__free_unpacked(res, NULL);
	return ours;
}

/* What was given up with this session and has not happened will not. */
static void closed(struct sim *s, uint64_t session)
{
	struct work *w = s->work;

	for (unsigned int i = 0; i < s->ops; i++) {
		if (!w->ops[i].gave_up || w->ops[i].r.session != session)
			continue;
		w->ops[i].gave_up = false;
		s->history[i].lost = true;
		s->history[i].end = sim_stamp(s);
	}
	for (unsigned int i = 0; i < s->n_clients; i++)
		if (w->c[i].given_up == session)
			w->c[i].given_up = 0;
}

static enum sim_told told_session(struct sim *s, struct client *c, struct ns_op *o,
				  const void *buf, size_t len)
{
	struct work *w = s->work;
	struct req r = { 0 };
	struct ns_answer a;

	if (c->doing == OPENING) {
		r.session = c->session;
		r.request = 1;
	}
	/* an answer without bytes is of a planted fault */
	if (!len)
		a = (struct ns_answer) { 0 };
	else if (!take_result(buf, len, &r, &a))
		s->bad = "an answer is another's";
	o->answer = a;
	o->silent = !len;
	/* it was closed before it was open, or another that began later ended first */
	if (c->doing == OPENING && a.err != -ESTALE && a.err != -ENOTCONN) {
		c->open = true;
		if (a.err)
			s->bad = "a session cannot be opened";
	} else if (c->doing == CLOSING) {
		if (a.err)
			s->bad = "a session cannot be closed";
		closed(s, c->closing);
	} else if (c->doing == RAISING) {
		w->raised = true;
	}
	return SIM_TOLD;
}

static enum sim_told told_change(struct sim *s, struct client *c, struct ns_op *o,
				 const void *buf, size_t len)
{
	o->silent = !len;
	if (!o->silent && !take_result(buf, len, &o->r, &o->answer)) {
		s->bad = "an answer is another's";
		return SIM_LOST;
	}
	switch (o->answer.err) {
	case -ENOTCONN:
		c->open = false;
		return SIM_LOST;
	case -EBUSY:
		/* a node that somebody speaks for stays */
		if (o->r.op == OP(NODE_REMOVE))
			break;
		/* fall through */
	case -EALREADY:
		s->bad = "a request that nobody has heard the answer of is refused";
		return SIM_LOST;
	case 0:
		if (o->answer.told & 1u << NS_NODE)
			heard_of(s, &o->answer.attr[NS_NODE]);
	}
	return SIM_TOLD;
}

enum sim_told ns_told(struct sim *s, unsigned int i, const void *buf, size_t len)
{
	struct work *w = s->work;
	struct ns_op *o = &w->ops[s->clients[i].op];
	struct client *c = &w->c[i];

	if (c->doing == OPENING || c->doing == CLOSING || c->doing == RAISING)
		return told_session(s, c, o, buf, len);
	if (c->doing == CHANGING)
		return told_change(s, c, o, buf, len);
	assert(len == sizeof(o->answer));
	memcpy(&o->answer, buf, len);
	if (o->answer.told)
		heard_of(s, &o->answer.attr[NS_NODE]);
	for (unsigned int k = 0; o->kind == NS_MOUNTS && k < o->answer.table.lines; k++)
		w->generations[sim_pick(s, KNOWN)] = o->answer.table.line[k].by;
	return SIM_TOLD;
}

void ns_gave_up(struct sim *s, unsigned int i)
{
	struct work *w = s->work;
	struct client *c = &w->c[i];

	if (c->doing == CHANGING) {
		w->ops[s->clients[i].op].gave_up = true;
		c->given_up = c->session;
		c->open = false;
	}
}

/* --- the history --- */

/* At the end everything is read, so that no change that was acknowledged may be missing. */
const char *ns_linearizable(struct sim *s, void *state, struct ns_op *all, struct ns_tree *tree)
{
	static struct lin_op ops[SIM_OPS + 1];
	unsigned int n = 0;

	if (!ns_read_all(state, tree))
		return "the tree cannot be read, or is larger than this test thinks";
	*all = (struct ns_op) { .kind = NS_EVERYTHING, .tree = tree };
	for (unsigned int i = 0; i < s->ops; i++) {
		const struct ns_op *o = s->history[i].what;

		if (!o || (o->kind != NS_CHANGE && s->history[i].end == LIN_MAYBE))
			continue;
		ops[n] = s->history[i];
		if (o->late)
			ops[n].end = LIN_MAYBE;
		n++;
	}
	ops[n] = (struct lin_op) { .begin = sim_stamp(s), .what = all };
	ops[n].end = sim_stamp(s);
	switch (lin_check(&ns_model, ops, n + 1, STEPS)) {
	case LIN_BAD:
		return "the history is not linearizable";
	case LIN_TOO_HARD:
		return "the history is too hard to check";
	default:
		return NULL;
	}
}

const char *ns_check(struct sim *s)
{
	struct work *w = s->work;

	return ns_linearizable(s, s->members[sim_leader(s)].state, &w->ops[SIM_OPS], &w->tree);
}
