// SPDX-License-Identifier: Apache-2.0
/* The S3 under-store: what an object is, and its bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "s3_internal.h"

#define BLOCK	512

const char *const datafs_s3_want[] = { "ETag", "Last-Modified", DATAFS_S3_ID, NULL };

/* ---- attributes ---- */

static void fill(struct s3 *s, struct datafs_under_stat *st, uint64_t size, const char *tag,
		 size_t len, const struct timespec *mtime)
{
	*st = (struct datafs_under_stat){
		.size = size, .blocks = (size + BLOCK - 1) / BLOCK, .nlink = 1,
		.mode = S_IFREG | s->u.opts->file_mode,
		.uid = s->u.opts->uid, .gid = s->u.opts->gid,
		.atime = *mtime, .mtime = *mtime, .ctime = *mtime,
		.strong = true, .fp = datafs_fingerprint_tag(tag, len, size),
	};
	clock_gettime(CLOCK_REALTIME, &st->seen);
}

void datafs_s3_fill_entry(struct s3 *s, const struct datafs_s3_entry *e,
			  struct datafs_under_stat *st)
{
	fill(s, st, e->size, e->tag, strlen(e->tag), &e->mtime);
}

/* All that is known of a directory is that there is one: each looks as any other. */
void datafs_s3_fill_dir(struct s3 *s, struct datafs_under_stat *st)
{
	*st = (struct datafs_under_stat){
		.mode = S_IFDIR | s->u.opts->dir_mode, .nlink = 1,
		.uid = s->u.opts->uid, .gid = s->u.opts->gid, .strong = true,
	};
	clock_gettime(CLOCK_REALTIME, &st->seen);
}

static int nonsense(struct s3_req *r, const char *what)
{
	snprintf(r->a.why, sizeof(r->a.why), "%s", what);
	return -EPROTO;
}

/* An object of @size bytes, as its answer has it. -EPROTO, and the answer says why. */
static int fill_answer(struct s3 *s, struct s3_req *r, uint64_t size, struct datafs_under_stat *st)
{
	const char *etag = datafs_http_value(&r->http, &r->a, "ETag"), *tag;
	const char *date = datafs_http_value(&r->http, &r->a, "Last-Modified");
	struct timespec mtime;
	size_t len;

	if (!etag || datafs_http_etag(etag, &tag, &len) || len > DATAFS_S3_TAG_MAX)
		return nonsense(r, "the answer has no ETag that names a state");
	if (!date || datafs_http_date(date, &mtime))
		return nonsense(r, "the answer has no Last-Modified");
	fill(s, st, size, tag, len, &mtime);
	return 0;
}

static int head_answer(struct s3 *s, struct s3_req *r, struct s3_object *o)
{
	const char *id = datafs_http_value(&r->http, &r->a, DATAFS_S3_ID), *tag;
	size_t len;
	int err;

	memset(o, 0, sizeof(*o));
	if (r->a.length < 0)
		return nonsense(r, "the answer has no Content-Length");
	err = fill_answer(s, r, r->a.length, &o->st);
	if (err)
		return err;
	datafs_http_etag(datafs_http_value(&r->http, &r->a, "ETag"), &tag, &len);
	memcpy(o->tag, tag, len);
	if (id && strlen(id) == DATAFS_S3_ID_LEN)
		memcpy(o->id, id, DATAFS_S3_ID_LEN);
	return 0;
}

int datafs_s3_head(struct s3 *s, const char *key, struct s3_object *o)
{
	struct s3_req r;
	int err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_STAT, "HEAD", key, false);

	r.http.want = datafs_s3_want;
	if (!err)
		err = datafs_s3_call(s, &r);
	if (!err) {
		err = head_answer(s, &r, o);
		if (err)
			datafs_s3_log(s, &r, err, NULL);
	}
	datafs_s3_end(&r);
	return err;
}

int datafs_s3_below(struct s3 *s, const char *key, uint32_t max, struct datafs_s3_page *page)
{
	char *prefix;
	int err = datafs_s3_prefix(s, key, &prefix);

	if (err)
		return err;
	err = datafs_s3_page(s, prefix, NULL, NULL, false, max, page);
	free(prefix);
	return err;
}

/*
 * A file, if there is such a key; else a directory, if there are keys below it. Both: the
 * file, as in a listing. That there is neither is what the second answer says: the first
 * one is the same if there is no bucket.
 */
