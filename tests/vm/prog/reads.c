// SPDX-License-Identifier: Apache-2.0
/*
 * reads A B OUT [WAY]: the ways to read a file that are not read(2) in a row. B, of
 * DataFS, has the bytes of A; at least 3 MiB. OUT is a file elsewhere that may
 * be written. Drops the page cache between the ways. All of them, or one.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <sys/ioctl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "prog.h"

#define QD	32u
#define PIECE	65536u

static const unsigned char *want;	/* all of A */
static size_t size;
static const char *name, *out_name;
/* volatile: the compiler must not see where it points */
static void *volatile nowhere = (void *)4096;

static int open_b(int flags)
{
	int fd = open(name, O_RDONLY | flags);

	if (fd < 0)
		die("%s: %m", name);
	return fd;
}

static void drop(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1)
		die("drop_caches: %m");
	close(fd);
}

static int open_out(void)
{
	int fd = open(out_name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		die("%s: %m", out_name);
	return fd;
}

static bool out_is_right(int fd)
{
	const unsigned char *m;
	struct stat st;
	bool res;

	if (fstat(fd, &st) || (size_t)st.st_size != size)
		return false;
	m = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		die("mmap: %m");
	res = !memcmp(m, want, size);
	munmap((void *)m, size);
	return res;
}

static void the_end(void)
{
	unsigned char buf[100];
	int fd = open_b(0);

	ok(pread(fd, buf, 100, (off_t)size) == 0, "a read at the end gives 0");
	ok(pread(fd, buf, 100, (off_t)size + 12345) == 0, "a read behind it gives 0");
	ok(pread(fd, buf, 100, (off_t)size - 10) == 10 &&
	   !memcmp(buf, want + size - 10, 10), "a read across it is short");
	errno = 0;
	ok(pread(fd, buf, 100, -1) < 0 && errno == EINVAL, "a negative offset: EINVAL");
	errno = 0;
	ok(pread(fd, nowhere, 100, 0) < 0 && errno == EFAULT, "a bad address: EFAULT");
	ok(read(fd, buf, 0) == 0, "a read of nothing gives 0");
	close(fd);
	fd = open_b(O_DIRECT);
	ok(pread(fd, buf, 100, (off_t)size) == 0, "O_DIRECT: a read at the end gives 0");
	errno = 0;
	ok(pread(fd, nowhere, 4096, 0) < 0 && errno == EFAULT,
	   "O_DIRECT: a bad address: EFAULT");
	close(fd);
}

static void seeks(void)
{
	int fd = open_b(0);

	ok(lseek(fd, 0, SEEK_END) == (off_t)size, "SEEK_END");
	ok(lseek(fd, 5, SEEK_DATA) == 5, "SEEK_DATA");
	ok(lseek(fd, 5, SEEK_HOLE) == (off_t)size, "SEEK_HOLE is the end");
	errno = 0;
	ok(lseek(fd, (off_t)size, SEEK_DATA) < 0 && errno == ENXIO, "SEEK_DATA at the end: ENXIO");
	errno = 0;
	ok(ioctl(fd, _IO('x', 77)) < 0 && errno == ENOTTY, "an unknown ioctl: ENOTTY");
	ok(!flock(fd, LOCK_EX) && !flock(fd, LOCK_UN), "flock");
	close(fd);
}

static void vectors(void)
{
	static unsigned char a[7], b[100000], c[4096];
	struct iovec iov[3] = { { a, 7 }, { b, 100000 }, { c, 4096 } };
	int fd = open_b(0);

	drop();
	ok(preadv(fd, iov, 3, 1001) == 7 + 100000 + 4096 && !memcmp(a, want + 1001, 7) &&
	   !memcmp(b, want + 1008, 100000) && !memcmp(c, want + 101008, 4096), "preadv");
	close(fd);
}

static void nowait(void)
{
	static unsigned char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	int fd = open_b(0);
	ssize_t n;

	drop();
	errno = 0;
	n = preadv2(fd, &iov, 1, 8192, RWF_NOWAIT);
	ok((n < 0 && errno == EAGAIN) ||
	   (n == 4096 && !memcmp(buf, want + 8192, 4096)), "RWF_NOWAIT without the page");
	ok(pread(fd, buf, 4096, 8192) == 4096 && !memcmp(buf, want + 8192, 4096), "then a read that waits");
	n = preadv2(fd, &iov, 1, 8192, RWF_NOWAIT);
	ok(n == 4096 && !memcmp(buf, want + 8192, 4096), "RWF_NOWAIT with the page");
	close(fd);
}

static void by_sendfile(void)
{
	int fd = open_b(0), out = open_out();
	size_t left = size;
	ssize_t n = 1;

	drop();
	while (left && (n = sendfile(out, fd, NULL, left)) > 0)
		left -= (size_t)n;
	ok(n > 0 && out_is_right(out), "sendfile");
	close(fd);
	close(out);
}

static void by_splice(void)
{
	int fd = open_b(0), out = open_out(), p[2];
	ssize_t n, m;

	if (pipe(p))
		die("pipe: %m");
	drop();
	while ((n = splice(fd, NULL, p[1], NULL, 1 << 20, 0)) > 0)
		for (; n; n -= m) {
			m = splice(p[0], NULL, out, NULL, (size_t)n, 0);
			if (m <= 0)
				die("splice: %m");
		}
	ok(n == 0 && out_is_right(out), "splice through a pipe");
	close(fd);
	close(out);
	close(p[0]);
	close(p[1]);
}

static void by_copy_file_range(void)
{
	int fd = open_b(0), out = open_out();
	size_t left = size;
	ssize_t n = 1;

	drop();
	while (left && (n = copy_file_range(fd, NULL, out, NULL, left, 0)) > 0)
		left -= (size_t)n;
	if (n < 0 && errno == EXDEV) {
		/* The kernel offers it only where both filesystems are of a kind. */
		ok(true, "copy_file_range: EXDEV");
	} else {
		ok(n > 0 && out_is_right(out), "copy_file_range");
	}
	close(fd);
	close(out);
}

static void advice(void)
{
	static unsigned char buf[PIECE];
	int fd = open_b(0);

	drop();
	ok(!posix_fadvise(fd, 0, 1 << 20, POSIX_FADV_WILLNEED) &&
	   !posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED) &&
	   !readahead(fd, 1 << 20, 1 << 20) &&
	   pread(fd, buf, PIECE, 1 << 19) == PIECE && !memcmp(buf, want + (1 << 19), PIECE),
	   "WILLNEED, readahead, then a read");
	ok(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) &&
	   !posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) &&
	   pread(fd, buf, PIECE, 12345) == PIECE && !memcmp(buf, want + 12345, PIECE),
	   "DONTNEED, RANDOM, then a read");
	close(fd);
}

