/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the cache store. Concepts beyond those of cache.h:
 *
 *   granule  4 KiB, the unit of presence, of checksums and of packing
 *   fill     a fetch in flight for a run of granules of a chunk; who wants one
 *            of them waits for it and shares its result
 *   flight   the same for a range over several chunks, which need not be there yet
 *   pin      a user of a chunk (a fill, a waiter, an answer that is not put):
 *            its slot is not a victim
 *   hashed   a chunk that gets can find. A victim's chunks are not: a get makes
 *            a new chunk in another slot, nothing is handed out of a slot
 *            that the kernel is being asked to forget.
 *   stray    a chunk that is not hashed and has no record: the kernel holds
 *            something in its slot that the index does not know
 *   keeper   the background thread: makes slabs ahead of need, picks victims,
 *            erases them from the index
 *   block    16 granules of a chunk: one record of the index
 *
 * Files: cache.c life and small calls; adopt.c what a predecessor left in the
 * kernel; get.c answers; fill.c fetching and bad granules; flight.c fetching over
 * chunks; chunk.c what is where; slot.c slot states and room; keeper.c eviction;
 * evict.c the same of one content, on request; held.c what of a content is there;
 * slab.c files; iobuf.c
 * how they are read and written; index.c the records in LevelDB, index_open.c
 * its life.
 */
#ifndef DATAFS_CACHE_INTERNAL_H
#define DATAFS_CACHE_INTERNAL_H

#include <pthread.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache.h"
#include "iobuf.h"

#define SLOT_GRANULES	(DATAFS_SLOT_SIZE / DATAFS_GRANULE)
#define SLAB_SLOTS	(DATAFS_SLAB_SIZE / DATAFS_SLOT_SIZE)
#define BLOCK_GRANULES	16u
/* Chunks of at most this many bytes are packed; others take a slot. */
#define PACK_MAX	(1u << 20)
/* So many places are tried, if the device fails at the first. */
#define PLACES_MAX	4

enum datafs_slot_state {
	DATAFS_SLOT_ABSENT,	/* its slab is not ready */
	DATAFS_SLOT_FREE,	/* no chunk, no record names it */
	DATAFS_SLOT_OPEN,	/* the one that small chunks of its class are packed into */
	DATAFS_SLOT_USED,	/* has chunks, takes no more; may be a victim */
	DATAFS_SLOT_REVOKING,	/* the kernel is being asked to forget it */
	DATAFS_SLOT_ERASING,	/* nobody uses it; its records are going */
	/* the device failed here, or its records cannot go; never used again */
	DATAFS_SLOT_BAD,
	DATAFS_SLOT_NR
};

struct datafs_slot {
	LIST_HEAD(datafs_slot_chunks, datafs_chunk) chunks; /* hashed or not */
	TAILQ_ENTRY(datafs_slot) link;	/* in cache.free, .used, .first or .erasing */
	uint32_t pins;
	uint32_t revokes;	/* cookies that are not answered yet */
	uint16_t filled;	/* granules given to chunks, from the start */
	uint16_t dropped;	/* of these, those of dropped chunks */
	uint8_t state;		/* enum datafs_slot_state */
	uint8_t class;		/* enum datafs_cache_class; AS_IS: it has none */
	bool touched;		/* wanted since it was put at the end of its queue */
	bool first;		/* in cache.first */
	bool retired;		/* the device failed here: becomes BAD */
};
TAILQ_HEAD(datafs_slot_queue, datafs_slot);

struct datafs_content {
	struct datafs_content *next;	/* of the hash bucket */
	struct datafs_cache_key key;
	LIST_HEAD(datafs_content_chunks, datafs_chunk) chunks; /* hashed */
};

struct datafs_chunk {
	struct datafs_chunk *next;	/* of the hash bucket */
	struct datafs_content *content;	/* NULL: not hashed */
	LIST_ENTRY(datafs_chunk) in_content, in_slot;
	struct datafs_slot *slot;
	struct datafs_fill *fills;
	uint32_t *mounts;		/* whom extents were handed to */
	uint32_t nmounts;
	uint32_t users;			/* pins */
	struct datafs_cache_key key;
	uint32_t index;			/* file offset / DATAFS_CHUNK_SIZE */
	uint16_t base;			/* first granule in the slot */
	uint16_t granules;		/* how long it is */
	uint16_t present;		/* bits set in have */
	bool dropped;
	uint32_t *crc;			/* of each granule; behind have[] */
	uint64_t have[];
};

