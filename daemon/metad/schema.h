/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and records. Integers are big-endian in both, so that keys sort by number
 * and a database is the same on every machine. Each value begins with a version
 * byte. Documentation/metadata.rst has the layouts byte by byte.
 *
 *   I ino                  struct rec_inode
 *   D parent name          struct rec_dirent: ino, cookie
 *   C parent cookie        ino, the name
 *   X ino name             an xattr's value
 *   O ino                  an orphan: no name any more, but held
 *   S session              struct rec_session
 *   L session              how long a lease of it may be; absent: it had none
 *   H session ino          the session holds the inode
 *   R session request      an answered command's Result
 *   Q id                   struct datafs_metad_quota
 *   M path                 struct datafs_metad_mount
 *   T                      struct datafs_metad_mounts: the table of mounts
 *   P id                   struct datafs_metad_node
 *   E name                 the id of the node of that name
 *   B session              ... of the node that the session speaks for
 *   V                      struct datafs_metad_routing: the routing table
 *   J id                   struct datafs_metad_job
 *   K session job          the session has the job
 *   A                      struct datafs_metad_jobs: the table of jobs
 *   Y path                 struct datafs_metad_policy
 *   Z                      struct datafs_metad_policies: version and number of these
 *   G number               struct datafs_metad_listing: a shared listing
 *   F number page          a page of it
 *   U mount generation key struct rec_listed: the listings of that directory
 *   U 0 number             a listing that is over, of which pages are left
 *   U                      struct rec_listings: what room all of them take
 *   N                      struct rec_node: this member
 *
 * What must hold between them (tests/unit/metad_check.c checks it):
 *   - D and C mirror each other; a directory's cookie is above all of its names'
 *   - a directory's children are its D records; its nlink is 2 and one for each
 *     directory among them, 0 if it is removed; it has one name, in its parent
 *   - another inode's nlink is the number of its D records
 *   - holders is the number of H records of an inode; O is there just if nlink
 *     is 0, and then holders is not; who has neither is gone, with its xattrs
 *   - a quota counts the inodes that have its id, at least one; there is none, and no
 *     inode has an id, below feature level 2
 *   - a session's counts are those of its R and H records
 *   - L is of a session that is there and not ending
 *   - T is there if there ever was an M, with their number; generations are not below
 *     their ids, nor above the table's version. There is none below feature level 4
 *   - V is there if there ever was a P, with their number; none has an id above its last;
 *     E is there for each P, and B for each that is not away, whose session is there and
 *     not ending. There is none below feature level 5
 *   - A is there if there ever was a J, with their number; none has an id above its last;
 *     K is there for each J that is running, and its session is there and not ending. A J
 *     that has not ended is for a node that is there, or any; while it is running its
 *     session speaks for that. There is none below feature level 6
 *   - Z is there if there ever was a Y, with their number. There is none below feature
 *     level 6
 *   - a listing's F records are its pages; the U of its directory says it, or U 0 if it is
 *     over; U has the number of all G records, with what these are charged, at the most
 *     DATAFS_LISTINGS_BYTES. There is none below feature level 6
 *
 * A record that does not decode, or contradicts itself, is damage: one line in
 * the log and -EUCLEAN, which sticks to the transaction.
 */
#ifndef DATAFS_METAD_SCHEMA_H
#define DATAFS_METAD_SCHEMA_H

#include "ns.h"
#include "txn.h"

#define REC_VERSION	1
#define REC_VERSION_QUOTA	2	/* of an inode with the id of a quota */
#define KEY_MAX		(1 + 8 + 8 + DATAFS_NAME_MAX)

struct key {
	uint8_t b[KEY_MAX];
	size_t len;
};

static inline struct txn_bytes key_bytes(const struct key *k)
{
	return (struct txn_bytes){ k->b, k->len };
}

/* The format of "TYPE a", "TYPE a b" and "TYPE a name"; @len up to DATAFS_NAME_MAX. */
struct key key_make(char type, uint64_t a);
struct key key_make2(char type, uint64_t a, uint64_t b);
struct key key_make_name(char type, uint64_t a, const void *name, size_t len);

struct rec_inode {
	struct datafs_metad_attr a;
	uint32_t holders;	/* sessions */
	uint32_t xattrs;	/* bytes of all names, each with a NUL */
	uint64_t quota;		/* the id of that which counts it, or did; 0: none */
	/* of a directory */
	uint64_t parent, children;
	uint64_t cookie;	/* of its next name */
	/* of a link: @a.size bytes */
	const uint8_t *target;
};

