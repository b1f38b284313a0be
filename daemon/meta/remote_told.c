// SPDX-License-Identifier: Apache-2.0
/*
 * Which answers may be kept: those that were asked for under the lease that is held, and
 * of whose object nothing was taken back since. What was taken back is numbered, and
 * the last ones are remembered. Nor is anything kept of what a change of this session's
 * own may be changing just now.
 *
 * A recall is noted here before its user hears of it. So what is kept under the user's
 * lock either was there when the recall was told, and is forgotten then, or is not kept.
 */
#include <stdlib.h>
#include <string.h>

#include "meta/remote_internal.h"

void remote_told_init(struct remote_told *t)
{
	pthread_mutex_init(&t->lock, NULL);
	TAILQ_INIT(&t->changes);
}

void remote_told_free(struct remote_told *t)
{
	struct datafs_lease_change *c;

	while ((c = TAILQ_FIRST(&t->changes))) {
		TAILQ_REMOVE(&t->changes, c, link);
		free(c);
	}
	pthread_mutex_destroy(&t->lock);
}

/* FNV-1a; never 0. Two names of one sum: the other is not kept, this time. */
static uint64_t name_sum(const struct datafs_grant_object *o)
{
	uint64_t sum = 0xcbf29ce484222325ull;

	if (o->kind != DATAFS_GRANT_NAME || !o->len)
		return 0;
	for (unsigned int i = 0; i < o->len; i++)
		sum = (sum ^ (uint8_t)o->name[i]) * 0x100000001b3ull;
	return sum ? sum : 1;
}

struct datafs_told remote_told_now(struct remote_told *t, bool ok)
{
	struct datafs_told res = { 0 };

	pthread_mutex_lock(&t->lock);
	res.lease = ok ? t->lease : 0;
	res.asked = t->taken;
	pthread_mutex_unlock(&t->lock);
	return res;
}

void remote_told_fresh(struct remote_told *t)
{
	struct datafs_lease_change *c;

	pthread_mutex_lock(&t->lock);
	TAILQ_FOREACH(c, &t->changes, link)
		if (c->state == CHANGE_UNKNOWN)
			c->state = CHANGE_PAST;
	pthread_mutex_unlock(&t->lock);
}

static void drop_past(struct remote_told *t)
{
	struct datafs_lease_change *c, *next;

	for (c = TAILQ_FIRST(&t->changes); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state != CHANGE_PAST)
			continue;
		TAILQ_REMOVE(&t->changes, c, link);
		free(c);
	}
}

void remote_told_lease(struct remote_told *t, uint64_t number, int64_t until)
{
	pthread_mutex_lock(&t->lock);
	if (number && number != t->lease)
		drop_past(t);
	t->lease = number;
	t->until = until;
	pthread_mutex_unlock(&t->lock);
}

static struct remote_taken taken_of(const struct datafs_grant_object *o)
{
	return (struct remote_taken) { .ino = o->ino, .name = name_sum(o), .kind = o->kind };
}

static void take(struct remote_told *t, const struct datafs_grant_object *objects,
		 unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		t->ring[t->taken++ % REMOTE_TAKEN] = taken_of(&objects[i]);
}

void remote_told_take(struct remote_told *t, const struct datafs_grant_object *objects,
		      unsigned int n)
{
	pthread_mutex_lock(&t->lock);
	take(t, objects, n);
	pthread_mutex_unlock(&t->lock);
}

struct datafs_lease_change *datafs_lease_changes(struct datafs_lease *l,
						 const struct datafs_grant_object *objects,
						 unsigned int n)
{
	struct datafs_lease_change *c = malloc(sizeof(*c));
	struct remote_told *t = &l->told;

	if (!c)
		return NULL;
	c->n = n;
	c->state = CHANGE_GOES;
	for (unsigned int i = 0; i < n; i++)
		c->objects[i] = taken_of(&objects[i]);
	pthread_mutex_lock(&t->lock);
	TAILQ_INSERT_TAIL(&t->changes, c, link);
	pthread_mutex_unlock(&t->lock);
	l->watch.recalled(l->watch.arg, 0, objects, n);
	return c;
}

void datafs_lease_changed(struct datafs_lease *l, struct datafs_lease_change *c,
			  const struct datafs_grant_object *objects, unsigned int n,
			  struct datafs_told *told)
{
	struct remote_told *t = &l->told;

	pthread_mutex_lock(&t->lock);
	told->own = t->taken;
	take(t, objects, n);
	told->own_end = t->taken;
	TAILQ_REMOVE(&t->changes, c, link);
	pthread_mutex_unlock(&t->lock);
	free(c);
}

void datafs_lease_change_unknown(struct datafs_lease *l, struct datafs_lease_change *c)
{
	pthread_mutex_lock(&l->told.lock);
	c->state = CHANGE_UNKNOWN;
	pthread_mutex_unlock(&l->told.lock);
}

/* @sum: of @o's name. */
static bool is_it(const struct remote_taken *r, const struct datafs_grant_object *o, uint64_t sum)
{
	return r->ino == o->ino && r->kind == o->kind && (!r->name || r->name == sum);
}

static bool is_taken(const struct remote_told *t, const struct datafs_told *told,
		     const struct datafs_grant_object *o, uint64_t sum)
{
	if (t->taken - told->asked > REMOTE_TAKEN)
		return true;
	for (uint64_t i = told->asked; i < t->taken; i++)
		if ((i < told->own || i >= told->own_end) &&
		    is_it(&t->ring[i % REMOTE_TAKEN], o, sum))
			return true;
	return false;
}

static bool is_changing(const struct remote_told *t, const struct datafs_grant_object *o,
			uint64_t sum)
{
	const struct datafs_lease_change *c;

	TAILQ_FOREACH(c, &t->changes, link)
		for (unsigned int i = 0; i < c->n; i++)
			if (is_it(&c->objects[i], o, sum))
				return true;
	return false;
}

bool datafs_lease_keep(struct datafs_lease *l, const struct datafs_told *told,
		       const struct datafs_grant_object *o)
{
	struct remote_told *t = &l->told;
	uint64_t sum = name_sum(o);
	bool keep;

	pthread_mutex_lock(&t->lock);
	keep = told->lease && told->lease == t->lease && !is_taken(t, told, o, sum) &&
	       !is_changing(t, o, sum);
	pthread_mutex_unlock(&t->lock);
	return keep;
}

int64_t remote_told_until(struct remote_told *t)
{
	int64_t until;

	pthread_mutex_lock(&t->lock);
	until = t->until;
	pthread_mutex_unlock(&t->lock);
	return until;
}

int64_t datafs_lease_until(struct datafs_lease *l)
{
	return remote_told_until(&l->told);
}
