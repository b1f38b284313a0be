/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of the metadata quorum: the namespace as a deterministic state
 * machine over LevelDB. What it holds follows from the entries that were applied,
 * in their order, and from nothing else: no clock, no random number, no order
 * of anything in memory. Two members that applied the same entries have equal
 * keys and values.
 *
 *   ns.c          a member's life
 *   decode.c      entries and commands as bytes, and which are understood
 *   apply.c       an entry: commands, sessions, answered requests
 *   op_*.c        what the commands do
 *   read.c        questions
 *   schema*.c     keys and records
 *   mounts.c      what may be in the table of mounts
 *   nodes.c       ... in the routing table, and which state of a node follows which
 *   jobs.c        the kinds of jobs, and which state of one follows which
 *   policies.c    what a policy may say
 *   listing.c     shared listings of under-stores, and what room they have
 *   acl.c         POSIX ACLs
 *   txn.c         what one entry changes, until it is written
 *
 * One entry is one WriteBatch with its index in it: it is applied as a whole or
 * not at all, and one that comes again is passed over. Inside an entry each
 * command sees what those before it did; a command that fails leaves nothing
 * but its answer.
 *
 * Exactly once. A session's command is answered and the answer is remembered
 * under its id; if it comes again the same bytes are the answer, and nothing is
 * done. With each command the session says below which id it wants no answer any
 * more; these are dropped, and a command with such an id is refused:
 *
 *   EALREADY   its id is below the session's lowest: it was answered once
 *   EBUSY      DATAFS_METAD_ANSWERS_MAX answers are kept: nothing was done,
 *              send it again with a higher lowest
 *   ENOTCONN   there is no such session, or it is ending
 *   EINVAL     no id, or a lowest above it
 *
 * None of these four is remembered. To close a session that is not there is no error.
 *
 * An ended session's answers are gone, so its id must never be opened again, not
 * by a copy of its session_open that comes late: ids of new sessions are above
 * those of all that have ended (ESTALE), and not so far above that no more can
 * follow (EINVAL). To close a session is bounded work: while its answer says "more"
 * the session is ending, does nothing else, and is to be closed again.
 *
 * Times, after POSIX.1-2017 ("shall mark for update", XSH), and Linux where
 * POSIX leaves it open (*). "now" is the entry's time, or the latest of an entry
 * before it: it does not go back with the clock of another leader.
 *
 *   command               the inode         its directories   another inode
 *   create, mkdir, mknod  atime mtime ctime mtime ctime
 *   symlink               atime mtime ctime mtime ctime
 *   link                  ctime             mtime ctime
 *   unlink, rmdir         ctime             mtime ctime
 *   rename                ctime (*)         both mtime ctime  replaced: ctime
 *   rename, exchange      ctime (*)         both mtime ctime  exchanged: ctime (*)
 *   rename to itself, or to a hard link of itself: none
 *   setattr               ctime; with size also mtime, unless that is given
 *   setxattr, removexattr ctime (*)
 *   hold, release         none
 *   quotas, mounts, nodes, jobs none
 *   policies              none
 *   listings              none
 *
 * Whoever may do what is checked in the kernels of the clients, with sticky bits,
 * and so is what a change of owner takes from a mode.
 *
 * Threads: datafs_metad_apply() is called by one thread at a time. All reads may
 * be called by any thread at any time; each sees the state between two entries (a
 * snapshot of LevelDB), and may block on the disk, on no lock of ours.
 */
#ifndef DATAFS_METAD_NS_H
#define DATAFS_METAD_NS_H

#include <leveldb/c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "datafs_abi.h"
#include "jobs.h"
#include "listings.h"
#include "mounts.h"
#include "nodes.h"
#include "policies.h"

#define DATAFS_METAD_ROOT	1	/* the root's inode number */
/*
 * The highest feature level of this code. A level has all that those below it have. A
 * test builds a member of the next level, too.
 */
