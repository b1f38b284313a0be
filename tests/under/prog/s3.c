// SPDX-License-Identifier: Apache-2.0
/*
 * s3 ENDPOINT [CA-FILE]: what under.h promises of a server of S3, and what that costs. Keys
 * come from the environment. Makes buckets of its own, of which none may be there.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "under/s3_internal.h"
#include "under_conform.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

static char *endpoint, *ca_file;
static struct datafs_under_opts opts;
static struct datafs_under *u;

static const char *source_of(const char *bucket)
{
	static char source[128];

	snprintf(source, sizeof(source), "s3://%s", bucket);
	return source;
}

/* A bucket that is not there yet: the store cannot be opened before it is. */
static void make_bucket(const char *bucket)
{
	struct datafs_under raw = { .ops = &datafs_under_s3, .opts = &opts };
	struct s3 s = { .u = raw, .prefix = "", .region = "us-east-1", .sigv4 = "aws:amz:us-east-1:s3" };
	struct s3_req r;

	assert_true(asprintf(&s.base, "%s/%s", endpoint, bucket) > 0);
	assert_int_equal(datafs_s3_cred_open(&opts, "make", &s.cred), 0);
	assert_int_equal(datafs_http_open(&s.u, "make", &s.http), 0);
	assert_int_equal(datafs_s3_begin(&s, &r, DATAFS_UNDER_M_PUT, "PUT", NULL, false), 0);
	assert_int_equal(datafs_s3_call(&s, &r), 0);
	datafs_s3_end(&r);
	datafs_http_close(s.http);
	datafs_s3_cred_close(s.cred);
	free(s.base);
}

/* A key that the store itself would refuse, too. */
static void plant(void *arg, const char *key, const void *buf, size_t len)
{
	struct s3_req r;

	(void)arg;
	assert_int_equal(datafs_s3_begin(s3_of(u), &r, DATAFS_UNDER_M_PUT, "PUT", key, false), 0);
	r.http.body = buf;
	r.http.body_len = len;
	assert_int_equal(datafs_s3_call(s3_of(u), &r), 0);
	datafs_s3_end(&r);
}

static void uproot(void *arg, const char *key)
{
	struct s3_req r;

	(void)arg;
	assert_int_equal(datafs_s3_begin(s3_of(u), &r, DATAFS_UNDER_M_DELETE, "DELETE", key, false),
			 0);
	assert_int_equal(datafs_s3_call(s3_of(u), &r), 0);
	datafs_s3_end(&r);
}

static int setup(void **state)
{
	(void)state;
	opts = datafs_under_opts_default;
	opts.endpoint = endpoint;
	opts.ca_file = ca_file;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	datafs_under_close(u);
	u = NULL;
	return 0;
}

static void open_bucket(const char *bucket)
{
	make_bucket(bucket);
	assert_int_equal(datafs_under_open(source_of(bucket), &opts, &u), 0);
}

/* ---- the promises ---- */

static void conforms_read_only(void **state)
{
	struct under_conform c = { .many = 250, .plant = plant, .uproot = uproot };

	(void)state;
	opts.read_only = true;
	open_bucket("conform-ro");
	c.u = u;
	assert_int_equal(under_conform(&c), 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(conforms_read_only),
	};

	if (argc < 2 || argc > 3)
		errx(2, "usage: s3 ENDPOINT [CA-FILE]");
	endpoint = argv[1];
	ca_file = argv[2];
	return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}
