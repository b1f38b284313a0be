// SPDX-License-Identifier: Apache-2.0
/* What stores promise that can be written, and that they are not if they cannot. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "under_conform_internal.h"

static void read_only(const struct under_conform *c)
{
	struct datafs_under_part part = { .number = 1, .len = 1 };
	struct datafs_fingerprint fp = { { 0 } };
	struct datafs_under_upload up = { "" };
	const char *k = at("f");

	(void)c;
	assert_int_equal(datafs_under_put(cu, k, "x", 1, NULL, NULL, NULL), -EROFS);
	assert_int_equal(datafs_under_begin(cu, k, NULL, &up), -EROFS);
	assert_int_equal(datafs_under_part(cu, k, &up, &part, "x"), -EROFS);
	assert_int_equal(datafs_under_complete(cu, k, &up, &part, 1, NULL, NULL, NULL), -EROFS);
	assert_int_equal(datafs_under_abort(cu, k, &up), -EROFS);
	assert_int_equal(datafs_under_mkdir(cu, k, NULL), -EROFS);
	assert_int_equal(datafs_under_rmdir(cu, k), -EROFS);
	assert_int_equal(datafs_under_remove(cu, k, NULL), -EROFS);
	assert_int_equal(datafs_under_rename(cu, k, "g"), -EROFS);
	assert_int_equal(datafs_under_copy(cu, k, &fp, "g", NULL, NULL, NULL), -EROFS);
}

static int put(const char *name, size_t len, uint32_t seed, const struct datafs_under_cond *cond,
	       struct datafs_fingerprint *fp)
{
	void *buf = malloc(len + 1);
	int ret;

	fill(buf, len, seed);
	ret = datafs_under_put(cu, at(name), buf, len, NULL, cond, fp);
	free(buf);
	return ret;
}

static void puts_whole(const struct under_conform *c)
{
	static const size_t len[] = { 5000, 0, 1, 4096, 2 * 1000 * 1000 + 3 };
	struct datafs_fingerprint fp, last = { { 0 } };
	struct datafs_under_stat st;

	(void)c;
	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		assert_int_equal(put("f", len[i], i, NULL, &fp), 0);
		assert_false(same_fp(&fp, &last));
		last = fp;
		holds_in("f", &fp, len[i], i);
		holds("f", len[i], i);
		st = looked("f");
		assert_true(same_fp(&fp, &st.fp));
		assert_int_equal(count(""), 1);
	}
	assert_int_equal(datafs_under_put(cu, "", "x", 1, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(datafs_under_put(cu, "a//b", "x", 1, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(put("g", 7, 7, NULL, NULL), 0);
	holds("g", 7, 7);
}

static void in_the_way(const struct under_conform *c)
{
	(void)c;
	room("d");
	assert_int_equal(put("d", 1, 1, NULL, NULL), -EISDIR);
	assert_int_equal(put("none/f", 1, 1, NULL, NULL), -ENOENT);
	assert_int_equal(put("f", 1, 1, NULL, NULL), 0);
	assert_int_equal(put("f/g", 1, 1, NULL, NULL), -ENOTDIR);
	assert_int_equal(count(""), 2);
}

static void attrs(const struct under_conform *c)
{
	struct datafs_under_attr a = {
		.mode = 04751, .uid = 1234, .gid = 4321, .mtime = { 1000000000, 123456000 },
	};
	struct datafs_under_stat st;

	if (c->modes)
		a.mode &= c->modes;
	if (c->grain)
		a.mtime.tv_nsec -= a.mtime.tv_nsec % c->grain;
	if (geteuid()) {
		a.uid = geteuid();
		a.gid = getegid();
	}
	assert_int_equal(datafs_under_put(cu, at("f"), "x", 1, &a, NULL, NULL), 0);
	st = looked("f");
	assert_int_equal(st.mode, S_IFREG | a.mode);
	assert_int_equal(st.uid, a.uid);
	assert_int_equal(st.gid, a.gid);
	assert_int_equal(st.mtime.tv_sec, a.mtime.tv_sec);
	assert_int_equal(st.mtime.tv_nsec, a.mtime.tv_nsec);
	a.mode = 01770;
	assert_int_equal(datafs_under_mkdir(cu, at("d"), &a), 0);
	st = looked("d");
	assert_int_equal(st.mode, S_IFDIR | a.mode);
	assert_int_equal(st.uid, a.uid);
}

static void conditions(const struct under_conform *c)
{
	struct datafs_under_cond absent_is = { .is = DATAFS_UNDER_ABSENT }, match;
	struct datafs_fingerprint fp;

	(void)c;
	match.is = DATAFS_UNDER_MATCH;
	assert_int_equal(put("f", 10, 1, &absent_is, &match.fp), 0);
	assert_int_equal(put("f", 11, 2, &absent_is, NULL), -EEXIST);
	holds_in("f", &match.fp, 10, 1);
	assert_int_equal(put("f", 12, 3, &match, &fp), 0);
	holds_in("f", &fp, 12, 3);
	assert_int_equal(put("f", 13, 4, &match, NULL), -ESTALE);
	holds_in("f", &fp, 12, 3);
	assert_int_equal(put("g", 13, 4, &match, NULL), -ESTALE);
	absent("g");
	assert_int_equal(datafs_under_remove(cu, at("f"), &absent_is), -EINVAL);
	assert_int_equal(datafs_under_remove(cu, at("f"), &match), -ESTALE);
	holds_in("f", &fp, 12, 3);
	match.fp = fp;
	assert_int_equal(datafs_under_remove(cu, at("f"), &match), 0);
	absent("f");
	assert_int_equal(count(""), 0);
}

/* ---- uploads ---- */

