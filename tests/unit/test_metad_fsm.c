// SPDX-License-Identifier: Apache-2.0
/* The namespace as a state machine: what may be proposed, entries, snapshots. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "metad/fsm.h"
#include "tmpdir.h"

static char root[4096], state_dir[4200];
static struct datafs_fsm *fsm;
static struct datafs_raft_fsm ops;
static uint64_t clock_now;
static unsigned int envs;
static struct datafs_metad_memory memory;

static uint64_t clock_of(void *ctx)
{
	assert_ptr_equal(ctx, &clock_now);
	return clock_now;
}

static int env_of(void *ctx, struct datafs_env **res)
{
	assert_ptr_equal(ctx, &clock_now);
	envs++;
	return datafs_env_open(res);
}

static void open_state(void)
{
	struct datafs_fsm_options opt = {
		.dir = state_dir, .id = "id", .memory = memory, .env = env_of, .clock = clock_of,
		.ctx = &clock_now,
	};

	assert_int_equal(datafs_fsm_open(&opt, &fsm), 0);
	ops = datafs_fsm_ops(fsm);
}

static int setup(void **state)
{
	if (metad_setup(state) || tmpdir_make(root, sizeof(root), "fsm"))
		return -1;
	snprintf(state_dir, sizeof(state_dir), "%s/state", root);
	clock_now = 5000000007;
	envs = 0;
	open_state();
	return 0;
}

static int teardown(void **state)
{
	datafs_fsm_close(fsm);
	tmpdir_remove(root);
	return metad_teardown(state);
}

/* An entry of these, as a leader proposes it; the answers are kept in @cmds. */
static int entry(uint64_t index, const struct req *r, unsigned int n,
		 struct datafs_raft_command *cmds)
{
	uint8_t stamp[DATAFS_MEMBER_STAMP_MAX];
	int ret;

	cmds[0] = (struct datafs_raft_command){ .buf = stamp };
	cmds[0].len = ops.stamp(ops.ctx, stamp);
	assert_true(cmds[0].len <= sizeof(stamp));
	for (unsigned int i = 0; i < n; i++) {
		cmds[i + 1] = (struct datafs_raft_command){ 0 };
		cmds[i + 1].buf = req_pack_command(&r[i], &cmds[i + 1].len);
	}
	ret = ops.apply(ops.ctx, index, 1, cmds, n + 1);
	for (unsigned int i = 0; i < n; i++)
		free((void *)cmds[i + 1].buf);
	return ret;
}

/* One command that has no error. */
static void done(uint64_t index, struct req r)
{
	struct datafs_raft_command cmds[2];
	Metad__Result *res;

	assert_int_equal(entry(index, &r, 1, cmds), 0);
	assert_null(cmds[0].res);
	res = metad__result__unpack(NULL, cmds[1].res_len, cmds[1].res);
	assert_non_null(res);
	assert_int_equal(res->error, 0);
	result_free(res);
	free(cmds[1].res);
}

static void assert_same_as(struct datafs_metad *other)
{
	size_t alen, blen;
	uint8_t *a = metad_dump(datafs_fsm_ns(fsm), &alen), *b = metad_dump(other, &blen);

	assert_int_equal(alen, blen);
	assert_memory_equal(a, b, alen);
	free(a);
	free(b);
}

/* An entry is what it is when it is packed as one, with the leader's clock. */
static void entries(void **state)
{
	const struct req r[] = {
		{ OP(SESSION_OPEN), .session = SESSION, .request = 1 },
		{ OP(MKDIR), ROOT, "d", .mode = 0755, .session = SESSION, .request = 2 },
		{ OP(CREATE), 2, "f", .mode = 0644, .session = SESSION, .request = 3 },
		{ OP(RMDIR), ROOT, "d", .session = SESSION, .request = 4 },
	};
	struct datafs_raft_command cmds[5];
	struct datafs_metad_results res;
	struct datafs_metad_attr a;
	char path[4096];
	struct datafs_metad *other = open_other(path, sizeof(path));
	uint8_t *buf;
	size_t len;

	(void)state;
	assert_int_equal(ops.applied(ops.ctx), 0);
	assert_int_equal(entry(3, r, 4, cmds), 0);
	assert_int_equal(ops.applied(ops.ctx), 3);
	buf = req_pack(r, 4, clock_now, 0, &len);
	assert_int_equal(datafs_metad_apply(other, 3, 1, buf, len, &res), 0);
	assert_int_equal(res.n, 4);
	assert_null(cmds[0].res);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(cmds[i + 1].res_len, res.r[i].len);
		assert_memory_equal(cmds[i + 1].res, res.r[i].data, res.r[i].len);
		free(cmds[i + 1].res);
	}
	assert_same_as(other);
	assert_int_equal(datafs_metad_getattr(datafs_fsm_ns(fsm), 3, &a), 0);
	assert_true(a.ctime.tv_sec == 5 && a.ctime.tv_nsec == 7);
	/* a barrier changes the index only */
	assert_int_equal(ops.apply(ops.ctx, 4, 2, NULL, 0), 0);
	assert_int_equal(datafs_metad_apply(other, 4, 2, "", 0, NULL), 0);
	assert_int_equal(ops.applied(ops.ctx), 4);
	assert_same_as(other);
	/* what was applied is an error: the member does not say it twice */
	assert_int_equal(ops.apply(ops.ctx, 4, 2, NULL, 0), -EINVAL);
	free(buf);
	datafs_metad_results_free(&res);
	datafs_metad_close(other);
	tmpdir_remove(path);
}

