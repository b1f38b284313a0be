/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the S3 store: s3.c opens it, s3_call.c sends requests, s3_look.c and s3_list.c
 * read names, s3_write.c, s3_copy.c and s3_upload.c change objects; s3_xml.h and s3_cred.h stand
 * alone.
 *
 * A bucket has keys and no directories; what a directory is here, is said in
 * Documentation/understores.rst.
 */
#ifndef DATAFS_S3_INTERNAL_H
#define DATAFS_S3_INTERNAL_H

#include "http_text.h"
#include "http_try.h"
#include "s3_cred.h"
#include "s3_xml.h"
#include "under_ops.h"

#define DATAFS_S3_KEY_MAX	1024	/* bytes of a key */
#define DATAFS_S3_PAGE		1000	/* keys of an answer */
/* Who wrote it: so that an answer that was lost is found in the object. */
#define DATAFS_S3_ID		"x-amz-meta-datafs-id"
#define DATAFS_S3_ID_LEN	32

struct s3 {
	struct datafs_under u;
	struct datafs_http *http;
	struct datafs_s3_cred *cred;	/* NULL: anonymous */
	char *name;		/* s3://BUCKET[/PREFIX], of log lines */
	char *bucket;
	char *prefix;		/* "" or with a '/' at its end */
	char *base;		/* scheme://host[/bucket], of all URLs */
	char region[64];
	char sigv4[96];
};

static inline struct s3 *s3_of(struct datafs_under *u)
{
	return (struct s3 *)u; /* u is the first member */
}

/* A request: begin() it, add to it, call() it as often as wanted, end() it. */
struct s3_req {
	struct datafs_http_request http;
	enum datafs_under_method m;
	struct datafs_text url;
	struct curl_slist *headers;
	char *key;		/* the bucket's, NULL: of none */
	bool params;		/* the URL has some */
	bool failed;		/* there was no memory */
	bool quiet;		/* it may well be refused: no line says so */
	struct datafs_http_answer a;	/* of the last call */
	struct datafs_s3_error e;	/* ... if it was an error */
};

/*
 * @key: of the store, or NULL for the bucket; @slash: of a directory. -ENAMETOOLONG, -EILSEQ:
 * there cannot be such a key, or it could not be shown. To be ended even then.
 */
int datafs_s3_begin(struct s3 *s, struct s3_req *r, enum datafs_under_method m,
		    const char *method, const char *key, bool slash);
/*
 * @res: what all keys below @key begin with, the caller's to free. -ENOENT, -ENAMETOOLONG: there
 * cannot be such a key, and @res is as it was.
 */
