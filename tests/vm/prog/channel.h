/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that are a daemon to the module: the device, the mount, the
 * requests of its callers, the control socket.
 */
#ifndef DATAFS_TEST_CHANNEL_H
#define DATAFS_TEST_CHANNEL_H

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include <netlink/netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/genl/ctrl.h>

#include "datafs_netlink.h"
#include "prog.h"

static const char *dir;
static char path[4200];

#define FAILS(call, e) ok((call) == -1 && errno == (e), "%s: %s", #call, \
			  strerrorname_np(e))

static inline const char *at(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static inline int dev(int flags)
{
	int fd = open("/dev/datafs", O_RDWR | O_CLOEXEC | flags);

	if (fd < 0)
		die("/dev/datafs: %s", strerror(errno));
	return fd;
}

static inline struct datafs_hello hello_of(const char *name)
{
	struct datafs_hello h = {
		.size = sizeof(h), .major = DATAFS_ABI_MAJOR,
		.minor = 7, .features = ~0ull, .epoch = 5,
	};

	strcpy(h.name, name);
	memset(h.session, 0x5a, sizeof(h.session));
	return h;
}

/* Of all bits that hello_of() says, those that the module has. */
#define FEATURES	(DATAFS_FEATURE_TAKEOVER | DATAFS_FEATURE_LEASE | DATAFS_FEATURE_LISTING | \
			 DATAFS_FEATURE_COUNTS)

static inline int hello(int fd, const char *name)
{
	struct datafs_hello h = hello_of(name);

	return ioctl(fd, DATAFS_IOC_HELLO, &h);
}

#define MS	1000000ll
#define HOUR	(3600 * 1000 * MS)

/* As leases are told. */
static inline int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static inline int lease_of(int fd, uint32_t mount, uint64_t until)
{
	const struct datafs_lease_end l = { .mount_id = mount, .until = until };

	return ioctl(fd, DATAFS_IOC_LEASE, &l);
}

static char buf[DATAFS_MSG_MAX];

/* What a read(2) brought beyond the request that was wanted. */
static char taken[DATAFS_READ_MIN];
static size_t taken_at, taken_len;

/* Is there a request, or will there be one within @ms? */
static inline bool ready(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return taken_at < taken_len || poll(&p, 1, ms) == 1;
}

/* The next request, which must be there within a few seconds. */
static inline struct datafs_req *next(int fd)
{
	struct datafs_req *r;
	ssize_t n;

	if (!ready(fd, 10000))
		die("no request came");
	if (taken_at == taken_len) {
		n = read(fd, taken, sizeof(taken));
		if (n < (ssize_t)sizeof(struct datafs_req))
			die("read: %zd %s", n, strerror(errno));
		taken_at = 0;
		taken_len = n;
	}
	r = (struct datafs_req *)(taken + taken_at);
	taken_at += r->len;
	return memcpy(buf, r, r->len);
}

static inline ssize_t answer(int fd, uint64_t id, int error, const void *body,
		      size_t len)
{
	struct datafs_rep rep = {
		.len = sizeof(rep) + len, .error = error, .id = id,
	};
	struct iovec v[2] = {
		{ &rep, sizeof(rep) }, { (void *)body, len },
	};

	return writev(fd, v, len ? 2 : 1);
}

static inline struct datafs_attr attr_of(uint64_t ino, uint32_t mode)
{
	return (struct datafs_attr) {
		.ino = ino, .content = 1, .size = 8192, .mode = mode,
		.nlink = 1, .valid_ms = DATAFS_FOREVER,
	};
}

/* mount(2) in a child, which exits with its errno */
static inline pid_t mounting(const char *instance)
{
	char opts[100];
	pid_t pid = fork();

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	snprintf(opts, sizeof(opts), "instance=%s", instance);
	_exit(mount("/the/source", dir, "datafs", 0, opts) ? errno : 0);
}

/* stat(2) in a child, which exits with its errno */
static inline pid_t stating(const char *name)
{
	struct stat st;
	pid_t pid = fork();

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	_exit(stat(at(name), &st) ? errno : 0);
}

