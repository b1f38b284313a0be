/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads in order? A table of the readers seen lately, a few per inode. It
 * is a guess that steers how much is fetched; nothing correct depends on it.
 */
#ifndef DATAFS_VFS_STREAM_H
#define DATAFS_VFS_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

struct datafs_streams;

struct datafs_streams *datafs_streams_new(void);
void datafs_streams_free(struct datafs_streams *s);

/* No answer covers more: data that waits behind other data comes too late. */
#define DATAFS_ANSWER_MAX	(16u << 20)

struct datafs_read {
	struct datafs_cache_key key;
	uint64_t size;		/* of the file */
	uint64_t off, len;	/* what was asked for */
	bool prefetch;		/* nobody waits */
	/*
	 * Who reads in order is fetched parts: [n * part, (n + 1) * part) of the file,
	 * a multiple of a granule, and from @off on no more of them than @parts, which
	 * is at least 1.
	 */
	uint64_t part;
	uint32_t parts;
};

struct datafs_plan {
	/*
	 * So many bytes from @off on must be had, granule-aligned, not past the file's
	 * last granule. 0: answer what is there already (prefetches only).
	 */
	uint64_t must;
	/*
	 * The parts in [@off, @now) are fetched, each as one, before it is answered:
	 * @off: none, what is missing is fetched by pages. Then those of
	 * [@from, @to), if there is room for them.
	 */
	uint64_t now, from, to;
};

struct datafs_plan datafs_streams_plan(struct datafs_streams *s,
				       const struct datafs_read *r);
/* The answer to @r reached to @end, and parts are being fetched up to @ahead. */
void datafs_streams_answered(struct datafs_streams *s,
			     const struct datafs_read *r, uint64_t end,
			     uint64_t ahead);

#endif