/* QD reads under way at once; @fixed: into registered buffers. */
static void by_uring(bool direct, bool fixed)
{
	struct iovec iov[QD];
	struct io_uring ring;
	size_t off[QD], next = 0, left = 0;
	unsigned char *mem;
	bool good = true;
	unsigned int i;
	int fd = open_b(direct ? O_DIRECT : 0), ret;

	ret = io_uring_queue_init(QD, &ring, 0);
	if (ret)
		die("io_uring: %s", strerror(-ret));
	if (posix_memalign((void **)&mem, 4096, QD * PIECE))
		die("no memory");
	for (i = 0; i < QD; i++)
		iov[i] = (struct iovec){ mem + i * PIECE, PIECE };
	ret = fixed ? io_uring_register_buffers(&ring, iov, QD) : 0;
	if (ret)
		die("io_uring_register_buffers: %s", strerror(-ret));
	drop();
	for (i = 0; i < QD; i++)
		off[i] = SIZE_MAX;
	for (;;) {
		struct io_uring_sqe *sqe;
		struct io_uring_cqe *cqe;
		size_t n;

		for (i = 0; i < QD && next < size; i++) {
			if (off[i] != SIZE_MAX)
				continue;
			sqe = io_uring_get_sqe(&ring);
			if (fixed)
				io_uring_prep_read_fixed(sqe, fd, iov[i].iov_base, PIECE, next, (int)i);
			else
				io_uring_prep_read(sqe, fd, iov[i].iov_base, PIECE, next);
			io_uring_sqe_set_data64(sqe, i);
			off[i] = next;
			next += PIECE;
			left++;
		}
		if (!left)
			break;
		ret = io_uring_submit_and_wait(&ring, 1);
		if (ret < 0)
			die("io_uring_submit: %s", strerror(-ret));
		if (io_uring_wait_cqe(&ring, &cqe))
			die("io_uring_wait_cqe: %m");
		i = (unsigned int)io_uring_cqe_get_data64(cqe);
		n = size - off[i] < PIECE ? size - off[i] : PIECE;
		if (cqe->res != (int)n || memcmp(iov[i].iov_base, want + off[i], n)) {
			if (good)
				printf("# at %zu: %d of %zu\n", off[i], cqe->res, n);
			good = false;
		}
		off[i] = SIZE_MAX;
		left--;
		io_uring_cqe_seen(&ring, cqe);
	}
	ok(good, "io_uring, %u at once%s%s", QD, direct ? ", O_DIRECT" : "",
	   fixed ? ", registered buffers" : "");
	io_uring_queue_exit(&ring);
	free(mem);
	close(fd);
}

