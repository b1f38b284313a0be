// SPDX-License-Identifier: Apache-2.0
/*
 * What a session is to forget, from the leader's call till its reply: its user says that it
 * has with a ticket, from any thread. Also that it has forgotten all, when a lease is lost.
 */
#include "meta/remote_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/recall.h"

#define NAP_MS	20

/* False: there is no room. The reply may end the connection, and all recalls of it. */
static bool recall_answer(struct datafs_lease *l, struct remote_recall *c)
{
	TAILQ_REMOVE(&l->recalls, c, link);
	if (datafs_conn_reply(c->conn, c->call, NULL, 0) != -EAGAIN) {
		free(c);
		return true;
	}
	c->done = true;
	TAILQ_INSERT_HEAD(&l->recalls, c, link);
	return false;
}

static bool answer_one(struct datafs_lease *l, const struct datafs_conn *conn)
{
	struct remote_recall *c;

	TAILQ_FOREACH(c, &l->recalls, link)
		if (c->conn == conn && c->done)
			break;
	return c && recall_answer(l, c);
}

void remote_recalls_ready(struct datafs_remote *r, struct datafs_conn *conn)
{
	struct datafs_lease *l;

	TAILQ_FOREACH(l, &r->leases, link)
		while (answer_one(l, conn))
			;
}

void remote_recalls_down(struct datafs_lease *l, const struct datafs_conn *conn)
{
	struct remote_recall *c, *next;

	for (c = TAILQ_FIRST(&l->recalls); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (conn && c->conn != conn)
			continue;
		TAILQ_REMOVE(&l->recalls, c, link);
		free(c);
	}
}

/* What is noted is not kept any more; only then its user hears of it. */
static int recall_take(struct datafs_lease *l, struct datafs_conn *conn, uint64_t call,
		       const struct datafs_recall *recall)
{
	struct remote_recall *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->conn = conn;
	c->call = call;
	c->ticket = ++l->tickets;
	remote_told_take(&l->told, recall->objects, recall->n);
	TAILQ_INSERT_TAIL(&l->recalls, c, link);
	l->watch.recalled(l->watch.arg, c->ticket, recall->objects, recall->n);
	return 0;
}

static struct datafs_lease *lease_of(struct datafs_remote *r, uint64_t session)
{
	struct datafs_lease *l;

	TAILQ_FOREACH(l, &r->leases, link)
		if (l->session == session && l->state != LEASE_NONE)
			break;
	return l;
}

/*
 * One that is not understood ends the connection, and with it the leases. One of a lease
 * that was stopped is not answered: nobody can be told any more, and it runs out.
 */
void remote_recall(struct datafs_remote *r, struct datafs_conn *conn, uint64_t call,
		   const void *body, uint32_t len)
{
	struct datafs_recall recall;
	struct datafs_lease *l;
	int err;

	err = datafs_recall_decode(body, len, &recall);
	if (!err) {
		l = lease_of(r, recall.m->session);
		err = l ? recall_take(l, conn, call, &recall) : 0;
		datafs_recall_free(&recall);
	}
	if (!err)
		return;
	datafs_log(LOG_WARNING, "member %llu of the quorum: a recall is refused: %s",
		   (unsigned long long)datafs_conn_who(conn)->node, strerror(-err));
	datafs_conn_end(conn, err);
}

/* ------------------------------------------------------------------ tickets */

/* One that was given back. */
struct remote_forgotten {
	STAILQ_ENTRY(remote_forgotten) next;
	uint64_t ticket;
};

static struct remote_forgotten *take_forgotten(struct datafs_lease *l)
{
	struct remote_forgotten *f;

	pthread_mutex_lock(&l->r->lock);
	f = STAILQ_FIRST(&l->forgotten);
	if (f)
		STAILQ_REMOVE_HEAD(&l->forgotten, next);
	else
		l->forgets_posted = false;
	pthread_mutex_unlock(&l->r->lock);
	return f;
}

static void forgotten(struct datafs_lease *l, uint64_t ticket)
{
	struct remote_recall *c;

	TAILQ_FOREACH(c, &l->recalls, link)
		if (c->ticket == ticket)
			break;
	if (c)
		recall_answer(l, c);
	if (l->state == LEASE_FORGETS && l->ticket == ticket)
		remote_lease_forgotten(l);
}

static void do_forgotten(struct datafs_task *task)
{
	struct datafs_lease *l = (void *)((char *)task - offsetof(struct datafs_lease, forgets));
	struct remote_forgotten *f;

	while ((f = take_forgotten(l))) {
		forgotten(l, f->ticket);
		free(f);
	}
}

void datafs_lease_forgotten(struct datafs_lease *l, uint64_t ticket)
{
	static const struct timespec nap = { .tv_nsec = NAP_MS * DATAFS_MSEC };
	struct remote_forgotten *f;

	/* who waits for it waits for memory */
	while (!(f = malloc(sizeof(*f))))
		nanosleep(&nap, NULL);
	f->ticket = ticket;
	pthread_mutex_lock(&l->r->lock);
	STAILQ_INSERT_TAIL(&l->forgotten, f, next);
	l->forgets.fn = do_forgotten;
	if (!l->forgets_posted)
		datafs_loop_post(l->r->loop, &l->forgets);
	l->forgets_posted = true;
	pthread_mutex_unlock(&l->r->lock);
}

void remote_recalls_free(struct datafs_lease *l)
{
	struct remote_forgotten *f;

	while ((f = take_forgotten(l)))
		free(f);
	remote_recalls_down(l, NULL);
}
