// SPDX-License-Identifier: Apache-2.0
/* Requests against a server that answers well, badly, late, or not at all. */
#define _GNU_SOURCE
#include "http_fixture.h"

#include "base/util.h"
#include "curl_wrap.h"
#include "under/http_judge.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))
#define OK10	"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"x\"\r\n\r\n0123456789"
#define SAY(t)	{ .text = (t) }
#define BUSY	"HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nbusy"
#define GONE	"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nx-amz-request-id: r1\r\n\r\ngone"

static char url[128], buf[64];

static struct datafs_http_request get(const char *path)
{
	snprintf(url, sizeof(url), "%s%s", http_base, path);
	memset(buf, 0xa5, sizeof(buf));
	return (struct datafs_http_request){ .method = "GET", .url = url };
}

static struct datafs_http_request range(uint64_t off, uint64_t len)
{
	struct datafs_http_request r = get("/f");

	r.ranged = true;
	r.off = off;
	r.len = len;
	r.into = buf;
	r.room = len;
	return r;
}

/* One range of a server that says @text, and then nothing more of it. */
static int once_range(const char *text, int then, uint64_t off, uint64_t len, size_t *got)
{
	const struct http_say say[] = { { text, 0, then }, SAY(GONE) };
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;
	int err;

	http_serve(say, N(say));
	r = range(off, len);
	r.once = true;
	err = datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a);
	*got = a.got;
	if (err)
		assert_true(*a.why);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 1);
	return err;
}

static void answers(void **state)
{
	static const char *const want[] = { "etag", "X-None", NULL };
	const struct http_say say[] = { SAY(OK10), SAY(OK10), SAY(GONE) };
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;
	struct datafs_under_stats s;

	(void)state;
	http_serve(say, N(say));
	r = get("/a%20b?x=1");
	r.want = want;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_STAT, &r, &a), 0);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.text_len, 10);
	assert_string_equal(a.text, "0123456789");
	assert_string_equal(datafs_http_value(&r, &a, "ETag"), "\"x\"");
	assert_null(datafs_http_value(&r, &a, "x-none"));
	datafs_http_answer_free(&a);
	r.into = buf;
	r.room = 10;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.got, 10);
	assert_memory_equal(buf, "0123456789", 10);
	datafs_http_answer_free(&a);
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 404);
	assert_int_equal(datafs_http_errno(a.status), -ENOENT);
	assert_string_equal(a.text, "gone");
	assert_string_equal(a.id, "r1");
	assert_int_equal(a.got, 0);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 3);
	assert_true(!strncmp(http_asked(0), "GET /a%20b?x=1 HTTP/1.1\r\n", 25));
	s = http_counts();
	assert_int_equal(s.by[DATAFS_UNDER_M_STAT].requests, 1);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].requests, 2);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].down, 10);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].errors, 0);
}

#define PART(range, length, body) \
	"HTTP/1.1 206 Part\r\nContent-Range: " range "\r\nContent-Length: " length "\r\n\r\n" body

static void right_ranges(void **state)
{
	size_t got;

	(void)state;
	assert_int_equal(once_range(PART("bytes 3-6/10", "4", "3456"), THEN_GO_ON, 3, 4, &got), 0);
	assert_int_equal(got, 4);
	assert_memory_equal(buf, "3456", 4);
	/* short at the end */
	assert_int_equal(once_range(PART("bytes 8-9/10", "2", "89"), THEN_GO_ON, 8, 9, &got), 0);
	assert_int_equal(got, 2);
	/* the whole is the range */
	assert_int_equal(once_range(OK10, THEN_GO_ON, 0, 20, &got), 0);
	assert_int_equal(got, 10);
	/* the range says where it ends */
	assert_int_equal(once_range("HTTP/1.1 206 Part\r\nContent-Range: bytes 3-6/10\r\n\r\n3456",
				    THEN_CLOSE, 3, 4, &got), 0);
	assert_int_equal(got, 4);
}

