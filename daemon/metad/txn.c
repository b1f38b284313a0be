// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "txn.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/leveldb.h"
#include "base/log.h"
#include "base/util.h"
#include "record_cache.h"

#define CHUNK	(16u << 10)

struct txn_chunk {
	struct txn_chunk *next;
	size_t used, size;
	uint8_t mem[] __attribute__((aligned(16)));
};

enum item_is {
	ITEM_UNSET,	/* taken back: the database's counts */
	ITEM_PUT,
	ITEM_DELETED,
};

struct txn_item {
	struct txn_bytes key, val;
	enum item_is is;
};

/* What an item was. */
struct txn_undo {
	struct txn_undo *next;
	struct txn_item *item;
	struct txn_bytes val;
	enum item_is is;
};

/*
 * What tsearch(3) looks for. The last item on the way down that is greater is
 * the next one in order: an item that is equal counts as less with @after.
 */
struct probe {
	struct txn_bytes key;
	bool after;
	struct txn_item *next;
};

void txn_begin(struct txn *t, leveldb_t *db, leveldb_readoptions_t *ropt,
	       const char *dir)
{
	*t = (struct txn){ .db = db, .ropt = ropt, .dir = dir };
}

void txn_view(struct txn *t, leveldb_t *db, const char *dir)
{
	txn_begin(t, db, leveldb_readoptions_create(), dir);
	t->snapshot = leveldb_create_snapshot(db);
	leveldb_readoptions_set_verify_checksums(t->ropt, 1);
	leveldb_readoptions_set_snapshot(t->ropt, t->snapshot);
}

static void leave(void *item)
{
	(void)item;	/* in the chunks */
}

void txn_end(struct txn *t)
{
	struct txn_chunk *c;

	tdestroy(t->items, leave);
	while ((c = t->chunks)) {
		t->chunks = c->next;
		free(c);
	}
	if (t->snapshot) {
		leveldb_readoptions_destroy(t->ropt);
		leveldb_release_snapshot(t->db, t->snapshot);
	}
}

int txn_fail(struct txn *t, int err)
{
	if (!t->err)
		t->err = err;
	return t->err;
}

/* Logs and frees what LevelDB said. */
static int failed_below(struct txn *t, char *said)
{
	datafs_log(LOG_ERR, "namespace in %s: %s", t->dir, said);
	txn_fail(t, datafs_leveldb_error(said));
	leveldb_free(said);
	return t->err;
}

