// SPDX-License-Identifier: Apache-2.0
/* Quotas: what is counted, what is refused, what does not cross their boundaries. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "tmpdir.h"

/* The leader's own command. */
static int own(struct req r)
{
	r.request = 1;
	return error_of(r);
}

static int set_quota(uint64_t dir, uint64_t inodes, uint64_t bytes)
{
	return own((struct req){ OP(SET_QUOTA), dir, .inodes = inodes, .bytes = bytes });
}

static int remove_quota(uint64_t dir)
{
	return own((struct req){ OP(REMOVE_QUOTA), dir });
}

static int take_last(void *arg, const struct datafs_metad_quota *q)
{
	*(struct datafs_metad_quota *)arg = *q;
	return 0;
}

/* The newest; without an id if there is none. */
static struct datafs_metad_quota last_quota(void)
{
	struct datafs_metad_quota q = { 0 };
	bool eof;

	assert_int_equal(datafs_metad_quotas(m, 0, take_last, &q, &eof), 0);
	assert_true(eof);
	return q;
}

static void assert_used(uint64_t inodes, uint64_t bytes)
{
	struct datafs_metad_quota q = last_quota();

	assert_int_equal(q.inodes, inodes);
	assert_int_equal(q.bytes, bytes);
}

static int setup(void **state)
{
	int ret = metad_setup(state);

	if (!ret)
		assert_int_equal(own((struct req){ OP(FEATURE), .level = 2 }), 0);
	return ret;
}

#define QUOTA_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

static int resize(uint64_t ino, uint64_t size)
{
	return error_of((struct req){ OP(SETATTR), ino,
				      .set = { .has_size = true, .size = size } });
}

static void test_inodes(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), sub, f;

	(void)state;
	assert_int_equal(set_quota(d, 4, 0), 0);
	assert_used(1, 0);
	sub = make_dir(d, "sub");
	f = make_file(sub, "f");
	must((struct req){ OP(SYMLINK), sub, "l", .value = "x", .len = 1 });
	assert_used(4, 0);
	assert_int_equal(error_of((struct req){ OP(CREATE), d, "x", .mode = 0644 }), EDQUOT);
	assert_int_equal(error_of((struct req){ OP(MKDIR), sub, "x", .mode = 0755 }), EDQUOT);
	assert_int_equal(error_of((struct req){ OP(MKNOD), d, "x", .mode = S_IFIFO | 0644 }), EDQUOT);
	assert_int_equal(error_of((struct req){ OP(SYMLINK), d, "x", .value = "x", .len = 1 }),
			 EDQUOT);
	assert_int_equal(error_of((struct req){ OP(CREATE), sub, "f", .mode = 0644 }), EEXIST);
	/* a name more is no inode more; what is outside does not count */
	must((struct req){ OP(LINK), f, .to = d, .new_name = "f2" });
	make_file(ROOT, "outside");
	assert_used(4, 0);
	/* the last name counts, and who holds it */
	must((struct req){ OP(UNLINK), d, "f2" });
	assert_used(4, 0);
	must((struct req){ OP(HOLD), f });
	must((struct req){ OP(UNLINK), sub, "f" });
	assert_used(4, 0);
	assert_int_equal(error_of((struct req){ OP(CREATE), d, "x", .mode = 0644 }), EDQUOT);
	must((struct req){ OP(RELEASE), f });
	assert_used(3, 0);
	make_file(d, "x");
	/* below what is used nothing is made, and all may go */
	assert_int_equal(set_quota(d, 2, 0), 0);
	assert_int_equal(last_quota().inodes_max, 2);
	must((struct req){ OP(UNLINK), d, "x" });
	assert_int_equal(error_of((struct req){ OP(CREATE), d, "x", .mode = 0644 }), EDQUOT);
	assert_int_equal(set_quota(d, 0, 0), 0);
	make_file(d, "x");
	reopen();
	assert_used(4, 0);
}

static void test_bytes(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), f, g;

	(void)state;
	assert_int_equal(set_quota(d, 0, 1000), 0);
	f = make_file(d, "f");
	g = make_file(d, "g");
	assert_int_equal(resize(f, 600), 0);
	assert_int_equal(resize(g, 401), EDQUOT);
	assert_int_equal(attr_of(g).size, 0);
	assert_int_equal(resize(g, 400), 0);
	assert_used(3, 1000);
	assert_int_equal(resize(f, 601), EDQUOT);
	assert_int_equal(set_quota(d, 0, 500), 0);
	/* above the limit: it shrinks, and grows no more */
	assert_int_equal(resize(f, 599), 0);
	assert_int_equal(resize(f, 600), EDQUOT);
	must((struct req){ OP(UNLINK), d, "f" });
	assert_used(2, 400);
	assert_int_equal(resize(g, 500), 0);
	assert_int_equal(resize(g, INT64_MAX), EDQUOT);
	assert_used(2, 500);
}

