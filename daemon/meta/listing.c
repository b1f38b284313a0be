// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* Nobody reads on: it gives way to one that begins now. */
#define LISTING_IDLE	DATAFS_SEC
/* Paused at one time; of one that is dropped, what was met stays known. */
#define LISTINGS_MAX	256

struct datafs_meta_listing {
	struct datafs_meta *m;
	/* Once it was paused; m->lock */
	struct datafs_meta_listing *next;	/* in m->listings */
	bool listed;			/* ... where it is */
	bool busy;			/* somebody goes on with it */
	int64_t used;			/* when it was paused last */
	void *state;			/* of who begins it; while it is not busy */
	void (*drop)(void *state);

	uint64_t serial, dir, root;
	uint64_t start;		/* cookies from here on came after the ticket */
	int64_t looked;
	bool repair;
	bool hidden;		/* an entry could not be looked at */
	bool was_hidden;	/* ... the last time */
	bool whole;		/* what was not added is gone */
	bool sorted;		/* @seen is */
	struct datafs_fingerprint fp;
	bool fp_proves;		/* it was not young */
	uint64_t *seen;		/* cookies of the names added that are older than @start */
	size_t nseen, room;
};

int datafs_meta_list_begin(struct datafs_meta *m,
			   const struct datafs_meta_ticket *ticket,
			   int64_t looked, const struct datafs_under_stat *st,
			   struct datafs_meta_listing **res)
{
	struct datafs_meta_listing *l;
	leveldb_writebatch_t *b;
	struct ticket *t;
	struct node *n;
	int ret;

	l = calloc(1, sizeof(*l));
	pthread_mutex_lock(&m->lock);
	t = ticket_find(m, ticket->serial);
	if (!t) {
		pthread_mutex_unlock(&m->lock);
		free(l);
		return -EAGAIN;
	}
	ret = l ? node_get(m, ticket->dir, &n) : -ENOMEM;
	/* A root is whatever its source leads to. */
	if (!ret && (!S_ISDIR(st->mode) ||
		     (n->parent && !inode_same_file(n, st))))
		ret = -ESTALE;
	if (ret)
		goto fail;

	b = leveldb_writebatch_create();
	ret = n->synced > looked ? 0 : inode_update(m, b, n, st, looked);
	if (ret > 0)
		ret = store_write(m, b);
	leveldb_writebatch_destroy(b);
	if (ret) {
		node_forget(m, ticket->dir);
		goto fail;
	}
	l->m = m;
	l->serial = ticket->serial;
	l->dir = ticket->dir;
	l->root = n->root;
	l->start = t->start;
	l->looked = looked;
	l->repair = !node_complete(m, n) || n->flags & NODE_TORN;
	l->was_hidden = n->flags & NODE_HIDDEN;
	l->fp = st->fp;
	l->fp_proves = !(n->flags & NODE_YOUNG) &&
		       !memcmp(&n->st.fp, &st->fp, sizeof(st->fp));
	pthread_mutex_unlock(&m->lock);
	*res = l;
	return 0;
fail:
	ticket_end(m, t, ret);
	pthread_mutex_unlock(&m->lock);
	free(l);
	return ret;
}

/* The listing's ticket, NULL if it is not current any more. */
static struct ticket *list_ticket(struct datafs_meta_listing *l)
{
	struct ticket *t = ticket_find(l->m, l->serial);

	/* It makes progress. */
	if (t)
		t->expires = DATAFS_MAX(t->expires,
					datafs_now() + 60 * DATAFS_SEC);
	return t;
}

static int list_saw(struct datafs_meta_listing *l, uint64_t cookie)
{
	if (cookie >= l->start)
		return 0;
	if (l->nseen == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		uint64_t *seen = realloc(l->seen, room * sizeof(*seen));

		if (!seen)
			return -ENOMEM;
		l->seen = seen;
		l->room = room;
	}
	l->sorted = !l->nseen || (l->sorted && l->seen[l->nseen - 1] < cookie);
	l->seen[l->nseen++] = cookie;
	return 0;
}

static int list_hidden(struct datafs_meta_listing *l, const char *name,
		       uint64_t *cookie)
{
	struct store_dirent de = { 0 };
	int ret = store_dirent_get(l->m, l->dir, name, &de);

	if (!l->hidden && !l->was_hidden)
		datafs_log(LOG_WARNING, "inode %llu: \"%s\" in it is there but cannot be looked at, and is left out; stat(1) in the source tells why",
			   (unsigned long long)l->dir, name);
	l->hidden = true;
	*cookie = de.cookie;
	return ret < 0 ? ret : 0;
}

