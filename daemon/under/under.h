/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under-stores: where the bytes come from, and where they go. This is what their users
 * see; under_ops.h is what a store implements, Documentation/understores.rst the long
 * form with what each of them can do.
 *
 * A key is the path below the store's root, without a leading '/', "" for the root
 * itself; no part of it is empty, "." or ".." (-EINVAL).
 *
 * All calls may block, for as long as the limits of the mount say too, and are made
 * from worker threads; all are safe from several at once, close excepted. Errors are
 * negative errnos, and none is "does not exist" but -ENOENT. -EOPNOTSUPP: this store
 * cannot; -EROFS: it may not be written.
 */
#ifndef DATAFS_UNDER_H
#define DATAFS_UNDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>

#include "under_opts.h"

/* What an opened store can do. What has no flag here and cannot be is -EOPNOTSUPP. */
#define DATAFS_UNDER_WRITE	(1u << 0)	/* the write half */
#define DATAFS_UNDER_DIRS	(1u << 1)	/* directories are things: mkdir comes before what is in them */
#define DATAFS_UNDER_ATTRS	(1u << 2)	/* owners, modes and times are the store's own */
#define DATAFS_UNDER_LINKS	(1u << 3)	/* symbolic links */
#define DATAFS_UNDER_XATTRS	(1u << 4)
#define DATAFS_UNDER_SORTED	(1u << 5)	/* lists in the order of bytes */
#define DATAFS_UNDER_COPY	(1u << 6)	/* without the bytes passing here */
#define DATAFS_UNDER_RENAME	(1u << 7)	/* at once; without: copy, then remove */
#define DATAFS_UNDER_RENAME_DIR	(1u << 8)	/* ... of directories, with what is below */
#define DATAFS_UNDER_IF_ABSENT	(1u << 9)	/* struct datafs_under_cond holds at once with */
#define DATAFS_UNDER_IF_MATCH	(1u << 10)	/* ... the change itself, not just before it */

/* The same to all daemons that open it with the same source and options. */
#define DATAFS_UNDER_SAME	(1u << 11)

/*
 * What identifies one state of an object's bytes. Equal fingerprints mean equal bytes
 * unless the object is younger than the clock's grain (datafs_under_young). For posix:
 * device (0 for the root's own, whose number may be another after a reboot), inode,
 * size, mtime, ctime and birth time. Where the store names states itself, see
 * datafs_fingerprint_tag().
 */
struct datafs_fingerprint {
	uint64_t v[6];
};

struct datafs_under_stat {
	uint64_t file_id;	/* two names with one id are one file; 0 unknown */
	uint64_t size;
	uint64_t blocks;	/* of 512 bytes */
	struct timespec atime, mtime, ctime, btime;
	uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor;
	bool has_btime, has_xattr, has_acl;
	bool strong;		/* the store never gives two states one fingerprint */
	struct datafs_fingerprint fp;
	/* When it was looked at, before looking; by the clock that stamps, if that is known. */
	struct timespec seen;
};

/*
 * A directory without a state of its own, as all are of stores without ATTRS: all zeros.
 * That says nothing of the names in it.
 */
static inline bool datafs_fingerprint_none(const struct datafs_fingerprint *fp)
{
	for (size_t i = 0; i < sizeof(fp->v) / sizeof(*fp->v); i++)
		if (fp->v[i])
			return false;
	return true;
}

struct datafs_under;	/* an opened store */

/*
 * Has it a user, a password or a key in it ("scheme://USER:PASSWORD@...")? All who see the
 * mount would read them: no store takes such a source. Blocks for nothing.
 */
bool datafs_under_source_secret(const char *source);
#define DATAFS_UNDER_SOURCE_SHOWN	1024
/*
 * What log lines may say of any @source: with "..." for what comes before the last '@' of one
 * that has secrets, and cut to @size. Returns @buf.
 */
const char *datafs_under_source_shown(const char *source, char *buf, size_t size);

/*
 * Chooses by scheme ("scheme://..."; a plain path is posix) and opens. @opts (NULL: the
 * defaults) stays the caller's and must outlive the store. -EPROTONOSUPPORT: no such
 * scheme; -EINVAL: an option that this store does not take, or a source with secrets. Errors
 * are logged.
 */
int datafs_under_open(const char *source, const struct datafs_under_opts *opts,
		      struct datafs_under **res);
/* No call is running. NULL is fine. */
void datafs_under_close(struct datafs_under *u);
/* DATAFS_UNDER_*; without WRITE and what is of it if the mount is read-only. */
uint32_t datafs_under_caps(const struct datafs_under *u);

