/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of HTTP/1.1 on loopback that says what it is told, whatever it is asked, and
 * remembers what it was asked. Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_HTTP_FIXTURE_H
#define DATAFS_TEST_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "under/http_pool.h"
#include "under/http_try.h"

struct http_say {
	/* All of the answer, head and body; "@ID@" is the last x-amz-meta-datafs-id it was told. */
	const char *text;
	size_t len;		/* 0: strlen(text) */
	enum {
		THEN_GO_ON,
		THEN_CLOSE,
		THEN_RESET,	/* ... so that the other side is told */
	} then;
};

#define HTTP_ASKED_MAX	64

/* "http://127.0.0.1:PORT", while it runs. */
extern char http_base[64];

/* One answer after the other, which outlive the server; after the last one it closes. */
void http_serve(const struct http_say *say, size_t n);
/* Ends it; how many requests it had. */
size_t http_served(void);
/* Head and body of request @i, from 0; after http_served(). */
const char *http_asked(size_t i);

/* A store that has nothing but requests, and a clock that moves when somebody waits. */
extern struct datafs_under http_under;
extern struct datafs_under_opts http_opts;
extern int64_t http_waited;	/* nanoseconds, all together */
struct datafs_http *http_client(void);

/* Of its counters. */
struct datafs_under_stats http_counts(void);

#endif
