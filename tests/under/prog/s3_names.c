// SPDX-License-Identifier: Apache-2.0
/*
 * s3_names ENDPOINT [TEST]: which keys of a server of S3 are shown, which can be made, and under
 * which names. Access keys come from the environment. Makes buckets of its own, of which none
 * may be there.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../bucket.h"
#include "under/s3_internal.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

static struct datafs_under_opts opts;
static struct datafs_under *u;

static int teardown(void **state)
{
	(void)state;
	datafs_under_close(u);
	u = NULL;
	return 0;
}

static void reopen(const char *source)
{
	datafs_under_close(u);
	u = NULL;
	assert_int_equal(datafs_under_open(source, &opts, &u), 0);
}

static void plant(const char *key, const char *text)
{
	assert_int_equal(bucket_put(u, key, strlen(key), text, strlen(text)), 0);
}

/* ---- what is listed ---- */

#define LISTED_MAX	128

static char listed[LISTED_MAX][DATAFS_S3_KEY_MAX + 1];
static bool listed_dir[LISTED_MAX];
static uint64_t listed_size[LISTED_MAX];
static unsigned int nlisted, stop_at;

static int note(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)arg;
	assert_true(nlisted < LISTED_MAX);
	strcpy(listed[nlisted], name);
	listed_size[nlisted] = st->size;
	listed_dir[nlisted++] = S_ISDIR(st->mode);
	return nlisted == stop_at ? DATAFS_UNDER_STOP : 0;
}

static void list(const char *key)
{
	nlisted = stop_at = 0;
	assert_int_equal(datafs_under_list(u, key, NULL, note, NULL), 0);
}

/* Once, of that kind and size; directories have none. */
static void has(const char *name, bool dir, size_t size)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nlisted; i++)
		n += !strcmp(listed[i], name) && listed_dir[i] == dir && listed_size[i] == size;
	if (n != 1)
		print_error("\"%s\": %u times\n", name, n);
	assert_int_equal(n, 1);
}

/*
 * These names, and no others, have been listed: @want ends with NULL, and the names of directories with
 * a '/'; files have 3 bytes.
 */
static void has_all(const char *const *want)
{
	unsigned int n = 0;

	for (; want[n]; n++) {
		size_t len = strlen(want[n]);
		bool dir = want[n][len - 1] == '/';
		char name[DATAFS_S3_KEY_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)(len - dir), want[n]);
		has(name, dir, dir ? 0 : 3);
	}
	assert_int_equal(nlisted, n);
}

static void lists(const char *key, const char *const *want)
{
	list(key);
	has_all(want);
}

#define NAMES(...)	((const char *const[]){ __VA_ARGS__, NULL })

/* ---- what is there ---- */

/* As it is looked at, and read. */
static void holds(const char *key, const char *text)
{
	struct datafs_under_stat st;
	char buf[128];

	assert_int_equal(datafs_under_stat(u, key, &st), 0);
	assert_true(S_ISREG(st.mode));
	assert_int_equal(st.size, strlen(text));
	assert_int_equal(datafs_under_read(u, key, &st.fp, 0, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void is_dir(const char *key)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(u, key, &st), 0);
	assert_true(S_ISDIR(st.mode));
}

static void is_not(const char *key, int why)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(u, key, &st), why);
}

/* Of all keys that begin with @prefix, "DIR/" among them: is it one? The server's word. */
static bool is_key(const char *prefix, const char *key)
{
	struct datafs_s3_page page;
	bool is = false;

	assert_int_equal(datafs_s3_page(s3_of(u), prefix, NULL, NULL, false, 1000, &page), 0);
	assert_false(page.truncated);
	for (size_t i = 0; i < page.n; i++)
		is = is || !strcmp(page.entry[i].key, key);
	datafs_s3_page_free(&page);
	return is;
}

/* ---- names of odd bytes ---- */

static char longest[256];	/* 85 characters of 3 bytes */