#ifndef DATAFS_METAD_LEVEL
#define DATAFS_METAD_LEVEL	6
#endif
#define DATAFS_METAD_LEVEL_QUOTA	2	/* from here on there are quotas */
#define DATAFS_METAD_LEVEL_LEASE	3	/* ... leases */
#define DATAFS_METAD_LEVEL_MOUNT	4	/* ... the table of mounts */
#define DATAFS_METAD_LEVEL_NODE	5	/* ... nodes */
#define DATAFS_METAD_LEVEL_JOB	6	/* ... jobs */
#define DATAFS_METAD_LEVEL_POLICY	6	/* ... policies */
#define DATAFS_METAD_LEVEL_LISTING	6	/* ... shared listings */
#define DATAFS_METAD_ID_LEN	16
#define DATAFS_METAD_INO_MAX	INT64_MAX
#define DATAFS_METAD_LINK_MAX	INT32_MAX	/* a file's names; a directory's nlink */
#define DATAFS_METAD_LIST_MAX	65536	/* bytes of all names of an inode's xattrs */
#define DATAFS_METAD_ANSWERS_MAX	4096	/* answered requests kept of a session */
#define DATAFS_METAD_HOLDS_MAX	(1u << 20)	/* inodes that a session holds */
#define DATAFS_METAD_SESSIONS_MAX	65536
/* How deep a directory may be that one is moved into: as far as a path can name it. */
#define DATAFS_METAD_DEPTH_MAX	2048
#define DATAFS_METAD_COMMANDS_MAX	1024	/* commands of an entry */
#define DATAFS_METAD_CLOSE_STEP	4096	/* inodes that one session_close lets go */
/* How far the id of a new session may be above those that have ended. */
#define DATAFS_METAD_SESSION_AHEAD	(1ull << 48)

struct datafs_metad;

/*
 * What a database may have in memory, in bytes. 0: what is right for a namespace of one
 * machine, DATAFS_METAD_WRITE_BUFFER and DATAFS_METAD_BLOCK_CACHE.
 */
struct datafs_metad_memory {
	/*
	 * What is written becomes a table when there is so much of it; there are two, as one
	 * is filled while the other is written. A small one costs processor time: LevelDB merges
	 * each such table with all of the next level (10 MB), and mostly by itself, not four at a
	 * time: a lookup for each 16 KiB of it, or a hundred, that did not find what they looked
	 * for there are enough (allowed_seeks of LevelDB's version_set.cc).
	 */
	uint64_t write_buffer;
	uint64_t block_cache;	/* parts of tables that were read, uncompressed */
};

#define DATAFS_METAD_WRITE_BUFFER	(8ull << 20)
#define DATAFS_METAD_BLOCK_CACHE	(16ull << 20)

struct datafs_metad_options {
	const char *dir;	/* of the database; made if missing */
	/*
	 * The namespace's id, the same on all members: written into a new
	 * database, and an existing one must have it.
	 */
	uint8_t id[DATAFS_METAD_ID_LEN];
	/*
	 * The highest feature level that it takes part in, as a version of that level
	 * would. 0: DATAFS_METAD_LEVEL.
	 */
	uint32_t level;
	/* Each entry is on disk when it is applied. Else the Raft log must be. */
	bool sync;
	struct datafs_metad_memory memory;
	leveldb_env_t *env;	/* NULL: LevelDB's own. Outlives the member. */
};

struct datafs_metad_attr {
	uint64_t ino;
	uint64_t version;	/* grows with every change, a directory's names included */
	uint64_t size;
	uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor;
	bool xattrs;		/* it has some, perhaps ACLs */
	struct timespec atime, mtime, ctime, btime;
};

struct datafs_metad_counts {
	uint64_t index, term;	/* of the last entry applied; 0: none */
	uint64_t inodes;	/* with orphans */
	uint64_t orphans;	/* without a name, held by a session */
	uint64_t sessions;	/* with those that are ending */
	uint64_t session_ended;	/* the highest id of one that has ended; 0: none */
	uint64_t bytes;		/* sizes of all regular files, modulo 2^64 */
	uint32_t feature_level;
};

