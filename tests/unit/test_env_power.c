// SPDX-License-Identifier: Apache-2.0
/* What a database holds after a loss of power, or after its disk failed. */
#define _GNU_SOURCE
#include "env_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fault_env.h"

#define SEEDS	40
#define ROUNDS	3

/* What was wrong with what was found. */
struct found {
	unsigned int rounds, unopened, holes, lost, invented;
};

struct life {
	struct fault_env *f;
	struct datafs_env *shim;
	const char *path;
	bool raw;
	uint32_t n, acked, synced;	/* tried, done, done and surely durable */
};

static void life_begin(struct life *l, const char *name, uint64_t seed, bool raw)
{
	const char *root = env_path(name);
	char db[64];

	memset(l, 0, sizeof(*l));
	assert_int_equal(mkdir(root, 0700), 0);
	l->f = fault_env_new(root, seed);
	snprintf(db, sizeof(db), "%s/db", name);
	l->path = strdup(env_path(db));
	l->raw = raw;
}

static void life_end(struct life *l)
{
	fault_env_free(l->f);
	free((char *)l->path);
}

static leveldb_t *life_open(struct life *l)
{
	l->shim = l->raw ? NULL : fault_env_shim(l->f);
	return db_open(l->raw ? fault_env_raw(l->f) :
		       datafs_env_leveldb(l->shim), l->path);
}

static void life_close(struct life *l, leveldb_t *db)
{
	if (db)
		leveldb_close(db);
	datafs_env_close(l->shim);
}

static bool life_write(struct life *l, leveldb_t *db, bool sync)
{
	if (l->n == l->acked)
		l->n++;
	if (db_batch(db, 'a', l->n, 0, sync))
		return false;
	l->acked = l->n;
	if (sync)
		l->synced = l->n;
	return true;
}

static void life_power_loss(struct life *l, leveldb_t *db)
{
	fault_env_cut(l->f, 0);
	life_close(l, db);
	fault_env_restart(l->f);
}

/* Opens what is there. It goes on from what is found, which then is durable. */
static void life_check(struct life *l, struct found *res)
{
	leveldb_t *db = life_open(l);
	uint32_t n = 0;

	res->rounds++;
	if (!db)
		res->unopened++;
	else if (!db_is_prefix(db, 'a', &n, NULL))
		res->holes++;
	else if (n < l->synced)
		res->lost++;
	else if (n > l->n)
		res->invented++;
	life_close(l, db);
	l->n = l->acked = l->synced = n;
}

/* Writes until the power goes, with a failing operation on the way at times. */
static void write_some(struct life *l, uint64_t *x)
{
	static const unsigned int ops[] = { FAULT_WRITE, FAULT_SYNC, FAULT_NAME };
	unsigned int batches = 1 + env_random(x) % 1500, failures = 0;
	leveldb_t *db;

	fault_env_cut(l->f, 1 + env_random(x) % 6000);
	if (!(env_random(x) % 3))
		fault_env_fail(l->f, ops[env_random(x) % 3], "",
			       1 + env_random(x) % 500, 1 + env_random(x) % 2,
			       env_random(x) % 2 ? ENOSPC : EIO);
	db = life_open(l);
	while (db && batches-- && failures < 5)
		failures += !life_write(l, db, !(env_random(x) % 60));
	life_power_loss(l, db);
}

static struct found lose_power(bool raw)
{
	uint64_t x = env_seed();
	struct found res = { 0 };
	char name[16];

	for (unsigned int i = 0; i < SEEDS; i++) {
		struct life l;

		snprintf(name, sizeof(name), "%u", i);
		life_begin(&l, name, env_random(&x), raw);
		for (unsigned int j = 0; j < ROUNDS; j++) {
			unsigned int bad = res.unopened + res.holes + res.lost;

			write_some(&l, &x);
			life_check(&l, &res);
			if (bad != res.unopened + res.holes + res.lost)
				break;
		}
		life_end(&l);
	}
	print_message("%u losses: %u not opened, %u with holes, %u lost a sync\n",
		      res.rounds, res.unopened, res.holes, res.lost);
	return res;
}

static void prefix_survives(void **state)
{
	struct found res = lose_power(false);

	(void)state;
	assert_int_equal(res.rounds, SEEDS * ROUNDS);
	assert_int_equal(res.unopened, 0);
	assert_int_equal(res.holes, 0);
	assert_int_equal(res.lost, 0);
	assert_int_equal(res.invented, 0);
}

/* The same without the environment is what the environment is there for. */
static void leveldb_alone_has_holes(void **state)
{
	struct found res = lose_power(true);

	(void)state;
	assert_true(res.holes > 0);
	assert_int_equal(res.invented, 0);
}

