// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of a mount that shows a quorum's namespace: ":/DIR" of the quorum of one in
 * this daemon's directory, "HOST,...:/DIR" of one on other machines.
 *
 * What the quorum of one is asked holds for ever, since all its changes are known here
 * (quorum_tell.c). What one elsewhere is asked holds under the mount's lease, for the
 * quorum tells of changes by others then (quorum_lease.c).
 */
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/source.h"
#include "share.h"

#define NAMESPACE_ROOT	1	/* the inode number of its root */

bool vfs_quorum_source(const char *source)
{
	return datafs_source_kind(source) != DATAFS_SOURCE_UNDER;
}

int vfs_quorum_parse(struct vfs_mount *mnt)
{
	struct datafs_source source;
	char error[400];
	int ret;

	ret = datafs_source_parse(mnt->source, &source, error, sizeof(error));
	if (ret) {
		datafs_log(LOG_ERR, "mount %u: %s", mnt->id, error);
		return ret;
	}
	if (!*source.members)
		return 0;
	mnt->members = strdup(source.members);
	mnt->shares = vfs_shares_new(mnt);
	return mnt->members && mnt->shares ? 0 : -ENOMEM;
}

void vfs_quorum_start(struct datafs_vfs *v)
{
	struct datafs_quorum *q = atomic_load(&v->quorum);
	struct vfs_mount *mnt;
	unsigned int n = 0;

	for (mnt = v->mounts; mnt; mnt = mnt->next)
		vfs_node_mounted(mnt);
	vfs_sessions_clean(v);
	for (mnt = v->mounts; q && mnt; mnt = mnt->next)
		n += atomic_load(&mnt->quorum) == q;
	/*
	 * It may have died between a change and telling the kernel: of one that another
	 * mount made, or of the table, that `datafs mount` did.
	 */
	if (n)
		vfs_tell_doubt(v, q);
}

/* Follows the source's path from the namespace's root. */
static int find_root(struct vfs_mount *mnt, struct datafs_attr *attr)
{
	struct datafs_req req = { .ino = NAMESPACE_ROOT, .mount_id = mnt->id };
	const char *p = strstr(mnt->source, ":/") + 1;
	struct datafs_entry entry;
	struct datafs_call call = { .req = &req, .out = attr };
	size_t len;
	int ret;

	ret = vfs_quorum_getattr(mnt, &call);
	while (!ret) {
		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (!len)
			break;
		if (len > DATAFS_NAME_MAX)
			return -ENAMETOOLONG;
		memset(call.name, 0, sizeof(call.name));
		memcpy(call.name, p, len);
		call.out = &entry;
		ret = vfs_quorum_lookup(mnt, &call);
		if (!ret && !entry.attr.ino)
			ret = -ENOENT;
		*attr = entry.attr;
		req.ino = attr->ino;
		p += len;
	}
	if (!ret && !S_ISDIR(attr->mode))
		ret = -ENOTDIR;
	mnt->root = req.ino;
	return ret;
}

static int attach_own(struct vfs_mount *mnt)
{
	struct datafs_quorum *q;
	int ret = vfs_own_quorum(mnt->v, &q);

	if (!ret)
		ret = vfs_session_have(mnt, q);
	if (!ret)
		atomic_store(&mnt->quorum, q);
	/* All that is asked of it is ESTALE. */
	return ret == -EUCLEAN ? -EINVAL : ret;
}

static void quorum_gone(struct vfs_mount *mnt)
{
	vfs_leave(mnt);
	vfs_shares_leave(mnt);
	vfs_session_gone(mnt);
	vfs_node_unmounted(mnt);
}

static int quorum_open(struct vfs_mount *mnt, struct datafs_attr *root)
{
	int ret = mnt->members ? vfs_join(mnt, mnt->v->mount_ms) : attach_own(mnt);

	if (!ret)
		ret = find_root(mnt, root);
	if (ret) {
		quorum_gone(mnt);
	} else {
		vfs_joined(mnt);
		vfs_node_mounted(mnt);
	}
	/* Nobody tells it what is changed before it is in the list. */
	root->valid_ms = mnt->members ? 0 : 1;
	return ret;
}

/* Is it a mount of the whole namespace? */
static bool is_whole(const struct vfs_mount *mnt)
{
	const char *p = strstr(mnt->source, ":/") + 1;

	return !p[strspn(p, "/")];
}

static int quorum_adopt(struct vfs_mount *mnt)
{
	struct datafs_attr root;
	int ret;

	/* Who asks something of it first waits for the quorum; nobody else does. */
	if (mnt->members) {
		/* else what the table mounts in it is not shown */
		if (is_whole(mnt))
			mnt->root = NAMESPACE_ROOT;
		return 0;
	}
	ret = attach_own(mnt);
	/* It may have been removed, below a mount of it; that is not for us to mind. */
	if (!ret)
		find_root(mnt, &root);
	return ret;
}

static void quorum_close(struct vfs_mount *mnt)
{
	vfs_table_exit(mnt);
	vfs_shares_free(mnt->shares);
	datafs_quorum_close(atomic_load(&mnt->share));
}

const struct vfs_tree vfs_tree_quorum = {
	.open = quorum_open,
	.adopt = quorum_adopt,
	.gone = quorum_gone,
	.close = quorum_close,
	.look_again = vfs_table_look_again,
	.calls = {
		[DATAFS_OP_LOOKUP]	= vfs_table_lookup,
		[DATAFS_OP_GETATTR]	= vfs_table_call,
		[DATAFS_OP_READDIR]	= vfs_table_readdir,
		[DATAFS_OP_READLINK]	= vfs_table_call,
		[DATAFS_OP_GETXATTR]	= vfs_table_call,
		[DATAFS_OP_LISTXATTR]	= vfs_table_call,
		[DATAFS_OP_STATFS]	= vfs_table_call,
		[DATAFS_OP_EXTENT]	= vfs_table_call,
		[DATAFS_OP_BAD_EXTENT]	= vfs_table_call,
		[DATAFS_OP_PARENT]	= vfs_table_parent,
		[DATAFS_OP_CREATE]	= vfs_table_change,
		[DATAFS_OP_MKDIR]	= vfs_table_change,
		[DATAFS_OP_MKNOD]	= vfs_table_change,
		[DATAFS_OP_SYMLINK]	= vfs_table_change,
		[DATAFS_OP_LINK]	= vfs_table_change,
		[DATAFS_OP_UNLINK]	= vfs_table_change,
		[DATAFS_OP_RMDIR]	= vfs_table_change,
		[DATAFS_OP_RENAME]	= vfs_table_change,
		[DATAFS_OP_SETATTR]	= vfs_table_change,
		[DATAFS_OP_SETXATTR]	= vfs_table_change,
		[DATAFS_OP_REMOVEXATTR]	= vfs_table_change,
		[DATAFS_OP_RELEASE]	= vfs_table_change,
	},
};
