// SPDX-License-Identifier: Apache-2.0
/* The file of a backup: what is read is what was written, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "metad/backup.h"

#define BIG	(DATAFS_BACKUP_PIECE + 10)	/* a file of two pieces */
#define SMALL	100u
#define FILES	3u

static uint8_t content[BIG];
static uint8_t *file;
static size_t len, manifest_len;

/* What was told of the pieces. */
static unsigned int pieces;
static size_t got;
static int answer;

static int take(void *ctx, const struct datafs_manifest_file *f, uint64_t off, const void *buf,
		size_t n)
{
	assert_ptr_equal(ctx, &pieces);
	assert_true(off + n <= f->size);
	assert_memory_equal(buf, content + off, n);
	pieces++;
	got += n;
	return answer;
}

static void put_file(unsigned int n, size_t size)
{
	for (size_t off = 0; off < size; off += DATAFS_BACKUP_PIECE) {
		size_t part = DATAFS_MIN(size - off, DATAFS_BACKUP_PIECE);

		memcpy(file + len, content + off, part);
		datafs_put_be32(file + len + part, datafs_backup_sum(n, off, content + off, part));
		len += part + 4;
	}
}

/* Of "a", empty, "b" of @b bytes and "c" of @c bytes. */
static void build(size_t b, size_t c)
{
	struct datafs_manifest_file files[FILES] = {
		{ .name = "a" },
		{ .name = "b", .size = b, .crc = datafs_crc32c(content, b) },
		{ .name = "c", .size = c, .crc = datafs_crc32c(content, c) },
	};
	struct datafs_manifest m = { .index = 7, .term = 3, .files = files, .n = FILES };
	struct datafs_backup_head head = { .cluster = "0123456789abcde", .index = 7, .term = 3 };
	void *manifest;

	manifest_len = (size_t)datafs_manifest_encode(&m, &manifest);
	head.manifest = (uint32_t)manifest_len;
	head.time = 1000;
	datafs_backup_head_encode(&head, file);
	memcpy(file + DATAFS_BACKUP_HEAD, manifest, manifest_len);
	free(manifest);
	len = DATAFS_BACKUP_HEAD + manifest_len;
	put_file(1, b);
	put_file(2, c);
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 7 + i / 251);
	file = malloc(3 * BIG);
	pieces = 0;
	got = 0;
	answer = 0;
	return file ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(file);
	return 0;
}

/* @n bytes of it, @chunk at a time. 0: it was whole; 1: it has no end; an error. */
static int feed(size_t n, size_t chunk)
{
	struct datafs_backup_reader r;
	int err;

	assert_int_equal(datafs_backup_reader_open(&r), 0);
	r.piece = take;
	r.ctx = &pieces;
	err = 0;
	for (size_t at = 0; !err && at < n; at += chunk) {
		/* of its exact size: what is read behind it is seen */
		size_t part = DATAFS_MIN(chunk, n - at);
		uint8_t *copy = malloc(part);

		memcpy(copy, file + at, part);
		err = datafs_backup_feed(&r, copy, part);
		free(copy);
	}
	if (!err && r.state != DATAFS_BACKUP_DONE)
		err = 1;
	if (!err) {
		assert_int_equal(r.head.index, 7);
		assert_int_equal(r.head.time, 1000);
		assert_memory_equal(r.head.cluster, "0123456789abcde", 16);
		assert_int_equal(r.manifest.n, FILES);
	}
	datafs_backup_reader_close(&r);
	return err;
}

static void read_as_written(void **state)
{
	static const size_t chunks[] = { 3 * BIG, 1000, 65536, 4097 };

	(void)state;
	build(SMALL, BIG);
	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		pieces = 0;
		got = 0;
		assert_int_equal(feed(len, chunks[i]), 0);
		assert_int_equal(pieces, 3);
		assert_int_equal(got, SMALL + BIG);
	}
	build(5, 7);
	assert_int_equal(feed(len, 1), 0);
}

static void only_empty_files(void **state)
{
	(void)state;
	build(0, 0);
	assert_int_equal(len, DATAFS_BACKUP_HEAD + manifest_len);
	assert_int_equal(feed(len, 1000), 0);
	assert_int_equal(pieces, 0);
}

static void any_byte_changed(void **state)
{
	(void)state;
	build(SMALL, 30);
	for (size_t i = 0; i < len; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			file[i] ^= (uint8_t)(1u << bit);
			assert_int_not_equal(feed(len, len), 0);
			file[i] ^= (uint8_t)(1u << bit);
		}
	}
	assert_int_equal(feed(len, len), 0);
}

static void cut_off_or_longer(void **state)
{
	(void)state;
	build(SMALL, 30);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(feed(n, len), 1);
	file[len] = 0;
	assert_int_equal(feed(len + 1, len + 1), -EBADMSG);
	assert_int_equal(feed(len + 1, 1), -EBADMSG);
}

/* Each is whole, but not where it belongs. */
static void pieces_in_another_order(void **state)
{
	uint8_t other[34], *p;

	(void)state;
	build(30, 30);
	p = file + DATAFS_BACKUP_HEAD + manifest_len;
	memcpy(other, p, 34);
	memmove(p, p + 34, 34);
	memcpy(p + 34, other, 34);
	assert_int_equal(feed(len, len), -EBADMSG);
	assert_int_equal(pieces, 0);
}

/* The sum of a piece is right, and that of its file is not. */
static void file_of_another_sum(void **state)
{
	uint8_t *p;

	(void)state;
	build(30, 30);
	p = file + DATAFS_BACKUP_HEAD + manifest_len;
	p[3] ^= 1;
	datafs_put_be32(p + 30, datafs_backup_sum(1, 0, p, 30));
	assert_int_equal(feed(len, len), -EBADMSG);
	assert_int_equal(pieces, 0);
}

/* Its sum is right, and what it says is not. */
static void impossible_heads(void **state)
{
	struct datafs_backup_head good = { .index = 1, .term = 1, .manifest = 1 }, h, res;
	uint8_t buf[DATAFS_BACKUP_HEAD];

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		h = good;
		h.index = i != 1;
		h.term = i != 2;
		h.manifest = i == 3 ? 0 : i == 4 ? DATAFS_BACKUP_MANIFEST_MAX + 1 : 1;
		datafs_backup_head_encode(&h, buf);
		assert_int_equal(datafs_backup_head_decode(buf, &res), i ? -EBADMSG : 0);
	}
}

/* The manifest is that of another snapshot. */
static void manifest_of_another(void **state)
{
	struct datafs_backup_head h;

	(void)state;
	build(SMALL, 30);
	assert_int_equal(datafs_backup_head_decode(file, &h), 0);
	h.index++;
	datafs_backup_head_encode(&h, file);
	assert_int_equal(feed(len, len), -EBADMSG);
}

static void who_takes_it_fails(void **state)
{
	(void)state;
	build(SMALL, 30);
	answer = -ENOSPC;
	assert_int_equal(feed(len, len), -ENOSPC);
	assert_int_equal(pieces, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(read_as_written),
		TEST(only_empty_files),
		TEST(any_byte_changed),
		TEST(cut_off_or_longer),
		TEST(pieces_in_another_order),
		TEST(file_of_another_sum),
		TEST(impossible_heads),
		TEST(manifest_of_another),
		TEST(who_takes_it_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