static uint32_t lose_after(struct life *l, unsigned int batches)
{
	leveldb_t *db = life_open(l);
	struct found res = { 0 };

	assert_non_null(db);
	for (unsigned int i = 0; i < batches; i++) {
		assert_true(life_write(l, db, i % 100 == 50));
		fault_env_settle(l->f);
	}
	life_power_loss(l, db);
	life_check(l, &res);
	assert_int_equal(res.unopened + res.holes + res.lost, 0);
	return l->n;
}

/* Two disks at once, in step and with the same seed, lose the same. */
static void seed_decides(void **state)
{
	uint64_t x = env_seed();
	unsigned int differ = 0;
	uint32_t before = 0;

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		char name[2][16];
		uint64_t seed = env_random(&x);
		struct life l[2];

		for (int j = 0; j < 2; j++) {
			snprintf(name[j], sizeof(name[j]), "%u-%d", i, j);
			life_begin(&l[j], name[j], seed, false);
		}
		for (unsigned int j = 0; j < 2; j++)
			assert_int_equal(lose_after(&l[0], 380 + 300 * j),
					 lose_after(&l[1], 380 + 300 * j));
		differ += i && before != l[0].n;
		before = l[0].n;
		life_end(&l[0]);
		life_end(&l[1]);
	}
	assert_true(differ > 0);
}

/* What LevelDB does: it writes on behind the torn record. */
static unsigned int write_behind_torn(struct life *l)
{
	unsigned int more = 0;
	leveldb_t *db = life_open(l);

	assert_non_null(db);
	for (int i = 0; i < 40; i++)
		assert_true(life_write(l, db, true));
	fault_env_fail(l->f, FAULT_WRITE, ".log", 2, 1, ENOSPC);
	assert_false(life_write(l, db, true));
	for (int i = 0; i < 10; i++)
		more += !db_batch(db, 'a', l->n, 0, i == 9);
	life_close(l, db);
	return more;
}

static void full_disk(void **state)
{
	struct found res = { 0 };
	struct life l;
	leveldb_t *db;

	(void)state;
	life_begin(&l, "disk", 1, false);
	assert_int_equal(write_behind_torn(&l), 0);
	/* the process goes on, and opens it again with all it had */
	life_check(&l, &res);
	assert_int_equal(res.unopened + res.holes + res.lost, 0);
	assert_int_equal(l.n, 40);
	db = life_open(&l);
	assert_non_null(db);
	assert_true(life_write(&l, db, false));
	life_close(&l, db);
	life_check(&l, &res);
	assert_int_equal(res.unopened + res.holes + res.lost, 0);
	assert_int_equal(l.n, 41);
	life_end(&l);
}

/* An error of a close, which LevelDB does not look at, is an error of a write. */
static void log_that_cannot_be_synced(void **state)
{
	struct found res = { 0 };
	unsigned int n = 0;
	struct life l;
	leveldb_t *db;

	(void)state;
	life_begin(&l, "disk", 2, false);
	db = life_open(&l);
	assert_non_null(db);
	fault_env_fail(l.f, FAULT_SYNC, ".log", 1, 1, EIO);
	while (n < 2000 && life_write(&l, db, false))
		n++;
	assert_true(n > 0 && n < 200);
	for (int i = 0; i < 10; i++)
		assert_false(life_write(&l, db, i % 2));
	life_power_loss(&l, db);
	life_check(&l, &res);
	assert_int_equal(res.unopened + res.holes + res.lost, 0);
	life_end(&l);
}

/* A database that is opened has its files changed most. Each step fails once. */
static void failing_open(void **state)
{
	struct found res = { 0 };
	unsigned int opened = 0, failed = 0;
	struct life l;
	leveldb_t *db;

	(void)state;
	life_begin(&l, "disk", 3, false);
	for (unsigned int nth = 0; nth < 60; nth++) {
		fault_env_fail(l.f, FAULT_WRITE | FAULT_SYNC | FAULT_NAME, "",
			       nth, !!nth, EIO);
		db = life_open(&l);
		if (!db)
			failed++;
		for (int i = 0; db && i < 30; i++)
			opened += life_write(&l, db, i == 29);
		life_power_loss(&l, db);
		life_check(&l, &res);
		assert_int_equal(res.unopened + res.holes + res.lost, 0);
	}
	print_message("%u not opened, %u writes\n", failed, opened);
	assert_true(failed > 10);
	/* How many steps are an open's, and how many LevelDB's thread's, is not ours to say. */
	assert_true(opened > 30 * 3);
	life_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENV_TEST(prefix_survives),
		ENV_TEST(leveldb_alone_has_holes),
		ENV_TEST(seed_decides),
		ENV_TEST(full_disk),
		ENV_TEST(log_that_cannot_be_synced),
		ENV_TEST(failing_open),
	};

	return cmocka_run_group_tests_name("env_power", tests, NULL, NULL);
}
