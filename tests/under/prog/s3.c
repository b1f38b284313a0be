// SPDX-License-Identifier: Apache-2.0
/*
 * s3 ENDPOINT [CA-FILE [TEST]]: what under.h promises of a server of S3, and what that costs. Keys
 * come from the environment. Makes buckets of its own, of which none may be there.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../bucket.h"
#include "under_conform.h"

static char *endpoint, *ca_file;
static struct datafs_under_opts opts;
static struct datafs_under *u;

/* A key that the store itself would refuse, too. */
static void plant(void *arg, const char *key, const void *buf, size_t len)
{
	(void)arg;
	assert_int_equal(bucket_put(u, key, strlen(key), buf, len), 0);
}

static void uproot(void *arg, const char *key)
{
	(void)arg;
	assert_int_equal(bucket_delete(u, key, strlen(key)), 0);
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
	u = bucket_open(&opts, bucket);
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

static void conforms(void **state)
{
	struct under_conform c = { .part = 5 << 20, .many = 120, .late_parts = true, .gaps = true };

	(void)state;
	open_bucket("conform-rw");
	c.u = u;
	assert_int_equal(under_conform(&c), 19);
}

/* ---- what it costs ---- */

static uint64_t before[DATAFS_UNDER_M_NR];

/* Requests by one method since the last time, and by none but those that are asked for. */
static void cost(unsigned int stat, unsigned int list, unsigned int get, unsigned int put,
		 unsigned int copy, unsigned int del)
{
	const unsigned int want[DATAFS_UNDER_M_NR] = {
		[DATAFS_UNDER_M_STAT] = stat, [DATAFS_UNDER_M_LIST] = list,
		[DATAFS_UNDER_M_GET] = get, [DATAFS_UNDER_M_PUT] = put,
		[DATAFS_UNDER_M_COPY] = copy, [DATAFS_UNDER_M_DELETE] = del,
	};
	struct datafs_under_stats s;

	datafs_under_stats(u, &s);
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		if (s.by[m].requests - before[m] != want[m])
			print_error("%s: %u\n", datafs_under_method_name(m),
				    (unsigned int)(s.by[m].requests - before[m]));
		assert_int_equal(s.by[m].requests - before[m], want[m]);
		assert_int_equal(s.by[m].retries, 0);
		before[m] = s.by[m].requests;
	}
}

static int told(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)name;
	assert_non_null(st);
	assert_true(st->strong);
	++*(unsigned int *)arg;
	return 0;
}

static unsigned int entries(const char *key)
{
	unsigned int n = 0;

	assert_int_equal(datafs_under_list(u, key, NULL, told, &n), 0);
	return n;
}

static void costs(void **state)
{
	struct datafs_under_cond absent = { .is = DATAFS_UNDER_ABSENT };
	struct datafs_under_part part = { .number = 1, .len = 3 };
	struct datafs_under_upload up;
	struct datafs_under_stat st;
	struct datafs_fingerprint fp;
	char name[32], buf[64];

	(void)state;
	memset(before, 0, sizeof(before));
	open_bucket("costs");
	/* Is it there, and does it mind conditions? */
	cost(0, 1, 0, 1, 0, 0);
	for (int i = 0; i < 201; i++) {
		snprintf(name, sizeof(name), "l/%04d", i);
		plant(NULL, name, "x", 1);
	}
	cost(0, 0, 0, 201, 0, 0);
	/* The server tells 100 at a time, whoever wants a thousand. All is known of each. */
	assert_int_equal(entries("l"), 201);
	cost(0, 3, 0, 0, 0, 0);
	uproot(NULL, "l/0200");
	cost(0, 0, 0, 0, 0, 1);
	assert_int_equal(entries("l"), 200);
	cost(0, 2, 0, 0, 0, 0);
	assert_int_equal(entries(""), 1);
	cost(0, 1, 0, 0, 0, 0);

	assert_int_equal(datafs_under_put(u, "f", "0123456789", 10, NULL, NULL, &fp), 0);
	cost(0, 0, 0, 1, 0, 0);
	assert_int_equal(datafs_under_read(u, "f", &fp, 3, buf, 4), 4);
	assert_memory_equal(buf, "3456", 4);
	cost(0, 0, 1, 0, 0, 0);
	assert_int_equal(datafs_under_read(u, "f", &fp, 10, buf, 4), 0);
	cost(0, 0, 0, 0, 0, 0);
	assert_int_equal(datafs_under_stat(u, "", &st), 0);
	cost(0, 0, 0, 0, 0, 0);
	assert_int_equal(datafs_under_stat(u, "f", &st), 0);
	cost(1, 0, 0, 0, 0, 0);
	assert_int_equal(datafs_under_stat(u, "l", &st), 0);
	cost(1, 1, 0, 0, 0, 0);
	assert_int_equal(datafs_under_stat(u, "none", &st), -ENOENT);
	cost(1, 1, 0, 0, 0, 0);
	assert_int_equal(datafs_under_put(u, "g", "1", 1, NULL, &absent, NULL), 0);
	cost(1, 0, 0, 1, 0, 0);
	assert_int_equal(datafs_under_copy(u, "f", &fp, "h", NULL, NULL, NULL), 0);
	cost(2, 0, 0, 0, 1, 0);
	assert_int_equal(datafs_under_begin(u, "m", NULL, &up), 0);
	assert_int_equal(datafs_under_part(u, "m", &up, &part, "abc"), 0);
	assert_int_equal(datafs_under_complete(u, "m", &up, &part, 1, NULL, NULL, NULL), 0);
	cost(0, 0, 0, 3, 0, 0);
	assert_int_equal(datafs_under_remove(u, "m", NULL), 0);
	cost(0, 0, 0, 0, 0, 1);
	assert_int_equal(datafs_under_mkdir(u, "d", NULL), 0);
	cost(1, 1, 0, 1, 0, 0);
	assert_int_equal(datafs_under_rmdir(u, "d"), 0);
	cost(0, 1, 0, 0, 0, 1);
}

/* ---- who may not ---- */

static void refused(void **state)
{
	const char *secret = getenv("AWS_SECRET_ACCESS_KEY");
	char *keep = strdup(secret);
	struct datafs_under *other = NULL;

	(void)state;
	bucket_make(&opts, "refused");
	assert_int_equal(datafs_under_open("s3://none-such", &opts, &other), -ENODEV);
	setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-9e107d9d", 1);
	assert_int_equal(datafs_under_open("s3://refused", &opts, &other), -EACCES);
	setenv("AWS_SECRET_ACCESS_KEY", keep, 1);
	opts.anonymous = true;
	assert_true(datafs_under_open("s3://refused", &opts, &other) < 0);
	assert_null(other);
	free(keep);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(conforms_read_only),
		T(conforms),
		T(costs),
		T(refused),
	};

	if (argc < 2 || argc > 4)
		errx(2, "usage: s3 ENDPOINT [CA-FILE [TEST]]");
	endpoint = argv[1];
	ca_file = argv[2];
	if (argc == 4)
		cmocka_set_test_filter(argv[3]);
	return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}
