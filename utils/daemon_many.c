// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "daemon_many.h"

#include <errno.h>
#include <poll.h>

#include "daemon_client.h"

#define TICK_MS	250

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
		err = datafs_daemon_receive(p[i].fd, m->line, item);
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
	fd = datafs_daemon_send(m->instance, request, m->seconds);
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
