// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/util.h"

static struct vfs_mounted *mounted_at(struct vfs_table *t, const struct vfs_mount *branch)
{
	for (size_t i = 0; i < t->n_mounted; i++)
		if (t->mounted[i].branch == branch)
			return &t->mounted[i];
	return NULL;
}

static struct vfs_mounted *mounted_of(struct vfs_table *t, uint64_t root)
{
	for (size_t i = 0; i < t->n_mounted; i++)
		if (vfs_branch_root(t->mounted[i].branch) == root)
			return &t->mounted[i];
	return NULL;
}

static int where_branch(const struct vfs_mounted *m, uint64_t ino, struct vfs_where *w)
{
	int ret = vfs_branch_have(m->branch);

	if (ret)
		return ret;
	*w = (struct vfs_where) {
		.of = VFS_OF_BRANCH, .branch = m->branch,
		.ino = ino ? ino : vfs_branch_root(m->branch),
	};
	if (w->ino == vfs_branch_root(m->branch))
		w->node = m->node;
	return 0;
}

int vfs_where(struct vfs_mount *mnt, struct vfs_table *t, uint64_t ino, struct vfs_where *w)
{
	const struct vfs_mounted *m;
	struct datafs_meta_inode in;
	int ret;

	*w = (struct vfs_where) { .of = VFS_OF_QUORUM, .ino = ino };
	if (ino == mnt->root && t->root->mount)
		return where_branch(mounted_at(t, t->root->mount), 0, w);
	if (!(ino & DATAFS_META_BRANCH))
		return 0;
	ret = datafs_meta_peek(mnt->v->meta, ino, &in);
	if (ret)
		return ret;
	m = mounted_of(t, in.root);
	if (m)
		return where_branch(m, ino, w);
	for (size_t i = 0; i < t->n_inner; i++)
		if (atomic_load(&t->inner[i]->ino) == ino) {
			w->of = VFS_OF_WAY;
			w->node = t->inner[i];
			return 0;
		}
	return -ESTALE;
}

static int node_in_branch(struct vfs_mount *mnt, struct trie_node *top, uint64_t ino,
			  struct trie_node **res)
{
	struct trie_node *n;
	char *key;
	int ret;

	if (!top->children)
		return 0;
	ret = datafs_meta_key(mnt->v->meta, ino, &key);
	if (ret)
		return ret;
	n = trie_find(top, key, strlen(key));
	free(key);
	/* Else it is hidden by a mount: who is in it still sees what is in it. */
	if (n && vfs_table_within(n, top))
		*res = n;
	return 0;
}

int vfs_where_node(struct vfs_mount *mnt, struct vfs_table *t, const struct vfs_where *w,
		   struct trie_node **res)
{
	*res = w->node;
	if (w->node)
		return 0;
	if (w->of == VFS_OF_BRANCH)
		return node_in_branch(mnt, mounted_at(t, w->branch)->node, w->ino, res);
	for (size_t i = 0; i < t->n_inner && !*res; i++)
		if (atomic_load(&t->inner[i]->ino) == w->ino)
			*res = t->inner[i];
	return 0;
}

int vfs_call_as(struct vfs_mount *mnt, struct datafs_call *call, uint64_t ino, vfs_call_fn fn)
{
	const struct datafs_req *req = call->req;
	struct datafs_req as = *req;
	int ret;

	if (!fn)
		return -ENOSYS;
	as.ino = ino;
	call->req = &as;
	ret = fn(mnt, call);
	call->req = req;
	return ret;
}

int vfs_where_lookup(struct vfs_mount *mnt, const struct vfs_where *w, const char *name,
		     struct datafs_entry *e)
{
	struct datafs_req req = { .opcode = DATAFS_OP_LOOKUP, .mount_id = mnt->id, .ino = w->ino };
	struct datafs_call call = { .req = &req, .out = e };

	*e = (struct datafs_entry) { .valid_ms = DATAFS_FOREVER };
	if (w->of == VFS_OF_WAY)
		return 0;
	req.namelen = (uint16_t)strlen(name);
	memcpy(call.name, name, req.namelen);
	return w->of == VFS_OF_BRANCH ? vfs_lookup(w->branch, &call) :
					vfs_quorum_lookup(mnt, &call);
}

/* ---- directories that are only on the way ---- */

static char *way_name(struct vfs_mount *mnt, const struct trie_node *n)
{
	char *path = vfs_table_path(mnt, n), *name;
	size_t len = path ? strlen(path) : 0;

	/* As of a branch without a source. */
	name = path ? realloc(path, len + 2) : NULL;
	if (!name)
		free(path);
	else
		memcpy(name + len, "\n", 2);
	return name;
}

