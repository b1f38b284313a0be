// SPDX-License-Identifier: Apache-2.0
#include "grants_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void grants_maybe_go(struct datafs_grants *g, struct datafs_change *c)
{
	if (c->waiting || c->held)
		return;
	TAILQ_REMOVE(&g->changes, c, next);
	c->gone = true;
	c->go(c, 0);
}

void grants_let_go(struct datafs_grants *g)
{
	struct datafs_change *c, *next;

	g->held_until = 0;
	for (c = TAILQ_FIRST(&g->changes); c; c = next) {
		next = TAILQ_NEXT(c, next);
		c->held = false;
		grants_maybe_go(g, c);
	}
}

/* Does the session @s believe the @i th object, and is to be told? */
static struct grant *to_tell(const struct datafs_change *c, unsigned int i,
			     const struct session *s)
{
	return s->id == c->session && i < c->said ? NULL :
		grants_holder(c->marks[i].object, s);
}

/* Of the session @s, all that @c changes: told, and @c waits. */
static void recall_for(struct datafs_grants *g, struct session *s, struct datafs_change *c,
		       struct recall *r, uint64_t now)
{
	struct datafs_grant_object objects[DATAFS_CHANGE_OBJECTS];

	for (unsigned int i = 0; i < c->n; i++) {
		struct grant *gr = to_tell(c, i, s);

		if (!gr)
			continue;
		objects[r->n] = c->objects[i];
		r->of[r->n].object = c->marks[i].object;
		r->of[r->n++].grant = gr;
	}
	r->id = ++s->last_recall;
	r->at = now;
	TAILQ_INSERT_TAIL(&s->recalls, r, next);
	if (datafs_grants_plant_early && datafs_grants_plant_early()) {
		/* as for want of room */
		g->room_recalls++;
		for (unsigned int i = 0; i < r->n; i++)
			((struct object *)r->of[i].object)->changing++;
	} else {
		r->change = c;
		c->waiting++;
	}
	g->conf.recall(g->conf.ctx, s->id, r->id, objects, r->n);
}

/* Is it told of an object before the @i th, too? */
static bool seen_before(const struct datafs_change *c, unsigned int i,
			const struct session *s)
{
	while (i--)
		if (to_tell(c, i, s))
			return true;
	return false;
}

static void marks_put(struct datafs_grants *g, struct datafs_change *c)
{
	for (unsigned int i = 0; i < c->n; i++) {
		struct object *o = c->marks[i].object;

		if (!o)
			continue;
		c->marks[i].object = NULL;
		o->changing--;
		grants_object_put(g, o);
	}
}

/* Who holds something of it by a lease that has ended has nothing. */
static void lapse_holders(struct datafs_grants *g, struct datafs_change *c, uint64_t now)
{
	for (unsigned int i = 0; i < c->n; i++) {
		struct object *o = c->marks[i].object;
		struct grant *gr = LIST_FIRST(&o->holders);

		while (gr) {
			if (gr->session->ends > now) {
				gr = LIST_NEXT(gr, of_object);
				continue;
			}
			grants_lapse(g, gr->session);
			gr = LIST_FIRST(&o->holders);
		}
	}
}

/*
 * One recall for each session that has something of it. All memory is had before
 * the first is sent.
 */
static int recall_all(struct datafs_grants *g, struct datafs_change *c, uint64_t now)
{
	TAILQ_HEAD(, recall) made = TAILQ_HEAD_INITIALIZER(made);
	bool told = false;
	struct recall *r;
	struct grant *gr;

again:
	for (unsigned int i = 0; i < c->n; i++) {
		struct object *o = c->marks[i].object;

		LIST_FOREACH(gr, &o->holders, of_object) {
			if (!to_tell(c, i, gr->session) || seen_before(c, i, gr->session))
				continue;
			if (told) {
				r = TAILQ_FIRST(&made);
				TAILQ_REMOVE(&made, r, next);
				recall_for(g, gr->session, c, r, now);
				continue;
			}
			r = calloc(1, sizeof(*r) + c->n * sizeof(r->of[0]));
			if (!r)
				goto no_memory;
			TAILQ_INSERT_TAIL(&made, r, next);
		}
	}
	if (!told) {
		told = true;
		goto again;
	}
	return 0;
no_memory:
	while ((r = TAILQ_FIRST(&made))) {
		TAILQ_REMOVE(&made, r, next);
		free(r);
	}
	return -ENOMEM;
}

int datafs_change_begin(struct datafs_grants *g, struct datafs_change *c, uint64_t now)
{
	int err = 0;

	c->waiting = 0;
	c->gone = false;
	c->held = g->held_until > now;
	memset(c->marks, 0, sizeof(c->marks));
	for (unsigned int i = 0; !err && i < c->n; i++) {
		struct object *o = grants_object_get(g, &c->objects[i]);

		if (!o) {
			err = -ENOMEM;
			break;
		}
		o->begun++;
		c->marks[i].begun = o->changing++ ? 0 : o->begun;
		c->marks[i].object = o;
	}
	if (!err) {
		lapse_holders(g, c, now);
		err = recall_all(g, c, now);
	}
	if (err) {
		marks_put(g, c);
		return err;
	}
	TAILQ_INSERT_TAIL(&g->changes, c, next);
	grants_maybe_go(g, c);
	return 0;
}

bool datafs_change_end(struct datafs_grants *g, struct datafs_change *c, uint64_t now,
		       bool applied)
{
	struct session *s = applied ? grants_believer(g, c->session, now) : NULL;
	bool alone = s;

	/*
	 * What another change of the same was told, or did, meanwhile is not known here:
	 * it may have been applied later, and ended earlier.
	 */
	for (unsigned int i = 0; alone && i < c->n; i++)
		alone = c->marks[i].begun ==
			((struct object *)c->marks[i].object)->begun;
	for (unsigned int i = 0; alone && i < c->n; i++)
		alone = grants_note(g, s, c->marks[i].object, now);
	marks_put(g, c);
	return alone;
}

void datafs_recall_done(struct datafs_grants *g, uint64_t session, uint64_t id)
{
	struct session *s = grants_session_find(g, session);
	struct recall *r;

	if (!s)
		return;
	TAILQ_FOREACH(r, &s->recalls, next)
		if (r->id == id)
			break;
	if (!r)
		return;
	s->deaf = 0;
	grants_recall_end(g, s, r);
}

/* ------------------------------------------------------------------- time */

void datafs_grants_tick(struct datafs_grants *g, uint64_t now)
{
	struct session *s;

	if (g->held_until && g->held_until <= now)
		grants_let_go(g);
	TAILQ_FOREACH(s, &g->sessions, next)
		if (s->ends <= now && !TAILQ_EMPTY(&s->recalls))
			grants_lapse(g, s);
}

uint64_t datafs_grants_deadline(const struct datafs_grants *g)
{
	uint64_t first = g->held_until ? g->held_until : UINT64_MAX;
	const struct session *s;

	TAILQ_FOREACH(s, &g->sessions, next)
		if (!TAILQ_EMPTY(&s->recalls))
			first = DATAFS_MIN(first, s->ends);
	return first;
}
