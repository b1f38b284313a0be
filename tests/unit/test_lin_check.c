// SPDX-License-Identifier: Apache-2.0
/* The checker of histories, by histories whose answer is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lin_register.h"

/* What a line does not say is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define STEPS	1000000ul
#define GET	REGISTER_GET
#define PUT	REGISTER_PUT
#define ADD	REGISTER_ADD
#define MAYBE	LIN_MAYBE

struct known {
	const char *name;
	enum lin_result res;
	struct {
		uint64_t begin, end;
		struct register_op op;
		bool lost;
	} ops[8];		/* up to one that begins at 0 */
};

static const struct known known[] = {
	{ "nothing happened", LIN_OK, { { 0 } } },
	{ "one after the other", LIN_OK, {
		{ 1, 2, { PUT, 5, 5 } }, { 3, 4, { ADD, 2, 7 } }, { 5, 6, { GET, 0, 7 } } } },
	{ "a get sees what was never put", LIN_BAD, { { 1, 2, { GET, 0, 1 } } } },
	{ "a stale read", LIN_BAD, {
		{ 1, 2, { PUT, 5, 5 } }, { 3, 4, { PUT, 6, 6 } }, { 5, 6, { GET, 0, 5 } } } },
	{ "old or new while it is put: new, then old", LIN_BAD, {
		{ 1, 10, { PUT, 5, 5 } }, { 2, 3, { GET, 0, 5 } }, { 4, 5, { GET, 0, 0 } } } },
	{ "old or new while it is put: old, then new", LIN_OK, {
		{ 1, 10, { PUT, 5, 5 } }, { 2, 3, { GET, 0, 0 } }, { 4, 5, { GET, 0, 5 } } } },
	{ "a lost update", LIN_BAD, {
		{ 1, 2, { ADD, 1, 1 } }, { 3, 4, { ADD, 1, 1 } } } },
	{ "two at once count both", LIN_OK, {
		{ 1, 4, { ADD, 1, 2 } }, { 2, 3, { ADD, 1, 1 } }, { 5, 6, { GET, 0, 2 } } } },
	{ "two at once count one", LIN_BAD, {
		{ 1, 4, { ADD, 1, 1 } }, { 2, 3, { ADD, 1, 1 } } } },
	{ "one applied twice", LIN_BAD, {
		{ 1, 2, { ADD, 1, 1 } }, { 3, 4, { ADD, 1, 3 } } } },
	{ "without an answer it has happened", LIN_OK, {
		{ 1, MAYBE, { ADD, 1, 0 } }, { 2, 3, { GET, 0, 0 } }, { 4, 5, { GET, 0, 1 } } } },
	{ "without an answer it has not", LIN_OK, {
		{ 1, MAYBE, { ADD, 1, 0 } }, { 2, 3, { ADD, 1, 1 } }, { 4, 5, { GET, 0, 1 } } } },
	{ "without an answer it happens once at most", LIN_BAD, {
		{ 1, MAYBE, { ADD, 1, 0 } }, { 2, 3, { GET, 0, 1 } }, { 4, 5, { GET, 0, 2 } } } },
	{ "without an answer it is not undone", LIN_BAD, {
		{ 1, MAYBE, { ADD, 1, 0 } }, { 2, 3, { GET, 0, 1 } }, { 4, 5, { GET, 0, 0 } } } },
	{ "it does not happen before its begin", LIN_BAD, {
		{ 1, 2, { GET, 0, 1 } }, { 3, MAYBE, { ADD, 1, 0 } } } },
	{ "lost, it has happened", LIN_OK, {
		{ 1, 4, { ADD, 1, 0 }, true }, { 2, 3, { GET, 0, 0 } }, { 5, 6, { GET, 0, 1 } } } },
	{ "lost, it has not", LIN_OK, {
		{ 1, 4, { ADD, 1, 0 }, true }, { 2, 3, { GET, 0, 0 } }, { 5, 6, { GET, 0, 0 } } } },
	{ "lost, it happens at its end, among others", LIN_OK, {
		{ 1, 4, { ADD, 1, 0 }, true }, { 3, 6, { ADD, 1, 1 } }, { 3, 5, { GET, 0, 0 } },
		{ 7, 8, { GET, 0, 2 } } } },
	{ "lost, it happens behind its end", LIN_BAD, {
		{ 1, 4, { ADD, 1, 0 }, true }, { 5, 6, { GET, 0, 0 } }, { 7, 8, { GET, 0, 1 } } } },
};

