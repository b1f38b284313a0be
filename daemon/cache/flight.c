// SPDX-License-Identifier: Apache-2.0
/*
 * Flights: ranges over several chunks that are fetched by one request. A range is
 * claimed before anybody is there to fetch it, so that it is asked for once; its
 * pieces, of a chunk at the most, are there one after the other, as the bytes come.
 *
 * A flight holds no chunk and no slot while it waits for bytes, so it may wait for
 * room; and who waits for a flight holds none either (get.c).
 */
#include "cache_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"

/*
 * Who waits for the beginning of a stream shall have it soon, and ask for more: up to
 * PIECES_SHORT it is cut into pieces of PIECE_SHORT.
 */
#define PIECE_SHORT	(1u << 20)
#define PIECES_SHORT	DATAFS_CHUNK_SIZE

/*
 * Who needs only the beginning of what nobody runs yet waits so long for another thread
 * to run it: who runs it himself is only back when all of it is there. Only so many do,
 * since each is a thread that could run one.
 */
#define PATIENCE_NS	(100ull * 1000000)
#define PATIENT_MAX	8

enum flight_state {
	FLIGHT_CLAIMED,		/* by nobody fetched yet */
	FLIGHT_RUNNING,
	FLIGHT_DONE,		/* in no list any more */
};

struct datafs_flight {
	TAILQ_ENTRY(datafs_flight) link;	/* in cache.flights */
	struct datafs_cache_want want;	/* off, len: what is claimed */
	pthread_cond_t cond;	/* @state or @at moved */
	enum flight_state state;
	uint32_t refs;		/* the claimer's, and those of who waits or runs it */
	uint64_t at;		/* [want.off, at) is there, or was until it was evicted */
	int err;
};

/* What a running flight has of the piece that comes. */
struct piece {
	struct datafs_cache *c;
	struct datafs_flight *f;
	struct datafs_iobuf *buf;
	uint64_t off;		/* where buf->mem lies in the content */
	uint32_t len, have;	/* bytes it will have, and has */
	uint32_t summed;	/* granules of it whose checksum is in @crc */
	bool whole;		/* pieces are chunks: each costs a request */
	int err;		/* why it takes no more */
	uint32_t crc[SLOT_GRANULES];
};

static uint64_t flight_end(const struct datafs_flight *f)
{
	return f->want.off + f->want.len;
}

struct datafs_flight *datafs_flight_of(struct datafs_cache *c,
				       const struct datafs_cache_key *key, uint64_t at)
{
	struct datafs_flight *f;

	TAILQ_FOREACH(f, &c->flights, link)
		if (f->want.key.ino == key->ino && f->want.key.content == key->content &&
		    f->at <= at && at < flight_end(f))
			return f;
	return NULL;
}

uint64_t datafs_flight_pages(const struct datafs_flight *f, uint64_t from, uint64_t to)
{
	from = DATAFS_MAX(from, f->at);
	to = DATAFS_MIN(to, flight_end(f));
	return from < to ? (to - 1) / f->want.page_size - from / f->want.page_size + 1 : 0;
}

void datafs_flight_ref(struct datafs_flight *f)
{
	f->refs++;
}

void datafs_flight_unref(struct datafs_cache *c, struct datafs_flight *f)
{
	if (--f->refs)
		return;
	pthread_mutex_unlock(&c->lock);
	pthread_cond_destroy(&f->cond);
	if (f->want.release)
		f->want.release(f->want.arg);
	free(f);
	pthread_mutex_lock(&c->lock);
}

/* ---- claiming ---- */

/* The first byte of [at, end) that a flight will bring, and where that ends; or @end. */
static uint64_t next_claim(struct datafs_cache *c,
			   const struct datafs_cache_key *key, uint64_t at,
			   uint64_t end, uint64_t *until)
{
	struct datafs_flight *f;
	uint64_t first = end;

	*until = end;
	TAILQ_FOREACH(f, &c->flights, link) {
		if (f->want.key.ino != key->ino ||
		    f->want.key.content != key->content ||
		    flight_end(f) <= at || f->at >= first)
			continue;
		first = DATAFS_MAX(f->at, at);
		*until = flight_end(f);
	}
	return first;
}

static bool is_missing(const struct datafs_chunk *k, uint64_t at)
{
	uint32_t g = at % DATAFS_CHUNK_SIZE / DATAFS_GRANULE;

	return !k || (g < k->granules && !datafs_have(k, g) &&
		      !datafs_fill_of(k, g));
}

