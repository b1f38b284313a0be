// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs of the quorum elsewhere (metad/jobs.h), done by this daemon while it is a node of it: a
 * thread looks for one from time to time, claims it in the node's session, does it (work.c)
 * and reports. All of the quorum's rules are kept there: whose job is another one's, or nobody's
 * any more, hears ESTALE and stops. A job that the session has already is a predecessor's, and
 * is gone on with.
 */
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/jobs.h"
#include "work.h"

#define LOOK_MS		5000	/* from one look for a job to the next */
#define REPORT_MS	5000	/* from one report to the next */
#define ANSWER_MS	5000	/* nothing asked of the quorum is waited for longer */

/* One that is claimed, or to be. */
struct vfs_job {
	struct datafs_vfs *v;
	uint64_t id;
	unsigned int kind;
	char *path;		/* in the namespace */
	uint32_t mount;		/* over which it is done */
	const char *below;	/* @path, from that one's root on */
	const struct vfs_work_done *done;	/* to be reported, with @end (0: it goes on) */
	unsigned int end;
};

/* False: it is over. */
static bool rest(struct vfs_jobs *j, unsigned int ms)
{
	struct timespec at;
	bool over;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	pthread_mutex_lock(&j->lock);
	while (!j->over)
		if (pthread_cond_timedwait(&j->wake, &j->lock, &at))
			break;
	over = j->over;
	pthread_mutex_unlock(&j->lock);
	return !over;
}

/* ------------------------------------------------------- over which mount it is done */

/* What of @path is below @root, both with slashes in front; NULL: it is not. */
static const char *below(const char *root, const char *path)
{
	size_t len = strlen(root);

	while (len && root[len - 1] == '/')
		len--;
	return !strncmp(root, path, len) && (!path[len] || path[len] == '/') ? path + len : NULL;
}

/* A mount of the quorum whose root is the path, or above it. False: there is none. */
static bool find_mount(struct vfs_job *job)
{
	struct datafs_vfs *v = job->v;
	struct vfs_mount *mnt;

	job->below = NULL;
	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt && !job->below; mnt = mnt->next) {
		/* a predecessor's, of a directory of the quorum, has a root that is not known */
		if (!mnt->members || !mnt->root || atomic_load(&mnt->gone))
			continue;
		job->below = below(strstr(mnt->source, ":/") + 1, job->path);
		job->mount = mnt->id;
	}
	pthread_mutex_unlock(&v->lock);
	return job->below != NULL;
}

/* ------------------------------------------------- in turn with the node's own (use) */

static int ask(struct vfs_node *n, const Metad__Query *q, Metad__Answer **res)
{
	int ret;

	datafs_quorum_limit(n->share, ANSWER_MS);
	ret = datafs_quorum_ask(n->share, q, res);
	if (!ret && (*res)->error) {
		ret = -(int)(*res)->error;
		metad__answer__free_unpacked(*res, NULL);
	}
	return ret;
}

static int change(struct vfs_node *n, Metad__Command *c)
{
	datafs_quorum_limit(n->share, ANSWER_MS);
	return vfs_node_change(n, c);
}

/* The id of the node that this daemon is; 0: none. */
static int node_id(struct vfs_node *n, uint64_t *id)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Nodes from = METAD__NODES__INIT;
	bool eof = false;
	Metad__Answer *a;
	int ret = 0;

	*id = 0;
	from.has_after = true;
	q.of_case = METAD__QUERY__OF_NODES;
	q.nodes = &from;
	while (!ret && !eof && !*id) {
		ret = ask(n, &q, &a);
		if (ret)
			break;
		for (size_t i = 0; i < a->n_nodes; i++) {
			from.after = a->nodes[i]->id;
			if (a->nodes[i]->session == n->session)
				*id = from.after;
		}
		eof = a->eof || !a->n_nodes;
		metad__answer__free_unpacked(a, NULL);
	}
	return ret;
}

static int claim(struct vfs_node *n, const struct vfs_job *job)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__JobClaim of = METAD__JOB_CLAIM__INIT;

	of.has_id = true;
	of.id = job->id;
	c.op_case = METAD__COMMAND__OP_JOB_CLAIM;
	c.job_claim = &of;
	return change(n, &c);
}

