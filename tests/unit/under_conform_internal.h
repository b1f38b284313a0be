/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of under_conform.h: a check, and what checks have in common. */
#ifndef DATAFS_TEST_UNDER_CONFORM_INTERNAL_H
#define DATAFS_TEST_UNDER_CONFORM_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "under_conform.h"

struct conform_check {
	const char *name;
	uint32_t needs;		/* capabilities */
	uint32_t lacks;		/* ... that it must not have */
	void (*run)(const struct under_conform *c);
};

extern const struct conform_check conform_reads[], conform_writes[];

/* The store's, and a key below the directory of the running check; valid for 16 calls more. */
extern struct datafs_under *cu;
const char *at(const char *name);
/* A whole object at @name, as @seed has it: with @plant, or written. */
void grow(const struct under_conform *c, const char *name, size_t len, uint32_t seed);
void fell(const struct under_conform *c, const char *name);
void fill(void *buf, size_t len, uint32_t seed);
/* What is at @name is a file of @len bytes as @seed has them, wherever it is read. */
void holds(const char *name, size_t len, uint32_t seed);
/* ... in this state. */
void holds_in(const char *name, const struct datafs_fingerprint *fp, size_t len, uint32_t seed);
struct datafs_under_stat looked(const char *name);
bool same_fp(const struct datafs_fingerprint *a, const struct datafs_fingerprint *b);
/* There is nothing at @name. */
void absent(const char *name);
/* How many entries the running check's directory has; or @name's. */
uint32_t count(const char *name);
/* A directory, where they must be made. */
void room(const char *name);

#endif