/* The first run of [*from, end) that is missing, and that nobody fetches. */
static uint64_t missing_run(struct datafs_cache *c,
			    const struct datafs_cache_key *key, uint64_t *from,
			    uint64_t end)
{
	struct datafs_chunk *k = NULL;
	uint64_t claim, until, at = *from;
	bool looked = false, in = false;

	claim = next_claim(c, key, at, end, &until);
	while (at < end) {
		if (at == claim) {
			if (in)
				break;
			at = until;
			looked = false;
			claim = next_claim(c, key, at, end, &until);
			continue;
		}
		if (!looked || !(at % DATAFS_CHUNK_SIZE))
			k = datafs_chunk_find(c, key, at / DATAFS_CHUNK_SIZE);
		looked = true;
		if (is_missing(k, at)) {
			if (!in)
				*from = at;
			in = true;
		} else if (in) {
			break;
		}
		at += DATAFS_GRANULE;
	}
	return in ? DATAFS_MIN(at, end) - *from : 0;
}

int datafs_cache_claim(struct datafs_cache *c,
		       const struct datafs_cache_want *want,
		       struct datafs_flight **res)
{
	struct datafs_flight *f;
	uint64_t from = want->off, len;
	int err;

	*res = NULL;
	if (!datafs_want_is_sane(want) || !want->fetch)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	err = datafs_cache_cond_init(&f->cond);
	if (err) {
		free(f);
		return err;
	}
	f->want = *want;
	f->refs = 1;
	pthread_mutex_lock(&c->lock);
	len = missing_run(c, &want->key, &from,
			  DATAFS_MIN(want->off + want->len,
				     datafs_round_up(want->size, DATAFS_GRANULE)));
	if (len) {
		f->want.off = f->at = from;
		f->want.len = len;
		c->stats.misses += (from + len - 1) / want->page_size -
				   from / want->page_size + 1;
		TAILQ_INSERT_TAIL(&c->flights, f, link);
	}
	pthread_mutex_unlock(&c->lock);
	if (!len) {
		pthread_cond_destroy(&f->cond);
		free(f);
		return 0;
	}
	*res = f;
	return 0;
}

void datafs_flight_range(const struct datafs_flight *f, uint64_t *off,
			 uint64_t *len)
{
	*off = f->want.off;
	*len = f->want.len;
}

/* ---- pieces ---- */

static void piece_begin(struct piece *p, uint64_t off)
{
	uint64_t end = datafs_round_up(off + 1, DATAFS_CHUNK_SIZE);

	end = DATAFS_MIN(end, DATAFS_MIN(flight_end(p->f), p->f->want.size));
	if (!p->whole && off - p->f->want.off < PIECES_SHORT)
		end = DATAFS_MIN(end, off + PIECE_SHORT);
	p->off = off;
	p->len = end > off ? end - off : 0;
	p->have = p->summed = 0;
}

/* While the bytes are in the processor's cache. */
static void piece_sum(struct piece *p, uint32_t granules)
{
	for (; p->summed < granules; p->summed++)
		p->crc[p->summed] = datafs_crc32c(p->buf->mem + p->summed * DATAFS_GRANULE,
						  DATAFS_GRANULE);
}

/* The chunk has the piece; it was there before is no harm. */
static int piece_place(struct piece *p, uint32_t room)
{
	uint32_t first = p->off % DATAFS_CHUNK_SIZE / DATAFS_GRANULE;
	uint32_t n = room / DATAFS_GRANULE;
	struct datafs_cache *c = p->c;
	struct datafs_chunk *k;
	int err;

	for (int place = 1;; place++) {
		err = datafs_chunk_obtain(c, &p->f->want,
					  p->off / DATAFS_CHUNK_SIZE, true, &k);
		if (err)
			return err;
		pthread_mutex_unlock(&c->lock);
		err = datafs_slab_rw(c, datafs_slot_nr(c, k->slot),
				     k->base + first, p->buf, room, true);
		pthread_mutex_lock(&c->lock);
		if (!err)
			break;
		err = datafs_write_failed(c, k->slot, err);
		datafs_chunk_unpin(c, k);
		if (err != -EIO || place == PLACES_MAX)
			return err;
	}
	for (uint32_t i = 0; i < n; i++)
		datafs_chunk_set(c, k, first + i, p->crc[i]);
	pthread_mutex_unlock(&c->lock);
	/* The pin keeps the place this chunk's. */
	datafs_index_put(c, k, first, n);
	pthread_mutex_lock(&c->lock);
	datafs_chunk_unpin(c, k);
	return 0;
}

/* All bytes of the piece are there: it can be had, and the next one begins. */
static int piece_end(struct piece *p)
{
	uint32_t room = datafs_round_up(p->len, DATAFS_GRANULE);
	struct datafs_flight *f = p->f;
	int err;

	memset(p->buf->mem + p->len, 0, room - p->len);
	piece_sum(p, room / DATAFS_GRANULE);
	pthread_mutex_lock(&p->c->lock);
	err = piece_place(p, room);
	if (!err) {
		p->c->stats.fetched_bytes += p->len;
		f->at = p->off + room;
		pthread_cond_broadcast(&f->cond);
	}
	pthread_mutex_unlock(&p->c->lock);
	if (!err)
		piece_begin(p, f->at);
	return err;
}

