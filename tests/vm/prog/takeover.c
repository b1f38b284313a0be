// SPDX-License-Identifier: Apache-2.0
/*
 * takeover DIR SLABDIR [DM-DEVICE]: one daemon after another under one name, as
 * files of one process. DIR is an empty directory to mount on; SLABDIR has direct
 * I/O, and lies on the device-mapper device DM-DEVICE, if that is given.
 */
#define _GNU_SOURCE 1
#include <signal.h>

#include "files.h"

static uint64_t epoch = 5;	/* of the last daemon */

static uint8_t with_session;	/* not the first one's */

static int say_hello(int fd, uint64_t with_epoch, uint32_t flags,
		     struct datafs_hello *h)
{
	*h = hello_of(instance);
	h->epoch = with_epoch;
	h->flags = flags;
	h->session[0] ^= with_session;
	return ioctl(fd, DATAFS_IOC_HELLO, h) ? errno : 0;
}

/* The next daemon, which becomes the device; the one before is returned, open. */
static int succeed(void)
{
	struct datafs_hello h;
	int old = device;

	device = dev(O_NONBLOCK);
	if (say_hello(device, ++epoch, DATAFS_HELLO_TAKEOVER, &h))
		die("takeover: %m");
	taken_at = taken_len = 0;
	return old;
}

static int state_of_mount(void)
{
	if (transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP)))
		die("GET_MOUNT: %s", strerror(control.outcome));
	return control.state;
}

static void hellos(void)
{
	struct datafs_hello h;
	int fd = dev(O_NONBLOCK);

	ok(say_hello(fd, epoch + 1, 0, &h) == EBUSY, "a second daemon that does not want to take over");
	ok(say_hello(fd, epoch, DATAFS_HELLO_TAKEOVER, &h) == ESTALE, "one of the same epoch");
	ok(say_hello(fd, 1, DATAFS_HELLO_TAKEOVER, &h) == ESTALE, "one of an older epoch");
	close(fd);
	ok(state_of_mount() == DATAFS_STATE_LIVE, "the first one lives");

	fd = dev(O_NONBLOCK);
	h = hello_of("unknown");
	h.flags = DATAFS_HELLO_TAKEOVER;
	ok(!ioctl(fd, DATAFS_IOC_HELLO, &h) && h.features == FEATURES,
	   "a name that nobody has is taken over as well");
	close(fd);
}

/* What was read and not answered comes again, what was not read comes, in order. */
static void requeue(bool dead)
{
	const char *how = dead ? "dead" : "fenced";
	uint64_t before = counted("requeued_lookup"), first, second, last_id = 0;
	struct pollfd p = { .events = POLLIN };
	uint32_t id = BACKING;
	struct datafs_req *r;
	pid_t pid[4];
	int old, i;

	for (i = 0; i < 2; i++)
		pid[i] = stating(i ? "two" : "one");
	first = next(device)->id;
	second = next(device)->id;
	for (; i < 4; i++) {
		pid[i] = stating(i > 2 ? "four" : "three");
		usleep(200000);
	}
	if (dead) {
		close(device);
		ok(state_of_mount() == DATAFS_STATE_GRACE, "without a daemon it is GRACE");
	}
	old = succeed();
	ok(state_of_mount() == DATAFS_STATE_LIVE, "%s: LIVE with the next one", how);
	if (!dead) {
		ok(answer(old, first, -ENOENT, NULL, 0) == -1 && errno == ENOTCONN,
		   "an answer of the fenced one is refused");
		FAILS(read(old, buf, sizeof(buf)), ENOTCONN);
		FAILS(ioctl(old, DATAFS_IOC_BACKING_DEL, &id), ENOTCONN);
		p.fd = old;
		ok(poll(&p, 1, 0) == 1 && p.revents & POLLHUP, "it sees that it is fenced");
		close(old);
		ok(state_of_mount() == DATAFS_STATE_LIVE, "its end is nothing to the mount");
	}
	for (i = 0; i < 4; i++) {
		r = next(device);
		ok(r->id > last_id && !(r->flags & DATAFS_REQ_RESEND) ==
		   (r->id != first && r->id != second),
		   "%s: request %d comes in order, and says whether it came before", how, i);
		last_id = r->id;
		answer(device, r->id, -ENOENT, NULL, 0);
	}
	for (i = 0; i < 4; i++)
		ok(reap(pid[i]) == ENOENT, "%s: caller %d has its answer", how, i);
	ok(counted("requeued_lookup") == before + 2, "%s: two were sent again", how);
}

