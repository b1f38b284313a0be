// SPDX-License-Identifier: Apache-2.0
/*
 * Where the bytes of one content come from: pages for those who read here and there,
 * parts, several at a time, for those who read in order.
 */
#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* So much of the cache is filled by what nobody has read yet, at the most. */
#define CACHE_SHARE	8

int vfs_source_fetch(void *arg, uint64_t off, void *buf, uint32_t len)
{
	struct vfs_source *s = arg;
	struct datafs_under *u;
	uint64_t want = off < s->size ? DATAFS_MIN(s->size - off, len) : 0;
	ssize_t n = vfs_under(s->mnt, &u);

	if (n)
		return n;
	n = datafs_under_read(u, s->key, &s->fp, off, buf, want);
	if (n < 0)
		return n;
	/* Shorter than its attributes said: it is another file now. */
	return (uint64_t)n < want ? -ESTALE : 0;
}

/* ---- parts ---- */

struct part {
	struct datafs_job job;
	struct vfs_source src;	/* of the mount, a reference; the key is its own */
	struct datafs_flight *flight;
	atomic_ullong bytes;	/* that have come */
	datafs_cache_take_fn take;
	void *take_arg;
};

static int part_take(void *arg, uint64_t at, const void *p, size_t n)
{
	struct part *part = arg;

	atomic_fetch_add_explicit(&part->bytes, n, memory_order_relaxed);
	return part->take(part->take_arg, at, p, n);
}

static int part_stream(void *arg, uint64_t off, uint64_t len,
		       datafs_cache_take_fn take, void *take_arg)
{
	struct part *part = arg;
	struct datafs_under *u;
	int err = vfs_under(part->src.mnt, &u);

	if (err)
		return err;
	part->take = take;
	part->take_arg = take_arg;
	return datafs_under_stream(u, part->src.key, &part->src.fp, off, len,
				   part_take, part);
}

static int part_fetch(void *arg, uint64_t off, void *buf, uint32_t len)
{
	struct part *part = arg;
	int err = vfs_source_fetch(&part->src, off, buf, len);

	if (!err)
		atomic_fetch_add_explicit(&part->bytes, len,
					  memory_order_relaxed);
	return err;
}

/* Requests for bytes that the store wanted to be sent again. */
static uint64_t refused(struct vfs_mount *mnt)
{
	struct datafs_under *u = atomic_load(&mnt->under);
	struct datafs_under_stats st;

	if (!u)
		return 0;
	datafs_under_stats(u, &st);
	return st.by[DATAFS_UNDER_M_GET].retries;
}

/* Nobody uses it any more: neither the job nor who has waited and run it instead. */
static void part_release(void *arg)
{
	struct part *part = arg;
	struct vfs_mount *mnt = part->src.mnt;

	datafs_ramp_end(&mnt->ramp, datafs_now(), atomic_load(&part->bytes),
			refused(mnt));
	vfs_mount_put(mnt);
	free(part->src.key);
	free(part);
}

static void part_run(struct datafs_job *job)
{
	struct part *part = (struct part *)job;
	struct vfs_mount *mnt = part->src.mnt;
	bool give_up = atomic_load(&mnt->v->stopping) || atomic_load(&mnt->gone) ||
		       (mnt->over && atomic_load(&mnt->over->gone));

	datafs_cache_fly(mnt->v->cache, part->flight, give_up);
}

static struct part *part_new(const struct vfs_source *src)
{
	struct part *part = calloc(1, sizeof(*part));

	if (!part)
		return NULL;
	part->job.run = part_run;
	part->src = *src;
	part->src.key = strdup(src->key);
	if (!part->src.key) {
		free(part);
		return NULL;
	}
	vfs_mount_hold(src->mnt);
	return part;
}

/*
 * Has what is missing of [*@at, end), which is within one part, under way, as far as
 * there may be more; *@at: up to where it is. False: no further.
 */