struct datafs_fill {
	struct datafs_fill *next;
	pthread_cond_t cond;
	uint32_t first, count;		/* granules of the chunk */
	uint32_t refs;
	bool done;
	int err;
};

/* A chunk that is evicted alone, on request; its slot stays with what else is in it. */
struct datafs_leaving {
	TAILQ_ENTRY(datafs_leaving) link;	/* in cache.leaving */
	struct datafs_chunk *chunk;	/* pinned by this, and not hashed */
	uint64_t bytes;			/* that were there */
	uint32_t revokes;		/* cookies that are not answered yet */
};

/* A REVOKE of ranges of one slot. */
struct datafs_revocation {
	TAILQ_ENTRY(datafs_revocation) link;
	struct datafs_slot *slot;
	struct datafs_leaving *leaving;	/* of one chunk; NULL: of the slot */
	uint64_t cookie;
	uint64_t retry_ns;	/* CLOCK_MONOTONIC; not sent before */
	bool sent;
	bool sending;		/* the keeper reads it without the lock */
	bool answered;		/* while it was being sent */
	uint32_t n;
	struct datafs_range ranges[];
};

struct datafs_hash {
	void **bucket;
	uint64_t mask, count;
};

struct datafs_slab {
	int fd;			/* -1: not there */
	bool ready;
};

struct datafs_index {
	struct leveldb_t *db;
	struct datafs_env *env;
	struct leveldb_options_t *opts;
	struct leveldb_readoptions_t *ropts;
	struct leveldb_writeoptions_t *lazy, *sync;
	/*
	 * Orders the snapshot of a block and its writing, so that an older one
	 * never overwrites a newer one. Taken before cache.lock.
	 */
	pthread_mutex_t lock;
	/*
	 * It failed and is set aside: the cache goes on without, and is empty
	 * at the next start. Set under @lock, read without.
	 */
	bool lost;
	/*
	 * ... but could not be set aside: the next start will believe it, so
	 * nothing that it may name is used for something else. As @lost.
	 */
	bool in_the_way;
};

struct datafs_cache {
	struct datafs_cache_config cfg;
	char *dir;
	int dir_fd, lock_fd;
	uint32_t max_slabs;

	/*
	 * Protects everything below and all slots, chunks, fills and revocations.
	 * Never held across I/O, a fetch, a callback or a write of the index.
	 */
	pthread_mutex_t lock;
	pthread_cond_t kick;	/* there is work for the keeper */
	pthread_cond_t space;	/* there is a free slot, or will never be one */
	pthread_t keeper;
	bool started;		/* there is a keeper */
	bool stop;		/* no keeper soon: nobody waits for room */

	struct datafs_slab *slabs;	/* max_slabs of them */
	struct datafs_slot *slots;	/* max_slabs * SLAB_SLOTS */
	uint32_t state_count[DATAFS_SLOT_NR];
	uint32_t waiters;		/* for a free slot */
	bool grow_failed;
	uint64_t complained_ns;		/* about a full cache, last */
	uint64_t write_complained_ns;	/* about a slab that is not written */
	struct datafs_slot *open[DATAFS_CACHE_CLASSES];	/* the slots in state OPEN */
	struct datafs_slot_queue free, erasing;
	/*
	 * All in state USED: those that are to go first, and the others, by their class,
	 * for second chance. What comes is put at its end, so nothing goes before all of
	 * its class that was there when it came was passed.
	 */
	struct datafs_slot_queue first, used[DATAFS_CACHE_CLASSES];
	uint32_t class_count[DATAFS_CACHE_CLASSES];	/* of OPEN and USED */
	TAILQ_HEAD(datafs_revocations, datafs_revocation) revocations;
	TAILQ_HEAD(datafs_flights, datafs_flight) flights; /* not done */
	uint32_t patient;		/* who wait for one to be run */
	TAILQ_HEAD(datafs_leavings, datafs_leaving) leaving;
	uint32_t nleaving;
	uint64_t next_cookie;
	struct datafs_hash chunks, contents;
	struct datafs_iobuf *buffers[64];	/* idle ones; making one is slow */
	uint32_t nbuffers;
	uint64_t granules;		/* present in all */
	struct datafs_cache_stats stats;

