// SPDX-License-Identifier: Apache-2.0
/*
 * A member whose power goes at any time finds the state behind some entry, its index
 * with it; the entries after that make it equal, byte by byte, to one that never lost
 * power.
 */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <time.h>

#include "base/crc32c.h"
#include "fault_env.h"
#include "tmpdir.h"

#define LOG_LEN	300
#define LIVES	6	/* of each kind */
#define BIG	60000	/* so that LevelDB changes its log twice */

static struct entry {
	uint8_t *buf;
	size_t len;
	/* What is there behind it, as the member that loses nothing has it. */
	uint32_t crc;
	size_t dump_len;
} entries[LOG_LEN + 1];

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static struct req some_req(uint64_t *x)
{
	static const Metad__Command__OpCase ops[] = {
		OP(CREATE), OP(MKDIR), OP(UNLINK), OP(RMDIR), OP(RENAME), OP(RENAME),
		OP(LINK), OP(HOLD), OP(RELEASE), OP(REMOVEXATTR),
	};
	static const char *const names[] = { "a", "b", "c", "d" };
	struct req r = {
		.op = ops[rnd(x) % 10], .ino = 1 + rnd(x) % 9, .to = 1 + rnd(x) % 9,
		.name = names[rnd(x) % 4], .new_name = names[rnd(x) % 4],
		.replace = !(rnd(x) % 3),
	};

	if (r.op != OP(HOLD) && r.op != OP(LINK) && rnd(x) % 2)
		r.ino = ROOT;
	return r;
}

static void state_of(struct datafs_metad *of, uint32_t *crc, size_t *len)
{
	uint8_t *buf = metad_dump(of, len);

	*crc = datafs_crc32c(buf, *len);
	free(buf);
}

/* Entry 1 opens the session; each has one command with many bytes. */
static void make_entries(uint64_t *x)
{
	static uint8_t value[BIG];
	struct req r[5];
	uint64_t id = 1;

	for (int i = 1; i <= LOG_LEN; i++) {
		struct entry *e = &entries[i];
		size_t n = 1 + rnd(x) % 4;

		for (size_t k = 0; k < sizeof(value); k += 8) {
			uint64_t v = rnd(x);

			memcpy(value + k, &v, 8);
		}
		for (size_t k = 0; k < n; k++)
			r[k] = some_req(x);
		if (i == 1)
			r[0] = (struct req){ OP(SESSION_OPEN) };
		r[n++] = (struct req){ OP(SETXATTR), ROOT, "user.big", .value = value,
				       .len = sizeof(value) };
		for (size_t k = 0; k < n; k++) {
			r[k].session = SESSION + 1;
			r[k].request = id++;
			r[k].lowest = id > 20 ? id - 20 : 1;
		}
		e->buf = req_pack(r, n, 1000000000ull * (unsigned int)i, 0, &e->len);
		assert_int_equal(datafs_metad_apply(m, (uint64_t)i, 1, e->buf, e->len, NULL), 0);
		state_of(m, &e->crc, &e->dump_len);
	}
}

static int life_open(struct fault_env *f, const char *db, bool sync,
		     struct datafs_env **env, struct datafs_metad **res)
{
	struct datafs_metad_options opt = { .dir = db, .id = "id", .sync = sync };
	int err;

	*env = fault_env_shim(f);
	opt.env = datafs_env_leveldb(*env);
	*res = NULL;
	err = datafs_metad_open(&opt, res);
	if (err)
		datafs_env_close(*env);
	return err;
}

/* The last one known to be applied is @acked: what is found is that or a prefix. */
static uint64_t check_found(struct datafs_metad *of, uint64_t acked, bool sync)
{
	struct datafs_metad_counts n;
	uint32_t crc;
	size_t len;

	assert_int_equal(datafs_metad_counts(of, &n), 0);
	/* One that failed may be there. */
	assert_true(n.index <= acked + 1);
	if (sync)
		assert_true(n.index >= acked);
	if (!n.index)
		return 0;
	state_of(of, &crc, &len);
	assert_int_equal(len, entries[n.index].dump_len);
	assert_int_equal(crc, entries[n.index].crc);
	assert_null(metad_check(of));
	return n.index;
}

