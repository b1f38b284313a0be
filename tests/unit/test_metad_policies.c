// SPDX-License-Identifier: Apache-2.0
/* Policies: their version, their texts, what is refused. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "metad/answer.h"
#include "metad/ask.h"
#include "metad/ns_internal.h"
#include "quorum.pb-c.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define KEEP		DATAFS_POLICY_KEEP
#define ONCE		DATAFS_POLICY_ONCE
#define NORMAL		DATAFS_POLICY_NORMAL

static int set(const char *path, uint32_t cache)
{
	return error_of((struct req){ OP(POLICY_SET), .name = path, .level = cache });
}

static int take_away(const char *path)
{
	return error_of((struct req){ OP(POLICY_REMOVE), .name = path });
}

static int print(void *arg, const struct datafs_metad_policy *one)
{
	char *to = arg;

	sprintf(to + strlen(to), "%.*s %s;", (int)one->path_len, one->path,
		datafs_policy_cache_name(one->cache));
	return 0;
}

/* "PATH CACHE;..." */
static void assert_listed(uint64_t version, uint32_t n, const char *want)
{
	struct datafs_metad_policies table;
	char is[4096] = "";
	bool eof;

	assert_int_equal(datafs_metad_policies(m, NULL, 0, print, is, &eof, &table), 0);
	assert_true(eof);
	assert_string_equal(is, want);
	assert_int_equal(table.version, version);
	assert_int_equal(table.policies, n);
	assert_int_equal(datafs_metad_policies_table(m, &table), 0);
	assert_int_equal(table.version, version);
	assert_null(metad_check(m));
}

static int raise_level(uint32_t level)
{
	return error_of((struct req){ OP(FEATURE), .level = level, .request = 1 });
}

static int setup(void **state)
{
	int ret = metad_setup(state);

	if (!ret)
		assert_int_equal(raise_level(DATAFS_METAD_LEVEL_POLICY), 0);
	return ret;
}

#define POLICY_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

static void test_versions(void **state)
{
	(void)state;
	assert_listed(0, 0, "");
	assert_int_equal(take_away("/a"), ENOENT);
	assert_int_equal(set("/a", KEEP), 0);
	assert_int_equal(set("/", ONCE), 0);
	assert_int_equal(set("/a/b", NORMAL), 0);
	assert_listed(3, 3, "/ once;/a keep;/a/b normal;");
	/* what is so already is no change, nor is what fails */
	assert_int_equal(set("/a", KEEP), 0);
	assert_int_equal(set("/a", 4), EINVAL);
	assert_int_equal(set("/a", 0), EINVAL);
	assert_int_equal(take_away("/b"), ENOENT);
	assert_listed(3, 3, "/ once;/a keep;/a/b normal;");
	assert_int_equal(set("/a", ONCE), 0);
	assert_listed(4, 3, "/ once;/a once;/a/b normal;");
	assert_int_equal(take_away("/"), 0);
	assert_listed(5, 2, "/a once;/a/b normal;");
	reopen();
	assert_listed(5, 2, "/a once;/a/b normal;");
	assert_int_equal(take_away("/a"), 0);
	assert_int_equal(take_away("/a/b"), 0);
	assert_listed(7, 0, "");
	/* it goes on from there */
	assert_int_equal(set("/a", KEEP), 0);
	assert_listed(8, 1, "/a keep;");
}

/* One entry's commands see each other; a request that comes again is done once. */
static void test_entries(void **state)
{
	struct req many[] = {
		{ OP(POLICY_SET), .name = "/a", .level = KEEP },
		{ OP(POLICY_SET), .name = "/a", .level = ONCE },
		{ OP(POLICY_REMOVE), .name = "/a" },
		{ OP(POLICY_SET), .name = "/b", .level = KEEP },
	};
	struct req late = { OP(POLICY_SET), .name = "/b", .level = ONCE, .session = SESSION,
			    .request = 1ull << 33 };

	(void)state;
	assert_int_equal(apply_reqs(many, COUNT(many), NULL), 0);
	assert_listed(4, 1, "/b keep;");
	assert_int_equal(error_of(late), 0);
	assert_int_equal(set("/b", NORMAL), 0);
	assert_int_equal(error_of(late), 0);
	assert_listed(6, 1, "/b normal;");
	/* the leader has none of its own */
	late = (struct req){ OP(POLICY_REMOVE), .name = "/b", .request = 1 };
	assert_int_equal(error_of(late), EINVAL);
	assert_listed(6, 1, "/b normal;");
}

