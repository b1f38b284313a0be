// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

/* A holder that has not answered for so long is taken for lost. */
#define TICKET_SECONDS	60

static void ticket_put(struct datafs_meta *m, struct ticket *t)
{
	struct ticket **p;

	if (--t->refs)
		return;
	for (p = &m->tickets; *p != t; p = &(*p)->next)
		;
	*p = t->next;
	free(t);
}

/* Its import, if it still comes, finds nothing. */
void ticket_end(struct datafs_meta *m, struct ticket *t, int error)
{
	t->held = false;
	t->error = error;
	pthread_cond_broadcast(&m->ticket_ended);
	ticket_put(m, t);
}

struct ticket *ticket_find(struct datafs_meta *m, uint64_t serial)
{
	struct ticket *t;

	for (t = m->tickets; t; t = t->next)
		if (t->held && t->t.serial == serial)
			return t;
	return NULL;
}

int ticket_wait(struct datafs_meta *m, struct ticket *t)
{
	uint32_t pages = t->pages;
	struct timespec until;
	int err;

	t->refs++;
	while (t->held && t->pages == pages && datafs_now() < t->expires) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&m->ticket_ended, &m->lock, &until);
	}
	if (t->held && t->pages == pages) {	/* lost: its reference goes too */
		t->held = false;
		t->refs--;
		pthread_cond_broadcast(&m->ticket_ended);
	}
	err = t->error;
	ticket_put(m, t);
	return err ? err : 1;
}

int ticket_take(struct datafs_meta *m, uint64_t dir, const char *name,
		bool list, struct datafs_meta_ticket *res)
{
	struct ticket *t;

	for (t = m->tickets; t; t = t->next)
		if (t->held && t->t.dir == dir && t->t.list == list &&
		    !strcmp(t->t.name, name))
			return ticket_wait(m, t);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->t.serial = ++m->serial;
	t->t.dir = dir;
	t->t.list = list;
	strcpy(t->t.name, name);
	t->start = m->next;
	t->expires = datafs_now() + TICKET_SECONDS * DATAFS_SEC;
	t->held = true;
	t->refs = 1;
	t->next = m->tickets;
	m->tickets = t;
	*res = t->t;
	return 0;
}