/* Without a daemon what is cached serves, also what has expired. */
static void grace(void)
{
	struct datafs_entry ent = { .valid_ms = 300 };
	struct datafs_req *r;
	uint64_t ino = ++last_ino;
	char name[20];
	pid_t pid;

	snprintf(name, sizeof(name), "f%llu", (unsigned long long)ino);
	pid = stating(name);
	r = next(device);
	ent.attr = file_attr(ino);
	ent.attr.valid_ms = 300;
	answer(device, r->id, 0, &ent, sizeof(ent));
	ok(!reap(pid), "a name is known, for a while");
	usleep(500000);
	pid = stating(name);
	r = next(device);
	ok(r->opcode == DATAFS_OP_LOOKUP, "then it is asked for again");
	answer(device, r->id, 0, &ent, sizeof(ent));
	ok(!reap(pid), "and answered");
	close(device);
	usleep(500000);
	pid = stating(name);
	ok(!reap(pid), "without a daemon it serves for longer");
	pid = stating("never-seen");
	usleep(200000);
	ok(!waitpid(pid, NULL, WNOHANG), "what is not known waits");
	succeed();
	r = next(device);
	ok(r->opcode == DATAFS_OP_LOOKUP, "for the next daemon");
	answer(device, r->id, -ENOENT, NULL, 0);
	ok(reap(pid) == ENOENT, "and is answered");
}

/* ---------------------------------------------------------- what is held */

static struct datafs_held held[DATAFS_HELD_MAX];

/* All extents, got @room at a time. */
static unsigned int list(uint32_t room)
{
	struct datafs_held_list l = { .room = room };
	unsigned int n = 0;

	for (;;) {
		l.items = (uintptr_t)(held + n);
		if (ioctl(device, DATAFS_IOC_HELD, &l))
			die("HELD: %m");
		if (!l.count)
			return n;
		n += l.count;
	}
}

static bool holds(unsigned int n, uint64_t ino, uint64_t off, uint64_t len, uint32_t flags)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (held[i].ino == ino && held[i].off == off && held[i].len == len &&
		    held[i].backing_id == BACKING && held[i].backing_off == off &&
		    held[i].content == 1 && held[i].mount_id == control.mount &&
		    held[i].flags == flags && !held[i].reserved)
			return true;
	return false;
}

