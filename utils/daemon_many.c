// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "daemon_many.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "daemon_client.h"

#define TICK_MS	250

/*
 * Whoever interrupts comes before or after a request or an answer, never into it: what
 * was asked for and answered is known then.
 */
static void hold_interrupts(sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, old);
}

static int ask(const struct datafs_many *m, const char *request)
{
	sigset_t old;
	int fd;

	hold_interrupts(&old);
	fd = datafs_daemon_send(m->instance, request, m->seconds);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return fd;
}

static int receive(const struct datafs_many *m, int fd, void *item)
{
	sigset_t old;
	int err;

	hold_interrupts(&old);
	err = datafs_daemon_receive(fd, m->line, item);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

/* Waits for answers, and takes those that are there. A signal ends the wait early. */
static void take_some(struct datafs_many *m)
{
	struct pollfd p[DATAFS_MANY];
	int i, n = m->n, err;
	void *item;

	for (i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = m->flying[i].fd, .events = POLLIN };
	if (poll(p, n, TICK_MS) <= 0) {
		if (m->tick)
			m->tick(m->arg);
		return;
	}
	/* From the last on: the last of those in flight takes the place of one that is done. */
	for (i = n - 1; i >= 0; i--) {
		if (!p[i].revents)
			continue;
		item = m->flying[i].item;
		m->flying[i] = m->flying[--m->n];
		err = receive(m, p[i].fd, item);
		m->done(m->arg, item, err);
	}
	if (m->tick)
		m->tick(m->arg);
}

void datafs_many_ask(struct datafs_many *m, const char *request, void *item)
{
	int fd;

	while (m->n == DATAFS_MANY)
		take_some(m);
	fd = ask(m, request);
	if (fd < 0) {
		m->done(m->arg, item, fd);
		return;
	}
	m->flying[m->n].fd = fd;
	m->flying[m->n++].item = item;
}

void datafs_many_wait(struct datafs_many *m)
{
	while (m->n)
		take_some(m);
}
