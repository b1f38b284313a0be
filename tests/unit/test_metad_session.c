// SPDX-License-Identifier: Apache-2.0
/* Exactly once; what halts a member; what a crash leaves; damage. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include <leveldb/c.h>

#include "base/util.h"
#include "metad/ns_internal.h"
#include "tmpdir.h"

static struct datafs_metad_result apply_one(struct req r, uint64_t at)
{
	struct datafs_metad_results res;
	struct datafs_metad_result one;
	size_t len;
	uint8_t *buf = req_pack(&r, 1, at, 0, &len);

	assert_int_equal(datafs_metad_apply(m, ++entry_index, 1, buf, len, &res), 0);
	free(buf);
	one = res.r[0];
	free(res.r);
	return one;
}

static void assert_again(struct req r, struct datafs_metad_result was)
{
	struct datafs_metad_result is = apply_one(r, 999);

	assert_int_equal(is.len, was.len);
	assert_memory_equal(is.data, was.data, is.len);
	free(is.data);
}

static void answered_once(void **state)
{
	struct req make = { OP(CREATE), ROOT, "f", .session = SESSION, .request = 50,
			    .lowest = 40 };
	struct req fail = { OP(MKDIR), ROOT, "f", .session = SESSION, .request = 51,
			    .lowest = 40 };
	struct datafs_metad_result made, failed;
	uint64_t version;

	(void)state;
	made = apply_one(make, 5);
	failed = apply_one(fail, 6);
	version = attr_of(ROOT).version;
	assert_again(make, made);
	assert_again(fail, failed);
	reopen();
	assert_again(make, made);
	assert_again(fail, failed);
	/* It answers what was, not what would be now. */
	request = 60;
	must((struct req){ OP(UNLINK), ROOT, "f", .session = SESSION, .request = 61,
			   .lowest = 50 });
	assert_again(make, made);
	assert_again(fail, failed);
	assert_int_equal(attr_of(ROOT).version, version + 1);
	assert_string_equal(names_in(ROOT), "");
	free(made.data);
	free(failed.data);
}

static void refused(void **state)
{
	struct req r = { OP(CREATE), ROOT, "f", .session = SESSION, .request = 10,
			 .lowest = 10 };
	size_t was, is;

	(void)state;
	must((struct req){ OP(NOOP), .session = SESSION, .request = 20, .lowest = 15 });
	free(metad_dump(m, &was));
	assert_int_equal(error_of(r), EALREADY);
	r.request = 5;
	assert_int_equal(error_of(r), EINVAL);
	r.request = 0;
	assert_int_equal(error_of(r), EINVAL);
	r.request = 30;
	r.session = 12345;
	assert_int_equal(error_of(r), ENOTCONN);
	r.session = 0;
	assert_int_equal(error_of(r), EINVAL);
	must((struct req){ OP(SESSION_CLOSE), .session = 12345, .request = 1 });
	/* Nothing of it is remembered. */
	free(metad_dump(m, &is));
	assert_int_equal(was, is);
	must((struct req){ OP(NOOP), .session = SESSION, .request = 15, .lowest = 15 });
	must((struct req){ OP(SESSION_CLOSE), .ino = SESSION, .session = 0, .request = 1 });
	assert_int_equal(error_of((struct req){ OP(NOOP) }), ENOTCONN);
}

static uint32_t longest;
static unsigned int leases;

static int note_lease(void *arg, uint64_t id, uint32_t ms)
{
	assert_int_equal(id, *(uint64_t *)arg);
	longest = ms;
	leases++;
	return 0;
}

