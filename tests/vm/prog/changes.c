// SPDX-License-Identifier: Apache-2.0
/*
 * changes same DIR REF: each operation on names and attributes is done in the empty
 * directories DIR and REF, by root and by another; result, errno and the whole tree
 * are the same after each.
 *
 * changes once DIR N: N rounds of operations of which each, done twice, would fail:
 * daemons may die meanwhile. The name of the round is printed as it begins.
 *
 * changes race DIR N: processes that make, move and remove the same names, N times
 * each; of those of which one can succeed one does.
 *
 * changes tree DIR: prints the tree, as the first of these compares it.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "prog.h"

#define NOBODY	65534
#define ROOM	(1u << 20)

static int errno_of(bool failed)
{
	return failed ? errno : 0;
}

static int fd_of(int fd)
{
	int e = errno_of(fd < 0);

	if (fd >= 0)
		close(fd);
	return e;
}

/* --------------------------------------------------------------- the tree */

static char *tree_end;
static size_t tree_left;

static PRINTF(1, 2) void put(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(tree_end, tree_left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= tree_left)
		die("the tree is too large");
	tree_end += n;
	tree_left -= n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_xattrs(const char *name)
{
	char names[4096], value[4096], *list[64] = { NULL }, *p;
	ssize_t n = llistxattr(name, names, sizeof(names)), len, i;
	size_t count = 0, k;

	if (n < 0)
		put(" llistxattr: %s", strerrorname_np(errno));
	/* In no particular order. */
	for (p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		/* A security module's label is no affair of these. */
		if (!strcmp(p, "security.selinux"))
			continue;
		if (count == sizeof(list) / sizeof(*list))
			die("%s: too many xattrs", name);
		list[count++] = p;
	}
	qsort(list, count, sizeof(*list), by_text);
	for (k = 0; k < count; k++) {
		len = lgetxattr(name, list[k], value, sizeof(value));
		put(" %s=", list[k]);
		for (i = 0; i < len; i++)
			put("%02x", (unsigned char)value[i]);
	}
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

/* All that programs see, but for times, numbers and sizes of directories. */
static void put_tree(const char *path)
{
	struct dirent **list;
	char below[PATH_MAX], to[PATH_MAX];
	struct stat st;
	int i, n;
	ssize_t len;

	if (lstat(path, &st)) {
		put("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	put("%s %o %u:%u links %lu", path, st.st_mode, st.st_uid, st.st_gid,
	    (unsigned long)st.st_nlink);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		put(" dev %u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (S_ISREG(st.st_mode))
		put(" size %llu", (unsigned long long)st.st_size);
	if (S_ISLNK(st.st_mode)) {
		len = readlink(path, to, sizeof(to) - 1);
		put(" size %llu -> %.*s", (unsigned long long)st.st_size, (int)len, to);
	}
	put_xattrs(path);
	put("\n");
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &list, no_dots, by_name);
	if (n < 0)
		put("%s: scandir: %s\n", path, strerrorname_np(errno));
	for (i = 0; i < n; i++) {
		snprintf(below, sizeof(below), "%s/%s", path, list[i]->d_name);
		if (list[i]->d_type != DT_UNKNOWN && !lstat(below, &st) &&
		    IFTODT(st.st_mode) != list[i]->d_type)
			put("%s is listed as %d\n", below, list[i]->d_type);
		put_tree(below);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void tree(char *room)
{
	tree_end = room;
	tree_left = ROOM;
	put_tree(".");
}

/* ------------------------------------------------------------- operations */

static int make(const char *name, mode_t mode)
{
	return fd_of(open(name, O_RDONLY | O_CREAT | O_EXCL, mode));
}

static char *longest(size_t n)
{
	static char name[300];

	memset(name, 'n', n);
	name[n] = 0;
	return name;
}

/* An operation by the user NOBODY, in a process of its own. */
static int by_nobody(void (*fn)(int *e))
{
	int status, e;
	pid_t pid = fork();

	if (!pid) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(255);
		fn(&e);
		_exit(e);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 255;
	return WEXITSTATUS(status);
}

static int acl(const char *name, const char *type, const void *entries, size_t n)
{
	char value[100] = { 2 };

	memcpy(value + 4, entries, n);
	return errno_of(setxattr(name, type, value, 4 + n, 0));
}

struct entry { uint16_t tag, perm; uint32_t id; };

static const struct entry named_user[] = {
	{ 1, 7, ~0u }, { 2, 6, NOBODY }, { 4, 5, ~0u }, { 16, 7, ~0u }, { 32, 0, ~0u },
};
static const struct entry plain[] = { { 1, 6, ~0u }, { 4, 4, ~0u }, { 32, 4, ~0u } };
static const struct entry disorder[] = { { 4, 4, ~0u }, { 1, 6, ~0u }, { 32, 4, ~0u } };

#define ACCESS	"system.posix_acl_access"
#define DEFAULT	"system.posix_acl_default"

static int socket_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), e;

	strcpy(a.sun_path, name);
	e = errno_of(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	return e;
}

/* What has no name any more is what it was, for who has it open. */
static int gone_but_open(void)
{
	struct stat st;
	int fd = open("open", O_RDONLY | O_CREAT, 0640), e = 0;
	char c;

	if (fd < 0 || unlink("open"))
		return errno;
	if (fstat(fd, &st) || st.st_nlink || (st.st_mode & 07777) != 0640)
		e = 200;
	else if (fchmod(fd, 0600) || fchown(fd, 5, 6) || fsetxattr(fd, "user.x", "1", 1, 0))
		e = errno;
	else if (fstat(fd, &st) || st.st_nlink || (st.st_mode & 07777) != 0600 ||
		 st.st_uid != 5 || fgetxattr(fd, "user.x", &c, 1) != 1)
		e = 201;
	else if (read(fd, &c, 1))
		e = 202;
	close(fd);
	return e;
}

static int gone_but_in(void)
{
	int here = open(".", O_RDONLY | O_DIRECTORY), e = 0;
	struct stat st;

	if (mkdir("cwd", 0755) || chdir("cwd") || rmdir("../cwd"))
		return errno;
	if (stat(".", &st) || st.st_nlink)
		e = 200;
	else if (!mkdir("x", 0755) || errno != ENOENT)
		e = 201;
	if (fchdir(here))
		e = errno;
	close(here);
	return e;
}

static int times(const char *name, int flags)
{
	struct timespec t[2] = { { -5, 7 }, { 1000000000, 999999999 } };
	struct stat st;

	if (utimensat(AT_FDCWD, name, t, flags) || fstatat(AT_FDCWD, name, &st, flags))
		return errno;
	return st.st_atim.tv_sec != -5 || st.st_atim.tv_nsec != 7 ||
	       st.st_mtim.tv_sec != 1000000000 || st.st_mtim.tv_nsec != 999999999 ? 200 : 0;
}

/* One now, the other as it is; the change time goes on with each. */
static int times_now(void)
{
	struct timespec t[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	struct stat before, st;

	if (stat("f", &before) || utimensat(AT_FDCWD, "f", t, 0) || stat("f", &st))
		return errno;
	return st.st_mtim.tv_sec != before.st_mtim.tv_sec || st.st_atim.tv_sec < 1700000000 ||
	       st.st_ctim.tv_sec < before.st_ctim.tv_sec ? 200 : 0;
}

/* A listing that goes on while names come and go has each of the others once. */
static int listed_once(void)
{
	char name[20];
	bool seen[200] = { false };
	struct dirent *e;
	unsigned int i, n = 0;
	DIR *d;

	if (mkdir("list", 0755))
		return errno;
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "list/%u", i);
		if (make(name, 0644))
			return errno;
	}
	d = opendir("list");
	if (!d)
		return errno;
	while ((e = readdir(d))) {
		if (!no_dots(e) || e->d_name[0] == 'x')
			continue;
		i = atoi(e->d_name);
		if (seen[i])
			return 200;
		seen[i] = true;
		snprintf(name, sizeof(name), "list/%u", i);
		/* Of every other the name goes when it has been told. */
		if (i % 2 && unlink(name))
			return errno;
		snprintf(name, sizeof(name), "list/x%u", n++);
		if (n < 50 && make(name, 0644))
			return errno;
	}
	closedir(d);
	for (i = 0; i < 200; i++)
		if (!seen[i])
			return 201;
	return 0;
}

#define OP(fn, what)	static void fn(int *e) { *e = what; }
#define CALL(fn, call)	OP(fn, errno_of((call) < 0))

CALL(umask_0, (umask(0), 0))
CALL(umask_027, (umask(027), 0))
OP(create, make("f", 0666))
OP(create_again, make("f", 0666))
OP(create_below_file, make("f/x", 0666))
OP(create_below_none, make("none/x", 0666))
OP(create_suid, make("suid", 06755))
OP(create_255, make(longest(255), 0644))
OP(create_256, make(longest(256), 0644))
CALL(make_dir, mkdir("d", 0777))
CALL(make_dir_again, mkdir("d", 0777))
CALL(make_dir_over, mkdir("f", 0777))
CALL(make_sticky, mkdir("sticky", 0777) || chmod("sticky", 01777) ? -1 : 0)
CALL(make_setgid, mkdir("setgid", 0777) || chown("setgid", 0, 77) || chmod("setgid", 02777) ? -1 : 0)
CALL(dir_in_setgid, mkdir("setgid/d", 0755))
OP(file_in_setgid, make("setgid/f", 02775))
CALL(make_fifo, mkfifo("fifo", 0666))
CALL(make_chr, mknod("chr", S_IFCHR | 0600, makedev(259, 70000)))
CALL(make_blk, mknod("blk", S_IFBLK | 0600, makedev(7, 200)))
CALL(make_reg, mknod("reg", S_IFREG | 0604, 0))
OP(make_sock, socket_at("sock"))
CALL(make_link, symlink("f", "l"))
CALL(make_link_again, symlink("f", "l"))
CALL(make_link_none, symlink("", "l2"))
CALL(hard, link("f", "f2"))
CALL(hard_in, link("f", "d/f3"))
CALL(hard_again, link("f", "f2"))
CALL(hard_dir, link("d", "d2"))
CALL(hard_none, link("none", "f4"))
CALL(hard_symlink, link("l", "l3"))
CALL(remove_hard, unlink("f2"))
CALL(remove_dir_as_file, unlink("d"))
CALL(remove_file_as_dir, rmdir("f"))
CALL(remove_full, rmdir("d"))
CALL(remove_none, unlink("none"))
CALL(remove_dir_none, rmdir("none"))
CALL(remove_dot, rmdir("d/."))
CALL(remove_above, rmdir("d/.."))
CALL(move, rename("f", "g"))
CALL(move_none, rename("none", "g"))
CALL(move_back, rename("g", "f"))
CALL(move_into, rename("f", "d/f"))
CALL(move_out, rename("d/f", "f"))
CALL(move_over, make("over", 0600) || rename("over", "reg") ? -1 : 0)
CALL(move_same, link("f", "same") || rename("f", "same") ? -1 : 0)
CALL(move_dir, mkdir("m1", 0755) || mkdir("m1/x", 0755) || rename("m1", "d/m2") ? -1 : 0)
CALL(move_dir_over_empty, mkdir("e", 0700) || rename("d/m2", "e") ? -1 : 0)
CALL(move_dir_over_full, rename("d", "e"))
CALL(move_dir_over_file, rename("d", "f"))
CALL(move_file_over_dir, rename("f", "e"))
CALL(move_below_itself, rename("e", "e/x/y"))
CALL(move_255, rename(longest(255), "short"))
CALL(move_to_256, rename("short", longest(256)))
CALL(noreplace, renameat2(AT_FDCWD, "f", AT_FDCWD, "e", RENAME_NOREPLACE))
CALL(noreplace_free, renameat2(AT_FDCWD, "f", AT_FDCWD, "free", RENAME_NOREPLACE))
CALL(exchange, renameat2(AT_FDCWD, "free", AT_FDCWD, "e/x", RENAME_EXCHANGE))
CALL(exchange_back, renameat2(AT_FDCWD, "free", AT_FDCWD, "e/x", RENAME_EXCHANGE))
CALL(exchange_none, renameat2(AT_FDCWD, "free", AT_FDCWD, "none", RENAME_EXCHANGE))
CALL(exchange_below, renameat2(AT_FDCWD, "e", AT_FDCWD, "e/x", RENAME_EXCHANGE))
CALL(both_flags, renameat2(AT_FDCWD, "free", AT_FDCWD, "e", RENAME_NOREPLACE | RENAME_EXCHANGE))
CALL(back, rename("free", "f"))
CALL(mode, chmod("f", 07751))
CALL(mode_dir, chmod("d", 0711))
CALL(own, chown("f", 1000, 1001))
CALL(own_none, chown("f", -1, -1))
CALL(own_group, chown("reg", -1, 55))
CALL(own_link, lchown("l", 3, 4))
CALL(own_suid, chown("suid", 9, 9))
CALL(own_suid_dir, chmod("d", 06755) || chown("d", 9, 9) ? -1 : 0)
OP(set_times, times("f", 0))
OP(set_times_dir, times("d", 0))
OP(set_times_link, times("l", AT_SYMLINK_NOFOLLOW))
CALL(xattr, setxattr("f", "user.a", "one", 3, 0))
CALL(xattr_create, setxattr("f", "user.a", "two", 3, XATTR_CREATE))
CALL(xattr_replace, setxattr("f", "user.a", "three", 5, XATTR_REPLACE))
CALL(xattr_replace_none, setxattr("f", "user.b", "x", 1, XATTR_REPLACE))
CALL(xattr_empty, setxattr("f", "user.empty", "", 0, XATTR_CREATE))
CALL(xattr_trusted, setxattr("f", "trusted.t", "t", 1, 0))
CALL(xattr_security, setxattr("f", "security.s", "s", 1, 0))
CALL(xattr_dir, setxattr("d", "user.d", "d", 1, 0))
CALL(xattr_link, lsetxattr("l", "user.l", "l", 1, 0))
CALL(xattr_link_trusted, lsetxattr("l", "trusted.l", "l", 1, 0))
CALL(xattr_fifo, setxattr("fifo", "user.f", "f", 1, 0))
CALL(xattr_class, setxattr("f", "no.class", "x", 1, 0))
CALL(xattr_remove, removexattr("f", "user.a"))
CALL(xattr_remove_again, removexattr("f", "user.a"))
OP(acl_named, acl("f", ACCESS, named_user, sizeof(named_user)))
OP(acl_plain, acl("reg", ACCESS, plain, sizeof(plain)))
OP(acl_disorder, acl("f", ACCESS, disorder, sizeof(disorder)))
OP(acl_default_of_file, acl("f", DEFAULT, named_user, sizeof(named_user)))
OP(acl_default, acl("d", DEFAULT, named_user, sizeof(named_user)))
OP(acl_inherited, make("d/inherits", 0664))
CALL(acl_inherited_dir, mkdir("d/inherits-dir", 0777))
CALL(acl_mode, chmod("f", 0640))
CALL(acl_remove, removexattr("f", ACCESS))
CALL(acl_remove_again, removexattr("f", ACCESS))
CALL(acl_remove_default, removexattr("d", DEFAULT))

OP(set_times_now, times_now())
OP(removed_open, gone_but_open())
OP(removed_in, gone_but_in())
OP(listed, listed_once())

/* By another user. */
OP(his, make("sticky/his", 0644))
CALL(his_chown, chown("sticky/his", 1, -1))
CALL(his_setgid, chmod("sticky/his", 02755))
CALL(his_security, setxattr("sticky/his", "security.x", "x", 1, 0))
CALL(his_trusted, setxattr("sticky/his", "trusted.x", "x", 1, 0))
CALL(his_user, setxattr("sticky/his", "user.x", "x", 1, 0))
OP(his_times, times("sticky/his", 0))
CALL(his_fifo, mkfifo("sticky/fifo", 0600))
CALL(his_device, mknod("sticky/dev", S_IFCHR | 0600, makedev(1, 3)))
OP(his_in_setgid, make("setgid/his", 02775))
CALL(his_dir_in_setgid, mkdir("setgid/his-dir", 0777))
OP(not_his_dir, make("d/his", 0644))
CALL(not_his_mode, chmod("sticky/root", 0777))
CALL(not_his_times, utimensat(AT_FDCWD, "sticky/root", NULL, 0))
CALL(not_his_user, setxattr("sticky/root", "user.x", "x", 1, 0))
CALL(not_his_unlink, unlink("sticky/root"))
CALL(not_his_rename, rename("sticky/root", "sticky/mine"))
CALL(not_his_over, rename("sticky/his", "sticky/root"))
CALL(his_unlink, unlink("sticky/his"))
CALL(roots, make("sticky/root", 0644))
CALL(group_setgid, chown("sticky/root", NOBODY, 88) || chmod("sticky/root", 02755) ? -1 : 0)
OP(group_acl, acl("sticky/root", ACCESS, named_user, sizeof(named_user)))

struct step {
	const char *name;
	void (*fn)(int *e);
	bool nobody;
};

#define S(fn)	{ #fn, fn, false }
#define N(fn)	{ #fn, fn, true }

static const struct step steps[] = {
	S(umask_027), S(create), S(create_again), S(create_below_file), S(create_below_none),
	S(create_suid), S(create_255), S(create_256), S(make_dir), S(make_dir_again),
	S(make_dir_over), S(umask_0), S(make_sticky), S(make_setgid), S(dir_in_setgid),
	S(file_in_setgid), S(make_fifo), S(make_chr), S(make_blk), S(make_reg), S(make_sock),
	S(make_link), S(make_link_again), S(make_link_none), S(hard), S(hard_in), S(hard_again),
	S(hard_dir), S(hard_none), S(hard_symlink), S(remove_hard), S(remove_dir_as_file),
	S(remove_file_as_dir), S(remove_full), S(remove_none), S(remove_dir_none), S(remove_dot),
	S(remove_above), S(move), S(move_none), S(move_back), S(move_into), S(move_out),
	S(move_over), S(move_same), S(move_dir), S(move_dir_over_empty), S(move_dir_over_full),
	S(move_dir_over_file), S(move_file_over_dir), S(move_below_itself), S(move_255),
	S(move_to_256), S(noreplace), S(noreplace_free), S(exchange), S(exchange_back),
	S(exchange_none), S(exchange_below), S(both_flags), S(back), S(mode), S(mode_dir), S(own),
	S(own_none), S(own_group), S(own_link), S(own_suid), S(own_suid_dir), S(set_times),
	S(set_times_dir), S(set_times_link), S(set_times_now), S(xattr), S(xattr_create),
	S(xattr_replace), S(xattr_replace_none), S(xattr_empty), S(xattr_trusted),
	S(xattr_security), S(xattr_dir), S(xattr_link), S(xattr_link_trusted), S(xattr_fifo),
	S(xattr_class), S(xattr_remove), S(xattr_remove_again), S(acl_named), S(acl_plain),
	S(acl_disorder), S(acl_default_of_file), S(acl_default), S(umask_027), S(acl_inherited),
	S(acl_inherited_dir), S(acl_mode), S(acl_remove), S(acl_remove_again),
	S(acl_remove_default), S(roots), N(his), N(his_chown), N(his_setgid), N(his_security),
	N(his_trusted), N(his_user), N(his_times), N(his_fifo), N(his_device), N(his_in_setgid),
	N(his_dir_in_setgid), N(not_his_dir), N(not_his_mode), N(not_his_times), N(not_his_user),
	N(not_his_unlink), N(not_his_rename), N(not_his_over), N(his_unlink), S(group_setgid),
	N(group_acl), S(removed_open), S(removed_in), S(listed),
};

static int step_in(const char *dir, const struct step *s, char *room)
{
	int e;

	if (chdir(dir))
		die("%s: %m", dir);
	if (s->nobody)
		e = by_nobody(s->fn);
	else
		s->fn(&e);
	tree(room);
	return e;
}

/* The first line in which they differ. */
static void show(const char *a, const char *b)
{
	size_t n;

	while (*a && *b) {
		n = strcspn(a, "\n");
		if (n != strcspn(b, "\n") || memcmp(a, b, n))
			break;
		a += n + 1;
		b += n + 1;
	}
	printf("#  here: %.*s\n# there: %.*s\n", (int)strcspn(a, "\n"), a,
	       (int)strcspn(b, "\n"), b);
}

static void same(const char *dir, const char *ref)
{
	char *here = malloc(ROOM), *there = malloc(ROOM);
	unsigned int i;
	int e, want;

	if (!here || !there)
		die("no memory");
	if (chmod(dir, 0755) || chmod(ref, 0755))
		die("chmod: %m");
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];

		want = step_in(ref, s, there);
		e = step_in(dir, s, here);
		if (!ok(e == want && !strcmp(here, there), "%s: %s", s->name,
			want ? strerrorname_np(want) ?: "wrong in both" : "done") && e != want)
			printf("# error %d, and not %d\n", e, want);
		if (strcmp(here, there))
			show(here, there);
		if (want >= 200)
			ok(false, "%s: the reference is no filesystem for this (%d)", s->name, want);
	}
}

/* ----------------------------------------------------------- exactly once */

static void must(bool done, const char *what, unsigned int i)
{
	if (!done)
		die("round %u: %s: %m", i, what);
}

static void once(unsigned int n)
{
	char dir[30], a[60], b[60];
	struct stat st;
	unsigned int i;

	for (i = 0; i < n; i++) {
		printf("# round %u\n", i);
		fflush(stdout);
		snprintf(dir, sizeof(dir), "round%u", i);
		must(!mkdir(dir, 0755), "mkdir", i);
		snprintf(a, sizeof(a), "%s/a", dir);
		snprintf(b, sizeof(b), "%s/b", dir);
		must(!make(a, 0644), "create", i);
		must(!link(a, b), "link", i);
		must(!stat(a, &st) && st.st_nlink == 2, "two names", i);
		must(!unlink(a), "unlink", i);
		must(!stat(b, &st) && st.st_nlink == 1, "one name", i);
		must(!renameat2(AT_FDCWD, b, AT_FDCWD, a, RENAME_NOREPLACE), "rename", i);
		must(!setxattr(a, "user.x", "x", 1, XATTR_CREATE), "setxattr", i);
		must(!removexattr(a, "user.x"), "removexattr", i);
		must(!chmod(a, 0600), "chmod", i);
		must(!symlink("a", b), "symlink", i);
		/* Twice done, it would be undone. */
		must(!renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), "exchange", i);
		must(!lstat(b, &st) && S_ISREG(st.st_mode), "exchanged", i);
		must(!unlink(a) && !unlink(b), "unlink", i);
		must(!stat(dir, &st) && st.st_nlink == 2, "an empty directory", i);
		if (i % 2)
			must(!rmdir(dir), "rmdir", i);
	}
}

