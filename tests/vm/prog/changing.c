// SPDX-License-Identifier: Apache-2.0
/*
 * changing DIR: changes as a daemon sees them, which is this program. DIR is an empty
 * directory to mount on.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/xattr.h>

#include "channel.h"

#define INSTANCE	"changing"
#define ROOT		1ull
#define CALLERS		4

static int device;
static uint64_t epoch = 5;

static struct datafs_attr that_changes(uint64_t ino, uint32_t mode)
{
	struct datafs_attr a = attr_of(ino, mode);

	a.flags = DATAFS_ATTR_CHANGES;
	a.nlink = S_ISDIR(mode) ? 2 : 1;
	a.size = 0;
	return a;
}

/* "fN" is inode N, in every directory, for ever; nothing else is there. */
static struct datafs_entry entry_of(const struct datafs_req *r)
{
	struct datafs_entry e = { .valid_ms = DATAFS_FOREVER };
	const char *name = (const char *)(r + 1);

	if (name[0] == 'f')
		e.attr = that_changes(strtoull(name + 1, NULL, 10), S_IFREG | 0644);
	return e;
}

/* The next change; names and attributes are answered on the way there. */
static struct datafs_req *next_change(void)
{
	struct datafs_req *r;

	for (;;) {
		struct datafs_entry e;
		struct datafs_attr a;

		r = next(device);
		switch (r->opcode) {
		case DATAFS_OP_LOOKUP:
			e = entry_of(r);
			answer(device, r->id, 0, &e, sizeof(e));
			break;
		case DATAFS_OP_GETATTR:
			a = that_changes(r->ino, r->ino == ROOT ? S_IFDIR | 0755 : S_IFREG | 0644);
			answer(device, r->id, 0, &a, sizeof(a));
			break;
		default:
			return r;
		}
	}
}

/* A name becomes known. */
static void look_up(const char *name)
{
	pid_t pid = stating(name);
	struct datafs_entry e;
	struct datafs_req *r;

	r = next(device);
	e = entry_of(r);
	answer(device, r->id, 0, &e, sizeof(e));
	ok(!reap(pid), "%s is known", name);
}

static uint64_t lowest_of(const struct datafs_req *r)
{
	return ((const struct datafs_change_req *)(r + 1))->lowest;
}

static bool changed(uint64_t id, uint64_t ino, uint32_t mode, uint32_t nlink)
{
	struct datafs_change_rep rep = {
		.node = { .attr = that_changes(ino, mode), .valid_ms = DATAFS_FOREVER },
	};

	rep.node.attr.nlink = nlink;
	if (!nlink)
		rep.parent = that_changes(ROOT, S_IFDIR | 0755);
	return answer(device, id, 0, &rep, sizeof(rep)) > 0;
}

static pid_t chmod_of(uint64_t ino)
{
	char name[20];
	pid_t pid = fork();

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	snprintf(name, sizeof(name), "f%llu", (unsigned long long)ino);
	_exit(chmod(at(name), 0600) ? errno : 0);
}

static int killed(pid_t pid)
{
	kill(pid, SIGKILL);
	return reap(pid);
}

/* Is it said to those who come next that nobody waits for this one any more? */
static void order(void)
{
	struct { uint64_t id, ino; } seen[CALLERS];
	struct datafs_req *r;
	pid_t pid[CALLERS];
	int i;

	for (i = 0; i < CALLERS; i++) {
		pid[i] = chmod_of(100 + i);
		r = next_change();
		seen[i].id = r->id;
		seen[i].ino = r->ino;
		ok(r->opcode == DATAFS_OP_SETATTR && r->ino == 100u + i, "change %d is asked for", i);
		ok(lowest_of(r) == seen[0].id, "the first has no answer yet");
	}
	ok(changed(seen[1].id, seen[1].ino, S_IFREG | 0600, 1) && !reap(pid[1]),
	   "the second is answered");
	pid[1] = chmod_of(200);
	r = next_change();
	ok(lowest_of(r) == seen[0].id, "the first has none still");
	ok(changed(r->id, r->ino, S_IFREG | 0600, 1) && !reap(pid[1]), "done");
	ok(changed(seen[0].id, seen[0].ino, S_IFREG | 0600, 1) && !reap(pid[0]), "the first, too");
	pid[0] = chmod_of(201);
	r = next_change();
	ok(lowest_of(r) == seen[2].id, "now it is the third");
	ok(changed(r->id, r->ino, S_IFREG | 0600, 1) && !reap(pid[0]), "done");
	for (i = 2; i < CALLERS; i++)
		ok(changed(seen[i].id, seen[i].ino, S_IFREG | 0600, 1) && !reap(pid[i]), "done");
}

static void succeed(void)
{
	struct datafs_hello h = hello_of(INSTANCE);

	close(device);
	device = dev(O_NONBLOCK);
	h.epoch = ++epoch;
	h.flags = DATAFS_HELLO_TAKEOVER;
	if (ioctl(device, DATAFS_IOC_HELLO, &h))
		die("takeover: %m");
	taken_at = taken_len = 0;
}