#define PARTS	4

/* All parts but the last are of @c->part bytes. */
static size_t part_of(const struct under_conform *c, uint32_t number,
		      struct datafs_under_part *part)
{
	*part = (struct datafs_under_part){
		.number = number, .off = (uint64_t)(number - 1) * c->part,
		.len = number < PARTS ? c->part : 1001,
	};
	return part->len;
}

static int send_part(const struct under_conform *c, const struct datafs_under_upload *up,
		     uint32_t number, uint32_t seed, struct datafs_under_part *part)
{
	size_t len = part_of(c, number, part), all = (size_t)(number - 1) * c->part + len;
	uint8_t *buf = malloc(all);
	int ret;

	fill(buf, all, seed);
	ret = datafs_under_part(cu, at("f"), up, part, buf + part->off);
	free(buf);
	return ret;
}

static void uploads(const struct under_conform *c)
{
	static const uint32_t order[] = { 3, 1, 4, 2 };
	struct datafs_under_cond absent_is = { .is = DATAFS_UNDER_ABSENT };
	struct datafs_under_part part[PARTS];
	struct datafs_fingerprint fp;
	struct datafs_under_upload up;
	struct datafs_under_stat st;
	size_t size = (PARTS - 1) * c->part + 1001;

	assert_int_equal(datafs_under_begin(cu, at("f"), NULL, &up), 0);
	assert_int_equal(send_part(c, &up, 2, 99, &part[1]), 0);
	for (int i = 0; i < PARTS; i++) {
		assert_int_equal(send_part(c, &up, order[i], 5, &part[order[i] - 1]), 0);
		absent("f");
		assert_int_equal(count(""), 0);
	}
	part[1].number = 7;
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, PARTS, NULL, NULL, NULL),
			 -EINVAL);
	part[1].number = 2;
	part[1].off++;
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, PARTS, NULL, NULL, NULL),
			 -EINVAL);
	part[1].off--;
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, 0, NULL, NULL, NULL),
			 -EINVAL);
	/* One that fails is not ended. */
	assert_int_equal(put("f", 10, 1, NULL, NULL), 0);
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, PARTS, NULL, &absent_is,
					       NULL), -EEXIST);
	holds("f", 10, 1);
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, PARTS, NULL, NULL, &fp), 0);
	st = looked("f");
	assert_true(same_fp(&fp, &st.fp));
	holds("f", size, 5);
	assert_int_equal(count(""), 1);
	/* Ended, it can be neither ended again nor gone on with. */
	assert_int_equal(datafs_under_abort(cu, at("f"), &up), 0);
	if (!c->late_parts)
		assert_int_equal(send_part(c, &up, 1, 6, &part[0]), -ENOENT);
	holds_in("f", &fp, size, 5);
}

