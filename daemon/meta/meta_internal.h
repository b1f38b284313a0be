/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded namespace: one member, LevelDB below.
 *
 *   store.c    records, counters, the database's life
 *   node.c     inodes in memory, names looked up lately
 *   ticket.c   who looks at what
 *   inode.c    what was seen of an inode becomes what is known of it
 *   import.c   the same for a name
 *   listing.c  ... and for a whole directory
 *   meta.c     questions
 *
 * Records; integers in keys are big-endian:
 *
 *   I ino                     struct store_inode and the primary name
 *   D parent name             struct store_dirent
 *   C parent cookie           struct store_cookie and the name
 *   F root file_id            ino of a file with several links
 *   L ino parent name         a name of such a file
 *   M source                  ino of the root
 *   E root                    nothing: what was known of it is doubted
 *   O ino                     a removed directory whose children remain
 *   N id, next, clean, epoch  this namespace
 *
 * One operation is one WriteBatch. A crash of the machine may lose the tail of
 * what was written; numbers (inodes, contents and cookies come from one counter)
 * are never given twice because the counter's limit is on disk, synced, before
 * any number below it is used. Cross references that were torn are healed by
 * the next listing: after an unclean end no listing counts as complete.
 */
#ifndef DATAFS_META_INTERNAL_H
#define DATAFS_META_INTERNAL_H

#include <leveldb/c.h>
#include <pthread.h>
#include <stdbool.h>

#include "meta.h"

#define META_FORMAT	1
#define META_LEAP	(1ull << 20)
#define META_KEY_MAX	(1 + 8 + 8 + DATAFS_NAME_MAX)

enum {
	NODE_YOUNG	= 1 << 0,
	NODE_XATTR	= 1 << 1,
	NODE_ACL	= 1 << 2,
	NODE_BTIME	= 1 << 3,
	NODE_COMPLETE	= 1 << 4,	/* directory: was listed as a whole */
	NODE_LIST_FP	= 1 << 5,	/* ... and list_fp proves what it was then */
	NODE_LINKS	= 1 << 6,	/* F and L records may exist */
	NODE_TORN	= 1 << 7,	/* directory: that listing may lack names */
	NODE_HIDDEN	= 1 << 8,	/* ... lacks some that could not be looked at */
};

/* On disk, in the machine's byte order. */
struct store_inode {
	uint8_t version;
	uint8_t pad;
	uint16_t namelen;	/* of the primary name, which follows */
	uint32_t flags;
	uint64_t parent, root, content, file_id, size, blocks;
	int64_t sec[4];		/* atime, mtime, ctime, btime */
	uint32_t nsec[4];
	uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor;
	struct datafs_fingerprint fp, list_fp;
	uint64_t list_epoch;
};

struct store_dirent {
	uint64_t ino, cookie;
};

struct store_cookie {
	uint64_t ino;
};

/* An inode in memory. */
struct node {
	struct node *hash_next;
	struct node *lru_prev, *lru_next;
	uint64_t ino, parent, root, content;
	uint32_t flags;
	uint64_t list_epoch;
	struct datafs_fingerprint list_fp;
	struct datafs_under_stat st;
	int64_t synced;		/* attributes; 0: not in this life */
	int64_t fp_since;	/* this fingerprint has been seen since */
	int64_t list_synced;	/* the set of names */
	int64_t children_synced; /* names and the attributes of all children */
	int64_t torn_until;	/* TORN: good for those who waited for it */
	char *name;		/* the primary one, below @parent */
};

/* A name looked up lately. */
struct name_entry {
	struct name_entry *hash_next;
	struct name_entry *lru_prev, *lru_next;
	uint64_t dir, ino;	/* @ino 0: proven absent */
	int64_t synced;
	char name[];
};

struct ticket {
	struct ticket *next;
	struct datafs_meta_ticket t;
	uint64_t start;		/* numbers from here on are of after its issue */
	int64_t expires;
	int refs;		/* the holder's (while @held) and each waiter's */
	uint32_t pages;		/* of a listing, so far */
	bool held;
	int error;		/* for the waiters, when it has ended */
};

#define META_HASH_BITS	14
#define META_HASH	(1u << META_HASH_BITS)
#define META_NODES_MAX	65536
#define META_NAMES_MAX	65536

struct datafs_meta {
	/* Protects everything below, and makes each operation one step. */
	pthread_mutex_t lock;
	pthread_cond_t ticket_ended;

	char *dir;
	bool open;		/* datafs_meta_open() has succeeded */
	int failed;		/* what LevelDB said last, as an errno */
	leveldb_t *db;
	struct datafs_env *env;
	leveldb_options_t *opt;
	leveldb_filterpolicy_t *filter;
	leveldb_cache_t *block_cache;
	leveldb_readoptions_t *ropt;
	leveldb_writeoptions_t *wopt, *sync_opt;
	uint8_t id[16];
	uint64_t next, limit;	/* numbers: the next, and the end of the synced ones */
	uint64_t epoch;		/* listings of earlier ones are not complete */

	struct node *nodes[META_HASH];
	struct node nodes_lru;
	unsigned int nnodes;
	struct name_entry *names[META_HASH];
	struct name_entry names_lru;
	unsigned int nnames;

	struct datafs_meta_listing *listings;	/* that were paused, the last one first */
	struct ticket *tickets;
	uint64_t serial;
	bool have_orphans;
};

/* ---- store.c; m->lock is held in all of it but open and close ---- */

