// SPDX-License-Identifier: Apache-2.0
/* Members that come and go, directories that are not theirs, and disks that are full. */
#define _GNU_SOURCE
#include "server_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "server_wrap.h"

static atomic_ullong free_bytes = 1ull << 40;

/* Linked instead of the real one: a disk as full as the test wants. */
int __wrap_statvfs(const char *path, struct statvfs *st)
{
	(void)path;
	memset(st, 0, sizeof(*st));
	st->f_frsize = 1;
	st->f_bavail = atomic_load(&free_bytes);
	return 0;
}

static int change_error(Metad__Admin__OfCase of, uint64_t id, const char *address)
{
	Metad__Change change = METAD__CHANGE__INIT;
	Metad__Admin a = METAD__ADMIN__INIT;

	change.has_id = change.has_standby = true;
	change.id = id;
	change.standby = true;
	change.address = (char *)address;
	a.of_case = of;
	a.add = &change;
	return admin_error(&a);
}

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void test_a_member_joins_and_one_goes(void **state)
{
	uint64_t ino, found;
	unsigned int old, first;

	(void)state;
	ino = must((struct req){ OP(CREATE), 1, "before", .mode = 0644 });
	assert_int_equal(change_error(METAD__ADMIN__OF_ADD, 2, nodes[4].address), EEXIST);
	assert_int_equal(change_error(METAD__ADMIN__OF_ADD, 4, "nowhere"), EINVAL);
	assert_int_equal(change_error(METAD__ADMIN__OF_PROMOTE, 4, NULL), ENOENT);
	assert_int_equal(datafs_server_make(nodes[4].dir, 4, NULL, 0), 0);
	node_start(4);
	assert_int_equal(change_error(METAD__ADMIN__OF_ADD, 4, nodes[4].address), 0);
	assert_int_equal(change_error(METAD__ADMIN__OF_PROMOTE, 4, NULL), 0);
	all_equal();
	/* it leads, and the one that led is removed */
	first = leader();
	assert_int_equal(change_error(METAD__ADMIN__OF_REMOVE, first, NULL), EINVAL);
	do {
		assert_int_equal(change_error(METAD__ADMIN__OF_TRANSFER, 4, NULL), 0);
		pause_ms(200);
		old = leader();
	} while (old != 4);
	assert_int_equal(change_error(METAD__ADMIN__OF_REMOVE, first, NULL), 0);
	node_stop(first);
	assert_int_equal(lookup(quorum, 1, "before", &found), 0);
	assert_int_equal(found, ino);
	must((struct req){ OP(CREATE), 1, "after", .mode = 0644 });
	all_equal();
}

static void test_directories(void **state)
{
	struct datafs_server_config cfg = {
		.id = 3, .dir = nodes[1].dir, .listen = nodes[4].address, .keys = &member_keys,
		.threshold = 10, .trailing = 5,
	};
	struct datafs_raft_peer peers[] = { { 1, "127.0.0.1:1" }, { 2, "127.0.0.1:2" } };
	struct datafs_keys other = member_keys;
	struct datafs_server *s;

	(void)state;
	/* another process, or this one, has it */
	cfg.id = 1;
	assert_int_not_equal(datafs_server_open(&cfg, &s), 0);
	node_stop(1);
	/* another member's */
	cfg.id = 3;
	assert_int_equal(datafs_server_open(&cfg, &s), -ESTALE);
	/* another cluster's */
	cfg.id = 1;
	other.cluster[0] ^= 1;
	cfg.keys = &other;
	assert_int_equal(datafs_server_open(&cfg, &s), -EINVAL);
	/* nobody's, and somebody's where a new one shall be */
	cfg.keys = &member_keys;
	cfg.dir = nodes[4].dir;
	assert_int_equal(datafs_server_open(&cfg, &s), -ENOENT);
	assert_int_equal(datafs_server_make(nodes[1].dir, 1, peers, 2), -EEXIST);
	assert_int_equal(datafs_server_make(nodes[4].dir, 3, peers, 2), -EINVAL);
	/* its own is as it was */
	node_start(1);
	must((struct req){ OP(CREATE), 1, "a", .mode = 0644 });
	all_equal();
}

