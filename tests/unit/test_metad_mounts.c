// SPDX-License-Identifier: Apache-2.0
/* The table of mounts: its texts, its versions, what is refused. */
#define _GNU_SOURCE
#include "metad_fixture.h"

#include "metad/ns_internal.h"
#include "tmpdir.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static int add(const char *path, const char *source, const char *options)
{
	return error_of((struct req){ OP(MOUNT_ADD), .name = path, .source = source,
				      .options = options });
}

static int set(const char *path, uint64_t generation, const char *options)
{
	return error_of((struct req){ OP(MOUNT_SET), .name = path, .generation = generation,
				      .options = options });
}

static int take_away(const char *path, uint64_t generation)
{
	return error_of((struct req){ OP(MOUNT_REMOVE), .name = path, .generation = generation });
}

static int print(void *arg, const struct datafs_metad_mount *one)
{
	char *to = arg;

	sprintf(to + strlen(to), "%llu/%llu %.*s %.*s %.*s;", (unsigned long long)one->id,
		(unsigned long long)one->generation, (int)one->path_len, one->path,
		(int)one->source_len, one->source, (int)one->options_len, one->options);
	return 0;
}

/* "ID/GENERATION PATH SOURCE OPTIONS;..." */
static void assert_listed(uint64_t version, uint32_t mounts, const char *want)
{
	struct datafs_metad_mounts table;
	char is[4096] = "";
	bool eof;

	assert_int_equal(datafs_metad_mounts(m, NULL, 0, print, is, &eof, &table), 0);
	assert_true(eof);
	assert_string_equal(is, want);
	assert_int_equal(table.version, version);
	assert_int_equal(table.mounts, mounts);
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
		assert_int_equal(raise_level(DATAFS_METAD_LEVEL_MOUNT), 0);
	return ret;
}

#define MOUNT_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, metad_teardown)

static void test_versions(void **state)
{
	(void)state;
	assert_listed(0, 0, "");
	assert_int_equal(add("/a", "/srv/a", "read_only"), 0);
	assert_int_equal(add("/b", "s3://bucket", ""), 0);
	assert_listed(2, 2, "1/1 /a /srv/a read_only;2/2 /b s3://bucket ;");
	/* its options, its generation; not its id */
	assert_int_equal(set("/a", 1, "uid=1,gid=2"), 0);
	assert_listed(3, 2, "1/3 /a /srv/a uid=1,gid=2;2/2 /b s3://bucket ;");
	assert_int_equal(set("/a", 1, ""), ESTALE);
	assert_int_equal(take_away("/a", 1), ESTALE);
	assert_int_equal(set("/a", 0, ""), 0);
	assert_int_equal(take_away("/a", 4), 0);
	assert_listed(5, 1, "2/2 /b s3://bucket ;");
	/* another one at the same path is another one, whatever it was before */
	assert_int_equal(take_away("/a", 0), ENOENT);
	assert_int_equal(set("/a", 0, ""), ENOENT);
	assert_int_equal(add("/a", "/srv/a", "read_only"), 0);
	assert_int_equal(set("/a", 4, ""), ESTALE);
	assert_int_equal(add("/a", "/srv/a", "read_only"), EEXIST);
	assert_int_equal(add("/b", "/srv/b", ""), EEXIST);
	/* what fails is no version */
	assert_listed(6, 2, "6/6 /a /srv/a read_only;2/2 /b s3://bucket ;");
	reopen();
	assert_listed(6, 2, "6/6 /a /srv/a read_only;2/2 /b s3://bucket ;");
	assert_int_equal(take_away("/a", 0), 0);
	assert_int_equal(take_away("/b", 2), 0);
	assert_listed(8, 0, "");
	assert_int_equal(add("/b", "/srv/b", ""), 0);
	assert_listed(9, 1, "9/9 /b /srv/b ;");
}

