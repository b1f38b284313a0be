// SPDX-License-Identifier: Apache-2.0
/*
 * Clocks, what is due by them, and threads. All machines' clocks go at their own pace; which
 * one is read is that of the machine whose event this is. Of all threads one runs at a time.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim_lease_wrap.h"

#define PER_MILLE	1000

static struct sim *sim_now;		/* NULL: there is no run */
static struct lease_client *here;	/* NULL: the machine of sim_now->at */
static __thread struct lease_client *self;	/* in a user's thread */

void lease_time_begin(struct sim *s)
{
	sim_now = s;
	here = NULL;
}

void lease_time_end(void)
{
	sim_now = NULL;
}

struct sim *lease_sim(void)
{
	return sim_now;
}

struct lease_work *lease_work(void)
{
	return sim_now->work;
}

struct lease_client *lease_at(struct lease_client *c)
{
	struct lease_client *before = here;

	here = c;
	return before;
}

static int drift(void)
{
	return here ? here->drift : lease_machine(sim_now, sim_now->at)->drift;
}

int64_t __wrap_datafs_now(void)
{
	if (!sim_now)
		return __real_datafs_now();
	return (here ? here->offset : 0) +
	       (int64_t)sim_now->now * (PER_MILLE + drift()) * (DATAFS_MSEC / PER_MILLE);
}

uint64_t lease_when(uint64_t ms, int of_drift)
{
	uint64_t pace = (uint64_t)(PER_MILLE + of_drift);

	return (ms * PER_MILLE + pace - 1) / pace;
}

uint64_t lease_delay(uint64_t ms)
{
	return lease_when(ms, drift());
}

int __wrap_datafs_random(void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)sim_random(sim_now);
	return 0;
}

void lease_event(struct sim *s, uint64_t delay, enum lease_event kind, unsigned int member,
		 unsigned int client, uint64_t b, uint64_t d)
{
	sim_event(s, delay, (struct sim_event) {
		.kind = member ? SIM_AT_MEMBER : SIM_AT_CLIENT, .from = client, .to = member,
		.a = kind, .b = b, .c = s->members[member].life, .d = d,
	});
}

/* -------------------------------------------------- what others are to do */

int __wrap_uv_async_send(uv_async_t *h)
{
	struct datafs_server *s = (void *)((char *)h - offsetof(struct datafs_server, mail));

	lease_event(sim_now, sim_pick(sim_now, 3), LEASE_MAIL, (unsigned int)s->cfg.id, 0, 0, 0);
	return 0;
}

void __wrap_datafs_loop_post(struct datafs_loop *l, struct datafs_task *task)
{
	STAILQ_INSERT_TAIL(&l->tasks, task, link);
	lease_event(sim_now, sim_pick(sim_now, 2), LEASE_TASK, l->member, l->client, 0, 0);
}

/* Whatever else its thread does comes before. */
void __wrap_datafs_loop_defer(struct datafs_loop *l, struct datafs_task *task)
{
	__wrap_datafs_loop_post(l, task);
}

bool lease_task_run(struct datafs_loop *l)
{
	struct datafs_task *task = STAILQ_FIRST(&l->tasks);

	if (!task)
		return false;
	STAILQ_REMOVE_HEAD(&l->tasks, link);
	task->fn(task);
	return true;
}

void __wrap_datafs_loop_fail(struct datafs_loop *l, int err, const char *what)
{
	(void)l;
	(void)err;
	(void)what;
	sim_now->bad = "a loop has failed";
}

void __wrap_datafs_pool_add(struct datafs_pool *pool, struct datafs_job *job,
			    enum datafs_prio prio)
{
	struct lease_machine *m = lease_machine(sim_now, sim_now->at);
	struct lease_job *j = calloc(1, sizeof(*j));

	(void)pool;
	(void)prio;
	assert(j);
	j->job = job;
	STAILQ_INSERT_TAIL(&m->jobs, j, link);
	lease_event(sim_now, sim_pick(sim_now, 4) ? 0 : sim_pick(sim_now, 30), LEASE_JOB,
		    sim_now->at, 0, 0, 0);
}

/* -------------------------------------------------------------- deadlines */

void __wrap_datafs_deadline_clear(struct datafs_deadlines *ds, struct datafs_deadline *d)
{
	for (unsigned int i = 0; d->pos && i < LEASE_DEADLINES; i++)
		if (ds->set[i].d == d)
			ds->set[i].d = NULL;
	d->pos = 0;
}

int __wrap_datafs_deadline_set(struct datafs_deadlines *ds, struct datafs_deadline *d,
			       uint32_t ms)
{
	unsigned int i = 0;

	__wrap_datafs_deadline_clear(ds, d);
	while (i < LEASE_DEADLINES && ds->set[i].d)
		i++;
	assert(i < LEASE_DEADLINES);
	ds->set[i].d = d;
	ds->set[i].token = d->pos = ++ds->token;
	d->at = datafs_now() + ms * DATAFS_MSEC;
	lease_event(sim_now, lease_delay(ms), LEASE_DEADLINE, 0, ds->client, ds->token, 0);
	return 0;
}

/* Nothing, if it was cleared. */
void lease_deadline_due(struct lease_client *c, uint64_t token)
{
	struct datafs_deadlines *ds = &c->deadlines;

	for (unsigned int i = 0; i < LEASE_DEADLINES; i++) {
		struct datafs_deadline *d = ds->set[i].d;

		if (!d || ds->set[i].token != token)
			continue;
		ds->set[i].d = NULL;
		d->pos = 0;
		d->fn(d);
		return;
	}
}

/* ---------------------------------------------------------------- threads */

int __wrap_sem_post(sem_t *sem)
{
	if (sim_now && here)
		lease_event(sim_now, sim_pick(sim_now, 2), LEASE_WAKE, 0, here->nr, 0, 0);
	return __real_sem_post(sem);
}

int __wrap_sem_wait(sem_t *sem)
{
	if (!self)
		return __real_sem_wait(sem);
	while (sem_trywait(sem))
		lease_user_wait(self);
	return 0;
}

static void wait_for(sem_t *sem)
{
	while (__real_sem_wait(sem))
		assert(errno == EINTR);
}

static void *user_main(void *arg)
{
	self = arg;
	wait_for(&self->go);
	self->user(self);
	self->over = true;
	__real_sem_post(&self->back);
	return NULL;
}

void lease_user_start(struct lease_client *c, void *(*fn)(void *arg))
{
	int err;

	sem_init(&c->go, 0, 0);
	sem_init(&c->back, 0, 0);
	c->runs = true;
	c->user = fn;
	err = pthread_create(&c->thread, NULL, user_main, c);
	assert(!err);
	(void)err;
}

void lease_user_run(struct lease_client *c)
{
	struct lease_client *before;

	if (!c->runs || c->over)
		return;
	before = lease_at(c);
	__real_sem_post(&c->go);
	wait_for(&c->back);
	lease_at(before);
}

void lease_user_wait(struct lease_client *c)
{
	__real_sem_post(&c->back);
	wait_for(&c->go);
}

void lease_user_nap(struct lease_client *c, uint64_t ms)
{
	uint64_t until = sim_now->now + ms;

	lease_event(sim_now, ms, LEASE_WAKE, 0, c->nr, 0, 0);
	while (sim_now->now < until && !lease_work()->ends)
		lease_user_wait(c);
}

void lease_user_join(struct lease_client *c)
{
	pthread_join(c->thread, NULL);
	sem_destroy(&c->go);
	sem_destroy(&c->back);
	c->runs = false;
}
