// SPDX-License-Identifier: Apache-2.0
/* Options of under-stores; what requests cost. */
#define _GNU_SOURCE
#include "under_fixture.h"

#include "under/under_ops.h"

static int set(struct datafs_under_opts *o, const char *name, const char *value)
{
	const char *want = NULL;
	int ret = datafs_under_opts_set(o, name, value, &want);

	assert_true(ret == -EINVAL ? want && *want : !want);
	return ret;
}

/* Of which any text is a value. */
static bool is_text(const char *name)
{
	return !strcmp(name, "endpoint") || !strcmp(name, "region") || !strcmp(name, "profile") ||
	       !strcmp(name, "hdfs_user");
}

static void whole_table(void **state)
{
	struct datafs_under_opts o = datafs_under_opts_default;
	const struct datafs_under_opt *t, *s;
	unsigned int n = 0;

	(void)state;
	for (t = datafs_under_opt_table; t->name; t++, n++) {
		for (s = datafs_under_opt_table; s < t; s++) {
			assert_string_not_equal(s->name, t->name);
			assert_int_not_equal(s->offset, t->offset);
		}
		assert_true(t->offset < sizeof(o) && t->min <= t->max);
		assert_true(__builtin_popcount(t->stores) == 1);
		assert_true(t->doc && *t->doc);
		assert_int_equal(set(&o, t->name, "?"), is_text(t->name) ? 0 : -EINVAL);
		assert_int_equal(set(&o, t->name, NULL), t->want ? -EINVAL : 0);
	}
	assert_true(n <= 64);
	assert_int_equal(set(&o, "none", "1"), -ENOENT);
	assert_int_equal(set(&o, "", NULL), -ENOENT);
	datafs_under_opts_free(&o);
	assert_memory_equal(&o, &datafs_under_opts_default, sizeof(o));
}

static void values(void **state)
{
	static const struct {
		const char *name, *value;
		int ret;
	} tests[] = {
		{ "part_size", "5m", 0 },
		{ "part_size", "5242879", -EINVAL },
		{ "part_size", "5g", 0 },
		{ "part_size", "5368709121", -EINVAL },
		{ "part_size", "", -EINVAL },
		{ "limit_down", "0", 0 },
		{ "limit_down", "10M", 0 },
		{ "limit_up", "1.5m", -EINVAL },
		{ "requests_up", "1000000", 0 },
		{ "requests_up", "1000001", -EINVAL },
		{ "requests_down", "-1", -EINVAL },
		{ "requests_down", "5x", -EINVAL },
		{ "requests_down", "18446744073709551616", -EINVAL },
		{ "price_get", "0.0004", 0 },
		{ "price_put", "5", 0 },
		{ "price_put", "1000000.1", -EINVAL },
		{ "price_put", "1e3", -EINVAL },
		{ "price_put", "-1", -EINVAL },
		{ "price_put", "1.2.3", -EINVAL },
		{ "price_put", ".5", -EINVAL },
		{ "price_put", "nan", -EINVAL },
		{ "price_down", "0.09", 0 },
		{ "uid", "4294967294", 0 },
		{ "uid", "4294967295", -EINVAL },
		{ "gid", "root", -EINVAL },
		{ "file_mode", "0640", 0 },
		{ "file_mode", "888", -EINVAL },
		{ "dir_mode", "1777", -EINVAL },
		{ "concurrency", "0", -EINVAL },
		{ "concurrency", "1024", 0 },
		{ "ca_file", "/etc/ca.pem", 0 },
		{ "ca_file", "ca.pem", -EINVAL },
		{ "credentials", "", -EINVAL },
		{ "region", "eu-central-1", 0 },
		{ "region", "a b", -EINVAL },
		{ "region", "a\nb", -EINVAL },
		{ "path_style", "1", 0 },
		{ "path_style", "0", 0 },
		{ "path_style", "yes", -EINVAL },
	};
	struct datafs_under_opts o = datafs_under_opts_default;

	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		assert_int_equal(set(&o, tests[i].name, tests[i].value), tests[i].ret);
	assert_int_equal(o.part_size, 5ull << 30);
	assert_int_equal(o.down, 10 << 20);
	assert_int_equal(o.up, 0);
	assert_int_equal(o.requests_up, 1000000);
	assert_true(o.price_get > 0.00039999 && o.price_get < 0.00040001);
	assert_true(o.price_put == 5);
	assert_int_equal(o.uid, 4294967294);
	assert_int_equal(o.file_mode, 0640);
	assert_int_equal(o.dir_mode, 0755);
	assert_int_equal(o.concurrency, 1024);
	assert_string_equal(o.ca_file, "/etc/ca.pem");
	assert_string_equal(o.region, "eu-central-1");
	assert_null(o.credentials);
	assert_false(o.path_style);
	/* the last one counts, and no text is lost */
	assert_int_equal(set(&o, "region", "us-east-1"), 0);
	assert_int_equal(set(&o, "region", " "), -EINVAL);
	assert_string_equal(o.region, "us-east-1");
	datafs_under_opts_free(&o);
}

