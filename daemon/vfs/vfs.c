// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE	/* asprintf */
#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/util.h"
#include "meta/source.h"
#include "table.h"

/* Long enough for an election on a machine that has much else to do. */
#define MOUNT_MS	30000

static const char *const op_names[DATAFS_OP_NR] = DATAFS_OP_NAMES;

void vfs_mount_free(struct vfs_mount *mnt)
{
	/* Branches are counted with the mount that they are of. */
	vfs_table_exit(mnt);
	vfs_stats_gone(mnt);
	mnt->tree->close(mnt);
	vfs_policies_exit(&mnt->policies);
	pthread_mutex_destroy(&mnt->table_building);
	pthread_mutex_destroy(&mnt->table_lock);
	pthread_mutex_destroy(&mnt->joining);
	pthread_mutex_destroy(&mnt->lease_lock);
	free(mnt->root_name);
	free(mnt->path);
	free(mnt->log_name);
	datafs_ramp_destroy(&mnt->ramp);
	free(mnt->members);
	free(mnt->source);
	free(mnt->options_text);
	datafs_options_free(&mnt->options);
	free(mnt);
}

struct vfs_mount *vfs_mount_get(struct datafs_vfs *v, uint32_t id)
{
	struct vfs_mount *mnt;

	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt; mnt = mnt->next)
		if (mnt->id == id)
			break;
	if (mnt)
		mnt->refs++;
	pthread_mutex_unlock(&v->lock);
	return mnt;
}

void vfs_mount_hold(struct vfs_mount *mnt)
{
	struct datafs_vfs *v = mnt->v;

	pthread_mutex_lock(&v->lock);
	mnt->refs++;
	if (mnt->over)
		mnt->over->refs++;
	pthread_mutex_unlock(&v->lock);
}

void vfs_mount_put(struct vfs_mount *mnt)
{
	struct vfs_mount *over = mnt->over;
	struct datafs_vfs *v = mnt->v;
	bool last;

	if (over) {
		vfs_branch_put(mnt);
		mnt = over;
	}
	pthread_mutex_lock(&v->lock);
	last = !--mnt->refs;
	pthread_mutex_unlock(&v->lock);
	if (!last)
		return;
	/* Only now nobody marks extents as handed to it any more. */
	datafs_cache_forget_mount(v->cache, mnt->id);
	vfs_mount_free(mnt);
}

/*
 * Takes the mount from the table; NULL if it is not there. What its last calls ask of
 * the store is counted until it is freed.
 */
static struct vfs_mount *mount_take(struct datafs_vfs *v, uint32_t id)
{
	struct vfs_mount **p, *mnt;

	pthread_mutex_lock(&v->lock);
	for (p = &v->mounts; *p && (*p)->id != id; p = &(*p)->next)
		;
	mnt = *p;
	if (mnt) {
		*p = mnt->next;
		mnt->next = v->leaving;
		v->leaving = mnt;
	}
	pthread_mutex_unlock(&v->lock);
	return mnt;
}

struct vfs_mount *vfs_mount_new(struct datafs_vfs *v, uint32_t id,
				const uint8_t incarnation[16], const char *source,
				size_t source_len, const char *options, size_t options_len)
{
	struct vfs_mount *mnt = calloc(1, sizeof(*mnt));

	if (!mnt)
		return NULL;
	mnt->v = v;
	mnt->id = id;
	mnt->refs = 1;
	pthread_mutex_init(&mnt->joining, NULL);
	pthread_mutex_init(&mnt->lease_lock, NULL);
	pthread_mutex_init(&mnt->table_lock, NULL);
	pthread_mutex_init(&mnt->table_building, NULL);
	vfs_policies_init(&mnt->policies);
	mnt->table_epoch = 1;
	mnt->source = strndup(source, source_len);
	mnt->options_text = strndup(options, options_len);
	mnt->tree = &vfs_tree_under;
	memcpy(mnt->incarnation, incarnation, sizeof(mnt->incarnation));
	if (mnt->source && mnt->options_text) {
		if (vfs_quorum_source(mnt->source))
			mnt->tree = &vfs_tree_quorum;
		return mnt;
	}
	vfs_mount_free(mnt);
	return NULL;
}

static void mount_add(struct vfs_mount *mnt)
{
	struct datafs_vfs *v = mnt->v;

	pthread_mutex_lock(&v->lock);
	mnt->next = v->mounts;
	v->mounts = mnt;
	pthread_mutex_unlock(&v->lock);
}