/* Over and under each other, and whatever the namespace has there. */
static void test_nested(void **state)
{
	(void)state;
	assert_int_equal(add("/a/b/c", "/srv/c", ""), 0);
	assert_int_equal(add("/a", "/srv/a", ""), 0);
	assert_int_equal(add("/", "/srv", ""), 0);
	assert_int_equal(add("/a/b", "/srv/b", ""), 0);
	assert_int_equal(add("/a.b", "/srv/dot", ""), 0);
	make_file(ROOT, "a");
	/* what is above comes before */
	assert_listed(5, 5, "3/3 / /srv ;2/2 /a /srv/a ;5/5 /a.b /srv/dot ;4/4 /a/b /srv/b ;"
		      "1/1 /a/b/c /srv/c ;");
	assert_int_equal(take_away("/a", 0), 0);
	assert_listed(6, 4, "3/3 / /srv ;5/5 /a.b /srv/dot ;4/4 /a/b /srv/b ;1/1 /a/b/c /srv/c ;");
	must((struct req){ OP(UNLINK), ROOT, "a" });
	assert_listed(6, 4, "3/3 / /srv ;5/5 /a.b /srv/dot ;4/4 /a/b /srv/b ;1/1 /a/b/c /srv/c ;");
}

static const char *repeat(char *buf, const char *what, size_t times)
{
	*buf = '\0';
	while (times--)
		buf = stpcpy(buf, what);
	return buf;
}

static void test_paths(void **state)
{
	static const char *const wrong[] = {
		"", "a", "a/b", "//", "/a/", "/a//b", "//a", "/.", "/..", "/a/.", "/a/..", "/../a",
		"/a/./b", "/a\n", "/\x7f", "/a\tb",
	};
	static const char *const right[] = { "/", "/a", "/...", "/a/.b", "/a/b..", "/a b,c=d", "/\xc3\xa4" };
	char path[5000];

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(add(wrong[i], "/s", ""), EINVAL);
	assert_int_equal(add(NULL, "/s", ""), EINVAL);
	assert_int_equal(set("a", 0, ""), EINVAL);
	assert_int_equal(take_away("/a/", 0), EINVAL);
	for (size_t i = 0; i < COUNT(right); i++)
		assert_int_equal(add(right[i], "/s", ""), 0);
	/* a name of 255 bytes, of 256; a path of 4095, of 4096 */
	path[0] = '/';
	repeat(path + 1, "n", 255);
	assert_int_equal(add(path, "/s", ""), 0);
	repeat(path + 1, "n", 256);
	assert_int_equal(add(path, "/s", ""), EINVAL);
	repeat(path, "/nnnn", 819);
	assert_int_equal(strlen(path), 4095);
	assert_int_equal(add(path, "/s", ""), 0);
	repeat(path, "/nnn", 1024);
	assert_int_equal(strlen(path), 4096);
	assert_int_equal(add(path, "/s", ""), EINVAL);
	assert_null(metad_check(m));
}

static void test_sources(void **state)
{
	static const char *const wrong[] = {
		"", "/a\nb", "s3://key:secret@bucket/x", "https://u:p@h", "http://u:p@h:80/x",
		"http://u:@h", "http://a@b:c@h", "x http://u:p@h", "http://u:p@h?x", "http://u:p@",
		"s3://k:a/b@bucket", "s3://k:1+a?b@c", "http://[::1]:x/@",
	};
	static const char *const right[] = {
		"/srv", "s3://bucket/a:b@c", "http://h:80/x@y", "http://u@h:80/", "http://h?a:b@c",
		"http://h#a:b@c", "posix:///srv/u:p@h", "/a:b@c", "http://[::1]:80/a@b",
		"http://h:/a@b",
	};
	char path[16], source[5000];

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(add("/a", wrong[i], ""), EINVAL);
	assert_int_equal(add("/a", NULL, ""), EINVAL);
	for (size_t i = 0; i < COUNT(right); i++) {
		sprintf(path, "/%zu", i);
		assert_int_equal(add(path, right[i], ""), 0);
	}
	repeat(source, "x", 4095);
	assert_int_equal(add("/long", source, ""), 0);
	repeat(source, "x", 4096);
	assert_int_equal(add("/longer", source, ""), EINVAL);
	assert_null(metad_check(m));
}

