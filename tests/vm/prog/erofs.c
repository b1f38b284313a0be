// SPDX-License-Identifier: Apache-2.0
/*
 * erofs DIR: everything that would write below DIR answers EROFS. DIR has a
 * regular file "file", a directory "dir", an empty directory "empty", a
 * symlink "link" to "file".
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/xattr.h>

#include "prog.h"

static int fd_of(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int via_fd(const char *name, int (*fn)(int fd))
{
	int fd = open(name, O_RDONLY), ret, err;

	if (fd < 0)
		return -1;
	ret = fn(fd);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

static int do_fchmod(int fd) { return fchmod(fd, 0600); }
static int do_fchown(int fd) { return fchown(fd, 1, 1); }
static int do_futimens(int fd) { return futimens(fd, NULL); }
static int do_fsetxattr(int fd) { return fsetxattr(fd, "user.x", "1", 1, 0); }
static int do_fremovexattr(int fd) { return fremovexattr(fd, "user.x"); }
static int do_setflags(int fd)
{
	int flags = FS_NOATIME_FL;

	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int open_w(void) { return fd_of(open("file", O_WRONLY)); }
static int open_rw(void) { return fd_of(open("file", O_RDWR)); }
static int open_append(void) { return fd_of(open("file", O_WRONLY | O_APPEND)); }
static int open_trunc(void) { return fd_of(open("file", O_RDONLY | O_TRUNC)); }
static int open_creat(void) { return fd_of(open("new", O_WRONLY | O_CREAT, 0644)); }
static int open_creat_ro(void) { return fd_of(open("new", O_RDONLY | O_CREAT, 0644)); }
static int open_excl(void) { return fd_of(open("new", O_RDWR | O_CREAT | O_EXCL, 0644)); }
static int open_tmpfile(void) { return fd_of(open(".", O_RDWR | O_TMPFILE, 0644)); }
static int open_link_w(void) { return fd_of(open("link", O_WRONLY)); }
static int do_creat(void) { return fd_of(creat("new", 0644)); }
static int do_truncate(void) { return truncate("file", 0); }
static int do_truncate_up(void) { return truncate("file", 1 << 30); }
static int do_mkdir(void) { return mkdir("new", 0755); }
static int do_mkdir_below(void) { return mkdir("dir/new", 0755); }
static int do_rmdir(void) { return rmdir("empty"); }
static int do_unlink(void) { return unlink("file"); }
static int do_unlink_link(void) { return unlink("link"); }
static int do_rename(void) { return rename("file", "new"); }
static int do_rename_over(void) { return rename("file", "link"); }
static int do_rename_dir(void) { return rename("empty", "dir/empty"); }
static int do_exchange(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, "link", RENAME_EXCHANGE);
}
static int do_link(void) { return link("file", "new"); }
static int do_symlink(void) { return symlink("file", "new"); }
static int do_mknod(void) { return mknod("new", S_IFREG | 0644, 0); }
static int do_mkfifo(void) { return mkfifo("new", 0644); }
static int do_mknod_dev(void) { return mknod("new", S_IFCHR | 0644, 0x103); }
static int do_chmod(void) { return chmod("file", 0600); }
static int do_chmod_dir(void) { return chmod("dir", 0700); }
static int do_fchmod_fd(void) { return via_fd("file", do_fchmod); }
static int do_chown(void) { return chown("file", 1, 1); }
static int do_lchown(void) { return lchown("link", 1, 1); }
static int do_fchown_fd(void) { return via_fd("file", do_fchown); }
static int do_utimes(void) { return utimes("file", NULL); }
static int do_utimes_link(void)
{
	return utimensat(AT_FDCWD, "link", NULL, AT_SYMLINK_NOFOLLOW);
}
static int do_futimens_fd(void) { return via_fd("file", do_futimens); }
static int do_setxattr(void) { return setxattr("file", "user.x", "1", 1, 0); }
static int do_setxattr_dir(void) { return setxattr("dir", "user.x", "1", 1, 0); }
static int do_lsetxattr(void) { return lsetxattr("link", "trusted.x", "1", 1, 0); }
static int do_fsetxattr_fd(void) { return via_fd("file", do_fsetxattr); }
static int do_removexattr(void) { return removexattr("file", "user.x"); }
static int do_fremovexattr_fd(void) { return via_fd("file", do_fremovexattr); }
static int do_setacl(void)
{
	/* version 2: owner rwx, group r-x, other r-x */
	static const unsigned char acl[] = {
		2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255,
		4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255,
	};

	return setxattr("file", "system.posix_acl_access", acl, sizeof(acl), 0);
}
static int do_removeacl(void) { return removexattr("file", "system.posix_acl_access"); }
static int do_access(void) { return access("file", W_OK); }
static int do_access_dir(void) { return access("dir", W_OK); }

static const struct {
	const char *name;
	int (*fn)(void);
} table[] = {
	{ "open for writing", open_w }, { "open for both", open_rw },
	{ "open to append", open_append }, { "open and truncate", open_trunc },
	{ "open and create", open_creat },
	{ "open for reading and create", open_creat_ro },
	{ "create exclusively", open_excl }, { "O_TMPFILE", open_tmpfile },
	{ "open a symlink's target for writing", open_link_w },
	{ "creat", do_creat }, { "truncate", do_truncate },
	{ "truncate upwards", do_truncate_up }, { "mkdir", do_mkdir },
	{ "mkdir below", do_mkdir_below }, { "rmdir", do_rmdir },
	{ "unlink", do_unlink }, { "unlink a symlink", do_unlink_link },
	{ "rename", do_rename }, { "rename over", do_rename_over },
	{ "rename a directory", do_rename_dir }, { "exchange", do_exchange },
	{ "link", do_link }, { "symlink", do_symlink },
	{ "mknod a file", do_mknod }, { "mkfifo", do_mkfifo },
	{ "mknod a device", do_mknod_dev }, { "chmod", do_chmod },
	{ "chmod a directory", do_chmod_dir }, { "fchmod", do_fchmod_fd },
	{ "chown", do_chown }, { "lchown", do_lchown }, { "fchown", do_fchown_fd },
	{ "utimes", do_utimes }, { "utimes of a symlink", do_utimes_link },
	{ "futimens", do_futimens_fd }, { "setxattr", do_setxattr },
	{ "setxattr of a directory", do_setxattr_dir },
	{ "setxattr of a symlink", do_lsetxattr }, { "fsetxattr", do_fsetxattr_fd },
	{ "removexattr", do_removexattr }, { "fremovexattr", do_fremovexattr_fd },
	{ "set an ACL", do_setacl }, { "remove an ACL", do_removeacl },
	{ "access W_OK", do_access }, { "access W_OK of a directory", do_access_dir },
};

static int refuse_setflags(void)
{
	int ret = via_fd("file", do_setflags);

	/* There is nothing to set: it need not come to the question. */
	if (ret < 0 && (errno == ENOTTY || errno == EOPNOTSUPP))
		errno = EROFS;
	return ret;
}

int main(int argc, char **argv)
{
	size_t i;
	int ret;

	if (argc != 2 || chdir(argv[1]))
		die("erofs DIR: %m");
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		errno = 0;
		ret = table[i].fn();
		ok(ret < 0 && errno == EROFS, "%s: EROFS%s%s", table[i].name,
		   ret < 0 && errno == EROFS ? "" : ", got ",
		   ret >= 0 ? "success" : errno == EROFS ? "" : strerrorname_np(errno));
	}
	ret = refuse_setflags();
	ok(ret < 0 && errno == EROFS, "no flags can be set");
	return failures != 0;
}
