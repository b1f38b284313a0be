// SPDX-License-Identifier: Apache-2.0
/* What is read from the listings of web servers: as they make them, and as they should not. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "under/http_list.h"

#define NGINX_HEAD	"<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n" \
			"<h1>Index of /d/</h1><hr><pre><a href=\"../\">../</a>\r\n"
#define NGINX_TAIL	"</pre><hr></body>\r\n</html>\r\n"

/* "NAME", "NAME/"..., as they come out, and how many were skipped. */
static void gives(const char *type, const char *body, const char *want, size_t skipped)
{
	struct datafs_http_list l;
	char got[4096] = "";

	assert_int_equal(datafs_http_list_parse(body, strlen(body), type, &l), 0);
	for (size_t i = 0; i < l.n; i++) {
		strcat(got, i ? "|" : "");
		strcat(got, l.v[i].name);
		strcat(got, l.v[i].dir ? "/" : "");
	}
	assert_string_equal(got, want);
	assert_int_equal(l.skipped, skipped);
	datafs_http_list_free(&l);
}

static void refuses(const char *type, const char *body, int err)
{
	struct datafs_http_list l;

	assert_int_equal(datafs_http_list_parse(body, strlen(body), type, &l), err);
	assert_null(l.v);
	assert_null(l.text);
	assert_int_equal(l.n, 0);
}

static void nginx(void **state)
{
	(void)state;
	gives("text/html", NGINX_HEAD
	      "<a href=\"sub/\">sub/</a>           26-Nov-2026 20:46       -\r\n"
	      "<a href=\"%23x%3Fy\">#x?y</a>       26-Nov-2026 20:46       3\r\n"
	      "<a href=\"a%3Ab\">a:b</a>           26-Nov-2026 20:46       3\r\n"
	      "<a href=\"a%20b/\">a b/</a>         26-Nov-2026 20:46       -\r\n"
	      "<a href=\"long-long-long\">long-lo..&gt;</a> 26-Nov-2026 20:46 3\r\n"
	      "<a href=\"%22%3C%3E'\">\"&lt;&gt;'</a> 26-Nov-2026 20:46  3\r\n"
	      "<a href=\"100%25\">100%</a>         26-Nov-2026 20:46       3\r\n" NGINX_TAIL,
	      "\"<>'|#x?y|100%|a b/|a:b|long-long-long|sub/", 0);
	gives("text/html", NGINX_HEAD NGINX_TAIL, "", 0);
}

static void nginx_json(void **state)
{
	(void)state;
	gives("application/json", "[\n"
	      "{ \"name\":\"sub\", \"type\":\"directory\", \"mtime\":\"Thu, 26 Nov 2026 20:46:15 GMT\" },\n"
	      "{ \"name\":\"a b%20\", \"type\":\"file\", \"mtime\":\"Thu, 26 Nov 2026 20:46:15 GMT\", \"size\":3 },\n"
	      "{ \"name\":\"\xc3\xbc\", \"type\":\"other\" }\n]", "a b%20|sub/|\xc3\xbc", 0);
	gives("application/json; charset=utf-8", "[]", "", 0);
	gives("application/json", "[{\"name\":\"a/b\",\"type\":\"file\"},{\"name\":\"..\",\"type\":\"directory\"},\n"
	      "{\"name\":\"\",\"type\":\"file\"},{\"name\":\"c\\u0000d\",\"type\":\"file\"}]", "", 4);
	refuses("application/json", "", -EOPNOTSUPP);
	refuses("application/json", "[", -EPROTO);
	refuses("application/json", "[{\"name\":\"a\",\"type\":\"file\"}", -EPROTO);
	refuses("application/json", "{\"name\":\"a\",\"type\":\"file\"}", -EOPNOTSUPP);
	refuses("application/json", "[1]", -EOPNOTSUPP);
	refuses("application/json", "[{\"name\":1,\"type\":\"file\"}]", -EOPNOTSUPP);
	refuses("application/json", "[{\"name\":\"a\"}]", -EOPNOTSUPP);
}