bool datafs_under_key_ok(const char *key);
/* Was it changed so shortly before it was seen that a second change could hide? */
bool datafs_under_young(const struct datafs_under_stat *st);
/*
 * The fingerprint of a state that a store names with a @tag, such as an ETag, compared
 * byte by byte: size, length of the tag, and the tag itself, or 128 bits of XXH3 of one
 * longer than 32 bytes.
 */
struct datafs_fingerprint datafs_fingerprint_tag(const char *tag, size_t len, uint64_t size);

/* ---- reading ---- */

int datafs_under_stat(struct datafs_under *u, const char *key, struct datafs_under_stat *st);

#define DATAFS_UNDER_TOKEN_MAX	1280

/* Where a listing goes on, in words of the store; all zeros: at its beginning. */
struct datafs_under_place {
	char token[DATAFS_UNDER_TOKEN_MAX];
	/* The caller's: it ends with DATAFS_UNDER_STOP where what follows costs a request. */
	bool by_page;
};

#define DATAFS_UNDER_STOP	1

/*
 * One entry of a listing, as soon as it is known; @st NULL: it is there, but was not or
 * cannot be looked at. No call of the store is running from here. 0: the next;
 * DATAFS_UNDER_STOP: no more now, it was taken; an error: no more, it was not.
 */
typedef int (*datafs_under_list_fn)(void *arg, const char *name,
				    const struct datafs_under_stat *st);

/*
 * Every entry of a directory but "." and "..", in any order, once. 0: that was all;
 * otherwise what ended it: an error, or what @fn returned. @place, which may be NULL, is
 * where it begins, and becomes the place after the last entry that @fn took, whatever
 * ends the listing: so it can be taken up again, by another process too; a store that has
 * all in one answer knows no pages. What is there
 * all the while is in the sum of such listings; what comes, goes, or moves meanwhile
 * may be missing or be there twice.
 */
int datafs_under_list(struct datafs_under *u, const char *key, struct datafs_under_place *place,
		      datafs_under_list_fn fn, void *arg);

/*
 * Reads [off, off+len) of the object whose fingerprint is @fp, and of no other: -ESTALE,
 * and what is in @buf means nothing, if it is another before or after. Short only at the
 * end: returns the bytes read. @buf is aligned to 4096.
 */
ssize_t datafs_under_read(struct datafs_under *u, const char *key,
			  const struct datafs_fingerprint *fp, uint64_t off, void *buf,
			  size_t len);

/*
 * Bytes [at, at+n) of an object, which are right. They come in order, but after trouble
 * may begin again with what was taken already. 0, or an error that ends the reading:
 * -ECANCELED, of which no log speaks.
 */
typedef int (*datafs_under_take_fn)(void *arg, uint64_t at, const void *p, size_t n);

/*
 * As datafs_under_read(), by one request however long the range is, whose bytes are given
 * to @take as they come: where the store answers with one state or not at all, and says
 * so before the first of them. [off, off+len) is in the object. -EOPNOTSUPP, and nothing
 * was sent: it cannot tell so early, of this state or ever. After another error what was
 * taken is right all the same.
 */
int datafs_under_stream(struct datafs_under *u, const char *key,
			const struct datafs_fingerprint *fp, uint64_t off, uint64_t len,
			datafs_under_take_fn take, void *arg);

/* As readlink(2), getxattr(2), listxattr(2). A store without xattrs has no names. */
ssize_t datafs_under_readlink(struct datafs_under *u, const char *key, char *buf, size_t len);
ssize_t datafs_under_getxattr(struct datafs_under *u, const char *key, const char *name,
			      void *buf, size_t len);
ssize_t datafs_under_listxattr(struct datafs_under *u, const char *key, char *buf, size_t len);
/* A store that has no bounds says 0 of everything that is counted. */
int datafs_under_statfs(struct datafs_under *u, struct statfs *st);

/* ---- writing ---- */

/*
 * An object appears as a whole or not at all, and is durable when the call returns. An
 * error other than those of the condition says nothing of what is there now: either
 * state, whole; look at it. What is in the way and is a directory: -EISDIR.
 */

/* What must be there for a change to be made. */
struct datafs_under_cond {
	enum {
		DATAFS_UNDER_ANY,
		DATAFS_UNDER_ABSENT,	/* nothing; -EEXIST */
		DATAFS_UNDER_MATCH,	/* this state; -ESTALE */
	} is;
	struct datafs_fingerprint fp;	/* of MATCH */
};

