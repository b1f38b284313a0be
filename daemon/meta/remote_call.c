// SPDX-License-Identifier: Apache-2.0
/*
 * A call's life, on the network thread:
 *
 *	idle	nobody is up		-> asked, when somebody is
 *	asked	a call is under way	-> done; or waits, or asked anew
 *	waits	a moment		-> asked
 */
#include "meta/remote_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/*
 * Who is asked is waited for while something is heard of it: a change may wait for the lease
 * of somebody else. The time without a sign is doubled after each.
 */
#define SIGN_MS		1000
#define ANSWER_MAX_MS	8000	/* with signs, too: it may hang, while others elect another */
#define AGAIN_MS	20	/* as long as an election may take a part of */
#define SILENT_MS	1000	/* about as long as others take to elect another */
#define ROOM_MS		500	/* for a disk that is full */
#define HOPS		3	/* from one to the next without a pause */

static void request_try(struct remote_request *q);

static void request_hang_up(struct remote_request *q)
{
	datafs_call_cancel(&q->call);
	datafs_deadline_clear(q->r->deadlines, &q->patience);
}

static void request_end(struct remote_request *q, int err)
{
	request_hang_up(q);
	datafs_deadline_clear(q->r->deadlines, &q->again);
	datafs_deadline_clear(q->r->deadlines, &q->end);
	TAILQ_REMOVE(&q->r->requests, q, link);
	q->err = err;
	/* the caller's memory, from here on */
	sem_post(&q->done);
}

static void request_later(struct remote_request *q, uint32_t ms)
{
	q->hops = 0;
	if (datafs_deadline_set(q->r->deadlines, &q->again, ms))
		request_end(q, -ENOMEM);
}

static void on_again(struct datafs_deadline *d)
{
	request_try((void *)((char *)d - offsetof(struct remote_request, again)));
}

static void on_end(struct datafs_deadline *d)
{
	struct remote_request *q = (void *)((char *)d - offsetof(struct remote_request, end));

	request_end(q, q->idle && !q->unsure ? -EHOSTUNREACH : -ETIMEDOUT);
}

static bool is_silent(const struct remote_target *t)
{
	return t->silent && datafs_now() < t->silent;
}

void remote_silent(struct remote_target *t)
{
	t->silent = datafs_now() + SILENT_MS * DATAFS_MSEC;
}

struct remote_target *remote_choose(struct datafs_remote *r, unsigned int *next)
{
	struct remote_target *silent = NULL;

	if (r->leader && r->leader->conn)
		return r->leader;
	for (unsigned int i = 0; i < r->n; i++) {
		struct remote_target *t = &r->targets[(*next)++ % r->n];

		if (t->conn && !is_silent(t))
			return t;
		if (t->conn)
			silent = t;
	}
	return silent;
}

static struct remote_target *choose(struct remote_request *q)
{
	struct datafs_remote *r = q->r;

	if (q->member >= 0)
		return r->targets[q->member].conn ? &r->targets[q->member] : NULL;
	return remote_choose(r, &q->next);
}

static void not_leading(struct remote_request *q)
{
	if (q->r->leader == q->asked)
		q->r->leader = NULL;
}

/* Whether it was done is not known. */
static void lost(struct remote_request *q, int err)
{
	q->unsure = true;
	not_leading(q);
	/* who is heard of may still lead: others say so, if it does */
	if (err == -ETIMEDOUT && !(q->asked->conn &&
				   datafs_conn_heard(q->asked->conn) > q->listens)) {
		remote_silent(q->asked);
		q->wait = DATAFS_MIN(2 * q->wait, ANSWER_MAX_MS);
	}
	request_later(q, err == -ETIMEDOUT ? 0 : AGAIN_MS);
}

static void request_listen(struct remote_request *q, uint32_t ms)
{
	q->listens = datafs_now();
	if (datafs_deadline_set(q->r->deadlines, &q->patience, ms))
		request_end(q, -ENOMEM);
}

static void on_patience(struct datafs_deadline *d)
{
	struct remote_request *q =
		(void *)((char *)d - offsetof(struct remote_request, patience));

	if (datafs_conn_heard(q->call.conn) > q->listens) {
		request_listen(q, SIGN_MS);
		return;
	}
	request_hang_up(q);
	lost(q, -ETIMEDOUT);
}

struct remote_target *remote_hint(struct datafs_remote *r, const struct remote_target *asked,
				  const Metad__Reply *reply)
{
	struct remote_target *t = NULL;

	if (r->leader == asked)
		r->leader = NULL;
	if (reply->has_leader)
		t = remote_target_of(r, reply->leader, reply->leader_address);
	/* who says so may not have noticed yet that it is gone */
	if (!t || t == asked || is_silent(t))
		return NULL;
	r->leader = t;
	return t;
}

static void sent_on(struct remote_request *q, const Metad__Reply *reply)
{
	const struct remote_target *t = remote_hint(q->r, q->asked, reply);

	if (t && t->conn && q->hops++ < HOPS)
		request_try(q);
	else
		request_later(q, AGAIN_MS);
}

/* One that waits for somebody who does not lead to answer. */
static struct remote_request *astray(struct datafs_remote *r)
{
	struct remote_request *q;

	TAILQ_FOREACH(q, &r->requests, link)
		if (r->leader && q->member < 0 && q->call.conn && q->asked != r->leader)
			return q;
	return NULL;
}

