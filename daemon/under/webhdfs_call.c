// SPDX-License-Identifier: Apache-2.0
/*
 * Requests to a namenode, and to the datanodes that it names. It names them with a redirect
 * (307), which all versions do; what is before a datanode (HttpFS) may answer by itself.
 *
 * URLs hold secrets: none is logged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_judge.h"
#include "http_text.h"
#include "http_try.h"
#include "webhdfs_internal.h"

#define DELEGATION	"&delegation="
#define TOKEN_PART	16

bool datafs_webhdfs_key_ok(const char *key)
{
	static const size_t n = sizeof(WEBHDFS_HIDDEN) - 1;

	for (; key; key = strchr(key, '/')) {
		key += *key == '/';
		if (!strncmp(key, WEBHDFS_HIDDEN, n) && (!key[n] || key[n] == '/'))
			return false;
	}
	return true;
}

/* NULL: no memory. */
static char *url_of(const struct webhdfs *s, const struct webhdfs_call *c)
{
	struct datafs_text t = { 0 };

	datafs_text_puts(&t, s->base);
	if (*c->key || !s->base[s->root])
		datafs_text_puts(&t, "/");
	datafs_text_percent(&t, c->key, true);
	datafs_text_printf(&t, "?op=%s%s", c->op, s->who);
	if (!t.failed)
		return t.s;
	datafs_text_free(&t);
	return NULL;
}

static bool is_fact(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -EEXIST:
	case -ENOTEMPTY:
	case -ESTALE:
	case -ENOMEM:
	case -ECANCELED:
		return true;
	default:
		return false;
	}
}

/*
 * A server, or who stands before it, may say again what it was asked, a part of the token
 * too: its words are cut.
 */
static void hide_token(const struct webhdfs *s, char *why, size_t room)
{
	const char *token = s->who + strlen(DELEGATION);
	bool known = !strncmp(s->who, DELEGATION, strlen(DELEGATION));

	if (strcasestr(why, DELEGATION + 1) ||
	    (known && memmem(why, strlen(why), token, strnlen(token, TOKEN_PART))))
		snprintf(why, room, "(has a secret in it)");
}

/* @err of the transfer, or what the answer means: what a status says, better said by words. */
static int judge(struct webhdfs *s, const struct datafs_http_request *r,
		 const struct webhdfs_call *c, const struct datafs_http_answer *a, int err)
{
	char why[300] = "";
	int told;

	if (!err && a->status / 100 == 2)
		return 0;
	if (!err) {
		told = datafs_webhdfs_exception(a->text, a->text_len, why, sizeof(why));
		hide_token(s, why, sizeof(why));
		err = told ? told : datafs_http_errno(a->status);
		/* A bare status is of whatever answered, which need not know of any file. */
		if (!told && (err == -ENOENT || err == -ESTALE))
			err = -EIO;
	}
	if (is_fact(err) || c->quiet)
		return err;
	return datafs_http_log(s->http, r, a, c->key, err, why);
}

int datafs_webhdfs_ask(struct webhdfs *s, const struct webhdfs_call *c,
		       struct datafs_http_answer *a)
{
	static const char *const want[] = { "Date", NULL };
	struct datafs_http_request r = {
		.method = c->method, .url = url_of(s, c), .want = want,
		.text_max = c->m == DATAFS_UNDER_M_LIST ? WEBHDFS_TEXT_MAX : 0,
	};
	int err;

	memset(a, 0, sizeof(*a));
	if (!r.url)
		return -ENOMEM;
	err = datafs_http_try(s->http, c->m, &r, a);
	err = judge(s, &r, c, a, err);
	free((char *)r.url);
	return err;
}

int datafs_webhdfs_do(struct webhdfs *s, const struct webhdfs_call *c, bool *yes, bool *said)
{
	struct datafs_http_answer a;
	int err = datafs_webhdfs_ask(s, c, &a);

	if (!err) {
		*yes = true;
		if (a.text_len)
			err = datafs_webhdfs_boolean(a.text, a.text_len, yes);
		if (said)
			*said = a.text_len;
	}
	datafs_http_answer_free(&a);
	return err;
}

static bool may_go(const char *from, const char *to)
{
	if (!strncasecmp(to, "https://", 8))
		return true;
	return !strncasecmp(to, "http://", 7) && !strncasecmp(from, "http://", 7);
}

/*
 * The namenode is asked without a body. *@done: it has answered by itself. Otherwise @to
 * becomes the URL of a datanode.
 */
static int name_node(struct webhdfs *s, const struct webhdfs_call *c,
		     struct datafs_http_request *r, char **to, bool *done)
{
	struct datafs_http_answer a;
	uint64_t got;
	int err;

	*done = false;
	err = datafs_http_try(s->http, DATAFS_UNDER_M_OTHER, r, &a);
	got = a.got;
	if (!err && a.status / 100 == 3 && a.location && may_go(r->url, a.location)) {
		*to = a.location;
		a.location = NULL;
	} else if (!err && a.status / 100 == 3) {
		err = datafs_http_log(s->http, r, &a, c->key, -EPROTO, a.location ?
				      "a redirect that is not followed" : "no datanode is named");
	} else {
		err = judge(s, r, c, &a, err);
		*done = !err;
		/* To have written without the bytes is to have made something else. */
		if (*done && (!r->into || got != r->room))
			err = datafs_http_log(s->http, r, &a, c->key, -EPROTO,
					      "an answer where a datanode should be named");
	}
	datafs_http_answer_free(&a);
	return err;
}

static int data_node(struct webhdfs *s, const struct webhdfs_call *c,
		     const struct datafs_http_request *r)
{
	struct datafs_http_answer a;
	int err = datafs_http_try(s->http, c->m, r, &a);

	err = judge(s, r, c, &a, err);
	if (!err && r->into && a.got != r->room)
		err = datafs_http_log(s->http, r, &a, c->key, -EPROTO,
				      "fewer bytes than were asked for");
	datafs_http_answer_free(&a);
	return err;
}

static int two_steps(struct webhdfs *s, const struct webhdfs_call *c,
		     struct datafs_http_request *first, struct datafs_http_request *second)
{
	char *url = url_of(s, c), *to = NULL;
	bool done;
	int err;

	if (!url)
		return -ENOMEM;
	first->url = url;
	err = name_node(s, c, first, &to, &done);
	if (!err && !done) {
		second->url = to;
		err = data_node(s, c, second);
	}
	free(url);
	free(to);
	return err;
}

int datafs_webhdfs_fetch(struct webhdfs *s, const struct webhdfs_call *c, void *into, size_t len)
{
	struct datafs_http_request r = { .method = c->method, .into = into, .room = len }, same = r;

	return two_steps(s, c, &r, &same);
}

int datafs_webhdfs_send(struct webhdfs *s, const struct webhdfs_call *c, const void *body,
			size_t len)
{
	struct datafs_http_request r = { .method = c->method }, full = r;
	struct curl_slist *type = curl_slist_append(NULL, "Content-Type: application/octet-stream");
	int err;

	full.body = body;
	full.body_len = len;
	full.headers = type;
	/* An APPEND that was carried out must not be again. */
	full.once = !strcmp(c->method, "POST");
	err = two_steps(s, c, &r, &full);
	curl_slist_free_all(type);
	return err;
}
