// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* Records removed below removed directories with each import. */
#define REAP_STEP	16

static bool has_links(const struct datafs_under_stat *st)
{
	return S_ISREG(st->mode) && st->nlink > 1 && st->file_id;
}

static size_t link_key(char *key, uint64_t ino, uint64_t dir, const char *name)
{
	size_t len = store_key2(key, 'L', ino, dir);

	memcpy(key + len, name, strlen(name));
	return len + strlen(name);
}

static void put_link(leveldb_writebatch_t *b, const struct node *n,
		     uint64_t dir, const char *name)
{
	char key[META_KEY_MAX];

	store_u64_put(b, key, store_key2(key, 'F', n->root, n->st.file_id),
		      n->ino);
	leveldb_writebatch_put(b, key, link_key(key, n->ino, dir, name), "", 0);
}

static bool is_primary(const struct node *n, uint64_t dir, const char *name)
{
	return n->parent == dir && !strcmp(n->name, name);
}

/* Another name of @n than this one becomes the primary: 1, 0 if none is. */
static int other_name(struct datafs_meta *m, struct node *n, uint64_t dir,
		      const char *name)
{
	char prefix[9], other[DATAFS_NAME_MAX + 1];
	struct store_dirent de;
	leveldb_iterator_t *it;
	const char *key;
	size_t klen;
	int ret = 0, err;

	store_key(prefix, 'L', n->ino);
	for (it = store_iter(m, prefix, 9); !ret; leveldb_iter_next(it)) {
		uint64_t parent;

		if (!store_iter_at(it, prefix, 9, &key, &klen))
			break;
		if (klen <= 17 || klen > META_KEY_MAX)
			continue;
		parent = datafs_get_be64(key + 9);
		memcpy(other, key + 17, klen - 17);
		other[klen - 17] = 0;
		if (parent == dir && !strcmp(other, name))
			continue;
		ret = store_dirent_get(m, parent, other, &de);
		if (ret == 1 && de.ino != n->ino)
			ret = 0;
		if (ret == 1)
			ret = node_set_name(n, parent, other) ? -ENOMEM : 1;
	}
	err = store_iter_end(m, it);
	return err ? err : ret;
}

/*
 * The name goes; its inode too, if that was the last, and then @n is freed.
 * @n may be NULL (torn). 0 or an error.
 */
static int import_unlink(struct datafs_meta *m, leveldb_writebatch_t *b,
			 uint64_t dir, const char *name,
			 const struct store_dirent *de, struct node *n)
{
	char key[META_KEY_MAX];
	uint64_t ino;
	int ret;

	store_dirent_del(b, dir, name, de->cookie);
	name_forget(m, dir, name);
	if (!n)
		return 0;
	if (n->flags & NODE_LINKS)
		leveldb_writebatch_delete(b, key,
					  link_key(key, n->ino, dir, name));
	if (!is_primary(n, dir, name))
		return 0;
	if (n->flags & NODE_LINKS) {
		ret = other_name(m, n, dir, name);
		if (ret < 0)
			return ret;
		if (ret) {
			n->synced = 0;
			store_node_put(b, n);
			return 0;
		}
		ret = store_u64_get(m, key, store_key2(key, 'F', n->root,
						       n->st.file_id), &ino);
		if (ret < 0)
			return ret;
		if (ret && ino == n->ino)
			leveldb_writebatch_delete(b, key, store_key2(key, 'F',
						  n->root, n->st.file_id));
	}
	leveldb_writebatch_delete(b, key, store_key(key, 'I', n->ino));
	if (S_ISDIR(n->st.mode)) {
		leveldb_writebatch_put(b, key, store_key(key, 'O', n->ino), "", 0);
		m->have_orphans = true;
	}
	node_forget(m, n->ino);
	return 0;
}

/* Does the primary name lead up to the root? Very deep: it is taken to. */
static bool has_way_up(struct datafs_meta *m, const struct node *n)
{
	uint64_t ino = n->parent;
	struct node *p;

	for (int i = 0; ino && i < META_NODES_KEPT / 2; i++) {
		int ret = node_get(m, ino, &p);

		if (ret)
			return ret != -ESTALE;
		ino = p->parent;
	}
	return true;
}

/*
 * @n was just seen at this name. That becomes the primary one if the old one
 * went with a directory above it, whose children are removed only bit by bit.
 * 1: it did, 0 or an error.
 */
static int claim_name(struct datafs_meta *m, leveldb_writebatch_t *b,
		      struct node *n, uint64_t dir, const char *name)
{
	if (!(n->flags & NODE_LINKS) || is_primary(n, dir, name) ||
	    has_way_up(m, n))
		return 0;
	if (node_set_name(n, dir, name))
		return -ENOMEM;
	store_node_put(b, n);
	return 1;
}

