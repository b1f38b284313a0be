// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/util.h"
#include "vfs_internal.h"

/* As `datafs load` has them: a chunk of the cache, and how many at a time. */
#define STEP	(4ull << 20)
#define STEPS	8

/* A directory that is to be listed. */
struct dir {
	struct dir *next;
	uint64_t ino;
	char path[];		/* from the mount's root on, for errors */
};

struct working {
	const struct vfs_work *w;
	struct dir *dirs;	/* the last one found is the next */
	struct datafs_call call;
	struct datafs_req req;
	int64_t due;		/* the next report */
	uint64_t root;
	/* Protects what follows, and the files of steps. */
	pthread_mutex_t lock;
	pthread_cond_t landed;	/* a step has */
	unsigned int flying;
	struct vfs_work_done done;
};

struct file {
	unsigned int steps;	/* that are not done, and one for who adds them */
	bool failed;
	char path[];
};

/* Some of a file, by the pool. */
struct step {
	struct datafs_job job;
	struct working *g;
	struct file *file;
	uint64_t ino, off;
};

/* ---------------------------------------------------------------- what is told */

/* With @lock. What an error may not have is '?'. */
static void add_error(struct working *g, const char *path, int err)
{
	char *p = g->done.error;

	if (g->done.errors++)
		return;
	snprintf(p, sizeof(g->done.error), "%s: %s", *path ? path : "/", strerror(-err));
	for (; *p; p++)
		if (datafs_job_error_wrong(p, 1))
			*p = '?';
}

static void fail(struct working *g, const char *path, int err)
{
	pthread_mutex_lock(&g->lock);
	add_error(g, path, err);
	pthread_mutex_unlock(&g->lock);
}

static int root_of(const struct vfs_work *w, uint64_t *root)
{
	struct vfs_mount *mnt = vfs_mount_get(w->v, w->mount);

	if (!mnt)
		return -ENOENT;
	*root = mnt->root;
	vfs_mount_put(mnt);
	return 0;
}

/* 0, or what ends all of it. */
static int look_up(struct working *g)
{
	struct vfs_work_done done;
	int64_t now = datafs_now();
	int ret = root_of(g->w, &g->root);

	if (atomic_load(&g->w->v->stopping))
		return -ESHUTDOWN;
	if (ret || now < g->due)
		return ret;
	pthread_mutex_lock(&g->lock);
	done = g->done;
	pthread_mutex_unlock(&g->lock);
	g->due = now + g->w->interval;
	return g->w->report(g->w->arg, &done);
}

/* Are fewer than @n steps flying? Waits for that, at the longest until a report is due. */
static bool wait_landed(struct working *g, unsigned int n)
{
	int64_t left = DATAFS_MAX(g->due - datafs_now(), DATAFS_MSEC);
	struct timespec at;
	bool res;

	clock_gettime(CLOCK_MONOTONIC, &at);
	left += (int64_t)at.tv_nsec;
	at.tv_sec += (time_t)(left / (int64_t)DATAFS_SEC);
	at.tv_nsec = (long)(left % (int64_t)DATAFS_SEC);
	pthread_mutex_lock(&g->lock);
	while (g->flying >= n)
		if (pthread_cond_timedwait(&g->landed, &g->lock, &at))
			break;
	res = g->flying < n;
	pthread_mutex_unlock(&g->lock);
	return res;
}

/* ------------------------------------------------------------------ of one file */

/* With @lock. The last one to put it has it counted. */
static void file_put(struct working *g, struct file *f)
{
	if (--f->steps)
		return;
	g->done.files += !f->failed;
	free(f);
}

static void run_step(struct datafs_job *job)
{
	struct step *s = (struct step *)job;
	struct working *g = s->g;
	struct datafs_vfs_loaded res;
	int ret = datafs_vfs_load(g->w->v, g->w->mount, s->ino, s->off, STEP, &res);

	pthread_mutex_lock(&g->lock);
	if (!ret)
		g->done.bytes += res.bytes;
	/* what is not done because the daemon ends is no error of it */
	if (ret && ret != -ESHUTDOWN && !s->file->failed)
		add_error(g, s->file->path, ret);
	s->file->failed |= ret != 0;
	file_put(g, s->file);
	g->flying--;
	/* with it the working may be gone */
	pthread_cond_signal(&g->landed);
	pthread_mutex_unlock(&g->lock);
	free(s);
}

