// SPDX-License-Identifier: Apache-2.0
/* What of a content is there, for who wants to know. */
#include "cache_internal.h"

#include "base/util.h"

/* Chunks that are looked for in one go, so that nobody waits for the walk. */
#define LOOKS_MAX	1024

uint64_t datafs_cache_bytes(struct datafs_cache *c, const struct datafs_cache_key *key,
			    uint64_t size)
{
	const uint64_t last = size ? (size - 1) / DATAFS_GRANULE : 0;
	const uint32_t tail = size % DATAFS_GRANULE;
	const struct datafs_content *t;
	const struct datafs_chunk *k;
	uint64_t sum = 0;

	pthread_mutex_lock(&c->lock);
	t = datafs_content_find(c, key);
	if (t)
		LIST_FOREACH(k, &t->chunks, in_content)
			sum += (uint64_t)k->present * DATAFS_GRANULE;
	if (t && tail && last / SLOT_GRANULES < UINT32_MAX) {
		k = datafs_chunk_find(c, key, last / SLOT_GRANULES);
		if (k && last % SLOT_GRANULES < k->granules &&
		    datafs_have(k, last % SLOT_GRANULES))
			sum -= DATAFS_GRANULE - tail;
	}
	pthread_mutex_unlock(&c->lock);
	return sum;
}

static bool find_run(struct datafs_cache *c, const struct datafs_chunk *k, uint64_t off,
		     struct datafs_extent *run)
{
	const uint64_t start = (uint64_t)k->index * DATAFS_CHUNK_SIZE;
	uint32_t g = off > start ? (off - start) / DATAFS_GRANULE : 0, n = 0;
	const uint32_t slot = datafs_slot_nr(c, k->slot);

	while (g < k->granules && !datafs_have(k, g))
		g++;
	while (g + n < k->granules && datafs_have(k, g + n))
		n++;
	*run = (struct datafs_extent){
		.off = start + (uint64_t)g * DATAFS_GRANULE,
		.len = (uint64_t)n * DATAFS_GRANULE,
		.backing_off = (uint64_t)(slot % SLAB_SLOTS) * DATAFS_SLOT_SIZE +
			       (uint64_t)(k->base + g) * DATAFS_GRANULE,
		.backing_id = slot / SLAB_SLOTS + 1,
	};
	return n;
}

/* Where the first one from @i on is; @last: there is none. A file may be mostly holes. */
static uint64_t next_chunk(const struct datafs_content *t, uint64_t i, uint64_t last)
{
	const struct datafs_chunk *k;

	LIST_FOREACH(k, &t->chunks, in_content)
		if (k->index >= i && k->index < last)
			last = k->index;
	return last;
}

bool datafs_cache_next(struct datafs_cache *c, const struct datafs_cache_key *key,
		       uint64_t off, uint64_t end, struct datafs_extent *run)
{
	const uint64_t last = DATAFS_MIN((end + DATAFS_CHUNK_SIZE - 1) / DATAFS_CHUNK_SIZE,
					 UINT32_MAX);
	uint64_t i = off / DATAFS_CHUNK_SIZE;
	const struct datafs_content *t;
	const struct datafs_chunk *k;
	bool found = false;

	while (!found && i < last) {
		pthread_mutex_lock(&c->lock);
		t = datafs_content_find(c, key);
		for (int n = 0; t && !found && n < LOOKS_MAX && i < last; n++, i++) {
			k = datafs_chunk_find(c, key, i);
			found = k && find_run(c, k, off, run);
		}
		if (!found)
			i = t ? next_chunk(t, i, last) : last;
		pthread_mutex_unlock(&c->lock);
	}
	return found && run->off < end;
}
