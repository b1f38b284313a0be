// SPDX-License-Identifier: Apache-2.0
/*
 * Some of these functions are called by the program alone, which is linked with --wrap, others
 * by libcurl and the libraries below it, which find the program's own first.
 */
#define _GNU_SOURCE
#include "trouble.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <err.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/curl_wrap.h"
#include "trouble_wrap.h"

#define NSEC 1000000000LL

static long naps = 1, stall, deadline, connecting, skew;
static atomic_long lookups;
static bool named;

void trouble(char *text)
{
	static const struct {
		const char *name;
		long *n;
	} known[] = {
		{ "naps", &naps }, { "stall", &stall }, { "deadline", &deadline },
		{ "connect", &connecting }, { "skew", &skew },
	};
	char *value = strchr(text, '='), *end = "";
	long n = 0;

	if (value) {
		*value++ = 0;
		n = strtol(value, &end, 10);
	}
	if (!value || *end || end == value)
		errx(2, "no such -t: %s", text);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, text)) {
			*known[i].n = n;
			return;
		}
	if (strcmp(text, "lookups"))
		errx(2, "no such -t: %s", text);
	named = true;
	lookups = n;
}

/* ---- waits: a clock that is faster ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int ret = __real_clock_gettime(id, ts);
	long long ns;

	if (ret || id != CLOCK_MONOTONIC)
		return ret;
	ns = (ts->tv_sec * NSEC + ts->tv_nsec) * naps;
	*ts = (struct timespec){ ns / NSEC, ns % NSEC };
	return 0;
}

int __wrap_clock_nanosleep(clockid_t id, int flags, const struct timespec *until,
			   struct timespec *left)
{
	long long ns = (until->tv_sec * NSEC + until->tv_nsec) / naps;
	struct timespec ts = { ns / NSEC, ns % NSEC };

	return __real_clock_nanosleep(id, flags, id == CLOCK_MONOTONIC ? &ts : until, left);
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *until)
{
	long long ns = (until->tv_sec * NSEC + until->tv_nsec) / naps;
	struct timespec ts = { ns / NSEC, ns % NSEC };

	return __real_pthread_cond_clockwait(c, m, id, id == CLOCK_MONOTONIC ? &ts : until);
}

/* ---- time-outs ---- */

CURLcode __wrap_curl_easy_setopt(void *c, CURLoption o, ...)
{
	const struct {
		CURLoption option;
		long n;
	} ours[] = {
		{ CURLOPT_LOW_SPEED_TIME, stall },
		{ CURLOPT_TIMEOUT_MS, deadline },
		{ CURLOPT_CONNECTTIMEOUT_MS, connecting },
	};
	va_list ap;
	CURLcode code;

	va_start(ap, o);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (o == ours[i].option) {
			long n = va_arg(ap, long);

			va_end(ap);
			return __real_curl_easy_setopt(c, o, ours[i].n ? ours[i].n : n);
		}
	/* A long, an offset or a pointer: each is a word. */
	code = __real_curl_easy_setopt(c, o, va_arg(ap, void *));
	va_end(ap);
	return code;
}

/* ---- the clock, and names ---- */

time_t time(time_t *res)
{
	struct timespec ts;
	time_t now;

	__real_clock_gettime(CLOCK_REALTIME, &ts);
	now = ts.tv_sec + skew;
	if (res)
		*res = now;
	return now;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **res)
{
	int (*real)(const char *node, const char *service, const struct addrinfo *hints,
		    struct addrinfo **res) = dlsym(RTLD_NEXT, "getaddrinfo");

	if (!named)
		return real(node, service, hints, res);
	if (atomic_fetch_sub(&lookups, 1) > 0)
		return EAI_AGAIN;
	return real("127.0.0.1", service, hints, res);
}