int datafs_meta_list_add(struct datafs_meta_listing *l, const char *name,
			 const struct datafs_under_stat *st)
{
	struct datafs_meta *m = l->m;
	uint64_t cookie;
	int ret;

	if (strlen(name) > DATAFS_NAME_MAX || !*name || strchr(name, '/')) {
		datafs_log(LOG_WARNING, "inode %llu: the store lists a name that no filesystem can have (%zu bytes): left out",
			   (unsigned long long)l->dir, strlen(name));
		return 0;
	}
	pthread_mutex_lock(&m->lock);
	if (list_ticket(l)) {
		ret = st ? import_name(m, l->dir, l->root, name, st, l->looked,
				       l->repair, &cookie) :
			   list_hidden(l, name, &cookie);
		if (!ret && cookie)
			ret = list_saw(l, cookie);
	} else {
		ret = -EAGAIN;
	}
	pthread_mutex_unlock(&m->lock);
	return ret;
}

static int cookie_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool list_has(struct datafs_meta_listing *l, uint64_t cookie)
{
	if (!l->sorted && l->nseen)
		qsort(l->seen, l->nseen, sizeof(*l->seen), cookie_cmp);
	l->sorted = true;
	/* Names that came since the ticket are none of the listing's business. */
	return cookie >= l->start || (l->nseen &&
	       bsearch(&cookie, l->seen, l->nseen, sizeof(cookie), cookie_cmp));
}

static int list_unseen(struct datafs_meta_listing *l, char *name)
{
	char prefix[9], from[META_KEY_MAX + 1];
	struct datafs_meta *m = l->m;
	struct store_dirent de;
	leveldb_iterator_t *it;
	const char *key, *val;
	size_t klen, vlen;
	int ret = 0, err;

	store_key(prefix, 'D', l->dir);
	klen = store_key_name(from, 'D', l->dir, name);
	from[klen++] = 0;	/* the least that comes after @name */
	for (it = store_iter(m, from, klen); !ret; leveldb_iter_next(it)) {
		if (!store_iter_at(it, prefix, 9, &key, &klen))
			break;
		val = leveldb_iter_value(it, &vlen);
		if (klen == 9 || klen > META_KEY_MAX || vlen != sizeof(de))
			continue;
		memcpy(&de, val, sizeof(de));
		if (list_has(l, de.cookie))
			continue;
		memcpy(name, key + 9, klen - 9);
		name[klen - 9] = 0;
		ret = 1;
	}
	err = store_iter_end(m, it);
	return err ? err : ret;
}

