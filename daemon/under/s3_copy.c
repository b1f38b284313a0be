// SPDX-License-Identifier: Apache-2.0
/* The S3 under-store: copies, which the store makes itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "s3_internal.h"

#define COPY_MAX	(5ull << 30)	/* bytes of one request */

/*
 * That only state @tag is to be copied, the store could hold itself. But libcurl 7.88 signs
 * headers in another order than S3 if the name of one begins with that of another, as those
 * do that belong to x-amz-copy-source: so it is sent alone, and the source looked at before and
 * after. For the same reason there are no copies of ranges, of which a large one would consist.
 */
static void from_header(struct s3 *s, struct s3_req *r, const char *from)
{
	struct datafs_text t = { 0 };

	datafs_text_puts(&t, "x-amz-copy-source: /");
	datafs_text_puts(&t, s->bucket);
	datafs_text_puts(&t, "/");
	datafs_text_percent(&t, s->prefix, true);
	datafs_text_percent(&t, from, true);
	if (t.failed)
		r->failed = true;
	else
		datafs_s3_header(r, "%s", t.s);
	datafs_text_free(&t);
}

/* -ESTALE: it is another, or gone. */
static int check_source(struct s3 *s, const char *from, const struct datafs_fingerprint *fp)
{
	struct s3_object o;
	int err = datafs_s3_head(s, from, &o);

	return err == -ENOENT || (!err && memcmp(&o.st.fp, fp, sizeof(*fp))) ? -ESTALE : err;
}

/* A 200 may say of an error, if it took the store long to find it. */
static int take_result(struct s3 *s, struct s3_req *r, struct datafs_s3_result *res)
{
	int err = datafs_s3_parse_result(r->a.text, r->a.text_len, res);

	if (!err && !*res->tag)
		err = -EPROTO;
	if (!err)
		return 0;
	if (datafs_s3_parse_error(r->a.text, r->a.text_len, &r->e))
		return datafs_s3_log(s, r, err, "the answer is not that of a copy");
	return datafs_s3_log(s, r, -EIO, NULL);
}

int datafs_s3_copy(struct datafs_under *u, const char *from,
		   const struct datafs_fingerprint *from_fp, const char *to,
		   const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		   struct datafs_fingerprint *fp)
{
	struct s3 *s = s3_of(u);
	struct datafs_s3_result res;
	struct s3_req r;
	int err;

	(void)attr;
	if (from_fp->v[0] > COPY_MAX)
		return -EOPNOTSUPP;
	err = datafs_s3_begin(s, &r, DATAFS_UNDER_M_COPY, "PUT", to, false);
	if (!err)
		err = check_source(s, from, from_fp);
	/* Few stores mind conditions of a copy's target: that is looked at, too. */
	if (!err)
		err = datafs_s3_look_cond(s, to, cond);
	from_header(s, &r, from);
	r.http.silent = true;
	if (!err)
		err = datafs_s3_call(s, &r);
	if (!err)
		err = take_result(s, &r, &res);
	if (!err)
		err = check_source(s, from, from_fp);
	if (!err)
		*fp = datafs_fingerprint_tag(res.tag, strlen(res.tag), from_fp->v[0]);
	datafs_s3_end(&r);
	return err == -ENOENT ? -ESTALE : err;
}
