// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 under-store: uploads in parts. A token is what the object will have in its metadata,
 * a blank, and the store's name of the upload.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "s3_internal.h"

#define PART_MAX	10000

/* The store's name of it. */
static const char *id_of(const struct datafs_under_upload *up)
{
	return up->token + DATAFS_S3_ID_LEN + 1;
}

static bool token_ok(const struct datafs_under_upload *up)
{
	size_t len = strnlen(up->token, sizeof(up->token));

	return len > DATAFS_S3_ID_LEN + 1 && len < sizeof(up->token) &&
	       up->token[DATAFS_S3_ID_LEN] == ' ';
}

int datafs_s3_upload(struct datafs_under *u, const char *key,
		     const struct datafs_under_attr *attr, struct datafs_under_upload *up)
{
	char id[DATAFS_S3_ID_LEN + 1];
	struct datafs_s3_result res;
	struct s3 *s = s3_of(u);
	struct s3_req r;
	int err;

	(void)attr;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_PUT, "POST", key, false);
	if (!err)
		err = datafs_s3_new_id(id);
	if (err)
		goto out;
	datafs_s3_param(&r, "uploads", NULL);
	datafs_s3_header(&r, DATAFS_S3_ID ": %s", id);
	err = datafs_s3_call(s, &r);
	if (err)
		goto out;
	err = datafs_s3_parse_result(r.a.text, r.a.text_len, &res);
	if (!err && (!*res.upload || strlen(res.upload) + sizeof(id) + 1 > sizeof(up->token)))
		err = -EPROTO;
	if (err)
		datafs_s3_log(s, &r, err, "the answer does not name an upload");
	else
		snprintf(up->token, sizeof(up->token), "%s %s", id, res.upload);
out:
	datafs_s3_end(&r);
	return err;
}

int datafs_s3_part(struct datafs_under *u, const char *key, const struct datafs_under_upload *up,
		   struct datafs_under_part *part, const void *buf)
{
	struct s3 *s = s3_of(u);
	const char *etag, *tag;
	char number[16];
	struct s3_req r;
	size_t len;
	int err;

	if (!token_ok(up) || part->number > PART_MAX)
		return -EINVAL;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_PUT, "PUT", key, false);
	snprintf(number, sizeof(number), "%u", part->number);
	datafs_s3_param(&r, "partNumber", number);
	datafs_s3_param(&r, "uploadId", id_of(up));
	r.http.body = buf;
	r.http.body_len = part->len;
	r.http.want = datafs_s3_want;
	if (!err)
		err = datafs_s3_call(s, &r);
	if (err)
		goto out;
	etag = datafs_http_value(&r.http, &r.a, "ETag");
	if (!etag || datafs_http_etag(etag, &tag, &len) || len >= sizeof(part->tag)) {
		err = datafs_s3_log(s, &r, -EPROTO, "the answer has no ETag of the part");
		goto out;
	}
	memcpy(part->tag, tag, len);
	part->tag[len] = 0;
out:
	datafs_s3_end(&r);
	return err;
}

/* A tag is what a store said; it must not be more than one in here. What has none, it refuses. */
static bool tag_ok(const char *tag)
{
	return !tag[strcspn(tag, "<>&\"'")];
}

static int list_parts(const struct datafs_under_part *parts, size_t n, struct datafs_text *t)
{
	datafs_text_puts(t, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < n; i++) {
		if (strnlen(parts[i].tag, sizeof(parts[i].tag)) == sizeof(parts[i].tag) ||
		    !tag_ok(parts[i].tag))
			return -EINVAL;
		datafs_text_printf(t, "<Part><PartNumber>%u</PartNumber><ETag>\"%s\"</ETag></Part>",
				   parts[i].number, parts[i].tag);
	}
	datafs_text_puts(t, "</CompleteMultipartUpload>");
	return t->failed ? -ENOMEM : 0;
}

/* A 200 may say of an error, if it took the store long to find it. */
static int take_result(struct s3 *s, struct s3_req *r, uint64_t size,
		       struct datafs_fingerprint *fp)
{
	struct datafs_s3_result res;
	int err = datafs_s3_parse_result(r->a.text, r->a.text_len, &res);

	if (!err && !*res.tag)
		err = -EPROTO;
	if (!err) {
		*fp = datafs_fingerprint_tag(res.tag, strlen(res.tag), size);
		return 0;
	}
	if (datafs_s3_parse_error(r->a.text, r->a.text_len, &r->e))
		return datafs_s3_log(s, r, err, "the answer does not say that it is complete");
	if (!strcmp(r->e.code, "PreconditionFailed"))
		return -ESTALE;
	if (!strcmp(r->e.code, "NoSuchUpload"))
		return -ENOENT;
	return datafs_s3_log(s, r, -EIO, NULL);
}

/* An upload that is gone may have been completed, by a request whose answer was lost. */
static int settle(struct s3 *s, const char *key, const struct datafs_under_upload *up,
		  const struct s3_req *r, int err, const struct datafs_under_cond *cond,
		  struct datafs_fingerprint *fp)
{
	char id[DATAFS_S3_ID_LEN + 1];
	int ours;

	memcpy(id, up->token, DATAFS_S3_ID_LEN);
	id[DATAFS_S3_ID_LEN] = 0;
	/* Any other 404 is of the object, and the upload goes on. */
	if (err != -ENOENT || strcmp(r->e.code, "NoSuchUpload"))
		return datafs_s3_settle(s, key, id, err, cond, fp);
	ours = datafs_s3_is_ours(s, key, id, fp);
	return ours < 0 ? ours : ours ? 0 : -ENOENT;
}

int datafs_s3_complete(struct datafs_under *u, const char *key,
		       const struct datafs_under_upload *up, const struct datafs_under_part *parts,
		       size_t n, const struct datafs_under_attr *attr,
		       const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	uint64_t size = parts[n - 1].off + parts[n - 1].len;
	struct datafs_text body = { 0 };
	struct s3 *s = s3_of(u);
	struct s3_req r;
	int err;

	(void)attr;
	if (!token_ok(up) || n > PART_MAX)
		return -EINVAL;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_PUT, "POST", key, false);
	datafs_s3_param(&r, "uploadId", id_of(up));
	if (!err)
		err = list_parts(parts, n, &body);
	if (!err) {
		err = datafs_s3_cond(s, &r, key, cond);
		/* What is there may be what this upload has become. */
		if (err == -ESTALE || err == -EEXIST) {
			err = settle(s, key, up, &r, err, cond, fp);
			goto out;
		}
	}
	if (!err) {
		r.http.body = body.s;
		r.http.body_len = body.len;
		r.http.silent = true;
		err = datafs_s3_call(s, &r);
		if (!err)
			err = take_result(s, &r, size, fp);
		if (datafs_s3_doubtful(&r, err))
			err = settle(s, key, up, &r, err, cond, fp);
	}
out:
	datafs_s3_end(&r);
	datafs_text_free(&body);
	return err;
}

int datafs_s3_abort(struct datafs_under *u, const char *key,
		    const struct datafs_under_upload *up)
{
	struct s3 *s = s3_of(u);
	struct s3_req r;
	int err;

	if (!token_ok(up))
		return -EINVAL;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_DELETE, "DELETE", key, false);
	datafs_s3_param(&r, "uploadId", id_of(up));
	if (!err)
		err = datafs_s3_call(s, &r);
	datafs_s3_end(&r);
	return err == -ENOENT ? 0 : err;
}
