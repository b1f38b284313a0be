// SPDX-License-Identifier: Apache-2.0
/* What the kernel, or the daemon, must look at again when the table of mounts has changed. */
#define _GNU_SOURCE
#include "vfs_walk.h"

#include <sys/stat.h>
#include <unistd.h>

#include "vfs/vfs_internal.h"

/* Two stores, with a file "f" in each. */
static char one[4300], two[4300];

static void make_store(char *dir, size_t size, const char *name)
{
	char file[80];

	snprintf(dir, size, "%s/%s", top, name);
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(file, sizeof(file), "../%s/f", name);
	put_file(file, 10, 1);
}

static int setup(void **state)
{
	int ret = changes_setup(state);

	if (!ret) {
		make_store(one, sizeof(one), "one");
		make_store(two, sizeof(two), "two");
	}
	return ret;
}

#define AGAIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, changes_teardown)

static void remove_file(const char *dir)
{
	char path[4400];

	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(unlink(path), 0);
}

/* The daemon dies between a change of the table and telling the kernel of its only mount. */
static void test_untold(void **state)
{
	struct datafs_attr a;

	(void)state;
	assert_int_equal(find(2, TOP, "x", &a), -ENOENT);
	invalidations_fail = 100;
	assert_int_equal(table_add("/x", one, ""), 0);
	assert_int_equal(invalidations, 0);
	invalidations_fail = 0;
	before_start = adopt;
	stop();
	start("sync_interval=always");
	assert_true(invalidations > 0);
	assert_int_equal(find(2, TOP, "x", &a), 0);
}

/* What was looked at with other options is not what is mounted now, however it came. */
static void test_other_options(void **state)
{
	static const struct datafs_table_change set = {
		.op = DATAFS_TABLE_SET, .path = "/y", .options = "sync_interval=99999",
	};
	struct datafs_attr a;

	(void)state;
	assert_int_equal(table_add("/x", one, "sync_interval=never"), 0);
	assert_int_equal(table_add("/y", two, "sync_interval=never"), 0);
	assert_int_equal(walk_to("/x/f", &a), 0);
	assert_int_equal(walk_to("/y/f", &a), 0);
	remove_file(one);
	remove_file(two);
	assert_int_equal(walk_to("/x/f", &a), 0);
	assert_int_equal(datafs_vfs_table_change(v, &set), 0);
	assert_int_equal(walk_to("/y/f", &a), -ENOENT);
	assert_int_equal(table_remove("/x"), 0);
	assert_int_equal(table_add("/x", one, "sync_interval=99999"), 0);
	assert_int_equal(walk_to("/x/f", &a), -ENOENT);
}

/* All of a tree is doubted, also while one of its stores is away. */
static void test_invalidate_all(void **state)
{
	struct datafs_attr a;
	char away[4400];

	(void)state;
	assert_int_equal(table_add("/x", one, "sync_interval=never"), 0);
	assert_int_equal(table_add("/y", two, "sync_interval=never"), 0);
	assert_int_equal(walk_to("/x/f", &a), 0);
	assert_int_equal(walk_to("/y/f", &a), 0);
	umount_id(2);
	stop();
	snprintf(away, sizeof(away), "%s.away", one);
	assert_int_equal(rename(one, away), 0);
	start("sync_interval=always");
	assert_int_equal(mount_quorum(2, ":/", &a), 0);
	assert_int_equal(walk_to("/x/f", &a), -EIO);
	assert_int_equal(walk_to("/y/f", &a), 0);
	remove_file(two);
	invalidations = 0;
	assert_int_equal(datafs_vfs_invalidate(v, 2, 0), 0);
	assert_int_equal(invalidations, 1);
	assert_int_equal(walk_to("/y/f", &a), -ENOENT);
}

/* The daemon died: nobody knows whether it was begun, and the mount is in its way still. */
static void test_resent(void **state)
{
	const struct datafs_make_req m = { .mode = 0755, .umask = 022 };
	struct datafs_req req = {
		.opcode = DATAFS_OP_MKDIR, .mount_id = 2, .ino = TOP, .id = 900000,
		.flags = DATAFS_REQ_RESEND, .namelen = 1,
	};
	struct datafs_call call = { .req = &req, .name = "w", .body = &m };

	(void)state;
	assert_int_equal(table_add("/w", one, ""), 0);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "w", NULL), -EEXIST);
	call.out = malloc(DATAFS_REPLY_MAX);
	assert_int_equal(datafs_vfs_call(v, &call), -EEXIST);
	free(call.out);
}

/* A name at a time; before the @turn-th, what is mounted at /m comes or goes. */
static void lists(int turn, bool comes, const char *want)
{
	struct datafs_readdir_req q = { .max = 1 };
	char have[80] = "";
	uint32_t flags = 0;

	for (int i = 0; i < 20 && !(flags & DATAFS_READDIR_EOF); i++) {
		const struct datafs_readdir_rep *rep;
		const struct datafs_dirent *de;
		struct answer a;

		if (i == turn)
			assert_int_equal(comes ? table_add("/m", one, "") : table_remove("/m"), 0);
		a = up_flags(DATAFS_OP_READDIR, 2, TOP, &q, NULL, 0);
		assert_int_equal(a.err, 0);
		rep = (const void *)a.out;
		de = (const void *)(rep + 1);
		flags = rep->flags;
		assert_true(rep->count <= 1);
		if (rep->count) {
			q.cookie = de->cookie;
			strncat(have, (const char *)(de + 1), de->namelen);
		}
		free(a.out);
	}
	assert_string_equal(have, want);
}

/* A name that is there all the time is listed once, whatever is mounted there meanwhile. */
static void test_listed_once(void **state)
{
	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "a", NULL), 0);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "m", NULL), 0);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "z", NULL), 0);
	for (int turn = 0; turn < 3; turn++) {
		lists(turn, true, "amz");
		lists(turn, false, "amz");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGAIN_TEST(test_untold),
		AGAIN_TEST(test_other_options),
		AGAIN_TEST(test_invalidate_all),
		AGAIN_TEST(test_resent),
		AGAIN_TEST(test_listed_once),
	};

	return cmocka_run_group_tests_name("vfs_table_again", tests, NULL, NULL);
}
