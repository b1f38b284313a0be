// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: data upcalls. Who needs an extent asks once; who comes while the
 * answer is under way waits for that one.
 */
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "datafs.h"

/* How often one range is asked for before its reader gets an error. */
#define DATAFS_MISS_TRIES	64
/* Prefetches under way for one inode, and bytes of one: more would pile up. */
#define DATAFS_PREFETCH_MAX	2
#define DATAFS_PREFETCH_LEN	(2u << 20)

static struct datafs_ask *datafs_ask_of(struct datafs_request *req)
{
	return req->private;
}

/* In the daemon's write(2). */
static int datafs_ask_install(struct datafs_request *req, const void *body,
			      u32 len)
{
	struct datafs_ask *ask = datafs_ask_of(req);
	const struct datafs_extent *ext;
	struct datafs_extent_rep rep;
	struct mem_cgroup *old;
	const __u32 *crc;
	int err;

	err = datafs_reply_extents(body, len, &rep, &ext, &crc);
	if (err)
		return err;
	if (!rep.count)
		return ask->prefetch ? 0 : -EIO;
	old = set_active_memcg(req->memcg);
	err = datafs_ext_install(ask, req->head.seq, req->epoch, &rep, ext, crc);
	set_active_memcg(old);
	return err;
}

static void datafs_ask_ended(struct datafs_request *req)
{
	struct datafs_ask *ask = datafs_ask_of(req);
	struct datafs_inode *di = ask->di;

	spin_lock(&di->extent_lock);
	list_del_init(&ask->node);
	spin_unlock(&di->extent_lock);
	wake_up_all(&di->answered);
}

/* The ask under way that covers @off. */
static struct datafs_ask *datafs_ask_find(struct datafs_inode *di, u64 off)
{
	struct datafs_ask *ask;

	lockdep_assert_held(&di->extent_lock);
	list_for_each_entry(ask, &di->asking, node)
		if (ask->off <= off && off < ask->end)
			return ask;
	return NULL;
}

static bool datafs_ask_under_way(struct datafs_inode *di, u64 off)
{
	bool res;

	spin_lock(&di->extent_lock);
	res = datafs_ask_find(di, off);
	spin_unlock(&di->extent_lock);
	return res;
}

/*
 * Makes the request and puts its ask on the list; NULL if another ask covers
 * @off or, for a prefetch, enough are under way. @bad: what to report, or NULL.
 */
static struct datafs_request *
datafs_ask_make(struct inode *inode, u64 off, u64 end, bool prefetch,
		const struct datafs_bad_extent_req *bad, gfp_t gfp)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	struct datafs_extent_req *want;
	struct datafs_request *req;
	struct datafs_ask *ask, *other;
	int prefetches = 0;
	bool join;

	req = datafs_request_alloc(mnt, bad ? DATAFS_OP_BAD_EXTENT :
				   DATAFS_OP_EXTENT, inode->i_ino,
				   bad ? sizeof(*bad) : sizeof(*want), gfp);
	if (!req)
		return ERR_PTR(-ENOMEM);
	ask = kzalloc(sizeof(*ask), gfp);
	if (!ask) {
		datafs_request_put(req);
		return ERR_PTR(-ENOMEM);
	}
	ask->di = di;
	ask->off = off;
	ask->end = end;
	ask->prefetch = prefetch;
	INIT_LIST_HEAD(&ask->node);
	req->private = ask;
	ihold(inode);
	req->inode = inode;
	req->memcg = get_mem_cgroup_from_mm(current->mm);
	req->install = datafs_ask_install;
	req->ended = datafs_ask_ended;
	if (prefetch)
		req->head.flags |= DATAFS_REQ_PREFETCH;

	if (bad)
		*(struct datafs_bad_extent_req *)req->body = *bad;
	want = (struct datafs_extent_req *)req->body;
	want->off = off;
	want->len = end - off;

	spin_lock(&di->extent_lock);
	if (!bad)
		want->content = di->extent_content;
	join = !bad && datafs_ask_find(di, off);
	if (prefetch)
		list_for_each_entry(other, &di->asking, node)
			prefetches += other->prefetch;
	if (!want->content || join || prefetches >= DATAFS_PREFETCH_MAX) {
		spin_unlock(&di->extent_lock);
		datafs_request_put(req);
		return NULL;
	}
	list_add_tail(&ask->node, &di->asking);
	spin_unlock(&di->extent_lock);
	return req;
}

/* Queued or not, the ask leaves the list before its request goes. */
static int datafs_ask_queue(struct datafs_request *req)
{
	int err = datafs_request_queue(req);

	if (err)
		datafs_ask_ended(req);
	return err;
}

