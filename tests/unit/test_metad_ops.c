// SPDX-License-Identifier: Apache-2.0
/* Each command's errors, and what it does. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG255 LONG LONG LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

/* The tree of the table: file, dir/inner, full/f, link -> file, removed (held). */
enum { FILE_ = 2, DIR_, INNER, FULL, LINK_, GONE_DIR, GONE_FILE, NONE = 999 };

static void tree(void)
{
	assert_int_equal(make_file(ROOT, "file"), FILE_);
	assert_int_equal(make_dir(ROOT, "dir"), DIR_);
	assert_int_equal(make_dir(DIR_, "inner"), INNER);
	assert_int_equal(make_dir(ROOT, "full"), FULL);
	must((struct req){ OP(LINK), FILE_, .to = FULL, .new_name = "hard" });
	assert_int_equal(must((struct req){ OP(SYMLINK), ROOT, "link", .value = "file",
					    .len = 4 }), LINK_);
	assert_int_equal(make_dir(ROOT, "removed"), GONE_DIR);
	must((struct req){ OP(HOLD), GONE_DIR });
	must((struct req){ OP(RMDIR), ROOT, "removed" });
	assert_int_equal(make_file(ROOT, "removed"), GONE_FILE);
	must((struct req){ OP(HOLD), GONE_FILE });
	must((struct req){ OP(UNLINK), ROOT, "removed" });
}

#define RENAME(a, an, b, bn, ...) { OP(RENAME), a, an, b, bn, ##__VA_ARGS__ }
#define SET(i, ...) { OP(SETATTR), i, .set = { __VA_ARGS__ } }