static void aliens(void **state)
{
	struct datafs_under_opts o = datafs_under_opts_default;
	struct datafs_under *other = NULL;

	(void)state;
	assert_null(datafs_under_opts_alien(&o, 0));
	assert_int_equal(set(&o, "limit_up", "1m"), 0);
	assert_null(datafs_under_opts_alien(&o, DATAFS_UNDER_FOR_ALL));
	assert_string_equal(datafs_under_opts_alien(&o, 0), "limit_up");
	assert_int_equal(datafs_under_open(dir, &o, &other), 0);
	datafs_under_close(other);
	assert_int_equal(set(&o, "anonymous", "0"), 0);
	assert_string_equal(datafs_under_opts_alien(&o, DATAFS_UNDER_FOR_ALL), "anonymous");
	other = NULL;
	assert_int_equal(datafs_under_open(dir, &o, &other), -EINVAL);
	assert_null(other);
	datafs_under_opts_free(&o);
}

static int nothing(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)arg;
	(void)name;
	(void)st;
	return -ENOSPC;
}

static void costs(void **state)
{
	struct datafs_under_opts o = datafs_under_opts_default;
	static const char big[1 << 20];
	struct datafs_under_stats s;
	struct datafs_under_stat st;
	struct datafs_under *v;
	static char buf[1 << 20];

	(void)state;
	assert_int_equal(set(&o, "price_get", "2"), 0);
	assert_int_equal(set(&o, "price_put", "30"), 0);
	assert_int_equal(set(&o, "price_down", "1024"), 0);
	assert_int_equal(datafs_under_open(dir, &o, &v), 0);
	assert_int_equal(datafs_under_put(v, "f", big, sizeof(big), NULL, NULL, NULL), 0);
	assert_int_equal(datafs_under_stat(v, "f", &st), 0);
	assert_int_equal(datafs_under_stat(v, "none", &st), -ENOENT);
	assert_int_equal(datafs_under_stat(v, "..", &st), -EINVAL);
	assert_int_equal(datafs_under_stat(v, "f", &st), 0);
	assert_int_equal(datafs_under_read(v, "f", &st.fp, 0, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(datafs_under_list(v, "", NULL, nothing, NULL), -ENOSPC);
	assert_int_equal(datafs_under_remove(v, "f", NULL), 0);
	datafs_under_stats(v, &s);
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		assert_int_equal(s.by[m].errors, 0);
		assert_int_equal(s.by[m].retries, 0);
		assert_true(*datafs_under_method_name(m));
	}
	assert_int_equal(s.by[DATAFS_UNDER_M_STAT].requests, 3);
	assert_int_equal(s.by[DATAFS_UNDER_M_LIST].requests, 1);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].requests, 1);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].down, sizeof(big));
	assert_int_equal(s.by[DATAFS_UNDER_M_PUT].requests, 1);
	assert_int_equal(s.by[DATAFS_UNDER_M_PUT].up, sizeof(big));
	assert_int_equal(s.by[DATAFS_UNDER_M_DELETE].requests, 1);
	/* 4 looks and reads at 2, 1 put and 1 list at 30, of 1000; 2^-10 of 1024 */
	assert_true(s.price > 1.0679 && s.price < 1.0681);
	datafs_under_close(v);
	/* Answers are no errors; what went wrong is one. */
	datafs_under_ask(u, DATAFS_UNDER_M_GET, 0, 0);
	datafs_under_answered(u, DATAFS_UNDER_M_GET, -ESTALE, 0, 10);
	datafs_under_again(u, DATAFS_UNDER_M_GET);
	datafs_under_ask(u, DATAFS_UNDER_M_GET, 0, 0);
	datafs_under_answered(u, DATAFS_UNDER_M_GET, -ETIMEDOUT, 0, 0);
	datafs_under_stats(u, &s);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].requests, 2);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].retries, 1);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].errors, 1);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].down, 10);
	assert_true(s.price == 0);
}

/* A tag that fits is there; of a longer one every byte counts; none is like another. */
static void tags(void **state)
{
	struct datafs_fingerprint a, b;
	char tag[200], more[200];

	(void)state;
	memset(tag, 'x', sizeof(tag));
	for (size_t len = 0; len <= sizeof(tag); len++) {
		a = datafs_fingerprint_tag(tag, len, 5);
		b = datafs_fingerprint_tag(tag, len, 5);
		assert_memory_equal(&a, &b, sizeof(a));
		b = datafs_fingerprint_tag(tag, len, 6);
		assert_memory_not_equal(&a, &b, sizeof(a));
		for (size_t i = 0; i < len; i++) {
			memcpy(more, tag, len);
			more[i] = 0;
			b = datafs_fingerprint_tag(more, len, 5);
			assert_memory_not_equal(&a, &b, sizeof(a));
		}
		if (len < sizeof(tag)) {
			b = datafs_fingerprint_tag(tag, len + 1, 5);
			assert_memory_not_equal(&a, &b, sizeof(a));
		}
	}
	/* It is kept: the same in every version. */
	a = datafs_fingerprint_tag("d41d8cd98f00b204e9800998ecf8427e", 32, 7);
	assert_int_equal(a.v[0], 7);
	assert_int_equal(a.v[1], 32);
	assert_memory_equal(&a.v[2], "d41d8cd98f00b204e9800998ecf8427e", 32);
	a = datafs_fingerprint_tag("d41d8cd98f00b204e9800998ecf8427e-12", 35, 7);
	assert_int_equal(a.v[1], 35);
	assert_int_equal(a.v[2], 0x843ba9b805bc6bfull);
	assert_int_equal(a.v[3], 0x35b852ced7ca5ebull);
	assert_int_equal(a.v[4] | a.v[5], 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, under_setup, under_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_table),
		cmocka_unit_test(values),
		T(aliens),
		T(costs),
		cmocka_unit_test(tags),
	};

	return cmocka_run_group_tests_name("under_opts", tests, NULL, NULL);
}