void datafs_miss_prefetch(struct inode *inode, u64 off, u64 end)
{
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	struct datafs_request *req;

	off = round_down(off, DATAFS_GRANULE);
	end = min(end, datafs_eof(inode));
	if (off >= end)
		return;
	off = datafs_ext_gap(datafs_i(inode), off, end);
	end = min(round_up(end, DATAFS_GRANULE), off + DATAFS_PREFETCH_LEN);
	if (off >= end)
		return;
	req = datafs_ask_make(inode, off, end, true, NULL,
			      GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN);
	if (IS_ERR_OR_NULL(req))
		return;
	if (!datafs_ask_queue(req))
		datafs_count(mnt, DATAFS_STAT_PREFETCHES, 1);
	datafs_request_put(req);
}

/* One upcall for [@off, @end), or a wait for the one that is under way. */
static int datafs_miss_once(struct inode *inode, u64 off, u64 end,
			    const struct datafs_bad_extent_req *bad)
{
	struct datafs_mount *mnt = datafs_mnt(inode->i_sb);
	unsigned int aborts = READ_ONCE(mnt->aborts);
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_request *req;
	int err;

	req = datafs_ask_make(inode, off, end, false, bad, GFP_KERNEL);
	if (IS_ERR(req))
		return PTR_ERR(req);
	if (!req) {
		if (!READ_ONCE(di->extent_content))
			return -EAGAIN;
		/* A daemon that waits for its own answer waits for ever. */
		if (datafs_is_daemon(mnt->inst))
			return -EDEADLK;
		datafs_count(mnt, DATAFS_STAT_WAITS, 1);
		/* who ends it, ends those who joined, too, whoever asks anew */
		if (wait_event_state(di->answered,
				     READ_ONCE(mnt->aborts) != aborts ||
				     !datafs_ask_under_way(di, off),
				     DATAFS_WAIT_STATE))
			return -EINTR;
		return READ_ONCE(mnt->aborts) == aborts ? 0 :
		       READ_ONCE(mnt->abort_error);
	}
	err = datafs_ask_queue(req);
	if (!err) {
		datafs_count(mnt, DATAFS_STAT_EXTENT_MISSES, 1);
		err = datafs_request_wait(req);
	}
	datafs_request_put(req);
	return err;
}

/* If a checksum in the range did not hold, say so, and have it again. */
static int datafs_miss_report(struct inode *inode, u64 off, u64 end)
{
	struct datafs_inode *di = datafs_i(inode);
	struct datafs_bad_extent_req bad;
	bool pending;

	spin_lock(&di->extent_lock);
	bad = di->bad;
	/* Readers of other places have no part in it. */
	pending = di->bad_pending && bad.want.off >= off && bad.want.off < end;
	if (pending)
		di->bad_pending = false;
	spin_unlock(&di->extent_lock);
	if (!pending)
		return 0;
	return datafs_miss_once(inode, bad.want.off,
				bad.want.off + bad.want.len, &bad);
}

int datafs_miss_resolve(struct inode *inode, u64 off, u64 end)
{
	struct datafs_inode *di = datafs_i(inode);
	int err, tries = 0;
	u64 gap, next;

	might_sleep();
	off = round_down(off, DATAFS_GRANULE);
	while (tries++ < DATAFS_MISS_TRIES) {
		/* A new content may be shorter. */
		next = min(round_up(end, DATAFS_GRANULE), datafs_eof(inode));
		if (off >= next)
			return 0;

		err = !READ_ONCE(di->bad_pending) ? 0 :
		      datafs_miss_report(inode, off, next);
		if (!err) {
			gap = datafs_ext_gap(di, off, next);
			if (gap >= next)
				return 0;
			/*
			 * What was there once counts: with a cache smaller
			 * than the range the beginning may go while the end
			 * comes, and the readers come again anyway.
			 */
			if (gap > off)
				tries = 1;
			off = gap;
			err = datafs_miss_once(inode, off, next, NULL);
		}
		if (err == -ESTALE || err == -EAGAIN) {
			/*
			 * The content is not the current one, for one side or
			 * the other: learn which it is. Waits for a
			 * publication that is under way.
			 */
			int err2 = datafs_inode_revalidate(inode, true);

			if (err2)
				return err2;
			if (err == -ESTALE && tries > 8)
				return err;
			continue;
		}
		if (err)
			return err;
	}
	pr_warn_ratelimited("datafs: mount %u: inode %llu: no extent for offset %llu after %d answers of the daemon\n",
			    datafs_mnt(inode->i_sb)->id, (u64)inode->i_ino,
			    off, DATAFS_MISS_TRIES);
	return -EIO;
}