/* May it be this node's? A kind that only a newer version knows is for those. */
static bool is_for(const struct vfs_node *n, uint64_t id, const Metad__Job *one)
{
	if (!datafs_job_kind_name(one->kind))
		return false;
	if (one->state == DATAFS_JOB_RUNNING)
		return one->session == n->session;
	return one->state == DATAFS_JOB_WAITING && (!one->node || one->node == id);
}

/* 1: @one is this session's now; 0: it is not to be; or an error. */
static int try_one(struct vfs_node *n, struct vfs_job *job, const Metad__Job *one)
{
	int ret;

	job->id = one->id;
	job->kind = one->kind;
	job->path = strndup((const char *)one->path.data, one->path.len);
	if (!job->path)
		return -ENOMEM;
	ret = find_mount(job) ? claim(n, job) : -ENOENT;
	if (!ret)
		return 1;
	free(job->path);
	job->path = NULL;
	/* somebody else was first, or has it cancelled or removed */
	return ret == -EBUSY || ret == -ESTALE || ret == -ENOENT || ret == -EPERM ? 0 : ret;
}

/* ... the first of a page. */
static int try_page(struct vfs_node *n, uint64_t id, struct vfs_job *job, const Metad__Answer *a)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < a->n_jobs; i++)
		if (is_for(n, id, a->jobs[i]))
			ret = try_one(n, job, a->jobs[i]);
	return ret;
}

/* 1: @arg, a vfs_job, is claimed; 0: there is none; or an error. */
static int look_for(struct vfs_node *n, void *arg)
{
	struct vfs_job *job = arg;
	struct vfs_jobs *j = &job->v->jobs;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Jobs from = METAD__JOBS__INIT;
	uint64_t id = 0, version = 0;
	bool eof = false;
	Metad__Answer *a;
	int ret = 0;

	/* what was nothing for the mounts that there were may be something now */
	from.has_known = !atomic_exchange(&j->again, false);
	from.known = j->known;
	from.has_after = true;
	q.of_case = METAD__QUERY__OF_JOBS;
	q.jobs = &from;
	while (!ret && !eof) {
		ret = ask(n, &q, &a);
		if (ret)
			break;
		/* what changes between two pieces is looked for again */
		if (!from.after)
			version = a->jobs_version;
		eof = a->eof || !a->n_jobs;
		if (a->n_jobs && !id)
			ret = node_id(n, &id);
		if (!ret)
			ret = try_page(n, id, job, a);
		if (a->n_jobs)
			from.after = a->jobs[a->n_jobs - 1]->id;
		metad__answer__free_unpacked(a, NULL);
		from.has_known = false;
	}
	/* all that it lists is looked at */
	if (!ret)
		j->known = version;
	else if (ret < 0)
		atomic_store(&j->again, true);
	return ret;
}

static int say(struct vfs_node *n, void *arg)
{
	const struct vfs_job *job = arg;
	const struct vfs_work_done *done = job->done;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__JobReport r = METAD__JOB_REPORT__INIT;

	r.has_id = r.has_files = r.has_bytes = r.has_errors = true;
	r.id = job->id;
	r.files = done->files;
	r.bytes = done->bytes;
	r.errors = done->errors;
	r.has_error = done->errors != 0;
	r.error = (ProtobufCBinaryData) { strlen(done->error), (uint8_t *)done->error };
	r.has_end = job->end != 0;
	r.end = job->end;
	c.op_case = METAD__COMMAND__OP_JOB_REPORT;
	c.job_report = &r;
	return change(n, &c);
}

/* ------------------------------------------------------------------------ the thread */

/* Is the quorum, or the node's session, only away for the moment? */
static bool is_away(int err)
{
	return err == -EAGAIN || err == -ETIMEDOUT || err == -EHOSTUNREACH || err == -ENOSPC ||
	       err == -ENOMEM;
}

/* Of a job that goes on: until it is known that it is not this session's it does. */
static int report(void *arg, const struct vfs_work_done *done)
{
	struct vfs_job *job = arg;
	int ret;

	job->done = done;
	job->end = 0;
	ret = vfs_node_use(job->v, say, job);
	return is_away(ret) ? 0 : ret;
}