static const struct {
	int error;
	struct req r;
} errors[] = {
	{ ESTALE, { OP(CREATE), NONE, "x" } },
	{ ENOTDIR, { OP(CREATE), FILE_, "x" } },
	{ ENOENT, { OP(CREATE), GONE_DIR, "x" } },
	{ EEXIST, { OP(CREATE), ROOT, "file" } },
	{ ENAMETOOLONG, { OP(CREATE), ROOT, LONG255 "x" } },
	{ EINVAL, { OP(CREATE), ROOT, "" } },
	{ EINVAL, { OP(CREATE), ROOT, "a/b" } },
	{ EINVAL, { OP(CREATE), ROOT, "." } },
	{ EINVAL, { OP(CREATE), ROOT, ".." } },
	{ EINVAL, { OP(CREATE), ROOT, "x", .mode = S_IFREG | 0644 } },
	{ EINVAL, { OP(CREATE), ROOT, "x", .mode = 0200000 } },
	{ EINVAL, { OP(CREATE), ROOT, "x", .umask = 01000 } },
	{ EINVAL, { OP(CREATE), ROOT, "x", .uid = UINT32_MAX } },
	{ EEXIST, { OP(MKDIR), ROOT, "dir" } },
	{ ENOENT, { OP(MKDIR), GONE_DIR, "dir" } },
	{ EINVAL, { OP(MKNOD), ROOT, "x", .mode = S_IFDIR } },
	{ EINVAL, { OP(MKNOD), ROOT, "x" } },
	{ EEXIST, { OP(MKNOD), ROOT, "file", .mode = S_IFIFO } },
	{ ENOENT, { OP(SYMLINK), ROOT, "x" } },
	{ EINVAL, { OP(SYMLINK), ROOT, "x", .value = "a\0b", .len = 3 } },
	{ EEXIST, { OP(SYMLINK), ROOT, "link", .value = "a", .len = 1 } },
	{ ESTALE, { OP(LINK), NONE, .to = ROOT, .new_name = "x" } },
	{ EPERM, { OP(LINK), DIR_, .to = ROOT, .new_name = "x" } },
	{ ENOENT, { OP(LINK), GONE_FILE, .to = ROOT, .new_name = "x" } },
	{ EEXIST, { OP(LINK), FILE_, .to = ROOT, .new_name = "dir" } },
	{ EEXIST, { OP(LINK), DIR_, .to = ROOT, .new_name = "file" } },
	{ ENOTDIR, { OP(LINK), FILE_, .to = FILE_, .new_name = "x" } },
	{ ENOENT, { OP(UNLINK), ROOT, "x" } },
	{ EISDIR, { OP(UNLINK), ROOT, "dir" } },
	{ ENOTDIR, { OP(UNLINK), FILE_, "x" } },
	{ ENOENT, { OP(RMDIR), ROOT, "x" } },
	{ ENOTDIR, { OP(RMDIR), ROOT, "file" } },
	{ ENOTEMPTY, { OP(RMDIR), ROOT, "full" } },
	{ ENOENT, RENAME(ROOT, "x", ROOT, "y") },
	{ ESTALE, RENAME(ROOT, "file", NONE, "y") },
	{ ENOTDIR, RENAME(ROOT, "file", FILE_, "y") },
	{ ENOENT, RENAME(ROOT, "file", GONE_DIR, "y") },
	{ EINVAL, RENAME(ROOT, "dir", DIR_, "y") },
	{ EINVAL, RENAME(ROOT, "dir", INNER, "y") },
	{ ENOTDIR, RENAME(ROOT, "dir", ROOT, "file") },
	{ EISDIR, RENAME(ROOT, "file", ROOT, "dir") },
	{ ENOTEMPTY, RENAME(ROOT, "dir", ROOT, "full") },
	{ ENOTEMPTY, RENAME(DIR_, "inner", ROOT, "dir") },
	/* a directory that is above the old name is not empty first of all */
	{ ENOTEMPTY, RENAME(FULL, "hard", ROOT, "full") },
	{ EISDIR, RENAME(FULL, "hard", ROOT, "dir") },
	{ EISDIR, RENAME(ROOT, "file", ROOT, "full") },
	{ EINVAL, RENAME(FULL, "hard", ROOT, "full", .replace = true) },
	{ EEXIST, RENAME(FULL, "hard", ROOT, "full", .create = true) },
	{ EEXIST, RENAME(ROOT, "file", ROOT, "link", .create = true) },
	{ EEXIST, RENAME(ROOT, "file", ROOT, "file", .create = true) },
	{ EINVAL, RENAME(ROOT, "file", ROOT, "x", .create = true, .replace = true) },
	{ ENOENT, RENAME(ROOT, "file", ROOT, "x", .replace = true) },
	{ EINVAL, RENAME(ROOT, "dir", DIR_, "inner", .replace = true) },
	{ EINVAL, RENAME(DIR_, "inner", ROOT, "dir", .replace = true) },
	{ ENAMETOOLONG, RENAME(ROOT, "file", ROOT, LONG255 "x") },
	{ ESTALE, SET(NONE, .has_mode = true) },
	{ EINVAL, SET(FILE_, .has_mode = true, .mode = 010000) },
	{ EOPNOTSUPP, SET(LINK_, .has_mode = true) },
	{ EISDIR, SET(DIR_, .has_size = true) },
	{ EINVAL, SET(LINK_, .has_size = true) },
	{ EFBIG, SET(FILE_, .has_size = true, .size = 1ull << 63) },
	{ EINVAL, SET(FILE_, .has_uid = true, .uid = UINT32_MAX) },
	{ EINVAL, SET(FILE_, .has_atime = true, .atime_ns = 1000000000) },
	{ EAGAIN, SET(FILE_, .has_mode = true, .has_guard = true, .guard = 5) },
	{ EOPNOTSUPP, { OP(SETXATTR), FILE_, "other.x" } },
	{ EOPNOTSUPP, { OP(SETXATTR), FILE_, "user." } },
	{ EINVAL, { OP(SETXATTR), FILE_, "" } },
	{ ERANGE, { OP(SETXATTR), FILE_, "user." LONG255 } },
	{ ENODATA, { OP(SETXATTR), FILE_, "user.x", .replace = true } },
	{ EINVAL, { OP(SETXATTR), FILE_, "user.x", .create = true, .replace = true } },
	{ EINVAL, { OP(SETXATTR), FILE_, "system.posix_acl_access", .value = "x", .len = 1 } },
	{ EOPNOTSUPP, { OP(SETXATTR), LINK_, "system.posix_acl_access" } },
	{ ESTALE, { OP(SETXATTR), NONE, "user.x" } },
	{ ENODATA, { OP(REMOVEXATTR), FILE_, "user.x" } },
	{ ESTALE, { OP(HOLD), NONE } },
	{ EBADF, { OP(RELEASE), FILE_ } },
	{ EEXIST, { OP(SESSION_OPEN) } },
	{ EPERM, { OP(FEATURE), .level = 1 } },
};

static void each_error(void **state)
{
	struct datafs_metad_counts was, is;
	struct datafs_metad_attr a;

	(void)state;
	tree();
	assert_int_equal(datafs_metad_counts(m, &was), 0);
	a = attr_of(ROOT);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int err = error_of(errors[i].r);

		if (err != errors[i].error)
			print_error("line %zu of the table\n", i);
		assert_int_equal(err, errors[i].error);
		assert_null(metad_check(m));
	}
	assert_int_equal(datafs_metad_counts(m, &is), 0);
	assert_int_equal(was.inodes, is.inodes);
	assert_int_equal(attr_of(ROOT).version, a.version);
	assert_string_equal(names_in(ROOT), "file dir full link");
}

