/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations of our own code, which the linker gives to a test; none of libraries.
 * Inside libraft, where memory is short, some of its own is freed twice.
 */
#ifndef DATAFS_TEST_MEMBER_WRAP_H
#define DATAFS_TEST_MEMBER_WRAP_H

#include <stddef.h>

#include <raft.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_raft_malloc(size_t n);
void *__real_raft_calloc(size_t n, size_t size);
int __real_raft_configuration_add(struct raft_configuration *c, raft_id id,
				  const char *address, int role);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_raft_malloc(size_t n);
void *__wrap_raft_calloc(size_t n, size_t size);
int __wrap_raft_configuration_add(struct raft_configuration *c, raft_id id,
				  const char *address, int role);

#endif