static enum lin_result check_known(const struct known *k)
{
	struct lin_op ops[8];
	unsigned int n = 0;

	for (; n < 8 && k->ops[n].begin; n++)
		ops[n] = (struct lin_op) {
			k->ops[n].begin, k->ops[n].end, &k->ops[n].op, k->ops[n].lost
		};
	return lin_check(&register_model, ops, n, STEPS);
}

static void known_histories(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (check_known(&known[i]) != known[i].res)
			fail_msg("%s", known[i].name);
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 11;
}

#define OPS	100u
#define HISTORIES	30u

struct history {
	struct lin_op ops[OPS];
	struct register_op what[OPS];
};

/* Each takes effect at a moment between its begin and its end. */
static void make_history(struct history *h, uint64_t *x)
{
	uint64_t value = 0, now = 100;

	for (unsigned int i = 0; i < OPS; i++) {
		struct register_op *o = &h->what[i];

		now += 10;
		h->ops[i].begin = now - next(x) % 20;
		h->ops[i].end = now + next(x) % 20;
		o->kind = next(x) % 3;
		o->value = next(x) % 5;
		if (o->kind == PUT)
			value = o->value;
		else if (o->kind == ADD)
			value += o->value;
		o->answer = value;
		h->ops[i].what = o;
		h->ops[i].lost = !(next(x) % 40);
		if (!(next(x) % 40))
			h->ops[i].end = MAYBE;
	}
}

static void made_histories(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL), x;
	unsigned int bad = 0;

	(void)state;
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	x = seed * 0x9e3779b97f4a7c15ull | 1;
	for (unsigned int i = 0; i < HISTORIES; i++) {
		struct history h;
		unsigned int k;

		make_history(&h, &x);
		assert_int_equal(lin_check(&register_model, h.ops, OPS, STEPS), LIN_OK);
		/* an answer, of those that came, that no order can give */
		do
			k = next(&x) % OPS;
		while (h.ops[k].end == MAYBE || h.ops[k].lost);
		h.what[k].answer += 1000000;
		bad += lin_check(&register_model, h.ops, OPS, STEPS) == LIN_BAD;
	}
	assert_int_equal(bad, HISTORIES);
}

/* Many at once, with a wrong answer, have more orders than can be tried. */
static void too_hard(void **state)
{
	struct register_op what[40];
	struct lin_op ops[40];

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		what[i] = (struct register_op) { ADD, 1ull << i, 0 };
		ops[i] = (struct lin_op) { 1, 100, &what[i] };
		what[i].answer = 1;
	}
	for (unsigned int i = 1; i < 40; i++)
		ops[i].end = MAYBE;
	what[0].answer = 1ull << 50;
	assert_int_equal(lin_check(&register_model, ops, 40, 10000), LIN_TOO_HARD);
}

/*
 * One of two at once has to be first, and it is not the one that began first: it must not take
 * all orders of those without an answer, none of which mattered, to see that.
 */
static void unanswered(void **state)
{
	struct register_op what[43] = { 0 };
	struct lin_op ops[43] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		what[i] = (struct register_op) { ADD, 1ull << i, 0 };
		ops[i] = (struct lin_op) { 1, MAYBE, &what[i] };
	}
	what[40] = (struct register_op) { ADD, 1ull << 50, 1ull << 50 };
	ops[40] = (struct lin_op) { 2, 5, &what[40] };
	what[41] = (struct register_op) { GET, 0, 0 };
	ops[41] = (struct lin_op) { 3, 4, &what[41] };
	what[42] = (struct register_op) { GET, 0, 1ull << 50 };
	ops[42] = (struct lin_op) { 6, 7, &what[42] };
	assert_int_equal(lin_check(&register_model, ops, 43, 10000), LIN_OK);
	/* two of them */
	what[42].answer += (1ull << 39) + (1ull << 3);
	assert_int_equal(lin_check(&register_model, ops, 43, 10000000), LIN_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_histories),
		cmocka_unit_test(made_histories),
		cmocka_unit_test(too_hard),
		cmocka_unit_test(unanswered),
	};

	return cmocka_run_group_tests_name("lin_check", tests, NULL, NULL);
}
