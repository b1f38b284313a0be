// SPDX-License-Identifier: Apache-2.0
/*
 * channel DIR: speaks the protocol of /dev/datafs as a daemon would, and as
 * none should. DIR is an empty directory to mount on.
 */
#define _GNU_SOURCE 1
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <liburing.h>

#include "channel.h"

/* A mount that goes wrong in each way, then one that goes well. */
static int mounts(void)
{
	struct datafs_attr root = attr_of(1, S_IFDIR | 0755), bad;
	struct datafs_mount_req *m;
	int fd = dev(O_NONBLOCK);
	struct datafs_req *r;
	uint64_t id;
	pid_t pid;
	void *volatile nowhere = (void *)8;
	char *p;

	hello(fd, "m");
	FAILS(read(fd, buf, 100), EINVAL);
	FAILS(read(fd, buf, sizeof(buf)), EAGAIN);
	FAILS(write(fd, buf, 8), EINVAL);
	memset(buf, 0, 64);
	FAILS(write(fd, buf, 64), EINVAL);
	((struct datafs_rep *)buf)->len = 100;
	FAILS(write(fd, buf, 64), EINVAL);
	ok(answer(fd, 12345, 0, NULL, 0) == 16, "an unknown id is consumed");
	FAILS(write(fd, nowhere, 64), EFAULT);

#define GOES(what, er, body, len, want) do { \
	pid = mounting("m"); \
	r = next(fd); \
	id = r->id; \
	answer(fd, id, er, body, len); \
	ok(reap(pid) == (want), "mount with " what ": %s", \
	   strerrorname_np(want)); \
	r = next(fd); \
	ok(r->opcode == DATAFS_OP_UMOUNT && r->mount_id && r->id > id, \
	   "then an UMOUNT"); \
	answer(fd, r->id, 0, NULL, 0); \
} while (0)
	GOES("ENOENT", -ENOENT, NULL, 0, ENOENT);
	GOES("a positive error", 5, NULL, 0, EIO);
	GOES("an internal errno", -512, NULL, 0, EIO);
	GOES("another", -529, NULL, 0, EIO);
	GOES("no errno", -100000, NULL, 0, EIO);
	GOES("an error with a body", -ENOENT, &root, sizeof(root), EIO);
	GOES("no body", 0, NULL, 0, EIO);
	GOES("a long body", 0, buf, 1000, EIO);
	bad = root;
	bad.mode = S_IFREG;
	GOES("a file", 0, &bad, sizeof(bad), EIO);
	bad = root;
	bad.ino = 0;
	GOES("ino 0", 0, &bad, sizeof(bad), EIO);

	/* a body that faults: EIO to the mounter, and the write is consumed */
	pid = mounting("m");
	r = next(fd);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(p + 4096, 4096, PROT_NONE);
	*(struct datafs_rep *)(p + 4096 - 16) = (struct datafs_rep) {
		.len = 16 + sizeof(root), .id = r->id,
	};
	ok(write(fd, p + 4096 - 16, 16 + sizeof(root)) == 16 + sizeof(root),
	   "a body that faults is consumed");
	ok(reap(pid) == EIO, "its caller gets EIO");
	answer(fd, next(fd)->id, 0, NULL, 0);

	/* a mount that is killed, before it is read and after */
	pid = mounting("m");
	usleep(300000);
	kill(pid, SIGKILL);
	ok(reap(pid) == 1000 + SIGKILL, "killed while pending");
	r = next(fd);
	ok(r->opcode == DATAFS_OP_UMOUNT, "only the UMOUNT is left");
	answer(fd, r->id, 0, NULL, 0);
	pid = mounting("m");
	id = next(fd)->id;
	kill(pid, SIGKILL);
	ok(reap(pid) == 1000 + SIGKILL, "killed while sent");
	ok(answer(fd, id, 0, &root, sizeof(root)) == 16 + sizeof(root),
	   "its answer is consumed");
	answer(fd, next(fd)->id, 0, NULL, 0);
	ok(quiet(fd), "nothing is left");

	pid = mounting("m");
	/* a buffer that faults after the head: the request comes again */
	usleep(300000);
	FAILS(read(fd, p + 4096 - 48, DATAFS_READ_MIN), EFAULT);
	FAILS(read(fd, p + 4096, DATAFS_READ_MIN), EFAULT);
	r = next(fd);
	m = (struct datafs_mount_req *)(r + 1);
	ok(r->opcode == DATAFS_OP_MOUNT && !r->flags && m->source_len == 11 &&
	   !memcmp(m + 1, "/the/source", 11), "the MOUNT, after two faults");
	answer(fd, r->id, 0, &root, sizeof(root));
	ok(!reap(pid), "mounted");
	munmap(p, 8192);
	FAILS(mkdir(at("new"), 0777), EDEADLK);
	return fd;
}

