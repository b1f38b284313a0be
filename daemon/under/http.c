// SPDX-License-Identifier: Apache-2.0
/*
 * Files of a web server, which are read only.
 *
 * A state is named by its strong ETag, and asked for with If-Match. Without one it is named
 * by Last-Modified and the size: asked for with If-Unmodified-Since, and looked at again
 * after each fetch. Both are stamps of whole seconds on most servers, so that a state is
 * doubted while it is young, unless the server has no times at all.
 *
 * A fingerprint's tag is the ETag with its quotes, or the date, which has none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "http_io.h"
#include "http_judge.h"
#include "http_list.h"
#include "http_text.h"
#include "http_try.h"

#define HOPS		5	/* redirects, one behind the other */
#define TAG_MAX		32	/* of a tag that a fingerprint has as it is */
#define DATE_LEN	29	/* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct http {
	struct datafs_under u;
	struct datafs_http *http;
	char *base;		/* the root's URL, which ends with a '/' */
};

/* In this order in an answer. */
static const char *const wanted[] = { "ETag", "Last-Modified", "Date", "Content-Type", NULL };

static struct http *http_of(struct datafs_under *u)
{
	return (struct http *)u;
}

/* The URL of @key, with a '/' at its end if it is a directory; NULL: no memory. */
static char *url_of(const struct http *s, const char *key, bool dir)
{
	struct datafs_text t = { 0 };

	datafs_text_puts(&t, s->base);
	datafs_text_percent(&t, key, true);
	if (dir && *key)
		datafs_text_puts(&t, "/");
	if (!t.failed)
		return t.s;
	datafs_text_free(&t);
	return NULL;
}

/* What a status means here; 0 of 2xx. */
static int status_errno(uint32_t status)
{
	return status == 414 ? -ENAMETOOLONG : datafs_http_errno(status);
}

/* Facts of the object are no trouble; of all else there is a line. */
static int tell(struct http *s, const struct datafs_http_request *r,
		const struct datafs_http_answer *a, const char *key, int err, const char *detail)
{
	if (err == -ENOENT || err == -ESTALE || err == -ENOMEM || err == -ECANCELED)
		return err;
	return datafs_http_log(s->http, r, a, key, err, detail);
}

/* ---- states ---- */

/* The tag that names the state in @a, or NULL. */
static const char *tag_of(const struct datafs_http_request *r, const struct datafs_http_answer *a)
{
	const char *etag = datafs_http_value(r, a, "ETag"), *in;
	const char *date = datafs_http_value(r, a, "Last-Modified");
	struct timespec at;
	size_t len;

	if (etag && *etag == '"' && !datafs_http_etag(etag, &in, &len))
		return etag;
	if (date && strlen(date) == DATE_LEN && !datafs_http_date(date, &at))
		return date;
	return NULL;
}

static void attributes(const struct datafs_under_opts *o, struct datafs_under_stat *st,
		       bool dir)
{
	st->mode = dir ? S_IFDIR | o->dir_mode : S_IFREG | o->file_mode;
	st->uid = o->uid;
	st->gid = o->gid;
	st->nlink = 1;
}

/* Directories have no state of their own here. */
static void directory(const struct http *s, struct datafs_under_stat *st)
{
	struct timespec seen = st->seen;

	*st = (struct datafs_under_stat){ .seen = seen };
	attributes(s->u.opts, st, true);
}

/*
 * The length of what a HEAD has found without telling it: Apache leaves out that of what
 * is empty, and others all that they make while they send it.
 */
static int ask_length(struct http *s, const char *key, const char *url, int64_t *length)
{
	char byte;
	struct datafs_http_request r = {
		.method = "GET", .url = url, .ranged = true, .len = 1, .into = &byte, .room = 1,
	};
	struct datafs_http_answer a;
	int err = datafs_http_try(s->http, DATAFS_UNDER_M_STAT, &r, &a);

	if (!err)
		err = status_errno(a.status);
	*length = a.total;
	if (err == -ERANGE ? a.total : !err && a.total < 0)
		err = -EOPNOTSUPP;
	else if (err == -ERANGE)
		err = 0;
	if (err)
		err = tell(s, &r, &a, key, err,
			   err == -EOPNOTSUPP ? "the server does not tell its length" : NULL);
	datafs_http_answer_free(&a);
	return err;
}