static void by_aio(void)
{
	int fd = open_b(O_DIRECT);
	struct io_event ev[QD];
	struct iocb cb[QD], *cbs[QD];
	aio_context_t ctx = 0;
	unsigned char *mem;
	bool good = true;
	long n, i;

	if (posix_memalign((void **)&mem, 4096, QD * PIECE))
		die("no memory");
	if (syscall(SYS_io_setup, QD, &ctx))
		die("io_setup: %m");
	memset(cb, 0, sizeof(cb));
	for (i = 0; i < QD; i++) {
		cb[i].aio_fildes = (uint32_t)fd;
		cb[i].aio_lio_opcode = IOCB_CMD_PREAD;
		cb[i].aio_buf = (uintptr_t)(mem + i * PIECE);
		cb[i].aio_nbytes = PIECE;
		cb[i].aio_offset = i * PIECE;
		cbs[i] = &cb[i];
	}
	n = syscall(SYS_io_submit, ctx, (long)QD, cbs);
	if (n != (long)QD)
		die("io_submit: %ld: %m", n);
	/* What a ring that was closed leaves behind may interrupt it. */
	for (n = 0; n < (long)QD; n += i) {
		i = syscall(SYS_io_getevents, ctx, 1L, (long)QD - n, ev + n, NULL);
		if (i < 0 && errno != EINTR)
			die("io_getevents: %m");
		if (i < 0)
			i = 0;
	}
	for (i = 0; i < n; i++)
		if (ev[i].res != PIECE) {
			printf("# at %lld: %lld\n",
			       (long long)((struct iocb *)(uintptr_t)ev[i].obj)->aio_offset,
			       (long long)ev[i].res);
			good = false;
		}
	for (i = 0; i < (long)QD; i++)
		if (memcmp(mem + i * PIECE, want + i * PIECE, PIECE))
			printf("# other bytes at %ld\n", i * PIECE);
	ok(n == (long)QD && good && !memcmp(mem, want, QD * PIECE), "io_submit, O_DIRECT");
	syscall(SYS_io_destroy, ctx);
	free(mem);
	close(fd);
}

/* The buffer of an O_DIRECT read is a page of the file that is being read. */
static void into_itself(void)
{
	int fd = open_b(0), direct = open_b(O_DIRECT);
	unsigned char *m;
	const unsigned char *r;

	drop();
	m = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	r = mmap(NULL, PIECE, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED || r == MAP_FAILED)
		die("mmap: %m");
	ok(pread(direct, m, PIECE, 2 * PIECE) == PIECE && !memcmp(m, want + 2 * PIECE, PIECE),
	   "O_DIRECT into a private mapping of the file itself");
	ok(!memcmp(r, want, PIECE), "which has not changed the file");
	errno = 0;
	ok(pread(direct, (void *)r, PIECE, 0) < 0 && errno == EFAULT,
	   "O_DIRECT into a read-only mapping: EFAULT");
	munmap(m, PIECE);
	munmap((void *)r, PIECE);
	close(fd);
	close(direct);
}

static void mappings(void)
{
	const unsigned char *m;
	int fd = open_b(0);

	drop();
	m = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	ok(m != MAP_FAILED && !memcmp(m, want, size), "mmap with MAP_POPULATE");
	ok(!madvise((void *)m, size, MADV_DONTNEED) && !madvise((void *)m, size, MADV_RANDOM) &&
	   !memcmp(m, want, size), "MADV_DONTNEED, MADV_RANDOM");
	munmap((void *)m, size);
	drop();
	m = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	ok(m != MAP_FAILED && !madvise((void *)m, size, MADV_WILLNEED) &&
	   !memcmp(m, want, size), "MADV_WILLNEED");
	ok(!mlock(m, 65536) && !munlock(m, 65536), "mlock");
	munmap((void *)m, size);
	errno = 0;
	ok(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	   errno == EACCES, "a shared writable mapping: EACCES");
	close(fd);
}

/* A system call that takes its buffer from a mapping without a page yet. */
static void out_of_a_mapping(void)
{
	const unsigned char *m;
	int fd = open_b(0), out = open_out();

	drop();
	m = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	ok(m != MAP_FAILED && write(out, m, size) == (ssize_t)size && out_is_right(out),
	   "write(2) out of a mapping");
	munmap((void *)m, size);
	close(fd);
	close(out);
}

static void by_read_uring(void) { by_uring(false, false); }
static void by_direct_uring(void) { by_uring(true, false); }
static void by_read_fixed(void) { by_uring(false, true); }
static void by_direct_fixed(void) { by_uring(true, true); }

static const struct {
	const char *name;
	void (*fn)(void);
} ways[] = {
	{ "end", the_end }, { "seek", seeks }, { "preadv", vectors },
	{ "nowait", nowait }, { "sendfile", by_sendfile }, { "splice", by_splice },
	{ "copy_file_range", by_copy_file_range }, { "advice", advice },
	{ "uring", by_read_uring }, { "direct-uring", by_direct_uring },
	{ "uring-fixed", by_read_fixed }, { "direct-uring-fixed", by_direct_fixed },
	{ "aio", by_aio }, { "itself", into_itself }, { "mappings", mappings },
	{ "write", out_of_a_mapping },
};

int main(int argc, char **argv)
{
	bool any = false;
	struct stat st;
	size_t i;
	int fd;

	if (argc < 4 || argc > 5)
		die("usage: reads A B OUT [WAY]");
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &st) || st.st_size < 3 << 20)
		die("%s: %m, or too small", argv[1]);
	size = (size_t)st.st_size;
	want = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (want == MAP_FAILED)
		die("mmap: %m");
	name = argv[2];
	out_name = argv[3];
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (argc == 4 || !strcmp(argv[4], ways[i].name)) {
			ways[i].fn();
			any = true;
		}
	if (!any)
		die("no way %s", argv[4]);
	unlink(out_name);
	return failures != 0;
}
