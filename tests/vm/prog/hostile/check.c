// SPDX-License-Identifier: Apache-2.0
/* What programs must get of the tree while the daemon behaves well: all of it. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "hostile.h"

#define ROOM	(1u << 20)

static struct caller *who;
static unsigned char *got, *want;	/* aligned, for O_DIRECT */
static char path[PATHS];

static PRINTF(2, 3) void expect(bool good, const char *fmt, ...)
{
	va_list ap;

	who->checks++;
	if (good)
		return;
	va_start(ap, fmt);
	if (!who->wrong++)
		vsnprintf(who->what, sizeof(who->what), fmt, ap);
	va_end(ap);
}

static void check_stat(unsigned int node)
{
	struct datafs_attr a = tree_attr(tree_ino(node, shared->generation));
	struct stat st;

	if (lstat(tree_path(node, path), &st)) {
		expect(false, "lstat of node %u: %m", node);
		return;
	}
	expect(st.st_ino == a.ino, "node %u is inode %llx and not %llx", node,
	       (unsigned long long)st.st_ino, (unsigned long long)a.ino);
	expect(st.st_mode == a.mode && st.st_nlink == a.nlink && st.st_uid == a.uid &&
	       st.st_gid == a.gid, "node %u: mode %o", node, st.st_mode);
	expect(st.st_size == (off_t)a.size && st.st_blocks == (blkcnt_t)a.blocks,
	       "node %u: size %llu and not %llu", node, (unsigned long long)st.st_size,
	       (unsigned long long)a.size);
	expect(st.st_mtim.tv_sec == a.mtime && st.st_mtim.tv_nsec == a.mtime_ns &&
	       st.st_ctim.tv_sec == a.ctime && st.st_ctim.tv_nsec == a.ctime_ns,
	       "node %u: times", node);
}

static void check_bytes(unsigned int node, int way)
{
	uint64_t content = shared->content[node], size = tree_size(node, content);
	const unsigned char *bytes = tree_bytes(node, content);
	int fd = open(tree_path(node, path), O_RDONLY | O_CLOEXEC | (way == 1 ? O_DIRECT : 0));
	void *p;
	ssize_t n;

	if (fd < 0) {
		expect(false, "open of node %u: %m", node);
		return;
	}
	if (way == 2 && size) {
		p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		expect(p != MAP_FAILED && !memcmp(p, bytes, size), "node %u mapped: other bytes",
		       node);
		if (p != MAP_FAILED)
			munmap(p, size);
	} else {
		n = pread(fd, got, ROOM, 0);
		if (n < 0)
			expect(false, "read of node %u, way %d: %m", node, way);
		else
			expect(n == (ssize_t)size && !memcmp(got, bytes, size),
			       "node %u, way %d: other bytes (%zd)", node, way, n);
	}
	close(fd);
}

static void check_list(unsigned int dir)
{
	DIR *d = opendir(tree_path(dir, path));
	unsigned int i, n = 0, children = 0;
	bool seen[NODES] = { false };
	struct dirent *e;

	if (!d) {
		expect(false, "opendir of node %u: %m", dir);
		return;
	}
	errno = 0;
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		for (i = 1; i < n_nodes; i++)
			if (nodes[i].parent == dir && !strcmp(nodes[i].name, e->d_name))
				break;
		n++;
		if (i == n_nodes || seen[i]) {
			expect(false, "node %u lists %.40s", dir, e->d_name);
			continue;
		}
		seen[i] = true;
		expect(e->d_type == IFTODT(nodes[i].mode), "node %u lists %.40s as %d", dir,
		       e->d_name, e->d_type);
	}
	expect(!errno, "readdir of node %u: %m", dir);
	for (i = 1; i < n_nodes; i++)
		children += nodes[i].parent == dir;
	expect(n == children, "node %u lists %u entries and not %u", dir, n, children);
	closedir(d);
}

static void check_link(unsigned int node)
{
	ssize_t n = readlink(tree_path(node, path), (char *)got, ROOM);

	if (n < 0)
		expect(false, "readlink of node %u: %m", node);
	else
		expect(n == (ssize_t)strlen(nodes[node].target) &&
		       !memcmp(got, nodes[node].target, n), "node %u leads elsewhere", node);
}

static void check_xattr(unsigned int node, const char *name)
{
	ssize_t len = tree_xattr(node, name, want), n;

	n = lgetxattr(tree_path(node, path), name, got, ROOM);
	if (!len)
		expect(n < 0 && errno == ENODATA, "node %u has %s", node, name);
	else if (n < 0)
		expect(false, "%s of node %u: %m", name, node);
	else
		expect(n == len && !memcmp(got, want, n), "%s of node %u is another", name, node);
}

static void check_xattrs(unsigned int node)
{
	ssize_t len = tree_xattrs(node, (char *)want), n;

	n = llistxattr(tree_path(node, path), (char *)got, ROOM);
	if (n < 0)
		expect(false, "listxattr of node %u: %m", node);
	else
		expect(n == len && !memcmp(got, want, n), "node %u has %zd bytes of names, not %zd",
		       node, n, len);
	check_xattr(node, "user.small");
	check_xattr(node, "user.large");
	if (!S_ISLNK(nodes[node].mode))
		check_xattr(node, "system.posix_acl_access");
}

static void check_statfs(void)
{
	struct datafs_statfs s = tree_statfs();
	struct statfs f;

	if (statfs(mount_dir, &f))
		expect(false, "statfs: %m");
	else
		expect(f.f_type == DATAFS_SUPER_MAGIC && f.f_blocks == s.blocks &&
		       f.f_bfree == s.bfree && f.f_bavail == s.bavail && f.f_files == s.files &&
		       f.f_ffree == s.ffree && (uint32_t)f.f_bsize == s.bsize &&
		       f.f_namelen == s.namelen, "statfs tells other numbers");
}

void check_all(struct caller *me, uint64_t *choice)
{
	unsigned int i, node;
	struct stat st;

	who = me;
	if (!got) {
		got = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
		if (got == MAP_FAILED)
			_exit(1);
		want = got + ROOM;
	}
	for (i = 0; i < 3; i++) {
		node = rnd(choice) % n_nodes;
		check_stat(node);
		if (nodes[node].data >= 0)
			check_bytes(node, rnd(choice) % 3);
	}
	/* What the hostile daemon was asked for most. */
	for (node = 0; node < 24; node++)
		switch (rnd(choice) % 6 ? 0 : nodes[node].mode & S_IFMT) {
		case S_IFREG:
			check_stat(node);
			check_bytes(node, rnd(choice) % 3);
			check_bytes(node, rnd(choice) % 3);
			check_xattrs(node);
			break;
		case S_IFDIR:
			check_list(node);
			check_stat(node);
			check_xattrs(node);
			break;
		case S_IFLNK:
			check_link(node);
			break;
		default:
			check_stat(node);
		}
	check_statfs();
	snprintf(path, sizeof(path), "%s/dir/absent", mount_dir);
	expect(lstat(path, &st) && errno == ENOENT, "what does not exist: %m");
}