/* A file, as the headers in @a have it. */
static int file(struct http *s, const struct datafs_http_request *r,
		const struct datafs_http_answer *a, const char *key, struct datafs_under_stat *st)
{
	const char *tag = tag_of(r, a), *date = datafs_http_value(r, a, "Last-Modified");
	const char *now = datafs_http_value(r, a, "Date");
	bool dated = date && !datafs_http_date(date, &st->mtime);
	int64_t length = a->length;
	int err;

	if (!tag)
		return tell(s, r, a, key, -EOPNOTSUPP,
			    "the server tells neither ETag nor Last-Modified: states cannot be told apart");
	if (length < 0) {
		err = ask_length(s, key, r->url, &length);
		if (err)
			return err;
	}
	attributes(s->u.opts, st, false);
	st->size = length;
	st->blocks = datafs_round_up(st->size, 512) / 512;
	st->ctime = st->atime = st->mtime;
	st->strong = !dated;
	st->fp = datafs_fingerprint_tag(tag, strlen(tag), st->size);
	if (now)
		datafs_http_date(now, &st->seen);
	return 0;
}

/* ---- looking ---- */

/* Does the server say of @url that it is a directory, whose URL is another by a '/'? */
static bool leads_inside(const char *url, const char *location)
{
	CURLU *u = curl_url(), *l = curl_url();
	char *from = NULL, *to = NULL;
	bool inside = false;
	long len;

	/* CURLU_URLDECODE would refuse bytes that a name may have. */
	if (u && l && !curl_url_set(u, CURLUPART_URL, url, 0) &&
	    !curl_url_set(l, CURLUPART_URL, location, 0) &&
	    !curl_url_get(u, CURLUPART_PATH, &from, 0) &&
	    !curl_url_get(l, CURLUPART_PATH, &to, 0)) {
		len = datafs_http_unescape(from, false);
		inside = len >= 0 && datafs_http_unescape(to, false) == len + 1 &&
			 !memcmp(from, to, len) && to[len] == '/';
	}
	curl_free(from);
	curl_free(to);
	curl_url_cleanup(u);
	curl_url_cleanup(l);
	return inside;
}

static bool may_follow(const char *from, const char *to)
{
	if (!strncasecmp(to, "https://", 8))
		return true;
	return !strncasecmp(to, "http://", 7) && !strncasecmp(from, "http://", 7);
}

/* Asks for the headers at *@url, which a redirect that is to be followed replaces: 1. */
static int look(struct http *s, const char *key, char **url, struct datafs_under_stat *st)
{
	struct datafs_http_request r = { .method = "HEAD", .url = *url, .want = wanted };
	struct datafs_http_answer a;
	char *next = NULL;
	int err;

	err = datafs_http_try(s->http, DATAFS_UNDER_M_STAT, &r, &a);
	if (err) {
		err = tell(s, &r, &a, key, err, NULL);
	} else if (a.status / 100 == 3 && a.location && leads_inside(*url, a.location)) {
		directory(s, st);
	} else if (a.status / 100 == 3 && a.location && may_follow(*url, a.location)) {
		next = strdup(a.location);
		err = next ? 1 : -ENOMEM;
	} else if (!*key && (a.status == 200 || a.status == 403)) {
		/* The root is no secret; what is in it may be. */
		directory(s, st);
	} else if (a.status == 200) {
		err = file(s, &r, &a, key, st);
	} else {
		err = status_errno(a.status);
		err = tell(s, &r, &a, key, err ? err : -EPROTO,
			   a.location ? "a redirect that is not followed" : NULL);
	}
	datafs_http_answer_free(&a);
	if (err == 1) {
		free(*url);
		*url = next;
	}
	return err;
}

static int http_stat(struct datafs_under *u, const char *key, struct datafs_under_stat *st)
{
	struct http *s = http_of(u);
	char *url = url_of(s, key, false);
	int err = url ? 1 : -ENOMEM;

	memset(st, 0, sizeof(*st));
	clock_gettime(CLOCK_REALTIME, &st->seen);
	for (int i = 0; i <= HOPS && err == 1; i++)
		err = look(s, key, &url, st);
	free(url);
	if (err != 1)
		return err;
	datafs_under_log(s->u.opts, LOG_ERR, "%s: \"%s\": more than %d redirects", s->base, key,
			 HOPS);
	return -ELOOP;
}

/* ---- listing ---- */

/* @place is the last name that was taken. */
static int give(struct http *s, const struct datafs_http_list *l, struct datafs_under_place *place,
		datafs_under_list_fn fn, void *arg)
{
	struct datafs_under_stat st;

	memset(&st, 0, sizeof(st));
	clock_gettime(CLOCK_REALTIME, &st.seen);
	directory(s, &st);
	for (size_t i = 0; i < l->n; i++) {
		const struct datafs_http_entry *e = &l->v[i];
		int ret;

		if (strcmp(e->name, place->token) <= 0)
			continue;
		ret = fn(arg, e->name, e->dir ? &st : NULL);
		if (ret < 0)
			return ret;
		snprintf(place->token, sizeof(place->token), "%s", e->name);
		if (ret)
			return ret;
	}
	return 0;
}