int datafs_meta_list_unseen(struct datafs_meta_listing *l,
			    char name[DATAFS_NAME_MAX + 1])
{
	struct datafs_meta *m = l->m;
	int ret = -EAGAIN;

	pthread_mutex_lock(&m->lock);
	if (list_ticket(l))
		ret = list_unseen(l, name);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

bool datafs_meta_list_whole(struct datafs_meta_listing *l,
			    const struct datafs_under_stat *st)
{
	/* Under a fingerprint that was young a change could hide. */
	l->whole = l->fp_proves && !memcmp(&l->fp, &st->fp, sizeof(l->fp));
	return l->whole;
}

/* Names that were known and were not listed are gone. */
static int list_remove_names(struct datafs_meta_listing *l)
{
	char name[DATAFS_NAME_MAX + 1] = "";
	uint64_t cookie;
	int ret;

	while ((ret = list_unseen(l, name)) == 1) {
		ret = import_name(l->m, l->dir, l->root, name, NULL, l->looked,
				  false, &cookie);
		if (ret)
			break;
	}
	return ret;
}

/* After a crash: cookies that no name has any more. */
static int list_remove_cookies(struct datafs_meta_listing *l)
{
	struct datafs_meta *m = l->m;
	leveldb_writebatch_t *b;
	leveldb_iterator_t *it;
	const char *key;
	char prefix[9];
	size_t klen;
	int ret, err;

	b = leveldb_writebatch_create();
	store_key(prefix, 'C', l->dir);
	for (it = store_iter(m, prefix, 9);
	     store_iter_at(it, prefix, 9, &key, &klen); leveldb_iter_next(it))
		if (klen != 17 || !list_has(l, datafs_get_be64(key + 9)))
			leveldb_writebatch_delete(b, key, klen);
	ret = store_write(m, b);
	leveldb_writebatch_destroy(b);
	err = store_iter_end(m, it);
	return ret ? ret : err;
}

static int list_complete(struct datafs_meta_listing *l)
{
	struct datafs_meta *m = l->m;
	leveldb_writebatch_t *b;
	struct node *n;
	uint32_t flags;
	int ret;

	ret = l->whole ? list_remove_names(l) : 0;
	if (!ret && l->whole && l->repair)
		ret = list_remove_cookies(l);
	if (!ret)
		ret = node_get(m, l->dir, &n);
	if (ret)
		return ret;

	flags = (n->flags & ~(NODE_LIST_FP | NODE_TORN | NODE_HIDDEN)) |
		NODE_COMPLETE | (l->hidden ? NODE_HIDDEN : 0);
	if (!l->whole)
		flags |= NODE_TORN;
	else if (!datafs_fingerprint_none(&l->fp))
		flags |= NODE_LIST_FP;
	if (flags != n->flags || n->list_epoch != m->epoch ||
	    memcmp(&n->list_fp, &l->fp, sizeof(l->fp))) {
		n->flags = flags;
		n->list_epoch = m->epoch;
		n->list_fp = l->fp;
		b = leveldb_writebatch_create();
		store_node_put(b, n);
		ret = store_write(m, b);
		leveldb_writebatch_destroy(b);
		if (ret) {
			node_forget(m, l->dir);
			return ret;
		}
	}
	if (l->whole)
		n->list_synced = DATAFS_MAX(n->list_synced, l->looked);
	else
		n->torn_until = datafs_now() + DATAFS_SEC;
	n->children_synced = DATAFS_MAX(n->children_synced, l->looked);
	return 0;
}

/* ---- pages ---- */

static void listing_free(struct datafs_meta_listing *l)
{
	struct datafs_meta_listing **p;

	if (l->listed) {
		for (p = &l->m->listings; *p != l; p = &(*p)->next)
			;
		*p = l->next;
	}
	if (l->state)
		l->drop(l->state);
	free(l->seen);
	free(l);
}

/* Nobody goes on with it; those who wait for its ticket ask again. */
static void listing_drop(struct datafs_meta_listing *l)
{
	struct ticket *t = ticket_find(l->m, l->serial);

	if (t)
		ticket_end(l->m, t, 0);
	listing_free(l);
}

struct datafs_meta_listing *listing_of(struct datafs_meta *m, uint64_t dir, int64_t fresh)
{
	struct datafs_meta_listing *l, *next;

	for (l = m->listings; l; l = next) {
		next = l->next;
		if (l->dir != dir)
			continue;
		/* One whose ticket was taken from it is ended by who has it. */
		if (l->busy && !ticket_find(m, l->serial))
			continue;
		if (l->busy || l->looked >= fresh || l->used + LISTING_IDLE > datafs_now())
			return l;
		listing_drop(l);
	}
	return NULL;
}

int64_t listing_looked(const struct datafs_meta_listing *l)
{
	return l->looked;
}

bool listing_hides(const struct datafs_meta_listing *l)
{
	return l->hidden;
}

bool listing_met(struct datafs_meta_listing *l, uint64_t cookie)
{
	/* Sorting it anew for each page would take longer than listing it. */
	return cookie >= l->start || (l->sorted && list_has(l, cookie));
}

static void listings_bound(struct datafs_meta *m)
{
	struct datafs_meta_listing *l, *last = NULL;
	unsigned int n = 0;

	for (l = m->listings; l; l = l->next) {
		n++;
		if (!l->busy)
			last = l;
	}
	if (n > LISTINGS_MAX && last)
		listing_drop(last);
}

void datafs_meta_list_pause(struct datafs_meta_listing *l, void *state, void (*drop)(void *state))
{
	struct datafs_meta *m = l->m;
	struct ticket *t;

	pthread_mutex_lock(&m->lock);
	l->state = state;
	l->drop = drop;
	l->busy = false;
	l->used = datafs_now();
	if (!l->listed) {
		l->next = m->listings;
		m->listings = l;
		l->listed = true;
	}
	t = list_ticket(l);
	if (t)
		t->pages++;
	pthread_cond_broadcast(&m->ticket_ended);
	listings_bound(m);
	pthread_mutex_unlock(&m->lock);
}

int datafs_meta_list_resume(struct datafs_meta *m, uint64_t dir, struct datafs_meta_listing **res,
			    void **state)
{
	struct datafs_meta_listing *l;
	struct ticket *t;
	int ret = -EAGAIN;

	pthread_mutex_lock(&m->lock);
	l = listing_of(m, dir, 0);
	t = l ? ticket_find(m, l->serial) : NULL;
	if (l && !l->busy) {
		l->busy = true;
		list_ticket(l);
		*state = l->state;
		l->state = NULL;
		*res = l;
		ret = 0;
	} else if (t) {
		ret = ticket_wait(m, t);
		ret = ret == 1 ? -EAGAIN : ret;
	}
	pthread_mutex_unlock(&m->lock);
	return ret;
}

void listings_exit(struct datafs_meta *m)
{
	while (m->listings)
		listing_drop(m->listings);
}

int datafs_meta_list_end(struct datafs_meta_listing *l, int err)
{
	struct datafs_meta *m = l->m;
	struct ticket *t;
	int ret = 0;

	pthread_mutex_lock(&m->lock);
	t = ticket_find(m, l->serial);
	if (!t) {
		ret = -EAGAIN;
	} else {
		if (!err)
			ret = list_complete(l);
		if (!ret && m->have_orphans)
			ret = import_reap(m, 1024);
		ticket_end(m, t, err ? err : ret);
	}
	listing_free(l);
	pthread_mutex_unlock(&m->lock);
	return ret;
}