/* Until all are applied or the power is gone: what is applied. */
static uint64_t apply_from(struct datafs_metad *to, uint64_t from, uint64_t found)
{
	for (uint64_t i = from; i <= LOG_LEN; i++) {
		int ret = datafs_metad_apply(to, i, 1, entries[i].buf, entries[i].len, NULL);

		if (ret < 0) {
			assert_int_not_equal(ret, -ENOMEM);
			return i - 1 > found ? i - 1 : found;
		}
		assert_int_equal(ret, i <= found);
	}
	return LOG_LEN;
}

static unsigned int life(const char *root, uint64_t *x, bool sync)
{
	struct fault_env *f = fault_env_new(root, rnd(x));
	unsigned int losses = 0;
	struct datafs_metad *it;
	struct datafs_env *env;
	uint64_t acked = 0, found = 0;
	char db[4200];

	snprintf(db, sizeof(db), "%s/db", root);
	while (found < LOG_LEN) {
		/* In the opening, or while entries are applied. */
		fault_env_cut(f, 1 + (unsigned int)(rnd(x) % (rnd(x) % 3 ? 400 : 12)));
		if (!life_open(f, db, sync, &env, &it)) {
			found = check_found(it, acked, sync);
			acked = apply_from(it, found ? 1 + rnd(x) % found : 1, found);
			fault_env_cut(f, 0);
			datafs_metad_close(it);
			datafs_env_close(env);
		}
		fault_env_restart(f);
		losses++;
		assert_int_equal(life_open(f, db, sync, &env, &it), 0);
		found = check_found(it, acked, sync);
		acked = found;
		datafs_metad_close(it);
		datafs_env_close(env);
	}
	fault_env_free(f);
	return losses;
}

static void lives(void **state, bool sync)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	unsigned int losses = 0;
	char root[4096], inodes[4200];

	(void)state;
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 0x9e3779b97f4a7c15ull | 1;
	/* As a new one, without the fixture's session. */
	datafs_metad_close(m);
	tmpdir_remove(dir);
	m = open_other(dir, sizeof(dir));
	make_entries(&seed);
	for (int i = 0; i < LIVES; i++) {
		assert_int_equal(tmpdir_make(root, sizeof(root), "metad"), 0);
		losses += life(root, &seed, sync);
		snprintf(inodes, sizeof(inodes), "%s.inodes", root);
		tmpdir_remove(root);
		tmpdir_remove(inodes);
	}
	assert_true(losses > LIVES);
	for (int i = 1; i <= LOG_LEN; i++)
		free(entries[i].buf);
}

static void without_sync(void **state)
{
	lives(state, false);
}

static void with_sync(void **state)
{
	lives(state, true);
}

/* What failed to be written may be there: nobody is told to try again. */
static void written_or_not(void **state)
{
	struct req r = { OP(SESSION_OPEN), .session = SESSION + 1, .request = 1 };
	char root[4096], db[4200], inodes[4200];
	struct datafs_metad *it;
	struct datafs_env *env;
	struct fault_env *f;
	size_t len;
	uint8_t *buf = req_pack(&r, 1, 1, 0, &len);

	(void)state;
	assert_int_equal(tmpdir_make(root, sizeof(root), "metad"), 0);
	snprintf(db, sizeof(db), "%s/db", root);
	snprintf(inodes, sizeof(inodes), "%s.inodes", root);
	f = fault_env_new(root, 1);
	assert_int_equal(life_open(f, db, true, &env, &it), 0);
	fault_env_fail(f, FAULT_SYNC, ".log", 1, 1, ENOMEM);
	assert_int_equal(datafs_metad_apply(it, 1, 1, buf, len, NULL), -EIO);
	assert_int_equal(datafs_metad_apply(it, 1, 1, buf, len, NULL), -EIO);
	datafs_metad_close(it);
	datafs_env_close(env);
	fault_env_free(f);
	tmpdir_remove(root);
	tmpdir_remove(inodes);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(without_sync),
		METAD_TEST(with_sync),
		METAD_TEST(written_or_not),
	};

	return cmocka_run_group_tests_name("metad_crash", tests, NULL, NULL);
}
