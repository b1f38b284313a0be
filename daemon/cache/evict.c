// SPDX-License-Identifier: Apache-2.0
/*
 * The eviction of one content, on request, chunk by chunk: what shares a slot with it
 * stays. A chunk is unhashed at once, so that a get makes a new one elsewhere; the kernel
 * is asked to forget what was handed out of it; then its records go. Its granules are not
 * used again before all of the slot is free, whose records go durably: those of the chunk
 * may be lost lazily, for until then they name the right bytes.
 */
#include "cache_internal.h"

#include <errno.h>
#include <stdlib.h>

/* At one time: each is a message to the kernel, and found in a list. */
#define LEAVING_MAX	256u

static uint64_t bytes_of(const struct datafs_chunk *k)
{
	return (uint64_t)k->present * DATAFS_GRANULE;
}

/* Nobody else uses it, so nothing more is handed out of it. */
static int begin(struct datafs_cache *c, struct datafs_chunk *k)
{
	struct datafs_leaving *l = calloc(1, sizeof(*l));
	struct datafs_slot *s = k->slot;

	if (!l)
		return -ENOMEM;
	l->chunk = k;
	l->bytes = bytes_of(k);
	if (datafs_revocations_collect(c, s, l)) {
		free(l);
		return -ENOMEM;
	}
	datafs_chunk_pin(k);
	datafs_chunk_unhash(c, k);
	TAILQ_INSERT_TAIL(&c->leaving, l, link);
	c->nleaving++;
	/* Of no use to anybody in a slot that it shares. */
	if (!k->dropped)
		s->dropped += k->granules;
	k->dropped = true;
	if (2 * s->dropped > s->filled)
		datafs_slot_first(c, s);
	return 0;
}

int datafs_cache_evict(struct datafs_cache *c, const struct datafs_cache_key *key,
		       struct datafs_cache_left *left)
{
	struct datafs_chunk *k = NULL, *next;
	struct datafs_content *t;
	int err = 0;

	left->staying = 0;
	pthread_mutex_lock(&c->lock);
	t = datafs_content_find(c, key);
	if (t)
		k = LIST_FIRST(&t->chunks);
	/* The content goes with the last of them. */
	for (; k && !err; k = next) {
		next = LIST_NEXT(k, in_content);
		if (k->users || c->nleaving == LEAVING_MAX)
			left->staying += bytes_of(k);
		else
			err = begin(c, k);
	}
	pthread_cond_signal(&c->kick);
	pthread_mutex_unlock(&c->lock);
	left->leaving = datafs_cache_leaving(c, key);
	return err;
}

uint64_t datafs_cache_leaving(struct datafs_cache *c, const struct datafs_cache_key *key)
{
	const struct datafs_leaving *l;
	uint64_t sum = 0;

	pthread_mutex_lock(&c->lock);
	TAILQ_FOREACH(l, &c->leaving, link)
		if (l->chunk->key.ino == key->ino && l->chunk->key.content == key->content)
			sum += l->bytes;
	pthread_mutex_unlock(&c->lock);
	return sum;
}

bool datafs_evict_some(struct datafs_cache *c)
{
	struct datafs_leaving *l;
	struct datafs_chunk *k;

	TAILQ_FOREACH(l, &c->leaving, link)
		if (!l->revokes)
			break;
	if (!l)
		return false;
	k = l->chunk;
	k->nmounts = 0;
	for (uint32_t g = 0; g < k->granules; g++)
		datafs_chunk_clear(c, k, g);
	pthread_mutex_unlock(&c->lock);
	/* Of a chunk that has nothing: they go. The pin keeps the place this chunk's. */
	datafs_index_put(c, k, 0, k->granules);
	pthread_mutex_lock(&c->lock);
	TAILQ_REMOVE(&c->leaving, l, link);
	c->nleaving--;
	free(l);
	datafs_chunk_unpin(c, k);
	return true;
}
