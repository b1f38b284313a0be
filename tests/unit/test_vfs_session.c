// SPDX-License-Identifier: Apache-2.0
/* The session of a mount of a quorum: what is done once, and its end. */
#define _GNU_SOURCE
#include "vfs_changes.h"

#include <unistd.h>

#include "vfs/vfs_internal.h"

/* What is sent again, also to a successor, is done once. */
static void test_once(void **state)
{
	struct datafs_make_req m = { .mode = 0644 };
	struct datafs_change_rep one, two;
	struct datafs_attr a;

	(void)state;
	umount_id(2);
	assert_int_equal(mount_quorum(2, ":/", &a), 0);
	assert_int_equal(change_as(2, 100, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &one), 0);
	assert_int_equal(change_as(2, 100, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &two), 0);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_int_equal(change_as(2, 101, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &two),
			 -EEXIST);
	/* Nobody waits for 101 any more when 103 is sent. */
	m.change.lowest = 103;
	assert_int_equal(change_as(2, 103, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &two), 0);
	m.change.lowest = 0;
	assert_int_equal(change_as(2, 101, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &two),
			 -EIO);

	/* The daemon dies; the mount lives. */
	before_start = adopt;
	assert_int_equal(session_files(), 1);
	stop();
	start("sync_interval=always");
	assert_int_equal(session_files(), 1);
	assert_int_equal(change_as(2, 103, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &one), 0);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_int_equal(change_as(2, 104, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &one),
			 -EEXIST);
	umount_id(2);
	assert_int_equal(session_files(), 0);
}

static const struct datafs_quorum_ops *real_ops;
static unsigned int changes_left;

static int die_later(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res)
{
	if (!changes_left)
		return -ESHUTDOWN;
	changes_left--;
	return real_ops->change(q, cmd, res);
}

/* What holds an inode was done, or all of it: the successor does the rest, once. */
static void half(unsigned int done, uint64_t id)
{
	struct datafs_rename_req rn = {
		.new_parent = TOP, .new_namelen = 1, .flags = DATAFS_RENAME_HOLD,
	};
	const struct datafs_change_req c = { .lowest = id };
	struct datafs_remove_req rm = { .change = c };
	struct datafs_quorum_ops ops = *real_ops;
	struct datafs_make_req m = { .mode = 0644 };
	struct datafs_change_rep rep;
	struct datafs_attr a, moved;

	assert_int_equal(change_as(2, id++, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &rep), 0);
	moved = rep.node.attr;
	assert_int_equal(change_as(2, id++, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &rep), 0);
	rn.ino = rep.node.attr.ino;
	ops.change = die_later;
	changes_left = done;
	atomic_load(&v->quorum)->ops = &ops;
	assert_int_equal(change_as(2, id, DATAFS_OP_RENAME, TOP, &rn, sizeof(rn), "f", "g", NULL),
			 done < 2 ? -ESHUTDOWN : 0);
	atomic_load(&v->quorum)->ops = real_ops;
	stop();
	start("sync_interval=always");
	assert_int_equal(change_as(2, id, DATAFS_OP_RENAME, TOP, &rn, sizeof(rn), "f", "g", &rep), 0);
	assert_int_equal(rep.node.attr.ino, moved.ino);
	assert_int_equal(rep.other.ino, rn.ino);
	assert_int_equal(rep.other.nlink, 0);
	assert_int_equal(find(2, TOP, "f", &a), -ENOENT);
	assert_int_equal(find(2, TOP, "g", &a), 0);
	assert_int_equal(a.ino, moved.ino);
	assert_int_equal(there(rn.ino), 0);
	assert_int_equal(change_as(2, id + 1, DATAFS_OP_RELEASE, rn.ino, &c, sizeof(c), NULL, NULL,
				   NULL), 0);
	assert_int_equal(there(rn.ino), -ESTALE);
	assert_int_equal(change_as(2, id + 2, DATAFS_OP_UNLINK, TOP, &rm, sizeof(rm), "g", NULL,
				   NULL), 0);
}

static void test_half(void **state)
{
	(void)state;
	before_start = adopt;
	real_ops = atomic_load(&v->quorum)->ops;
	for (unsigned int done = 0; done <= 2; done++)
		half(done, 5000 + 10 * done);
}

