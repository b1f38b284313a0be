/* SPDX-License-Identifier: Apache-2.0 */
/* For a test that stands in front of datafs_iobuf_rw() (the linker's --wrap). */
#ifndef DATAFS_TEST_IOBUF_WRAP_H
#define DATAFS_TEST_IOBUF_WRAP_H

#include "cache/iobuf.h"

int __real_datafs_iobuf_rw(struct datafs_iobuf *b, int fd, uint64_t off,
			   uint32_t len, bool write);
int __wrap_datafs_iobuf_rw(struct datafs_iobuf *b, int fd, uint64_t off,
			   uint32_t len, bool write);

#endif
