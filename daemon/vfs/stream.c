// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define STREAM_BUCKETS	1024	/* inodes remembered */
#define STREAMS_EACH	8	/* readers of one of them */
/* Files that are read in order at one time, and requests after which one is not any more. */
#define AHEAD_MAX	16
#define AHEAD_LATELY	(2 * AHEAD_MAX)

#define SMALL_FILE	(256u << 10)	/* fetched as a whole */
#define BIG_REQUEST	(128u << 10)	/* at the beginning: wants much */
#define KERNEL_AHEAD	(512u << 10)	/* so far its guess is before the reader, mostly */
#define ANSWER_SHORT	(1u << 20)
/* Somebody waits for it, so no more than this at once. */
#define ANSWER_WAITED	(2 * DATAFS_CHUNK_SIZE)

/*
 * NEW -> TRIED -> SEQUENTIAL: a request that follows another by chance must
 * not make a random reader fetch a chunk, two in a row are no chance.
 * START -> SEQUENTIAL: reading a file from its beginning is a habit. Who asks for much
 * there is given the part that it is in at once, and others when he has gone on.
 */
enum stream_state {
	STREAM_FREE,
	STREAM_NEW,
	STREAM_TRIED,
	STREAM_START,
	STREAM_SEQUENTIAL,
};

struct stream {
	enum stream_state state;
	uint64_t req_off, req_end;	/* the last request */
	uint64_t ans_end;	/* where its answer ended */
	uint32_t parts;		/* to be under way, or there, from a request on */
	/* START: the kernel's guesses up to here follow from a big first request; 0: none */
	uint64_t big_end;
	uint64_t ahead_end;	/* parts are, up to here */
	uint64_t used;		/* s->clock then */
};

struct bucket {
	struct datafs_cache_key key;
	uint64_t ahead;		/* s->clock when it was last read in order */
	struct stream streams[STREAMS_EACH];
};

struct datafs_streams {
	pthread_mutex_t lock;	/* protects all below */
	uint64_t clock;
	struct bucket buckets[STREAM_BUCKETS];
	struct bucket *ahead[AHEAD_MAX];	/* read in order, the last one first */
};

struct datafs_streams *datafs_streams_new(void)
{
	struct datafs_streams *s = calloc(1, sizeof(*s));

