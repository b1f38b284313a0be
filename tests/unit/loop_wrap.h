/* SPDX-License-Identifier: Apache-2.0 */
/* datafs_loop_read() that can be told to fail: linked with --wrap. */
#ifndef DATAFS_TEST_LOOP_WRAP_H
#define DATAFS_TEST_LOOP_WRAP_H

#include "base/loop.h"

int __real_datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev,
			    int fd, void *buf, size_t len);
int __wrap_datafs_loop_read(struct datafs_loop *loop, struct datafs_event *ev,
			    int fd, void *buf, size_t len);

#endif