/* How long it may be grows, is another command's to say, and goes with the session. */
static void leased(void **state)
{
	struct req r = { OP(SESSION_LEASE), .ino = SESSION, .level = 300, .bytes = 8,
			 .request = 1 };
	struct req rise = { OP(FEATURE), .level = DATAFS_METAD_LEVEL_LEASE, .request = 1 };
	uint64_t id = SESSION;
	struct datafs_metad_lease l;

	(void)state;
	assert_int_equal(datafs_metad_session(m, SESSION, &l), 0);
	assert_int_equal(l.ms, 0);
	assert_int_equal(error_of(r), EOPNOTSUPP);
	must(rise);
	must(r);
	assert_int_equal(datafs_metad_session(m, SESSION, &l), 0);
	assert_int_equal(l.ms, 300);
	assert_int_equal(l.holder, 8);
	r.level = 5000;
	must(r);
	r.level = 400;
	r.bytes = 9;
	must(r);
	reopen();
	assert_int_equal(datafs_metad_session(m, SESSION, &l), 0);
	assert_true(l.ms == 5000 && l.holder == 9);
	assert_int_equal(datafs_metad_sessions(m, note_lease, &id), 0);
	assert_int_equal(leases, 1);
	assert_int_equal(longest, 5000);
	assert_null(metad_check(m));
	r.ino = 12345;
	assert_int_equal(error_of(r), ENOTCONN);
	r.session = SESSION;
	r.request = r.lowest = 1000;
	assert_int_equal(error_of(r), EPERM);
	must((struct req){ OP(SESSION_CLOSE), .ino = SESSION, .request = 1 });
	assert_int_equal(datafs_metad_session(m, SESSION, &l), -ENOTCONN);
	assert_null(metad_check(m));
	assert_int_equal(error_of((struct req){ OP(SESSION_LEASE), .ino = SESSION, .level = 300,
						.request = 1 }), ENOTCONN);
}

static void many_answers(void **state)
{
	struct req *r = calloc(DATAFS_METAD_ANSWERS_MAX, sizeof(*r));
	struct req more = { OP(CREATE), ROOT, "f", .session = SESSION, .request = 9000,
			    .lowest = 1 };

	(void)state;
	for (int i = 0; i < DATAFS_METAD_ANSWERS_MAX; i++)
		r[i] = (struct req){ OP(NOOP), .session = SESSION,
				     .request = 2 + (uint64_t)i, .lowest = 1 };
	/* One is of the fixture's. */
	for (size_t i = 0; i < DATAFS_METAD_ANSWERS_MAX - 1; i += DATAFS_METAD_COMMANDS_MAX)
		assert_int_equal(apply_reqs(r + i, DATAFS_MIN(DATAFS_METAD_COMMANDS_MAX,
					    DATAFS_METAD_ANSWERS_MAX - 1 - i), NULL), 0);
	assert_int_equal(error_of(more), EBUSY);
	assert_string_equal(names_in(ROOT), "");
	assert_int_equal(error_of(r[5]), 0);
	more.lowest = 3;
	must(more);
	assert_int_equal(error_of(r[0]), EALREADY);
	assert_string_equal(names_in(ROOT), "f");
	free(r);
}

/* In one entry each sees those before; one that fails leaves nothing. */
static void packed(void **state)
{
	struct req r[] = {
		{ OP(MKDIR), ROOT, "d" },
		{ OP(CREATE), 2, "f" },
		{ OP(RMDIR), ROOT, "d" },
		{ OP(LINK), 3, .to = 2, .new_name = "f" },
		{ OP(HOLD), 3 },
		{ OP(SETXATTR), 3, "user.x", .value = "1", .len = 1 },
		{ OP(UNLINK), 2, "f" },
		{ OP(RMDIR), ROOT, "d" },
		{ OP(RELEASE), 3 },
	};
	static const uint32_t want[] = { 0, 0, ENOTEMPTY, EEXIST, 0, 0, 0, 0, 0 };
	struct datafs_metad_counts n;
	struct datafs_metad_results res;

	(void)state;
	assert_int_equal(apply_reqs(r, 9, &res), 0);
	assert_int_equal(res.n, 9);
	for (size_t i = 0; i < 9; i++) {
		Metad__Result *one = metad__result__unpack(NULL, res.r[i].len, res.r[i].data);

		assert_int_equal(one->error, want[i]);
		result_free(one);
	}
	datafs_metad_results_free(&res);
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(n.inodes == 1 && !n.orphans);
	assert_int_equal(make_file(ROOT, "next"), 4);
}