/* The inode of a name that was not known, or led to another: *res. */
static int import_make(struct datafs_meta *m, leveldb_writebatch_t *b,
		       uint64_t dir, uint64_t root, const char *name,
		       const struct datafs_under_stat *st, int64_t looked,
		       struct node **res)
{
	char key[META_KEY_MAX];
	struct node *n;
	uint64_t ino;
	int ret;

	if (has_links(st)) {
		ret = store_u64_get(m, key, store_key2(key, 'F', root,
						       st->file_id), &ino);
		if (ret < 0)
			return ret;
		if (ret && !node_get(m, ino, &n) && n->root == root &&
		    n->st.file_id == st->file_id && inode_same_file(n, st)) {
			*res = n;
			if (n->synced <= looked) {
				ret = inode_update(m, b, n, st, looked);
				if (ret < 0)
					return ret;
			}
			ret = claim_name(m, b, n, dir, name);
			return ret < 0 ? ret : 0;
		}
	}
	ret = store_new_number(m, &ino);
	if (ret)
		return ret;
	ino |= root & DATAFS_META_BRANCH;
	n = node_new(m, ino);
	if (!n)
		return -ENOMEM;
	n->root = root;
	ret = node_set_name(n, dir, name);
	if (!ret) {
		n->flags = has_links(st) ? NODE_LINKS : 0;
		ret = inode_update(m, b, n, st, looked);
	}
	if (ret < 0) {
		node_forget(m, ino);
		return ret;
	}
	*res = n;
	return 0;
}

/*
 * When the name was last seen for certain. That of a file with several may have
 * been looked at through another.
 */
static int64_t name_seen(struct datafs_meta *m, uint64_t dir, const char *name,
			 const struct node *cur)
{
	struct name_entry *e = name_get(m, dir, name);
	int64_t seen = e ? e->synced : 0;

	if (cur && !(cur->flags & NODE_LINKS) && cur->synced > seen)
		seen = cur->synced;
	return seen;
}

int import_name(struct datafs_meta *m, uint64_t dir, uint64_t root,
		       const char *name, const struct datafs_under_stat *st,
		       int64_t looked, bool repair, uint64_t *cookie)
{
	struct store_dirent de = { 0 };
	struct node *cur = NULL;
	leveldb_writebatch_t *b;
	bool put = false;
	int found, ret;

	*cookie = 0;
	found = store_dirent_get(m, dir, name, &de);
	if (found < 0)
		return found;
	if (found) {
		*cookie = de.cookie;
		ret = node_get(m, de.ino, &cur);
		if (ret && ret != -ESTALE)
			return ret;
	}
	if (name_seen(m, dir, name, cur) > looked)
		return 0;

	b = leveldb_writebatch_create();
	ret = 0;
	if (!st) {
		if (found) {
			ret = import_unlink(m, b, dir, name, &de, cur);
			put = true;
			*cookie = 0;
		}
		cur = NULL;
	} else if (cur && inode_same_file(cur, st)) {
		if (cur->synced <= looked)
			ret = inode_update(m, b, cur, st, looked);
		put = ret > 0;
		if (ret >= 0)
			ret = claim_name(m, b, cur, dir, name);
		put = put || ret > 0;
		if (ret >= 0 && has_links(st) && !(cur->flags & NODE_LINKS)) {
			cur->flags |= NODE_LINKS;
			put_link(b, cur, dir, name);
			store_node_put(b, cur);
			put = true;
		}
		if (repair) {
			store_dirent_put(b, dir, name, &de);
			put = true;
		}
	} else {
		put = true;
		if (found)
			ret = import_unlink(m, b, dir, name, &de, cur);
		else
			ret = store_new_number(m, &de.cookie);
		cur = NULL;
		/* It may be remembered as absent. */
		name_forget(m, dir, name);
		if (!ret)
			ret = import_make(m, b, dir, root, name, st, looked, &cur);
		if (!ret) {
			*cookie = de.cookie;
			de.ino = cur->ino;
			store_dirent_put(b, dir, name, &de);
			if (cur->flags & NODE_LINKS)
				put_link(b, cur, dir, name);
		}
	}
	if (ret >= 0)
		ret = put ? store_write(m, b) : 0;
	leveldb_writebatch_destroy(b);
	if (ret < 0) {
		/* Memory may be ahead of the disk: read again what is there. */
		if (cur)
			node_forget(m, cur->ino);
		name_forget(m, dir, name);
		return ret;
	}
	return 0;
}

