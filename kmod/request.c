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

#include <linux/hash.h>
#include <linux/list_sort.h>
#include <linux/log2.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "datafs.h"
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

	if (WARN_ON_ONCE(sizeof(req->head) + body > DATAFS_READ_MIN))
		return NULL;
	req = kzalloc(struct_size(req, body, body / 8), gfp | __GFP_ACCOUNT);
	if (!req)
		return NULL;
	refcount_set(&req->ref, 1);
	req->state = DATAFS_REQ_NEW;
	datafs_instance_get(inst);
	req->inst = inst;
	INIT_LIST_HEAD(&req->node);
	INIT_HLIST_NODE(&req->hash);
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

static void datafs_request_get(struct datafs_request *req)
{
	refcount_inc(&req->ref);
}

void datafs_request_put(struct datafs_request *req)
{
	if (!refcount_dec_and_test(&req->ref))
		return;
	iput(req->inode);
	kfree(req->private);
	kvfree(req->reply);
	datafs_instance_put(req->inst);
	kfree(req);
}

/* Drops a reference that has a user of the mount beside it, in that order. */
static void datafs_request_put_user(struct datafs_request *req)
{
	struct datafs_mount *mnt = req->mnt;

	datafs_request_put(req);
	if (mnt)
		datafs_mount_put(mnt);
}

/*
 * Takes it from the queues for its end; the caller now has what the queue had.
 */
static void datafs_request_detach(struct datafs_request *req,
				  enum datafs_req_state state)
{
	lockdep_assert_held(&req->inst->lock);
	list_del_init(&req->node);
	hlist_del_init(&req->hash);
	req->state = state;
}

/* After it is DONE and @error is set: tells everybody. */
static void datafs_request_tell(struct datafs_request *req)
{
	if (req->ended)
		req->ended(req);
	complete_all(&req->done);
}

/* ------------------------------------------------------- queueing, waiting */

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
	if (req->mnt->state == DATAFS_STATE_ABORTED)
		return -ENOTCONN;
	/* who mounts now has nothing yet that could be worth a wait */
	if (req->head.opcode == DATAFS_OP_MOUNT && !inst->file)
		return -ENOTCONN;
	/* it would only pile up, and go out of date */
	if ((req->head.flags & DATAFS_REQ_PREFETCH) &&
	    req->mnt->state != DATAFS_STATE_LIVE)
		return -ENOTCONN;
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
		req->state = DATAFS_REQ_PENDING;
		list_add_tail(&req->node, &inst->pending);
		trace_datafs_request_queue(req);
	}
	spin_unlock(&inst->lock);
	/* the caller's reference keeps the instance */
	if (!err)
		wake_up_interruptible_poll(&inst->readers,
					   EPOLLIN | EPOLLRDNORM);
	return err;
}

