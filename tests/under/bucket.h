/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets of a server of S3, and objects in them that are made behind the store's back: keys are
 * any bytes, NULs among them. Include after _GNU_SOURCE. All of it blocks, and ends the test if
 * there is no memory.
 */
#ifndef DATAFS_TEST_UNDER_BUCKET_H
#define DATAFS_TEST_UNDER_BUCKET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "under/under.h"

/*
 * Makes @bucket, of which none is there, and opens it; both of @opts' endpoint, which stay the
 * caller's as long as the store is open. A failure is the test's.
 */
void bucket_make(const struct datafs_under_opts *opts, const char *bucket);
struct datafs_under *bucket_open(const struct datafs_under_opts *opts, const char *bucket);

/*
 * One signed request for a key, which is below the prefix of nothing: the bucket's own. 0: the
 * server has done it; else what datafs_s3_call() makes of its answer.
 */
int bucket_put(struct datafs_under *u, const void *key, size_t key_len, const void *buf, size_t len);
int bucket_delete(struct datafs_under *u, const void *key, size_t key_len);

#endif
