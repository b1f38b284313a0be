// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs. The table's version rises by one with each command that changes which jobs there are,
 * their states, or who has them; not with what is reported of one that goes on.
 */
#include <errno.h>
#include <string.h>

#include "jobs.h"
#include "op.h"

static int table_get(struct op *o, struct datafs_metad_jobs *table)
{
	int ret;

	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_JOB)
		return -EOPNOTSUPP;
	ret = rec_jobs_get(o->t, table);
	return ret < 0 ? ret : 0;
}

/* 1: it is there, 0: it is not; or the error. */
static int find(struct op *o, uint64_t id, struct datafs_metad_jobs *table,
		struct datafs_metad_job *job)
{
	struct key k = key_make('J', id);
	int ret = table_get(o, table);

	if (ret)
		return ret;
	ret = rec_job_get(o->t, id, job);
	if (ret == 1 && (!table->jobs || id > table->last_id))
		return txn_damaged(o->t, key_bytes(&k), "a job that its table does not know");
	return ret;
}

/* Its record, and the table's with a new version. */
static void put(struct op *o, struct datafs_metad_jobs *table, struct datafs_metad_job *job,
		uint64_t had)
{
	job->changed = o->time;
	rec_job_put(o->t, job, had);
	table->version++;
	rec_jobs_put(o->t, table);
}

static void drop(struct op *o, struct datafs_metad_jobs *table, uint64_t id)
{
	struct key k = key_make('J', id);

	rec_del(o->t, &k);
	table->jobs--;
}

/* The oldest one that has ended makes room. -ENOSPC: there is none. */
static int drop_oldest(struct op *o, struct datafs_metad_jobs *table)
{
	struct txn_bytes key, val, prefix = { (const uint8_t *)"J", 1 };
	struct datafs_metad_job job;
	struct txn_scan s;
	int ret = -ENOSPC;

	txn_scan_begin(&s, o->t, prefix, prefix);
	while (ret && txn_scan_next(&s, &key, &val) == 1 &&
	       !rec_job_decode(o->t, key, val, &job)) {
		if (!datafs_job_ended(job.state))
			continue;
		drop(o, table, job.id);
		ret = 0;
	}
	txn_scan_end(&s);
	return txn_error(o->t) ? txn_error(o->t) : ret;
}

int op_job_add(struct op *o, const Metad__Command *c)
{
	const Metad__JobAdd *a = c->job_add;
	struct datafs_metad_jobs table;
	struct datafs_metad_node node;
	int ret = table_get(o, &table);

	if (ret)
		return ret;
	if (!datafs_job_kind_name(a->kind) ||
	    datafs_mount_path_wrong(a->path.data, a->path.len))
		return -EINVAL;
	ret = a->node ? rec_routed_get(o->t, a->node, &node) : 1;
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	ret = table.jobs < DATAFS_METAD_JOBS_MAX ? 0 : drop_oldest(o, &table);
	if (ret)
		return ret;
	table.jobs++;
	o->job = ++table.last_id;
	put(o, &table, &(struct datafs_metad_job){
		.id = o->job, .kind = (enum datafs_job_kind)a->kind,
		.state = DATAFS_JOB_WAITING, .node = a->node, .added = o->time,
		.path = (const char *)a->path.data, .path_len = a->path.len,
	}, 0);
	return 0;
}

/* May the session do what is for @id? 0, -EPERM, or damage. */
static int speaks_for(struct op *o, uint64_t id)
{
	struct datafs_metad_node node;
	int ret = id ? rec_routed_by_session(o->t, o->session, &node) : 0;

	if (ret < 0)
		return ret;
	return !id || (ret && node.id == id) ? 0 : -EPERM;
}

int op_job_claim(struct op *o, const Metad__Command *c)
{
	struct datafs_metad_jobs table;
	struct datafs_metad_job job;
	int ret = find(o, c->job_claim->id, &table, &job);
	unsigned int state;
	uint64_t had;

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	state = datafs_job_next(job.state, DATAFS_JOB_CLAIM);
	if (!state)
		return -ESTALE;
	if (job.session && job.session != o->session)
		return -EBUSY;
	ret = speaks_for(o, job.node);
	if (ret)
		return ret;
	had = job.session;
	job.state = (enum datafs_job_state)state;
	job.session = o->session;
	job.files = job.bytes = job.errors = job.error_len = 0;
	put(o, &table, &job, had);
	return 0;
}

