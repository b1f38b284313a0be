// SPDX-License-Identifier: Apache-2.0
/* What is mounted: lists of members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "meta/source.h"

static const struct {
	const char *source;
	enum datafs_source_kind kind;
} kinds[] = {
	{ "/srv", DATAFS_SOURCE_UNDER },
	{ "/srv/a:/b", DATAFS_SOURCE_UNDER },
	{ "./a:/b", DATAFS_SOURCE_UNDER },
	{ "s3://bucket:/x", DATAFS_SOURCE_UNDER },
	{ "posix:///srv", DATAFS_SOURCE_UNDER },
	{ "name", DATAFS_SOURCE_UNDER },
	{ "a:b", DATAFS_SOURCE_UNDER },
	{ "", DATAFS_SOURCE_UNDER },
	{ ":/", DATAFS_SOURCE_OWN },
	{ ":/d/e", DATAFS_SOURCE_OWN },
	{ "h:/", DATAFS_SOURCE_QUORUM },
	{ "h:1,[::1]:/d", DATAFS_SOURCE_QUORUM },
	{ ",:/", DATAFS_SOURCE_QUORUM },
};

static const struct {
	const char *source, *members, *dir;
} good[] = {
	{ ":/", "", "/" },
	{ ":/d", "", "/d" },
	{ "h:/", "h:7440", "/" },
	{ "h:1:/", "h:1", "/" },
	{ "one,two:65535,three:/d/e", "one:7440,two:65535,three:7440", "/d/e" },
	{ "10.0.0.1,node-2.x_y:/", "10.0.0.1:7440,node-2.x_y:7440", "/" },
	{ "[::1]:/", "[::1]:7440", "/" },
	{ "[fe80::1%eth0]:9,[2001:db8::2]:/", "[fe80::1%eth0]:9,[2001:db8::2]:7440", "/" },
	/* the same host at two ports is two members */
	{ "h:1,h:2:/", "h:1,h:2", "/" },
	/* the first of them ends the list */
	{ "h:/a:/b", "h:7440", "/a:/b" },
};

static const struct {
	const char *source, *wrong;
} bad[] = {
	{ ",:/", "host \"\": a host is missing" },
	{ "h,:/", "a host is missing" },
	{ "h,,i:/", "a host is missing" },
	{ "h,:1:/", "a host is missing" },
	{ "h x:/", "no name of a host" },
	{ "h\nx:/", "no name of a host" },
	{ "h::/", "a port is a number" },
	{ "h:0:/", "a port is a number" },
	{ "h:65536:/", "a port is a number" },
	{ "h:000001:/", "a port is a number" },
	{ "h:1x:/", "a port is a number" },
	{ "h:-1:/", "a port is a number" },
	{ "::1:/", "a host is missing" },
	{ "fe80::1:/", "an IPv6 address is to be in brackets" },
	{ "1:2:3:/", "an IPv6 address is to be in brackets" },
	{ "[::1:/", "in brackets there is an IPv6 address" },
	{ "[]:/", "in brackets there is an IPv6 address" },
	{ "[::1%]:/", "in brackets there is an IPv6 address" },
	{ "[10.0.0.1]:/", "in brackets there is an IPv6 address" },
	{ "[h]:/", "in brackets there is an IPv6 address" },
	{ "[::1]7:/", "nothing but a port" },
	{ "h,i,h:/", "host \"h\": it is there twice" },
	{ "h,h:7440:/", "host \"h:7440\": it is there twice" },
};

static void test_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		assert_int_equal(datafs_source_kind(kinds[i].source), kinds[i].kind);
}

static void test_good(void **state)
{
	struct datafs_source s;
	char error[200];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(datafs_source_parse(good[i].source, &s, error, sizeof(error)), 0);
		assert_string_equal(s.members, good[i].members);
		assert_string_equal(s.dir, good[i].dir);
	}
}

static void test_bad(void **state)
{
	struct datafs_source s;
	char error[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(datafs_source_parse(bad[i].source, &s, error, sizeof(error)),
				 -EINVAL);
		if (!strstr(error, bad[i].wrong) || strchr(error, '\n'))
			fail_msg("%s: %s", bad[i].source, error);
	}
}

static void test_bounds(void **state)
{
	char text[8192], error[200];
	struct datafs_source s;
	int n = 0;

	(void)state;
	for (unsigned int i = 0; i < DATAFS_SOURCE_MEMBERS; i++)
		n += sprintf(text + n, "%sh%u", i ? "," : "", i);
	strcpy(text + n, ":/");
	assert_int_equal(datafs_source_parse(text, &s, error, sizeof(error)), 0);
	strcpy(text + n, ",x:/");
	assert_int_equal(datafs_source_parse(text, &s, error, sizeof(error)), -EINVAL);
	/* with the port that is added it has the most bytes of an address */
	memset(text, 'h', 250);
	strcpy(text + 250, ":/");
	assert_int_equal(datafs_source_parse(text, &s, error, sizeof(error)), 0);
	strcpy(text + 250, "h:/");
	assert_int_equal(datafs_source_parse(text, &s, error, sizeof(error)), -EINVAL);
	memset(text, 'h', 300);
	strcpy(text + 300, ":/");
	assert_int_equal(datafs_source_parse(text, &s, error, sizeof(error)), -EINVAL);
	memset(text, ',', 5000);
	strcpy(text + 5000, ":/");
	assert_int_equal(datafs_source_parse(text, &s, error, sizeof(error)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
