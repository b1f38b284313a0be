/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upcalls against a real directory, a real cache and a double of the kernel,
 * which reads slabs and answers revocations. Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_VFS_FIXTURE_H
#define DATAFS_TEST_VFS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "vfs/vfs.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define SLABS_MAX 8

/* The store is src, in top, and mount 1 is of it. */
extern char top[4096], src[4200];
extern struct datafs_vfs *v;
extern struct datafs_pool *pool;
extern int slabs[SLABS_MAX];
extern uint64_t root;
/* What the kernel was told last (the first item of so many bytes), and how often. */
extern struct datafs_invalid invalidated;
extern unsigned int invalidations;
/* So many of them fail, with EIO. */
extern unsigned int invalidations_fail;
extern size_t invalid_bytes;
/* Called by start(), where mounts are taken over; or NULL. */
extern void (*before_start)(void);

/* As after start("sync_interval=always"). */
int vfs_setup(void **state);
int vfs_teardown(void **state);
/* Only the directories. */
int vfs_dirs(void **state);
void start(const char *options);
void stop(void);

#define VFS_TEST(f) \
	cmocka_unit_test_setup_teardown(f, vfs_setup, vfs_teardown)

struct answer {
	int err;
	uint32_t len;
	char *out;
};

/* One upcall. The answer is the caller's to free; its pins are put. */
struct answer up_flags(enum datafs_opcode op, uint32_t mount, uint64_t ino,
		       const void *body, const char *name, int flags);
struct answer up(enum datafs_opcode op, uint64_t ino, const void *body,
		 const char *name);
/* Its incarnation has @id as the first byte, and zeros. */
int mount_as(uint32_t id, const char *source, const char *options,
	     struct datafs_attr *attr);
void umount_id(uint32_t id);
int lookup(uint64_t dir, const char *name, struct datafs_entry *e);
int getattr(uint64_t ino, struct datafs_attr *attr);
uint64_t stat_value(const char *key);

/* The path of a name in the store; two at a time, for rename and link. */
const char *in_src(const char *name);
void put_file(const char *name, uint64_t size, unsigned int seed);
/*
 * No file that was put before is young any more (datafs_under_young()). One that is looked
 * at while it is, which an idle machine is fast enough for, is looked at once more before
 * bytes are asked for.
 */
void grow_old(void);

/* What put_file() has written there. */
static inline unsigned char byte_at(uint64_t at, unsigned int seed)
{
	return at * 31 + (at >> 12) * 7 + seed;
}

#endif
