/* SPDX-License-Identifier: Apache-2.0 */
/* malloc() that can be told to fail, for all threads but those of the test. */
#ifndef DATAFS_TEST_NO_MEMORY_H
#define DATAFS_TEST_NO_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static atomic_bool no_memory;
static _Thread_local bool is_test;

/* The sanitizer's, if there is one, and the C library's. */
void *__interceptor_malloc(size_t n) __attribute__((weak));
void *__libc_malloc(size_t n);

/* In front of both. */
void *malloc(size_t n)
{
	if (atomic_load(&no_memory) && !is_test)
		return NULL;
	return __interceptor_malloc ? __interceptor_malloc(n) : __libc_malloc(n);
}

#endif