int vfs_mount_parse(struct vfs_mount *mnt)
{
	const char *alien;
	int ret;

	/* It is shown to all, and below it would be logged. */
	if (datafs_under_source_secret(mnt->source) ||
	    datafs_has_password(mnt->options_text, strlen(mnt->options_text))) {
		datafs_log(LOG_ERR, "mount %u refused: there is a password in its source or options; see Documentation/understores.rst for where it goes",
			   mnt->id);
		*mnt->source = 0;
		return -EINVAL;
	}
	ret = datafs_options_parse(mnt->source, mnt->options_text, &mnt->options);
	if (ret)
		return ret;
	if (asprintf(&mnt->log_name, "mount %u%s%s", mnt->id, mnt->over ? ": " : "",
		     mnt->over ? mnt->path : "") < 0) {
		mnt->log_name = NULL;
		return -ENOMEM;
	}
	mnt->options.under.mount = mnt->log_name;
	vfs_fetch_init(mnt);
	if (mnt->tree != &vfs_tree_quorum)
		return 0;
	alien = datafs_under_opts_alien(&mnt->options.under, 0);
	if (alien) {
		datafs_log(LOG_ERR, "mount of %s refused: option %s is for mounts of under-stores",
			   mnt->source, alien);
		return -EINVAL;
	}
	return vfs_quorum_parse(mnt);
}

int datafs_vfs_adopt_mount(struct datafs_vfs *v, uint32_t id,
			   const uint8_t incarnation[16], const char *source,
			   const char *options)
{
	struct vfs_mount *mnt;
	int ret;

	mnt = vfs_mount_new(v, id, incarnation, source, strlen(source), options,
			strlen(options));
	if (!mnt)
		return -ENOMEM;
	mnt->adopted = true;
	ret = vfs_mount_parse(mnt);
	if (!ret)
		ret = mnt->tree->adopt(mnt);
	if (ret && ret != -EINVAL && ret != -ENOENT) {
		vfs_mount_free(mnt);
		return ret;
	}
	if (ret)
		datafs_log(LOG_ERR, "mount %u of %s: cannot be served: %s; what it has not cached is ESTALE: unmount it",
			   id, mnt->source, strerror(-ret));
	else
		datafs_log(LOG_INFO, "mount %u: %s: taken over", id, mnt->source);
	mount_add(mnt);
	return 0;
}

static int vfs_mount(struct datafs_vfs *v, struct datafs_call *call)
{
	const struct datafs_mount_req *req = call->body;
	struct datafs_mount_rep *rep = call->out;
	const char *text = (const char *)(req + 1);
	struct vfs_mount *mnt, *old;
	int ret;

	mnt = vfs_mount_new(v, call->req->mount_id, req->incarnation, text, req->source_len,
			text + req->source_len, req->options_len);
	if (!mnt)
		return -ENOMEM;
	ret = vfs_mount_parse(mnt);
	if (!ret) {
		ret = mnt->tree->open(mnt, &rep->root);
		if (ret)
			datafs_log(LOG_ERR, "mount %u of %s refused: %s", mnt->id,
				   mnt->source, vfs_quorum_why(mnt, ret));
	}
	if (ret) {
		vfs_mount_free(mnt);
		return ret;
	}
	call->out_len = sizeof(*rep);

	/* Asked a second time: a predecessor had begun it. */
	old = mount_take(v, mnt->id);
	if (old)
		vfs_mount_put(old);
	mount_add(mnt);
	datafs_log(LOG_INFO, "mount %u: %s%s%s", mnt->id, mnt->source,
		   *mnt->options_text ? " with " : "", mnt->options_text);
	return 0;
}

static int vfs_umount(struct datafs_vfs *v, struct datafs_call *call)
{
	struct vfs_mount *mnt = mount_take(v, call->req->mount_id);

	/* It may never have been served: then there is nothing to forget. */
	if (mnt) {
		datafs_log(LOG_INFO, "mount %u: %s: unmounted", mnt->id,
			   mnt->source);
		mnt->tree->gone(mnt);
		vfs_mount_put(mnt);
	}
	return 0;
}

static int vfs_revoke_done(struct datafs_vfs *v, struct datafs_call *call)
{
	const struct datafs_revoke_done *done = call->body;

	datafs_cache_revoked(v->cache, done->cookie);
	return 0;
}

/* Of no mount's tree. */
static int (*const global_calls[DATAFS_OP_NR])(struct datafs_vfs *v,
					       struct datafs_call *call) = {
	[DATAFS_OP_MOUNT]	= vfs_mount,
	[DATAFS_OP_UMOUNT]	= vfs_umount,
	[DATAFS_OP_REVOKE_DONE]	= vfs_revoke_done,
};

int datafs_vfs_call(struct datafs_vfs *v, struct datafs_call *call)
{
	unsigned int op = call->req->opcode;
	struct vfs_mount *mnt;
	int ret;

	if (op >= DATAFS_OP_NR)
		return -ENOSYS;
	atomic_fetch_add_explicit(&v->upcalls[op], 1, memory_order_relaxed);
	if (global_calls[op])
		return global_calls[op](v, call);
	mnt = vfs_mount_get(v, call->req->mount_id);
	/* Its session has ended with it, and let everything go. */
	if (!mnt && op == DATAFS_OP_RELEASE)
		return 0;
	if (!mnt) {
		datafs_log(LOG_WARNING, "%s for mount %u, which is not served here",
			   op_names[op], call->req->mount_id);
		return -EIO;
	}
	ret = mnt->tree->calls[op] ? mnt->tree->calls[op](mnt, call) : -ENOSYS;
	vfs_mount_put(mnt);
	return ret;
}

