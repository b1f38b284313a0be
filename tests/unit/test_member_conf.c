// SPDX-License-Identifier: Apache-2.0
/* Configurations of a quorum: which one a member goes by, and what libraft forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

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

/*
 * A second change comes together with the news that the first is committed. If the
 * second is then replaced, the first is in force, not what was before it.
 */
static void second_change_goes(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_entry(&b, 2, 1, 1, 1, 2, 4);
	assert_int_equal(b.m->raft.configuration.n, 4);
	bench_entry(&b, 2, 2, 2, 2, 2, 5);
	assert_int_equal(b.m->applied, 2);
	assert_int_equal(b.m->raft.configuration.n, 5);
	assert_int_equal(b.m->raft.configuration_committed_index, 2);
	assert_int_equal(b.m->raft.configuration_committed.n, 4);
	bench_entry(&b, 3, 2, 2, 2, 3, 0);
	assert_int_equal(b.m->raft.configuration.n, 4);
	assert_int_equal(b.m->raft.configuration_uncommitted_index, 0);
}

/* As above, but the second is replaced before the first is known to be committed. */
static void second_change_goes_early(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	b.hold = true;
	bench_entry(&b, 2, 1, 1, 1, 2, 4);
	bench_entry(&b, 2, 2, 2, 2, 2, 5);
	assert_int_equal(b.m->applied, 1);
	bench_entry(&b, 3, 2, 2, 1, 3, 0);
	assert_int_equal(b.m->raft.configuration.n, 4);
	bench_release(&b);
	bench_heartbeat(&b, 3, 3, 3, 3);
	assert_int_equal(b.m->applied, 3);
	assert_int_equal(b.m->raft.configuration.n, 4);
	assert_int_equal(b.m->raft.configuration_committed.n, 4);
	assert_int_equal(b.m->raft.configuration_committed_index, 2);
	assert_int_equal(b.m->raft.configuration_uncommitted_index, 0);
}

/* And both are replaced. */
static void both_changes_go(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_entry(&b, 2, 1, 1, 1, 2, 4);
	bench_entry(&b, 3, 1, 1, 1, 3, 0);
	assert_int_equal(b.m->raft.configuration.n, 3);
	assert_int_equal(b.m->raft.configuration_committed_index, 1);
}

/* A snapshot has the last configuration up to its index. */
static void snapshot_between_changes(void **state)
{
	(void)state;
	b.threshold = 4;
	assert_int_equal(bench_start(&b), 0);
	bench_entry(&b, 2, 1, 1, 1, 2, 0);
	bench_entry(&b, 2, 2, 2, 2, 2, 4);
	bench_entry(&b, 2, 3, 2, 2, 2, 0);
	bench_entry(&b, 2, 4, 2, 3, 2, 5);
	assert_int_equal(b.snapshots, 0);
	bench_heartbeat(&b, 2, 4, 2, 4);
	assert_int_equal(b.snapshots, 1);
	assert_int_equal(b.snapshot_index, 4);
	assert_int_equal(b.snapshot_conf_index, 3);
	assert_int_equal(b.snapshot_servers, 4);
}

/*
 * After a restart the last configuration but one is known to be committed, though
 * it is not applied yet: it is no part of a snapshot before it.
 */
static void no_snapshot_before_its_configuration(void **state)
{
	(void)state;
	b.threshold = 2;
	assert_int_equal(bench_start(&b), 0);
	bench_entry(&b, 2, 1, 1, 1, 2, 0);
	b.m->raft.configuration_committed_index = 3;
	bench_heartbeat(&b, 2, 2, 2, 2);
	assert_int_equal(b.m->applied, 2);
	assert_int_equal(b.snapshots, 0);
}

static void changed(struct datafs_member_change *c, int err)
{
	c->err = err;
}

static void op_done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	(void)res;
	(void)len;
	op->err = err;
	op->buf = NULL;
}

/* The last entry that 3 was sent, and what it was sent is forgotten. */
static uint64_t last_sent(void)
{
	uint64_t last = 0;

	for (unsigned int i = 0; i < b.n_sent; i++) {
		const struct raft_append_entries *a = &b.sent[i].raft.append_entries;

		if (b.to[i] == 3 && b.sent[i].kind == RAFT_APPEND_ENTRIES && a->n_entries)
			last = a->prev_log_index + a->n_entries;
	}
	bench_forget(&b);
	return last;
}

/* What 3 is sent, which has @last and lacks @prev, while 2 has all up to @prev. */
static uint64_t sent_next(uint64_t prev, uint64_t last)
{
	for (unsigned int i = 0; i < 4; i++) {
		bench_tick(&b, 1000);
		bench_ack(&b, 2, prev);
		bench_reject(&b, 3, prev, last);
	}
	return last_sent();
}

/*
 * Who does not vote has no entry that is not committed: with the longest log it would refuse
 * its vote to all, and does not ask for theirs. So too the one that makes it so.
 */