static void wrong_ranges(void **state)
{
	static const struct http_say say[] = {
		SAY(OK10),
		SAY(PART("bytes 2-5/10", "4", "2345")),
		SAY(PART("bytes 3-5/10", "3", "345")),
		SAY(PART("bytes 3-6/10", "5", "34567")),
		SAY(PART("bytes 3-6/10", "3", "345")),
		SAY(PART("bytes 3-9/10", "7", "3456789")),
		SAY(PART("bytes */10", "4", "3456")),
		SAY(PART("lines 3-6/10", "4", "3456")),
		SAY("HTTP/1.1 206 Part\r\nContent-Length: 4\r\n\r\n3456"),
		{ "HTTP/1.1 206 Part\r\nContent-Range: bytes 3-6/10\r\n\r\n345", 0, THEN_CLOSE },
		{ "HTTP/1.1 206 Part\r\nContent-Range: bytes 3-6/10\r\n\r\n34567", 0, THEN_CLOSE },
		{ PART("bytes 3-6/10", "4", "34"), 0, THEN_CLOSE },
		{ PART("bytes 3-6/10", "4", "34"), 0, THEN_RESET },
		SAY(PART("bytes 3-6/10", "4\r\nContent-Length: 5", "3456")),
		{ "HTTP/1.1 200 OK\r\n\r\n3456", 0, THEN_CLOSE },
		SAY("HTTP/1.1 204 None\r\n\r\n"),
		{ "3456", 0, THEN_CLOSE },
		{ "HTTP/1.1 206 Part\r\nContent-Range: bytes 3-6/10\r\nTransfer-Encoding: chunked\r\n"
		  "\r\n4\r\n3456\r\n", 0, THEN_CLOSE },
	};
	size_t got;

	(void)state;
	for (size_t i = 0; i < N(say); i++) {
		int err = once_range(say[i].text, say[i].then, 3, 4, &got);

		print_message("      %zu: %s\n", i, strerror(-err));
		assert_true(err < 0);
		assert_true(got <= 4);
		assert_int_equal((uint8_t)buf[4], 0xa5);
	}
}

/* Without a range, too, it is known where the body ends. */
static void bodies(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} c[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", false },
		{ "HTTP/1.1 200 OK\r\n\r\nabc", false },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc", false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", false },
		{ PART("bytes 0-2/10", "3", "abc"), false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nabcdefghijkl", false },
	};
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	for (size_t i = 0; i < N(c); i++) {
		const struct http_say say = { c[i].text, 0, THEN_CLOSE };

		http_serve(&say, 1);
		r = get("/f");
		r.once = true;
		r.text_max = 10;
		assert_int_equal(!datafs_http_try(h, DATAFS_UNDER_M_LIST, &r, &a), c[i].ok);
		if (c[i].ok)
			assert_string_equal(a.text, "abc");
		datafs_http_answer_free(&a);
		http_served();
	}
	datafs_http_close(h);
}

static void again(void **state)
{
	const struct http_say say[] = {
		{ "", 0, THEN_CLOSE }, SAY(BUSY), SAY("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
		{ PART("bytes 3-6/10", "4", "xx"), 0, THEN_RESET },
		SAY(PART("bytes 3-6/10", "4", "3456")),
	};
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;
	struct datafs_under_stats s;

	(void)state;
	http_serve(say, N(say));
	r = range(3, 4);
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.got, 4);
	assert_memory_equal(buf, "3456", 4);
	assert_true(a.unsure);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 5);
	/* 0.75 of 0.1, 0.2, 0.4 and 0.8 s */
	assert_int_equal(http_waited, 1125 * DATAFS_MSEC);
	s = http_counts();
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].requests, 5);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].retries, 4);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].errors, 4);
	assert_int_equal(s.by[DATAFS_UNDER_M_GET].down, 6);
}

static void gives_up(void **state)
{
	struct http_say say[9];
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	for (size_t i = 0; i < N(say); i++)
		say[i] = (struct http_say){ .text = BUSY };
	http_serve(say, N(say));
	r = get("/f");
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 503);
	assert_string_equal(a.text, "busy");
	assert_false(a.unsure);
	assert_int_equal(datafs_http_log(h, &r, &a, "f", datafs_http_errno(a.status), NULL), -EBUSY);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 8);
}

