// SPDX-License-Identifier: Apache-2.0
/* What a snapshot is made of. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metad/manifest.h"
#include "tmpdir.h"

static char dir[4096];

static int setup(void **state)
{
	(void)state;
	return tmpdir_make(dir, sizeof(dir), "manifest");
}

static int teardown(void **state)
{
	(void)state;
	return tmpdir_remove(dir);
}

static void write_file(const char *name, const char *text)
{
	char path[4200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void remove_file(const char *name)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static void some_files(void)
{
	write_file("CURRENT", "MANIFEST-000004\n");
	write_file("000005.ldb", "123456789");
	write_file("000006.log", "");
}

static void files_of_a_directory(void **state)
{
	struct datafs_manifest m;

	(void)state;
	some_files();
	assert_int_equal(datafs_manifest_make(dir, 7, 2, NULL, &m), 0);
	assert_int_equal(m.index, 7);
	assert_int_equal(m.term, 2);
	assert_int_equal(m.n, 3);
	assert_string_equal(m.files[0].name, "000005.ldb");
	assert_int_equal(m.files[0].size, 9);
	assert_int_equal(m.files[0].crc, 0xe3069283);
	assert_string_equal(m.files[1].name, "000006.log");
	assert_int_equal(m.files[1].size, 0);
	assert_string_equal(m.files[2].name, "CURRENT");
	assert_int_equal(datafs_manifest_check(dir, &m), 0);
	write_file("000005.ldb", "123456780");
	assert_int_equal(datafs_manifest_check(dir, &m), -EUCLEAN);
	write_file("000005.ldb", "123456789");
	write_file("more", "");
	assert_int_equal(datafs_manifest_check(dir, &m), -EUCLEAN);
	remove_file("more");
	remove_file("000006.log");
	assert_int_equal(datafs_manifest_check(dir, &m), -EUCLEAN);
	datafs_manifest_free(&m);
	assert_int_equal(datafs_manifest_make("/nowhere", 7, 2, NULL, &m), -ENOENT);
	write_file("a b", "");
	assert_int_equal(datafs_manifest_make(dir, 7, 2, NULL, &m), -EUCLEAN);
}

/* A table that is known is not read again; anything else is. */
static void known_tables(void **state)
{
	struct datafs_manifest old, m;

	(void)state;
	some_files();
	assert_int_equal(datafs_manifest_make(dir, 7, 2, NULL, &old), 0);
	write_file("000005.ldb", "987654321");
	write_file("CURRENT", "MANIFEST-000009\n");
	assert_int_equal(datafs_manifest_make(dir, 8, 2, &old, &m), 0);
	assert_int_equal(m.files[0].crc, old.files[0].crc);
	assert_int_not_equal(m.files[2].crc, old.files[2].crc);
	datafs_manifest_free(&m);
	write_file("000005.ldb", "98765432");
	assert_int_equal(datafs_manifest_make(dir, 8, 2, &old, &m), 0);
	assert_int_not_equal(m.files[0].crc, old.files[0].crc);
	datafs_manifest_free(&m);
	datafs_manifest_free(&old);
}

static void bytes(void **state)
{
	struct datafs_manifest m, back;
	void *buf;
	uint8_t *p;
	long len;

	(void)state;
	some_files();
	assert_int_equal(datafs_manifest_make(dir, 7, 2, NULL, &m), 0);
	len = datafs_manifest_encode(&m, &buf);
	assert_true(len > 0);
	p = buf;
	assert_int_equal(datafs_manifest_decode(p, (size_t)len, &back), 0);
	assert_int_equal(back.n, m.n);
	assert_int_equal(back.index, 7);
	for (unsigned int i = 0; i < m.n; i++) {
		assert_string_equal(back.files[i].name, m.files[i].name);
		assert_int_equal(back.files[i].size, m.files[i].size);
		assert_int_equal(back.files[i].crc, m.files[i].crc);
	}
	datafs_manifest_free(&back);
	for (long i = 0; i < len * 8; i++) {
		p[i / 8] ^= 1 << i % 8;
		assert_int_equal(datafs_manifest_decode(p, (size_t)len, &back), -EBADMSG);
		p[i / 8] ^= 1 << i % 8;
	}
	for (long i = 0; i < len; i++)
		assert_int_equal(datafs_manifest_decode(p, (size_t)i, &back), -EBADMSG);
	free(buf);
	datafs_manifest_free(&m);
}

static void names(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "\xc3\xa4",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(datafs_manifest_name(bad[i]));
	assert_true(datafs_manifest_name("MANIFEST-000004"));
	assert_true(datafs_manifest_name("000005.ldb"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_of_a_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(known_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes, setup, teardown),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