/* All that are names by POSIX, and UTF-8. */
static const char *const odd[] = {
	" ", " a", "a ", "a b", "a  b",
	"%", "%%", "100%", "%41", "%2F", "%2f", "%00", "%zz", "%C3%BC",
	"+", "a+b", "a%2Bb", "a%20b",
	"?", "a?b=c", "#", "a#b", "&", "&amp;", "=", "~", "~a", ";", ":", "a:b", ",", "@", "$", "$(x)",
	"!", "*", "[x]", "{x}", "(x)", "<x>", "]]>", "|", "^", "'", "\"", "`", "\\", "a\\b", "..\\a",
	".a", "a.", "...", "....", "..a", "a..", ". ", "-", "-rf", "_",
	"\n", "a\nb", "\r", "a\r\n", "\t", "\x01", "\x08", "\x0b", "\x1b[2J", "\x1f", "\x7f",
	/* as one character and as two; of four bytes; the first and last of each length; a mark */
	"\xc3\xbc", "u\xcc\x88", "\xf0\x9f\x90\xa7", "\xc2\x80", "\xc2\x85", "\xdf\xbf",
	"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xef\xbf\xbe",
	"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf", "\xe2\x80\xae", "\xe2\x80\xa8",
	"A", "a", "aux", "index.html", ".datafs-0123456789abcdef0123456789abcdef.part",
	longest,
};

/* What is to be in odd[i]: no two have the same size. */
static const char *text_of(size_t i)
{
	static char text[128];

	snprintf(text, sizeof(text), "%0*zu", (int)i + 1, i);
	return text;
}

/* Of the last four calls; @below may be NULL. */
static const char *path(const char *dir, const char *name, const char *below)
{
	static char key[4][DATAFS_S3_KEY_MAX + 1];
	static unsigned int turn;

	turn = (turn + 1) % N(key);
	snprintf(key[turn], sizeof(key[turn]), "%s/%s%s%s", dir, name,
		 below ? "/" : "", below ?: "");
	return key[turn];
}

/* It can be stopped after any of them, and goes on. */
static void list_singly(const char *key)
{
	struct datafs_under_place place = { .token = "" };
	int ret;

	nlisted = 0;
	do {
		stop_at = nlisted + 1;
		ret = datafs_under_list(u, key, &place, note, NULL);
	} while (ret == DATAFS_UNDER_STOP);
	assert_int_equal(ret, 0);
}

/* Keys that others have made are shown as they are. */
static void shown(void **state)
{
	(void)state;
	u = bucket_open(&opts, "shown");
	for (size_t i = 0; i < N(odd); i++) {
		plant(path("f", odd[i], NULL), text_of(i));
		plant(path("d", odd[i], odd[i]), text_of(i));
	}
	list("f");
	assert_int_equal(nlisted, N(odd));
	for (size_t i = 0; i < N(odd); i++) {
		has(odd[i], false, strlen(text_of(i)));
		holds(path("f", odd[i], NULL), text_of(i));
	}
	/* Opened at any of them: the first one is a control byte. */
	reopen("s3://shown/f");
	list("");
	assert_int_equal(nlisted, N(odd));
	reopen("s3://shown");
	list_singly("d");
	assert_int_equal(nlisted, N(odd));
	for (size_t i = 0; i < N(odd); i++)
		has(odd[i], true, 0);
	for (size_t i = 0; i < N(odd); i++) {
		list(path("d", odd[i], NULL));
		assert_int_equal(nlisted, 1);
		has(odd[i], false, strlen(text_of(i)));
	}
}

/*
 * Can it be in XML, as the answers to an upload in parts have the key? Swift says 500 where not, each
 * time, and others may send what no parser takes: it is of no use to ask.
 */
static bool in_xml(const char *name)
{
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' && !strchr("\t\n\r", *c))
			return false;
	return !strstr(name, "\xef\xbf\xbe") && !strstr(name, "\xef\xbf\xbf");
}

