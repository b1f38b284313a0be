// SPDX-License-Identifier: Apache-2.0
/*
 * Users of the quorum, by the rules of meta/quorum.h: each changes and asks, keeps what it
 * may believe, and reads it where it is kept (sim_lease_keep.c).
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "sim_lease_wrap.h"

#define IDLE_MS		40u	/* between two operations */
#define GLANCE_MS	60u	/* between two looks at what is believed */
#define DRIFT		40
#define OFFSET_MS	1000000u

/* ------------------------------------------------------------------- changes */

/* -1: the history is full. */
static int op_begin(struct sim *s)
{
	if (s->ops == SIM_OPS)
		return -1;
	s->history[s->ops] = (struct lin_op) { .begin = sim_stamp(s), .end = LIN_MAYBE };
	return (int)s->ops++;
}

static void op_end(struct sim *s, int i)
{
	s->history[i].end = sim_stamp(s);
	s->answered++;
}

static void heard_of(struct sim *s, const struct ns_answer *a)
{
	struct lease_work *w = s->work;

	if (a->told & 1u << NS_NODE && S_ISREG(a->attr[NS_NODE].mode))
		w->files[sim_pick(s, LEASE_FILES)] = a->attr[NS_NODE].ino;
}

/* What a change has made of its names, as far as its request tells. */
static void keep_result(struct lease_client *c, const struct datafs_told *told,
			const struct req *r, const struct ns_answer *a)
{
	/* of more time passes before the user has its lock */
	if (!sim_pick(c->s, 4))
		lease_user_nap(c, sim_pick(c->s, 30));
	for (int i = 0; i < NS_ROLES; i++)
		if (a->told >> i & 1)
			lease_keep_attr(c, told, &a->attr[i]);
	switch (r->op) {
	case OP(CREATE):
		lease_keep_name(c, told, r->ino, r->name, a->attr[NS_NODE].ino);
		break;
	case OP(UNLINK):
		lease_keep_name(c, told, r->ino, r->name, 0);
		break;
	case OP(LINK):
	case OP(RENAME):
		lease_keep_name(c, told, r->to, r->new_name, a->attr[NS_NODE].ino);
		break;
	default:
		break;
	}
}

/* 0, or that of the way there. */
static int send_change(struct lease_client *c, struct req *r, struct ns_answer *a,
		       struct datafs_told *told)
{
	Metad__Result *res;
	Metad__Command *cmd;
	uint8_t *buf;
	size_t len;
	int err;

	r->session = c->session;
	r->request = r->lowest = ++c->request;
	buf = req_pack_command(r, &len);
	cmd = metad__command__unpack(NULL, len, buf);
	assert(cmd);
	err = datafs_quorum_change_told(c->q, cmd, &res, told);
	metad__command__free_unpacked(cmd, NULL);
	free(buf);
	if (err)
		return err;
	ns_take_result(a, res);
	metad__result__free_unpacked(res, NULL);
	return 0;
}

/* What has no answer may be done at any time. */
static void do_change(struct lease_client *c, const struct req *r)
{
	struct lease_work *w = c->s->work;
	struct datafs_told told;
	struct ns_op *o;
	int i = op_begin(c->s);

	if (i < 0)
		return;
	o = &w->ops[i];
	*o = (struct ns_op) { .kind = NS_CHANGE, .r = *r };
	c->s->history[i].what = o;
	if (send_change(c, &o->r, &o->answer, &told)) {
		c->s->unknown++;
		return;
	}
	op_end(c->s, i);
	if (o->answer.err == -ENOTCONN)
		c->s->bad = "a session has ended";
	heard_of(c->s, &o->answer);
	if (!o->answer.err)
		keep_result(c, &told, &o->r, &o->answer);
}

static struct req some_change(struct lease_client *c)
{
	static const struct {
		Metad__Command__OpCase op;
		unsigned int weight;
	} ops[] = {
		{ OP(CREATE), 10 }, { OP(LINK), 3 }, { OP(UNLINK), 8 }, { OP(RENAME), 8 },
		{ OP(SETATTR), 11 },
	};
	struct lease_work *w = c->s->work;
	unsigned int at = sim_pick(c->s, 40), i = 0;
	struct req r = { 0 };

	while (at >= ops[i].weight)
		at -= ops[i++].weight;
	r.op = ops[i].op;
	r.ino = r.op == OP(LINK) || r.op == OP(SETATTR) ?
			w->files[sim_pick(c->s, LEASE_FILES)] :
			w->dirs[sim_pick(c->s, LEASE_DIRS)];
	r.to = w->dirs[sim_pick(c->s, LEASE_DIRS)];
	r.name = lease_names[sim_pick(c->s, LEASE_NAMES)];
	r.new_name = lease_names[sim_pick(c->s, LEASE_NAMES)];
	r.mode = 0644;
	r.set.has_size = true;
	r.set.size = sim_random(c->s) % 100000;
	return r;
}

