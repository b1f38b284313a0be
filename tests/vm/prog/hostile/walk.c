// SPDX-License-Identifier: Apache-2.0
/*
 * Each way to spoil an answer to each opcode, one after the other with nothing else
 * going on: what breaks the contract is EIO for its caller and is counted once, what
 * does not is not counted. What comes after it is answered well.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "hostile.h"

#define PIECE	(64 * GRANULE)

static const char *other;		/* where mounts are tried */

static int errno_of(bool failed)
{
	return failed ? errno : 0;
}

static int provoke_getattr(void)
{
	char path[PATHS];
	struct statx st;

	return errno_of(statx(AT_FDCWD, tree_path(FILE_NODE, path), AT_STATX_FORCE_SYNC,
			      STATX_BASIC_STATS, &st));
}

static int provoke_lookup(void)
{
	char path[PATHS];
	struct stat st;

	return errno_of(lstat(tree_path(FILE_NODE, path), &st));
}

static int provoke_readdir(void)
{
	char path[PATHS];
	DIR *d = opendir(tree_path(DIR_NODE, path));
	int n = 0, e;

	if (!d)
		return errno;
	errno = 0;
	while (n++ < 1000 && readdir(d))
		;
	e = errno;
	closedir(d);
	return e;
}

static int provoke_readlink(void)
{
	char path[PATHS], to[5000];

	return errno_of(readlink(tree_path(13, path), to, sizeof(to)) < 0);
}

static int provoke_read(void)
{
	static unsigned char room[PIECE] __attribute__((aligned(GRANULE)));
	char path[PATHS];
	int fd = open(tree_path(FILE_NODE, path), O_RDONLY | O_DIRECT), e;

	if (fd < 0)
		return errno;
	e = errno_of(pread(fd, room, 4 * GRANULE, 4 * GRANULE) < 0);
	close(fd);
	return e;
}

static int provoke_getxattr(void)
{
	char path[PATHS], value[1000];

	return errno_of(getxattr(tree_path(DIR_NODE, path), "user.small", value, 1000) < 0);
}

static int provoke_listxattr(void)
{
	static char value[DATAFS_XATTR_MAX];
	char path[PATHS];

	return errno_of(listxattr(tree_path(DIR_NODE, path), value, sizeof(value)) < 0);
}

static int provoke_statfs(void)
{
	struct statfs s;

	return errno_of(statfs(mount_dir, &s));
}

static int provoke_parent(void)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 128];
	} u;
	uint64_t ino = tree_ino(SUB_NODE, UNKNOWN_GENERATION + shared->generation);
	int dir = open(mount_dir, O_RDONLY | O_DIRECTORY), fd, e;

	u.h.handle_bytes = shared->handle_bytes;
	u.h.handle_type = shared->handle_type;
	memcpy(u.h.f_handle, shared->handle, shared->handle_bytes);
	memcpy(u.h.f_handle + shared->handle_ino, &ino, sizeof(ino));
	fd = open_by_handle_at(dir, &u.h, O_RDONLY | O_DIRECTORY);
	e = errno_of(fd < 0);
	if (fd >= 0)
		close(fd);
	close(dir);
	return e;
}

static int provoke_mount(void)
{
	if (mount("/hostile/other", other, "datafs", MS_NODEV | MS_NOSUID, "instance=" INSTANCE))
		return errno;
	return errno_of(umount(other));
}

/* A name that is not there. */
static const char *fresh(char *path)
{
	size_t n = strlen(tree_path(DIR_NODE, path));

	snprintf(path + n, PATHS - n, "/new");
	return path;
}

static int provoke_create(void)
{
	char path[PATHS];
	int fd = open(fresh(path), O_RDONLY | O_CREAT | O_EXCL, 0600), e = errno_of(fd < 0);

	if (fd >= 0)
		close(fd);
	return e;
}

static int provoke_mkdir(void)
{
	char path[PATHS];

	return errno_of(mkdir(fresh(path), 0700));
}

static int provoke_mknod(void)
{
	char path[PATHS];

	return errno_of(mknod(fresh(path), S_IFIFO | 0600, 0));
}

static int provoke_symlink(void)
{
	char path[PATHS];

	return errno_of(symlink("to", fresh(path)));
}

static int provoke_link(void)
{
	char path[PATHS], old[PATHS];

	return errno_of(link(tree_path(FILE_NODE, old), fresh(path)));
}

static int provoke_unlink(void)
{
	char path[PATHS];

	return errno_of(unlink(tree_path(FILE_NODE, path)));
}

static int provoke_rmdir(void)
{
	char path[PATHS];

	return errno_of(rmdir(tree_path(EMPTY_NODE, path)));
}