static int http_list(struct datafs_under *u, const char *key, struct datafs_under_place *place,
		     datafs_under_list_fn fn, void *arg)
{
	struct http *s = http_of(u);
	char *url = url_of(s, key, true);
	struct datafs_http_request r = {
		.method = "GET", .url = url, .want = wanted, .text_max = DATAFS_HTTP_LIST_MAX,
		.follow = HOPS,
	};
	struct datafs_http_list l = { 0 };
	struct datafs_http_answer a;
	int err;

	if (!url)
		return -ENOMEM;
	place->token[sizeof(place->token) - 1] = 0;
	err = datafs_http_try(s->http, DATAFS_UNDER_M_LIST, &r, &a);
	if (!err)
		err = status_errno(a.status);
	if (err) {
		err = tell(s, &r, &a, key, err, NULL);
	} else {
		err = datafs_http_list_parse(a.text ? a.text : "", a.text_len,
					     datafs_http_value(&r, &a, "Content-Type"), &l);
		if (err)
			err = tell(s, &r, &a, key, err,
				   "not a listing as nginx (autoindex) or Apache (mod_autoindex) make it");
	}
	datafs_http_answer_free(&a);
	free(url);
	if (!err && l.skipped)
		datafs_under_log(s->u.opts, LOG_DEBUG, "%s: \"%s\": %zu names that cannot be shown are left out",
				 s->base, key, l.skipped);
	if (!err)
		err = give(s, &l, place, fn, arg);
	datafs_http_list_free(&l);
	return err;
}

/* ---- reading ---- */

struct fetch {
	const struct datafs_http_request *r;
	const struct datafs_fingerprint *fp;
	datafs_under_take_fn take;	/* of a stream */
	void *arg;
};

/* Are these bytes of the state that is wanted? A server need not know the conditions. */
static int admit(void *arg, const struct datafs_http_answer *a)
{
	const struct fetch *f = arg;
	int64_t size = a->status == 206 ? a->total : a->length;
	const char *tag = tag_of(f->r, a);
	struct datafs_fingerprint fp;

	if (!tag || size < 0)
		return -EPROTO;
	fp = datafs_fingerprint_tag(tag, strlen(tag), size);
	if (memcmp(&fp, f->fp, sizeof(fp)))
		return -ESTALE;
	return 0;
}

/* The condition that @fp puts on a request; NULL: none can be made of it, or no memory. */
static struct curl_slist *condition(const struct datafs_fingerprint *fp)
{
	char tag[TAG_MAX + 1] = "", line[TAG_MAX + 32];
	uint64_t len = fp->v[1];

	if (len > TAG_MAX)
		return NULL;
	memcpy(tag, &fp->v[2], len);
	/* It comes from a database: no line of a request is made of it but this one. */
	for (uint64_t i = 0; i < len; i++)
		if ((unsigned char)tag[i] < ' ' || (tag[i] == '"' && i && i != len - 1))
			return NULL;
	snprintf(line, sizeof(line), "%s: %s", *tag == '"' ? "If-Match" : "If-Unmodified-Since",
		 tag);
	return curl_slist_append(NULL, line);
}

static bool is_dated(const struct datafs_fingerprint *fp)
{
	return fp->v[1] == DATE_LEN && *(const char *)&fp->v[2] != '"';
}

static int look_again(struct datafs_under *u, const char *key, const struct datafs_fingerprint *fp)
{
	struct datafs_under_stat st;
	int err = http_stat(u, key, &st);

	if (err == -ENOENT || (!err && memcmp(&st.fp, fp, sizeof(*fp))))
		return -ESTALE;
	return err;
}

static int fetch(struct http *s, const char *key, const struct datafs_http_request *r)
{
	struct datafs_http_answer a;
	int err = datafs_http_try(s->http, DATAFS_UNDER_M_GET, r, &a);

	if (!err)
		err = status_errno(a.status);
	/* Gone, or shorter than it was. */
	if (err == -ENOENT || err == -ERANGE)
		err = -ESTALE;
	if (!err && a.got != r->len)
		err = -EPROTO;
	if (err)
		err = tell(s, r, &a, key, err, NULL);
	datafs_http_answer_free(&a);
	return err;
}

static int take_some(void *arg, uint64_t at, const void *p, size_t n)
{
	struct fetch *f = arg;

	return f->take(f->arg, at, p, n);
}

