// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "frontend.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* Reply buffers kept for the next request. */
#define SPARE_MAX	8
/* At the most so many wait for other machines; more wait for these. */
#define ELSEWHERE	32
/* Requests kept for those that are told once. */
#define RESERVE		16

struct request;

struct datafs_frontend {
	int fd;
	struct datafs_loop *loop;
	struct datafs_pool *pool;
	/* A UMOUNT must not overtake its MOUNT. */
	struct datafs_pool *mounts_worker;
	/*
	 * What may wait for other machines, apart: however long that takes, and however
	 * many wait, nobody else does.
	 */
	struct datafs_pool *elsewhere, *elsewhere_mounts;
	/* Workers may be waiting for space that a REVOKE_DONE sets free. */
	struct datafs_pool *revoked_worker;
	struct datafs_vfs *vfs;
	void (*changed)(void *arg);
	void *changed_arg;
	struct datafs_event read;
	char *buf;			/* DATAFS_MSG_MAX, of the loop */
	atomic_bool lost;
	atomic_bool stopping;		/* set before the vfs is */
	atomic_uint mounting;		/* MOUNT, UMOUNT taken, not yet answered */
	atomic_bool ever;

	pthread_mutex_t lock;		/* protects all below */
	void *spare[SPARE_MAX];
	int nspare;
	struct request *reserve;	/* ONCE_SIZE each */
	int nreserve;
	pthread_cond_t returned;	/* one came back to the reserve */
};

static const char *const op_names[DATAFS_OP_NR] = DATAFS_OP_NAMES;

struct request {
	struct datafs_job job;
	struct datafs_frontend *f;
	bool passed_on;
	struct datafs_req head;
	uint64_t body[];
};

/* Room for any request that is told once. */
#define ONCE_SIZE	(sizeof(struct request) + DATAFS_ONCE_BODY + sizeof(uint64_t))

static void reserve_put(struct datafs_frontend *f, struct request *r)
{
	bool keep;

	pthread_mutex_lock(&f->lock);
	keep = f->nreserve < RESERVE;
	if (keep) {
		r->job.next = (struct datafs_job *)f->reserve;
		f->reserve = r;
		f->nreserve++;
		pthread_cond_signal(&f->returned);
	}
	pthread_mutex_unlock(&f->lock);
	if (!keep)
		free(r);
}

/*
 * Waits if need be: those who have one need neither memory nor the loop to be
 * done with it.
 */
static struct request *reserve_get(struct datafs_frontend *f)
{
	struct request *r;

	pthread_mutex_lock(&f->lock);
	while (!f->reserve)
		pthread_cond_wait(&f->returned, &f->lock);
	r = f->reserve;
	f->reserve = (struct request *)r->job.next;
	f->nreserve--;
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* NULL: no memory, and the request may fail. */
static struct request *request_alloc(struct datafs_frontend *f,
				     const struct datafs_req *req)
{
	struct request *r;

	if (!datafs_shapes[req->opcode].once)
		return malloc(offsetof(struct request, head) + req->len +
			      sizeof(r->body[0]));
	r = malloc(ONCE_SIZE);
	if (!r)
		r = reserve_get(f);
	return r;
}

static void *spare_get(struct datafs_frontend *f)
{
	void *buf = NULL;

	pthread_mutex_lock(&f->lock);
	if (f->nspare)
		buf = f->spare[--f->nspare];
	pthread_mutex_unlock(&f->lock);
	return buf ? buf : malloc(DATAFS_MSG_MAX);
}

static void spare_put(struct datafs_frontend *f, void *buf)
{
	pthread_mutex_lock(&f->lock);
	if (f->nspare < SPARE_MAX) {
		f->spare[f->nspare++] = buf;
		buf = NULL;
	}
	pthread_mutex_unlock(&f->lock);
	free(buf);
}

/* Writes one reply; @rep has room for its head before the body. */
static void reply(struct datafs_frontend *f, const struct datafs_req *req,
		  struct datafs_rep *rep, int error, uint32_t body)
{
	ssize_t n;

	*rep = (struct datafs_rep) {
		.len = sizeof(*rep) + (error ? 0 : body),
		.error = error, .id = req->id,
	};
	do
		n = write(f->fd, rep, rep->len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)rep->len)
		return;
	if (n >= 0)
		errno = EIO;
	/* Fenced or unloaded: the read on the loop tells, once. */
	if (errno != ENOTCONN && !atomic_load(&f->lost))
		datafs_log(LOG_ERR, "request %llu: the module does not take the reply: %s",
			   (unsigned long long)req->id, strerror(errno));
}