static void long_command(void **state)
{
	static char value[DATAFS_XATTR_MAX];

	(void)state;
	done(1, (struct req){ OP(SESSION_OPEN), .session = SESSION, .request = 1 });
	memset(value, 'x', sizeof(value));
	done(2, (struct req){ OP(SETXATTR), ROOT, "user.a", .value = value,
			      .len = sizeof(value), .session = SESSION, .request = 2 });
	assert_int_equal(datafs_metad_getxattr(datafs_fsm_ns(fsm), ROOT, "user.a", 6, NULL, 0),
			 sizeof(value));
}

static int decode(const void *buf, size_t len)
{
	const char *why = NULL;
	int err = datafs_fsm_decode(buf, len, NULL, &why);

	assert_int_equal(err == -EPROTO, !!why);
	return err;
}

/* What is refused is what would halt all members; all else has an answer. */
static void proposals(void **state)
{
	static uint8_t huge[DATAFS_MEMBER_OP_MAX + 1];
	struct req r = { OP(UNLINK), ROOT, "f", .session = SESSION, .request = 2 };
	struct req feature = { OP(FEATURE) };
	struct datafs_raft_command cmds[2];
	Metad__Command *c;
	size_t len;
	uint8_t *buf = req_pack_command(&r, &len), *more = malloc(len + 3);

	(void)state;
	assert_non_null(more);
	assert_int_equal(datafs_fsm_decode(buf, len, &c, NULL), 0);
	assert_int_equal(c->op_case, OP(UNLINK));
	assert_true(c->session == SESSION && c->request == 2);
	metad__command__free_unpacked(c, NULL);
	assert_int_equal(decode(buf, len), 0);
	assert_int_equal(decode(huge, sizeof(huge)), -EMSGSIZE);
	assert_int_equal(decode(buf, 0), -EPROTO);
	for (size_t i = 1; i < len; i++)
		assert_int_not_equal(decode(buf, i), -ENOMEM);
	/* cut off in the operation, the last of its fields */
	assert_int_equal(decode(buf, len - 1), -EPROTO);
	/* a field of the command, an operation: field 99, length 0; then in the operation */
	memcpy(more, buf, len);
	memcpy(more + len, "\x9a\x06", 3);
	assert_int_equal(decode(more, len + 3), -EPROTO);
	assert_int_equal(decode(more + len, 3), -EPROTO);
	assert_int_equal(decode("\xd2\x01\x03\x9a\x06\x00", 6), -EPROTO);
	assert_int_equal(decode("\xd2\x01\x00", 3), 0);
	free(more);
	free(buf);
	feature.level = DATAFS_METAD_LEVEL + 1;
	buf = req_pack_command(&feature, &len);
	assert_int_equal(decode(buf, len), -EPROTO);
	free(buf);
	feature.level = DATAFS_METAD_LEVEL;
	buf = req_pack_command(&feature, &len);
	assert_int_equal(decode(buf, len), 0);
	free(buf);
	/* no such session, no session at all: answers */
	assert_int_equal(entry(1, &r, 1, cmds), 0);
	free(cmds[1].res);
	r.session = r.request = 0;
	assert_int_equal(entry(2, &r, 1, cmds), 0);
	free(cmds[1].res);
}

static bool there(const char *name)
{
	char path[4300];

	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return !access(path, F_OK);
}

/* A snapshot is what it was, and stays so, whatever is done meanwhile. */
static void snapshots(void **state)
{
	char snap[4200];
	uint8_t *was, *is;
	size_t was_len, is_len;

	(void)state;
	done(1, (struct req){ OP(SESSION_OPEN), .session = SESSION, .request = 1 });
	done(2, (struct req){ OP(CREATE), ROOT, "f", .session = SESSION, .request = 2 });
	snprintf(snap, sizeof(snap), "%s/snap", root);
	assert_int_equal(ops.checkpoint(ops.ctx, snap), 0);
	was = metad_dump(datafs_fsm_ns(fsm), &was_len);
	for (uint64_t i = 1; i <= 2; i++) {
		done(3, (struct req){ OP(CREATE), ROOT, "g", .session = SESSION, .request = 3 });
		assert_int_equal(ops.restore(ops.ctx, snap), 0);
		assert_int_equal(ops.applied(ops.ctx), 2);
		is = metad_dump(datafs_fsm_ns(fsm), &is_len);
		assert_int_equal(is_len, was_len);
		assert_memory_equal(is, was, is_len);
		free(is);
	}
	assert_true(there("db-3") && !there("db-2") && !there("db-1"));
	assert_int_equal(envs, 3);
	done(3, (struct req){ OP(UNLINK), ROOT, "f", .session = SESSION, .request = 3 });
	datafs_fsm_close(fsm);
	open_state();
	assert_int_equal(ops.applied(ops.ctx), 3);
	assert_true(there("db-3"));
	free(was);
}

