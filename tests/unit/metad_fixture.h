/* SPDX-License-Identifier: Apache-2.0 */
/* A member of the quorum, its log as short as a test. Include after _GNU_SOURCE. */
#ifndef DATAFS_TEST_METAD_FIXTURE_H
#define DATAFS_TEST_METAD_FIXTURE_H

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
#include <sys/stat.h>

#include "base/log.h"
#include "metad/ns.h"
#include "metad_check.h"
#include "metad_req.h"

#define ROOT	DATAFS_METAD_ROOT
#define SESSION	7	/* open from the begin */

extern struct datafs_metad *m;
extern char dir[4096];
extern uint64_t entry_index, entry_time, request;

int metad_setup(void **state);
int metad_teardown(void **state);
/* What is in the database is found again. */
void reopen(void);
/* Another member, in a directory beside it. */
struct datafs_metad *open_other(char *path, size_t len);

/* Of the log of the database in @path: it begins another one with each table that it makes. */
unsigned int metad_log_number(const char *path);

#define METAD_TEST(f) \
	cmocka_unit_test_setup_teardown(f, metad_setup, metad_teardown)

/* Applies one entry of these, with the next index. Ids that are 0 are made up. */
int apply_reqs(struct req *r, size_t n, struct datafs_metad_results *res);
/* ... of one, and its answer; to be freed with result_free(). */
Metad__Result *call(struct req r);
void result_free(Metad__Result *r);
/* The errno of a call. */
int error_of(struct req r);
/* It succeeds; the number of its inode. */
uint64_t must(struct req r);
struct datafs_metad_attr attr_of(uint64_t ino);
uint64_t make_file(uint64_t parent, const char *name);
uint64_t make_dir(uint64_t parent, const char *name);
/* "name name ...", in the order of cookies. */
const char *names_in(uint64_t ino);

#endif
