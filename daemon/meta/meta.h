/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespace: names, inode numbers, content generations. It never talks to
 * an under-store. What it does not know, or knows from too long ago, it answers
 * with DATAFS_META_SYNC and a ticket: the caller, who now is the one holder,
 * looks at the under-store and imports what it saw; all others who want the
 * same wait inside their calls until it has. An import is checked when it is
 * applied: one whose ticket is not current any more changes nothing, and an
 * older look never replaces a newer one.
 *
 * What is known never says "does not exist" but after a proven -ENOENT of that
 * name, or a complete listing of its directory. Errors are not remembered.
 *
 * Times are CLOCK_BOOTTIME nanoseconds (datafs_now()). A caller says with
 * @fresh how old an answer may be: it was looked at no earlier. 0 takes
 * whatever is known, also from before a restart.
 *
 * Young contents. Under a fingerprint that is young a second change could
 * hide, so the bytes of a regular file whose @young is set must not be read:
 * sync it again until it is not. That is why becoming old does not change its
 * generation; a link's target may be read at any time, so its does.
 *
 * All calls are safe from several threads; they block on each other's tickets,
 * and shortly on the disk. Errors are negative errnos: -ESTALE (no such inode,
 * or not any more), -ENOTDIR, -EIO (the database).
 */
#ifndef DATAFS_META_H
#define DATAFS_META_H

#include <stdbool.h>
#include <stdint.h>

#include "datafs_abi.h"
#include "under/under.h"

struct datafs_meta;

#define DATAFS_META_ANSWER	0
#define DATAFS_META_SYNC	1
#define DATAFS_META_MORE	2

struct datafs_meta_inode {
	uint64_t ino;		/* 0: the name is proven absent */
	uint64_t root;		/* of the tree it is in */
	uint64_t content;
	bool young;
	int64_t synced;		/* when what is said here was looked at */
	int64_t name_synced;	/* of lookup, readdir: the name itself */
	struct datafs_under_stat st;
};

/*
 * A fingerprint seen twice with so much time in between is settled, whatever
 * the store's clock says: longer than the grain of its timestamps, which is a
 * second or two where they have no nanoseconds.
 */
static inline int64_t datafs_meta_settle(const struct datafs_under_stat *st)
{
	return st->ctime.tv_nsec || st->mtime.tv_nsec ? 25000000 : 2000000000;
}

/* The right and the duty to look at one thing. */
struct datafs_meta_ticket {
	uint64_t serial;
	uint64_t dir;		/* the directory */
	bool list;		/* all of it, else one name */
	char name[DATAFS_NAME_MAX + 1];	/* "": @dir is a root, itself meant */
};

/*
 * Opens or makes the namespace in @dir (a directory, made if missing). One that
 * is damaged is replaced by an empty one with a new id, with a line in the log.
 * One that cannot be read just now is not: that is an error, and a line too.
 */
int datafs_meta_open(const char *dir, struct datafs_meta **res);
void datafs_meta_close(struct datafs_meta *m);
/* 16 random bytes: inode and content numbers mean something only beside it. */
const uint8_t *datafs_meta_id(const struct datafs_meta *m);

/*
 * The root of @source's tree, made if it is not known yet. @st is the source's
 * own, of the time @looked; it is a directory.
 */
int datafs_meta_root(struct datafs_meta *m, const char *source,
		     const struct datafs_under_stat *st, int64_t looked,
		     struct datafs_meta_inode *res);

/*
 * A root of another name space than sources: its number, and that of each inode below it,
 * has the bit DATAFS_META_BRANCH, which no other has, nor any inode of a quorum. So these
 * can be in one tree with a quorum's.
 */
#define DATAFS_META_BRANCH	(1ull << 62)
int datafs_meta_branch_root(struct datafs_meta *m, const char *name,
			    const struct datafs_under_stat *st, int64_t looked,
			    struct datafs_meta_inode *res);

/* The number of a root, of either kind, that was made before. 0 or -ENOENT, or an error. */
int datafs_meta_find_root(struct datafs_meta *m, const char *source,
			  uint64_t *ino);

/*
 * Nothing that is known of this root's tree now may be taken as it is, also not
 * by who takes what is known: for ever, since that is not known of each.
 */
int datafs_meta_doubt(struct datafs_meta *m, uint64_t root);
/* Has that been said, in any life of the daemon? 1, 0 or an error. */
int datafs_meta_doubted(struct datafs_meta *m, uint64_t root);

/* ANSWER, SYNC or an error; with SYNC the ticket must be given to an import. */
int datafs_meta_lookup(struct datafs_meta *m, uint64_t dir, const char *name,
		       int64_t fresh, struct datafs_meta_inode *res,
		       struct datafs_meta_ticket *ticket);
