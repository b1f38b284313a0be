// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

/* Bit by bit, from the definition. */
static uint32_t slow(const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	while (n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void vectors(void **state)
{
	uint8_t buf[32];

	(void)state;
	assert_int_equal(datafs_crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(datafs_crc32c("", 0), 0);
	/* RFC 3720, appendix B.4, as numbers of this machine */
	memset(buf, 0, sizeof(buf));
	assert_int_equal(datafs_crc32c(buf, sizeof(buf)), 0x8a9136aa);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(datafs_crc32c(buf, sizeof(buf)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i;
	assert_int_equal(datafs_crc32c(buf, sizeof(buf)), 0x46dd794e);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = 31 - i;
	assert_int_equal(datafs_crc32c(buf, sizeof(buf)), 0x113fdb5c);
}

static void lengths(void **state)
{
	uint8_t buf[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i * 2654435761u >> 13;
	for (size_t off = 0; off < 9; off++)
		for (size_t len = 0; off + len <= sizeof(buf);
		     len = len < 300 ? len + 1 : len + 211)
			assert_int_equal(datafs_crc32c(buf + off, len),
					 slow(buf + off, len));
}

static void pieces(void **state)
{
	uint8_t buf[4096];
	uint32_t all;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i * 7 + 3;
	all = datafs_crc32c(buf, sizeof(buf));
	for (size_t cut = 0; cut <= sizeof(buf); cut += 97)
		assert_int_equal(datafs_crc32c_more(datafs_crc32c(buf, cut),
						    buf + cut,
						    sizeof(buf) - cut),
				 all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(lengths),
		cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