int datafs_request_wait(struct datafs_request *req)
{
	if (wait_for_completion_state(&req->done, DATAFS_WAIT_STATE)) {
		datafs_request_end(req, -EINTR);
		/* not ours to end: its answer is being taken in, for nobody */
		if (!completion_done(&req->done))
			return -EINTR;
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
	queued = req->state == DATAFS_REQ_PENDING ||
		 req->state == DATAFS_REQ_SENT;
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

unsigned int datafs_requests_count(struct datafs_mount *mnt, int op,
				   enum datafs_req_state state)
{
	struct datafs_instance *inst = mnt->inst;
	struct datafs_request *req;
	unsigned int n = 0;

	spin_lock(&inst->lock);
	list_for_each_entry(req, state == DATAFS_REQ_SENT ? &inst->sent :
			    &inst->pending, node)
		n += req->head.mount_id == mnt->id && req->head.opcode == op;
	spin_unlock(&inst->lock);
	return n;
}

static void datafs_requests_end_of(struct datafs_instance *inst,
				   struct datafs_mount *mnt, int error)
{
	LIST_HEAD(ended);

	spin_lock(&inst->lock);
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

/* -------------------------------------------------------- the daemon reads */

static struct hlist_head *datafs_sent_bucket(struct datafs_instance *inst,
					     u64 id)
{
	return &inst->sent_hash[hash_64(id, ilog2(ARRAY_SIZE(inst->sent_hash)))];
}

/*
 * PENDING becomes SENT before the daemon can see it, so that an answer which
 * races with the end of the read finds it. The sequence is of the same moment:
 * what is invalidated from now on has a higher one, and an answer that was
 * made with the knowledge from before is recognised. @head is a snapshot,
 * since a requeue may change the flags during the copy.
 */
static struct datafs_request *datafs_request_send(struct datafs_instance *inst,
						  struct file *file, size_t room,
						  struct datafs_req *head)
{
	struct datafs_request *req;

	spin_lock(&inst->lock);
	if (inst->file != file) {
		spin_unlock(&inst->lock);
		return ERR_PTR(-ENOTCONN);
	}
	req = list_first_entry_or_null(&inst->pending, struct datafs_request,
				       node);
	if (req && req->head.len > room)
		req = NULL;
	if (req) {
		if (req->mnt) {
			req->head.seq = atomic64_read(&req->mnt->seq);
			refcount_inc(&req->mnt->users);
		}
		datafs_request_get(req);
		req->state = DATAFS_REQ_SENT;
		list_move_tail(&req->node, &inst->sent);
		hlist_add_head(&req->hash,
			       datafs_sent_bucket(inst, req->head.id));
		*head = req->head;
		trace_datafs_request_send(req);
	}
	spin_unlock(&inst->lock);
	return req;
}

/* The daemon's buffer faulted: another read shall have it. */
static void datafs_request_unsend(struct datafs_instance *inst,
				  struct file *file, struct datafs_request *req)
{
	bool pending = false;

	spin_lock(&inst->lock);
	/* with another daemon it has been requeued, and may be that one's now */
	if (inst->file == file && req->state == DATAFS_REQ_SENT) {
		hlist_del_init(&req->hash);
		req->state = DATAFS_REQ_PENDING;
		list_move(&req->node, &inst->pending);
		pending = true;
	}
	spin_unlock(&inst->lock);
	if (pending)
		wake_up_interruptible_poll(&inst->readers,
					   EPOLLIN | EPOLLRDNORM);
}

static bool datafs_requests_ready(struct datafs_instance *inst,
				  struct file *file)
{
	return READ_ONCE(inst->file) != file ||
	       !list_empty_careful(&inst->pending);
}

/* Copies out what is pending and fits. Returns bytes, or an error if none. */
static ssize_t datafs_requests_copy(struct datafs_instance *inst,
				    struct file *file, struct iov_iter *to)
{
	struct datafs_request *req;
	struct datafs_req head;
	ssize_t copied = 0;
	bool ok;

	for (;;) {
		req = datafs_request_send(inst, file, iov_iter_count(to), &head);
		if (IS_ERR(req))
			return copied ? copied : PTR_ERR(req);
		if (!req)
			return copied;
		ok = copy_to_iter(&head, sizeof(head), to) == sizeof(head) &&
		     copy_to_iter(req->body, head.len - sizeof(head), to) ==
		     head.len - sizeof(head);
		if (!ok)
			datafs_request_unsend(inst, file, req);
		datafs_request_put_user(req);
		if (!ok)
			return copied ? copied : -EFAULT;
		copied += head.len;
	}
}

ssize_t datafs_requests_read(struct datafs_instance *inst, struct file *file,
			     struct iov_iter *to, bool nonblock)
{
	ssize_t ret;

	if (iov_iter_count(to) < DATAFS_READ_MIN)
		return -EINVAL;
	for (;;) {
		ret = datafs_requests_copy(inst, file, to);
		if (ret)
			return ret;
		if (nonblock)
			return -EAGAIN;
		/* exclusive: one request wakes one of the idle threads */
		ret = wait_event_interruptible_exclusive(inst->readers,
					datafs_requests_ready(inst, file));
		if (ret)
			return ret;
	}
}

/* ------------------------------------------------------ the daemon answers */

int datafs_request_bad(struct datafs_request *req, const char *what)
{
	if (req->mnt)
		datafs_count(req->mnt, DATAFS_STAT_REPLIES_BAD, 1);
	pr_warn_ratelimited("mount %u: the daemon of instance %s answered %s of inode %llu (request %llu) wrongly: %s; its caller gets EIO\n",
			    req->head.mount_id, req->inst->name,
			    datafs_op_names[req->head.opcode], req->head.ino,
			    req->head.id, what);
	return -EIO;
}

/* SENT becomes ANSWERING: from here on only the caller may end it. */
static struct datafs_request *datafs_request_claim(struct datafs_instance *inst,
						   struct file *file, u64 id)
{
	struct datafs_request *req;

	spin_lock(&inst->lock);
	if (inst->file != file) {
		spin_unlock(&inst->lock);
		return ERR_PTR(-ENOTCONN);
	}
	hlist_for_each_entry(req, datafs_sent_bucket(inst, id), hash)
		if (req->head.id == id)
			break;
	if (req) {
		datafs_request_detach(req, DATAFS_REQ_ANSWERING);
		req->epoch = inst->epoch;
	}
	spin_unlock(&inst->lock);
	return req;
}

/*
 * What the reply says, as the caller's error. Errors from 512 on are the
 * kernel's own (ERESTARTSYS, EIOCBQUEUED ...) and must not come from outside,
 * nor what means something to those who wait: EINTR is a killed waiter's, and
 * DATAFS_AGAIN the page cache's.
 */
static bool datafs_errno_ok(int error)
{
	return error <= 0 && error > -512 && error != -EINTR &&
	       error != -DATAFS_AGAIN;
}

/* Takes over @body, or an error of having it. */
static int datafs_request_take(struct datafs_request *req,
			       const struct datafs_rep *rep, void *body)
{
	u32 len = rep->len - sizeof(*rep);
	int err;

	if (!datafs_errno_ok(rep->error))
		return datafs_request_bad(req, "no errno");
	if (rep->error && len)
		return datafs_request_bad(req, "an error with a body");
	if (rep->error)
		return rep->error;
	if (PTR_ERR_OR_ZERO(body) == -EFAULT)
		return datafs_request_bad(req, "unreadable body");
	if (IS_ERR(body))
		return PTR_ERR(body);
	if (!req->install) {
		req->reply = body;
		req->reply_len = len;
		return 0;
	}
	err = req->install(req, body, len);
	kvfree(body);
	if (err == -EIO)
		datafs_request_bad(req, "its body breaks the contract");
	return err;
}

static void datafs_request_answer(struct datafs_request *req,
				  const struct datafs_rep *rep, void *body)
{
	int err = datafs_request_take(req, rep, body);

	spin_lock(&req->inst->lock);
	req->error = err;
	req->state = DATAFS_REQ_DONE;
	trace_datafs_request_answer(req, true);
	spin_unlock(&req->inst->lock);
	datafs_request_tell(req);
	datafs_request_put_user(req);
}

/* NULL if there is none. To be freed, unless it is an error. */
static void *datafs_request_body(const struct datafs_rep *rep,
				 struct iov_iter *from)
{
	u32 len = rep->len - sizeof(*rep);
	void *body;

	if (!len || rep->error)
		return NULL;
	body = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!body)
		return ERR_PTR(-ENOMEM);
	if (copy_from_iter_full(body, len, from))
		return body;
	kvfree(body);
	return ERR_PTR(-EFAULT);
}

/*
 * Takes one reply in. Returns the bytes it consumed, with its padding. The body
 * comes before the claim: of a daemon that is being killed the memory may go
 * first, and then its successor must get the request.
 */
static ssize_t datafs_request_write(struct datafs_instance *inst,
				    struct file *file, struct iov_iter *from)
{
	size_t left = iov_iter_count(from);
	struct datafs_request *req;
	struct datafs_rep rep;
	size_t used;
	void *body;

	if (left < sizeof(rep))
		return -EINVAL;
	if (!copy_from_iter_full(&rep, sizeof(rep), from))
		return -EFAULT;
	if (rep.len < sizeof(rep) || rep.len > DATAFS_MSG_MAX || rep.len > left)
		return -EINVAL;
	used = min_t(size_t, round_up((size_t)rep.len, 8), left);

	body = datafs_request_body(&rep, from);
	if (IS_ERR(body) && fatal_signal_pending(current))
		return -EINTR;
	req = datafs_request_claim(inst, file, rep.id);
	if (!IS_ERR_OR_NULL(req))
		datafs_request_answer(req, &rep, body);
	else if (!IS_ERR(body))
		kvfree(body);
	if (IS_ERR(req))
		return PTR_ERR(req);
	if (!req)
		atomic64_inc(&inst->replies_unknown);
	/* what was not looked at, or faulted, is passed over */
	iov_iter_advance(from, used - (left - iov_iter_count(from)));
	return used;
}

ssize_t datafs_requests_write(struct datafs_instance *inst, struct file *file,
			      struct iov_iter *from)
{
	ssize_t done = 0;
	ssize_t ret;

	do {
		ret = datafs_request_write(inst, file, from);
		if (ret < 0)
			return done ? done : ret;
		done += ret;
		cond_resched();
	} while (iov_iter_count(from) && !fatal_signal_pending(current));
	return done;
}