static void upload(const char *key, const char *text)
{
	struct datafs_under_part part = { .number = 1, .len = strlen(text) };
	struct datafs_under_upload up;

	assert_int_equal(datafs_under_begin(u, key, NULL, &up), 0);
	assert_int_equal(datafs_under_part(u, key, &up, &part, text), 0);
	assert_int_equal(datafs_under_complete(u, key, &up, &part, 1, NULL, NULL, NULL), 0);
}

/* Keys that are made here are those that were meant: the server's listings say so. */
static void made(void **state)
{
	struct datafs_under_cond absent = { .is = DATAFS_UNDER_ABSENT };
	static const char *const dirs[] = { "c", "f", "u", "d" };
	struct datafs_fingerprint fp;

	(void)state;
	u = bucket_open(&opts, "made");
	for (size_t i = 0; i < N(odd); i++) {
		const char *key = path("f", odd[i], NULL), *text = text_of(i);

		assert_int_equal(datafs_under_put(u, key, text, strlen(text), NULL, &absent, &fp), 0);
		holds(key, text);
		assert_int_equal(datafs_under_copy(u, key, &fp, path("c", odd[i], NULL), NULL, NULL,
						   NULL), 0);
		if (in_xml(odd[i]))
			upload(path("u", odd[i], NULL), text);
		assert_int_equal(datafs_under_mkdir(u, path("d", odd[i], NULL), NULL), 0);
	}
	for (size_t d = 0; d < N(dirs); d++) {
		bool dir = *dirs[d] == 'd';
		unsigned int n = 0;

		list(dirs[d]);
		for (size_t i = 0; i < N(odd); i++) {
			if (*dirs[d] == 'u' && !in_xml(odd[i]))
				continue;
			has(odd[i], dir, dir ? 0 : strlen(text_of(i)));
			n++;
		}
		assert_int_equal(nlisted, n);
	}
	for (size_t i = 0; i < N(odd); i++) {
		assert_int_equal(datafs_under_remove(u, path("f", odd[i], NULL), NULL), 0);
		assert_int_equal(datafs_under_rmdir(u, path("d", odd[i], NULL)), 0);
	}
	is_not("f", -ENOENT);
	is_not("d", -ENOENT);
}

/* ---- keys that are no paths ---- */

/* No part of theirs is a name: nothing of them is shown, and nothing is in the way of others. */
static const char *const no_paths[] = {
	"/", "//", "/lead", "//lead", "/n/f", ".", "..", "./f", "../f", "n/.", "n/..", "n/./f",
	"n/../f", "n/../../f", "n//", "n//f", "n/d//", "n/d//f", "n/f/.", "n/only//f", "only/./f",
};

