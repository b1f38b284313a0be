// SPDX-License-Identifier: Apache-2.0
/* Files are loaded, looked at in the cache, and freed, as the control socket asks. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <unistd.h>

#include "frontend/frontend.h"

static char text[65536];

/* What the socket's client is told. */
static const char *say(void (*answer)(struct datafs_vfs *, const char *, FILE *),
		       const char *args)
{
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_non_null(f);
	*text = 0;
	answer(v, args, f);
	fclose(f);
	return text;
}

static const char *load(uint64_t ino, uint64_t off, uint64_t len)
{
	char args[128];

	snprintf(args, sizeof(args), "1 %llu %llu %llu", (unsigned long long)ino,
		 (unsigned long long)off, (unsigned long long)len);
	return say(datafs_files_load, args);
}

static const char *file(const char *word, uint64_t ino, const char *more)
{
	char args[128];

	snprintf(args, sizeof(args), "%s 1 %llu%s", word, (unsigned long long)ino, more);
	return say(datafs_files_answer, args);
}

static uint64_t gets(void)
{
	return stat_value("under_requests_get");
}

static void begin(void)
{
	stop();
	start("sync_interval=never,page_size=64k");
}

static struct datafs_entry find(const char *name)
{
	struct datafs_entry e;

	assert_int_equal(lookup(root, name, &e), 0);
	return e;
}

static void read_at(const struct datafs_entry *e, uint64_t off, uint64_t len)
{
	const struct datafs_extent_req want = { e->attr.content, off, len };
	struct answer a = up(DATAFS_OP_EXTENT, e->attr.ino, &want, NULL);

	assert_int_equal(a.err, 0);
	free(a.out);
}

static void test_load(void **state)
{
	struct datafs_entry e;
	uint64_t ino;

	(void)state;
	put_file("a", 9 * MIB + 100, 1);
	begin();
	e = find("a");
	ino = e.attr.ino;
	assert_non_null(strstr(file("cached", ino, ""), "size 9437284\n"));
	assert_non_null(strstr(text, "cached 0\n"));
	assert_string_equal(file("where", ino, " 0"), "runs 0\n");

	/* A part, then all: only what is missing is fetched, a chunk with a request. */
	assert_string_equal(load(ino, 64 * KIB, 64 * KIB), "loaded 65536\nfetched 65536\n");
	assert_int_equal(gets(), 1);
	assert_string_equal(load(ino, 0, 16 * MIB), "loaded 9437284\nfetched 9371748\n");
	assert_int_equal(stat_value("under_bytes"), 9 * MIB + 100);
	assert_int_equal(gets(), 5);
	assert_string_equal(load(ino, 0, 16 * MIB), "loaded 9437284\nfetched 0\n");
	assert_string_equal(load(ino, 16 * MIB, 4096), "loaded 0\nfetched 0\n");
	assert_int_equal(gets(), 5);
	assert_non_null(strstr(file("cached", ino, ""), "cached 9437284\n"));
	assert_non_null(strstr(file("where", ino, " 0"), "run 0 4194304 "));
	assert_non_null(strstr(text, "\nrun 4194304 4194304 "));
	assert_non_null(strstr(text, "\nrun 8388608 1052672 "));
	assert_non_null(strstr(file("where", ino, " 8388608"), "run 8388608 1052672 "));
	assert_null(strstr(text, "run 0 "));

	/* A reader asks the store for nothing. */
	read_at(&e, 0, 9 * MIB);
	assert_int_equal(gets(), 5);
	/* Nor does it have to be there any more. */
	assert_int_equal(unlink(in_src("a")), 0);
	assert_string_equal(load(ino, 0, 16 * MIB), "loaded 9437284\nfetched 0\n");
}

static void test_freed(void **state)
{
	struct datafs_entry a, b;

	(void)state;
	put_file("a", 5 * MIB, 1);
	put_file("b", 10000, 2);
	begin();
	a = find("a");
	b = find("b");
	read_at(&a, 0, 5 * MIB);
	load(a.attr.ino, 0, 5 * MIB);
	load(b.attr.ino, 0, 3 * 4096);
	assert_int_equal(stat_value("under_bytes"), 5 * MIB + 10000);
	assert_non_null(strstr(file("free", a.attr.ino, ""), "staying 0\n"));
	while (strcmp(file("leaving", a.attr.ino, ""), "leaving 0\n"))
		usleep(1000);
	assert_non_null(strstr(file("cached", a.attr.ino, ""), "cached 0\n"));
	assert_non_null(strstr(file("cached", b.attr.ino, ""), "cached 10000\n"));
	assert_string_equal(load(b.attr.ino, 0, 3 * 4096), "loaded 10000\nfetched 0\n");
	assert_string_equal(load(a.attr.ino, 0, 5 * MIB), "loaded 5242880\nfetched 5242880\n");
	assert_int_equal(stat_value("under_bytes"), 10 * MIB + 10000);
}

/* What is loaded is what is there, if it was changed since it was looked at. */
static void test_changed(void **state)
{
	struct datafs_entry e;
	struct datafs_attr attr;

	(void)state;
	put_file("a", MIB, 1);
	begin();
	e = find("a");
	put_file("a", 2 * MIB, 2);
	assert_string_equal(load(e.attr.ino, 0, 4 * MIB), "loaded 2097152\nfetched 2097152\n");
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_equal(attr.size, 2 * MIB);
	assert_true(attr.content != e.attr.content);
}

static void test_refused(void **state)
{
	struct datafs_entry e;
	char args[64];

	(void)state;
	put_file("a", MIB, 1);
	grow_old();
	begin();
	e = find("a");
	assert_string_equal(load(e.attr.ino, 1, 4096), "error Invalid argument\n");
	assert_string_equal(load(e.attr.ino, 0, 0), "error Invalid argument\n");
	assert_string_equal(load(e.attr.ino, UINT64_MAX - 4095, 4096), "error Invalid argument\n");
	assert_string_equal(load(root, 0, 4096), "error Stale file handle\n");
	assert_string_equal(load(12345, 0, 4096), "error Stale file handle\n");
	assert_string_equal(file("cached", root, ""), "error Stale file handle\n");
	assert_string_equal(file("cached", e.attr.ino, " 0"), "error Invalid argument\n");
	assert_string_equal(file("cache", e.attr.ino, ""), "error Invalid argument\n");
	assert_string_equal(file("where", e.attr.ino, ""), "error Invalid argument\n");
	snprintf(args, sizeof(args), "free 2 %llu", (unsigned long long)e.attr.ino);
	assert_string_equal(say(datafs_files_answer, args), "error No such file or directory\n");
	assert_int_equal(mount_as(2, ":/", "", NULL), 0);
	assert_string_equal(say(datafs_files_answer, "cached 2 1"), "error Operation not supported\n");
	/* What is not there any more is told to who asks for it. */
	assert_int_equal(unlink(in_src("a")), 0);
	assert_string_equal(load(e.attr.ino, 0, MIB), "error Stale file handle\n");
	/* Who has waited for it asks again, unless it was there in time. */
	assert_in_range(gets(), 1, 2);
	assert_int_equal(stat_value("under_bytes"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VFS_TEST(test_load),
		VFS_TEST(test_freed),
		VFS_TEST(test_changed),
		VFS_TEST(test_refused),
	};

	return cmocka_run_group_tests_name("vfs_cached", tests, NULL, NULL);
}
