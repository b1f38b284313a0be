// SPDX-License-Identifier: Apache-2.0
/* Mounts, names, attributes, listings. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void test_mounts(void **state)
{
	static const char *const bad[] = {
		"nonsense", "sync_interval", "sync_interval=", "sync_interval=-1",
		"sync_interval=1x", "sync_interval=nan", "page_size=3k",
		"page_size=2k", "page_size=8m", "page_size=64k,foo=1",
		"part_size=1", "limit_up", "read_only=2", "region=eu",
	};
	struct datafs_attr a, b;
	struct answer st;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mount_as(2, src, bad[i], NULL), -EINVAL);
	put_file("file", 10, 0);
	/* What is said of under-stores says nothing of names that a quorum has. */
	assert_int_equal(mount_as(2, ":/", "limit_up=1m", NULL), -EINVAL);
	assert_int_equal(mount_as(2, in_src("none"), "", NULL), -ENOENT);
	assert_int_equal(mount_as(2, in_src("file"), "", NULL), -ENOTDIR);
	assert_int_equal(mount_as(2, "zzz://host/x", "", NULL), -EPROTONOSUPPORT);
	assert_int_equal(datafs_vfs_mounts(v), 1);
	/* Mounts of one source share its inodes. */
	assert_int_equal(mount_as(2, src, "sync_interval=0.5,page_size=4k", &a), 0);
	assert_int_equal(mount_as(3, src, "read_only,sync_interval=never,limit_down=1g", &b), 0);
	assert_int_equal(a.ino, root);
	assert_int_equal(b.ino, root);
	assert_true(a.valid_ms > 0 && a.valid_ms <= 500);
	assert_int_equal(b.valid_ms, DATAFS_FOREVER);
	assert_int_equal(datafs_vfs_mounts(v), 3);
	umount_id(2);
	umount_id(3);
	umount_id(77);
	assert_int_equal(datafs_vfs_mounts(v), 1);
	st = up_flags(DATAFS_OP_GETATTR, 2, root, NULL, NULL, 0);
	assert_int_equal(st.err, -EIO);
	free(st.out);
	st = up(99, root, NULL, NULL);
	assert_int_equal(st.err, -ENOSYS);
	free(st.out);
	/* An inode of another source is none of this mount. */
	assert_int_equal(mount_as(4, top, "", &a), 0);
	st = up_flags(DATAFS_OP_GETATTR, 4, root, NULL, NULL, 0);
	assert_int_equal(st.err, -ESTALE);
	free(st.out);
	umount_id(4);
}

static void test_names(void **state)
{
	struct datafs_entry e, e2;
	struct datafs_attr attr;
	struct answer a;

	(void)state;
	put_file("f", 5000, 1);
	assert_int_equal(mkdir(in_src("d"), 0750), 0);
	put_file("d/g", 1, 2);
	assert_int_equal(symlink("some/where", in_src("l")), 0);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 5000);
	assert_int_equal(e.attr.mode, S_IFREG | 0644);
	assert_int_equal(lookup(root, "none", &e), 0);
	assert_int_equal(e.attr.ino, 0);
	assert_int_equal(lookup(root, "d", &e), 0);
	assert_int_equal(e.attr.mode, S_IFDIR | 0750);
	assert_int_equal(lookup(e.attr.ino, "g", &e2), 0);
	assert_int_equal(e2.attr.size, 1);
	a = up(DATAFS_OP_PARENT, e.attr.ino, NULL, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(((struct datafs_entry *)a.out)->attr.ino, root);
	free(a.out);
	assert_int_equal(lookup(e2.attr.ino, "x", &e2), -ENOTDIR);
	assert_int_equal(lookup(root, "l", &e2), 0);
	a = up(DATAFS_OP_READLINK, e2.attr.ino, NULL, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.len, 10);
	assert_memory_equal(a.out, "some/where", 10);
	free(a.out);
	a = up(DATAFS_OP_STATFS, root, NULL, NULL);
	assert_int_equal(a.err, 0);
	assert_true(((struct datafs_statfs *)a.out)->blocks > 0);
	free(a.out);
	if (!setxattr(in_src("f"), "user.k", "val", 3, 0)) {
		assert_int_equal(lookup(root, "f", &e2), 0);
		assert_true(e2.attr.flags & DATAFS_ATTR_XATTR);
		a = up(DATAFS_OP_GETXATTR, e2.attr.ino, NULL, "user.k");
		assert_int_equal(a.err, 0);
		assert_int_equal(a.len, 3);
		free(a.out);
		a = up(DATAFS_OP_GETXATTR, e2.attr.ino, NULL, "user.none");
		assert_int_equal(a.err, -ENODATA);
		free(a.out);
		a = up(DATAFS_OP_LISTXATTR, e2.attr.ino, NULL, NULL);
		assert_int_equal(a.err, 0);
		assert_int_equal(a.len, 7);
		free(a.out);
	}
	/* The directory goes, a link comes: nobody follows it. */
	assert_int_equal(rename(in_src("d"), in_src("dd")), 0);
	assert_int_equal(symlink("dd", in_src("d")), 0);
	assert_int_equal(lookup(e.attr.ino, "g", &e2), 0);
	assert_int_equal(e2.attr.ino, 0);
	assert_int_equal(getattr(e.attr.ino, &attr), -ESTALE);
}

