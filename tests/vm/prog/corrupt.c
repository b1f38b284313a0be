// SPDX-License-Identifier: Apache-2.0
/*
 * corrupt FILE OFF COUNT SLAB...: finds the 4 KiB blocks [OFF, OFF + COUNT) of
 * FILE (counted in blocks) in the slab files, by what is in them, and changes a
 * byte of each there, by O_DIRECT. Prints how many it has changed.
 *
 * Memory is registered with io_uring, as the daemon's for its slabs: the kernel then
 * takes no mmap_lock below a slab's i_rwsem, which lockdep would rightly see as a
 * circle.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/uio.h>

#include <liburing.h>

#include "prog.h"

#define BLOCK	4096u
#define ROOM	(1u << 20)

static unsigned char *block(size_t n)
{
	unsigned char *p;

	if (posix_memalign((void **)&p, BLOCK, n))
		die("no memory");
	return p;
}

static struct io_uring ring;

/* Memory that is registered for slab_io(). */
static unsigned char *slab_memory(size_t n)
{
	unsigned char *p = block(n);
	struct iovec v = { p, n };

	if (io_uring_queue_init(1, &ring, 0) || io_uring_register_buffers(&ring, &v, 1))
		die("io_uring: no registered memory");
	return p;
}

/* As pread(2) and pwrite(2) with an address in slab_memory(); or a negative errno. */
static int slab_io(int fd, void *p, unsigned int n, off_t at, bool write)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;
	int res;

	if (write)
		io_uring_prep_write_fixed(sqe, fd, p, n, (__u64)at, 0);
	else
		io_uring_prep_read_fixed(sqe, fd, p, n, (__u64)at, 0);
	res = io_uring_submit_and_wait(&ring, 1);
	if (res >= 0)
		res = io_uring_peek_cqe(&ring, &cqe);
	if (res < 0)
		return res;
	res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return res;
}

int main(int argc, char **argv)
{
	unsigned char *want, *buf;
	size_t off, count, i, j;
	unsigned int done = 0;
	off_t at;
	int n;
	int fd, s;

	if (argc < 5)
		die("usage: corrupt FILE OFF COUNT SLAB...");
	off = strtoul(argv[2], NULL, 0);
	count = strtoul(argv[3], NULL, 0);
	want = block(count * BLOCK);
	buf = slab_memory(ROOM);
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || pread(fd, want, count * BLOCK, (off_t)(off * BLOCK)) !=
			      (ssize_t)(count * BLOCK))
		die("%s: %m, or too short", argv[1]);
	for (s = 4; s < argc; s++) {
		fd = open(argv[s], O_RDWR | O_DIRECT);
		if (fd < 0)
			die("%s: %m", argv[s]);
		for (at = 0; (n = slab_io(fd, buf, ROOM, at, false)) > 0; at += n)
			for (i = 0; i + BLOCK <= (size_t)n; i += BLOCK)
				for (j = 0; j < count; j++) {
					if (memcmp(buf + i, want + j * BLOCK, BLOCK))
						continue;
					buf[i + j % BLOCK] ^= 0x40;
					if (slab_io(fd, buf + i, BLOCK, at + (off_t)i, true) != BLOCK)
						die("%s: not written", argv[s]);
					done++;
					break;
				}
		if (n < 0)
			die("%s: %s", argv[s], strerror(-n));
		close(fd);
	}
	printf("%u\n", done);
	return 0;
}
