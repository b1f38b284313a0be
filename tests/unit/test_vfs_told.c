// SPDX-License-Identifier: Apache-2.0
/* What the other mounts of a namespace are told of a change. */
#define _GNU_SOURCE
#include "vfs_changes.h"

#include "vfs/vfs_internal.h"

#define MANY	100

/* Other mounts of the namespace hear of a change before it is answered. */
static void test_others(void **state)
{
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "alone", NULL), 0);
	assert_int_equal(invalidations, 0);
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(invalidations, 1);
	/* The new inode, its directory, and the name. */
	assert_int_equal(invalid_bytes, 3 * sizeof(struct datafs_invalid) + 8);
	assert_int_equal(invalidated.mount_id, 3);
	assert_int_equal(find(3, TOP, "f", &a), 0);
	umount_id(3);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "g", NULL), 0);
	assert_int_equal(invalidations, 1);
}

/* A release is nobody's business; nor are mounts of something else told. */
static void test_not_told(void **state)
{
	struct datafs_remove_req r = { .flags = DATAFS_REMOVE_HOLD };
	struct datafs_change_rep rep;
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", &rep), 0);
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	r.ino = rep.node.attr.ino;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "f", NULL, &rep), 0);
	assert_int_equal(invalidations, 1);
	assert_int_equal(change(DATAFS_OP_RELEASE, r.ino, &(struct datafs_change_req){ 0 }, 8,
				NULL, NULL, NULL), 0);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "f/", NULL), -EINVAL);
	assert_int_equal(invalidations, 1);
}

static void test_many_others(void **state)
{
	struct datafs_attr a;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(mount_quorum(10 + i, ":/", &a), 0);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(invalidations, MANY);
	assert_int_equal(invalidated.mount_id, 10 + MANY - 1);
	for (uint32_t i = 0; i < MANY; i++)
		umount_id(10 + i);
}

/* What could not be told is done all the same, and is told later. */
static void test_untold(void **state)
{
	struct datafs_attr a;

	(void)state;
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	invalidations_fail = 2;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(invalidations, 1);
	assert_int_equal(invalidated.ino, find(2, TOP, "f", &a) ? 0 : a.ino);
	invalidations_fail = 100;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "g", NULL), 0);
	assert_int_equal(find(2, TOP, "g", &a), 0);
	invalidations_fail = 0;
	assert_int_equal(invalidations, 1);
	/* Then all that it knows is asked for again. */
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "h", NULL), 0);
	assert_int_equal(invalidations, 2);
	assert_int_equal(invalidated.ino, 0);
	assert_int_equal(invalidated.mount_id, 3);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "i", NULL), 0);
	assert_int_equal(invalidations, 3);
	assert_true(invalidated.ino);
}

static int fail_change(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res)
{
	(void)q;
	(void)cmd;
	(void)res;
	return -EIO;
}

/* Whether it is done is not known: then nothing is that was, in no mount. */
static void test_unknown(void **state)
{
	const struct datafs_quorum_ops *real = atomic_load(&v->quorum)->ops;
	struct datafs_quorum_ops failing = *real;
	struct datafs_attr a;

	(void)state;
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	failing.change = fail_change;
	atomic_load(&v->quorum)->ops = &failing;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), -EIO);
	atomic_load(&v->quorum)->ops = real;
	assert_int_equal(invalidations, 2);
	assert_int_equal(invalidated.ino, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHANGES_TEST(test_others),
		CHANGES_TEST(test_not_told),
		CHANGES_TEST(test_many_others),
		CHANGES_TEST(test_untold),
		CHANGES_TEST(test_unknown),
	};

	return cmocka_run_group_tests_name("vfs_told", tests, NULL, NULL);
}
