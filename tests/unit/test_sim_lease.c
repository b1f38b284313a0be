// SPDX-License-Identifier: Apache-2.0
/*
 * The quorum under a simulation, with clients that believe what they were told while their
 * leases last. What they read of that is a part of the history, too.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "metad/grants_internal.h"
#include "sim_lease_wrap.h"
#include "sim_runs.h"

#define RUNS	60
#define PACE	3000	/* so that there is time for leases between troubles */

static enum fault {
	NONE,
	EARLY,		/* changes are proposed before the recalls are answered */
	UNCONFIRMED,	/* leases are given without that a majority is asked */
	NO_WAIT,	/* a new leader does not wait for the leases of the last one */
	KEPT,		/* a client keeps what it asked before it was to forget it */
} fault;

bool datafs_grants_plant_early(void)
{
	return fault == EARLY;
}

/* Only the server reads, with what is in its asks. */
int __wrap_datafs_member_read(struct datafs_member *m, struct datafs_member_read *read)
{
	const struct ask *a = (void *)((char *)read - offsetof(struct ask, read));
	struct datafs_member_status st;

	datafs_member_status(m, &st);
	if (fault != UNCONFIRMED || !st.ready || a->what.what->what_case != METAD__ASK__WHAT_LEASE)
		return __real_datafs_member_read(m, read);
	read->done(read, 0);
	return 0;
}

int __wrap_datafs_grants_new(const struct datafs_grants_conf *conf, uint64_t now,
			     uint32_t longest, const uint64_t *sessions, size_t n,
			     struct datafs_grants **res)
{
	return __real_datafs_grants_new(conf, now, longest, sessions, fault == NO_WAIT ? 0 : n, res);
}

bool __wrap_datafs_lease_keep(struct datafs_lease *l, const struct datafs_told *told,
			      const struct datafs_grant_object *o)
{
	if (fault == KEPT)
		return told->lease && told->lease == l->told.lease;
	return __real_datafs_lease_keep(l, told, o);
}

static void all_well(const struct sim_options *opt, unsigned int n)
{
	const struct lease_sums before = lease_sums;
	struct sim_sums sum;

	sim_run_many(opt, n, &sum);
	print_message("%u reads believed, %u asked; %u recalls, %u leases lost, %u answers kept\n",
		      lease_sums.believed - before.believed, lease_sums.asked - before.asked,
		      lease_sums.recalls - before.recalls, lease_sums.lost - before.lost,
		      lease_sums.kept - before.kept);
	if (n < 20)
		return;
	assert_true(lease_sums.believed - before.believed > 5 * n);
	assert_true(lease_sums.recalls - before.recalls > 5 * n);
}

static void three(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_leases, .members = 3, .clients = 3, .ms = 8000, .pace = PACE,
		.threshold = 1000000
	};

	(void)state;
	all_well(&opt, sim_seeds(RUNS));
}

/* Logs are so short that who was away gets a snapshot. */
static void snapshots(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_leases, .members = 3, .clients = 3, .ms = 8000, .pace = PACE, .threshold = 12
	};

	(void)state;
	all_well(&opt, sim_seeds(RUNS / 2));
}

static void five(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_leases, .members = 5, .clients = 4, .ms = 8000, .pace = PACE,
		.threshold = 1000000
	};

	(void)state;
	all_well(&opt, sim_seeds(RUNS / 2));
}

static void finds(enum fault what, bool isolate, const char *text)
{
	const struct sim_options opt = {
		.machine = &sim_leases, .members = 3, .clients = 3, .ms = 8000, .pace = PACE,
		.threshold = 1000000, .isolate = isolate, .apart = isolate ? 4000 : 0,
	};

	fault = what;
	sim_run_until_bad(&opt, text);
	fault = NONE;
}

static void planted_faults(void **state)
{
	(void)state;
	finds(EARLY, false, "recall after apply");
	finds(UNCONFIRMED, true, "leases without a majority");
	finds(NO_WAIT, false, "a new leader does not wait");
	finds(KEPT, false, "kept though it was asked before a recall");
}

/* The same seed is the same run. */
static void seed_decides(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_leases, .members = 3, .clients = 3, .ms = 5000, .pace = PACE, .threshold = 15
	};

	(void)state;
	sim_seed_decides(&opt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(five),
		cmocka_unit_test(planted_faults),
		cmocka_unit_test(seed_decides),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("sim_lease", tests, NULL, NULL);
}
