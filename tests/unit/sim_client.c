// SPDX-License-Identifier: Apache-2.0
/*
 * Clients: each has one operation under way, asks again with the same bytes where
 * the outcome is not known, and gives up after a while; then the operation has no
 * end in the history. What they ask is the state machine's (struct sim_machine).
 */
#include "sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES	12u
#define WAIT_MS	400u
#define LATE_MS	2500u	/* a second copy may come so late */

/* A request at a member. */
struct call {
	struct datafs_member_op op;
	struct datafs_member_read read;
	struct sim *s;
	unsigned int client, member, life;
	uint64_t number;	/* in the history */
	void *req;
	size_t len;
};

uint64_t sim_stamp(struct sim *s)
{
	return ++s->order;
}

static void *copy_of(const void *buf, size_t len)
{
	void *p = malloc(len ? len : 1);

	assert(p);
	if (len)
		memcpy(p, buf, len);
	return p;
}

static void deliver(struct sim *s, unsigned int i, unsigned int delay)
{
	const struct sim_client *c = &s->clients[i];

	sim_event(s, delay, (struct sim_event) {
		.kind = SIM_REQUEST, .from = i, .to = c->member, .a = c->op, .b = c->read,
		.buf = copy_of(c->req, c->len), .len = c->len,
	});
}

static void ask(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];

	c->tries++;
	if (sim_pick(s, 1000) >= s->drop)
		deliver(s, i, 1 + sim_pick(s, 5));
	if (sim_pick(s, 1000) < s->twice)
		deliver(s, i, 1 + sim_pick(s, LATE_MS));
	sim_event(s, WAIT_MS, (struct sim_event) {
		.kind = SIM_CLIENT, .from = i, .a = c->op, .b = c->tries
	});
}

static void begin_op(struct sim *s, unsigned int i, bool last)
{
	struct sim_client *c = &s->clients[i];

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
	free(c->req);
	c->req = NULL;
	s->history[c->op] = (struct lin_op) { .begin = sim_stamp(s), .end = LIN_MAYBE };
	s->machine->ask(s, i);
	ask(s, i);
}

void sim_clients_begin(struct sim *s)
{
	s->machine->begin(s);
	for (unsigned int i = 0; s->machine->ask && i < s->n_clients; i++) {
		s->clients[i].member = 1 + sim_pick(s, s->first_members);
		begin_op(s, i, false);
	}
}

void sim_clients_end(struct sim *s)
{
	if (!s->work)
		return;
	for (unsigned int i = 0; i < s->n_clients; i++)
		free(s->clients[i].req);
	s->machine->end(s);
	s->work = NULL;
}

/* The next one after a while; when it is calm one more, which only reads. */
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
	s->unknown++;
	s->machine->gave_up(s, i);
	/* an answer that comes yet is of none */
	s->clients[i].op = SIM_OPS;
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
	struct sim_client *c = &s->clients[e->from];
	struct lin_op *op = &s->history[e->a];

	/* of another operation, or of one that was tried again meanwhile */
	if (!c->busy || e->a != c->op || op->end != LIN_MAYBE)
		return;
	if (e->err) {
		sim_event(s, 5 + sim_pick(s, 30), (struct sim_event) {
			.kind = SIM_CLIENT, .from = e->from, .a = c->op, .b = c->tries
		});
		return;
	}
	op->lost = s->machine->told(s, e->from, e->buf, e->len) == SIM_LOST;
	op->end = sim_stamp(s);
	if (op->lost)
		s->unknown++;
	else
		s->answered++;
	end_op(s, e->from);
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

static void reply(struct call *call, int err, const void *buf, size_t len)
{
	struct sim *s = call->s;
	const struct sim_member *m = &s->members[call->member];

	if (m->m && m->life == call->life && sim_pick(s, 1000) >= s->drop)
		sim_event(s, 1 + sim_pick(s, 5), (struct sim_event) {
			.kind = SIM_ANSWER, .from = call->client, .a = call->number, .err = err,
			.buf = copy_of(buf, err ? 0 : len), .len = err ? 0 : len,
		});
	free(call->req);
	free(call);
}

static void op_done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	reply((struct call *)op, err, res, len);
}

static void read_done(struct datafs_member_read *read, int err)
{
	struct call *call = (struct call *)((char *)read - offsetof(struct call, read));
	struct sim *s = call->s;
	void *answer = NULL;
	size_t len = 0;

	if (!err)
		answer = s->machine->read(s->members[call->member].state, call->req, call->len,
					  &len);
	reply(call, err, answer, len);
	free(answer);
}

static void request(struct sim *s, struct sim_event *e)
{
	struct sim_member *m = &s->members[e->to];
	struct call *call = calloc(1, sizeof(*call));
	int err;

	assert(call);
	call->s = s;
	call->client = e->from;
	call->member = e->to;
	call->life = m->life;
	call->number = e->a;
	call->req = e->buf;
	call->len = e->len;
	e->buf = NULL;
	call->op.buf = call->req;
	call->op.len = call->len;
	call->op.done = op_done;
	call->read.done = read_done;
	err = e->b ? datafs_member_read(m->m, &call->read) :
		     datafs_member_submit(m->m, &call->op);
	if (err)
		reply(call, err, NULL, 0);
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