#define MANY	40

static void crowd(int fd)
{
	struct datafs_entry ent = { .valid_ms = DATAFS_FOREVER };
	struct { struct datafs_rep rep; char body[sizeof(ent)]; } *out;
	char name[20], *wr = calloc(1, 65536);
	size_t got = 0, len = 0, pos;
	struct datafs_req *r;
	struct stat st;
	pid_t pid[MANY];
	uint64_t last = 0;
	bool order = true;
	int i, n = 0, good = 0;

	FAILS(stat(at("deadlock"), &st), EDEADLK);
	for (i = 0; i < MANY; i++) {
		sprintf(name, "name%d", i);
		pid[i] = stating(name);
	}
	while (n < MANY) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t k;

		if (poll(&p, 1, 10000) != 1)
			die("only %d of the crowd came", n);
		k = read(fd, buf + got, sizeof(buf) - got);
		if (k < 0)
			die("read: %s", strerror(errno));
		for (pos = got, got += k; pos < got; pos += r->len, n++) {
			r = (struct datafs_req *)(buf + pos);
			order &= r->id > last && r->len % 8 == 0;
			last = r->id;
		}
	}
	ok(order, "requests come in the order of ids");
	for (pos = 0; pos < got; pos += r->len) {
		r = (struct datafs_req *)(buf + pos);
		i = atoi((char *)(r + 1) + 4);
		out = (void *)(wr + len);
		out->rep.id = r->id;
		if (i % 4 == 0) {
			out->rep.error = -100 - i / 4;
			out->rep.len = 16;
		} else if (i % 4 == 1) {
			ent.attr = attr_of(100 + i, S_IFREG | 0644);
			memcpy(out->body, &ent, sizeof(ent));
			out->rep.len = 16 + sizeof(ent);
		} else if (i % 4 == 2) {
			memset(out->body, 0, sizeof(ent));
			((struct datafs_entry *)out->body)->valid_ms = 1000;
			out->rep.len = 16 + sizeof(ent);
		} else {	/* wrong, and with padding after it */
			out->rep.len = 16 + 13;
		}
		len += (out->rep.len + 7) / 8 * 8;
	}
	((struct datafs_rep *)(wr + len))->len = 5;	/* breaks the framing */
	ok(write(fd, wr, len + 16) == (ssize_t)len,
	   "a write is consumed up to what is broken");
	for (i = 0; i < MANY; i++)
		good += reap(pid[i]) == (i % 4 == 0 ? 100 + i / 4 :
					 i % 4 == 1 ? 0 :
					 i % 4 == 2 ? ENOENT : EIO);
	ok(good == MANY, "each of %d got its answer (%d did)", MANY, good);
	free(wr);
}

