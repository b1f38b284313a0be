// SPDX-License-Identifier: Apache-2.0
/*
 * handles DIR NAME...: a file handle of each name below DIR leads to the same
 * inode with everything cached and with the caches dropped.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/stat.h>

#include "prog.h"

static struct file_handle *handle_of(int dir, const char *name)
{
	struct file_handle *h = calloc(1, sizeof(*h) + MAX_HANDLE_SZ);
	int mount_id;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dir, name, h, &mount_id, 0))
		die("%s: name_to_handle_at: %m", name);
	return h;
}

static bool leads_to(int dir, struct file_handle *h, const struct stat *want)
{
	struct stat st;
	int fd = open_by_handle_at(dir, h, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);

	/* A symlink's can be had as a path only. */
	if (fd < 0 && errno == ELOOP)
		fd = open_by_handle_at(dir, h, O_PATH | O_NOFOLLOW);
	if (fd < 0) {
		printf("# open_by_handle_at: %m\n");
		return false;
	}
	if (fstat(fd, &st))
		die("fstat: %m");
	close(fd);
	return st.st_ino == want->st_ino && st.st_mode == want->st_mode &&
	       st.st_size == want->st_size;
}

int main(int argc, char **argv)
{
	struct file_handle *h[64];
	struct stat st[64];
	int dir, fd, i;

	if (argc < 3 || argc > 64)
		die("usage: handles DIR NAME...");
	dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		die("%s: %m", argv[1]);
	for (i = 2; i < argc; i++) {
		if (fstatat(dir, argv[i], &st[i], AT_SYMLINK_NOFOLLOW))
			die("%s: %m", argv[i]);
		h[i] = handle_of(dir, argv[i]);
		ok(leads_to(dir, h[i], &st[i]), "handle of %s", argv[i]);
	}
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (fd < 0 || write(fd, "3", 1) != 1)
		die("drop_caches: %m");
	for (i = 2; i < argc; i++)
		ok(leads_to(dir, h[i], &st[i]), "handle of %s, caches dropped", argv[i]);
	/* A handle that was never given out. */
	memset(h[2]->f_handle, 0x5a, h[2]->handle_bytes);
	fd = open_by_handle_at(dir, h[2], O_RDONLY);
	ok(fd < 0 && errno == ESTALE, "a made-up handle: ESTALE");
	return failures != 0;
}
