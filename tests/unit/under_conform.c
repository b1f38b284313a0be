// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "under_conform_internal.h"

#define KEYS		16
#define KEY_ROOM	2048

struct datafs_under *cu;

static const char *running;

const char *at(const char *name)
{
	static char key[KEYS][KEY_ROOM];
	static unsigned int next;
	char *k = key[next++ % KEYS];

	assert_true(snprintf(k, KEY_ROOM, "%s%s%s", running, *name ? "/" : "", name) < KEY_ROOM);
	return k;
}

bool same_fp(const struct datafs_fingerprint *a, const struct datafs_fingerprint *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Each byte tells where it is and whose: a blend is seen. */
void fill(void *buf, size_t len, uint32_t seed)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (i * 2654435761u >> 24 ^ i >> 8) + seed * 97;
}

void room(const char *name)
{
	if (datafs_under_caps(cu) & DATAFS_UNDER_DIRS &&
	    datafs_under_caps(cu) & DATAFS_UNDER_WRITE)
		assert_int_equal(datafs_under_mkdir(cu, at(name), NULL), 0);
}

/* The directories above @name, where they must be made. */
static void make_above(const struct under_conform *c, const char *name)
{
	char *path = strdup(name), *end = path;
	struct datafs_under_stat st;

	while (!c->plant && (end = strchr(end, '/'))) {
		*end = 0;
		if (datafs_under_stat(cu, at(path), &st) == -ENOENT)
			room(path);
		*end++ = '/';
	}
	free(path);
}

void grow(const struct under_conform *c, const char *name, size_t len, uint32_t seed)
{
	void *buf = malloc(len + 1);

	fill(buf, len, seed);
	make_above(c, name);
	if (c->plant)
		c->plant(c->arg, at(name), buf, len);
	else
		assert_int_equal(datafs_under_put(cu, at(name), buf, len, NULL, NULL, NULL), 0);
	free(buf);
}

void fell(const struct under_conform *c, const char *name)
{
	if (c->uproot)
		c->uproot(c->arg, at(name));
	else
		assert_int_equal(datafs_under_remove(cu, at(name), NULL), 0);
}

struct datafs_under_stat looked(const char *name)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(cu, at(name), &st), 0);
	return st;
}

struct stream {
	const uint8_t *want;
	size_t at;
};

static int streamed(void *arg, uint64_t at, const void *p, size_t n)
{
	struct stream *s = arg;

	assert_int_equal(at, s->at);
	assert_memory_equal(p, s->want + at, n);
	s->at += n;
	return 0;
}

/* The same bytes as they come, of a store that can. */
static void streams(const char *name, const struct datafs_fingerprint *fp, const uint8_t *want,
		    size_t off, size_t n)
{
	struct stream s = { want, off };
	int err = n ? datafs_under_stream(cu, at(name), fp, off, n, streamed, &s) : -EOPNOTSUPP;

	assert_true(!err || err == -EOPNOTSUPP);
	assert_int_equal(s.at, err ? off : off + n);
}

void holds_in(const char *name, const struct datafs_fingerprint *fp, size_t len, uint32_t seed)
{
	uint8_t *want = malloc(len + 1), *got = aligned_alloc(4096, (len + 8191) / 4096 * 4096);
	/* All, from the second byte, its last, what is behind its end. */
	const size_t from[] = { 0, len > 1, len / 2 + !!len, len - !!len, len, len + 5000 };

	fill(want, len, seed);
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		size_t off = from[i], n = off < len ? len - off : 0;

		memset(got, 0xa5, n);
		assert_int_equal(datafs_under_read(cu, at(name), fp, off, got, n + 1), n);
		assert_memory_equal(got, want + (n ? off : 0), n);
		streams(name, fp, want, off, n);
	}
	if (len > 20000) {
		assert_int_equal(datafs_under_read(cu, at(name), fp, 4097, got, 9001), 9001);
		assert_memory_equal(got, want + 4097, 9001);
	}
	free(want);
	free(got);
}

void holds(const char *name, size_t len, uint32_t seed)
{
	struct datafs_under_stat st = looked(name);

	assert_true(S_ISREG(st.mode));
	assert_int_equal(st.size, len);
	holds_in(name, &st.fp, len, seed);
}

void absent(const char *name)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(cu, at(name), &st), -ENOENT);
}

static int add(void *arg, const char *name, const struct datafs_under_stat *st)
{
	(void)name;
	(void)st;
	++*(uint32_t *)arg;
	return 0;
}

uint32_t count(const char *name)
{
	uint32_t n = 0;
	int ret = datafs_under_list(cu, at(name), NULL, add, &n);

	/* Where directories are no things, an empty one is none. */
	if (ret == -ENOENT && !(datafs_under_caps(cu) & DATAFS_UNDER_DIRS))
		return 0;
	assert_int_equal(ret, 0);
	return n;
}

static unsigned int run(const struct under_conform *c, const struct conform_check *check)
{
	uint32_t caps = datafs_under_caps(c->u);
	unsigned int n = 0;

	for (; check->name; check++) {
		if (~caps & check->needs || caps & check->lacks ||
		    (c->only && strcmp(c->only, check->name)))
			continue;
		print_message("      conform: %s\n", check->name);
		running = check->name;
		cu = c->u;
		room("");
		check->run(c);
		n++;
	}
	return n;
}

unsigned int under_conform(const struct under_conform *c)
{
	return run(c, conform_reads) + run(c, conform_writes);
}
