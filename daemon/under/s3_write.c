// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 under-store: what changes objects. Each that is written here has a number of its
 * own in its metadata. So it can be told whether it was written when the answer to that was
 * lost, or when the request was sent twice and the second was refused for what the first did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "http_judge.h"
#include "s3_internal.h"

#define PUT_MAX		(5ull << 30)	/* bytes, of an upload in one and of a copy */
#define PROBE		".datafs-probe-"

int datafs_s3_new_id(char id[DATAFS_S3_ID_LEN + 1])
{
	uint8_t n[DATAFS_S3_ID_LEN / 2];
	int err = datafs_random(n, sizeof(n));

	datafs_hex(n, sizeof(n), id);
	return err;
}

/* ---- conditions ---- */

/* What is there, of MATCH and ABSENT, is it what is wanted? @o is it, if there is something. */
static int look_cond(struct s3 *s, const char *key, const struct datafs_under_cond *cond,
		     struct s3_object *o)
{
	int err = datafs_s3_head(s, key, o);

	if (cond->is == DATAFS_UNDER_ABSENT)
		return err == -ENOENT ? 0 : err ?: -EEXIST;
	if (err == -ENOENT || (!err && memcmp(&o->st.fp, &cond->fp, sizeof(cond->fp))))
		return -ESTALE;
	return err;
}

int datafs_s3_look_cond(struct s3 *s, const char *key, const struct datafs_under_cond *cond)
{
	struct s3_object o;

	return cond->is == DATAFS_UNDER_ANY ? 0 : look_cond(s, key, cond, &o);
}

int datafs_s3_cond(struct s3 *s, struct s3_req *r, const char *key,
		   const struct datafs_under_cond *cond)
{
	struct s3_object o;
	int err;

	if (cond->is == DATAFS_UNDER_ANY)
		return 0;
	if (cond->is == DATAFS_UNDER_ABSENT && s->u.caps & DATAFS_UNDER_IF_ABSENT) {
		datafs_s3_header(r, "If-None-Match: *");
		return 0;
	}
	/* Which ETag it is that is to match, its fingerprint does not say. */
	err = look_cond(s, key, cond, &o);
	if (!err && cond->is == DATAFS_UNDER_MATCH && s->u.caps & DATAFS_UNDER_IF_MATCH)
		datafs_s3_header(r, "If-Match: \"%s\"", o.tag);
	return err;
}

bool datafs_s3_doubtful(const struct s3_req *r, int err)
{
	if (!err || !r->a.sent)
		return false;
	/* What was refused for what is there may have been refused for what we did. */
	return err == -ESTALE || err == -ENOENT || r->a.unsure || !r->a.status ||
	       r->a.status / 100 == 2 || r->a.status / 100 == 5;
}

int datafs_s3_is_ours(struct s3 *s, const char *key, const char *id, struct datafs_fingerprint *fp)
{
	struct s3_object o;
	int err = datafs_s3_head(s, key, &o);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (strcmp(o.id, id))
		return 0;
	*fp = o.st.fp;
	return 1;
}

int datafs_s3_settle(struct s3 *s, const char *key, const char *id, int err,
		     const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	int ours = datafs_s3_is_ours(s, key, id, fp);

	if (ours)
		return ours < 0 ? ours : 0;
	/* Of a MATCH the answer is 404, where there is nothing. */
	if (cond->is == DATAFS_UNDER_MATCH && (err == -ESTALE || err == -ENOENT))
		return -ESTALE;
	if (cond->is == DATAFS_UNDER_ABSENT && (err == -ESTALE || err == -EEXIST))
		return -EEXIST;
	return err == -ESTALE || err == -ENOENT ? -EIO : err;
}

/*
 * A PUT that no store may carry out: it wants a state that is not there. 412 and 404 say that
 * conditions are minded; other errors, that they are not known; and a store that says
 * nothing of it has made an object, which is removed. So is what trouble may have left.
 */
