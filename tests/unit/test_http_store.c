// SPDX-License-Identifier: Apache-2.0
/* Files of a web server that does not do as it should. */
#define _GNU_SOURCE
#include "http_fixture.h"

#define DATE		"Date: Sun, 09 Sep 2001 02:00:00 GMT\r\n"
#define MODIFIED	"Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
#define TAG		"ETag: \"one\"\r\n"
#define HEAD_OF(tag, n)	"HTTP/1.1 200 OK\r\n" DATE tag "Content-Length: " n "\r\n\r\n"
#define PART(tag, range, n, body) \
	"HTTP/1.1 206 Partial Content\r\n" tag "Content-Range: bytes " range "\r\n" \
	"Content-Length: " n "\r\n\r\n" body
#define GONE		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
#define LONG_TAG	"ETag: \"0123456789abcdef0123456789abcdef\"\r\n"

static struct datafs_under *u;
static char buf[4096];

static void serve(const struct http_say *say, size_t n)
{
	http_serve(say, n);
	assert_int_equal(datafs_under_open(http_base, NULL, &u), 0);
}

static void served(size_t n)
{
	datafs_under_close(u);
	assert_int_equal(http_served(), n);
}

#define SERVE(...) do {							\
	static const struct http_say say[] = { __VA_ARGS__ };		\
									\
	serve(say, sizeof(say) / sizeof(say[0]));			\
} while (0)

static struct datafs_under_stat look(void)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(u, "f", &st), 0);
	return st;
}

static ssize_t rd(const struct datafs_under_stat *st, uint64_t off, size_t len)
{
	memset(buf, 0, sizeof(buf));
	return datafs_under_read(u, "f", &st->fp, off, buf, len);
}

static void tags(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = HEAD_OF(TAG, "10") }, { .text = HEAD_OF(TAG MODIFIED, "10") },
	      { .text = HEAD_OF("ETag: W/\"one\"\r\n" MODIFIED, "10") }, { .text = HEAD_OF(MODIFIED, "10") },
	      { .text = HEAD_OF("ETag: one\r\n" MODIFIED, "10") }, { .text = HEAD_OF(LONG_TAG, "10") });
	st = look();
	assert_true(st.strong);
	assert_int_equal(st.size, 10);
	assert_int_equal(st.mtime.tv_sec, 0);
	assert_int_equal(st.seen.tv_sec, 1000000800);
	assert_int_equal(st.fp.v[1], 5);
	for (int i = 0; i < 4; i++) {
		/* A time of whole seconds could hide a second change, whatever else there is. */
		st = look();
		assert_false(st.strong);
		assert_int_equal(st.mtime.tv_sec, 1000000000);
		assert_int_equal(st.ctime.tv_sec, 1000000000);
		assert_false(datafs_under_young(&st));
		st.seen.tv_sec = st.ctime.tv_sec + 1;
		assert_true(datafs_under_young(&st));
		assert_int_equal(st.fp.v[1], i ? 29 : 5);
	}
	st = look();
	assert_int_equal(st.fp.v[1], 34);
	served(6);
}

static void conditions(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = HEAD_OF(TAG MODIFIED, "10") }, { .text = PART(TAG, "2-4/10", "3", "cde") },
	      { .text = HEAD_OF(LONG_TAG, "10") }, { .text = PART(LONG_TAG, "2-4/10", "3", "cde") },
	      { .text = HEAD_OF(MODIFIED, "10") }, { .text = PART(MODIFIED, "9-9/10", "1", "j") },
	      { .text = HEAD_OF(MODIFIED, "10") });
	for (int i = 0; i < 2; i++) {
		st = look();
		assert_int_equal(rd(&st, 2, 3), 3);
		assert_memory_equal(buf, "cde", 4);
	}
	st = look();
	assert_int_equal(rd(&st, 9, 100), 1);
	assert_int_equal(rd(&st, 10, 100), 0);
	assert_int_equal(rd(&st, 11, 100), 0);
	assert_int_equal(rd(&st, 0, 0), 0);
	served(7);
	assert_non_null(strstr(http_asked(1), "\r\nIf-Match: \"one\"\r\n"));
	assert_non_null(strcasestr(http_asked(1), "\r\nRange: bytes=2-4\r\n"));
	assert_null(strstr(http_asked(3), "If-"));
	assert_non_null(strstr(http_asked(5), "\r\nIf-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n"));
	assert_non_null(strcasestr(http_asked(5), "\r\nRange: bytes=9-9\r\n"));
}

