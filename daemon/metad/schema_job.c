// SPDX-License-Identifier: Apache-2.0
/* Records of jobs. */
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "jobs.h"

/* The path and the error follow; the numbers are those of rec_job_put(), in its order. */
#define JOB_NUMBERS	7
#define JOB_FIXED	(1 + 1 + 1 + 1 + JOB_NUMBERS * 8)
#define TABLE_LEN	(1 + 8 + 8 + 4)

static const struct key table_key = { "A", 1 };

static bool job_ok(const struct datafs_metad_job *job)
{
	return job->id && datafs_job_kind_name(job->kind) && job->added <= job->changed &&
	       job->state >= DATAFS_JOB_WAITING && job->state < DATAFS_JOB_STATES &&
	       !job->session == (job->state != DATAFS_JOB_RUNNING) &&
	       !job->errors == !job->error_len &&
	       (job->state != DATAFS_JOB_DONE || !job->errors) &&
	       (job->state != DATAFS_JOB_FAILED || job->errors) &&
	       !datafs_mount_path_wrong(job->path, job->path_len) &&
	       !datafs_job_error_wrong(job->error, job->error_len);
}

int rec_job_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		   struct datafs_metad_job *job)
{
	const char *texts = (const char *)val.p + JOB_FIXED;
	const uint8_t *n = val.p + 4;
	size_t error;

	if (key.len != 9 || val.len < JOB_FIXED || *val.p != REC_VERSION)
		return txn_damaged(t, key, "job");
	error = val.p[3];
	if (error > val.len - JOB_FIXED)
		return txn_damaged(t, key, "job's error");
	*job = (struct datafs_metad_job){
		.id = datafs_get_be64(key.p + 1),
		.kind = (enum datafs_job_kind)val.p[1], .state = (enum datafs_job_state)val.p[2],
		.node = datafs_get_be64(n), .session = datafs_get_be64(n + 8),
		.files = datafs_get_be64(n + 16), .bytes = datafs_get_be64(n + 24),
		.errors = datafs_get_be64(n + 32),
		.added = datafs_get_be64(n + 40), .changed = datafs_get_be64(n + 48),
		.error = texts, .error_len = error,
		.path = texts + error, .path_len = val.len - JOB_FIXED - error,
	};
	return job_ok(job) ? 0 : txn_damaged(t, key, "job's texts or numbers");
}

int rec_job_get(struct txn *t, uint64_t id, struct datafs_metad_job *job)
{
	struct key k = key_make('J', id);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret == 1)
		ret = rec_job_decode(t, key_bytes(&k), val, job) ? txn_error(t) : 1;
	return ret;
}

void rec_job_put(struct txn *t, const struct datafs_metad_job *job, uint64_t had)
{
	size_t len = JOB_FIXED + job->error_len + job->path_len;
	const uint64_t numbers[JOB_NUMBERS] = {
		job->node, job->session, job->files, job->bytes, job->errors, job->added,
		job->changed,
	};
	struct key k = key_make('J', job->id), by;
	uint8_t *val = txn_alloc(t, len);

	if (!val)
		return;
	val[0] = REC_VERSION;
	val[1] = (uint8_t)job->kind;
	val[2] = (uint8_t)job->state;
	val[3] = (uint8_t)job->error_len;
	for (int i = 0; i < JOB_NUMBERS; i++)
		datafs_put_be64(val + 4 + i * 8, numbers[i]);
	if (job->error_len)
		memcpy(val + JOB_FIXED, job->error, job->error_len);
	memcpy(val + JOB_FIXED + job->error_len, job->path, job->path_len);
	txn_put(t, key_bytes(&k), (struct txn_bytes){ val, len });
	if (had && had != job->session) {
		by = key_make2('K', had, job->id);
		rec_del(t, &by);
	}
	if (job->session && had != job->session) {
		by = key_make2('K', job->session, job->id);
		rec_mark_put(t, &by);
	}
}

int rec_jobs_get(struct txn *t, struct datafs_metad_jobs *table)
{
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&table_key), &val);

	*table = (struct datafs_metad_jobs){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != TABLE_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&table_key), "table of jobs");
	table->version = datafs_get_be64(val.p + 1);
	table->last_id = datafs_get_be64(val.p + 9);
	memcpy(&table->jobs, val.p + 17, 4);
	table->jobs = __builtin_bswap32(table->jobs);
	if (!table->version || table->last_id > table->version ||
	    table->jobs > table->last_id || table->jobs > DATAFS_METAD_JOBS_MAX)
		return txn_damaged(t, key_bytes(&table_key), "numbers of the table of jobs");
	return 1;
}

void rec_jobs_put(struct txn *t, const struct datafs_metad_jobs *table)
{
	uint8_t val[TABLE_LEN] = { REC_VERSION };
	uint32_t jobs = __builtin_bswap32(table->jobs);

	datafs_put_be64(val + 1, table->version);
	datafs_put_be64(val + 9, table->last_id);
	memcpy(val + 17, &jobs, 4);
	txn_put(t, key_bytes(&table_key), (struct txn_bytes){ val, sizeof(val) });
}

int rec_jobs_lose(struct txn *t, struct txn_bytes holds, uint64_t time)
{
	struct datafs_metad_jobs table;
	struct datafs_metad_job job;
	struct txn_bytes key;
	struct txn_scan s;
	bool changed = false;
	uint64_t had;

	if (rec_jobs_get(t, &table) < 0)
		return txn_error(t);
	txn_scan_begin(&s, t, holds, holds);
	while (txn_scan_next(&s, &key, NULL) == 1) {
		if (key.len != 17 || rec_job_get(t, datafs_get_be64(key.p + 9), &job) != 1 ||
		    job.session != datafs_get_be64(key.p + 1)) {
			txn_damaged(t, key, "a job that the session does not have");
			break;
		}
		had = job.session;
		job.state = (enum datafs_job_state)datafs_job_next(job.state, DATAFS_JOB_LOSE);
		job.session = 0;
		job.changed = DATAFS_MAX(job.changed, time);
		rec_job_put(t, &job, had);
		changed = true;
	}
	txn_scan_end(&s);
	table.version += changed;
	if (changed)
		rec_jobs_put(t, &table);
	return txn_error(t);
}
