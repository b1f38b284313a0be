// SPDX-License-Identifier: Apache-2.0
/* What a job is, done over a mount: all of it, some of it, nothing of it. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfs/work.h"

/* A report: what is told, and what the test does then. */
struct reports {
	unsigned int n, stop_at;	/* @stop_at: the one that ends it; 0: none */
	int with;
	void (*act)(const struct reports *r);
};

static int take(void *arg, const struct vfs_work_done *done)
{
	struct reports *r = arg;

	assert_int_equal(!done->errors, !*done->error);
	if (r->act)
		r->act(r);
	return ++r->n == r->stop_at ? r->with : 0;
}

/* Each report is due at once. */
static int work_with(unsigned int kind, const char *path, struct reports *r,
		     struct vfs_work_done *done)
{
	const struct vfs_work w = {
		.v = v, .mount = 1, .kind = kind, .path = path, .report = take, .arg = r,
	};

	return vfs_work(&w, done);
}

static int work(unsigned int kind, const char *path, struct vfs_work_done *done)
{
	struct reports r = { 0 };

	return work_with(kind, path, &r, done);
}

static void assert_done(const struct vfs_work_done *done, uint64_t files, uint64_t bytes,
			uint64_t errors)
{
	assert_int_equal(done->files, files);
	assert_int_equal(done->bytes, bytes);
	assert_int_equal(done->errors, errors);
}

static uint64_t cached(uint64_t dir, const char *name)
{
	struct datafs_vfs_cached c;
	struct datafs_entry e;

	assert_int_equal(lookup(dir, name, &e), 0);
	assert_int_equal(datafs_vfs_cached(v, 1, e.attr.ino, &c), 0);
	return c.bytes;
}

/* Files are old enough for their bytes to be believed. */
static void old_file(const char *name, uint64_t size)
{
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	put_file(name, size, 1);
	assert_int_equal(utimensat(AT_FDCWD, in_src(name), times, 0), 0);
}

#define BIG	(9 * MIB + 5)	/* three steps */
#define ALL	(BIG + 1 + 5000 + 6000)

static int setup(void **state)
{
	int ret = vfs_setup(state);

	if (ret)
		return ret;
	assert_int_equal(mkdir(in_src("d"), 0755), 0);
	assert_int_equal(mkdir(in_src("d/e"), 0755), 0);
	assert_int_equal(mkdir(in_src("d/none"), 0755), 0);
	old_file("big", BIG);
	old_file("empty", 0);
	old_file("one", 1);
	old_file("d/f", 5000);
	old_file("d/e/g", 6000);
	assert_int_equal(symlink("big", in_src("link")), 0);
	assert_int_equal(symlink("..", in_src("d/up")), 0);
	return 0;
}

#define WORK_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, vfs_teardown)

static void test_load_and_free(void **state)
{
	struct vfs_work_done done;
	struct datafs_entry d;
	uint64_t fetched;

	(void)state;
	assert_int_equal(work(DATAFS_JOB_LOAD, "/", &done), 0);
	assert_done(&done, 5, ALL, 0);
	assert_int_equal(cached(root, "big"), BIG);
	assert_int_equal(lookup(root, "d", &d), 0);
	assert_int_equal(cached(d.attr.ino, "f"), 5000);
	/* another time nothing is fetched */
	fetched = stat_value("cache_fetched_bytes");
	assert_true(fetched >= ALL);
	assert_int_equal(work(DATAFS_JOB_LOAD, "", &done), 0);
	assert_done(&done, 5, ALL, 0);
	assert_int_equal(stat_value("cache_fetched_bytes"), fetched);
	/* one directory goes, and what is not in it stays */
	assert_int_equal(work(DATAFS_JOB_FREE, "/d", &done), 0);
	assert_done(&done, 2, 11000, 0);
	assert_int_equal(cached(d.attr.ino, "f"), 0);
	assert_int_equal(cached(root, "big"), BIG);
	assert_int_equal(work(DATAFS_JOB_FREE, "/", &done), 0);
	assert_done(&done, 5, BIG + 1, 0);
	assert_int_equal(cached(root, "big"), 0);
}

