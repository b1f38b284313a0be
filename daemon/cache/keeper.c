// SPDX-License-Identifier: Apache-2.0
/*
 * The background thread. Room is made before it is needed: a slab ahead while
 * the cache grows, then a few free slots by eviction.
 *
 * An eviction: a victim's chunks are unhashed (no get finds them), the kernel
 * is asked to forget what was handed out (REVOKING), the records go from the
 * index, durably (ERASING), and only then is the slot FREE.
 */
#include "cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

#define RETRY_NS	1000000000ull
#define ERASE_BATCH	16

uint64_t datafs_cache_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int datafs_cache_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err)
		return -err;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	err = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -err;
}

static void wait_until(struct datafs_cache *c, pthread_cond_t *cond,
		       uint64_t deadline)
{
	struct timespec ts = {
		.tv_sec = deadline / 1000000000,
		.tv_nsec = deadline % 1000000000,
	};

	pthread_cond_timedwait(cond, &c->lock, &ts);
}

int datafs_keeper_wait(struct datafs_cache *c, uint64_t deadline)
{
	uint64_t now = datafs_cache_now();

	if (c->stop)
		return -ESHUTDOWN;
	if (!datafs_slot_hope(c))
		return -EIO;
	if (now >= deadline) {
		if (!c->complained_ns || now - c->complained_ns > 30 * RETRY_NS)
			datafs_log(LOG_ERR, "cache %s: full, and nothing could be evicted in 30 s (%u slots of %u wait for the kernel to let go); make the cache larger",
				   c->dir,
				   c->state_count[DATAFS_SLOT_REVOKING],
				   c->max_slabs * SLAB_SLOTS);
		c->complained_ns = now;
		return -ENOSPC;
	}
	c->waiters++;
	pthread_cond_signal(&c->kick);
	wait_until(c, &c->space, deadline);
	c->waiters--;
	return 0;
}

/* ------------------------------------------------------------- growing */

/* The slab to make next, or max_slabs: none now. */
static uint32_t next_slab(struct datafs_cache *c)
{
	uint32_t nr = 0;

	if (c->grow_failed || c->state_count[DATAFS_SLOT_FREE] >= SLAB_SLOTS)
		return c->max_slabs;
	while (nr < c->max_slabs && c->slabs[nr].ready)
		nr++;
	return nr;
}

static void grow(struct datafs_cache *c, uint32_t nr)
{
	int err;

	pthread_mutex_unlock(&c->lock);
	err = datafs_slab_prepare(c, nr);
	pthread_mutex_lock(&c->lock);
	if (!err) {
		datafs_slab_admit(c, nr);
		return;
	}
	if (err == -ECANCELED)
		return;
	c->grow_failed = true;
	datafs_log(LOG_WARNING, "cache %s: slab %06u cannot be made: %s; the cache stays at %u MiB",
		   c->dir, nr, strerror(-err),
		   (c->max_slabs * SLAB_SLOTS -
		    c->state_count[DATAFS_SLOT_ABSENT]) * 4);
	pthread_cond_broadcast(&c->space);
}

/* ------------------------------------------------------------- evicting */

static uint32_t low_water(struct datafs_cache *c)
{
	uint32_t n = (c->max_slabs * SLAB_SLOTS -
		      c->state_count[DATAFS_SLOT_ABSENT]) / 16;

	return (n < 1 ? 1 : n > 16 ? 16 : n) + c->waiters;
}

static bool needs_room(struct datafs_cache *c)
{
	return next_slab(c) == c->max_slabs &&
	       c->state_count[DATAFS_SLOT_FREE] +
		       c->state_count[DATAFS_SLOT_REVOKING] +
		       c->state_count[DATAFS_SLOT_ERASING] < low_water(c);
}

/* The first of a class that may go, by second chance but for what is used once. */
static struct datafs_slot *sweep(struct datafs_cache *c, enum datafs_cache_class class)
{
	struct datafs_slot_queue *q = &c->used[class];
	struct datafs_slot *s;

	if (class == DATAFS_CACHE_ONCE) {
		TAILQ_FOREACH(s, q, link)
			if (!s->pins)
				return s;
		return NULL;
	}
	for (uint32_t i = 0; i < 2 * c->class_count[class]; i++) {
		s = TAILQ_FIRST(q);
		if (!s || (!s->pins && !s->touched))
			return s;
		if (!s->pins)
			s->touched = false;
		TAILQ_REMOVE(q, s, link);
		TAILQ_INSERT_TAIL(q, s, link);
	}
	return NULL;
}