/* Where nothing gets through any more, nothing is sent again. */
static void budget(void **state)
{
	struct http_say say[HTTP_ASKED_MAX];
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	for (size_t i = 0; i < N(say); i++)
		say[i] = (struct http_say){ .text = BUSY };
	http_serve(say, N(say));
	r = get("/f");
	h->budget = 10;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
		datafs_http_answer_free(&a);
	}
	datafs_http_close(h);
	assert_int_equal(http_served(), 4 + 10);
}

static void retry_after(void **state)
{
	const struct http_say say[] = {
		SAY("HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"),
		SAY("HTTP/1.1 503 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"),
		SAY(OK10),
	};
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	http_serve(say, N(say));
	r = get("/f");
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 503);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 2);
	assert_int_equal(http_waited, 7 * DATAFS_SEC);
}

/* What may have been done is not done twice, if it must not be. */
static void once(void **state)
{
	const struct http_say say[] = {
		{ BUSY, 0, THEN_CLOSE }, { "", 0, THEN_CLOSE }, SAY(OK10),
	};
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	http_serve(say, N(say));
	r = get("/f");
	r.method = "PUT";
	r.body = "hello";
	r.body_len = 5;
	r.once = true;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_PUT, &r, &a), -ECONNRESET);
	assert_true(a.sent);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 2);
	assert_non_null(strstr(http_asked(1), "\r\n\r\nhello"));
	assert_non_null(strstr(http_asked(1), "Content-Length: 5\r\n"));
}

static int refuse(void *arg, const struct datafs_http_answer *a)
{
	assert_int_equal(a->status, 206);
	++*(int *)arg;
	return -ESTALE;
}

static void admits(void **state)
{
	const struct http_say say[] = { SAY(PART("bytes 3-6/10", "4", "3456")) };
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;
	int times = 0;

	(void)state;
	http_serve(say, N(say));
	r = range(3, 4);
	r.admit = refuse;
	r.arg = &times;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), -ESTALE);
	assert_int_equal(times, 1);
	assert_int_equal(a.got, 0);
	assert_int_equal((uint8_t)buf[0], 0xa5);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 1);
}

static void redirects(void **state)
{
	static const char to_self[] = "HTTP/1.1 302 Found\r\nLocation: /g\r\nContent-Length: 0\r\n\r\n",
		away[] = "HTTP/1.1 302 Found\r\nLocation: http://localhost:1/g\r\nContent-Length: 0\r\n\r\n",
		ftp[] = "HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/g\r\nContent-Length: 0\r\n\r\n";
	const struct http_say say[] = {
		SAY(to_self), SAY(OK10), SAY(to_self), SAY(to_self), SAY(OK10), SAY(away), SAY(ftp),
	};
	const struct datafs_http_auth auth = { .user = "u", .password = "secret" };
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	http_serve(say, N(say));
	r = get("/f");
	r.follow = 1;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 200);
	datafs_http_answer_free(&a);
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 302);
	datafs_http_answer_free(&a);
	r.auth = &auth;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 200);
	datafs_http_answer_free(&a);
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 302);
	assert_string_equal(a.location, "http://localhost:1/g");
	assert_true(*a.why);
	datafs_http_answer_free(&a);
	r.auth = NULL;
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), 0);
	assert_int_equal(a.status, 302);
	datafs_http_answer_free(&a);
	datafs_http_close(h);
	assert_int_equal(http_served(), 7);
	assert_true(!strncmp(http_asked(1), "GET /g ", 7));
	assert_null(strstr(http_asked(1), "Authorization"));
	assert_non_null(strstr(http_asked(4), "Authorization: Basic"));
	/* Nothing of who asked stays with the connection. */
	assert_null(strstr(http_asked(6), "Authorization"));
}