void datafs_s3_probe(struct s3 *s)
{
	char key[sizeof(PROBE) + DATAFS_S3_ID_LEN], id[DATAFS_S3_ID_LEN + 1];
	bool trouble, made;
	struct s3_req r;
	int err;

	if (s->u.opts->read_only || datafs_s3_new_id(id))
		return;
	snprintf(key, sizeof(key), "%s%s", PROBE, id);
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_PUT, "PUT", key, false);
	datafs_s3_header(&r, "If-Match: \"%s\"", id);
	r.quiet = true;
	if (!err)
		err = datafs_s3_call(s, &r);
	trouble = err && (!r.a.status || datafs_http_status_again(r.a.status));
	/* What was refused for good was not made; what was sent before may have been. */
	made = !err || (trouble && r.a.sent) || r.a.unsure;
	datafs_s3_end(&r);
	if (err == -ESTALE || err == -ENOENT) {
		s->u.caps |= DATAFS_UNDER_IF_ABSENT | DATAFS_UNDER_IF_MATCH;
		return;
	}
	if (trouble)
		datafs_under_log(s->u.opts, LOG_WARNING, "%s: whether the store minds conditions of writes is not known (%s); until it is mounted again they are looked at just before",
				 s->name, strerror(-err));
	else
		datafs_under_log(s->u.opts, LOG_INFO, "%s: the store minds no conditions of writes (%s); they are looked at just before",
				 s->name, err ? strerror(-err) : "it ignores them");
	if (made)
		datafs_s3_remove(&s->u, key, &(struct datafs_under_cond){ .is = DATAFS_UNDER_ANY });
}

/* ---- objects ---- */

/* What a PUT was answered with: what is there now. */
static int take_etag(struct s3 *s, struct s3_req *r, uint64_t size, struct datafs_fingerprint *fp)
{
	const char *etag = datafs_http_value(&r->http, &r->a, "ETag"), *tag;
	size_t len;

	if (!etag || datafs_http_etag(etag, &tag, &len))
		return datafs_s3_log(s, r, -EPROTO, "the answer has no ETag that names a state");
	*fp = datafs_fingerprint_tag(tag, len, size);
	return 0;
}

int datafs_s3_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		  const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		  struct datafs_fingerprint *fp)
{
	char id[DATAFS_S3_ID_LEN + 1];
	struct s3 *s = s3_of(u);
	bool asked = false;
	struct s3_req r;
	int err;

	(void)attr;
	if (len > PUT_MAX)
		return -EFBIG;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_PUT, "PUT", key, false);
	if (!err)
		err = datafs_s3_new_id(id);
	if (!err)
		err = datafs_s3_cond(s, &r, key, cond);
	if (!err) {
		datafs_s3_header(&r, DATAFS_S3_ID ": %s", id);
		r.http.body = buf;
		r.http.body_len = len;
		r.http.want = datafs_s3_want;
		asked = true;
		err = datafs_s3_call(s, &r);
	}
	if (!err)
		err = take_etag(s, &r, len, fp);
	if (asked && datafs_s3_doubtful(&r, err))
		err = datafs_s3_settle(s, key, id, err, cond, fp);
	datafs_s3_end(&r);
	return err;
}

int datafs_s3_remove(struct datafs_under *u, const char *key, const struct datafs_under_cond *cond)
{
	struct s3 *s = s3_of(u);
	struct s3_req r;
	int err = datafs_s3_look_cond(s, key, cond);

	if (err)
		return err;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_DELETE, "DELETE", key, false);
	if (!err)
		err = datafs_s3_call(s, &r);
	datafs_s3_end(&r);
	return err;
}

/* ---- directories ---- */

/* The empty object "DIR/" keeps a directory there with nothing in it. */
static int marker(struct s3 *s, const char *key, enum datafs_under_method m, const char *method)
{
	struct s3_req r;
	int err = datafs_s3_begin(s, &r, m, method, key, true);

	if (!err)
		err = datafs_s3_call(s, &r);
	datafs_s3_end(&r);
	return err;
}

int datafs_s3_mkdir(struct datafs_under *u, const char *key, const struct datafs_under_attr *attr)
{
	struct datafs_under_stat st;
	int err = datafs_s3_stat(u, key, &st);

	(void)attr;
	if (err != -ENOENT)
		return err ?: -EEXIST;
	return marker(s3_of(u), key, DATAFS_UNDER_M_PUT, "PUT");
}

int datafs_s3_rmdir(struct datafs_under *u, const char *key)
{
	struct datafs_s3_page page;
	struct s3 *s = s3_of(u);
	size_t len = strlen(s->prefix) + strlen(key) + 1;
	int err;

	/* Its marker is the first of its keys. */
	err = datafs_s3_below(s, key, 2, &page);
	if (err)
		return err;
	if (!page.n && !page.unreadable && !page.truncated)
		err = -ENOENT;
	else if (page.unreadable || page.n != 1 || page.truncated ||
		 strlen(page.entry[0].key) != len)
		err = -ENOTEMPTY;
	datafs_s3_page_free(&page);
	return err ?: marker(s, key, DATAFS_UNDER_M_DELETE, "DELETE");
}
