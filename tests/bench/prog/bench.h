/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the load generators of tests/bench/meta share: how long they run, and what
 * they print. "5s" is a time, "1000" a number of operations.
 */
#ifndef BENCH_H
#define BENCH_H

#include <err.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

struct bench {
	int64_t begin, until;		/* until 0: as many as there are */
	atomic_llong left;		/* operations that nobody has begun */
	atomic_ullong done;
};

static inline void bench_begin(struct bench *b, const char *limit)
{
	char *end;
	long long n = strtoll(limit, &end, 10);

	if (n <= 0 || (*end && (end[0] != 's' || end[1])))
		errx(2, "\"%s\": seconds (5s) or a number of operations", limit);
	atomic_store(&b->left, *end ? INT64_MAX : n);
	atomic_store(&b->done, 0);
	b->begin = datafs_now();
	b->until = *end ? b->begin + n * DATAFS_SEC : 0;
}

/* May another operation begin? Any thread. */
static inline bool bench_next(struct bench *b)
{
	return b->until ? datafs_now() < b->until : atomic_fetch_sub(&b->left, 1) > 0;
}

/* "rate R done N": @n operations or things in the time since the begin. */
static inline void bench_print(const struct bench *b, unsigned long long n)
{
	printf("rate %.1f done %llu\n", (double)n * 1e9 / (double)(datafs_now() - b->begin), n);
}

#endif
