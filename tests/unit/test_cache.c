// SPDX-License-Identifier: Apache-2.0
/*
 * The cache store against a double of the kernel, which holds the extents it
 * was given until it has answered their revocation, and looks at the bytes on
 * the disk for as long.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "cache/cache.h"
#include "iobuf_wrap.h"
#include "tmpdir.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define G DATAFS_GRANULE
#define SLABS_MAX 4
#define HELD_MAX 8192
#define COOKIES_MAX 256

struct held {
	struct datafs_cache_key key;
	struct datafs_extent ext;
	uint32_t mount;
	uint64_t dying;		/* the cookie that is to end it */
	uint64_t size;
};

static struct world {
	char dir[4096];
	struct datafs_cache *c;
	struct datafs_cache_config cfg;
	pthread_mutex_t lock;	/* what follows */
	int fds[SLABS_MAX + 1];
	struct held held[HELD_MAX];
	uint32_t nheld;
	uint64_t cookies[COOKIES_MAX];
	uint32_t ncookies;
	int revoke_error;
	int wrong;		/* what the double saw on other threads */
} w;

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* In front of what slabs are written with (the linker's --wrap). */
static atomic_int write_error;

int __wrap_datafs_iobuf_rw(struct datafs_iobuf *b, int fd, uint64_t off,
			   uint32_t len, bool write)
{
	if (write && write_error)
		return -write_error;
	return __real_datafs_iobuf_rw(b, fd, off, len, write);
}

/* ------------------------------------------------------------- contents */

static uint64_t word(const struct datafs_cache_key *k, uint64_t at)
{
	uint64_t x = at * 0x9e3779b97f4a7c15ull ^ k->ino << 32 ^ k->content;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ull;
}

static void make_bytes(const struct datafs_cache_key *k, uint64_t size,
		       uint64_t off, void *buf, uint64_t len)
{
	uint64_t *p = buf;

	for (uint64_t i = 0; i < len / 8; i++)
		p[i] = word(k, off / 8 + i);
	if (off + len > size)
		memset((char *)buf + (size - off), 0, off + len - size);
}

struct source {
	struct datafs_cache_key key;
	uint64_t size;
	atomic_uint calls;
	atomic_ullong bytes;
	int error, sleep_ms;
};

static int source_fetch(void *arg, uint64_t off, void *buf, uint32_t len)
{
	struct source *s = arg;
	uint64_t tail[512];

	if ((uintptr_t)buf % 4096 || off % G || !len || off + len > s->size ||
	    (off + len < s->size && len % G))
		return -ENOTRECOVERABLE;
	s->calls++;
	s->bytes += len;
	if (s->sleep_ms)
		sleep_ms(s->sleep_ms);
	if (s->error)
		return s->error;
	make_bytes(&s->key, s->size, off, buf, len / G * G);
	if (len % G) {
		make_bytes(&s->key, s->size, off + len / G * G, tail, G);
		memcpy((char *)buf + len / G * G, tail, len % G);
		/* what lies behind is the cache's to clear */
	}
	return 0;
}

static int read_extent(const struct datafs_extent *e, uint64_t at, void *buf,
		       uint32_t len)
{
	return pread(w.fds[e->backing_id], buf, len, e->backing_off + at) ==
			       (ssize_t)len ? 0 : -1;
}

/* The bytes on the disk are those of the content. Any thread. */
static bool extent_is_right(const struct datafs_cache_key *k, uint64_t size,
			    const struct datafs_extent *e, const uint32_t *crc)
{
	char *got = aligned_alloc(4096, e->len), *want = malloc(e->len);
	bool ok = !read_extent(e, 0, got, e->len);

	make_bytes(k, size, e->off, want, e->len);
	ok = ok && !memcmp(got, want, e->len);
	for (uint64_t i = 0; ok && crc && i < e->len / G; i++)
		ok = datafs_crc32c(want + i * G, G) == crc[i];
	free(got);
	free(want);
	return ok;
}

/* ----------------------------------------------------- the kernel's double */

static int backing_add(void *arg, int fd, uint32_t id)
{
	struct stat st;

	(void)arg;
	if (!id || id > SLABS_MAX || !(fcntl(fd, F_GETFL) & O_DIRECT) ||
	    fstat(fd, &st) || st.st_size != DATAFS_SLAB_SIZE ||
	    (uint64_t)st.st_blocks * 512 < DATAFS_SLAB_SIZE)
		return -EINVAL;
	w.fds[id] = fd;
	return 0;
}

static int ask(void *arg, uint64_t cookie, const struct datafs_range *r,
	       uint32_t n)
{
	int err;

	(void)arg;
	pthread_mutex_lock(&w.lock);
	err = w.revoke_error;
	if (!n || n > DATAFS_RANGES_MAX || w.ncookies == COOKIES_MAX)
		w.wrong = 1;
	for (uint32_t i = 0; !err && i < n; i++) {
		for (uint32_t j = 0; j < w.nheld; j++) {
			struct held *h = &w.held[j];

			if (h->mount == r[i].mount_id &&
			    h->key.ino == r[i].ino && !h->dying &&
			    h->ext.off < r[i].off + r[i].len &&
			    r[i].off < h->ext.off + h->ext.len)
				h->dying = cookie;
		}
	}
	if (!err)
		w.cookies[w.ncookies++] = cookie;
	pthread_mutex_unlock(&w.lock);
	return err;
}

/* Says REVOKE_DONE to all that is asked so far. Answers how many. */
static uint32_t answer_revokes(void)
{
	uint64_t cookies[COOKIES_MAX];
	uint32_t n;

	pthread_mutex_lock(&w.lock);
	n = w.ncookies;
	memcpy(cookies, w.cookies, n * sizeof(cookies[0]));
	w.ncookies = 0;
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j < w.nheld;) {
			struct held *h = &w.held[j];

			if (h->dying != cookies[i]) {
				j++;
				continue;
			}
			/* the last look: nothing may have been reused */
			if (!extent_is_right(&h->key, h->size, &h->ext, NULL))
				w.wrong = 2;
			*h = w.held[--w.nheld];
		}
	}
	pthread_mutex_unlock(&w.lock);
	for (uint32_t i = 0; i < n; i++)
		datafs_cache_revoked(w.c, cookies[i]);
	return n;
}

