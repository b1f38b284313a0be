// SPDX-License-Identifier: Apache-2.0
/*
 * Upcalls of a mount of a quorum: each goes to what its inode is of. Names of mounts, and
 * of directories on the way to them, are the table's, whatever is below them.
 */
#include "table.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

/*
 * What does not depend on names goes by the last table, of whatever time: so files that
 * are open are read with the quorum away. -ESTALE by one that is not believed is looked
 * at once more.
 */
static int where_lately(struct vfs_mount *mnt, uint64_t ino, struct vfs_table_use *use,
			struct vfs_where *w)
{
	int ret = -ESTALE;

	*use = (struct vfs_table_use) { .t = vfs_table_last(mnt) };
	if (use->t)
		ret = vfs_where(mnt, use->t, ino, w);
	if (ret != -ESTALE)
		return ret;
	vfs_table_put(mnt, use->t);
	ret = vfs_table_get(mnt, use);
	if (!ret)
		ret = vfs_where(mnt, use->t, ino, w);
	else
		use->t = NULL;
	return ret;
}

static int where_now(struct vfs_mount *mnt, uint64_t ino, struct vfs_table_use *use,
		     struct vfs_where *w)
{
	int ret = vfs_table_get(mnt, use);

	if (ret)
		use->t = NULL;
	return ret ? ret : vfs_where(mnt, use->t, ino, w);
}

/* Nothing is known of bytes and xattrs of what is only on the way. */
static int call_way(struct vfs_mount *mnt, struct datafs_call *call, const struct vfs_where *w)
{
	switch (call->req->opcode) {
	case DATAFS_OP_GETATTR:
		call->out_len = sizeof(struct datafs_attr);
		return vfs_way_attr(mnt, w->node, call->out);
	case DATAFS_OP_STATFS:
		return vfs_call_as(mnt, call, mnt->root, vfs_quorum_statfs);
	case DATAFS_OP_GETXATTR:
		return -ENODATA;
	case DATAFS_OP_LISTXATTR:
		return 0;
	default:
		return -EINVAL;
	}
}

static const vfs_call_fn quorum_calls[DATAFS_OP_NR] = {
	[DATAFS_OP_GETATTR]	= vfs_quorum_getattr,
	[DATAFS_OP_READLINK]	= vfs_quorum_readlink,
	[DATAFS_OP_GETXATTR]	= vfs_quorum_getxattr,
	[DATAFS_OP_LISTXATTR]	= vfs_quorum_listxattr,
	[DATAFS_OP_STATFS]	= vfs_quorum_statfs,
};

int vfs_table_call(struct vfs_mount *mnt, struct datafs_call *call)
{
	unsigned int op = call->req->opcode;
	uint64_t ino = call->req->ino;
	struct datafs_attr *attr = call->out;
	struct vfs_table_use use;
	struct vfs_where w;
	int ret;

	if (ino != mnt->root && !(ino & DATAFS_META_BRANCH))
		return vfs_call_as(mnt, call, ino, quorum_calls[op]);
	ret = ino == mnt->root ? where_now(mnt, ino, &use, &w) : where_lately(mnt, ino, &use, &w);
	if (!ret && w.of == VFS_OF_WAY)
		ret = call_way(mnt, call, &w);
	else if (!ret && w.of == VFS_OF_BRANCH)
		ret = vfs_call_as(w.branch, call, w.ino, vfs_tree_under.calls[op]);
	else if (!ret)
		ret = vfs_call_as(mnt, call, ino, quorum_calls[op]);
	if (!ret && op == DATAFS_OP_GETATTR && ino == mnt->root) {
		attr->ino = ino;
		/* What is the root may be covered tomorrow. */
		if (!use.believed)
			attr->valid_ms = 0;
	}
	vfs_table_put(mnt, use.t);
	return ret;
}

