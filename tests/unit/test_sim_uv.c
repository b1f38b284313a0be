// SPDX-License-Identifier: Apache-2.0
/*
 * Members on the real disk of their log (raft_uv), in real time, on one libuv
 * loop. Between them there is a queue.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uv.h>

#include "base/log.h"
#include "lin_register.h"
#include "metad/raft_conf.h"
#include "metad/raft_uv.h"
#include "sim.h"
#include "sim_runs.h"
#include "tmpdir.h"

#define MEMBERS	3u
#define WAIT_S	120	/* for what takes a second */

struct letter {
	STAILQ_ENTRY(letter) next;
	unsigned int from, to;
	uint64_t token;		/* of a fetch; 0: a message */
	struct datafs_raft_piece piece;
	char file[64];
	size_t len;
	char buf[];
};

struct node {
	unsigned int id;
	struct datafs_raft_uv *uv;
	struct datafs_member *m;
	struct sim_fsm *fsm;
	bool closed;
};

static uv_loop_t loop;
static uv_timer_t timer;
static struct node nodes[MEMBERS + 1];
static STAILQ_HEAD(, letter) mail = STAILQ_HEAD_INITIALIZER(mail);
static char dir[4096];

static void post(unsigned int from, unsigned int to, const struct datafs_raft_piece *piece,
		 uint64_t token, const void *buf, size_t len)
{
	struct letter *l = calloc(1, sizeof(*l) + len);

	assert_non_null(l);
	l->from = from;
	l->to = to;
	l->token = token;
	if (piece) {
		l->piece = *piece;
		snprintf(l->file, sizeof(l->file), "%s", piece->file);
		l->piece.file = l->file;
	}
	l->len = len;
	if (len)
		memcpy(l->buf, buf, len);
	STAILQ_INSERT_TAIL(&mail, l, next);
}

static void net_send(void *ctx, uint64_t to, const void *buf, size_t len)
{
	post(((struct node *)ctx)->id, (unsigned int)to, NULL, 0, buf, len);
}

static void net_fetch(void *ctx, uint64_t from, const struct datafs_raft_piece *piece,
		      uint64_t token)
{
	post(((struct node *)ctx)->id, (unsigned int)from, piece, token, NULL, 0);
}

static uint64_t now_of(void *ctx)
{
	(void)ctx;
	return uv_now(&loop);
}

static void deliver(const struct letter *l)
{
	struct node *to = &nodes[l->to], *from = &nodes[l->from];
	char *buf;
	long n;

	if (!to->m)
		return;
	if (!l->token) {
		datafs_member_receive(to->m, l->from, l->buf, l->len);
		return;
	}
	buf = malloc(l->piece.len);
	n = datafs_member_piece(to->m, &l->piece, buf);
	if (from->m)
		datafs_member_fetched(from->m, l->token, n < 0 ? (int)n : 0, buf,
				      n < 0 ? 0 : (size_t)n);
	free(buf);
}

static void on_timer(uv_timer_t *t)
{
	struct letter *l;

	(void)t;
	while ((l = STAILQ_FIRST(&mail))) {
		STAILQ_REMOVE_HEAD(&mail, next);
		deliver(l);
		free(l);
	}
	for (unsigned int i = 1; i <= MEMBERS; i++)
		if (nodes[i].m && uv_now(&loop) >= datafs_member_deadline(nodes[i].m))
			datafs_member_tick(nodes[i].m);
}

/* Runs the loop until it is so. */
#define UNTIL(cond) do {							\
	time_t end_ = time(NULL) + WAIT_S;					\
	while (!(cond)) {							\
		assert_true(time(NULL) < end_);					\
		uv_run(&loop, UV_RUN_ONCE);					\
	}									\
} while (0)

static const char *log_dir(unsigned int id)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/log-%u", dir, id);
	return path;
}