	if (s)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void datafs_streams_free(struct datafs_streams *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct bucket *bucket_of(struct datafs_streams *s,
				const struct datafs_cache_key *key)
{
	struct bucket *b;

	b = &s->buckets[(key->ino * 0x9e3779b97f4a7c15ull) >> 54];
	if (b->key.ino != key->ino || b->key.content != key->content) {
		memset(b, 0, sizeof(*b));
		b->key = *key;
	}
	return b;
}

_Static_assert(STREAM_BUCKETS == 1u << (64 - 54), "bucket_of() shifts");

/*
 * The stream that a request at @off goes on, or asks again: an answer that an
 * invalidation overtook is asked for a second time.
 */
static struct stream *stream_of(struct bucket *b, uint64_t off)
{
	for (int i = 0; i < STREAMS_EACH; i++) {
		struct stream *st = &b->streams[i];

		if (st->state != STREAM_FREE &&
		    (st->req_off == off || st->req_end == off ||
		     st->ans_end == off))
			return st;
	}
	return NULL;
}

static struct stream *stream_new(struct bucket *b)
{
	struct stream *st = &b->streams[0];

	for (int i = 1; i < STREAMS_EACH; i++)
		if (b->streams[i].used < st->used)
			st = &b->streams[i];
	memset(st, 0, sizeof(*st));
	return st;
}

static void stream_step(struct stream *st, uint32_t most)
{
	static const enum stream_state next[] = {
		[STREAM_NEW] = STREAM_TRIED,
		[STREAM_TRIED] = STREAM_SEQUENTIAL,
		[STREAM_START] = STREAM_SEQUENTIAL,
		[STREAM_SEQUENTIAL] = STREAM_SEQUENTIAL,
	};

	st->state = next[st->state];
	if (st->state == STREAM_SEQUENTIAL)
		st->parts = DATAFS_MIN(DATAFS_MAX(st->parts, 1u) * 2, most);
}

/*
 * How many parts may be ahead of a reader of @b's file. What is fetched ahead of the
 * readers of all files shares what one alone may have: else pieces that nobody has read
 * yet would drive each other out. Readers of one file are mostly at one place.
 */
static uint32_t share(struct datafs_streams *s, struct bucket *b, uint32_t parts)
{
	uint32_t i = 0, n = 1;

	while (i < AHEAD_MAX - 1 && s->ahead[i] != b)
		i++;
	memmove(s->ahead + 1, s->ahead, i * sizeof(s->ahead[0]));
	s->ahead[0] = b;
	b->ahead = s->clock;
	while (n < AHEAD_MAX && s->ahead[n] &&
	       s->ahead[n]->ahead + AHEAD_LATELY > s->clock)
		n++;
	return DATAFS_MAX(parts / n, 1u);
}

/*
 * The part that @off is in, as a whole, and those behind it. Until as many are ahead as may
 * be, the answers are short: who has read one of them asks again, and more come.
 */
static void plan_parts(const struct stream *st, const struct datafs_read *r, uint32_t most,
		       uint64_t end, uint64_t eof, struct datafs_plan *p)
{
	uint64_t part = datafs_round_up(r->off + 1, r->part);
	uint64_t room = r->prefetch ? DATAFS_ANSWER_MAX : ANSWER_WAITED;
	uint32_t parts = DATAFS_MIN(st->parts, most);

	if (parts < most && eof > r->part)
		room = ANSWER_SHORT;
	p->must = DATAFS_MAX(end, DATAFS_MIN(part, r->off + room)) - r->off;
	p->now = datafs_round_up(r->off + p->must, r->part);
	if (st->state == STREAM_SEQUENTIAL) {
		p->from = DATAFS_MAX(p->now, st->ahead_end);
		p->to = DATAFS_MIN(part + (parts - 1) * r->part, eof);
	}
}

struct datafs_plan datafs_streams_plan(struct datafs_streams *s,
				       const struct datafs_read *r)
{
	uint64_t eof = datafs_round_up(r->size, DATAFS_GRANULE);
	uint64_t end = DATAFS_MIN(r->off + r->len, eof);
	struct datafs_plan p = { .must = end - r->off, .now = r->off };
	struct bucket *b;
	struct stream *st;

	pthread_mutex_lock(&s->lock);
	b = bucket_of(s, &r->key);
	st = stream_of(b, r->off);
	/* The kernel prefetches on the same guess: it confirms nothing. */
	if (st && r->prefetch &&
	    (st->state == STREAM_NEW || st->state == STREAM_TRIED)) {
		p.must = 0;
		st = NULL;
	} else if (st) {
		if (st->req_off != r->off && !(r->prefetch && r->off <= st->big_end))
			stream_step(st, r->parts);
		if (st->state == STREAM_SEQUENTIAL)
			plan_parts(st, r, share(s, b, r->parts), end, eof, &p);
	} else if (!r->off) {
		st = stream_new(b);
		st->state = STREAM_START;
	} else if (r->prefetch) {
		p.must = 0;
	} else {
		st = stream_new(b);
		st->state = STREAM_NEW;
	}
	if (st && st->state == STREAM_START) {
		if (eof <= SMALL_FILE)
			p.must = eof;
		else if (r->len >= BIG_REQUEST || st->big_end)
			plan_parts(st, r, r->parts, end, eof, &p);
		if (!r->off && r->len >= BIG_REQUEST && eof > r->part)
			st->big_end = end + KERNEL_AHEAD;
	}
	if (st) {
		st->used = ++s->clock;
		st->req_off = r->off;
		st->req_end = end;
		st->ans_end = end;
	}
	pthread_mutex_unlock(&s->lock);
	p.must = DATAFS_MIN(DATAFS_MIN(p.must, eof - r->off), DATAFS_ANSWER_MAX);
	p.now = DATAFS_MIN(p.now, eof);
	return p;
}

void datafs_streams_answered(struct datafs_streams *s,
			     const struct datafs_read *r, uint64_t end,
			     uint64_t ahead)
{
	uint64_t eof = datafs_round_up(r->size, DATAFS_GRANULE);
	uint64_t req_end = DATAFS_MIN(r->off + r->len, eof);
	struct bucket *b;

	pthread_mutex_lock(&s->lock);
	b = bucket_of(s, &r->key);
	for (int i = 0; i < STREAMS_EACH; i++) {
		struct stream *st = &b->streams[i];

		if (st->state == STREAM_FREE || st->req_off != r->off ||
		    st->req_end != req_end)
			continue;
		st->ans_end = DATAFS_MAX(end, req_end);
		st->ahead_end = DATAFS_MAX(st->ahead_end, ahead);
	}
	pthread_mutex_unlock(&s->lock);
}