int datafs_s3_prefix(struct s3 *s, const char *key, char **res);
/* In the order of their names; @value NULL: the name alone. */
void datafs_s3_param(struct s3_req *r, const char *name, const char *value);
void datafs_s3_header(struct s3_req *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * 0: a 2xx; else what went wrong, of which a line is logged, if it is no answer to what was
 * asked: -ENOENT, -ESTALE (412) and -ERANGE (416) are.
 */
int datafs_s3_call(struct s3 *s, struct s3_req *r);
void datafs_s3_end(struct s3_req *r);
/* A line on what was answered, and @err. */
int datafs_s3_log(struct s3 *s, struct s3_req *r, int err, const char *what);

/* ---- s3_look.c ---- */

/* Headers of an object: its ETag, date, and who wrote it; for want. */
extern const char *const datafs_s3_want[];

void datafs_s3_fill_entry(struct s3 *s, const struct datafs_s3_entry *e,
			  struct datafs_under_stat *st);
void datafs_s3_fill_dir(struct s3 *s, struct datafs_under_stat *st);

struct s3_object {
	struct datafs_under_stat st;
	char tag[DATAFS_S3_TAG_MAX + 1];
	char id[DATAFS_S3_ID_LEN + 1];	/* "": not written by us */
};

/* HEAD of an object. -ENOENT: it is none, or there is no bucket. */
int datafs_s3_head(struct s3 *s, const char *key, struct s3_object *o);
/*
 * The first page of the keys that begin with @key and '/', with at most @max of them. -ENOENT,
 * -ENAMETOOLONG: there cannot be any.
 */
int datafs_s3_below(struct s3 *s, const char *key, uint32_t max, struct datafs_s3_page *page);

int datafs_s3_stat(struct datafs_under *u, const char *key, struct datafs_under_stat *st);
int datafs_s3_stream(struct datafs_under *u, const char *key,
		     const struct datafs_fingerprint *fp, uint64_t off, uint64_t len,
		     datafs_under_take_fn take, void *arg);
ssize_t datafs_s3_read(struct datafs_under *u, const char *key,
		       const struct datafs_fingerprint *fp, uint64_t off, void *buf, size_t len);

/* ---- s3_list.c ---- */

int datafs_s3_list(struct datafs_under *u, const char *key, struct datafs_under_place *place,
		   datafs_under_list_fn fn, void *arg);
/* A page of the bucket; NULLs and 0: without that. Counts as a list. */
int datafs_s3_page(struct s3 *s, const char *prefix, const char *after, const char *token,
		   bool delimited, uint32_t max, struct datafs_s3_page *page);

/* ---- s3_write.c, s3_copy.c, s3_upload.c ---- */

int datafs_s3_new_id(char id[DATAFS_S3_ID_LEN + 1]);
/*
 * Binds @r, a change of @key, to @cond: by headers, or by looking now, where the store does
 * not mind them. -EEXIST, -ESTALE: it does not hold.
 */
int datafs_s3_cond(struct s3 *s, struct s3_req *r, const char *key,
		   const struct datafs_under_cond *cond);
/* Does @key meet @cond now? -EEXIST, -ESTALE. */
int datafs_s3_look_cond(struct s3 *s, const char *key, const struct datafs_under_cond *cond);
/* @err is what a change was answered with: may it have been carried out nevertheless? */
bool datafs_s3_doubtful(const struct s3_req *r, int err);
/* 1: what is at @key was written with @id, and *@fp is it; 0: it was not; or why that is not known. */
int datafs_s3_is_ours(struct s3 *s, const char *key, const char *id, struct datafs_fingerprint *fp);
/*
 * A doubtful change of @key under @cond was answered with @err. If what is there was written by it, as
 * @id tells, 0, and *@fp is what is there; else an error: of the condition only if it is known
 * that it was not written by it.
 */
int datafs_s3_settle(struct s3 *s, const char *key, const char *id, int err,
		     const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);
/* Sets the conditions' bits of u.caps by what the store answers. */
void datafs_s3_probe(struct s3 *s);

int datafs_s3_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		  const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		  struct datafs_fingerprint *fp);
int datafs_s3_mkdir(struct datafs_under *u, const char *key, const struct datafs_under_attr *attr);
int datafs_s3_rmdir(struct datafs_under *u, const char *key);
int datafs_s3_remove(struct datafs_under *u, const char *key, const struct datafs_under_cond *cond);
int datafs_s3_copy(struct datafs_under *u, const char *from,
		   const struct datafs_fingerprint *from_fp, const char *to,
		   const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		   struct datafs_fingerprint *fp);
int datafs_s3_upload(struct datafs_under *u, const char *key,
		     const struct datafs_under_attr *attr, struct datafs_under_upload *up);
int datafs_s3_part(struct datafs_under *u, const char *key, const struct datafs_under_upload *up,
		   struct datafs_under_part *part, const void *buf);
int datafs_s3_complete(struct datafs_under *u, const char *key,
		       const struct datafs_under_upload *up, const struct datafs_under_part *parts,
		       size_t n, const struct datafs_under_attr *attr,
		       const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);
int datafs_s3_abort(struct datafs_under *u, const char *key,
		    const struct datafs_under_upload *up);

#endif
