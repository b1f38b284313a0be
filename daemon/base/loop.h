/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: an io_uring that one thread runs. Callbacks run on that
 * thread and must not block for long. All calls are of that thread, but
 * datafs_loop_wake(), datafs_loop_post(), datafs_loop_add() and datafs_loop_push().
 */
#ifndef DATAFS_LOOP_H
#define DATAFS_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

struct datafs_loop;

enum datafs_event_kind {
	DATAFS_EV_READ, DATAFS_EV_POLL, DATAFS_EV_TIMER, DATAFS_EV_RECV,
	DATAFS_EV_SEND, DATAFS_EV_ACCEPT, DATAFS_EV_CONNECT
};

/*
 * Something waited for: one at a time, made again by its callback if it is
 * wanted again. The owner keeps it until it has fired or was cancelled.
 */
struct datafs_event {
	void (*fn)(struct datafs_event *ev, int res);	/* bytes, poll mask, or -errno */
	enum datafs_event_kind kind;
	int pending;
	int64_t ts[2];	/* of a timer: must live while it is pending */
};

/* -ENOSYS/-EPERM with a line in the log where there is no io_uring. */
int datafs_loop_new(struct datafs_loop **res);
void datafs_loop_free(struct datafs_loop *loop);

int datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     void *buf, size_t len);
/* Until @fd is readable. */
int datafs_loop_poll(struct datafs_loop *loop, struct datafs_event *ev, int fd);
int datafs_loop_timer(struct datafs_loop *loop, struct datafs_event *ev,
		      int64_t ms);
/*
 * Sockets, which must be blocking ones. What is pointed to must live while the
 * event is pending. Nothing of it raises SIGPIPE.
 */
int datafs_loop_recv(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     void *buf, size_t len);
/* As many bytes as the socket takes, maybe not all. */
int datafs_loop_send(struct datafs_loop *loop, struct datafs_event *ev, int fd,
		     const struct msghdr *msg);
/* The callback gets a descriptor, close-on-exec, or -errno. */
int datafs_loop_accept(struct datafs_loop *loop, struct datafs_event *ev,
		       int fd);
int datafs_loop_connect(struct datafs_loop *loop, struct datafs_event *ev,
			int fd, const struct sockaddr *addr, socklen_t len);
/*
 * Asks to end @ev and does not wait: its callback is called as ever, with
 * -ECANCELED if that came in time. Not for timers.
 */
void datafs_loop_abort(struct datafs_loop *loop, struct datafs_event *ev);
/*
 * Returns when nothing of @ev is under way any more; its callback is not
 * called. Those of other events are meanwhile, and may cancel, too: also @ev.
 * What a cancelled read had read already is lost: cancel only what nobody needs.
 */
void datafs_loop_cancel(struct datafs_loop *loop, struct datafs_event *ev);

/*
 * Something to be done on the loop's thread, by the owner of @task, who keeps it
 * until @fn is called or it is forgotten; it may be given again in @fn.
 */
struct datafs_task {
	void (*fn)(struct datafs_task *task);
	STAILQ_ENTRY(datafs_task) link;
};

/* After the callbacks that are due now, before the loop waits. */
void datafs_loop_defer(struct datafs_loop *loop, struct datafs_task *task);
/*
 * Any thread: soon, in the order of posting. What is posted after the loop's
 * last run is not run.
 */
void datafs_loop_post(struct datafs_loop *loop, struct datafs_task *task);
/*
 * The same, of which the loop is told by datafs_loop_push(), at the latest: who has many
 * tasks wakes it once. In one order with those that are posted.
 */
void datafs_loop_add(struct datafs_loop *loop, struct datafs_task *task);
void datafs_loop_push(struct datafs_loop *loop);
/* @task is not run, if it was deferred or posted. */
void datafs_loop_forget(struct datafs_loop *loop, struct datafs_task *task);

/* Until datafs_loop_stop(): 0; or what the ring or datafs_loop_fail() said. */
int datafs_loop_run(struct datafs_loop *loop);
void datafs_loop_stop(struct datafs_loop *loop);
/*
 * Stops it, with a line in the log: something without which it would run on and
 * do nothing could not be had. @what: of whom. @err: a negative errno; the first
 * one is told.
 */
void datafs_loop_fail(struct datafs_loop *loop, int err, const char *what);

/*
 * Runs it on a thread that others wait for. Where it cannot go on they would wait for
 * ever, also to close it: the process ends at once, with DATAFS_LOOP_EXIT, after a line
 * in the log, and whoever has started it may start another.
 */
#define DATAFS_LOOP_EXIT	4
void datafs_loop_serve(struct datafs_loop *loop);

/*
 * Any thread: @fn is called soon on the loop's thread, once for many wakes.
 * NULL: nothing is, from now on.
 */
void datafs_loop_wake(struct datafs_loop *loop);
void datafs_loop_on_wake(struct datafs_loop *loop, void (*fn)(void *arg),
			 void *arg);

#endif
