// SPDX-License-Identifier: Apache-2.0
/*
 * steal INSTANCE PID STORE MNT N: a daemon of a mount that others use dies with
 * N requests of each opcode taken and not answered.
 *
 * The real one (process PID) is killed; this one follows it in its name, takes
 * the requests, and is fenced by another of its kind, which has all of them
 * again, and dies. STORE is where the real ones keep what they know. Removes
 * /run/hold when the next real one may come, whose answers the callers compare.
 */
#define _GNU_SOURCE 1
#include "callers.h"
#include "meta/meta.h"

#define HOLD		"/run/hold"

/* ---------------------------------------------------------------- the thief */

/* An inode that was asked about for the sake of its parent. */
static bool answer_dir(int fd, const struct datafs_req *r)
{
	struct datafs_attr attr;
	int i;

	for (i = 0; i < callers && dirs[i].st_ino != r->ino; i++)
		;
	if (r->opcode != DATAFS_OP_GETATTR || i == callers)
		return false;
	attr = attr_of(r->ino, dirs[i].st_mode);
	attr.nlink = 2;
	attr.valid_ms = 0;
	attr.mtime = dirs[i].st_mtim.tv_sec;
	attr.mtime_ns = dirs[i].st_mtim.tv_nsec;
	answer(fd, r->id, 0, &attr, sizeof(attr));
	return true;
}

static bool enough(const int *had)
{
	size_t k;

	for (k = 0; k < KINDS; k++)
		if (had[kinds[k].op] < callers)
			return false;
	return true;
}

/* Takes what comes until there is enough of each, of those that came before. */
static void take(int fd, bool again)
{
	int had[DATAFS_OP_NR] = { 0 };
	struct datafs_req *r;
	size_t k;

	taken_at = taken_len = 0;
	while (!enough(had) && ready(fd, 20000)) {
		r = next(fd);
		if (!answer_dir(fd, r) &&
		    (!again || r->flags & DATAFS_REQ_RESEND))
			had[r->opcode]++;
	}
	for (k = 0; k < KINDS; k++)
		ok(had[kinds[k].op] >= callers, "%s: %d of %s", again ? "again" : "taken",
		   had[kinds[k].op], kinds[k].name);
}

static int become(const char *store, struct datafs_hello *h)
{
	int fd = dev(O_NONBLOCK);

	if (ioctl(fd, DATAFS_IOC_HELLO, h))
		die("hello, with what is in %s: %m", store);
	return fd;
}

static struct datafs_hello hello_after(const char *store)
{
	struct datafs_hello h = hello_of(instance);
	struct datafs_meta *meta;
	struct timespec ts;
	char where[4200];

	snprintf(where, sizeof(where), "%s/meta", store);
	if (datafs_meta_open(where, &meta))
		die("%s cannot be opened", where);
	memcpy(h.session, datafs_meta_id(meta), sizeof(h.session));
	datafs_meta_close(meta);
	clock_gettime(CLOCK_REALTIME, &ts);
	h.epoch = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	h.flags = DATAFS_HELLO_TAKEOVER;
	return h;
}

int main(int argc, char **argv)
{
	struct datafs_range range = { .ino = 1 };
	struct datafs_hello h;
	int go[2], one, two, i;
	pid_t pid;

	if (argc != 6)
		die("usage: steal INSTANCE PID STORE MNT N");
	instance = argv[1];
	pid = atoi(argv[2]);
	dir = argv[4];
	callers = atoi(argv[5]);
	if (pid <= 0 || callers < 1 || callers > CALLERS_MAX || pipe(go) ||
	    control_open() < 0)
		die("bad arguments");
	prepare_callers(argv[3], go);

	kill(pid, SIGKILL);
	while (!kill(pid, 0))
		usleep(20000);
	h = hello_after(argv[3]);
	one = become(argv[3], &h);
	tell_callers(go);
	for (i = 0; i < callers; i++)
		if (do_revoke(instance, &range, sizeof(range)))
			die("REVOKE: %s", strerror(control.outcome));
	take(one, false);
	h.epoch++;
	two = become(argv[3], &h);
	take(two, true);
	unlink(HOLD);
	close(one);
	close(two);

	callers_end();
	return failures != 0;
}