/* Reads of io_uring wait for requests by poll, without a worker. */
static void uring(int fd)
{
	struct datafs_entry none = { .valid_ms = 0 };
	struct __kernel_timespec ts = { .tv_sec = 10 };
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct datafs_rep rep;
	char both[sizeof(rep) + sizeof(none)];
	struct datafs_req *r;
	pid_t pid;

	fcntl(fd, F_SETFL, 0);
	if (io_uring_queue_init(8, &ring, 0)) {
		printf("# no io_uring here\n");
		return;
	}
	io_uring_prep_read(io_uring_get_sqe(&ring), fd, buf, sizeof(buf), -1);
	io_uring_submit(&ring);
	ok(io_uring_peek_cqe(&ring, &cqe) == -EAGAIN, "io_uring read waits");
	pid = stating("ring");
	if (io_uring_wait_cqe_timeout(&ring, &cqe, &ts))
		die("io_uring read did not end");
	r = (struct datafs_req *)buf;
	ok(cqe->res == (int)r->len && r->opcode == DATAFS_OP_LOOKUP,
	   "and gets a request (%d)", cqe->res);
	io_uring_cqe_seen(&ring, cqe);
	rep = (struct datafs_rep) { .len = sizeof(both), .id = r->id };
	memcpy(both, &rep, sizeof(rep));
	memcpy(both + sizeof(rep), &none, sizeof(none));
	io_uring_prep_write(io_uring_get_sqe(&ring), fd, both, sizeof(both), -1);
	io_uring_submit(&ring);
	if (io_uring_wait_cqe_timeout(&ring, &cqe, &ts))
		die("io_uring write did not end");
	ok(cqe->res == sizeof(both), "io_uring write (%d)", cqe->res);
	io_uring_cqe_seen(&ring, cqe);
	ok(reap(pid) == ENOENT, "the caller has it");
	io_uring_queue_exit(&ring);
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Several threads sleep in read(2); each request wakes one. */
static void *sleeper(void *arg)
{
	static __thread char mine[DATAFS_READ_MIN];
	int fd = *(int *)arg;
	ssize_t n = read(fd, mine, sizeof(mine));
	struct datafs_req *r = (struct datafs_req *)mine;
	struct datafs_entry none = { .valid_ms = 0 };

	if (n > 0)
		for (; (char *)r < mine + n; r = (void *)((char *)r + r->len))
			answer(fd, r->id, 0, &none, sizeof(none));
	return (void *)(long)(n > 0);
}

static void sleepers(int fd)
{
	pthread_t t[4];
	int i, good = 0;
	char name[20];
	void *res;

	fcntl(fd, F_SETFL, 0);
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, sleeper, &fd);
	usleep(300000);
	for (i = 0; i < 4; i++) {
		sprintf(name, "sleep%d", i);
		good += reap(stating(name)) == ENOENT;
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &res);
		good += !!res;
	}
	ok(good == 8, "four readers, four requests");
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Callers are killed at any moment, while answers of all kinds come. */
static volatile bool storming;

static void *storm_daemon(void *arg)
{
	static __thread char mine[65536];
	struct datafs_entry ent = { .valid_ms = 0 };
	int fd = *(int *)arg;
	struct datafs_req *r;
	uint64_t seed = (uintptr_t)mine;
	ssize_t n;

	while (storming) {
		n = read(fd, mine, sizeof(mine));
		if (n < 0) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			poll(&p, 1, 50);
			continue;
		}
		for (r = (void *)mine; (char *)r < mine + n;
		     r = (void *)((char *)r + r->len)) {
			if (rnd(&seed) % 4 == 0)
				usleep(rnd(&seed) % 2000);
			switch (rnd(&seed) % 4) {
			case 0:
				answer(fd, r->id, -ENOENT, NULL, 0);
				break;
			case 1:
				memset(&ent.attr, 0, sizeof(ent.attr));
				answer(fd, r->id, 0, &ent, sizeof(ent));
				break;
			case 2:
				ent.attr = attr_of(1000 + rnd(&seed) % 1000,
						   S_IFREG | 0644);
				answer(fd, r->id, 0, &ent, sizeof(ent));
				break;
			case 3:
				answer(fd, r->id, 0, &ent, 11);
				break;
			}
		}
	}
	return NULL;
}

static void storm(int fd, int rounds)
{
	pthread_t t[3];
	uint64_t seed = 1;
	pid_t pid[8] = {};
	char name[20];
	int i, k, killed = 0;

	storming = true;
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, storm_daemon, &fd);
	for (i = 0; i < rounds; i++) {
		k = rnd(&seed) % 8;
		if (pid[k]) {
			usleep(rnd(&seed) % 3000);
			kill(pid[k], SIGKILL);
			killed += reap(pid[k]) > 1000;
		}
		sprintf(name, "storm%d", (int)(rnd(&seed) % 500));
		pid[k] = fork();
		if (!pid[k]) {
			struct stat st;

			close_range(3, ~0u, 0);
			for (;;) {
				sprintf(name, "storm%d", (int)(rnd(&seed) % 500));
				stat(at(name), &st);
			}
		}
	}
	for (k = 0; k < 8; k++) {
		kill(pid[k], SIGKILL);
		if (pid[k])
			reap(pid[k]);
	}
	storming = false;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ok(killed > 0, "storm (%d killed)", killed);
	while (!quiet(fd))
		;
}

/* ---------------------------------------------------------------- netlink */