/* What the report says becomes of it; DATAFS_JOB_EVENTS: nothing that can be. */
static enum datafs_job_event event_of(const Metad__JobReport *r)
{
	if (!r->has_end)
		return DATAFS_JOB_REPORT;
	if (r->end == DATAFS_JOB_DONE && !r->errors)
		return DATAFS_JOB_FINISH;
	return r->end == DATAFS_JOB_FAILED && r->errors ? DATAFS_JOB_FAIL : DATAFS_JOB_EVENTS;
}

int op_job_report(struct op *o, const Metad__Command *c)
{
	const Metad__JobReport *r = c->job_report;
	const enum datafs_job_event event = event_of(r);
	struct datafs_metad_jobs table;
	struct datafs_metad_job job;
	int ret = table_get(o, &table);

	if (ret)
		return ret;
	if (event == DATAFS_JOB_EVENTS || !r->errors != !r->error.len ||
	    datafs_job_error_wrong(r->error.data, r->error.len))
		return -EINVAL;
	ret = find(o, r->id, &table, &job);
	if (ret < 0)
		return ret;
	if (!ret || job.session != o->session)
		return -ESTALE;
	job.state = (enum datafs_job_state)datafs_job_next(job.state, event);
	job.files = r->files;
	job.bytes = r->bytes;
	job.errors = r->errors;
	job.error = (const char *)r->error.data;
	job.error_len = r->error.len;
	if (event != DATAFS_JOB_REPORT) {
		job.session = 0;
		put(o, &table, &job, o->session);
		return 0;
	}
	job.changed = o->time;
	rec_job_put(o->t, &job, o->session);
	return 0;
}

int op_job_cancel(struct op *o, const Metad__Command *c)
{
	struct datafs_metad_jobs table;
	struct datafs_metad_job job;
	int ret = find(o, c->job_cancel->id, &table, &job);
	unsigned int state;
	uint64_t had;

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	state = datafs_job_next(job.state, DATAFS_JOB_CANCEL);
	if (!state)
		return -ESTALE;
	had = job.session;
	job.state = (enum datafs_job_state)state;
	job.session = 0;
	put(o, &table, &job, had);
	return 0;
}

int op_job_remove(struct op *o, const Metad__Command *c)
{
	struct datafs_metad_jobs table;
	struct datafs_metad_job job;
	int ret = find(o, c->job_remove->id, &table, &job);

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	if (!datafs_job_next(job.state, DATAFS_JOB_REMOVE))
		return -EBUSY;
	drop(o, &table, job.id);
	table.version++;
	rec_jobs_put(o->t, &table);
	return 0;
}

int op_job_session_leaves(struct op *o, uint64_t session)
{
	struct key holds = key_make('K', session);

	return rec_jobs_lose(o->t, key_bytes(&holds), o->time);
}

int op_job_node_gone(struct op *o, uint64_t node)
{
	struct txn_bytes key, val, prefix = { (const uint8_t *)"J", 1 };
	struct datafs_metad_jobs table;
	struct datafs_metad_job job;
	bool changed = false;
	unsigned int state;
	struct txn_scan s;
	uint64_t had;

	if (rec_jobs_get(o->t, &table) <= 0)
		return txn_error(o->t);
	txn_scan_begin(&s, o->t, prefix, prefix);
	while (txn_scan_next(&s, &key, &val) == 1 && !rec_job_decode(o->t, key, val, &job)) {
		state = datafs_job_next(job.state, DATAFS_JOB_CANCEL);
		if (job.node != node || !state)
			continue;
		had = job.session;
		job.state = (enum datafs_job_state)state;
		job.session = 0;
		job.changed = o->time;
		rec_job_put(o->t, &job, had);
		changed = true;
	}
	txn_scan_end(&s);
	table.version += changed;
	if (changed)
		rec_jobs_put(o->t, &table);
	return txn_error(o->t);
}
