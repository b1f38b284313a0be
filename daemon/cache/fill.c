// SPDX-License-Identifier: Apache-2.0
/* Fetching what is missing, once for all who want it; granules that went bad. */
#include "cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"

#define COMPLAIN_NS	(30ull * 1000000000)

int datafs_buffer_get(struct datafs_cache *c, struct datafs_iobuf **res)
{
	*res = NULL;
	pthread_mutex_lock(&c->lock);
	if (c->nbuffers)
		*res = c->buffers[--c->nbuffers];
	pthread_mutex_unlock(&c->lock);
	return *res ? 0 : datafs_iobuf_new(res);
}

void datafs_buffer_put(struct datafs_cache *c, struct datafs_iobuf *b)
{
	pthread_mutex_lock(&c->lock);
	if (!b->broken &&
	    c->nbuffers < sizeof(c->buffers) / sizeof(c->buffers[0])) {
		c->buffers[c->nbuffers++] = b;
		b = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	datafs_iobuf_free(b);
}

struct datafs_fill *datafs_fill_of(const struct datafs_chunk *k, uint32_t g)
{
	struct datafs_fill *f = k->fills;

	while (f && (g < f->first || g >= f->first + f->count))
		f = f->next;
	return f;
}

static void fill_unref(struct datafs_fill *f)
{
	if (--f->refs)
		return;
	pthread_cond_destroy(&f->cond);
	free(f);
}

struct missing {
	uint32_t first, count;		/* the first run that nobody fetches */
	struct datafs_fill *other;	/* else whom to wait for */
	struct datafs_flight *flight;	/* ... without a pin */
};

/*
 * The pages that hold a wanted granule which is missing are completed; a page
 * whose wanted granules are there is left as it is.
 */
static struct missing next_missing(struct datafs_cache *c,
				   struct datafs_chunk *k, uint32_t pg,
				   uint32_t first, uint32_t last)
{
	const uint64_t start = (uint64_t)k->index * DATAFS_CHUNK_SIZE;
	struct missing m = { 0 };

	for (uint32_t page = first / pg * pg; page < last; page += pg) {
		uint32_t lo = page < first ? first : page;
		uint32_t hi = page + pg < last ? page + pg : last;
		uint32_t end = page + pg < k->granules ? page + pg :
							 k->granules;

		while (lo < hi && datafs_have(k, lo))
			lo++;
		if (lo == hi && m.count)
			return m;
		if (lo == hi)
			continue;
		for (uint32_t g = page; g < end; g++) {
			struct datafs_flight *flight = NULL;
			struct datafs_fill *f = NULL;

			if (!datafs_have(k, g)) {
				f = datafs_fill_of(k, g);
				if (!f)
					flight = datafs_flight_of(c, &k->key,
								  start + (uint64_t)g * DATAFS_GRANULE);
				if (!f && !flight) {
					if (!m.count++)
						m.first = g;
					continue;
				}
				if (!m.other)
					m.other = f;
				if (!m.flight)
					m.flight = flight;
			}
			if (m.count)
				return m;
		}
	}
	return m;
}

/* The device says that it failed. Other errors pass, and no place is worse. */
static bool device_failed(int err)
{
	switch (-err) {
	case EIO:
	case EREMOTEIO:
	case ENODATA:	/* a medium's */
	case EILSEQ:	/* a protection check's */
	case EBADMSG:
	case EUCLEAN:
	case ENODEV:
	case ENXIO:
	case EROFS:
	case ESTALE:	/* which to who reads would mean that the source changed */
		return true;
	default:
		return false;
	}
}

int datafs_write_failed(struct datafs_cache *c, struct datafs_slot *s, int err)
{
	uint64_t now = datafs_cache_now();

	if (device_failed(err)) {
		datafs_slot_retire(c, s);
		return -EIO;
	}
	if (!c->write_complained_ns ||
	    now - c->write_complained_ns > COMPLAIN_NS) {
		datafs_log(LOG_ERR, "cache %s: slab %u cannot be written: %s; what is not cached cannot be read; make room or memory there",
			   c->dir, datafs_slot_nr(c, s) / SLAB_SLOTS,
			   strerror(-err));
		c->write_complained_ns = now;
	}
	return err;
}

static int fill_bytes(struct datafs_cache *c, struct datafs_chunk *k,
		      const struct datafs_cache_want *w, uint32_t first,
		      uint32_t count, uint32_t *crc, uint32_t *fetched)
{
	uint64_t off = (uint64_t)k->index * DATAFS_CHUNK_SIZE +
		       (uint64_t)first * DATAFS_GRANULE;
	uint32_t room = count * DATAFS_GRANULE, len = room;
	struct datafs_iobuf *b;
	int err = datafs_buffer_get(c, &b);

	if (err)
		return err;
	if (len > w->size - off)
		len = w->size - off;
	err = w->fetch(w->arg, off, b->mem, len);
	if (err > 0)
		err = -EIO; /* breaks the contract; not an errno for anyone */
	if (!err) {
		*fetched = len;
		memset(b->mem + len, 0, room - len);
		for (uint32_t i = 0; i < count; i++)
			crc[i] = datafs_crc32c(b->mem + i * DATAFS_GRANULE,
					       DATAFS_GRANULE);
		err = datafs_slab_rw(c, datafs_slot_nr(c, k->slot),
				     k->base + first, b, room, true);
		if (err) {
			pthread_mutex_lock(&c->lock);
			err = datafs_write_failed(c, k->slot, err);
			pthread_mutex_unlock(&c->lock);
		}
	}
	datafs_buffer_put(c, b);
	return err;
}

static int fill_run(struct datafs_cache *c, struct datafs_chunk *k,
		    const struct datafs_cache_want *w, uint32_t first,
		    uint32_t count)
{
	uint32_t pg = w->page_size / DATAFS_GRANULE, fetched = 0;
	uint32_t crc[SLOT_GRANULES];
	struct datafs_fill *f = calloc(1, sizeof(*f)), **p;
	int err;

	if (!f)
		return -ENOMEM;
	err = datafs_cache_cond_init(&f->cond);
	if (err) {
		free(f);
		return err;
	}
	f->first = first;
	f->count = count;
	f->refs = 1;
	f->next = k->fills;
	k->fills = f;
	c->stats.misses += (first + count - 1) / pg - first / pg + 1;
	pthread_mutex_unlock(&c->lock);

	err = fill_bytes(c, k, w, first, count, crc, &fetched);

	pthread_mutex_lock(&c->lock);
	if (fetched) {
		c->stats.fetches++;
		c->stats.fetched_bytes += fetched;
	}
	for (uint32_t i = 0; !err && i < count; i++)
		datafs_chunk_set(c, k, first + i, crc[i]);
	for (p = &k->fills; *p != f; p = &(*p)->next)
		;
	*p = f->next;
	f->err = err;
	f->done = true;
	pthread_cond_broadcast(&f->cond);
	fill_unref(f);
	if (!err) {
		/* The caller's pin keeps the place this chunk's. */
		pthread_mutex_unlock(&c->lock);
		datafs_index_put(c, k, first, count);
		pthread_mutex_lock(&c->lock);
	}
	return err;
}

int datafs_chunk_fill(struct datafs_cache *c, struct datafs_chunk *k,
		      const struct datafs_cache_want *w, uint32_t first,
		      uint32_t last, struct datafs_flight **flight)
{
	*flight = NULL;
	for (;;) {
		struct missing m = next_missing(
			c, k, w->page_size / DATAFS_GRANULE, first, last);
		int err = 0;

		if (!m.count && !m.other && !m.flight)
			return 0;
		if (k->slot->retired)
			return -EIO;
		if (m.count) {
			err = fill_run(c, k, w, m.first, m.count);
		} else if (m.other) {
			m.other->refs++;
			while (!m.other->done)
				pthread_cond_wait(&m.other->cond, &c->lock);
			err = m.other->err;
			fill_unref(m.other);
		} else {
			datafs_flight_ref(m.flight);
			*flight = m.flight;
			err = -EAGAIN;
		}
		if (err)
			return err;
	}
}

void datafs_cache_bad(struct datafs_cache *c, const struct datafs_cache_key *key,
		      uint64_t off)
{
	uint32_t g = off % DATAFS_CHUNK_SIZE / DATAFS_GRANULE, crc;
	struct datafs_chunk *k;
	struct datafs_iobuf *b;
	bool wrong;
	int err;

	pthread_mutex_lock(&c->lock);
	k = off / DATAFS_CHUNK_SIZE < UINT32_MAX ?
		    datafs_chunk_find(c, key, off / DATAFS_CHUNK_SIZE) : NULL;
	if (!k || g >= k->granules || !datafs_have(k, g)) {
		/* Evicted meanwhile, or another thread was here before. */
		pthread_mutex_unlock(&c->lock);
		return;
	}
	datafs_chunk_pin(k);
	crc = k->crc[g];
	pthread_mutex_unlock(&c->lock);

	if (datafs_buffer_get(c, &b)) {
		/* Without memory to look, the kernel is believed. */
		err = 0;
		wrong = true;
	} else {
		err = datafs_slab_rw(c, datafs_slot_nr(c, k->slot), k->base + g,
				     b, DATAFS_GRANULE, false);
		wrong = err || datafs_crc32c(b->mem, DATAFS_GRANULE) != crc;
		datafs_buffer_put(c, b);
	}
	datafs_log(LOG_WARNING, "cache %s: inode %llu offset %llu: %s",
		   c->dir, (unsigned long long)key->ino,
		   (unsigned long long)off,
		   !wrong ? "the kernel met a wrong checksum, the disk has the right bytes" :
		   device_failed(err) ? "the cache device cannot be read; fetching again elsewhere" :
		   err ? "the cache cannot be read at the moment; fetching again" :
			 "wrong checksum in the cache; fetching again, check the device");

	pthread_mutex_lock(&c->lock);
	c->stats.bad_granules++;
	/*
	 * Only the granule that is wrong is forgotten, and it is refilled in its
	 * place: extents that were handed out and name that place are of the same
	 * content, so the refill writes the very bytes they promise, and turns a
	 * wrong answer to them into a right one.
	 */
	if (wrong)
		datafs_chunk_clear(c, k, g);
	if (device_failed(err))
		datafs_slot_retire(c, k->slot);
	pthread_mutex_unlock(&c->lock);
	if (wrong)
		datafs_index_put(c, k, g, 1);
	pthread_mutex_lock(&c->lock);
	datafs_chunk_unpin(c, k);
	pthread_mutex_unlock(&c->lock);
}