/* A mount that is none any more: its session is ended by the next daemon. */
static void test_stale_session(void **state)
{
	struct datafs_remove_req r = { .flags = DATAFS_REMOVE_HOLD };
	struct datafs_change_rep rep;
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", &rep), 0);
	r.ino = rep.node.attr.ino;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "f", NULL, &rep), 0);
	stop();
	assert_int_equal(session_files(), 1);
	start("sync_interval=always");
	assert_int_equal(session_files(), 0);
	assert_int_equal(mount_quorum(2, ":/", &a), 0);
	assert_int_equal(there(r.ino), -ESTALE);
}

static void adopt_two(void)
{
	static const uint8_t third[16] = { 3 };

	adopt();
	assert_int_equal(datafs_vfs_adopt_mount(v, 3, third, ":/", ""), 0);
}

/* A predecessor may have changed something, if only the table of mounts, and not told it. */
static void test_taken_over(void **state)
{
	struct datafs_attr a;

	(void)state;
	before_start = adopt;
	stop();
	start("sync_interval=always");
	assert_int_equal(invalidations, 1);
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	before_start = adopt_two;
	stop();
	start("sync_interval=always");
	assert_int_equal(invalidations, 3);
	assert_int_equal(invalidated.mount_id, 3);
	assert_int_equal(invalidated.ino, 0);
	assert_int_equal(session_files(), 2);
	umount_id(3);
}

/* A mount's session of another namespace, or none that can be read, is not used. */
static void test_foreign_session(void **state)
{
	static const char *const texts[] = {
		"123 00112233445566778899aabbccddeeff\n", "123\n", "", "x\n",
	};
	struct datafs_make_req m = { .mode = 0644 };
	struct datafs_attr a;
	char path[4400];

	(void)state;
	snprintf(path, sizeof(path), "%s/../cache/sessions/02%030d", src, 0);
	before_start = adopt;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		stop();
		assert_int_equal(access(path, F_OK), 0);
		assert_int_equal(datafs_write_small(path, texts[i]), 0);
		start("sync_interval=always");
		assert_int_equal(attr_of(TOP, &a), -ESTALE);
		assert_int_equal(change_as(2, 100 + i, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f",
					   NULL, NULL), -ESTALE);
	}
	umount_id(2);
	assert_int_equal(session_files(), 0);
}

static unsigned int opens;

/* The first one that is chosen is somebody else's. */
static int open_theirs(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res)
{
	int ret = real_ops->change(q, cmd, res);

	if (!ret && cmd->op_case == METAD__COMMAND__OP_SESSION_OPEN && !opens++)
		(*res)->error = EALREADY;
	return ret;
}

static void test_chosen_twice(void **state)
{
	struct datafs_quorum *q = atomic_load(&v->quorum);
	struct datafs_quorum_ops ops = *q->ops;
	struct datafs_attr a;

	(void)state;
	real_ops = q->ops;
	ops.change = open_theirs;
	opens = 0;
	q->ops = &ops;
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	assert_int_equal(opens, 2);
	q->ops = real_ops;
	umount_id(3);
	assert_int_equal(session_files(), 1);
}

/* Somebody has ended it. */
static void test_ended_session(void **state)
{
	struct datafs_quorum *q = atomic_load(&v->quorum);
	Metad__SessionClose close_it = METAD__SESSION_CLOSE__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	struct vfs_mount *mnt = vfs_mount_get(v, 2);
	struct datafs_attr a;
	Metad__Result *res;

	(void)state;
	c.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	c.session_close = &close_it;
	c.has_session = c.has_request = c.has_lowest = true;
	c.session = mnt->session;
	c.request = c.lowest = UINT64_MAX;
	vfs_mount_put(mnt);
	assert_int_equal(datafs_quorum_change(q, &c, &res), 0);
	assert_int_equal(res->error, 0);
	metad__result__free_unpacked(res, NULL);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), -EIO);
	assert_int_equal(attr_of(TOP, &a), 0);
	umount_id(2);
	assert_int_equal(session_files(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHANGES_TEST(test_once),
		CHANGES_TEST(test_half),
		CHANGES_TEST(test_stale_session),
		CHANGES_TEST(test_taken_over),
		CHANGES_TEST(test_foreign_session),
		CHANGES_TEST(test_ended_session),
		CHANGES_TEST(test_chosen_twice),
	};

	return cmocka_run_group_tests_name("vfs_session", tests, NULL, NULL);
}