/* What is no tag is no line of a request, either. */
static void strange_tags(void **state)
{
	static const char *const tags[] = {
		"\"a\r\nX: y\"", "a\nX: y", "\"a\tX: y\"", "\"a\"X: y\"", "Sun\"X: y",
	};
	static const size_t n = sizeof(tags) / sizeof(tags[0]);
	struct datafs_fingerprint fp;

	(void)state;
	SERVE({ .text = PART(TAG, "2-4/10", "3", "cde") }, { .text = PART(TAG, "2-4/10", "3", "cde") },
	      { .text = PART(TAG, "2-4/10", "3", "cde") }, { .text = PART(TAG, "2-4/10", "3", "cde") },
	      { .text = PART(TAG, "2-4/10", "3", "cde") });
	for (size_t i = 0; i < n; i++) {
		fp = datafs_fingerprint_tag(tags[i], strlen(tags[i]), 10);
		assert_int_equal(datafs_under_read(u, "f", &fp, 2, buf, 3), -ESTALE);
	}
	served(n);
	for (size_t i = 0; i < n; i++) {
		assert_null(strstr(http_asked(i), "X: y"));
		assert_null(strstr(http_asked(i), "If-"));
	}
}

/* One that minds no conditions is caught by what it says of what it gives. */
static void changed(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = HEAD_OF(TAG, "10") },
	      { .text = PART("ETag: \"two\"\r\n", "2-4/10", "3", "CDE") },
	      { .text = PART(TAG, "2-4/11", "3", "CDE") },
	      { .text = HEAD_OF("ETag: \"two\"\r\n", "3") "CDE" }, { .text = HEAD_OF("ETag: \"two\"\r\n", "3") },
	      { .text = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */1\r\nContent-Length: 0\r\n\r\n" },
	      { .text = GONE });
	st = look();
	for (int i = 0; i < 6; i++)
		assert_int_equal(rd(&st, 2, 3), -ESTALE);
	served(8);
}

/* Without a tag it is looked at again when the bytes are there. */
static void changed_meanwhile(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = HEAD_OF(MODIFIED, "10") },
	      { .text = PART(MODIFIED, "2-4/10", "3", "CDE") },
	      { .text = HEAD_OF("Last-Modified: Sun, 09 Sep 2001 01:46:41 GMT\r\n", "10") },
	      { .text = PART(MODIFIED, "2-4/10", "3", "CDE") }, { .text = HEAD_OF(MODIFIED, "11") },
	      { .text = PART(MODIFIED, "2-4/10", "3", "CDE") }, { .text = GONE },
	      { .text = PART(MODIFIED, "2-4/10", "3", "CDE") },
	      { .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" });
	st = look();
	for (int i = 0; i < 3; i++)
		assert_int_equal(rd(&st, 2, 3), -ESTALE);
	assert_int_equal(rd(&st, 2, 3), -EACCES);
	served(9);
}

static void broken(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	/* After nonsense it is looked at: is it another? */
	SERVE({ .text = HEAD_OF(TAG, "10") },
	      { .text = PART(TAG, "3-5/10", "3", "def") }, { .text = HEAD_OF(TAG, "10") },
	      { .text = PART(TAG, "2-4/10", "2", "cd") }, { .text = HEAD_OF(TAG, "10") },
	      { .text = PART("", "2-4/10", "3", "cde") }, { .text = HEAD_OF(TAG, "10") },
	      { .text = PART(TAG, "2-4/*", "3", "cde") }, { .text = HEAD_OF(TAG, "10") },
	      { .text = "HTTP/1.1 206 Partial Content\r\n" TAG "Content-Length: 3\r\n\r\ncde" },
	      { .text = HEAD_OF(TAG, "10") },
	      { .text = HEAD_OF(TAG, "10") "abcdefghij" }, { .text = HEAD_OF(TAG, "10") });
	st = look();
	for (int i = 0; i < 6; i++)
		assert_int_equal(rd(&st, 2, 3), -EPROTO);
	served(13);
}

/* What ends too early is asked for again. */
static void short_bodies(void **state)
{
	struct datafs_under_stats s;
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = HEAD_OF(TAG, "10") }, { .text = PART(TAG, "2-4/10", "3", "c"), .then = THEN_CLOSE },
	      { .text = PART(TAG, "2-4/10", "3", "cd"), .then = THEN_RESET },
	      { .text = PART(TAG, "2-4/10", "3", "cde") });
	st = look();
	assert_int_equal(rd(&st, 2, 3), 3);
	assert_memory_equal(buf, "cde", 4);
	datafs_under_stats(u, &s);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].requests, 3);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].retries, 2);
	served(4);
}