/* Dropped contents and retired slots go first, then what cache.h says of classes. */
static struct datafs_slot *victim(struct datafs_cache *c)
{
	static const struct {
		enum datafs_cache_class class;
		uint32_t beyond;	/* eighths of the slots */
	} order[] = {
		{ DATAFS_CACHE_ONCE, DATAFS_CACHE_ONCE_SHARE },
		{ DATAFS_CACHE_KEEP, DATAFS_CACHE_KEEP_SHARE },
		{ DATAFS_CACHE_NORMAL, 0 },
		{ DATAFS_CACHE_ONCE, 0 },
		{ DATAFS_CACHE_KEEP, 0 },
	};
	/* No room comes of a victim that an index in the way names. */
	bool room = needs_room(c) && !datafs_index_in_the_way(c);
	struct datafs_slot *s;

	TAILQ_FOREACH(s, &c->first, link)
		if (!s->pins && (room || s->retired))
			return s;
	for (size_t i = 0; room && i < sizeof(order) / sizeof(order[0]); i++) {
		if (c->class_count[order[i].class] <= datafs_slots(c) * order[i].beyond / 8)
			continue;
		s = sweep(c, order[i].class);
		if (s)
			return s;
	}
	return NULL;
}

static uint32_t *revokes_of(struct datafs_slot *s, struct datafs_leaving *l)
{
	return l ? &l->revokes : &s->revokes;
}

static struct datafs_revocation *revocation_new(struct datafs_cache *c,
						struct datafs_slot *s,
						struct datafs_leaving *l,
						uint32_t room)
{
	struct datafs_revocation *r;

	r = calloc(1, sizeof(*r) + room * sizeof(r->ranges[0]));
	if (!r)
		return NULL;
	r->slot = s;
	r->leaving = l;
	r->cookie = c->next_cookie++;
	TAILQ_INSERT_TAIL(&c->revocations, r, link);
	++*revokes_of(s, l);
	return r;
}

static void revocation_free(struct datafs_cache *c, struct datafs_revocation *r)
{
	TAILQ_REMOVE(&c->revocations, r, link);
	--*revokes_of(r->slot, r->leaving);
	free(r);
}

int datafs_revocations_collect(struct datafs_cache *c, struct datafs_slot *s,
			       struct datafs_leaving *l)
{
	struct datafs_revocation *r = NULL, *next;
	struct datafs_chunk *k;
	uint64_t left = 0;

	LIST_FOREACH(k, &s->chunks, in_slot)
		left += !l || l->chunk == k ? k->nmounts : 0;
	LIST_FOREACH(k, &s->chunks, in_slot) {
		if (l && l->chunk != k)
			continue;
		for (uint32_t i = 0; i < k->nmounts; i++, left--) {
			if (!r || r->n == DATAFS_RANGES_MAX)
				r = revocation_new(c, s, l,
						   left < DATAFS_RANGES_MAX ?
						   left : DATAFS_RANGES_MAX);
			if (!r)
				goto undo;
			r->ranges[r->n++] = (struct datafs_range){
				.ino = k->key.ino,
				.off = (uint64_t)k->index * DATAFS_CHUNK_SIZE,
				.len = (uint64_t)k->granules * DATAFS_GRANULE,
				.mount_id = k->mounts[i],
			};
		}
	}
	return 0;
undo:
	for (r = TAILQ_FIRST(&c->revocations); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->slot == s && r->leaving == l)
			revocation_free(c, r);
	}
	return -ENOMEM;
}

static bool evict_one(struct datafs_cache *c)
{
	struct datafs_slot *s = victim(c);
	struct datafs_chunk *k;

	/* Without memory for the ranges: tried again at the next turn. */
	if (!s || datafs_revocations_collect(c, s, NULL))
		return false;
	LIST_FOREACH(k, &s->chunks, in_slot)
		datafs_chunk_unhash(c, k);
	c->stats.evicted_slots++;
	datafs_slot_move(c, s, s->revokes ? DATAFS_SLOT_REVOKING :
					    DATAFS_SLOT_ERASING);
	return true;
}

static void revocation_done(struct datafs_cache *c, struct datafs_revocation *r)
{
	struct datafs_leaving *l = r->leaving;
	struct datafs_slot *s = r->slot;

	revocation_free(c, r);
	if (l)
		pthread_cond_signal(&c->kick);
	else if (!s->revokes)
		datafs_slot_move(c, s, DATAFS_SLOT_ERASING);
}

