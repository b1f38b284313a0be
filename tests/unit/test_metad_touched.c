// SPDX-License-Identifier: Apache-2.0
/*
 * What a command is said to change before it is done, against what is another thing
 * afterwards: at random, in a namespace that is so small that all of it can be looked at.
 */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <time.h>

#include "metad/touched.h"

#define STEPS	4000
#define INODES	64	/* numbers that are looked at; the test ends when they are used up */
#define NAMES	3
#define WORLDS	12

static const char *const names[NAMES] = { "a", "b", "c" };
static unsigned int seed, changes, mount_changes, said;

/* What may be believed: of what has a name. */
struct seen {
	struct { bool there; uint64_t version; bool dir; uint64_t ino[NAMES]; } of[INODES];
	uint64_t mounts;	/* the version of their table */
};

static int no_mount(void *arg, const struct datafs_metad_mount *mount)
{
	(void)arg, (void)mount;
	return 0;
}

static void look(struct seen *s)
{
	struct datafs_metad_mounts table;
	struct datafs_metad_attr attr;
	bool eof;

	memset(s, 0, sizeof(*s));
	assert_int_equal(datafs_metad_mounts(m, NULL, 0, no_mount, NULL, &eof, &table), 0);
	s->mounts = table.version;
	for (uint64_t ino = 1; ino < INODES; ino++) {
		if (datafs_metad_getattr(m, ino, &attr) || !attr.nlink)
			continue;
		s->of[ino].there = true;
		s->of[ino].version = attr.version;
		s->of[ino].dir = S_ISDIR(attr.mode);
		for (int k = 0; k < NAMES && s->of[ino].dir; k++)
			if (!datafs_metad_lookup(m, ino, names[k], 1, &attr))
				s->of[ino].ino[k] = attr.ino;
	}
}

static bool has(const struct datafs_grant_object *o, int n, uint64_t ino,
		enum datafs_grant_kind kind, const char *name)
{
	for (int i = 0; i < n; i++)
		if (o[i].ino == ino && o[i].kind == kind &&
		    (!name || (o[i].len == 1 && o[i].name[0] == *name)))
			return true;
	return false;
}

static void compare(const struct seen *was, const struct seen *is,
		    const struct datafs_grant_object *o, int n)
{
	if (was->mounts != is->mounts) {
		mount_changes++;
		if (!has(o, n, DATAFS_METAD_ROOT, DATAFS_GRANT_MOUNTS, NULL))
			fail_msg("seed %u: the table of mounts is another one", seed);
	}
	for (uint64_t ino = 1; ino < INODES; ino++) {
		if (!was->of[ino].there)
			continue;
		if (!is->of[ino].there || is->of[ino].version != was->of[ino].version) {
			changes++;
			if (!has(o, n, ino, DATAFS_GRANT_ATTR, NULL))
				fail_msg("seed %u: inode %d is another thing", seed, (int)ino);
		}
		for (int k = 0; k < NAMES; k++) {
			if (is->of[ino].ino[k] == was->of[ino].ino[k])
				continue;
			changes++;
			if (!has(o, n, ino, DATAFS_GRANT_NAME, names[k]) ||
			    !has(o, n, ino, DATAFS_GRANT_NAMES, NULL))
				fail_msg("seed %u: name %d/%s leads elsewhere", seed, (int)ino,
					 names[k]);
		}
	}
}

static uint64_t some_inode(unsigned int *rnd, const struct seen *s, bool dir)
{
	for (int i = 0; i < 100; i++) {
		uint64_t ino = 1 + (uint64_t)rand_r(rnd) % (INODES - 1);

		if (s->of[ino].there && s->of[ino].dir == dir)
			return ino;
	}
	return 1;
}

static struct req some_req(unsigned int *rnd, const struct seen *s)
{
	static const Metad__Command__OpCase ops[] = {
		OP(CREATE), OP(MKDIR), OP(MKNOD), OP(SYMLINK), OP(LINK), OP(LINK), OP(UNLINK),
		OP(UNLINK), OP(RMDIR), OP(RMDIR), OP(RENAME), OP(RENAME), OP(RENAME), OP(SETATTR),
		OP(SETXATTR), OP(REMOVEXATTR), OP(HOLD), OP(HOLD), OP(RELEASE), OP(NOOP),
		OP(MOUNT_ADD), OP(MOUNT_SET), OP(MOUNT_REMOVE),
	};
	static const char *const paths[] = { "/a", "/a/b", "/c" };
	struct req r = { ops[(size_t)rand_r(rnd) % (sizeof(ops) / sizeof(ops[0]))] };

	r.ino = some_inode(rnd, s, r.op != OP(LINK) && r.op < OP(SETATTR));
	r.to = some_inode(rnd, s, true);
	r.name = r.op >= OP(SETATTR) ? "user.x" : names[rand_r(rnd) % NAMES];
	r.new_name = names[rand_r(rnd) % NAMES];
	r.mode = r.op == OP(MKNOD) ? S_IFIFO | 0644 : 0755;
	r.value = "v";
	r.len = 1;
	if (r.op >= OP(MOUNT_ADD)) {
		r.name = paths[rand_r(rnd) % 3];
		r.source = "/srv";
	}
	if (r.op == OP(RENAME)) {
		r.create = !(rand_r(rnd) % 4);
		r.replace = !r.create && rand_r(rnd) % 2;
	}
	if (r.op == OP(SETATTR))
		r.set = (Metad__Setattr) { .has_mode = rand_r(rnd) % 4, .mode = 0600 };
	return r;
}