static void node_start(unsigned int id)
{
	struct node *n = &nodes[id];
	struct datafs_member_config cfg = {
		.id = id, .seed = id, .snapshots = sim_fsm_snapshots(n->fsm), .threshold = 20,
		.trailing = 4, .fsm = sim_fsm_ops(n->fsm), .net = { n, net_send, net_fetch },
		.disk = datafs_raft_uv_disk(n->uv), .now = now_of,
	};
	char address[16];

	snprintf(address, sizeof(address), "m%u", id);
	cfg.address = address;
	assert_int_equal(datafs_member_open(&cfg, &n->m), 0);
	assert_int_equal(datafs_member_start(n->m), 0);
}

static void first_start(unsigned int id, unsigned int members)
{
	static const struct datafs_raft_peer peers[] = { { 1, "m1" }, { 2, "m2" }, { 3, "m3" } };
	struct raft_configuration conf;
	struct node *n = &nodes[id];
	char path[4200];

	*n = (struct node) { .id = id };
	snprintf(path, sizeof(path), "%s/m%u", dir, id);
	n->fsm = sim_fsm_new(&sim, path);
	sim_fsm_open(n->fsm);
	assert_int_equal(mkdir(log_dir(id), 0700), 0);
	assert_int_equal(datafs_raft_uv_open(&loop, log_dir(id), id, true, &n->uv), 0);
	assert_int_equal(datafs_raft_conf_first(peers, members, &conf), 0);
	assert_int_equal(datafs_raft_uv_bootstrap(n->uv, &conf), 0);
	raft_configuration_close(&conf);
	node_start(id);
}

static void on_closed(void *ctx)
{
	((struct node *)ctx)->closed = true;
}

static void node_stop(unsigned int id)
{
	struct node *n = &nodes[id];
	struct datafs_member *m = n->m;

	n->m = NULL;
	n->closed = false;
	datafs_raft_uv_close(n->uv, on_closed, n);
	UNTIL(n->closed);
	datafs_member_close(m);
}

static void again(unsigned int id)
{
	struct node *n = &nodes[id];

	assert_int_equal(datafs_raft_uv_open(&loop, log_dir(id), id, false, &n->uv), 0);
	node_start(id);
}

static unsigned int leader(void)
{
	struct datafs_member_status st;

	for (unsigned int i = 1; i <= MEMBERS; i++) {
		if (!nodes[i].m)
			continue;
		datafs_member_status(nodes[i].m, &st);
		assert_int_equal(st.halted, 0);
		if (st.ready)
			return i;
	}
	return 0;
}

struct call {
	struct datafs_member_op op;
	struct datafs_member_read read;
	struct sim_request req;
	unsigned int done;
	int err;
	uint64_t value;
};

static void op_done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	struct call *c = (struct call *)op;

	c->done++;
	c->err = err;
	if (!err) {
		assert_int_equal(len, 8);
		memcpy(&c->value, res, 8);
	}
}

static void read_done(struct datafs_member_read *read, int err)
{
	struct call *c = (struct call *)((char *)read - offsetof(struct call, read));

	c->done++;
	c->err = err;
}

/* @n additions of 1 at once; all are answered, in order. */
static void add_many(unsigned int n, uint64_t *request)
{
	struct call *calls = calloc(n, sizeof(*calls));
	unsigned int who, left;

	UNTIL(leader());
	who = leader();
	for (unsigned int i = 0; i < n; i++) {
		struct call *c = &calls[i];

		c->req = (struct sim_request) {
			.request = ++*request, .value = 1, .kind = REGISTER_ADD
		};
		c->op = (struct datafs_member_op) {
			.buf = &c->req, .len = sizeof(c->req), .done = op_done
		};
		assert_int_equal(datafs_member_submit(nodes[who].m, &c->op), 0);
	}
	do {
		uv_run(&loop, UV_RUN_ONCE);
		left = 0;
		for (unsigned int i = 0; i < n; i++)
			left += !calls[i].done;
	} while (left);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(calls[i].done, 1);
		assert_int_equal(calls[i].err, 0);
		assert_int_equal(calls[i].value, *request - n + i + 1);
	}
	free(calls);
}