static void test_options(void **state)
{
	static const char *const wrong[] = {
		",", "a,", ",a", "a,,b", "=1", "A", "a b", "a-b=1", "a,a", "a=1,b,a=2", "a=\n",
		"endpoint=http://u:p@h", "a=1,endpoint=https://u:p@h:80/x,b",
	};
	static const char *const right[] = {
		"a", "a=", "a=b=c", "a_1=x y", "a,b,c", "endpoint=http://h:80,x=y@z",
	};
	char text[5000], *at = text;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(add("/a", "/s", wrong[i]), EINVAL);
	assert_int_equal(add("/a", "/s", NULL), 0);
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(set("/a", 0, wrong[i]), EINVAL);
	for (size_t i = 0; i < COUNT(right); i++)
		assert_int_equal(set("/a", 0, right[i]), 0);
	/* 64, 65; 4095 bytes, 4096 */
	for (int i = 0; i < 64; i++)
		at += sprintf(at, "%so%d", i ? "," : "", i);
	assert_int_equal(set("/a", 0, text), 0);
	strcpy(at, ",o64");
	assert_int_equal(set("/a", 0, text), EINVAL);
	strcpy(text, "a=");
	repeat(text + 2, "x", 4093);
	assert_int_equal(set("/a", 0, text), 0);
	repeat(text + 2, "x", 4094);
	assert_int_equal(set("/a", 0, text), EINVAL);
	assert_null(metad_check(m));
}

/* Counts down, and takes none at 0. */
static int take_some(void *arg, const struct datafs_metad_mount *one)
{
	struct { size_t n, len; char last[4096]; } *some = arg;

	if (!some->n)
		return 1;
	some->n--;
	assert_true(some->len < one->path_len ||
		    memcmp(some->last, one->path, one->path_len) < 0);
	memcpy(some->last, one->path, one->path_len);
	some->len = one->path_len;
	return 0;
}

static void test_full(void **state)
{
	struct { size_t n, len; char last[4096]; } some = { .n = 0 };
	struct datafs_metad_mounts table;
	unsigned int pieces = 0;
	char path[16];
	bool eof;

	(void)state;
	for (unsigned int i = 0; i < DATAFS_METAD_MOUNTS_MAX; i++) {
		sprintf(path, "/%04u", i);
		assert_int_equal(add(path, "/s", ""), 0);
	}
	assert_int_equal(add("/more", "/s", ""), ENOSPC);
	assert_int_equal(add("/0000", "/s", ""), EEXIST);
	assert_int_equal(set("/0000", 0, "uid=1"), 0);
	/* 1024 of 100 each */
	do {
		some.n = 100;
		assert_int_equal(datafs_metad_mounts(m, some.last, some.len, take_some, &some,
						     &eof, &table), 0);
		assert_int_equal(table.mounts, 1024);
		pieces++;
	} while (!eof);
	assert_int_equal(pieces, 11);
	assert_int_equal(some.n, 76);
	assert_int_equal(take_away("/0500", 0), 0);
	assert_int_equal(add("/more", "/s", ""), 0);
	assert_int_equal(add("/and", "/s", ""), ENOSPC);
	assert_int_equal(datafs_metad_mounts(m, path, 4096, take_some, &some, &eof, &table),
			 -ENAMETOOLONG);
}

