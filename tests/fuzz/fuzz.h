/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the fuzzers. */
#ifndef DATAFS_FUZZ_H
#define DATAFS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold; the fuzzer keeps the input that breaks it. */
#define MUST(cond) do {							\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__,	\
			__LINE__, #cond);				\
		abort();						\
	}								\
} while (0)

/* The kinds of reply that fuzz_reply.c tells apart by the first byte. */
enum {
	REPLY_ATTR,
	REPLY_ENTRY,
	REPLY_STATFS,
	REPLY_READDIR,
	REPLY_EXTENTS,
	REPLY_CHANGE,
	REPLY_KINDS
};
/*
 * Bytes before the body, for its alignment. Of REPLY_CHANGE the others tell what was
 * asked: the opcode; 1 exchange, 2 removed; the type, as S_IFMT >> 12; then the inodes
 * node, parent, new_parent, other.
 */
#define REPLY_HEAD	8

/* seeds.c: one of @n bytes for fuzz_@target. seeds_entry.c has those of entries. */
void seed_save(const char *target, const char *name, const void *p, size_t n);
void seeds_entry(void);

/* Where a fuzzer is linked with --wrap=write. */
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);

/* seeds_raft.c: those of raft_message. */
void raft_seeds(const char *dir);

/* seeds_backup.c: those of backup. */
void seeds_backup(void);

/* seeds_s3.c: those of s3. */
void seeds_s3(void);

/* seeds_http.c: those of http_list and webhdfs. */
void seeds_http(void);

/* seeds_share.c: those of share_page. */
void seeds_share(void);

/* seeds_ask.c: those of ask; seeds_entry.c has their commands. */
void seeds_ask(void);
/* A packed entry with command @i, to be freed; NULL: there are no more. */
uint8_t *seed_entry(size_t i, size_t *len);

#endif