static bool part_begin(const struct vfs_source *src,
		       const struct datafs_cache_want *want, uint64_t *at,
		       uint64_t end, bool waited)
{
	struct vfs_mount *mnt = src->mnt;
	struct datafs_cache_want w = *want;
	struct part *part;
	uint64_t off, len;

	if (!datafs_ramp_begin(&mnt->ramp, datafs_now(), waited))
		return false;
	part = part_new(src);
	if (!part) {
		datafs_ramp_end(&mnt->ramp, datafs_now(), 0, refused(mnt));
		return false;
	}
	w.off = *at;
	w.len = end - *at;
	w.fetch = part_fetch;
	w.stream = part_stream;
	w.release = part_release;
	w.arg = part;
	*at = end;
	/* Without memory whoever waits fetches pages, and is told then. */
	if (datafs_cache_claim(mnt->v->cache, &w, &part->flight) || !part->flight) {
		part_release(part);
		return true;
	}
	datafs_flight_range(part->flight, &off, &len);
	*at = DATAFS_MIN(off + len, end);
	datafs_pool_add(mnt->v->pool, &part->job, DATAFS_PRIO_AHEAD);
	return true;
}

uint64_t vfs_fetch_parts(const struct vfs_source *src,
			 const struct datafs_cache_want *want, uint64_t from,
			 uint64_t to, bool waited)
{
	struct vfs_mount *mnt = src->mnt;

	while (from < to) {
		uint64_t end = datafs_round_up(from + 1, mnt->part);

		end = DATAFS_MIN(end, to);
		if (datafs_cache_has(mnt->v->cache, &want->key, from, end - from))
			from = end;
		else if (!part_begin(src, want, &from, end, waited))
			break;
	}
	return from;
}

/* Where what is there from @from on ends. It may have been evicted already: @to. */
static uint64_t have_end(struct datafs_cache *c, const struct datafs_cache_key *key,
			 uint64_t from, uint64_t to)
{
	struct datafs_extent run;

	if (datafs_cache_has(c, key, from, to - from) ||
	    !datafs_cache_next(c, key, from, to, &run) || run.off != from)
		return to;
	return DATAFS_MIN(run.off + run.len, to);
}

int vfs_have(struct vfs_mount *mnt, const struct datafs_meta_inode *in, uint64_t from,
	     uint64_t to)
{
	struct datafs_vfs *v = mnt->v;
	struct vfs_source src = { .mnt = mnt, .size = in->st.size, .fp = in->st.fp };
	struct datafs_cache_want want = {
		.key = { in->ino, in->content }, .size = in->st.size,
		.page_size = mnt->options.page_size,
		.fetch = vfs_source_fetch, .arg = &src,
	};
	struct datafs_cache_answer ans;
	int ret = datafs_meta_key(v->meta, in->ino, &src.key);

	if (ret)
		return ret;
	want.class = vfs_policy_class(mnt, src.key);
	while (!ret && from < to) {
		uint64_t end = datafs_round_up(from + 1, DATAFS_CHUNK_SIZE);
		uint64_t ahead = (datafs_ramp_limit(&mnt->ramp) + 1) * mnt->part;

		vfs_fetch_parts(&src, &want, datafs_round_down(from, want.page_size),
				from + DATAFS_MIN(to - from, ahead), false);
		/* Whoever waits for one chunk shall not wait for all of them. */
		end = DATAFS_MIN(end, to);
		want.off = from;
		want.len = end - from;
		if (datafs_cache_has(v->cache, &want.key, from, want.len)) {
			from = end;
			continue;
		}
		ret = atomic_load(&v->stopping) ? -ESHUTDOWN :
						  datafs_cache_get(v->cache, &want, &ans);
		if (ret)
			break;
		datafs_cache_put(v->cache, &ans);
		from = have_end(v->cache, &want.key, from, end);
	}
	free(src.key);
	return ret;
}

void vfs_fetch_init(struct vfs_mount *mnt)
{
	const struct datafs_under_opts *o = &mnt->options.under;
	struct datafs_cache_stats st;
	uint64_t share, part, parts;

	datafs_cache_get_stats(mnt->v->cache, &st);
	share = st.size / CACHE_SHARE;
	part = DATAFS_MIN(o->part_size, share);
	mnt->part = datafs_round_down(part, mnt->options.page_size);
	if (!mnt->part)
		mnt->part = mnt->options.page_size;
	parts = DATAFS_MIN(o->concurrency, share / mnt->part);
	parts = DATAFS_MIN(parts, datafs_pool_ahead(mnt->v->pool));
	datafs_ramp_init(&mnt->ramp, DATAFS_MAX(parts, 1ull));
}
