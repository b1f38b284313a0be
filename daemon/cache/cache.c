// SPDX-License-Identifier: Apache-2.0
/* The life of a cache store, and the calls that need no file of their own. */
#include "cache_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

/*
 * Files that are left to sources, indexes and clients, who would otherwise
 * meet EMFILE. At most half of a small limit.
 */
#define FILES_RESERVE	512u

/* A slab is an open file for as long as the cache is open. */
static uint64_t limit_slabs(const struct datafs_cache_config *cfg,
			    uint64_t slabs)
{
	struct rlimit files;
	uint64_t most;

	if (slabs > DATAFS_BACKING_IDS - 1)
		slabs = DATAFS_BACKING_IDS - 1;
	if (getrlimit(RLIMIT_NOFILE, &files))
		return slabs;
	most = files.rlim_cur - (files.rlim_cur / 2 < FILES_RESERVE ?
				 files.rlim_cur / 2 : FILES_RESERVE);
	if (most < 2)
		most = 2;
	if (slabs <= most)
		return slabs;
	datafs_log(LOG_WARNING, "cache %s: at most %llu open files: the cache has %llu MiB instead of %llu; raise the hard limit (RLIMIT_NOFILE) to %llu",
		   cfg->dir, (unsigned long long)files.rlim_cur,
		   (unsigned long long)most * (DATAFS_SLAB_SIZE >> 20),
		   (unsigned long long)slabs * (DATAFS_SLAB_SIZE >> 20),
		   (unsigned long long)slabs + FILES_RESERVE);
	return most;
}

static int open_dir(struct datafs_cache *c)
{
	int err;

	c->dir_fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir_fd < 0) {
		err = -errno;
		datafs_log(LOG_ERR, "cache %s: cannot open the directory: %s",
			   c->dir, strerror(-err));
		return err;
	}
	c->lock_fd = openat(c->dir_fd, "lock",
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock_fd < 0) {
		err = -errno;
		datafs_log(LOG_ERR, "cache %s: cannot write there: %s; name a writable directory",
			   c->dir, strerror(-err));
		return err;
	}
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		datafs_log(LOG_ERR, "cache %s: %s", c->dir,
			   err == -EBUSY ?
				   "another daemon uses this directory; give each its own" :
				   strerror(-err));
		return err;
	}
	return 0;
}

static int tables_init(struct datafs_cache *c)
{
	uint32_t slots = c->max_slabs * SLAB_SLOTS;
	int err;

	c->slabs = calloc(c->max_slabs, sizeof(*c->slabs));
	c->slots = calloc(slots, sizeof(*c->slots));
	if (!c->slabs || !c->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->max_slabs; i++)
		c->slabs[i].fd = -1;
	c->state_count[DATAFS_SLOT_ABSENT] = slots;
	err = datafs_hash_init(&c->chunks, 2 * slots);
	return err ?: datafs_hash_init(&c->contents, slots);
}

/* The slabs that are there get their states; a new cache gets its first slab. */
static int slabs_init(struct datafs_cache *c)
{
	bool any = false;
	int err;

	for (uint32_t i = 0; i < c->max_slabs * SLAB_SLOTS; i++) {
		struct datafs_slot *s = &c->slots[i];

		if (!LIST_EMPTY(&s->chunks))
			datafs_slot_move(c, s, DATAFS_SLOT_USED);
	}
	for (uint32_t nr = 0; nr < c->max_slabs; nr++) {
		if (!c->slabs[nr].ready)
			continue;
		datafs_slab_admit(c, nr);
		any = true;
	}
	if (any)
		return 0;
	err = datafs_slab_prepare(c, 0);
	if (!err)
		datafs_slab_admit(c, 0);
	else
		datafs_log(LOG_ERR, "cache %s: cannot make a slab of %u MiB: %s; %s",
			   c->dir, DATAFS_SLAB_SIZE >> 20, strerror(-err),
			   datafs_slab_advice(err));
	return err;
}

/* The first one, so that what refuses it is met here and not by a reader. */
static int buffers_init(struct datafs_cache *c)
{
	int err = datafs_iobuf_new(&c->buffers[0]);

	if (err)
		datafs_log(LOG_ERR, "cache %s: no memory can be pinned for its I/O: %s; the daemon needs CAP_IPC_LOCK or RLIMIT_MEMLOCK, and io_uring",
			   c->dir, strerror(-err));
	else
		c->nbuffers = 1;
	return err;
}

static void cache_free(struct datafs_cache *c)
{
	struct datafs_revocation *r;
	struct datafs_leaving *l;

	while ((r = TAILQ_FIRST(&c->revocations))) {
		TAILQ_REMOVE(&c->revocations, r, link);
		free(r);
	}
	while ((l = TAILQ_FIRST(&c->leaving))) {
		TAILQ_REMOVE(&c->leaving, l, link);
		free(l);
	}
	for (uint32_t i = 0; c->slots && i < c->max_slabs * SLAB_SLOTS; i++) {
		struct datafs_chunk *k;

		while ((k = LIST_FIRST(&c->slots[i].chunks)))
			datafs_chunk_free(c, k);
	}
	while (c->nbuffers)
		datafs_iobuf_free(c->buffers[--c->nbuffers]);
	free(c->chunks.bucket);
	free(c->contents.bucket);
	datafs_index_close(c);
	datafs_slab_close_all(c);
	free(c->slabs);
	free(c->slots);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	pthread_cond_destroy(&c->kick);
	pthread_cond_destroy(&c->space);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->index.lock);
	free(c->dir);
	free(c);
}

