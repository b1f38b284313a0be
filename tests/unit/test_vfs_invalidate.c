// SPDX-License-Identifier: Apache-2.0
/* What is known for ever is looked at again when somebody says so. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static int never(void **state)
{
	int ret = vfs_setup(state);

	if (ret)
		return ret;
	stop();
	start("sync_interval=never");
	invalidations = 0;
	return 0;
}

#define NEVER_TEST(f) \
	cmocka_unit_test_setup_teardown(f, never, vfs_teardown)

static uint64_t looks(void)
{
	return stat_value("under_requests_stat") + stat_value("under_requests_list");
}

static uint64_t size_of(uint64_t ino)
{
	struct datafs_attr attr;

	assert_int_equal(getattr(ino, &attr), 0);
	assert_int_equal(attr.valid_ms, DATAFS_FOREVER);
	return attr.size;
}

static uint64_t ino_of(uint64_t dir, const char *name)
{
	struct datafs_entry e;

	assert_int_equal(lookup(dir, name, &e), 0);
	return e.attr.ino;
}

static void test_file(void **state)
{
	uint64_t a, b, n;

	(void)state;
	put_file("a", 10, 0);
	put_file("b", 10, 0);
	a = ino_of(root, "a");
	b = ino_of(root, "b");
	put_file("a", 20, 0);
	put_file("b", 20, 0);
	n = looks();
	assert_int_equal(size_of(a), 10);
	assert_int_equal(looks(), n);
	assert_int_equal(datafs_vfs_invalidate(v, 1, a), 0);
	assert_int_equal(looks(), n + 1);
	assert_int_equal(size_of(a), 20);
	assert_int_equal(size_of(b), 10);
	assert_int_equal(looks(), n + 1);
	assert_int_equal(invalidations, 1);
	assert_int_equal(invalidated.ino, a);
	assert_int_equal(invalidated.mount_id, 1);
	assert_int_equal(invalidated.what,
			 DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES);
	assert_int_equal(invalidated.namelen, 0);
	assert_int_equal(invalid_bytes, sizeof(invalidated));

	/* What is gone: the kernel is told, and asks. */
	unlink(in_src("a"));
	assert_int_equal(datafs_vfs_invalidate(v, 1, a), 0);
	assert_int_equal(invalidations, 2);
	assert_int_equal(getattr(a, &(struct datafs_attr){ 0 }), -ESTALE);
	assert_int_equal(datafs_vfs_invalidate(v, 2, b), -ENOENT);
	assert_int_equal(invalidations, 2);
}

static void test_directory(void **state)
{
	uint64_t d, e, n;

	(void)state;
	mkdir(in_src("d"), 0755);
	mkdir(in_src("e"), 0755);
	put_file("d/old", 1, 0);
	d = ino_of(root, "d");
	e = ino_of(root, "e");
	assert_int_equal(ino_of(d, "new"), 0);
	assert_int_equal(ino_of(e, "new"), 0);
	assert_int_not_equal(ino_of(d, "old"), 0);
	put_file("d/new", 1, 0);
	put_file("e/new", 1, 0);
	unlink(in_src("d/old"));
	assert_int_equal(ino_of(d, "new"), 0);
	assert_int_equal(datafs_vfs_invalidate(v, 1, d), 0);
	n = looks();
	assert_int_not_equal(ino_of(d, "new"), 0);
	assert_int_equal(ino_of(d, "old"), 0);
	assert_int_equal(ino_of(e, "new"), 0);
	assert_int_equal(looks(), n);
}

static void test_mount(void **state)
{
	uint64_t a, b, n;

	(void)state;
	put_file("a", 10, 0);
	put_file("b", 10, 0);
	a = ino_of(root, "a");
	b = ino_of(root, "b");
	put_file("a", 20, 0);
	put_file("b", 20, 0);
	n = looks();
	assert_int_equal(datafs_vfs_invalidate(v, 1, 0), 0);
	assert_int_equal(invalidated.ino, 0);
	assert_int_equal(looks(), n);
	assert_int_equal(size_of(a), 20);
	assert_int_equal(looks(), n + 1);
	assert_int_equal(size_of(a), 20);
	assert_int_equal(looks(), n + 1);

	/* b was not looked at since: another life knows that it is not to be trusted. */
	stop();
	start("sync_interval=never");
	assert_int_equal(size_of(b), 20);
	put_file("b", 30, 0);
	n = looks();
	assert_int_equal(size_of(b), 20);
	assert_int_equal(looks(), n);
}

/* Without that word another life takes what is known. */
static void test_trust(void **state)
{
	uint64_t a;

	(void)state;
	put_file("a", 10, 0);
	a = ino_of(root, "a");
	put_file("a", 20, 0);
	stop();
	start("sync_interval=never");
	assert_int_equal(size_of(a), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NEVER_TEST(test_file),
		NEVER_TEST(test_directory),
		NEVER_TEST(test_mount),
		NEVER_TEST(test_trust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
