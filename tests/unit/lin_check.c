// SPDX-License-Identifier: Apache-2.0
#include "lin_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was tried, and led nowhere: a set of operations and a state. */
struct seen {
	struct seen *next;
	uint64_t hash;
	/* the set's words, then the state */
	uint64_t words[];
};

/* One step of the way: which operation was taken, and the state before it. */
struct taken {
	unsigned int op, place;
	bool sure;
	uint64_t latest;
	void *before;
};

struct search {
	const struct lin_model *model;
	const struct lin_op *ops;	/* by their begin */
	unsigned int n, words;
	unsigned int must;		/* operations left that were answered */
	unsigned int spare;		/* of the others, how many more may be taken */
	bool short_of;			/* one more might have been */
	uint64_t latest;		/* begin of all that were taken */
	uint64_t *set;			/* those taken */
	void *state;
	struct taken *way;
	unsigned int depth;
	struct seen **table;
	size_t buckets;
};

static void *must_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p) {
		fprintf(stderr, "lin_check: no memory\n");
		abort();
	}
	return p;
}

static bool is_maybe(const struct lin_op *op)
{
	return op->lost || op->end == LIN_MAYBE;
}

static bool in_set(const struct search *s, unsigned int i)
{
	return s->set[i / 64] >> i % 64 & 1;
}

/* True if it is new. */
static bool remember(struct search *s)
{
	size_t bytes = s->words * sizeof(uint64_t);
	uint64_t hash = s->model->hash(s->state);
	struct seen *e, **head;

	for (unsigned int i = 0; i < s->words; i++)
		hash = (hash ^ s->set[i]) * 0x9e3779b97f4a7c15ull;
	head = &s->table[(hash >> 20) % s->buckets];
	for (e = *head; e; e = e->next)
		if (e->hash == hash && !memcmp(e->words, s->set, bytes) &&
		    s->model->equal(e->words + s->words, s->state))
			return false;
	e = must_alloc(sizeof(*e) + bytes + s->model->size);
	e->hash = hash;
	memcpy(e->words, s->set, bytes);
	memcpy(e->words + s->words, s->state, s->model->size);
	e->next = *head;
	*head = e;
	return true;
}

/* All before it are taken. */
static unsigned int first_left(const struct search *s)
{
	unsigned int w = 0;

	while (w < s->words - 1 && s->set[w] == UINT64_MAX)
		w++;
	return w * 64;
}

/* What began after this had to wait for one that ended here. */
static uint64_t first_end(const struct search *s)
{
	uint64_t end = LIN_MAYBE;

	for (unsigned int i = first_left(s); i < s->n; i++) {
		if (s->ops[i].begin > end)
			break;
		if (!in_set(s, i) && !is_maybe(&s->ops[i]) && s->ops[i].end < end)
			end = s->ops[i].end;
	}
	return end;
}

/*
 * Is there no need to try another one instead of @i, which was just taken? If it is a read that
 * was answered, what could be taken before it can as well be behind it; but for one that
 * was lost before it began.
 */
static bool sure(const struct search *s, unsigned int i)
{
	if (is_maybe(&s->ops[i]) || !s->model->reads(s->ops[i].what))
		return false;
	for (unsigned int k = first_left(s); k < s->n; k++)
		if (!in_set(s, k) && s->ops[k].lost && s->ops[k].end >= s->latest &&
		    s->ops[k].end < s->ops[i].begin)
			return false;
	return true;
}

/* Takes operation @i, if it fits. */
static bool try_one(struct search *s, unsigned int i, unsigned int place)
{
	struct taken *t = &s->way[s->depth];
	bool maybe = is_maybe(&s->ops[i]), fits;

	s->set[i / 64] |= 1ull << i % 64;
	fits = s->model->step(s->state, s->ops[i].what, maybe);
	t->sure = fits && sure(s, i);
	if (!fits || (!t->sure && !remember(s))) {
		s->set[i / 64] &= ~(1ull << i % 64);
		memcpy(s->state, t->before, s->model->size);
		return false;
	}
	t->op = i;
	t->latest = s->latest;
	t->place = place;
	s->depth++;
	if (s->ops[i].begin > s->latest)
		s->latest = s->ops[i].begin;
	s->must -= !maybe;
	s->spare -= maybe;
	return true;
}

