// SPDX-License-Identifier: Apache-2.0
/* gen FILE SIZE SEED: a file without holes whose bytes follow from the seed. */
#define _GNU_SOURCE 1
#include <fcntl.h>

#include "prog.h"

int main(int argc, char **argv)
{
	static uint64_t buf[128 << 10];
	uint64_t size, seed, off, i, n;
	int fd;

	if (argc != 4)
		die("usage: gen FILE SIZE SEED");
	size = parse_size(argv[2]);
	seed = strtoull(argv[3], NULL, 0);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		die("%s: %m", argv[1]);
	for (off = 0; off < size; off += n) {
		n = size - off < sizeof(buf) ? size - off : sizeof(buf);
		for (i = 0; i < (n + 7) / 8; i++)
			buf[i] = mix(seed ^ (off / 8 + i));
		if (write(fd, buf, n) != (ssize_t)n)
			die("%s: write: %m", argv[1]);
	}
	if (fsync(fd) || close(fd))
		die("%s: %m", argv[1]);
	return 0;
}
