// SPDX-License-Identifier: Apache-2.0
/* Of a source, what is a secret, and what is shown of it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "under/under.h"

static const struct {
	const char *source, *shown;	/* NULL: as it is */
} sources[] = {
	{ "/dir", NULL }, { "/a@b:c/d", NULL }, { "posix:///a:b@c", NULL }, { "", NULL },
	{ "http://host/a@b", NULL }, { "http://host:80/a:b@c", NULL }, { "http://[::1]/a@b", NULL },
	{ "http://[fe80::a]:65535/a@b", NULL }, { "s3://bucket/a@b:c", NULL },
	{ "webhdfs://host:9870/user=x@y", NULL },
	{ "http://u@host/", "http://...@host/" }, { "https://u:pw@host/a@b", "https://...@b" },
	{ "http:///u:pw@host/", "http://...@host/" }, { "http://u:p/w@host/", "http://...@host/" },
	{ "http://u:123456@host", "http://...@host" }, { "http://u:12/3@host", NULL },
	{ "s3://KEY:SEC/RET@bucket", "s3://...@bucket" }, { "s3://KEY:12/RET@bucket/p", "s3://...@bucket/p" },
	{ "s3://KEY:SEC@RET@bucket", "s3://...@bucket" }, { "webhdfs://u@host/d", "webhdfs://...@host/d" },
	{ "ftp://u:pw@host", "ftp://...@host" },
};

static void shown(void **state)
{
	char buf[DATAFS_UNDER_SOURCE_SHOWN];

	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const char *source = sources[i].source, *want = sources[i].shown;

		assert_int_equal(datafs_under_source_secret(source), want != NULL);
		assert_ptr_equal(datafs_under_source_shown(source, buf, sizeof(buf)), buf);
		assert_string_equal(buf, want ? want : source);
	}
	assert_string_equal(datafs_under_source_shown("/a/b/c", buf, 4), "/a/");
	assert_string_equal(datafs_under_source_shown("s3://K:S@b", buf, 9), "s3://...");
}

/* No store takes one; the line that says so is looked at in tests/under/10-nginx.sh. */
static void refused(void **state)
{
	struct datafs_under *u = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (sources[i].shown)
			assert_int_equal(datafs_under_open(sources[i].source, NULL, &u),
					 strncmp(sources[i].source, "ftp", 3) ? -EINVAL :
					 -EPROTONOSUPPORT);
	assert_null(u);
}

/* Whatever a store says of itself, it says of which mount, and no secret with it. */
static void named(void **state)
{
	static const struct {
		const char *source, *says;
	} bad[] = {
		{ "ftp://host/", "source ftp://...: no such kind of store" },
		{ "relative", "source relative: not an absolute path" },
		{ "http://u:pw@host/", "source http://...@host/: has a user or a key in it" },
		{ "http://host/?pw", "source http://...: has a query" },
		{ "s3://x", "source s3://x: no bucket" },
		{ "webhdfs://", "source webhdfs://...: not webhdfs://HOST" },
	};
	struct datafs_under_opts o = datafs_under_opts_default;
	char line[512], want[256];
	struct datafs_under *u;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		o.mount = i % 2 ? "mount 7: /a" : NULL;
		snprintf(want, sizeof(want), "%s%s", i % 2 ? "mount 7: /a: " : "", bad[i / 2].says);
		assert_true(datafs_under_open(bad[i / 2].source, &o, &u) < 0);
		datafs_log_last_error(line, sizeof(line));
		line[strlen(want)] = 0;
		assert_string_equal(line, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown),
		cmocka_unit_test(refused),
		cmocka_unit_test(named),
	};

	return cmocka_run_group_tests_name("under_source", tests, NULL, NULL);
}