/* What @of says: into @buf, or given to its take. */
static ssize_t get(struct datafs_under *u, const char *key, uint64_t off, void *buf, uint64_t len,
		   const struct fetch *of)
{
	struct http *s = http_of(u);
	const struct datafs_fingerprint *fp = of->fp;
	struct fetch f = *of;
	struct curl_slist *headers;
	struct datafs_http_request r = {
		.method = "GET", .want = wanted, .ranged = true, .off = off, .into = buf,
		.take = buf ? NULL : take_some, .admit = admit, .arg = &f, .follow = HOPS,
	};
	uint64_t size = fp->v[0];
	int err, again = 0;
	char *url;

	if (!len || off >= size)
		return 0;
	url = url_of(s, key, false);
	if (!url)
		return -ENOMEM;
	headers = condition(fp);
	r.url = url;
	r.headers = headers;
	f.r = &r;
	r.len = r.room = DATAFS_MIN(len, size - off);
	err = fetch(s, key, &r);
	/* A date does not say what happened while the bytes came, nor nonsense what it is of. */
	if ((!err && is_dated(fp)) || err == -EPROTO)
		again = look_again(u, key, fp);
	err = again ? again : err;
	curl_slist_free_all(headers);
	free(url);
	return err ? err : (ssize_t)r.len;
}

static ssize_t http_read(struct datafs_under *u, const char *key,
			 const struct datafs_fingerprint *fp, uint64_t off, void *buf, size_t len)
{
	struct fetch f = { .fp = fp };

	return get(u, key, off, buf, len, &f);
}

static int http_stream(struct datafs_under *u, const char *key,
		       const struct datafs_fingerprint *fp, uint64_t off, uint64_t len,
		       datafs_under_take_fn take, void *arg)
{
	struct fetch f = { .fp = fp, .take = take, .arg = arg };
	ssize_t n;

	/* Whether the date was still that one is known when the last byte is there. */
	if (is_dated(fp))
		return -EOPNOTSUPP;
	n = get(u, key, off, NULL, len, &f);
	if (n < 0)
		return n;
	return (uint64_t)n < len ? -ESTALE : 0;
}

/* ---- the store ---- */

/* Of the parts of a URL those that a source must not have. Of a secret nothing is logged. */
static const struct {
	CURLUPart part;
	const char *why;
} refused[] = {
	{ CURLUPART_USER, "has a user, which all who see the mount would read; leave it out" },
	{ CURLUPART_PASSWORD, "has a password, which all who see the mount would read; leave it out" },
	{ CURLUPART_QUERY, "has a query ('?'), which is no directory; leave it out" },
	{ CURLUPART_FRAGMENT, "has a fragment ('#'); leave it out" },
};

static int parse_source(struct http *s, CURLU *url, const char *source)
{
	struct datafs_text t = { 0 };
	char *part;

	if (curl_url_set(url, CURLUPART_URL, source, 0)) {
		datafs_under_log(s->u.opts, LOG_ERR, "source %.*s...: not a URL; http://HOST[:PORT]/DIR is one",
				 (int)strcspn(source, ":"), source);
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!curl_url_get(url, refused[i].part, &part, 0)) {
			curl_free(part);
			datafs_under_log(s->u.opts, LOG_ERR, "source %.*s://...: %s",
					 (int)strcspn(source, ":"), source, refused[i].why);
			return -EINVAL;
		}
	if (curl_url_get(url, CURLUPART_URL, &part, 0))
		return -ENOMEM;
	datafs_text_puts(&t, part);
	if (!t.failed && t.s[t.len - 1] != '/')
		datafs_text_puts(&t, "/");
	curl_free(part);
	s->base = t.s;
	return t.failed ? -ENOMEM : 0;
}

static void http_close(struct datafs_under *u)
{
	struct http *s = http_of(u);

	datafs_http_close(s->http);
	free(s->base);
}

static int http_open(struct datafs_under *u, const char *source)
{
	struct http *s = http_of(u);
	CURLU *url = curl_url();
	int err = -ENOMEM;

	u->caps = DATAFS_UNDER_DIRS | DATAFS_UNDER_SORTED | DATAFS_UNDER_SAME;
	if (url)
		err = parse_source(s, url, source);
	curl_url_cleanup(url);
	if (!err)
		err = datafs_http_open(u, s->base, &s->http);
	if (err)
		http_close(u);
	return err;
}

const struct datafs_under_ops datafs_under_http = {
	.size = sizeof(struct http),
	.options = DATAFS_UNDER_FOR_NET,
	.open = http_open,
	.close = http_close,
	.stat = http_stat,
	.list = http_list,
	.read = http_read,
	.stream = http_stream,
};
