// SPDX-License-Identifier: Apache-2.0
/* The S3 under-store: a request, signed, and what its answer means. */
#define _GNU_SOURCE
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "datafs_abi.h"
#include "http_judge.h"
#include "s3_internal.h"

#define SHA256_LEN	32
#define TOKEN_PART	16

/* ---- keys ---- */

/*
 * Keys are UTF-8; what is not would be refused by some stores, and changed by others. A part that is
 * too long for a name is one here too: what is made is shown.
 */
static int check_key(struct s3 *s, const char *key, size_t more)
{
	if (strlen(s->prefix) + strlen(key) + more > DATAFS_S3_KEY_MAX)
		return -ENAMETOOLONG;
	if (!datafs_text_is_utf8(key))
		return -EILSEQ;
	while (*key) {
		size_t n = strcspn(key, "/");

		if (n > DATAFS_NAME_MAX)
			return -ENAMETOOLONG;
		key += n + !!key[n];
	}
	return 0;
}

static int make_key(struct s3 *s, const char *key, bool slash, char **res)
{
	int err = check_key(s, key, slash);

	if (!err && asprintf(res, "%s%s%s", s->prefix, key, slash ? "/" : "") < 0)
		err = -ENOMEM;
	return err;
}

int datafs_s3_prefix(struct s3 *s, const char *key, char **res)
{
	int err = check_key(s, key, 0);

	if (!err && asprintf(res, "%s%s%s", s->prefix, key, *key ? "/" : "") < 0)
		err = -ENOMEM;
	/* There cannot be such a key: so there is nothing below it. */
	return err == -EILSEQ ? -ENOENT : err;
}

int datafs_s3_begin(struct s3 *s, struct s3_req *r, enum datafs_under_method m,
		    const char *method, const char *key, bool slash)
{
	int err;

	memset(r, 0, sizeof(*r));
	r->m = m;
	r->http.method = method;
	datafs_text_puts(&r->url, s->base);
	datafs_text_puts(&r->url, "/");
	if (!key)
		return 0;
	err = make_key(s, key, slash, &r->key);
	if (err) {
		r->key = NULL;
		return err;
	}
	datafs_text_percent(&r->url, r->key, true);
	return 0;
}

void datafs_s3_param(struct s3_req *r, const char *name, const char *value)
{
	datafs_text_puts(&r->url, r->params ? "&" : "?");
	r->params = true;
	datafs_text_puts(&r->url, name);
	/* What is signed has it even without a value. */
	datafs_text_puts(&r->url, "=");
	if (value)
		datafs_text_percent(&r->url, value, false);
}

/* False: there is no memory, and the list is as it was. */
static bool append(struct curl_slist **l, const char *line)
{
	struct curl_slist *more = curl_slist_append(*l, line);

	if (more)
		*l = more;
	return more;
}

void datafs_s3_header(struct s3_req *r, const char *fmt, ...)
{
	va_list ap;
	char *line;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		line = NULL;
	va_end(ap);
	if (!line || !append(&r->headers, line))
		r->failed = true;
	free(line);
}

void datafs_s3_end(struct s3_req *r)
{
	datafs_http_answer_free(&r->a);
	curl_slist_free_all(r->headers);
	datafs_text_free(&r->url);
	free(r->key);
}

/* ---- sending ---- */

/* Headers that depend on who asks, before those of the request; NULL: no memory. */
static struct curl_slist *sign_headers(struct s3 *s, const struct s3_req *r,
				       const struct datafs_s3_keys *keys)
{
	char hash[2 * SHA256_LEN + 1], line[DATAFS_S3_TOKEN_MAX + 64];
	unsigned char digest[SHA256_LEN];
	struct curl_slist *l = NULL;
	bool ok = true;

	if (keys) {
		ok = EVP_Digest(r->http.body_len ? r->http.body : "", r->http.body_len, digest,
				NULL, EVP_sha256(), NULL);
		datafs_hex(digest, sizeof(digest), hash);
		snprintf(line, sizeof(line), "x-amz-content-sha256: %s", hash);
		ok = ok && append(&l, line);
		if (*keys->token) {
			snprintf(line, sizeof(line), "x-amz-security-token: %s", keys->token);
			ok = ok && append(&l, line);
			explicit_bzero(line, sizeof(line));
		}
	}
	if (s->u.opts->requester_pays)
		ok = ok && append(&l, "x-amz-request-payer: requester");
	/* So that the list is never empty, and one link joins both. */
	ok = ok && append(&l, "Accept: */*");
	if (ok)
		return l;
	curl_slist_free_all(l);
	return NULL;
}

/* As curl_slist_free_all(), of a list with a token in it. */
static void wipe_list(struct curl_slist *l)
{
	for (struct curl_slist *i = l; i; i = i->next)
		explicit_bzero(i->data, strlen(i->data));
	curl_slist_free_all(l);
}

