// SPDX-License-Identifier: Apache-2.0
/* statx A B: what statx says of B, of DataFS, whose original is A. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>

#include "prog.h"

static struct statx look(const char *name, int flags)
{
	struct statx stx;

	if (syscall(SYS_statx, AT_FDCWD, name, AT_SYMLINK_NOFOLLOW | flags,
		    STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN, &stx))
		die("%s: statx: %m", name);
	return stx;
}

int main(int argc, char **argv)
{
	struct statx a, b, c;

	if (argc != 3)
		die("usage: statx A B");
	a = look(argv[1], 0);
	b = look(argv[2], 0);
	ok(b.stx_mask & STATX_BTIME && b.stx_btime.tv_sec == a.stx_btime.tv_sec &&
	   b.stx_btime.tv_nsec == a.stx_btime.tv_nsec, "btime");
	ok(b.stx_mask & STATX_DIOALIGN && b.stx_dio_mem_align && b.stx_dio_offset_align,
	   "alignment of O_DIRECT: memory %u, offset %u", b.stx_dio_mem_align,
	   b.stx_dio_offset_align);
	ok(b.stx_size == a.stx_size && b.stx_mtime.tv_nsec == a.stx_mtime.tv_nsec &&
	   b.stx_ctime.tv_nsec == a.stx_ctime.tv_nsec && b.stx_mode == a.stx_mode,
	   "size, times and mode");
	c = look(argv[2], AT_STATX_DONT_SYNC);
	ok(c.stx_ino == b.stx_ino && c.stx_size == b.stx_size, "AT_STATX_DONT_SYNC");
	c = look(argv[2], AT_STATX_FORCE_SYNC);
	ok(c.stx_ino == b.stx_ino && c.stx_size == b.stx_size, "AT_STATX_FORCE_SYNC");
	return failures != 0;
}