static int apply_bytes(const void *p, size_t len)
{
	return datafs_metad_apply(m, entry_index + 1, 1, p, len, NULL);
}

/* Bytes of entries that halt: see meta.proto. */
static void halts(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\xff", 1 },				/* not an entry */
		{ "\x18\x07", 2 },			/* feature level 7 */
		{ "\x28\x01", 2 },			/* a field 5 */
		{ "\x22\x00", 2 },			/* a command without an op */
		{ "\x22\x03\xa2\x06\x00", 5 },		/* op 100 */
		{ "\x22\x05\x82\x01\x02\x08\x01", 7 },	/* noop with a field */
		{ "\x22\x05\x8a\x01\x02\x08\x07", 7 },	/* feature level to be 7 */
	};
	struct datafs_metad_counts was, is;
	struct req r = { OP(CREATE), ROOT, "f", .session = SESSION, .request = 1000 };
	size_t len;
	uint8_t *good = req_pack(&r, 1, 1, 0, &len);
	uint8_t mixed[512];

	(void)state;
	assert_int_equal(datafs_metad_counts(m, &was), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* After a command that is known: nothing of that, too. */
		memcpy(mixed, good, len);
		memcpy(mixed + len, bad[i].bytes, bad[i].len);
		assert_int_equal(apply_bytes(mixed, len + bad[i].len), -EPROTO);
		assert_int_equal(apply_bytes(good, len), -EPROTO);
		assert_int_equal(datafs_metad_counts(m, &is), 0);
		assert_true(was.index == is.index && was.inodes == is.inodes);
		assert_string_equal(names_in(ROOT), "");
		reopen();
	}
	assert_int_equal(apply_bytes(good, len), 0);
	free(good);
}

static void indexes(void **state)
{
	struct datafs_metad_counts n;
	struct req r = { OP(MKDIR), ROOT, "d", .session = SESSION, .request = 1000 };
	size_t len;
	uint8_t *buf = req_pack(&r, 1, 1, 0, &len);

	(void)state;
	assert_int_equal(datafs_metad_apply(m, 0, 1, buf, len, NULL), -EINVAL);
	assert_int_equal(datafs_metad_apply(m, 10, 0, buf, len, NULL), -EINVAL);
	assert_int_equal(datafs_metad_apply(m, 10, 3, buf, len, NULL), 0);
	assert_int_equal(datafs_metad_apply(m, 10, 3, buf, len, NULL), 1);
	assert_int_equal(datafs_metad_apply(m, 9, 3, "\xff", 1, NULL), 1);
	reopen();
	assert_int_equal(datafs_metad_apply(m, 10, 3, buf, len, NULL), 1);
	assert_int_equal(datafs_metad_apply(m, 11, 2, buf, len, NULL), -EINVAL);
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_true(n.index == 10 && n.term == 3);
	free(buf);
}

static bool damage_only;	/* nobody can open it then */

/* The database behind a member's back. */
static void change(void (*fn)(leveldb_t *db, const leveldb_writeoptions_t *o, void *arg),
		   void *arg)
{
	leveldb_options_t *opt = leveldb_options_create();
	leveldb_writeoptions_t *w = leveldb_writeoptions_create();
	char *err = NULL;
	leveldb_t *db;

	datafs_metad_close(m);
	db = leveldb_open(opt, dir, &err);
	assert_null(err);
	fn(db, w, arg);
	leveldb_close(db);
	leveldb_options_destroy(opt);
	leveldb_writeoptions_destroy(w);
	m = NULL;
	if (!damage_only)
		reopen();
}

struct record {
	struct key k;
	const void *val;	/* NULL: to be deleted */
	size_t len;
};

