// SPDX-License-Identifier: Apache-2.0
/* What every store promises to its readers. */
#define _GNU_SOURCE
#include "under_conform_internal.h"

#define MEDIUM	(3 * 1000 * 1000 + 17)

static int never(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)arg;
	(void)st;
	fail_msg("there is no entry \"%s\"", name);
	return 0;
}

static void keys(const struct under_conform *c)
{
	static const char *const bad[] = { "/a", "a/", "a//b", ".", "..", "a/./b", "../a", "/" };
	struct datafs_fingerprint fp = { { 0 } };
	struct datafs_under_stat st;
	char buf[8];

	(void)c;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(datafs_under_stat(cu, bad[i], &st), -EINVAL);
		assert_int_equal(datafs_under_list(cu, bad[i], NULL, never, NULL), -EINVAL);
		assert_int_equal(datafs_under_read(cu, bad[i], &fp, 0, buf, 1), -EINVAL);
	}
}

static void attributes(const struct under_conform *c)
{
	struct datafs_under_stat st, again;

	grow(c, "f", 1234, 1);
	grow(c, "d/e", 0, 1);
	st = looked("f");
	again = looked("f");
	assert_true(S_ISREG(st.mode));
	assert_int_equal(st.size, 1234);
	assert_true(st.nlink >= 1);
	assert_true(same_fp(&st.fp, &again.fp));
	assert_int_equal(st.file_id, again.file_id);
	assert_true(st.mtime.tv_sec > 0 && st.seen.tv_sec > 0);
	again = looked("d/e");
	assert_int_equal(again.size, 0);
	assert_false(same_fp(&st.fp, &again.fp));
	st = looked("d");
	assert_true(S_ISDIR(st.mode));
	assert_int_equal(datafs_under_stat(cu, "", &st), 0);
	assert_true(S_ISDIR(st.mode));
	absent("g");
	absent("d/g");
	absent("none/g");
	absent("f/g");
}

static void ranges(const struct under_conform *c)
{
	static const size_t len[] = { 0, 1, 2, 4095, 4096, 4097, 65536, MEDIUM };
	char name[16];

	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		grow(c, name, len[i], i + 1);
		holds(name, len[i], i + 1);
	}
}

/* A state that is not there any more is not read, nor is another in its place. */
static void stale(const struct under_conform *c)
{
	struct datafs_under_stat one, two;
	char buf[64];

	grow(c, "f", 5000, 1);
	one = looked("f");
	holds_in("f", &one.fp, 5000, 1);
	grow(c, "f", 5000, 2);
	assert_int_equal(datafs_under_read(cu, at("f"), &one.fp, 0, buf, 64), -ESTALE);
	assert_int_equal(datafs_under_read(cu, at("f"), &one.fp, 4999, buf, 64), -ESTALE);
	two = looked("f");
	assert_false(same_fp(&one.fp, &two.fp));
	holds_in("f", &two.fp, 5000, 2);
	grow(c, "f", 70, 3);
	assert_int_equal(datafs_under_read(cu, at("f"), &two.fp, 4000, buf, 64), -ESTALE);
	one = looked("f");
	fell(c, "f");
	absent("f");
	assert_int_equal(datafs_under_read(cu, at("f"), &one.fp, 0, buf, 64), -ESTALE);
}

struct seen {
	const struct under_conform *c;
	uint32_t n, stop_after, fail_at;
	uint8_t *times;		/* of each number */
	char last[256];
	bool sorted;
};

/* Names are numbers with leading zeros. */
static int see(void *arg, const char *name, const struct datafs_under_stat *st)
{
	struct seen *s = arg;
	unsigned long i = strtoul(name, NULL, 10);

	if (s->fail_at && s->n == s->fail_at)
		return -ECANCELED;
	assert_true(i < s->c->many);
	assert_int_equal(strlen(name), 7);
	if (st) {
		assert_true(S_ISREG(st->mode));
		assert_int_equal(st->size, i % 3);
	}
	s->times[i]++;
	s->sorted = s->sorted && strcmp(name, s->last) > 0;
	snprintf(s->last, sizeof(s->last), "%s", name);
	return ++s->n == s->stop_after ? DATAFS_UNDER_STOP : 0;
}

