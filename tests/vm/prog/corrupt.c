// SPDX-License-Identifier: Apache-2.0
/*
 * corrupt FILE OFF COUNT SLAB...: finds the 4 KiB blocks [OFF, OFF + COUNT) of
 * FILE (counted in blocks) in the slab files, by what is in them, and changes a
 * byte of each there, by O_DIRECT. Prints how many it has changed.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>

#include "prog.h"

#define BLOCK	4096u
#define ROOM	(1u << 20)

static unsigned char *block(size_t n)
{
	unsigned char *p;

	if (posix_memalign((void **)&p, BLOCK, n))
		die("no memory");
	return p;
}

int main(int argc, char **argv)
{
	unsigned char *want, *buf;
	size_t off, count, i, j;
	unsigned int done = 0;
	ssize_t n;
	off_t at;
	int fd, s;

	if (argc < 5)
		die("usage: corrupt FILE OFF COUNT SLAB...");
	off = strtoul(argv[2], NULL, 0);
	count = strtoul(argv[3], NULL, 0);
	want = block(count * BLOCK);
	buf = block(ROOM);
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || pread(fd, want, count * BLOCK, (off_t)(off * BLOCK)) !=
			      (ssize_t)(count * BLOCK))
		die("%s: %m, or too short", argv[1]);
	for (s = 4; s < argc; s++) {
		fd = open(argv[s], O_RDWR | O_DIRECT);
		if (fd < 0)
			die("%s: %m", argv[s]);
		for (at = 0; (n = pread(fd, buf, ROOM, at)) > 0; at += n)
			for (i = 0; i + BLOCK <= (size_t)n; i += BLOCK)
				for (j = 0; j < count; j++) {
					if (memcmp(buf + i, want + j * BLOCK, BLOCK))
						continue;
					buf[i + j % BLOCK] ^= 0x40;
					if (pwrite(fd, buf + i, BLOCK, at + (off_t)i) != BLOCK)
						die("%s: write: %m", argv[s]);
					done++;
					break;
				}
		if (n < 0)
			die("%s: %m", argv[s]);
		close(fd);
	}
	printf("%u\n", done);
	return 0;
}