static void hold(struct source *s, uint32_t mount,
		 const struct datafs_cache_answer *a)
{
	pthread_mutex_lock(&w.lock);
	for (uint32_t i = 0; i < a->count; i++) {
		const struct datafs_extent *e = &a->ext[i];

		for (uint32_t j = 0; j < w.nheld; j++) {
			struct held *h = &w.held[j];
			bool same = h->key.ino == s->key.ino &&
				    h->key.content == s->key.content;

			if (h->ext.backing_id == e->backing_id &&
			    h->ext.backing_off < e->backing_off + e->len &&
			    e->backing_off < h->ext.backing_off + h->ext.len &&
			    (!same || h->dying))
				w.wrong = 3;
		}
		if (w.nheld == HELD_MAX)
			w.wrong = 4;
		else
			w.held[w.nheld++] = (struct held){
				.key = s->key, .ext = *e, .mount = mount,
				.size = s->size,
			};
	}
	pthread_mutex_unlock(&w.lock);
}

/* -------------------------------------------------------------- fixtures */

static int cache_up(uint64_t size)
{
	memset(w.fds, -1, sizeof(w.fds));
	w.cfg.dir = w.dir;
	w.cfg.size = size;
	w.cfg.backing_add = backing_add;
	w.cfg.revoke = ask;
	return datafs_cache_open(&w.cfg, &w.c) ?: datafs_cache_start(w.c);
}

static void cache_down(void)
{
	datafs_cache_close(w.c);
	w.c = NULL;
	w.nheld = w.ncookies = 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	write_error = 0;
	pthread_mutex_init(&w.lock, NULL);
	memset(w.cfg.namespace_id, 7, 16);
	return tmpdir_make(w.dir, sizeof(w.dir), "cache");
}

static int teardown(void **state)
{
	(void)state;
	cache_down();
	tmpdir_remove(w.dir);
	return w.wrong;
}

static struct datafs_cache_want want_of(struct source *s, uint64_t off,
					uint64_t len, uint32_t mount)
{
	return (struct datafs_cache_want){
		.key = s->key, .size = s->size, .page_size = 64 * KIB,
		.off = off, .len = len, .mount_id = mount,
		.fetch = source_fetch, .arg = s,
	};
}

/* An answer must be in order, of the right bytes, and cover @off. */
static void check_answer(struct source *s, const struct datafs_cache_answer *a,
			 uint64_t off)
{
	uint64_t crcs = 0;

	assert_true(a->count > 0);
	for (uint32_t i = 0; i < a->count; i++) {
		assert_int_equal(a->ext[i].off, off);
		assert_true(extent_is_right(&s->key, s->size, &a->ext[i],
					    a->crc + crcs));
		off += a->ext[i].len;
		crcs += a->ext[i].len / G;
	}
	assert_int_equal(crcs, a->crcs);
}

static uint64_t answer_len(const struct datafs_cache_answer *a)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < a->count; i++)
		n += a->ext[i].len;
	return n;
}

/* Gets, checks, puts; answers how many bytes were handed out. */
static uint64_t get(struct source *s, uint64_t off, uint64_t len, uint64_t max,
		    uint32_t mount)
{
	struct datafs_cache_want want = want_of(s, off, len, mount);
	struct datafs_cache_answer a;
	uint64_t n;

	want.max = max;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	if (!mount)
		return 0;
	check_answer(s, &a, off);
	hold(s, mount, &a);
	n = answer_len(&a);
	datafs_cache_put(w.c, &a);
	return n;
}

static struct datafs_cache_stats stats(void)
{
	struct datafs_cache_stats st;

	datafs_cache_get_stats(w.c, &st);
	return st;
}

static struct source source(uint64_t ino, uint64_t size)
{
	return (struct source){ .key = { ino, 1 }, .size = size };
}

/* ----------------------------------------------------------------- tests */