static void parts_that_are_no_names(void **state)
{
	char key[512];

	(void)state;
	u = bucket_open(&opts, "no-paths");
	for (size_t i = 0; i < N(no_paths); i++)
		plant(no_paths[i], "no!");
	snprintf(key, sizeof(key), "n/%0256d", 0);
	plant(key, "no!");
	snprintf(key, sizeof(key), "n/%0256d/f", 1);
	plant(key, "no!");
	plant("f", "yes");
	plant("n/d/f", "yes");
	snprintf(key, sizeof(key), "n/%0255d", 2);
	plant(key, "yes");
	/* They are there, as they were sent. */
	for (size_t i = 0; i < N(no_paths); i++)
		assert_true(is_key("", no_paths[i]));

	/* A directory is there for what is below it, though that cannot be shown. */
	lists("", NAMES("f", "n/", "only/"));
	lists("only", NAMES(NULL));
	is_dir("only");
	lists("n", NAMES("d/", "f/", "only/", key + 2));
	lists("n/d", NAMES("f"));
	lists("n/f", NAMES(NULL));
	lists("n/only", NAMES(NULL));
	holds("f", "yes");
	holds("n/d/f", "yes");
	holds(key, "yes");
	/* None is an empty directory. */
	assert_int_equal(datafs_under_rmdir(u, "only"), -ENOTEMPTY);
	assert_int_equal(datafs_under_rmdir(u, "n/d"), -ENOTEMPTY);
	assert_int_equal(datafs_under_rmdir(u, "n/only"), -ENOTEMPTY);
	/* Who asks for them or would make them is refused, before the server is. */
	for (size_t i = 0; i < N(no_paths); i++) {
		is_not(no_paths[i], -EINVAL);
		assert_int_equal(datafs_under_list(u, no_paths[i], NULL, note, NULL), -EINVAL);
		assert_int_equal(datafs_under_put(u, no_paths[i], "x", 1, NULL, NULL, NULL), -EINVAL);
		assert_int_equal(datafs_under_mkdir(u, no_paths[i], NULL), -EINVAL);
		assert_int_equal(datafs_under_remove(u, no_paths[i], NULL), -EINVAL);
	}
	is_not("n/d/", -EINVAL);
	snprintf(key, sizeof(key), "n/%0256d", 0);
	is_not(key, -ENAMETOOLONG);
	assert_int_equal(datafs_under_put(u, key, "x", 1, NULL, NULL, NULL), -ENAMETOOLONG);
	assert_int_equal(datafs_under_mkdir(u, key, NULL), -ENAMETOOLONG);
	assert_int_equal(datafs_under_remove(u, key, NULL), -ENAMETOOLONG);
	snprintf(key, sizeof(key), "n/%0256d/f", 1);
	is_not(key, -ENAMETOOLONG);
	assert_int_equal(datafs_under_put(u, key, "x", 1, NULL, NULL, NULL), -ENAMETOOLONG);
	for (size_t i = 0; i < N(no_paths); i++)
		assert_true(is_key("", no_paths[i]));
}

/* What no server of S3 has, and this one refuses. */
static void no_keys(void **state)
{
	static const char *const no_text[] = {
		"n/\xff", "n/\xc3", "n/\xc3(", "n/\xc0\xaf", "n/\xed\xa0\x80", "n/\xf4\x90\x80\x80",
		"n/\xe2\x82", "n/\x80", "\xff/f",
	};
	struct datafs_under_stat st;

	(void)state;
	u = bucket_open(&opts, "no-keys");
	plant("n/f", "yes");
	assert_true(bucket_put(u, "n/a\0b", 5, "x", 1) < 0);
	for (size_t i = 0; i < N(no_text); i++) {
		assert_true(bucket_put(u, no_text[i], strlen(no_text[i]), "x", 1) < 0);
		is_not(no_text[i], -ENOENT);
		assert_int_equal(datafs_under_list(u, no_text[i], NULL, note, NULL), -ENOENT);
		assert_int_equal(datafs_under_put(u, no_text[i], "x", 1, NULL, NULL, NULL), -EILSEQ);
		assert_int_equal(datafs_under_mkdir(u, no_text[i], NULL), -EILSEQ);
	}
	lists("", NAMES("n/"));
	lists("n", NAMES("f"));
	assert_int_equal(datafs_under_stat(u, "n/f", &st), 0);
	assert_int_equal(datafs_under_read(u, "n/\xff", &st.fp, 0, &st, 1), -ESTALE);
}

/* ---- files and directories of one name ---- */

static const char *const beside[] = {
	/* a file and keys below its name, with others between them */
	"n/a", "n/a/1", "n/a-b", "n/a.c", "n/a.c/2", "n/a/b/c",
	/* a directory's marker, with bytes in it; one alone; one below a file; one beside keys */
	"n/m/", "n/alone/", "n/d/f", "n/d/f/", "n/e/", "n/e/g",
};

