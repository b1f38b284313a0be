/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An embedded namespace, told about a store that exists only in the tests.
 * Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_META_FIXTURE_H
#define DATAFS_TEST_META_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "meta/meta.h"

extern char dir[4096];
extern struct datafs_meta *m;
extern uint64_t root;

int meta_setup(void **state);
int meta_teardown(void **state);
void open_meta(void);
void reopen_meta(void);

#define META_TEST(f) \
	cmocka_unit_test_setup_teardown(f, meta_setup, meta_teardown)

struct datafs_under_stat stat_of(uint32_t mode, uint64_t id, uint64_t version);
struct datafs_under_stat dir_stat(uint64_t id, uint64_t version);
struct datafs_under_stat file_stat(uint64_t id, uint64_t version);

/* Looks a name up now; if it must be synced, @st is there (NULL: nothing). */
struct datafs_meta_inode see(uint64_t parent, const char *name,
			     const struct datafs_under_stat *st);

struct ent {
	const char *name;
	struct datafs_under_stat st;
};

struct seen {
	int n;
	struct {
		uint64_t cookie;
		char name[256];
		struct datafs_meta_inode in;
	} e[64];
};

/* For datafs_meta_readdir(); @arg is a struct seen. */
int collect(void *arg, uint64_t cookie, const char *name,
	    const struct datafs_meta_inode *in);
/* @after: the directory when it has been listed. An entry of mode 0 is hidden. */
int list_between(uint64_t ino, const struct datafs_under_stat *dst,
		 const struct datafs_under_stat *after,
		 const struct ent *ents, int n, int err);
int list_with(uint64_t ino, const struct datafs_under_stat *dst,
	      const struct ent *ents, int n, int err);
/* What a listing shows without a look at the store. */
struct seen known(uint64_t ino);

#endif