static void all_once(struct seen *s)
{
	for (uint32_t i = 0; i < s->c->many; i++) {
		assert_int_equal(s->times[i], 1);
		s->times[i] = 0;
	}
	s->n = 0;
}

static void listings(const struct under_conform *c)
{
	struct seen s = { .c = c, .sorted = true };
	struct datafs_under_place place;
	char name[16];
	int ret, times;

	s.times = calloc(c->many, 1);
	for (uint32_t i = 0; i < c->many; i++) {
		snprintf(name, sizeof(name), "%07u", i);
		grow(c, name, i % 3, i);
	}
	assert_int_equal(datafs_under_list(cu, at(""), NULL, see, &s), 0);
	all_once(&s);
	if (datafs_under_caps(cu) & DATAFS_UNDER_SORTED)
		assert_true(s.sorted);

	/* In pieces, with a place that is all there is left of the piece before. */
	memset(&place, 0, sizeof(place));
	for (times = 0;; times++) {
		struct datafs_under_place moved = place;
		uint32_t piece = c->many / 5;

		s.n = 0;
		s.stop_after = piece;
		ret = datafs_under_list(cu, at(""), &moved, see, &s);
		if (ret != DATAFS_UNDER_STOP)
			break;
		assert_int_equal(s.n, piece);
		place = moved;
	}
	assert_int_equal(ret, 0);
	assert_int_equal(times, 5);
	all_once(&s);

	/* One that is refused is given again. */
	memset(&place, 0, sizeof(place));
	s.stop_after = 0;
	s.fail_at = c->many / 2;
	assert_int_equal(datafs_under_list(cu, at(""), &place, see, &s), -ECANCELED);
	assert_int_equal(s.n, c->many / 2);
	s.fail_at = 0;
	assert_int_equal(datafs_under_list(cu, at(""), &place, see, &s), 0);
	assert_int_equal(s.n, c->many);
	all_once(&s);
	free(s.times);
}

struct kinds {
	uint32_t files, dirs, unknown;
};

static int sort_out(void *arg, const char *name, const struct datafs_under_stat *st)
{
	struct kinds *k = arg;
	struct datafs_under_stat own;

	assert_null(strchr(name, '/'));
	own = looked(name);
	if (!st) {
		k->unknown++;
		return 0;
	}
	assert_int_equal(st->mode, own.mode);
	assert_true(same_fp(&st->fp, &own.fp));
	if (S_ISREG(st->mode)) {
		assert_int_equal(st->size, own.size);
		assert_int_equal(st->mtime.tv_sec, own.mtime.tv_sec);
	}
	if (S_ISDIR(st->mode))
		k->dirs++;
	else
		k->files++;
	return 0;
}

/* What a listing says is what a look says. */
static void agreement(const struct under_conform *c)
{
	struct kinds k = { 0 };
	int ret;

	grow(c, "b", 10, 1);
	grow(c, "c", 0, 1);
	grow(c, "a/1", 1, 1);
	grow(c, "a/2", 2, 1);
	grow(c, "a.b/x/y", 1, 1);
	assert_int_equal(datafs_under_list(cu, at(""), NULL, sort_out, &k), 0);
	assert_int_equal(k.files + k.dirs + k.unknown, 4);
	assert_true(k.files <= 2 && k.dirs <= 2);
	assert_int_equal(count("a"), 2);
	assert_int_equal(count("a.b"), 1);
	assert_int_equal(count("a.b/x"), 1);
	assert_int_equal(datafs_under_list(cu, at("none"), NULL, never, NULL), -ENOENT);
	ret = datafs_under_list(cu, at("b"), NULL, never, NULL);
	assert_true(ret == -ENOTDIR || ret == -ENOENT);
}

static const char *const odd[] = {
	" ", "a b", "100%", "a%20b", "a+b", "\xc3\xbc\xe2\x82\xac", "a&b=c;d", "#x?y", "'\"<>", "~",
	"...", "..a", "a:b", "\\", "*", "[x]", "-rf", "$(x)", "@,!", "=",
	"?", "%2F", "%zz", "a&amp;b", "`^{|}", "\xf0\x9f\x90\xa7", "a\nb", "\t", "\r", "\x01", "\x7f",
};

#define NODD	(sizeof(odd) / sizeof(odd[0]))