	struct datafs_index index;
};

static inline uint32_t datafs_slot_nr(struct datafs_cache *c,
				      struct datafs_slot *s)
{
	return s - c->slots;
}

static inline bool datafs_have(const struct datafs_chunk *k, uint32_t g)
{
	return k->have[g / 64] >> (g % 64) & 1;
}

uint64_t datafs_cache_now(void);	/* CLOCK_MONOTONIC, ns */

/* chunk.c; all under cache.lock */
int datafs_hash_init(struct datafs_hash *h, uint64_t expected);
struct datafs_chunk *datafs_chunk_find(struct datafs_cache *c,
				       const struct datafs_cache_key *key,
				       uint32_t index);
struct datafs_content *datafs_content_find(struct datafs_cache *c,
					   const struct datafs_cache_key *key);
/* Makes and hashes a chunk in granules the caller has taken. NULL: ENOMEM. */
struct datafs_chunk *datafs_chunk_new(struct datafs_cache *c,
				      const struct datafs_cache_key *key,
				      uint32_t index, struct datafs_slot *s,
				      uint32_t base, uint32_t granules);
/* The same for a stray. */
struct datafs_chunk *datafs_chunk_stray(const struct datafs_cache_key *key,
					uint32_t index, struct datafs_slot *s,
					uint32_t granules);
void datafs_chunk_unhash(struct datafs_cache *c, struct datafs_chunk *k);
void datafs_chunk_free(struct datafs_cache *c, struct datafs_chunk *k);
void datafs_chunk_pin(struct datafs_chunk *k);
void datafs_chunk_unpin(struct datafs_cache *c, struct datafs_chunk *k);
int datafs_chunk_hand(struct datafs_chunk *k, uint32_t mount_id);
void datafs_chunk_set(struct datafs_cache *c, struct datafs_chunk *k,
		      uint32_t g, uint32_t crc);
void datafs_chunk_clear(struct datafs_cache *c, struct datafs_chunk *k,
			uint32_t g);

/* slot.c; all under cache.lock */
void datafs_slot_move(struct datafs_cache *c, struct datafs_slot *s,
		      enum datafs_slot_state to);
/* Room for a chunk, or NULL: nothing is free at the moment. */
struct datafs_slot *datafs_slot_take(struct datafs_cache *c, uint32_t granules,
				     enum datafs_cache_class class, uint32_t *base);
/* What is in it is wanted. One in state OPEN keeps its class. */
void datafs_slot_touch(struct datafs_cache *c, struct datafs_slot *s,
		       enum datafs_cache_class class);
/* All that are or may be of use. */
uint32_t datafs_slots(const struct datafs_cache *c);
void datafs_slot_first(struct datafs_cache *c, struct datafs_slot *s);
/* The device failed here: no get finds its chunks, it is evicted for good. */
void datafs_slot_retire(struct datafs_cache *c, struct datafs_slot *s);
/* Could there ever be a free slot again? */
bool datafs_slot_hope(struct datafs_cache *c);

/* slab.c; without locks */
int datafs_slab_open_all(struct datafs_cache *c);
/* Leaves logging to the caller. -EOPNOTSUPP: no direct I/O there. */
int datafs_slab_prepare(struct datafs_cache *c, uint32_t nr);
/* What to do about such an error, for the log. */
const char *datafs_slab_advice(int err);
void datafs_slab_close_all(struct datafs_cache *c);
void datafs_slab_admit(struct datafs_cache *c, uint32_t nr); /* under lock */
/* The first @len bytes of the buffer, from granule @granule of the slot on. */
int datafs_slab_rw(struct datafs_cache *c, uint32_t slot, uint32_t granule,
		   struct datafs_iobuf *b, uint32_t len, bool write);

/* get.c */
bool datafs_want_is_sane(const struct datafs_cache_want *want);
/*
 * Finds or makes a chunk, pinned. -EAGAIN: there is no room, and not @wait;
 * otherwise the errors of datafs_keeper_wait(), -ENOMEM, -EIO. Called under
 * cache.lock, which it drops and takes again to wait.
 */
int datafs_chunk_obtain(struct datafs_cache *c,
			const struct datafs_cache_want *want, uint32_t index,
			bool wait, struct datafs_chunk **res);

