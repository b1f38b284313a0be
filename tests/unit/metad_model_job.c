// SPDX-License-Identifier: Apache-2.0
/* The model's jobs. */
#include "metad_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metad/jobs.h"

static bool malformed(const char *s)
{
	return s && *s == '?';
}

static bool ended(const struct model_job *j)
{
	return j->state == DATAFS_JOB_DONE || j->state == DATAFS_JOB_FAILED ||
	       j->state == DATAFS_JOB_CANCELLED;
}

static struct model_job *find(struct model *w, uint64_t id)
{
	for (int i = 0; i < w->jobs; i++)
		if (w->job[i].id == id)
			return &w->job[i];
	return NULL;
}

static const struct model_node *node_of(const struct model *w, uint64_t id)
{
	for (int i = 0; i < w->nodes; i++)
		if (w->node[i].id == id)
			return &w->node[i];
	return NULL;
}

static int add(struct model *w, const struct req *r)
{
	if (malformed(r->name) || (r->mode != DATAFS_JOB_LOAD && r->mode != DATAFS_JOB_FREE))
		return -EINVAL;
	if (r->to && !node_of(w, r->to))
		return -ENOENT;
	if (w->jobs == MODEL_JOBS)
		abort();
	w->job[w->jobs++] = (struct model_job){
		r->name, "", .id = ++w->last_job, .node = r->to, .kind = r->mode,
		.state = DATAFS_JOB_WAITING,
	};
	w->jobs_version++;
	return 0;
}

static int claim(struct model *w, const struct req *r, struct model_job *j)
{
	if (!j)
		return -ENOENT;
	if (ended(j))
		return -ESTALE;
	if (j->session && j->session != r->session)
		return -EBUSY;
	if (j->node && node_of(w, j->node)->session != r->session)
		return -EPERM;
	j->session = r->session;
	j->state = DATAFS_JOB_RUNNING;
	j->files = j->bytes = j->errors = 0;
	j->error = "";
	w->jobs_version++;
	return 0;
}

static int report(struct model *w, const struct req *r, struct model_job *j)
{
	const char *error = r->source ? r->source : "";

	if (!r->uid != !*error || (r->level == DATAFS_JOB_DONE && r->uid) ||
	    (r->level == DATAFS_JOB_FAILED && !r->uid) ||
	    (r->level && r->level != DATAFS_JOB_DONE && r->level != DATAFS_JOB_FAILED))
		return -EINVAL;
	if (!j || j->session != r->session)
		return -ESTALE;
	j->files = r->inodes;
	j->bytes = r->bytes;
	j->errors = r->uid;
	j->error = error;
	if (!r->level)
		return 0;
	j->state = r->level;
	j->session = 0;
	w->jobs_version++;
	return 0;
}

static int cancel(struct model *w, struct model_job *j)
{
	if (!j || ended(j))
		return j ? -ESTALE : -ENOENT;
	j->state = DATAFS_JOB_CANCELLED;
	j->session = 0;
	w->jobs_version++;
	return 0;
}

static int take_away(struct model *w, struct model_job *j)
{
	if (!j || !ended(j))
		return j ? -EBUSY : -ENOENT;
	memmove(j, j + 1, (size_t)(w->job + w->jobs - j - 1) * sizeof(*j));
	w->jobs--;
	w->jobs_version++;
	return 0;
}

int model_job_do(struct model *w, const struct req *r)
{
	struct model_job *j = find(w, r->ino);

	if (w->level < 6)
		return -EOPNOTSUPP;
	switch (r->op) {
	case OP(JOB_ADD):
		return add(w, r);
	case OP(JOB_CLAIM):
		return claim(w, r, j);
	case OP(JOB_REPORT):
		return report(w, r, j);
	case OP(JOB_CANCEL):
		return cancel(w, j);
	default:
		return take_away(w, j);
	}
}

uint64_t model_spoken(const struct model *w, uint64_t session)
{
	for (int i = 0; i < w->nodes; i++)
		if (w->node[i].session == session)
			return w->node[i].id;
	return 0;
}

void model_jobs_follow(struct model *w, const struct req *r, uint64_t was)
{
	bool left, changed = false;

	left = r->op == OP(SESSION_CLOSE) ||
	       (was && node_of(w, was) && model_spoken(w, r->session) != was);
	for (int i = 0; i < w->jobs; i++) {
		struct model_job *j = &w->job[i];

		if (left && j->session == r->session) {
			j->session = 0;
			j->state = DATAFS_JOB_WAITING;
			changed = true;
		}
		if (!ended(j) && j->node && !node_of(w, j->node)) {
			j->session = 0;
			j->state = DATAFS_JOB_CANCELLED;
			changed = true;
		}
	}
	w->jobs_version += changed;
}
