// SPDX-License-Identifier: Apache-2.0
/*
 * The persistent index: what lies where, in LevelDB. It is keyed by place, so
 * that two records can never claim one granule unnoticed, and a slot is erased
 * by its prefix:
 *
 *   'M'                            whose it is (index_open.c)
 *   'S' be32 slab                  nothing; the slab is written in full
 *   'K' be32 slot be16 granule     struct index_block of the block whose first
 *                                  granule lies there
 *
 * Numbers in values are in the machine's byte order: the index never leaves it.
 * A record is written after its bytes were. A power failure can still lose
 * bytes that the device held in its own cache and keep the record: checksums
 * are what tells, in the kernel, when they are read.
 */
#include "cache_internal.h"

#include <endian.h>
#include <errno.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/leveldb.h"
#include "base/log.h"

struct index_key {
	uint8_t type;
	uint32_t nr;		/* big-endian */
	uint16_t granule;	/* big-endian */
} __attribute__((packed));

#define SLAB_KEY_LEN offsetof(struct index_key, granule)

struct index_block {
	uint64_t ino, content;
	uint32_t chunk;
	uint16_t granules;	/* of the chunk */
	uint16_t first;		/* of the block, in the chunk */
	uint16_t have;		/* a bit for each granule of the block */
	uint16_t class;		/* of its slot then; 0, of what never had one: NORMAL */
	uint16_t reserved[2];
	uint32_t crc[BLOCK_GRANULES];	/* as many as the chunk reaches */
};

static uint32_t block_len(uint32_t granules, uint32_t first)
{
	return granules - first < BLOCK_GRANULES ? granules - first :
						   BLOCK_GRANULES;
}

static size_t block_size(uint32_t granules, uint32_t first)
{
	return offsetof(struct index_block, crc) +
	       4 * block_len(granules, first);
}

static struct index_key make_key(char type, uint32_t nr, uint16_t granule)
{
	return (struct index_key){ type, htobe32(nr), htobe16(granule) };
}

static bool is_lost(struct datafs_cache *c)
{
	return __atomic_load_n(&c->index.lost, __ATOMIC_ACQUIRE);
}

/* Under index.lock. 0 or a negative errno. */
static int set_aside(struct datafs_cache *c)
{
	/* ENOENT: an earlier try moved it, and could not make that durable. */
	bool moved = !renameat(c->dir_fd, "index", c->dir_fd, "index.lost") ||
		     errno == ENOENT;
	int err = moved && !fsync(c->dir_fd) ? 0 : -errno;

	__atomic_store_n(&c->index.in_the_way, err, __ATOMIC_RELEASE);
	return err;
}

/*
 * A record that cannot be removed would name other bytes once its slot is used
 * again, so the index as a whole is put out of the way, durably.
 */