static int send_as(struct s3 *s, struct s3_req *r, const struct datafs_s3_keys *keys)
{
	struct datafs_http_auth auth = { .sigv4 = s->sigv4 };
	struct curl_slist *own, *last;
	int err;

	own = sign_headers(s, r, keys);
	if (!own)
		return -ENOMEM;
	for (last = own; last->next; last = last->next)
		;
	last->next = r->headers;
	if (keys) {
		auth.user = keys->id;
		auth.password = keys->secret;
		r->http.auth = &auth;
	}
	r->http.url = r->url.s;
	r->http.headers = own;
	err = datafs_http_try(s->http, r->m, &r->http, &r->a);
	r->http.auth = NULL;
	r->http.headers = NULL;
	last->next = NULL;
	wipe_list(own);
	return err;
}

/* ---- what came back ---- */

static const struct {
	const char *code;
	int err;
} codes[] = {
	{ "NoSuchKey", -ENOENT },
	{ "NoSuchUpload", -ENOENT },
	/* Of which it is not proven that there is nothing. */
	{ "NoSuchBucket", -ENODEV },
	{ "PreconditionFailed", -ESTALE },
	{ "ConditionalRequestConflict", -EBUSY },
	{ "OperationAborted", -EBUSY },
	{ "NotImplemented", -EOPNOTSUPP },
	{ "KeyTooLongError", -ENAMETOOLONG },
	{ "EntityTooLarge", -EFBIG },
	{ "QuotaExceeded", -EDQUOT },
	{ "QuotaExceededError", -EDQUOT },
	{ "XMinioStorageFull", -ENOSPC },
	{ "AuthorizationHeaderMalformed", -EACCES },
	{ "ExpiredToken", -EACCES },
	{ "InvalidToken", -EACCES },
	{ "RequestTimeTooSkewed", -EACCES },
};

static int judge(struct s3_req *r)
{
	memset(&r->e, 0, sizeof(r->e));
	if (r->a.status / 100 == 2)
		return 0;
	if (r->a.text_len && !datafs_s3_parse_error(r->a.text, r->a.text_len, &r->e))
		for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
			if (!strcmp(codes[i].code, r->e.code))
				return codes[i].err;
	return r->a.status == 507 ? -ENOSPC : datafs_http_errno(r->a.status);
}

/* Nothing to tell: also of what was ended here. */
static bool is_answer(int err)
{
	return !err || err == -ENOENT || err == -ESTALE || err == -ERANGE || err == -ECANCELED;
}

int datafs_s3_log(struct s3 *s, struct s3_req *r, int err, const char *what)
{
	char detail[sizeof(r->e.code) + sizeof(r->e.message) + 4];

	if (!what && *r->e.code) {
		snprintf(detail, sizeof(detail), "%s%s%s", r->e.code, *r->e.message ? ": " : "",
			 r->e.message);
		what = detail;
	}
	return datafs_http_log(s->http, &r->http, &r->a, r->key ?: "", err, what);
}

/* Texts are cut, and a part of a token is a secret, too. */
static bool has_token(const char *text, const char *token)
{
	return *token && memmem(text, strlen(text), token, strnlen(token, TOKEN_PART));
}

/*
 * A server, or who stands before it, may say again what it was sent: that is not told. The
 * secret key itself is never sent.
 */
static void hide_secrets(struct s3_req *r, const struct datafs_s3_keys *keys)
{
	const struct {
		char *text;
		size_t room;
	} said[] = {
		{ r->e.code, sizeof(r->e.code) },
		{ r->e.message, sizeof(r->e.message) },
		{ r->a.id, sizeof(r->a.id) },
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if (strcasestr(said[i].text, "Signature=") || has_token(said[i].text, keys->token))
			snprintf(said[i].text, said[i].room, "(has a secret in it)");
}

/* One that was refused may have been signed with keys that were replaced since. */
static bool may_be_keys(const struct s3_req *r, int err)
{
	return err == -EACCES || (r->a.status == 400 && !strcmp(r->http.method, "HEAD"));
}

int datafs_s3_call(struct s3 *s, struct s3_req *r)
{
	struct datafs_s3_keys keys;
	int err;

	for (int times = 0;; times++) {
		if (r->failed || r->url.failed)
			return -ENOMEM;
		datafs_http_answer_free(&r->a);
		if (s->cred)
			datafs_s3_cred_get(s->cred, &keys);
		err = send_as(s, r, s->cred ? &keys : NULL);
		if (!err)
			err = judge(r);
		if (s->cred)
			hide_secrets(r, &keys);
		if (times || !s->cred || !may_be_keys(r, err) ||
		    !datafs_s3_cred_again(s->cred, &keys))
			break;
	}
	explicit_bzero(&keys, sizeof(keys));
	return is_answer(err) || r->quiet ? err : datafs_s3_log(s, r, err, NULL);
}
