/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request by HTTP, as libcurl does it, and whether what came back holds together. No
 * more: http_try.h sends again, counts and waits for limits, http_judge.h says what an
 * answer means, http_text.h has what both sides spell. Stores call http_try.h.
 *
 * An answer is bytes of one response or an error: a body that is shorter or longer than it
 * was announced, another range than was asked for, or a connection that ends in the middle
 * is an error, whatever has been written to the caller's memory by then.
 */
#ifndef DATAFS_HTTP_IO_H
#define DATAFS_HTTP_IO_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "under_ops.h"

#define DATAFS_HTTP_WANT_MAX	8
#define DATAFS_HTTP_TEXT_MAX	(64 << 10)
#define DATAFS_HTTP_ID_MAX	128

/* The connections of one store; in it requests of several threads run at one time. */
struct datafs_http;

/* Who asks. It must outlive the call; the strings are secrets. */
struct datafs_http_auth {
	const char *user, *password;	/* NULL: nobody */
	const char *sigv4;		/* as CURLOPT_AWS_SIGV4 wants it; NULL: Basic */
};

struct datafs_http_answer;

/* All of it is the caller's, and zero where nothing is said. */
struct datafs_http_request {
	const char *method;
	/* Absolute and encoded; of a query to be signed, the parameters are sorted. */
	const char *url;
	const struct curl_slist *headers;
	const struct datafs_http_auth *auth;	/* NULL: nobody */
	const void *body;		/* of PUT and POST */
	size_t body_len;
	bool ranged;			/* asks for [off, off+len); len > 0 */
	uint64_t off, len;
	/*
	 * Where the body of a 2xx goes, which must fit. NULL: into the answer's text, of
	 * @text_max bytes at the most (0: DATAFS_HTTP_TEXT_MAX). Other bodies go there always,
	 * as much as fits.
	 */
	void *into;
	size_t room;
	/*
	 * Instead of @into, with @room for the bounds: gets the body of a 2xx as it comes,
	 * @p[0..n) of which lies at @at of the object (ranged) or of the body. An error ends
	 * the transfer, is what the request returns, and is not tried again. What it has
	 * taken is not asked for again when http_try.h sends again.
	 */
	int (*take)(void *arg, uint64_t at, const void *p, size_t n);
	size_t text_max;
	const char *const *want;	/* names of headers, up to WANT_MAX; ends with NULL */
	/*
	 * Of a 2xx, before its first byte is taken and with its headers there: an error ends
	 * the transfer, is what the request returns, and is not tried again. NULL: none.
	 */
	int (*admit)(void *arg, const struct datafs_http_answer *a);
	void *arg;
	uint32_t deadline;		/* milliseconds for one sending; 0: by its bytes */
	bool silent;			/* the server may work for long before it says a word */
	/* What http_try.h minds. */
	/*
	 * Not sent again if it may have been carried out; takes a connection of its own. Others
	 * may be sent twice without being counted, where a connection was just being closed.
	 */
	bool once;
	uint32_t follow;		/* redirects that are followed; GET and HEAD only */
};

/* What came back of the last sending. datafs_http_answer_free() after each call. */
struct datafs_http_answer {
	uint32_t status;	/* 0: none */
	char *value[DATAFS_HTTP_WANT_MAX];	/* of what was wanted; NULL: it has none */
	char *text;		/* NULL or NUL-terminated; may have NULs in it */
	size_t text_len;
	uint64_t got;		/* bytes in @into, or taken */
	int64_t length;		/* Content-Length, which a HEAD has too; -1: not told */
	int64_t total;		/* of the object, by a Content-Range; -1: not told */
	int64_t retry_after;	/* milliseconds; -1: not told */
	char *location;		/* absolute, where a redirect leads; NULL: none */
	char id[DATAFS_HTTP_ID_MAX];	/* the server's name of the request, or "" */
	char why[CURL_ERROR_SIZE];	/* it failed without a status that says it */
	bool sent;		/* it may have been carried out */
	bool again;		/* it failed in a way that may pass */
	bool unsure;		/* http_try.h: an earlier sending may have been carried out */
};

/*
 * Of the store @u, whose options say how many requests run at one time and whom to trust.
 * @name is what log lines call the store; it has no secrets and is copied. -ENOMEM; -EINVAL
 * after a line in the log.
 */
int datafs_http_open(struct datafs_under *u, const char *name, struct datafs_http **res);
/* No request is running. NULL is fine. */
void datafs_http_close(struct datafs_http *h);

/*
 * Sends @r once, without limits and counters; blocks. 0: there is an answer, whatever its
 * status; or an error, and @a says why.
 */
int datafs_http_io(struct datafs_http *h, const struct datafs_http_request *r,
		   struct datafs_http_answer *a);
void datafs_http_answer_free(struct datafs_http_answer *a);

/* Of @want's header in @a, or NULL. */
const char *datafs_http_value(const struct datafs_http_request *r,
			      const struct datafs_http_answer *a, const char *name);

#endif
