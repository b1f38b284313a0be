/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache, the store that it is filled from, and a double of the kernel, which
 * holds the extents it was given until it has answered their revocation, and
 * looks at the bytes on the disk for as long. Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_CACHE_FIXTURE_H
#define DATAFS_TEST_CACHE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define G DATAFS_GRANULE
#define SLABS_MAX 4
#define HELD_MAX 8192
#define COOKIES_MAX 1024

struct held {
	struct datafs_cache_key key;
	struct datafs_extent ext;
	uint32_t mount;
	uint64_t dying;		/* the cookie that is to end it */
	uint64_t size;
};

extern struct cache_world {
	char dir[4096];
	struct datafs_cache *c;
	struct datafs_cache_config cfg;
	pthread_mutex_t lock;	/* what follows */
	int fds[SLABS_MAX + 1];
	struct held held[HELD_MAX];
	uint32_t nheld;
	uint64_t cookies[COOKIES_MAX];
	uint32_t ncookies;
	int revoke_error;
	int wrong;		/* what the double saw on other threads */
} w;

/* A file's bytes follow from its key; what was asked for is counted. */
struct source {
	struct datafs_cache_key key;
	uint64_t size;
	atomic_uint calls;
	atomic_ullong bytes;
	int error, sleep_ms;
};

struct source source(uint64_t ino, uint64_t size);
/* What is at @off, zeros behind @size; both in words of 8 bytes. */
void make_bytes(const struct datafs_cache_key *k, uint64_t size, uint64_t off,
		void *buf, uint64_t len);

/* A test may put a revoke of its own in w.cfg after it. */
int cache_setup(void **state);
int cache_teardown(void **state);
/* Without starting it; and with. */
int cache_open(uint64_t size);
int cache_up(uint64_t size);
void cache_down(void);

#define CACHE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, cache_setup, cache_teardown)

struct datafs_cache_want want_of(struct source *s, uint64_t off, uint64_t len,
				 uint32_t mount);
/* An answer must be in order, of the right bytes, and cover @off. */
void check_answer(struct source *s, const struct datafs_cache_answer *a,
		  uint64_t off);
uint64_t answer_len(const struct datafs_cache_answer *a);
/* Gets, checks, puts; answers how many bytes were handed out. */
uint64_t get(struct source *s, uint64_t off, uint64_t len, uint64_t max,
	     uint32_t mount);
/* A slot for each of @n files. */
void fill_up(uint64_t first, int n, uint32_t mount);
struct datafs_cache_stats stats(void);
/* All slabs are there: nothing else is written but what is fetched. */
void wait_for_slabs(void);

/* The bytes on the disk are those of the content. Any thread. */
bool extent_is_right(const struct datafs_cache_key *k, uint64_t size,
		     const struct datafs_extent *e, const uint32_t *crc);
/* The kernel has what was answered. */
void hold(struct source *s, uint32_t mount,
	  const struct datafs_cache_answer *a);
/* Says REVOKE_DONE to all that is asked so far. Answers how many. */
uint32_t answer_revokes(void);
/* Does so all the time. */
void pump_start(void);
void pump_end(void);

/* No file may grow longer; 0: none but the system's limit. */
void limit_files(uint64_t bytes);
void sleep_ms(int ms);

#endif