static void put_record(leveldb_t *db, const leveldb_writeoptions_t *o, void *arg)
{
	const struct record *r = arg;
	const char *key = (const char *)r->k.b;
	char *err = NULL;

	if (r->val)
		leveldb_put(db, o, key, r->k.len, r->val, r->len, &err);
	else
		leveldb_delete(db, o, key, r->k.len, &err);
	assert_null(err);
}

static int none(void *arg, uint64_t cookie, const char *name, size_t len,
		const struct datafs_metad_attr *attr)
{
	(void)arg, (void)cookie, (void)name, (void)len, (void)attr;
	return 0;
}

/* Reads meet the damage or not, and end. */
static void read_all(void)
{
	struct datafs_metad_attr a;
	char buf[DATAFS_SYMLINK_MAX];
	bool eof;

	for (uint64_t ino = ROOT; ino <= 2; ino++) {
		datafs_metad_getattr(m, ino, &a);
		datafs_metad_lookup(m, ino, "f", 1, &a);
		datafs_metad_readdir(m, ino, 0, none, NULL, &eof);
		datafs_metad_readlink(m, ino, buf);
		datafs_metad_getxattr(m, ino, "user.x", 6, buf, 4);
		datafs_metad_listxattr(m, ino, buf, 100);
	}
}

/* Limits that no test could reach by making. */
static void many_links(void **state)
{
	struct datafs_metad_attr a;
	uint64_t f = make_file(ROOT, "f");
	struct record rec = { .k = key_make('I', f) };
	uint8_t val[89] = { 1, 0, 0, 0x81, 0xa4, 0x7f, 0xff, 0xff, 0xfe, [32] = 1 };

	(void)state;
	rec.val = val;
	rec.len = sizeof(val);
	change(put_record, &rec);
	assert_int_equal(attr_of(f).nlink, DATAFS_METAD_LINK_MAX - 1);
	must((struct req){ OP(LINK), f, .to = ROOT, .new_name = "g" });
	assert_int_equal(error_of((struct req){ OP(LINK), f, .to = ROOT, .new_name = "h" }),
			 EMLINK);
	assert_int_equal(datafs_metad_lookup(m, ROOT, "h", 1, &a), -ENOENT);
	val[5] = val[6] = val[7] = 0;
	val[8] = 2;
	change(put_record, &rec);
}

static void set_dir(uint64_t ino, uint32_t nlink, uint64_t children, uint64_t cookie)
{
	struct rec_inode in;
	struct txn t;

	txn_begin(&t, m->db, m->ropt, dir);
	assert_int_equal(rec_inode_get(&t, ino, &in), 1);
	in.a.nlink = nlink;
	in.children = children;
	in.cookie = cookie;
	rec_inode_put(&t, &in);
	assert_int_equal(txn_commit(&t, m->wopt), 0);
	txn_end(&t);
}

/* A command that fails late has written before: nothing of it stays. */
static void late_failure(void **state)
{
	static const char acl[] = "\2\0\0\0\1\0\7\0\0\0\0\0\4\0\5\0\0\0\0\0"
				  "\x20\0\1\0\0\0\0";
	uint64_t d = make_dir(ROOT, "d");
	struct datafs_metad_counts n;

	(void)state;
	must((struct req){ OP(SETXATTR), d, "system.posix_acl_default", .value = acl,
			   .len = sizeof(acl) });
	set_dir(d, DATAFS_METAD_LINK_MAX, INT32_MAX, 1ull << 40);
	assert_int_equal(error_of((struct req){ OP(MKDIR), d, "e", .mode = 0755 }), EMLINK);
	set_dir(d, 2, 0, 1ull << 40);
	assert_null(metad_check(m));
	assert_int_equal(datafs_metad_counts(m, &n), 0);
	assert_int_equal(n.inodes, 2);
	assert_int_equal(make_dir(d, "e"), d + 1);
}