/* What a name gets, by parent's set-group-ID and umask. */
static void made(void **state)
{
	struct datafs_metad_attr a;
	char buf[DATAFS_SYMLINK_MAX];
	uint64_t d, f;

	(void)state;
	d = must((struct req){ OP(MKDIR), ROOT, "d", .mode = 02777, .umask = 022,
			       .uid = 5, .gid = 6 });
	a = attr_of(d);
	assert_int_equal(a.mode, S_IFDIR | 02755);
	assert_true(a.nlink == 2 && a.uid == 5 && a.gid == 6 && a.version == 1);
	assert_int_equal(attr_of(ROOT).nlink, 3);
	f = must((struct req){ OP(CREATE), d, "f", .mode = 04666, .umask = 027, .gid = 9 });
	assert_int_equal(attr_of(f).mode, S_IFREG | 04640);
	assert_int_equal(attr_of(f).gid, 6);
	assert_int_equal(attr_of(d).nlink, 2);
	assert_int_equal(attr_of(must((struct req){ OP(MKDIR), d, "e", .mode = 0700,
						    .gid = 9 })).mode, S_IFDIR | 02700);
	a = attr_of(must((struct req){ OP(MKNOD), d, "b", .mode = S_IFBLK | 0600 }));
	assert_true(a.rdev_major == 8 && a.rdev_minor == 1 && a.mode == (S_IFBLK | 0600));
	f = must((struct req){ OP(SYMLINK), d, "s", .value = "to/it", .len = 5 });
	assert_int_equal(attr_of(f).size, 5);
	assert_int_equal(datafs_metad_readlink(m, f, buf), 5);
	assert_memory_equal(buf, "to/it", 5);
	assert_string_equal(names_in(d), "f e b s");
	assert_int_equal(datafs_metad_lookup(m, d, "e", 1, &a), 0);
	assert_int_equal(datafs_metad_lookup(m, d, "E", 1, &a), -ENOENT);
	assert_int_equal(datafs_metad_lookup(m, f, "e", 1, &a), -ENOTDIR);
	must((struct req){ OP(CREATE), d, LONG255 });
}

/* Which times a command sets: of its inode, its directories, another. */
enum { A = 1, M = 2, C = 4 };

static int marked(uint64_t ino)
{
	struct datafs_metad_attr a = attr_of(ino);
	time_t now = (time_t)(entry_time / 1000000000);

	return (a.atime.tv_sec == now ? A : 0) | (a.mtime.tv_sec == now ? M : 0) |
	       (a.ctime.tv_sec == now ? C : 0);
}

static const struct {
	struct req r;
	uint64_t ino[3];	/* 0: none */
	int marks[3];
} times[] = {
	{ { OP(CREATE), ROOT, "new" }, { 10, ROOT }, { A | M | C, M | C } },
	{ { OP(LINK), FILE_, .to = ROOT, .new_name = "l2" }, { FILE_, ROOT }, { C, M | C } },
	{ { OP(UNLINK), ROOT, "l2" }, { FILE_, ROOT }, { C, M | C } },
	{ { OP(RMDIR), DIR_, "inner" }, { DIR_ }, { M | C } },
	{ RENAME(ROOT, "file", DIR_, "f"), { FILE_, ROOT, DIR_ }, { C, M | C, M | C } },
	{ RENAME(DIR_, "f", FULL, "hard"), { FILE_, DIR_, FULL }, { 0, 0, 0 } },
	{ RENAME(DIR_, "f", DIR_, "f"), { FILE_, DIR_ }, { 0, 0 } },
	{ RENAME(ROOT, "new", FULL, "hard"), { FILE_, ROOT, FULL }, { C, M | C, M | C } },
	{ RENAME(ROOT, "link", DIR_, "f", .replace = true), { LINK_, FILE_, DIR_ },
	  { C, C, M | C } },
	{ SET(FILE_, .has_mode = true), { FILE_ }, { C } },
	{ SET(FILE_, .has_size = true), { FILE_ }, { M | C } },
	{ SET(FILE_, .has_size = true, .has_mtime = true), { FILE_ }, { C } },
	{ SET(FILE_, .has_atime = true, .atime = -5), { FILE_ }, { C } },
	{ SET(FILE_), { FILE_ }, { 0 } },
	{ { OP(SETXATTR), FILE_, "user.a" }, { FILE_ }, { C } },
	{ { OP(REMOVEXATTR), FILE_, "user.a" }, { FILE_ }, { C } },
	{ { OP(HOLD), FILE_ }, { FILE_ }, { 0 } },
	{ { OP(RELEASE), FILE_ }, { FILE_ }, { 0 } },
};

