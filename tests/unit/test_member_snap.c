// SPDX-License-Identifier: Apache-2.0
/* Snapshots of a member: when one is taken, and what can go wrong with one that comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "member_fixture.h"

#define SIZE	(600u << 10)	/* of a file that takes three pieces */

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

static struct datafs_member_status status(void)
{
	struct datafs_member_status st;

	datafs_member_status(b.m, &st);
	return st;
}

/* Entries @from to @to of term 2, all of them committed. */
static void entries(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		bench_entry(&b, 2, i - 1, i == 2 ? 1 : 2, i, 2, 0);
	bench_forget(&b);
}

/* The leader takes another one and is elected again; what is fetched is still good. */
static void offer_in_later_term(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_offer(&b, 2, 10, SIZE);
	assert_int_equal(b.fetches, 1);
	bench_heartbeat(&b, 3, 1, 1, 1);
	bench_offer(&b, 3, 20, SIZE);
	assert_int_equal(b.fetches, 1);
	bench_feed(&b, SIZE);
	assert_int_equal(b.fetches, 3);
	assert_int_equal(status().snapshot, 10);
	assert_int_equal(status().applied, 10);
	assert_int_equal(b.restored, 1);
	assert_int_equal(bench_dirs(&b), 1);
}

/* What is answered to an old term: the new one, and no index. */
static void only_term(void)
{
	const struct raft_append_entries_result *res = &b.sent[0].raft.append_entries_result;

	assert_int_equal(b.n_sent, 1);
	assert_int_equal(b.sent[0].kind, RAFT_APPEND_ENTRIES_RESULT);
	assert_int_equal(res->term, 3);
	assert_int_equal(res->rejected, 0);
	assert_int_equal(res->last_log_index, 0);
	bench_forget(&b);
}

/*
 * Of an old term, when it is offered or when its files are here. libraft's answer has no
 * index in it, but what was in memory there; a leader took it for the end of the log here.
 */
static void offer_in_old_term(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_offer(&b, 2, 10, SIZE);
	bench_heartbeat(&b, 3, 1, 1, 1);
	bench_forget(&b);
	bench_feed(&b, SIZE);
	assert_int_equal(b.fetches, 3);
	only_term();
	bench_offer(&b, 2, 10, SIZE);
	assert_int_equal(b.fetches, 3);
	only_term();
	assert_int_equal(status().snapshot, 0);
	/* entries too; from the first on there is nothing before them to be rejected */
	bench_entry(&b, 2, 0, 0, 0, 1, 3);
	only_term();
	bench_heartbeat(&b, 2, 1, 1, 1);
	only_term();
	/* in this term it is taken, from the begin */
	bench_offer(&b, 3, 10, SIZE);
	assert_int_equal(b.fetches, 4);
	bench_feed(&b, SIZE);
	assert_int_equal(status().snapshot, 10);
	assert_int_equal(bench_dirs(&b), 1);
}

static void piece_is_lost(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_offer(&b, 2, 10, SIZE);
	datafs_member_fetched(b.m, b.fetch_token, -ECONNRESET, NULL, 0);
	assert_int_equal(b.fetches, 1);
	b.now += DATAFS_MEMBER_PIECE_MS;
	assert_true(datafs_member_deadline(b.m) <= b.now);
	datafs_member_tick(b.m);
	assert_int_equal(b.fetches, 2);
	assert_int_equal(b.fetch_off, 0);
	bench_feed(&b, SIZE);
	assert_int_equal(b.fetches, 4);
	assert_int_equal(status().snapshot, 10);
}

static void nothing_comes(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_offer(&b, 2, 10, SIZE);
	assert_int_equal(bench_dirs(&b), 1);
	for (unsigned int i = 0; i < DATAFS_MEMBER_FETCH_MS / DATAFS_MEMBER_PIECE_MS; i++) {
		b.now += DATAFS_MEMBER_PIECE_MS;
		datafs_member_tick(b.m);
	}
	assert_int_equal(b.fetches, DATAFS_MEMBER_FETCH_MS / DATAFS_MEMBER_PIECE_MS);
	assert_int_equal(bench_dirs(&b), 0);
	assert_false(b.m->fetch.active);
}