int txn_damaged(struct txn *t, struct txn_bytes key, const char *why)
{
	char text[2 * 40 + 1];
	size_t n = DATAFS_MIN(key.len, sizeof(text) / 2);

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = "0123456789abcdef"[key.p[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[key.p[i] & 15];
	}
	text[2 * n] = '\0';
	datafs_log(LOG_ERR, "namespace in %s: the record of key %s%s is damaged: %s",
		   t->dir, text, n < key.len ? "..." : "", why);
	return txn_fail(t, -EUCLEAN);
}

void *txn_alloc(struct txn *t, size_t len)
{
	struct txn_chunk *c = t->chunks;
	size_t size;

	len = datafs_round_up(len ? len : 1, 16);
	if (!c || c->size - c->used < len) {
		size = DATAFS_MAX(len, CHUNK);
		c = malloc(sizeof(*c) + size);
		if (!c) {
			txn_fail(t, -ENOMEM);
			return NULL;
		}
		*c = (struct txn_chunk){ .next = t->chunks, .size = size };
		t->chunks = c;
	}
	c->used += len;
	return c->mem + c->used - len;
}

static int copy(struct txn *t, struct txn_bytes *to, const void *p, size_t len)
{
	uint8_t *mem = txn_alloc(t, len);

	if (!mem)
		return t->err;
	if (len)
		memcpy(mem, p, len);
	*to = (struct txn_bytes){ mem, len };
	return 0;
}

static int compare(struct txn_bytes a, struct txn_bytes b)
{
	size_t len = DATAFS_MIN(a.len, b.len);
	int cmp = len ? memcmp(a.p, b.p, len) : 0;

	return cmp ? cmp : (a.len > b.len) - (a.len < b.len);
}

static int probe_item(const void *a, const void *b)
{
	struct probe *probe = (struct probe *)a;
	struct txn_item *item = (struct txn_item *)b;
	int cmp = compare(probe->key, item->key);

	if (!cmp && probe->after)
		return 1;
	if (cmp < 0)
		probe->next = item;
	return cmp;
}

static struct txn_item *find(struct txn *t, struct txn_bytes key)
{
	struct probe probe = { .key = key };
	struct txn_item **at = tfind(&probe, &t->items, probe_item);

	return at && (*at)->is != ITEM_UNSET ? *at : NULL;
}

/* The first at or after @key that is set. */
static struct txn_item *find_next(struct txn *t, struct txn_bytes key, bool past)
{
	struct probe probe = { .key = key, .after = past };
	struct txn_item **at;

	for (;;) {
		at = tfind(&probe, &t->items, probe_item);
		if (at)
			probe.next = *at;
		if (!probe.next || probe.next->is != ITEM_UNSET)
			return probe.next;
		probe = (struct probe){ .key = probe.next->key, .after = true };
	}
}

int txn_get(struct txn *t, struct txn_bytes key, struct txn_bytes *val)
{
	struct txn_bytes known;
	struct txn_item *item;
	char *said = NULL, *p;
	size_t len;

	if (t->err)
		return t->err;
	item = find(t, key);
	if (item) {
		*val = item->val;
		return item->is == ITEM_PUT;
	}
	if (t->cache && record_cache_get(t->cache, key, &known))
		return copy(t, val, known.p, known.len) ? t->err : 1;
	p = leveldb_get(t->db, t->ropt, (const char *)key.p, key.len, &len, &said);
	if (said)
		return failed_below(t, said);
	if (!p)
		return 0;
	copy(t, val, p, len);
	leveldb_free(p);
	if (t->err)
		return t->err;
	if (t->cache)
		record_cache_put(t->cache, key, *val);
	return 1;
}

static struct txn_item *item_of(struct txn *t, struct txn_bytes key)
{
	struct probe probe = { .key = key };
	struct txn_item **at = tsearch(&probe, &t->items, probe_item);
	struct txn_item *item;

	if (!at) {
		txn_fail(t, -ENOMEM);
		return NULL;
	}
	if ((void *)*at != &probe)
		return *at;
	item = txn_alloc(t, sizeof(*item));
	if (item)
		*item = (struct txn_item){ .is = ITEM_UNSET };
	if (!item || copy(t, &item->key, key.p, key.len)) {
		tdelete(&probe, &t->items, probe_item);
		return NULL;
	}
	*at = item;
	return item;
}

static void set(struct txn *t, struct txn_bytes key, enum item_is is,
		struct txn_bytes val)
{
	struct txn_item *item;
	struct txn_undo *undo;

	if (t->err || copy(t, &val, val.p, val.len))
		return;
	item = item_of(t, key);
	if (!item)
		return;
	if (t->saved) {
		undo = txn_alloc(t, sizeof(*undo));
		if (!undo)
			return;
		*undo = (struct txn_undo){ t->undo, item, item->val, item->is };
		t->undo = undo;
	}
	item->val = val;
	item->is = is;
}

void txn_put(struct txn *t, struct txn_bytes key, struct txn_bytes val)
{
	set(t, key, ITEM_PUT, val);
}

void txn_del(struct txn *t, struct txn_bytes key)
{
	set(t, key, ITEM_DELETED, (struct txn_bytes){ 0 });
}

void txn_save(struct txn *t)
{
	t->saved = true;
}

void txn_keep(struct txn *t)
{
	t->saved = false;
	t->undo = NULL;
}

void txn_drop(struct txn *t)
{
	for (struct txn_undo *u = t->undo; u; u = u->next) {
		u->item->val = u->val;
		u->item->is = u->is;
	}
	txn_keep(t);
}

static void into_batch(const void *node, VISIT when, void *batch)
{
	const struct txn_item *item = *(struct txn_item *const *)node;
	const char *key = (const char *)item->key.p;

	if (when != postorder && when != leaf)
		return;
	if (item->is == ITEM_PUT)
		leveldb_writebatch_put(batch, key, item->key.len,
				       (const char *)item->val.p, item->val.len);
	else if (item->is == ITEM_DELETED)
		leveldb_writebatch_delete(batch, key, item->key.len);
}

static void into_cache(const void *node, VISIT when, void *cache)
{
	const struct txn_item *item = *(struct txn_item *const *)node;

	if (when != postorder && when != leaf)
		return;
	if (item->is == ITEM_PUT)
		record_cache_put(cache, item->key, item->val);
	else if (item->is == ITEM_DELETED)
		record_cache_drop(cache, item->key);
}

int txn_commit(struct txn *t, leveldb_writeoptions_t *wopt)
{
	leveldb_writebatch_t *batch = t->batch;
	char *said = NULL;

	if (t->err)
		return t->err;
	if (!batch)
		batch = leveldb_writebatch_create();
	twalk_r(t->items, into_batch, batch);
	leveldb_write(t->db, wopt, batch, &said);
	if (batch == t->batch)
		leveldb_writebatch_clear(batch);
	else
		leveldb_writebatch_destroy(batch);
	if (!said && t->cache)
		twalk_r(t->items, into_cache, t->cache);
	if (!said)
		return 0;
	/* What failed while it was written may be there: it must not be tried again. */
	if (failed_below(t, said) == -ENOMEM)
		t->err = -EIO;
	return t->err;
}

void txn_scan_begin(struct txn_scan *s, struct txn *t, struct txn_bytes prefix,
		    struct txn_bytes from)
{
	*s = (struct txn_scan){ .t = t };
	if (t->err || copy(t, &s->prefix, prefix.p, prefix.len) ||
	    copy(t, &s->at, from.p, from.len))
		return;
	s->it = leveldb_create_iterator(t->db, t->ropt);
	leveldb_iter_seek(s->it, (const char *)from.p, from.len);
}

static bool inside(const struct txn_scan *s, struct txn_bytes key)
{
	return key.len >= s->prefix.len &&
	       !memcmp(key.p, s->prefix.p, s->prefix.len);
}

/* The database's next, which is at or (@past) after @at. */
static bool scan_below(struct txn_scan *s, struct txn_bytes *key)
{
	while (leveldb_iter_valid(s->it)) {
		key->p = (const uint8_t *)leveldb_iter_key(s->it, &key->len);
		if (!s->past || compare(*key, s->at) > 0)
			return inside(s, *key);
		leveldb_iter_next(s->it);
	}
	return false;
}

static int scan_take(struct txn_scan *s, struct txn_bytes *key,
		     struct txn_bytes *val)
{
	size_t len;
	const char *p = leveldb_iter_value(s->it, &len);

	if (copy(s->t, key, key->p, key->len) || (val && copy(s->t, val, p, len)))
		return s->t->err;
	s->at = *key;
	s->past = true;
	return 1;
}

int txn_scan_next(struct txn_scan *s, struct txn_bytes *key,
		  struct txn_bytes *val)
{
	struct txn_item *item;
	char *said = NULL;
	bool below;

	for (;;) {
		if (s->t->err)
			return s->t->err;
		below = scan_below(s, key);
		leveldb_iter_get_error(s->it, &said);
		if (said)
			return failed_below(s->t, said);
		item = find_next(s->t, s->at, s->past);
		if (item && !inside(s, item->key))
			item = NULL;
		if (below && (!item || compare(*key, item->key) < 0))
			return scan_take(s, key, val);
		if (!item)
			return 0;
		s->at = item->key;
		s->past = true;
		if (item->is == ITEM_PUT)
			break;
	}
	*key = item->key;
	if (val)
		*val = item->val;
	return 1;
}

void txn_scan_end(struct txn_scan *s)
{
	if (s->it)
		leveldb_iter_destroy(s->it);
}
