// SPDX-License-Identifier: Apache-2.0
/* What requests to under-stores cost: limits, counters, prices. */
#include <errno.h>

#include "under_ops.h"

#define PRICE_REQUESTS	1e3		/* the price of so many requests is told */
#define PRICE_BYTES	(1 << 30)

enum price {
	FREE,
	LIKE_GET,
	LIKE_PUT,
};

static const struct {
	const char *name;
	bool changes;
	enum price price;
} methods[DATAFS_UNDER_M_NR] = {
	[DATAFS_UNDER_M_STAT]	= { "stat", false, LIKE_GET },
	[DATAFS_UNDER_M_LIST]	= { "list", false, LIKE_PUT },
	[DATAFS_UNDER_M_GET]	= { "get", false, LIKE_GET },
	[DATAFS_UNDER_M_PUT]	= { "put", true, LIKE_PUT },
	[DATAFS_UNDER_M_COPY]	= { "copy", true, LIKE_PUT },
	[DATAFS_UNDER_M_DELETE]	= { "delete", true, FREE },
	[DATAFS_UNDER_M_OTHER]	= { "other", false, LIKE_GET },
};

const char *datafs_under_method_name(enum datafs_under_method m)
{
	return methods[m].name;
}

static void add(atomic_ullong *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

/* Facts of the object that was asked for, or of what was asked. */
static bool is_trouble(int err)
{
	switch (err) {
	case 0:
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -EEXIST:
	case -ENOTEMPTY:
	case -ESTALE:
	case -ENODATA:
	case -ERANGE:
	case -EINVAL:
	case -ENAMETOOLONG:
	case -EOPNOTSUPP:
		return false;
	default:
		return true;
	}
}

void datafs_under_ask(struct datafs_under *u, enum datafs_under_method m, uint64_t up,
		      uint64_t down)
{
	datafs_limit_take(methods[m].changes ? &u->requests_up : &u->requests_down, 1);
	datafs_limit_take(&u->bytes_up, up);
	datafs_limit_take(&u->bytes_down, down);
	add(&u->count[m].requests, 1);
}

void datafs_under_again(struct datafs_under *u, enum datafs_under_method m)
{
	add(&u->count[m].retries, 1);
}

void datafs_under_answered(struct datafs_under *u, enum datafs_under_method m, int err,
			   uint64_t up, uint64_t down)
{
	add(&u->count[m].errors, is_trouble(err));
	add(&u->count[m].up, up);
	add(&u->count[m].down, down);
}

void datafs_under_enter(struct datafs_under *u, enum datafs_under_method m, uint64_t up,
			uint64_t down)
{
	if (u->ops->one_request)
		datafs_under_ask(u, m, up, down);
}

ssize_t datafs_under_leave(struct datafs_under *u, enum datafs_under_method m, ssize_t ret,
			   uint64_t up)
{
	uint64_t down = m == DATAFS_UNDER_M_GET && ret > 0 ? ret : 0;

	if (u->ops->one_request)
		datafs_under_answered(u, m, ret < 0 ? ret : 0, ret < 0 ? 0 : up, down);
	return ret;
}

static uint64_t get(const atomic_ullong *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static double price_of(const struct datafs_under_opts *o, enum datafs_under_method m)
{
	const double prices[] = {
		[FREE] = 0, [LIKE_GET] = o->price_get, [LIKE_PUT] = o->price_put,
	};

	return prices[methods[m].price];
}

void datafs_under_stats(struct datafs_under *u, struct datafs_under_stats *res)
{
	const struct datafs_under_opts *o = u->opts;

	res->price = 0;
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		const struct datafs_under_count *c = &u->count[m];

		res->by[m].requests = get(&c->requests);
		res->by[m].retries = get(&c->retries);
		res->by[m].errors = get(&c->errors);
		res->by[m].up = get(&c->up);
		res->by[m].down = get(&c->down);
		res->price += res->by[m].requests * price_of(o, m) / PRICE_REQUESTS;
		res->price += res->by[m].down * o->price_down / PRICE_BYTES;
	}
}

void datafs_under_stats_add(struct datafs_under_stats *to, const struct datafs_under_stats *st)
{
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		to->by[m].requests += st->by[m].requests;
		to->by[m].retries += st->by[m].retries;
		to->by[m].errors += st->by[m].errors;
		to->by[m].up += st->by[m].up;
		to->by[m].down += st->by[m].down;
	}
	to->price += st->price;
}

struct datafs_under_total datafs_under_total(const struct datafs_under_stats *st)
{
	struct datafs_under_total t = { 0 };

	for (int m = 0; m < DATAFS_UNDER_M_NR; m++) {
		t.requests += st->by[m].requests;
		t.retries += st->by[m].retries;
		t.errors += st->by[m].errors;
		t.up += st->by[m].up;
		t.down += st->by[m].down;
	}
	return t;
}
