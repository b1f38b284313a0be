// SPDX-License-Identifier: Apache-2.0
/* userns MNT: neither an idmapped mount of it, nor a mount in a user namespace. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "prog.h"

static void write_map(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0 1000 10", 9) != 9)
		die("%s: %m", path);
	close(fd);
}

/* A child that is in a user namespace of its own, until the pipe is closed. */
static pid_t child(int *hold)
{
	int up[2], down[2];
	pid_t pid;
	char c;

	if (pipe(up) || pipe(down))
		die("pipe: %m");
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (!pid) {
		close(down[1]);
		if (unshare(CLONE_NEWUSER) || write(up[1], "x", 1) != 1)
			_exit(1);
		_exit(read(down[0], &c, 1) < 0);
	}
	if (read(up[0], &c, 1) != 1)
		die("no user namespace");
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	*hold = down[1];
	return pid;
}

static void idmapped(const char *dir)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int hold, ns, tree, status;
	pid_t pid = child(&hold);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	ns = open(path, O_RDONLY);
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (ns < 0 || tree < 0)
		die("%s: %m", dir);
	attr.userns_fd = (uint64_t)ns;
	errno = 0;
	ok(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 &&
	   errno == EINVAL, "an idmapped mount is refused: EINVAL");
	close(tree);
	close(ns);
	close(hold);
	waitpid(pid, &status, 0);
}

static void in_userns(void)
{
	int up[2], down[2], status, ret;
	pid_t pid;
	char c;

	if (pipe(up) || pipe(down))
		die("pipe: %m");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) || write(up[1], "x", 1) != 1 ||
		    read(down[0], &c, 1) != 1 || setresuid(0, 0, 0))
			_exit(99);
		ret = (int)syscall(SYS_fsopen, "datafs", 0);
		if (ret >= 0) {
			syscall(SYS_fsconfig, ret, FSCONFIG_SET_STRING, "source", "/", 0);
			ret = (int)syscall(SYS_fsconfig, ret, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
		}
		_exit(ret < 0 ? errno : 0);
	}
	if (read(up[0], &c, 1) != 1)
		die("no user namespace");
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	if (write(down[1], "x", 1) != 1)
		die("pipe: %m");
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == EPERM,
	   "a mount in a user namespace is refused: EPERM");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: userns MNT");
	idmapped(argv[1]);
	in_userns();
	return failures != 0;
}
