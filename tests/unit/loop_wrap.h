/* SPDX-License-Identifier: Apache-2.0 */
/* For a test that stands in front of io_uring_submit() (the linker's --wrap). */
#ifndef DATAFS_TEST_LOOP_WRAP_H
#define DATAFS_TEST_LOOP_WRAP_H

#include <liburing.h>

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

#endif
