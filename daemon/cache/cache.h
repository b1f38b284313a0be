/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache store of a node: slab files on a cache directory and a persistent
 * index of what lies where.
 *
 *   slab   a file of fixed size, written once in full before use, ahead of
 *          need; the kernel's backing file
 *   slot   4 MiB of a slab, the unit of eviction: one chunk, or many of at most
 *          1 MiB (small files, ends of large ones) packed at 4 KiB granules
 *   chunk  4 MiB of a file's content, filled in pages
 *   page   the unit of fetching (a mount's page_size), a multiple of 4 KiB
 *   flight a range of pages, of many chunks even, that is fetched by one request
 *
 * All calls are safe from several threads. Errors are negative errnos.
 */
#ifndef DATAFS_CACHE_H
#define DATAFS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datafs_netlink.h"

#define DATAFS_CHUNK_SIZE	(4u << 20)
#define DATAFS_SLOT_SIZE	DATAFS_CHUNK_SIZE
#define DATAFS_SLAB_SIZE	(64u << 20)

struct datafs_cache;

/* A content: never two different sets of bytes under one key, ever. */
struct datafs_cache_key {
	uint64_t ino;
	uint64_t content;
};

struct datafs_cache_config {
	const char *dir;		/* exists, writable; slabs/ and index/ below it */
	/* Bytes of slabs at the most; less if RLIMIT_NOFILE is too low, logged. */
	uint64_t size;
	uint8_t namespace_id[16];	/* an index of another namespace is discarded */
	/*
	 * Register a slab as backing file @id (called when it is ready for use, on
	 * any thread). @fd stays the cache's, who keeps it open until it is closed.
	 */
	int (*backing_add)(void *arg, int fd, uint32_t id);
	/*
	 * Ask the kernel to forget ranges; datafs_cache_revoked(@cookie) follows
	 * when it has. Called without locks held.
	 */
	int (*revoke)(void *arg, uint64_t cookie,
		      const struct datafs_range *ranges, uint32_t n);
	void *arg;
};

/*
 * Opens or makes the store; nothing goes from it or comes to it before
 * datafs_cache_start(). A damaged index
 * is rebuilt empty, with a line in the log; -EACCES/-EROFS/-ENOSPC/-EINVAL (size too
 * small) with a line saying which directory and what to do. -EBUSY: another
 * daemon uses the directory (flock).
 */
int datafs_cache_open(const struct datafs_cache_config *cfg,
		      struct datafs_cache **res);
/*
 * It is about to be closed: who waits for room, or will, gets -ESHUTDOWN. A
 * revocation may never be answered any more.
 */
void datafs_cache_stop(struct datafs_cache *c);
void datafs_cache_close(struct datafs_cache *c);

/*
 * datafs_cache_adopt - the kernel holds an extent of a predecessor's
 *
 * Between open and start. What the index knows is as if it had been handed out
 * by this cache. Where something lies that it does not know, nothing else will
 * lie before it is revoked. What is in no slab of this cache is revoked at once,
 * by cookie 0. -ENOMEM.
 */
int datafs_cache_adopt(struct datafs_cache *c, const struct datafs_held *held);
/* From here on there are gets, and evictions. Negative errno, logged. */
int datafs_cache_start(struct datafs_cache *c);

/*
 * Reads [off, off+len) of the content from where it lives, all of it, into @buf
 * (4096-aligned). @off is a multiple of 4 KiB, the range ends at the content's
 * end or before: the cache zero-fills behind it. Called without locks held, from
 * the thread in datafs_cache_get. 0 or a negative errno (-ESTALE: the content is
 * gone); a read that came out short is an error.
 */
typedef int (*datafs_cache_fetch_fn)(void *arg, uint64_t off, void *buf,
				     uint32_t len);

/* Gets bytes [at, at+n), in order; what it had already may come again. */
typedef int (*datafs_cache_take_fn)(void *arg, uint64_t at, const void *p,
				    size_t n);
/*
 * The same of any length, by one request: given to @take as they come, from the
 * thread that flies. Every byte that @take gets is right, whatever is returned. An
 * error of @take ends it, and is what is returned. -EOPNOTSUPP before the first
 * byte: it is read by @fetch, piece by piece.
 */
typedef int (*datafs_cache_stream_fn)(void *arg, uint64_t off, uint64_t len,
				      datafs_cache_take_fn take,
				      void *take_arg);

/*
 * What goes first when room is wanted. A slot has the class that it was wanted with last:
 * so, of small contents packed into one, that of the last one that was used. What is left
 * of each class, in this order:
 *
 *	ONCE	beyond DATAFS_CACHE_ONCE_SHARE of all slots; in the order in which they
 *		were filled, whoever has used them since
 *	KEEP	beyond DATAFS_CACHE_KEEP_SHARE of all slots
 *	NORMAL, the other ONCE, the other KEEP
 *
 * In KEEP and NORMAL what was used lately is passed over once. Small contents are packed
 * with those of their class. It is in the index as it was when the content was filled;
 * what a later use has changed is learned anew after a restart.
 */
enum datafs_cache_class {
	DATAFS_CACHE_AS_IS,	/* of a want: it changes nothing; new slots are NORMAL */
	DATAFS_CACHE_NORMAL,
	DATAFS_CACHE_KEEP,
	DATAFS_CACHE_ONCE,
	DATAFS_CACHE_CLASSES
};

/*
 * In eighths of the slots. As much of ONCE is there as may be fetched ahead of readers
 * (vfs/fetch.c), else that would be gone before it is read.
 */
#define DATAFS_CACHE_ONCE_SHARE	1u
#define DATAFS_CACHE_KEEP_SHARE	6u

struct datafs_cache_want {
	struct datafs_cache_key key;
	uint64_t size;		/* of the whole content; not used without @fetch */
	uint32_t page_size;	/* 4 KiB to 4 MiB, power of two */
	uint64_t off, len;	/* must have: fetched if missing; granule-aligned */
	/* may also have, from @off on: what is there already (0: nothing more) */
	uint64_t max;
	uint32_t mount_id;	/* whom the extents are handed to; 0: only fetch */
	enum datafs_cache_class class;
	datafs_cache_fetch_fn fetch;	/* NULL: only what is there */
	void *arg;
	/* of flights only; NULL: none */
	datafs_cache_stream_fn stream;
	void (*release)(void *arg);	/* nobody uses @arg any more; without locks */
};

/* Extents and their checksums, pinned against eviction until put. */
struct datafs_cache_answer {
	uint32_t count, crcs;
	struct datafs_extent *ext;	/* sorted, <= DATAFS_EXTENTS_MAX */
	uint32_t *crc;
	void *pins;
};

/*
 * datafs_cache_get - have the pages of a range, fetching what is missing
 *
 * Concurrent calls for one page fetch it once: the others wait for it. Marks
 * what it answers as handed to @mount_id before it returns. Partial success
 * covers at least the granule at @off, or is an error: what @fetch said, -ENOSPC
 * (nothing could be evicted in 30 s), -ESHUTDOWN (it would wait for room, and the
 * cache is stopped), -EIO (device), -EINVAL (the want), or why the cache could not
 * be written, if the device did not fail. A call waits for
 * room only while it holds nothing, so in a full cache an answer may end at a
 * chunk's border. After an error there is nothing to put. With @mount_id 0 the
 * answer is empty.
 *
 * Without @fetch the answer is what is there from @off on, up to @len or @max;
 * -ESTALE if the granule at @off is not.
 */
int datafs_cache_get(struct datafs_cache *c,
		     const struct datafs_cache_want *want,
		     struct datafs_cache_answer *ans);
/* After the answer was written to the kernel (or was not). */
void datafs_cache_put(struct datafs_cache *c, struct datafs_cache_answer *ans);

struct datafs_flight;

/*
 * datafs_cache_claim - the first run of [off, off+len) that is missing
 *
 * ... and that nobody fetches: it will be fetched as one, by whoever runs the flight
 * first, the claimer in datafs_cache_fly() or a get that would wait for it; a get that
 * needs only its beginning leaves it to the claimer for up to 100 ms. Those that
 * are under way are waited for by gets without a pin, chunk by chunk. The range is of
 * whole pages, but at the content's end. *@res NULL: all of it is there or comes.
 * -ENOMEM, -EINVAL (the want); then and with NULL, @want->arg stays the caller's.
 */
int datafs_cache_claim(struct datafs_cache *c,
		       const struct datafs_cache_want *want,
		       struct datafs_flight **res);
/* What was claimed; @off + @len is up to a granule's border. */
void datafs_flight_range(const struct datafs_flight *f, uint64_t *off,
			 uint64_t *len);
/*
 * Runs it, unless somebody does; once for each claim. @give_up: nothing is fetched
 * any more, who waits gets -ESHUTDOWN. Blocks for as long as the source and the cache
 * (for room, at most 30 s a chunk) do; errors go to who waits.
 */
void datafs_cache_fly(struct datafs_cache *c, struct datafs_flight *f,
		      bool give_up);

/* Is [off, off+len) all there? Fetches nothing. */
bool datafs_cache_has(struct datafs_cache *c, const struct datafs_cache_key *key,
		      uint64_t off, uint64_t len);
/* Bytes of the content, of @size bytes, that are there. Takes time with its chunks. */
uint64_t datafs_cache_bytes(struct datafs_cache *c, const struct datafs_cache_key *key,
			    uint64_t size);
/*
 * The first run of bytes from @off on, and before @end, that lies in one place of one
 * slab: as it is in *@run, whole granules. False: there is none. Where it lies is a
 * thing to look at, true while the lock is held: nothing is pinned.
 */
bool datafs_cache_next(struct datafs_cache *c, const struct datafs_cache_key *key,
		       uint64_t off, uint64_t end, struct datafs_extent *run);

struct datafs_cache_left {
	/* Bytes in chunks that are in use, or too many to leave at one time: ask again. */
	uint64_t staying;
	uint64_t leaving;	/* bytes that the kernel is being asked to forget */
};

/*
 * datafs_cache_evict - the content's place is wanted back
 *
 * From when it returns no get finds what is leaving; nobody uses it any more, in the
 * kernel neither, when datafs_cache_leaving() is 0. Other contents in the same slots
 * stay. 0, or -ENOMEM: some of it stays that is not told. Does not block.
 */
int datafs_cache_evict(struct datafs_cache *c, const struct datafs_cache_key *key,
		       struct datafs_cache_left *left);
/* What an eviction has begun with and not ended. Does not block. */
uint64_t datafs_cache_leaving(struct datafs_cache *c, const struct datafs_cache_key *key);

/*
 * The kernel met a granule that does not match: check the bytes on disk, and if
 * they are wrong forget the granule, so that the next get fetches it.
 */
void datafs_cache_bad(struct datafs_cache *c, const struct datafs_cache_key *key,
		      uint64_t off);
/* No reader wants this content any more: its space may go first. */
void datafs_cache_drop(struct datafs_cache *c, const struct datafs_cache_key *key);
void datafs_cache_revoked(struct datafs_cache *c, uint64_t cookie);
/* The mount is gone, and with it all that was handed to it. */
void datafs_cache_forget_mount(struct datafs_cache *c, uint32_t mount_id);

struct datafs_cache_stats {
	uint64_t size, used, slots, free_slots, chunks;
	uint64_t normal_slots, keep_slots, once_slots;	/* in use, by their class */
	uint64_t hits, misses;		/* pages wanted: there, fetched */
	uint64_t fetched_bytes, fetches;
	uint64_t evicted_slots, revokes, bad_granules, index_rebuilt;
	uint64_t adopted, strays;	/* extents a predecessor left: known, not */
};
void datafs_cache_get_stats(struct datafs_cache *c, struct datafs_cache_stats *st);

#endif