static uint64_t read_value(void)
{
	struct call c = { .read.done = read_done };
	unsigned int who;

	UNTIL(leader());
	who = leader();
	assert_int_equal(datafs_member_read(nodes[who].m, &c.read), 0);
	UNTIL(c.done);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.err, 0);
	return sim_fsm_value(nodes[who].fsm, 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&sim, 0, sizeof(sim));
	sim.random = 1;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_timer_init(&loop, &timer), 0);
	assert_int_equal(uv_timer_start(&timer, on_timer, 1, 1), 0);
	return tmpdir_make(dir, sizeof(dir), "uv");
}

static int teardown(void **state)
{
	struct letter *l;

	(void)state;
	for (unsigned int i = 1; i <= MEMBERS; i++) {
		if (nodes[i].m)
			node_stop(i);
		if (nodes[i].fsm)
			sim_fsm_free(nodes[i].fsm);
		nodes[i].fsm = NULL;
	}
	while ((l = STAILQ_FIRST(&mail))) {
		STAILQ_REMOVE_HEAD(&mail, next);
		free(l);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return tmpdir_remove(dir);
}

static bool behind(unsigned int id, uint64_t value)
{
	return sim_fsm_value(nodes[id].fsm, 0) != value;
}

/* What was answered is there after a restart, with snapshots on the way. */
static void one_member(void **state)
{
	struct datafs_member_status st;
	uint64_t request = 0;

	(void)state;
	first_start(1, 1);
	for (unsigned int i = 0; i < 30; i++)
		add_many(1, &request);
	add_many(500, &request);
	assert_int_equal(read_value(), 530);
	datafs_member_status(nodes[1].m, &st);
	/* packed: far fewer entries than operations */
	assert_true(st.applied < 300);
	assert_true(sim.snapshots >= 1);
	node_stop(1);
	/* its database loses what was not synced, and is told it again */
	sim_fsm_crash(nodes[1].fsm);
	sim_fsm_open(nodes[1].fsm);
	again(1);
	assert_int_equal(read_value(), 530);
	add_many(1, &request);
	assert_int_equal(read_value(), 531);
}

/* The leader goes; who was away for long gets a snapshot. */
static void three_members(void **state)
{
	uint64_t request = 0;
	unsigned int old;

	(void)state;
	for (unsigned int i = 1; i <= MEMBERS; i++)
		first_start(i, MEMBERS);
	add_many(10, &request);
	old = leader();
	node_stop(old);
	for (unsigned int i = 0; i < 60; i++)
		add_many(1, &request);
	assert_int_equal(read_value(), 70);
	assert_true(leader() != old);
	again(old);
	UNTIL(!behind(old, 70));
	assert_true(sim.restores >= 1);
	add_many(1, &request);
	for (unsigned int i = 1; i <= MEMBERS; i++)
		UNTIL(!behind(i, 71));
}

static void whose_disk(void **state)
{
	struct raft_configuration conf;
	struct datafs_raft_peer peer = { 1, "m1" };
	struct datafs_raft_uv *uv;
	char empty[4200];

	(void)state;
	first_start(1, 1);
	assert_int_equal(datafs_raft_conf_first(&peer, 1, &conf), 0);
	assert_int_equal(datafs_raft_uv_bootstrap(nodes[1].uv, &conf), -EEXIST);
	raft_configuration_close(&conf);
	node_stop(1);
	assert_int_equal(datafs_raft_uv_open(&loop, log_dir(1), 2, false, &uv), -ESTALE);
	assert_int_equal(datafs_raft_uv_open(&loop, log_dir(1), 1, true, &uv), -ESTALE);
	snprintf(empty, sizeof(empty), "%s/empty", dir);
	assert_int_equal(mkdir(empty, 0700), 0);
	/* it was wiped */
	assert_int_equal(datafs_raft_uv_open(&loop, empty, 1, false, &uv), -ESTALE);
	again(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_member, setup, teardown),
		cmocka_unit_test_setup_teardown(three_members, setup, teardown),
		cmocka_unit_test_setup_teardown(whose_disk, setup, teardown),
	};

	datafs_log_set_level(LOG_CRIT);
	return cmocka_run_group_tests_name("sim_uv", tests, NULL, NULL);
}
