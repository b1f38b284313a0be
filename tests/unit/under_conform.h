/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What under.h promises, checked of an opened store: a table of checks, of which those
 * run that the store's capabilities allow. Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_UNDER_CONFORM_H
#define DATAFS_TEST_UNDER_CONFORM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "under/under.h"

struct under_conform {
	struct datafs_under *u;
	/*
	 * Makes an object, and what is above it, behind the store's back, or replaces it so
	 * that the store can tell the states apart; takes one away. NULL: it is written
	 * through the store, which is writable.
	 */
	void (*plant)(void *arg, const char *key, const void *buf, size_t len);
	void (*uproot)(void *arg, const char *key);
	void *arg;
	size_t part;		/* the least length of a part that is not the last */
	bool hides_dots;	/* its listings leave out names that begin with a '.' */
	const char *not_in_names;	/* bytes that its names cannot have; NULL: none */
	/* Of a store with ATTRS, where they are not all that there is. */
	uint32_t modes;		/* bits that a file can have; 0: all 12 */
	long grain;		/* of times, in nanoseconds; 0: 1 */
	uint32_t many;		/* entries of a listing: more than fit in an answer */
	/* An object is not there at times while it is replaced. Swift's answer is so. */
	bool gaps;
	bool late_parts;	/* it takes parts of uploads that are complete: none are sent */
	const char *only;	/* the name of a check, or NULL: all */
};

/* Prints the name of each check; how many were run. Needs an empty store, and leaves it full. */
unsigned int under_conform(const struct under_conform *c);

#endif
