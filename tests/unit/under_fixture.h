/* SPDX-License-Identifier: Apache-2.0 */
/* A directory, and the store that is made of it. Include after _GNU_SOURCE. */
#ifndef DATAFS_TEST_UNDER_FIXTURE_H
#define DATAFS_TEST_UNDER_FIXTURE_H

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
#include <sys/types.h>

#include "under/under.h"

extern char dir[4096];
extern int dfd;			/* of the directory */
extern struct datafs_under *u;

int under_setup(void **state);
int under_teardown(void **state);

void put(const char *name, const char *text);
struct datafs_under_stat look(const char *key);
/* Of one content? */
bool same(const struct datafs_under_stat *a,
	  const struct datafs_under_stat *b);
ssize_t rd(const char *key, const struct datafs_under_stat *st, uint64_t off,
	   char *buf, size_t len);
/* Longer than a tick of the clock that stamps files. */
void a_tick(void);

#endif