static void fill_and_read_back(void **state)
{
	static const uint64_t sizes[] = { 1, 8, 4095, 4096, 4097, 100000,
					  1 * MIB, 1 * MIB + 1, 4 * MIB,
					  4 * MIB + 5, 13 * MIB - 3 };

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct source s = source(100 + i, sizes[i]);
		uint64_t up = (sizes[i] + G - 1) / G * G;

		assert_int_equal(get(&s, 0, up, 0, 1), up);
		assert_int_equal(s.bytes, sizes[i]);
		assert_int_equal(s.calls, (sizes[i] + 4 * MIB - 1) / (4 * MIB));
		/* again, and more than there is: no fetch */
		assert_int_equal(get(&s, 0, up + 7 * G, 1ull << 40, 1), up);
		assert_int_equal(s.bytes, sizes[i]);
		assert_true(datafs_cache_has(w.c, &s.key, 0, sizes[i]));
		assert_false(datafs_cache_has(w.c, &s.key, 0, up + 1));
	}
	assert_false(datafs_cache_has(w.c, &(struct datafs_cache_key){ 1, 1 },
				      0, 1));
}

static void pages(void **state)
{
	struct source s = source(5, 1 << 30);
	struct datafs_cache_want want;
	struct datafs_cache_answer a;
	struct datafs_cache_stats st;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	/* a granule fetches its page, and answers itself */
	assert_int_equal(get(&s, 64 * KIB + G, G, 0, 1), G);
	assert_int_equal(s.bytes, 64 * KIB);
	assert_int_equal(get(&s, 64 * KIB, G, 4 * MIB, 1), 64 * KIB);
	assert_int_equal(s.calls, 1);
	assert_false(datafs_cache_has(w.c, &s.key, 60 * KIB, 8 * KIB));
	assert_true(datafs_cache_has(w.c, &s.key, 64 * KIB, 64 * KIB));
	/* around what is there: one call before it, one behind */
	assert_int_equal(get(&s, 0, 1 * MIB, 0, 1), 1 * MIB);
	assert_int_equal(s.calls, 3);
	assert_int_equal(s.bytes, 1 * MIB);
	/* pages of another mount's size */
	want = want_of(&s, 2 * MIB + 12 * KIB, G, 2);
	want.page_size = 4096;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	datafs_cache_put(w.c, &a);
	assert_int_equal(s.bytes, 1 * MIB + 4096);
	assert_int_equal(get(&s, 2 * MIB + 12 * KIB, 2 * G, 0, 1), 2 * G);
	assert_int_equal(s.bytes, 1 * MIB + 64 * KIB);
	st = stats();
	assert_int_equal(st.fetched_bytes, s.bytes);
	assert_int_equal(st.fetches, s.calls);
	assert_int_equal(st.used, s.bytes);
	/* over chunk borders, more than one */
	assert_int_equal(get(&s, 3 * MIB, 10 * MIB, 0, 1), 10 * MIB);
	/* only fetching hands nothing out */
	get(&s, 16 * MIB, 4 * MIB, 0, 0);
	assert_int_equal(get(&s, 12 * MIB, G, 64 * MIB, 1), 1 * MIB);
	/* what is wrong is said */
	want = want_of(&s, 1, G, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want = want_of(&s, 1 << 30, G, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want = want_of(&s, 0, 0, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want = want_of(&s, 0, G, 1);
	want.page_size = 3 * 4096;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want.page_size = 8 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
}

/* Only what is there: without a size, nothing made, nothing fetched. */
static void cached_only(void **state)
{
	struct source s = source(5, 9 * MIB + 5), other = source(6, 1);
	struct datafs_cache_want want = want_of(&s, 64 * KIB, 128 * KIB, 2);
	struct datafs_cache_answer a;
	uint64_t chunks;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 5 * MIB, 0, 1);
	get(&s, 9 * MIB, G, 0, 1);
	chunks = stats().chunks;
	want.fetch = NULL;
	want.size = 0;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	assert_int_equal(answer_len(&a), 128 * KIB);
	datafs_cache_put(w.c, &a);
	/* over a chunk's end, as far as it goes; up to the content's end */
	want.off = 3 * MIB;
	want.len = 4 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	assert_int_equal(answer_len(&a), 2 * MIB);
	datafs_cache_put(w.c, &a);
	want.off = 9 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	check_answer(&s, &a, want.off);
	assert_int_equal(answer_len(&a), G);
	datafs_cache_put(w.c, &a);
	/* a page that is not there, one behind the end, a chunk, a content */
	want.off = 6 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	want.off = 9 * MIB + G;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	want.off = 12 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	want.off = (1ull << 62) - 4 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -EINVAL);
	want.off = 0;
	want.key = other.key;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ESTALE);
	assert_int_equal(stats().chunks, chunks);
}

struct runner {
	pthread_t t;
	struct source *s;
	pthread_barrier_t *b;
	uint32_t mount;
	int err;
};

static void *run_get(void *arg)
{
	struct runner *r = arg;
	struct datafs_cache_want want = want_of(r->s, 64 * KIB, G, r->mount);
	struct datafs_cache_answer a;

	pthread_barrier_wait(r->b);
	r->err = datafs_cache_get(w.c, &want, &a);
	if (!r->err && !extent_is_right(&r->s->key, r->s->size, a.ext, a.crc))
		r->err = -EBADMSG;
	datafs_cache_put(w.c, &a);
	return NULL;
}