struct datafs_metad_quota {
	uint64_t id;
	uint64_t root;		/* the directory that has it, which may be removed */
	uint64_t inodes_max, bytes_max;	/* 0: no limit */
	uint64_t inodes;	/* with the directory itself, and orphans */
	uint64_t bytes;		/* sizes of the regular files among them, modulo 2^64 */
};

/* A line of the table of mounts; texts are without NUL. */
struct datafs_metad_mount {
	const char *path, *source, *options;
	size_t path_len, source_len, options_len;
	uint64_t id;		/* the table's version when it was added: no other in this cluster has it */
	uint64_t generation;	/* ... when it was added or changed last */
};

struct datafs_metad_mounts {
	uint64_t version;	/* of the table: rises with each change, by one; 0: none yet */
	uint32_t mounts;	/* lines */
};

/* A line of the routing table; texts are without NUL. */
struct datafs_metad_node {
	uint64_t id;		/* from 1 on: no other in this cluster ever has it */
	uint64_t session;	/* that speaks for it; 0 just if it is away */
	const char *name, *address;
	size_t name_len, address_len;
	uint32_t weight;	/* 1 to DATAFS_NODE_WEIGHT_MAX */
	enum datafs_node_state state;
};

struct datafs_metad_routing {
	uint64_t version;	/* rises by one with each change of what placement sees; 0: none yet */
	uint64_t last_id;	/* of the node that came last */
	uint32_t nodes;		/* those that are away, too */
};

/* Texts are without NUL. */
struct datafs_metad_job {
	uint64_t id;		/* from 1 on: no other in this cluster ever has it */
	uint64_t node;		/* who is to do it; 0: whichever comes first */
	uint64_t session;	/* that has it; 0 unless it is running */
	uint64_t files, bytes, errors;	/* what was reported since it was claimed last */
	uint64_t added, changed;	/* times of entries, in ns; @changed: or reported of */
	const char *path, *error;	/* @error: the first one, if there are errors */
	size_t path_len, error_len;
	enum datafs_job_kind kind;
	enum datafs_job_state state;
};

struct datafs_metad_jobs {
	/* rises by one with each change of which there are, their states and who has them */
	uint64_t version;
	uint64_t last_id;	/* of the job that came last */
	uint32_t jobs;		/* those that have ended, too */
};

/* The path is without NUL. */
struct datafs_metad_policy {
	const char *path;
	size_t path_len;
	uint32_t cache;		/* enum datafs_policy_cache */
};

struct datafs_metad_policies {
	uint64_t version;	/* rises by one with each change; 0: there never was a policy */
	uint32_t policies;
};

/* A shared listing of an under-store's directory: listings.h. */
struct datafs_metad_listing {
	uint64_t number;	/* of its ticket, rising; from 1 on */
	uint64_t mount, generation;	/* of the line in the table of mounts */
	uint64_t session;	/* that holds the ticket; 0 just if it is not coming */
	uint64_t looked;	/* when the ticket was given: time of an entry */
	uint64_t progress;	/* when its last page came; the same */
	uint64_t charge;	/* bytes of the room for all: its own and its pages' */
	uint32_t pages;
	enum datafs_listing_state state;
	const uint8_t *key;
	size_t key_len;
};

/* The packed Result of each command of an entry, in their order. */
struct datafs_metad_results {
	size_t n;
	struct datafs_metad_result {
		uint8_t *data;
		size_t len;
	} *r;
};

/*
 * Opens the database, or makes it with an empty root (mode 0755, times 0).
 * -EUCLEAN: it is damaged, or not of this format; -EINVAL: of another namespace; -EPROTO:
 * of a feature level above @opt->level; else what LevelDB met. Each with a line in the log; nothing is ever thrown away.
 */
int datafs_metad_open(const struct datafs_metad_options *opt,
		      struct datafs_metad **res);
