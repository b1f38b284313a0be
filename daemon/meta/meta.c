// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* Bytes of a key; far more than any store takes. */
#define KEY_MAX		(64u << 10)

static int dir_get(struct datafs_meta *m, uint64_t ino, struct node **res)
{
	int ret = node_get(m, ino, res);

	if (!ret && !S_ISDIR((*res)->st.mode))
		ret = -ENOTDIR;
	return ret;
}

/* As ticket_take(), in the words of the callers: SYNC, -EAGAIN (ask again)... */
static int take(struct datafs_meta *m, uint64_t dir, const char *name,
		bool list, struct datafs_meta_ticket *ticket)
{
	int ret = ticket_take(m, dir, name, list, ticket);

	return ret == 0 ? DATAFS_META_SYNC : ret == 1 ? -EAGAIN : ret;
}

static int try_lookup(struct datafs_meta *m, uint64_t dir, const char *name,
		      int64_t fresh, struct datafs_meta_inode *res,
		      struct datafs_meta_ticket *ticket)
{
	struct node *dn, *n = NULL;
	struct store_dirent de = { 0 };
	struct name_entry *e;
	int64_t seen = 0;
	bool absent;
	int ret;

	ret = dir_get(m, dir, &dn);
	if (ret)
		return ret;
	absent = node_proves(m, dn);
	if (absent)
		seen = dn->list_synced;
	e = name_get(m, dir, name);
	if (e) {
		de.ino = e->ino;
		seen = DATAFS_MAX(seen, e->synced);
		absent = true;
	} else {
		ret = store_dirent_get(m, dir, name, &de);
		if (ret < 0)
			return ret;
	}
	if (!de.ino) {
		if (absent && seen >= fresh) {
			memset(res, 0, sizeof(*res));
			res->synced = res->name_synced = seen;
			return DATAFS_META_ANSWER;
		}
		return take(m, dir, name, false, ticket);
	}
	ret = node_get(m, de.ino, &n);
	if (ret && ret != -ESTALE)
		return ret;
	if (n) {
		/* One with one name is only ever looked at through it. */
		if (!(n->flags & NODE_LINKS))
			seen = DATAFS_MAX(seen, n->synced);
		if (seen >= fresh && n->synced >= fresh) {
			node_tell(n, res);
			res->name_synced = seen;
			return DATAFS_META_ANSWER;
		}
	}
	return take(m, dir, name, false, ticket);
}

int datafs_meta_lookup(struct datafs_meta *m, uint64_t dir, const char *name,
		       int64_t fresh, struct datafs_meta_inode *res,
		       struct datafs_meta_ticket *ticket)
{
	int ret;

	pthread_mutex_lock(&m->lock);
	do
		ret = try_lookup(m, dir, name, fresh, res, ticket);
	while (ret == -EAGAIN);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int datafs_meta_getattr(struct datafs_meta *m, uint64_t ino, int64_t fresh,
			struct datafs_meta_inode *res,
			struct datafs_meta_ticket *ticket)
{
	struct node *n;
	int ret;