static void index_fail(struct datafs_cache *c, char *why)
{
	int err;

	pthread_mutex_lock(&c->index.lock);
	if (!c->index.lost) {
		err = set_aside(c);
		if (err)
			datafs_log(LOG_ERR, "cache %s: the index cannot be written (%s) and not be moved out of the way (%s): nothing is evicted, and once the cache is full what is not in it cannot be read; see to its filesystem",
				   c->dir, why, strerror(-err));
		else
			datafs_log(LOG_ERR, "cache %s: the index cannot be written (%s); the cache works on, and will be empty at the next start",
				   c->dir, why);
		__atomic_store_n(&c->index.lost, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&c->index.lock);
	leveldb_free(why);
}

void datafs_index_set_aside(struct datafs_cache *c)
{
	pthread_mutex_lock(&c->index.lock);
	if (c->index.in_the_way && !set_aside(c))
		datafs_log(LOG_WARNING, "cache %s: the index is out of the way now; the cache works on, and will be empty at the next start",
			   c->dir);
	pthread_mutex_unlock(&c->index.lock);
}

/* ---------------------------------------------------------------- slabs */

bool datafs_index_slab_ready(struct datafs_cache *c, uint32_t nr)
{
	struct index_key key = make_key('S', nr, 0);
	char *why = NULL, *val;
	size_t len;

	val = leveldb_get(c->index.db, c->index.ropts, (char *)&key,
			  SLAB_KEY_LEN, &len, &why);
	leveldb_free(why); /* not readable: the slab is made again */
	leveldb_free(val);
	return val;
}

static void mark_slab(struct datafs_cache *c, uint32_t nr, bool ready)
{
	struct index_key key = make_key('S', nr, 0);
	char *why = NULL;

	if (is_lost(c))
		return;
	if (ready)
		leveldb_put(c->index.db, c->index.sync, (char *)&key,
			    SLAB_KEY_LEN, "", 0, &why);
	else
		leveldb_delete(c->index.db, c->index.sync, (char *)&key,
			       SLAB_KEY_LEN, &why);
	if (why)
		index_fail(c, why);
}

void datafs_index_put_slab(struct datafs_cache *c, uint32_t nr)
{
	mark_slab(c, nr, true);
}

void datafs_index_drop_slab(struct datafs_cache *c, uint32_t nr)
{
	mark_slab(c, nr, false);
}

/* --------------------------------------------------------------- blocks */

static void block_write(struct datafs_cache *c, leveldb_writebatch_t *batch,
			struct datafs_chunk *k, uint32_t first)
{
	struct index_key key = make_key('K', datafs_slot_nr(c, k->slot),
					k->base + first);
	struct index_block b = {
		.ino = k->key.ino,
		.content = k->key.content,
		.chunk = k->index,
		.granules = k->granules,
		.first = first,
		.class = k->slot->class,
	};

	for (uint32_t i = 0; i < block_len(k->granules, first); i++) {
		if (!datafs_have(k, first + i))
			continue;
		b.have |= 1u << i;
		b.crc[i] = k->crc[first + i];
	}
	if (b.have)
		leveldb_writebatch_put(batch, (char *)&key, sizeof(key),
				       (char *)&b,
				       block_size(k->granules, first));
	else
		leveldb_writebatch_delete(batch, (char *)&key, sizeof(key));
}

void datafs_index_put(struct datafs_cache *c, struct datafs_chunk *k,
		      uint32_t first, uint32_t count)
{
	leveldb_writebatch_t *batch;
	char *why = NULL;

	if (is_lost(c))
		return;
	batch = leveldb_writebatch_create();
	pthread_mutex_lock(&c->index.lock);
	pthread_mutex_lock(&c->lock);
	for (uint32_t g = first / BLOCK_GRANULES * BLOCK_GRANULES;
	     g < first + count; g += BLOCK_GRANULES)
		block_write(c, batch, k, g);
	pthread_mutex_unlock(&c->lock);
	leveldb_write(c->index.db, c->index.lazy, batch, &why);
	pthread_mutex_unlock(&c->index.lock);
	leveldb_writebatch_destroy(batch);
	if (why)
		index_fail(c, why);
}

int datafs_index_erase(struct datafs_cache *c, struct datafs_slot **slots,
		       uint32_t n)
{
	leveldb_writebatch_t *batch;
	leveldb_iterator_t *it;
	char *why = NULL;
	bool any = false;

	if (is_lost(c))
		return datafs_index_in_the_way(c) ? -EIO : 0;
	batch = leveldb_writebatch_create();
	it = leveldb_create_iterator(c->index.db, c->index.ropts);
	for (uint32_t i = 0; i < n && !why; i++) {
		struct index_key key = make_key(
			'K', datafs_slot_nr(c, slots[i]), 0);

		leveldb_iter_seek(it, (char *)&key, sizeof(key));
		for (; leveldb_iter_valid(it); leveldb_iter_next(it)) {
			size_t len;
			const char *found = leveldb_iter_key(it, &len);

			if (len != sizeof(key) ||
			    memcmp(found, &key, SLAB_KEY_LEN))
				break;
			leveldb_writebatch_delete(batch, found, len);
			any = true;
		}
		leveldb_iter_get_error(it, &why);
	}
	leveldb_iter_destroy(it);
	if (any && !why)
		leveldb_write(c->index.db, c->index.sync, batch, &why);
	leveldb_writebatch_destroy(batch);
	if (!why)
		return 0;
	index_fail(c, why);
	return datafs_index_in_the_way(c) ? -EIO : 0;
}

/* -------------------------------------------------------------- loading */

/*
 * Believes a record only if it fits everything believed so far. Records come
 * in the order of their places, a slot's chunks one after the other.
 */
static bool block_load(struct datafs_cache *c, const void *key_bytes,
		       size_t key_len, const void *val, size_t len)
{
	struct index_key key;
	struct index_block b = { 0 };
	struct datafs_cache_key ck;
	struct datafs_chunk *k;
	struct datafs_slot *s;
	uint32_t nr, at, base;

	if (key_len != sizeof(key) || len > sizeof(b) ||
	    len < offsetof(struct index_block, crc))
		return false;
	memcpy(&key, key_bytes, sizeof(key));
	memcpy(&b, val, len);
	nr = be32toh(key.nr);
	at = be16toh(key.granule);
	if (nr / SLAB_SLOTS >= c->max_slabs || !c->slabs[nr / SLAB_SLOTS].ready)
		return false;
	if (!b.ino || !b.content || !b.have || !b.granules ||
	    b.first % BLOCK_GRANULES || b.first >= b.granules || at < b.first ||
	    at - b.first + b.granules > SLOT_GRANULES ||
	    len != block_size(b.granules, b.first) ||
	    b.have >> block_len(b.granules, b.first))
		return false;

	s = &c->slots[nr];
	base = at - b.first;
	ck = (struct datafs_cache_key){ b.ino, b.content };
	k = datafs_chunk_find(c, &ck, b.chunk);
	if (k) {
		/* Elsewhere: its eviction from here was cut short. */
		if (k->slot != s || k->base != base ||
		    k->granules != b.granules)
			return false;
	} else {
		if (base < s->filled)
			return false;
		k = datafs_chunk_new(c, &ck, b.chunk, s, base, b.granules);
		if (!k)
			return false;
		s->filled = base + b.granules;
	}
	/* Those of one slot differ if it was changed between: the last one has it. */
	s->class = b.class < DATAFS_CACHE_CLASSES ? b.class : DATAFS_CACHE_AS_IS;
	for (uint32_t i = 0; i < BLOCK_GRANULES; i++)
		if (b.have >> i & 1)
			datafs_chunk_set(c, k, b.first + i, b.crc[i]);
	return true;
}

static void forget_all(struct datafs_cache *c)
{
	for (uint32_t i = 0; i < c->max_slabs * SLAB_SLOTS; i++) {
		struct datafs_chunk *k;

		while ((k = LIST_FIRST(&c->slots[i].chunks)))
			datafs_chunk_free(c, k);
		c->slots[i].filled = 0;
	}
}

int datafs_index_load(struct datafs_cache *c)
{
	leveldb_writebatch_t *drop = leveldb_writebatch_create();
	leveldb_iterator_t *it =
		leveldb_create_iterator(c->index.db, c->index.ropts);
	uint64_t bad = 0;
	char *why = NULL;
	int err = 0;

	for (leveldb_iter_seek(it, "K", 1); leveldb_iter_valid(it);
	     leveldb_iter_next(it)) {
		size_t key_len, len;
		const char *key = leveldb_iter_key(it, &key_len);
		const char *val = leveldb_iter_value(it, &len);

		if (!key_len || key[0] != 'K')
			break;
		if (block_load(c, key, key_len, val, len))
			continue;
		leveldb_writebatch_delete(drop, key, key_len);
		bad++;
	}
	leveldb_iter_get_error(it, &why);
	leveldb_iter_destroy(it);
	if (bad && !why) {
		datafs_log(LOG_WARNING, "cache %s: %llu index records that do not fit are dropped",
			   c->dir, (unsigned long long)bad);
		leveldb_write(c->index.db, c->index.sync, drop, &why);
	}
	leveldb_writebatch_destroy(drop);
	err = why ? datafs_leveldb_error(why) : 0;
	if (err && err != -EUCLEAN) {
		datafs_log(LOG_ERR, "cache %s: cannot read the index: %s",
			   c->dir, why);
	} else if (err) {
		forget_all(c);
		err = datafs_index_rebuild(c, why);
		for (uint32_t nr = 0; !err && nr < c->max_slabs; nr++)
			if (c->slabs[nr].ready)
				datafs_index_put_slab(c, nr);
	}
	leveldb_free(why);
	return err;
}