int datafs_cache_open(const struct datafs_cache_config *cfg,
		      struct datafs_cache **res)
{
	uint64_t slabs = cfg->size / DATAFS_SLAB_SIZE;
	int err, kick, space;
	struct datafs_cache *c;

	if (slabs < 2) {
		datafs_log(LOG_ERR, "cache %s: a size of %llu bytes is too small; it takes at least %u MiB",
			   cfg->dir, (unsigned long long)cfg->size,
			   2 * (DATAFS_SLAB_SIZE >> 20));
		return -EINVAL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->cfg = *cfg;
	c->max_slabs = limit_slabs(cfg, slabs);
	c->dir = strdup(cfg->dir);
	c->cfg.dir = c->dir;
	c->dir_fd = c->lock_fd = -1;
	/* Not one a predecessor used: an answer to it that is late is unknown. */
	c->next_cookie = datafs_cache_now() | 1;
	TAILQ_INIT(&c->free);
	TAILQ_INIT(&c->first);
	for (int i = 0; i < DATAFS_CACHE_CLASSES; i++)
		TAILQ_INIT(&c->used[i]);
	TAILQ_INIT(&c->erasing);
	TAILQ_INIT(&c->revocations);
	TAILQ_INIT(&c->flights);
	TAILQ_INIT(&c->leaving);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->index.lock, NULL);
	err = c->dir ? 0 : -ENOMEM;
	/* Both, whatever comes: closing destroys both. */
	kick = datafs_cache_cond_init(&c->kick);
	space = datafs_cache_cond_init(&c->space);
	if (!err)
		err = kick ? kick : space;
	if (!err)
		err = open_dir(c);
	if (!err)
		err = tables_init(c);
	if (!err)
		err = buffers_init(c);
	if (!err)
		err = datafs_index_open(c);
	if (!err)
		err = datafs_slab_open_all(c);
	if (!err)
		err = datafs_index_load(c);
	if (!err)
		err = slabs_init(c);
	if (err) {
		cache_free(c);
		return err;
	}
	*res = c;
	return 0;
}

int datafs_cache_start(struct datafs_cache *c)
{
	int err = -pthread_create(&c->keeper, NULL, datafs_keeper, c);

	c->started = !err;
	if (err)
		datafs_log(LOG_ERR, "cache %s: cannot start a thread: %s",
			   c->dir, strerror(-err));
	return err;
}

void datafs_cache_stop(struct datafs_cache *c)
{
	pthread_mutex_lock(&c->lock);
	__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&c->kick);
	pthread_cond_broadcast(&c->space);
	pthread_mutex_unlock(&c->lock);
}

void datafs_cache_close(struct datafs_cache *c)
{
	if (!c)
		return;
	datafs_cache_stop(c);
	if (c->started)
		pthread_join(c->keeper, NULL);
	cache_free(c);
}

void datafs_cache_drop(struct datafs_cache *c, const struct datafs_cache_key *key)
{
	struct datafs_content *t;
	struct datafs_chunk *k;

	pthread_mutex_lock(&c->lock);
	t = datafs_content_find(c, key);
	if (t) {
		LIST_FOREACH(k, &t->chunks, in_content) {
			struct datafs_slot *s = k->slot;

			if (k->dropped)
				continue;
			k->dropped = true;
			s->dropped += k->granules;
			s->touched = false;
			/* Packed with others: when most of it is dropped. */
			if (2 * s->dropped > s->filled)
				datafs_slot_first(c, s);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

void datafs_cache_forget_mount(struct datafs_cache *c, uint32_t mount_id)
{
	for (uint32_t i = 0; i < c->max_slabs * SLAB_SLOTS; i++) {
		struct datafs_chunk *k;

		/* Slot by slot, so that nobody waits for the walk. */
		pthread_mutex_lock(&c->lock);
		LIST_FOREACH(k, &c->slots[i].chunks, in_slot) {
			for (uint32_t m = 0; m < k->nmounts; m++) {
				if (k->mounts[m] != mount_id)
					continue;
				k->mounts[m] = k->mounts[--k->nmounts];
				break;
			}
		}
		pthread_mutex_unlock(&c->lock);
	}
}

void datafs_cache_get_stats(struct datafs_cache *c, struct datafs_cache_stats *st)
{
	pthread_mutex_lock(&c->lock);
	*st = c->stats;
	st->size = (uint64_t)c->max_slabs * DATAFS_SLAB_SIZE;
	st->used = c->granules * DATAFS_GRANULE;
	st->slots = datafs_slots(c);
	st->normal_slots = c->class_count[DATAFS_CACHE_NORMAL];
	st->keep_slots = c->class_count[DATAFS_CACHE_KEEP];
	st->once_slots = c->class_count[DATAFS_CACHE_ONCE];
	st->free_slots = c->state_count[DATAFS_SLOT_FREE];
	st->chunks = c->chunks.count;
	pthread_mutex_unlock(&c->lock);
}
