// SPDX-License-Identifier: Apache-2.0
/* Answers: which extents hold a range, after what is missing was fetched. */
#include "cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SPACE_WAIT_NS	(30ull * 1000000000)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t granule_up(uint64_t x)
{
	return (x + DATAFS_GRANULE - 1) & ~(uint64_t)(DATAFS_GRANULE - 1);
}

/* Where the content ends at the latest. */
static uint64_t want_bound(const struct datafs_cache_want *w)
{
	return w->fetch ? granule_up(w->size) :
			  (uint64_t)UINT32_MAX * DATAFS_CHUNK_SIZE;
}

bool datafs_want_is_sane(const struct datafs_cache_want *w)
{
	return w->key.ino && w->key.content && w->len &&
	       w->size <= INT64_MAX - DATAFS_CHUNK_SIZE &&
	       w->off < want_bound(w) && w->len <= INT64_MAX &&
	       !((w->off | w->len) % DATAFS_GRANULE) &&
	       w->page_size >= DATAFS_GRANULE &&
	       w->page_size <= DATAFS_CHUNK_SIZE &&
	       !(w->page_size & (w->page_size - 1)) &&
	       w->size / DATAFS_CHUNK_SIZE < UINT32_MAX;
}

static uint32_t chunk_granules(const struct datafs_cache_want *w,
			       uint32_t index)
{
	uint64_t left = w->size - (uint64_t)index * DATAFS_CHUNK_SIZE;

	return granule_up(min_u64(left, DATAFS_CHUNK_SIZE)) / DATAFS_GRANULE;
}

/*
 * Who already holds pins does not wait for room (-EAGAIN): all workers holding
 * some and waiting for more could lock one another out of a small cache for good.
 */
int datafs_chunk_obtain(struct datafs_cache *c,
			const struct datafs_cache_want *w, uint32_t index,
			bool wait, struct datafs_chunk **res)
{
	uint32_t granules = chunk_granules(w, index), base;
	uint64_t deadline = datafs_cache_now() + SPACE_WAIT_NS;
	struct datafs_chunk *k;
	struct datafs_slot *s;
	int err;

	for (;;) {
		k = datafs_chunk_find(c, &w->key, index);
		if (k)
			break;
		s = datafs_slot_take(c, granules, w->class, &base);
		if (s) {
			k = datafs_chunk_new(c, &w->key, index, s, base,
					     granules);
			if (k)
				break;
			if (s->state == DATAFS_SLOT_USED)
				datafs_slot_move(c, s, DATAFS_SLOT_ERASING);
			return -ENOMEM;
		}
		if (!wait)
			return -EAGAIN;
		err = datafs_keeper_wait(c, deadline);
		if (err)
			return err;
	}
	if (k->granules != granules) {
		datafs_log(LOG_ERR, "cache %s: inode %llu content %llu has %llu bytes now and had another size: one generation names two contents",
			   c->dir, (unsigned long long)w->key.ino,
			   (unsigned long long)w->key.content,
			   (unsigned long long)w->size);
		return -EIO;
	}
	datafs_chunk_pin(k);
	datafs_slot_touch(c, k->slot, w->class);
	*res = k;
	return 0;
}

/*
 * Of a content that cannot be fetched its size is not known either: a chunk
 * counts as long as it is, and none is made.
 */
static int chunk_cached(struct datafs_cache *c,
			const struct datafs_cache_want *w, uint64_t pos,
			struct datafs_chunk **res)
{
	uint32_t g = pos % DATAFS_CHUNK_SIZE / DATAFS_GRANULE;
	struct datafs_chunk *k =
		datafs_chunk_find(c, &w->key, pos / DATAFS_CHUNK_SIZE);

	if (!k || g >= k->granules || !datafs_have(k, g))
		return -ESTALE;
	datafs_chunk_pin(k);
	datafs_slot_touch(c, k->slot, w->class);
	*res = k;
	return 0;
}

