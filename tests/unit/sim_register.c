// SPDX-License-Identifier: Apache-2.0
/* Clients of registers: each request has a number, of which only the last counts. */
#include "sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lin_register.h"

#define STEPS	5000000ul	/* of the check of one register's history */

struct work {
	uint64_t sessions;
	struct sim_request next[SIM_CLIENTS];
	struct register_op what[SIM_OPS];
	uint32_t key[SIM_OPS];
};

static void begin(struct sim *s)
{
	struct work *w = calloc(1, sizeof(*w));

	assert(w);
	s->work = w;
	for (unsigned int i = 0; i < s->n_clients; i++)
		w->next[i].client = w->sessions++;
}

static void end(struct sim *s)
{
	free(s->work);
}

static void ask(struct sim *s, unsigned int i)
{
	struct sim_client *c = &s->clients[i];
	struct work *w = s->work;
	struct sim_request *r = &w->next[i];
	unsigned int kind = sim_pick(s, 10);

	r->request++;
	r->kind = c->last || kind < 4 ? REGISTER_GET : kind < 7 ? REGISTER_PUT : REGISTER_ADD;
	r->key = c->last ? i % SIM_KEYS : sim_pick(s, SIM_KEYS);
	r->value = 1 + sim_random(s) % 1000000;
	w->key[c->op] = r->key;
	w->what[c->op] = (struct register_op) { r->kind, r->value, 0 };
	s->history[c->op].what = &w->what[c->op];
	c->read = r->kind == REGISTER_GET;
	c->len = sizeof(*r);
	c->req = malloc(c->len);
	assert(c->req);
	memcpy(c->req, r, c->len);
}

static void *read_one(void *state, const void *req, size_t len, size_t *answer_len)
{
	uint64_t value, *res = malloc(sizeof(value));
	struct sim_request r;

	assert(res && len == sizeof(r));
	memcpy(&r, req, sizeof(r));
	*res = sim_fsm_value(state, r.key);
	*answer_len = sizeof(*res);
	return res;
}

static enum sim_told told(struct sim *s, unsigned int i, const void *buf, size_t len)
{
	struct work *w = s->work;
	struct register_op *o = &w->what[s->clients[i].op];

	/* an answer without a value is of a planted fault */
	o->answer = o->value;
	if (len == sizeof(o->answer))
		memcpy(&o->answer, buf, len);
	return SIM_TOLD;
}

/* It goes on under another name. */
static void gave_up(struct sim *s, unsigned int i)
{
	struct work *w = s->work;

	assert(w->sessions < SIM_SESSIONS);
	w->next[i].client = w->sessions++;
	w->next[i].request = 0;
}

/* A register for itself: linearizability is local. */
static const char *check(struct sim *s)
{
	static struct lin_op ops[SIM_OPS];
	struct work *w = s->work;

	for (uint32_t key = 0; key < SIM_KEYS; key++) {
		unsigned int n = 0;

		for (unsigned int i = 0; i < s->ops; i++) {
			bool lost_get = w->what[i].kind == REGISTER_GET &&
					s->history[i].end == LIN_MAYBE;

			if (w->key[i] == key && !lost_get)
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

static const char *broken(void *state)
{
	(void)state;
	return NULL;
}

const struct sim_machine sim_registers = {
	.make = sim_fsm_new, .free = sim_fsm_free, .open = sim_fsm_open, .crash = sim_fsm_crash,
	.ops = sim_fsm_ops, .snapshots = sim_fsm_snapshots, .dump = sim_fsm_dump,
	.broken = broken, .begin = begin, .end = end, .ask = ask, .read = read_one,
	.told = told, .gave_up = gave_up, .check = check,
};