static unsigned int log_of(const char *name)
{
	char path[4300];

	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return metad_log_number(path);
}

/* What a database may have in memory is so, also of one that was restored. */
static void sizes(void **state)
{
	uint64_t index = 0, req = 1;
	char snap[4200], name[24];
	unsigned int first;

	(void)state;
	datafs_fsm_close(fsm);
	memory.write_buffer = 1 << 20;
	open_state();
	memory.write_buffer = 0;
	done(++index, (struct req){ OP(SESSION_OPEN), .session = SESSION, .request = req });
	snprintf(snap, sizeof(snap), "%s/snap", root);
	assert_int_equal(ops.checkpoint(ops.ctx, snap), 0);
	for (unsigned int db = 1; db <= 2; db++) {
		snprintf(name, sizeof(name), "db-%u", db);
		first = log_of(name);
		for (unsigned int i = 0; i < 4000; i++) {
			struct req r = { OP(CREATE), ROOT, .session = SESSION, .request = ++req };
			char file[24];

			snprintf(file, sizeof(file), "%u", i);
			r.name = file;
			done(++index, r);
		}
		assert_int_not_equal(log_of(name), first);
		if (db == 1)
			assert_int_equal(ops.restore(ops.ctx, snap), 0);
		index = ops.applied(ops.ctx);
	}
}

/* One that cannot be restored changes nothing. */
static void no_snapshot(void **state)
{
	char snap[4200], path[4300];
	FILE *f;

	(void)state;
	done(1, (struct req){ OP(SESSION_OPEN), .session = SESSION, .request = 1 });
	snprintf(snap, sizeof(snap), "%s/snap", root);
	assert_int_equal(ops.restore(ops.ctx, snap), -EUCLEAN);
	assert_int_equal(ops.checkpoint(ops.ctx, snap), 0);
	snprintf(path, sizeof(path), "%s/CURRENT", snap);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("MANIFEST-000099\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_true(ops.restore(ops.ctx, snap) < 0);
	assert_true(there("db-1") && !there("db-2") && !there("db-2.tmp"));
	assert_int_equal(ops.applied(ops.ctx), 1);
	done(2, (struct req){ OP(CREATE), ROOT, "f", .session = SESSION, .request = 2 });
}

/* Of another namespace: whole, and refused. */
static void another(void **state)
{
	struct datafs_metad_options opt = { .id = "other" };
	struct datafs_metad *it;
	char snap[4200];

	(void)state;
	done(1, (struct req){ OP(SESSION_OPEN), .session = SESSION, .request = 1 });
	snprintf(snap, sizeof(snap), "%s/snap", root);
	opt.dir = snap;
	assert_int_equal(datafs_metad_open(&opt, &it), 0);
	datafs_metad_close(it);
	assert_int_equal(ops.restore(ops.ctx, snap), -EINVAL);
	assert_true(there("db-1") && !there("db-2"));
	assert_int_equal(ops.applied(ops.ctx), 1);
}

/* What a crash leaves: a database half made, or the one before. */
static void leftovers(void **state)
{
	char path[4300], snap[4200];

	(void)state;
	done(1, (struct req){ OP(SESSION_OPEN), .session = SESSION, .request = 1 });
	snprintf(snap, sizeof(snap), "%s/snap", root);
	assert_int_equal(ops.checkpoint(ops.ctx, snap), 0);
	assert_int_equal(ops.restore(ops.ctx, snap), 0);
	datafs_fsm_close(fsm);
	snprintf(path, sizeof(path), "%s/db-1", state_dir);
	assert_int_equal(rename(snap, path), 0);
	snprintf(path, sizeof(path), "%s/db-3.tmp", state_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	open_state();
	assert_true(there("db-2") && !there("db-1") && !there("db-3.tmp"));
	assert_int_equal(ops.applied(ops.ctx), 1);
}

#define FSM_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSM_TEST(entries),
		FSM_TEST(long_command),
		FSM_TEST(proposals),
		FSM_TEST(snapshots),
		FSM_TEST(sizes),
		FSM_TEST(no_snapshot),
		FSM_TEST(another),
		FSM_TEST(leftovers),
	};

	return cmocka_run_group_tests_name("metad_fsm", tests, NULL, NULL);
}
