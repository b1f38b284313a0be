// SPDX-License-Identifier: Apache-2.0
/* Names, links, listings, extended attributes. */
#define _GNU_SOURCE
#include "under_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The double of a filesystem of which one inode cannot be looked at, */
static ino_t failing;
static int failing_error;

int statx(int fd, const char *path, int flags, unsigned int mask,
	  struct statx *x)
{
	int ret = syscall(SYS_statx, fd, path, flags, mask, x);

	if (!ret && failing && x->stx_ino == failing) {
		errno = failing_error;
		return -1;
	}
	return ret;
}

/* ... and that may have no extended attributes. */
static bool without_xattrs;

ssize_t listxattr(const char *path, char *list, size_t size)
{
	if (!without_xattrs)
		return syscall(SYS_listxattr, path, list, size);
	errno = EOPNOTSUPP;
	return -1;
}

static int teardown(void **state)
{
	failing = 0;
	without_xattrs = false;
	return under_teardown(state);
}

static void links(void **state)
{
	struct datafs_under_stat st;
	char buf[64];

	(void)state;
	assert_int_equal(mkdirat(dfd, "d", 0755), 0);
	put("d/f", "text");
	assert_int_equal(symlinkat("d", dfd, "to_d"), 0);
	assert_int_equal(symlinkat("/etc/passwd", dfd, "out"), 0);
	assert_int_equal(symlinkat("nowhere", dfd, "dangling"), 0);
	st = look("out");
	assert_true(S_ISLNK(st.mode));
	assert_int_equal(st.size, 11);
	assert_int_equal(datafs_under_readlink(u, "out", buf, sizeof(buf)), 11);
	assert_memory_equal(buf, "/etc/passwd", 11);
	assert_int_equal(datafs_under_readlink(u, "dangling", buf, sizeof(buf)), 7);
	assert_int_equal(datafs_under_readlink(u, "d/f", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(datafs_under_readlink(u, "no", buf, sizeof(buf)), -ENOENT);
	/* none is followed, at the end or on the way */
	assert_int_equal(rd("out", &st, 0, buf, sizeof(buf)), -ESTALE);
	assert_int_equal(datafs_under_stat(u, "to_d/f", &st), -ENOENT);
	assert_int_equal(datafs_under_list(u, "to_d", NULL, NULL, NULL), -ENOTDIR);
	assert_int_equal(datafs_under_stat(u, "d/f/x", &st), -ENOENT);
	/* and none leads out of the tree */
	assert_int_equal(datafs_under_stat(u, "..", &st), -EINVAL);
	assert_int_equal(datafs_under_stat(u, "d/../../x", &st), -EINVAL);
	assert_int_equal(datafs_under_stat(u, "/etc", &st), -EINVAL);
	assert_int_equal(datafs_under_stat(u, "d//f", &st), -EINVAL);
	assert_int_equal(datafs_under_stat(u, "d/", &st), -EINVAL);
	assert_int_equal(datafs_under_stat(u, "d/.", &st), -EINVAL);
}

struct names {
	char name[300][256];
	struct datafs_under_stat st[300];
	int n, stop_at;
};

static int take(void *arg, const char *name, const struct datafs_under_stat *st)
{
	struct names *l = arg;

	if (l->n == l->stop_at)
		return -ECANCELED;
	strcpy(l->name[l->n], name);
	l->st[l->n++] = st ? *st : (struct datafs_under_stat){ 0 };
	return 0;
}

static const struct datafs_under_stat *in(const struct names *l,
					  const char *name)
{
	for (int i = 0; i < l->n; i++)
		if (!strcmp(l->name[i], name))
			return &l->st[i];
	return NULL;
}

static void listing(void **state)
{
	static const char *const odd[] = { " ", "...", "..a", "a b", "\n\t",
					   "\xff\xfe", "-rf", "*", "\\", "%s" };
	struct names *l = calloc(1, sizeof(*l));
	char name[256];

	(void)state;
	l->stop_at = 300;
	assert_int_equal(datafs_under_list(u, "", NULL, take, l), 0);
	assert_int_equal(l->n, 0);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		put(name, name);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		put(odd[i], odd[i]);
	memset(name, 'n', 255);
	name[255] = 0;
	put(name, "long");
	assert_int_equal(mkfifoat(dfd, "fifo", 0600), 0);
	assert_int_equal(symlinkat("file1", dfd, "link"), 0);
	assert_int_equal(mkdirat(dfd, "dir", 0700), 0);
	assert_int_equal(datafs_under_list(u, "", NULL, take, l), 0);
	assert_int_equal(l->n, 200 + 10 + 4);
	for (int i = 0; i < l->n; i++) {
		struct datafs_under_stat st = look(l->name[i]);

		assert_true(same(&st, &l->st[i]));
		assert_int_equal(st.mode, l->st[i].mode);
		assert_int_equal(st.has_xattr, l->st[i].has_xattr);
	}
	assert_true(S_ISFIFO(in(l, "fifo")->mode));
	assert_true(S_ISLNK(in(l, "link")->mode));
	assert_non_null(in(l, "\xff\xfe"));
	assert_non_null(in(l, name));
	l->n = 0;
	l->stop_at = 5;
	assert_int_equal(datafs_under_list(u, "", NULL, take, l), -ECANCELED);
	assert_int_equal(datafs_under_list(u, "none", NULL, take, l), -ENOENT);
	assert_int_equal(datafs_under_list(u, "file1", NULL, take, l), -ENOTDIR);
	free(l);
}

/* One that cannot be looked at does not take the others along. */
static void hidden(void **state)
{
	static const int errors[] = { EACCES, ESTALE, ENOTCONN, EIO };
	struct names *l = calloc(1, sizeof(*l));
	struct datafs_under_stat st;
	struct stat sb;

	(void)state;
	l->stop_at = 300;
	put("a", "x");
	assert_int_equal(mkdirat(dfd, "d", 0755), 0);
	put("e", "x");
	assert_int_equal(fstatat(dfd, "d", &sb, 0), 0);
	failing = sb.st_ino;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		failing_error = errors[i];
		l->n = 0;
		assert_int_equal(datafs_under_list(u, "", NULL, take, l), 0);
		assert_int_equal(l->n, 3);
		assert_non_null(in(l, "a"));
		assert_int_equal(in(l, "d")->mode, 0);
		assert_true(S_ISREG(in(l, "e")->mode));
		assert_int_equal(datafs_under_stat(u, "d", &st), -errors[i]);
	}
	/* What the kernel says of a mount of ours. */
	failing_error = EDEADLK;
	assert_int_equal(datafs_under_list(u, "", NULL, take, l), 0);
	assert_int_equal(datafs_under_stat(u, "d", &st), -ELOOP);
	assert_int_equal(datafs_under_stat(u, "d/x", &st), -ELOOP);
	assert_int_equal(datafs_under_list(u, "d", NULL, take, l), -ELOOP);
	free(l);
}

static void long_paths(void **state)
{
	struct names *l = calloc(1, sizeof(*l));
	struct datafs_under_stat st;
	char *key = calloc(1, 20 * 252 + 8), *p = key, buf[8];
	int fds[21] = { dup(dfd) }, fd = fds[0], next;

	(void)state;
	/* 20 levels of 251 bytes: more than PATH_MAX */
	for (int i = 0; i < 20; i++) {
		memset(p, 'a' + i, 251);
		assert_int_equal(mkdirat(fd, p, 0755), 0);
		fd = fds[i + 1] = openat(fd, p, O_RDONLY | O_DIRECTORY);
		p += 251;
		*p++ = '/';
	}
	strcpy(p, "leaf");
	next = openat(fd, "leaf", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(next, "deep", 4), 4);
	close(next);
	st = look(key);
	assert_int_equal(st.size, 4);
	assert_int_equal(rd(key, &st, 0, buf, 8), 4);
	assert_memory_equal(buf, "deep", 4);
	strcpy(p, "none");
	assert_int_equal(datafs_under_stat(u, key, &st), -ENOENT);
	p[-1] = 0;
	l->stop_at = 300;
	assert_int_equal(datafs_under_list(u, key, NULL, take, l), 0);
	assert_int_equal(l->n, 1);
	memset(key, 'x', 5000);
	key[5000] = 0;
	assert_int_equal(datafs_under_stat(u, key, &st), -ENAMETOOLONG);
	key[300] = 0;
	assert_int_equal(datafs_under_stat(u, key, &st), -ENAMETOOLONG);
	/* too deep for teardown's way */
	assert_int_equal(unlinkat(fds[20], "leaf", 0), 0);
	key[251] = 0;
	for (int i = 20; i--; close(fds[i + 1])) {
		memset(key, 'a' + i, 251);
		assert_int_equal(unlinkat(fds[i], key, AT_REMOVEDIR), 0);
	}
	close(fds[0]);
	free(key);
	free(l);
}

static void xattrs(void **state)
{
	/* version 2; u::rw-, u:1:r--, g::r--, m::r--, o::--- */
	static const unsigned char acl[] = {
		2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0,
		4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
		32, 0, 0, 0, 255, 255, 255, 255,
	};
	char path[5000], buf[256], *big;
	struct datafs_under_stat st;
	struct names *l;
	ssize_t n;

	(void)state;
	put("f", "x");
	snprintf(path, sizeof(path), "%s/f", dir);
	st = look("f");
	assert_false(st.has_xattr);
	if (setxattr(path, "user.color", "red", 3, 0)) {
		assert_int_equal(errno, EOPNOTSUPP);
		skip();
	}
	st = look("f");
	assert_true(st.has_xattr && !st.has_acl);
	n = datafs_under_getxattr(u, "f", "user.color", buf, sizeof(buf));
	assert_int_equal(n, 3);
	assert_memory_equal(buf, "red", 3);
	assert_int_equal(datafs_under_getxattr(u, "f", "user.color", NULL, 0), 3);
	assert_int_equal(datafs_under_getxattr(u, "f", "user.color", buf, 1),
			 -ERANGE);
	assert_int_equal(datafs_under_getxattr(u, "f", "user.no", buf, 1), -ENODATA);
	n = datafs_under_listxattr(u, "f", buf, sizeof(buf));
	assert_int_equal(n, sizeof("user.color"));
	assert_string_equal(buf, "user.color");
	if (!setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0)) {
		st = look("f");
		assert_true(st.has_xattr && st.has_acl);
		l = calloc(1, sizeof(*l));
		l->stop_at = 300;
		assert_int_equal(datafs_under_list(u, "", NULL, take, l), 0);
		assert_true(in(l, "f")->has_acl);
		free(l);
	}
	/* a list longer than the first buffer */
	big = malloc(200);
	for (int i = 0; i < 12; i++) {
		memset(big, 'n', 200);
		n = snprintf(big, 200, "user.%d", i);
		big[n] = 'n';
		big[150] = 0;
		if (setxattr(path, big, "", 0, 0))
			break;
	}
	free(big);
	st = look("f");
	assert_true(st.has_xattr);
	/* a link's own, and a FIFO's, without opening it */
	assert_int_equal(symlinkat("f", dfd, "l"), 0);
	assert_int_equal(mkfifoat(dfd, "p", 0600), 0);
	st = look("l");
	assert_false(st.has_acl);
	assert_int_equal(datafs_under_getxattr(u, "l", "user.color", buf, 8),
			 -ENODATA);
	assert_true(S_ISFIFO(look("p").mode));
	n = datafs_under_listxattr(u, "p", buf, sizeof(buf));
	assert_int_equal(n, 0);
}

/* The device's number is of another filesystem now, one that has them. */
static void remounted(void **state)
{
	struct datafs_under_stat st;
	char path[5000];

	(void)state;
	put("f", "x");
	snprintf(path, sizeof(path), "%s/f", dir);
	if (setxattr(path, "user.color", "red", 3, 0)) {
		assert_int_equal(errno, EOPNOTSUPP);
		skip();
	}
	without_xattrs = true;
	st = look("f");
	assert_false(st.has_xattr);
	without_xattrs = false;
	usleep(1100000);
	st = look("f");
	assert_true(st.has_xattr);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, under_setup, teardown)
	const struct CMUnitTest tests[] = {
		T(links),
		T(listing),
		T(hidden),
		T(long_paths),
		T(xattrs),
		T(remounted),
	};

	return cmocka_run_group_tests_name("under_names", tests, NULL, NULL);
}
