// SPDX-License-Identifier: Apache-2.0
#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"

/*
 * A file that is young is looked at again so often within the time in which it
 * would settle, and for so many of those times: it may still be written to.
 */
#define SETTLE_LOOKS	2
#define SETTLE_TIMES	3

static int answer(struct vfs_mount *mnt, struct datafs_call *call,
		  const struct datafs_cache_want *want)
{
	struct datafs_extent_rep *rep = call->out;
	size_t ext_len, crc_len;
	char *p = (char *)(rep + 1);
	int ret;

	ret = datafs_cache_get(mnt->v->cache, want, &call->ans);
	if (ret)
		return ret;
	call->pinned = true;
	ext_len = call->ans.count * sizeof(struct datafs_extent);
	crc_len = call->ans.crcs * sizeof(uint32_t);
	if (!call->ans.count || sizeof(*rep) + ext_len + crc_len >
				DATAFS_REPLY_MAX) {
		datafs_log(LOG_ERR, "mount %u: inode %llu: %u extents with %u checksums do not make an answer",
			   mnt->id, (unsigned long long)call->req->ino,
			   call->ans.count, call->ans.crcs);
		return -EIO;
	}
	rep->content = want->key.content;
	rep->count = call->ans.count;
	rep->crcs = call->ans.crcs;
	memcpy(p, call->ans.ext, ext_len);
	memcpy(p + ext_len, call->ans.crc, crc_len);
	call->out_len = sizeof(*rep) + ext_len + crc_len;
	return 0;
}

static int answer_nothing(struct datafs_call *call, uint64_t content)
{
	struct datafs_extent_rep *rep = call->out;

	*rep = (struct datafs_extent_rep) { .content = content };
	call->out_len = sizeof(*rep);
	return 0;
}

/* Where the answer's first contiguous run ends. */
static uint64_t answer_end(const struct datafs_call *call, uint64_t off)
{
	for (uint32_t i = 0; i < call->ans.count; i++) {
		const struct datafs_extent *e = &call->ans.ext[i];

		if (e->off <= off && off < e->off + e->len)
			off = e->off + e->len;
	}
	return off;
}

/* ---- upcalls ---- */

int vfs_settle(struct vfs_mount *mnt, struct datafs_meta_inode *in)
{
	int64_t step = datafs_meta_settle(&in->st) / SETTLE_LOOKS + DATAFS_MSEC;
	struct timespec ts = {
		.tv_sec = step / DATAFS_SEC, .tv_nsec = step % DATAFS_SEC,
	};
	uint64_t content = in->content;
	int ret;

	for (int i = 0; i < SETTLE_LOOKS * SETTLE_TIMES && in->young; i++) {
		nanosleep(&ts, NULL);
		ret = vfs_getattr(mnt, in->ino, datafs_now(), in);
		if (ret)
			return ret;
		if (in->content != content)
			return -ESTALE;
	}
	return in->young ? -ESTALE : 0;
}

/* Bytes of a generation that is not the current one, if they are all here. */
static int extent_of_old(struct vfs_mount *mnt, struct datafs_call *call,
			 const struct datafs_extent_req *req)
{
	struct datafs_cache_want want = {
		.key = { call->req->ino, req->content },
		.page_size = mnt->options.page_size,
		.off = req->off, .len = req->len,
		.mount_id = mnt->id,
	};

	if (req->len > DATAFS_ANSWER_MAX ||
	    !datafs_cache_has(mnt->v->cache, &want.key, req->off, req->len))
		return -ESTALE;
	return answer(mnt, call, &want);
}

static int extent_of(struct vfs_mount *mnt, struct datafs_call *call,
		     const struct datafs_extent_req *req,
		     const struct datafs_meta_inode *in)
{
	struct datafs_vfs *v = mnt->v;
	struct datafs_read r = {
		.key = { in->ino, in->content }, .size = in->st.size,
		.off = req->off, .len = req->len,
		.prefetch = call->req->flags & DATAFS_REQ_PREFETCH,
		.part = mnt->part, .parts = datafs_ramp_limit(&mnt->ramp),
	};
	struct vfs_source src = { .mnt = mnt, .size = in->st.size, .fp = in->st.fp };
	struct datafs_cache_want want = {
		.key = r.key, .size = r.size,
		.page_size = mnt->options.page_size,
		.off = r.off, .max = DATAFS_ANSWER_MAX,
		.mount_id = mnt->id, .fetch = vfs_source_fetch, .arg = &src,
	};
	struct datafs_plan plan = datafs_streams_plan(v->streams, &r);
	uint64_t page = datafs_round_down(r.off, want.page_size), ahead = 0;
	int ret;

	want.len = plan.must;
	if (!want.len) {
		want.len = DATAFS_GRANULE;
		if (!datafs_cache_has(v->cache, &r.key, r.off, want.len))
			return answer_nothing(call, in->content);
	}
	ret = datafs_meta_key(v->meta, in->ino, &src.key);
	if (ret)
		return ret;
	want.class = vfs_policy_class(mnt, src.key);
	if (plan.now > r.off)
		vfs_fetch_parts(&src, &want, page, plan.now, true);
	if (plan.from < plan.to)
		ahead = vfs_fetch_parts(&src, &want, plan.from, plan.to, false);
	ret = answer(mnt, call, &want);
	free(src.key);
	if (!ret)
		datafs_streams_answered(v->streams, &r, answer_end(call, r.off),
					ahead);
	return ret;
}

int vfs_file(struct vfs_mount *mnt, uint64_t ino, struct datafs_meta_inode *in)
{
	int ret = datafs_meta_peek(mnt->v->meta, ino, in);

	if (!ret && (in->root != mnt->root || !S_ISREG(in->st.mode)))
		ret = -ESTALE;
	return ret;
}

static int extent(struct vfs_mount *mnt, struct datafs_call *call,
		  const struct datafs_extent_req *req)
{
	struct datafs_meta_inode in;
	int ret;

	if (req->off % DATAFS_GRANULE || req->len % DATAFS_GRANULE ||
	    !req->len || req->off + req->len < req->off) {
		datafs_log(LOG_ERR, "mount %u: inode %llu: asks for %llu bytes at %llu, which are no granules",
			   mnt->id, (unsigned long long)call->req->ino,
			   (unsigned long long)req->len,
			   (unsigned long long)req->off);
		return -EIO;
	}
	ret = vfs_file(mnt, call->req->ino, &in);
	if (ret)
		return ret;
	if (in.content != req->content)
		return extent_of_old(mnt, call, req);
	if (req->off >= in.st.size)
		return -EIO;
	if (in.young)
		ret = vfs_settle(mnt, &in);
	if (!ret)
		ret = extent_of(mnt, call, req, &in);
	/* Learn what is there now, so that the kernel can be told. */
	return ret ? vfs_lost(mnt, call->req->ino, ret) : 0;
}

int vfs_extent(struct vfs_mount *mnt, struct datafs_call *call)
{
	return extent(mnt, call, call->body);
}

int vfs_bad_extent(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_bad_extent_req *bad = call->body;
	struct datafs_cache_key key = { call->req->ino, bad->want.content };

	datafs_log(LOG_WARNING, "mount %u: inode %llu: bytes at %llu (slab %u, %llu) do not match their checksum",
		   mnt->id, (unsigned long long)key.ino,
		   (unsigned long long)bad->want.off, bad->backing_id,
		   (unsigned long long)bad->backing_off);
	datafs_cache_bad(mnt->v->cache, &key, bad->want.off);
	return extent(mnt, call, &bad->want);
}