static void opened_wrongly(void **state)
{
	struct datafs_metad_options opt = { .dir = dir, .id = "another" };
	struct datafs_metad *res;
	struct record rec = { .k = { "N", 1 }, .val = "\1", .len = 1 };

	(void)state;
	datafs_metad_close(m);
	assert_int_equal(datafs_metad_open(&opt, &res), -EINVAL);
	memcpy(opt.id, "id\0\0\0\0\0", 8);
	assert_int_equal(datafs_metad_open(&opt, &m), 0);
	damage_only = true;
	change(put_record, &rec);
	assert_int_equal(datafs_metad_open(&opt, &res), -EUCLEAN);
	rec.val = NULL;
	change(put_record, &rec);
	assert_int_equal(datafs_metad_open(&opt, &res), -EUCLEAN);
	damage_only = false;
	tmpdir_remove(dir);
	metad_setup(state);
}

/* Records of file 2 "f" in the root, with user.x, held: made damaged, and used. */
static void damage(void **state)
{
	static const uint8_t zero[200];
	const struct {
		struct record rec;
		struct req r;
	} lines[] = {
		{ { key_make('I', 2), "\1", 1 }, { OP(LINK), 2, .to = ROOT, .new_name = "g" } },
		{ { key_make('I', 2), zero, 89 }, { OP(LINK), 2, .to = ROOT, .new_name = "g" } },
		{ { key_make('I', 2), NULL, 0 }, { OP(UNLINK), ROOT, "f" } },
		{ { key_make('I', ROOT), "", 0 }, { OP(CREATE), ROOT, "g" } },
		{ { key_make_name('D', ROOT, "f", 1), "\2", 1 }, { OP(UNLINK), ROOT, "f" } },
		{ { key_make('S', SESSION), "\1", 1 }, { OP(CREATE), ROOT, "g" } },
		{ { key_make2('R', SESSION, 100), "", 0 },
		  { OP(NOOP), .session = SESSION, .request = 100, .lowest = 1 } },
		{ { key_make2('H', SESSION, 2), "", 0 }, { OP(RELEASE), 2 } },
		{ { key_make2('H', SESSION, 99), "\1", 1 }, { OP(SESSION_CLOSE) } },
		{ { key_make('L', SESSION), "\1", 1 },
		  { OP(SESSION_LEASE), .ino = SESSION, .level = 300, .request = 1 } },
		{ { key_make_name('X', 2, "user.x", 6), "", 0 }, { OP(REMOVEXATTR), 2, "user.x" } },
		{ { { "M/m", 3 }, "\1", 1 }, { OP(MOUNT_SET), .name = "/m" } },
		{ { { "T", 1 }, "\1", 1 }, { OP(MOUNT_ADD), .name = "/n", .source = "/srv" } },
		{ { { "T", 1 }, NULL, 0 }, { OP(MOUNT_REMOVE), .name = "/m" } },
	};
	struct req noop = { OP(NOOP) };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct record rec = lines[i].rec;
		struct req r = lines[i].r;

		if (i)
			metad_setup(state);
		make_file(ROOT, "f");
		must((struct req){ OP(SETXATTR), 2, "user.x", .value = "1", .len = 1 });
		must((struct req){ OP(HOLD), 2 });
		must((struct req){ OP(FEATURE), .level = DATAFS_METAD_LEVEL_MOUNT, .request = 1 });
		must((struct req){ OP(MOUNT_ADD), .name = "/m", .source = "/srv" });
		change(put_record, &rec);
		if (apply_reqs(&r, 1, NULL) != -EUCLEAN)
			fail_msg("line %zu", i);
		assert_int_equal(apply_reqs(&noop, 1, NULL), -EUCLEAN);
		assert_non_null(metad_check(m));
		read_all();
		metad_teardown(state);
	}
	metad_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METAD_TEST(answered_once),
		METAD_TEST(refused),
		METAD_TEST(leased),
		METAD_TEST(many_answers),
		METAD_TEST(packed),
		METAD_TEST(halts),
		METAD_TEST(indexes),
		METAD_TEST(many_links),
		METAD_TEST(late_failure),
		METAD_TEST(opened_wrongly),
		METAD_TEST(damage),
	};

	return cmocka_run_group_tests_name("metad_session", tests, NULL, NULL);
}