/* Over another file, in another directory. */
static int provoke_rename(void)
{
	char path[PATHS], old[PATHS];

	return errno_of(rename(tree_path(FILE_NODE, old), tree_path(FILE_NODE + 1, path)));
}

static int provoke_setattr(void)
{
	char path[PATHS];

	return errno_of(chmod(tree_path(FILE_NODE, path), 0640));
}

static int provoke_setxattr(void)
{
	char path[PATHS];

	return errno_of(setxattr(tree_path(FILE_NODE, path), "user.new", "value", 5, 0));
}

static int provoke_removexattr(void)
{
	char path[PATHS];

	return errno_of(removexattr(tree_path(DIR_NODE, path), "user.small"));
}

/* Is removed while it is open. */
static int provoke_release(void)
{
	char path[PATHS];
	int fd = open(tree_path(FILE_NODE, path), O_RDONLY), e;

	if (fd < 0)
		return errno;
	e = errno_of(unlink(path));
	close(fd);
	return e;
}

static int (*const provoke[DATAFS_OP_NR])(void) = {
	[DATAFS_OP_MOUNT] = provoke_mount, [DATAFS_OP_UMOUNT] = provoke_mount,
	[DATAFS_OP_LOOKUP] = provoke_lookup, [DATAFS_OP_GETATTR] = provoke_getattr,
	[DATAFS_OP_READDIR] = provoke_readdir, [DATAFS_OP_READLINK] = provoke_readlink,
	[DATAFS_OP_EXTENT] = provoke_read, [DATAFS_OP_BAD_EXTENT] = provoke_read,
	[DATAFS_OP_GETXATTR] = provoke_getxattr, [DATAFS_OP_LISTXATTR] = provoke_listxattr,
	[DATAFS_OP_STATFS] = provoke_statfs, [DATAFS_OP_PARENT] = provoke_parent,
	[DATAFS_OP_CREATE] = provoke_create, [DATAFS_OP_MKDIR] = provoke_mkdir,
	[DATAFS_OP_MKNOD] = provoke_mknod, [DATAFS_OP_SYMLINK] = provoke_symlink,
	[DATAFS_OP_LINK] = provoke_link, [DATAFS_OP_UNLINK] = provoke_unlink,
	[DATAFS_OP_RMDIR] = provoke_rmdir, [DATAFS_OP_RENAME] = provoke_rename,
	[DATAFS_OP_SETATTR] = provoke_setattr, [DATAFS_OP_SETXATTR] = provoke_setxattr,
	[DATAFS_OP_REMOVEXATTR] = provoke_removexattr, [DATAFS_OP_RELEASE] = provoke_release,
};

/* Where the number of the inode is in a handle the page does not say: it is looked for. */
static int learn_handle(void)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 128];
	} u = { .h.handle_bytes = 128 };
	uint64_t ino = tree_ino(DIR_NODE, shared->generation);
	char path[PATHS];
	unsigned int at;
	int id;

	if (name_to_handle_at(AT_FDCWD, tree_path(DIR_NODE, path), &u.h, &id, 0))
		return errno;
	for (at = 0; at + sizeof(ino) <= u.h.handle_bytes; at += 4)
		if (!memcmp(u.h.f_handle + at, &ino, sizeof(ino)))
			break;
	if (at + sizeof(ino) > u.h.handle_bytes)
		return 1;
	shared->handle_ino = at;
	shared->handle_bytes = u.h.handle_bytes;
	shared->handle_type = u.h.handle_type;
	memcpy(shared->handle, u.h.f_handle, u.h.handle_bytes);
	return 0;
}

/* A child that does it, so that this process can answer. */
static int to_child, from_child;