	pthread_mutex_lock(&m->lock);
	do {
		ret = node_get(m, ino, &n);
		if (ret)
			break;
		if (n->synced >= fresh) {
			node_tell(n, res);
			res->name_synced = n->synced;
			ret = DATAFS_META_ANSWER;
			break;
		}
		if (n->parent)
			ret = take(m, n->parent, n->name, false, ticket);
		else
			ret = take(m, n->ino, "", false, ticket);
	} while (ret == -EAGAIN);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int datafs_meta_peek(struct datafs_meta *m, uint64_t ino,
		     struct datafs_meta_inode *res)
{
	struct node *n;
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = node_get(m, ino, &n);
	if (!ret)
		node_tell(n, res);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int datafs_meta_parent(struct datafs_meta *m, uint64_t ino, uint64_t *parent)
{
	struct node *n;
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = dir_get(m, ino, &n);
	if (!ret)
		*parent = n->parent ? n->parent : ino;
	pthread_mutex_unlock(&m->lock);
	return ret;
}

/*
 * The listing itself, from what is known; @l: from what one that is under way has met, which
 * is DATAFS_META_MORE if that is nothing yet.
 */
static int list(struct datafs_meta *m, const struct node *dn, struct datafs_meta_listing *l,
		uint64_t cookie, datafs_meta_entry_fn fn, void *arg, bool *eof)
{
	int64_t synced = l ? listing_looked(l) : dn->list_synced;
	bool hides = dn->flags & NODE_HIDDEN || (l && listing_hides(l));
	char prefix[9], from[17], name[DATAFS_NAME_MAX + 1];
	struct datafs_meta_inode inode;
	leveldb_iterator_t *it;
	const char *key, *val;
	size_t klen, vlen;
	struct node *n;
	uint64_t ino;
	int ret = 0, err, told = 0;

	store_key(prefix, 'C', dn->ino);
	store_key2(from, 'C', dn->ino, cookie + 1);
	*eof = false;
	for (it = store_iter(m, from, sizeof(from)); ; leveldb_iter_next(it)) {
		if (!store_iter_at(it, prefix, sizeof(prefix), &key, &klen)) {
			*eof = !l;
			break;
		}
		/* It may be gone; what comes after it waits, so that none is passed over. */
		if (l && klen == 17 && !listing_met(l, datafs_get_be64(key + 9)))
			break;
		val = leveldb_iter_value(it, &vlen);
		if (klen != 17 || vlen <= sizeof(ino) ||
		    vlen - sizeof(ino) > DATAFS_NAME_MAX)
			continue;
		memcpy(&ino, val, sizeof(ino));
		memcpy(name, val + sizeof(ino), vlen - sizeof(ino));
		name[vlen - sizeof(ino)] = 0;
		ret = node_get(m, ino, &n);
		if (ret == -ESTALE)	/* torn by a crash: the next listing heals it */
			continue;
		if (ret)
			break;
		node_tell(n, &inode);
		inode.name_synced = hides ? DATAFS_MIN(synced, n->synced) : synced;
		told++;
		if (fn(arg, datafs_get_be64(key + 9), name, &inode))
			break;
	}
	err = store_iter_end(m, it);
	if (ret && ret != -ESTALE)
		return ret;
	return err || !l || told ? err : DATAFS_META_MORE;
}

/* Are the listing and its attributes as @fresh says? */
static bool list_fresh(const struct node *dn, int64_t fresh)
{
	return dn->children_synced >= fresh &&
	       (!(dn->flags & NODE_TORN) || datafs_now() < dn->torn_until);
}

int datafs_meta_readdir(struct datafs_meta *m, uint64_t dir, uint64_t cookie,
			int64_t fresh, datafs_meta_entry_fn fn, void *arg,
			bool *eof, struct datafs_meta_ticket *ticket)
{
	struct datafs_meta_listing *l;
	struct node *dn;
	int ret;

	pthread_mutex_lock(&m->lock);
	do {
		ret = dir_get(m, dir, &dn);
		if (ret)
			break;
		l = listing_of(m, dir, cookie ? 0 : fresh);
		/* Who goes on may have begun with one that is under way. */
		if (node_complete(m, dn) && (cookie ? !l : list_fresh(dn, fresh)))
			ret = fn ? list(m, dn, NULL, cookie, fn, arg, eof) : DATAFS_META_ANSWER;
		else if (l && (!fn || (!cookie && listing_looked(l) < fresh)))
			ret = DATAFS_META_MORE;
		else if (l)
			ret = list(m, dn, l, cookie, fn, arg, eof);
		else
			ret = take(m, dir, "", true, ticket);
	} while (ret == -EAGAIN);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

/* The key of a root's record; to be freed. NULL: no memory. */
static char *root_key(const char *source, size_t *len)
{
	char *key;

	*len = 1 + strlen(source);
	key = malloc(*len + 1);
	if (key) {
		key[0] = 'M';
		strcpy(key + 1, source);
	}
	return key;
}

int datafs_meta_find_root(struct datafs_meta *m, const char *source,
			  uint64_t *ino)
{
	size_t klen;
	char *key = root_key(source, &klen);
	int ret;

	if (!key)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	ret = store_u64_get(m, key, klen, ino);
	pthread_mutex_unlock(&m->lock);
	free(key);
	return ret == 1 ? 0 : ret ? ret : -ENOENT;
}

static int make_root(struct datafs_meta *m, const char *source, uint64_t branch,
		     const struct datafs_under_stat *st, int64_t looked,
		     struct datafs_meta_inode *res)
{
	size_t klen;
	char *key = root_key(source, &klen);
	leveldb_writebatch_t *b;
	struct node *n = NULL;
	uint64_t ino;
	int ret;

	if (!key)
		return -ENOMEM;
	b = leveldb_writebatch_create();
	pthread_mutex_lock(&m->lock);
	ret = store_u64_get(m, key, klen, &ino);
	if (ret == 1) {
		ret = node_get(m, ino, &n);
		if (ret == -ESTALE)
			ret = 0;	/* torn by a crash: made again */
	}
	if (!ret && !n) {
		ret = store_new_number(m, &ino);
		if (!ret) {
			ino |= branch;
			n = node_new(m, ino);
		}
		if (!ret && (!n || node_set_name(n, 0, "")))
			ret = -ENOMEM;
		if (!ret) {
			n->root = ino;
			store_u64_put(b, key, klen, ino);
		}
	}
	if (!ret)
		ret = inode_update(m, b, n, st, looked);
	if (ret >= 0)
		ret = store_write(m, b);
	if (!ret)
		node_tell(n, res);
	else if (n)
		node_forget(m, n->ino);
	pthread_mutex_unlock(&m->lock);
	leveldb_writebatch_destroy(b);
	free(key);
	return ret;
}

int datafs_meta_root(struct datafs_meta *m, const char *source,
		     const struct datafs_under_stat *st, int64_t looked,
		     struct datafs_meta_inode *res)
{
	return make_root(m, source, 0, st, looked, res);
}

int datafs_meta_branch_root(struct datafs_meta *m, const char *name,
			    const struct datafs_under_stat *st, int64_t looked,
			    struct datafs_meta_inode *res)
{
	return make_root(m, name, DATAFS_META_BRANCH, st, looked, res);
}

int datafs_meta_doubt(struct datafs_meta *m, uint64_t root)
{
	leveldb_writebatch_t *b = leveldb_writebatch_create();
	char key[META_KEY_MAX];
	int ret;

	leveldb_writebatch_put(b, key, store_key(key, 'E', root), "", 0);
	pthread_mutex_lock(&m->lock);
	ret = store_write(m, b);
	pthread_mutex_unlock(&m->lock);
	leveldb_writebatch_destroy(b);
	return ret;
}

int datafs_meta_doubted(struct datafs_meta *m, uint64_t root)
{
	char key[META_KEY_MAX], *val;
	size_t len;
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = store_get(m, key, store_key(key, 'E', root), &val, &len);
	pthread_mutex_unlock(&m->lock);
	if (ret == 1)
		leveldb_free(val);
	return ret;
}

/* The way up from @ino, then @last: "a/b/last". */
static int key_of(struct datafs_meta *m, uint64_t ino, const char *last,
		  char **res)
{
	size_t room = 256, at, len;
	char *buf = malloc(room), *more;
	const char *name = last;
	struct node *n;
	int ret;

	if (!buf)
		return -ENOMEM;
	at = room - 1;
	buf[at] = 0;
	for (;;) {
		len = strlen(name);
		while (at < len + 1) {
			ret = room >= KEY_MAX ? -ENAMETOOLONG : -ENOMEM;
			more = room >= KEY_MAX ? NULL : malloc(room * 2);
			if (!more)
				goto fail;
			memcpy(more + room + at, buf + at, room - at);
			free(buf);
			buf = more;
			at += room;
			room *= 2;
		}
		if (len) {
			if (buf[at])
				buf[--at] = '/';
			at -= len;
			memcpy(buf + at, name, len);
		}
		if (!ino)
			break;
		ret = node_get(m, ino, &n);
		if (ret)
			goto fail;
		name = n->name;
		ino = n->parent;
	}
	memmove(buf, buf + at, room - at);
	*res = buf;
	return 0;
fail:
	free(buf);
	return ret;
}

int datafs_meta_key(struct datafs_meta *m, uint64_t ino, char **key)
{
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = key_of(m, ino, "", key);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int datafs_meta_ticket_key(struct datafs_meta *m,
			   const struct datafs_meta_ticket *ticket, char **key)
{
	int ret;

	pthread_mutex_lock(&m->lock);
	ret = key_of(m, ticket->dir, ticket->name, key);
	pthread_mutex_unlock(&m->lock);
	return ret;
}