/* One after the other fails: nothing is left of them, and they are not many. */
static void fetches_fail(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	for (uint64_t i = 0; i < 50; i++) {
		bench_offer(&b, 2, 10 + i, SIZE);
		datafs_member_fetched(b.m, b.fetch_token, -ENOENT, NULL, 0);
		assert_int_equal(bench_dirs(&b), 0);
		b.now += 100;
	}
	assert_int_equal(b.fetches, 5);
	b.now += DATAFS_MEMBER_PIECE_MS;
	bench_offer(&b, 2, 100, SIZE);
	bench_feed(&b, SIZE);
	assert_int_equal(status().snapshot, 100);
}

/* What a crash has left of one is removed. */
static void left_by_a_crash(void **state)
{
	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_offer(&b, 2, 10, SIZE);
	assert_int_equal(bench_dirs(&b), 1);
	bench_stop(&b);
	assert_int_equal(bench_dirs(&b), 1);
	assert_int_equal(bench_start(&b), 0);
	assert_int_equal(bench_dirs(&b), 0);
}

static void state_ahead_of_log(void **state)
{
	(void)state;
	b.n = 2;
	b.terms[0] = b.terms[1] = 1;
	b.applied = 4;
	assert_int_equal(bench_start(&b), -EUCLEAN);
	b.applied = 3;
	assert_int_equal(bench_start(&b), 0);
}

/* After a crash the state has entries that are not known to be committed yet. */
static void state_ahead_of_commit(void **state)
{
	(void)state;
	b.n = 5;
	for (unsigned int i = 0; i < b.n; i++)
		b.terms[i] = 1;
	b.applied = 5;
	b.threshold = 2;
	assert_int_equal(bench_start(&b), 0);
	bench_heartbeat(&b, 2, 6, 1, 3);
	assert_int_equal(b.m->applied, 3);
	assert_int_equal(b.checkpoints, 0);
	bench_heartbeat(&b, 2, 6, 1, 5);
	assert_int_equal(b.snapshots, 1);
	assert_int_equal(b.snapshot_index, 5);
}

/* There is no room for it: the member goes on, and tries again later. */
static void no_room(void **state)
{
	(void)state;
	b.threshold = 4;
	b.checkpoint_err = -ENOSPC;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 10);
	assert_int_equal(status().halted, 0);
	assert_int_equal(status().applied, 10);
	assert_int_equal(b.checkpoints, 1);
	assert_int_equal(bench_dirs(&b), 0);
	b.checkpoint_err = 0;
	b.now += DATAFS_MEMBER_SNAPSHOT_AGAIN_MS;
	entries(11, 11);
	assert_int_equal(b.snapshots, 1);
	assert_int_equal(b.snapshot_index, 11);
	assert_int_equal(bench_dirs(&b), 1);
}

static void cannot_be_taken(void **state)
{
	(void)state;
	b.threshold = 4;
	b.checkpoint_err = -EIO;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 4);
	assert_int_equal(status().halted, -EIO);
}

/* Its files are read in parts; meanwhile entries are applied, and none comes. */
static void read_in_parts(void **state)
{
	unsigned int ticks = 0;

	(void)state;
	b.threshold = 4;
	b.file_size = 5 * DATAFS_MEMBER_SUM_BYTES;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 4);
	assert_int_equal(b.checkpoints, 1);
	assert_int_equal(b.snapshots, 0);
	entries(5, 5);
	assert_int_equal(status().applied, 5);
	bench_offer(&b, 2, 100, SIZE);
	assert_int_equal(b.fetches, 0);
	while (!b.snapshots) {
		assert_true(datafs_member_deadline(b.m) <= b.now);
		datafs_member_tick(b.m);
		assert_true(++ticks < 10);
	}
	assert_true(ticks >= 3);
	assert_int_equal(b.checkpoints, 1);
	assert_int_equal(status().snapshot, 4);
	assert_true(datafs_member_deadline(b.m) > b.now);
}

