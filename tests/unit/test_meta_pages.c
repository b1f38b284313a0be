// SPDX-License-Identifier: Apache-2.0
/* Listings that stop after a page: what is told of them, and who goes on. */
#define _GNU_SOURCE
#include "meta_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct datafs_under_stat dir_as;
static const struct ent ents[] = {
	{ "a", { .mode = S_IFREG | 0644, .file_id = 10 } },
	{ "b", { .mode = S_IFREG | 0644, .file_id = 11 } },
	{ "c", { .mode = S_IFREG | 0644, .file_id = 12 } },
};
static unsigned int dropped;

static void drop(void *state)
{
	assert_string_equal(state, "state");
	dropped++;
}

/* As it is read from the beginning, or after @cookie. */
static int read_on(uint64_t cookie, int64_t fresh, struct seen *s, bool *eof)
{
	struct datafs_meta_ticket t;
	int ret;

	s->n = 0;
	ret = datafs_meta_readdir(m, root, cookie, fresh, collect, s, eof, &t);
	if (ret == DATAFS_META_SYNC)
		assert_int_equal(datafs_meta_import(m, &t, datafs_now(), -EIO, NULL), 0);
	return ret;
}

static struct datafs_meta_listing *begin(uint64_t ino)
{
	struct datafs_meta_listing *l;
	struct datafs_meta_ticket t;
	struct seen s = { 0 };
	bool eof;

	assert_int_equal(datafs_meta_readdir(m, ino, 0, datafs_now(), collect, &s, &eof, &t),
			 DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_list_begin(m, &t, datafs_now(), &dir_as, &l), 0);
	return l;
}

static void add(struct datafs_meta_listing *l, const char *names)
{
	for (; *names; names++)
		assert_int_equal(datafs_meta_list_add(l, ents[*names - 'a'].name,
						      &ents[*names - 'a'].st), 0);
}

static void pause_at(struct datafs_meta_listing *l, const char *names)
{
	add(l, names);
	datafs_meta_list_pause(l, "state", drop);
}

static struct datafs_meta_listing *resume(void)
{
	struct datafs_meta_listing *l;
	void *state;

	assert_int_equal(datafs_meta_list_resume(m, root, &l, &state), 0);
	assert_string_equal(state, "state");
	return l;
}

static void end(struct datafs_meta_listing *l, const char *names)
{
	add(l, names);
	datafs_meta_list_whole(l, &dir_as);
	assert_int_equal(datafs_meta_list_end(l, 0), 0);
}

static int pages_setup(void **state)
{
	dropped = 0;
	dir_as = dir_stat(1, 1);
	return meta_setup(state);
}

static void test_first(void **state)
{
	int64_t before = datafs_now();
	struct seen s;
	bool eof;

	(void)state;
	pause_at(begin(root), "ab");
	assert_int_equal(read_on(0, before, &s, &eof), 0);
	assert_int_equal(s.n, 2);
	assert_false(eof);
	assert_string_equal(s.e[1].name, "b");
	assert_true(s.e[0].in.name_synced >= before);
	assert_int_equal(read_on(s.e[0].cookie, 0, &s, &eof), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(read_on(s.e[0].cookie, 0, &s, &eof), DATAFS_META_MORE);
	/* All of it is asked for. */
	assert_int_equal(datafs_meta_readdir(m, root, 0, before, NULL, NULL, &eof, NULL),
			 DATAFS_META_MORE);
	end(resume(), "c");
	assert_int_equal(read_on(0, before, &s, &eof), 0);
	assert_int_equal(s.n, 3);
	assert_true(eof);
	assert_int_equal(datafs_meta_readdir(m, root, 0, before, NULL, NULL, &eof, NULL), 0);
	assert_int_equal(dropped, 0);
}

/* What was known and is not met yet may be gone. */
static void test_again(void **state)
{
	struct seen all, s;
	int64_t before;
	bool eof;

	(void)state;
	end(begin(root), "abc");
	all = known(root);
	before = datafs_now();
	pause_at(begin(root), "a");
	assert_int_equal(read_on(0, before, &s, &eof), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.e[0].name, "a");
	assert_int_equal(read_on(all.e[0].cookie, 0, &s, &eof), DATAFS_META_MORE);
	/* who takes what was known before still gets it */
	assert_int_equal(known(root).n, 3);
	end(resume(), "c");
	assert_int_equal(read_on(all.e[0].cookie, 0, &s, &eof), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.e[0].name, "c");
	assert_true(eof);
}

/* In another order than before nothing of old is told before the end. */
static void test_order(void **state)
{
	struct seen all, s;
	int64_t before;
	bool eof;

	(void)state;
	end(begin(root), "ab");
	all = known(root);
	before = datafs_now();
	pause_at(begin(root), "ba");
	assert_int_equal(read_on(0, before, &s, &eof), DATAFS_META_MORE);
	end(resume(), "c");
	assert_int_equal(read_on(0, before, &s, &eof), 0);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.e[0].cookie, all.e[0].cookie);
}

