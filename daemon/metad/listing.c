// SPDX-License-Identifier: Apache-2.0
/*
 * When a shared listing is over, and who gives way when there is no room. What is removed
 * with one command is bounded, so that no entry is long to apply: a listing that is over is
 * out of its directory's record at once, and its pages go bit by bit, the last one first.
 */
#include <errno.h>

#include "base/util.h"
#include "schema.h"

/* Of the oldest ones so many are looked at, to find one that nobody is making. */
#define OLDEST	64
/* Pages of what is over that go with each command. */
#define STEP	8u
/* ... when there is no room: enough for the longest page, if all that give way are the least. */
#define ROOM_STEP	(2 * DATAFS_LISTING_PAGE_MAX / DATAFS_LISTING_CHARGE)

/* Is the ticket held? */
static int is_held(struct txn *t, uint64_t now, const struct datafs_metad_listing *l)
{
	struct rec_session s;
	int ret;

	if (now > l->progress && now - l->progress > DATAFS_LISTING_STALL_SECONDS * DATAFS_SEC)
		return 0;
	ret = rec_session_get(t, l->session, &s);
	return ret == 1 ? !s.closing : ret;
}

int listing_is_there(struct txn *t, uint64_t now, const struct datafs_metad_listing *l)
{
	if (l->state == DATAFS_LISTING_COMING)
		return is_held(t, now, l);
	return l->state == DATAFS_LISTING_PUBLISHED;
}

/* No page is left of it. */
static void forget(struct txn *t, struct rec_listings *all, const struct datafs_metad_listing *l)
{
	rec_listing_del(t, l->number);
	all->charge -= l->charge;
	all->listings--;
}

int listing_end(struct txn *t, struct rec_listings *all, struct datafs_metad_listing *l)
{
	struct key k = key_make('G', l->number), over = key_make2('U', 0, l->number);
	struct rec_listed listed;

	if (rec_listed_get(t, l, &listed) < 0)
		return txn_error(t);
	if (listed.published != l->number && listed.coming != l->number)
		return txn_damaged(t, key_bytes(&k), "a listing that its directory does not know");
	if (listed.published == l->number)
		listed.published = 0;
	else
		listed.coming = 0;
	rec_listed_put(t, l, &listed);
	l->state = DATAFS_LISTING_OVER;
	l->session = 0;
	if (!l->pages) {
		forget(t, all, l);
	} else {
		rec_listing_put(t, l);
		rec_mark_put(t, &over);
	}
	return txn_error(t);
}

/* The pages of one that is over, as many as @records says, and it with the last one. */
static int take_away(struct txn *t, struct rec_listings *all, uint64_t number,
		     unsigned int *records)
{
	struct key k = key_make('G', number);
	struct datafs_metad_listing l;
	struct txn_bytes page;
	uint64_t charge;
	int ret = rec_listing_get(t, number, &l);

	if (ret == 1 && l.state != DATAFS_LISTING_OVER)
		ret = 0;
	if (ret <= 0)
		return ret ? ret : txn_damaged(t, key_bytes(&k), "a listing that is not over");
	for (; l.pages && *records; (*records)--) {
		if (rec_listing_page_get(t, number, l.pages - 1, &page) < 0)
			return txn_error(t);
		charge = rec_listing_page_charge(page.len);
		if (charge > l.charge || charge > all->charge)
			return txn_damaged(t, key_bytes(&k), "what a listing is charged");
		rec_listing_page_del(t, number, --l.pages);
		l.charge -= charge;
		all->charge -= charge;
	}
	if (l.pages)
		rec_listing_put(t, &l);
	else
		forget(t, all, &l);
	return txn_error(t);
}

static int take_away_over(struct txn *t, struct rec_listings *all, unsigned int *records)
{
	struct key over = key_make('U', 0);
	struct txn_bytes key;
	struct txn_scan s;

	txn_scan_begin(&s, t, key_bytes(&over), key_bytes(&over));
	while (*records && txn_scan_next(&s, &key, NULL) == 1) {
		if (key.len != 17)
			txn_damaged(t, key, "a listing that is over");
		else
			take_away(t, all, datafs_get_be64(key.p + 9), records);
	}
	txn_scan_end(&s);
	return txn_error(t);
}

/* The oldest one that nobody is making. 1, 0: there is none; or the error. */
static int find_oldest(struct txn *t, uint64_t now, struct datafs_metad_listing *l)
{
	struct txn_bytes key, val, prefix = { (const uint8_t *)"G", 1 };
	struct txn_scan s;
	int n = 0, ret = 0;

	txn_scan_begin(&s, t, prefix, prefix);
	while (!ret && n++ < OLDEST && txn_scan_next(&s, &key, &val) == 1) {
		if (rec_listing_decode(t, key, val, l) || l->state == DATAFS_LISTING_OVER)
			continue;
		if (l->state != DATAFS_LISTING_COMING)
			ret = 1;
		else
			ret = !is_held(t, now, l);
	}
	txn_scan_end(&s);
	return txn_error(t) ? txn_error(t) : ret;
}

int listing_reap(struct txn *t, uint64_t now, struct rec_listings *all, uint64_t more)
{
	unsigned int few = STEP, records = ROOM_STEP;
	struct datafs_metad_listing l;
	int ret = take_away_over(t, all, &few);

	while (!ret && all->charge + more > DATAFS_LISTINGS_BYTES && records) {
		ret = take_away_over(t, all, &records);
		if (ret || all->charge + more <= DATAFS_LISTINGS_BYTES || !records)
			break;
		ret = find_oldest(t, now, &l);
		if (ret <= 0)
			break;
		records--;
		ret = listing_end(t, all, &l);
	}
	return ret ? ret : all->charge + more <= DATAFS_LISTINGS_BYTES;
}

int listings_end_tickets(struct txn *t)
{
	struct txn_bytes key, val, prefix = { (const uint8_t *)"G", 1 };
	struct datafs_metad_listing l;
	struct rec_listings all;
	struct txn_scan s;

	if (rec_listings_get(t, &all) <= 0)
		return txn_error(t);
	txn_scan_begin(&s, t, prefix, prefix);
	while (txn_scan_next(&s, &key, &val) == 1 && !rec_listing_decode(t, key, val, &l))
		if (l.state == DATAFS_LISTING_COMING)
			listing_end(t, &all, &l);
	txn_scan_end(&s);
	rec_listings_put(t, &all);
	return txn_error(t);
}