/* No call may be under way. */
void datafs_metad_close(struct datafs_metad *m);

/*
 * datafs_metad_apply - apply one entry of the Raft log
 * @index:	above 0; those that Raft keeps to itself may be missing
 * @term:	not below that of the entry before
 * @entry:	a packed Entry
 * @res:	NULL if nobody waits; else to be freed with
 *		datafs_metad_results_free(), empty unless 0 is returned
 *
 * 0: applied. 1: it was applied before, and is passed over. An error: nothing of
 * it is applied. -ENOMEM: may be tried again. -EINVAL: the caller's index or
 * term. Anything else halts the member, with one line in the log, and is the
 * answer to every later apply: -EPROTO for an entry it does not understand, -EUCLEAN
 * for a damaged record, else what LevelDB met. Reads go on.
 */
int datafs_metad_apply(struct datafs_metad *m, uint64_t index, uint64_t term,
		       const void *entry, size_t len,
		       struct datafs_metad_results *res);
void datafs_metad_results_free(struct datafs_metad_results *res);

/* The feature level that entries may use now. Of the thread that applies. */
uint32_t datafs_metad_level(const struct datafs_metad *m);

/*
 * Reads. -ESTALE: there is no such inode. -EUCLEAN: a damaged record, with a line
 * in the log. -ENOMEM, -EIO.
 */
int datafs_metad_counts(struct datafs_metad *m, struct datafs_metad_counts *res);
/*
 * All sessions that are open, those that are ending too, and how long a lease of each may
 * be, in milliseconds; 0: it never had one. Non-zero of @fn is the answer.
 */
int datafs_metad_sessions(struct datafs_metad *m,
			  int (*fn)(void *arg, uint64_t id, uint32_t lease), void *arg);
/* How long a lease of a session may be, in milliseconds, and whose; 0: it never had one. */
struct datafs_metad_lease {
	uint32_t ms;
	uint64_t holder;
};

/* 0; -ENOTCONN: there is no such session, or it is ending. */
int datafs_metad_session(struct datafs_metad *m, uint64_t id, struct datafs_metad_lease *lease);
int datafs_metad_getattr(struct datafs_metad *m, uint64_t ino,
			 struct datafs_metad_attr *res);
/* -ENOENT, -ENOTDIR, -ENAMETOOLONG, -EINVAL (no name). */
int datafs_metad_lookup(struct datafs_metad *m, uint64_t dir, const char *name,
			size_t len, struct datafs_metad_attr *res);
/* 1: the answer to this command is kept, 0: it is not; or an error. */
int datafs_metad_answered(struct datafs_metad *m, uint64_t session, uint64_t request);
/*
 * The inode that a name leads to, as of any directory that is there: 0, -ENOENT (there is
 * none, whatever the reason).
 */
int datafs_metad_leads_to(struct datafs_metad *m, uint64_t dir, const char *name,
			  size_t len, uint64_t *ino);
/* The directory that holds @dir (the root: itself; a removed one: the last). */
int datafs_metad_parent(struct datafs_metad *m, uint64_t dir, uint64_t *res);
/* @name is not NUL-terminated. Return non-zero to stop before this entry. */
typedef int (*datafs_metad_entry_fn)(void *arg, uint64_t cookie,
				     const char *name, size_t len,
				     const struct datafs_metad_attr *attr);
/*
 * The entries after @cookie (0: all) in the order of their cookies, which start
 * at DATAFS_FIRST_COOKIE. A name keeps its cookie, and a directory never gives one
 * to another name. *@eof: @fn has taken the last one.
 */
int datafs_metad_readdir(struct datafs_metad *m, uint64_t dir, uint64_t cookie,
			 datafs_metad_entry_fn fn, void *arg, bool *eof);
