// SPDX-License-Identifier: Apache-2.0
/* Several threads, of which one looks while the others wait. */
#define _GNU_SOURCE
#include "meta_fixture.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* ---- tickets ---- */

static struct {
	pthread_barrier_t start;
	int here;	/* threads that are about to ask */
	int looks;
	int error;
	int64_t fresh;
} race;

static void *race_thread(void *arg)
{
	struct datafs_under_stat st = file_stat(77, 1);
	struct datafs_meta_inode in;
	struct datafs_meta_ticket t;
	int ret;

	(void)arg;
	pthread_barrier_wait(&race.start);
	__atomic_fetch_add(&race.here, 1, __ATOMIC_SEQ_CST);
	ret = datafs_meta_lookup(m, root, "raced", race.fresh, &in, &t);
	if (ret == DATAFS_META_SYNC) {
		__atomic_fetch_add(&race.looks, 1, __ATOMIC_SEQ_CST);
		/* Until all are inside, or as good as: one that comes later looks anew. */
		while (__atomic_load_n(&race.here, __ATOMIC_SEQ_CST) < 8)
			usleep(1000);
		usleep(300000);
		datafs_meta_import(m, &t, datafs_now(), race.error, &st);
		return (void *)(intptr_t)race.error;
	}
	return (void *)(intptr_t)ret;
}

static void run_race(int error)
{
	pthread_t th[8];
	void *res;

	race.looks = 0;
	race.here = 0;
	race.error = error;
	race.fresh = datafs_now();
	pthread_barrier_init(&race.start, NULL, 8);
	for (int i = 0; i < 8; i++)
		pthread_create(&th[i], NULL, race_thread, NULL);
	for (int i = 0; i < 8; i++) {
		pthread_join(th[i], &res);
		assert_int_equal((intptr_t)res, error);
	}
	pthread_barrier_destroy(&race.start);
	assert_int_equal(race.looks, 1);
}

static void test_tickets(void **state)
{
	struct datafs_meta_inode in;
	struct datafs_meta_ticket t;

	(void)state;
	run_race(0);
	run_race(-EIO);
	/* The error was of that look; what was known before still is. */
	assert_int_equal(datafs_meta_lookup(m, root, "raced", 0, &in, &t), 0);
	assert_int_equal(in.st.file_id, 77);
}

/* ---- a random store, against a model ---- */

#define NAMES	24
#define STEPS	1500

static struct model {
	pthread_mutex_t lock;
	struct datafs_under_stat st[NAMES];
	bool there[NAMES];
	uint64_t ids, version;
} model;

static void *random_thread(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	char name[8];

	for (int step = 0; step < STEPS; step++) {
		int i = rand_r(&seed) % NAMES, op = rand_r(&seed) % 10, ret;

		snprintf(name, sizeof(name), "n%d", i);
		if (op < 4) {
			pthread_mutex_lock(&model.lock);
			if (op == 0)
				model.there[i] = false;
			else if (op == 1 || !model.there[i])
				model.st[i] = file_stat(++model.ids, 1);
			else
				model.st[i].fp.v[1] = ++model.version;
			model.there[i] = op != 0;
			pthread_mutex_unlock(&model.lock);
		} else if (op < 9) {
			struct datafs_under_stat st;
			int64_t looked;
			bool there;

			ret = datafs_meta_lookup(m, root, name, datafs_now(), &in, &t);
			if (ret != DATAFS_META_SYNC)
				continue;
			looked = datafs_now();
			pthread_mutex_lock(&model.lock);
			st = model.st[i];
			there = model.there[i];
			pthread_mutex_unlock(&model.lock);
			datafs_meta_import(m, &t, looked, there ? 0 : -ENOENT, &st);
		} else {
			struct datafs_under_stat d = dir_stat(1, 1);
			struct datafs_meta_listing *l;
			struct seen s = { 0 };
			int64_t looked;
			bool eof;

			if (datafs_meta_readdir(m, root, 0, datafs_now(), collect,
						&s, &eof, &t) != DATAFS_META_SYNC)
				continue;
			looked = datafs_now();
			if (datafs_meta_list_begin(m, &t, looked, &d, &l))
				continue;
			for (int k = 0; k < NAMES; k++) {
				struct datafs_under_stat st;
				bool there;

				pthread_mutex_lock(&model.lock);
				st = model.st[k];
				there = model.there[k];
				pthread_mutex_unlock(&model.lock);
				snprintf(name, sizeof(name), "n%d", k);
				if (there)
					datafs_meta_list_add(l, name, &st);
			}
			if (rand_r(&seed) % 4)
				datafs_meta_list_whole(l, &d);
			datafs_meta_list_end(l, 0);
		}
	}
	return NULL;
}

static void check_model(void)
{
	struct datafs_under_stat d = dir_stat(1, 1);
	struct ent ents[NAMES];
	char names[NAMES][8];
	struct seen s;
	int n = 0, found;

	for (int i = 0; i < NAMES; i++) {
		struct datafs_meta_inode in;

		snprintf(names[i], 8, "n%d", i);
		in = see(root, names[i], model.there[i] ? &model.st[i] : NULL);
		assert_int_equal(!!in.ino, model.there[i]);
		if (in.ino)
			assert_memory_equal(&in.st.fp, &model.st[i].fp, sizeof(in.st.fp));
		if (model.there[i])
			ents[n++] = (struct ent){ names[i], model.st[i] };
	}
	assert_int_equal(list_with(root, &d, ents, n, 0), 0);
	s = known(root);
	assert_int_equal(s.n, n);
	for (int i = 0; i < n; i++) {
		found = 0;
		for (int k = 0; k < s.n; k++)
			found += !strcmp(s.e[k].name, ents[i].name) &&
				 s.e[k].in.st.file_id == ents[i].st.file_id;
		assert_int_equal(found, 1);
	}
}

static void test_random(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	pthread_t th[8];

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	memset(&model, 0, sizeof(model));
	model.ids = 100;
	pthread_mutex_init(&model.lock, NULL);
	for (int round = 0; round < 3; round++) {
		for (uintptr_t i = 0; i < 8; i++)
			pthread_create(&th[i], NULL, random_thread,
				       (void *)(uintptr_t)(seed + round * 8 + i));
		for (int i = 0; i < 8; i++)
			pthread_join(th[i], NULL);
		check_model();
		reopen_meta();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(test_tickets),
		META_TEST(test_random),
	};

	return cmocka_run_group_tests_name("meta_threads", tests, NULL, NULL);
}
