// SPDX-License-Identifier: Apache-2.0
/*
 * The quorum under a simulation. DATAFS_SEED=N runs begin with that seed,
 * DATAFS_SEEDS=N tells how many of each kind.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "metad/member_internal.h"
#include "sim.h"
#include "tmpdir.h"

static struct sim sim;
static int planted = -1;

bool datafs_member_plant(enum datafs_plant what)
{
	return (int)what == planted;
}

static uint64_t first_seed(void)
{
	const char *env = getenv("DATAFS_SEED");

	return env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL) * 1000;
}

static unsigned int seeds(unsigned int n)
{
	const char *env = getenv("DATAFS_SEEDS");

	return env ? (unsigned int)strtoul(env, NULL, 0) : n;
}

/* One run in a directory of its own. */
static const char *run_one(const struct sim_options *opt, uint64_t seed)
{
	char dir[4096];
	const char *bad;

	assert_int_equal(tmpdir_make(dir, sizeof(dir), "sim"), 0);
	bad = sim_run(opt, seed, dir, &sim);
	sim_free(&sim);
	assert_int_equal(tmpdir_remove(dir), 0);
	return bad;
}

struct sums {
	unsigned int ops, answered, unknown, crashes, partitions, transfers, changed, snapshots, restores;
};

static void run_many(const struct sim_options *opt, unsigned int n, struct sums *sum)
{
	uint64_t seed = first_seed();

	print_message("DATAFS_SEED=%llu, %u runs\n", (unsigned long long)seed, n);
	memset(sum, 0, sizeof(*sum));
	for (unsigned int i = 0; i < n; i++) {
		const char *bad = run_one(opt, seed + i);

		if (bad)
			fail_msg("DATAFS_SEED=%llu: %s", (unsigned long long)(seed + i), bad);
		sum->ops += sim.ops;
		sum->answered += sim.answered;
		sum->unknown += sim.unknown;
		sum->crashes += sim.crashes;
		sum->partitions += sim.partitions;
		sum->transfers += sim.transfers;
		sum->changed += sim.changed;
		sum->snapshots += sim.snapshots;
		sum->restores += sim.restores;
	}
	print_message("%u operations, %u answered, %u unknown; %u crashes, %u partitions, %u transfers, %u changes, %u snapshots, %u restored\n",
		      sum->ops, sum->answered, sum->unknown, sum->crashes, sum->partitions,
		      sum->transfers, sum->changed, sum->snapshots, sum->restores);
	assert_true(sum->answered > sum->ops / 3);
	assert_true(sum->crashes >= n && sum->partitions > 0);
}

static void three(void **state)
{
	const struct sim_options opt = { .members = 3, .ms = 6000, .threshold = 1000000 };
	struct sums sum;

	(void)state;
	run_many(&opt, seeds(80), &sum);
}

static void five(void **state)
{
	const struct sim_options opt = { .members = 5, .ms = 6000, .threshold = 1000000 };
	struct sums sum;

	(void)state;
	run_many(&opt, seeds(40), &sum);
}

/* Logs are so short that who was away gets a snapshot. */
static void snapshots(void **state)
{
	const struct sim_options opt = { .members = 3, .ms = 6000, .threshold = 12 };
	struct sums sum;

	(void)state;
	run_many(&opt, seeds(60), &sum);
	assert_true(sum.snapshots > 0);
	assert_true(sum.restores >= seeds(60) / 8);
}

/* Members join, are promoted, and leave. */
static void changes(void **state)
{
	const struct sim_options opt = {
		.members = 3, .ms = 8000, .threshold = 15, .changes = true
	};
	struct sums sum;

	(void)state;
	run_many(&opt, seeds(60), &sum);
	assert_true(sum.changed >= seeds(60) / 2);
}

/* The fault is found in one of so many runs. */
static void finds(int plant, bool twice, const char *what)
{
	const struct sim_options opt = {
		.members = 3, .ms = 10000, .threshold = 1000000,
		.isolate = plant == DATAFS_PLANT_STALE_READ
	};
	uint64_t seed = first_seed();
	const char *bad = NULL;
	unsigned int n = 0;

	planted = plant;
	sim_fsm_apply_twice = twice;
	while (!bad && n < 400)
		bad = run_one(&opt, seed + n++);
	planted = -1;
	sim_fsm_apply_twice = false;
	print_message("%s: after %u runs: %s\n", what, n, bad ? bad : "not found");
	assert_non_null(bad);
}

static void planted_faults(void **state)
{
	(void)state;
	finds(DATAFS_PLANT_STALE_READ, false, "no majority is asked");
	finds(DATAFS_PLANT_EARLY_ANSWER, false, "answered before it is committed");
	finds(-1, true, "the request id is not looked at");
}

/* The same seed is the same run. */
static void seed_decides(void **state)
{
	const struct sim_options opt = {
		.members = 3, .ms = 5000, .threshold = 15, .changes = true
	};
	uint64_t seed = first_seed(), order, now;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		assert_null(run_one(&opt, seed + i));
		order = sim.order;
		now = sim.now;
		assert_null(run_one(&opt, seed + i));
		assert_int_equal(sim.order, order);
		assert_int_equal(sim.now, now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three),
		cmocka_unit_test(five),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(changes),
		cmocka_unit_test(planted_faults),
		cmocka_unit_test(seed_decides),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("sim_raft", tests, NULL, NULL);
}