static int touched_by(struct req r, struct datafs_grant_object *o, Metad__Command **cmd)
{
	uint8_t *buf;
	size_t len;

	buf = req_pack_command(&r, &len);
	*cmd = metad__command__unpack(NULL, len, buf);
	free(buf);
	assert_non_null(*cmd);
	return datafs_touched(m, *cmd, o, &said);
}

/* What the command itself says comes first, and is all of what it says. */
static void check_said(const Metad__Command *cmd, const struct datafs_grant_object *o, int n)
{
	struct datafs_grant_object own[DATAFS_TOUCHED_MAX];
	unsigned int n_own = datafs_touched_said(cmd, own);

	assert_true(n_own <= DATAFS_TOUCHED_MAX);
	if (!n)
		return;
	assert_int_equal(said, n_own);
	for (unsigned int i = 0; i < said; i++)
		assert_true(o[i].ino == own[i].ino && o[i].kind == own[i].kind &&
			    o[i].len == own[i].len);
	for (unsigned int i = said; i < (unsigned int)n; i++)
		assert_int_equal(o[i].kind, DATAFS_GRANT_ATTR);
}

static int setup(void **state)
{
	int ret = metad_setup(state);

	if (!ret)
		must((struct req){ OP(FEATURE), .level = DATAFS_METAD_LEVEL_MOUNT, .request = 1 });
	return ret;
}

static void test_random(void **state)
{
	const char *text = getenv("DATAFS_SEED");
	struct datafs_grant_object o[DATAFS_TOUCHED_MAX];
	unsigned int rnd, world = 0;
	struct datafs_metad_counts c;
	struct seen was, is;
	Metad__Command *cmd;

	seed = text ? (unsigned int)strtoul(text, NULL, 10) : (unsigned int)time(NULL);
	print_message("DATAFS_SEED=%u\n", seed);
	rnd = seed;
	for (int i = 0; i < STEPS && world < WORLDS; i++) {
		struct req r;
		int n;

		look(&was);
		r = some_req(&rnd, &was);
		r.session = SESSION;
		r.request = ++request;
		r.lowest = r.request;
		n = touched_by(r, o, &cmd);
		assert_true(n >= 0 && n <= (int)DATAFS_TOUCHED_MAX);
		check_said(cmd, o, n);
		/* each once: the table takes two for two changes */
		for (int k = 0; k < n; k++)
			for (int l = 0; l < k; l++)
				assert_false(o[k].ino == o[l].ino && o[k].kind == o[l].kind &&
					     o[k].len == o[l].len &&
					     (!o[k].len || o[k].name[0] == o[l].name[0]));
		assert_true(!n || datafs_touches(cmd));
		result_free(call(r));
		look(&is);
		compare(&was, &is, o, n);
		metad__command__free_unpacked(cmd, NULL);
		assert_int_equal(datafs_metad_counts(m, &c), 0);
		if (datafs_metad_getattr(m, INODES - 2, &(struct datafs_metad_attr){ 0 }))
			continue;
		/* numbers are given once: another namespace */
		metad_teardown(state);
		setup(state);
		world++;
	}
	print_message("%u things changed\n", changes);
	assert_true(changes > 200 && mount_changes > 50);
}

static int count_of(struct req r)
{
	struct datafs_grant_object o[DATAFS_TOUCHED_MAX];
	Metad__Command *cmd;
	int n;

	r.session = SESSION;
	r.request = r.request ? r.request : request + 1;
	n = touched_by(r, o, &cmd);
	metad__command__free_unpacked(cmd, NULL);
	return n;
}

/* Not more than it must be, neither: each costs somebody a recall. */
static void test_counts(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), e = make_dir(ROOT, "e"), f = make_file(d, "f");

	(void)state;
	assert_int_equal(count_of((struct req){ OP(CREATE), d, "new" }), 3);
	assert_int_equal(count_of((struct req){ OP(CREATE), d, "f" }), 0);
	assert_int_equal(count_of((struct req){ OP(CREATE), d, "" }), 0);
	assert_int_equal(count_of((struct req){ OP(CREATE), d, "." }), 3);
	assert_int_equal(count_of((struct req){ OP(LINK), f, NULL, d, "g" }), 4);
	assert_int_equal(count_of((struct req){ OP(UNLINK), d, "f" }), 4);
	assert_int_equal(count_of((struct req){ OP(UNLINK), d, "g" }), 0);
	assert_int_equal(count_of((struct req){ OP(RMDIR), ROOT, "e" }), 4);
	assert_int_equal(count_of((struct req){ OP(RENAME), d, "f", d, "g" }), 5);
	assert_int_equal(count_of((struct req){ OP(RENAME), d, "f", d, "f" }), 0);
	assert_int_equal(count_of((struct req){ OP(RENAME), d, "x", e, "y" }), 0);
	make_file(e, "y");
	assert_int_equal(count_of((struct req){ OP(RENAME), d, "f", e, "y" }), 8);
	assert_int_equal(count_of((struct req){ OP(SETATTR), f }), 1);
	assert_int_equal(count_of((struct req){ OP(HOLD), f }), 0);
	assert_int_equal(count_of((struct req){ OP(RELEASE), f }), 0);
	/* it was done, and is answered as before */
	must((struct req){ OP(SETATTR), f, .set = { .has_mode = true, .mode = 0600 } });
	assert_int_equal(count_of((struct req){ OP(SETATTR), f, .request = request }), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, setup, metad_teardown),
		METAD_TEST(test_counts),
	};

	return cmocka_run_group_tests_name("metad_touched", tests, NULL, NULL);
}
