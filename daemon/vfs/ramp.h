/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many parts of files are fetched at one time from one store: as many as make it
 * faster. It is measured in rounds of as many parts as may be under way. Each round
 * that has brought more bytes a second than the one before doubles their number; from
 * the first that has not on, it is raised by one. A step that has not made it faster
 * is taken back, and tried again some rounds later. A round in which the store has
 * refused requests halves it. Where readers want fewer, nothing is learned.
 */
#ifndef DATAFS_VFS_RAMP_H
#define DATAFS_VFS_RAMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct datafs_ramp {
	pthread_mutex_t lock;	/* protects all below */
	uint32_t max;		/* parts at one time, ever */
	uint32_t limit;		/* ... now */
	uint32_t under_way;
	bool doubling;		/* until a step has not made it faster */
	bool stepped;		/* @limit was raised before this round, ... */
	uint32_t before;	/* ... from this, */
	uint64_t rate;		/* ... with which so many bytes a second came */
	uint32_t held;		/* rounds in which it has stayed */
	/* the round */
	int64_t since;		/* nanoseconds; 0: it has not begun */
	uint64_t bytes;
	uint32_t ended;		/* parts */
	bool full;		/* as many were under way as may be */
	uint64_t refused;	/* when it began */
};

/* @max is at least 1. */
void datafs_ramp_init(struct datafs_ramp *r, uint32_t max);
void datafs_ramp_destroy(struct datafs_ramp *r);
/* How many may be under way now; at least 1. */
uint32_t datafs_ramp_limit(struct datafs_ramp *r);
/*
 * May one more be under way, from @now on? Always, if it is @waited for. Then
 * datafs_ramp_end() follows.
 */
bool datafs_ramp_begin(struct datafs_ramp *r, int64_t now, bool waited);
/*
 * One has ended with so many @bytes. @refused: requests that the store has had to be
 * sent again so far.
 */
void datafs_ramp_end(struct datafs_ramp *r, int64_t now, uint64_t bytes,
		     uint64_t refused);

#endif
