/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_TEST_UTIL_WRAP_H
#define DATAFS_TEST_UTIL_WRAP_H

int __real_fsync(int fd);

#endif
