// SPDX-License-Identifier: Apache-2.0
/* The connections of a store: handles of libcurl, each with those that it has opened. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "http_pool.h"

#define CONNECT_MS	10000
/* A connection on which nothing moves for so many seconds is given up. */
#define STALLED_SEC	30
#define RETRY_BUDGET	100

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started;

static void start(void)
{
	started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * DATAFS_SEC + ts.tv_nsec;
}

static void clock_sleep(int64_t until)
{
	struct timespec ts = { until / DATAFS_SEC, until % DATAFS_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

/* Only spreads requests: without random bytes it is not spread, and that is all. */
static double clock_chance(void)
{
	uint32_t n;

	return datafs_random(&n, sizeof(n)) ? 0.5 : n / 4294967296.0;
}

const struct datafs_http_clock datafs_http_clock = { clock_now, clock_sleep, clock_chance };

/* Who cannot be trusted with a file that is not there would trust nobody, and say so late. */
static int check_ca(const struct datafs_under_opts *o, const char *name)
{
	const char *file = o->ca_file;
	int err;

	if (!file || !access(file, R_OK))
		return 0;
	err = -errno;
	datafs_under_log(o, LOG_ERR, "%s: ca_file %s: %s", name, file, strerror(-err));
	return -EINVAL;
}

int datafs_http_open(struct datafs_under *u, const char *name, struct datafs_http **res)
{
	struct datafs_http *h;
	int err;

	pthread_once(&once, start);
	if (started != CURLE_OK)
		return -ENOMEM;
	err = check_ca(u->opts, name);
	if (err)
		return err;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->u = u;
	h->clock = &datafs_http_clock;
	h->budget = RETRY_BUDGET;
	h->name = strdup(name);
	h->idle = calloc(u->opts->concurrency, sizeof(CURL *));
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->freed, NULL);
	if (!h->name || !h->idle) {
		datafs_http_close(h);
		return -ENOMEM;
	}
	*res = h;
	return 0;
}

void datafs_http_close(struct datafs_http *h)
{
	if (!h)
		return;
	while (h->nidle)
		curl_easy_cleanup(h->idle[--h->nidle]);
	pthread_cond_destroy(&h->freed);
	pthread_mutex_destroy(&h->lock);
	free(h->idle);
	free(h->name);
	free(h);
}

/* What holds for all requests; curl_easy_reset() has kept the connections. */
static void set_up(struct datafs_http *h, CURL *c)
{
	const char *ca = h->u->opts->ca_file;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(c, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "datafs/" DATAFS_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALLED_SEC);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L << 10);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
	if (!ca)
		return;
	/* Those of the system, which are in a directory too, are trusted no more. */
	curl_easy_setopt(c, CURLOPT_CAINFO, ca);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_PROXY_CAINFO, ca);
	curl_easy_setopt(c, CURLOPT_PROXY_CAPATH, NULL);
}

int datafs_http_get_handle(struct datafs_http *h, CURL **res)
{
	CURL *c = NULL;

	pthread_mutex_lock(&h->lock);
	while (h->nused >= h->u->opts->concurrency)
		pthread_cond_wait(&h->freed, &h->lock);
	h->nused++;
	if (h->nidle)
		c = h->idle[--h->nidle];
	pthread_mutex_unlock(&h->lock);
	if (!c)
		c = curl_easy_init();
	if (!c) {
		datafs_http_put_handle(h, NULL);
		return -ENOMEM;
	}
	set_up(h, c);
	*res = c;
	return 0;
}

void datafs_http_put_handle(struct datafs_http *h, CURL *c)
{
	/* Nothing of the request stays: neither who asked nor pointers to its memory. */
	if (c)
		curl_easy_reset(c);
	pthread_mutex_lock(&h->lock);
	h->nused--;
	if (c)
		h->idle[h->nidle++] = c;
	pthread_cond_signal(&h->freed);
	pthread_mutex_unlock(&h->lock);
}
