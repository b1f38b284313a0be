// SPDX-License-Identifier: Apache-2.0
/* How far something is, in words. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../utils/progress.h"

static void bar_is(uint64_t done, uint64_t total, int64_t ms, const char *want)
{
	const struct datafs_progress p = { .total = total, .done = done };
	char buf[100];

	assert_string_equal(datafs_progress_bar(&p, ms, buf, sizeof(buf)), want);
	assert_true(strlen(buf) < 80);
}

static void test_bar(void **state)
{
	(void)state;
	bar_is(0, 100, 0, "[....................]   0% 0 B of 100 B, 0 B/s, - left");
	bar_is(50, 100, 1000, "[##########..........]  50% 50 B of 100 B, 50 B/s, 0:00:01 left");
	bar_is(1 << 20, 3ull << 40, 1000,
	       "[....................]   0% 1.0 MiB of 3.0 TiB, 1.0 MiB/s, - left");
	bar_is(1ull << 40, 3ull << 40, 3600000,
	       "[######..............]  33% 1.0 TiB of 3.0 TiB, 291 MiB/s, 2:00:00 left");
	bar_is(100, 100, 1000, "[####################] 100% 100 B of 100 B, 100 B/s, - left");
	/* A file has grown. */
	bar_is(150, 100, 1000, "[####################] 100% 150 B of 100 B, 150 B/s, - left");
	bar_is(0, 0, 0, "[####################] 100% 0 B of 0 B, 0 B/s, - left");
	bar_is(UINT64_MAX, UINT64_MAX, 1,
	       "[####################] 100% 16 EiB of 16 EiB, 16000 EiB/s, - left");
}

static void test_lines(void **state)
{
	struct datafs_progress p;
	char *text;
	size_t len;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	datafs_progress_begin(&p, f, 1000);
	assert_false(p.terminal);
	datafs_progress_show(&p);
	for (int i = 0; i < 10; i++) {
		datafs_progress_add(&p, i < 5 ? 55 : 145);
		datafs_progress_show(&p);
		datafs_progress_show(&p);
	}
	datafs_progress_end(&p);
	len = ftell(f);
	text = calloc(1, len + 1);
	rewind(f);
	assert_int_equal(fread(text, 1, len, f), len);
	assert_string_equal(text, "10% 110 of 1000\n20% 220 of 1000\n40% 420 of 1000\n"
			    "50% 565 of 1000\n70% 710 of 1000\n80% 855 of 1000\n"
			    "100% 1000 of 1000\n");
	free(text);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