static void test_paths(void **state)
{
	static const char *const wrong[] = {
		"", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/..", "/a\n",
	};
	static const char *const right[] = { "/", "/a", "/...", "/a b,c=d", "/\xc3\xa4" };
	char path[DATAFS_METAD_PATH_MAX + 2];

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(set(wrong[i], KEEP), EINVAL);
		assert_int_equal(take_away(wrong[i]), EINVAL);
	}
	assert_int_equal(set(NULL, KEEP), EINVAL);
	assert_listed(0, 0, "");
	for (size_t i = 0; i < COUNT(right); i++)
		assert_int_equal(set(right[i], KEEP), 0);
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? 'x' : '/';
	path[DATAFS_METAD_PATH_MAX] = 'x';
	path[DATAFS_METAD_PATH_MAX + 1] = '\0';
	assert_int_equal(set(path, KEEP), EINVAL);
	path[DATAFS_METAD_PATH_MAX] = '\0';
	path[DATAFS_METAD_PATH_MAX - 1] = 'x';
	assert_int_equal(set(path, KEEP), 0);
	assert_int_equal(take_away(path), 0);
	assert_null(metad_check(m));
}

/* The answer to a query, to be freed. */
static Metad__Answer *ask(Metad__Policies *p)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;

	q.of_case = METAD__QUERY__OF_POLICIES;
	q.policies = p;
	assert_int_equal(datafs_metad_answer(m, &q, &a), 0);
	return a;
}

static void test_full(void **state)
{
	Metad__Policies p = METAD__POLICIES__INIT;
	char path[300], after[300];
	unsigned int n = 0, pages = 0;
	Metad__Answer *a;
	bool eof;

	(void)state;
	for (unsigned int i = 0; i < DATAFS_METAD_POLICIES_MAX; i++) {
		/* 251 bytes: 523 of them are more than DATAFS_POLICIES_TEXTS */
		sprintf(path, "/%0250u", i);
		assert_int_equal(set(path, i % 2 ? KEEP : ONCE), 0);
	}
	assert_int_equal(set("/more", KEEP), ENOSPC);
	assert_int_equal(set(path, ONCE), 0);
	assert_int_equal(set(path, KEEP), 0);
	do {
		a = ask(&p);
		assert_int_equal(a->error, 0);
		assert_int_equal(a->policies_version, DATAFS_METAD_POLICIES_MAX + 2);
		assert_true(metad__answer__get_packed_size(a) < 2 * DATAFS_POLICIES_TEXTS);
		for (size_t i = 0; i < a->n_policies; i++) {
			sprintf(path, "/%0250u", n);
			assert_int_equal(a->policies[i]->path.len, strlen(path));
			assert_memory_equal(a->policies[i]->path.data, path, strlen(path));
			assert_int_equal(a->policies[i]->cache, n % 2 ? KEEP : ONCE);
			n++;
		}
		pages++;
		eof = a->eof;
		strcpy(after, path);
		p.has_after = true;
		p.after = (ProtobufCBinaryData) { strlen(after), (uint8_t *)after };
		metad__answer__free_unpacked(a, NULL);
	} while (!eof);
	assert_int_equal(n, DATAFS_METAD_POLICIES_MAX);
	assert_int_equal(pages, 2);
	assert_int_equal(take_away(path), 0);
	assert_int_equal(set("/more", KEEP), 0);
	assert_null(metad_check(m));
}