static void files_and_directories(void **state)
{
	const char *const *n = NAMES("a", "a-b", "a.c", "alone/", "d/", "e/", "m/");
	struct datafs_under_stat st;
	char c;

	(void)state;
	u = bucket_open(&opts, "both");
	for (size_t i = 0; i < N(beside); i++)
		plant(beside[i], "xyz");
	lists("", NAMES("n/"));
	lists("n", n);
	/* Stopped and taken up again, it is the same listing. */
	for (unsigned int i = 1; i <= 7; i++) {
		struct datafs_under_place place = { .token = "" };

		nlisted = 0;
		stop_at = i;
		assert_int_equal(datafs_under_list(u, "n", &place, note, NULL), DATAFS_UNDER_STOP);
		stop_at = 0;
		assert_int_equal(datafs_under_list(u, "n", &place, note, NULL), 0);
		has_all(n);
	}
	lists("n/d", NAMES("f"));
	lists("n/e", NAMES("g"));
	lists("n/m", NAMES(NULL));
	lists("n/alone", NAMES(NULL));
	holds("n/a", "xyz");
	holds("n/a.c", "xyz");
	holds("n/d/f", "xyz");
	is_dir("n/alone");
	/* The bytes of a marker are nobody's. */
	is_dir("n/m");
	assert_int_equal(datafs_under_stat(u, "n/a", &st), 0);
	assert_int_equal(datafs_under_read(u, "n/m", &st.fp, 0, &c, 1), -ESTALE);
	assert_int_equal(datafs_under_rmdir(u, "n/e"), -ENOTEMPTY);
	assert_int_equal(datafs_under_rmdir(u, "n/m"), 0);
	is_not("n/m", -ENOENT);

	/* Without the file, what was below it is shown; without that, the file. */
	assert_int_equal(datafs_under_remove(u, "n/a", NULL), 0);
	is_dir("n/a");
	lists("n", NAMES("a/", "a-b", "a.c", "alone/", "d/", "e/"));
	lists("n/a", NAMES("1", "b/"));
	holds("n/a/b/c", "xyz");
	assert_int_equal(datafs_under_remove(u, "n/a.c/2", NULL), 0);
	lists("n", NAMES("a/", "a-b", "a.c", "alone/", "d/", "e/"));
	holds("n/a.c", "xyz");
	/* No directory is made where a file is; a file where a directory is hides that. */
	assert_int_equal(datafs_under_mkdir(u, "n/a.c", NULL), -EEXIST);
	assert_int_equal(datafs_under_put(u, "n/e", "new", 3, NULL, NULL, NULL), 0);
	lists("n", NAMES("a/", "a-b", "a.c", "alone/", "d/", "e"));
}

/* ---- long keys ---- */

/* @len bytes of parts of @part bytes, the first @less shorter. */
static void long_key(char *key, size_t len, size_t part, size_t less)
{
	for (size_t i = 0; i < len; i++)
		key[i] = (i + less) % (part + 1) == part ? '/' : 'k';
	key[len] = 0;
}

static void long_keys(void **state)
{
	char key[DATAFS_S3_KEY_MAX + 2];
	struct datafs_fingerprint fp;
	static const size_t parts[][2] = { { 199, 0 }, { 255, 254 }, { 2, 1 } };

	(void)state;
	u = bucket_open(&opts, "long");
	for (size_t i = 0; i < N(parts); i++) {
		long_key(key, DATAFS_S3_KEY_MAX, parts[i][0], parts[i][1]);
		is_not(key, -ENOENT);
		assert_int_equal(datafs_under_put(u, key, "yes", 3, NULL, NULL, &fp), 0);
		assert_true(is_key("", key));
		holds(key, "yes");
		assert_int_equal(datafs_under_mkdir(u, key, NULL), -EEXIST);
		*strrchr(key, '/') = 0;
		list(key);
		assert_int_equal(nlisted, 1);
		has(key + strlen(key) + 1, false, 3);
		key[strlen(key)] = '/';
		assert_int_equal(datafs_under_remove(u, key, NULL), 0);
		is_not(key, -ENOENT);
		/* Its marker would have a byte more. */
		assert_int_equal(datafs_under_mkdir(u, key, NULL), -ENAMETOOLONG);
		key[DATAFS_S3_KEY_MAX - 1] = 0;
		assert_int_equal(datafs_under_mkdir(u, key, NULL), 0);
		is_dir(key);
		lists(key, NAMES(NULL));
		assert_int_equal(datafs_under_rmdir(u, key), 0);
	}
	long_key(key, DATAFS_S3_KEY_MAX + 1, 199, 0);
	assert_true(bucket_put(u, key, strlen(key), "x", 1) < 0);
	is_not(key, -ENAMETOOLONG);
	assert_int_equal(datafs_under_list(u, key, NULL, note, NULL), -ENAMETOOLONG);
	assert_int_equal(datafs_under_put(u, key, "x", 1, NULL, NULL, NULL), -ENAMETOOLONG);
	lists("", NAMES(NULL));
}