static inline int reap(pid_t pid)
{
	int st;

	if (waitpid(pid, &st, 0) != pid)
		die("waitpid");
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

/* Has @one answer what comes, until @pid has ended: its status as reap() has it. */
static inline int serve_until(int fd, pid_t pid, void (*one)(int fd))
{
	siginfo_t info = {};

	while (!waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid)
		if (ready(fd, 20))
			one(fd);
	return reap(pid);
}

static inline bool quiet(int fd)
{
	return read(fd, buf, sizeof(buf)) == -1 && errno == EAGAIN;
}

/* --------------------------------------------------------------- control */

/* The control socket, and what the last command was answered. */
static struct {
	struct nl_sock *sock;
	int family;
	int seen;		/* messages */
	uint32_t mount;		/* the last mount named */
	int state;		/* and its state */
	int outcome;		/* 0 or an errno; -1: none yet */
	int n;			/* counters */
	struct {
		char name[32];
		uint64_t value;
	} counters[128];
} control;

/* The family's number, or a negative error. */
static inline int control_open(void)
{
	control.sock = nl_socket_alloc();
	if (genl_connect(control.sock))
		die("genl_connect");
	control.family = genl_ctrl_resolve(control.sock, DATAFS_GENL_NAME);
	return control.family;
}

/* As the last GET_STATS told. */
static inline uint64_t counter(const char *name)
{
	int i;

	for (i = 0; i < control.n; i++)
		if (!strcmp(control.counters[i].name, name))
			return control.counters[i].value;
	die("no counter %s", name);
}

static inline int on_msg(struct nl_msg *msg, void *arg)
{
	struct nlattr *a[DATAFS_A_NR], *n[DATAFS_A_NR], *pos;
	int rem;

	(void)arg;
	genlmsg_parse(nlmsg_hdr(msg), 0, a, DATAFS_A_NR - 1, NULL);
	control.seen++;
	if (a[DATAFS_A_MOUNT_ID])
		control.mount = nla_get_u32(a[DATAFS_A_MOUNT_ID]);
	if (a[DATAFS_A_STATE])
		control.state = nla_get_u32(a[DATAFS_A_STATE]);
	if (a[DATAFS_A_SOURCE])
		printf("# mount %u of instance %s: %s, state %d, epoch %d\n",
		       control.mount, nla_get_string(a[DATAFS_A_INSTANCE]),
		       nla_get_string(a[DATAFS_A_SOURCE]),
		       a[DATAFS_A_STATE] ? (int)nla_get_u32(a[DATAFS_A_STATE]) : -1,
		       a[DATAFS_A_EPOCH] ? (int)nla_get_u64(a[DATAFS_A_EPOCH]) : -1);
	nla_for_each_attr(pos, genlmsg_attrdata(nlmsg_data(nlmsg_hdr(msg)), 0),
			  genlmsg_attrlen(nlmsg_data(nlmsg_hdr(msg)), 0), rem) {
		if (nla_type(pos) != DATAFS_A_STAT || control.n == 128)
			continue;
		nla_parse_nested(n, DATAFS_A_NR - 1, pos, NULL);
		snprintf(control.counters[control.n].name, 32, "%s",
			 nla_get_string(n[DATAFS_A_STAT_NAME]));
		control.counters[control.n++].value = nla_get_u64(n[DATAFS_A_STAT_VALUE]);
	}
	return NL_OK;
}

static inline struct nl_msg *command(int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_size(65536);

	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, control.family, 0, flags, cmd, 1);
	return msg;
}

static inline int on_end(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	control.outcome = 0;
	return NL_STOP;
}

static inline int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	(void)from;
	(void)arg;
	control.outcome = -err->error;
	return NL_STOP;
}

/* 0 or an errno; 1000: what came of it is not known */
static inline int transact(struct nl_msg *msg)
{
	nl_socket_modify_cb(control.sock, NL_CB_VALID, NL_CB_CUSTOM, on_msg, NULL);
	nl_socket_modify_cb(control.sock, NL_CB_ACK, NL_CB_CUSTOM, on_end, NULL);
	nl_socket_modify_cb(control.sock, NL_CB_FINISH, NL_CB_CUSTOM, on_end, NULL);
	nl_socket_modify_err_cb(control.sock, NL_CB_CUSTOM, on_error, NULL);
	control.seen = control.n = 0;
	control.outcome = -1;
	if (nl_send_auto(control.sock, msg) < 0)
		return 1000;
	nlmsg_free(msg);
	while (control.outcome < 0)
		if (nl_recvmsgs_default(control.sock) < 0 && control.outcome < 0)
			return 1000;
	return control.outcome;
}

static inline int do_revoke_as(const char *instance, uint64_t cookie, const void *ranges,
			       size_t len)
{
	struct nl_msg *msg = command(DATAFS_CMD_REVOKE, 0);

	nla_put_string(msg, DATAFS_A_INSTANCE, instance);
	nla_put_u64(msg, DATAFS_A_COOKIE, cookie);
	nla_put(msg, DATAFS_A_RANGES, len, ranges);
	return transact(msg);
}

static inline int do_revoke(const char *instance, const void *ranges, size_t len)
{
	return do_revoke_as(instance, 0xc00c1e, ranges, len);
}

#endif
