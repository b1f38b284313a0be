/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: an io_uring that one thread runs. Callbacks run on that
 * thread and must not block for long. All calls are of that thread, but
 * datafs_loop_wake().
 */
#ifndef DATAFS_LOOP_H
#define DATAFS_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct datafs_loop;

enum datafs_event_kind { DATAFS_EV_READ, DATAFS_EV_POLL, DATAFS_EV_TIMER };

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
 * Returns when nothing of @ev is under way any more; its callback is not
 * called. What a cancelled read had read already is lost: cancel only what
 * nobody needs.
 */
void datafs_loop_cancel(struct datafs_loop *loop, struct datafs_event *ev);

/* Until datafs_loop_stop(). 0, or what the ring said. */
int datafs_loop_run(struct datafs_loop *loop);
void datafs_loop_stop(struct datafs_loop *loop);

/*
 * Any thread: @fn is called soon on the loop's thread, once for many wakes.
 * NULL: nothing is, from now on.
 */
void datafs_loop_wake(struct datafs_loop *loop);
void datafs_loop_on_wake(struct datafs_loop *loop, void (*fn)(void *arg),
			 void *arg);

#endif