static int lookup(struct vfs_mount *mnt, const struct vfs_table_use *use,
		  const struct vfs_where *w, const char *name, struct datafs_entry *e)
{
	struct trie_node *node, *child;
	int ret = vfs_where_node(mnt, use->t, w, &node);

	if (ret)
		return ret;
	child = node ? trie_child(node, name, strlen(name)) : NULL;
	if (child && child->mount)
		return vfs_mounted_entry(mnt, use, child, e);
	ret = vfs_where_lookup(mnt, w, name, e);
	if (!ret && child && (!e->attr.ino || !S_ISDIR(e->attr.mode)))
		ret = vfs_way_attr(mnt, child, &e->attr);
	if (!ret && child)
		vfs_table_learn(mnt, use->epoch, child, e->attr.ino);
	if (!use->believed)
		e->valid_ms = 0;
	return ret;
}

int vfs_table_lookup(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct vfs_table_use use;
	struct vfs_where w;
	int ret = where_now(mnt, call->req->ino, &use, &w);

	if (!ret)
		ret = lookup(mnt, &use, &w, call->name, call->out);
	if (!ret)
		call->out_len = sizeof(struct datafs_entry);
	vfs_table_put(mnt, use.t);
	return ret;
}

static int parent(struct vfs_mount *mnt, const struct vfs_table_use *use,
		  const struct vfs_where *w, struct datafs_call *call)
{
	struct datafs_entry *e = call->out;
	int ret;

	call->out_len = sizeof(*e);
	/* Up across the mount; the root's own is itself. */
	if (w->node)
		return vfs_node_entry(mnt, use, w->node->parent ? w->node->parent : w->node, e);
	if (w->of == VFS_OF_BRANCH)
		ret = vfs_call_as(w->branch, call, w->ino, vfs_parent);
	else
		ret = vfs_quorum_parent(mnt, call);
	if (ret || !use->t->root->mount)
		return ret;
	/* The root is what is mounted there, also seen from what that hides. */
	if (e->attr.ino == mnt->root || e->attr.ino == vfs_branch_root(use->t->root->mount))
		ret = vfs_node_entry(mnt, use, use->t->root, e);
	return ret;
}

int vfs_table_parent(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct vfs_table_use use;
	struct vfs_where w;
	int ret;

	if (call->req->ino == mnt->root)
		ret = where_now(mnt, call->req->ino, &use, &w);
	else
		ret = where_lately(mnt, call->req->ino, &use, &w);
	if (!ret && w.of == VFS_OF_QUORUM && call->req->ino == mnt->root)
		ret = vfs_quorum_parent(mnt, call);
	else if (!ret)
		ret = parent(mnt, &use, &w, call);
	vfs_table_put(mnt, use.t);
	return ret;
}

/* ---- changes ---- */

/* Of a name in a directory: 0, or why it cannot be made, moved or removed. */
static int name_free(struct vfs_mount *mnt, const struct vfs_table_use *use,
		     const struct vfs_where *w, const char *name, size_t len, int why)
{
	struct trie_node *node;
	int ret = vfs_where_node(mnt, use->t, w, &node);

	if (ret)
		return ret;
	return node && trie_child(node, name, len) ? why : 0;
}

/* Two inodes of one change. */
static int same_branch(const struct vfs_where *a, const struct vfs_where *b)
{
	if (a->of != b->of || a->branch != b->branch)
		return -EXDEV;
	return a->of == VFS_OF_QUORUM ? 0 : -EROFS;
}

static int may_rename(struct vfs_mount *mnt, const struct vfs_table_use *use,
		      const struct vfs_where *w, const struct datafs_call *call)
{
	const struct datafs_rename_req *r = call->body;
	const char *to = (const char *)(r + 1) + datafs_round_up(call->req->namelen, 8);
	struct vfs_where other;
	int ret = vfs_where(mnt, use->t, r->new_parent, &other);

	if (!ret)
		ret = same_branch(w, &other);
	if (!ret)
		ret = name_free(mnt, use, w, call->name, call->req->namelen, -EBUSY);
	if (!ret)
		ret = name_free(mnt, use, &other, to, r->new_namelen, -EBUSY);
	return ret;
}

static int may_link(struct vfs_mount *mnt, const struct vfs_table_use *use,
		    const struct vfs_where *w, const struct datafs_call *call)
{
	const struct datafs_link_req *r = call->body;
	struct vfs_where other;
	int ret = vfs_where(mnt, use->t, r->ino, &other);

	if (!ret)
		ret = same_branch(w, &other);
	return ret ? ret : name_free(mnt, use, w, call->name, call->req->namelen, -EEXIST);
}