static void test_boundary(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), e = make_dir(ROOT, "e"), in, out;

	(void)state;
	assert_int_equal(set_quota(d, 100, 0), 0);
	in = make_file(d, "in");
	out = make_file(ROOT, "out");
	assert_int_equal(error_of((struct req){ OP(LINK), in, .to = ROOT, .new_name = "x" }), EXDEV);
	assert_int_equal(error_of((struct req){ OP(LINK), out, .to = d, .new_name = "x" }), EXDEV);
	assert_int_equal(error_of((struct req){ OP(RENAME), d, "in", ROOT, "x" }), EXDEV);
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "out", d, "x" }), EXDEV);
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "out", d, "in" }), EXDEV);
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "out", d, "in",
						.replace = true }), EXDEV);
	/* between two, and with the same limits */
	assert_int_equal(set_quota(e, 100, 0), 0);
	assert_int_equal(error_of((struct req){ OP(RENAME), d, "in", e, "in" }), EXDEV);
	/* inside, and the directory itself where it is */
	make_dir(d, "sub");
	must((struct req){ OP(RENAME), d, "in", d, "in2" });
	must((struct req){ OP(RENAME), ROOT, "d", ROOT, "d2" });
	make_dir(ROOT, "other");
	must((struct req){ OP(RENAME), ROOT, "d2", attr_of(ROOT).ino, "d3" });
	assert_string_equal(names_in(d), "sub in2");
}

static void test_nested(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), sub, f;
	struct datafs_metad_quota q;

	(void)state;
	assert_int_equal(set_quota(d, 10, 0), 0);
	sub = make_dir(d, "sub");
	assert_used(2, 0);
	/* what is below it counts for it alone */
	assert_int_equal(set_quota(sub, 2, 0), 0);
	assert_used(1, 0);
	f = make_file(sub, "f");
	assert_int_equal(error_of((struct req){ OP(CREATE), sub, "g", .mode = 0644 }), EDQUOT);
	assert_int_equal(error_of((struct req){ OP(LINK), f, .to = d, .new_name = "x" }), EXDEV);
	make_file(d, "g");
	must((struct req){ OP(UNLINK), sub, "f" });
	must((struct req){ OP(RMDIR), d, "sub" });
	/* with its directory it is gone, and the other has counted neither */
	q = last_quota();
	assert_int_equal(q.root, d);
	assert_int_equal(q.inodes, 2);
}

static void test_removed(void **state)
{
	uint64_t d = make_dir(ROOT, "d"), e = make_dir(ROOT, "e"), f, id;

	(void)state;
	assert_int_equal(remove_quota(d), ENOENT);
	assert_int_equal(set_quota(d, 2, 0), 0);
	id = last_quota().id;
	f = make_file(d, "f");
	assert_int_equal(remove_quota(f), ENOTDIR);
	assert_int_equal(remove_quota(d), 0);
	assert_int_equal(last_quota().id, 0);
	/* what it counted is as everything without one */
	make_file(d, "g");
	must((struct req){ OP(RENAME), d, "f", ROOT, "f" });
	must((struct req){ OP(LINK), f, .to = d, .new_name = "f" });
	assert_int_equal(set_quota(d, 2, 0), ENOTEMPTY);
	must((struct req){ OP(UNLINK), d, "f" });
	must((struct req){ OP(UNLINK), d, "g" });
	/* another one, which does not count what is left of the first */
	assert_int_equal(set_quota(d, 2, 0), 0);
	assert_true(last_quota().id > id);
	assert_used(1, 0);
	assert_int_equal(error_of((struct req){ OP(RENAME), ROOT, "f", d, "f" }), EXDEV);
	assert_int_equal(set_quota(e, 2, 0), 0);
	assert_int_equal(error_of((struct req){ OP(LINK), f, .to = e, .new_name = "f" }), EXDEV);
	assert_int_equal(set_quota(f, 2, 0), ENOTDIR);
	assert_int_equal(set_quota(1000, 2, 0), ESTALE);
}

static void test_from_level_2_on(void **state)
{
	struct datafs_metad_options opt = { .id = "id", .level = 1 };
	struct req r = { OP(SET_QUOTA), ROOT, .request = 1 };
	struct datafs_metad *old;
	char path[4096];
	uint8_t *buf;
	size_t len;

	(void)state;
	assert_int_equal(set_quota(ROOT, 2, 0), EOPNOTSUPP);
	assert_int_equal(remove_quota(ROOT), EOPNOTSUPP);
	assert_int_equal(own((struct req){ OP(FEATURE), .level = 2 }), 0);
	assert_int_equal(set_quota(ROOT, 2, 0), 0);
	/* no client's */
	assert_int_equal(error_of((struct req){ OP(SET_QUOTA), ROOT }), EPERM);
	assert_int_equal(error_of((struct req){ OP(REMOVE_QUOTA), ROOT }), EPERM);
	/* one that is of level 1 takes no part in it, nor begins with it */
	assert_int_equal(tmpdir_make(path, sizeof(path), "metad"), 0);
	opt.dir = path;
	assert_int_equal(datafs_metad_open(&opt, &old), 0);
	buf = req_pack(&r, 1, 1, 0, &len);
	assert_int_equal(datafs_metad_apply(old, 1, 1, buf, len, NULL), -EPROTO);
	free(buf);
	datafs_metad_close(old);
	tmpdir_remove(path);
	datafs_metad_close(m);
	opt.dir = dir;
	assert_int_equal(datafs_metad_open(&opt, &old), -EPROTO);
	opt.level = 0;
	assert_int_equal(datafs_metad_open(&opt, &m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUOTA_TEST(test_inodes),
		QUOTA_TEST(test_bytes),
		QUOTA_TEST(test_boundary),
		QUOTA_TEST(test_nested),
		QUOTA_TEST(test_removed),
		METAD_TEST(test_from_level_2_on),
	};

	return cmocka_run_group_tests_name("metad_quota", tests, NULL, NULL);
}
