// SPDX-License-Identifier: Apache-2.0
/*
 * Counters, and what there is. Requests to under-stores are counted by the stores
 * alone; those of mounts that are none any more stay in the sums of all.
 */
#include "table.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "base/word.h"

static const char *const op_names[DATAFS_OP_NR] = DATAFS_OP_NAMES;

void vfs_stats_closed(struct vfs_mount *mnt, struct datafs_under *u)
{
	struct datafs_under_stats st;

	datafs_under_stats(u, &st);
	pthread_mutex_lock(&mnt->v->lock);
	datafs_under_stats_add(&mnt->closed, &st);
	pthread_mutex_unlock(&mnt->v->lock);
}

static void add_store(const struct vfs_mount *mnt, struct datafs_under_stats *sum)
{
	struct datafs_under *u = atomic_load(&mnt->under);
	struct datafs_under_stats st;

	datafs_under_stats_add(sum, &mnt->closed);
	if (!u)
		return;
	datafs_under_stats(u, &st);
	datafs_under_stats_add(sum, &st);
}

void vfs_stats_branch(struct vfs_mount *b)
{
	pthread_mutex_lock(&b->v->lock);
	b->next = b->over->branches;
	b->over->branches = b;
	pthread_mutex_unlock(&b->v->lock);
}

/*
 * With its branches, also those that the table has no more and calls still use: what is
 * counted never goes back. Under v->lock.
 */
static void add_mount(const struct vfs_mount *mnt, struct datafs_under_stats *sum)
{
	add_store(mnt, sum);
	for (const struct vfs_mount *b = mnt->branches; b; b = b->next)
		add_store(b, sum);
}

void vfs_stats_gone(struct vfs_mount *mnt)
{
	struct datafs_vfs *v = mnt->v;
	struct vfs_mount **p;

	pthread_mutex_lock(&v->lock);
	for (p = mnt->over ? &mnt->over->branches : &v->leaving; *p && *p != mnt; p = &(*p)->next)
		;
	if (*p)
		*p = mnt->next;
	add_mount(mnt, mnt->over ? &mnt->over->closed : &v->closed);
	pthread_mutex_unlock(&v->lock);
}

int datafs_vfs_mount_stats(struct datafs_vfs *v, uint32_t id, struct datafs_under_stats *res)
{
	struct vfs_mount *mnt;

	memset(res, 0, sizeof(*res));
	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt && mnt->id != id; mnt = mnt->next)
		;
	if (mnt)
		add_mount(mnt, res);
	pthread_mutex_unlock(&v->lock);
	return mnt ? 0 : -ENOENT;
}

void datafs_vfs_tell_stats(struct datafs_vfs *v,
			   int (*fn)(void *arg, uint32_t id, const struct datafs_under_stats *st),
			   void *arg)
{
	struct datafs_under_stats st;
	struct vfs_mount *mnt;

	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt; mnt = mnt->next) {
		memset(&st, 0, sizeof(st));
		add_mount(mnt, &st);
		if (mnt->is_told && !memcmp(&st, &mnt->told, sizeof(st)))
			continue;
		mnt->is_told = !fn(arg, mnt->id, &st);
		mnt->told = st;
	}
	pthread_mutex_unlock(&v->lock);
}

static void sum_mounts(struct datafs_vfs *v, struct datafs_under_stats *sum)
{
	struct vfs_mount *mnt;

	pthread_mutex_lock(&v->lock);
	*sum = v->closed;
	for (mnt = v->mounts; mnt; mnt = mnt->next)
		add_mount(mnt, sum);
	for (mnt = v->leaving; mnt; mnt = mnt->next)
		add_mount(mnt, sum);
	pthread_mutex_unlock(&v->lock);
}

/* Lines of totals, which begin with @prefix. */
static void put_under(FILE *f, const char *prefix, const struct datafs_under_stats *st)
{
	struct datafs_under_total t = datafs_under_total(st);

	for (int m = 0; m < DATAFS_UNDER_M_NR; m++)
		fprintf(f, "%s_requests_%s %llu\n", prefix, datafs_under_method_name(m),
			(unsigned long long)st->by[m].requests);
	fprintf(f, "%s_retries %llu\n", prefix, (unsigned long long)t.retries);
	fprintf(f, "%s_errors %llu\n", prefix, (unsigned long long)t.errors);
	fprintf(f, "%s_bytes %llu\n", prefix, (unsigned long long)t.down);
	fprintf(f, "%s_bytes_up %llu\n", prefix, (unsigned long long)t.up);
}