static int piece_take(void *arg, uint64_t at, const void *from, size_t n)
{
	struct piece *p = arg;

	while (!p->err && n) {
		uint64_t next = p->off + p->have;
		size_t part;

		/* It begins again with what came already. */
		if (at < next) {
			part = DATAFS_MIN(next - at, n);
		} else if (at == next && p->len) {
			part = DATAFS_MIN(p->len - p->have, n);
			memcpy(p->buf->mem + p->have, from, part);
			p->have += part;
			piece_sum(p, p->have / DATAFS_GRANULE);
			if (p->have == p->len)
				p->err = piece_end(p);
		} else {
			/* breaks the contract; not an errno for anyone */
			p->err = -EIO;
			break;
		}
		at += part;
		from = (const char *)from + part;
		n -= part;
	}
	return p->err ? -ECANCELED : 0;
}

/* ---- running ---- */

/* Each piece by a request of its own, for a source that streams nothing. */
static int fetch_pieces(struct piece *p)
{
	const struct datafs_cache_want *w = &p->f->want;
	int err = 0;

	p->whole = true;
	piece_begin(p, w->off);
	while (!err && p->len) {
		err = w->fetch(w->arg, p->off, p->buf->mem, p->len);
		if (err)
			return err > 0 ? -EIO : err;
		pthread_mutex_lock(&p->c->lock);
		p->c->stats.fetches++;
		pthread_mutex_unlock(&p->c->lock);
		err = piece_end(p);
	}
	return err;
}

static int fetch_all(struct datafs_cache *c, struct datafs_flight *f)
{
	const struct datafs_cache_want *w = &f->want;
	struct piece p = { .c = c, .f = f };
	int err = datafs_buffer_get(c, &p.buf);

	if (err)
		return err;
	piece_begin(&p, w->off);
	err = w->stream ? w->stream(w->arg, w->off,
				    DATAFS_MIN(flight_end(f), w->size) - w->off,
				    piece_take, &p) : -EOPNOTSUPP;
	if (err == -EOPNOTSUPP && p.off == w->off && !p.have) {
		err = fetch_pieces(&p);
	} else {
		pthread_mutex_lock(&c->lock);
		c->stats.fetches++;
		pthread_mutex_unlock(&c->lock);
		if (p.err)
			err = p.err;
		else if (err > 0 || (!err && p.len))
			err = -EIO; /* breaks the contract */
	}
	datafs_buffer_put(c, p.buf);
	return err;
}

/* Under cache.lock. */
static void flight_done(struct datafs_cache *c, struct datafs_flight *f,
			int err)
{
	TAILQ_REMOVE(&c->flights, f, link);
	f->state = FLIGHT_DONE;
	f->err = err;
	pthread_cond_broadcast(&f->cond);
}

/* Under cache.lock, which it drops and takes again. */
static void flight_run(struct datafs_cache *c, struct datafs_flight *f)
{
	int err;

	if (f->state != FLIGHT_CLAIMED)
		return;
	f->state = FLIGHT_RUNNING;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&c->lock);
	err = fetch_all(c, f);
	pthread_mutex_lock(&c->lock);
	flight_done(c, f, err);
}

void datafs_cache_fly(struct datafs_cache *c, struct datafs_flight *f,
		      bool give_up)
{
	pthread_mutex_lock(&c->lock);
	if (give_up && f->state == FLIGHT_CLAIMED)
		flight_done(c, f, -ESHUTDOWN);
	else
		flight_run(c, f);
	datafs_flight_unref(c, f);
	pthread_mutex_unlock(&c->lock);
}

/* Under cache.lock, which it drops and takes again. */
static void be_patient(struct datafs_cache *c, struct datafs_flight *f)
{
	uint64_t deadline = datafs_cache_now() + PATIENCE_NS;
	struct timespec ts = {
		.tv_sec = deadline / DATAFS_SEC, .tv_nsec = deadline % DATAFS_SEC,
	};

	if (c->patient == PATIENT_MAX)
		return;
	c->patient++;
	while (f->state == FLIGHT_CLAIMED &&
	       !pthread_cond_timedwait(&f->cond, &c->lock, &ts))
		;
	c->patient--;
}

int datafs_flight_wait(struct datafs_cache *c, struct datafs_flight *f,
		       uint64_t until)
{
	int err;

	if (until < flight_end(f))
		be_patient(c, f);
	/* Who would wait for a thread to be free for it is one. */
	flight_run(c, f);
	while (f->state != FLIGHT_DONE && f->at < until)
		pthread_cond_wait(&f->cond, &c->lock);
	err = f->at < until ? f->err : 0;
	datafs_flight_unref(c, f);
	return err;
}
