/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that slabs are written from and read into: pinned once and registered
 * with a ring of its own.
 *
 * A plain pwrite with O_DIRECT has the filesystem pin the pages while it holds
 * the slab's i_rwsem, which is what a reader of the mount waits for below its
 * invalidate_lock; a fault that needs that one would close a circle. Registered
 * memory is never faulted in, so nothing of the cache waits for an mmap_lock
 * below a slab's i_rwsem. The debug kernel checks just that (kmod/backing.c).
 */
#ifndef DATAFS_IOBUF_H
#define DATAFS_IOBUF_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache.h"

struct datafs_iobuf {
	struct io_uring ring;
	char *mem;	/* DATAFS_CHUNK_SIZE bytes, on a page's border */
	/* The ring refused; the buffer is of no more use but to be freed. */
	bool broken;
};

/*
 * -ENOMEM also if RLIMIT_MEMLOCK is too small and CAP_IPC_LOCK is missing;
 * -EPERM, -ENOSYS: io_uring is disabled. The memory is zero.
 */
int datafs_iobuf_new(struct datafs_iobuf **res);
void datafs_iobuf_free(struct datafs_iobuf *b);
/*
 * Moves the first @len bytes of the memory to or from @off of @fd, which is
 * open with O_DIRECT; both in granules. Waits; all is moved, or an errno is
 * returned. One thread at a time.
 */
int datafs_iobuf_rw(struct datafs_iobuf *b, int fd, uint64_t off, uint32_t len,
		    bool write);

#endif
