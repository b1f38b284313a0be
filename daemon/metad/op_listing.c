// SPDX-License-Identifier: Apache-2.0
/*
 * Shared listings: who looks at a directory of an under-store, and what was seen. Numbers of
 * tickets rise, so that of two listings of a directory the one with the higher number was
 * looked at later.
 */
#include <errno.h>

#include "base/util.h"
#include "op.h"

static uint64_t age_ms(const struct op *o, const struct datafs_metad_listing *l)
{
	uint64_t age = o->time > l->looked ? o->time - l->looked : 0;

	return (age + DATAFS_MSEC - 1) / DATAFS_MSEC;
}

static void tell(struct op *o, const struct datafs_metad_listing *l, unsigned int state)
{
	o->listing.has_state = true;
	o->listing.state = state;
	if (!l)
		return;
	o->listing.has_number = o->listing.has_pages = o->listing.has_age = true;
	o->listing.number = l->number;
	o->listing.pages = l->pages;
	o->listing.age = age_ms(o, l);
}

/* One that a directory's record names. 0 or damage. */
static int get_listed(struct op *o, uint64_t number, struct datafs_metad_listing *l)
{
	struct key k = key_make('G', number);
	int ret = rec_listing_get(o->t, number, l);

	if (ret == 1 && l->state == DATAFS_LISTING_OVER)
		ret = 0;
	if (ret == 1)
		return 0;
	return ret ? ret : txn_damaged(o->t, key_bytes(&k), "a listing that is not there");
}

/* It is asked for again no sooner than that, or it is young enough. Then 1, and it is told. */
static int published_does(struct op *o, uint64_t number, uint64_t max_age)
{
	struct datafs_metad_listing l;
	int ret = get_listed(o, number, &l);

	if (ret)
		return ret;
	if (l.state == DATAFS_LISTING_LARGE) {
		if (age_ms(o, &l) > DATAFS_LISTING_LARGE_SECONDS * 1000ull)
			return 0;
		tell(o, NULL, DATAFS_LISTING_NONE);
		return 1;
	}
	if (!max_age || age_ms(o, &l) > max_age)
		return 0;
	tell(o, &l, DATAFS_LISTING_PUBLISHED);
	return 1;
}

/* One that somebody makes is followed, or gives way: it is lost, too old, or one's own. */
static int coming_does(struct op *o, struct rec_listings *all, uint64_t number,
		       const Metad__ListingTicket *a)
{
	struct datafs_metad_listing l;
	int ret = get_listed(o, number, &l);

	if (!ret)
		ret = listing_is_there(o->t, o->time, &l);
	if (ret < 0)
		return ret;
	if (ret && l.session != o->session && number != a->instead_of && a->max_age &&
	    age_ms(o, &l) <= a->max_age) {
		tell(o, &l, DATAFS_LISTING_COMING);
		return 1;
	}
	return listing_end(o->t, all, &l);
}

/* Does it say a mount that the table can have had? */
static int check_mount(struct op *o, const struct datafs_metad_listing *l)
{
	struct datafs_metad_mounts table;

	if (rec_mounts_get(o->t, &table) < 0)
		return txn_error(o->t);
	return l->mount && l->generation >= l->mount && l->generation <= table.version &&
	       l->key_len <= DATAFS_LISTING_KEY_MAX ? 0 : -EINVAL;
}

/* 1: there is one already, which is told; 0: it is to be made; or the error. */
static int find(struct op *o, struct rec_listings *all, const struct datafs_metad_listing *l,
		const Metad__ListingTicket *a)
{
	struct rec_listed listed;
	int ret = rec_listed_get(o->t, l, &listed);

	if (ret == 1)
		ret = listed.published ? published_does(o, listed.published, a->max_age) : 0;
	if (!ret && listed.coming)
		ret = coming_does(o, all, listed.coming, a);
	return ret;
}

static int make(struct op *o, struct rec_listings *all, struct datafs_metad_listing *l)
{
	struct rec_listed listed;
	int ret = listing_reap(o->t, o->time, all, l->charge);

	if (ret < 0)
		return ret;
	if (!ret) {
		tell(o, NULL, DATAFS_LISTING_NONE);
		return 0;
	}
	/* what gave way may have been of this directory */
	if (rec_listed_get(o->t, l, &listed) < 0)
		return txn_error(o->t);
	l->number = ++all->last;
	listed.coming = l->number;
	rec_listing_put(o->t, l);
	rec_listed_put(o->t, l, &listed);
	all->charge += l->charge;
	all->listings++;
	tell(o, l, DATAFS_LISTING_YOURS);
	return 0;
}

