// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "metad/mounts.h"

/* The directory that is shown, without slashes at its ends; and how long it is. */
static const char *shown(const struct vfs_mount *mnt, size_t *len)
{
	const char *dir = strstr(mnt->source, ":/") + 2;

	dir += strspn(dir, "/");
	*len = strlen(dir);
	while (*len && dir[*len - 1] == '/')
		--*len;
	return dir;
}

/* @path from there on; NULL: it is not in what is shown. */
static const char *below(const struct vfs_mount *mnt, const char *path, size_t *len)
{
	const char *end = path + *len, *dir;
	size_t left;

	for (dir = shown(mnt, &left); left;) {
		size_t n = strcspn(dir, "/"), m;

		n = DATAFS_MIN(n, left);
		while (path < end && *path == '/')
			path++;
		for (m = 0; path + m < end && path[m] != '/'; m++)
			;
		if (n != m || memcmp(path, dir, n))
			return NULL;
		path += m;
		dir += n;
		left -= n;
		while (left && *dir == '/') {
			dir++;
			left--;
		}
	}
	*len = end - path;
	return path;
}

char *vfs_table_path(const struct vfs_mount *mnt, const struct trie_node *n)
{
	const struct trie_node *at;
	size_t len, room = 2;
	const char *dir = shown(mnt, &len);
	char *path, *p;

	for (at = n; at->parent; at = at->parent)
		room += at->len + 1;
	path = malloc(room + len + 1);
	if (!path)
		return NULL;
	p = path + room + len;
	*p = 0;
	for (at = n; at->parent; at = at->parent) {
		p -= at->len;
		memcpy(p, at->name, at->len);
		*--p = '/';
	}
	if (len || !*p) {
		p -= len;
		memcpy(p, dir, len);
		*--p = '/';
	}
	memmove(path, p, strlen(p) + 1);
	return path;
}

bool vfs_table_within(const struct trie_node *n, const struct trie_node *top)
{
	for (; n && n != top; n = n->parent)
		if (n->mount)
			return false;
	return n;
}

struct trie_node *vfs_table_cover(struct trie_node *n)
{
	while (n && !n->mount)
		n = n->parent;
	return n;
}

/* The same as in @old, or what it has become. */
static struct vfs_mount *branch_of(struct vfs_mount *mnt, struct vfs_table *old, const char *path,
				   const Metad__Mount *row)
{
	struct vfs_mount *b, *was = NULL;

	for (size_t i = 0; old && i < old->n_mounted && !was; i++)
		if (old->mounted[i].branch->row == row->id)
			was = old->mounted[i].branch;
	if (was && was->generation == row->generation) {
		vfs_branch_get(was);
		return was;
	}
	b = vfs_branch_new(mnt, path, row);
	/* Of other options other things may be so, however long that is to be kept. */
	if (b && old)
		atomic_store(&b->not_before, datafs_now());
	/* A predecessor has opened it: what is there now must be the same. */
	if (b && !old && mnt->adopted && b->known && !b->broken) {
		if (b->tree->adopt(b))
			b->known = 0;
		else
			atomic_store(&b->opened, true);
	}
	return b;
}

static int add_row(struct vfs_mount *mnt, struct vfs_table *t, struct vfs_table *old,
		   const Metad__Mount *row)
{
	size_t len = row->path.len;
	const char *rest;
	struct trie_node *n;
	char *path;

	/* An answer is input. */
	if (datafs_mount_path_wrong(row->path.data, row->path.len))
		return -EIO;
	rest = below(mnt, (char *)row->path.data, &len);
	if (!rest)
		return 0;
	n = trie_add(t->root, rest, len);
	path = n ? vfs_table_path(mnt, n) : NULL;
	if (!path)
		return -ENOMEM;
	if (!n->mount) {
		n->mount = branch_of(mnt, old, path, row);
		if (n->mount)
			t->mounted[t->n_mounted++] = (struct vfs_mounted) { n->mount, n };
	}
	free(path);
	return n->mount ? 0 : -ENOMEM;
}

/* What is on the way, parents first. */
static int add_inner(struct vfs_table *t)
{
	struct trie_node *n;
	size_t i = 0;

	for (n = t->root; n; n = trie_next(n))
		t->n_inner += !n->mount;
	t->inner = calloc(t->n_inner + 1, sizeof(*t->inner));
	if (!t->inner)
		return -ENOMEM;
	for (n = t->root; n; n = trie_next(n))
		if (!n->mount)
			t->inner[i++] = n;
	return 0;
}

int vfs_table_build(struct vfs_mount *mnt, struct Metad__Answer *const *pieces, size_t n,
		    struct vfs_table *old, struct vfs_table **res)
{
	struct vfs_table *t = calloc(1, sizeof(*t));
	size_t rows = 0;
	int ret = 0;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		rows += pieces[i]->n_mounts;
	t->refs = 1;
	t->version = pieces[0]->mounts_version;
	t->root = trie_new();
	t->mounted = calloc(rows + 1, sizeof(*t->mounted));
	if (!t->root || !t->mounted)
		ret = -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; !ret && k < pieces[i]->n_mounts; k++)
			ret = add_row(mnt, t, old, pieces[i]->mounts[k]);
	if (!ret)
		ret = add_inner(t);
	if (ret)
		vfs_table_free(t);
	else
		*res = t;
	return ret;
}

void vfs_table_free(struct vfs_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_mounted; i++)
		vfs_branch_put(t->mounted[i].branch);
	trie_free(t->root);
	free(t->mounted);
	free(t->inner);
	free(t);
}
