/* SPDX-License-Identifier: Apache-2.0 */
/* A question to the daemon of an instance, on /run/datafs/NAME.sock. */
#ifndef DATAFS_DAEMON_CLIENT_H
#define DATAFS_DAEMON_CLIENT_H

#include <sys/types.h>

/* Called for each "KEY VALUE" line of the answer. */
typedef void (*datafs_daemon_line_fn)(void *arg, const char *key,
				      const char *value);

#define DATAFS_DAEMON_ASK_S	5	/* for what it answers from memory */

/*
 * datafs_daemon_ask - send @request ("stats", "status", ...) and read the answer
 * @seconds:	for how long it may say nothing; 0: as long as it likes
 *
 * 0, or a negative errno: -ENOENT and -ECONNREFUSED mean that no daemon of
 * that name runs; -ETIMEDOUT that it said nothing.
 */
int datafs_daemon_ask(const char *instance, const char *request, int seconds,
		      datafs_daemon_line_fn fn, void *arg);

/*
 * The two halves of datafs_daemon_ask(). A descriptor that can be read when the answer is
 * there, or a negative errno; and what comes of that descriptor, which it closes.
 */
int datafs_daemon_send(const char *instance, const char *request, int seconds);
int datafs_daemon_receive(int fd, datafs_daemon_line_fn fn, void *arg);

/*
 * The process that answers there, as the caller's PID namespace numbers it, or a
 * negative errno, as above; -ESRCH: that namespace does not see it.
 */
pid_t datafs_daemon_pid(const char *instance);

#endif