static void test_once(void **state)
{
	struct req r = { OP(MOUNT_ADD), .name = "/a", .source = "/s", .session = SESSION,
			 .request = 50 };

	(void)state;
	assert_int_equal(error_of(r), 0);
	assert_int_equal(error_of(r), 0);
	assert_listed(1, 1, "1/1 /a /s ;");
	r = (struct req){ OP(MOUNT_SET), .name = "/a", .generation = 1, .options = "x",
			  .session = SESSION, .request = 51 };
	assert_int_equal(error_of(r), 0);
	assert_int_equal(error_of(r), 0);
	r = (struct req){ OP(MOUNT_REMOVE), .name = "/a", .session = SESSION, .request = 52 };
	assert_int_equal(error_of(r), 0);
	assert_int_equal(error_of(r), 0);
	assert_listed(3, 0, "");
	/* the leader has none of its own, which could not be told from a second one */
	r = (struct req){ OP(MOUNT_ADD), .name = "/a", .source = "/s", .request = 1 };
	assert_int_equal(error_of(r), EINVAL);
	assert_listed(3, 0, "");
}

static void test_not_before_its_level(void **state)
{
	(void)state;
	assert_int_equal(add("/a", "/s", ""), EOPNOTSUPP);
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_MOUNT - 1), 0);
	assert_int_equal(add("/a", "/s", ""), EOPNOTSUPP);
	assert_int_equal(set("/a", 0, ""), EOPNOTSUPP);
	assert_int_equal(take_away("/a", 0), EOPNOTSUPP);
	assert_listed(0, 0, "");
	assert_int_equal(raise_level(DATAFS_METAD_LEVEL_MOUNT), 0);
	assert_int_equal(add("/a", "/s", ""), 0);
	assert_listed(1, 1, "1/1 /a /s ;");
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
	struct datafs_metad_mounts table;
	char is[4096] = "";
	bool eof;

	return datafs_metad_mounts(m, NULL, 0, print, is, &eof, &table);
}

#define NUMBER(c)	"\0\0\0\0\0\0\0" c
#define PUT(key, val)	damage(key, sizeof(key) - 1, val, sizeof(val) - 1)

static void test_damaged(void **state)
{
	static const char good[] = "\1" NUMBER("\1") NUMBER("\1") "\0\2/s";

	(void)state;
	assert_int_equal(add("/a", "/s", ""), 0);
	PUT("M/a", "\1" NUMBER("\1") NUMBER("\1") "\0\3/s");
	assert_int_equal(list(), -EUCLEAN);
	PUT("M/a", "\2" NUMBER("\1") NUMBER("\1") "\0\2/s");
	assert_int_equal(list(), -EUCLEAN);
	PUT("M/a", "\1" NUMBER("\1") NUMBER("\1") "\0");
	assert_int_equal(list(), -EUCLEAN);
	PUT("M/a", "\1" NUMBER("\2") NUMBER("\1") "\0\2/s");
	assert_int_equal(list(), -EUCLEAN);
	PUT("M/a", "\1" NUMBER("\1") NUMBER("\1") "\0\0/s");
	assert_int_equal(list(), -EUCLEAN);
	damage("M/a", 3, good, sizeof(good) - 1);
	assert_int_equal(list(), 0);
	PUT("T", "\1" NUMBER("\0") "\0\0\0\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("T", "\1" NUMBER("\1") "\0\0\4\1");
	assert_int_equal(list(), -EUCLEAN);
	PUT("T", "\1" NUMBER("\1") "\0\0\0\1");
	assert_int_equal(list(), 0);
	PUT("M", "\1" NUMBER("\1") NUMBER("\1") "\0\2/s");
	assert_int_equal(list(), -EUCLEAN);
	damage("M", 1, NULL, 0);
	assert_int_equal(list(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_versions),
		MOUNT_TEST(test_nested),
		MOUNT_TEST(test_paths),
		MOUNT_TEST(test_sources),
		MOUNT_TEST(test_options),
		MOUNT_TEST(test_full),
		MOUNT_TEST(test_once),
		METAD_TEST(test_not_before_its_level),
		MOUNT_TEST(test_damaged),
	};

	return cmocka_run_group_tests_name("metad_mounts", tests, NULL, NULL);
}
