// SPDX-License-Identifier: Apache-2.0
#include "iobuf.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

static void iobuf_unmap(struct datafs_iobuf *b)
{
	munmap(b->mem, DATAFS_CHUNK_SIZE);
	free(b);
}

int datafs_iobuf_new(struct datafs_iobuf **res)
{
	struct datafs_iobuf *b = calloc(1, sizeof(*b));
	struct iovec iov;
	int err;

	if (!b)
		return -ENOMEM;
	b->mem = mmap(NULL, DATAFS_CHUNK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->mem == MAP_FAILED) {
		free(b);
		return -ENOMEM;
	}
	err = io_uring_queue_init(1, &b->ring, 0);
	if (err) {
		iobuf_unmap(b);
		return err;
	}
	iov = (struct iovec){ b->mem, DATAFS_CHUNK_SIZE };
	err = io_uring_register_buffers(&b->ring, &iov, 1);
	if (err) {
		datafs_iobuf_free(b);
		return err;
	}
	*res = b;
	return 0;
}

void datafs_iobuf_free(struct datafs_iobuf *b)
{
	if (!b)
		return;
	io_uring_queue_exit(&b->ring);
	iobuf_unmap(b);
}

/* How many bytes were moved, or an errno. */
static int iobuf_once(struct datafs_iobuf *b, int fd, uint64_t off,
		      uint32_t from, uint32_t len, bool write)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
	struct io_uring_cqe *cqe;
	int res;

	if (!sqe)
		return -EIO;
	if (write)
		io_uring_prep_write_fixed(sqe, fd, b->mem + from, len, off, 0);
	else
		io_uring_prep_read_fixed(sqe, fd, b->mem + from, len, off, 0);
	do
		res = io_uring_submit(&b->ring);
	while (res == -EINTR);
	if (res == 1)
		do
			res = io_uring_wait_cqe(&b->ring, &cqe);
		while (res == -EINTR);
	else if (res >= 0)
		res = -EIO;
	if (res < 0) {
		/* What is queued there would go out with the next one. */
		b->broken = true;
		return res;
	}
	res = cqe->res;
	io_uring_cqe_seen(&b->ring, cqe);
	return res;
}

int datafs_iobuf_rw(struct datafs_iobuf *b, int fd, uint64_t off, uint32_t len,
		    bool write)
{
	uint32_t done = 0;

	while (done < len) {
		int n = iobuf_once(b, fd, off + done, done, len - done, write);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		/* Direct I/O can only go on where a granule ends. */
		if (!n || n % DATAFS_GRANULE)
			return -EIO;
		done += n;
	}
	return 0;
}
