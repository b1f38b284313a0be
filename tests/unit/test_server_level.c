// SPDX-License-Identifier: Apache-2.0
/* Members of two feature levels in one quorum: when it rises, and who is refused. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "metad/ns.h"

#define OLD	DATAFS_METAD_LEVEL
#define NEW	(DATAFS_METAD_LEVEL + 1)
/* The leader asks once a second: after so long it would have risen. */
#define LOOKS_MS	2500

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void start_as(unsigned int id, uint32_t level)
{
	node_stop(id);
	nodes[id].level = level;
	node_start(id);
}

static uint32_t level_at(unsigned int id)
{
	Metad__Status st;

	return status_of(id, &st) && st.has_feature_level ? st.feature_level : 0;
}

static void wait_for_level(unsigned int id, uint32_t level)
{
	for (unsigned int i = 0; i < 1000; i++) {
		if (level_at(id) == level)
			return;
		pause_ms(20);
	}
	fail_msg("member %u does not come to level %u", id, level);
}

/* One of the new level leads, so that it asks. */
static void let_new_lead(void)
{
	Metad__Change change = METAD__CHANGE__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;

	a.of_case = METAD__ADMIN__OF_TRANSFER;
	a.transfer = &change;
	change.has_id = true;
	for (unsigned int i = 0; nodes[leader()].level != NEW; i++) {
		assert_true(i < 100);
		for (change.id = 1; nodes[change.id].level != NEW; change.id++)
			;
		admin_error(&a);
		pause_ms(200);
	}
}

static int add_error(unsigned int id)
{
	Metad__Change change = METAD__CHANGE__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;

	change.has_id = change.has_standby = true;
	change.id = id;
	change.standby = true;
	change.address = nodes[id].address;
	a.of_case = METAD__ADMIN__OF_ADD;
	a.add = &change;
	return admin_error(&a);
}

static void remove_node(unsigned int id)
{
	Metad__Change change = METAD__CHANGE__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;

	change.has_id = true;
	change.id = id;
	a.of_case = METAD__ADMIN__OF_REMOVE;
	a.remove = &change;
	assert_int_equal(admin_error(&a), 0);
}

static void raise_all(void)
{
	for (unsigned int id = 1; id <= 3; id++) {
		start_as(id, NEW);
		leader();
	}
	for (unsigned int id = 1; id <= 3; id++)
		wait_for_level(id, NEW);
}

static void test_rises_with_the_last(void **state)
{
	Metad__Status st;

	(void)state;
	start_as(1, NEW);
	start_as(2, NEW);
	let_new_lead();
	pause_ms(LOOKS_MS);
	for (unsigned int id = 1; id <= 3; id++)
		assert_int_equal(level_at(id), OLD);
	assert_true(status_of(3, &st));
	assert_int_equal(st.feature_known, OLD);
	must((struct req){ OP(CREATE), 1, "both", .mode = 0644 });
	/* one that does not answer may be of any level */
	node_stop(3);
	pause_ms(LOOKS_MS);
	assert_int_equal(level_at(1), OLD);
	nodes[3].level = NEW;
	node_start(3);
	for (unsigned int id = 1; id <= 3; id++)
		wait_for_level(id, NEW);
	assert_true(status_of(3, &st));
	assert_int_equal(st.feature_known, NEW);
	must((struct req){ OP(CREATE), 1, "new", .mode = 0644 });
	check_same_states();
}

static void test_a_member_without_a_vote_counts(void **state)
{
	(void)state;
	assert_int_equal(datafs_server_make(nodes[4].dir, 4, NULL, 0), 0);
	node_start(4);
	assert_int_equal(add_error(4), 0);
	for (unsigned int id = 1; id <= 3; id++) {
		start_as(id, NEW);
		leader();
	}
	pause_ms(LOOKS_MS);
	assert_int_equal(level_at(leader()), OLD);
	remove_node(4);
	for (unsigned int id = 1; id <= 3; id++)
		wait_for_level(id, NEW);
}

static void test_who_is_too_old(void **state)
{
	struct datafs_server *s;
	char said[256];

	(void)state;
	raise_all();
	assert_int_equal(datafs_server_make(nodes[4].dir, 4, NULL, 0), 0);
	/* not there; not of the level; of the level; there already */
	assert_int_equal(add_error(4), EHOSTUNREACH);
	nodes[4].level = OLD;
	node_start(4);
	assert_int_equal(add_error(4), EPROTONOSUPPORT);
	start_as(4, NEW);
	assert_int_equal(add_error(4), 0);
	assert_int_equal(add_error(4), EEXIST);
	wait_for_level(4, NEW);
	/* one that was of the level, and comes back as an older version */
	all_equal();
	node_stop(4);
	nodes[4].level = OLD;
	assert_int_equal(node_open(4, &s), -EPROTO);
	datafs_log_last_error(said, sizeof(said));
	assert_non_null(strstr(said, "feature level is"));
	assert_non_null(strstr(said, "version knows"));
	start_as(4, NEW);
	all_equal();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_rises_with_the_last),
		SERVER_TEST(test_a_member_without_a_vote_counts),
		SERVER_TEST(test_who_is_too_old),
	};

	return cmocka_run_group_tests_name("server_level", tests, NULL, NULL);
}