static int list(uint64_t dir, uint32_t max, char names[][256], int room,
		uint64_t *cookies)
{
	struct datafs_readdir_req req = { .max = max };
	const struct datafs_readdir_rep *rep;
	const struct datafs_dirent *de;
	struct answer a;
	int n = 0;

	do {
		a = up(DATAFS_OP_READDIR, dir, &req, NULL);
		assert_int_equal(a.err, 0);
		rep = (void *)a.out;
		de = (void *)(rep + 1);
		assert_true(rep->count || rep->flags & DATAFS_READDIR_EOF);
		assert_true(rep->count <= 1 || a.len + sizeof(struct datafs_rep) <= max);
		for (uint32_t i = 0; i < rep->count; i++) {
			assert_true(n < room && de->cookie > req.cookie);
			memcpy(names[n], de + 1, de->namelen);
			names[n][de->namelen] = 0;
			cookies[n++] = req.cookie = de->cookie;
			de = (void *)((char *)(de + 1) + datafs_round_up(de->namelen, 8));
		}
		assert_ptr_equal((char *)de, a.out + a.len);
		if (rep->flags & DATAFS_READDIR_EOF)
			req.max = 0;
		free(a.out);
	} while (req.max);
	return n;
}

static void test_readdir(void **state)
{
	static char names[300][256], again[300][256];
	uint64_t cookies[300], cookies2[300];
	char name[64];
	int n;

	(void)state;
	assert_int_equal(list(root, 4096, names, 300, cookies), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%0*d", 1 + i % 50, i);
		put_file(name, i, i);
	}
	n = list(root, 4096, names, 300, cookies);
	assert_int_equal(n, 200);
	for (int i = 0; i < n; i++) {
		struct stat st;

		assert_int_equal(stat(in_src(names[i]), &st), 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(names[i], names[k]);
	}
	/* One reply for each entry gives the same. */
	assert_int_equal(list(root, 1, again, 300, cookies2), 200);
	assert_memory_equal(cookies, cookies2, 200 * sizeof(cookies[0]));
	unlink(in_src(names[7]));
	put_file("zz", 1, 1);
	assert_int_equal(list(root, 65536, again, 300, cookies2), 200);
	assert_memory_equal(cookies, cookies2, 7 * sizeof(cookies[0]));
	assert_memory_equal(cookies + 8, cookies2 + 7, 192 * sizeof(cookies[0]));
	assert_string_equal(again[199], "zz");
}

/* ---- a random tree, compared with what is really there ---- */

static void compare(uint64_t dir, const char *path, int depth)
{
	char names[64][256], below[600];
	uint64_t cookies[64];
	int n, real = 0;
	struct dirent *de;
	DIR *d;

	n = list(dir, 2048, names, 64, cookies);
	d = opendir(in_src(path));
	assert_non_null(d);
	while ((de = readdir(d)))
		real += strcmp(de->d_name, ".") && strcmp(de->d_name, "..");
	closedir(d);
	assert_int_equal(n, real);
	for (int i = 0; i < n; i++) {
		struct datafs_entry e;
		struct stat st;

		snprintf(below, sizeof(below), "%s/%s", path, names[i]);
		assert_int_equal(lstat(in_src(below), &st), 0);
		assert_int_equal(lookup(dir, names[i], &e), 0);
		assert_int_equal(e.attr.mode, st.st_mode);
		assert_int_equal(e.attr.size, st.st_size);
		assert_int_equal(e.attr.nlink, st.st_nlink);
		assert_int_equal(e.attr.mtime, st.st_mtim.tv_sec);
		assert_int_equal(e.attr.mtime_ns, st.st_mtim.tv_nsec);
		if (S_ISDIR(st.st_mode) && depth < 4)
			compare(e.attr.ino, below, depth + 1);
	}
}

static void random_path(unsigned int *seed, char *path, size_t room)
{
	int n = 1 + rand_r(seed) % 3;

	*path = 0;
	for (int i = 0; i < n; i++)
		snprintf(path + strlen(path), room - strlen(path), "%s%c",
			 i ? "/" : "", 'a' + rand_r(seed) % 5);
}

static void test_random_tree(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	char a[64], b[64], full[8300];

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	for (int step = 0; step < 600; step++) {
		random_path(&seed, a, sizeof(a));
		random_path(&seed, b, sizeof(b));
		strcpy(full, in_src(a));
		switch (rand_r(&seed) % 7) {
		case 0:
		case 1:
			mkdir(full, 0755);
			break;
		case 2: {
			int fd = open(full, O_CREAT | O_WRONLY | O_APPEND, 0600);

			if (fd >= 0) {
				assert_int_equal(write(fd, full, 5), 5);
				close(fd);
			}
			break;
		}
		case 3:
			rename(full, in_src(b));
			break;
		case 4:
			link(full, in_src(b));
			break;
		case 5:
			symlink("a/b", full);
			break;
		case 6:
			remove(full);
			break;
		}
		if (step % 20 == 0)
			compare(root, ".", 0);
		if (step % 200 == 199) {
			stop();
			start("sync_interval=always");
		}
	}
	compare(root, ".", 0);
}

/* ---- a directory that changes while it is listed ---- */

static const char *missed;

/* The double of a readdir(3) that misses a name, because others come. */
struct dirent *readdir(DIR *d)
{
	static struct dirent *(*real)(DIR *d);
	struct dirent *de;

	if (!real)
		real = dlsym(RTLD_NEXT, "readdir");
	de = real(d);
	if (de && missed && !strcmp(de->d_name, missed)) {
		missed = NULL;
		put_file("new", 1, 1);
		de = real(d);
	}
	return de;
}

static void test_torn_listing(void **state)
{
	char names[8][256];
	uint64_t cookies[8];
	struct datafs_entry e, e2;

	(void)state;
	stop();
	start("sync_interval=100");
	put_file("a", 1, 1);
	put_file("b", 1, 1);
	put_file("c", 1, 1);
	usleep(60000);
	assert_int_equal(lookup(root, "b", &e), 0);
	missed = "b";
	assert_true(list(root, 4096, names, 8, cookies) >= 3);
	assert_null(missed);
	assert_int_equal(lookup(root, "b", &e2), 0);
	assert_int_equal(e.attr.ino, e2.attr.ino);
	/* Missed, and not known before. */
	missed = "a";
	stop();
	start("sync_interval=0");
	usleep(60000);
	list(root, 4096, names, 8, cookies);
	assert_int_equal(lookup(root, "a", &e), 0);
	assert_true(e.attr.ino);
	/* What is gone is not shown, however lately that was. */
	assert_int_equal(unlink(in_src("b")), 0);
	assert_int_equal(list(root, 4096, names, 8, cookies), 3);
	assert_int_equal(lookup(root, "b", &e2), 0);
	assert_int_equal(e2.attr.ino, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VFS_TEST(test_mounts),
		VFS_TEST(test_names),
		VFS_TEST(test_readdir),
		VFS_TEST(test_random_tree),
		VFS_TEST(test_torn_listing),
	};

	return cmocka_run_group_tests_name("vfs_tree", tests, NULL, NULL);
}