/* At times there is no patience. */
static void change_something(struct lease_client *c)
{
	struct req r = some_change(c);
	bool limit = !sim_pick(c->s, 15);

	if (limit)
		datafs_quorum_limit(c->q, 20 + sim_pick(c->s, 800));
	do_change(c, &r);
	datafs_quorum_limit(c->q, 0);
}

/* -------------------------------------------------------------------- reads */

static int ask(struct lease_client *c, const struct ns_op *o, Metad__Answer **res,
	       struct datafs_told *told)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Inode inode = METAD__INODE__INIT;
	Metad__Name name = METAD__NAME__INIT;

	if (o->kind == NS_LOOKUP) {
		q.of_case = METAD__QUERY__OF_LOOKUP;
		q.lookup = &name;
		name.has_parent = name.has_name = true;
		name.parent = o->r.ino;
		name.name = (ProtobufCBinaryData) { strlen(o->r.name), (uint8_t *)o->r.name };
	} else {
		q.of_case = METAD__QUERY__OF_GETATTR;
		q.getattr = &inode;
		inode.has_ino = true;
		inode.ino = o->r.ino;
	}
	return datafs_quorum_ask_told(c->q, &q, res, told);
}

static void keep_answer(struct lease_client *c, const struct datafs_told *told,
			const struct ns_op *o, const Metad__Answer *res)
{
	if (!sim_pick(c->s, 4))
		lease_user_nap(c, sim_pick(c->s, 30));
	if (o->kind == NS_LOOKUP && res->believe)
		lease_keep_name(c, told, o->r.ino, o->r.name, res->attr ? res->attr->ino : 0);
	if (res->attr && (o->kind == NS_LOOKUP ? res->believe_attr : res->believe))
		lease_keep_attr(c, told, &o->answer.attr[NS_NODE]);
}

/* Its name's number. */
static unsigned int some_read(struct lease_client *c, struct ns_op *o)
{
	struct lease_work *w = c->s->work;
	unsigned int name = sim_pick(c->s, LEASE_NAMES);

	*o = (struct ns_op) { .kind = sim_pick(c->s, 3) ? NS_LOOKUP : NS_GETATTR };
	o->r.ino = o->kind == NS_LOOKUP ? w->dirs[sim_pick(c->s, LEASE_DIRS)] :
					  w->files[sim_pick(c->s, LEASE_FILES)];
	o->r.name = lease_names[name];
	return name;
}

/* It begins and ends now. False: it must be asked. */
static bool read_believed(struct lease_client *c, struct ns_op *o, unsigned int name)
{
	struct lease_work *w = c->s->work;
	int i;

	if (!lease_believed(c, o, name, &o->answer))
		return false;
	i = op_begin(c->s);
	if (i < 0)
		return true;
	w->ops[i] = *o;
	c->s->history[i].what = &w->ops[i];
	op_end(c->s, i);
	lease_sums.believed++;
	return true;
}

void lease_user_glance(struct lease_client *c)
{
	struct ns_op o;
	unsigned int name = some_read(c, &o);

	if (c->s->calm)
		return;
	read_believed(c, &o, name);
	lease_event(c->s, 1 + sim_pick(c->s, GLANCE_MS), LEASE_GLANCE, 0, c->nr, 0, 0);
}

static void read_something(struct lease_client *c)
{
	struct lease_work *w = c->s->work;
	struct ns_op looked, *o;
	unsigned int name = some_read(c, &looked);
	struct datafs_told told;
	Metad__Answer *res;
	int i;

	if (read_believed(c, &looked, name))
		return;
	i = op_begin(c->s);
	if (i < 0)
		return;
	o = &w->ops[i];
	*o = looked;
	o->answer = (struct ns_answer) { 0 };
	if (ask(c, o, &res, &told))
		return;
	lease_sums.asked++;
	o->answer.err = -(int)res->error;
	ns_take_attr(&o->answer, NS_NODE, res->attr);
	c->s->history[i].what = o;
	op_end(c->s, i);
	heard_of(c->s, &o->answer);
	keep_answer(c, &told, o, res);
	metad__answer__free_unpacked(res, NULL);
}

/* ----------------------------------------------------------------- its life */

static bool open_session(struct lease_client *c)
{
	const struct datafs_quorum_watch watch = {
		.recalled = lease_recalled, .lost = lease_lost, .arg = c,
	};
	struct req r = { OP(SESSION_OPEN) };
	struct datafs_told told;
	struct ns_answer a;

	c->session = ++lease_work()->sessions;
	if (send_change(c, &r, &a, &told))
		return false;
	/* another that began later may have ended before */
	if (a.err)
		c->s->bad = "a session cannot be opened";
	return !a.err && !datafs_quorum_lease(c->q, c->session, &watch);
}

