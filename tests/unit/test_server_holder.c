// SPDX-License-Identifier: Apache-2.0
/* Who may say that a session believes nothing, and what is waited for before a lease. */
#define _GNU_SOURCE
#include "server_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "holder_wrap.h"
#include "metad/ns.h"

static struct client a, b;

/* Commands that are sent to members, by anybody here. */
static atomic_uint commands;

int __wrap_datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call,
			    const void *body, uint32_t len, uint32_t ms)
{
	Metad__Ask *ask = metad__ask__unpack(NULL, len, body);

	if (ask && ask->what_case == METAD__ASK__WHAT_COMMAND)
		atomic_fetch_add(&commands, 1);
	if (ask)
		metad__ask__free_unpacked(ask, NULL);
	return __real_datafs_conn_call(conn, call, body, len, ms);
}

/* The next one to look finds its database damaged. */
static atomic_bool damaged;

int __wrap_datafs_touched(struct datafs_metad *m, const struct Metad__Command *c,
			  struct datafs_grant_object objects[DATAFS_TOUCHED_MAX],
			  unsigned int *said)
{
	return atomic_exchange(&damaged, false) ? -EUCLEAN :
	       __real_datafs_touched(m, c, objects, said);
}

/* The next command is held back, until there is another one after it is let go. */
static atomic_bool hold;
static _Atomic(struct datafs_member_op *) held_op;
static atomic_bool let_go;

int __wrap_datafs_member_submit(struct datafs_member *m, struct datafs_member_op *op)
{
	if (atomic_exchange(&hold, false)) {
		atomic_store(&held_op, op);
		return 0;
	}
	if (atomic_load(&let_go)) {
		struct datafs_member_op *first = atomic_exchange(&held_op, NULL);

		if (first)
			assert_int_equal(__real_datafs_member_submit(m, first), 0);
	}
	return __real_datafs_member_submit(m, op);
}

static int setup(void **state)
{
	server_setup(state);
	for (unsigned int id = 1; id <= 3; id++)
		node_stop(id);
	lease = 5000;
	for (unsigned int id = 1; id <= 3; id++)
		node_start(id);
	a = (struct client){ 0 };
	b = (struct client){ 0 };
	return 0;
}

static int teardown(void **state)
{
	if (a.q)
		client_close(&a);
	if (b.q)
		client_close(&b);
	return server_teardown(state);
}

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* The error of Leased; @term: that which the leader told last. */
static uint32_t say_fresh_in(struct datafs_remote *r, uint64_t session, uint64_t holder,
			     uint64_t number, uint64_t *term)
{
	Metad__Lease l = METAD__LEASE__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	Metad__Reply *reply;
	uint8_t buf[96];
	uint32_t error;

	l.has_session = l.has_fresh = l.has_holder = l.has_number = l.has_term = true;
	l.session = session;
	l.fresh = true;
	l.holder = holder;
	l.number = number;
	l.term = *term;
	ask.what_case = METAD__ASK__WHAT_LEASE;
	ask.lease = &l;
	assert_int_equal(datafs_remote_call(r, buf, metad__ask__pack(&ask, buf),
					    DATAFS_REMOTE_LEADER, 0, &reply), 0);
	assert_int_equal(reply->error, 0);
	assert_non_null(reply->leased);
	error = reply->leased->error;
	*term = reply->leased->term;
	metad__reply__free_unpacked(reply, NULL);
	return error;
}

/* ... with the leader's term. */
static uint32_t say_fresh(struct datafs_remote *r, uint64_t session, uint64_t holder,
			  uint64_t number)
{
	uint64_t term = 0;

	say_fresh_in(r, session, holder, number, &term);
	return say_fresh_in(r, session, holder, number, &term);
}

static struct datafs_remote *remote_open(void)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	struct datafs_remote *r;

	assert_int_equal(datafs_remote_open(&cfg, &r), 0);
	return r;
}

static void wait_for_level(void)
{
	Metad__Status st;

	while (!status_of(leader(), &st) || st.feature_level < DATAFS_METAD_LEVEL_LEASE)
		pause_ms(20);
}

