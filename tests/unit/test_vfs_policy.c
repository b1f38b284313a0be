// SPDX-License-Identifier: Apache-2.0
/* What a quorum's policies do to the slots of files that are read. */
#define _GNU_SOURCE
#include "vfs_walk.h"

#include <sys/stat.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "metad/policies.h"
#include "vfs/vfs_internal.h"

#define NORMAL	DATAFS_POLICY_NORMAL
#define KEEP	DATAFS_POLICY_KEEP
#define ONCE	DATAFS_POLICY_ONCE

/* Two stores; each file takes a slot. */
static char dirs[2][4300];

static int setup(void **state)
{
	static const char *const files[] = { "a/b/1", "a/b/2", "a/bc", "a/c", "d" };
	int ret = changes_setup(state);

	for (int i = 0; !ret && i < 2; i++) {
		char rel[8700];

		snprintf(dirs[i], sizeof(dirs[i]), "%s/store%d", top, i);
		ret = mkdir(dirs[i], 0755);
		for (int d = 0; !ret && d < 2; d++) {
			snprintf(rel, sizeof(rel), "%s/%s", dirs[i], d ? "a/b" : "a");
			ret = mkdir(rel, 0755);
		}
		for (size_t k = 0; !ret && k < sizeof(files) / sizeof(files[0]); k++) {
			snprintf(rel, sizeof(rel), "../store%d/%s", i, files[k]);
			put_file(rel, 2 * MIB, (unsigned int)(10 * k) + (unsigned int)i);
		}
	}
	if (ret)
		return ret;
	assert_int_equal(table_add("", dirs[0], ""), 0);
	assert_int_equal(table_add("/m/n", dirs[1], ""), 0);
	return 0;
}

#define POLICY_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, changes_teardown)

/* The mount of the quorum: number 2. */
static void with_mount(void (*f)(struct vfs_mount *mnt))
{
	struct vfs_mount *mnt = vfs_mount_get(v, 2);

	assert_non_null(mnt);
	f(mnt);
	vfs_mount_put(mnt);
}

static bool busy;

static void look_busy(struct vfs_mount *mnt)
{
	pthread_mutex_lock(&mnt->policies.lock);
	busy = mnt->policies.busy;
	pthread_mutex_unlock(&mnt->policies.lock);
}

/* It is as if five seconds had gone by. */
static void look_now(struct vfs_mount *mnt)
{
	pthread_mutex_lock(&mnt->policies.lock);
	mnt->policies.next = 0;
	pthread_mutex_unlock(&mnt->policies.lock);
	vfs_policy_look(mnt);
}

static void wait_idle(void)
{
	do {
		usleep(1000);
		with_mount(look_busy);
	} while (busy);
}

static void learn(void)
{
	wait_idle();
	with_mount(look_now);
	wait_idle();
}

/* @cache 0: it is removed. */
static void policy(const char *path, uint32_t cache)
{
	assert_int_equal(datafs_vfs_policy_change(v, path, cache), 0);
}

static void read_file(const char *path)
{
	struct datafs_attr a;
	char byte;

	assert_int_equal(walk_to(path, &a), 0);
	assert_int_equal(walk_read(&a, &byte, 1), 0);
}

static void assert_slots(unsigned int normal, unsigned int keep, unsigned int once)
{
	assert_int_equal(stat_value("cache_normal_slots"), normal);
	assert_int_equal(stat_value("cache_keep_slots"), keep);
	assert_int_equal(stat_value("cache_once_slots"), once);
}

/* The longest path that is the file's or above it says what holds. */
static void test_paths(void **state)
{
	(void)state;
	policy("/a/b", KEEP);
	policy("/a/b/2", ONCE);
	policy("/m", ONCE);
	policy("/m/n/a", NORMAL);
	policy("/m/n/a/c", KEEP);
	learn();
	read_file("/d");
	/* a name is no other's beginning */
	read_file("/a/bc");
	read_file("/a/c");
	assert_slots(3, 0, 0);
	read_file("/a/b/1");
	assert_slots(3, 1, 0);
	read_file("/a/b/2");
	assert_slots(3, 1, 1);
	/* of another store, at a path of its own */
	read_file("/m/n/d");
	assert_slots(3, 1, 2);
	read_file("/m/n/a/b/1");
	assert_slots(4, 1, 2);
	read_file("/m/n/a/c");
	assert_slots(4, 2, 2);
}