/* As chunk_ready(), or -EAGAIN: *@flight brings what is missing. */
static int chunk_try(struct datafs_cache *c, const struct datafs_cache_want *w,
		     uint64_t pos, uint64_t end, bool wait,
		     struct datafs_chunk **res, struct datafs_flight **flight)
{
	uint32_t index = pos / DATAFS_CHUNK_SIZE;
	uint64_t start = (uint64_t)index * DATAFS_CHUNK_SIZE;
	uint32_t first = (pos - start) / DATAFS_GRANULE, last;
	struct datafs_chunk *k;
	int err;

	if (!w->fetch)
		return chunk_cached(c, w, pos, res);
	/* Room is taken by what comes, when it comes. */
	if (!datafs_chunk_find(c, &w->key, index)) {
		*flight = datafs_flight_of(c, &w->key, pos);
		if (*flight) {
			datafs_flight_ref(*flight);
			return -EAGAIN;
		}
	}
	for (int place = 1;; place++) {
		err = datafs_chunk_obtain(c, w, index, wait, &k);
		if (err)
			return err;
		last = min_u64((end - start) / DATAFS_GRANULE, k->granules);
		err = datafs_chunk_fill(c, k, w, first, last, flight);
		if (!err || !k->slot->retired || place == PLACES_MAX)
			break;
		datafs_chunk_unpin(c, k);
	}
	if (err && (k->slot->retired || !datafs_have(k, first) ||
		    (*flight && wait))) {
		datafs_chunk_unpin(c, k);
		return err;
	}
	/* Short but right: what is there is answered, @err met again later. */
	*res = k;
	return 0;
}

/*
 * A chunk of the range with what must be there; on success it is pinned. *@missed
 * grows by the pages that a flight had to bring, which has counted them. Who
 * holds pins (not @wait) does not wait for a flight either, which may itself wait
 * for room.
 */
static int chunk_ready(struct datafs_cache *c,
		       const struct datafs_cache_want *w, uint64_t pos,
		       uint64_t end, bool wait, uint64_t *missed,
		       struct datafs_chunk **res)
{
	uint64_t stop = pos / DATAFS_CHUNK_SIZE * DATAFS_CHUNK_SIZE +
			DATAFS_CHUNK_SIZE;

	stop = min_u64(stop, end);
	struct datafs_flight *flight;
	int err;

	for (;;) {
		flight = NULL;
		err = chunk_try(c, w, pos, end, wait, res, &flight);
		if (!flight)
			return err;
		if (!err || !wait) {
			datafs_flight_unref(c, flight);
			return err;
		}
		*missed += datafs_flight_pages(flight, pos, stop);
		err = datafs_flight_wait(c, flight, stop);
		if (err)
			return err;
	}
}

static void answer_extent(struct datafs_cache *c,
			  struct datafs_cache_answer *a,
			  struct datafs_chunk *k, uint64_t pos, uint32_t g,
			  uint32_t n)
{
	uint32_t slot = datafs_slot_nr(c, k->slot);

	((struct datafs_chunk **)a->pins)[a->count] = k;
	a->ext[a->count++] = (struct datafs_extent){
		.off = pos,
		.backing_off =
			(uint64_t)(slot % SLAB_SLOTS) * DATAFS_SLOT_SIZE +
			(uint64_t)(k->base + g) * DATAFS_GRANULE,
		.len = (uint64_t)n * DATAFS_GRANULE,
		.backing_id = slot / SLAB_SLOTS + 1,
	};
	memcpy(a->crc + a->crcs, k->crc + g, n * sizeof(*a->crc));
	a->crcs += n;
}

/* Room for the largest answer to a range, or -ENOMEM. */
static int answer_alloc(struct datafs_cache_answer *a, uint64_t pos,
			uint64_t limit)
{
	uint64_t n = limit / DATAFS_CHUNK_SIZE - pos / DATAFS_CHUNK_SIZE + 1;

	n = min_u64(n, DATAFS_EXTENTS_MAX);
	a->ext = calloc(n, sizeof(*a->ext));
	a->pins = calloc(n, sizeof(struct datafs_chunk *));
	a->crc = calloc(min_u64((limit - pos) / DATAFS_GRANULE,
				n * SLOT_GRANULES),
			sizeof(*a->crc));
	return a->ext && a->pins && a->crc ? 0 : -ENOMEM;
}

