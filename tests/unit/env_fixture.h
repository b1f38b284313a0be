/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases that are written in numbered batches, from which can be told which
 * of them are in it: batch N of a writer puts N and three records that follow
 * from N. Each test has an empty directory, env_dir.
 */
#ifndef DATAFS_TEST_ENV_FIXTURE_H
#define DATAFS_TEST_ENV_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <leveldb/c.h>

extern char env_dir[4096];

int env_setup(void **state);
int env_teardown(void **state);
#define ENV_TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

/* DATAFS_SEED, or the time; printed. */
uint64_t env_seed(void);
uint64_t env_random(uint64_t *x);

/* "env_dir/NAME", until the next but three. */
const char *env_path(const char *name);

/* Small memtables, paranoid checks, made if missing. NULL: it does not open. */
leveldb_t *db_open(leveldb_env_t *env, const char *path);

/* Batch @n of @who, with what it saw of the other writer. 0 or -1. */
int db_batch(leveldb_t *db, char who, uint32_t n, uint32_t saw, bool sync);

/*
 * Is what @who wrote exactly the batches 1 to *n, for some *n? @saw may be NULL.
 */
bool db_is_prefix(leveldb_t *db, char who, uint32_t *n, uint32_t *saw);

/* Files in a directory whose names have @part in them. */
int count_files(const char *path, const char *part);

#endif