/* A change holds from when it is known, for what is read from then on. */
static void test_changes(void **state)
{
	(void)state;
	learn();
	read_file("/d");
	read_file("/a/c");
	assert_slots(2, 0, 0);
	policy("/", KEEP);
	read_file("/d");
	assert_slots(2, 0, 0);
	learn();
	assert_slots(2, 0, 0);
	read_file("/d");
	assert_slots(1, 1, 0);
	policy("/a", ONCE);
	learn();
	/* nothing has changed since */
	learn();
	read_file("/a/c");
	read_file("/d");
	assert_slots(0, 1, 1);
	policy("/", 0);
	policy("/a", 0);
	learn();
	read_file("/a/c");
	read_file("/d");
	assert_slots(2, 0, 0);
}

/* What is loaded by hand is as if read. */
static void test_load(void **state)
{
	struct datafs_vfs_loaded loaded;
	struct datafs_attr a;

	(void)state;
	policy("/a", KEEP);
	learn();
	assert_int_equal(walk_to("/a/c", &a), 0);
	assert_int_equal(datafs_vfs_load(v, 2, a.ino, 0, 2 * MIB, &loaded), 0);
	assert_int_equal(loaded.bytes, 2 * MIB);
	assert_slots(0, 1, 0);
}

/* More than an answer has, in pieces of one version. */
static void test_many(void **state)
{
	char path[300];

	(void)state;
	for (unsigned int i = 0; i < 600; i++) {
		sprintf(path, "/a/%0250u", i);
		policy(path, ONCE);
	}
	policy("/a/b/1", KEEP);
	policy("/m/n/d", KEEP);
	learn();
	read_file("/a/b/1");
	read_file("/m/n/d");
	read_file("/d");
	assert_slots(1, 2, 0);
}

/* No policy is of a mount that is of no quorum. */
static void test_plain(void **state)
{
	struct datafs_entry e;
	struct answer a;

	(void)state;
	policy("/", KEEP);
	learn();
	put_file("plain", 2 * MIB, 1);
	assert_int_equal(lookup(root, "plain", &e), 0);
	a = up(DATAFS_OP_EXTENT, e.attr.ino, &(struct datafs_extent_req){
		.off = 0, .len = DATAFS_GRANULE, .content = e.attr.content }, NULL);
	assert_int_equal(a.err, 0);
	free(a.out);
	assert_slots(1, 0, 0);
}

static int64_t next;

static void look_next(struct vfs_mount *mnt)
{
	next = mnt->policies.next;
}

/* Who reads by another pool than that of the jobs may still do so when that one ends. */
static void test_end(void **state)
{
	(void)state;
	wait_idle();
	atomic_store(&v->stopping, true);
	with_mount(look_now);
	wait_idle();
	with_mount(look_next);
	assert_int_equal(next, 0);
	atomic_store(&v->stopping, false);
	learn();
	with_mount(look_next);
	assert_true(next > 0);
}

/* By the control socket */
static void says(const char *args, const char *want)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	datafs_policy_answer(v, args, f);
	fclose(f);
	assert_string_equal(text, want);
	free(text);
}

/* As `datafs policy` without members has it. */
static void test_own(void **state)
{
	static const char all[] =
		"version 4\n/ cache=once\n/a cache=normal\n/a\\040b/\\134 cache=keep\n/a/b cache=keep\ndone\n";

	(void)state;
	says("remove /a", "error 2\n");
	says("list", "version 0\ndone\n");
	says("set /a\\040b/\\134 keep", "done\n");
	says("set / once", "done\n");
	says("set /a normal", "done\n");
	says("set /a/b keep", "done\n");
	says("list", all);
	says("remove /none", "error 2\n");
	says("set a keep", "error 22\n");
	says("set - keep", "error 22\n");
	says("set /a", "error 22\n");
	says("set /a hot", "error 22\n");
	says("set /a keep keep", "error 22\n");
	says("set 1 2 3 4 5 6", "error 22\n");
	says("remove", "error 22\n");
	says("remove /a keep", "error 22\n");
	says("", "error 22\n");
	assert_int_equal(datafs_vfs_policy_change(v, "/a", 9), -EINVAL);
	says("list", all);
	says("remove /", "done\n");
	says("list", "version 5\n/a cache=normal\n/a\\040b/\\134 cache=keep\n/a/b cache=keep\ndone\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_own),
		POLICY_TEST(test_paths),
		POLICY_TEST(test_changes),
		POLICY_TEST(test_load),
		POLICY_TEST(test_many),
		POLICY_TEST(test_plain),
		POLICY_TEST(test_end),
	};

	return cmocka_run_group_tests_name("vfs_policy", tests, NULL, NULL);
}
