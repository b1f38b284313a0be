// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: upcalls, their states, queues and waiters.
 *
 * Who may end a request is decided by who moves its state to DONE (or to
 * ANSWERING) under the instance's lock; that one has the queue's reference
 * from then on. All that can sleep (callbacks, copies, the last put with its
 * iput) comes after the lock is dropped.
 *
 * A request may pin an inode, and so may be the last thing that keeps a
 * superblock busy. Whoever holds a reference outside of a VFS operation on
 * that superblock (the queue, a read, a write) holds a user of the mount as
 * well, and drops the request first: kill_sb waits for the users.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/list_sort.h>
#include <linux/memcontrol.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "request.h"
#include "trace.h"

const char * const datafs_op_names[DATAFS_OP_NR] = DATAFS_OP_NAMES;

/* Ids are never reused, not even by an instance of the same name. */
static atomic64_t datafs_last_id = ATOMIC64_INIT(0);

/* ---------------------------------------------------------- life and death */

static struct datafs_request *
datafs_request_make(struct datafs_instance *inst, enum datafs_opcode op,
		    u32 body_len, gfp_t gfp)
{
	struct datafs_request *req;
	size_t body = round_up((size_t)body_len, 8);

	if (WARN_ON_ONCE(sizeof(req->head) + body > DATAFS_MSG_MAX))
		return NULL;
	req = kvzalloc(struct_size(req, body, body / 8), gfp | __GFP_ACCOUNT);
	if (!req)
		return NULL;
	refcount_set(&req->ref, 1);
	req->state = DATAFS_REQ_NEW;
	datafs_instance_get(inst);
	req->inst = inst;
	INIT_LIST_HEAD(&req->node);
	INIT_HLIST_NODE(&req->hash);
	INIT_LIST_HEAD(&req->change);
	init_completion(&req->done);
	req->head.len = sizeof(req->head) + body;
	req->head.opcode = op;
	return req;
}

struct datafs_request *datafs_request_alloc(struct datafs_mount *mnt,
					    enum datafs_opcode op, u64 ino,
					    u32 body_len, gfp_t gfp)
{
	struct datafs_request *req;

	req = datafs_request_make(mnt->inst, op, body_len, gfp);
	if (!req)
		return NULL;
	/* an UMOUNT outlives its mount */
	req->mnt = op == DATAFS_OP_UMOUNT ? NULL : mnt;
	req->head.mount_id = mnt->id;
	req->head.ino = ino;
	return req;
}

struct datafs_request *datafs_request_alloc_name(struct datafs_mount *mnt,
						 enum datafs_opcode op, u64 ino,
						 const char *name, u32 namelen)
{
	struct datafs_request *req;

	req = datafs_request_alloc(mnt, op, ino, namelen, GFP_KERNEL);
	if (!req)
		return NULL;
	req->head.namelen = namelen;
	memcpy(req->body, name, namelen);
	return req;
}

struct datafs_request *datafs_request_alloc_inst(struct datafs_instance *inst,
						 enum datafs_opcode op,
						 u32 body_len, gfp_t gfp)
{
	return datafs_request_make(inst, op, body_len, gfp);
}

void datafs_request_get(struct datafs_request *req)
{
	refcount_inc(&req->ref);
}

void datafs_request_put(struct datafs_request *req)
{
	if (!refcount_dec_and_test(&req->ref))
		return;
	iput(req->inode);
	mem_cgroup_put(req->memcg);
	kfree(req->private);
	kvfree(req->reply);
	datafs_instance_put(req->inst);
	kvfree(req);
}

void datafs_request_put_user(struct datafs_request *req)
{
	struct datafs_mount *mnt = req->mnt;

	datafs_request_put(req);
	if (mnt)
		datafs_mount_put(mnt);
}

static bool datafs_request_is_under_way(const struct datafs_request *req)
{
	return req->state == DATAFS_REQ_PENDING || req->state == DATAFS_REQ_SENT;
}

static void datafs_request_pend(struct datafs_request *req)
{
	req->state = DATAFS_REQ_PENDING;
	list_move_tail(&req->node, &req->inst->pending);
	if (req->mnt)
		req->mnt->under_way++;
}

/* Those that waited until there are fewer. A reader's lock is inside of ours. */
static void datafs_requests_let(struct datafs_mount *mnt)
{
	struct datafs_request *req;

	lockdep_assert_held(&mnt->inst->lock);
	while (mnt->under_way < mnt->max_requests) {
		req = list_first_entry_or_null(&mnt->waiting,
					       struct datafs_request, node);
		if (!req)
			return;
		datafs_request_pend(req);
		wake_up_interruptible_poll(&mnt->inst->readers,
					   EPOLLIN | EPOLLRDNORM);
	}
}

void datafs_request_detach(struct datafs_request *req,
			   enum datafs_req_state state)
{
	bool room = req->mnt && datafs_request_is_under_way(req);

