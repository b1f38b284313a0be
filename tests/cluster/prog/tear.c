// SPDX-License-Identifier: Apache-2.0
/*
 * tear SEGMENT: behind the last batch of an open segment of the raft log comes one of which
 * a machine that lost its power has written the head, and not the data.
 */
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metad/raft_segment.h"

#define DATA	2048u

/* As libraft has it: little-endian words. */
struct batch {
	uint32_t head_crc, data_crc;
	uint64_t n;
	uint64_t term;
	uint8_t type, unused[3];
	uint32_t len;
	uint8_t data[DATA];
};

int main(int argc, char **argv)
{
	struct batch b = { .n = htole64(1), .term = htole64(1), .type = 1, .len = htole32(DATA) };
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	struct stat st;
	size_t at;
	void *map;

	if (fd < 0 || fstat(fd, &st))
		err(1, "segment");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		err(1, "segment");
	if (datafs_segment_check(map, (size_t)st.st_size, &at) != SEGMENT_SOUND)
		errx(1, "it is not sound");
	b.head_crc = htole32(~crc32_ieee(UINT32_MAX, (uint8_t *)&b.n,
					 offsetof(struct batch, data) - 8));
	b.data_crc = ~b.data_crc;
	if (pwrite(fd, &b, sizeof(b), (off_t)at) != sizeof(b))
		err(1, "segment");
	return close(fd);
}
