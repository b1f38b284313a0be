// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: requests go out to a daemon, and its answers come in.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "request.h"
#include "trace.h"

/* -------------------------------------------------------- the daemon reads */

static struct hlist_head *datafs_sent_bucket(struct datafs_instance *inst,
					     u64 id)
{
	return &inst->sent_hash[hash_64(id, ilog2(ARRAY_SIZE(inst->sent_hash)))];
}

static void datafs_request_lowest(struct datafs_request *req)
{
	struct datafs_change_req *body = (struct datafs_change_req *)req->body;
	const struct datafs_request *first;

	first = list_first_entry(&req->mnt->changes, struct datafs_request,
				 change);
	/* a predecessor may be copying it still, who is heard no more */
	WRITE_ONCE(body->lowest, first->head.id);
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
		req = ERR_PTR(-EMSGSIZE);
	if (!IS_ERR_OR_NULL(req)) {
		if (req->mnt) {
			req->head.seq = atomic64_read(&req->mnt->seq);
			if (datafs_request_changes(req))
				datafs_request_lowest(req);
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
