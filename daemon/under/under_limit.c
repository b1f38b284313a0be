// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "under_limit.h"

#include <errno.h>
#include <time.h>

#include "base/util.h"

#define BURST	(DATAFS_SEC / 10)
/* A debt is never remembered for longer: as much as ten years' worth can be asked. */
#define DEBT_MAX	(10 * 365 * 86400 * DATAFS_SEC)

struct datafs_limit_waiter {
	STAILQ_ENTRY(datafs_limit_waiter) next;
	pthread_cond_t turn;
};

static int64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * DATAFS_SEC + ts.tv_nsec;
}

static void clock_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until)
{
	struct timespec ts = { until / DATAFS_SEC, until % DATAFS_SEC };

	pthread_cond_clockwait(c, lock, CLOCK_MONOTONIC, &ts);
}

const struct datafs_limit_clock datafs_limit_clock = { clock_now, clock_wait };

void datafs_limit_init(struct datafs_limit *l, uint64_t rate,
		       const struct datafs_limit_clock *clock)
{
	*l = (struct datafs_limit){
		.clock = clock ? clock : &datafs_limit_clock, .rate = rate,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	STAILQ_INIT(&l->waiters);
	l->full_at = l->clock->now();
}

void datafs_limit_destroy(struct datafs_limit *l)
{
	pthread_mutex_destroy(&l->lock);
}

/* The time in which @n come in. */
static int64_t cost_of(const struct datafs_limit *l, uint64_t n)
{
	unsigned __int128 ns = (unsigned __int128)n * DATAFS_SEC / l->rate;

	return ns > DEBT_MAX ? DEBT_MAX : (int64_t)ns;
}

static void pay(struct datafs_limit *l, int64_t cost)
{
	int64_t now = l->clock->now();

	l->full_at = DATAFS_MAX(l->full_at, now) + cost;
	if (l->full_at > now + DEBT_MAX)
		l->full_at = now + DEBT_MAX;
}

/* When there is enough for @cost. */
static int64_t ready_at(const struct datafs_limit *l, int64_t cost)
{
	return l->full_at - (BURST - DATAFS_MIN(BURST, cost));
}

void datafs_limit_take(struct datafs_limit *l, uint64_t n)
{
	struct datafs_limit_waiter me = { .turn = PTHREAD_COND_INITIALIZER }, *next;
	int64_t cost, at;

	if (!l->rate || !n)
		return;
	cost = cost_of(l, n);
	pthread_mutex_lock(&l->lock);
	STAILQ_INSERT_TAIL(&l->waiters, &me, next);
	while (STAILQ_FIRST(&l->waiters) != &me)
		pthread_cond_wait(&me.turn, &l->lock);
	while ((at = ready_at(l, cost)) > l->clock->now())
		l->clock->wait(&me.turn, &l->lock, at);
	pay(l, cost);
	STAILQ_REMOVE_HEAD(&l->waiters, next);
	next = STAILQ_FIRST(&l->waiters);
	if (next)
		pthread_cond_signal(&next->turn);
	pthread_mutex_unlock(&l->lock);
	pthread_cond_destroy(&me.turn);
}

void datafs_limit_owe(struct datafs_limit *l, uint64_t n)
{
	if (!l->rate || !n)
		return;
	pthread_mutex_lock(&l->lock);
	pay(l, cost_of(l, n));
	pthread_mutex_unlock(&l->lock);
}