/* The quota that counts inode @ino: 1 and @res; 0: none does. -ESTALE. */
int datafs_metad_quota_of(struct datafs_metad *m, uint64_t ino, struct datafs_metad_quota *res);
/* Return non-zero to stop before this one. */
typedef int (*datafs_metad_quota_fn)(void *arg, const struct datafs_metad_quota *q);
/* The quotas with higher ids than @after. *@eof: @fn has taken the last one. */
int datafs_metad_quotas(struct datafs_metad *m, uint64_t after, datafs_metad_quota_fn fn,
			void *arg, bool *eof);
/* Valid in the call. Return non-zero to stop before this one. */
typedef int (*datafs_metad_mount_fn)(void *arg, const struct datafs_metad_mount *mount);
/*
 * The mounts with paths behind @after (@len 0: all), in the order of their bytes: what is
 * above others comes before them. *@eof: @fn has taken the last one. @table is of the same
 * moment.
 */
int datafs_metad_mounts(struct datafs_metad *m, const void *after, size_t len,
			datafs_metad_mount_fn fn, void *arg, bool *eof,
			struct datafs_metad_mounts *table);
/* The routing table's version and counts; all 0: there never was a node. */
int datafs_metad_routing(struct datafs_metad *m, struct datafs_metad_routing *res);
/* Valid in the call. Return non-zero to stop before this one. */
typedef int (*datafs_metad_node_fn)(void *arg, const struct datafs_metad_node *node);
/*
 * The nodes with higher ids than @after, by these. *@eof: @fn has taken the last one.
 * @routing is of the same moment.
 */
int datafs_metad_nodes(struct datafs_metad *m, uint64_t after, datafs_metad_node_fn fn,
		       void *arg, bool *eof, struct datafs_metad_routing *routing);
/* The version and counts of the table of jobs; all 0: there never was one. */
int datafs_metad_jobs_table(struct datafs_metad *m, struct datafs_metad_jobs *res);
/* Valid in the call. Return non-zero to stop before this one. */
typedef int (*datafs_metad_job_fn)(void *arg, const struct datafs_metad_job *job);
/*
 * The jobs with higher ids than @after, by these. *@eof: @fn has taken the last one.
 * @table is of the same moment.
 */
int datafs_metad_jobs(struct datafs_metad *m, uint64_t after, datafs_metad_job_fn fn,
		      void *arg, bool *eof, struct datafs_metad_jobs *table);
/* The version and number of policies; all 0: there never was one. */
int datafs_metad_policies_table(struct datafs_metad *m, struct datafs_metad_policies *res);
/* Valid in the call. Return non-zero to stop before this one. */
typedef int (*datafs_metad_policy_fn)(void *arg, const struct datafs_metad_policy *policy);
/*
 * The policies with paths behind @after, byte by byte (@len 0: all). *@eof: @fn has taken
 * the last one. @table is of the same moment. -ENAMETOOLONG: @after is no path.
 */
int datafs_metad_policies(struct datafs_metad *m, const void *after, size_t len,
			  datafs_metad_policy_fn fn, void *arg, bool *eof,
			  struct datafs_metad_policies *table);
/*
 * A page of a shared listing, and what is there of that; *@page is NULL if the page is not.
 * It is to be freed. -ESTALE: it is not there, or its ticket is over.
 */
int datafs_metad_listing_page(struct datafs_metad *m, uint64_t number, uint32_t nr,
			      struct datafs_metad_listing *res, uint8_t **page, size_t *len);
/* The length; @buf has DATAFS_SYMLINK_MAX bytes, no NUL is added. -EINVAL. */
ssize_t datafs_metad_readlink(struct datafs_metad *m, uint64_t ino, char *buf);
/* As getxattr(2), listxattr(2): @size 0 asks for the length. -ENODATA, -ERANGE. */
ssize_t datafs_metad_getxattr(struct datafs_metad *m, uint64_t ino,
			      const char *name, size_t len, void *buf,
			      size_t size);
ssize_t datafs_metad_listxattr(struct datafs_metad *m, uint64_t ino, char *buf,
			       size_t size);

#endif