struct rec_dirent {
	uint64_t ino, cookie;
};

struct rec_session {
	uint64_t lowest;	/* no answers below are wanted */
	uint32_t answers, holds;
	uint64_t opened, renewed;	/* times of entries */
	/* 0: it is open. Else it ends; what it held below this inode is let go. */
	uint64_t closing;
};

struct rec_node {
	uint8_t id[DATAFS_METAD_ID_LEN];
	uint64_t next_ino;
	uint64_t time;		/* the latest "now" of an entry: never goes back */
	struct datafs_metad_counts c;
};

/*
 * Gets: 1, 0 (not there) or an error, which sticks. What they point to is good
 * until txn_end().
 */
int rec_inode_get(struct txn *t, uint64_t ino, struct rec_inode *in);
void rec_inode_put(struct txn *t, const struct rec_inode *in);
int rec_dirent_get(struct txn *t, uint64_t dir, struct txn_bytes name,
		   struct rec_dirent *de);
/* Both of D and C. */
void rec_dirent_put(struct txn *t, uint64_t dir, struct txn_bytes name,
		    const struct rec_dirent *de);
void rec_dirent_del(struct txn *t, uint64_t dir, struct txn_bytes name,
		    const struct rec_dirent *de);
/* What a scan over C has found. 0 or the error. */
int rec_cookie_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		      uint64_t *cookie, uint64_t *ino, struct txn_bytes *name);
int rec_session_get(struct txn *t, uint64_t id, struct rec_session *s);
void rec_session_put(struct txn *t, uint64_t id, const struct rec_session *s);
int rec_quota_get(struct txn *t, uint64_t id, struct datafs_metad_quota *q);
/* What a scan over Q has found. 0 or the error. */
int rec_quota_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		     struct datafs_metad_quota *q);
void rec_quota_put(struct txn *t, const struct datafs_metad_quota *q);

/* schema_mount.c */
/* "M path", good until txn_end(); of no length, and the transaction has failed: no memory. */
struct txn_bytes rec_mount_key(struct txn *t, const void *path, size_t len);
int rec_mount_get(struct txn *t, struct txn_bytes key, struct datafs_metad_mount *mount);
/* What a scan over M has found. 0 or the error. */
int rec_mount_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		     struct datafs_metad_mount *mount);
void rec_mount_put(struct txn *t, const struct datafs_metad_mount *mount);
/* @table is 0 if it is not there. */
int rec_mounts_get(struct txn *t, struct datafs_metad_mounts *table);
void rec_mounts_put(struct txn *t, const struct datafs_metad_mounts *table);

/* schema_node.c; beside them @rec_node is this member's state */
/* @node by its id, and the node of a name or a session. Gets. */
int rec_routed_get(struct txn *t, uint64_t id, struct datafs_metad_node *node);
int rec_routed_by_name(struct txn *t, const void *name, size_t len,
		       struct datafs_metad_node *node);
int rec_routed_by_session(struct txn *t, uint64_t session, struct datafs_metad_node *node);
/* What a scan over P has found. 0 or the error. */
int rec_routed_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		      struct datafs_metad_node *node);
/* All of P, E and B; @was: what it replaces, or NULL. Its name is the same. */
void rec_routed_put(struct txn *t, const struct datafs_metad_node *node,
		    const struct datafs_metad_node *was);
void rec_routed_del(struct txn *t, const struct datafs_metad_node *node);
/* @routing is 0 if it is not there. */
int rec_routing_get(struct txn *t, struct datafs_metad_routing *routing);
void rec_routing_put(struct txn *t, const struct datafs_metad_routing *routing);
/* Nobody speaks for any node any more; the version rises by one if somebody did. */
int rec_routing_all_away(struct txn *t);

/* schema_job.c */
int rec_job_get(struct txn *t, uint64_t id, struct datafs_metad_job *job);
/* What a scan over J has found. 0 or the error. */
int rec_job_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		   struct datafs_metad_job *job);
/* Both of J and K; @had: the session that has had it, or 0. */
void rec_job_put(struct txn *t, const struct datafs_metad_job *job, uint64_t had);
/* @table is 0 if it is not there. */
int rec_jobs_get(struct txn *t, struct datafs_metad_jobs *table);
void rec_jobs_put(struct txn *t, const struct datafs_metad_jobs *table);
/*
 * Jobs of the K records that begin with @holds wait again, @time or later; the version rises
 * by one if there are any. 0 or the error.
 */