static void aborted(const struct under_conform *c)
{
	struct datafs_under_part part[PARTS];
	struct datafs_under_upload up, other;
	struct datafs_fingerprint fp;

	assert_int_equal(put("f", 10, 1, NULL, &fp), 0);
	assert_int_equal(datafs_under_begin(cu, at("f"), NULL, &up), 0);
	assert_int_equal(datafs_under_begin(cu, at("f"), NULL, &other), 0);
	assert_string_not_equal(up.token, other.token);
	for (uint32_t i = 1; i <= PARTS; i++)
		assert_int_equal(send_part(c, &up, i, 5, &part[i - 1]), 0);
	assert_int_equal(datafs_under_abort(cu, at("f"), &up), 0);
	assert_int_equal(datafs_under_abort(cu, at("f"), &up), 0);
	/* Whoever is late finds it gone. */
	assert_int_equal(send_part(c, &up, 1, 5, &part[0]), -ENOENT);
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, PARTS, NULL, NULL, NULL),
			 -ENOENT);
	holds_in("f", &fp, 10, 1);
	assert_int_equal(count(""), 1);
	/* The other one is not touched by that. */
	part_of(c, PARTS, &part[0]);
	part[0].number = 1;
	part[0].off = 0;
	part[0].len = 1;
	assert_int_equal(datafs_under_part(cu, at("f"), &other, &part[0], "x"), 0);
	assert_int_equal(datafs_under_complete(cu, at("f"), &other, part, 1, NULL, NULL, NULL), 0);
	assert_int_equal(looked("f").size, 1);
}

struct sender {
	const struct under_conform *c;
	const struct datafs_under_upload *up;
	struct datafs_under_part part;
	uint32_t number;
	const char *key;
	uint8_t *buf;
	int ret;
};

static void *send(void *arg)
{
	struct sender *s = arg;

	s->ret = datafs_under_part(s->c->u, s->key, s->up, &s->part, s->buf + s->part.off);
	return NULL;
}

static void threads(const struct under_conform *c)
{
	size_t size = (PARTS - 1) * c->part + 1001;
	struct datafs_under_part part[PARTS];
	struct datafs_under_upload up;
	struct sender s[PARTS];
	pthread_t t[PARTS];
	uint8_t *buf = malloc(size);

	fill(buf, size, 9);
	assert_int_equal(datafs_under_begin(cu, at("f"), NULL, &up), 0);
	for (int i = 0; i < PARTS; i++) {
		s[i] = (struct sender){ .c = c, .up = &up, .key = at("f"), .buf = buf };
		part_of(c, i + 1, &s[i].part);
		assert_int_equal(pthread_create(&t[i], NULL, send, &s[i]), 0);
	}
	for (int i = 0; i < PARTS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(s[i].ret, 0);
		part[i] = s[i].part;
	}
	assert_int_equal(datafs_under_complete(cu, at("f"), &up, part, PARTS, NULL, NULL, NULL), 0);
	holds("f", size, 9);
	free(buf);
}

/* ---- names ---- */

static void directories(const struct under_conform *c)
{
	uint32_t caps = datafs_under_caps(cu);
	int ret;

	assert_int_equal(datafs_under_mkdir(cu, at("d"), NULL), 0);
	assert_int_equal(datafs_under_rmdir(cu, at("d")), 0);
	assert_int_equal(datafs_under_mkdir(cu, at("d"), NULL), 0);
	grow(c, "d/f", 1, 1);
	assert_true(S_ISDIR(looked("d").mode));
	assert_int_equal(count("d"), 1);
	assert_int_equal(datafs_under_mkdir(cu, at("d"), NULL), -EEXIST);
	assert_int_equal(datafs_under_rmdir(cu, at("d")), -ENOTEMPTY);
	assert_int_equal(datafs_under_remove(cu, at("d/f"), NULL), 0);
	ret = datafs_under_rmdir(cu, at("d"));
	assert_true(!ret || (ret == -ENOENT && !(caps & DATAFS_UNDER_DIRS)));
	absent("d");
	assert_int_equal(datafs_under_rmdir(cu, ""), -EINVAL);
}

static void directories_are_things(const struct under_conform *c)
{
	(void)c;
	assert_int_equal(datafs_under_mkdir(cu, at("none/d"), NULL), -ENOENT);
	room("d");
	assert_int_equal(count(""), 1);
	assert_int_equal(count("d"), 0);
	assert_int_equal(datafs_under_remove(cu, at("d"), NULL), -EISDIR);
	assert_int_equal(datafs_under_rmdir(cu, at("e")), -ENOENT);
	assert_int_equal(put("f", 1, 1, NULL, NULL), 0);
	assert_int_equal(datafs_under_mkdir(cu, at("f"), NULL), -EEXIST);
	assert_int_equal(datafs_under_rmdir(cu, at("f")), -ENOTDIR);
	holds("f", 1, 1);
}

