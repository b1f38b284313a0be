// SPDX-License-Identifier: Apache-2.0
/* Checkpoints of a database that is written, and files that are pinned. */
#define _GNU_SOURCE
#include "env_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "fault_env.h"

#define CHECKPOINTS	12

static struct datafs_env *env;
static leveldb_t *db;

static void up(void)
{
	assert_int_equal(datafs_env_open(&env), 0);
	db = db_open(datafs_env_leveldb(env), env_path("db"));
	assert_non_null(db);
}

static void down(void)
{
	leveldb_close(db);
	datafs_env_close(env);
}

struct writer {
	pthread_t t;
	char who;
	atomic_uint acked;
	atomic_bool *stop;
	struct writer *other;
	int err;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (uint32_t n = 1; !atomic_load(w->stop) && !w->err; n++) {
		uint32_t saw = atomic_load(&w->other->acked);

		w->err = db_batch(db, w->who, n, saw, !(n % 500));
		atomic_store(&w->acked, n);
	}
	return NULL;
}

/* Names, sizes and bytes of all files of a directory, in no order. */
static uint64_t sum_of(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	uint64_t sum = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		static char buf[8 << 20];
		ssize_t len;
		int fd;

		if (*e->d_name == '.')
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY);
		assert_true(fd >= 0);
		len = read(fd, buf, sizeof(buf));
		assert_true(len >= 0 && len < (ssize_t)sizeof(buf));
		close(fd);
		sum += (uint64_t)datafs_crc32c(buf, len) * (1 + len) +
		       datafs_crc32c(e->d_name, strlen(e->d_name));
	}
	closedir(d);
	return sum;
}

struct taken {
	char name[16];
	uint32_t before[2], after[2];	/* acknowledged when it was called, returned */
	uint64_t sum;
};

static void check_taken(const struct taken *t)
{
	struct datafs_env *own;
	uint32_t n[2], saw[2];
	leveldb_t *copy;

	assert_int_equal(sum_of(env_path(t->name)), t->sum);
	assert_int_equal(datafs_env_open(&own), 0);
	copy = db_open(datafs_env_leveldb(own), env_path(t->name));
	assert_non_null(copy);
	for (int i = 0; i < 2; i++) {
		assert_true(db_is_prefix(copy, 'a' + i, &n[i], &saw[i]));
		assert_true(n[i] >= t->before[i]);
		assert_true(n[i] <= t->after[i] + 1);
	}
	/* one order for both: what a batch had seen is before it */
	assert_true(n[1] >= saw[0]);
	assert_true(n[0] >= saw[1]);
	/* it is a database of its own */
	assert_int_equal(db_batch(copy, 'a', n[0] + 1, saw[0], true), 0);
	leveldb_close(copy);
	datafs_env_close(own);
}

static void under_load(void **state)
{
	struct taken t[CHECKPOINTS] = { 0 };
	atomic_bool stop = false;
	struct writer w[2] = {
		{ .who = 'a', .other = &w[1], .stop = &stop },
		{ .who = 'b', .other = &w[0], .stop = &stop },
	};
	uint32_t n;

	(void)state;
	up();
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&w[i].t, NULL, write_on, &w[i]), 0);
	for (int i = 0; i < CHECKPOINTS; i++) {
		snprintf(t[i].name, sizeof(t[i].name), "copy%d", i);
		/* each some memtables after the one before */
		while (atomic_load(&w[0].acked) < 400u * (i + 1))
			usleep(100);
		for (int j = 0; j < 2; j++)
			t[i].before[j] = atomic_load(&w[j].acked);
		assert_int_equal(datafs_checkpoint(env, env_path("db"),
						   env_path(t[i].name)), 0);
		for (int j = 0; j < 2; j++)
			t[i].after[j] = atomic_load(&w[j].acked);
		t[i].sum = sum_of(env_path(t[i].name));
	}
	n = atomic_load(&w[0].acked);
	while (atomic_load(&w[0].acked) < n + 1000)
		usleep(100);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(w[i].t, NULL);
		assert_int_equal(w[i].err, 0);
	}
	for (int i = 0; i < CHECKPOINTS; i++)
		check_taken(&t[i]);
	/* and the database is not changed by what the checkpoints were used for */
	down();
	up();
	for (int i = 0; i < 2; i++) {
		assert_true(db_is_prefix(db, 'a' + i, &n, NULL));
		assert_int_equal(n, atomic_load(&w[i].acked));
	}
	down();
}

static void refusals(void **state)
{
	(void)state;
	up();
	assert_int_equal(mkdir(env_path("there"), 0700), 0);
	assert_int_equal(datafs_checkpoint(env, env_path("db"), env_path("there")),
			 -EEXIST);
	assert_int_equal(datafs_checkpoint(env, env_path("db"), env_path("no/copy")),
			 -ENOENT);
	assert_int_equal(datafs_checkpoint(env, env_path("there"), env_path("copy")),
			 -EUCLEAN);
	assert_int_equal(access(env_path("copy"), F_OK), -1);
	assert_int_equal(access(env_path("copy.tmp"), F_OK), -1);
	/* what a crash left */
	assert_int_equal(mkdir(env_path("copy.tmp"), 0700), 0);
	assert_int_equal(mkdir(env_path("copy.tmp/x"), 0700), 0);
	assert_true(datafs_checkpoint(env, env_path("db"), env_path("copy")) < 0);
	assert_int_equal(rmdir(env_path("copy.tmp/x")), 0);
	assert_int_equal(datafs_checkpoint(env, env_path("db"), env_path("copy")), 0);
	down();
}