static void closed_meanwhile(void **state)
{
	(void)state;
	b.threshold = 4;
	b.file_size = 5 * DATAFS_MEMBER_SUM_BYTES;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 4);
	assert_int_equal(b.snapshots, 0);
}

/* Long entries: a snapshot sooner, and fewer of them are kept before it. */
static void long_entries(void **state)
{
	(void)state;
	b.entry_len = DATAFS_RAFT_ENTRY_MAX;
	assert_int_equal(bench_start(&b), 0);
	b.m->cfg.trailing = 1000;
	entries(2, 64);
	assert_int_equal(b.snapshots, 0);
	entries(65, 66);
	assert_int_equal(b.snapshots, 1);
	assert_int_equal(b.snapshot_index, 65);
	assert_int_equal(b.snapshot_trailing, 16);
	assert_int_equal(b.m->log.n, 17);
}

/* Who fetches it needs the log behind it: another one waits, but not for ever. */
static void somebody_fetches(void **state)
{
	struct datafs_raft_piece piece = {
		.index = 4, .term = 2, .file = "000001.ldb", .len = 10,
	};
	char buf[10];

	(void)state;
	b.threshold = 4;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 4);
	assert_int_equal(b.snapshots, 1);
	assert_int_equal(datafs_member_piece(b.m, &piece, buf), 10);
	entries(5, 20);
	assert_int_equal(b.snapshots, 1);
	b.now += DATAFS_MEMBER_FETCH_MS;
	entries(21, 21);
	assert_int_equal(b.snapshots, 2);
	piece.index = 21;
	for (uint64_t i = 22; b.snapshots == 2 && i < 100; i++) {
		assert_int_equal(datafs_member_piece(b.m, &piece, buf), 10);
		entries(i, i);
	}
	assert_int_equal(b.snapshots, 3);
	assert_int_equal(b.snapshot_index, 21 + 8 * 4);
	/* and it stays as long as it is fetched */
	for (uint64_t i = 54; i < 70; i++) {
		assert_int_equal(datafs_member_piece(b.m, &piece, buf), 10);
		entries(i, i);
	}
	assert_true(b.snapshots > 4);
}

/* Who lacks much gets some of it at once. */
static void not_all_at_once(void **state)
{
	struct datafs_raft_frame f = {
		.kind = RAFT_APPEND_ENTRIES_RESULT, .raft.type = RAFT_APPEND_ENTRIES_RESULT,
	};

	(void)state;
	b.entry_len = DATAFS_RAFT_ENTRY_MAX;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 30);
	bench_lead(&b);
	bench_forget(&b);
	f.raft.append_entries_result = (struct raft_append_entries_result) {
		.version = 2, .term = b.term, .rejected = 30, .last_log_index = 1,
	};
	bench_receive(&b, 3, &f);
	assert_int_equal(bench_count(&b, RAFT_APPEND_ENTRIES), DATAFS_MEMBER_SEND_FRAMES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offer_in_later_term),
		TEST(offer_in_old_term),
		TEST(piece_is_lost),
		TEST(nothing_comes),
		TEST(fetches_fail),
		TEST(left_by_a_crash),
		TEST(state_ahead_of_log),
		TEST(state_ahead_of_commit),
		TEST(no_room),
		TEST(cannot_be_taken),
		TEST(read_in_parts),
		TEST(closed_meanwhile),
		TEST(long_entries),
		TEST(somebody_fetches),
		TEST(not_all_at_once),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("member_snap", tests, NULL, NULL);
}
