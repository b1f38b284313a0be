/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads: what may block runs here. Jobs are taken in the order in
 * which they came, those somebody waits for before the others. The pool grows
 * to its bound while jobs wait; threads that find nothing to do for a while
 * end. Only part of the threads may be busy with jobs of low priority, so that
 * a slow store cannot make prefetches starve those who wait.
 */
#ifndef DATAFS_POOL_H
#define DATAFS_POOL_H

#include <stdbool.h>

enum datafs_prio {
	DATAFS_PRIO_WAITED,	/* somebody waits for it */
	DATAFS_PRIO_AHEAD,	/* prefetch */
	DATAFS_PRIO_NR
};

struct datafs_job {
	struct datafs_job *next;
	void (*run)(struct datafs_job *job);	/* frees the job, if need be */
};

struct datafs_pool;

/* With @max 1 the pool is a serial worker: jobs never overtake each other. */
int datafs_pool_new(int max, struct datafs_pool **res);
/* Runs what is queued, then ends all threads. No job may be added any more. */
void datafs_pool_free(struct datafs_pool *pool);
/*
 * Never blocks and never fails: without a thread to be had, the first one
 * (made with the pool) does it.
 */
void datafs_pool_add(struct datafs_pool *pool, struct datafs_job *job,
		     enum datafs_prio prio);
/* How many jobs of DATAFS_PRIO_AHEAD may run at one time. */
unsigned int datafs_pool_ahead(const struct datafs_pool *pool);
/* Nothing is queued and nothing runs. */
bool datafs_pool_idle(struct datafs_pool *pool);

#endif