static int add_step(struct working *g, struct file *f, uint64_t ino, uint64_t off)
{
	struct datafs_vfs *v = g->w->v;
	struct step *s = malloc(sizeof(*s));
	bool stopping;

	if (!s)
		return -ENOMEM;
	*s = (struct step){ .job.run = run_step, .g = g, .file = f, .ino = ino, .off = off };
	pthread_mutex_lock(&g->lock);
	g->flying++;
	f->steps++;
	pthread_mutex_unlock(&g->lock);
	pthread_mutex_lock(&v->lock);
	/* No job is added to a pool that is about to end. */
	stopping = atomic_load(&v->stopping);
	if (!stopping)
		datafs_pool_add(v->pool, &s->job, DATAFS_PRIO_AHEAD);
	pthread_mutex_unlock(&v->lock);
	if (!stopping)
		return 0;
	pthread_mutex_lock(&g->lock);
	g->flying--;
	f->steps--;
	pthread_mutex_unlock(&g->lock);
	free(s);
	return -ESHUTDOWN;
}

static int load_file(struct working *g, uint64_t ino, uint64_t size, const char *path)
{
	const size_t len = strlen(path) + 1;
	struct file *f = malloc(sizeof(*f) + len);
	bool failed = false;
	int ret = 0;

	if (!f)
		return -ENOMEM;
	*f = (struct file){ .steps = 1 };
	memcpy(f->path, path, len);
	for (uint64_t off = 0; !ret && !failed && off < size; off += STEP) {
		do
			ret = look_up(g);
		while (!ret && !wait_landed(g, STEPS));
		if (!ret)
			ret = add_step(g, f, ino, off);
		pthread_mutex_lock(&g->lock);
		failed = f->failed;
		pthread_mutex_unlock(&g->lock);
	}
	pthread_mutex_lock(&g->lock);
	/* one that is not wholly asked for is not done */
	f->failed |= ret != 0;
	file_put(g, f);
	pthread_mutex_unlock(&g->lock);
	return ret;
}

