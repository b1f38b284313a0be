// SPDX-License-Identifier: Apache-2.0
/* hello: what /dev/datafs says to a daemon that says wrong things. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "datafs_abi.h"
#include "prog.h"

static struct datafs_hello good_hello(void)
{
	struct datafs_hello h = {
		.size = sizeof(h), .major = DATAFS_ABI_MAJOR,
		.minor = DATAFS_ABI_MINOR, .epoch = 1, .name = "hello-test",
	};

	return h;
}

static int open_dev(void)
{
	int fd = open("/dev/datafs", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		die("/dev/datafs: %m");
	return fd;
}

static void refused(const char *what, const struct datafs_hello *hello, int error)
{
	struct datafs_hello h = *hello;
	int fd = open_dev();
	int got = ioctl(fd, DATAFS_IOC_HELLO, &h) ? errno : 0;

	ok(got == error, "%s: %s%s%s", what, strerrorname_np(error),
	   got == error ? "" : ", got ", got == error ? "" : strerrorname_np(got));
	close(fd);
}

static void versions(void)
{
	struct datafs_hello h = good_hello();
	int fd = open_dev();

	h.major++;
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_HELLO, &h) < 0 && errno == EPROTONOSUPPORT,
	   "another major version: EPROTONOSUPPORT");
	ok(h.major == DATAFS_ABI_MAJOR && h.minor == DATAFS_ABI_MINOR,
	   "and it is told the module's version");
	close(fd);
	h = good_hello();
	h.minor += 7;
	fd = open_dev();
	ok(!ioctl(fd, DATAFS_IOC_HELLO, &h) && h.minor == DATAFS_ABI_MINOR,
	   "a higher minor version is taken, and told the module's");
	close(fd);
}

static void before_hello(void)
{
	static char buf[DATAFS_READ_MIN];
	int fd = open_dev();

	errno = 0;
	ok(read(fd, buf, sizeof(buf)) < 0 && errno == ENOTCONN, "read before hello: ENOTCONN");
	errno = 0;
	ok(write(fd, buf, 16) < 0 && errno == ENOTCONN, "write before hello: ENOTCONN");
	errno = 0;
	ok(ioctl(fd, _IO(0xDF, 99)) < 0 && errno == ENOTTY, "an unknown ioctl: ENOTTY");
	close(fd);
}

static void fields(void)
{
	struct datafs_hello h;

	h = good_hello(), h.size--;
	refused("another size", &h, EINVAL);
	h = good_hello(), h.reserved = 1;
	refused("reserved not zero", &h, EINVAL);
	h = good_hello(), h.flags = 1u << 31;
	refused("an unknown flag", &h, EINVAL);
	h = good_hello(), h.epoch = 0;
	refused("epoch 0", &h, EINVAL);
	h = good_hello(), h.name[0] = '\0';
	refused("no name", &h, EINVAL);
	h = good_hello(), strcpy(h.name, "a/b");
	refused("a name with a slash", &h, EINVAL);
	h = good_hello(), memset(h.name, 'x', sizeof(h.name));
	refused("a name without an end", &h, EINVAL);
	h = good_hello(), h.flags = 2 * DATAFS_HELLO_TAKEOVER;
	refused("an unknown flag", &h, EINVAL);
}

static void second(void)
{
	struct datafs_hello h = good_hello();
	int fd = open_dev();

	if (ioctl(fd, DATAFS_IOC_HELLO, &h))
		die("hello: %m");
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_HELLO, &h) < 0 && errno == EALREADY,
	   "a second hello on one file: EALREADY");
	h = good_hello();
	h.epoch = 2;
	refused("a second daemon of the name", &h, EBUSY);
	close(fd);
	h = good_hello();
	h.epoch = 3;
	fd = open_dev();
	ok(!ioctl(fd, DATAFS_IOC_HELLO, &h), "the name is free when it has gone");
	close(fd);
}

static void messages(void)
{
	struct {
		struct datafs_rep rep;
		char more[64];
	} m = { .rep = { .len = 16, .id = 12345 } };
	static char buf[DATAFS_READ_MIN];
	struct datafs_hello h = good_hello();
	struct datafs_backing b = { .id = 1 };
	struct pollfd p;
	int fd = open_dev();

	h.epoch = 4;
	if (ioctl(fd, DATAFS_IOC_HELLO, &h))
		die("hello: %m");
	errno = 0;
	ok(read(fd, buf, sizeof(buf)) < 0 && errno == EAGAIN, "nothing to read: EAGAIN");
	errno = 0;
	ok(read(fd, buf, DATAFS_READ_MIN - 1) < 0 && errno == EINVAL, "a read with too little room: EINVAL");
	p = (struct pollfd){ fd, POLLIN | POLLOUT, 0 };
	ok(poll(&p, 1, 0) == 1 && p.revents == POLLOUT, "poll: writable, not readable");
	ok(write(fd, &m, 16) == 16, "a reply to no request is consumed");
	errno = 0;
	ok(write(fd, &m, 8) < 0 && errno == EINVAL, "half a head: EINVAL");
	m.rep.len = 8;
	errno = 0;
	ok(write(fd, &m, 16) < 0 && errno == EINVAL, "a reply shorter than its head: EINVAL");
	m.rep.len = 80;
	errno = 0;
	ok(write(fd, &m, 16) < 0 && errno == EINVAL, "a reply longer than the write: EINVAL");
	m.rep.len = DATAFS_MSG_MAX + 8;
	errno = 0;
	ok(write(fd, &m, sizeof(m)) < 0 && errno == EINVAL, "a reply longer than any: EINVAL");

	b.fd = fd;
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) < 0 && errno == EINVAL,
	   "a backing file that is none: EINVAL");
	b.fd = 9999;
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) < 0 && errno == EBADF,
	   "a backing file that is not open: EBADF");
	b.fd = open("/mnt/disk/hello-backing", O_RDWR | O_CREAT, 0600);
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) < 0 && errno == EINVAL,
	   "a backing file without O_DIRECT: EINVAL");
	close(b.fd);
	b.fd = open("/mnt/disk/hello-backing", O_RDWR | O_DIRECT);
	b.id = 0;
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) < 0 && errno == EINVAL, "backing id 0: EINVAL");
	b.id = DATAFS_BACKING_IDS;
	errno = 0;
	ok(ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) < 0 && errno == EINVAL, "backing id too high: EINVAL");
	b.id = 1;
	ok(!ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) && !ioctl(fd, DATAFS_IOC_BACKING_ADD, &b),
	   "a backing file, and the same again");
	b.id = 2;
	ok(!ioctl(fd, DATAFS_IOC_BACKING_DEL, &b.id) == 0 && errno == ENOENT,
	   "no such backing id: ENOENT");
	close(b.fd);
	unlink("/mnt/disk/hello-backing");
	close(fd);
}

int main(void)
{
	before_hello();
	versions();
	fields();
	second();
	messages();
	return failures != 0;
}
