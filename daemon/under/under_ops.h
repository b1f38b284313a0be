/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an under-store implements: one file, one line in the table of under.c. The calls
 * mean what under.h says of the functions of their names, which have checked the keys
 * (ok, not too long by what the store says itself), that the store may be written, and
 * that "" is not to be changed. A call that is NULL is answered -EOPNOTSUPP.
 */
#ifndef DATAFS_UNDER_OPS_H
#define DATAFS_UNDER_OPS_H

#include <stdatomic.h>

#include "under.h"
#include "under_limit.h"

struct datafs_under_ops {
	size_t size;		/* of the store's own struct, which begins with its struct datafs_under */
	uint32_t options;	/* DATAFS_UNDER_FOR_*: those of its kind beside FOR_ALL */
	bool one_request;	/* each call is one, which is asked for and counted for it */
	/*
	 * @u is zeroed, but for ops and opts; sets caps. One that fails has cleaned up, and
	 * has logged which source, what was wrong, and what to do.
	 */
	int (*open)(struct datafs_under *u, const char *source);
	void (*close)(struct datafs_under *u);	/* what open made; not @u itself */

	int (*stat)(struct datafs_under *u, const char *key, struct datafs_under_stat *st);
	/* @place is never NULL. */
	int (*list)(struct datafs_under *u, const char *key, struct datafs_under_place *place,
		    datafs_under_list_fn fn, void *arg);
	ssize_t (*read)(struct datafs_under *u, const char *key,
			const struct datafs_fingerprint *fp, uint64_t off, void *buf, size_t len);
	/* NULL: never. */
	int (*stream)(struct datafs_under *u, const char *key, const struct datafs_fingerprint *fp,
		      uint64_t off, uint64_t len, datafs_under_take_fn take, void *arg);
	ssize_t (*readlink)(struct datafs_under *u, const char *key, char *buf, size_t len);
	ssize_t (*getxattr)(struct datafs_under *u, const char *key, const char *name,
			    void *buf, size_t len);
	ssize_t (*listxattr)(struct datafs_under *u, const char *key, char *buf, size_t len);
	int (*statfs)(struct datafs_under *u, struct statfs *st);

	/* @attr, @cond and @fp are never NULL below. */
	int (*put)(struct datafs_under *u, const char *key, const void *buf, size_t len,
		   const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		   struct datafs_fingerprint *fp);
	int (*begin)(struct datafs_under *u, const char *key,
		     const struct datafs_under_attr *attr, struct datafs_under_upload *up);
	int (*part)(struct datafs_under *u, const char *key, const struct datafs_under_upload *up,
		    struct datafs_under_part *part, const void *buf);
	/* The parts are numbered from 1 and lie one behind the other. */
	int (*complete)(struct datafs_under *u, const char *key,
			const struct datafs_under_upload *up,
			const struct datafs_under_part *parts, size_t n,
			const struct datafs_under_attr *attr,
			const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);
	int (*abort)(struct datafs_under *u, const char *key,
		     const struct datafs_under_upload *up);
	int (*mkdir)(struct datafs_under *u, const char *key,
		     const struct datafs_under_attr *attr);
	int (*rmdir)(struct datafs_under *u, const char *key);
	int (*remove)(struct datafs_under *u, const char *key,
		      const struct datafs_under_cond *cond);
	int (*rename)(struct datafs_under *u, const char *from, const char *to);
	int (*copy)(struct datafs_under *u, const char *from,
		    const struct datafs_fingerprint *from_fp, const char *to,
		    const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		    struct datafs_fingerprint *fp);
};

struct datafs_under_count {
	atomic_ullong requests, retries, errors, up, down;
};

struct datafs_under {
	const struct datafs_under_ops *ops;
	const struct datafs_under_opts *opts;
	uint32_t caps;
	struct datafs_limit requests_up, requests_down, bytes_up, bytes_down;
	struct datafs_under_count count[DATAFS_UNDER_M_NR];
};

/*
 * Before each request that goes to the store, one that is sent again included: waits
 * as the mount's limits say. @up, @down: the bytes of content that it will move, 0 if
 * that is not known.
 */
void datafs_under_ask(struct datafs_under *u, enum datafs_under_method m, uint64_t up,
		      uint64_t down);
/*
 * After it: @err is 0 or what came of it, @up and @down the bytes of content that it has
 * moved. What was not known when it was asked is datafs_limit_owe()d besides.
 */
void datafs_under_answered(struct datafs_under *u, enum datafs_under_method m, int err,
			   uint64_t up, uint64_t down);
/* Before datafs_under_ask() of a request that is sent again. */
void datafs_under_again(struct datafs_under *u, enum datafs_under_method m);

/* The same around a call, for a store whose calls are one_request. */
void datafs_under_enter(struct datafs_under *u, enum datafs_under_method m, uint64_t up,
			uint64_t down);
/* @ret: an error, or of a GET the bytes; @up: bytes that were moved if it is none. */
ssize_t datafs_under_leave(struct datafs_under *u, enum datafs_under_method m, ssize_t ret,
			   uint64_t up);

/*
 * datafs_log(), with the mount of @o first: two mounts may have one source. All lines of
 * stores come this way.
 */
void datafs_under_log(const struct datafs_under_opts *o, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The table's stores. */
extern const struct datafs_under_ops datafs_under_posix, datafs_under_s3,
	datafs_under_http, datafs_under_webhdfs;

#endif