static int free_file(struct working *g, uint64_t ino, uint64_t size, const char *path)
{
	struct datafs_vfs *v = g->w->v;
	struct datafs_vfs_cached was = { .bytes = 0 };
	struct datafs_cache_left left;
	int ret = size ? datafs_vfs_cached(v, g->w->mount, ino, &was) : 0;

	if (!ret && was.bytes)
		ret = datafs_vfs_free(v, g->w->mount, ino, &left);
	pthread_mutex_lock(&g->lock);
	if (ret)
		add_error(g, path, ret);
	else
		g->done.files++;
	if (!ret && was.bytes)
		g->done.bytes += was.bytes - DATAFS_MIN(left.staying, was.bytes);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

/* 0, also with an error that is counted; or what ends all of it. */
static int (*const kinds[DATAFS_JOB_KINDS])(struct working *g, uint64_t ino, uint64_t size,
					    const char *path) = {
	[DATAFS_JOB_LOAD] = load_file,
	[DATAFS_JOB_FREE] = free_file,
};

/* --------------------------------------------------------------------- the walk */

/* As an upcall, which is not counted as one. */
static int call(struct working *g, unsigned int op, uint64_t ino, const void *body)
{
	struct vfs_mount *mnt = vfs_mount_get(g->w->v, g->w->mount);
	int ret;

	if (!mnt)
		return -ENOENT;
	g->req = (struct datafs_req){
		.opcode = op, .mount_id = mnt->id, .ino = ino,
		.namelen = op == DATAFS_OP_LOOKUP ? (uint16_t)strlen(g->call.name) : 0,
	};
	g->call.req = &g->req;
	g->call.body = body;
	g->call.out_len = 0;
	ret = mnt->tree->calls[op](mnt, &g->call);
	datafs_vfs_finish(mnt->v, &g->call);
	vfs_mount_put(mnt);
	return ret;
}

static int add_dir(struct working *g, uint64_t ino, const char *path)
{
	const size_t len = strlen(path) + 1;
	struct dir *d = malloc(sizeof(*d) + len);

	if (!d)
		return -ENOMEM;
	d->ino = ino;
	memcpy(d->path, path, len);
	d->next = g->dirs;
	g->dirs = d;
	return 0;
}

/* What is neither a directory nor a file has nothing in the cache. */
static int have(struct working *g, const struct datafs_attr *attr, const char *path)
{
	if (S_ISDIR(attr->mode))
		return add_dir(g, attr->ino, path);
	return S_ISREG(attr->mode) ? kinds[g->w->kind](g, attr->ino, attr->size, path) : 0;
}

/* One entry; @at is moved behind it. */
static int have_entry(struct working *g, const struct dir *d, const uint8_t **at,
		      __u64 *cookie)
{
	const struct datafs_dirent *e = (const struct datafs_dirent *)*at;
	char *path = malloc(strlen(d->path) + e->namelen + 2);
	int ret = -ENOMEM;

	*cookie = e->cookie;
	*at += sizeof(*e) + datafs_round_up(e->namelen, 8);
	if (path) {
		sprintf(path, "%s%s%.*s", d->path, *d->path ? "/" : "", e->namelen,
			(const char *)(e + 1));
		ret = have(g, &e->attr, path);
	}
	free(path);
	return ret;
}

static int list_dir(struct working *g, const struct dir *d)
{
	struct datafs_readdir_req req = { .max = DATAFS_REPLY_MAX };
	struct datafs_readdir_rep rep;
	const uint8_t *at;
	int ret;

	do {
		ret = look_up(g);
		if (ret)
			return ret;
		ret = call(g, DATAFS_OP_READDIR, d->ino, &req);
		if (ret) {
			fail(g, d->path, ret);
			return 0;
		}
		memcpy(&rep, g->call.out, sizeof(rep));
		at = (const uint8_t *)g->call.out + sizeof(rep);
		for (uint32_t i = 0; !ret && i < rep.count; i++)
			ret = have_entry(g, d, &at, &req.cookie);
	} while (!ret && rep.count && !(rep.flags & DATAFS_READDIR_EOF));
	return ret;
}

/* What the path leads to, as of a lookup. */
static int find(struct working *g, struct datafs_attr *attr)
{
	const struct datafs_entry *e = g->call.out;
	const char *p = g->w->path;
	size_t len;
	int ret = call(g, DATAFS_OP_GETATTR, g->root, NULL);

	if (!ret)
		memcpy(attr, g->call.out, sizeof(*attr));
	for (; !ret && *(p += strspn(p, "/")); p += len) {
		len = strcspn(p, "/");
		if (len > DATAFS_NAME_MAX)
			return -ENAMETOOLONG;
		if (!S_ISDIR(attr->mode))
			return -ENOTDIR;
		memset(g->call.name, 0, sizeof(g->call.name));
		memcpy(g->call.name, p, len);
		ret = call(g, DATAFS_OP_LOOKUP, attr->ino, NULL);
		if (!ret && !e->attr.ino)
			ret = -ENOENT;
		if (!ret)
			memcpy(attr, &e->attr, sizeof(*attr));
	}
	return ret;
}

static int walk(struct working *g)
{
	const char *path = g->w->path + strspn(g->w->path, "/");
	struct datafs_attr attr;
	struct dir *d;
	int ret = look_up(g);

	if (ret)
		return ret;
	ret = find(g, &attr);
	if (ret) {
		fail(g, path, ret);
		return look_up(g);
	}
	ret = have(g, &attr, path);
	while (!ret && (d = g->dirs)) {
		g->dirs = d->next;
		ret = list_dir(g, d);
		free(d);
	}
	return ret;
}

/* None of it is in the pool any more, nor in memory. */
static int finish(struct working *g, int ret)
{
	struct dir *d;

	while ((d = g->dirs)) {
		g->dirs = d->next;
		free(d);
	}
	while (!wait_landed(g, 1)) {
		if (!ret)
			ret = look_up(g);
		else
			g->due = datafs_now() + g->w->interval;
	}
	/* a step that was ended with the daemon is no work done */
	return !ret && atomic_load(&g->w->v->stopping) ? -ESHUTDOWN : ret;
}

int vfs_work(const struct vfs_work *w, struct vfs_work_done *done)
{
	struct working *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;
	int ret = -ENOMEM;

	*done = (struct vfs_work_done){ 0 };
	if (!g)
		return ret;
	g->w = w;
	g->due = datafs_now() + w->interval;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->landed, &attr);
	pthread_condattr_destroy(&attr);
	g->call.out = aligned_alloc(8, datafs_round_up(DATAFS_REPLY_MAX, 8));
	if (g->call.out)
		ret = w->kind < DATAFS_JOB_KINDS && kinds[w->kind] ? root_of(w, &g->root) : -EOPNOTSUPP;
	if (!ret)
		ret = walk(g);
	ret = finish(g, ret);
	*done = g->done;
	free(g->call.out);
	pthread_cond_destroy(&g->landed);
	pthread_mutex_destroy(&g->lock);
	free(g);
	return ret;
}