	lockdep_assert_held(&req->inst->lock);
	list_del_init(&req->node);
	list_del_init(&req->change);
	hlist_del_init(&req->hash);
	req->state = state;
	if (room) {
		req->mnt->under_way--;
		datafs_requests_let(req->mnt);
	}
}

void datafs_requests_limit(struct datafs_mount *mnt, unsigned int max)
{
	spin_lock(&mnt->inst->lock);
	WRITE_ONCE(mnt->max_requests, max);
	datafs_requests_let(mnt);
	spin_unlock(&mnt->inst->lock);
}

void datafs_request_tell(struct datafs_request *req)
{
	if (req->ended)
		req->ended(req);
	complete_all(&req->done);
}

/* ------------------------------------------------------- queueing, waiting */

/* Prefetches leave half of the room to those who wait. */
static bool datafs_mount_is_busy(const struct datafs_mount *mnt)
{
	return mnt->under_way >= mnt->max_requests / 2;
}

static bool datafs_mount_is_full(const struct datafs_mount *mnt)
{
	return mnt->under_way >= mnt->max_requests;
}

static int datafs_request_admit(struct datafs_request *req)
{
	struct datafs_instance *inst = req->inst;

	lockdep_assert_held(&inst->lock);
	if (inst->gone)
		return -ENOTCONN;
	/* UMOUNT and REVOKE_DONE: nobody waits, so nobody can deadlock */
	if (!req->mnt)
		return 0;
	if (list_empty(&req->mnt->node))
		return -ENOTCONN;
	/* nor for a RELEASE, which is owed, in whatever state */
	if (req->head.opcode == DATAFS_OP_RELEASE)
		return 0;
	if (req->mnt->state == DATAFS_STATE_ABORTED)
		return -ENOTCONN;
	/* who mounts now has nothing yet that could be worth a wait */
	if (req->head.opcode == DATAFS_OP_MOUNT && !inst->file)
		return -ENOTCONN;
	/* it would only pile up, and go out of date */
	if ((req->head.flags & DATAFS_REQ_PREFETCH) &&
	    req->mnt->state != DATAFS_STATE_LIVE)
		return -ENOTCONN;
	if ((req->head.flags & DATAFS_REQ_PREFETCH) &&
	    datafs_mount_is_busy(req->mnt))
		return -EAGAIN;
	/* a daemon that waits for itself would wait for ever */
	if (datafs_is_daemon(inst))
		return -EDEADLK;
	return 0;
}

int datafs_request_queue(struct datafs_request *req)
{
	struct datafs_instance *inst = req->inst;
	int err;

	if (WARN_ON_ONCE(req->state != DATAFS_REQ_NEW))
		return -EINVAL;
	spin_lock(&inst->lock);
	err = datafs_request_admit(req);
	if (!err) {
		datafs_request_get(req);
		if (req->mnt) {
			refcount_inc(&req->mnt->users);
			atomic64_inc(&req->mnt->requests[req->head.opcode]);
		}
		/* under the lock, so that the queue is in the order of ids */
		req->head.id = atomic64_inc_return(&datafs_last_id);
		if (datafs_request_changes(req))
			list_add_tail(&req->change, &req->mnt->changes);
		if (req->mnt && datafs_mount_is_full(req->mnt)) {
			req->state = DATAFS_REQ_WAITING;
			list_add_tail(&req->node, &req->mnt->waiting);
		} else {
			datafs_request_pend(req);
		}
		trace_datafs_request_queue(req);
	}
	spin_unlock(&inst->lock);
	/* the caller's reference keeps the instance */
	if (!err)
		wake_up_interruptible_poll(&inst->readers,
					   EPOLLIN | EPOLLRDNORM);
	return err;
}

/* Its waiter is killed: does it go on without, since a daemon may have had it? */
static bool datafs_request_leave(struct datafs_request *req)
{
	bool left;

	spin_lock(&req->inst->lock);
	left = datafs_request_changes(req) &&
	       (req->state == DATAFS_REQ_SENT ||
		(req->state == DATAFS_REQ_PENDING &&
		 (req->head.flags & DATAFS_REQ_RESEND)));
	if (left)
		req->left = true;
	spin_unlock(&req->inst->lock);
	return left;
}

int datafs_request_wait(struct datafs_request *req)
{
	datafs_count(req->mnt, DATAFS_STAT_WAITS, 1);
	if (wait_for_completion_state(&req->done, DATAFS_WAIT_STATE)) {
		if (datafs_request_leave(req))
			return -EINTR;
		datafs_request_end(req, -EINTR);
		/* not ours to end: its answer is being taken in, for nobody */
		if (!completion_done(&req->done) && !datafs_request_changes(req))
			return -EINTR;
		/* that of a change is only being kept, and waits for no daemon */
		wait_for_completion(&req->done);
	}
	return req->error;
}

int datafs_request_call(struct datafs_request *req)
{
	int err = datafs_request_queue(req);

	return err ? err : datafs_request_wait(req);
}