static void count_pages(struct datafs_cache *c,
			const struct datafs_cache_want *w, uint64_t from,
			uint64_t to, uint64_t missed)
{
	uint64_t pages = (to - 1) / w->page_size - from / w->page_size + 1;

	c->stats.hits += pages > missed ? pages - missed : 0;
}

int datafs_cache_get(struct datafs_cache *c,
		     const struct datafs_cache_want *w,
		     struct datafs_cache_answer *a)
{
	uint64_t pos = w->off, end, limit, misses, missed = 0;
	int err = 0;

	memset(a, 0, sizeof(*a));
	if (!datafs_want_is_sane(w))
		return -EINVAL;
	end = pos + min_u64(w->len, want_bound(w) - pos);
	limit = pos + min_u64(w->max & ~(uint64_t)(DATAFS_GRANULE - 1),
			      want_bound(w) - pos);
	if (limit < end || !w->mount_id)
		limit = end;
	limit = min_u64(limit, pos + (uint64_t)DATAFS_EXTENTS_MAX *
					DATAFS_CHUNK_SIZE);
	if (w->mount_id && answer_alloc(a, pos, limit)) {
		datafs_cache_put(c, a);
		return -ENOMEM;
	}

	pthread_mutex_lock(&c->lock);
	misses = c->stats.misses;
	while (pos < limit && (!w->mount_id || a->count < DATAFS_EXTENTS_MAX)) {
		uint32_t g = pos % DATAFS_CHUNK_SIZE / DATAFS_GRANULE, n = 0;
		struct datafs_chunk *k;
		bool hand;

		if (pos < end) {
			err = chunk_ready(c, w, pos, end, !a->count, &missed, &k);
			if (err)
				break;
		} else {
			k = datafs_chunk_find(c, &w->key,
					      pos / DATAFS_CHUNK_SIZE);
			if (!k)
				break;
			datafs_chunk_pin(k);
			datafs_slot_touch(c, k->slot, w->class);
		}
		while (g + n < k->granules && datafs_have(k, g + n) &&
		       pos + (uint64_t)n * DATAFS_GRANULE < limit)
			n++;
		hand = n && w->mount_id && !datafs_chunk_hand(k, w->mount_id);
		if (hand)
			answer_extent(c, a, k, pos, g, n);
		else
			datafs_chunk_unpin(c, k);
		if (!n || (w->mount_id && !hand))
			break;
		pos += (uint64_t)n * DATAFS_GRANULE;
		if (pos % DATAFS_CHUNK_SIZE)
			break;
	}
	if (pos > w->off)
		count_pages(c, w, w->off, min_u64(pos, end),
			    c->stats.misses - misses + missed);
	pthread_mutex_unlock(&c->lock);

	if (pos > w->off && (!w->mount_id || a->count))
		return 0;
	datafs_cache_put(c, a);
	return err ?: -ENOMEM;
}

void datafs_cache_put(struct datafs_cache *c, struct datafs_cache_answer *a)
{
	struct datafs_chunk **pins = a->pins;

	if (a->count) {
		pthread_mutex_lock(&c->lock);
		for (uint32_t i = 0; i < a->count; i++)
			datafs_chunk_unpin(c, pins[i]);
		pthread_mutex_unlock(&c->lock);
	}
	free(a->ext);
	free(a->crc);
	free(a->pins);
	memset(a, 0, sizeof(*a));
}

bool datafs_cache_has(struct datafs_cache *c, const struct datafs_cache_key *key,
		      uint64_t off, uint64_t len)
{
	uint64_t g = off / DATAFS_GRANULE;
	uint64_t last = granule_up(off + len) / DATAFS_GRANULE;
	struct datafs_chunk *k = NULL;
	bool there = off <= INT64_MAX && len <= INT64_MAX &&
		     last / SLOT_GRANULES < UINT32_MAX;

	pthread_mutex_lock(&c->lock);
	for (; there && g < last; g++) {
		if (!k || !(g % SLOT_GRANULES))
			k = datafs_chunk_find(c, key, g / SLOT_GRANULES);
		there = k && g % SLOT_GRANULES < k->granules &&
			datafs_have(k, g % SLOT_GRANULES);
	}
	pthread_mutex_unlock(&c->lock);
	return there;
}