static void looks(void **state)
{
	static const int errors[] = {
		-EOPNOTSUPP, -EACCES, -ENOENT, -ENAMETOOLONG, -EPROTO, -EPROTO,
	};
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = HEAD_OF("", "10") },
	      { .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n" },
	      /* directories, however the server calls itself */
	      { .text = "HTTP/1.1 301 Moved\r\nLocation: /f/\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 308 Moved\r\nLocation: https://other:1/%66/\r\nContent-Length: 0\r\n\r\n" },
	      { .text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" },
	      { .text = "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n" });
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		assert_int_equal(datafs_under_stat(u, "f", &st), errors[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(look().mode, S_IFDIR | 0755);
	assert_int_equal(datafs_under_stat(u, "", &st), 0);
	assert_int_equal(st.mode, S_IFDIR | 0755);
	assert_int_equal(datafs_under_stat(u, "", &st), -ENOENT);
	served(10);
}

/* A HEAD need not tell the length; Apache's does not of a file that is empty. */
static void lengths(void **state)
{
#define UNTOLD	{ .text = "HTTP/1.1 200 OK\r\n" TAG "\r\n" }
	struct datafs_under_stat st;

	(void)state;
	SERVE(UNTOLD, { .text = PART(TAG, "0-0/10", "1", "a") },
	      UNTOLD, { .text = HEAD_OF(TAG, "0") },
	      UNTOLD, { .text = "HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n" },
	      UNTOLD, { .text = HEAD_OF(TAG, "1") "a" },
	      UNTOLD, { .text = HEAD_OF(TAG, "10") "abcdefghij" },
	      UNTOLD, { .text = PART(TAG, "0-0/*", "1", "a") },
	      UNTOLD, { .text = "HTTP/1.1 416 No\r\nContent-Range: bytes */7\r\nContent-Length: 0\r\n\r\n" },
	      UNTOLD, { .text = GONE });
	st = look();
	assert_int_equal(st.size, 10);
	assert_int_equal(st.fp.v[1], 5);
	assert_int_equal(look().size, 0);
	assert_int_equal(look().size, 0);
	assert_int_equal(look().size, 1);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EPROTO);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EOPNOTSUPP);
	assert_int_equal(datafs_under_stat(u, "f", &st), -EOPNOTSUPP);
	assert_int_equal(datafs_under_stat(u, "f", &st), -ENOENT);
	served(16);
}

/* A name may have any byte: also where the server says that it is a directory. */
static void control_bytes(void **state)
{
	struct datafs_under_stat st;

	(void)state;
	SERVE({ .text = "HTTP/1.1 301 Moved\r\nLocation: /a%01%0Ab/\r\nContent-Length: 0\r\n\r\n" });
	assert_int_equal(datafs_under_stat(u, "a\1\nb", &st), 0);
	assert_int_equal(st.mode, S_IFDIR | 0755);
	served(1);
}

static int never(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)arg;
	(void)st;
	fail_msg("there is no entry \"%s\"", name);
	return 0;
}

#define LISTING	"<title>Index of /</title><a href=\"a\">a</a>"

/* Absence is concluded from whole listings only. */
static void listings(void **state)
{
	static const int errors[] = { -ENOENT, -EACCES, -EOPNOTSUPP, -EPROTO, -EPROTO, -EPROTO };

	(void)state;
	SERVE({ .text = GONE }, { .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" },
	      { .text = HEAD_OF("Content-Type: text/plain\r\n", "42") LISTING },
	      { .text = "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n" },
	      { .text = HEAD_OF("Content-Type: application/json\r\n", "1") "[" },
	      { .text = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" LISTING, .then = THEN_CLOSE });
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		assert_int_equal(datafs_under_list(u, "d", NULL, never, NULL), errors[i]);
	served(6);
	assert_int_equal(strncmp(http_asked(0), "GET /d/ HTTP/1.1\r\n", 18), 0);
}

/* Where a look is led, a listing is. */
static void led_listings(void **state)
{
#define LED	{ .text = "HTTP/1.1 302 Found\r\nLocation: /x/\r\nContent-Length: 0\r\n\r\n" }
	(void)state;
	SERVE(LED, { .text = HEAD_OF("Content-Type: text/html\r\n", "25") "<title>Index of /</title>" },
	      LED, LED, LED, LED, LED, LED);
	assert_int_equal(datafs_under_list(u, "d", NULL, never, NULL), 0);
	assert_int_equal(datafs_under_list(u, "d", NULL, never, NULL), -EPROTO);
	served(8);
	assert_int_equal(strncmp(http_asked(1), "GET /x/ HTTP/1.1\r\n", 18), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags),
		cmocka_unit_test(conditions),
		cmocka_unit_test(strange_tags),
		cmocka_unit_test(changed),
		cmocka_unit_test(changed_meanwhile),
		cmocka_unit_test(broken),
		cmocka_unit_test(short_bodies),
		cmocka_unit_test(looks),
		cmocka_unit_test(control_bytes),
		cmocka_unit_test(lengths),
		cmocka_unit_test(listings),
		cmocka_unit_test(led_listings),
	};

	return cmocka_run_group_tests_name("http_store", tests, NULL, NULL);
}
