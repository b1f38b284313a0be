/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one entry changes, over the database, until it is written: puts and
 * deletes that later reads see. A command is bracketed by txn_save() and
 * txn_keep() or txn_drop(), which takes back all since.
 *
 * What goes wrong below (memory, disk, a damaged record) sticks: it is no
 * command's answer, since other members may not meet it. From then on reads
 * fail with it, changes are in vain, and nothing can be written. Reads also
 * return it; who only writes may ask txn_error() at the end.
 *
 * The same without changes is a reader's view, of a snapshot. Of one thread.
 */
#ifndef DATAFS_METAD_TXN_H
#define DATAFS_METAD_TXN_H

#include <leveldb/c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record_cache;
struct txn_chunk;
struct txn_item;
struct txn_undo;

struct txn {
	leveldb_t *db;
	leveldb_readoptions_t *ropt;
	const leveldb_snapshot_t *snapshot;	/* of a view, else NULL */
	struct record_cache *cache;	/* of the only one who writes; NULL: none */
	leveldb_writebatch_t *batch;	/* empty, to be written with; NULL: one is made */
	const char *dir;		/* for the log */
	void *items;			/* by key: a tree of tsearch(3) */
	struct txn_undo *undo;		/* since txn_save(), the latest first */
	struct txn_chunk *chunks;	/* all memory, until txn_end() */
	bool saved;
	int err;
};

struct txn_bytes {
	const uint8_t *p;
	size_t len;
};

/*
 * @ropt and @dir must outlive it. No cache and no batch, unless they are set next; both are
 * the caller's.
 */
void txn_begin(struct txn *t, leveldb_t *db, leveldb_readoptions_t *ropt,
	       const char *dir);
/* As it is now; has options of its own, which verify checksums. Changes are not allowed. */
void txn_view(struct txn *t, leveldb_t *db, const char *dir);
void txn_end(struct txn *t);

static inline int txn_error(const struct txn *t)
{
	return t->err;
}

/* Makes @err the one that sticks, unless there is one. Returns the one. */
int txn_fail(struct txn *t, int err);
/* A damaged record: one line in the log, and -EUCLEAN. */
int txn_damaged(struct txn *t, struct txn_bytes key, const char *why);
/* Until txn_end(); NULL fails the transaction. */
void *txn_alloc(struct txn *t, size_t len);

/* 1: @val is good until txn_end(). 0: not there. Or the error. */
int txn_get(struct txn *t, struct txn_bytes key, struct txn_bytes *val);
/* Both are copied. */
void txn_put(struct txn *t, struct txn_bytes key, struct txn_bytes val);
void txn_del(struct txn *t, struct txn_bytes key);

/* Not nested. */
void txn_save(struct txn *t);
void txn_keep(struct txn *t);
void txn_drop(struct txn *t);

/* All changes as one WriteBatch. 0, or the error; -ENOMEM: nothing was written. */
int txn_commit(struct txn *t, leveldb_writeoptions_t *wopt);

/*
 * All keys that begin with @prefix, in their order. Changes made meanwhile are
 * seen, if they are ahead.
 */
struct txn_scan {
	struct txn *t;
	leveldb_iterator_t *it;
	struct txn_bytes prefix, at;
	bool past;		/* @at itself is behind */
};

/* From @from on, which begins with the prefix. Both are copied. */
void txn_scan_begin(struct txn_scan *s, struct txn *t, struct txn_bytes prefix,
		    struct txn_bytes from);
/* 1: the next, good until txn_end(). 0: no more. Or the error. @val NULL: keys only. */
int txn_scan_next(struct txn_scan *s, struct txn_bytes *key,
		  struct txn_bytes *val);
void txn_scan_end(struct txn_scan *s);

#endif
