// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "http_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http_judge.h"
#include "http_pool.h"
#include "http_text.h"

/* A sending may take a minute, and as long as its bytes take at the least speed that is borne. */
#define DEADLINE_MS	60000
#define SILENT_MS	900000		/* ... or work as long at what it was asked for */
#define LEAST_SPEED	(64 << 10)	/* bytes a second */

/* A request while it runs. */
struct io {
	const struct datafs_http_request *r;
	struct datafs_http_answer *a;
	CURL *c;
	struct datafs_text text;
	size_t sent;		/* of the body */
	int64_t expected;	/* bytes of the body that has a place; -1: not known */
	bool begun;		/* the headers were judged */
	int err;		/* ended the transfer */
	char why[CURL_ERROR_SIZE];	/* libcurl's, which says so of our own ends, too */
};

/* An answer that does not hold together. */
static int nonsense(struct io *io, const char *what)
{
	snprintf(io->a->why, sizeof(io->a->why), "%s", what);
	return -EPROTO;
}

/* Is the body, if it is what was asked for, put where the caller wants it? */
static bool has_place(const struct datafs_http_request *r)
{
	return r->into || r->take;
}

static bool is_2xx(const struct datafs_http_answer *a)
{
	return a->status / 100 == 2;
}

/* ---- headers ---- */

/* NULL: there is none. Of several the last one, and *@n is how many. */
static const char *header_of(struct io *io, const char *name, size_t *n)
{
	struct curl_header *hd;

	*n = 0;
	if (curl_easy_header(io->c, name, 0, CURLH_HEADER, -1, &hd) != CURLHE_OK)
		return NULL;
	*n = hd->amount;
	if (hd->amount > 1 && curl_easy_header(io->c, name, hd->amount - 1, CURLH_HEADER, -1,
					       &hd) != CURLHE_OK)
		return NULL;
	return hd->value;
}

static int take_wanted(struct io *io)
{
	const struct datafs_http_request *r = io->r;
	const char *v;
	size_t n;

	for (int i = 0; r->want && r->want[i]; i++) {
		v = header_of(io, r->want[i], &n);
		if (n > 1)
			return nonsense(io, "a header is there twice");
		if (!v)
			continue;
		io->a->value[i] = strdup(v);
		if (!io->a->value[i])
			return -ENOMEM;
	}
	return 0;
}

static void take_id(struct io *io)
{
	static const char *const names[] = { "x-amz-request-id", "x-request-id", "x-trans-id" };
	const char *v;
	size_t n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !*io->a->id; i++) {
		v = header_of(io, names[i], &n);
		if (v)
			snprintf(io->a->id, sizeof(io->a->id), "%s", v);
	}
}

static int take_length(struct io *io)
{
	const char *v;
	size_t n;

	v = header_of(io, "Content-Length", &n);
	if (!v)
		return 0;
	if (n > 1 || datafs_http_number(v, &io->a->length))
		return nonsense(io, "the Content-Length is none");
	return 0;
}

/* Do these bytes lie where they were asked for? */
static int take_range(struct io *io)
{
	const struct datafs_http_request *r = io->r;
	int64_t first, last, total, end;
	const char *v;
	size_t n;

	v = header_of(io, "Content-Range", &n);
	if (!v || n > 1 || datafs_http_range(v, &first, &last, &total))
		return io->a->status == 206 ? nonsense(io, "the Content-Range is none") : 0;
	io->a->total = total;
	if (io->a->status != 206)
		return 0;
	end = r->off + r->len;
	if (total >= 0 && total < end)
		end = total;
	if (first < 0 || (uint64_t)first != r->off || last != end - 1)
		return nonsense(io, "another range than was asked for");
	io->expected = last - first + 1;
	if (io->a->length >= 0 && io->a->length != io->expected)
		return nonsense(io, "the Content-Length is not that of the range");
	return 0;
}

/* The whole is the range as well, if that begins with it and goes on at least as far. */
static int whole_for_range(struct io *io)
{
	const struct datafs_http_request *r = io->r;

	if (r->off || io->a->length < 0 || (uint64_t)io->a->length > r->len)
		return nonsense(io, "the server does not answer to ranges");
	io->a->total = io->a->length;
	return 0;
}

