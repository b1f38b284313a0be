// SPDX-License-Identifier: Apache-2.0
/*
 * Questions. When the member has said that it may be answered, and what was asked of is
 * granted, a worker looks at the state. What a session may believe of inodes that were
 * found there is granted by the raft thread next. If nothing was applied since, that is
 * the answer; else a worker looks again, and what it finds anew is not believed.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "metad/answer.h"

#define READS_EACH	4u	/* questions of a job, at the most */

/* What is asked of. False: nothing that can be believed. */
static bool asked_object(const Metad__Query *q, struct datafs_grant_object *o)
{
	*o = (struct datafs_grant_object) { .kind = DATAFS_GRANT_ATTR };
	switch (q->of_case) {
	case METAD__QUERY__OF_LOOKUP:
		o->kind = DATAFS_GRANT_NAME;
		o->ino = q->lookup->parent;
		o->name = (const char *)q->lookup->name.data;
		o->len = (uint8_t)q->lookup->name.len;
		return o->len && q->lookup->name.len <= DATAFS_NAME_MAX;
	case METAD__QUERY__OF_READDIR:
		o->kind = DATAFS_GRANT_NAMES;
		o->ino = q->readdir->ino;
		return true;
	case METAD__QUERY__OF_GETXATTR:
		o->ino = q->getxattr->parent;
		return true;
	case METAD__QUERY__OF_MOUNTS:
		o->kind = DATAFS_GRANT_MOUNTS;
		o->ino = DATAFS_METAD_ROOT;
		return true;
	case METAD__QUERY__OF_COUNTS:
	case METAD__QUERY__OF_QUOTAS:
	case METAD__QUERY__OF_NODES:
	case METAD__QUERY__OF_JOBS:
	case METAD__QUERY__OF_POLICIES:
	case METAD__QUERY__OF_LISTING_PAGE:
		return false;
	default:
		o->ino = q->getattr->ino;
		return true;
	}
}

/* Is it an answer of what was asked of, be it that something is not there? */
static bool says_something(const Metad__Query *q, const Metad__Answer *a)
{
	return !a->error ||
	       (q->of_case == METAD__QUERY__OF_LOOKUP && a->error == ENOENT) ||
	       (q->of_case == METAD__QUERY__OF_GETXATTR && a->error == ENODATA);
}

/* The state, as it is now; NULL: no memory. */
static Metad__Answer *look(struct ask *a)
{
	struct datafs_metad *m = server_read_begin(a->s);
	const Metad__Query *q = a->what.what->query;
	struct datafs_metad_attr attr;
	struct datafs_grant_object o;
	Metad__Answer *res = NULL;

	if (datafs_metad_answer(m, q, &res))
		res = NULL;
	if (res && a->what.what->session) {
		/* what has no name is not believed (touched.h) */
		res->has_believe = true;
		res->believe = a->granted && says_something(q, res) && asked_object(q, &o) &&
			       !datafs_metad_getattr(m, o.ino, &attr) && attr.nlink;
	}
	server_read_end(a->s);
	return res;
}

static void finish(struct ask *a)
{
	Metad__Answer *answer = a->answer;

	a->answer = NULL;
	server_ask_answer(a, answer);
}

/* In the second answer what was granted of the first one, if it is there still. */
static void carry_over(const Metad__Answer *from, Metad__Answer *to)
{
	size_t k = 0;

	to->has_believe_attr = true;
	to->believe_attr = from->believe_attr && to->attr && to->attr->ino == from->attr->ino &&
			   to->attr->nlink;
	for (size_t i = 0; i < to->n_entries; i++) {
		const Metad__Dirent *was;
		Metad__Dirent *is = to->entries[i];

		while (k < from->n_entries && from->entries[k]->cookie < is->cookie)
			k++;
		if (k == from->n_entries)
			return;
		was = from->entries[k];
		is->has_believe_attr = true;
		is->believe_attr = was->believe_attr && was->cookie == is->cookie &&
				   was->attr->ino == is->attr->ino;
	}
}

/* On a worker: something was applied meanwhile. */
static void look_again(struct datafs_job *job)
{
	struct ask *a = (void *)((char *)job - offsetof(struct ask, job));
	Metad__Answer *now = look(a);

	if (!now) {
		server_ask_end(a, EAGAIN);
		return;
	}
	carry_over(a->answer, now);
	metad__answer__free_unpacked(a->answer, NULL);
	a->answer = now;
	finish(a);
}