int vfs_way_known(struct vfs_mount *mnt, struct trie_node *n, uint64_t *ino)
{
	char *name = way_name(mnt, n);
	int ret;

	if (!name)
		return -ENOMEM;
	ret = datafs_meta_find_root(mnt->v->meta, name, ino);
	free(name);
	if (ret == -ENOENT)
		*ino = 0;
	return ret == -ENOENT ? 0 : ret;
}

static int way_make(struct vfs_mount *mnt, const struct trie_node *n, struct datafs_meta_inode *in)
{
	struct datafs_under_stat st = { .mode = S_IFDIR | 0555, .nlink = 2, .size = 4096 };
	char *name = way_name(mnt, n);
	int ret;

	if (!name)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &st.mtime);
	st.ctime = st.atime = st.mtime;
	ret = datafs_meta_branch_root(mnt->v->meta, name, &st, datafs_now(), in);
	free(name);
	return ret;
}

int vfs_way_attr(struct vfs_mount *mnt, struct trie_node *n, struct datafs_attr *attr)
{
	struct datafs_meta_inode in;
	uint64_t ino;
	int ret = vfs_way_known(mnt, n, &ino);

	if (!ret)
		ret = ino ? datafs_meta_peek(mnt->v->meta, ino, &in) : -ESTALE;
	/* Not there yet, or torn by a crash. */
	if (ret == -ESTALE)
		ret = way_make(mnt, n, &in);
	if (ret)
		return ret;
	vfs_attr(mnt, &in, attr);
	attr->valid_ms = DATAFS_FOREVER;
	return 0;
}

/* ---- what nodes are ---- */

static int attr_of(struct vfs_mount *mnt, uint64_t ino, vfs_call_fn fn, struct datafs_attr *attr)
{
	struct datafs_req req = { .opcode = DATAFS_OP_GETATTR, .mount_id = mnt->id, .ino = ino };
	struct datafs_call call = { .req = &req, .out = attr };

	return fn(mnt, &call);
}

int vfs_mounted_entry(struct vfs_mount *mnt, const struct vfs_table_use *use,
		      struct trie_node *n, struct datafs_entry *e)
{
	struct vfs_mount *b = n->mount;
	int ret = vfs_branch_have(b);

	*e = (struct datafs_entry) { .valid_ms = use->believed ? DATAFS_FOREVER : 0 };
	if (!ret)
		ret = attr_of(b, vfs_branch_root(b), vfs_op_getattr, &e->attr);
	if (ret)
		return ret == -ESTALE ? -EIO : ret;
	if (!n->parent) {
		e->attr.ino = mnt->root;
		e->attr.valid_ms = use->believed ? e->attr.valid_ms : 0;
	}
	return 0;
}

/* The way down from @top, which is there, to @n; what is missing is only on the way. */
static int walk(struct vfs_mount *mnt, const struct vfs_table_use *use, struct vfs_where w,
		const struct trie_node *top, struct trie_node *n, struct datafs_entry *e)
{
	struct trie_node *at;
	int ret;

	while (top != n) {
		for (at = n; at->parent != top; at = at->parent)
			;
		ret = vfs_where_lookup(mnt, &w, at->name, e);
		if (ret)
			return ret;
		if (!e->attr.ino || !S_ISDIR(e->attr.mode)) {
			w = (struct vfs_where) { .of = VFS_OF_WAY };
			ret = vfs_way_attr(mnt, at, &e->attr);
			if (ret)
				return ret;
			vfs_table_learn(mnt, use->epoch, at, e->attr.ino);
		}
		w.ino = e->attr.ino;
		top = at;
	}
	return 0;
}

int vfs_node_entry(struct vfs_mount *mnt, const struct vfs_table_use *use, struct trie_node *n,
		   struct datafs_entry *e)
{
	struct trie_node *top = vfs_table_cover(n);
	struct vfs_where w = { .of = VFS_OF_QUORUM, .ino = mnt->root };
	int ret;

	if (top) {
		ret = vfs_mounted_entry(mnt, use, top, e);
		w = (struct vfs_where) {
			.of = VFS_OF_BRANCH, .branch = top->mount,
			.ino = vfs_branch_root(top->mount),
		};
	} else {
		for (top = n; top->parent; top = top->parent)
			;
		*e = (struct datafs_entry) { .valid_ms = DATAFS_FOREVER };
		ret = attr_of(mnt, mnt->root, vfs_quorum_getattr, &e->attr);
	}
	if (!ret)
		ret = walk(mnt, use, w, top, n, e);
	if (!ret && !use->believed)
		e->valid_ms = 0;
	return ret;
}