static void report_end(struct vfs_job *job, const struct vfs_work_done *done)
{
	int ret;

	job->done = done;
	job->end = done->errors ? DATAFS_JOB_FAILED : DATAFS_JOB_DONE;
	do
		ret = vfs_node_use(job->v, say, job);
	while (is_away(ret) && rest(&job->v->jobs, REPORT_MS));
	if (ret == -ESTALE)
		datafs_log(LOG_INFO, "job %llu: cancelled, or another node's; all %llu files had been done",
			   (unsigned long long)job->id, (unsigned long long)done->files);
	else if (ret)
		datafs_log(LOG_WARNING, "job %llu: its end is not reported: %s; if it is listed as running it will be done again",
			   (unsigned long long)job->id, strerror(-ret));
}

/* False: it was stopped, and is this session's still. */
static bool work(struct vfs_job *job)
{
	const struct vfs_work w = {
		.v = job->v, .mount = job->mount, .kind = job->kind, .path = job->below,
		.interval = REPORT_MS * DATAFS_MSEC, .report = report, .arg = job,
	};
	const char *kind = datafs_job_kind_name(job->kind);
	struct vfs_work_done done;
	int ret;

	datafs_log(LOG_INFO, "job %llu: %s of %s begins", (unsigned long long)job->id,
		   kind ? kind : "work", job->path);
	ret = vfs_work(&w, &done);
	if (ret == -ESTALE)
		datafs_log(LOG_INFO, "job %llu: cancelled, or another node's; stopped after %llu files",
			   (unsigned long long)job->id, (unsigned long long)done.files);
	else if (ret)
		datafs_log(LOG_WARNING, "job %llu: stopped after %llu files: %s; it goes on when its session has ended, or with the next daemon",
			   (unsigned long long)job->id, (unsigned long long)done.files,
			   strerror(-ret));
	else
		datafs_log(done.errors ? LOG_WARNING : LOG_INFO,
			   "job %llu: ended, %llu files, %llu bytes, %llu errors%s%s",
			   (unsigned long long)job->id, (unsigned long long)done.files,
			   (unsigned long long)done.bytes, (unsigned long long)done.errors,
			   done.errors ? ", the first: " : "", done.error);
	if (!ret)
		report_end(job, &done);
	else if (ret != -ESTALE)
		atomic_store(&job->v->jobs.again, true);
	return !ret || ret == -ESTALE;
}

static void *run(void *arg)
{
	struct datafs_vfs *v = arg;
	struct vfs_job job = { .v = v };
	int ret = 0;

	/* after one that was done the next one is looked for at once, but not the same one */
	while (ret == 1 || rest(&v->jobs, LOOK_MS)) {
		ret = vfs_node_use(v, look_for, &job);
		if (ret != 1)
			continue;
		ret = work(&job);
		free(job.path);
		job.path = NULL;
	}
	return NULL;
}

void vfs_jobs_start(struct datafs_vfs *v)
{
	struct vfs_jobs *j = &v->jobs;
	int ret;

	if (!v->node.name)
		return;
	ret = pthread_create(&j->thread, NULL, run, v);
	j->running = !ret;
	if (ret)
		datafs_log(LOG_ERR, "no thread for jobs of the quorum: %s; this daemon does none",
			   strerror(ret));
}

void vfs_jobs_again(struct datafs_vfs *v)
{
	atomic_store(&v->jobs.again, true);
}

void vfs_jobs_stop(struct datafs_vfs *v)
{
	struct vfs_jobs *j = &v->jobs;

	pthread_mutex_lock(&j->lock);
	j->over = true;
	pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
	if (j->running)
		pthread_join(j->thread, NULL);
	j->running = false;
}

void vfs_jobs_init(struct datafs_vfs *v)
{
	struct vfs_jobs *j = &v->jobs;
	pthread_condattr_t attr;

	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake, &attr);
	pthread_condattr_destroy(&attr);
	atomic_store(&j->again, true);
}

void vfs_jobs_exit(struct datafs_vfs *v)
{
	pthread_cond_destroy(&v->jobs.wake);
	pthread_mutex_destroy(&v->jobs.lock);
}
