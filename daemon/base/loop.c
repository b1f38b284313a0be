// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define LOOP_ENTRIES	64

STAILQ_HEAD(tasks, datafs_task);

/*
 * A datafs_loop_cancel() that waits. It looks here for the end, not at the
 * event: that may be gone when another one, further in, has waited for it too.
 */
struct waiter {
	struct datafs_event *ev;	/* NULL: it is over */
	struct waiter *outer;
};

struct datafs_loop {
	struct io_uring ring;
	bool stop;
	int err;			/* why it was stopped; 0: as it should be */
	struct waiter *waiters;		/* the innermost first */
	struct tasks deferred;
	pthread_mutex_t lock;		/* protects posted, woken */
	struct tasks posted;
	bool woken;			/* for them: they are being run, or soon */
	int wake_fd;
	uint64_t wake_count;		/* where the eventfd is read to */
	struct datafs_event wake;
	void (*on_wake)(void *arg);
	void *on_wake_arg;
};

static struct io_uring_sqe *loop_sqe(struct datafs_loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (!sqe) {
		io_uring_submit(&loop->ring);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	return sqe;
}

static int loop_start(struct datafs_event *ev, struct io_uring_sqe *sqe,
		      enum datafs_event_kind kind)
{
	io_uring_sqe_set_data(sqe, ev);
	ev->kind = kind;
	ev->pending = 1;
	return 0;
}

int datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     void *buf, size_t len)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_read(sqe, fd, buf, len, -1);
	return loop_start(ev, sqe, DATAFS_EV_READ);
}

int datafs_loop_poll(struct datafs_loop *loop, struct datafs_event *ev, int fd)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	return loop_start(ev, sqe, DATAFS_EV_POLL);
}

int datafs_loop_recv(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     void *buf, size_t len)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_recv(sqe, fd, buf, len, 0);
	return loop_start(ev, sqe, DATAFS_EV_RECV);
}

int datafs_loop_send(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     const struct msghdr *msg)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL);
	return loop_start(ev, sqe, DATAFS_EV_SEND);
}

int datafs_loop_accept(struct datafs_loop *loop, struct datafs_event *ev,
		       int fd)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	return loop_start(ev, sqe, DATAFS_EV_ACCEPT);
}

int datafs_loop_connect(struct datafs_loop *loop, struct datafs_event *ev,
			int fd, const struct sockaddr *addr, socklen_t len)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_connect(sqe, fd, addr, len);
	return loop_start(ev, sqe, DATAFS_EV_CONNECT);
}

void datafs_loop_abort(struct datafs_loop *loop, struct datafs_event *ev)
{
	struct io_uring_sqe *sqe = ev->pending ? loop_sqe(loop) : NULL;

	if (!sqe)
		return;
	io_uring_prep_cancel(sqe, ev, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

void datafs_loop_defer(struct datafs_loop *loop, struct datafs_task *task)
{
	STAILQ_INSERT_TAIL(&loop->deferred, task, link);
}

void datafs_loop_add(struct datafs_loop *loop, struct datafs_task *task)
{
	pthread_mutex_lock(&loop->lock);
	STAILQ_INSERT_TAIL(&loop->posted, task, link);
	pthread_mutex_unlock(&loop->lock);
}

void datafs_loop_push(struct datafs_loop *loop)
{
	bool wake;

	pthread_mutex_lock(&loop->lock);
	wake = !loop->woken && !STAILQ_EMPTY(&loop->posted);
	loop->woken |= wake;
	pthread_mutex_unlock(&loop->lock);
	if (wake)
		datafs_loop_wake(loop);
}

void datafs_loop_post(struct datafs_loop *loop, struct datafs_task *task)
{
	bool wake;

	pthread_mutex_lock(&loop->lock);
	STAILQ_INSERT_TAIL(&loop->posted, task, link);
	/* who has woken the loop has it take them until there is none */
	wake = !loop->woken;
	loop->woken = true;
	pthread_mutex_unlock(&loop->lock);
	if (wake)
		datafs_loop_wake(loop);
}

static void tasks_forget(struct tasks *tasks, struct datafs_task *task)
{
	struct datafs_task *t;

	STAILQ_FOREACH(t, tasks, link) {
		if (t != task)
			continue;
		STAILQ_REMOVE(tasks, task, datafs_task, link);
		return;
	}
}

void datafs_loop_forget(struct datafs_loop *loop, struct datafs_task *task)
{
	tasks_forget(&loop->deferred, task);
	pthread_mutex_lock(&loop->lock);
	tasks_forget(&loop->posted, task);
	pthread_mutex_unlock(&loop->lock);
}

static void loop_run_deferred(struct datafs_loop *loop)
{
	struct datafs_task *t;

	while ((t = STAILQ_FIRST(&loop->deferred))) {
		STAILQ_REMOVE_HEAD(&loop->deferred, link);
		t->fn(t);
	}
}

/* One at a time: each may make the loop forget the next one. */
static void loop_run_posted(struct datafs_loop *loop)
{
	struct datafs_task *t;

	for (;;) {
		pthread_mutex_lock(&loop->lock);
		t = STAILQ_FIRST(&loop->posted);
		if (t)
			STAILQ_REMOVE_HEAD(&loop->posted, link);
		else
			loop->woken = false;
		pthread_mutex_unlock(&loop->lock);
		if (!t)
			return;
		t->fn(t);
	}
}

_Static_assert(sizeof(struct __kernel_timespec) ==
	       sizeof(((struct datafs_event *)0)->ts), "kept in the event");

int datafs_loop_timer(struct datafs_loop *loop, struct datafs_event *ev,
		      int64_t ms)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);
	struct __kernel_timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};

	if (!sqe)
		return -EBUSY;
	memcpy(ev->ts, &ts, sizeof(ts));
	io_uring_prep_timeout(sqe, (void *)ev->ts, 0, 0);
	return loop_start(ev, sqe, DATAFS_EV_TIMER);
}

