// SPDX-License-Identifier: Apache-2.0
/*
 * device DIR DISK: /dev/datafs as far as it goes without a mount: before a
 * hello, names, backing files. DIR is a directory that nothing gets mounted on,
 * DISK a directory on a filesystem with direct I/O.
 */
#define _GNU_SOURCE 1
#include "channel.h"

static void before_hello(void)
{
	struct datafs_backing b = { .fd = 0, .id = 1 };
	int fd = dev(0);
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	pid_t pid;
	uint32_t id = 1;

	FAILS(read(fd, buf, sizeof(buf)), ENOTCONN);
	FAILS(write(fd, buf, 16), ENOTCONN);
	FAILS(ioctl(fd, DATAFS_IOC_BACKING_ADD, &b), ENOTCONN);
	FAILS(ioctl(fd, DATAFS_IOC_BACKING_DEL, &id), ENOTCONN);
	FAILS(ioctl(fd, _IO(DATAFS_IOC_MAGIC, 99)), ENOTTY);
	FAILS(lseek(fd, 0, SEEK_SET), ESPIPE);
	ok(poll(&p, 1, 0) == 1 && (p.revents & POLLERR), "poll before hello");
	close(fd);

	chmod("/dev/datafs", 0666);
	pid = fork();
	if (!pid) {
		if (setuid(65534))
			_exit(99);
		_exit(open("/dev/datafs", O_RDWR) < 0 ? errno : 0);
	}
	ok(reap(pid) == EPERM, "no open without privilege");
	chmod("/dev/datafs", 0600);
	ok(reap(mounting("nobody")) == ENOTCONN, "mount of no instance");
}

static void hellos(void)
{
	struct datafs_hello h;
	int fd = dev(0), fd2 = dev(0);
	char big[200] = {};

#define BAD(set, e) do { h = hello_of("bad"); set; \
	ok(ioctl(fd, DATAFS_IOC_HELLO, &h) == -1 && errno == (e), \
	   "hello with " #set ": %s", strerrorname_np(e)); } while (0)
	BAD(h.major = 9, EPROTONOSUPPORT);
	ok(h.major == DATAFS_ABI_MAJOR && h.minor == DATAFS_ABI_MINOR,
	   "it is told the module's version");
	BAD(h.size = 8, EINVAL);
	BAD(h.epoch = 0, EINVAL);
	BAD(h.reserved = 1, EINVAL);
	BAD(h.flags = 4, EINVAL);
	BAD(h.name[0] = 0, EINVAL);
	BAD(h.name[0] = '/', EINVAL);
	BAD(memset(h.name, 'a', sizeof(h.name)), EINVAL);
	FAILS(ioctl(fd, DATAFS_IOC_HELLO, NULL), EFAULT);

	h = hello_of("x");
	h.major = 2;
	h.size = sizeof(big);
	memcpy(big, &h, sizeof(h));
	FAILS(ioctl(fd, _IOC(3, DATAFS_IOC_MAGIC, 0, sizeof(big)), big),
	      EPROTONOSUPPORT);

	h = hello_of("one.-_A9");
	ok(!ioctl(fd, DATAFS_IOC_HELLO, &h) && h.features == FEATURES &&
	   h.minor == DATAFS_ABI_MINOR && h.epoch == 5 && h.session[15] == 0x5a,
	   "hello");
	FAILS(hello(fd, "two"), EALREADY);
	FAILS(hello(fd2, "one.-_A9"), EBUSY);
	ok(!hello(fd2, "two"), "another name");
	close(fd);
	fd = dev(0);
	ok(!hello(fd, "one.-_A9"), "a name without mounts is free again");
	close(fd);
	close(fd2);
}

static void backings(const char *disk)
{
	struct datafs_backing b = { .id = 3 };
	char f[4200], g[4200];
	int fd = dev(0);
	uint32_t id = 3;

	hello(fd, "b");
	snprintf(f, sizeof(f), "%s/slab", disk);
	snprintf(g, sizeof(g), "%s/slab2", disk);
	close(open(g, O_CREAT | O_RDWR, 0600));
	b.fd = open(f, O_CREAT | O_RDWR | O_DIRECT, 0600);
	if (b.fd < 0 || ftruncate(b.fd, 1 << 20))
		die("%s: %s", f, strerror(errno));
#define ADD(set, e) do { struct datafs_backing c = b; set; \
	ok(ioctl(fd, DATAFS_IOC_BACKING_ADD, &c) == -1 && errno == (e), \
	   "backing with " #set ": %s", strerrorname_np(e)); } while (0)
	ADD(c.id = 0, EINVAL);
	ADD(c.id = DATAFS_BACKING_IDS, EINVAL);
	ADD(c.fd = 9999, EBADF);
	ADD(c.fd = open(f, O_RDWR), EINVAL);
	ADD(c.fd = open(f, O_WRONLY | O_DIRECT), EACCES);
	ADD(c.fd = open(disk, O_RDONLY), EINVAL);
	ADD(c.fd = fd, EINVAL);
	ADD(c.fd = open(f, O_PATH), EBADF);
	ok(!ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) && b.length == 1 << 20,
	   "backing");
	b.length = 0;
	ok(!ioctl(fd, DATAFS_IOC_BACKING_ADD, &b) && b.length == 1 << 20,
	   "the same again");
	ADD(c.fd = open(g, O_RDWR | O_DIRECT), EEXIST);
	ok(!ioctl(fd, DATAFS_IOC_BACKING_DEL, &id), "del");
	FAILS(ioctl(fd, DATAFS_IOC_BACKING_DEL, &id), ENOENT);
	ok(!ioctl(fd, DATAFS_IOC_BACKING_ADD, &b), "again, left registered");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage: device DIR DISK");
	dir = argv[1];
	alarm(500);
	before_hello();
	hellos();
	backings(argv[2]);
	printf("# %d failed\n", failures);
	return !!failures;
}