static void at_once(struct source *s, int err)
{
	struct runner r[8];
	pthread_barrier_t b;

	pthread_barrier_init(&b, NULL, 8);
	for (int i = 0; i < 8; i++) {
		r[i] = (struct runner){ .s = s, .b = &b, .mount = i + 1 };
		assert_int_equal(pthread_create(&r[i].t, NULL, run_get, &r[i]),
				 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(r[i].t, NULL);
		assert_int_equal(r[i].err, err);
	}
	pthread_barrier_destroy(&b);
}

static void one_page_at_once(void **state)
{
	struct source s = source(9, 100 * MIB), bad = source(10, 100 * MIB);
	uint64_t free_slots;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	s.sleep_ms = bad.sleep_ms = 100;
	at_once(&s, 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.bytes, 64 * KIB);
	assert_int_equal(stats().hits, 7);
	assert_int_equal(stats().misses, 1);
	/* a failure is shared by those who wait, and not remembered */
	bad.error = -ESTALE;
	at_once(&bad, -ESTALE);
	assert_int_equal(bad.calls, 1);
	bad.error = 0;
	at_once(&bad, 0);
	assert_int_equal(bad.calls, 2);
	/* nothing of a failed content stays behind */
	bad.key.ino = 11;
	bad.error = -EIO;
	free_slots = stats().free_slots;
	at_once(&bad, -EIO);
	for (int i = 0; i < 100 && stats().free_slots < free_slots; i++)
		sleep_ms(10);
	assert_true(stats().free_slots >= free_slots);
	assert_int_equal(stats().chunks, 2);
}

static void partial(void **state)
{
	struct source s = source(9, 100 * MIB);
	struct datafs_cache_want want = want_of(&s, 0, 8 * MIB, 1);
	struct datafs_cache_answer a;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 1 * MIB, 0, 1);
	s.error = -ETIMEDOUT;
	/* what is there comes first, the error when nothing else is left */
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	assert_int_equal(answer_len(&a), 1 * MIB);
	datafs_cache_put(w.c, &a);
	want.off = 1 * MIB;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ETIMEDOUT);
	assert_int_equal(a.count, 0);
	want.mount_id = 0;
	assert_int_equal(datafs_cache_get(w.c, &want, &a), -ETIMEDOUT);
}

static atomic_bool pump_stop;

static void *pump(void *arg)
{
	(void)arg;
	while (!pump_stop) {
		answer_revokes();
		sleep_ms(1);
	}
	return NULL;
}

static void packing(void **state)
{
	uint64_t bytes = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (int i = 0; i < 1000; i++) {
		struct source s = source(1000 + i, 1 + i * 37 % 20000);
		uint64_t up = (s.size + G - 1) / G * G;

		assert_int_equal(get(&s, 0, up, 0, 1), up);
		bytes += up;
	}
	assert_int_equal(stats().used, bytes);
	assert_int_equal(stats().chunks, 1000);
	/* hold() has seen to it that no two share a place */
	assert_true(32 - stats().free_slots <= bytes / (4 * MIB) + 1 ||
		    stats().slots < 32);
	/* 1,000 files of four mounts are revoked in batches */
	for (int i = 0; i < 1000; i++)
		for (int m = 2; m < 5; m++) {
			struct source s = source(1000 + i, 1 + i * 37 % 20000);

			get(&s, 0, G, 0, m);
			assert_int_equal(s.calls, 0);
		}
	pump_stop = false;
	pthread_create(&t, NULL, pump, NULL);
	for (int i = 0; i < 40; i++) {
		struct source s = source(5000 + i, 4 * MIB);

		get(&s, 0, 4 * MIB, 0, 1);
	}
	pump_stop = true;
	pthread_join(t, NULL);
	assert_int_equal(w.wrong, 0);
	assert_true(stats().revokes > stats().evicted_slots);
}

static void eviction_waits_for_the_kernel(void **state)
{
	struct source s[64];
	struct datafs_cache_stats st;
	struct datafs_cache_want want;
	struct datafs_cache_answer a;
	uint32_t answered = 0;
	int n = 0;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	/* up to the low-water mark nothing need go */
	for (; n < 30; n++) {
		s[n] = source(n + 1, 4 * MIB);
		get(&s[n], 0, 4 * MIB, 0, 1);
	}
	assert_int_equal(stats().evicted_slots, 0);
	/* a pinned slot is no victim, whatever comes */
	want = want_of(&s[0], 0, 4 * MIB, 1);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	for (; n < 32; n++) {
		s[n] = source(n + 1, 4 * MIB);
		get(&s[n], 0, 4 * MIB, 0, 1);
	}
	/* now revocations are asked, and nothing comes free without answers */
	for (int i = 0; i < 200 && !w.ncookies; i++)
		sleep_ms(5);
	sleep_ms(50);
	st = stats();
	assert_true(st.evicted_slots > 0);
	assert_int_equal(st.free_slots, 0);
	assert_int_equal(st.evicted_slots, st.revokes);
	for (int i = 0; i < 1000 && n < 64; n++) {
		s[n] = source(n + 1, 4 * MIB);
		for (; !stats().free_slots && i < 1000; i++) {
			answered += answer_revokes();
			sleep_ms(5);
		}
		get(&s[n], 0, 4 * MIB, 0, 1);
	}
	assert_true(answered >= 31);
	check_answer(&s[0], &a, 0);
	assert_true(datafs_cache_has(w.c, &s[0].key, 0, 4 * MIB));
	datafs_cache_put(w.c, &a);
	datafs_cache_revoked(w.c, 1); /* nobody's */
	assert_int_equal(w.wrong, 0);
}