/* Sends what is due. Answers the time of the next, UINT64_MAX if none. */
static uint64_t send_revocations(struct datafs_cache *c)
{
	struct datafs_revocation *r;
	uint64_t next = UINT64_MAX;
	int err;

again:
	TAILQ_FOREACH(r, &c->revocations, link) {
		if (r->sent)
			continue;
		if (r->retry_ns > datafs_cache_now()) {
			next = r->retry_ns < next ? r->retry_ns : next;
			continue;
		}
		r->sending = true;
		c->stats.revokes += !r->retry_ns;
		pthread_mutex_unlock(&c->lock);
		err = c->cfg.revoke(c->cfg.arg, r->cookie, r->ranges, r->n);
		pthread_mutex_lock(&c->lock);
		r->sending = false;
		r->sent = !err;
		if (err && !r->retry_ns)
			datafs_log(LOG_WARNING, "cache %s: the kernel did not take a revocation: %s; trying every second",
				   c->dir, strerror(-err));
		r->retry_ns = datafs_cache_now() + RETRY_NS;
		if (r->answered)
			revocation_done(c, r);
		goto again; /* the list may have changed meanwhile */
	}
	return next;
}

void datafs_cache_revoked(struct datafs_cache *c, uint64_t cookie)
{
	struct datafs_revocation *r;

	pthread_mutex_lock(&c->lock);
	TAILQ_FOREACH(r, &c->revocations, link)
		if (r->cookie == cookie)
			break;
	if (r && r->sending)
		r->answered = true;
	else if (r)
		revocation_done(c, r);
	pthread_mutex_unlock(&c->lock);
	/* Unknown: answered before. REVOKE_DONE is sent again when in doubt. */
}

/* -------------------------------------------------------------- erasing */

static bool erase_some(struct datafs_cache *c)
{
	struct datafs_slot *batch[ERASE_BATCH], *s;
	struct datafs_chunk *k;
	uint32_t n = 0;
	int err;

	TAILQ_FOREACH(s, &c->erasing, link) {
		batch[n++] = s;
		if (n == ERASE_BATCH)
			break;
	}
	if (!n)
		return false;
	pthread_mutex_unlock(&c->lock);
	err = datafs_index_erase(c, batch, n);
	pthread_mutex_lock(&c->lock);
	for (uint32_t i = 0; i < n; i++) {
		s = batch[i];
		while ((k = LIST_FIRST(&s->chunks)))
			datafs_chunk_free(c, k);
		datafs_slot_move(c, s, err || s->retired ? DATAFS_SLOT_BAD :
							   DATAFS_SLOT_FREE);
	}
	return true;
}

/* Answers when to come again, UINT64_MAX: there is nothing to do. */
static uint64_t clear_the_way(struct datafs_cache *c, uint64_t due)
{
	if (!datafs_index_in_the_way(c))
		return UINT64_MAX;
	if (due != UINT64_MAX && due > datafs_cache_now())
		return due;
	pthread_mutex_unlock(&c->lock);
	datafs_index_set_aside(c);
	pthread_mutex_lock(&c->lock);
	/* There is hope again, or none since the index failed. */
	pthread_cond_broadcast(&c->space);
	return datafs_cache_now() + RETRY_NS;
}

void *datafs_keeper(void *cache)
{
	struct datafs_cache *c = cache;
	uint64_t next, clear = UINT64_MAX;
	uint32_t nr;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		bool busy = erase_some(c);

		clear = clear_the_way(c, clear);
		while (evict_one(c))
			busy = true;
		next = send_revocations(c);
		/* After that: an answer that came in the middle of it has kicked nobody. */
		busy |= datafs_evict_some(c);
		next = clear < next ? clear : next;
		nr = next_slab(c);
		if (nr < c->max_slabs && !c->stop) {
			grow(c, nr);
			busy = true;
		}
		if (busy || c->stop || !TAILQ_EMPTY(&c->erasing))
			continue;
		/* Waiters that no signal reached in time are seen again. */
		if (c->waiters && next > datafs_cache_now() + RETRY_NS)
			next = datafs_cache_now() + RETRY_NS;
		if (next == UINT64_MAX)
			pthread_cond_wait(&c->kick, &c->lock);
		else
			wait_until(c, &c->kick, next);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}
