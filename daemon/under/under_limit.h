/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limit on requests or bytes in a second: a token bucket, whose waiters are served in
 * the order in which they came. It holds a tenth of a second's worth; more than that may be
 * taken at once, when it is full, and who comes later pays for it by waiting. Who waits
 * sleeps until it is his turn.
 */
#ifndef DATAFS_UNDER_LIMIT_H
#define DATAFS_UNDER_LIMIT_H

#include <pthread.h>
#include <stdint.h>
#include <sys/queue.h>

/* The time in which a limit lives: CLOCK_MONOTONIC, or a test's. Nanoseconds. */
struct datafs_limit_clock {
	int64_t (*now)(void);
	/* Until @c is signalled or it is @until, whichever is first; may return early. */
	void (*wait)(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until);
};

extern const struct datafs_limit_clock datafs_limit_clock;

struct datafs_limit {
	const struct datafs_limit_clock *clock;
	uint64_t rate;		/* a second; 0: no limit */
	pthread_mutex_t lock;	/* of the rest */
	int64_t full_at;	/* when the bucket is full again */
	STAILQ_HEAD(, datafs_limit_waiter) waiters;
};

/* @clock NULL: the real one. */
void datafs_limit_init(struct datafs_limit *l, uint64_t rate,
		       const struct datafs_limit_clock *clock);
/* Nobody waits. */
void datafs_limit_destroy(struct datafs_limit *l);
/* Takes @n, once it is there. */
void datafs_limit_take(struct datafs_limit *l, uint64_t n);
/* Takes @n that are used already: whoever comes next waits for them. */
void datafs_limit_owe(struct datafs_limit *l, uint64_t n);

#endif