static void test_full_disk(void **state)
{
	uint64_t ino, other, found;

	(void)state;
	ino = must((struct req){ OP(CREATE), 1, "a", .mode = 0644 });
	other = must((struct req){ OP(CREATE), 1, "b", .mode = 0644 });
	atomic_store(&free_bytes, DATAFS_SERVER_RESERVE - 1);
	/* it looks once a second */
	pause_ms(1500);
	assert_int_equal(error_of((struct req){ OP(CREATE), 1, "c", .mode = 0644 }), ENOSPC);
	assert_int_equal(lookup(quorum, 1, "c", NULL), ENOENT);
	assert_int_equal(lookup(quorum, 1, "a", &found), 0);
	assert_int_equal(found, ino);
	/* what makes room is done, also of what is open, and by who comes now */
	assert_int_equal(error_of((struct req){ OP(SESSION_OPEN), .session = 200, .request = 1 }), 0);
	assert_int_equal(error_of((struct req){ OP(HOLD), other }), 0);
	assert_int_equal(error_of((struct req){ OP(UNLINK), 1, "b" }), 0);
	atomic_store(&free_bytes, 1ull << 40);
	pause_ms(1500);
	must((struct req){ OP(CREATE), 1, "c", .mode = 0644 });
	all_equal();
}

/* Where buffers are larger than the reserve is meant for, so is that. */
static void test_large_buffers(void **state)
{
	const uint64_t buffer = DATAFS_SERVER_WRITE_BUFFER_MAX;

	(void)state;
	memory.write_buffer = buffer;
	for (unsigned int id = 1; id <= 3; id++) {
		node_stop(id);
		node_start(id);
	}
	must((struct req){ OP(CREATE), 1, "a", .mode = 0644 });
	atomic_store(&free_bytes, DATAFS_SERVER_RESERVE_BUFFERS * buffer - 1);
	/* it looks once a second */
	pause_ms(1500);
	assert_int_equal(error_of((struct req){ OP(CREATE), 1, "b", .mode = 0644 }), ENOSPC);
	assert_int_equal(error_of((struct req){ OP(UNLINK), 1, "a" }), 0);
	atomic_store(&free_bytes, DATAFS_SERVER_RESERVE_BUFFERS * buffer);
	pause_ms(1500);
	must((struct req){ OP(CREATE), 1, "b", .mode = 0644 });
}

/* Nothing is done until there is room, and then it is, without an error. */
static void test_no_room_at_all(void **state)
{
	Metad__Status before, after;
	unsigned int id = leader();
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__SessionRenew renew = METAD__SESSION_RENEW__INIT;
	Metad__Ask ask = METAD__ASK__INIT;
	uint8_t cmd[64], buf[128];
	Metad__Reply *reply;

	(void)state;
	atomic_store(&free_bytes, DATAFS_SERVER_RESERVE / 4 - 1);
	pause_ms(1500);
	c.has_session = c.has_request = c.has_lowest = true;
	c.session = SESSION;
	c.request = c.lowest = ++request;
	c.op_case = METAD__COMMAND__OP_SESSION_RENEW;
	c.session_renew = &renew;
	ask.what_case = METAD__ASK__WHAT_COMMAND;
	ask.command = (ProtobufCBinaryData) { metad__command__pack(&c, cmd), cmd };
	assert_true(status_of(id, &before));
	assert_int_equal(datafs_remote_call(admin, buf, metad__ask__pack(&ask, buf),
					    DATAFS_REMOTE_LEADER, 1500, &reply), -ETIMEDOUT);
	assert_int_equal(lookup(quorum, 1, "a", NULL), ENOENT);
	assert_true(status_of(id, &after));
	assert_int_equal(before.commit, after.commit);
	atomic_store(&free_bytes, 1ull << 40);
	assert_int_equal(raw_error(admin, DATAFS_REMOTE_LEADER, buf, metad__ask__pack(&ask, buf)), 0);
	assert_true(status_of(id, &after));
	assert_int_equal(after.commit, before.commit + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_a_member_joins_and_one_goes),
		SERVER_TEST(test_directories),
		SERVER_TEST(test_full_disk),
		SERVER_TEST(test_large_buffers),
		SERVER_TEST(test_no_room_at_all),
	};

	return cmocka_run_group_tests_name("server_members", tests, NULL, NULL);
}
