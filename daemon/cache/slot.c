// SPDX-License-Identifier: Apache-2.0
/* The states of slots, and the room in them. All under cache.lock. */
#include "cache_internal.h"

#include <stdlib.h>

#include "base/log.h"

#define MAY(state) (1u << DATAFS_SLOT_##state)

/* From the row's state to these, and to no other. */
static const uint32_t slot_next[DATAFS_SLOT_NR] = {
	[DATAFS_SLOT_ABSENT] = MAY(FREE) | MAY(USED), /* USED: by the index */
	[DATAFS_SLOT_FREE] = MAY(OPEN) | MAY(USED),
	[DATAFS_SLOT_OPEN] = MAY(USED),
	[DATAFS_SLOT_USED] = MAY(REVOKING) | MAY(ERASING),
	[DATAFS_SLOT_REVOKING] = MAY(ERASING),
	[DATAFS_SLOT_ERASING] = MAY(FREE) | MAY(BAD),
	[DATAFS_SLOT_BAD] = 0,
};

/* One that chunks may be in which gets find. */
static bool is_full(unsigned int state)
{
	return state == DATAFS_SLOT_OPEN || state == DATAFS_SLOT_USED;
}

void datafs_slot_move(struct datafs_cache *c, struct datafs_slot *s,
		      enum datafs_slot_state to)
{
	if (!(slot_next[s->state] & 1u << to)) {
		/* Going on could hand out one program's bytes to another. */
		datafs_log(LOG_CRIT, "cache %s: slot %u goes from state %d to %d",
			   c->dir, datafs_slot_nr(c, s), s->state, to);
		abort();
	}
	if (s->state == DATAFS_SLOT_FREE)
		TAILQ_REMOVE(&c->free, s, link);
	if (s->state == DATAFS_SLOT_OPEN)
		c->open[s->class] = NULL;
	if (s->state == DATAFS_SLOT_ERASING)
		TAILQ_REMOVE(&c->erasing, s, link);
	if (s->state == DATAFS_SLOT_USED)
		TAILQ_REMOVE(s->first ? &c->first : &c->used[s->class], s, link);
	s->first = false;
	if (is_full(s->state))
		c->class_count[s->class]--;
	c->state_count[s->state]--;
	c->state_count[to]++;
	s->state = to;
	if (is_full(to)) {
		if (!s->class)
			s->class = DATAFS_CACHE_NORMAL;
		c->class_count[s->class]++;
	}
	switch (to) {
	case DATAFS_SLOT_FREE:
		s->filled = s->dropped = 0;
		s->class = DATAFS_CACHE_AS_IS;
		s->touched = false;
		TAILQ_INSERT_TAIL(&c->free, s, link);
		pthread_cond_broadcast(&c->space);
		break;
	case DATAFS_SLOT_OPEN:
		c->open[s->class] = s;
		break;
	case DATAFS_SLOT_USED:
		TAILQ_INSERT_TAIL(&c->used[s->class], s, link);
		if (s->retired)
			datafs_slot_first(c, s);
		break;
	case DATAFS_SLOT_ERASING:
		TAILQ_INSERT_TAIL(&c->erasing, s, link);
		pthread_cond_signal(&c->kick);
		break;
	case DATAFS_SLOT_BAD:
		pthread_cond_broadcast(&c->space);
		break;
	default:
		break;
	}
}

void datafs_slot_first(struct datafs_cache *c, struct datafs_slot *s)
{
	if (s->first || s->state != DATAFS_SLOT_USED)
		return;
	s->first = true;
	TAILQ_REMOVE(&c->used[s->class], s, link);
	TAILQ_INSERT_TAIL(&c->first, s, link);
	pthread_cond_signal(&c->kick);
}

struct datafs_slot *datafs_slot_take(struct datafs_cache *c, uint32_t granules,
				     enum datafs_cache_class class, uint32_t *base)
{
	bool pack = granules <= PACK_MAX / DATAFS_GRANULE;
	struct datafs_slot *s;

	if (class == DATAFS_CACHE_AS_IS)
		class = DATAFS_CACHE_NORMAL;
	s = pack ? c->open[class] : NULL;

	if (s && s->filled + granules > SLOT_GRANULES) {
		datafs_slot_move(c, s, DATAFS_SLOT_USED);
		s = NULL;
	}
	if (!s) {
		s = TAILQ_FIRST(&c->free);
		if (!s)
			return NULL;
		s->class = class;
		datafs_slot_move(c, s, pack ? DATAFS_SLOT_OPEN :
				 DATAFS_SLOT_USED);
		pthread_cond_signal(&c->kick); /* may be the low-water mark */
	}
	*base = s->filled;
	s->filled += granules;
	s->touched = true;
	return s;
}

void datafs_slot_touch(struct datafs_cache *c, struct datafs_slot *s,
		       enum datafs_cache_class class)
{
	s->touched = true;
	if (class == DATAFS_CACHE_AS_IS || class == s->class || s->state != DATAFS_SLOT_USED)
		return;
	if (!s->first) {
		TAILQ_REMOVE(&c->used[s->class], s, link);
		TAILQ_INSERT_TAIL(&c->used[class], s, link);
	}
	c->class_count[s->class]--;
	c->class_count[class]++;
	s->class = class;
}

uint32_t datafs_slots(const struct datafs_cache *c)
{
	return c->max_slabs * SLAB_SLOTS - c->state_count[DATAFS_SLOT_ABSENT] -
	       c->state_count[DATAFS_SLOT_BAD];
}

void datafs_slot_retire(struct datafs_cache *c, struct datafs_slot *s)
{
	struct datafs_chunk *k;

	if (s->retired)
		return;
	s->retired = true;
	datafs_log(LOG_ERR, "cache %s: I/O error in slab %u, 4 MiB at offset %llu are taken out of use; check the device",
		   c->dir, datafs_slot_nr(c, s) / SLAB_SLOTS,
		   (unsigned long long)(datafs_slot_nr(c, s) % SLAB_SLOTS) *
			   DATAFS_SLOT_SIZE);
	LIST_FOREACH(k, &s->chunks, in_slot)
		datafs_chunk_unhash(c, k);
	if (s->state == DATAFS_SLOT_OPEN)
		datafs_slot_move(c, s, DATAFS_SLOT_USED);
	else
		datafs_slot_first(c, s);
}

bool datafs_slot_hope(struct datafs_cache *c)
{
	const uint32_t *n = c->state_count;

	if (n[DATAFS_SLOT_FREE] || (n[DATAFS_SLOT_ABSENT] && !c->grow_failed))
		return true;
	return !datafs_index_in_the_way(c) &&
	       n[DATAFS_SLOT_BAD] + n[DATAFS_SLOT_ABSENT] <
		       c->max_slabs * SLAB_SLOTS;
}
