// SPDX-License-Identifier: Apache-2.0
/*
 * randread [-s SEED] [-n COUNT] A B: reads COUNT random, different 4 KiB blocks
 * of B, each in one pread, and compares them with those of A.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/stat.h>

#include "prog.h"

#define BLOCK	4096u

int main(int argc, char **argv)
{
	static unsigned char a[BLOCK], b[BLOCK];
	const char *given = NULL;
	unsigned long count = 1000, i;
	uint64_t state, blocks, block;
	unsigned char *seen;
	struct stat st;
	int c, fa, fb;

	while ((c = getopt(argc, argv, "s:n:")) != -1) {
		if (c == 's')
			given = optarg;
		else if (c == 'n')
			count = strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	if (argc - optind != 2)
		die("usage: randread [-s SEED] [-n COUNT] A B");
	fa = open(argv[optind], O_RDONLY);
	fb = open(argv[optind + 1], O_RDONLY);
	if (fa < 0 || fb < 0 || fstat(fb, &st))
		die("%s: %m", argv[optind + (fa >= 0)]);
	blocks = (uint64_t)st.st_size / BLOCK;
	seen = calloc(1, blocks + 1);
	if (!seen || blocks < count)
		die("%s: too small", argv[optind + 1]);
	state = parse_seed(given);
	for (i = 0; i < count; i++) {
		do
			block = rnd(&state) % blocks;
		while (seen[block]);
		seen[block] = 1;
		if (pread(fa, a, BLOCK, (off_t)(block * BLOCK)) != (ssize_t)BLOCK ||
		    pread(fb, b, BLOCK, (off_t)(block * BLOCK)) != (ssize_t)BLOCK)
			die("read %lu, of block %llu: %m", i, (unsigned long long)block);
		if (memcmp(a, b, BLOCK))
			die("block %llu differs", (unsigned long long)block);
	}
	return 0;
}