static bool grant_attr(struct datafs_grants *table, const struct ask *a, uint64_t now,
		       const Metad__Attr *attr)
{
	const struct datafs_grant_object o = { .ino = attr->ino, .kind = DATAFS_GRANT_ATTR };

	return attr->nlink && datafs_grant(table, a->what.what->session, now, &o);
}

/* On the raft thread: what was found. */
static void grant_found(struct datafs_server *s, struct letter *l)
{
	struct ask *a = (struct ask *)l;
	struct datafs_grants *table = server_table(s);
	Metad__Answer *r = a->answer;
	uint64_t now = server_now();

	if (!table || !server_session_at(s, a->what.what->session, a->conn_nr)) {
		r->believe = false;
		finish(a);
		return;
	}
	if (r->attr) {
		r->has_believe_attr = true;
		r->believe_attr = grant_attr(table, a, now, r->attr);
	}
	for (size_t i = 0; i < r->n_entries; i++) {
		r->entries[i]->has_believe_attr = true;
		r->entries[i]->believe_attr = grant_attr(table, a, now, r->entries[i]->attr);
	}
	if (atomic_load(&s->applies) == a->seen) {
		finish(a);
		return;
	}
	a->job.run = look_again;
	datafs_pool_add(s->pool, &a->job, DATAFS_PRIO_WAITED);
}

/* Does the answer tell of other inodes than what was asked of? */
static bool tells_more(const Metad__Query *q, const Metad__Answer *r)
{
	return r->n_entries || (r->attr && q->of_case != METAD__QUERY__OF_GETATTR);
}

/* On a worker. */
static void answer(struct ask *a)
{
	/* while an entry is applied the count is odd, and no later one is equal */
	a->seen = atomic_load(&a->s->applies) & ~1u;
	a->answer = look(a);
	if (!a->answer) {
		server_ask_end(a, EAGAIN);
		return;
	}
	if (a->granted && tells_more(a->what.what->query, a->answer)) {
		a->letter.fn = grant_found;
		if (server_mail(a->s, &a->letter))
			return;
	}
	finish(a);
}

static struct ask *take_read(struct datafs_server *s)
{
	struct ask *a;

	pthread_mutex_lock(&s->reads_lock);
	a = TAILQ_FIRST(&s->reads);
	if (a)
		TAILQ_REMOVE(&s->reads, a, ready);
	pthread_mutex_unlock(&s->reads_lock);
	return a;
}

/*
 * On a worker: one of its own, then those that nobody has begun. Not more than a job was made
 * for: else other jobs would wait for as long as there are questions.
 */
static void answer_some(struct datafs_job *job)
{
	struct ask *a = (void *)((char *)job - offsetof(struct ask, job));
	struct datafs_server *s = a->s;

	answer(a);
	for (unsigned int i = 1; i < READS_EACH; i++) {
		a = take_read(s);
		if (!a)
			return;
		answer(a);
	}
}

/*
 * A job for a few, and not for each: most are answered sooner than a thread is woken, and
 * those that wait for the disk have so many workers that it has enough to do. Those on reads
 * are never more than the jobs that have not ended come to: one that ends early has seen none.
 */
void server_queries_push(struct datafs_server *s)
{
	struct ask *a, *next;
	struct asks own, *to;
	unsigned int i = 0;

	if (TAILQ_EMPTY(&s->known))
		return;
	TAILQ_INIT(&own);
	pthread_mutex_lock(&s->reads_lock);
	for (a = TAILQ_FIRST(&s->known); a; a = next) {
		next = TAILQ_NEXT(a, ready);
		TAILQ_REMOVE(&s->known, a, ready);
		to = i++ % READS_EACH ? &s->reads : &own;
		TAILQ_INSERT_TAIL(to, a, ready);
	}
	pthread_mutex_unlock(&s->reads_lock);
	/* one that was added may be gone at once */
	while ((a = TAILQ_FIRST(&own))) {
		TAILQ_REMOVE(&own, a, ready);
		datafs_pool_add(s->pool, &a->job, DATAFS_PRIO_WAITED);
	}
}

static void read_done(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));
	uint64_t session = a->what.what->session;
	struct datafs_grant_object o;
	struct datafs_grants *table;

	if (err) {
		server_ask_end(a, -err);
		return;
	}
	table = session && a->conn_nr ? server_table(a->s) : NULL;
	a->granted = table && server_session_at(a->s, session, a->conn_nr) &&
		     asked_object(a->what.what->query, &o) &&
		     datafs_grant(table, session, server_now(), &o);
	a->job.run = answer_some;
	TAILQ_INSERT_TAIL(&a->s->known, a, ready);
}

void server_query(struct ask *a)
{
	int err;

	a->read.done = read_done;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}
