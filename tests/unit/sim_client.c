// SPDX-License-Identifier: Apache-2.0
/*
 * Clients: each has one operation under way, asks again with the same request id
 * where the outcome is not known, and gives up after a while; then it goes on
 * under another name, and the operation has no end in the history.
 */
#include "sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES	12u
#define WAIT_MS	400u
#define STEPS	5000000ul	/* of the check of one register's history */

/* A request at a member. */
struct call {
	struct datafs_member_op op;
	struct datafs_member_read read;
	struct sim *s;
	unsigned int client, member, life;
	struct sim_request req;
};

static uint64_t stamp(struct sim *s)
{
	return ++s->order;
}

static void ask(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];
	struct sim_event e = { .kind = SIM_REQUEST, .from = i, .to = c->member };

	c->tries++;
	if (sim_pick(s, 1000) >= s->drop) {
		e.buf = malloc(sizeof(c->req));
		assert(e.buf);
		memcpy(e.buf, &c->req, sizeof(c->req));
		sim_event(s, 1 + sim_pick(s, 5), e);
	}
	sim_event(s, WAIT_MS, (struct sim_event) {
		.kind = SIM_CLIENT, .from = i, .a = c->op, .b = c->tries
	});
}

static void begin_op(struct sim *s, unsigned int i, bool last)
{
	struct sim_client *c = &s->clients[i];
	unsigned int kind = sim_pick(s, 10);

	if (s->ops == SIM_OPS) {
		c->busy = false;
		return;
	}
	/* at times it asks somebody who may not know that others lead */
	if (!last && !sim_pick(s, 4))
		c->member = 1 + sim_pick(s, s->next_id - 1);
	c->busy = true;
	c->last = last;
	c->tries = 0;
	c->op = s->ops++;
	c->req.request++;
	c->req.kind = last || kind < 4 ? REGISTER_GET : kind < 7 ? REGISTER_PUT : REGISTER_ADD;
	c->req.key = last ? i % SIM_KEYS : sim_pick(s, SIM_KEYS);
	c->req.value = 1 + sim_random(s) % 1000000;
	s->key[c->op] = c->req.key;
	s->what[c->op] = (struct register_op) { c->req.kind, c->req.value, 0 };
	s->history[c->op] = (struct lin_op) { stamp(s), LIN_MAYBE, &s->what[c->op] };
	ask(s, i);
}

void sim_clients_begin(struct sim *s)
{
	for (unsigned int i = 0; i < SIM_CLIENTS; i++) {
		s->clients[i].req.client = s->sessions++;
		s->clients[i].member = 1 + sim_pick(s, s->first_members);
		begin_op(s, i, false);
	}
}

/* The next one after a while; when it is calm one more get, of what is there. */
static void end_op(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];

	if (c->last) {
		c->busy = false;
		return;
	}
	sim_event(s, sim_pick(s, 40), (struct sim_event) {
		.kind = SIM_CLIENT, .from = i, .a = c->op, .b = UINT64_MAX
	});
}

static void give_up(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];

	s->unknown++;
	assert(s->sessions < SIM_SESSIONS);
	c->req.client = s->sessions++;
	c->req.request = 0;
	end_op(s, i);
}

static void again(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];
	unsigned int leader = sim_leader(s);

	if (c->tries >= TRIES && !s->calm) {
		give_up(s, i);
		return;
	}
	/* mostly it finds the leader */
	c->member = leader && sim_pick(s, 3) ? leader : 1 + sim_pick(s, s->next_id - 1);
	ask(s, i);
}

static void answered(struct sim *s, const struct sim_event *e)
{
	struct sim_client *c = &s->clients[e->to];

	/* of another operation, or of one that was tried again meanwhile */
	if (!c->busy || e->a != c->req.client || e->b != c->req.request ||
	    s->history[c->op].end != LIN_MAYBE)
		return;
	if (e->err) {
		sim_event(s, 5 + sim_pick(s, 30), (struct sim_event) {
			.kind = SIM_CLIENT, .from = e->to, .a = c->op, .b = c->tries
		});
		return;
	}
	s->answered++;
	s->what[c->op].answer = e->c;
	s->history[c->op].end = stamp(s);
	end_op(s, e->to);
}

static void client_time(struct sim *s, const struct sim_event *e)
{
	struct sim_client *c = &s->clients[e->from];

	if (e->b == UINT64_MAX) {
		begin_op(s, e->from, s->calm);
		return;
	}
	if (c->op != e->a || c->tries != e->b || s->history[c->op].end != LIN_MAYBE || !c->busy)
		return;
	again(s, e->from);
}

static void reply(struct call *call, int err, uint64_t value)
{
	struct sim *s = call->s;
	const struct sim_member *m = &s->members[call->member];

	if (m->m && m->life == call->life && sim_pick(s, 1000) >= s->drop)
		sim_event(s, 1 + sim_pick(s, 5), (struct sim_event) {
			.kind = SIM_ANSWER, .to = call->client, .a = call->req.client,
			.b = call->req.request, .c = value, .err = err
		});
	free(call);
}

static void op_done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	struct call *call = (struct call *)op;
	uint64_t value = call->req.value;

	/* an answer without a value is of a planted fault */
	if (!err && len == sizeof(value))
		memcpy(&value, res, sizeof(value));
	reply(call, err, value);
}

static void read_done(struct datafs_member_read *read, int err)
{
	struct call *call = (struct call *)((char *)read - offsetof(struct call, read));

	reply(call, err, sim_fsm_value(call->s->members[call->member].fsm, call->req.key));
}

static void request(struct sim *s, const struct sim_event *e)
{
	struct sim_member *m = &s->members[e->to];
	struct call *call = calloc(1, sizeof(*call));
	int err;

	assert(call);
	call->s = s;
	call->client = e->from;
	call->member = e->to;
	call->life = m->life;
	memcpy(&call->req, e->buf, sizeof(call->req));
	call->op.buf = &call->req;
	call->op.len = sizeof(call->req);
	call->op.done = op_done;
	call->read.done = read_done;
	err = call->req.kind == REGISTER_GET ? datafs_member_read(m->m, &call->read) :
					       datafs_member_submit(m->m, &call->op);
	if (err)
		reply(call, err, 0);
}

void sim_client_event(struct sim *s, struct sim_event *e)
{
	switch (e->kind) {
	case SIM_REQUEST:
		request(s, e);
		break;
	case SIM_ANSWER:
		answered(s, e);
		break;
	default:
		client_time(s, e);
	}
}

/* A register for itself: linearizability is local. */
const char *sim_history_check(struct sim *s)
{
	static struct lin_op ops[SIM_OPS];

	for (uint32_t key = 0; key < SIM_KEYS; key++) {
		unsigned int n = 0;

		for (unsigned int i = 0; i < s->ops; i++) {
			bool lost_get = s->what[i].kind == REGISTER_GET &&
					s->history[i].end == LIN_MAYBE;

			if (s->key[i] == key && !lost_get)
				ops[n++] = s->history[i];
		}
		switch (lin_check(&register_model, ops, n, STEPS)) {
		case LIN_BAD:
			return "the history is not linearizable";
		case LIN_TOO_HARD:
			return "the history is too hard to check";
		default:
			break;
		}
	}
	return NULL;
}
