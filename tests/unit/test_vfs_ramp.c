// SPDX-License-Identifier: Apache-2.0
/* How many parts are fetched at one time, from a store in a time of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "vfs/ramp.h"

#define PART (8ull << 20)

static struct datafs_ramp r;
static int64_t now;
static uint64_t refused;

/* As many as may be, all of which end after @ms. */
static void ramp_round(int64_t ms)
{
	uint32_t n = 0;

	while (datafs_ramp_begin(&r, now, false))
		n++;
	assert_int_equal(n, datafs_ramp_limit(&r));
	now += ms * DATAFS_MSEC;
	while (n--)
		datafs_ramp_end(&r, now, PART, refused);
	assert_int_equal(r.under_way, 0);
}

static void begin(uint32_t max)
{
	now = 1000 * DATAFS_SEC;
	refused = 0;
	datafs_ramp_init(&r, max);
}

/* A store that answers each request in the same time, however many there are. */
static void test_wide(void **state)
{
	static const uint32_t limits[] = { 8, 16, 24, 24, 24, 24 };

	(void)state;
	begin(24);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(datafs_ramp_limit(&r), limits[i]);
		ramp_round(100);
	}
	datafs_ramp_destroy(&r);
}

/* One that carries what eight bring: more make nothing faster. */
static void test_full(void **state)
{
	uint32_t limit, most = 0;

	(void)state;
	begin(1000);
	for (int i = 0; i < 100; i++) {
		limit = datafs_ramp_limit(&r);
		ramp_round(100 * DATAFS_MAX(limit, 8u) / 8);
		/* once doubled too often, then one more now and then */
		assert_true(limit <= (i < 4 ? 16 : 9));
		assert_true(i < 4 || limit >= 8);
		most += limit == 9;
	}
	assert_true(most >= 8 && most <= 20);
	/* It carries twice as much: found out in time, step by step. */
	for (int i = 0; i < 200; i++)
		ramp_round(100 * DATAFS_MAX(datafs_ramp_limit(&r), 16u) / 16);
	assert_true(datafs_ramp_limit(&r) >= 15 && datafs_ramp_limit(&r) <= 17);
	datafs_ramp_destroy(&r);
}

static void test_refused(void **state)
{
	(void)state;
	begin(64);
	for (int i = 0; i < 4; i++)
		ramp_round(100);
	assert_int_equal(datafs_ramp_limit(&r), 64);
	refused = 3;
	ramp_round(100);
	assert_int_equal(datafs_ramp_limit(&r), 32);
	refused = 4;
	ramp_round(100);
	assert_int_equal(datafs_ramp_limit(&r), 16);
	/* not doubled again, and not at once */
	for (int i = 0; i < 7; i++) {
		ramp_round(100);
		assert_int_equal(datafs_ramp_limit(&r), 16);
	}
	ramp_round(100);
	assert_int_equal(datafs_ramp_limit(&r), 17);
	ramp_round(100);
	assert_int_equal(datafs_ramp_limit(&r), 18);
	for (int i = 0; i < 10; i++) {
		refused++;
		ramp_round(100);
	}
	assert_int_equal(datafs_ramp_limit(&r), 1);
	datafs_ramp_destroy(&r);
}

/* Readers who want little say nothing of the store; who waits is never refused. */
static void test_little(void **state)
{
	(void)state;
	begin(64);
	for (int i = 0; i < 20; i++) {
		assert_true(datafs_ramp_begin(&r, now, false));
		now += DATAFS_SEC;
		datafs_ramp_end(&r, now, PART, 0);
		assert_int_equal(datafs_ramp_limit(&r), 8);
	}
	for (int i = 0; i < 8; i++)
		assert_true(datafs_ramp_begin(&r, now, false));
	assert_false(datafs_ramp_begin(&r, now, false));
	assert_true(datafs_ramp_begin(&r, now, true));
	/* What brings nothing is no round. */
	for (int i = 0; i < 9; i++)
		datafs_ramp_end(&r, now, 0, 0);
	assert_int_equal(datafs_ramp_limit(&r), 8);
	assert_int_equal(r.under_way, 0);
	datafs_ramp_destroy(&r);
	begin(1);
	for (int i = 0; i < 20; i++)
		ramp_round(1 + i % 3);
	assert_int_equal(datafs_ramp_limit(&r), 1);
	datafs_ramp_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_little),
	};

	return cmocka_run_group_tests_name("vfs_ramp", tests, NULL, NULL);
}