static void left(void)
{
	uint64_t first, second;
	struct datafs_attr a;
	struct datafs_req *r;
	pid_t pid[2];

	/* One that no daemon has read is not sent any more. */
	look_up("f300");
	pid[0] = chmod_of(300);
	ok(ready(device, 10000), "a change waits");
	ok(killed(pid[0]) == 1000 + SIGKILL, "its caller is killed");
	ok(quiet(device), "and it is not sent");

	/* One that was read goes on, and is sent to the next daemon. */
	pid[0] = chmod_of(300);
	first = next_change()->id;
	pid[1] = chmod_of(301);
	second = next_change()->id;
	ok(killed(pid[0]) == 1000 + SIGKILL, "a caller whose change was read is killed");
	succeed();
	r = next(device);
	ok(r->id == first && r->opcode == DATAFS_OP_SETATTR && r->flags & DATAFS_REQ_RESEND &&
	   lowest_of(r) == first, "it comes again, and has no answer yet");
	r = next(device);
	ok(r->id == second && r->flags & DATAFS_REQ_RESEND && lowest_of(r) == first,
	   "so does another, which is not the lowest");
	ok(changed(first, 300, S_IFREG | 0600, 1), "it is answered");
	ok(changed(second, 301, S_IFREG | 0600, 1) && !reap(pid[1]), "and the other one");
	pid[0] = stating("f300");
	r = next(device);
	ok(r->opcode == DATAFS_OP_GETATTR && r->ino == 300, "nobody took it in: it is asked for");
	a = that_changes(300, S_IFREG | 0600);
	answer(device, r->id, 0, &a, sizeof(a));
	ok(!reap(pid[0]), "and that is the answer");
}

static int open_gone(const char *name)
{
	int fd = open(at(name), O_RDONLY), e = 0;
	struct stat st;

	if (fd < 0 || unlink(path))
		return errno;
	if (fstat(fd, &st) || st.st_nlink)
		e = 200;
	close(fd);
	return e;
}

static void holds(void)
{
	struct datafs_remove_req *body;
	struct datafs_req *r;
	pid_t pid = fork();
	uint64_t id;

	if (!pid) {
		close_range(3, ~0u, 0);
		_exit(open_gone("f400"));
	}
	r = next_change();
	body = (void *)(r + 1);
	id = r->id;
	ok(r->opcode == DATAFS_OP_UNLINK && r->ino == ROOT && body->ino == 400 &&
	   body->flags == DATAFS_REMOVE_HOLD && r->namelen == 4 && !memcmp(body + 1, "f400", 4),
	   "what is open is to be held");
	changed(id, 400, S_IFREG | 0644, 0);
	r = next(device);
	ok(r->opcode == DATAFS_OP_RELEASE && r->ino == 400 && r->id > id && lowest_of(r) == r->id,
	   "nothing is asked of it, but its release");
	ok(!reap(pid), "who had it open saw it without a name");
	succeed();
	r = next(device);
	ok(r->opcode == DATAFS_OP_RELEASE && r->flags & DATAFS_REQ_RESEND, "which comes again");
	answer(device, r->id, 0, NULL, 0);
	ok(quiet(device), "until it is answered");

	pid = fork();
	if (!pid) {
		close_range(3, ~0u, 0);
		_exit(unlink(at("f401")) ? errno : 0);
	}
	r = next_change();
	body = (void *)(r + 1);
	ok(r->opcode == DATAFS_OP_UNLINK && !body->flags, "what is not open is not held");
	changed(r->id, 401, S_IFREG | 0644, 0);
	ok(!reap(pid) && quiet(device), "nor let go");
}

static void large(void)
{
	static char value[20000];
	struct datafs_setxattr_req *body;
	struct datafs_req *r = (struct datafs_req *)buf;
	ssize_t n;
	pid_t pid;

	memset(value, 'v', sizeof(value));
	look_up("f500");
	pid = fork();
	if (!pid) {
		close_range(3, ~0u, 0);
		_exit(setxattr(at("f500"), "user.large", value, sizeof(value), XATTR_CREATE) ?
		      errno : 0);
	}
	ok(ready(device, 10000), "a large value");
	FAILS(read(device, buf, DATAFS_READ_MIN), EMSGSIZE);
	n = read(device, buf, sizeof(buf));
	r = (struct datafs_req *)buf;
	body = (void *)(r + 1);
	ok(n == (ssize_t)(sizeof(*r) + sizeof(*body) + 16 + sizeof(value)) && r->len == n &&
	   r->opcode == DATAFS_OP_SETXATTR && r->namelen == 10 &&
	   body->value_len == sizeof(value) && body->flags == DATAFS_XATTR_CREATE &&
	   !memcmp(body + 1, "user.large", 10) &&
	   !memcmp((char *)(body + 1) + 16, value, sizeof(value)), "is read with more room");
	changed(r->id, 500, S_IFREG | 0644, 1);
	ok(!reap(pid), "and set");
}

int main(int argc, char **argv)
{
	struct datafs_attr root = that_changes(ROOT, S_IFDIR | 0755);
	struct datafs_req *r;
	pid_t pid;

	if (argc != 2)
		die("usage: changing DIR");
	dir = argv[1];
	device = dev(O_NONBLOCK);
	if (hello(device, INSTANCE))
		die("hello: %m");
	pid = mounting(INSTANCE);
	r = next(device);
	answer(device, r->id, 0, &root, sizeof(root));
	ok(!reap(pid), "a mount whose root can be changed");

	order();
	left();
	holds();
	large();

	pid = fork();
	if (!pid)
		_exit(umount(dir) ? errno : 0);
	ok(!reap(pid), "unmount");
	r = next(device);
	ok(r->opcode == DATAFS_OP_UMOUNT, "UMOUNT");
	answer(device, r->id, 0, NULL, 0);
	return !!failures;
}