/* Can it be told that the body has come as a whole? */
static bool has_end(struct io *io)
{
	const char *coding;
	long version = 0;
	size_t n;

	coding = header_of(io, "Transfer-Encoding", &n);
	curl_easy_getinfo(io->c, CURLINFO_HTTP_VERSION, &version);
	return io->a->length >= 0 || io->expected >= 0 || version >= CURL_HTTP_VERSION_2_0 ||
	       (coding && !strcasecmp(coding, "chunked")) || io->a->status == 204;
}

static int judge_2xx(struct io *io)
{
	const struct datafs_http_request *r = io->r;
	int err = 0;

	if (r->ranged && io->a->status != 206)
		err = io->a->status == 200 ? whole_for_range(io) :
					     nonsense(io, "no answer to a range");
	else if (!r->ranged && io->a->status == 206)
		err = nonsense(io, "a range, which was not asked for");
	if (!err && has_place(r) && io->expected < 0)
		io->expected = io->a->length;
	if (!err && has_place(r) && io->expected > (int64_t)r->room)
		err = nonsense(io, "more bytes than were asked for");
	if (!err && !strcmp(r->method, "GET") && !has_end(io))
		err = nonsense(io, "nothing says where the body ends");
	if (!err && r->admit)
		err = r->admit(r->arg, io->a);
	return err;
}

/* All headers are there, and no byte of the body has been taken. */
static int begin(struct io *io)
{
	struct datafs_http_answer *a = io->a;
	const char *v;
	long status = 0;
	size_t n;
	int err;

	io->begun = true;
	curl_easy_getinfo(io->c, CURLINFO_RESPONSE_CODE, &status);
	a->status = status;
	take_id(io);
	v = header_of(io, "Retry-After", &n);
	if (v && datafs_http_retry_after(v, time(NULL), &a->retry_after))
		a->retry_after = -1;
	err = take_wanted(io);
	if (!err)
		err = take_length(io);
	if (!err && io->r->ranged)
		err = take_range(io);
	if (!err && is_2xx(a))
		err = judge_2xx(io);
	return err;
}

/* ---- bodies ---- */

/* How many of @n bytes were put where they belong; fewer end the transfer. */
static size_t put_body(struct io *io, const char *p, size_t n)
{
	const struct datafs_http_request *r = io->r;

	if (n > r->room - io->a->got)
		io->err = nonsense(io, "more bytes than were asked for");
	else if (r->take)
		io->err = r->take(r->arg, (r->ranged ? r->off : 0) + io->a->got, p, n);
	else
		memcpy((char *)r->into + io->a->got, p, n);
	if (io->err)
		return 0;
	io->a->got += n;
	return n;
}

static size_t take_body(char *p, size_t one, size_t n, void *arg)
{
	struct io *io = arg;
	const struct datafs_http_request *r = io->r;
	size_t max = DATAFS_HTTP_TEXT_MAX;

	(void)one;
	if (!io->begun)
		io->err = begin(io);
	if (io->err)
		return 0;
	if (is_2xx(io->a) && has_place(r))
		return put_body(io, p, n);
	if (is_2xx(io->a) && r->text_max)
		max = r->text_max;
	if (n > max - io->text.len) {
		if (is_2xx(io->a)) {
			io->err = nonsense(io, "the answer is too long");
			return 0;
		}
		datafs_text_add(&io->text, p, max - io->text.len);
		return n;
	}
	datafs_text_add(&io->text, p, n);
	return n;
}

static size_t give_body(char *p, size_t one, size_t n, void *arg)
{
	struct io *io = arg;

	(void)one;
	n = DATAFS_MIN(n, io->r->body_len - io->sent);
	if (n)
		memcpy(p, (const char *)io->r->body + io->sent, n);
	io->sent += n;
	return n;
}

static int seek_body(void *arg, curl_off_t off, int origin)
{
	struct io *io = arg;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > io->r->body_len)
		return CURL_SEEKFUNC_FAIL;
	io->sent = off;
	return CURL_SEEKFUNC_OK;
}

/* ---- the request ---- */