static void request_done(struct request *r)
{
	struct datafs_frontend *f = r->f;

	if (datafs_shapes[r->head.opcode].lane == DATAFS_LANE_MOUNTS) {
		atomic_fetch_sub(&f->mounting, 1);
		f->changed(f->changed_arg);
	}
	if (datafs_shapes[r->head.opcode].once)
		reserve_put(f, r);
	else
		free(r);
}

/*
 * The worker of mounts has done with what came before a UMOUNT. If its mount is not
 * served from here, the other one may still be at the MOUNT.
 */
static bool pass_on(struct request *r)
{
	struct datafs_frontend *f = r->f;

	if (r->head.opcode != DATAFS_OP_UMOUNT || r->passed_on ||
	    !datafs_vfs_elsewhere(f->vfs, &r->head, r->body))
		return false;
	r->passed_on = true;
	datafs_pool_add(f->elsewhere_mounts, &r->job, DATAFS_PRIO_WAITED);
	return true;
}

static void request_run(struct datafs_job *job)
{
	struct request *r = (struct request *)job;
	struct datafs_call call = { .req = &r->head, .body = r->body };
	struct datafs_frontend *f = r->f;
	bool bare = datafs_shapes[r->head.opcode].once;
	struct datafs_rep head = { 0 }, *rep;
	bool unanswered;
	int ret;

	if (pass_on(r))
		return;
	/* What has not begun the module asks the next daemon again. */
	if (datafs_shapes[r->head.opcode].lane == DATAFS_LANE_POOL && atomic_load(&f->stopping)) {
		request_done(r);
		return;
	}
	rep = bare ? &head : spare_get(f);
	if (!rep) {
		reply(f, &r->head, &head, -ENOMEM, 0);
		request_done(r);
		return;
	}
	if (r->head.namelen)
		memcpy(call.name, (char *)r->body + datafs_shapes[r->head.opcode].body,
		       r->head.namelen);
	call.out = bare ? NULL : rep + 1;
	ret = datafs_vfs_call(f->vfs, &call);
	/* Nobody may see that there was no room in the end: asked again. */
	unanswered = ret == -ESHUTDOWN && atomic_load(&f->stopping);
	if (ret > 0 || ret < -4095) {
		datafs_log(LOG_ERR, "%s of inode %llu: result %d is no errno",
			   op_names[r->head.opcode],
			   (unsigned long long)r->head.ino, ret);
		ret = -EIO;
	}
	if (!unanswered)
		reply(f, &r->head, rep, ret, call.out_len);
	datafs_vfs_finish(f->vfs, &call);
	if (!bare)
		spare_put(f, rep);
	request_done(r);
}

static struct datafs_pool *pool_of(struct datafs_frontend *f, const struct datafs_req *req,
				   const void *body, enum datafs_lane lane)
{
	if (lane == DATAFS_LANE_REVOKED)
		return f->revoked_worker;
	/* See pass_on(). */
	if (req->opcode == DATAFS_OP_UMOUNT || !datafs_vfs_elsewhere(f->vfs, req, body))
		return lane == DATAFS_LANE_POOL ? f->pool : f->mounts_worker;
	return lane == DATAFS_LANE_POOL ? f->elsewhere : f->elsewhere_mounts;
}

static void request_queue(struct datafs_frontend *f,
			  const struct datafs_req *req)
{
	const void *body = req + 1;
	const char *wrong;
	struct datafs_rep rep;
	struct request *r;
	enum datafs_lane lane;

	if (!req->opcode || req->opcode >= DATAFS_OP_NR) {
		reply(f, req, &rep, -ENOSYS, 0);
		return;
	}
	wrong = datafs_request_check(req, body);
	if (wrong) {
		datafs_log(LOG_ERR, "request %llu (%s) of the module: %s",
			   (unsigned long long)req->id, op_names[req->opcode],
			   wrong);
		reply(f, req, &rep, -EIO, 0);
		return;
	}
	r = request_alloc(f, req);
	if (!r) {
		reply(f, req, &rep, -ENOMEM, 0);
		return;
	}
	r->f = f;
	r->passed_on = false;
	r->job.run = request_run;
	memcpy(&r->head, req, sizeof(*req));
	memcpy(r->body, body, req->len - sizeof(*req));
	lane = datafs_shapes[req->opcode].lane;
	if (lane == DATAFS_LANE_MOUNTS) {
		atomic_fetch_add(&f->mounting, 1);
		if (req->opcode == DATAFS_OP_MOUNT)
			atomic_store(&f->ever, true);
	}
	datafs_pool_add(pool_of(f, req, body, lane), &r->job,
			lane == DATAFS_LANE_POOL && req->flags & DATAFS_REQ_PREFETCH ?
			DATAFS_PRIO_AHEAD : DATAFS_PRIO_WAITED);
}

