// SPDX-License-Identifier: Apache-2.0
/*
 * leased DIR: a mount with a lease, whose daemon is this program: what it changes, and
 * what others do. DIR is an empty directory to mount on.
 */
#define _GNU_SOURCE 1
#include <grp.h>
#include <sched.h>
#include <signal.h>

#include "channel.h"

enum { ROOT = 1, FILE_INO, FIRST_MADE = 100 };

#define INSTANCE	"leased"
#define HIM		1000u

static int device;
static uint32_t mount_id;
static unsigned int asked[DATAFS_OP_NR];	/* since forget() */
static unsigned int made;			/* directories */

/* What there is: "file"; and how long attributes are told to hold. */
static struct {
	uint32_t uid, nlink, attr_ms;
	bool gone;
} file = { .uid = HIM, .nlink = 1, .attr_ms = DATAFS_FOREVER };

/* The change that is not answered yet. */
static struct datafs_req change;
static uint32_t change_flags;
static bool answers_changes;

static int lease(uint64_t until)
{
	return lease_of(device, mount_id, until);
}

static struct datafs_attr attr(uint64_t ino)
{
	struct datafs_attr a = attr_of(ino, S_IFDIR | 0755);

	a.flags = DATAFS_ATTR_CHANGES;
	a.nlink = 2;
	a.size = 0;
	if (ino == ROOT)
		a.mode = S_IFDIR | 01777;
	if (ino != FILE_INO)
		return a;
	a.mode = S_IFREG | 0644;
	a.uid = file.uid;
	a.nlink = file.nlink;
	a.valid_ms = file.attr_ms;
	return a;
}

static void answer_change(int error)
{
	struct datafs_change_rep rep = {
		.node = { .attr = attr(FILE_INO), .valid_ms = DATAFS_FOREVER },
		.parent = attr(ROOT),
	};

	if (change.opcode == DATAFS_OP_MKDIR && !error)
		rep.node.attr = attr(FIRST_MADE + made++);
	answer(device, change.id, error, &rep, error ? 0 : sizeof(rep));
	change = (struct datafs_req) { 0 };
}

static void serve_one(int fd)
{
	struct datafs_req *r = next(fd);
	struct datafs_entry e = { .valid_ms = DATAFS_FOREVER };
	struct datafs_attr a = attr(r->ino);

	asked[r->opcode]++;
	switch (r->opcode) {
	case DATAFS_OP_MOUNT:
		mount_id = r->mount_id;
		a = attr(ROOT);
		answer(fd, r->id, 0, &a, sizeof(a));
		break;
	case DATAFS_OP_GETATTR:
		answer(fd, r->id, 0, &a, sizeof(a));
		break;
	case DATAFS_OP_LOOKUP:
		if (r->namelen == 3 && !memcmp(r + 1, "new", 3) && made)
			e.attr = attr(FIRST_MADE);
		if (r->namelen == 5 && !memcmp(r + 1, "other", 5) && made > 1)
			e.attr = attr(FIRST_MADE + made - 1);
		if (!file.gone && r->namelen == 4 && !memcmp(r + 1, "file", 4))
			e.attr = attr(FILE_INO);
		answer(fd, r->id, 0, &e, sizeof(e));
		break;
	case DATAFS_OP_UNLINK:
		change_flags = ((struct datafs_remove_req *)(r + 1))->flags;
		/* fall through */
	case DATAFS_OP_MKDIR:
		change = *r;
		if (answers_changes)
			answer_change(0);
		break;
	default:
		answer(fd, r->id, r->opcode == DATAFS_OP_RELEASE ? 0 : -EOPNOTSUPP, NULL, 0);
	}
}

/* Answers until @pid has ended. */
static int serve(pid_t pid)
{
	return serve_until(device, pid, serve_one);
}

static pid_t child(int (*fn)(const char *name), const char *name)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	_exit(fn(name) ? errno : 0);
}

static int do_mkdir(const char *name)
{
	return mkdir(at(name), 0755);
}

static int do_unlink(const char *name)
{
	return unlink(at(name));
}

static int his_unlink(const char *name)
{
	if (setgroups(0, NULL) || setresgid(HIM, HIM, HIM) || setresuid(HIM, HIM, HIM))
		return -1;
	return unlink(at(name));
}

static int do_keep_open(const char *name)
{
	int fd = open(at(name), O_RDONLY);

	if (fd >= 0)
		pause();
	return -1;
}

static void forget(void)
{
	memset(asked, 0, sizeof(asked));
}

/* Upcalls for a name or attributes that one stat(2) costs, which must end with @error. */
static unsigned int stat_costs(const char *name, int error)
{
	int got;

	forget();
	got = serve(stating(name));
	if (got != error)
		ok(false, "%s: %s, not %s", name, strerrorname_np(got), strerrorname_np(error));
	return asked[DATAFS_OP_LOOKUP] + asked[DATAFS_OP_GETATTR];
}

/* @fn of @name, which asks for a change that is not answered. */
static pid_t begin(int (*fn)(const char *name), const char *name)
{
	pid_t pid = child(fn, name);

	answers_changes = false;
	while (!change.id)
		serve_one(device);
	return pid;
}

static int invalidate_name(const char *name)
{
	struct {
		struct datafs_invalid i;
		char name[8];
	} item = {
		.i = { .ino = ROOT, .mount_id = mount_id, .what = DATAFS_INVALID_NAME,
		       .namelen = (uint16_t)strlen(name) },
	};
	struct nl_msg *msg = command(DATAFS_CMD_INVALIDATE, NLM_F_REQUEST | NLM_F_ACK);

	memcpy(item.name, name, item.i.namelen);
	nla_put_string(msg, DATAFS_A_INSTANCE, INSTANCE);
	nla_put(msg, DATAFS_A_ITEMS, sizeof(item), &item);
	return transact(msg);
}

