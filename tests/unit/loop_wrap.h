/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that stand in front of these (the linker's --wrap). */
#ifndef DATAFS_TEST_LOOP_WRAP_H
#define DATAFS_TEST_LOOP_WRAP_H

#include <liburing.h>

#include "base/loop.h"

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev,
			    int fd, void *buf, size_t len);
int __wrap_datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev,
			    int fd, void *buf, size_t len);

#endif
