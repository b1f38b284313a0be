/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount 2 is of the quorum of one, beside mount 1, and what changes it. Include after
 * _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_VFS_CHANGES_H
#define DATAFS_TEST_VFS_CHANGES_H

#include "vfs_fixture.h"

#define TOP	1	/* the namespace's root */

int changes_setup(void **state);
int changes_teardown(void **state);

#define CHANGES_TEST(f) \
	cmocka_unit_test_setup_teardown(f, changes_setup, changes_teardown)

int mount_quorum(uint32_t id, const char *source, struct datafs_attr *root);
/* For before_start: mount 2 was there. */
void adopt(void);
/* How many sessions there are files of. */
int session_files(void);

/* A change by mount @mount, with the id @id. @rep may be NULL. */
int change_as(uint32_t mount, uint64_t id, enum datafs_opcode op, uint64_t ino,
	      const void *body, size_t len, const char *name, const char *more,
	      struct datafs_change_rep *rep);
/* ... by mount 2, with ids of its own from 1000 on. */
int change(enum datafs_opcode op, uint64_t ino, const void *body, size_t len,
	   const char *name, const char *more, struct datafs_change_rep *rep);
int make(enum datafs_opcode op, uint64_t dir, const char *name,
	 struct datafs_change_rep *rep);

/* 0 or -ENOENT. */
int find(uint32_t mount, uint64_t dir, const char *name, struct datafs_attr *attr);
int attr_of(uint64_t ino, struct datafs_attr *attr);
/* 0: an inode that is there, named or not; -ESTALE. */
int there(uint64_t ino);

#endif