/* What is known is not told again. */
static void test_known(void **state)
{
	Metad__Policies p = METAD__POLICIES__INIT;
	Metad__Answer *a;

	(void)state;
	p.has_known = true;
	a = ask(&p);
	assert_true(!a->error && a->eof && !a->n_policies && !a->policies_version);
	metad__answer__free_unpacked(a, NULL);
	assert_int_equal(set("/a", KEEP), 0);
	a = ask(&p);
	assert_int_equal(a->n_policies, 1);
	assert_int_equal(a->policies_version, 1);
	metad__answer__free_unpacked(a, NULL);
	p.known = 1;
	a = ask(&p);
	assert_true(!a->error && a->eof && !a->n_policies && a->policies_version == 1);
	metad__answer__free_unpacked(a, NULL);
}

static void test_not_before_its_level(void **state)
{
	(void)state;
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_POLICY - 1), 0);
	assert_int_equal(set("/a", KEEP), EOPNOTSUPP);
	assert_int_equal(take_away("/a"), EOPNOTSUPP);
	assert_listed(0, 0, "");
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_POLICY), 0);
	assert_int_equal(set("/a", KEEP), 0);
	assert_listed(1, 1, "/a keep;");
}

/* @val NULL: it is removed. */
static void damage(const char *key, size_t klen, const char *val, size_t vlen)
{
	leveldb_writeoptions_t *o = leveldb_writeoptions_create();
	char *said = NULL;

	if (val)
		leveldb_put(m->db, o, key, klen, val, vlen, &said);
	else
		leveldb_delete(m->db, o, key, klen, &said);
	assert_null(said);
	leveldb_writeoptions_destroy(o);
}

static int list(void)
{
	struct datafs_metad_policies table;
	char is[4096] = "";
	bool eof;

	return datafs_metad_policies(m, NULL, 0, print, is, &eof, &table);
}

#define NUMBER(c)	"\0\0\0\0\0\0\0" c
#define PUT(key, val)	damage(key, sizeof(key) - 1, val, sizeof(val) - 1)

static void test_damaged(void **state)
{
	(void)state;
	assert_int_equal(set("/a", KEEP), 0);
	/* no such version, value, length; no such path */
	PUT("Y/a", "\2\2");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Y/a", "\1\4");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Y/a", "\1\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Y/a", "\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Y/a", "\1\2\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Y/a", "\1\2");
	assert_int_equal(list(), 0);
	/* numbers that cannot be */
	PUT("Z", "\1" NUMBER("\0") "\0\0\0\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Z", "\1" NUMBER("\1") "\0\0\0\2");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Z", "\1\1" NUMBER("\1") "\0\0\4\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Z", "\1" NUMBER("\1") "\0\0\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("Z", "\1" NUMBER("\1") "\0\0\0\1");
	assert_int_equal(list(), 0);
	/* a command that meets it halts the member */
	PUT("Z", "\1" NUMBER("\1") "\0\0\0\0");
	assert_int_equal(apply_reqs(&(struct req){ OP(POLICY_REMOVE), .name = "/a",
				.session = SESSION, .request = 1ull << 33 }, 1, NULL), -EUCLEAN);
	PUT("Z", "\1" NUMBER("\1") "\0\0\0\1");
	PUT("Yx", "\1\2");
	assert_int_equal(list(), -EUCLEAN);
	damage("Yx", 2, NULL, 0);
}

static void test_names(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(datafs_policy_cache_value(datafs_policy_cache_name(i)), i);
	assert_null(datafs_policy_cache_name(0));
	assert_null(datafs_policy_cache_name(4));
	assert_null(datafs_policy_cache_name(UINT32_MAX));
	assert_int_equal(datafs_policy_cache_value("?"), 0);
	assert_int_equal(datafs_policy_cache_value(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_versions),
		POLICY_TEST(test_entries),
		POLICY_TEST(test_paths),
		POLICY_TEST(test_full),
		POLICY_TEST(test_known),
		METAD_TEST(test_not_before_its_level),
		POLICY_TEST(test_damaged),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("metad_policies", tests, NULL, NULL);
}
