// SPDX-License-Identifier: Apache-2.0
/* The quorum under a simulation, with the namespace as its state machine. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "metad/member_internal.h"
#include "metad/ns_internal.h"
#include "sim.h"
#include "sim_runs.h"

static int planted = -1, metad_fault = -1;

bool datafs_member_plant(enum datafs_plant what)
{
	return (int)what == planted;
}

bool datafs_metad_plant(enum datafs_metad_plant what)
{
	return (int)what == metad_fault;
}

static void three(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 3, .ms = 6000, .threshold = 1000000
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(115), &sum);
}

static void five(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 5, .ms = 6000, .threshold = 1000000
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(70), &sum);
}

/* Logs are so short that who was away gets a snapshot. */
static void snapshots(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 3, .ms = 6000, .threshold = 12
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(100), &sum);
	assert_true(sum.snapshots > 0);
	assert_true(sum.restores >= sim_seeds(100) / 8);
}

/* Members join, are promoted, and leave. */
static void changes(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 3, .ms = 8000, .threshold = 15,
		.changes = true
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(70), &sum);
	assert_true(sum.changed >= sim_seeds(70) / 2);
}

/* Five members, of which all that can happen happens to. */
static void five_change(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 5, .ms = 8000, .threshold = 15,
		.changes = true
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(30), &sum);
}

/* So many clients that a leader packs what they ask. */
static void crowd(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 3, .clients = SIM_CLIENTS, .ms = 2500,
		.threshold = 10
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(90), &sum);
}

static void finds(int of_member, int of_metad, const char *what)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 3, .ms = 10000, .threshold = 1000000,
		.isolate = of_member == DATAFS_PLANT_STALE_READ
	};

	planted = of_member;
	metad_fault = of_metad;
	sim_run_until_bad(&opt, what);
	planted = metad_fault = -1;
}

static void planted_faults(void **state)
{
	(void)state;
	finds(DATAFS_PLANT_STALE_READ, -1, "no majority is asked");
	finds(DATAFS_PLANT_EARLY_ANSWER, -1, "answered before it is committed");
	finds(-1, DATAFS_METAD_PLANT_LOST, "answered, and not done");
	finds(-1, DATAFS_METAD_PLANT_TWICE, "done again when it comes again");
	finds(-1, DATAFS_METAD_PLANT_AWAY, "a node is away, in the same version");
}

/* The same seed is the same run. */
static void seed_decides(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_namespace, .members = 3, .ms = 5000, .threshold = 15,
		.changes = true
	};

	(void)state;
	sim_seed_decides(&opt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three),
		cmocka_unit_test(five),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(changes),
		cmocka_unit_test(five_change),
		cmocka_unit_test(crowd),
		cmocka_unit_test(planted_faults),
		cmocka_unit_test(seed_decides),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("sim_ns", tests, NULL, NULL);
}
