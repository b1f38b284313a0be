// SPDX-License-Identifier: Apache-2.0
/* A snapshot for somebody who takes it away: when it is there, and how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "member_fixture.h"

static struct bench b;

/* One that is asked for, and what was said. */
struct asked {
	struct datafs_member_backup backup;
	unsigned int done;
	int err;
	uint64_t index;		/* of the manifest, after 0 */
};

static int setup(void **state)
{
	(void)state;
	bench_init(&b);
	b.threshold = 1000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bench_free(&b);
	return 0;
}

static void entries(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		bench_entry(&b, 2, i - 1, i == 2 ? 1 : 2, i, 2, 0);
	bench_forget(&b);
}

static void on_done(struct datafs_member_backup *backup, int err)
{
	struct asked *a = (struct asked *)backup;
	struct datafs_manifest m;

	a->done++;
	a->err = err;
	if (err)
		return;
	assert_int_equal(datafs_manifest_decode(backup->manifest, backup->len, &m), 0);
	assert_int_equal(m.index, backup->index);
	assert_int_equal(m.term, backup->term);
	a->index = m.index;
	datafs_manifest_free(&m);
}

static void ask(struct asked *a)
{
	memset(a, 0, sizeof(*a));
	a->backup.done = on_done;
	assert_int_equal(datafs_member_backup(b.m, &a->backup), 0);
}

static long piece(uint64_t index)
{
	struct datafs_raft_piece p = { .index = index, .term = 2, .file = "000001.ldb", .len = 10 };
	char buf[10];

	return datafs_member_backup_piece(b.m, &p, buf);
}

/* Long before another would be due; and that one is as good as long as nothing changes. */
static void taken_at_once(void **state)
{
	struct asked a, again;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 5);
	ask(&a);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.index, 5);
	assert_int_equal(b.snapshots, 1);
	ask(&again);
	assert_int_equal(again.done, 1);
	assert_int_equal(again.index, 5);
	assert_int_equal(b.snapshots, 1);
	entries(6, 6);
	assert_int_equal(b.snapshots, 1);
	assert_int_equal(piece(5), 10);
	assert_int_equal(piece(4), -ESTALE);
}

/* What is being taken has not all of it: then another one. */
static void behind_another(void **state)
{
	unsigned int ticks = 0;
	struct asked a;

	(void)state;
	b.threshold = 4;
	b.file_size = 5 * DATAFS_MEMBER_SUM_BYTES;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 4);
	assert_int_equal(b.checkpoints, 1);
	entries(5, 5);
	ask(&a);
	while (!a.done) {
		datafs_member_tick(b.m);
		assert_true(++ticks < 30);
	}
	assert_int_equal(a.err, 0);
	assert_int_equal(a.index, 5);
	assert_int_equal(b.checkpoints, 2);
	assert_int_equal(b.snapshots, 2);
}

/* Through other snapshots, while pieces are asked for; then it goes. */
static void kept_while_fetched(void **state)
{
	struct asked a;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 3);
	ask(&a);
	assert_int_equal(a.index, 3);
	b.m->cfg.threshold = 4;
	for (uint64_t i = 4; i < 40; i++) {
		b.now += DATAFS_MEMBER_HOLD_MS - 1;
		assert_int_equal(piece(3), 10);
		entries(i, i);
	}
	assert_true(b.snapshots > 8);
	assert_int_equal(bench_dirs(&b), 3);
	b.now += DATAFS_MEMBER_HOLD_MS;
	assert_int_equal(piece(3), -ESTALE);
	entries(40, 44);
	assert_int_equal(bench_dirs(&b), 2);
}

static void no_room(void **state)
{
	struct asked a;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 3);
	b.checkpoint_err = -ENOSPC;
	ask(&a);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, -ENOSPC);
	b.checkpoint_err = 0;
	ask(&a);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.index, 3);
}

static void closed_meanwhile(void **state)
{
	struct asked a;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	entries(2, 3);
	b.hold = true;
	ask(&a);
	assert_int_equal(a.done, 0);
	bench_stop(&b);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, -EIO);
}

static void too_many(void **state)
{
	struct asked a;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	for (uint64_t i = 2; i < 2 + DATAFS_MEMBER_HOLDS; i++) {
		entries(i, i);
		ask(&a);
		assert_int_equal(a.err, 0);
		assert_int_equal(a.index, i);
	}
	entries(2 + DATAFS_MEMBER_HOLDS, 2 + DATAFS_MEMBER_HOLDS);
	ask(&a);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.err, -EBUSY);
	b.now += DATAFS_MEMBER_HOLD_MS;
	ask(&a);
	assert_int_equal(a.err, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(taken_at_once),
		TEST(behind_another),
		TEST(kept_while_fetched),
		TEST(no_room),
		TEST(closed_meanwhile),
		TEST(too_many),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("member_backup", tests, NULL, NULL);
}
