// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cache_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "tmpdir.h"

struct cache_world w;

void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* ------------------------------------------------------------- contents */

static uint64_t word(const struct datafs_cache_key *k, uint64_t at)
{
	uint64_t x = at * 0x9e3779b97f4a7c15ull ^ k->ino << 32 ^ k->content;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ull;
}

void make_bytes(const struct datafs_cache_key *k, uint64_t size, uint64_t off,
		void *buf, uint64_t len)
{
	uint64_t *p = buf;

	for (uint64_t i = 0; i < len / 8; i++)
		p[i] = word(k, off / 8 + i);
	if (off + len > size)
		memset((char *)buf + (size - off), 0, off + len - size);
}

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

bool extent_is_right(const struct datafs_cache_key *k, uint64_t size,
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

uint32_t answer_revokes(void)
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

/*
 * Was it asked to let go of this one only because a part of the file was elsewhere before? The
 * message may come after the new place was handed out, and names no place.
 */
static bool has_moved(const struct held *h)
{
	for (uint32_t i = 0; i < w.nheld; i++) {
		const struct held *o = &w.held[i];

		if (o->dying == h->dying && o->key.ino == h->key.ino &&
		    o->key.content == h->key.content &&
		    o->ext.off / (4 * MIB) == h->ext.off / (4 * MIB) &&
		    (o->ext.backing_id != h->ext.backing_id ||
		     o->ext.backing_off - o->ext.off != h->ext.backing_off - h->ext.off))
			return true;
	}
	return false;
}

void hold(struct source *s, uint32_t mount,
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
			    (!same || (h->dying && !has_moved(h))))
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

static atomic_bool pump_stop;
static pthread_t pump_thread;

static void *pump(void *arg)
{
	(void)arg;
	while (!pump_stop) {
		answer_revokes();
		sleep_ms(1);
	}
	return NULL;
}

void pump_start(void)
{
	pump_stop = false;
	assert_int_equal(pthread_create(&pump_thread, NULL, pump, NULL), 0);
}

void pump_end(void)
{
	pump_stop = true;
	pthread_join(pump_thread, NULL);
}

/* ------------------------------------------------------------ up and down */

int cache_open(uint64_t size)
{
	memset(w.fds, -1, sizeof(w.fds));
	w.cfg.dir = w.dir;
	w.cfg.size = size;
	return datafs_cache_open(&w.cfg, &w.c);
}

int cache_up(uint64_t size)
{
	return cache_open(size) ?: datafs_cache_start(w.c);
}

void cache_down(void)
{
	datafs_cache_close(w.c);
	w.c = NULL;
	w.nheld = w.ncookies = 0;
}

int cache_setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	pthread_mutex_init(&w.lock, NULL);
	memset(w.cfg.namespace_id, 7, 16);
	w.cfg.backing_add = backing_add;
	w.cfg.revoke = ask;
	return tmpdir_make(w.dir, sizeof(w.dir), "cache");
}

int cache_teardown(void **state)
{
	(void)state;
	cache_down();
	tmpdir_remove(w.dir);
	return w.wrong;
}

/* ----------------------------------------------------------- its callers */

struct source source(uint64_t ino, uint64_t size)
{
	return (struct source){ .key = { ino, 1 }, .size = size };
}

struct datafs_cache_want want_of(struct source *s, uint64_t off,
				 uint64_t len, uint32_t mount)
{
	return (struct datafs_cache_want){
		.key = s->key, .size = s->size, .page_size = 64 * KIB,
		.off = off, .len = len, .mount_id = mount,
		.fetch = source_fetch, .arg = s,
	};
}

void check_answer(struct source *s, const struct datafs_cache_answer *a,
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

uint64_t answer_len(const struct datafs_cache_answer *a)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < a->count; i++)
		n += a->ext[i].len;
	return n;
}

uint64_t get(struct source *s, uint64_t off, uint64_t len, uint64_t max,
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

void fill_up(uint64_t first, int n, uint32_t mount)
{
	for (int i = 0; i < n; i++) {
		struct source s = source(first + i, 4 * MIB);

		get(&s, 0, 64 * KIB, 0, mount);
	}
}

struct datafs_cache_stats stats(void)
{
	struct datafs_cache_stats st;

	datafs_cache_get_stats(w.c, &st);
	return st;
}

void wait_for_slabs(void)
{
	for (int i = 0; i < 500 && stats().slots < 32; i++)
		sleep_ms(10);
	assert_int_equal(stats().slots, 32);
}

void limit_files(uint64_t bytes)
{
	struct rlimit rl;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &rl), 0);
	rl.rlim_cur = bytes ? bytes : rl.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &rl), 0);
}