static void make_dir(struct lease_client *c)
{
	struct req r = { OP(MKDIR), .ino = DATAFS_METAD_ROOT, .name = "d", .mode = 0755 };
	struct lease_work *w = c->s->work;
	int i = (int)c->s->ops;

	do_change(c, &r);
	if (!w->ops[i].answer.err && w->ops[i].answer.told)
		w->dirs[1] = w->ops[i].answer.attr[NS_NODE].ino;
}

static void *user(void *arg)
{
	struct lease_client *c = arg;
	struct lease_work *w = c->s->work;

	if (open_session(c)) {
		if (!c->nr)
			make_dir(c);
		while (!c->s->calm && !w->ends) {
			if (sim_pick(c->s, 4))
				read_something(c);
			else
				change_something(c);
			lease_user_nap(c, sim_pick(c->s, IDLE_MS));
		}
	}
	c->s->clients[c->nr].busy = false;
	return NULL;
}

/* -------------------------------------------------------- begin and end */

static struct datafs_remote *opened;

/* What datafs_remote_open() makes, but the messenger and its thread. */
int __wrap_datafs_remote_open(const struct datafs_remote_config *cfg, struct datafs_remote **res)
{
	struct datafs_remote *r = calloc(1, sizeof(*r));

	(void)cfg;
	assert(r);
	TAILQ_INIT(&r->requests);
	TAILQ_INIT(&r->leases);
	pthread_mutex_init(&r->lock, NULL);
	*res = opened = r;
	return 0;
}

void __wrap_datafs_remote_close(struct datafs_remote *r)
{
	struct datafs_lease *l;

	remote_leases_stop(r);
	while ((l = TAILQ_FIRST(&r->leases))) {
		TAILQ_REMOVE(&r->leases, l, link);
		remote_lease_free(l);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void client_begin(struct sim *s, unsigned int i)
{
	static struct datafs_keys keys;
	struct datafs_remote_config cfg = { .keys = &keys };
	struct lease_work *w = s->work;
	struct lease_client *c = &w->c[i];

	c->s = s;
	c->nr = i;
	c->drift = (int)sim_pick(s, 2 * DRIFT) - DRIFT;
	c->offset = (int64_t)sim_pick(s, OFFSET_MS) * DATAFS_MSEC;
	c->loop.client = c->deadlines.client = i;
	STAILQ_INIT(&c->loop.tasks);
	assert(!datafs_quorum_open_remote(&cfg, &c->q));
	c->r = opened;
	c->r->loop = &c->loop;
	c->r->deadlines = &c->deadlines;
	for (unsigned int id = 1; id <= s->first_members; id++) {
		snprintf(c->r->targets[id - 1].address, DATAFS_ADDRESS_MAX, "m%u", id);
		lease_event(s, sim_pick(s, 50), LEASE_CONNECT, 0, i, id, 0);
	}
	c->r->n = c->r->named = s->first_members;
	s->clients[i].busy = true;
	lease_user_start(c, user);
	lease_event(s, sim_pick(s, 50), LEASE_WAKE, 0, i, 0, 0);
	lease_event(s, GLANCE_MS, LEASE_GLANCE, 0, i, 0, 0);
}

void lease_users_begin(struct sim *s)
{
	struct lease_work *w = calloc(1, sizeof(*w));

	assert(w);
	s->work = w;
	w->dirs[0] = w->dirs[1] = DATAFS_METAD_ROOT;
	for (unsigned int i = 0; i < LEASE_FILES; i++)
		w->files[i] = DATAFS_METAD_ROOT;
	for (unsigned int i = 0; i < s->n_clients; i++)
		client_begin(s, i);
	lease_event(s, 300, LEASE_TROUBLE, 0, 0, 0, 0);
}

/* Whatever it waits for it gets an error. */
static void client_end(struct lease_client *c)
{
	lease_at(c);
	c->r->stopped = true;
	while (!c->over) {
		while (lease_task_run(&c->loop))
			;
		remote_fail_all(c->r, -ESHUTDOWN);
		lease_user_run(c);
	}
	while (lease_task_run(&c->loop))
		;
	lease_user_join(c);
	datafs_quorum_close(c->q);
	lease_at(NULL);
}

void lease_users_end(struct sim *s)
{
	struct lease_work *w = s->work;

	w->ends = true;
	for (unsigned int i = 0; i < s->n_clients; i++)
		client_end(&w->c[i]);
	lease_conns_free(w);
	free(w);
	lease_time_end();
}
