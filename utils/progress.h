/* SPDX-License-Identifier: Apache-2.0 */
/* How far something is: a bar on a terminal, elsewhere a line for each tenth. */
#ifndef DATAFS_PROGRESS_H
#define DATAFS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

struct datafs_progress {
	FILE *f;
	bool terminal;
	uint64_t total, done;	/* bytes */
	struct timespec begun;
	unsigned int tenths;	/* told */
	int64_t shown_ms;	/* after @begun, the bar */
};

/* Prints to @f, from datafs_progress_show() on. */
void datafs_progress_begin(struct datafs_progress *p, FILE *f, uint64_t total);
/* So many bytes more. */
void datafs_progress_add(struct datafs_progress *p, uint64_t bytes);
/* Shows it, if it is time to. */
void datafs_progress_show(struct datafs_progress *p);
/* The bar goes. */
void datafs_progress_end(struct datafs_progress *p);
/* The bar, of less than 80 columns, @ms after the beginning. Returns @buf. */
const char *datafs_progress_bar(const struct datafs_progress *p, int64_t ms, char *buf,
				size_t size);

#endif
