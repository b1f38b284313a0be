// SPDX-License-Identifier: Apache-2.0
/* What is where: chunks and contents, found by hash. All under cache.lock. */
#include "cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static uint64_t hash_key(const struct datafs_cache_key *key)
{
	return mix(mix(key->ino) + key->content);
}

static uint64_t hash_chunk(const struct datafs_cache_key *key, uint32_t index)
{
	return mix(hash_key(key) + index);
}

static bool same_key(const struct datafs_cache_key *a,
		     const struct datafs_cache_key *b)
{
	return a->ino == b->ino && a->content == b->content;
}

int datafs_hash_init(struct datafs_hash *h, uint64_t expected)
{
	uint64_t n = 64;

	while (n < expected)
		n *= 2;
	h->bucket = calloc(n, sizeof(*h->bucket));
	if (!h->bucket)
		return -ENOMEM;
	h->mask = n - 1;
	h->count = 0;
	return 0;
}

/* A table that cannot grow gets slower, not wrong. */
static void grow_chunks(struct datafs_hash *h)
{
	struct datafs_hash bigger;

	if (h->count <= 2 * h->mask ||
	    datafs_hash_init(&bigger, 4 * (h->mask + 1)))
		return;
	for (uint64_t i = 0; i <= h->mask; i++) {
		struct datafs_chunk *k = h->bucket[i], *next;

		for (; k; k = next) {
			void **b = &bigger.bucket[hash_chunk(&k->key,
						  k->index) & bigger.mask];

			next = k->next;
			k->next = *b;
			*b = k;
		}
	}
	bigger.count = h->count;
	free(h->bucket);
	*h = bigger;
}

static void grow_contents(struct datafs_hash *h)
{
	struct datafs_hash bigger;

	if (h->count <= 2 * h->mask ||
	    datafs_hash_init(&bigger, 4 * (h->mask + 1)))
		return;
	for (uint64_t i = 0; i <= h->mask; i++) {
		struct datafs_content *t = h->bucket[i], *next;

		for (; t; t = next) {
			void **b = &bigger.bucket[hash_key(&t->key) &
						  bigger.mask];

			next = t->next;
			t->next = *b;
			*b = t;
		}
	}
	bigger.count = h->count;
	free(h->bucket);
	*h = bigger;
}

struct datafs_content *datafs_content_find(struct datafs_cache *c,
					   const struct datafs_cache_key *key)
{
	struct datafs_content *t =
		c->contents.bucket[hash_key(key) & c->contents.mask];

	while (t && !same_key(&t->key, key))
		t = t->next;
	return t;
}

struct datafs_chunk *datafs_chunk_find(struct datafs_cache *c,
				       const struct datafs_cache_key *key,
				       uint32_t index)
{
	struct datafs_chunk *k =
		c->chunks.bucket[hash_chunk(key, index) & c->chunks.mask];

	while (k && !(k->index == index && same_key(&k->key, key)))
		k = k->next;
	return k;
}

static struct datafs_content *content_get(struct datafs_cache *c,
					  const struct datafs_cache_key *key)
{
	struct datafs_content *t = datafs_content_find(c, key);
	void **b;

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	grow_contents(&c->contents);
	b = &c->contents.bucket[hash_key(key) & c->contents.mask];
	t->key = *key;
	t->next = *b;
	*b = t;
	c->contents.count++;
	return t;
}

static void content_put(struct datafs_cache *c, struct datafs_content *t)
{
	struct datafs_content **p;

	if (!LIST_EMPTY(&t->chunks))
		return;
	p = (struct datafs_content **)
		&c->contents.bucket[hash_key(&t->key) & c->contents.mask];
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	c->contents.count--;
	free(t);
}

struct datafs_chunk *datafs_chunk_new(struct datafs_cache *c,
				      const struct datafs_cache_key *key,
				      uint32_t index, struct datafs_slot *s,
				      uint32_t base, uint32_t granules)
{
	uint32_t words = (granules + 63) / 64;
	struct datafs_chunk *k;
	void **b;

	k = calloc(1, sizeof(*k) + words * 8 + granules * 4);
	if (!k)
		return NULL;
	k->content = content_get(c, key);
	if (!k->content) {
		free(k);
		return NULL;
	}
	k->key = *key;
	k->index = index;
	k->slot = s;
	k->base = base;
	k->granules = granules;
	k->crc = (uint32_t *)(k->have + words);
	grow_chunks(&c->chunks);
	b = &c->chunks.bucket[hash_chunk(key, index) & c->chunks.mask];
	k->next = *b;
	*b = k;
	c->chunks.count++;
	LIST_INSERT_HEAD(&k->content->chunks, k, in_content);
	LIST_INSERT_HEAD(&s->chunks, k, in_slot);
	return k;
}

struct datafs_chunk *datafs_chunk_stray(const struct datafs_cache_key *key,
					uint32_t index, struct datafs_slot *s,
					uint32_t granules)
{
	struct datafs_chunk *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->key = *key;
	k->index = index;
	k->slot = s;
	k->granules = granules;
	LIST_INSERT_HEAD(&s->chunks, k, in_slot);
	return k;
}

void datafs_chunk_unhash(struct datafs_cache *c, struct datafs_chunk *k)
{
	struct datafs_chunk **p;

	if (!k->content)
		return;
	p = (struct datafs_chunk **)&c->chunks.bucket[
		hash_chunk(&k->key, k->index) & c->chunks.mask];
	while (*p != k)
		p = &(*p)->next;
	*p = k->next;
	c->chunks.count--;
	LIST_REMOVE(k, in_content);
	content_put(c, k->content);
	k->content = NULL;
}

void datafs_chunk_free(struct datafs_cache *c, struct datafs_chunk *k)
{
	datafs_chunk_unhash(c, k);
	c->granules -= k->present;
	LIST_REMOVE(k, in_slot);
	free(k->mounts);
	free(k);
}

void datafs_chunk_pin(struct datafs_chunk *k)
{
	k->users++;
	k->slot->pins++;
}

void datafs_chunk_unpin(struct datafs_cache *c, struct datafs_chunk *k)
{
	struct datafs_slot *s = k->slot;

	k->users--;
	s->pins--;
	if (!k->users && !k->present && !k->nmounts) {
		/* Nothing came of it: its fetch failed. */
		datafs_chunk_free(c, k);
		if (s->state == DATAFS_SLOT_USED && LIST_EMPTY(&s->chunks))
			datafs_slot_move(c, s, DATAFS_SLOT_ERASING);
	}
	if (!s->pins && (c->waiters || s->first))
		pthread_cond_signal(&c->kick);
}

int datafs_chunk_hand(struct datafs_chunk *k, uint32_t mount_id)
{
	uint32_t *more;

	for (uint32_t i = 0; i < k->nmounts; i++)
		if (k->mounts[i] == mount_id)
			return 0;
	more = realloc(k->mounts, (k->nmounts + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	k->mounts = more;
	more[k->nmounts++] = mount_id;
	return 0;
}

void datafs_chunk_set(struct datafs_cache *c, struct datafs_chunk *k,
		      uint32_t g, uint32_t crc)
{
	if (!datafs_have(k, g)) {
		k->have[g / 64] |= 1ull << (g % 64);
		k->present++;
		c->granules++;
	}
	k->crc[g] = crc;
}

void datafs_chunk_clear(struct datafs_cache *c, struct datafs_chunk *k,
			uint32_t g)
{
	if (datafs_have(k, g)) {
		k->have[g / 64] &= ~(1ull << (g % 64));
		k->present--;
		c->granules--;
	}
}