static int import_root(struct datafs_meta *m, uint64_t ino,
		       const struct datafs_under_stat *st, int64_t looked)
{
	leveldb_writebatch_t *b;
	struct node *n;
	int ret;

	ret = node_get(m, ino, &n);
	if (ret)
		return ret;
	if (!S_ISDIR(st->mode))
		return -ENOTDIR;
	if (n->synced > looked)
		return 0;
	b = leveldb_writebatch_create();
	ret = inode_update(m, b, n, st, looked);
	if (ret > 0)
		ret = store_write(m, b);
	leveldb_writebatch_destroy(b);
	if (ret)
		node_forget(m, ino);
	return ret;
}

int datafs_meta_import(struct datafs_meta *m,
		       const struct datafs_meta_ticket *ticket, int64_t looked,
		       int err, const struct datafs_under_stat *st)
{
	struct name_entry *e;
	struct node *dir, *n;
	struct ticket *t;
	uint64_t cookie;
	int ret = 0;

	pthread_mutex_lock(&m->lock);
	t = ticket_find(m, ticket->serial);
	if (!t) {
		pthread_mutex_unlock(&m->lock);
		return -EAGAIN;
	}
	if (err && err != -ENOENT)
		goto out;
	if (!*ticket->name) {
		if (!err)
			ret = import_root(m, ticket->dir, st, looked);
		goto out;
	}
	ret = node_get(m, ticket->dir, &dir);
	if (ret)
		goto out;
	ret = import_name(m, dir->ino, dir->root, ticket->name,
			  err ? NULL : st, looked, false, &cookie);
	if (!ret) {
		struct store_dirent de;

		e = name_get(m, ticket->dir, ticket->name);
		if (e && e->synced > looked)
			goto out;
		ret = store_dirent_get(m, ticket->dir, ticket->name, &de);
		/* A newer look may have found what this one did not. */
		if (ret >= 0 && (ret == 0 || !node_get(m, de.ino, &n)))
			name_set(m, ticket->dir, ticket->name,
				 ret ? de.ino : 0, looked);
		ret = ret < 0 ? ret : 0;
	}
	if (m->have_orphans && !ret)
		ret = import_reap(m, REAP_STEP);
out:
	ticket_end(m, t, err && (err != -ENOENT || !*ticket->name) ? err : ret);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int import_reap(struct datafs_meta *m, int records)
{
	char prefix[9], key[META_KEY_MAX], name[DATAFS_NAME_MAX + 1];
	leveldb_writebatch_t *b;
	leveldb_iterator_t *it;
	const char *k, *val;
	size_t klen, vlen;
	uint64_t dir;
	int ret = 0;

	it = store_iter(m, "O", 1);
	if (!store_iter_at(it, "O", 1, &k, &klen) || klen != 9) {
		m->have_orphans = false;
		return store_iter_end(m, it);
	}
	dir = datafs_get_be64(k + 1);
	ret = store_iter_end(m, it);
	if (ret)
		return ret;

	b = leveldb_writebatch_create();
	store_key(prefix, 'C', dir);
	it = store_iter(m, prefix, 9);
	for (; records; records--, leveldb_iter_next(it)) {
		struct store_dirent de;
		struct node *n = NULL;

		if (!store_iter_at(it, prefix, 9, &k, &klen))
			break;
		val = leveldb_iter_value(it, &vlen);
		if (klen != 17 || vlen <= sizeof(struct store_cookie) ||
		    vlen > sizeof(struct store_cookie) + DATAFS_NAME_MAX) {
			leveldb_writebatch_delete(b, k, klen);
			continue;
		}
		memcpy(&de.ino, val, sizeof(de.ino));
		de.cookie = datafs_get_be64(k + 9);
		memcpy(name, val + sizeof(struct store_cookie),
		       vlen - sizeof(struct store_cookie));
		name[vlen - sizeof(struct store_cookie)] = 0;
		ret = node_get(m, de.ino, &n);
		if (ret && ret != -ESTALE)
			break;
		/* Looks at the database, so what came before must be there. */
		ret = import_unlink(m, b, dir, name, &de, n);
		if (!ret)
			ret = store_write(m, b);
		leveldb_writebatch_clear(b);
		if (ret)
			break;
	}
	if (records && !ret)
		leveldb_writebatch_delete(b, key, store_key(key, 'O', dir));
	if (!ret)
		ret = store_write(m, b);
	leveldb_writebatch_destroy(b);
	if (!ret)
		ret = store_iter_end(m, it);
	else
		store_iter_end(m, it);
	return ret;
}
