// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "sim_runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tmpdir.h"

struct sim sim;

uint64_t sim_first_seed(void)
{
	const char *env = getenv("DATAFS_SEED");

	return env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL) * 1000;
}

unsigned int sim_seeds(unsigned int n)
{
	const char *env = getenv("DATAFS_SEEDS");

	return env ? (unsigned int)strtoul(env, NULL, 0) : n;
}

const char *sim_run_one(const struct sim_options *opt, uint64_t seed)
{
	char dir[4096];
	const char *bad;

	assert_int_equal(tmpdir_make(dir, sizeof(dir), "sim"), 0);
	bad = sim_run(opt, seed, dir, &sim);
	sim_free(&sim);
	assert_int_equal(tmpdir_remove(dir), 0);
	return bad;
}

void sim_run_many(const struct sim_options *opt, unsigned int n, struct sim_sums *sum)
{
	uint64_t seed = sim_first_seed();

	print_message("DATAFS_SEED=%llu, %u runs\n", (unsigned long long)seed, n);
	memset(sum, 0, sizeof(*sum));
	for (unsigned int i = 0; i < n; i++) {
		const char *bad = sim_run_one(opt, seed + i);

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
	/* of a few runs nothing can be said */
	if (n < 20)
		return;
	assert_true(sum->answered > sum->ops / 3);
	assert_true(sum->crashes >= n && sum->partitions > 0);
}

void sim_run_until_bad(const struct sim_options *opt, const char *what)
{
	uint64_t seed = sim_first_seed();
	const char *bad = NULL;
	unsigned int n = 0;

	while (!bad && n < 1000)
		bad = sim_run_one(opt, seed + n++);
	print_message("%s: after %u runs: %s\n", what, n, bad ? bad : "not found");
	assert_non_null(bad);
}

void sim_seed_decides(const struct sim_options *opt)
{
	uint64_t seed = sim_first_seed(), order, now;

	for (unsigned int i = 0; i < 3; i++) {
		assert_null(sim_run_one(opt, seed + i));
		order = sim.order;
		now = sim.now;
		assert_null(sim_run_one(opt, seed + i));
		assert_int_equal(sim.order, order);
		assert_int_equal(sim.now, now);
	}
}
