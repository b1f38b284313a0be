// SPDX-License-Identifier: Apache-2.0
#include "ramp.h"

#include "base/util.h"

#define RAMP_FIRST	8u	/* a pipe that is not known: as wide as most clients begin */
#define HOLD		8u	/* rounds after which a step is tried again */
/* Of what a step would bring if nothing else were in the way. */
#define GAIN		4

void datafs_ramp_init(struct datafs_ramp *r, uint32_t max)
{
	*r = (struct datafs_ramp){
		.lock = PTHREAD_MUTEX_INITIALIZER, .max = max,
		.limit = DATAFS_MIN(RAMP_FIRST, max), .doubling = true,
	};
}

void datafs_ramp_destroy(struct datafs_ramp *r)
{
	pthread_mutex_destroy(&r->lock);
}

uint32_t datafs_ramp_limit(struct datafs_ramp *r)
{
	uint32_t n;

	pthread_mutex_lock(&r->lock);
	n = r->limit;
	pthread_mutex_unlock(&r->lock);
	return n;
}

bool datafs_ramp_begin(struct datafs_ramp *r, int64_t now, bool waited)
{
	bool may;

	pthread_mutex_lock(&r->lock);
	may = waited || r->under_way < r->limit;
	if (may) {
		r->under_way++;
		if (!r->since)
			r->since = now;
	}
	r->full |= r->under_way >= r->limit;
	pthread_mutex_unlock(&r->lock);
	return may;
}

static void step_up(struct datafs_ramp *r, uint64_t rate)
{
	r->before = r->limit;
	r->limit = DATAFS_MIN(r->doubling ? r->limit * 2 : r->limit + 1, r->max);
	r->rate = rate;
	r->stepped = r->limit != r->before;
	r->held = 0;
}

/* Was the step from @before parts, and @rate with them, worth it? */
static bool step_gained(const struct datafs_ramp *r, uint64_t rate)
{
	uint64_t gain = r->rate / r->before * (r->limit - r->before);

	return rate > r->rate + gain / GAIN;
}

static void round_end(struct datafs_ramp *r, int64_t now, uint64_t refused)
{
	int64_t ns = DATAFS_MAX(now - r->since, 1);
	uint64_t rate = (uint64_t)((double)r->bytes * DATAFS_SEC / (double)ns);

	if (!r->ended) {
		/* nothing was fetched, nothing is learned */
	} else if (refused != r->refused) {
		r->limit = DATAFS_MAX(r->limit / 2, 1u);
		r->doubling = r->stepped = false;
		r->held = 0;
	} else if (r->full && r->stepped && !step_gained(r, rate)) {
		r->limit = r->before;
		r->doubling = r->stepped = false;
	} else if (r->full && (r->stepped || r->doubling || ++r->held >= HOLD)) {
		step_up(r, rate);
	}
	r->refused = refused;
	r->since = r->under_way ? now : 0;
	r->bytes = 0;
	r->ended = 0;
	r->full = r->under_way >= r->limit;
}

void datafs_ramp_end(struct datafs_ramp *r, int64_t now, uint64_t bytes,
		     uint64_t refused)
{
	pthread_mutex_lock(&r->lock);
	r->under_way--;
	r->bytes += bytes;
	r->ended += bytes > 0;
	/* A pause is none of the store's: a round is over when nothing is under way. */
	if (r->ended >= r->limit || !r->under_way)
		round_end(r, now, refused);
	pthread_mutex_unlock(&r->lock);
}