/* The format matters only for what is in keys: see the table above. */
size_t store_key(char *key, char type, uint64_t a);
size_t store_key_name(char *key, char type, uint64_t a, const char *name);
size_t store_key2(char *key, char type, uint64_t a, uint64_t b);
/* 1: found (free *val with leveldb_free), 0: not there, or -EIO. */
int store_get(struct datafs_meta *m, const char *key, size_t len, char **val,
	      size_t *vlen);
int store_write(struct datafs_meta *m, leveldb_writebatch_t *b);
int store_new_number(struct datafs_meta *m, uint64_t *res);
int store_dirent_get(struct datafs_meta *m, uint64_t dir, const char *name,
		     struct store_dirent *de);
void store_dirent_put(leveldb_writebatch_t *b, uint64_t dir, const char *name,
		      const struct store_dirent *de);
void store_dirent_del(leveldb_writebatch_t *b, uint64_t dir, const char *name,
		      uint64_t cookie);
void store_node_put(leveldb_writebatch_t *b, const struct node *n);
/* Fills a zeroed node: 1, 0 (none) or an error. */
int store_node_get(struct datafs_meta *m, uint64_t ino, struct node *n);
int store_u64_get(struct datafs_meta *m, const char *key, size_t len,
		  uint64_t *v);
void store_u64_put(leveldb_writebatch_t *b, const char *key, size_t len,
		   uint64_t v);
/* Iteration over all keys that begin with @prefix. */
leveldb_iterator_t *store_iter(struct datafs_meta *m, const char *from,
			       size_t len);
bool store_iter_at(leveldb_iterator_t *it, const char *prefix, size_t plen,
		   const char **key, size_t *klen);
/* The iterator's end: 0 or -EIO if it broke off. Destroys it. */
int store_iter_end(struct datafs_meta *m, leveldb_iterator_t *it);

/* ---- node.c; m->lock is held ---- */

void nodes_init(struct datafs_meta *m);
void nodes_exit(struct datafs_meta *m);
/*
 * Found in memory or read: 0, -ESTALE, -EIO or -ENOMEM. The pointer is good
 * until the lock is dropped or META_NODES_KEPT more are got.
 */
#define META_NODES_KEPT	1024
int node_get(struct datafs_meta *m, uint64_t ino, struct node **res);
/* A new one, in memory only. */
struct node *node_new(struct datafs_meta *m, uint64_t ino);
int node_set_name(struct node *n, uint64_t parent, const char *name);
void node_forget(struct datafs_meta *m, uint64_t ino);
struct name_entry *name_get(struct datafs_meta *m, uint64_t dir,
			    const char *name);
/* Without memory the name is just not remembered. */
void name_set(struct datafs_meta *m, uint64_t dir, const char *name,
	      uint64_t ino, int64_t synced);
void name_forget(struct datafs_meta *m, uint64_t dir, const char *name);
void node_tell(const struct node *n, struct datafs_meta_inode *res);
bool node_complete(const struct datafs_meta *m, const struct node *n);
/* Is a name that is not known absent, as of @list_synced? */
bool node_proves(const struct datafs_meta *m, const struct node *n);

/* ---- ticket.c; m->lock is held ---- */

/*
 * 0: @res is a new ticket, the caller its holder. 1: another held it, it has
 * ended, ask again. An error: what the holder met.
 */
int ticket_take(struct datafs_meta *m, uint64_t dir, const char *name,
		bool list, struct datafs_meta_ticket *res);
/*
 * Until it has ended, its listing has come a page further, or its holder is lost: 1, or what
 * the holder met.
 */
int ticket_wait(struct datafs_meta *m, struct ticket *t);
/* The current one of that serial, or NULL. */
struct ticket *ticket_find(struct datafs_meta *m, uint64_t serial);
void ticket_end(struct datafs_meta *m, struct ticket *t, int error);

/* ---- inode.c; m->lock is held ---- */

/* Is what is at a name now still this inode? */
bool inode_same_file(const struct node *n, const struct datafs_under_stat *st);
/* What @st shows becomes what is known of @n; puts into @b what must be kept. */
int inode_update(struct datafs_meta *m, leveldb_writebatch_t *b,
		 struct node *n, const struct datafs_under_stat *st,
		 int64_t looked);

/* ---- listing.c; m->lock is held ---- */

/*
 * That of @dir which has been paused, or NULL; never one that nobody goes on with and that
 * began before @fresh.
 */
struct datafs_meta_listing *listing_of(struct datafs_meta *m, uint64_t dir, int64_t fresh);
/* When it looked at its first entry. */
int64_t listing_looked(const struct datafs_meta_listing *l);
/* Has it met the name with this cookie, or is the name younger? */
bool listing_met(struct datafs_meta_listing *l, uint64_t cookie);
/* May a name of it be older than that? */
bool listing_hides(const struct datafs_meta_listing *l);
void listings_exit(struct datafs_meta *m);

/* ---- import.c; m->lock is held ---- */

/*
 * What was seen at a name, @st NULL for nothing, becomes what is known, unless
 * something newer is. @repair writes also what seems to be there already.
 * *@cookie: the name's, 0 if it has none now.
 */
int import_name(struct datafs_meta *m, uint64_t dir, uint64_t root,
		const char *name, const struct datafs_under_stat *st,
		int64_t looked, bool repair, uint64_t *cookie);
/* Removes a bit of what hangs below removed directories. */
int import_reap(struct datafs_meta *m, int records);

#endif