/* One that has returned is whole after a loss of power; one that has not, or none. */
static void power_loss(void **state)
{
	uint64_t x = env_seed();
	unsigned int whole = 0, none = 0;

	(void)state;
	for (unsigned int i = 0; i < 60; i++) {
		char root[16], path[32], to[32];
		struct fault_env *f;
		uint32_t n;
		int err;

		snprintf(root, sizeof(root), "%u", i);
		snprintf(path, sizeof(path), "%u/db", i);
		snprintf(to, sizeof(to), "%u/copy", i);
		assert_int_equal(mkdir(env_path(root), 0700), 0);
		f = fault_env_new(env_path(root), env_random(&x));
		env = fault_env_shim(f);
		db = db_open(datafs_env_leveldb(env), env_path(path));
		assert_non_null(db);
		for (n = 1; n <= 300; n++)
			assert_int_equal(db_batch(db, 'a', n, 0, false), 0);
		if (i % 3)
			fault_env_cut(f, 1 + env_random(&x) % 25);
		err = datafs_checkpoint(env, env_path(path), env_path(to));
		fault_env_cut(f, 0);
		down();
		fault_env_restart(f);
		if (!err || !access(env_path(to), F_OK)) {
			env = fault_env_shim(f);
			db = db_open(datafs_env_leveldb(env), env_path(to));
			assert_non_null(db);
			assert_true(db_is_prefix(db, 'a', &n, NULL));
			assert_int_equal(n, 300);
			down();
			whole++;
		} else {
			none++;
		}
		fault_env_free(f);
	}
	assert_int_equal(whole + none, 60);
	assert_true(whole >= 20 && none > 0);
}

static void compact(void)
{
	leveldb_compact_range(db, NULL, 0, NULL, 0);
}

static void write_batches(uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n <= to; n++)
		assert_int_equal(db_batch(db, 'a', n, 0, false), 0);
}

static void pinned(void **state)
{
	int tables;
	uint32_t n;

	(void)state;
	up();
	write_batches(1, 500);
	compact();
	tables = count_files(env_path("db"), ".ldb");
	datafs_env_pin(env);
	datafs_env_pin(env);
	write_batches(501, 1500);
	compact();
	assert_true(count_files(env_path("db"), ".ldb") > tables + 5);
	assert_true(count_files(env_path("db"), ".log") > 5);
	datafs_env_unpin(env);
	assert_true(count_files(env_path("db"), ".log") > 5);
	datafs_env_unpin(env);
	assert_int_equal(count_files(env_path("db"), ".ldb"), tables);
	assert_int_equal(count_files(env_path("db"), ".log"), 1);

	/* a process that ends while they are pinned: LevelDB looks after them */
	datafs_env_pin(env);
	write_batches(1501, 2500);
	compact();
	assert_true(count_files(env_path("db"), ".log") > 5);
	down();
	up();
	assert_int_equal(count_files(env_path("db"), ".log"), 1);
	assert_int_equal(count_files(env_path("db"), "MANIFEST"), 1);
	compact();
	assert_int_equal(count_files(env_path("db"), ".ldb"), tables);
	assert_true(db_is_prefix(db, 'a', &n, NULL));
	assert_int_equal(n, 2500);
	down();
}

/*
 * A name that comes again, while its old file is linked elsewhere and its
 * removal is remembered: neither the old bytes nor the new ones are lost.
 */
static void name_comes_again(void **state)
{
	struct stat st;
	uint32_t n;
	int fd;

	(void)state;
	assert_int_equal(mkdir(env_path("db"), 0700), 0);
	for (int i = 1; i < 30; i++) {
		char name[32];

		snprintf(name, sizeof(name), "db/%06d.ldb", i);
		fd = open(env_path(name), O_CREAT | O_WRONLY, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "old bytes", 9), 9);
		close(fd);
		snprintf(name, sizeof(name), "old%d", i);
		if (i == 5)
			assert_int_equal(link(env_path("db/000005.ldb"),
					      env_path(name)), 0);
	}
	assert_int_equal(datafs_env_open(&env), 0);
	datafs_env_pin(env);
	db = db_open(datafs_env_leveldb(env), env_path("db"));
	assert_non_null(db);
	write_batches(1, 500);
	compact();
	datafs_env_unpin(env);
	assert_int_equal(stat(env_path("old5"), &st), 0);
	assert_int_equal(st.st_size, 9);
	assert_int_equal(st.st_nlink, 1);
	down();
	up();
	assert_true(db_is_prefix(db, 'a', &n, NULL));
	assert_int_equal(n, 500);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(under_load),
		ENV_TEST(refusals),
		ENV_TEST(power_loss),
		ENV_TEST(pinned),
		ENV_TEST(name_comes_again),
	};

	return cmocka_run_group_tests_name("env_checkpoint", tests, NULL, NULL);
}
