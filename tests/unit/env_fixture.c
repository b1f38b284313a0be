// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "env_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "tmpdir.h"

#define KEYS	300u
#define PUTS	3u
#define VALUE_MAX	700u

char env_dir[4096];

struct head {
	uint32_t n, saw;
};

int env_setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	return tmpdir_make(env_dir, sizeof(env_dir), "env");
}

int env_teardown(void **state)
{
	(void)state;
	return tmpdir_remove(env_dir);
}

uint64_t env_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 11;
}

uint64_t env_seed(void)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);

	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	return seed * 0x9e3779b97f4a7c15ull | 1;
}

const char *env_path(const char *name)
{
	static char path[4][4200];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", env_dir, name);
	return p;
}

leveldb_t *db_open(leveldb_env_t *env, const char *path)
{
	leveldb_options_t *opt = leveldb_options_create();
	char *err = NULL;
	leveldb_t *db;

	leveldb_options_set_env(opt, env);
	leveldb_options_set_create_if_missing(opt, 1);
	leveldb_options_set_paranoid_checks(opt, 1);
	leveldb_options_set_write_buffer_size(opt, 64 << 10);
	leveldb_options_set_max_file_size(opt, 1 << 20);
	leveldb_options_set_compression(opt, leveldb_no_compression);
	db = leveldb_open(opt, path, &err);
	leveldb_options_destroy(opt);
	leveldb_free(err);
	return db;
}

static uint64_t mix(uint32_t n, unsigned int i)
{
	uint64_t x = (n * 4ull + i) * 0x9e3779b97f4a7c15ull;

	return x >> 32;
}

static unsigned int key_of(uint32_t n, unsigned int i)
{
	return mix(n, i) % KEYS;
}

/* Of batch @n; the end of its value is part of what is compared. */
static size_t value_of(uint32_t n, char *val)
{
	size_t len = 8 + mix(n, 3) % (VALUE_MAX - 8);

	memset(val, 'a' + n % 26, len);
	memcpy(val, &n, sizeof(n));
	return len;
}

int db_batch(leveldb_t *db, char who, uint32_t n, uint32_t saw, bool sync)
{
	leveldb_writeoptions_t *opt = leveldb_writeoptions_create();
	leveldb_writebatch_t *b = leveldb_writebatch_create();
	struct head h = { .n = n, .saw = saw };
	char key[16], val[VALUE_MAX], *err = NULL;
	size_t len = value_of(n, val);

	leveldb_writeoptions_set_sync(opt, sync);
	leveldb_writebatch_put(b, key, snprintf(key, sizeof(key), "%c", who),
			       (char *)&h, sizeof(h));
	for (unsigned int i = 0; i < PUTS; i++)
		leveldb_writebatch_put(b, key,
				       snprintf(key, sizeof(key), "%c%03u", who,
						key_of(n, i)), val, len);
	leveldb_write(db, opt, b, &err);
	leveldb_writebatch_destroy(b);
	leveldb_writeoptions_destroy(opt);
	leveldb_free(err);
	return err ? -1 : 0;
}

static bool record_is(leveldb_iterator_t *it, char who, unsigned int key,
		      uint32_t n)
{
	char want_key[16], want[VALUE_MAX];
	size_t klen, vlen, len = value_of(n, want);
	const char *k, *v;

	if (!leveldb_iter_valid(it))
		return false;
	k = leveldb_iter_key(it, &klen);
	v = leveldb_iter_value(it, &vlen);
	return klen == (size_t)snprintf(want_key, sizeof(want_key), "%c%03u",
					who, key) &&
	       !memcmp(k, want_key, klen) && vlen == len &&
	       !memcmp(v, want, len);
}

/* The iterator is at the head, or at what is there instead of it. */
static bool records_are(leveldb_iterator_t *it, char who, struct head *h)
{
	uint32_t last[KEYS] = { 0 };
	size_t len;

	memset(h, 0, sizeof(*h));
	if (leveldb_iter_valid(it) && *leveldb_iter_key(it, &len) == who &&
	    len == 1) {
		const char *val = leveldb_iter_value(it, &len);

		if (len != sizeof(*h))
			return false;
		memcpy(h, val, len);
		leveldb_iter_next(it);
	}
	for (uint32_t n = 1; n <= h->n; n++)
		for (unsigned int i = 0; i < PUTS; i++)
			last[key_of(n, i)] = n;
	for (unsigned int k = 0; k < KEYS; k++) {
		if (!last[k])
			continue;
		if (!record_is(it, who, k, last[k]))
			return false;
		leveldb_iter_next(it);
	}
	return !leveldb_iter_valid(it) || *leveldb_iter_key(it, &len) != who;
}

bool db_is_prefix(leveldb_t *db, char who, uint32_t *n, uint32_t *saw)
{
	leveldb_readoptions_t *opt = leveldb_readoptions_create();
	leveldb_iterator_t *it;
	char *err = NULL;
	struct head h;
	bool res;

	leveldb_readoptions_set_verify_checksums(opt, 1);
	it = leveldb_create_iterator(db, opt);
	leveldb_iter_seek(it, &who, 1);
	res = records_are(it, who, &h);
	leveldb_iter_get_error(it, &err);
	leveldb_iter_destroy(it);
	leveldb_readoptions_destroy(opt);
	*n = h.n;
	if (saw)
		*saw = h.saw;
	leveldb_free(err);
	return res && !err;
}

int count_files(const char *path, const char *part)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += !!strstr(e->d_name, part);
	closedir(d);
	return n;
}