static void fill_up(uint64_t first, int n, uint32_t mount)
{
	for (int i = 0; i < n; i++) {
		struct source s = source(first + i, 4 * MIB);

		get(&s, 0, 64 * KIB, 0, mount);
	}
}

/* Of 32 slots, as the keeper counts it. */
#define LOW_WATER	2

static void victims(void **state)
{
	struct source dropped = source(1, 4 * MIB), hot = source(2, 4 * MIB);
	pthread_t t;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fill_up(1, 29, 1);
	datafs_cache_drop(w.c, &(struct datafs_cache_key){ 25, 1 });
	datafs_cache_drop(w.c, &(struct datafs_cache_key){ 999, 1 });
	pump_stop = false;
	pthread_create(&t, NULL, pump, NULL);
	for (int i = 0; i < 20; i++) {
		fill_up(100 + i, 1, 1);
		get(&hot, 0, 64 * KIB, 0, 1);
		if (i == 4) { /* the first to go, not the oldest */
			dropped.key.ino = 25;
			assert_false(datafs_cache_has(w.c, &dropped.key, 0, G));
		}
		/* What is made room for at once is less than a round of the clock. */
		while (stats().free_slots < LOW_WATER)
			sleep_ms(1);
	}
	assert_int_equal(hot.calls, 0);
	/* what was handed to nobody any more is not revoked */
	datafs_cache_forget_mount(w.c, 1);
	pump_stop = true;
	pthread_join(t, NULL);
	answer_revokes();
	w.nheld = 0;
	sleep_ms(20);
	answer_revokes();
	{
		uint64_t before = stats().revokes;

		fill_up(200, 30, 0);
		assert_true(stats().evicted_slots > 20);
		assert_true(stats().revokes <= before);
	}
}

static void revocation_is_repeated(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	w.revoke_error = -ENOBUFS;
	fill_up(1, 32, 1);
	sleep_ms(20);
	assert_int_equal(stats().free_slots, 0);
	assert_int_equal(w.ncookies, 0);
	w.revoke_error = 0;
	pump_stop = false;
	pthread_create(&t, NULL, pump, NULL);
	fill_up(100, 8, 1); /* waits for the second try */
	pump_stop = true;
	pthread_join(t, NULL);
}

static void restart_is_warm(void **state)
{
	struct source big = source(3, 9 * MIB + 77), page = source(4, 64 * MIB);
	unsigned int calls;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&big, 0, 9 * MIB + G, 0, 1);
	get(&page, 20 * MIB + 8 * KIB, G, 0, 1);
	for (int i = 0; i < 300; i++) {
		struct source s = source(1000 + i, 1 + i * 91 % 30000);

		get(&s, 0, (s.size + G - 1) / G * G, 0, 1);
	}
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 304);
	calls = big.calls + page.calls;
	get(&big, 0, 9 * MIB + G, 0, 1);
	get(&page, 20 * MIB, 64 * KIB, 0, 1);
	assert_int_equal(big.calls + page.calls, calls);
	for (int i = 0; i < 300; i++) {
		struct source s = source(1000 + i, 1 + i * 91 % 30000);

		get(&s, 0, (s.size + G - 1) / G * G, 0, 1);
		assert_int_equal(s.calls, 0);
	}
	assert_int_equal(stats().index_rebuilt, 0);
	assert_int_equal(stats().misses, 0);

	/* another namespace's inodes are other files */
	cache_down();
	w.cfg.namespace_id[3] ^= 1;
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 0);
	assert_int_equal(stats().index_rebuilt, 1);
	big.key.content = 2;
	get(&big, 0, 9 * MIB + G, 0, 1);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().index_rebuilt, 0);
	assert_true(datafs_cache_has(w.c, &big.key, 0, big.size));
}

/* Overwrites the middle of the index's files whose names contain @part. */
static int damage(const char *part)
{
	char path[5000];
	struct dirent *e;
	struct stat st;
	int n = 0, fd;
	DIR *d;

	snprintf(path, sizeof(path), "%s/index", w.dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, part))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		if (st.st_size > 16) {
			assert_int_equal(pwrite(fd, "\xde\xad\xbe\xef\x55", 5,
						st.st_size / 2), 5);
			n++;
		}
		close(fd);
	}
	closedir(d);
	return n;
}

static void damaged_index(void **state)
{
	static const char *const parts[] = { "MANIFEST", ".log", ".ldb",
					     "CURRENT" };

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct source s = source(50 + i, 8 * MIB);

		get(&s, 0, 8 * MIB, 0, 1);
		cache_down();
		/* at an open, LevelDB makes its log a table */
		if (!strcmp(parts[i], ".ldb")) {
			assert_int_equal(cache_up(128 * MIB), 0);
			cache_down();
		}
		if (!damage(parts[i])) {
			assert_string_equal(parts[i], "CURRENT");
			break;
		}
		assert_int_equal(cache_up(128 * MIB), 0);
		assert_int_equal(stats().index_rebuilt, 1);
		assert_int_equal(stats().chunks, 0);
		s.calls = 0;
		get(&s, 0, 8 * MIB, 0, 1);
		assert_int_equal(s.calls, 2);
	}
}

