/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of the simulation in a test. DATAFS_SEED=N runs begin with that seed,
 * DATAFS_SEEDS=N tells how many of each kind.
 */
#ifndef DATAFS_TEST_SIM_RUNS_H
#define DATAFS_TEST_SIM_RUNS_H

#include "sim.h"

struct sim_sums {
	unsigned int ops, answered, unknown, crashes, partitions, transfers, changed, snapshots, restores;
};

/* The last run, which is over. */
extern struct sim sim;

uint64_t sim_first_seed(void);
/* @n unless it is told otherwise. */
unsigned int sim_seeds(unsigned int n);
/* One run in a directory of its own: what sim_run() says. */
const char *sim_run_one(const struct sim_options *opt, uint64_t seed);
/* All of them must be well. */
void sim_run_many(const struct sim_options *opt, unsigned int n, struct sim_sums *sum);
/* With a planted fault, which one of 1000 runs must find. */
void sim_run_until_bad(const struct sim_options *opt, const char *what);
/* The same seed is the same run. */
void sim_seed_decides(const struct sim_options *opt);

#endif
