// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel holds of a predecessor's, made this cache's.
 *
 * The index is written before an extent is handed out, so it knows them all,
 * unless it was lost. Even then nothing is overwritten: a slot where the kernel
 * holds something unknown takes nothing new until it has been evicted as a
 * whole, and the stray has been revoked with it.
 */
#include "cache_internal.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* The slab it lies in is this cache's, and the kernel's file is that slab. */
static bool held_here(struct datafs_cache *c, const struct datafs_held *h)
{
	uint32_t slab = h->backing_id - 1;

	return !(h->flags & DATAFS_HELD_OTHER) && slab < c->max_slabs &&
	       c->slabs[slab].ready && h->backing_off < DATAFS_SLAB_SIZE &&
	       h->len <= DATAFS_SLAB_SIZE - h->backing_off;
}

static uint32_t held_slot(const struct datafs_held *h, uint64_t off)
{
	return (h->backing_id - 1) * SLAB_SLOTS +
	       (h->backing_off + off) / DATAFS_SLOT_SIZE;
}

/*
 * The chunk that it is of, there. Which granules of it are present does not
 * matter: a chunk's place is written with that chunk's bytes only.
 */
static struct datafs_chunk *held_chunk(struct datafs_cache *c,
				       const struct datafs_held *h)
{
	struct datafs_cache_key key = { h->ino, h->content };
	uint64_t index = h->off / DATAFS_CHUNK_SIZE;
	uint32_t first = h->off % DATAFS_CHUNK_SIZE / DATAFS_GRANULE;
	uint32_t at = h->backing_off % DATAFS_SLOT_SIZE / DATAFS_GRANULE;
	struct datafs_chunk *k;

	k = index < UINT32_MAX ? datafs_chunk_find(c, &key, index) : NULL;
	if (!k || datafs_slot_nr(c, k->slot) != held_slot(h, 0) ||
	    k->base + first != at ||
	    first + h->len / DATAFS_GRANULE > k->granules)
		return NULL;
	return k;
}

static int adopt_stray(struct datafs_cache *c, const struct datafs_held *h,
		       struct datafs_slot *s)
{
	struct datafs_cache_key key = { h->ino, h->content };
	uint32_t len = (h->off % DATAFS_CHUNK_SIZE + h->len) / DATAFS_GRANULE;
	struct datafs_chunk *k;

	LIST_FOREACH(k, &s->chunks, in_slot)
		datafs_chunk_unhash(c, k);
	k = datafs_chunk_stray(&key, h->off / DATAFS_CHUNK_SIZE, s, len);
	if (!k || datafs_chunk_hand(k, h->mount_id))
		return -ENOMEM;
	if (s->state == DATAFS_SLOT_FREE)
		datafs_slot_move(c, s, DATAFS_SLOT_USED);
	datafs_slot_first(c, s);
	return 0;
}

int datafs_cache_adopt(struct datafs_cache *c, const struct datafs_held *h)
{
	struct datafs_range range = {
		.ino = h->ino, .off = h->off, .len = h->len,
		.mount_id = h->mount_id,
	};
	uint32_t first = held_slot(h, 0), last = held_slot(h, h->len - 1);
	struct datafs_chunk *k;
	int err = 0;

	/* Its space is nobody's: there is no need to know when it is done. */
	if (!held_here(c, h))
		return c->cfg.revoke(c->cfg.arg, 0, &range, 1);
	pthread_mutex_lock(&c->lock);
	k = held_chunk(c, h);
	if (k) {
		err = datafs_chunk_hand(k, h->mount_id);
		c->stats.adopted++;
	} else {
		for (uint32_t nr = first; nr <= last && !err; nr++)
			err = adopt_stray(c, h, &c->slots[nr]);
		c->stats.strays++;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}