/* ------------------------------------------------------------------- race */

#define RACERS	4

/* How often something succeeded that only one can do. */
static struct { unsigned int made, moved, removed; } *won;

static void racer(unsigned int i, unsigned int n)
{
	char name[30], to[30];
	unsigned int k;

	for (k = 0; k < n; k++) {
		snprintf(name, sizeof(name), "race%u", k);
		snprintf(to, sizeof(to), "moved%u", k);
		if ((k + i) % 2 ? !mkdir(name, 0755) : !make(name, 0644))
			__atomic_fetch_add(&won->made, 1, __ATOMIC_RELAXED);
		if (!renameat2(AT_FDCWD, name, AT_FDCWD, to, RENAME_NOREPLACE))
			__atomic_fetch_add(&won->moved, 1, __ATOMIC_RELAXED);
		if (!unlink(to) || !rmdir(to))
			__atomic_fetch_add(&won->removed, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

static void race(unsigned int n)
{
	struct dirent **list;
	unsigned int i, left;
	struct stat st;
	int status;

	won = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (won == MAP_FAILED)
		die("no memory");
	for (i = 0; i < RACERS; i++)
		if (!fork())
			racer(i, n);
	for (i = 0; i < RACERS; i++)
		if (wait(&status) < 0 || status)
			die("a racer ended with %x", status);
	left = scandir(".", &list, no_dots, by_name);
	printf("# made %u, moved %u, removed %u, left %u\n", won->made, won->moved, won->removed,
	       left);
	ok(won->made >= n, "each name was made");
	ok(won->made == won->removed + left, "and is there, or was removed once");
	for (i = 0; i < left; i++)
		if (lstat(list[i]->d_name, &st))
			ok(false, "%s is listed: %m", list[i]->d_name);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	static char room[ROOM];

	if (!strcmp(what, "same") && argc == 4) {
		same(argv[2], argv[3]);
		return !!failures;
	}
	if (argc > 2 && chdir(argv[2]))
		die("%s: %m", argv[2]);
	if (!strcmp(what, "once") && argc == 4)
		once(parse_size(argv[3]));
	else if (!strcmp(what, "race") && argc == 4)
		race(parse_size(argv[3]));
	else if (!strcmp(what, "tree") && argc == 3)
		tree(room), fputs(room, stdout);
	else
		die("usage: changes same DIR REF | once DIR N | race DIR N | tree DIR");
	return !!failures;
}