static void apache(void **state)
{
	(void)state;
	gives("text/html;charset=ISO-8859-1",
	      "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n"
	      "<html>\n <head>\n  <title>Index of /d</title>\n </head>\n <body>\n<h1>Index of /d</h1>\n"
	      "<ul><li><a href=\"/\"> Parent Directory</a></li>\n"
	      "<li><a href=\"%23x%3fy\"> #x?y</a></li>\n"
	      "<li><a href=\"./a:b\"> a:b</a></li>\n"
	      "<li><a href=\"sub/\"> sub/</a></li>\n"
	      "<li><a href=\"x&amp;y\"> x&amp;y</a></li>\n"
	      "<li><a href=\"%c3%bc%e2%82%ac\"> \xc3\xbc\xe2\x82\xac</a></li>\n</ul>\n</body></html>\n",
	      "#x?y|a:b|sub/|x&y|\xc3\xbc\xe2\x82\xac", 0);
}

/* Each name is there twice, and the columns are links that sort. */
static void apache_fancy(void **state)
{
	(void)state;
	gives("text/html",
	      "<html><head><title>Index of /d</title></head><body><h1>Index of /d</h1>\n"
	      "<pre><a href=\"?C=N;O=D\">Name</a> <a href=\"?C=M;O=A\">Last modified</a>\n"
	      "<hr><a href=\"/\">     </a> <a href=\"/\">Parent Directory</a>  -\n"
	      "<a href=\"big.bin\">     </a> <a href=\"big.bin\">big.bin</a> 2026-11-26 20:46  1.2M\n"
	      "<a href=\"sub/\">     </a> <a href=\"sub/\">sub/</a>  2026-11-26 20:46    -\n"
	      "<hr></pre></body></html>", "big.bin|sub/", 0);
	gives("text/html",
	      "<html><head><title>Index of /d</title></head><body><table id=\"indexlist\"><tr>\n"
	      "<th><a href=\"?C=N;O=D\">Name</a></th></tr>\n"
	      "<tr><td><img src=\"/icons/x.gif\" alt=\"[   ]\"></td><td><a href=\"z\">z</a></td>\n"
	      "<td>1.2K</td></tr></table></body></html>", "z", 0);
}

static void links(void **state)
{
	char name[256 + 1], body[4096];

	(void)state;
	/* elsewhere */
	gives("text/html", NGINX_HEAD
	      "<a href=\"http://h/x\">x</a><a href=\"//h/x\">x</a><a href=\"/d/x\">x</a>\n"
	      "<a href=\"mailto:x\">x</a><a href=\"javascript:x\">x</a><a href=\"HTTPS:x\">x</a>\n"
	      "<a href=\"..\">x</a><a href=\"../x\">x</a><a href=\"./\">x</a><a href=\".\">x</a>\n"
	      "<a href=\"\">x</a><a href=\"  \">x</a><a href=\"a/b\">x</a><a href=\"a//\">x</a>\n"
	      "<a href=\"a?b\">x</a><a href=\"?a\">x</a><a href=\"#a\">x</a><a href=\"a#\">x</a>\n"
	      "<a name=\"q\">x</a><a>x</a><a href>x</a><link href=\"x\"><img src=\"x\">" NGINX_TAIL,
	      "", 0);
	/* what cannot be shown */
	gives("text/html", NGINX_HEAD
	      "<a href=\"%2e\">x</a><a href=\"%2E%2e/\">x</a><a href=\"a%2Fb\">x</a>\n"
	      "<a href=\"a%00b\">x</a><a href=\"./%2e./\">x</a>" NGINX_TAIL, "", 5);
	/* what can */
	gives("text/html", NGINX_HEAD
	      "<A HREF='UP'>x</A><a href=bare>x</a><a href=\" blank \">x</a><a href=\"%zz%4\">x</a>\n"
	      "<a href=\"a+b\">x</a><a href=\"...\">x</a><a href=\"..a/\">x</a><a href=\"%ff%FE\">x</a>\n"
	      "<a href=\"b%5cs\">x</a><a href=\"both\">x</a><a href=\"both/\">x</a>" NGINX_TAIL,
	      "%zz%4|...|..a/|UP|a+b|b\\s|bare|blank|both|\xff\xfe", 0);
	for (size_t n = 255; n <= 256; n++) {
		memset(name, 'n', n);
		name[n] = 0;
		snprintf(body, sizeof(body), NGINX_HEAD "<a href=\"%s\">x</a>" NGINX_TAIL, name);
		gives("text/html", body, n == 255 ? name : "", n - 255);
	}
	memset(body, 0, sizeof(body));
	strcpy(body, NGINX_HEAD "<a href=\"");
	for (int i = 0; i < 256; i++)
		strcat(body, "%6e");
	strcat(body, "\">x</a>" NGINX_TAIL);
	gives("text/html", body, "", 1);
}