static bool believes(struct client *c, uint64_t ino)
{
	struct datafs_grant_object o = attr_of(ino);
	struct datafs_told told;
	Metad__Answer *r = client_getattr(c, ino, &told);
	bool believed = r->believe && datafs_quorum_keep(c->q, &told, &o);

	metad__answer__free_unpacked(r, NULL);
	return believed;
}

static void chmod_of(struct client *c, uint64_t ino, uint32_t mode)
{
	client_must(c, (struct req){ OP(SETATTR), ino, .set = { .has_mode = true, .mode = mode } });
}

static void test_late(void **state)
{
	struct datafs_remote *r = remote_open();

	(void)state;
	wait_for_level();
	assert_int_equal(say_fresh(r, SESSION, 5, 3), 0);
	assert_int_equal(say_fresh(r, SESSION, 5, 3), ESTALE);
	assert_int_equal(say_fresh(r, SESSION, 5, 2), ESTALE);
	assert_int_equal(say_fresh(r, SESSION, 5, 4), 0);
	/* after it, by the same connection */
	assert_int_equal(say_fresh(r, SESSION, 6, 1), 0);
	assert_int_equal(say_fresh(r, 4711, 6, 1), ENOTCONN);
	datafs_remote_close(r);
}

/* It says nothing of what the first one believes, who still hears of changes. */
static void test_other_holder(void **state)
{
	struct datafs_remote *r = remote_open();
	int64_t until;
	uint64_t f;

	(void)state;
	client_open(&a, 1001);
	client_open(&b, 1002);
	f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	assert_true(believes(&a, f));
	assert_int_equal(say_fresh(r, 1001, 1, 1), EAGAIN);
	chmod_of(&b, f, 0600);
	assert_int_equal(a.recalls, 1);
	assert_int_equal(a.losses, 0);
	until = datafs_quorum_until(a.q);
	client_close(&a);
	a.q = NULL;
	while (say_fresh(r, 1001, 1, 1))
		pause_ms(20);
	assert_true(datafs_now() > until);
	datafs_remote_close(r);
}

static atomic_bool done;

static void *do_chmod_then(void *ino)
{
	must((struct req){ OP(SETATTR), *(uint64_t *)ino,
			   .set = { .has_mode = true, .mode = 0600 } });
	atomic_store(&done, true);
	return NULL;
}

/*
 * What was said to the last leader, or before it led, says nothing to the next one: who may
 * believe something is waited for. Nor does what another holder says.
 */
static void test_next_leader(void **state)
{
	struct datafs_remote *r = remote_open();
	uint64_t term = 0, now, f;
	pthread_t thread;

	(void)state;
	wait_for_level();
	f = must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	assert_int_equal(say_fresh_in(r, SESSION, 5, 1, &term), EAGAIN);
	assert_int_equal(say_fresh_in(r, SESSION, 5, 2, &term), 0);
	let_another_lead();
	now = term;
	assert_int_equal(say_fresh_in(r, SESSION, 5, 1, &now), EAGAIN);
	assert_true(now > term);
	atomic_store(&done, false);
	assert_int_equal(pthread_create(&thread, NULL, do_chmod_then, &f), 0);
	assert_int_equal(say_fresh_in(r, SESSION, 5, 1, &term), EAGAIN);
	term = now;
	assert_int_equal(say_fresh_in(r, SESSION, 6, 1, &now), EAGAIN);
	pause_ms(300);
	assert_false(atomic_load(&done));
	assert_int_equal(say_fresh_in(r, SESSION, 5, 3, &term), 0);
	pthread_join(thread, NULL);
	datafs_remote_close(r);
}

/* ... after the lease of the last one it may. */
static void test_next_holder(void **state)
{
	struct datafs_remote *r = remote_open();

	(void)state;
	wait_for_level();
	assert_int_equal(say_fresh(r, SESSION, 5, 1), 0);
	let_another_lead();
	assert_int_equal(say_fresh(r, SESSION, 6, 1), EAGAIN);
	while (say_fresh(r, SESSION, 6, 1))
		pause_ms(20);
	assert_int_equal(say_fresh(r, SESSION, 6, 2), 0);
	datafs_remote_close(r);
}