static void netlink(int fd)
{
	static struct datafs_range ranges[DATAFS_RANGES_MAX + 1];
	struct datafs_revoke_done *done;
	struct datafs_req *r;
	struct nl_msg *msg;
	pid_t pid;
	int i;

	ok(control_open() > 0, "the family is there");

	ok(!transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP)) && control.seen == 1,
	   "dump of one mount (%d)", control.seen);
	msg = command(DATAFS_CMD_GET_MOUNT, 0);
	nla_put_u32(msg, DATAFS_A_MOUNT_ID, control.mount);
	ok(!transact(msg) && control.seen == 1, "get mount");
	msg = command(DATAFS_CMD_GET_STATS, 0);
	nla_put_u32(msg, DATAFS_A_MOUNT_ID, control.mount);
	ok(!transact(msg) && control.seen == 1, "get stats");
	ok(counter("replies_unknown") == 2, "replies to nobody are counted");
	ok(counter("replies_bad") == MANY / 4, "bad replies are counted");
	ok(counter("requests_lookup") == MANY + 5, "lookups are counted");
	msg = command(DATAFS_CMD_GET_MOUNT, 0);
	nla_put_u32(msg, DATAFS_A_MOUNT_ID, 99999);
	ok(transact(msg) == ENOENT, "no such mount");
	ok(transact(command(DATAFS_CMD_GET_MOUNT, 0)) == EINVAL,
	   "no mount id");

	for (i = 0; i <= DATAFS_RANGES_MAX; i++)
		ranges[i] = (struct datafs_range) { .ino = 101 + i,
						    .mount_id = control.mount };
	ok(!do_revoke("m", ranges, DATAFS_RANGES_MAX * sizeof(*ranges)), "revoke");
	r = next(fd);
	done = (struct datafs_revoke_done *)(r + 1);
	ok(r->opcode == DATAFS_OP_REVOKE_DONE && done->cookie == 0xc00c1e &&
	   !r->mount_id, "REVOKE_DONE");
	answer(fd, r->id, 0, NULL, 0);
	ok(do_revoke("m", ranges, sizeof(ranges)) != 0, "too many ranges");
	ok(do_revoke("m", ranges, 31) == EINVAL, "a part of a range");
	ok(do_revoke("m", ranges, 0) == EINVAL, "no range");
	ok(do_revoke("who", ranges, 32) == ENOENT, "no such instance");
	ok(do_revoke("", ranges, 32) == ENOENT, "no name");
	ranges[0].reserved = 1;
	ok(do_revoke("m", ranges, 32) == EINVAL, "reserved");
	ranges[0].reserved = 0;
	ranges[0].off = ~0ull;
	ranges[0].len = 2;
	ok(do_revoke("m", ranges, 32) == EINVAL, "wrapping range");
	ok(quiet(fd), "nothing was queued for those");

	/* an unprivileged user has his own socket */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setuid(65534))
			_exit(99);
		nl_socket_free(control.sock);
		control_open();
		_exit(transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP)));
	}
	i = reap(pid);
	ok(i == EPERM, "netlink without privilege (%d)", i);
}

/* ----------------------------------------------------------------- deaths */

static void death(int fd)
{
	struct pollfd p = { .events = POLLIN };
	pid_t waiting[3], pid;
	uint64_t id;
	bool done;
	int i, fd2;

	for (i = 0; i < 3; i++) {
		waiting[i] = stating(i ? i > 1 ? "later" : "late" : "early");
		if (!i)
			id = next(fd)->id;
	}
	pid = mounting("m");
	usleep(300000);
	close(fd);
	ok(reap(pid) == ENOTCONN, "a mount(2) does not");
	ok(waitpid(-1, NULL, WNOHANG) == 0, "callers outlive the daemon");
	transact(command(DATAFS_CMD_GET_MOUNT, NLM_F_DUMP));
	fd2 = dev(O_NONBLOCK);
	FAILS(hello(fd2, "m"), EBUSY);
	ok(reap(mounting("m")) == ENOTCONN, "no mount without a daemon");
	kill(waiting[1], SIGKILL);
	ok(reap(waiting[1]) == 1000 + SIGKILL, "killable without a daemon");
	(void)id;
	done = !umount2(dir, MNT_FORCE);
	ok(reap(waiting[0]) == EIO && reap(waiting[2]) == EIO,
	   "umount -f ends who waits");
	ok(done || !umount2(dir, 0), "umount without a daemon");
	ok(!hello(fd2, "m"), "then the name is free");
	p.fd = fd2;
	ok(!poll(&p, 1, 0) && quiet(fd2), "nothing is left of before");
	close(fd2);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 2)
		die("usage: channel DIR");
	dir = argv[1];
	alarm(500);
	fd = mounts();
	crowd(fd);
	uring(fd);
	sleepers(fd);
	netlink(fd);
	storm(fd, getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 300);
	death(fd);
	printf("# %d failed\n", failures);
	return !!failures;
}