static void pages(void **state)
{
	struct datafs_http_list l;
	char *long_one;

	(void)state;
	refuses("text/html", "<html><head><title>Welcome</title></head><a href=\"x\">x</a>", -EOPNOTSUPP);
	refuses("text/html", "<a href=\"x\">x</a>", -EOPNOTSUPP);
	refuses("text/html", "<title></title>Index of /", -EOPNOTSUPP);
	refuses("text/html", "<title>An Index of /</title>", -EOPNOTSUPP);
	refuses("text/html", "", -EOPNOTSUPP);
	refuses("text/plain", NGINX_HEAD NGINX_TAIL, -EOPNOTSUPP);
	refuses("text/htmlx", NGINX_HEAD NGINX_TAIL, -EOPNOTSUPP);
	refuses(NULL, NGINX_HEAD NGINX_TAIL, -EOPNOTSUPP);
	gives("TEXT/HTML ; charset=x", NGINX_HEAD NGINX_TAIL, "", 0);
	long_one = calloc(1, DATAFS_HTTP_LIST_MAX + 1);
	assert_int_equal(datafs_http_list_parse(long_one, DATAFS_HTTP_LIST_MAX + 1, "text/html", &l),
			 -EFBIG);
	memset(long_one, ' ', DATAFS_HTTP_LIST_MAX);
	memcpy(long_one + DATAFS_HTTP_JSON_MAX - 2, "[]", 2);
	assert_int_equal(datafs_http_list_parse(long_one, DATAFS_HTTP_JSON_MAX, "application/json", &l), 0);
	datafs_http_list_free(&l);
	assert_int_equal(datafs_http_list_parse(long_one, DATAFS_HTTP_JSON_MAX + 1, "application/json", &l),
			 -EFBIG);
	free(long_one);
}

/* A parser that ends early, or takes long, is not asked. */
static void hostile(void **state)
{
	static const char nul[] = NGINX_HEAD "<a href=\"a\">x</a>\0<a href=\"b\">x</a>" NGINX_TAIL;
	struct datafs_http_list l;
	char *page = malloc(sizeof(NGINX_HEAD) + DATAFS_HTTP_TAG_MAX + 3), *tag = page + strlen(NGINX_HEAD);

	(void)state;
	assert_int_equal(datafs_http_list_parse(nul, sizeof(nul) - 1, "text/html", &l), -EPROTO);
	for (size_t n = DATAFS_HTTP_TAG_MAX; n <= DATAFS_HTTP_TAG_MAX + 1; n++) {
		strcpy(page, NGINX_HEAD "<b");
		memset(tag + 2, ' ', n - 2);
		strcpy(tag + n, ">");
		if (n > DATAFS_HTTP_TAG_MAX)
			refuses("text/html", page, -EPROTO);
		else
			gives("text/html", page, "", 0);
	}
	tag[DATAFS_HTTP_TAG_MAX + 1] = 0;
	refuses("text/html", page, -EPROTO);
	free(page);
}

/* Cut off anywhere, it gives what it had, or is none, and nothing else happens. */
static void cut(void **state)
{
	static const char body[] = NGINX_HEAD "<a href=\"a&amp;b\">x</a><a href='c%20d/'>x</a>" NGINX_TAIL;
	struct datafs_http_list l;

	(void)state;
	for (size_t n = 0; n < sizeof(body); n++) {
		char *p = malloc(n + 1);
		int ret;

		memcpy(p, body, n);
		ret = datafs_http_list_parse(p, n, "text/html", &l);
		free(p);
		assert_true(!ret || ret == -EOPNOTSUPP);
		assert_true(l.n <= 2);
		datafs_http_list_free(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nginx),
		cmocka_unit_test(nginx_json),
		cmocka_unit_test(apache),
		cmocka_unit_test(apache_fancy),
		cmocka_unit_test(links),
		cmocka_unit_test(pages),
		cmocka_unit_test(hostile),
		cmocka_unit_test(cut),
	};

	return cmocka_run_group_tests_name("http_list", tests, NULL, NULL);
}
