/* SPDX-License-Identifier: Apache-2.0 */
/* For a test that stands in front of statvfs() (the linker's --wrap). */
#ifndef DATAFS_TEST_SERVER_WRAP_H
#define DATAFS_TEST_SERVER_WRAP_H

#include <sys/statvfs.h>

int __wrap_statvfs(const char *path, struct statvfs *st);

#endif
