// SPDX-License-Identifier: Apache-2.0
#include "crc32c.h"

#include <isa-l/crc.h>

uint32_t datafs_crc32c_more(uint32_t crc, const void *buf, size_t len)
{
	/*
	 * libisal takes an int, does no final XOR, and does not write to the
	 * buffer although its prototype says it may.
	 */
	const size_t step = 1u << 30;
	unsigned char *p = (unsigned char *)(uintptr_t)buf;

	crc = ~crc;
	while (len) {
		size_t n = len < step ? len : step;

		crc = crc32_iscsi(p, (int)n, crc);
		p += n;
		len -= n;
	}
	return ~crc;
}

uint32_t datafs_crc32c(const void *buf, size_t len)
{
	return datafs_crc32c_more(0, buf, len);
}
