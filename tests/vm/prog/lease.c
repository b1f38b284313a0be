// SPDX-License-Identifier: Apache-2.0
/*
 * lease DIR: a daemon that says until when its answers may be used. DIR is an empty
 * directory to mount on. All is told for ever; each look at it counts its upcalls.
 */
#define _GNU_SOURCE 1

#include "channel.h"

enum { ROOT = 1, FILE_INO };

static uint32_t mount_id;
static int upcalls;

static int lease(int fd, uint64_t until)
{
	return lease_of(fd, mount_id, until);
}

static void serve_one(int fd)
{
	struct datafs_req *r = next(fd);
	struct datafs_entry e = { .valid_ms = DATAFS_FOREVER };
	struct datafs_attr attr = attr_of(r->ino, r->ino == ROOT ? S_IFDIR | 0755 :
							   S_IFREG | 0644);

	switch (r->opcode) {
	case DATAFS_OP_MOUNT:
		mount_id = r->mount_id;
		ok(!lease(fd, now() + HOUR), "a mount that is being made gets a lease");
		attr = attr_of(ROOT, S_IFDIR | 0755);
		answer(fd, r->id, 0, &attr, sizeof(attr));
		return;
	case DATAFS_OP_GETATTR:
		answer(fd, r->id, 0, &attr, sizeof(attr));
		break;
	case DATAFS_OP_LOOKUP:
		if (!strncmp((char *)(r + 1), "file", 5))
			e.attr = attr_of(FILE_INO, S_IFREG | 0644);
		answer(fd, r->id, 0, &e, sizeof(e));
		break;
	default:
		answer(fd, r->id, -EOPNOTSUPP, NULL, 0);
		return;
	}
	upcalls++;
}

/* The upcalls of one look at what is there, at what is not, and at the root. */
static int look(int fd)
{
	static const struct { const char *name; int error; } looks[] = {
		{ "", 0 }, { "file", 0 }, { "absent", ENOENT },
	};
	int before = upcalls;

	for (int i = 0; i < 3; i++) {
		int got = serve_until(fd, stating(looks[i].name), serve_one);

		if (got != looks[i].error)
			ok(false, "%s: %s", looks[i].name, strerrorname_np(got));
	}
	return upcalls - before;
}

static const char *in_sysfs(void)
{
	static char text[64];
	char file[100];
	ssize_t n;
	int fd;

	snprintf(file, sizeof(file), "/sys/fs/datafs/%u/lease_ms", mount_id);
	fd = open(file, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 1)
		die("%s: %m", file);
	close(fd);
	text[n - 1] = 0;
	return text;
}

static void refusals(int fd)
{
	struct datafs_lease_end l = { .mount_id = mount_id, .reserved = 1 };
	struct datafs_counts counts = { .mount_id = mount_id + 1000 };

	FAILS(ioctl(fd, DATAFS_IOC_LEASE, &l), EINVAL);
	l.reserved = 0;
	l.mount_id += 1000;
	FAILS(ioctl(fd, DATAFS_IOC_LEASE, &l), ENOENT);
	FAILS(ioctl(fd, DATAFS_IOC_LEASE, NULL), EFAULT);
	counts.reserved = 1;
	FAILS(ioctl(fd, DATAFS_IOC_COUNTS, &counts), EINVAL);
	counts.reserved = 0;
	FAILS(ioctl(fd, DATAFS_IOC_COUNTS, &counts), ENOENT);
	FAILS(ioctl(fd, DATAFS_IOC_COUNTS, NULL), EFAULT);
	ok(look(fd) == 0, "they have changed nothing");
}

static void ends(int fd)
{
	int64_t until;
	int n;

	ok(look(fd) > 0, "the first look asks");
	n = look(fd);
	ok(n == 0, "the second does not: %d", n);
	n = atoi(in_sysfs());
	ok(n > 3000000 && n <= 3600000, "lease_ms: %s", in_sysfs());
	refusals(fd);
	ok(!lease(fd, now()), "the lease ends");
	ok(!strcmp(in_sysfs(), "0"), "lease_ms: %s", in_sysfs());
	n = look(fd);
	ok(n >= 3, "all is asked for: %d", n);
	n = look(fd);
	ok(n >= 3, "each time: %d", n);
	ok(!lease(fd, now() + HOUR), "it goes on");
	n = look(fd);
	ok(n == 0, "nothing was forgotten: %d", n);
	until = now() + 1000 * MS;
	ok(!lease(fd, until), "it ends in a second");
	while (now() < until)
		usleep(1000);
	n = look(fd);
	ok(n >= 3, "it has ended by itself: %d", n);
	ok(!lease(fd, DATAFS_LEASE_NONE) && !strcmp(in_sysfs(), "none"), "no lease, no end");
	n = look(fd);
	ok(n == 0, "nothing is asked for: %d", n);
}

/* The daemon dies: what is under a lease answers, until it ends. */
static int dies(int fd)
{
	struct datafs_hello h = hello_of("m");
	int64_t until = now() + 3000 * MS;
	int old = fd, n;
	pid_t pid;

	ok(!lease(fd, until), "three seconds more");
	h.flags = DATAFS_HELLO_TAKEOVER;
	h.epoch = 6;
	fd = dev(O_NONBLOCK);
	ok(!ioctl(fd, DATAFS_IOC_HELLO, &h) && h.features & DATAFS_FEATURE_LEASE,
	   "a successor, and the module has leases");
	FAILS(lease(old, now() + HOUR), ENOTCONN);
	close(old);
	n = look(fd);
	ok(n == 0, "the lease is as it was: %d", n);
	close(fd);
	ok(!reap(stating("file")), "without a daemon it goes on");
	while (now() < until)
		usleep(1000);
	pid = stating("file");
	usleep(300000);
	ok(!waitpid(pid, &n, WNOHANG), "when it has ended, one waits");
	fd = dev(O_NONBLOCK);
	h = hello_of("m");
	h.flags = DATAFS_HELLO_TAKEOVER;
	h.epoch = 7;
	ok(!ioctl(fd, DATAFS_IOC_HELLO, &h), "the next daemon");
	ok(!serve_until(fd, pid, serve_one), "is asked");
	return fd;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 2)
		die("usage: lease DIR");
	dir = argv[1];
	alarm(120);
	fd = dev(O_NONBLOCK);
	if (hello(fd, "m"))
		die("HELLO: %m");
	ok(!serve_until(fd, mounting("m"), serve_one), "mount");
	ends(fd);
	fd = dies(fd);
	ok(!umount2(dir, 0), "unmount");
	close(fd);
	printf("# %d failed\n", failures);
	return !!failures;
}