static pid_t child_start(void)
{
	int to[2], from[2], e;
	unsigned char opcode;
	pid_t pid;

	if (pipe(to) || pipe(from))
		die("pipe: %m");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (!pid) {
		close(device);
		close(to[1]);
		while (read(to[0], &opcode, 1) == 1) {
			alarm(100);
			e = opcode ? provoke[opcode]() : learn_handle();
			if (write(from[1], &e, sizeof(e)) != sizeof(e))
				break;
		}
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	to_child = to[1];
	from_child = from[0];
	return pid;
}

static bool child_done(int *e)
{
	struct pollfd p[2] = {
		{ .fd = from_child, .events = POLLIN }, { .fd = device, .events = POLLIN },
	};

	if (poll(p, 2, 100) < 0)
		die("poll: %m");
	/* First what it is still asking for. */
	if (p[1].revents || !p[0].revents)
		return false;
	if (read(from_child, e, sizeof(*e)) != sizeof(*e))
		die("the caller has ended");
	return true;
}

/* Is it this request, of all of its opcode, that is to be spoilt? */
static bool meant(const struct datafs_req *r)
{
	if (r->flags & DATAFS_REQ_PREFETCH)
		return false;
	switch (r->opcode) {
	case DATAFS_OP_LOOKUP:
		return tree_node(r->ino) == nodes[FILE_NODE].parent;
	case DATAFS_OP_GETATTR:
		return tree_node(r->ino) == FILE_NODE;
	case DATAFS_OP_PARENT:
		return tree_node(r->ino) == SUB_NODE;
	default:
		return true;
	}
}

static struct draft d;
static unsigned int breaches, unsaid;

/*
 * Has the child call, and answers what comes of it; its errno. The answer to the
 * first request of @opcode that is meant is spoilt in way @way.
 */
static int attempt(unsigned int opcode, int way, enum verdict *verdict)
{
	uint64_t choice = mix(seed ^ opcode << 16 ^ way);
	bool tried = way < 0, crc = opcode != DATAFS_OP_BAD_EXTENT;
	unsigned char what = opcode;
	struct datafs_req *r;
	int e;

	*verdict = UNSAID;
	if (write(to_child, &what, 1) != 1)
		die("the caller has ended");
	while (!child_done(&e)) {
		r = serve_next(0);
		if (!r)
			continue;
		tree_answer(r, &d, &choice);
		if (r->opcode == opcode && !tried && meant(r)) {
			tried = true;
			if (spoil(way, r, &d, &choice)) {
				*verdict = law(r, &d);
				tally.bad[opcode][*verdict == BREACH ? BAD_BODY : BAD_LIE]++;
				tally.total++;
			}
		} else if (!crc && r->opcode == DATAFS_OP_EXTENT && d.len >= 4) {
			/* A BAD_EXTENT comes of an EXTENT with a bad checksum. */
			memset(d.body + d.len - 4 * ((struct datafs_extent_rep *)d.body)->crcs,
			       0x5a, 4 * ((struct datafs_extent_rep *)d.body)->crcs);
			crc = true;
		}
		d.head.len = sizeof(d.head) + d.len;
		serve_send(&d);
	}
	return e;
}

/* What the caller gets of a breach: a listing has told of "." before, and goes on. */
static bool as_said(unsigned int opcode, int e)
{
	switch (opcode) {
	case DATAFS_OP_READDIR:
		return !e || e == EIO;
	case DATAFS_OP_PARENT:
		return e == ESTALE || e == EIO;
	default:
		return e == EIO;
	}
}

static bool one_way(unsigned int opcode, unsigned int way)
{
	enum verdict verdict;
	uint64_t counted;
	int e;

	shared->generation++;
	counted = mount_counter("replies_bad");
	e = attempt(opcode, way, &verdict);
	counted = mount_counter("replies_bad") - counted;
	breaches += verdict == BREACH;
	unsaid += verdict == UNSAID;
	/* Of a mount that is not there, or not any more, nothing is counted. */
	if (opcode == DATAFS_OP_MOUNT)
		counted = verdict == BREACH;
	/* Nor of what is over with any answer. */
	if (opcode == DATAFS_OP_UMOUNT || opcode == DATAFS_OP_RELEASE || verdict == UNSAID)
		return true;
	if (counted == (verdict == BREACH) && (verdict != BREACH || as_said(opcode, e)))
		return true;
	printf("# opcode %u, %s: %s (%s), counted %llu, %s\n", opcode, spoil_name(opcode, way),
	       verdict == BREACH ? "a breach" : "lawful", law_why, (unsigned long long)counted,
	       strerrorname_np(e));
	return false;
}

void walk(const char *other_dir, unsigned int step)
{
	unsigned int opcode, way, ways = 0;
	enum verdict verdict;
	pid_t pid;

	other = other_dir;
	pid = child_start();
	report(!attempt(0, -1, &verdict), "a file handle has the inode's number");
	/* The next answer is always asked for. */
	knob("attr_max_ms", "0");
	knob("entry_max_ms", "0");
	/* Where allocations fail it is not the answer alone that decides. */
	for (opcode = 1; opcode < DATAFS_OP_NR && !faults; opcode++) {
		unsigned int wrong = 0, n = provoke[opcode] ? spoil_ways(opcode) : 0;

		for (way = seed % step; way < n; way += step, ways++)
			wrong += !one_way(opcode, way);
		if (n)
			report(!wrong, "opcode %u: %u ways to spoil an answer, %u not as the page says",
			       opcode, n, wrong);
	}
	close(to_child);
	close(from_child);
	waitpid(pid, NULL, 0);
	printf("# %u answers, %u breaches, %u that the page leaves open\n", ways, breaches, unsaid);
}