static void test_paths(void **state)
{
	struct vfs_work_done done;

	(void)state;
	/* one file */
	assert_int_equal(work(DATAFS_JOB_LOAD, "//d/e/g", &done), 0);
	assert_done(&done, 1, 6000, 0);
	assert_int_equal(cached(root, "big"), 0);
	assert_int_equal(work(DATAFS_JOB_LOAD, "/d/none", &done), 0);
	assert_done(&done, 0, 0, 0);
	/* what a link leads to is not below it */
	assert_int_equal(work(DATAFS_JOB_LOAD, "/link", &done), 0);
	assert_done(&done, 0, 0, 0);
	assert_int_equal(work(DATAFS_JOB_LOAD, "/d/no/such", &done), 0);
	assert_done(&done, 0, 0, 1);
	assert_string_equal(done.error, "d/no/such: No such file or directory");
	assert_int_equal(work(DATAFS_JOB_LOAD, "/big/x", &done), 0);
	assert_done(&done, 0, 0, 1);
	assert_string_equal(done.error, "big/x: Not a directory");
	assert_int_equal(work(DATAFS_JOB_KINDS, "/", &done), -EOPNOTSUPP);
	assert_int_equal(work(0, "/", &done), -EOPNOTSUPP);
}

/* The first one is before all, the second before the listing. */
static void remove_two(const struct reports *r)
{
	if (r->n < 2)
		return;
	unlink(in_src("d/a\nb"));
	unlink(in_src("d/f"));
}

/* Files that go once they are listed are errors; the others are done. */
static void test_errors(void **state)
{
	struct reports r = { .act = remove_two };
	struct vfs_work_done done;

	(void)state;
	old_file("d/a\nb", 100);
	assert_int_equal(work_with(DATAFS_JOB_LOAD, "/d", &r, &done), 0);
	assert_done(&done, 1, 6000, 2);
	assert_true(!strncmp(done.error, "d/a?b: ", 7) || !strncmp(done.error, "d/f: ", 5));
	assert_null(datafs_job_error_wrong(done.error, strlen(done.error)));
}

static void test_stops(void **state)
{
	struct reports r = { .stop_at = 1, .with = -ESTALE };
	struct vfs_work_done done;

	(void)state;
	/* it was cancelled before it began */
	assert_int_equal(work_with(DATAFS_JOB_LOAD, "/", &r, &done), -ESTALE);
	assert_int_equal(r.n, 1);
	assert_done(&done, 0, 0, 0);
	assert_int_equal(stat_value("cache_fetched_bytes"), 0);
	/* another one has it when the second step of the file is to begin: only the first one was */
	r = (struct reports){ .stop_at = 3, .with = -ESTALE };
	assert_int_equal(work_with(DATAFS_JOB_LOAD, "/big", &r, &done), -ESTALE);
	assert_int_equal(r.n, 3);
	assert_int_equal(done.files, 0);
	assert_int_equal(done.errors, 0);
	assert_int_equal(done.bytes, 4 * MIB);
	assert_int_equal(cached(root, "big"), 4 * MIB);
}

static void leave(const struct reports *r)
{
	(void)r;
	umount_id(1);
}

static void test_unmounted(void **state)
{
	struct reports r = { .act = leave };
	struct vfs_work_done done;

	(void)state;
	assert_int_equal(work_with(DATAFS_JOB_LOAD, "/big", &r, &done), -ENOENT);
	assert_int_equal(done.files, 0);
	assert_int_equal(work(DATAFS_JOB_LOAD, "/big", &done), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_load_and_free),
		WORK_TEST(test_paths),
		WORK_TEST(test_errors),
		WORK_TEST(test_stops),
		WORK_TEST(test_unmounted),
	};

	return cmocka_run_group_tests_name("vfs_work", tests, NULL, NULL);
}