static void removal(const struct under_conform *c)
{
	int ret;

	(void)c;
	assert_int_equal(put("f", 1, 1, NULL, NULL), 0);
	assert_int_equal(put("fg", 1, 2, NULL, NULL), 0);
	assert_int_equal(datafs_under_remove(cu, at("f"), NULL), 0);
	absent("f");
	holds("fg", 1, 2);
	ret = datafs_under_remove(cu, at("f"), NULL);
	assert_true(!ret || ret == -ENOENT);
	assert_int_equal(datafs_under_remove(cu, "", NULL), -EINVAL);
}

static void renames(const struct under_conform *c)
{
	(void)c;
	room("d");
	assert_int_equal(put("f", 100, 1, NULL, NULL), 0);
	assert_int_equal(put("d/g", 200, 2, NULL, NULL), 0);
	assert_int_equal(datafs_under_rename(cu, at("f"), at("h")), 0);
	absent("f");
	holds("h", 100, 1);
	assert_int_equal(datafs_under_rename(cu, at("h"), at("d/g")), 0);
	absent("h");
	holds("d/g", 100, 1);
	assert_int_equal(datafs_under_rename(cu, at("h"), at("i")), -ENOENT);
	assert_int_equal(datafs_under_rename(cu, "", at("i")), -EINVAL);
	assert_int_equal(datafs_under_rename(cu, at("d/g"), ""), -EINVAL);
}

static void renames_dirs(const struct under_conform *c)
{
	(void)c;
	room("d");
	room("d/e");
	room("x");
	room("y");
	assert_int_equal(put("d/e/f", 100, 1, NULL, NULL), 0);
	assert_int_equal(put("y/f", 100, 2, NULL, NULL), 0);
	assert_int_equal(datafs_under_rename(cu, at("d"), at("x/d")), 0);
	absent("d");
	holds("x/d/e/f", 100, 1);
	assert_int_equal(datafs_under_rename(cu, at("x"), at("x/d/x")), -EINVAL);
	assert_int_equal(datafs_under_rename(cu, at("x"), at("y")), -ENOTEMPTY);
	assert_int_equal(datafs_under_rename(cu, at("y/f"), at("x")), -EISDIR);
	assert_int_equal(datafs_under_rename(cu, at("x"), at("y/f")), -ENOTDIR);
	holds("y/f", 100, 2);
}

static void no_rename(const struct under_conform *c)
{
	(void)c;
	assert_int_equal(put("f", 100, 1, NULL, NULL), 0);
	assert_int_equal(datafs_under_rename(cu, at("f"), at("g")), -EOPNOTSUPP);
	holds("f", 100, 1);
	absent("g");
}

static void copies(const struct under_conform *c)
{
	struct datafs_under_cond absent_is = { .is = DATAFS_UNDER_ABSENT };
	struct datafs_fingerprint one, two, fp;
	size_t len = 2 * 1000 * 1000 + 11;
	struct datafs_under_stat st;

	(void)c;
	room("d");
	assert_int_equal(put("f", len, 1, NULL, &one), 0);
	assert_int_equal(datafs_under_copy(cu, at("f"), &one, at("d/g"), NULL, &absent_is, &fp), 0);
	st = looked("d/g");
	assert_true(same_fp(&fp, &st.fp));
	holds("d/g", len, 1);
	holds_in("f", &one, len, 1);
	assert_int_equal(datafs_under_copy(cu, at("f"), &one, at("d/g"), NULL, &absent_is, NULL),
			 -EEXIST);
	assert_int_equal(put("f", 10, 2, NULL, &two), 0);
	assert_int_equal(datafs_under_copy(cu, at("f"), &one, at("d/g"), NULL, NULL, NULL),
			 -ESTALE);
	holds_in("d/g", &fp, len, 1);
	assert_int_equal(datafs_under_copy(cu, at("f"), &two, at("d/g"), NULL, NULL, NULL), 0);
	holds("d/g", 10, 2);
	assert_int_equal(put("e", 0, 0, NULL, &fp), 0);
	assert_int_equal(datafs_under_copy(cu, at("e"), &fp, at("d/g"), NULL, NULL, NULL), 0);
	holds("d/g", 0, 0);
	assert_int_equal(count("d"), 1);
}