int datafs_vfs_put_mount_stats(struct datafs_vfs *v, uint32_t id, FILE *f)
{
	struct datafs_under_stats st;
	int ret = datafs_vfs_mount_stats(v, id, &st);

	if (ret)
		return ret;
	put_under(f, "store", &st);
	fprintf(f, "store_price %.6f\n", st.price);
	return 0;
}

static void put_quorum_stats(struct datafs_vfs *v, FILE *f)
{
	const struct datafs_quorum *q = atomic_load(&v->quorum), *r = atomic_load(&v->remote);

	fprintf(f, "quorum_changes %llu\n", (q ? atomic_load(&q->changes) : 0) +
		(r ? atomic_load(&r->changes) : 0));
	fprintf(f, "quorum_questions %llu\n", (q ? atomic_load(&q->questions) : 0) +
		(r ? atomic_load(&r->questions) : 0));
	fprintf(f, "quorum_entries %llu\n", q ? atomic_load(&q->entries) : 0);
	fprintf(f, "quorum_told %llu\n", atomic_load(&v->quorum_told));
	fprintf(f, "listings_taken %llu\n", atomic_load(&v->listings_taken));
	fprintf(f, "listings_put %llu\n", atomic_load(&v->listings_put));
	fprintf(f, "listings_alone %llu\n", atomic_load(&v->listings_alone));
}

void datafs_vfs_stats(struct datafs_vfs *v, FILE *f)
{
	struct datafs_under_stats under;
	struct datafs_cache_stats st;
	const struct {
		const char *name;
		const uint64_t *value;
	} cache[] = {
		{ "size", &st.size }, { "used", &st.used },
		{ "slots", &st.slots }, { "free_slots", &st.free_slots },
		{ "normal_slots", &st.normal_slots }, { "keep_slots", &st.keep_slots },
		{ "once_slots", &st.once_slots },
		{ "chunks", &st.chunks }, { "hits", &st.hits },
		{ "misses", &st.misses },
		{ "fetched_bytes", &st.fetched_bytes },
		{ "fetches", &st.fetches },
		{ "evicted_slots", &st.evicted_slots },
		{ "revokes", &st.revokes },
		{ "bad_granules", &st.bad_granules },
		{ "index_rebuilt", &st.index_rebuilt },
		{ "adopted", &st.adopted }, { "strays", &st.strays },
	};
	size_t i;

	for (i = 1; i < DATAFS_OP_NR; i++)
		fprintf(f, "upcalls_%s %llu\n", op_names[i],
			atomic_load(&v->upcalls[i]));
	sum_mounts(v, &under);
	put_under(f, "under", &under);
	put_quorum_stats(v, f);
	datafs_cache_get_stats(v->cache, &st);
	for (i = 0; i < sizeof(cache) / sizeof(cache[0]); i++)
		fprintf(f, "cache_%s %llu\n", cache[i].name,
			(unsigned long long)*cache[i].value);
	fprintf(f, "mounts %u\n", datafs_vfs_mounts(v));
}

/* With v->lock. */
static void put_branches(struct vfs_mount *mnt, FILE *f)
{
	const struct vfs_mount *b;

	pthread_mutex_lock(&mnt->table_lock);
	for (size_t i = 0; mnt->table && i < mnt->table->n_mounted; i++) {
		b = mnt->table->mounted[i].branch;
		fprintf(f, "branch %u ", b->id);
		datafs_word_puts(f, b->path);
		fputc(' ', f);
		datafs_word_puts(f, b->source);
		fputc(' ', f);
		datafs_word_puts(f, *b->options_text ? b->options_text : "-");
		fprintf(f, " %s\n", b->broken ? "refused" : atomic_load(&b->opened) ? "open" :
			atomic_load(&b->failed) ? "away" : "unused");
	}
	pthread_mutex_unlock(&mnt->table_lock);
}

void datafs_vfs_status(struct datafs_vfs *v, FILE *f)
{
	const struct datafs_quorum *q = atomic_load(&v->quorum);
	struct vfs_mount *mnt;
	char hex[2 * sizeof(q->id) + 1];

	fprintf(f, "mounts %u\n", datafs_vfs_mounts(v));
	if (q) {
		datafs_hex(q->id, sizeof(q->id), hex);
		fprintf(f, "namespace %s\n", hex);
	}
	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt; mnt = mnt->next) {
		fprintf(f, "mount %u ", mnt->id);
		datafs_word_puts(f, mnt->source);
		fputc(' ', f);
		datafs_word_puts(f, *mnt->options_text ? mnt->options_text : "-");
		fputc('\n', f);
		put_branches(mnt, f);
	}
	pthread_mutex_unlock(&v->lock);
}