static void *do_chmod(void *ino)
{
	chmod_of(&b, *(uint64_t *)ino, 0600);
	return NULL;
}

/* A change that waits is not asked for again while its leader lives; others are answered. */
static void test_waits_once(void **state)
{
	pthread_t thread;
	unsigned int n;
	uint64_t f;

	(void)state;
	client_open(&a, 1001);
	client_open(&b, 1002);
	f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	assert_true(believes(&a, f));
	client_mute(&a);
	n = atomic_load(&commands);
	assert_int_equal(pthread_create(&thread, NULL, do_chmod, &f), 0);
	client_losses(&a, 1);
	believes(&b, 1);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&commands), n + 1);
	assert_int_equal(b.losses, 0);
	client_speak(&a);
}

/* Who cannot read what a change changes leads no more. */
static void test_damaged(void **state)
{
	unsigned int was;
	uint64_t f;

	(void)state;
	client_open(&a, 1001);
	client_open(&b, 1002);
	f = client_must(&b, (struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	was = leader();
	atomic_store(&damaged, true);
	chmod_of(&b, f, 0600);
	assert_false(atomic_load(&damaged));
	assert_int_not_equal(leader(), was);
}

static void *do_chmod_alone(void *ino)
{
	must((struct req){ OP(SETATTR), *(uint64_t *)ino,
			   .set = { .has_mode = true, .mode = 0600 } });
	return NULL;
}

/* Of a change from before there were leases nobody is told: it is done before the first. */
static void test_unmarked(void **state)
{
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	struct datafs_remote *r = remote_open();
	struct client c = { .session = 1001 };
	struct datafs_told told;
	Metad__Answer *found;
	pthread_t thread;
	uint64_t f;

	(void)state;
	wait_for_level();
	f = must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	assert_int_equal(datafs_quorum_open_remote(&cfg, &c.q), 0);
	client_must(&c, (struct req){ OP(SESSION_OPEN) });
	atomic_store(&hold, true);
	assert_int_equal(pthread_create(&thread, NULL, do_chmod_alone, &f), 0);
	while (!atomic_load(&held_op))
		pause_ms(1);
	assert_int_equal(say_fresh(r, 1001, 1, 1), EAGAIN);
	assert_int_equal(say_fresh(r, 1001, 1, 2), EAGAIN);
	atomic_store(&let_go, true);
	client_must(&c, (struct req){ OP(CREATE), 1, "g", .mode = 0644 });
	pthread_join(thread, NULL);
	assert_int_equal(say_fresh(r, 1001, 1, 3), 0);
	found = client_getattr(&c, f, &told);
	assert_int_equal(found->attr->mode, 0100600);
	metad__answer__free_unpacked(found, NULL);
	datafs_quorum_stop(c.q);
	datafs_quorum_close(c.q);
	datafs_remote_close(r);
}

/* There may be members that would halt at it. */
static void test_level(void **state)
{
	struct datafs_remote *r = remote_open();

	(void)state;
	assert_int_equal(say_fresh(r, SESSION, 1, 1), EOPNOTSUPP);
	must((struct req){ OP(CREATE), 1, "f", .mode = 0644 });
	all_equal();
	datafs_remote_close(r);
}

#define HOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOLDER_TEST(test_late),
		HOLDER_TEST(test_other_holder),
		HOLDER_TEST(test_next_leader),
		HOLDER_TEST(test_next_holder),
		HOLDER_TEST(test_waits_once),
		HOLDER_TEST(test_damaged),
		HOLDER_TEST(test_unmarked),
		cmocka_unit_test_setup_teardown(test_level, server_setup_level_1, server_teardown),
	};

	return cmocka_run_group_tests_name("server_holder", tests, NULL, NULL);
}
