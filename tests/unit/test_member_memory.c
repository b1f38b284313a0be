// SPDX-License-Identifier: Apache-2.0
/*
 * Each allocation of a member's life fails once: whoever waits is told once, and
 * nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "member_fixture.h"
#include "member_wrap.h"

static unsigned int fails_in;	/* 1: the next; 0: none */

static bool fails(void)
{
	return fails_in && !--fails_in;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_raft_malloc(size_t n)
{
	return fails() ? NULL : __real_raft_malloc(n);
}

void *__wrap_raft_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_raft_calloc(n, size);
}

int __wrap_raft_configuration_add(struct raft_configuration *c, raft_id id,
				  const char *address, int role)
{
	return fails() ? RAFT_NOMEM : __real_raft_configuration_add(c, id, address, role);
}

#define OPS	4

static struct bench b;

static struct call {
	struct datafs_member_op op;
	struct datafs_member_read read;
	struct datafs_member_change change;
	int asked[3];		/* what the calls returned */
	unsigned int told[3];
} calls[OPS];

static void op_done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	(void)err;
	(void)res;
	(void)len;
	((struct call *)((char *)op - offsetof(struct call, op)))->told[0]++;
}

static void read_done(struct datafs_member_read *read, int err)
{
	(void)err;
	((struct call *)((char *)read - offsetof(struct call, read)))->told[1]++;
}

static void change_done(struct datafs_member_change *change, int err)
{
	(void)err;
	((struct call *)((char *)change - offsetof(struct call, change)))->told[2]++;
}

static void begin(unsigned int i)
{
	struct call *c = &calls[i];

	c->op = (struct datafs_member_op) { .buf = "12345", .len = 5, .done = op_done };
	c->read = (struct datafs_member_read) { .done = read_done };
	c->change = (struct datafs_member_change) {
		.kind = DATAFS_CHANGE_ADD, .id = 4 + i, .role = RAFT_STANDBY, .done = change_done,
		.address = i ? "m5" : "m4",
	};
	c->asked[0] = datafs_member_submit(b.m, &c->op);
	c->asked[1] = datafs_member_read(b.m, &c->read);
	c->asked[2] = datafs_member_change(b.m, &c->change);
}

static void told_once(void)
{
	for (unsigned int i = 0; i < OPS; i++)
		for (unsigned int j = 0; j < 3; j++)
			assert_int_equal(calls[i].told[j], !calls[i].asked[j]);
}

/* Frames that are ready before memory fails. */
static struct {
	void *buf;
	size_t len;
} frames[16];
static unsigned int n_frames;

static void keep(const struct datafs_raft_frame *f)
{
	long len = datafs_raft_encode(f, &frames[n_frames].buf);

	assert_true(len > 0);
	frames[n_frames++].len = (size_t)len;
}

static void keep_grant(uint64_t term, bool pre_vote)
{
	struct datafs_raft_frame f = { .kind = RAFT_REQUEST_VOTE_RESULT };

	f.raft.type = f.kind;
	f.raft.request_vote_result = (struct raft_request_vote_result) {
		.version = 2, .term = term, .vote_granted = true, .pre_vote = pre_vote,
	};
	keep(&f);
}

static void keep_ack(uint64_t term, uint64_t index)
{
	struct datafs_raft_frame f = { .kind = RAFT_APPEND_ENTRIES_RESULT };

	f.raft.type = f.kind;
	f.raft.append_entries_result = (struct raft_append_entries_result) {
		.version = 2, .term = term, .last_log_index = index,
	};
	keep(&f);
}

static void keep_confirmed(uint64_t term, uint64_t round)
{
	struct datafs_raft_frame f = {
		.kind = DATAFS_RAFT_KIND_CONFIRMED, .confirm = { term, round },
	};

	keep(&f);
}

/* Of a later leader, whose log parts from this one's at entry 4. */
static void keep_entry(uint64_t term)
{
	static uint64_t data[1];
	struct raft_entry e = {
		.term = term, .type = RAFT_BARRIER, .buf = { data, sizeof(data) },
	};
	struct datafs_raft_frame f = { .kind = RAFT_APPEND_ENTRIES };

	f.raft.type = f.kind;
	f.raft.append_entries = (struct raft_append_entries) {
		.term = term, .prev_log_index = 4, .prev_log_term = 2, .leader_commit = 4,
		.entries = &e, .n_entries = 1,
	};
	keep(&f);
}

static void quiet_send(void *ctx, uint64_t to, const void *buf, size_t len)
{
	(void)ctx;
	(void)to;
	(void)buf;
	(void)len;
}

static void next_frame(unsigned int *i)
{
	datafs_member_receive(b.m, 2, frames[*i].buf, frames[*i].len);
	++*i;
}

/* Elected, asked for everything, deposed, and asked again. */
static void life(void)
{
	unsigned int i = 0;

	bench_tick(&b, 1000);
	next_frame(&i);
	next_frame(&i);
	begin(0);
	next_frame(&i);		/* 2 has the barrier and the first operation */
	begin(1);
	next_frame(&i);		/* and confirms the first read */
	next_frame(&i);		/* and has what came since */
	begin(2);
	next_frame(&i);		/* another leads */
	begin(3);
	bench_tick(&b, 1000);
}

static void once(unsigned int nth)
{
	bench_init(&b);
	b.threshold = 3;
	assert_int_equal(bench_start(&b), 0);
	b.m->cfg.net.send = quiet_send;
	memset(calls, 0, sizeof(calls));
	fails_in = nth;
	life();
	nth = fails_in;
	fails_in = 0;
	bench_stop(&b);
	told_once();
	bench_free(&b);
	fails_in = nth;
}

static void every_allocation(void **state)
{
	unsigned int n = 0;

	(void)state;
	keep_grant(2, true);
	keep_grant(2, false);
	keep_ack(2, 3);
	keep_confirmed(2, 1);
	keep_ack(2, 4);
	keep_entry(3);
	/* none fails: all is told what it was asked */
	once(0);
	assert_int_equal(calls[0].asked[0] | calls[0].asked[1] | calls[1].asked[0], 0);
	assert_int_equal(calls[1].asked[2], 0);
	assert_int_equal(calls[3].asked[0], -EREMOTE);
	do
		once(++n);
	while (!fails_in && n < 1000);
	fails_in = 0;
	print_message("%u allocations\n", n - 1);
	assert_true(n > 50 && n < 1000);
	while (n_frames)
		free(frames[--n_frames].buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("member_memory", tests, NULL, NULL);
}