void datafs_vfs_finish(struct datafs_vfs *v, struct datafs_call *call)
{
	if (call->pinned)
		datafs_cache_put(v->cache, &call->ans);
	call->pinned = false;
}

int datafs_vfs_open(const struct datafs_vfs_config *cfg,
		    struct datafs_vfs **res)
{
	struct datafs_cache_config cache = {
		.dir = cfg->dir, .size = cfg->cache_size,
		.backing_add = cfg->backing_add, .revoke = cfg->revoke,
		.arg = cfg->arg,
	};
	struct datafs_vfs *v = calloc(1, sizeof(*v));
	char *dir = NULL;
	int ret = -ENOMEM;

	if (!v)
		return ret;
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->quorum_lock, NULL);
	pthread_mutex_init(&v->remote_lock, NULL);
	v->pool = cfg->pool;
	v->dir = strdup(cfg->dir);
	v->key_file = cfg->key_file ? strdup(cfg->key_file) : NULL;
	v->mount_ms = MOUNT_MS;
	v->invalidate = cfg->invalidate;
	v->recall = cfg->recall;
	v->lease = cfg->lease;
	v->arg = cfg->arg;
	v->streams = datafs_streams_new();
	if (!vfs_node_init(v, cfg->node_name) && v->dir && (v->key_file || !cfg->key_file) &&
	    v->streams && asprintf(&dir, "%s/meta", cfg->dir) > 0)
		ret = datafs_meta_open(dir, &v->meta);
	free(dir);
	if (!ret) {
		memcpy(cache.namespace_id, datafs_meta_id(v->meta),
		       sizeof(cache.namespace_id));
		ret = datafs_cache_open(&cache, &v->cache);
	}
	if (ret) {
		datafs_meta_close(v->meta);
		datafs_streams_free(v->streams);
		vfs_node_exit(v);
		free(v->key_file);
		free(v->dir);
		free(v);
		return ret;
	}
	*res = v;
	return 0;
}

const uint8_t *datafs_vfs_id(const struct datafs_vfs *v)
{
	return datafs_meta_id(v->meta);
}

int datafs_vfs_adopt_extent(struct datafs_vfs *v,
			    const struct datafs_held *held)
{
	return datafs_cache_adopt(v->cache, held);
}

int datafs_vfs_start(struct datafs_vfs *v, uint64_t features)
{
	v->listings = features & DATAFS_FEATURE_LISTING;
	vfs_quorum_start(v);
	return datafs_cache_start(v->cache);
}

void datafs_vfs_stop(struct datafs_vfs *v)
{
	struct datafs_quorum *q;

	pthread_mutex_lock(&v->lock);
	atomic_store(&v->stopping, true);
	pthread_mutex_unlock(&v->lock);
	datafs_cache_stop(v->cache);
	q = atomic_load(&v->quorum);
	if (q)
		datafs_quorum_stop(q);
	q = atomic_load(&v->remote);
	if (q)
		datafs_quorum_stop(q);
}

void datafs_vfs_close(struct datafs_vfs *v)
{
	struct vfs_mount *mnt;

	if (!v)
		return;
	while ((mnt = v->mounts)) {
		v->mounts = mnt->next;
		vfs_mount_free(mnt);
	}
	datafs_cache_close(v->cache);
	datafs_meta_close(v->meta);
	datafs_quorum_close(atomic_load(&v->quorum));
	vfs_node_exit(v);
	datafs_quorum_close(atomic_load(&v->remote));
	datafs_streams_free(v->streams);
	pthread_mutex_destroy(&v->remote_lock);
	pthread_mutex_destroy(&v->quorum_lock);
	pthread_mutex_destroy(&v->lock);
	free(v->key_file);
	free(v->dir);
	free(v);
}

unsigned int datafs_vfs_mounts(struct datafs_vfs *v)
{
	struct vfs_mount *mnt;
	unsigned int n = 0;

	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt; mnt = mnt->next)
		n++;
	pthread_mutex_unlock(&v->lock);
	return n;
}

bool datafs_vfs_elsewhere(struct datafs_vfs *v, const struct datafs_req *req, const void *body)
{
	const struct datafs_mount_req *m = body;
	char source[DATAFS_SOURCE_MAX + 1];
	struct vfs_mount *mnt;
	bool res;

	if (req->opcode == DATAFS_OP_MOUNT) {
		memcpy(source, m + 1, m->source_len);
		source[m->source_len] = 0;
		return datafs_source_kind(source) == DATAFS_SOURCE_QUORUM;
	}
	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt; mnt = mnt->next)
		if (mnt->id == req->mount_id)
			break;
	res = mnt ? !!mnt->members : req->opcode == DATAFS_OP_UMOUNT;
	pthread_mutex_unlock(&v->lock);
	return res;
}
