// SPDX-License-Identifier: Apache-2.0
/*
 * astray DIR: a daemon that lists what is cached elsewhere, or the root, in a
 * directory that was reached by a handle and has no way to the root. DIR is an empty
 * directory to mount on; that nothing is left of the mount the kernel tells itself,
 * when it is unmounted.
 *
 *   root 1 ── "a" 2 ── "b" 3           ? 11 ── "b" 3, "top" 1
 *                                           └─ (10, whose parent it is, is not listed)
 */
#define _GNU_SOURCE 1
#include "channel.h"

enum { ROOT = 1, A, B, STRAY = 10, OVER };

static void send_entry(int fd, const struct datafs_req *r, uint64_t ino)
{
	struct datafs_entry e = {
		.attr = attr_of(ino, S_IFDIR | 0755), .valid_ms = DATAFS_FOREVER,
	};

	answer(fd, r->id, 0, &e, sizeof(e));
}

/* "b" and "top", and never STRAY. */
static void send_names(int fd, const struct datafs_req *r)
{
	static const struct { char name[8]; uint64_t ino; } names[] = {
		{ "b", B }, { "top", ROOT },
	};
	struct {
		struct datafs_readdir_rep rep;
		struct { struct datafs_dirent ent; char name[8]; } e[2];
	} body = { .rep = { .count = 2, .flags = DATAFS_READDIR_EOF } };
	int i;

	for (i = 0; i < 2; i++) {
		body.e[i].ent = (struct datafs_dirent) {
			.cookie = DATAFS_FIRST_COOKIE + i, .valid_ms = DATAFS_FOREVER,
			.namelen = strlen(names[i].name),
			.attr = attr_of(names[i].ino, S_IFDIR | 0755),
		};
		memcpy(body.e[i].name, names[i].name, 8);
	}
	answer(fd, r->id, 0, &body, sizeof(body));
}

static int lookups;

static void serve_one(int fd)
{
	struct datafs_req *r = next(fd);
	struct datafs_attr attr = attr_of(r->ino, S_IFDIR | 0755);

	switch (r->opcode) {
	case DATAFS_OP_MOUNT:
		attr.ino = ROOT;
		answer(fd, r->id, 0, &attr, sizeof(attr));
		break;
	case DATAFS_OP_GETATTR:
		answer(fd, r->id, 0, &attr, sizeof(attr));
		break;
	case DATAFS_OP_LOOKUP:
		lookups++;
		send_entry(fd, r, r->ino == ROOT ? A : B);
		break;
	case DATAFS_OP_PARENT:
		send_entry(fd, r, OVER);
		break;
	case DATAFS_OP_READDIR:
		send_names(fd, r);
		break;
	default:
		answer(fd, r->id, -EOPNOTSUPP, NULL, 0);
	}
}

/* In a child, which exits with its errno: the handle of "a", made into that of STRAY. */
static pid_t opening(void)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .h.handle_bytes = MAX_HANDLE_SZ };
	int id, top, got;
	pid_t pid = fork();

	if (pid)
		return pid;
	close_range(3, ~0u, 0);
	if (name_to_handle_at(AT_FDCWD, at("a"), &u.h, &id, 0))
		_exit(200);
	((uint32_t *)u.h.f_handle)[0] = STRAY;
	top = open(dir, O_RDONLY | O_DIRECTORY);
	got = open_by_handle_at(top, &u.h, O_RDONLY | O_DIRECTORY);
	_exit(got < 0 ? errno : 0);
}

int main(int argc, char **argv)
{
	int fd, got, i;

	if (argc != 2)
		die("usage: astray DIR");
	dir = argv[1];
	alarm(120);
	fd = dev(O_NONBLOCK);
	if (hello(fd, "m"))
		die("HELLO: %m");
	ok(!serve_until(fd, mounting("m"), serve_one), "mount");
	ok(!serve_until(fd, stating("a/b"), serve_one) && lookups == 2, "a directory is known");
	for (i = 0; i < 2; i++) {
		got = serve_until(fd, opening(), serve_one);
		ok(got == ESTALE, "a directory without a way to the root: %s", strerrorname_np(got));
	}
	ok(!serve_until(fd, stating("a/b"), serve_one) && lookups == 2,
	   "what it lists stays where it was");
	ok(!umount2(dir, 0), "unmount");
	close(fd);
	printf("# %d failed\n", failures);
	return !!failures;
}