/* One that nobody reads any more gives way. */
static void test_idle(void **state)
{
	struct datafs_meta_listing *l;
	struct seen s;
	int64_t now;
	bool eof;
	void *p;

	(void)state;
	pause_at(begin(root), "ab");
	now = datafs_now();
	assert_int_equal(read_on(0, now, &s, &eof), DATAFS_META_MORE);
	usleep(1010000);
	assert_int_equal(read_on(0, now - 1000000000, &s, &eof), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(read_on(0, now, &s, &eof), DATAFS_META_SYNC);
	assert_int_equal(dropped, 1);
	assert_int_equal(datafs_meta_list_resume(m, root, &l, &p), -EAGAIN);
	/* What ends with trouble leaves nothing to go on with. */
	pause_at(begin(root), "a");
	assert_int_equal(datafs_meta_list_end(resume(), -EIO), 0);
	assert_int_equal(datafs_meta_list_resume(m, root, &l, &p), -EAGAIN);
	/* What is there at the end is dropped. */
	pause_at(begin(root), "a");
	reopen_meta();
	assert_int_equal(dropped, 2);
}

/* The thread that is to wait; 0: it has not come so far. */
static atomic_int waiter;

static bool is_asleep(int tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
	fclose(f);
	return state == 'S';
}

static void wait_for_waiter(void)
{
	while (!atomic_load(&waiter) || !is_asleep(atomic_load(&waiter)))
		usleep(1000);
	/* It may have slept for a lock on its way; not for so long. */
	usleep(20000);
	while (!is_asleep(atomic_load(&waiter)))
		usleep(1000);
	atomic_store(&waiter, 0);
}

static void *reads(void *arg)
{
	struct seen *s = arg;
	struct datafs_meta_ticket t;
	bool eof;

	atomic_store(&waiter, gettid());
	assert_int_equal(datafs_meta_readdir(m, root, 0, 0, collect, s, &eof, &t), 0);
	return NULL;
}

static void *resumes(void *arg)
{
	struct datafs_meta_listing *l;
	void *state;

	atomic_store(&waiter, gettid());
	*(int *)arg = datafs_meta_list_resume(m, root, &l, &state);
	return NULL;
}

/* Who waits for a listing gets its first page, who waits for a page asks again. */
static void test_waiters(void **state)
{
	struct datafs_meta_listing *l = begin(root);
	struct seen s = { 0 };
	pthread_t thread;
	int ret = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, reads, &s), 0);
	wait_for_waiter();
	pause_at(l, "ab");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s.n, 2);
	l = resume();
	assert_int_equal(pthread_create(&thread, NULL, resumes, &ret), 0);
	wait_for_waiter();
	pause_at(l, "c");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(ret, -EAGAIN);
	end(resume(), "");
	assert_int_equal(known(root).n, 3);
}

/* They are bounded; those that were read last stay. */
static void test_bound(void **state)
{
	struct datafs_meta_listing *l;
	struct datafs_under_stat d;
	char name[16];
	uint64_t ino[300];
	void *p;

	(void)state;
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		d = dir_stat(100 + i, 1);
		ino[i] = see(root, name, &d).ino;
		dir_as = d;
		pause_at(begin(ino[i]), "a");
	}
	assert_int_equal(dropped, 300 - 256);
	assert_int_equal(datafs_meta_list_resume(m, ino[0], &l, &p), -EAGAIN);
	assert_int_equal(datafs_meta_list_resume(m, ino[299], &l, &p), 0);
	assert_int_equal(datafs_meta_list_end(l, -EIO), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first, pages_setup, meta_teardown),
		cmocka_unit_test_setup_teardown(test_again, pages_setup, meta_teardown),
		cmocka_unit_test_setup_teardown(test_order, pages_setup, meta_teardown),
		cmocka_unit_test_setup_teardown(test_idle, pages_setup, meta_teardown),
		cmocka_unit_test_setup_teardown(test_waiters, pages_setup, meta_teardown),
		cmocka_unit_test_setup_teardown(test_bound, pages_setup, meta_teardown),
	};

	return cmocka_run_group_tests_name("meta_pages", tests, NULL, NULL);
}