static void damaged_slab(void **state)
{
	struct source s = source(8, 8 * MIB);
	struct datafs_cache_want want = want_of(&s, 5 * MIB, 64 * KIB, 1);
	struct datafs_cache_answer a;
	struct datafs_extent was;
	char *junk = aligned_alloc(4096, G);

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, 8 * MIB, 0, 2);
	assert_int_equal(datafs_cache_get(w.c, &want, &a), 0);
	was = a.ext[0];
	datafs_cache_put(w.c, &a);
	memset(junk, 0x5a, G);
	assert_int_equal(pwrite(w.fds[was.backing_id], junk, G,
				was.backing_off + 2 * G), G);
	free(junk);
	/* a granule that is right on the disk is only counted */
	datafs_cache_bad(w.c, &s.key, 5 * MIB);
	assert_int_equal(stats().bad_granules, 1);
	assert_true(datafs_cache_has(w.c, &s.key, 0, 8 * MIB));
	datafs_cache_bad(w.c, &s.key, 5 * MIB + 2 * G);
	assert_int_equal(stats().bad_granules, 2);
	assert_false(datafs_cache_has(w.c, &s.key, 5 * MIB + 2 * G, G));
	datafs_cache_bad(w.c, &s.key, 5 * MIB + 2 * G);
	datafs_cache_bad(w.c, &s.key, 1ull << 60);
	assert_int_equal(stats().bad_granules, 2);
	/* the record went too */
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_false(datafs_cache_has(w.c, &s.key, 5 * MIB + 2 * G, G));
	s.bytes = 0;
	assert_int_equal(get(&s, 5 * MIB, 64 * KIB, 0, 1), 64 * KIB);
	assert_int_equal(s.bytes, G);
	/* in its old place: extents given before are right again */
	assert_true(extent_is_right(&s.key, s.size, &was, NULL));
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_true(datafs_cache_has(w.c, &s.key, 0, 8 * MIB));
}

static void limit_files(uint64_t bytes)
{
	struct rlimit rl;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &rl), 0);
	rl.rlim_cur = bytes ? bytes : rl.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &rl), 0);
}

static void no_room_on_disk(void **state)
{
	pthread_t t;

	(void)state;
	/* not even one slab */
	limit_files(32 * MIB);
	assert_int_equal(cache_up(256 * MIB), -EFBIG);
	limit_files(0);
	/* one, and no more: it goes on with what there is */
	assert_int_equal(cache_up(256 * MIB), 0);
	limit_files(32 * MIB);
	pump_stop = false;
	pthread_create(&t, NULL, pump, NULL);
	fill_up(1, 7, 1);
	limit_files(0);
	pump_stop = true;
	pthread_join(t, NULL);
	assert_true(stats().slots == 16 || stats().slots == 32);
}

/* Each slab is an open file; sources, the index and clients need some too. */
static void few_files(void **state)
{
	struct rlimit was, rl;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	rl = was;
	rl.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(cache_up(200 * 64 * MIB), 0);
	assert_int_equal(stats().size, 50 * 64 * MIB);
	cache_down();
	rl.rlim_cur = 1024;
	if (rl.rlim_max >= rl.rlim_cur) {
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
		assert_int_equal(cache_up(3200 * 64 * MIB), 0);
		assert_int_equal(stats().size, 512 * 64 * MIB);
		cache_down();
		assert_int_equal(cache_up(512 * 64 * MIB), 0);
		assert_int_equal(stats().size, 512 * 64 * MIB);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

/* All slabs are there: nothing else is written but what is fetched. */
static void wait_for_slabs(void)
{
	for (int i = 0; i < 500 && stats().slots < 32; i++)
		sleep_ms(10);
	assert_int_equal(stats().slots, 32);
}

static void device_errors(void **state)
{
	static const int errors[] = { EIO, EROFS, EUCLEAN, ENODEV };
	struct source s = source(1, 8 * MIB);
	struct datafs_cache_want want = want_of(&s, 0, G, 1);
	struct datafs_cache_answer a;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	fill_up(100, 1, 1);
	wait_for_slabs();
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		uint64_t slots = stats().slots;

		write_error = errors[e];
		assert_int_equal(datafs_cache_get(w.c, &want, &a), -EIO);
		for (int i = 0; i < 500 && stats().slots == slots; i++)
			sleep_ms(10);
		write_error = 0;
		/* what failed is never used again, other places are */
		assert_true(stats().slots < slots);
	}
	assert_int_equal(get(&s, 0, 8 * MIB, 0, 1), 8 * MIB);
	fill_up(100, 1, 1);
}

/* The device did not fail: what is told is told, and all is as it was. */
static void passing_errors(void **state)
{
	static const int errors[] = { ENOSPC, EDQUOT, ENOMEM, EAGAIN, EFBIG };
	struct source s = source(1, 8 * MIB), small = source(2, 100 * KIB);
	struct datafs_cache_want want = want_of(&s, 64 * KIB, G, 1);
	struct datafs_cache_want more = want_of(&small, 64 * KIB, G, 1);
	struct datafs_cache_answer a;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	get(&small, 0, G, 0, 1);
	wait_for_slabs();
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		write_error = errors[e];
		assert_int_equal(datafs_cache_get(w.c, &want, &a), -errors[e]);
		assert_int_equal(datafs_cache_get(w.c, &more, &a), -errors[e]);
		write_error = 0;
		assert_true(datafs_cache_has(w.c, &s.key, 0, 64 * KIB));
		assert_true(datafs_cache_has(w.c, &small.key, 0, 64 * KIB));
	}
	sleep_ms(50);
	assert_int_equal(stats().slots, 32);
	assert_int_equal(stats().evicted_slots, 0);
	assert_int_equal(get(&s, 0, 8 * MIB, 0, 1), 8 * MIB);
	assert_int_equal(get(&small, 0, 25 * G, 0, 1), 25 * G);
}

