// SPDX-License-Identifier: Apache-2.0
/* Requests to under-stores: of each mount, of all, and of those that are gone. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#define GETS	by[DATAFS_UNDER_M_GET]
#define STATS	by[DATAFS_UNDER_M_STAT]

static struct datafs_under_stats of(uint32_t id)
{
	struct datafs_under_stats st;

	assert_int_equal(datafs_vfs_mount_stats(v, id, &st), 0);
	return st;
}

static void read_at(uint32_t id, uint64_t ino, uint64_t content, uint64_t off)
{
	const struct datafs_extent_req want = { content, off, 4096 };
	struct answer a = up_flags(DATAFS_OP_EXTENT, id, ino, &want, NULL, 0);

	assert_int_equal(a.err, 0);
	free(a.out);
}

static void test_by_mount(void **state)
{
	struct datafs_under_stats one, two;
	struct datafs_attr attr;
	struct datafs_entry e;
	char *source, *text;
	size_t len;
	FILE *f;

	(void)state;
	assert_true(asprintf(&source, "%s/second", top) > 0);
	assert_int_equal(mkdir(source, 0755), 0);
	put_file("a", 100000, 1);
	grow_old();
	stop();
	start("sync_interval=never,page_size=64k");
	assert_int_equal(mount_as(2, source, "sync_interval=never", &attr), 0);
	one = of(1);
	two = of(2);
	assert_int_equal(two.STATS.requests, 1);
	assert_int_equal(two.GETS.requests, 0);

	/* A name, and the bytes of a reader who begins at the beginning: all at once. */
	assert_int_equal(lookup(root, "a", &e), 0);
	assert_int_equal(of(1).STATS.requests, one.STATS.requests + 1);
	read_at(1, e.attr.ino, e.attr.content, 0);
	assert_int_equal(of(1).GETS.requests, 1);
	assert_int_equal(of(1).GETS.down, 100000);
	read_at(1, e.attr.ino, e.attr.content, 65536);
	assert_int_equal(of(1).GETS.requests, 1);
	assert_int_equal(of(2).STATS.requests, 1);
	assert_int_equal(of(2).GETS.requests, 0);

	/* All together, and what an unmounted one has asked stays in that. */
	assert_int_equal(stat_value("under_requests_get"), 1);
	assert_int_equal(stat_value("under_bytes"), 100000);
	assert_int_equal(stat_value("under_requests_stat"), one.STATS.requests + 2);
	umount_id(2);
	assert_int_equal(datafs_vfs_mount_stats(v, 2, &two), -ENOENT);
	assert_int_equal(stat_value("under_requests_stat"), one.STATS.requests + 2);
	/* Mounted again it begins at nothing. */
	assert_int_equal(mount_as(2, source, "", &attr), 0);
	assert_int_equal(of(2).STATS.requests, 1);
	assert_int_equal(stat_value("under_requests_stat"), one.STATS.requests + 3);

	f = open_memstream(&text, &len);
	assert_int_equal(datafs_vfs_put_mount_stats(v, 1, f), 0);
	assert_int_equal(datafs_vfs_put_mount_stats(v, 3, f), -ENOENT);
	fclose(f);
	assert_non_null(strstr(text, "store_requests_get 1\n"));
	assert_non_null(strstr(text, "\nstore_bytes 100000\n"));
	assert_non_null(strstr(text, "\nstore_retries 0\n"));
	assert_non_null(strstr(text, "\nstore_price 0.000000\n"));
	free(text);
	free(source);
}

static void test_price(void **state)
{
	struct datafs_under_stats st;
	struct datafs_entry e;

	(void)state;
	put_file("a", 1 << 20, 1);
	stop();
	start("sync_interval=never,page_size=1m,price_get=500,price_down=1024");
	assert_int_equal(lookup(root, "a", &e), 0);
	read_at(1, e.attr.ino, e.attr.content, 0);
	st = of(1);
	assert_int_equal(st.GETS.requests, 1);
	assert_int_equal(st.GETS.down, 1 << 20);
	/* Half a unit each, and one for 2^20 bytes. */
	assert_true(st.price == 0.5 * (st.STATS.requests + 1) + 1);
}

struct told {
	int calls, error;
	uint32_t id;
	struct datafs_under_stats st;
};

static int tell(void *arg, uint32_t id, const struct datafs_under_stats *st)
{
	struct told *t = arg;

	t->calls++;
	t->id = id;
	t->st = *st;
	return t->error;
}

/* What has changed is told, until it is taken. */
static void test_tell(void **state)
{
	struct told t = { .error = -ENOENT };
	struct datafs_entry e;

	(void)state;
	put_file("a", 10, 1);
	stop();
	start("sync_interval=never");
	datafs_vfs_tell_stats(v, tell, &t);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.id, 1);
	t.error = 0;
	datafs_vfs_tell_stats(v, tell, &t);
	assert_int_equal(t.calls, 2);
	datafs_vfs_tell_stats(v, tell, &t);
	assert_int_equal(t.calls, 2);
	assert_int_equal(lookup(root, "a", &e), 0);
	datafs_vfs_tell_stats(v, tell, &t);
	assert_int_equal(t.calls, 3);
	assert_int_equal(t.st.STATS.requests, of(1).STATS.requests);
	/* Another mount is told, though nothing was asked for it since. */
	assert_int_equal(mount_as(2, src, "", NULL), 0);
	datafs_vfs_tell_stats(v, tell, &t);
	assert_int_equal(t.calls, 4);
	assert_int_equal(t.id, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VFS_TEST(test_by_mount),
		VFS_TEST(test_price),
		VFS_TEST(test_tell),
	};

	return cmocka_run_group_tests_name("vfs_stats", tests, NULL, NULL);
}
