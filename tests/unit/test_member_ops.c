// SPDX-License-Identifier: Apache-2.0
/* Operations of a leader: what an entry has, and who gets which answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "member_fixture.h"

#define OPS	(DATAFS_MEMBER_PROPOSED + DATAFS_MEMBER_ENTRY_OPS + 5)

static struct bench b;
static unsigned int stamps, answers;

static struct client {
	struct datafs_member_op op;
	uint64_t sent;
} clients[OPS];

static int setup(void **state)
{
	(void)state;
	bench_init(&b);
	stamps = answers = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bench_free(&b);
	return 0;
}

static size_t stamp(void *ctx, void *buf)
{
	uint64_t n = 1000000 + ++stamps;

	assert_ptr_equal(ctx, &b);
	memcpy(buf, &n, sizeof(n));
	return sizeof(n);
}

static void done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	assert_int_equal(err, 0);
	assert_int_equal(len, op->len);
	assert_memory_equal(res, op->buf, len);
	answers++;
}

static void submit(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct client *c = &clients[i];

		c->sent = i + 1;
		c->op = (struct datafs_member_op) {
			.buf = &c->sent, .len = sizeof(c->sent), .done = done
		};
		assert_int_equal(datafs_member_submit(b.m, &c->op), 0);
	}
}

/* The first entries have one operation each; what waits meanwhile comes in two. */
static void answered(bool stamped)
{
	uint64_t last;

	assert_int_equal(bench_start(&b), 0);
	bench_lead(&b);
	last = datafs_log_last(&b.m->log);
	submit(OPS);
	assert_int_equal(datafs_log_last(&b.m->log), last + DATAFS_MEMBER_PROPOSED);
	assert_int_equal(answers, 0);
	for (unsigned int i = 1; i <= DATAFS_MEMBER_PROPOSED; i++)
		bench_ack(&b, 2, last + i);
	assert_int_equal(answers, DATAFS_MEMBER_PROPOSED);
	assert_int_equal(b.cmds, stamped + 1);
	assert_int_equal(datafs_log_last(&b.m->log), last + DATAFS_MEMBER_PROPOSED + 2);
	bench_ack(&b, 2, last + DATAFS_MEMBER_PROPOSED + 1);
	assert_int_equal(b.cmds, stamped + DATAFS_MEMBER_ENTRY_OPS);
	bench_ack(&b, 2, last + DATAFS_MEMBER_PROPOSED + 2);
	assert_int_equal(b.cmds, stamped + 5);
	assert_int_equal(answers, OPS);
}

static void without_stamp(void **state)
{
	(void)state;
	answered(false);
	assert_int_equal(stamps, 0);
	assert_int_equal(b.first, DATAFS_MEMBER_PROPOSED + DATAFS_MEMBER_ENTRY_OPS + 1);
}

/* It is told to the state machine before the operations, and is answered to nobody. */
static void with_stamp(void **state)
{
	(void)state;
	b.stamp = stamp;
	answered(true);
	assert_int_equal(stamps, DATAFS_MEMBER_PROPOSED + 2);
	assert_int_equal(b.first, 1000000 + stamps);
}

/* What comes while it is corked goes into as few entries as have room for it. */
static void corked(void **state)
{
	uint64_t last;

	(void)state;
	assert_int_equal(bench_start(&b), 0);
	bench_lead(&b);
	last = datafs_log_last(&b.m->log);
	datafs_member_cork(b.m);
	submit(OPS);
	assert_int_equal(datafs_log_last(&b.m->log), last);
	datafs_member_uncork(b.m);
	assert_int_equal(datafs_log_last(&b.m->log), last + 2);
	bench_ack(&b, 2, last + 1);
	assert_int_equal(b.cmds, DATAFS_MEMBER_ENTRY_OPS);
	bench_ack(&b, 2, last + 2);
	assert_int_equal(b.cmds, OPS - DATAFS_MEMBER_ENTRY_OPS);
	assert_int_equal(answers, OPS);
	/* and it is not any more */
	submit(1);
	assert_int_equal(datafs_log_last(&b.m->log), last + 3);
	bench_ack(&b, 2, last + 3);
	assert_int_equal(answers, OPS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_stamp, setup, teardown),
		cmocka_unit_test_setup_teardown(with_stamp, setup, teardown),
		cmocka_unit_test_setup_teardown(corked, setup, teardown),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("member_ops", tests, NULL, NULL);
}