/* What cannot be opened just now is not damaged. */
static void no_files(void **state)
{
	struct source s = source(1, 4096);
	struct rlimit few, many;
	int fd, err;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	cache_down();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &many), 0);
	few = many;
	fd = open("/dev/null", O_RDONLY);
	for (int i = 0; i < 10; i++) {
		few.rlim_cur = fd + i;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		err = cache_up(128 * MIB);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
		if (err)
			assert_int_equal(cache_up(128 * MIB), 0);
		assert_int_equal(stats().index_rebuilt, 0);
		assert_int_equal(stats().chunks, 1);
		cache_down();
	}
	close(fd);
}

/* An index that cannot be written must not be believed at the next start. */
static void lost_index(void **state)
{
	struct source s = source(1, 4096);
	char *junk = aligned_alloc(4096, G), path[5000];

	(void)state;
	memset(junk, 0x77, G);
	snprintf(path, sizeof(path), "%s/index.lost", w.dir);
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	limit_files(8 * KIB); /* of the index's log; the slab's start is below */
	for (int i = 0; i < 500 && access(path, F_OK); i++) {
		assert_int_equal(pwrite(w.fds[1], junk, G, 0), G);
		datafs_cache_bad(w.c, &s.key, 0);
		get(&s, 0, G, 0, 1);
	}
	limit_files(0);
	free(junk);
	assert_int_equal(access(path, F_OK), 0);
	get(&s, 0, G, 0, 1);
	fill_up(100, 10, 1);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 0);
	assert_int_equal(stats().index_rebuilt, 1);
	assert_int_equal(access(path, F_OK), -1);
	get(&s, 0, G, 0, 1);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().chunks, 1);
}

/* Gets until one fails. How many did not. */
static int get_until_error(uint64_t first, int n, int *err)
{
	struct datafs_cache_answer a;

	*err = 0;
	for (int i = 0; i < n; i++) {
		struct source s = source(first + i, 4 * MIB);
		struct datafs_cache_want want = want_of(&s, 0, 4 * MIB, 0);

		*err = datafs_cache_get(w.c, &want, &a);
		if (*err)
			return i;
	}
	return n;
}

static void lost_path(char *path, size_t len, const char *name)
{
	snprintf(path, len, "%s/index.lost%s", w.dir, name);
}

/*
 * The index cannot be written any more, and not be moved either. @s is one
 * granule in the first slot, which is made full and the oldest.
 */
static void stick_index(struct source *s)
{
	char *junk = aligned_alloc(4096, G), path[5000];
	int err, fd;

	datafs_log_set_level(LOG_ERR);
	memset(junk, 0x77, G);
	get(s, 0, G, 0, 1); /* handed out: it keeps its place */
	get_until_error(100, 1, &err);
	wait_for_slabs();
	lost_path(path, sizeof(path), "");
	assert_int_equal(mkdir(path, 0700), 0);
	lost_path(path, sizeof(path), "/x");
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	limit_files(8 * KIB); /* of the index's log; the slab's start is below */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(pwrite(w.fds[1], junk, G, 0), G);
		datafs_cache_bad(w.c, &s->key, 0);
		get(s, 0, G, 0, 1);
	}
	limit_files(0);
	free(junk);
	datafs_cache_forget_mount(w.c, 1);
	w.nheld = 0;
	for (int i = 0; i < 4; i++) {
		struct source mib = source(50 + i, 1 * MIB);

		get(&mib, 0, 1 * MIB, 0, 0);
	}
}

static void unstick_index(void)
{
	char path[5000];

	lost_path(path, sizeof(path), "/x");
	assert_int_equal(unlink(path), 0);
	lost_path(path, sizeof(path), "");
	assert_int_equal(rmdir(path), 0);
}

/* It will be believed at the next start: what it names stays as it is. */
static void stuck_index(void **state)
{
	struct source s = source(1, 4096);
	uint64_t slots;
	int n, err;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	stick_index(&s);
	n = get_until_error(200, 40, &err);
	slots = stats().slots;
	cache_down();
	unstick_index();
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	/* without room for more, and without losing what was there */
	assert_int_equal(err, -EIO);
	assert_true(n >= 20);
	assert_int_equal(slots, 32);
}

/* Once it can be moved, all is as with one that could be moved at once. */
static void stuck_index_is_freed(void **state)
{
	struct source s = source(1, 4096);
	int err;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	stick_index(&s);
	get_until_error(200, 40, &err);
	assert_int_equal(err, -EIO);
	unstick_index();
	for (int i = 0; i < 500 && err; i++) {
		sleep_ms(10);
		get_until_error(300, 40, &err);
	}
	assert_int_equal(err, 0);
	cache_down();
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(stats().index_rebuilt, 1);
	assert_int_equal(stats().chunks, 0);
	get(&s, 0, G, 0, 1);
}

