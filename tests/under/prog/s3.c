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

/* ---- names ---- */

#define LISTED_MAX	32

static char listed[LISTED_MAX][DATAFS_S3_KEY_MAX];
static bool listed_dir[LISTED_MAX];
static unsigned int nlisted;

static int note(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)arg;
	assert_true(nlisted < LISTED_MAX);
	strcpy(listed[nlisted], name);
	listed_dir[nlisted++] = S_ISDIR(st->mode);
	return 0;
}

static void list(const char *key)
{
	nlisted = 0;
	assert_int_equal(datafs_under_list(u, key, NULL, note, NULL), 0);
}

static void has(const char *name, bool dir)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nlisted; i++)
		n += !strcmp(listed[i], name) && listed_dir[i] == dir;
	if (n != 1)
		print_error("\"%s\": %u times\n", name, n);
	assert_int_equal(n, 1);
}

static void stop_after(const char *key, unsigned int n);

static void names(void **state)
{
	static const char *const keys[] = {
		/* a file and keys below its name, with others between them */
		"n/a", "n/a/1", "n/a-b", "n/a.c", "n/a.c/2",
		/* parts that are no names */
		"n//x", "n/./y", "n/../z", "n/d//e", "n/d/f",
		/* a directory's marker, one with bytes in it, and one alone */
		"n/m/", "n/m/g", "n/alone/",
	};
	struct datafs_under_stat st;
	char longest[300];

	(void)state;
	open_bucket("names");
	for (size_t i = 0; i < N(keys); i++)
		plant(NULL, keys[i], "xyz", 3);
	snprintf(longest, sizeof(longest), "n/%0256d", 0);
	plant(NULL, longest, "x", 1);

	list("n");
	assert_int_equal(nlisted, 6);
	has("a", false);
	has("a-b", false);
	has("a.c", false);
	has("d", true);
	has("m", true);
	has("alone", true);
	for (unsigned int i = 1; i <= 6; i++)
		stop_after("n", i);
	list("n/d");
	assert_int_equal(nlisted, 1);
	has("f", false);
	list("n/m");
	assert_int_equal(nlisted, 1);
	has("g", false);
	list("n/alone");
	assert_int_equal(nlisted, 0);
	assert_int_equal(datafs_under_stat(u, "n/a", &st), 0);
	assert_true(S_ISREG(st.mode));
	assert_int_equal(datafs_under_stat(u, "n/alone", &st), 0);
	assert_true(S_ISDIR(st.mode));
	assert_int_equal(datafs_under_rmdir(u, "n/m"), -ENOTEMPTY);
	assert_int_equal(datafs_under_rmdir(u, "n/d"), -ENOTEMPTY);
}

/* Parts of 199 bytes. */
static void long_key(char *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		key[i] = i % 200 == 199 ? '/' : 'k';
	key[len] = 0;
}

static void long_keys(void **state)
{
	char key[DATAFS_S3_KEY_MAX + 2], buf[8];
	struct datafs_fingerprint fp;
	struct datafs_under_stat st;

	(void)state;
	open_bucket("long");
	long_key(key, DATAFS_S3_KEY_MAX);
	assert_int_equal(datafs_under_put(u, key, "long", 4, NULL, NULL, &fp), 0);
	assert_int_equal(datafs_under_read(u, key, &fp, 0, buf, 8), 4);
	key[199] = 0;
	list(key);
	assert_int_equal(nlisted, 1);
	long_key(key, DATAFS_S3_KEY_MAX + 1);
	assert_int_equal(datafs_under_put(u, key, "x", 1, NULL, NULL, NULL), -ENAMETOOLONG);
	assert_int_equal(datafs_under_stat(u, key, &st), -ENAMETOOLONG);
	assert_int_equal(datafs_under_stat(u, "n/\xff", &st), -ENOENT);
	assert_int_equal(datafs_under_put(u, "n/\xff", "x", 1, NULL, NULL, NULL), -EILSEQ);
}

static unsigned int stop_at;

static int note_some(void *arg, const char *name, const struct datafs_under_stat *st)
{
	note(arg, name, st);
	return nlisted == stop_at ? DATAFS_UNDER_STOP : 0;
}

/* Taken up again after @n entries, it is the same listing. */
static void stop_after(const char *key, unsigned int n)
{
	struct datafs_under_place place = { .token = "" };

	nlisted = 0;
	stop_at = n;
	assert_int_equal(datafs_under_list(u, key, &place, note_some, NULL), DATAFS_UNDER_STOP);
	stop_at = 0;
	assert_int_equal(datafs_under_list(u, key, &place, note_some, NULL), 0);
	assert_int_equal(nlisted, 6);
	has("a", false);
	has("a.c", false);
	has("d", true);
	has("alone", true);
}

/* A mount of a part of a bucket sees only that, under its own names. */
static void prefixes(void **state)
{
	struct datafs_fingerprint fp;
	struct datafs_under_stat st;
	char buf[8];

	(void)state;
	open_bucket("prefixes");
	plant(NULL, "p/q/f", "xyz", 3);
	plant(NULL, "p/qq", "x", 1);
	datafs_under_close(u);
	assert_int_equal(datafs_under_open("s3://prefixes/p/q/", &opts, &u), 0);
	list("");
	assert_int_equal(nlisted, 1);
	has("f", false);
	assert_int_equal(datafs_under_stat(u, "f", &st), 0);
	assert_int_equal(datafs_under_read(u, "f", &st.fp, 0, buf, 8), 3);
	assert_int_equal(datafs_under_put(u, "d/g", "y", 1, NULL, NULL, &fp), 0);
	assert_int_equal(datafs_under_copy(u, "d/g", &fp, "h", NULL, NULL, NULL), 0);
	datafs_under_close(u);
	assert_int_equal(datafs_under_open("s3://prefixes", &opts, &u), 0);
	assert_int_equal(datafs_under_stat(u, "p/q/d/g", &st), 0);
	assert_int_equal(datafs_under_stat(u, "p/q/h", &st), 0);
}

/* ---- who may not ---- */

static void refused(void **state)
{
	const char *secret = getenv("AWS_SECRET_ACCESS_KEY");
	char *keep = strdup(secret);
	struct datafs_under *other = NULL;

	(void)state;
	make_bucket("refused");
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
		T(names),
		T(long_keys),
		T(prefixes),
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
