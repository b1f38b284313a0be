// SPDX-License-Identifier: Apache-2.0
#include "deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/util.h"

struct datafs_deadlines {
	struct datafs_loop *loop;
	int fd;
	uint64_t fired;			/* where the timerfd is read to */
	struct datafs_event read;
	int64_t armed;			/* what the timerfd waits for; 0: nothing */
	struct datafs_deadline **heap;	/* from 1: the parent of i is i / 2 */
	size_t n, room;
};

static void put(struct datafs_deadlines *ds, size_t pos,
		struct datafs_deadline *d)
{
	ds->heap[pos] = d;
	d->pos = pos;
}

/* Places @d at @pos or above. */
static void up(struct datafs_deadlines *ds, size_t pos,
	       struct datafs_deadline *d)
{
	for (; pos > 1 && ds->heap[pos / 2]->at > d->at; pos /= 2)
		put(ds, pos, ds->heap[pos / 2]);
	put(ds, pos, d);
}

/* Places @d at @pos or below. */
static void down(struct datafs_deadlines *ds, size_t pos,
		 struct datafs_deadline *d)
{
	size_t kid;

	for (; (kid = 2 * pos) <= ds->n; pos = kid) {
		if (kid < ds->n && ds->heap[kid + 1]->at < ds->heap[kid]->at)
			kid++;
		if (ds->heap[kid]->at >= d->at)
			break;
		put(ds, pos, ds->heap[kid]);
	}
	put(ds, pos, d);
}

/*
 * The timer may fire for a deadline that is gone, but never late for one that
 * is not: so it is set only if the first one is sooner.
 */
static void arm(struct datafs_deadlines *ds)
{
	struct itimerspec its = { 0 };
	int64_t at;

	if (!ds->n)
		return;
	at = ds->heap[1]->at;
	if (ds->armed && ds->armed <= at)
		return;
	its.it_value.tv_sec = at / DATAFS_SEC;
	its.it_value.tv_nsec = at % DATAFS_SEC;
	if (timerfd_settime(ds->fd, TFD_TIMER_ABSTIME, &its, NULL))
		datafs_loop_fail(ds->loop, -errno, "deadlines");
	else
		ds->armed = at;
}

void datafs_deadline_clear(struct datafs_deadlines *ds,
			   struct datafs_deadline *d)
{
	size_t pos = d->pos;
	struct datafs_deadline *last;

	if (!pos)
		return;
	d->pos = 0;
	last = ds->heap[ds->n--];
	if (last == d)
		return;
	if (pos > 1 && ds->heap[pos / 2]->at > last->at)
		up(ds, pos, last);
	else
		down(ds, pos, last);
}

int datafs_deadline_set(struct datafs_deadlines *ds, struct datafs_deadline *d,
			uint32_t ms)
{
	datafs_deadline_clear(ds, d);
	if (ds->n + 1 >= ds->room) {
		size_t room = ds->room ? ds->room * 2 : 64;
		void *heap = realloc(ds->heap, room * sizeof(*ds->heap));

		if (!heap)
			return -ENOMEM;
		ds->heap = heap;
		ds->room = room;
	}
	d->at = datafs_now() + ms * DATAFS_MSEC;
	ds->n++;
	up(ds, ds->n, d);
	arm(ds);
	return 0;
}

static void fired(struct datafs_event *ev, int res)
{
	struct datafs_deadlines *ds = (void *)((char *)ev -
				offsetof(struct datafs_deadlines, read));
	int64_t now = datafs_now();
	int err = res == -EAGAIN || res == -EINTR ? 0 : DATAFS_MIN(res, 0);

	ds->armed = 0;
	if (!err)
		err = datafs_loop_read(ds->loop, &ds->read, ds->fd, &ds->fired, 8);
	if (err) {
		datafs_loop_fail(ds->loop, err, "deadlines");
		return;
	}
	/* Those that are set meanwhile are later than @now. */
	while (ds->n && ds->heap[1]->at <= now) {
		struct datafs_deadline *d = ds->heap[1];

		datafs_deadline_clear(ds, d);
		d->fn(d);
	}
	arm(ds);
}

int datafs_deadlines_new(struct datafs_loop *loop, struct datafs_deadlines **res)
{
	struct datafs_deadlines *ds = calloc(1, sizeof(*ds));
	int err;

	if (!ds)
		return -ENOMEM;
	ds->loop = loop;
	ds->read.fn = fired;
	ds->fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
	err = ds->fd < 0 ? -errno :
	      datafs_loop_read(loop, &ds->read, ds->fd, &ds->fired, 8);
	if (err) {
		if (ds->fd >= 0)
			close(ds->fd);
		free(ds);
		return err;
	}
	*res = ds;
	return 0;
}

void datafs_deadlines_free(struct datafs_deadlines *ds)
{
	if (!ds)
		return;
	ds->n = 0;
	datafs_loop_cancel(ds->loop, &ds->read);
	close(ds->fd);
	free(ds->heap);
	free(ds);
}