/* Whose it is decides in a sticky directory: who it is now, not while the name has held. */
static void owner(void)
{
	file.attr_ms = 0;
	stat_costs("file", 0);
	file.uid = 0;
	forget();
	answers_changes = true;
	ok(serve(child(his_unlink, "file")) == EPERM, "a file that is not his any more stays");
	ok(!asked[DATAFS_OP_UNLINK] && !asked[DATAFS_OP_LOOKUP] && asked[DATAFS_OP_GETATTR],
	   "only the attributes are asked for");
	file.attr_ms = DATAFS_FOREVER;
	stat_costs("file", 0);
	ok(!stat_costs("file", 0), "all of it is known");
}

/* What is being changed is not known; all beside it is, and afterwards both. */
static void own(void)
{
	unsigned int n;
	pid_t pid;

	stat_costs("new", ENOENT);
	ok(!stat_costs("new", ENOENT), "what is not there is known");
	pid = begin(do_mkdir, "new");
	stat_costs("new", ENOENT);
	ok(asked[DATAFS_OP_LOOKUP], "it is asked for while it is being made");
	stat_costs("new", ENOENT);
	ok(asked[DATAFS_OP_LOOKUP], "each time");
	stat_costs("file", 0);
	ok(!asked[DATAFS_OP_LOOKUP], "the name beside it is not");
	answer_change(0);
	ok(!serve(pid), "it is made");
	n = stat_costs("new", 0);
	ok(!n, "and known: %u", n);
	n = stat_costs("file", 0);
	ok(!n, "as is the other: %u", n);
}

/* Nobody waits for it any more; but it is under way. */
static void killed(void)
{
	pid_t pid;
	int n;

	stat_costs("left", ENOENT);
	pid = begin(do_mkdir, "left");
	kill(pid, SIGKILL);
	ok(reap(pid) == 1000 + SIGKILL, "who makes it is killed");
	for (n = 0; n < 2; n++) {
		stat_costs("left", ENOENT);
		ok(asked[DATAFS_OP_LOOKUP], "it is asked for until it is answered");
	}
	answer_change(-EEXIST);
	stat_costs("left", ENOENT);
	ok(!stat_costs("left", ENOENT), "then it is known that it is not there");
}

/* What others change in the directory is seen meanwhile. */
static void others(void)
{
	pid_t pid = begin(do_mkdir, "other");

	/* or it would keep the directory locked */
	kill(pid, SIGKILL);
	reap(pid);
	file.gone = true;
	ok(!invalidate_name("file"), "somebody else removes a file");
	stat_costs("file", ENOENT);
	ok(asked[DATAFS_OP_LOOKUP], "which is seen while a change here is under way");
	file.gone = false;
	ok(!invalidate_name("file"), "and makes it again");
	stat_costs("file", 0);
	answer_change(0);
	stat_costs("other", 0);
}

/* Its other names may be gone by now: what is open is held. */
static void links(void)
{
	pid_t opener;

	file.nlink = 2;
	ok(!invalidate_name("file"), "a second name");
	stat_costs("file", 0);
	opener = child(do_keep_open, "file");
	for (int i = 0; i < 50; i++)
		if (ready(device, 10))
			serve_one(device);
	answers_changes = true;
	change_flags = 0;
	ok(!serve(child(do_unlink, "file")), "one of the two goes");
	ok(change_flags & DATAFS_REMOVE_HOLD, "it is to be held");
	kill(opener, SIGKILL);
	serve(opener);
}

/* Where the clock is another. */
static void shifted(const char *offset)
{
	int fd, status;
	pid_t pid = fork();
	char text[64] = "", file_name[100];

	if (!pid) {
		if (unshare(CLONE_NEWTIME))
			_exit(2);
		fd = open("/proc/self/timens_offsets", O_WRONLY);
		if (fd < 0 || write(fd, offset, strlen(offset)) < 0)
			_exit(3);
		pid = fork();
		if (!pid)
			_exit(lease(now() + HOUR) ? 1 : 0);
		_exit(waitpid(pid, &status, 0) == pid && !status ? 0 : 1);
	}
	status = reap(pid);
	if (status == 2) {
		printf("# this kernel has no time namespaces\n");
		return;
	}
	ok(!status, "a lease of an hour is told where boottime is off by%s",
	   strchr(offset, ' '));
	snprintf(file_name, sizeof(file_name), "/sys/fs/datafs/%u/lease_ms", mount_id);
	fd = open(file_name, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 1)
		die("%s: %m", file_name);
	close(fd);
	ok(atoi(text) > 3500000 && atoi(text) <= 3600000, "it is an hour: %d", atoi(text));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: leased DIR");
	dir = argv[1];
	alarm(120);
	device = dev(O_NONBLOCK);
	if (hello(device, INSTANCE) || control_open() < 0)
		die("HELLO: %m");
	ok(!serve(mounting(INSTANCE)), "mount");
	ok(!lease(now() + HOUR), "a lease");
	owner();
	own();
	killed();
	others();
	links();
	shifted("boottime 100000 0");
	shifted("boottime -1 0");
	ok(!lease(0), "no lease is left");
	ok(stat_costs("new", 0) > 0, "all is asked for");
	ok(!umount2(dir, 0), "unmount");
	close(device);
	printf("# %d failed\n", failures);
	return !!failures;
}
