// SPDX-License-Identifier: Apache-2.0
/* Segments of libraft's log that are cut off, torn, or damaged otherwise. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metad/raft_segment.h"

#define LEN	65536u

static uint8_t buf[LEN];
static size_t end;	/* of the batches */

/* As the header says; bit by bit. */
static uint32_t crc(const uint8_t *p, size_t len)
{
	uint32_t c = 0;

	for (size_t i = 0; i < len; i++) {
		c ^= (uint32_t)p[i] << 24;
		for (int k = 0; k < 8; k++)
			c = c & 0x80000000u ? c << 1 ^ 0x04c11db7u : c << 1;
	}
	return c;
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void begin(void)
{
	memset(buf, 0, sizeof(buf));
	buf[0] = 1;
	end = 8;
}

/* Of @n entries of @len bytes: where it begins. */
static size_t add(uint32_t n, uint32_t len)
{
	size_t at = end, data = at + 16 + (size_t)n * 16;

	put32(buf + at + 8, n);
	for (uint32_t i = 0; i < n; i++) {
		buf[at + 16 + i * 16] = 1;
		buf[at + 16 + i * 16 + 8] = 1;
		put32(buf + at + 16 + i * 16 + 12, len);
	}
	end = data + (size_t)n * len;
	assert_true(end <= LEN);
	memset(buf + data, 0xa5, end - data);
	put32(buf + at, crc(buf + at + 8, data - at - 8));
	put32(buf + at + 4, crc(buf + data, end - data));
	return at;
}

static enum datafs_segment check(size_t len, size_t *at)
{
	/* what is read behind it is seen */
	uint8_t *exact = malloc(len ? len : 1);
	enum datafs_segment res;

	memcpy(exact, buf, len);
	res = datafs_segment_check(exact, len, at);
	free(exact);
	return res;
}

static void test_sound(void **state)
{
	size_t at;

	(void)state;
	begin();
	assert_int_equal(check(LEN, &at), SEGMENT_SOUND);
	add(1, 40);
	add(3, 4000);
	assert_int_equal(check(LEN, &at), SEGMENT_SOUND);
	assert_int_equal(at, end);
	assert_int_equal(check(end, &at), SEGMENT_SOUND);
	assert_int_equal(check(0, &at), SEGMENT_SOUND);
	assert_int_equal(check(5, &at), SEGMENT_SOUND);
}

static void test_cut_off(void **state)
{
	size_t first, at;

	(void)state;
	begin();
	add(1, 40);
	first = add(2, 5000);
	/* in its header: libraft says so itself */
	for (size_t len = first; len < first + 48; len++)
		assert_int_equal(check(len, &at), SEGMENT_SOUND);
	for (size_t len = first + 48; len < end; len += 7) {
		assert_int_equal(check(len, &at), SEGMENT_CUT_OFF);
		assert_int_equal(at, first);
	}
}

static void test_torn(void **state)
{
	size_t last, at;

	(void)state;
	begin();
	add(1, 40);
	last = add(2, 3000);
	/* a sector that was not written */
	memset(buf + 2048, 0, 512);
	assert_int_equal(check(LEN, &at), SEGMENT_TORN);
	assert_int_equal(at, last);
	/* one that was written otherwise */
	buf[2048 + 77] = 1;
	assert_int_equal(check(LEN, &at), SEGMENT_SOUND);
	memset(buf + 2048, 0, 512);
	/* something was written behind it: it was whole once */
	add(1, 40);
	assert_int_equal(check(LEN, &at), SEGMENT_SOUND);
}

/* Whatever is in it, nothing is read but it. */
static void test_noise(void **state)
{
	const char *seed = getenv("DATAFS_SEED");
	unsigned int s = seed ? (unsigned int)strtoul(seed, NULL, 0) : 1;
	size_t at;

	(void)state;
	print_message("DATAFS_SEED=%u\n", s);
	srandom(s);
	for (int i = 0; i < 3000; i++) {
		begin();
		add(1 + (uint32_t)random() % 4, (uint32_t)random() % 3000);
		add(1, (uint32_t)random() % 900);
		for (int k = 0; k < 3; k++)
			buf[(size_t)random() % end] ^= (uint8_t)(1u << random() % 8);
		check((size_t)random() % (end + 100), &at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("raft_segment", tests, NULL, NULL);
}