static int may_change(struct vfs_mount *mnt, const struct vfs_table_use *use,
		      const struct vfs_where *w, const struct datafs_call *call)
{
	switch (call->req->opcode) {
	case DATAFS_OP_RENAME:
		return may_rename(mnt, use, w, call);
	case DATAFS_OP_LINK:
		return may_link(mnt, use, w, call);
	default:
		break;
	}
	if (w->of != VFS_OF_QUORUM)
		return -EROFS;
	switch (call->req->opcode) {
	case DATAFS_OP_UNLINK:
	case DATAFS_OP_RMDIR:
		return name_free(mnt, use, w, call->name, call->req->namelen, -EBUSY);
	case DATAFS_OP_CREATE:
	case DATAFS_OP_MKDIR:
	case DATAFS_OP_MKNOD:
	case DATAFS_OP_SYMLINK:
		return name_free(mnt, use, w, call->name, call->req->namelen, -EEXIST);
	default:
		return 0;
	}
}

/* One of the inode alone, where nothing can be mounted? */
static bool is_plain(const struct vfs_mount *mnt, const struct datafs_req *req)
{
	switch (req->opcode) {
	case DATAFS_OP_SETATTR:
	case DATAFS_OP_SETXATTR:
	case DATAFS_OP_REMOVEXATTR:
		return req->ino != mnt->root && !(req->ino & DATAFS_META_BRANCH);
	default:
		return false;
	}
}

/*
 * What the table says is looked at before the change, not with it: a mount that is added
 * meanwhile hides what was changed, as any change from before. What comes again is looked at
 * like that, too, since nobody knows whether it was ever begun; so one that is done and
 * hidden since then is told to have failed.
 */
int vfs_table_change(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct vfs_table_use use;
	struct vfs_where w;
	int ret;

	if (call->req->opcode == DATAFS_OP_RELEASE)
		return call->req->ino & DATAFS_META_BRANCH ? 0 : vfs_quorum_change(mnt, call);
	if (!is_plain(mnt, call->req)) {
		ret = where_now(mnt, call->req->ino, &use, &w);
		if (!ret)
			ret = may_change(mnt, &use, &w, call);
		vfs_table_put(mnt, use.t);
		if (ret)
			return ret;
	}
	return vfs_quorum_change(mnt, call);
}

int vfs_table_branch(struct vfs_mount *mnt, uint64_t ino, struct vfs_mount **res)
{
	/* Whoever is answered so shall not wait for a quorum that is away. */
	struct vfs_table_use use = { .t = vfs_table_last(mnt) };
	struct vfs_where w;
	int ret = use.t ? 0 : vfs_table_get(mnt, &use);

	if (!ret)
		ret = vfs_where(mnt, use.t, ino, &w);
	if (!ret && w.of != VFS_OF_BRANCH)
		ret = -ESTALE;
	if (!ret) {
		vfs_mount_hold(w.branch);
		*res = w.branch;
	}
	vfs_table_put(mnt, use.t);
	return ret;
}

/* All of it, when its store is there; what was never looked at needs no second look. */
static int look_again_at(struct vfs_mount *branch)
{
	uint64_t root = vfs_branch_root(branch);

	atomic_store(&branch->not_before, datafs_now());
	return root ? datafs_meta_doubt(branch->v->meta, root) : 0;
}

int vfs_table_look_again(struct vfs_mount *mnt, uint64_t ino)
{
	struct vfs_table *t = vfs_table_last(mnt);
	struct vfs_where w;
	int ret = 0, err;

	if (t && ino) {
		ret = vfs_where(mnt, t, ino, &w);
		if (!ret && w.of == VFS_OF_BRANCH)
			ret = vfs_look_again(w.branch, w.ino);
	}
	for (size_t i = 0; t && !ino && i < t->n_mounted; i++) {
		err = look_again_at(t->mounted[i].branch);
		ret = ret ? ret : err;
	}
	vfs_table_put(mnt, t);
	return ret;
}