/* For stores with ATTRS; the others leave it out. */
struct datafs_under_attr {
	uint32_t mode;		/* its 12 bits */
	uint32_t uid, gid;	/* UINT32_MAX: as it comes */
	struct timespec mtime;
};

/*
 * In the calls below a @cond that is NULL is ANY; an @attr that is NULL is the mount's mode,
 * the owner as it comes, and now; @fp (or NULL) becomes the fingerprint of what was written, in
 * which the next look finds the object, unless somebody else has changed it since.
 */
int datafs_under_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		     const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		     struct datafs_fingerprint *fp);

/* What is known of an upload that has begun: enough for any process to end it. */
struct datafs_under_upload {
	char token[DATAFS_UNDER_TOKEN_MAX];
};

struct datafs_under_part {
	uint32_t number;	/* from 1, without a gap */
	uint64_t off, len;	/* [off, off+len) of the object; off: the sum of those before */
	char tag[72];		/* of the store, "" if it has none */
};

/*
 * An upload in parts of opts->part_size, the last one shorter. Nothing is seen at @key
 * until it is complete. Parts come in any order, from several threads, and again if one
 * has failed; each fills in the tag of its @part, whose other fields the caller has set.
 * complete() is told all of them, at least one, in order. It ends the upload, as abort()
 * does, unless it fails; abort() of one that has ended is 0. -ENOENT elsewhere: there is
 * none such.
 */
int datafs_under_begin(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr, struct datafs_under_upload *up);
int datafs_under_part(struct datafs_under *u, const char *key,
		      const struct datafs_under_upload *up, struct datafs_under_part *part,
		      const void *buf);
int datafs_under_complete(struct datafs_under *u, const char *key,
			  const struct datafs_under_upload *up,
			  const struct datafs_under_part *parts, size_t n,
			  const struct datafs_under_attr *attr,
			  const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);
int datafs_under_abort(struct datafs_under *u, const char *key,
		       const struct datafs_under_upload *up);

/* -EEXIST: something is there. On a store without DIRS it may do nothing. */
int datafs_under_mkdir(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr);
/* -ENOTEMPTY. */
int datafs_under_rmdir(struct datafs_under *u, const char *key);
/* What is no directory; @cond is ANY or MATCH. If nothing is there: 0 or -ENOENT. */
int datafs_under_remove(struct datafs_under *u, const char *key,
			const struct datafs_under_cond *cond);
/*
 * As rename(2), but that @from is gone even if both were one file. -EOPNOTSUPP, also of
 * one name only: it is to be copied and removed.
 */
int datafs_under_rename(struct datafs_under *u, const char *from, const char *to);
/* Of the bytes of @from in state @from_fp: -ESTALE. @cond is of @to. */
int datafs_under_copy(struct datafs_under *u, const char *from,
		      const struct datafs_fingerprint *from_fp, const char *to,
		      const struct datafs_under_attr *attr,
		      const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);

/* ---- what it costs ---- */

/* As stores ask for money: what a request was, not what it was for. */
enum datafs_under_method {
	DATAFS_UNDER_M_STAT,
	DATAFS_UNDER_M_LIST,
	DATAFS_UNDER_M_GET,
	DATAFS_UNDER_M_PUT,	/* uploads and their parts, directories, names */
	DATAFS_UNDER_M_COPY,
	DATAFS_UNDER_M_DELETE,
	DATAFS_UNDER_M_OTHER,
	DATAFS_UNDER_M_NR
};

const char *datafs_under_method_name(enum datafs_under_method m);

struct datafs_under_stats {
	struct {
		uint64_t requests;	/* that were sent, those sent again among them */
		uint64_t retries;	/* ... those sent again */
		uint64_t errors;	/* not answered, or with trouble; "it is not there" is none */
		uint64_t up, down;	/* bytes of content */
	} by[DATAFS_UNDER_M_NR];
	/*
	 * At the prices of the mount's options, in their currency: for each GET, STAT and
	 * OTHER price_get / 1000, for each PUT, COPY and LIST price_put / 1000, for each
	 * byte down price_down / 2^30; a DELETE is free. Retries are requests.
	 */
	double price;
};

/* Since it was opened. Any thread; each number is right, all together of one moment not. */
void datafs_under_stats(struct datafs_under *u, struct datafs_under_stats *res);
/* Adds all of it; a sum of prices means something if they have one currency. */
void datafs_under_stats_add(struct datafs_under_stats *to, const struct datafs_under_stats *st);

struct datafs_under_total {
	uint64_t requests, retries, errors, up, down;
};

/* Of all methods. */
struct datafs_under_total datafs_under_total(const struct datafs_under_stats *st);

#endif