/* A kernel whose daemon died may still read the slabs that an index forgot. */
static void slab_not_reused(void **state)
{
	struct source s = source(1, 4096);
	char path[5000], before[G], after[G];
	int fd;

	(void)state;
	assert_int_equal(cache_up(128 * MIB), 0);
	get(&s, 0, G, 0, 1);
	cache_down();
	snprintf(path, sizeof(path), "%s/slabs/000000", w.dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, before, G, 0), G);
	snprintf(path, sizeof(path), "rm -rf %s/index", w.dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(pread(fd, after, G, 0), G);
	assert_memory_equal(before, after, G);
	close(fd);
}

static void bad_places(void **state)
{
	struct datafs_cache *other = NULL;

	(void)state;
	assert_int_equal(cache_up(127 * MIB), -EINVAL);
	assert_int_equal(cache_up(128 * MIB), 0);
	assert_int_equal(datafs_cache_open(&w.cfg, &other), -EBUSY);
	cache_down();
	w.cfg.dir = "/nonexistent/cache";
	assert_int_equal(datafs_cache_open(&w.cfg, &other), -ENOENT);
	w.cfg.dir = "/proc/self";
	assert_true(datafs_cache_open(&w.cfg, &other) < 0);
	assert_null(other);
}

/* ------------------------------------------------------- random operations */

#define RANDOM_FILES 60

static struct source random_files[RANDOM_FILES];

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static int random_get(uint64_t *x, uint32_t mount)
{
	struct source *s = &random_files[rnd(x) % RANDOM_FILES];
	uint64_t granules = (s->size + G - 1) / G, off = rnd(x) % granules * G;
	struct datafs_cache_want want = want_of(s, off, 0, mount);
	struct datafs_cache_answer a;
	uint64_t pos = off, crcs = 0;
	int err;

	want.len = (1 + rnd(x) % 64) * G << (rnd(x) % 4 ? 0 : 5);
	want.max = rnd(x) % 3 ? 0 : 16 * MIB;
	want.page_size = 4096u << rnd(x) % 8;
	err = datafs_cache_get(w.c, &want, &a);
	if (err)
		return err;
	for (uint32_t i = 0; i < a.count; i++) {
		if (a.ext[i].off != pos ||
		    !extent_is_right(&s->key, s->size, &a.ext[i],
				     a.crc + crcs))
			err = -EBADMSG;
		pos += a.ext[i].len;
		crcs += a.ext[i].len / G;
	}
	if (mount)
		hold(s, mount, &a);
	datafs_cache_put(w.c, &a);
	return err;
}

struct walker {
	pthread_t t;
	uint64_t seed;
	int id, ops, err;
};

static void *walk(void *arg)
{
	struct walker *r = arg;

	for (int i = 0; i < r->ops && !r->err; i++) {
		struct source *s = &random_files[rnd(&r->seed) % RANDOM_FILES];
		uint64_t off = rnd(&r->seed) % s->size;

		switch (rnd(&r->seed) % 40) {
		case 0:
			datafs_cache_bad(w.c, &s->key, off / G * G);
			break;
		case 1:
			datafs_cache_drop(w.c, &s->key);
			break;
		case 2:
			datafs_cache_has(w.c, &s->key, off, 4 * MIB);
			break;
		default:
			r->err = random_get(&r->seed, r->id);
		}
	}
	return NULL;
}

static void random_operations(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	struct walker r[4];
	pthread_t t;

	(void)state;
	datafs_log_set_level(LOG_ERR);
	print_message("DATAFS_SEED=%llu\n", (unsigned long long)seed);
	seed = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < RANDOM_FILES; i++)
		random_files[i] = source(i + 1, 1 + rnd(&seed) %
			(i % 3 ? 600 * KIB : 20 * MIB));
	for (int round = 0; round < 3; round++) {
		assert_int_equal(cache_up(128 * MIB), 0);
		pump_stop = false;
		pthread_create(&t, NULL, pump, NULL);
		for (int i = 0; i < 4; i++) {
			r[i] = (struct walker){ .id = i, .ops = 250,
						.seed = rnd(&seed) | 1 };
			pthread_create(&r[i].t, NULL, walk, &r[i]);
		}
		for (int i = 0; i < 4; i++) {
			pthread_join(r[i].t, NULL);
			assert_int_equal(r[i].err, 0);
		}
		pump_stop = true;
		pthread_join(t, NULL);
		assert_int_equal(w.wrong, 0);
		assert_int_equal(stats().index_rebuilt, 0);
		cache_down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(fill_and_read_back),
		T(pages),
		T(cached_only),
		T(one_page_at_once),
		T(partial),
		T(packing),
		T(eviction_waits_for_the_kernel),
		T(victims),
		T(revocation_is_repeated),
		T(restart_is_warm),
		T(damaged_index),
		T(damaged_slab),
		T(no_room_on_disk),
		T(few_files),
		T(device_errors),
		T(passing_errors),
		T(no_files),
		T(lost_index),
		T(stuck_index),
		T(stuck_index_is_freed),
		T(slab_not_reused),
		T(bad_places),
		T(random_operations),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