/* fill.c */
/*
 * Has the granules [first, last) of a pinned chunk, fetching whole pages.
 * Called under cache.lock, which it drops and takes again. -EAGAIN: *@flight, a
 * reference, will bring what is still missing; else it is NULL.
 */
int datafs_chunk_fill(struct datafs_cache *c, struct datafs_chunk *k,
		      const struct datafs_cache_want *want, uint32_t first,
		      uint32_t last, struct datafs_flight **flight);
/* The fill that will bring a granule, or NULL. Under cache.lock. */
struct datafs_fill *datafs_fill_of(const struct datafs_chunk *k, uint32_t g);
/* One for one thread, without cache.lock. The errors of datafs_iobuf_new(). */
int datafs_buffer_get(struct datafs_cache *c, struct datafs_iobuf **res);
void datafs_buffer_put(struct datafs_cache *c, struct datafs_iobuf *b);
/*
 * What to say of a write to @s that failed: -EIO, and the slot is retired, or @err
 * as it is, logged. Under cache.lock.
 */
int datafs_write_failed(struct datafs_cache *c, struct datafs_slot *s, int err);

/* flight.c; all under cache.lock */
/* The flight that will bring the granule at byte @at of the content, or NULL. */
struct datafs_flight *datafs_flight_of(struct datafs_cache *c,
				       const struct datafs_cache_key *key, uint64_t at);
/* Pages of [from, to) that it is still to bring. */
uint64_t datafs_flight_pages(const struct datafs_flight *f, uint64_t from, uint64_t to);
void datafs_flight_ref(struct datafs_flight *f);
/* The last one drops the lock and takes it again. */
void datafs_flight_unref(struct datafs_cache *c, struct datafs_flight *f);
/*
 * Waits until it has brought all up to byte @until of the content, or has ended;
 * runs it, if nobody does. Takes the reference; drops the lock and takes it again.
 * 0, or why it ended before that.
 */
int datafs_flight_wait(struct datafs_cache *c, struct datafs_flight *f,
		       uint64_t until);

/* keeper.c */
void *datafs_keeper(void *cache);
/*
 * Waits for a free slot until @deadline (datafs_cache_now()). Under cache.lock.
 * 0: look again; -ENOSPC: too late; -EIO: no slot is left that works;
 * -ESHUTDOWN: nobody makes room any more.
 */
int datafs_keeper_wait(struct datafs_cache *c, uint64_t deadline);
int datafs_cache_cond_init(pthread_cond_t *cond); /* on CLOCK_MONOTONIC */
/*
 * The kernel is asked to forget what was handed out of a chunk, or, with @l NULL, of all
 * chunks of the slot. Under cache.lock. -ENOMEM: it is not.
 */
int datafs_revocations_collect(struct datafs_cache *c, struct datafs_slot *s,
			       struct datafs_leaving *l);

/* evict.c */
/* The keeper's part. Under cache.lock, which it drops and takes again. True: there was some. */
bool datafs_evict_some(struct datafs_cache *c);

static inline bool datafs_index_in_the_way(struct datafs_cache *c)
{
	return __atomic_load_n(&c->index.in_the_way, __ATOMIC_ACQUIRE);
}

/* index_open.c; without cache.lock */
int datafs_index_open(struct datafs_cache *c);
void datafs_index_close(struct datafs_cache *c);
/* Discards what is there, because of @why, for an empty one. */
int datafs_index_rebuild(struct datafs_cache *c, const char *why);

/* index.c; without cache.lock */
/* Reads all records into chunks, once the slabs are open. */
int datafs_index_load(struct datafs_cache *c);
bool datafs_index_slab_ready(struct datafs_cache *c, uint32_t nr);
void datafs_index_put_slab(struct datafs_cache *c, uint32_t nr);
void datafs_index_drop_slab(struct datafs_cache *c, uint32_t nr);
/* Writes the records of the blocks that granules of a pinned chunk are in. */
void datafs_index_put(struct datafs_cache *c, struct datafs_chunk *k,
		      uint32_t first, uint32_t count);
/*
 * Removes all records of slots, durably. -EIO: they may still be there, the
 * slots must not be used again.
 */
int datafs_index_erase(struct datafs_cache *c, struct datafs_slot **slots,
		       uint32_t n);
/* Tries again to put an index that failed out of the way. */
void datafs_index_set_aside(struct datafs_cache *c);

#endif
