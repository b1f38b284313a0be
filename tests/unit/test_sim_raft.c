// SPDX-License-Identifier: Apache-2.0
/* The quorum under a simulation, with registers as its state machine. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "metad/member_internal.h"
#include "sim.h"
#include "sim_runs.h"
#include "tmpdir.h"

static int planted = -1;

bool datafs_member_plant(enum datafs_plant what)
{
	return (int)what == planted;
}

static void three(void **state)
{
	const struct sim_options opt = { .machine = &sim_registers, .members = 3, .ms = 6000, .threshold = 1000000 };
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(80), &sum);
}

static void five(void **state)
{
	const struct sim_options opt = { .machine = &sim_registers, .members = 5, .ms = 6000, .threshold = 1000000 };
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(40), &sum);
}

/* Logs are so short that who was away gets a snapshot. */
static void snapshots(void **state)
{
	const struct sim_options opt = { .machine = &sim_registers, .members = 3, .ms = 6000, .threshold = 12 };
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(60), &sum);
	assert_true(sum.snapshots > 0);
	assert_true(sum.restores >= sim_seeds(60) / 8);
}

/* Members join, are promoted, and leave. */
static void changes(void **state)
{
	const struct sim_options opt = {
		.machine = &sim_registers, .members = 3, .ms = 8000, .threshold = 15, .changes = true
	};
	struct sim_sums sum;

	(void)state;
	sim_run_many(&opt, sim_seeds(60), &sum);
	assert_true(sum.changed >= sim_seeds(60) / 2);
}

/* The fault is found in one of some runs. */
static void finds(int plant, bool twice, const char *what)
{
	const struct sim_options opt = {
		.machine = &sim_registers, .members = 3, .ms = 10000, .threshold = 1000000,
		.isolate = plant == DATAFS_PLANT_STALE_READ
	};

	planted = plant;
	sim_fsm_apply_twice = twice;
	sim_run_until_bad(&opt, what);
	planted = -1;
	sim_fsm_apply_twice = false;
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
		.machine = &sim_registers, .members = 3, .ms = 5000, .threshold = 15, .changes = true
	};

	(void)state;
	sim_seed_decides(&opt);
}

/* One member alone, with the disks of the simulation; what it sends is kept. */
static void one_alone(const char *dir)
{
	static const struct datafs_raft_peer peers[] = { { 1, "m1" }, { 2, "m2" }, { 3, "m3" } };
	struct sim_member *m = &sim.members[1];
	struct raft_configuration conf;
	char path[4200];

	memset(&sim, 0, sizeof(sim));
	sim.machine = &sim_registers;
	sim.random = 1;
	sim.now = 1000;
	sim.threshold = 1000;
	sim.calm = true;
	snprintf(path, sizeof(path), "%s/m1", dir);
	m->state = sim_registers.make(&sim, path);
	m->disk = sim_disk_new(&sim, 1);
	m->used = true;
	assert_int_equal(datafs_raft_conf_first(peers, 3, &conf), 0);
	sim_disk_bootstrap(m->disk, &conf);
	raft_configuration_close(&conf);
	sim_member_start(&sim, 1);
}

/* Does it vote for @candidate? */
static bool votes_for(uint64_t term, unsigned int candidate)
{
	struct datafs_raft_frame ask = { .kind = RAFT_REQUEST_VOTE }, answer;
	size_t sent = sim.n;
	bool granted;
	void *buf;
	long len;

	ask.raft.type = RAFT_REQUEST_VOTE;
	ask.raft.request_vote = (struct raft_request_vote) {
		.term = term, .candidate_id = candidate, .last_log_index = 1, .last_log_term = 1,
	};
	len = datafs_raft_encode(&ask, &buf);
	assert_true(len > 0);
	datafs_member_receive(sim.members[1].m, candidate, buf, (size_t)len);
	free(buf);
	assert_int_equal(sim.n, sent + 1);
	/* only one event is new: the one with the highest number */
	for (size_t i = 0; i < sim.n; i++)
		if (sim.heap[i].order == sim.order)
			sent = i;
	assert_int_equal(sim.heap[sent].to, candidate);
	assert_int_equal(datafs_raft_decode(sim.heap[sent].buf, sim.heap[sent].len, &answer), 0);
	assert_int_equal(answer.kind, RAFT_REQUEST_VOTE_RESULT);
	granted = answer.raft.request_vote_result.vote_granted;
	datafs_raft_frame_free(&answer);
	return granted;
}

/* A vote outlives a crash, also one right after it was given a second time. */
static void one_vote_a_term(void **state)
{
	char dir[4096];

	(void)state;
	assert_int_equal(tmpdir_make(dir, sizeof(dir), "sim"), 0);
	one_alone(dir);
	assert_true(votes_for(5, 2));
	assert_false(votes_for(5, 3));
	for (int i = 0; i < 2; i++) {
		sim_member_crash(&sim, 1);
		sim_member_start(&sim, 1);
		assert_false(votes_for(5, 3));
		assert_true(votes_for(5, 2));
	}
	assert_true(votes_for(6, 3));
	sim_free(&sim);
	assert_int_equal(tmpdir_remove(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_vote_a_term),
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
