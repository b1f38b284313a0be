// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "bucket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "under/s3_internal.h"

void bucket_make(const struct datafs_under_opts *opts, const char *bucket)
{
	struct datafs_under raw = { .ops = &datafs_under_s3, .opts = opts };
	struct s3 s = { .u = raw, .prefix = "", .region = "us-east-1", .sigv4 = "aws:amz:us-east-1:s3" };
	struct s3_req r;

	assert_true(asprintf(&s.base, "%s/%s", opts->endpoint, bucket) > 0);
	assert_int_equal(datafs_s3_cred_open(opts, "make", &s.cred), 0);
	assert_int_equal(datafs_http_open(&s.u, "make", &s.http), 0);
	assert_int_equal(datafs_s3_begin(&s, &r, DATAFS_UNDER_M_PUT, "PUT", NULL, false), 0);
	assert_int_equal(datafs_s3_call(&s, &r), 0);
	datafs_s3_end(&r);
	datafs_http_close(s.http);
	datafs_s3_cred_close(s.cred);
	free(s.base);
}

struct datafs_under *bucket_open(const struct datafs_under_opts *opts, const char *bucket)
{
	struct datafs_under *u = NULL;
	char source[128];

	bucket_make(opts, bucket);
	snprintf(source, sizeof(source), "s3://%s", bucket);
	assert_int_equal(datafs_under_open(source, opts, &u), 0);
	return u;
}

/* A request for the bucket, to which the key is added: so nothing looks at it. */
static int call(struct datafs_under *u, enum datafs_under_method m, const char *method,
		const char *key, size_t key_len, const void *buf, size_t len)
{
	struct s3_req r;
	int err;

	assert_int_equal(datafs_s3_begin(s3_of(u), &r, m, method, NULL, false), 0);
	for (size_t i = 0; i < key_len; i++) {
		const char byte[2] = { key[i] };

		if (*byte)
			datafs_text_percent(&r.url, byte, true);
		else
			datafs_text_puts(&r.url, "%00");
	}
	r.http.body = buf;
	r.http.body_len = len;
	r.quiet = true;
	err = datafs_s3_call(s3_of(u), &r);
	datafs_s3_end(&r);
	return err;
}

int bucket_put(struct datafs_under *u, const void *key, size_t key_len, const void *buf, size_t len)
{
	return call(u, DATAFS_UNDER_M_PUT, "PUT", key, key_len, buf, len);
}

int bucket_delete(struct datafs_under *u, const void *key, size_t key_len)
{
	return call(u, DATAFS_UNDER_M_DELETE, "DELETE", key, key_len, NULL, 0);
}