/* ---- a mount of a part of a bucket ---- */

/* It sees only what is below its prefix, under its own names. */
static void prefixes(void **state)
{
	char key[DATAFS_S3_KEY_MAX + 1];
	struct datafs_fingerprint fp;

	(void)state;
	u = bucket_open(&opts, "prefixes");
	plant("p/q/f", "xyz");
	plant("p/q", "no!");
	plant("p/q/", "no!");
	plant("p/q//f", "no!");
	plant("p/qq", "no!");
	plant("p/q%2Bf", "no!");
	reopen("s3://prefixes/p/q/");
	lists("", NAMES("f"));
	is_dir("");
	holds("f", "xyz");
	assert_int_equal(datafs_under_put(u, "d/g", "y", 1, NULL, NULL, &fp), 0);
	assert_int_equal(datafs_under_copy(u, "d/g", &fp, "h", NULL, NULL, NULL), 0);
	/* The prefix is of the key's 1024 bytes. */
	long_key(key, DATAFS_S3_KEY_MAX - 4, 199, 0);
	assert_int_equal(datafs_under_put(u, key, "yes", 3, NULL, NULL, NULL), 0);
	holds(key, "yes");
	assert_int_equal(datafs_under_remove(u, key, NULL), 0);
	long_key(key, DATAFS_S3_KEY_MAX - 3, 199, 0);
	assert_int_equal(datafs_under_put(u, key, "x", 1, NULL, NULL, NULL), -ENAMETOOLONG);
	reopen("s3://prefixes");
	holds("p/q/d/g", "y");
	holds("p/q/h", "y");
	/* It is no URL: its bytes are those of keys. */
	plant("%41 +\xc3\xbc?#&/f", "odd");
	plant("A +\xc3\xbc?#&/f", "no!");
	reopen("s3://prefixes/%41 +\xc3\xbc?#&");
	lists("", NAMES("f"));
	holds("f", "odd");
	assert_int_equal(datafs_under_put(u, "g", "new", 3, NULL, NULL, &fp), 0);
	assert_int_equal(datafs_under_copy(u, "g", &fp, "h", NULL, NULL, NULL), 0);
	lists("", NAMES("f", "g", "h"));
	reopen("s3://prefixes");
	holds("%41 +\xc3\xbc?#&/g", "new");
	holds("%41 +\xc3\xbc?#&/h", "new");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, teardown)
		T(shown),
		T(made),
		T(parts_that_are_no_names),
		T(no_keys),
		T(files_and_directories),
		T(long_keys),
		T(prefixes),
	};

	if (argc < 2 || argc > 3)
		errx(2, "usage: s3_names ENDPOINT [TEST]");
	for (int i = 0; i < 255; i += 3)
		memcpy(longest + i, "\xe2\x82\xac", 3);
	opts = datafs_under_opts_default;
	opts.endpoint = argv[1];
	if (argc == 3)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests_name("s3_names", tests, NULL, NULL);
}