/* ------------------------------------------------------------------ ending */

void datafs_request_end(struct datafs_request *req, int error)
{
	struct datafs_instance *inst = req->inst;
	bool queued, ours;

	spin_lock(&inst->lock);
	queued = req->state == DATAFS_REQ_WAITING ||
		 datafs_request_is_under_way(req);
	ours = queued || req->state == DATAFS_REQ_NEW;
	if (ours) {
		datafs_request_detach(req, DATAFS_REQ_DONE);
		req->error = error;
		trace_datafs_request_answer(req, false);
	}
	spin_unlock(&inst->lock);
	if (ours)
		datafs_request_tell(req);
	if (queued)
		datafs_request_put_user(req);
}

/* @mnt: of that mount only, or NULL; @op: with that opcode only, or 0 */
static void datafs_requests_collect(struct list_head *from,
				    struct datafs_mount *mnt, int op, int error,
				    struct list_head *to)
{
	struct datafs_request *req, *next;

	list_for_each_entry_safe(req, next, from, node) {
		if ((mnt && req->mnt != mnt) || (op && req->head.opcode != op))
			continue;
		/* has no waiter, and is owed for as long as its mount lives */
		if (mnt && req->head.opcode == DATAFS_OP_RELEASE &&
		    !list_empty(&mnt->node))
			continue;
		datafs_request_detach(req, DATAFS_REQ_DONE);
		req->error = error;
		trace_datafs_request_answer(req, false);
		list_add_tail(&req->node, to);
	}
}

void datafs_requests_tell(struct list_head *taken)
{
	struct datafs_request *req, *next;

	/* DONE: nobody else touches their nodes */
	list_for_each_entry_safe(req, next, taken, node) {
		list_del_init(&req->node);
		datafs_request_tell(req);
		datafs_request_put_user(req);
	}
}

static unsigned int datafs_requests_among(const struct list_head *queue,
					  const struct datafs_mount *mnt, int op)
{
	const struct datafs_request *req;
	unsigned int n = 0;

	list_for_each_entry(req, queue, node)
		n += req->head.mount_id == mnt->id && req->head.opcode == op;
	return n;
}

unsigned int datafs_requests_count(struct datafs_mount *mnt, int op, bool sent)
{
	struct datafs_instance *inst = mnt->inst;
	unsigned int n;

	spin_lock(&inst->lock);
	if (sent)
		n = datafs_requests_among(&inst->sent, mnt, op);
	else
		n = datafs_requests_among(&inst->pending, mnt, op) +
		    datafs_requests_among(&mnt->waiting, mnt, op);
	spin_unlock(&inst->lock);
	return n;
}

static void datafs_requests_end_of(struct datafs_instance *inst,
				   struct datafs_mount *mnt, int error)
{
	LIST_HEAD(ended);

	spin_lock(&inst->lock);
	if (mnt) {
		WRITE_ONCE(mnt->abort_error, error);
		WRITE_ONCE(mnt->aborts, mnt->aborts + 1);
		/* first, or they would follow those that go */
		datafs_requests_collect(&mnt->waiting, mnt, 0, error, &ended);
	}
	datafs_requests_collect(&inst->sent, mnt, 0, error, &ended);
	datafs_requests_collect(&inst->pending, mnt, 0, error, &ended);
	spin_unlock(&inst->lock);
	datafs_requests_tell(&ended);
}

void datafs_requests_abort(struct datafs_mount *mnt, int error)
{
	datafs_requests_end_of(mnt->inst, mnt, error);
}

void datafs_requests_end_all(struct datafs_instance *inst, int error)
{
	datafs_requests_end_of(inst, NULL, error);
}

void datafs_requests_take_mounts(struct datafs_instance *inst, int error,
				 struct list_head *taken)
{
	lockdep_assert_held(&inst->lock);
	datafs_requests_collect(&inst->sent, NULL, DATAFS_OP_MOUNT, error, taken);
	datafs_requests_collect(&inst->pending, NULL, DATAFS_OP_MOUNT, error,
				taken);
}

static int datafs_request_cmp(void *priv, const struct list_head *a,
			      const struct list_head *b)
{
	const struct datafs_request *x, *y;

	x = list_entry(a, struct datafs_request, node);
	y = list_entry(b, struct datafs_request, node);
	return x->head.id > y->head.id;
}

void datafs_requests_requeue(struct datafs_instance *inst)
{
	struct datafs_request *req;

	lockdep_assert_held(&inst->lock);
	list_for_each_entry(req, &inst->sent, node) {
		hlist_del_init(&req->hash);
		req->head.flags |= DATAFS_REQ_RESEND;
		req->state = DATAFS_REQ_PENDING;
		atomic64_inc(&inst->requeued[req->head.opcode]);
		trace_datafs_request_requeue(req);
	}
	list_splice_init(&inst->sent, &inst->pending);
	list_sort(NULL, &inst->pending, datafs_request_cmp);
}
