// SPDX-License-Identifier: Apache-2.0
/* Quotas as an operator sets them, and as a client meets them. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metad/ns.h"

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static int set_quota(uint64_t ino, uint64_t inodes)
{
	Metad__SetQuota set = METAD__SET_QUOTA__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;

	set.has_ino = set.has_inodes = true;
	set.ino = ino;
	set.inodes = inodes;
	a.of_case = METAD__ADMIN__OF_SET_QUOTA;
	a.set_quota = &set;
	return admin_error(&a);
}

static int remove_quota(uint64_t ino)
{
	Metad__RemoveQuota remove = METAD__REMOVE_QUOTA__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;

	remove.has_ino = true;
	remove.ino = ino;
	a.of_case = METAD__ADMIN__OF_REMOVE_QUOTA;
	a.remove_quota = &remove;
	return admin_error(&a);
}

static void wait_for_level(uint32_t level)
{
	Metad__Status st;

	for (unsigned int i = 0; i < 1000; i++) {
		if (status_of(leader(), &st) && st.feature_level == level)
			return;
		pause_ms(20);
	}
	fail_msg("the level does not come to %u", level);
}

static Metad__Answer *quotas(uint64_t after)
{
	Metad__Quotas from = METAD__QUOTAS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	from.has_after = true;
	from.after = after;
	q.of_case = METAD__QUERY__OF_QUOTAS;
	q.quotas = &from;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	assert_int_equal(a->error, 0);
	return a;
}

/* What statfs(2) of @ino asks: its quota, or NULL. */
static Metad__Answer *counts_of(uint64_t ino)
{
	Metad__Counts of = METAD__COUNTS__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	of.has_ino = true;
	of.ino = ino;
	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &of;
	assert_int_equal(datafs_quorum_ask(quorum, &q, &a), 0);
	assert_int_equal(a->error, 0);
	assert_true(a->inodes > 0);
	return a;
}

static void test_counts(void **state)
{
	uint64_t d = must((struct req){ OP(MKDIR), 1, "d", .mode = 0755 }), f;
	Metad__Answer *a;

	(void)state;
	wait_for_level(DATAFS_METAD_LEVEL);
	assert_int_equal(set_quota(d, 5), 0);
	f = must((struct req){ OP(CREATE), d, "f", .mode = 0644 });
	for (int i = 0; i < 2; i++) {
		a = counts_of(i ? f : d);
		assert_int_equal(a->n_quotas, 1);
		assert_true(a->quotas[0]->root == d && a->quotas[0]->inodes == 2);
		assert_int_equal(a->quotas[0]->inodes_max, 5);
		metad__answer__free_unpacked(a, NULL);
	}
	/* of none, one that is gone, and one that never was */
	assert_int_equal(remove_quota(d), 0);
	for (int i = 0; i < 3; i++) {
		a = counts_of(i == 2 ? 4711 : i ? d : 1);
		assert_int_equal(a->n_quotas, 0);
		metad__answer__free_unpacked(a, NULL);
	}
}

static void test_set_and_removed(void **state)
{
	uint64_t d = must((struct req){ OP(MKDIR), 1, "d", .mode = 0755 });
	Metad__Answer *a;

	(void)state;
	wait_for_level(DATAFS_METAD_LEVEL);
	assert_int_equal(set_quota(d, 2), 0);
	must((struct req){ OP(CREATE), d, "a", .mode = 0644 });
	assert_int_equal(error_of((struct req){ OP(CREATE), d, "b", .mode = 0644 }), EDQUOT);
	assert_int_equal(set_quota(d, 3), 0);
	must((struct req){ OP(CREATE), d, "b", .mode = 0644 });
	assert_int_equal(error_of((struct req){ OP(RENAME), d, "b", 1, "b" }), EXDEV);
	a = quotas(0);
	assert_int_equal(a->n_quotas, 1);
	assert_true(a->eof);
	assert_true(a->quotas[0]->root == d && a->quotas[0]->inodes == 3);
	assert_true(a->quotas[0]->inodes_max == 3 && !a->quotas[0]->bytes_max);
	metad__answer__free_unpacked(a, NULL);
	assert_int_equal(set_quota(1, 2), ENOTEMPTY);
	assert_int_equal(remove_quota(1), ENOENT);
	assert_int_equal(remove_quota(d), 0);
	must((struct req){ OP(CREATE), d, "c", .mode = 0644 });
	check_same_states();
}

/* More than one answer has room for. */
static void test_many(void **state)
{
	uint64_t after = 0, n = 0;
	Metad__Answer *a;
	bool eof;

	(void)state;
	wait_for_level(DATAFS_METAD_LEVEL);
	for (char name[4] = "000"; name[0] < '6'; name[0]++)
		for (name[1] = '0'; name[1] <= '9'; name[1]++)
			for (name[2] = '0'; name[2] <= '9'; name[2]++)
				assert_int_equal(set_quota(must((struct req){
					OP(MKDIR), 1, name, .mode = 0755 }), 7), 0);
	do {
		a = quotas(after);
		for (size_t i = 0; i < a->n_quotas; i++, n++) {
			assert_true(a->quotas[i]->id > after);
			after = a->quotas[i]->id;
		}
		eof = a->eof;
		metad__answer__free_unpacked(a, NULL);
	} while (!eof);
	assert_int_equal(n, 600);
}

static void test_not_before_its_level(void **state)
{
	uint64_t d = must((struct req){ OP(MKDIR), 1, "d", .mode = 0755 });

	(void)state;
	assert_int_equal(set_quota(d, 2), EOPNOTSUPP);
	assert_int_equal(remove_quota(d), EOPNOTSUPP);
	must((struct req){ OP(CREATE), d, "a", .mode = 0644 });
	all_equal();
}

/* As packed Commands in a session, and as who is no member. */
static void test_only_for_operators(void **state)
{
	Metad__SetQuota set = METAD__SET_QUOTA__INIT;
	Metad__Admin admin_ask = METAD__ADMIN__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	struct datafs_remote_config cfg = { .members = all_addresses(), .keys = &client_keys };
	struct datafs_remote *client;
	uint8_t cmd[64], buf[128];

	(void)state;
	wait_for_level(DATAFS_METAD_LEVEL);
	assert_int_equal(datafs_remote_open(&cfg, &client), 0);
	set.has_ino = true;
	set.ino = 1;
	admin_ask.of_case = METAD__ADMIN__OF_SET_QUOTA;
	admin_ask.set_quota = &set;
	ask.what_case = METAD__ASK__WHAT_ADMIN;
	ask.admin = &admin_ask;
	assert_int_equal(raw_error(client, DATAFS_REMOTE_LEADER, buf, metad__ask__pack(&ask, buf)),
			 EACCES);
	c.has_session = c.has_request = true;
	c.session = SESSION;
	c.request = 100;
	c.op_case = METAD__COMMAND__OP_SET_QUOTA;
	c.set_quota = &set;
	ask.what_case = METAD__ASK__WHAT_COMMAND;
	ask.command = (ProtobufCBinaryData) { metad__command__pack(&c, cmd), cmd };
	assert_int_equal(raw_error(admin, DATAFS_REMOTE_LEADER, buf, metad__ask__pack(&ask, buf)),
			 EINVAL);
	datafs_remote_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_set_and_removed),
		SERVER_TEST(test_counts),
		SERVER_TEST(test_many),
		cmocka_unit_test_setup_teardown(test_not_before_its_level, server_setup_level_1,
						server_teardown),
		SERVER_TEST(test_only_for_operators),
	};

	return cmocka_run_group_tests_name("server_quota", tests, NULL, NULL);
}