int op_listing_ticket(struct op *o, const Metad__Command *c)
{
	const Metad__ListingTicket *a = c->listing_ticket;
	struct datafs_metad_listing l = {
		.mount = a->mount, .generation = a->generation, .session = o->session,
		.looked = o->time, .progress = o->time, .charge = rec_listing_charge(a->key.len),
		.state = DATAFS_LISTING_COMING, .key = a->key.data, .key_len = a->key.len,
	};
	struct rec_listings all;
	int ret;

	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_LISTING)
		return -EOPNOTSUPP;
	ret = check_mount(o, &l);
	if (!ret)
		ret = rec_listings_get(o->t, &all);
	if (ret >= 0)
		ret = find(o, &all, &l, a);
	if (!ret)
		ret = make(o, &all, &l);
	else if (ret == 1)
		ret = listing_reap(o->t, o->time, &all, 0);
	if (ret < 0)
		return ret;
	if (all.last)
		rec_listings_put(o->t, &all);
	return 0;
}

/* What the session holds the ticket of. 0, -ESTALE, or the error. */
static int get_held(struct op *o, uint64_t number, struct rec_listings *all,
		    struct datafs_metad_listing *l)
{
	int ret;

	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_LISTING)
		return -EOPNOTSUPP;
	ret = rec_listings_get(o->t, all);
	if (ret == 1)
		ret = rec_listing_get(o->t, number, l);
	if (ret == 1 && (l->state != DATAFS_LISTING_COMING || l->session != o->session))
		return -ESTALE;
	if (ret == 1)
		ret = listing_is_there(o->t, o->time, l);
	return ret == 1 ? 0 : ret ? ret : -ESTALE;
}

/* It takes the place of what was published before it. */
static int publish(struct op *o, struct rec_listings *all, struct datafs_metad_listing *l,
		   enum datafs_listing_state state)
{
	struct datafs_metad_listing old;
	struct rec_listed listed;
	int ret = rec_listed_get(o->t, l, &listed);

	if (ret >= 0)
		ret = listed.published ? get_listed(o, listed.published, &old) : 0;
	if (!ret && listed.published)
		ret = listing_end(o->t, all, &old);
	if (ret)
		return ret;
	listed = (struct rec_listed){ .published = l->number };
	l->state = state;
	l->session = 0;
	rec_listed_put(o->t, l, &listed);
	return 0;
}

/* Nobody makes it again for a while: in its place is what says so, of the same look. */
static int too_large(struct op *o, struct rec_listings *all, struct datafs_metad_listing *l)
{
	struct datafs_metad_listing says = *l;
	int ret = listing_end(o->t, all, l);

	if (ret)
		return ret;
	says.number = ++all->last;
	says.pages = 0;
	says.charge = rec_listing_charge(says.key_len);
	ret = listing_reap(o->t, o->time, all, says.charge);
	if (ret == 1) {
		ret = publish(o, all, &says, DATAFS_LISTING_LARGE);
		rec_listing_put(o->t, &says);
		all->charge += says.charge;
		all->listings++;
	}
	tell(o, NULL, DATAFS_LISTING_NONE);
	return ret < 0 ? ret : 0;
}

static int add_page(struct op *o, struct rec_listings *all, struct datafs_metad_listing *l,
		    struct txn_bytes bytes, bool last)
{
	uint64_t charge = rec_listing_page_charge(bytes.len);
	int ret = listing_reap(o->t, o->time, all, charge);

	if (ret < 0)
		return ret;
	if (!ret) {
		tell(o, NULL, DATAFS_LISTING_NONE);
		return listing_end(o->t, all, l);
	}
	rec_listing_page_put(o->t, l->number, l->pages++, bytes);
	l->charge += charge;
	l->progress = o->time;
	all->charge += charge;
	ret = last ? publish(o, all, l, DATAFS_LISTING_PUBLISHED) : 0;
	if (ret)
		return ret;
	rec_listing_put(o->t, l);
	tell(o, l, last ? DATAFS_LISTING_PUBLISHED : DATAFS_LISTING_YOURS);
	return 0;
}

int op_listing_put(struct op *o, const Metad__Command *c)
{
	const Metad__ListingPut *a = c->listing_put;
	struct datafs_metad_listing l;
	struct rec_listings all;
	int ret = get_held(o, a->number, &all, &l);

	if (ret)
		return ret;
	if (a->page != l.pages || a->bytes.len > DATAFS_LISTING_PAGE_MAX ||
	    (!a->bytes.len && !a->last))
		return -EINVAL;
	ret = l.pages == DATAFS_LISTING_PAGES ? too_large(o, &all, &l) :
						add_page(o, &all, &l, op_bytes(a->bytes), a->last);
	if (ret)
		return ret;
	rec_listings_put(o->t, &all);
	return 0;
}

int op_listing_drop(struct op *o, const Metad__Command *c)
{
	struct datafs_metad_listing l;
	struct rec_listings all;
	int ret = get_held(o, c->listing_drop->number, &all, &l);

	if (!ret)
		ret = listing_end(o->t, &all, &l);
	if (!ret && listing_reap(o->t, o->time, &all, 0) < 0)
		ret = txn_error(o->t);
	if (ret)
		return ret;
	rec_listings_put(o->t, &all);
	return 0;
}
