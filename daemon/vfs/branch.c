// SPDX-License-Identifier: Apache-2.0
/*
 * A branch: an under-store at a path of the table, served by the code of a mount of one.
 * It has the number of the kernel's mount, which it is a part of.
 *
 * Its root is named by path and source in the embedded namespace. So the same source at
 * two paths is two trees, as each inode has one place in a tree; and one that is removed
 * and added again at its path finds what is cached of it.
 */
#define _GNU_SOURCE	/* asprintf */
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* How soon a store that could not be opened is looked for again. */
#define OPEN_AGAIN	(5 * DATAFS_SEC)

static bool is_text(const ProtobufCBinaryData *b)
{
	return !b->len || !memchr(b->data, 0, b->len);
}

struct vfs_mount *vfs_branch_new(struct vfs_mount *over, const char *path, const Metad__Mount *row)
{
	struct vfs_mount *b;

	b = vfs_mount_new(over->v, over->id, over->incarnation, (char *)row->source.data,
			  row->source.len, (char *)row->options.data, row->options.len);
	if (!b)
		return NULL;
	b->over = over;
	b->row = row->id;
	b->generation = row->generation;
	b->path = strdup(path);
	if (!b->path || asprintf(&b->root_name, "%s\n%s", path, b->source) < 0) {
		b->root_name = NULL;
		vfs_mount_free(b);
		return NULL;
	}
	/* A member checks the texts; what they mean is for who mounts it. */
	if (b->tree != &vfs_tree_under || !is_text(&row->source) || !is_text(&row->options)) {
		datafs_log(LOG_ERR, "mount %u: at %s of the table: its source is no under-store; what is below is EIO: remove it",
			   b->id, path);
		b->tree = &vfs_tree_under;
		b->broken = true;
	} else if (vfs_mount_parse(b)) {
		datafs_log(LOG_ERR, "mount %u: at %s of the table: what is below is EIO until its options are set",
			   b->id, path);
		b->broken = true;
	}
	if (datafs_meta_find_root(b->v->meta, b->root_name, &b->known))
		b->known = 0;
	vfs_stats_branch(b);
	return b;
}

static int open_now(struct vfs_mount *b)
{
	int64_t now = datafs_now(), failed = atomic_load(&b->failed);
	struct datafs_attr root;
	int ret;

	if (failed && now - failed < OPEN_AGAIN)
		return -EIO;
	ret = b->tree->open(b, &root);
	if (!ret) {
		atomic_store(&b->opened, true);
		/* so that what they say is known when files are read */
		vfs_policy_look(b->over);
		return 0;
	}
	atomic_store(&b->failed, now);
	datafs_log(LOG_ERR, "mount %u: at %s of the table: %s is not there: %s; what is below is EIO until it is",
		   b->id, b->path, b->source, strerror(-ret));
	return -EIO;
}

int vfs_branch_have(struct vfs_mount *b)
{
	int ret = 0;

	if (atomic_load(&b->opened))
		return 0;
	if (b->broken)
		return -EIO;
	pthread_mutex_lock(&b->joining);
	if (!atomic_load(&b->opened))
		ret = open_now(b);
	pthread_mutex_unlock(&b->joining);
	return ret;
}

uint64_t vfs_branch_root(const struct vfs_mount *b)
{
	return atomic_load(&b->opened) ? b->root : b->known;
}

void vfs_branch_get(struct vfs_mount *b)
{
	pthread_mutex_lock(&b->v->lock);
	b->refs++;
	pthread_mutex_unlock(&b->v->lock);
}

void vfs_branch_put(struct vfs_mount *b)
{
	bool last;

	pthread_mutex_lock(&b->v->lock);
	last = !--b->refs;
	pthread_mutex_unlock(&b->v->lock);
	if (last)
		vfs_mount_free(b);
}
