/* SPDX-License-Identifier: Apache-2.0 */
/* For the test that stands in front of it (the linker's --wrap). */
#ifndef DATAFS_TEST_WHOLE_WRAP_H
#define DATAFS_TEST_WHOLE_WRAP_H

#include <sys/types.h>

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

#endif