static int find_odd(void *arg, const char *name, const struct datafs_under_stat *st)
{
	uint64_t *found = arg;

	(void)st;
	for (size_t i = 0; i < NODD; i++)
		if (!strcmp(odd[i], name)) {
			assert_false(*found & 1ull << i);
			*found |= 1ull << i;
			return 0;
		}
	fail_msg("there is no name \"%s\"", name);
	return 0;
}

static bool can_be(const struct under_conform *c, const char *name)
{
	return !c->not_in_names || !strpbrk(name, c->not_in_names);
}

static void names(const struct under_conform *c)
{
	uint64_t found = 0, listed = 0;
	char below[64], longest[256];

	for (size_t i = 0; i < NODD; i++) {
		if (!can_be(c, odd[i]))
			continue;
		room(odd[i]);
		snprintf(below, sizeof(below), "%s/%s", odd[i], odd[i]);
		grow(c, below, 10 + i, i);
		listed |= (uint64_t)(*odd[i] != '.' || !c->hides_dots) << i;
	}
	assert_int_equal(datafs_under_list(cu, at(""), NULL, find_odd, &found), 0);
	assert_int_equal(found, listed);
	for (size_t i = 0; i < NODD; i++) {
		if (!can_be(c, odd[i]))
			continue;
		assert_int_equal(count(odd[i]), listed >> i & 1);
		snprintf(below, sizeof(below), "%s/%s", odd[i], odd[i]);
		holds(below, 10 + i, i);
		if (c->plant)
			continue;
		assert_int_equal(datafs_under_remove(cu, at(below), NULL), 0);
		absent(below);
	}
	memset(longest, 'n', 255);
	longest[255] = 0;
	grow(c, longest, 3, 3);
	holds(longest, 3, 3);
}

static void counters(const struct under_conform *c)
{
	struct datafs_under_stats a, b;
	struct datafs_under_stat st;
	char buf[512];

	grow(c, "f", 5000, 1);
	st = looked("f");
	datafs_under_stats(cu, &a);
	assert_int_equal(datafs_under_read(cu, at("f"), &st.fp, 0, buf, 512), 512);
	assert_int_equal(datafs_under_read(cu, at("f"), &st.fp, 4990, buf, 512), 10);
	absent("none");
	count("");
	datafs_under_stats(cu, &b);
	assert_int_equal(b.by[DATAFS_UNDER_M_GET].requests - a.by[DATAFS_UNDER_M_GET].requests, 2);
	assert_int_equal(b.by[DATAFS_UNDER_M_GET].down - a.by[DATAFS_UNDER_M_GET].down, 522);
	assert_true(b.by[DATAFS_UNDER_M_STAT].requests > a.by[DATAFS_UNDER_M_STAT].requests);
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		assert_int_equal(b.by[m].errors, a.by[m].errors);
		assert_int_equal(b.by[m].retries, a.by[m].retries);
		assert_int_equal(b.by[m].up, a.by[m].up);
	}
}

/* Who has no links and attributes says so, of what is there. */
static void extras(const struct under_conform *c)
{
	uint32_t caps = datafs_under_caps(cu);
	struct statfs fs;
	char buf[64];
	ssize_t ret;

	grow(c, "f", 5, 1);
	assert_int_equal(datafs_under_readlink(cu, at("f"), buf, sizeof(buf)),
			 caps & DATAFS_UNDER_LINKS ? -EINVAL : -EOPNOTSUPP);
	ret = datafs_under_getxattr(cu, at("f"), "user.none", buf, sizeof(buf));
	assert_true(ret == -EOPNOTSUPP || (ret == -ENODATA && caps & DATAFS_UNDER_XATTRS));
	assert_int_equal(datafs_under_listxattr(cu, at("f"), buf, sizeof(buf)), 0);
	assert_int_equal(datafs_under_statfs(cu, &fs), 0);
	assert_true(fs.f_bsize > 0);
}

const struct conform_check conform_reads[] = {
	{ "keys", 0, 0, keys },
	{ "attributes", 0, 0, attributes },
	{ "ranges", 0, 0, ranges },
	{ "stale", 0, 0, stale },
	{ "listings", 0, 0, listings },
	{ "agreement", 0, 0, agreement },
	{ "names", 0, 0, names },
	{ "counters", 0, 0, counters },
	{ "extras", 0, 0, extras },
	{ NULL },
};