int datafs_meta_getattr(struct datafs_meta *m, uint64_t ino, int64_t fresh,
			struct datafs_meta_inode *res,
			struct datafs_meta_ticket *ticket);
/* What is known now, however old. 0 or -ESTALE. */
int datafs_meta_peek(struct datafs_meta *m, uint64_t ino,
		     struct datafs_meta_inode *res);
/* The parent of a directory (of a root: itself), as it is known. */
int datafs_meta_parent(struct datafs_meta *m, uint64_t ino, uint64_t *parent);

/* Return non-zero to stop before this entry. */
typedef int (*datafs_meta_entry_fn)(void *arg, uint64_t cookie,
				    const char *name,
				    const struct datafs_meta_inode *inode);
/*
 * The entries after @cookie in the order of their cookies. At the beginning
 * (cookie 0) the listing and its attributes must be as @fresh says; going on
 * takes any complete listing. *@eof: @fn saw the last one. @fn is called under
 * a lock: it must not block nor call the namespace. NULL: nothing is told, but
 * the listing is to be complete.
 *
 * Of a listing that is under way (datafs_meta_list_pause()) it tells what it has
 * met so far; DATAFS_META_MORE: it has not come here, and the caller goes on with
 * it (datafs_meta_list_resume()).
 */
int datafs_meta_readdir(struct datafs_meta *m, uint64_t dir, uint64_t cookie,
			int64_t fresh, datafs_meta_entry_fn fn, void *arg,
			bool *eof, struct datafs_meta_ticket *ticket);

/* The key in the under-store, to be freed. -ESTALE, -ENOMEM, -ENAMETOOLONG. */
int datafs_meta_key(struct datafs_meta *m, uint64_t ino, char **key);
int datafs_meta_ticket_key(struct datafs_meta *m,
			   const struct datafs_meta_ticket *ticket, char **key);

/*
 * Imports what the look for a ticket of one name has shown, and ends the
 * ticket. @looked: before looking. @err: 0 (then @st says what is there),
 * -ENOENT (it is proven that nothing is), or what else came: then nothing is
 * remembered and those who wait get it. Answers what became of it: 0 or an
 * error of the database; -EAGAIN if the ticket was not current any more.
 */
int datafs_meta_import(struct datafs_meta *m,
		       const struct datafs_meta_ticket *ticket, int64_t looked,
		       int err, const struct datafs_under_stat *st);

/*
 * Imports a listing piece by piece. @st: the directory's own, before listing.
 * An entry without @st is there, but could not be looked at: it stays as it is
 * known, if it is, and no absence is concluded from the listing.
 * After begin there must be an end; an end with @err 0 says that every entry
 * was added and ends the ticket; with another that the listing broke off: what
 * was added stays, nothing is concluded from what was not.
 *
 * A listing may miss what is renamed meanwhile. Before the end, whole() is told
 * what the directory is after listing and answers whether what was not added is
 * gone. If not, nothing is concluded from it, and the caller looks at the names
 * that unseen() tells: 1 and the next one that is known, comes after @name ("" to
 * begin) and was not added; 0 after the last one; or an error.
 */
struct datafs_meta_listing;
int datafs_meta_list_begin(struct datafs_meta *m,
			   const struct datafs_meta_ticket *ticket,
			   int64_t looked, const struct datafs_under_stat *st,
			   struct datafs_meta_listing **res);
int datafs_meta_list_add(struct datafs_meta_listing *l, const char *name,
			 const struct datafs_under_stat *st);
bool datafs_meta_list_whole(struct datafs_meta_listing *l,
			    const struct datafs_under_stat *st);
int datafs_meta_list_unseen(struct datafs_meta_listing *l,
			    char name[DATAFS_NAME_MAX + 1]);
int datafs_meta_list_end(struct datafs_meta_listing *l, int err);

/*
 * A listing that stops between begin and end, after a page of it: what it has met is
 * told, and whoever needs the next page resumes it. So a directory is listed no further
 * than somebody reads. It holds @state, which is dropped if nobody resumes it: @drop
 * must not call the namespace.
 */
void datafs_meta_list_pause(struct datafs_meta_listing *l, void *state, void (*drop)(void *state));
/*
 * 0: that of @dir is the caller's again, and *@state. -EAGAIN: another had it, or there is
 * none any more; ask again what was answered with MORE.
 */
int datafs_meta_list_resume(struct datafs_meta *m, uint64_t dir, struct datafs_meta_listing **l,
			    void **state);

#endif