static void extents(const char *slabs)
{
	struct datafs_held_list l = { .room = 0, .items = (uintptr_t)held };
	struct datafs_backing b = { .id = BACKING };
	struct datafs_held whole[8];
	uint32_t id = BACKING;
	char file[4200];
	unsigned int n;
	pid_t pid[2];

	FAILS(ioctl(device, DATAFS_IOC_HELD, &l), EINVAL);
	l.room = DATAFS_HELD_MAX + 1;
	FAILS(ioctl(device, DATAFS_IOC_HELD, &l), EINVAL);
	n = list(100);
	ok(!n, "nothing is held at first (%u)", n);
	send_right(asked(&pid[0], 0));
	send_right(asked(&pid[1], 0));
	ok(!reap(pid[0]) && !reap(pid[1]), "two files are read");
	close(device);
	succeed();
	n = list(100);
	ok(n == 4, "the next daemon is told four extents (%u)", n);
	ok(holds(n, last_ino - 1, 0, SIZE / 4, 0) &&
	   holds(n, last_ino - 1, SIZE / 4, SIZE - SIZE / 4, 0) &&
	   holds(n, last_ino, 0, SIZE / 4, 0) &&
	   holds(n, last_ino, SIZE / 4, SIZE - SIZE / 4, 0), "as they are");
	memcpy(whole, held, sizeof(whole));
	ok(list(1) == 4 && !memcmp(whole, held, 4 * sizeof(held[0])), "one at a time as well");
	ok(list(3) == 4 && !memcmp(whole, held, 4 * sizeof(held[0])), "and three at a time");

	pid[0] = reading(last_ino, O_DIRECT);
	ok(!reap(pid[0]) && !ready(device, 0), "they still serve, without an upcall");

	snprintf(file, sizeof(file), "%s/other-slab", slabs);
	b.fd = open(file, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (b.fd < 0 || ftruncate(b.fd, SLAB))
		die("%s: %m", file);
	FAILS(ioctl(device, DATAFS_IOC_BACKING_ADD, &b), EEXIST);
	id = 0;
	ok(!ioctl(device, DATAFS_IOC_BACKING_DEL, &id), "what only a predecessor registered goes");
	id = BACKING;
	FAILS(ioctl(device, DATAFS_IOC_BACKING_DEL, &id), ENOENT);
	ok(!ioctl(device, DATAFS_IOC_BACKING_ADD, &b), "another file gets the id");
	id = 0;
	ok(!ioctl(device, DATAFS_IOC_BACKING_DEL, &id), "and keeps it");
	id = BACKING;
	n = list(100);
	ok(n == 4 && holds(n, last_ino, 0, SIZE / 4, DATAFS_HELD_OTHER),
	   "which the extents of the old one say");
	pid[0] = reading(last_ino, O_DIRECT);
	ok(!reap(pid[0]) && !ready(device, 0), "and serve");
	take_back(last_ino);
	done("of the old file's");
	ok(list(100) == 2, "what was revoked is not held");

	/* The old file once more, for what comes. */
	close(b.fd);
	snprintf(file, sizeof(file), "%s/%s-slab", slabs, instance);
	b.fd = open(file, O_RDWR | O_DIRECT | O_CLOEXEC);
	ok(!ioctl(device, DATAFS_IOC_BACKING_DEL, &id) &&
	   !ioctl(device, DATAFS_IOC_BACKING_ADD, &b), "the first file has it again");
}

/* What is dead but in use is told, and an old daemon's answer installs nothing. */
static void dying(const char *disk)
{
	struct datafs_held_list l = { .room = 1 };
	uint64_t before;
	unsigned int n;
	pid_t pid;

	dm(disk, "suspend --noflush --nolockfs");
	before = counted("backing_reads");
	send_right(asked(&pid, O_DIRECT));
	while (counted("backing_reads") == before)
		usleep(1000);
	take_back(last_ino);
	close(device);
	succeed();
	n = list(100);
	ok(holds(n, last_ino, 0, SIZE / 4, DATAFS_HELD_DYING),
	   "an extent whose I/O stands still is told to the next daemon");
	l.ino = last_ino;
	l.mount_id = control.mount;
	l.items = (uintptr_t)held;
	ok(!ioctl(device, DATAFS_IOC_HELD, &l) || errno == ERANGE, "in little room, or it says so");
	dm(disk, "resume");
	done("of a predecessor's cookie");
	for (;;) {
		siginfo_t info = { 0 };

		waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid)
			break;
		if (ready(device, 20))
			send_right(next_data());
	}
	ok(!reap(pid), "and the reader has its bytes");
}

static void session(void)
{
	struct datafs_hello h;
	int fd = dev(O_NONBLOCK);

	with_session = 1;
	ok(say_hello(fd, epoch + 1, DATAFS_HELLO_TAKEOVER, &h) == EEXIST,
	   "who has another namespace takes no mounts over");
	ok(state_of_mount() == DATAFS_STATE_LIVE && !ready(device, 0),
	   "and fences nobody");
	ok(!umount(dir), "unmount");
	ok(say_hello(fd, epoch + 1, DATAFS_HELLO_TAKEOVER, &h) == EEXIST,
	   "nor takes it the name of a living daemon");
	close(device);
	ok(!say_hello(fd, epoch + 1, DATAFS_HELLO_TAKEOVER, &h), "but then one that is free");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		die("usage: takeover DIR SLABDIR [DM-DEVICE]");
	dir = argv[1];
	alarm(120);
	setup("takeover", argv[2]);
	hellos();
	requeue(true);
	requeue(false);
	grace();
	extents(argv[2]);
	if (argc == 4)
		dying(argv[3]);
	session();
	printf("# %d failed\n", failures);
	return !!failures;
}
