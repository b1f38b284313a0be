// SPDX-License-Identifier: Apache-2.0
/* What HTTP spells. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "under/http_text.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

static void texts(void **state)
{
	struct datafs_text t = { 0 };

	(void)state;
	datafs_text_puts(&t, "a");
	for (int i = 0; i < 1000; i++)
		datafs_text_printf(&t, "<%d>", i);
	datafs_text_add(&t, "\0z", 2);
	assert_false(t.failed);
	assert_int_equal(t.len, 1 + 10 * 3 + 90 * 4 + 900 * 5 + 2);
	assert_int_equal(strncmp(t.s, "a<0><1><2>", 10), 0);
	assert_int_equal(t.s[t.len], 0);
	datafs_text_free(&t);
	assert_null(t.s);
}

static void percent(void **state)
{
	static const char *const c[][3] = {
		{ "", "", "" },
		{ "aZ09-_.~", "aZ09-_.~", "aZ09-_.~" },
		{ "a/b c", "a%2Fb%20c", "a/b%20c" },
		{ "%41+&=;?#", "%2541%2B%26%3D%3B%3F%23", "%2541%2B%26%3D%3B%3F%23" },
		{ "\xc3\xbc\x01\x7f", "%C3%BC%01%7F", "%C3%BC%01%7F" },
	};
	char back[64];

	(void)state;
	for (size_t i = 0; i < N(c); i++) {
		struct datafs_text a = { 0 }, b = { 0 };

		datafs_text_percent(&a, c[i][0], false);
		datafs_text_percent(&b, c[i][0], true);
		assert_string_equal(a.s ? a.s : "", c[i][1]);
		assert_string_equal(b.s ? b.s : "", c[i][2]);
		strcpy(back, c[i][1]);
		assert_int_equal(datafs_http_unescape(back, true), strlen(c[i][0]));
		assert_string_equal(back, c[i][0]);
		datafs_text_free(&a);
		datafs_text_free(&b);
	}
}

static void unescape(void **state)
{
	static const char *const bad[] = { "%", "a%4", "%zz", "%00", "x%0" };
	char buf[16];

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		strcpy(buf, bad[i]);
		assert_int_equal(datafs_http_unescape(buf, false), -EINVAL);
	}
	strcpy(buf, "a+b%2bc");
	assert_int_equal(datafs_http_unescape(buf, false), 5);
	assert_string_equal(buf, "a+b+c");
	strcpy(buf, "a+b%2Bc");
	assert_int_equal(datafs_http_unescape(buf, true), 5);
	assert_string_equal(buf, "a b+c");
}

static void dates(void **state)
{
	static const char *const same[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	};
	static const char *const bad[] = {
		"", "1994", "1994-11-06", "1994-11-06T08:49:37", "1994-13-06T08:49:37Z",
		"1994-11-06 08:49:37Z", "1994-11-06T08:49:37+01:00", "x994-11-06T08:49:37Z",
		"1994-11-06T08:49:3", "1994-00-06T08:49:37Z", "1994-11-06T25:49:37Z",
	};
	struct timespec t;

	(void)state;
	for (size_t i = 0; i < N(same); i++) {
		assert_int_equal(datafs_http_date(same[i], &t), 0);
		assert_int_equal(t.tv_sec, 784111777);
		assert_int_equal(t.tv_nsec, 0);
	}
	assert_int_equal(datafs_http_date("yesterday", &t), -EINVAL);
	assert_int_equal(datafs_iso_date("1994-11-06T08:49:37Z", &t), 0);
	assert_int_equal(t.tv_sec, 784111777);
	assert_int_equal(datafs_iso_date("1994-11-06T08:49:37.045Z", &t), 0);
	assert_int_equal(t.tv_sec, 784111777);
	assert_int_equal(t.tv_nsec, 45000000);
	assert_int_equal(datafs_iso_date("1994-11-06T08:49:37.1234567891234+00:00", &t), 0);
	assert_int_equal(t.tv_nsec, 123456789);
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(datafs_iso_date(bad[i], &t), -EINVAL);
}

static void ranges(void **state)
{
	static const struct {
		const char *s;
		int64_t first, last, total;
	} c[] = {
		{ "bytes 0-0/1", 0, 0, 1 },
		{ "bytes 5-9/10", 5, 9, 10 },
		{ "Bytes 5-9/*", 5, 9, -1 },
		{ "bytes */10", -1, -1, 10 },
	};
	static const char *const bad[] = {
		"bytes */*", "bytes 5-10/10", "bytes 5-4/10", "bytes 5-/10", "bytes -5/10",
		"bytes 5-9", "bytes 5-9/", "bytes 5-9/1x", "items 5-9/10", "", "bytes ",
		"bytes 5-99999999999999999999/*",
	};
	int64_t f, l, t;

	(void)state;
	for (size_t i = 0; i < N(c); i++) {
		assert_int_equal(datafs_http_range(c[i].s, &f, &l, &t), 0);
		assert_true(f == c[i].first && l == c[i].last && t == c[i].total);
	}
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(datafs_http_range(bad[i], &f, &l, &t), -EINVAL);
	assert_int_equal(datafs_http_number("0123", &f), 0);
	assert_int_equal(f, 123);
	assert_int_equal(datafs_http_number("-1", &f), -EINVAL);
	assert_int_equal(datafs_http_number("1 ", &f), -EINVAL);
	assert_int_equal(datafs_http_number("", &f), -EINVAL);
}

static void retry_after(void **state)
{
	int64_t ms;

	(void)state;
	assert_int_equal(datafs_http_retry_after("3", 0, &ms), 0);
	assert_int_equal(ms, 3000);
	assert_int_equal(datafs_http_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111770, &ms), 0);
	assert_int_equal(ms, 7000);
	assert_int_equal(datafs_http_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 884111770, &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(datafs_http_retry_after("9000000000000000000", 0, &ms), 0);
	assert_int_equal(ms, INT32_MAX * 1000ll);
	assert_int_equal(datafs_http_retry_after("soon", 0, &ms), -EINVAL);
}

static void tags(void **state)
{
	static const char *const bad[] = { "", "\"\"", "W/\"a\"", "\"a", "a\"", "\"", "\"a\"b\"", "a\n" };
	const char *tag;
	size_t len;

	(void)state;
	assert_int_equal(datafs_http_etag("\"abc-2\"", &tag, &len), 0);
	assert_int_equal(len, 5);
	assert_int_equal(strncmp(tag, "abc-2", 5), 0);
	assert_int_equal(datafs_http_etag("abc", &tag, &len), 0);
	assert_int_equal(len, 3);
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(datafs_http_etag(bad[i], &tag, &len), -EINVAL);
}

static void utf8(void **state)
{
	static const char *const good[] = {
		"", "a", "\x01\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xbcz",
	};
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x9f\xbf", "\xe2\x82",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x90", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xfe", "\xff", "a\xff", "\xc3\xbc\xbc",
	};

	(void)state;
	for (size_t i = 0; i < N(good); i++)
		assert_true(datafs_text_is_utf8(good[i]));
	for (size_t i = 0; i < N(bad); i++)
		assert_false(datafs_text_is_utf8(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(percent),
		cmocka_unit_test(utf8),
		cmocka_unit_test(unescape),
		cmocka_unit_test(dates),
		cmocka_unit_test(ranges),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(tags),
	};

	return cmocka_run_group_tests_name("http_text", tests, NULL, NULL);
}