/*
 * Takes the first operation from place @from on that fits. False: none does. Those
 * that were answered have the places 0 to n - 1, and come first: most of the
 * others never mattered. One that was lost is too late behind one that began after it.
 */
static bool take(struct search *s, unsigned int from, unsigned long *steps)
{
	uint64_t end = first_end(s);

	memcpy(s->way[s->depth].before, s->state, s->model->size);
	for (unsigned int place = from; place < 2 * s->n && *steps; place++) {
		unsigned int i = place % s->n;
		bool maybe = is_maybe(&s->ops[i]);

		if (s->ops[i].begin > end) {
			/* and so do all behind it */
			place = place < s->n ? s->n - 1 : 2 * s->n;
			continue;
		}
		if (maybe != (place >= s->n) || in_set(s, i) || s->ops[i].end < s->latest)
			continue;
		if (maybe && !s->spare) {
			s->short_of = true;
			return false;
		}
		--*steps;
		if (try_one(s, i, place))
			return true;
	}
	return false;
}

/* Takes the last one back; where to go on from: the end, if there is no need. */
static unsigned int take_back(struct search *s)
{
	struct taken *t = &s->way[--s->depth];

	s->set[t->op / 64] &= ~(1ull << t->op % 64);
	memcpy(s->state, t->before, s->model->size);
	s->latest = t->latest;
	s->must += !is_maybe(&s->ops[t->op]);
	s->spare += is_maybe(&s->ops[t->op]);
	return t->sure ? 2 * s->n : t->place + 1;
}

static void forget(struct search *s)
{
	for (size_t i = 0; i < s->buckets; i++) {
		struct seen *e = s->table[i];

		while (e) {
			struct seen *next = e->next;

			free(e);
			e = next;
		}
		s->table[i] = NULL;
	}
}

/* With no more than @s->spare of those that were not answered. */
static enum lin_result run(struct search *s, unsigned long *steps)
{
	unsigned int from = 0;

	s->model->init(s->state);
	while (s->must) {
		if (take(s, from, steps)) {
			from = 0;
			continue;
		}
		if (!*steps)
			return LIN_TOO_HARD;
		if (!s->depth)
			return LIN_BAD;
		from = take_back(s);
	}
	return LIN_OK;
}

/*
 * Few of those without an answer ever mattered, and the orders grow exponentially with
 * each: it is tried without them, then with one, three, seven. What was remembered holds for
 * as many as were allowed; that it fails for good is known when no more were wanted.
 */
static enum lin_result run_all(struct search *s, unsigned long steps)
{
	enum lin_result res;

	for (unsigned int allowed = 0;; allowed = 2 * allowed + 1) {
		s->spare = allowed;
		s->short_of = false;
		res = run(s, &steps);
		if (res != LIN_BAD || !s->short_of)
			return res;
		forget(s);
	}
}

static int by_begin(const void *a, const void *b)
{
	const struct lin_op *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static void search_end(struct search *s)
{
	forget(s);
	for (unsigned int i = 0; i <= s->n; i++)
		free(s->way[i].before);
	free(s->table);
	free(s->way);
	free(s->state);
	free(s->set);
	free((void *)s->ops);
}

enum lin_result lin_check(const struct lin_model *model, const struct lin_op *ops,
			  unsigned int n, unsigned long steps)
{
	struct lin_op *sorted = must_alloc(n * sizeof(*sorted));
	struct search s = {
		.model = model, .ops = sorted, .n = n, .words = n / 64 + 1,
		.buckets = 1 << 16,
	};
	enum lin_result res;

	if (n)
		memcpy(sorted, ops, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_begin);
	for (unsigned int i = 0; i < n; i++)
		s.must += !is_maybe(&sorted[i]);
	s.set = must_alloc(s.words * sizeof(*s.set));
	s.state = must_alloc(model->size);
	s.way = must_alloc((n + 1) * sizeof(*s.way));
	for (unsigned int i = 0; i <= n; i++)
		s.way[i].before = must_alloc(model->size);
	s.table = must_alloc(s.buckets * sizeof(*s.table));
	res = run_all(&s, steps);
	search_end(&s);
	return res;
}
