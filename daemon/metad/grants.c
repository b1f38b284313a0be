// SPDX-License-Identifier: Apache-2.0
#include "grants_internal.h"

#include <errno.h>
#include <isa-l/crc64.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* Grants that one recall for want of room takes back, and how many are looked at. */
#define ROOM_BATCH	64
#define ROOM_LOOK	1024
#define DEAF_MAX	6u	/* doublings */

/* ---------------------------------------------------------------- objects */

static uint64_t mix(uint64_t x)
{
	/* splitmix64, Steele, Lea and Flood 2014. */
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t name_sum(const struct datafs_grant_object *o)
{
	return o->kind == DATAFS_GRANT_NAME ?
	       crc64_ecma_refl(0, (const unsigned char *)o->name, o->len) : 0;
}

static struct object **slot(const struct datafs_grants *g, uint64_t ino, uint64_t name,
			    enum datafs_grant_kind kind)
{
	struct object **p = &g->buckets[mix(ino ^ mix(name + kind)) & g->mask];

	while (*p && ((*p)->ino != ino || (*p)->name != name || (*p)->kind != kind))
		p = &(*p)->hash_next;
	return p;
}

/* More buckets, if there is memory; else longer chains. */
static void grow(struct datafs_grants *g)
{
	size_t n = 2 * (g->mask + 1);
	struct object **old = g->buckets, **more = calloc(n, sizeof(*more)), *o;

	if (!more)
		return;
	g->buckets = more;
	g->mask = n - 1;
	for (size_t i = 0; i < n / 2; i++)
		while ((o = old[i])) {
			old[i] = o->hash_next;
			o->hash_next = NULL;
			*slot(g, o->ino, o->name, o->kind) = o;
		}
	free(old);
}

/* The one there is, or a new one; NULL: no memory. */
struct object *grants_object_get(struct datafs_grants *g,
				 const struct datafs_grant_object *what)
{
	uint64_t name = name_sum(what);
	struct object **p = slot(g, what->ino, name, what->kind), *o = *p;

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->ino = what->ino;
	o->name = name;
	o->kind = what->kind;
	LIST_INIT(&o->holders);
	*p = o;
	if (++g->objects > g->mask)
		grow(g);
	return o;
}

/* Nobody has it and nobody changes it: forgotten. */
void grants_object_put(struct datafs_grants *g, struct object *o)
{
	struct object **p;

	if (o->changing || !LIST_EMPTY(&o->holders))
		return;
	p = slot(g, o->ino, o->name, o->kind);
	*p = o->hash_next;
	free(o);
	g->objects--;
}

static void grant_drop(struct datafs_grants *g, struct grant *gr)
{
	struct object *o = gr->object;

	LIST_REMOVE(gr, of_object);
	LIST_REMOVE(gr, of_session);
	TAILQ_REMOVE(&g->ages, gr, age);
	free(gr);
	g->grants--;
	grants_object_put(g, o);
}

/* --------------------------------------------------------------- sessions */

struct session *grants_session_find(const struct datafs_grants *g, uint64_t id)
{
	struct session *s = g->by_id[mix(id) % GRANT_SESSION_BUCKETS];

	while (s && s->id != id)
		s = s->hash_next;
	return s;
}

struct session *grants_session_new(struct datafs_grants *g, uint64_t id)
{
	struct session **p = &g->by_id[mix(id) % GRANT_SESSION_BUCKETS];
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = id;
	LIST_INIT(&s->grants);
	TAILQ_INIT(&s->recalls);
	s->hash_next = *p;
	*p = s;
	TAILQ_INSERT_TAIL(&g->sessions, s, next);
	return s;
}

/* Also twice: two names of a change may have one checksum. */
static void forget_grant(struct recall *r, const struct grant *gr)
{
	for (unsigned int i = 0; i < r->n; i++)
		if (r->of[i].grant == gr)
			r->of[i].grant = NULL;
}

/* What it named is believed by the session no more. */
void grants_recall_end(struct datafs_grants *g, struct session *s, struct recall *r)
{
	struct datafs_change *c = r->change;
	struct recall *other;

	TAILQ_REMOVE(&s->recalls, r, next);
	for (unsigned int i = 0; i < r->n; i++) {
		struct grant *gr = r->of[i].grant;
		struct object *o = r->of[i].object;

		if (gr) {
			forget_grant(r, gr);
			TAILQ_FOREACH(other, &s->recalls, next)
				forget_grant(other, gr);
			grant_drop(g, gr);
		}
		if (!c) {
			o->changing--;
			grants_object_put(g, o);
		}
	}
	if (!c)
		g->room_recalls--;
	free(r);
	if (c) {
		c->waiting--;
		grants_maybe_go(g, c);
	}
}

/* The session believes nothing any more. */
static void session_forget(struct datafs_grants *g, struct session *s)
{
	struct recall *r;
	struct grant *gr;

	/* at once: thousands of changes may wait for who does not answer */
	TAILQ_FOREACH(r, &s->recalls, next)
		for (unsigned int i = 0; i < r->n; i++)
			r->of[i].grant = NULL;
	while ((gr = LIST_FIRST(&s->grants)))
		grant_drop(g, gr);
	while ((r = TAILQ_FIRST(&s->recalls)))
		grants_recall_end(g, s, r);
}

/*
 * Its lease ends at @at. Who answers no recall before that, again and again, would have each
 * change wait: it is kept from leases, for twice as long each time.
 */
static void note_deaf(const struct datafs_grants *g, struct session *s, uint64_t at)
{
	if (!TAILQ_EMPTY(&s->recalls) && s->deaf++)
		s->again = at + ((uint64_t)g->conf.lease << DATAFS_MIN(s->deaf - 2, DEAF_MAX));
}

/* Its lease has ended, and that is made use of. */
void grants_lapse(struct datafs_grants *g, struct session *s)
{
	note_deaf(g, s, s->ends);
	s->lapsed = true;
	session_forget(g, s);
}

static void session_known(struct datafs_grants *g, struct session *s)
{
	if (s->fresh)
		return;
	s->fresh = true;
	if (!--g->unknown && g->held_until)
		grants_let_go(g);
}

int datafs_grants_fresh(struct datafs_grants *g, uint64_t session, uint64_t asked)
{
	struct session *s = grants_session_find(g, session);

	if (!s) {
		s = grants_session_new(g, session);
		if (!s)
			return -ENOMEM;
		g->unknown++;
	}
	note_deaf(g, s, asked);
	session_forget(g, s);
	session_known(g, s);
	if (asked < s->again) {
		s->lapsed = true;
		return -EAGAIN;
	}
	s->lapsed = false;
	s->ends = DATAFS_MAX(s->ends, asked + g->conf.lease);
	return 0;
}

bool datafs_grants_believes(const struct datafs_grants *g, uint64_t session, uint64_t now)
{
	return grants_believer(g, session, now);
}

bool datafs_grants_waits(const struct datafs_grants *g, uint64_t session, uint64_t now)
{
	const struct session *s = grants_session_find(g, session);

	return s && !s->fresh && g->held_until > now;
}

int datafs_grants_renew(struct datafs_grants *g, uint64_t session, uint64_t asked, uint32_t *ms)
{
	struct session *s = grants_session_find(g, session);
	const struct recall *r;
	uint64_t from, ends;

	if (!s || !s->fresh || s->lapsed)
		return -ENOENT;
	r = TAILQ_FIRST(&s->recalls);
	from = r ? DATAFS_MIN(asked, r->at) : asked;
	ends = from + g->conf.lease;
	if (ends <= asked || (r && ends <= s->ends))
		return -EAGAIN;
	s->ends = DATAFS_MAX(s->ends, ends);
	*ms = (uint32_t)(ends - asked);
	return 0;
}

void datafs_grants_gone(struct datafs_grants *g, uint64_t session)
{
	struct session **p = &g->by_id[mix(session) % GRANT_SESSION_BUCKETS], *s;

	while (*p && (*p)->id != session)
		p = &(*p)->hash_next;
	s = *p;
	if (!s)
		return;
	session_forget(g, s);
	*p = s->hash_next;
	TAILQ_REMOVE(&g->sessions, s, next);
	session_known(g, s);
	free(s);
}

/* ----------------------------------------------------------------- grants */

/* Takes back the oldest grants, as far as they are of one session. */
static void make_room(struct datafs_grants *g, uint64_t now)
{
	struct datafs_grant_object objects[ROOM_BATCH];
	struct grant *gr = TAILQ_FIRST(&g->ages);
	unsigned int looked = 0;
	struct recall *r;
	struct session *s;

	while (gr && gr->object->changing && looked++ < ROOM_LOOK)
		gr = TAILQ_NEXT(gr, age);
	if (g->room_recalls || !gr || gr->object->changing)
		return;
	s = gr->session;
	r = calloc(1, sizeof(*r) + ROOM_BATCH * sizeof(r->of[0]));
	if (!r)
		return;
	r->id = ++s->last_recall;
	r->at = now;
	TAILQ_INSERT_TAIL(&s->recalls, r, next);
	g->room_recalls++;
	for (; gr && r->n < ROOM_BATCH && looked++ < ROOM_LOOK; gr = TAILQ_NEXT(gr, age)) {
		struct object *o = gr->object;

		if (gr->session != s || o->changing)
			continue;
		o->changing++;
		/* Of a name only its checksum is known. */
		objects[r->n] = (struct datafs_grant_object) {
			.ino = o->ino, .kind = o->kind,
		};
		r->of[r->n].object = o;
		r->of[r->n++].grant = gr;
	}
	g->conf.recall(g->conf.ctx, s->id, r->id, objects, r->n);
}

struct grant *grants_holder(const struct object *o, const struct session *s)
{
	struct grant *gr;

	LIST_FOREACH(gr, &o->holders, of_object)
		if (gr->session == s)
			return gr;
	return NULL;
}

/* Notes it, if there is room; @o is not changing. */
bool grants_note(struct datafs_grants *g, struct session *s, struct object *o, uint64_t now)
{
	struct grant *gr = grants_holder(o, s);

	if (gr) {
		TAILQ_REMOVE(&g->ages, gr, age);
		TAILQ_INSERT_TAIL(&g->ages, gr, age);
		return true;
	}
	if (g->grants >= g->conf.max)
		make_room(g, now);
	/* Still: what is taken back is in the table until the session has said so. */
	gr = g->grants < g->conf.max ? calloc(1, sizeof(*gr)) : NULL;
	if (!gr)
		return false;
	gr->object = o;
	gr->session = s;
	LIST_INSERT_HEAD(&o->holders, gr, of_object);
	LIST_INSERT_HEAD(&s->grants, gr, of_session);
	TAILQ_INSERT_TAIL(&g->ages, gr, age);
	g->grants++;
	return true;
}

/* The one that may believe something now; NULL. */
struct session *grants_believer(const struct datafs_grants *g, uint64_t id, uint64_t now)
{
	struct session *s = grants_session_find(g, id);

	return s && s->fresh && !s->lapsed && s->ends > now ? s : NULL;
}

bool datafs_grant(struct datafs_grants *g, uint64_t session, uint64_t now,
		  const struct datafs_grant_object *what)
{
	struct session *s = grants_believer(g, session, now);
	struct object *o = s ? grants_object_get(g, what) : NULL;
	bool noted;

	if (!o || o->changing)
		return false;
	noted = grants_note(g, s, o, now);
	grants_object_put(g, o);
	return noted;
}

/* ------------------------------------------------------------- the table */

size_t datafs_grants_count(const struct datafs_grants *g)
{
	return g->grants;
}

int datafs_grants_new(const struct datafs_grants_conf *conf, uint64_t now, uint32_t longest,
		      const uint64_t *sessions, size_t n, struct datafs_grants **res)
{
	struct datafs_grants *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->conf = *conf;
	TAILQ_INIT(&g->sessions);
	TAILQ_INIT(&g->changes);
	TAILQ_INIT(&g->ages);
	g->mask = GRANT_BUCKETS_MIN - 1;
	g->buckets = calloc(GRANT_BUCKETS_MIN, sizeof(*g->buckets));
	for (size_t i = 0; g->buckets && i < n; i++)
		if (grants_session_new(g, sessions[i]))
			g->unknown++;
	if (!g->buckets || g->unknown != n) {
		datafs_grants_free(g);
		return -ENOMEM;
	}
	g->held_until = n ? now + longest : 0;
	*res = g;
	return 0;
}

void datafs_grants_free(struct datafs_grants *g)
{
	struct datafs_change *c;
	struct session *s;
	struct recall *r;
	struct grant *gr;

	if (!g)
		return;
	while ((c = TAILQ_FIRST(&g->changes))) {
		TAILQ_REMOVE(&g->changes, c, next);
		c->go(c, -ECANCELED);
	}
	while ((s = TAILQ_FIRST(&g->sessions))) {
		TAILQ_REMOVE(&g->sessions, s, next);
		while ((r = TAILQ_FIRST(&s->recalls))) {
			TAILQ_REMOVE(&s->recalls, r, next);
			free(r);
		}
		free(s);
	}
	while ((gr = TAILQ_FIRST(&g->ages))) {
		TAILQ_REMOVE(&g->ages, gr, age);
		free(gr);
	}
	for (size_t i = 0; g->buckets && i <= g->mask; i++)
		for (struct object *o = g->buckets[i], *next; o; o = next) {
			next = o->hash_next;
			free(o);
		}
	free(g->buckets);
	free(g);
}