static void take_requests(struct datafs_frontend *f, uint32_t have)
{
	uint32_t at = 0;

	while (at < have) {
		const struct datafs_req *req = (const void *)(f->buf + at);

		if (have - at < sizeof(*req) || req->len < sizeof(*req) ||
		    req->len % 8 || req->len > have - at) {
			datafs_log(LOG_ERR, "the module sent %u bytes that are no request: dropped",
				   have - at);
			return;
		}
		request_queue(f, req);
		at += req->len;
	}
}

static void lost(struct datafs_frontend *f, int err)
{
	datafs_log(LOG_ERR, "/dev/" DATAFS_DEVICE ": %s: ending",
		   err == -ENOTCONN ? "another daemon has taken over" :
		   err ? strerror(-err) : "end of file");
	atomic_store(&f->lost, true);
	datafs_loop_stop(f->loop);
}

static void have_read(struct datafs_event *ev, int res)
{
	struct datafs_frontend *f = (void *)((char *)ev -
				offsetof(struct datafs_frontend, read));

	if (res <= 0 && res != -EINTR && res != -EAGAIN) {
		lost(f, res);
		return;
	}
	if (res > 0)
		take_requests(f, res);
	res = datafs_loop_read(f->loop, &f->read, f->fd, f->buf, DATAFS_MSG_MAX);
	if (res)
		lost(f, res);
}

static int reserve_fill(struct datafs_frontend *f)
{
	struct request *r;

	for (int i = 0; i < RESERVE; i++) {
		r = malloc(ONCE_SIZE);
		if (!r)
			return -ENOMEM;
		reserve_put(f, r);
	}
	return 0;
}

int datafs_frontend_new(int fd, struct datafs_loop *loop,
			struct datafs_pool *pool, struct datafs_vfs *vfs,
			void (*changed)(void *arg), void *arg,
			struct datafs_frontend **res)
{
	struct datafs_frontend *f = calloc(1, sizeof(*f));
	int ret = -ENOMEM;

	if (!f)
		return ret;
	f->fd = fd;
	f->loop = loop;
	f->pool = pool;
	f->vfs = vfs;
	f->changed = changed;
	f->changed_arg = arg;
	f->read.fn = have_read;
	/* taken over */
	atomic_store(&f->ever, datafs_vfs_mounts(vfs) > 0);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->returned, NULL);
	f->buf = malloc(DATAFS_MSG_MAX);
	if (f->buf)
		ret = reserve_fill(f);
	if (!ret)
		ret = datafs_pool_new(1, &f->mounts_worker);
	if (!ret)
		ret = datafs_pool_new(1, &f->revoked_worker);
	if (!ret)
		ret = datafs_pool_new(ELSEWHERE, &f->elsewhere);
	if (!ret)
		ret = datafs_pool_new(1, &f->elsewhere_mounts);
	if (!ret)
		ret = datafs_loop_read(loop, &f->read, fd, f->buf,
				       DATAFS_MSG_MAX);
	if (ret) {
		datafs_frontend_free(f);
		return ret;
	}
	*res = f;
	return 0;
}

/* What they do may need the pool of all others, which ends after them. */
static void end_workers(struct datafs_frontend *f)
{
	datafs_pool_free(f->elsewhere);
	/* It passes on to the next one. */
	datafs_pool_free(f->mounts_worker);
	datafs_pool_free(f->elsewhere_mounts);
	datafs_pool_free(f->revoked_worker);
	f->elsewhere = f->mounts_worker = f->elsewhere_mounts = f->revoked_worker = NULL;
}

void datafs_frontend_stop(struct datafs_frontend *f)
{
	atomic_store(&f->stopping, true);
	datafs_vfs_stop(f->vfs);
	datafs_loop_cancel(f->loop, &f->read);
	end_workers(f);
}

void datafs_frontend_free(struct datafs_frontend *f)
{
	if (!f)
		return;
	end_workers(f);
	while (f->nspare)
		free(f->spare[--f->nspare]);
	while (f->nreserve)
		free(reserve_get(f));
	pthread_cond_destroy(&f->returned);
	pthread_mutex_destroy(&f->lock);
	free(f->buf);
	free(f);
}

bool datafs_frontend_mounted(struct datafs_frontend *f, bool *ever)
{
	*ever = atomic_load(&f->ever);
	/* In this order: a mount is in the table before it stops mounting. */
	return atomic_load(&f->mounting) || datafs_vfs_mounts(f->vfs);
}

bool datafs_frontend_lost(struct datafs_frontend *f)
{
	return atomic_load(&f->lost);
}
