// SPDX-License-Identifier: Apache-2.0
/* The tree of a mount that shows an under-store: its source, opened when needed. */
#include "vfs_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"

/* How soon a store that was away is looked for again. */
#define OPEN_AGAIN	(5 * DATAFS_SEC)

/*
 * Opens the source of an adopted mount. Where it was mounted itself and is not
 * now, there is another directory, and all it has not would seem deleted.
 */
static int reopen(struct vfs_mount *mnt, struct datafs_under **res)
{
	struct datafs_meta_inode root;
	struct datafs_under_stat st;
	struct datafs_under *u;
	int ret;

	ret = datafs_meta_peek(mnt->v->meta, mnt->root, &root);
	if (!ret)
		ret = datafs_under_open(mnt->source, &mnt->options.under, &u);
	if (ret)
		return ret;
	ret = datafs_under_stat(u, "", &st);
	if (!ret && (st.file_id != root.st.file_id ||
		     (st.has_btime && root.st.has_btime &&
		      (st.btime.tv_sec != root.st.btime.tv_sec ||
		       st.btime.tv_nsec != root.st.btime.tv_nsec))))
		ret = -ESTALE;
	if (!ret) {
		*res = u;
		return 0;
	}
	vfs_stats_closed(mnt, u);
	datafs_under_close(u);
	return ret;
}

int vfs_under(struct vfs_mount *mnt, struct datafs_under **res)
{
	struct datafs_under *u = atomic_load(&mnt->under), *none = NULL;
	int64_t now, failed;
	int ret;

	if (u) {
		*res = u;
		return 0;
	}
	now = datafs_now();
	failed = atomic_load(&mnt->failed);
	if (failed && now - failed < OPEN_AGAIN)
		return -EIO;
	ret = reopen(mnt, &u);
	if (ret) {
		atomic_store(&mnt->failed, now);
		datafs_log(LOG_ERR, "mount %u: %s%s%s is not there: %s; what is not cached is EIO until it is",
			   mnt->id, mnt->over ? mnt->path : "", mnt->over ? ": " : "", mnt->source,
			   strerror(-ret));
		return -EIO;
	}
	if (!atomic_compare_exchange_strong(&mnt->under, &none, u)) {
		vfs_stats_closed(mnt, u);
		datafs_under_close(u);
		u = none;
	}
	*res = u;
	return 0;
}

/*
 * When each single thing was looked at is not known from before a restart: all is
 * looked at once more. Likewise if the mark cannot be read.
 */
static void mount_doubts(struct vfs_mount *mnt)
{
	if (datafs_meta_doubted(mnt->v->meta, mnt->root))
		atomic_store(&mnt->not_before, datafs_now());
}

static int under_open(struct vfs_mount *mnt, struct datafs_attr *attr)
{
	struct datafs_meta_inode root;
	struct datafs_under_stat st;
	struct datafs_under *u;
	int64_t looked;
	int ret;

	ret = datafs_under_open(mnt->source, &mnt->options.under, &u);
	if (ret)
		return ret;
	looked = datafs_now();
	ret = datafs_under_stat(u, "", &st);
	if (!ret && !S_ISDIR(st.mode))
		ret = -ENOTDIR;
	if (!ret && mnt->over)
		ret = datafs_meta_branch_root(mnt->v->meta, mnt->root_name, &st, looked, &root);
	else if (!ret)
		ret = datafs_meta_root(mnt->v->meta, mnt->source, &st, looked, &root);
	if (ret) {
		vfs_stats_closed(mnt, u);
		datafs_under_close(u);
		return ret;
	}
	atomic_store(&mnt->under, u);
	mnt->root = root.ino;
	mount_doubts(mnt);
	vfs_attr(mnt, &root, attr);
	return 0;
}

static int under_adopt(struct vfs_mount *mnt)
{
	int ret = datafs_meta_find_root(mnt->v->meta, mnt->over ? mnt->root_name : mnt->source,
					&mnt->root);

	if (!ret)
		mount_doubts(mnt);
	return ret;
}

/* What was to be fetched ahead for it is not begun any more. */
static void under_gone(struct vfs_mount *mnt)
{
	atomic_store(&mnt->gone, true);
}

static void under_close(struct vfs_mount *mnt)
{
	datafs_under_close(atomic_load(&mnt->under));
}

const struct vfs_tree vfs_tree_under = {
	.open = under_open,
	.adopt = under_adopt,
	.gone = under_gone,
	.close = under_close,
	.look_again = vfs_look_again,
	.calls = {
		[DATAFS_OP_LOOKUP]	= vfs_lookup,
		[DATAFS_OP_GETATTR]	= vfs_op_getattr,
		[DATAFS_OP_READDIR]	= vfs_readdir,
		[DATAFS_OP_READLINK]	= vfs_readlink,
		[DATAFS_OP_EXTENT]	= vfs_extent,
		[DATAFS_OP_BAD_EXTENT]	= vfs_bad_extent,
		[DATAFS_OP_GETXATTR]	= vfs_getxattr,
		[DATAFS_OP_LISTXATTR]	= vfs_listxattr,
		[DATAFS_OP_STATFS]	= vfs_statfs,
		[DATAFS_OP_PARENT]	= vfs_parent,
	},
};
