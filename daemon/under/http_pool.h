/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the HTTP core: the connections of a store. */
#ifndef DATAFS_HTTP_POOL_H
#define DATAFS_HTTP_POOL_H

#include <pthread.h>

#include "http_io.h"

/* What the core does with time and chance, so that tests need neither. */
struct datafs_http_clock {
	int64_t (*now)(void);	/* nanoseconds */
	void (*sleep)(int64_t until);	/* now() is that */
	double (*chance)(void);	/* in [0, 1) */
};

extern const struct datafs_http_clock datafs_http_clock;

struct datafs_http {
	struct datafs_under *u;
	const struct datafs_http_clock *clock;
	char *name;
	pthread_mutex_t lock;	/* of the rest */
	pthread_cond_t freed;	/* a handle came back */
	CURL **idle;		/* opts->concurrency of them; the last used one is the last */
	uint32_t nidle, nused;
	double budget;		/* requests that may be sent again now */
	int64_t log_since;	/* the second in which ... */
	uint32_t log_lines;	/* ... so many lines were written */
	uint64_t log_left_out;
};

/*
 * One that nobody else uses, with all set that holds for every request; waits until fewer
 * than opts->concurrency are used. -ENOMEM.
 */
int datafs_http_get_handle(struct datafs_http *h, CURL **res);
/* @c NULL: there was none, after all. */
void datafs_http_put_handle(struct datafs_http *h, CURL *c);

#endif