static void demoted_when_committed(void **state)
{
	struct datafs_member_change c = {
		.kind = DATAFS_CHANGE_DEMOTE, .id = 3, .role = RAFT_STANDBY, .done = changed,
	};
	struct datafs_member_op op = { .buf = "12345678", .len = 8, .done = op_done };

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_lead(&b);
	bench_ack(&b, 3, 2);
	bench_forget(&b);
	b.hold = true;
	assert_int_equal(datafs_member_change(b.m, &c), 0);
	assert_int_equal(datafs_member_submit(b.m, &op), 0);
	assert_int_equal(last_sent(), 0);
	bench_release(&b);
	assert_int_equal(last_sent(), 0);
	bench_ack(&b, 2, 3);
	assert_int_equal(b.m->applied, 3);
	assert_int_equal(sent_next(3, 2), 3);
	bench_ack(&b, 3, 3);
	bench_ack(&b, 2, 4);
	assert_int_equal(b.m->applied, 4);
	assert_int_equal(sent_next(4, 3), 4);
}

/* Nothing is sent to a spare, and nobody waits for it. */
static void spare_needs_no_time(void **state)
{
	struct datafs_member_change c = {
		.kind = DATAFS_CHANGE_DEMOTE, .id = 3, .role = RAFT_SPARE, .done = changed,
	};
	unsigned int ticks = 0;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_lead(&b);
	assert_int_equal(datafs_member_change(b.m, &c), 0);
	bench_ack(&b, 2, 3);
	assert_int_equal(b.m->raft.configuration.servers[2].role, RAFT_SPARE);
	for (unsigned int ms = 0; ms < 1000; ms++) {
		b.now++;
		if (!(ms % 50))
			bench_ack(&b, 2, 3);
		if (datafs_member_deadline(b.m) <= b.now) {
			datafs_member_tick(b.m);
			ticks++;
		}
		bench_forget(&b);
	}
	assert_true(b.m->leads);
	assert_true(ticks >= 9 && ticks <= 25);
}

/* A term that cannot be stored: halted, and what came with it is freed. */
static void term_not_stored(void **state)
{
	struct datafs_member_status st;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	b.term_err = -EIO;
	bench_entry(&b, 2, 1, 1, 1, 2, 0);
	datafs_member_status(b.m, &st);
	assert_int_equal(st.halted, -EIO);
	assert_int_equal(b.n_sent, 0);
}

/* A leader that has halted does not say that it leads, and answers nobody. */
static void halted_leader(void **state)
{
	struct datafs_member_read read = { 0 };
	struct datafs_member_status st;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_lead(&b);
	b.term_err = -EIO;
	bench_heartbeat(&b, b.term + 1, 1, 1, 1);
	datafs_member_status(b.m, &st);
	assert_int_equal(st.halted, -EIO);
	assert_false(st.leads || st.ready);
	assert_int_equal(datafs_member_read(b.m, &read), -EIO);
}

/*
 * Leadership goes while entries are under way: who is to have it is told when it has
 * all of them, not only when it has one more.
 */
static void transfer_under_load(void **state)
{
	struct datafs_member_op ops[2];
	unsigned int n = 0;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_lead(&b);
	for (int i = 0; i < 2; i++) {
		ops[i] = (struct datafs_member_op) { .buf = "x", .len = 1, .done = op_done };
		assert_int_equal(datafs_member_submit(b.m, &ops[i]), 0);
	}
	assert_int_equal(b.m->raft.configuration.n, 3);
	assert_int_equal(datafs_member_transfer(b.m, 2), 0);
	bench_ack(&b, 2, 3);
	bench_forget(&b);
	bench_ack(&b, 2, 4);
	for (unsigned int i = 0; i < b.n_sent; i++) {
		if (b.sent[i].kind != RAFT_TIMEOUT_NOW)
			continue;
		n++;
		assert_int_equal(b.to[i], 2);
		assert_int_equal(b.sent[i].raft.timeout_now.last_log_index, 4);
		assert_int_equal(b.sent[i].raft.timeout_now.term, b.term);
	}
	assert_int_equal(n, 1);
	bench_forget(&b);
	bench_ack(&b, 2, 4);
	assert_int_equal(bench_count(&b, RAFT_TIMEOUT_NOW), 0);
	assert_null(ops[0].buf);
	assert_null(ops[1].buf);
}

/* Much that is committed at once is applied by and by. */
static void applied_in_parts(void **state)
{
	unsigned int ticks = 0;

	(void)state;
	b.entry_len = 512 << 10;
	assert_int_equal(bench_start(&b), 0);
	for (uint64_t i = 2; i <= 21; i++)
		bench_entry(&b, 2, i - 1, i == 2 ? 1 : 2, 1, 2, 0);
	assert_int_equal(b.m->applied, 1);
	bench_heartbeat(&b, 2, 21, 2, 21);
	assert_true(b.m->applied > 1 && b.m->applied < 21);
	while (b.m->applied < 21) {
		assert_true(datafs_member_deadline(b.m) <= b.now);
		datafs_member_tick(b.m);
		assert_true(++ticks <= 20);
	}
	assert_true(ticks >= 2);
	assert_true(datafs_member_deadline(b.m) > b.now);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_change_goes),
		TEST(second_change_goes_early),
		TEST(both_changes_go),
		TEST(snapshot_between_changes),
		TEST(no_snapshot_before_its_configuration),
		TEST(demoted_when_committed),
		TEST(spare_needs_no_time),
		TEST(term_not_stored),
		TEST(halted_leader),
		TEST(transfer_under_load),
		TEST(applied_in_parts),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("member_conf", tests, NULL, NULL);
}