/*
 * It answers. Who has fallen silent may not answer for seconds: meanwhile others
 * would have thousands of changes done, and no more answers be remembered.
 */
void remote_leads(struct datafs_remote *r, struct remote_target *t)
{
	struct remote_request *q;

	remote_leases_moved(r, t);
	if (r->leader == t)
		return;
	r->leader = t;
	while ((q = astray(r))) {
		request_hang_up(q);
		q->unsure = true;
		request_later(q, 0);
	}
}

static void settle(struct remote_request *q, Metad__Reply *reply)
{
	switch (reply->error) {
	case EREMOTE:
		if (q->member >= 0)
			break;
		sent_on(q, reply);
		metad__reply__free_unpacked(reply, NULL);
		return;
	case EIO:
		not_leading(q);
		q->unsure = true;
		request_later(q, AGAIN_MS);
		metad__reply__free_unpacked(reply, NULL);
		return;
	case EAGAIN:
		q->unsure = true;
		request_later(q, AGAIN_MS);
		metad__reply__free_unpacked(reply, NULL);
		return;
	case ENOSPC:
		if (!q->unsure)
			break;
		request_later(q, ROOM_MS);
		metad__reply__free_unpacked(reply, NULL);
		return;
	}
	if (!reply->error && q->member < 0)
		remote_leads(q->r, q->asked);
	q->reply = reply;
	request_end(q, 0);
}

static void on_reply(struct datafs_call *call, int err, const void *body, uint32_t len)
{
	struct remote_request *q = (void *)((char *)call - offsetof(struct remote_request, call));
	Metad__Reply *reply;

	request_hang_up(q);
	if (err) {
		lost(q, err);
		return;
	}
	q->asked->silent = 0;
	reply = metad__reply__unpack(NULL, len, body);
	if (reply) {
		settle(q, reply);
		return;
	}
	datafs_log(LOG_ERR, "member %llu of the quorum: what it answers is no answer; it may be of another version",
		   (unsigned long long)q->asked->node);
	request_end(q, -EIO);
}

static void request_try(struct remote_request *q)
{
	struct remote_target *t = choose(q);
	int err;

	q->idle = !t;
	if (!t)
		return;
	q->asked = t;
	q->call.fn = on_reply;
	if (q->lease)
		q->told = remote_told_now(&q->lease->told, t == q->lease->target);
	err = datafs_conn_call(t->conn, &q->call, q->ask, q->len,
			       q->member < 0 ? ANSWER_MAX_MS : q->wait);
	if (err == -EMSGSIZE)
		request_end(q, -EIO);
	else if (err)
		request_later(q, AGAIN_MS);
	else if (q->member < 0)
		request_listen(q, q->wait);
}

void remote_up(struct datafs_remote *r)
{
	struct remote_request *q, *next;

	for (q = TAILQ_FIRST(&r->requests); q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->idle)
			request_try(q);
	}
}

void remote_fail_all(struct datafs_remote *r, int err)
{
	struct remote_request *q;

	while ((q = TAILQ_FIRST(&r->requests)))
		request_end(q, err);
}

void remote_fail_over(struct datafs_remote *r)
{
	struct remote_request *q, *next;

	for (q = TAILQ_FIRST(&r->requests); q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->over && atomic_load(q->over))
			request_end(q, -ESHUTDOWN);
	}
}

static void begin(struct datafs_task *task)
{
	struct remote_request *q = (struct remote_request *)task;
	struct datafs_remote *r = q->r;

	TAILQ_INSERT_TAIL(&r->requests, q, link);
	if (r->stopped || (q->over && atomic_load(q->over)))
		request_end(q, -ESHUTDOWN);
	else if (q->ms && datafs_deadline_set(r->deadlines, &q->end, q->ms))
		request_end(q, -ENOMEM);
	else
		request_try(q);
}

/* Of one that is idle. Blocks. */
static int call(struct remote_request *q, Metad__Reply **res)
{
	q->task.fn = begin;
	q->again.fn = on_again;
	q->end.fn = on_end;
	q->patience.fn = on_patience;
	sem_init(&q->done, 0, 0);
	datafs_loop_post(q->r->loop, &q->task);
	while (sem_wait(&q->done))
		;
	sem_destroy(&q->done);
	if (!q->err)
		*res = q->reply;
	return q->err;
}

int datafs_remote_call(struct datafs_remote *r, const void *ask, size_t len, int member,
		       uint32_t ms, Metad__Reply **res)
{
	struct remote_request q = {
		.r = r, .ask = ask, .len = (uint32_t)len, .ms = ms, .member = member,
		.wait = ms && member >= 0 ? ms : SIGN_MS,
	};

	return call(&q, res);
}

int datafs_remote_call_until(struct datafs_remote *r, const void *ask, size_t len, uint32_t ms,
			     const atomic_bool *over, Metad__Reply **res,
			     struct datafs_lease *lease, struct datafs_told *told)
{
	struct remote_request q = {
		.r = r, .ask = ask, .len = (uint32_t)len, .ms = ms, .over = over,
		.member = DATAFS_REMOTE_LEADER, .wait = SIGN_MS, .lease = lease,
	};
	int err = call(&q, res);

	*told = q.told;
	return err;
}