/* ---- readers and a writer ---- */

#define BLEND_LEN	30000
#define BLEND_ROUNDS	60
#define BLEND_READERS	3

struct reader {
	struct datafs_under *u;
	char key[64];
	atomic_bool *stop;
	bool gaps;
	uint64_t bad, good;
};

/* All of a state is of one seed, which its first byte tells. */
static void *read_whole(void *arg)
{
	uint8_t *buf = aligned_alloc(4096, 32768), *want = malloc(BLEND_LEN);
	struct reader *r = arg;
	struct datafs_under_stat st;
	uint8_t zero;

	fill(&zero, 1, 0);
	while (!atomic_load(r->stop) || !r->good) {
		ssize_t n, half = BLEND_LEN / 2;
		int err = datafs_under_stat(r->u, r->key, &st);

		if (err == -ENOENT && r->gaps)
			continue;
		r->bad += err || st.size != BLEND_LEN;
		n = datafs_under_read(r->u, r->key, &st.fp, 0, buf, half);
		if (n == half)
			n = datafs_under_read(r->u, r->key, &st.fp, half, buf + half, half);
		if (n != half) {
			r->bad += n != -ESTALE && !(n == -ENOENT && r->gaps);
			continue;
		}
		/* 97 has an inverse: the seed of a byte is found again. */
		for (uint32_t seed = 0; seed < 256; seed++)
			if ((uint8_t)(zero + seed * 97) == *buf)
				fill(want, BLEND_LEN, seed);
		r->bad += !!memcmp(buf, want, BLEND_LEN);
		r->good++;
	}
	free(buf);
	free(want);
	return NULL;
}

static void no_blend(const struct under_conform *c)
{
	struct reader r[BLEND_READERS];
	pthread_t t[BLEND_READERS];
	atomic_bool stop = false;

	assert_int_equal(put("f", BLEND_LEN, 0, NULL, NULL), 0);
	for (int i = 0; i < BLEND_READERS; i++) {
		r[i] = (struct reader){ .u = c->u, .stop = &stop, .gaps = c->gaps };
		snprintf(r[i].key, sizeof(r[i].key), "%s", at("f"));
		assert_int_equal(pthread_create(&t[i], NULL, read_whole, &r[i]), 0);
	}
	for (uint32_t i = 1; i <= BLEND_ROUNDS; i++)
		assert_int_equal(put("f", BLEND_LEN, i, NULL, NULL), 0);
	atomic_store(&stop, true);
	for (int i = 0; i < BLEND_READERS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(r[i].bad, 0);
	}
	holds("f", BLEND_LEN, BLEND_ROUNDS);
}

const struct conform_check conform_writes[] = {
	{ "read_only", 0, DATAFS_UNDER_WRITE, read_only },
	{ "puts", DATAFS_UNDER_WRITE, 0, puts_whole },
	{ "in_the_way", DATAFS_UNDER_WRITE | DATAFS_UNDER_DIRS, 0, in_the_way },
	{ "attrs", DATAFS_UNDER_WRITE | DATAFS_UNDER_ATTRS, 0, attrs },
	{ "conditions", DATAFS_UNDER_WRITE, 0, conditions },
	{ "uploads", DATAFS_UNDER_WRITE, 0, uploads },
	{ "aborted", DATAFS_UNDER_WRITE, 0, aborted },
	{ "threads", DATAFS_UNDER_WRITE, 0, threads },
	{ "directories", DATAFS_UNDER_WRITE, 0, directories },
	{ "things", DATAFS_UNDER_WRITE | DATAFS_UNDER_DIRS, 0, directories_are_things },
	{ "removal", DATAFS_UNDER_WRITE, 0, removal },
	{ "renames", DATAFS_UNDER_RENAME, 0, renames },
	{ "renames_dirs", DATAFS_UNDER_RENAME_DIR, 0, renames_dirs },
	{ "no_rename", DATAFS_UNDER_WRITE, DATAFS_UNDER_RENAME, no_rename },
	{ "copies", DATAFS_UNDER_COPY, 0, copies },
	{ "no_blend", DATAFS_UNDER_WRITE, 0, no_blend },
	{ NULL },
};