int rec_jobs_lose(struct txn *t, struct txn_bytes holds, uint64_t time);

/* schema_policy.c */
/* "Y path", good until txn_end(); of no length, and the transaction has failed: no memory. */
struct txn_bytes rec_policy_key(struct txn *t, const void *path, size_t len);
int rec_policy_get(struct txn *t, struct txn_bytes key, struct datafs_metad_policy *policy);
/* What a scan over Y has found. 0 or the error. */
int rec_policy_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		      struct datafs_metad_policy *policy);
void rec_policy_put(struct txn *t, struct txn_bytes key, uint32_t cache);
/* @table is 0 if it is not there. */
int rec_policies_get(struct txn *t, struct datafs_metad_policies *table);
void rec_policies_put(struct txn *t, const struct datafs_metad_policies *table);

/* schema_listing.c */

/* The listings of one directory; 0: there is none. */
struct rec_listed {
	uint64_t published, coming;	/* their numbers */
};

struct rec_listings {
	uint64_t last;		/* the number that was given last */
	uint64_t charge;	/* of all, those that are over included */
	uint32_t listings;	/* ... so many are there */
};

/* What it is charged for itself, without pages, and for a page of @len bytes. */
uint64_t rec_listing_charge(size_t key_len);
uint64_t rec_listing_page_charge(size_t len);

int rec_listing_get(struct txn *t, uint64_t number, struct datafs_metad_listing *l);
/* What a scan over G has found. 0 or the error. */
int rec_listing_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		       struct datafs_metad_listing *l);
void rec_listing_put(struct txn *t, const struct datafs_metad_listing *l);
void rec_listing_del(struct txn *t, uint64_t number);
int rec_listing_page_get(struct txn *t, uint64_t number, uint32_t page, struct txn_bytes *bytes);
void rec_listing_page_put(struct txn *t, uint64_t number, uint32_t page, struct txn_bytes bytes);
void rec_listing_page_del(struct txn *t, uint64_t number, uint32_t page);
/* The U of its directory. @listed is 0 if it is not there, and is removed with that. */
int rec_listed_get(struct txn *t, const struct datafs_metad_listing *l,
		   struct rec_listed *listed);
void rec_listed_put(struct txn *t, const struct datafs_metad_listing *l,
		    const struct rec_listed *listed);
/* @all is 0 if it is not there. */
int rec_listings_get(struct txn *t, struct rec_listings *all);
void rec_listings_put(struct txn *t, const struct rec_listings *all);

/* listing.c; @now: the time of the last entry. 1, 0 or an error that sticks. */

/* Can its pages be read? Of one that is coming: its ticket is still held. */
int listing_is_there(struct txn *t, uint64_t now, const struct datafs_metad_listing *l);
/* It is over: nobody finds it any more, and it is reaped sometime. 0 or the error. */
int listing_end(struct txn *t, struct rec_listings *all, struct datafs_metad_listing *l);
/*
 * Removes a few pages of those that are over, and then, if that does not do, of the oldest
 * ones that nobody is making, until there is room for @more bytes. Is there?
 */
int listing_reap(struct txn *t, uint64_t now, struct rec_listings *all, uint64_t more);
/* Of all that are coming. 0 or the error. */
int listings_end_tickets(struct txn *t);

/* @l is 0 if it is not there. */
int rec_lease_get(struct txn *t, uint64_t session, struct datafs_metad_lease *l);
void rec_lease_put(struct txn *t, uint64_t session, const struct datafs_metad_lease *l);
int rec_node_get(struct txn *t, struct rec_node *n);
void rec_node_put(struct txn *t, const struct rec_node *n);

/* Bytes behind a version byte: xattrs and answers; nothing: orphans and holds. */
int rec_bytes_get(struct txn *t, const struct key *k, struct txn_bytes *val);
void rec_bytes_put(struct txn *t, const struct key *k, struct txn_bytes val);
void rec_mark_put(struct txn *t, const struct key *k);
int rec_mark_get(struct txn *t, const struct key *k);
void rec_del(struct txn *t, const struct key *k);

#endif