static void nobody(void **state)
{
	struct datafs_http *h = http_client();
	struct datafs_http_request r;
	struct datafs_http_answer a;

	(void)state;
	snprintf(http_base, sizeof(http_base), "http://127.0.0.1:1");
	r = get("/f");
	assert_int_equal(datafs_http_try(h, DATAFS_UNDER_M_GET, &r, &a), -ECONNREFUSED);
	assert_false(a.sent);
	datafs_http_answer_free(&a);
	assert_true(http_waited > 0);
	datafs_http_close(h);
}

static char trusted[1024];

/* All that is ever set is as wide as a pointer. */
CURLcode __wrap_curl_easy_setopt(CURL *c, CURLoption o, ...)
{
	static const struct {
		CURLoption o;
		const char *name;
	} of[] = {
		{ CURLOPT_CAINFO, "CAINFO" }, { CURLOPT_CAPATH, "CAPATH" },
		{ CURLOPT_PROXY_CAINFO, "PROXY_CAINFO" }, { CURLOPT_PROXY_CAPATH, "PROXY_CAPATH" },
	};
	void *value;
	va_list ap;

	va_start(ap, o);
	value = va_arg(ap, void *);
	va_end(ap);
	for (size_t i = 0; i < N(of); i++)
		if (of[i].o == o)
			snprintf(trusted + strlen(trusted), sizeof(trusted) - strlen(trusted),
				 "%s=%s ", of[i].name, value ? (const char *)value : "");
	return __real_curl_easy_setopt(c, o, value);
}

/* Who names an authority trusts no other one. */
static void authorities(void **state)
{
	struct datafs_http *h = http_client();
	char file[] = "/dev/null";
	CURL *c;

	(void)state;
	*trusted = 0;
	assert_int_equal(datafs_http_get_handle(h, &c), 0);
	assert_string_equal(trusted, "");
	http_opts.ca_file = file;
	datafs_http_put_handle(h, c);
	assert_int_equal(datafs_http_get_handle(h, &c), 0);
	assert_string_equal(trusted, "CAINFO=/dev/null CAPATH= PROXY_CAINFO=/dev/null PROXY_CAPATH= ");
	datafs_http_put_handle(h, c);
	datafs_http_close(h);
}

static void opening(void **state)
{
	struct datafs_http *h = http_client();
	char none[] = "/none/ca";

	(void)state;
	datafs_http_close(h);
	http_opts.ca_file = none;
	assert_int_equal(datafs_http_open(&http_under, "test", &h), -EINVAL);
	datafs_http_close(NULL);
}

static void statuses(void **state)
{
	static const struct {
		uint32_t status;
		int err;
		bool again;
	} c[] = {
		{ 200, 0, false }, { 204, 0, false }, { 301, -EPROTO, false }, { 400, -EIO, false }, { 401, -EACCES, false },
		{ 403, -EACCES, false }, { 404, -ENOENT, false }, { 405, -EOPNOTSUPP, false }, { 409, -EIO, false },
		{ 412, -ESTALE, false }, { 416, -ERANGE, false }, { 429, -EBUSY, true }, { 500, -EIO, true },
		{ 501, -EOPNOTSUPP, false }, { 503, -EBUSY, true }, { 504, -ETIMEDOUT, true },
		{ 507, -EIO, false },
	};

	(void)state;
	for (size_t i = 0; i < N(c); i++) {
		assert_int_equal(datafs_http_errno(c[i].status), c[i].err);
		assert_int_equal(datafs_http_status_again(c[i].status), c[i].again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(right_ranges),
		cmocka_unit_test(wrong_ranges),
		cmocka_unit_test(bodies),
		cmocka_unit_test(again),
		cmocka_unit_test(gives_up),
		cmocka_unit_test(budget),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(once),
		cmocka_unit_test(admits),
		cmocka_unit_test(redirects),
		cmocka_unit_test(nobody),
		cmocka_unit_test(authorities),
		cmocka_unit_test(opening),
		cmocka_unit_test(statuses),
	};

	return cmocka_run_group_tests_name("http_try", tests, NULL, NULL);
}