static void loop_woken(struct datafs_event *ev, int res)
{
	struct datafs_loop *loop = (void *)((char *)ev -
					    offsetof(struct datafs_loop, wake));

	int err = res == -EAGAIN || res == -EINTR ? 0 : DATAFS_MIN(res, 0);

	if (!err)
		err = datafs_loop_read(loop, ev, loop->wake_fd,
				       &loop->wake_count, 8);
	if (err) {
		datafs_loop_fail(loop, err, "to be woken by other threads");
		return;
	}
	loop_run_posted(loop);
	if (loop->on_wake)
		loop->on_wake(loop->on_wake_arg);
}

int datafs_loop_new(struct datafs_loop **res)
{
	struct datafs_loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->wake_fd < 0) {
		err = -errno;
		free(loop);
		return err;
	}
	err = io_uring_queue_init(LOOP_ENTRIES, &loop->ring, 0);
	if (err) {
		datafs_log(LOG_ERR, "io_uring: %s; it must not be disabled (sysctl kernel.io_uring_disabled, RLIMIT_MEMLOCK)",
			   strerror(-err));
		close(loop->wake_fd);
		free(loop);
		return err;
	}
	STAILQ_INIT(&loop->deferred);
	STAILQ_INIT(&loop->posted);
	pthread_mutex_init(&loop->lock, NULL);
	loop->wake.fn = loop_woken;
	/* There is room in a new ring. */
	datafs_loop_read(loop, &loop->wake, loop->wake_fd, &loop->wake_count, 8);
	*res = loop;
	return 0;
}

void datafs_loop_free(struct datafs_loop *loop)
{
	if (!loop)
		return;
	datafs_loop_cancel(loop, &loop->wake);
	io_uring_queue_exit(&loop->ring);
	close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

/* Does somebody wait for the end of @ev? That is told here. */
static bool loop_awaited(struct datafs_loop *loop, const struct datafs_event *ev)
{
	bool found = false;

	for (struct waiter *w = loop->waiters; w; w = w->outer)
		if (w->ev == ev) {
			w->ev = NULL;
			found = true;
		}
	return found;
}

/* Waits for completions and takes those that are there. */
static int loop_step(struct datafs_loop *loop)
{
	struct io_uring_cqe *cqe;
	struct datafs_event *ev;
	int err, res;

	loop_run_deferred(loop);
	err = io_uring_submit_and_wait(&loop->ring, 1);
	if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
		return err;
	while (!io_uring_peek_cqe(&loop->ring, &cqe)) {
		ev = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&loop->ring, cqe);
		if (!ev)	/* a cancellation's own completion */
			continue;
		ev->pending = 0;
		if (!loop_awaited(loop, ev))
			ev->fn(ev, res);
		else if (ev->kind == DATAFS_EV_ACCEPT && res >= 0)
			/* Who came in the last moment is not let in. */
			close(res);
		if (loop->waiters ? !loop->waiters->ev : loop->stop)
			return 0;
	}
	return 0;
}

static bool loop_ask_cancel(struct datafs_loop *loop, struct datafs_event *ev)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return false;
	if (ev->kind == DATAFS_EV_TIMER)
		io_uring_prep_timeout_remove(sqe, (uintptr_t)ev, 0);
	else
		io_uring_prep_cancel(sqe, ev, 0);
	io_uring_sqe_set_data(sqe, NULL);
	return true;
}

void datafs_loop_cancel(struct datafs_loop *loop, struct datafs_event *ev)
{
	struct waiter w = { .ev = ev, .outer = loop->waiters };
	bool asked = false;
	int err = 0;

	if (!ev->pending)
		return;
	loop->waiters = &w;
	while (w.ev && !err) {
		asked = asked || loop_ask_cancel(loop, ev);
		err = loop_step(loop);
	}
	loop->waiters = w.outer;
	if (err)
		datafs_loop_fail(loop, err, "to cancel");
}

int datafs_loop_run(struct datafs_loop *loop)
{
	int err = 0;

	while (!loop->stop && !err)
		err = loop_step(loop);
	return err ? err : loop->err;
}

void datafs_loop_serve(struct datafs_loop *loop)
{
	int err = datafs_loop_run(loop);

	if (!err)
		return;
	datafs_log(LOG_ERR, "event loop: %s; ending, to be started again",
		   strerror(-err));
	/* Nothing at exit: other threads go on with what it would free. */
	_exit(DATAFS_LOOP_EXIT);
}

void datafs_loop_fail(struct datafs_loop *loop, int err, const char *what)
{
	datafs_log(LOG_ERR, "event loop: cannot go on (%s): %s", what,
		   strerror(-err));
	if (!loop->err)
		loop->err = err;
	loop->stop = true;
}

void datafs_loop_stop(struct datafs_loop *loop)
{
	loop->stop = true;
}

void datafs_loop_wake(struct datafs_loop *loop)
{
	uint64_t one = 1;

	/* Fails only when it is full, and then a wake is under way already. */
	if (write(loop->wake_fd, &one, 8) != 8)
		return;
}

void datafs_loop_on_wake(struct datafs_loop *loop, void (*fn)(void *arg),
			 void *arg)
{
	loop->on_wake = fn;
	loop->on_wake_arg = arg;
}