int datafs_s3_stat(struct datafs_under *u, const char *key, struct datafs_under_stat *st)
{
	struct datafs_s3_page page;
	struct s3 *s = s3_of(u);
	struct s3_object o;
	int err;

	if (!*key) {
		datafs_s3_fill_dir(s, st);
		return 0;
	}
	err = datafs_s3_head(s, key, &o);
	/* There cannot be such a key: so there is nothing. */
	if (err == -EILSEQ)
		return -ENOENT;
	if (!err)
		*st = o.st;
	if (err != -ENOENT)
		return err;
	err = datafs_s3_below(s, key, 1, &page);
	if (err)
		return err;
	if (page.n || page.unreadable || page.truncated)
		datafs_s3_fill_dir(s, st);
	else
		err = -ENOENT;
	datafs_s3_page_free(&page);
	return err;
}

/* ---- bytes ---- */

struct read_arg {
	struct s3 *s;
	struct s3_req *r;
	const struct datafs_fingerprint *fp;
	datafs_under_take_fn take;	/* of a stream */
	void *take_arg;
};

/* Is it the state that was asked for? Before a byte of it is taken. */
static int admit(void *arg, const struct datafs_http_answer *answer)
{
	struct read_arg *a = arg;
	struct datafs_under_stat st;
	int err;

	if (answer->total < 0)
		return nonsense(a->r, "the answer does not say how long the object is");
	err = fill_answer(a->s, a->r, answer->total, &st);
	if (!err && memcmp(&st.fp, a->fp, sizeof(st.fp)))
		err = -ESTALE;
	return err;
}

/* A fingerprint has the tag itself, if it is short; datafs_fingerprint_tag(). */
static void if_match(struct s3_req *r, const struct datafs_fingerprint *fp)
{
	const char *tag = (const char *)&fp->v[2];
	uint64_t len = fp->v[1];

	if (!len || len > sizeof(fp->v) - 2 * sizeof(fp->v[0]))
		return;
	/* It comes from a database: no line of a request is made of it but this one. */
	for (uint64_t i = 0; i < len; i++)
		if ((unsigned char)tag[i] < ' ' || tag[i] == '"')
			return;
	datafs_s3_header(r, "If-Match: \"%.*s\"", (int)len, tag);
}

static int take_some(void *arg, uint64_t at, const void *p, size_t n)
{
	struct read_arg *a = arg;

	return a->take(a->take_arg, at, p, n);
}

/* What @of says: into @buf, or given to its take. */
static ssize_t get(struct s3 *s, const char *key, uint64_t off, void *buf, uint64_t len,
		   const struct read_arg *of)
{
	struct read_arg arg = *of;
	uint64_t size = of->fp->v[0];
	struct s3_req r;
	ssize_t ret;

	/* Nothing is there, whatever the state: an empty range cannot be asked for. */
	if (off >= size || !len)
		return 0;
	len = DATAFS_MIN(len, size - off);
	ret = datafs_s3_begin(s, &r, DATAFS_UNDER_M_GET, "GET", key, false);
	/* There cannot be such a key. */
	if (ret == -EILSEQ)
		ret = -ESTALE;
	if (ret)
		goto out;
	arg.s = s;
	arg.r = &r;
	r.http.ranged = true;
	r.http.off = off;
	r.http.len = r.http.room = len;
	r.http.into = buf;
	r.http.take = buf ? NULL : take_some;
	r.http.want = datafs_s3_want;
	r.http.admit = admit;
	r.http.arg = &arg;
	if_match(&r, of->fp);
	ret = datafs_s3_call(s, &r);
	if (!ret)
		ret = r.a.got;
	/* Gone, or not as long any more. */
	else if (ret == -ENOENT || ret == -ERANGE)
		ret = -ESTALE;
out:
	datafs_s3_end(&r);
	return ret;
}

ssize_t datafs_s3_read(struct datafs_under *u, const char *key,
		       const struct datafs_fingerprint *fp, uint64_t off, void *buf, size_t len)
{
	struct read_arg arg = { .fp = fp };

	return get(s3_of(u), key, off, buf, len, &arg);
}

int datafs_s3_stream(struct datafs_under *u, const char *key,
		     const struct datafs_fingerprint *fp, uint64_t off, uint64_t len,
		     datafs_under_take_fn take, void *arg)
{
	struct read_arg a = { .fp = fp, .take = take, .take_arg = arg };
	ssize_t n = get(s3_of(u), key, off, NULL, len, &a);

	if (n < 0)
		return n;
	return (uint64_t)n < len ? -ESTALE : 0;
}
