/* SPDX-License-Identifier: Apache-2.0 */
/* What the linker puts in the place of a function (-Wl,--wrap). */
#ifndef DATAFS_TEST_SERVER_WRAP_H
#define DATAFS_TEST_SERVER_WRAP_H

struct statvfs;

int __wrap_statvfs(const char *path, struct statvfs *st);

#endif
