// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define STREAM_BUCKETS	1024	/* inodes remembered */
#define STREAMS_EACH	4	/* readers of one of them */

#define SMALL_FILE	(256u << 10)	/* fetched as a whole */
#define BIG_REQUEST	(128u << 10)	/* at the beginning: wants much */
#define WINDOW_MIN	DATAFS_CHUNK_SIZE
#define WINDOW_MAX	DATAFS_ANSWER_MAX
/* Somebody waits for it, so no more than this at once. */
#define WINDOW_WAITED	(2 * DATAFS_CHUNK_SIZE)

/*
 * NEW -> TRIED -> SEQUENTIAL: a request that follows another by chance must
 * not make a random reader fetch a chunk, two in a row are no chance.
 * START -> SEQUENTIAL: reading a file from its beginning is a habit.
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
	uint64_t window;
	uint64_t ahead_end;	/* fetched ahead up to here */
	uint64_t used;		/* s->clock then */
};

struct bucket {
	struct datafs_cache_key key;
	struct stream streams[STREAMS_EACH];
};

struct datafs_streams {
	pthread_mutex_t lock;	/* protects all below */
	uint64_t clock;
	struct bucket buckets[STREAM_BUCKETS];
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

static void stream_step(struct stream *st)
{
	static const enum stream_state next[] = {
		[STREAM_NEW] = STREAM_TRIED,
		[STREAM_TRIED] = STREAM_SEQUENTIAL,
		[STREAM_START] = STREAM_SEQUENTIAL,
		[STREAM_SEQUENTIAL] = STREAM_SEQUENTIAL,
	};

	st->state = next[st->state];
	if (st->state == STREAM_SEQUENTIAL)
		st->window = st->window ? DATAFS_MIN(st->window * 2, WINDOW_MAX) :
					  WINDOW_MIN;
}

static uint64_t plan_sequential(const struct stream *st,
				const struct datafs_read *r, uint64_t end)
{
	uint64_t window = r->prefetch ? st->window :
					DATAFS_MIN(st->window, WINDOW_WAITED);
	uint64_t to = datafs_round_up(r->off + 1, DATAFS_CHUNK_SIZE);

	while (to - r->off < window)
		to += DATAFS_CHUNK_SIZE;
	return DATAFS_MAX(to, end);
}

uint64_t datafs_streams_plan(struct datafs_streams *s,
			     const struct datafs_read *r)
{
	uint64_t eof = datafs_round_up(r->size, DATAFS_GRANULE);
	uint64_t end = DATAFS_MIN(r->off + r->len, eof), to = end;
	struct bucket *b;
	struct stream *st;

	pthread_mutex_lock(&s->lock);
	b = bucket_of(s, &r->key);
	st = stream_of(b, r->off);
	/* The kernel prefetches on the same guess: it confirms nothing. */
	if (st && r->prefetch &&
	    (st->state == STREAM_NEW || st->state == STREAM_TRIED)) {
		to = r->off;
		st = NULL;
	} else if (st) {
		if (st->req_off != r->off)
			stream_step(st);
		if (st->state == STREAM_SEQUENTIAL)
			to = plan_sequential(st, r, end);
	} else if (!r->off) {
		st = stream_new(b);
		st->state = STREAM_START;
	} else if (r->prefetch) {
		to = r->off;
	} else {
		st = stream_new(b);
		st->state = STREAM_NEW;
	}
	if (st && st->state == STREAM_START) {
		if (eof <= SMALL_FILE)
			to = eof;
		else if (r->len >= BIG_REQUEST)
			to = DATAFS_MAX(to, DATAFS_CHUNK_SIZE);
	}
	if (st) {
		st->used = ++s->clock;
		st->req_off = r->off;
		st->req_end = end;
		st->ans_end = end;
	}
	pthread_mutex_unlock(&s->lock);
	return DATAFS_MIN(DATAFS_MIN(to, eof) - r->off, DATAFS_ANSWER_MAX);
}

bool datafs_streams_answered(struct datafs_streams *s,
			     const struct datafs_read *r, uint64_t end,
			     uint64_t *from, uint64_t *to)
{
	uint64_t eof = datafs_round_up(r->size, DATAFS_GRANULE);
	uint64_t req_end = DATAFS_MIN(r->off + r->len, eof);
	bool ahead = false;
	struct bucket *b;

	pthread_mutex_lock(&s->lock);
	b = bucket_of(s, &r->key);
	for (int i = 0; i < STREAMS_EACH; i++) {
		struct stream *st = &b->streams[i];

		if (st->state == STREAM_FREE || st->req_off != r->off ||
		    st->req_end != req_end)
			continue;
		st->ans_end = DATAFS_MAX(end, req_end);
		if (st->state == STREAM_SEQUENTIAL) {
			*from = DATAFS_MAX(end, st->ahead_end);
			*to = datafs_round_down(end + st->window,
						DATAFS_CHUNK_SIZE);
			*to = DATAFS_MIN(*to, eof);
			ahead = *from < *to;
			if (ahead)
				st->ahead_end = *to;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return ahead;
}
