// SPDX-License-Identifier: Apache-2.0
/* Elections: what a member tells who asks for its vote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "member_fixture.h"

static struct bench b;

static int setup(void **state)
{
	(void)state;
	bench_init(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bench_free(&b);
	return 0;
}

/* Asks for the vote; the one answer. */
static const struct raft_request_vote_result *ask(uint64_t from, uint64_t term, bool pre_vote,
						  uint64_t last)
{
	struct datafs_raft_frame f = { .kind = RAFT_REQUEST_VOTE };

	f.raft.type = RAFT_REQUEST_VOTE;
	f.raft.request_vote = (struct raft_request_vote) {
		.version = 2, .term = term, .candidate_id = from, .pre_vote = pre_vote,
		.last_log_index = last, .last_log_term = last ? 1 : 0,
	};
	bench_forget(&b);
	bench_receive(&b, from, &f);
	assert_int_equal(b.n_sent, 1);
	assert_int_equal(b.to[0], from);
	assert_int_equal(b.sent[0].kind, RAFT_REQUEST_VOTE_RESULT);
	return &b.sent[0].raft.request_vote_result;
}

/*
 * Who is in an old term is told so, when it asks whether it would be elected, too: else
 * it asks for ever, and if only it can be elected, nobody is.
 */
static void old_term_is_told(void **state)
{
	const struct raft_request_vote_result *res;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	assert_false(ask(3, 7, false, 0)->vote_granted);
	assert_int_equal(b.term, 7);
	res = ask(2, 5, true, 9);
	assert_false(res->vote_granted);
	assert_int_equal(res->term, 7);
	/* in its own term, or the next, it is told what it asked for */
	res = ask(2, 8, true, 9);
	assert_true(res->vote_granted);
	assert_int_equal(res->term, 8);
	res = ask(3, 8, true, 0);
	assert_false(res->vote_granted);
	assert_int_equal(res->term, 8);
	assert_int_equal(b.term, 7);
}

/* And it is in the new term then. */
static void old_term_is_left(void **state)
{
	struct datafs_raft_frame f = { .kind = RAFT_REQUEST_VOTE_RESULT };

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	assert_true(bench_tick(&b, 1000));
	assert_int_equal(bench_count(&b, RAFT_REQUEST_VOTE), 2);
	assert_int_equal(b.sent[0].raft.request_vote.term, 2);
	f.raft.type = f.kind;
	f.raft.request_vote_result = (struct raft_request_vote_result) {
		.version = 2, .term = 7, .pre_vote = true,
	};
	bench_receive(&b, 2, &f);
	assert_int_equal(b.term, 7);
	bench_forget(&b);
	while (!bench_count(&b, RAFT_REQUEST_VOTE))
		assert_true(bench_tick(&b, 1000));
	assert_int_equal(b.sent[0].raft.request_vote.term, 8);
	assert_true(b.sent[0].raft.request_vote.pre_vote);
}

/*
 * The entry that made it a voter is not here, and its leader is gone: it votes, as who asks
 * counts on it. But not while it hears of a leader.
 */
static void made_voter_elsewhere(void **state)
{
	(void)state;
	b.standby = true;
	assert_int_equal(bench_start(&b), 0);
	bench_heartbeat(&b, 2, 1, 1, 1);
	assert_false(ask(3, 3, true, 9)->vote_granted);
	b.now += DATAFS_MEMBER_ELECTION_MS - 1;
	assert_false(ask(3, 3, true, 9)->vote_granted);
	b.now++;
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(ask(3, 3, true, 9)->vote_granted);
		b.now += 29;
		if (datafs_member_deadline(b.m) <= b.now)
			datafs_member_tick(b.m);
	}
	assert_int_equal(b.vote, 0);
	assert_true(ask(3, 3, false, 9)->vote_granted);
	assert_int_equal(b.term, 3);
	assert_int_equal(b.vote, 3);
	/* once in a term, and not for one that lacks what it has */
	assert_false(ask(2, 3, false, 9)->vote_granted);
	assert_false(ask(2, 4, false, 0)->vote_granted);
	/* it is no voter yet: it does not ask itself */
	bench_forget(&b);
	while (bench_tick(&b, 1000) && b.now < 10000)
		;
	assert_int_equal(bench_count(&b, RAFT_REQUEST_VOTE), 0);
}

/* It is asked for its vote while an entry is being stored: that it is, its leader is told. */
static void stored_behind_a_vote(void **state)
{
	(void)state;
	b.standby = true;
	b.hold = true;
	assert_int_equal(bench_start(&b), 0);
	bench_entry(&b, 2, 1, 1, 1, 2, 0);
	b.now += DATAFS_MEMBER_ELECTION_MS;
	assert_int_equal(ask(3, 3, true, 9)->term, 3);
	bench_forget(&b);
	bench_release(&b);
	assert_int_equal(b.n_sent, 1);
	assert_int_equal(b.to[0], 2);
	assert_int_equal(b.sent[0].kind, RAFT_APPEND_ENTRIES_RESULT);
	assert_int_equal(b.sent[0].raft.append_entries_result.last_log_index, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(old_term_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(old_term_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(made_voter_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(stored_behind_a_vote, setup, teardown),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("member_vote", tests, NULL, NULL);
}
