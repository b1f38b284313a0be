// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "http_try.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http_judge.h"
#include "http_pool.h"

#define SENDINGS_MAX	8
#define FIRST_WAIT	(100 * DATAFS_MSEC)
#define LONGEST_WAIT	(10 * DATAFS_SEC)
/* What a server may ask for; one that wants to be left alone for longer is an error now. */
#define RETRY_AFTER_MAX	(30 * DATAFS_SEC)
/* An answer gives back a tenth of what it takes to send something again. */
#define BUDGET_MAX	100
#define BUDGET_BACK	0.1

static bool budget_take(struct datafs_http *h)
{
	bool ok;

	pthread_mutex_lock(&h->lock);
	ok = h->budget >= 1;
	if (ok)
		h->budget -= 1;
	pthread_mutex_unlock(&h->lock);
	return ok;
}

static void budget_give(struct datafs_http *h)
{
	pthread_mutex_lock(&h->lock);
	h->budget = DATAFS_MIN(h->budget + BUDGET_BACK, BUDGET_MAX);
	pthread_mutex_unlock(&h->lock);
}

/* How long before sending number @n + 1; -1: longer than that may be. */
static int64_t wait_of(struct datafs_http *h, const struct datafs_http_answer *a, int n)
{
	int64_t most = DATAFS_MIN(FIRST_WAIT << (n - 1), LONGEST_WAIT);
	int64_t wait = most / 2 + (int64_t)(h->clock->chance() * (most / 2));

	if (a->retry_after < 0)
		return wait;
	if (a->retry_after * DATAFS_MSEC > RETRY_AFTER_MAX)
		return -1;
	return DATAFS_MAX(a->retry_after * DATAFS_MSEC, wait);
}

/* ---- redirects ---- */

static char *part_of(const char *url, CURLUPart part)
{
	CURLU *u = curl_url();
	char *s = NULL;

	if (u && (curl_url_set(u, CURLUPART_URL, url, 0) ||
		  curl_url_get(u, part, &s, CURLU_DEFAULT_PORT)))
		s = NULL;
	curl_url_cleanup(u);
	return s;
}

static bool same_part(const char *a, const char *b, CURLUPart part)
{
	char *x = part_of(a, part), *y = part_of(b, part);
	bool same = x && y && !strcasecmp(x, y);

	curl_free(x);
	curl_free(y);
	return same;
}

/* Does it carry what makes it somebody's? */
static bool has_secrets(const struct datafs_http_request *r)
{
	if (r->auth && r->auth->user)
		return true;
	for (const struct curl_slist *l = r->headers; l; l = l->next)
		if (!strncasecmp(l->data, "Authorization:", 14) ||
		    !strncasecmp(l->data, "Cookie:", 7))
			return true;
	return false;
}

/* Nothing that was meant for one host goes to another one, or unencrypted. */
static bool may_follow(const struct datafs_http_request *r, const char *to)
{
	bool same = same_part(r->url, to, CURLUPART_SCHEME) &&
		    same_part(r->url, to, CURLUPART_HOST) && same_part(r->url, to, CURLUPART_PORT);

	if (has_secrets(r))
		return same;
	if (strncasecmp(to, "http://", 7) && strncasecmp(to, "https://", 8))
		return false;
	return strncasecmp(r->url, "https:", 6) || !strncasecmp(to, "https:", 6);
}

static bool is_redirect(const struct datafs_http_request *r, const struct datafs_http_answer *a)
{
	return a->status / 100 == 3 && a->location &&
	       (!strcmp(r->method, "GET") || !strcmp(r->method, "HEAD"));
}

/* ---- a request ---- */

static int send_once(struct datafs_http *h, enum datafs_under_method m,
		     const struct datafs_http_request *r, struct datafs_http_answer *a)
{
	uint64_t down = r->ranged ? r->len : r->into || r->take ? r->room : 0;
	int err, count;

	datafs_under_ask(h->u, m, r->body_len, down);
	err = datafs_http_io(h, r, a);
	/* To be led elsewhere is no trouble. */
	count = err || (a->status / 100 == 3 && a->location) ? err : datafs_http_errno(a->status);
	datafs_under_answered(h->u, m, count, count ? 0 : r->body_len, a->got);
	return err;
}

/* What was taken was admitted: it need not come again. */
static void leave_out(struct datafs_http_request *r, uint64_t got)
{
	if (!r->take || !r->ranged || got >= r->len)
		return;
	r->off += got;
	r->len -= got;
	r->room -= got;
}

/* Sends it again, if that makes sense; @r becomes what was asked for last. */
static int send_often(struct datafs_http *h, enum datafs_under_method m,
		      struct datafs_http_request *r, struct datafs_http_answer *a)
{
	bool unsure = false;
	int64_t wait;
	int err;

	for (int n = 1;; n++) {
		err = send_once(h, m, r, a);
		a->unsure = unsure;
		if (!err)
			a->again = datafs_http_status_again(a->status);
		if (!a->again) {
			if (!err)
				budget_give(h);
			return err;
		}
		/* One that was refused for the time being has not been carried out. */
		if (a->sent && a->status != 429 && a->status != 503)
			unsure = true;
		if ((r->once && unsure) || n >= SENDINGS_MAX)
			return err;
		wait = wait_of(h, a, n);
		if (wait < 0 || !budget_take(h))
			return err;
		/* Of an answer that is all of it, nothing but all of it can come again. */
		if (a->status == 206)
			leave_out(r, a->got);
		datafs_http_answer_free(a);
		h->clock->sleep(h->clock->now() + wait);
		datafs_under_again(h->u, m);
	}
}

int datafs_http_try(struct datafs_http *h, enum datafs_under_method m,
		    const struct datafs_http_request *r, struct datafs_http_answer *a)
{
	struct datafs_http_request next = *r;
	char *url = NULL;
	int err;

	for (uint32_t n = 0;; n++) {
		err = send_often(h, m, &next, a);
		if (err || n >= r->follow || !is_redirect(&next, a))
			break;
		if (!may_follow(&next, a->location)) {
			snprintf(a->why, sizeof(a->why),
				 "it leads to another host, which is not followed");
			break;
		}
		free(url);
		url = a->location;
		a->location = NULL;
		next.url = url;
		datafs_http_answer_free(a);
	}
	a->got += next.off - r->off;
	free(url);
	return err;
}