static long deadline_of(const struct datafs_http_request *r)
{
	uint64_t bytes = r->body_len + (has_place(r) ? r->room : r->text_max);

	if (r->deadline)
		return r->deadline;
	return (r->silent ? SILENT_MS : DEADLINE_MS) + bytes * 1000 / LEAST_SPEED;
}

static void set_auth(CURL *c, const struct datafs_http_auth *auth)
{
	if (!auth || !auth->user)
		return;
	curl_easy_setopt(c, CURLOPT_USERNAME, auth->user);
	curl_easy_setopt(c, CURLOPT_PASSWORD, auth->password);
	if (auth->sigv4)
		curl_easy_setopt(c, CURLOPT_AWS_SIGV4, auth->sigv4);
	else
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
}

static void set_request(struct io *io)
{
	const struct datafs_http_request *r = io->r;
	CURL *c = io->c;
	char range[48];

	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, io->why);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, deadline_of(r));
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, io);
	if (!strcmp(r->method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (!strcmp(r->method, "PUT") || !strcmp(r->method, "POST")) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(c, CURLOPT_READDATA, io);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, seek_body);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, io);
	}
	if (strcmp(r->method, "HEAD"))
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	if (r->ranged) {
		snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, r->off,
			 r->off + r->len - 1);
		curl_easy_setopt(c, CURLOPT_RANGE, range);
	}
	if (r->silent)
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 0L);
	/* Of one that is closed just then, libcurl itself would send the request again. */
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, (long)r->once);
	set_auth(c, r->auth);
}

/* Has anything of it gone out? */
static bool was_sent(CURL *c)
{
	long n = 0;

	curl_easy_getinfo(c, CURLINFO_REQUEST_SIZE, &n);
	return n > 0;
}

/* libcurl knows it when the transfer has ended. */
static int take_location(struct io *io)
{
	char *location = NULL;

	curl_easy_getinfo(io->c, CURLINFO_REDIRECT_URL, &location);
	if (!location)
		return 0;
	io->a->location = strdup(location);
	return io->a->location ? 0 : -ENOMEM;
}

static int finish(struct io *io, CURLcode code)
{
	struct datafs_http_answer *a = io->a;

	if (!io->begun && code == CURLE_OK)
		io->err = begin(io);
	if (!io->err && code == CURLE_OK)
		io->err = take_location(io);
	a->sent = was_sent(io->c);
	a->text = io->text.s;
	a->text_len = io->text.len;
	if (io->err)
		return io->err;
	if (io->text.failed)
		return -ENOMEM;
	if (code != CURLE_OK) {
		snprintf(a->why, sizeof(a->why), "%s",
			 *io->why ? io->why : curl_easy_strerror(code));
		return datafs_http_curl_errno(code, &a->again);
	}
	if (!is_2xx(a) || !has_place(io->r) || !strcmp(io->r->method, "HEAD"))
		return 0;
	if (io->expected >= 0 && a->got != (uint64_t)io->expected) {
		a->again = true;
		nonsense(io, "fewer or more bytes than were announced");
		return -ECONNRESET;
	}
	return 0;
}

int datafs_http_io(struct datafs_http *h, const struct datafs_http_request *r,
		   struct datafs_http_answer *a)
{
	struct io io = { .r = r, .a = a, .expected = -1 };
	int err;

	memset(a, 0, sizeof(*a));
	a->length = a->total = a->retry_after = -1;
	err = datafs_http_get_handle(h, &io.c);
	if (err)
		return err;
	set_request(&io);
	err = finish(&io, curl_easy_perform(io.c));
	datafs_http_put_handle(h, io.c);
	return err;
}

void datafs_http_answer_free(struct datafs_http_answer *a)
{
	for (int i = 0; i < DATAFS_HTTP_WANT_MAX; i++)
		free(a->value[i]);
	free(a->text);
	free(a->location);
	memset(a, 0, sizeof(*a));
}

const char *datafs_http_value(const struct datafs_http_request *r,
			      const struct datafs_http_answer *a, const char *name)
{
	for (int i = 0; r->want && r->want[i]; i++)
		if (!strcasecmp(r->want[i], name))
			return a->value[i];
	return NULL;
}