static void which_times(void **state)
{
	uint64_t version[3];

	(void)state;
	tree();
	make_file(ROOT, "unused");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		for (int k = 0; k < 3; k++)
			version[k] = times[i].ino[k] && times[i].ino[k] != 10 ?
				attr_of(times[i].ino[k]).version : 0;
		must(times[i].r);
		for (int k = 0; k < 3 && times[i].ino[k]; k++) {
			if (marked(times[i].ino[k]) != times[i].marks[k])
				print_error("line %zu, inode %d\n", i, k);
			assert_int_equal(marked(times[i].ino[k]), times[i].marks[k]);
			if (version[k])
				assert_int_equal(attr_of(times[i].ino[k]).version,
						 version[k] + !!times[i].marks[k]);
		}
		assert_null(metad_check(m));
	}
	assert_int_equal(attr_of(FILE_).atime.tv_sec, -5);
}

static uint64_t cookies[16];
static int ncookies;

static int collect(void *arg, uint64_t cookie, const char *name, size_t len,
		   const struct datafs_metad_attr *attr)
{
	(void)name, (void)len, (void)attr;
	if (ncookies == *(int *)arg)
		return 1;
	cookies[ncookies++] = cookie;
	return 0;
}

static void cookies_stay(void **state)
{
	int max = 2;
	bool eof;

	(void)state;
	make_file(ROOT, "a");
	make_file(ROOT, "b");
	make_file(ROOT, "c");
	assert_int_equal(datafs_metad_readdir(m, ROOT, 0, collect, &max, &eof), 0);
	assert_false(eof);
	assert_int_equal(cookies[0], DATAFS_FIRST_COOKIE);
	must((struct req){ OP(UNLINK), ROOT, "b" });
	make_file(ROOT, "b");
	assert_string_equal(names_in(ROOT), "a c b");
	/* Replaced: the name keeps its cookie. */
	must((struct req)RENAME(ROOT, "b", ROOT, "a"));
	assert_string_equal(names_in(ROOT), "a c");
	max = 16;
	assert_int_equal(datafs_metad_readdir(m, ROOT, cookies[1], collect, &max, &eof), 0);
	assert_true(eof);
	assert_int_equal(ncookies, 3);
	assert_int_equal(cookies[2], DATAFS_FIRST_COOKIE + 2);
	make_file(ROOT, "d");
	ncookies = 0;
	assert_int_equal(datafs_metad_readdir(m, ROOT, 0, collect, &max, &eof), 0);
	assert_int_equal(cookies[2], DATAFS_FIRST_COOKIE + 4);
	assert_int_equal(datafs_metad_readdir(m, ROOT, UINT64_MAX, collect, &max, &eof), 0);
	assert_true(eof && ncookies == 3);
}

static void exchanged(void **state)
{
	uint64_t up;

	(void)state;
	tree();
	/* a directory and a file, across directories */
	must((struct req)RENAME(ROOT, "file", DIR_, "inner", .replace = true));
	assert_int_equal(attr_of(ROOT).nlink, 5);
	assert_int_equal(attr_of(DIR_).nlink, 2);
	assert_int_equal(datafs_metad_parent(m, INNER, &up), 0);
	assert_int_equal(up, ROOT);
	must((struct req)RENAME(ROOT, "file", ROOT, "link", .replace = true));
	assert_string_equal(names_in(ROOT), "file dir full link");
	assert_int_equal(attr_of(ROOT).nlink, 5);
}

/* What is unlinked and held lives on; the last to let go ends it. */
static void orphans(void **state)
{
	struct datafs_metad_counts n;
	uint64_t f = make_file(ROOT, "f");
	struct datafs_metad_attr a;

	(void)state;
	must((struct req){ OP(SESSION_OPEN), .session = 9, .request = 1 });
	must((struct req){ OP(SETXATTR), f, "user.a", .value = "v", .len = 1 });
	must((struct req){ OP(HOLD), f });
	must((struct req){ OP(HOLD), f });
	must((struct req){ OP(HOLD), f, .session = 9, .request = 2 });
	must((struct req){ OP(UNLINK), ROOT, "f" });
	assert_int_equal(attr_of(f).nlink, 0);
	must((struct req)SET(f, .has_size = true, .size = 10));
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(n.orphans == 1 && n.inodes == 2 && n.bytes == 10);
	must((struct req){ OP(RELEASE), f });
	assert_int_equal(attr_of(f).nlink, 0);
	must((struct req){ OP(SESSION_CLOSE), .session = 9, .request = 3 });
	assert_int_equal(datafs_metad_getattr(m, f, &a), -ESTALE);
	assert_int_equal(datafs_metad_getxattr(m, f, "user.a", 6, NULL, 0), -ESTALE);
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(!n.orphans && n.inodes == 1 && !n.bytes && n.sessions == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(each_error),
		METAD_TEST(made),
		METAD_TEST(which_times),
		METAD_TEST(cookies_stay),
		METAD_TEST(exchanged),
		METAD_TEST(orphans),
	};

	return cmocka_run_group_tests_name("metad_ops", tests, NULL, NULL);
}
