// SPDX-License-Identifier: Apache-2.0
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"

#define POOL_IDLE_SECONDS	10

struct datafs_pool {
	pthread_mutex_t lock;		/* protects all below */
	pthread_cond_t work;		/* a job came, or the end */
	pthread_cond_t ended;		/* a thread ended */
	struct {
		struct datafs_job *head, **tail;
	} queue[DATAFS_PRIO_NR];
	int threads, idle, max;
	int running[DATAFS_PRIO_NR];
	bool stop;
};

/* One thread in four is kept for those who wait. */
static int pool_ahead_max(const struct datafs_pool *pool)
{
	return pool->max == 1 ? 1 : pool->max - (pool->max + 3) / 4;
}

static struct datafs_job *pool_take(struct datafs_pool *pool, int *prio)
{
	for (int i = 0; i < DATAFS_PRIO_NR; i++) {
		struct datafs_job *job = pool->queue[i].head;

		if (!job)
			continue;
		if (i == DATAFS_PRIO_AHEAD && !pool->stop &&
		    pool->running[i] >= pool_ahead_max(pool))
			continue;
		pool->queue[i].head = job->next;
		if (!job->next)
			pool->queue[i].tail = &pool->queue[i].head;
		*prio = i;
		return job;
	}
	return NULL;
}

static void *pool_thread(void *arg)
{
	struct datafs_pool *pool = arg;
	struct datafs_job *job;
	struct timespec until;
	int prio, err;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		job = pool_take(pool, &prio);
		if (job) {
			pool->running[prio]++;
			pthread_mutex_unlock(&pool->lock);
			job->run(job);
			pthread_mutex_lock(&pool->lock);
			pool->running[prio]--;
			continue;
		}
		if (pool->stop)
			break;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += POOL_IDLE_SECONDS;
		pool->idle++;
		err = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
		pool->idle--;
		/* The last thread stays: an add may find no memory for one. */
		if (err == ETIMEDOUT && !pool->stop && pool->threads > 1 &&
		    !pool->queue[DATAFS_PRIO_WAITED].head &&
		    !pool->queue[DATAFS_PRIO_AHEAD].head)
			break;
	}
	pool->threads--;
	pthread_cond_broadcast(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static int pool_spawn(struct datafs_pool *pool)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 << 10);
	err = pthread_create(&thread, &attr, pool_thread, pool);
	pthread_attr_destroy(&attr);
	if (!err)
		pool->threads++;
	return -err;
}

int datafs_pool_new(int max, struct datafs_pool **res)
{
	struct datafs_pool *pool = calloc(1, sizeof(*pool));
	pthread_condattr_t attr;
	int err;

	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->work, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&pool->ended, NULL);
	for (int i = 0; i < DATAFS_PRIO_NR; i++)
		pool->queue[i].tail = &pool->queue[i].head;
	pool->max = max;
	err = pool_spawn(pool);
	if (err) {
		datafs_log(LOG_ERR, "cannot start a thread: errno %d", -err);
		free(pool);
		return err;
	}
	*res = pool;
	return 0;
}

void datafs_pool_free(struct datafs_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	while (pool->threads)
		pthread_cond_wait(&pool->ended, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void datafs_pool_add(struct datafs_pool *pool, struct datafs_job *job,
		     enum datafs_prio prio)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->queue[prio].tail = job;
	pool->queue[prio].tail = &job->next;
	/*
	 * A signalled thread still counts as idle until it runs, so two jobs
	 * added at once may share one; each add past that makes another.
	 */
	if (pool->idle)
		pthread_cond_signal(&pool->work);
	if (pool->threads < pool->max &&
	    (!pool->idle || pool->queue[prio].head != job))
		pool_spawn(pool);
	pthread_mutex_unlock(&pool->lock);
}

unsigned int datafs_pool_ahead(const struct datafs_pool *pool)
{
	return pool_ahead_max(pool);
}

bool datafs_pool_idle(struct datafs_pool *pool)
{
	bool res;

	pthread_mutex_lock(&pool->lock);
	res = !pool->running[DATAFS_PRIO_WAITED] &&
	      !pool->running[DATAFS_PRIO_AHEAD] &&
	      !pool->queue[DATAFS_PRIO_WAITED].head &&
	      !pool->queue[DATAFS_PRIO_AHEAD].head;
	pthread_mutex_unlock(&pool->lock);
	return res;
}
