// SPDX-License-Identifier: Apache-2.0
/* Records of shared listings. */
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define LISTING_FIXED	(1 + 1 + 6 * 8 + 4)	/* the key follows */
#define LISTED_LEN	(1 + 8 + 8)
#define LISTINGS_LEN	(1 + 8 + 8 + 4)

static const struct key all_key = { "U", 1 };

uint64_t rec_listing_charge(size_t key_len)
{
	return DATAFS_LISTING_CHARGE + key_len;
}

uint64_t rec_listing_page_charge(size_t len)
{
	return DATAFS_MAX(len, (size_t)DATAFS_LISTING_CHARGE);
}

static bool listing_ok(const struct datafs_metad_listing *l)
{
	bool coming = l->state == DATAFS_LISTING_COMING;

	return l->number && l->mount && l->generation >= l->mount &&
	       l->state <= DATAFS_LISTING_OVER && l->state != DATAFS_LISTING_NONE &&
	       l->state != DATAFS_LISTING_YOURS && coming == !!l->session &&
	       l->progress >= l->looked && l->pages <= DATAFS_LISTING_PAGES &&
	       l->key_len <= DATAFS_LISTING_KEY_MAX &&
	       l->charge >= rec_listing_charge(l->key_len) + l->pages * DATAFS_LISTING_CHARGE;
}

int rec_listing_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		       struct datafs_metad_listing *l)
{
	if (key.len != 9 || val.len < LISTING_FIXED || *val.p != REC_VERSION)
		return txn_damaged(t, key, "listing");
	*l = (struct datafs_metad_listing){
		.number = datafs_get_be64(key.p + 1),
		.state = (enum datafs_listing_state)val.p[1],
		.mount = datafs_get_be64(val.p + 2),
		.generation = datafs_get_be64(val.p + 10),
		.session = datafs_get_be64(val.p + 18),
		.looked = datafs_get_be64(val.p + 26),
		.progress = datafs_get_be64(val.p + 34),
		.charge = datafs_get_be64(val.p + 42),
		.pages = datafs_get_be32(val.p + 50),
		.key = val.p + LISTING_FIXED, .key_len = val.len - LISTING_FIXED,
	};
	return listing_ok(l) ? 0 : txn_damaged(t, key, "listing's numbers");
}

int rec_listing_get(struct txn *t, uint64_t number, struct datafs_metad_listing *l)
{
	struct key k = key_make('G', number);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret == 1)
		ret = rec_listing_decode(t, key_bytes(&k), val, l) ? txn_error(t) : 1;
	return ret;
}

void rec_listing_put(struct txn *t, const struct datafs_metad_listing *l)
{
	struct key k = key_make('G', l->number);
	uint8_t val[LISTING_FIXED + DATAFS_LISTING_KEY_MAX] = { REC_VERSION, (uint8_t)l->state };

	datafs_put_be64(val + 2, l->mount);
	datafs_put_be64(val + 10, l->generation);
	datafs_put_be64(val + 18, l->session);
	datafs_put_be64(val + 26, l->looked);
	datafs_put_be64(val + 34, l->progress);
	datafs_put_be64(val + 42, l->charge);
	datafs_put_be32(val + 50, l->pages);
	if (l->key_len)
		memcpy(val + LISTING_FIXED, l->key, l->key_len);
	txn_put(t, key_bytes(&k), (struct txn_bytes){ val, LISTING_FIXED + l->key_len });
}

void rec_listing_del(struct txn *t, uint64_t number)
{
	struct key k = key_make('G', number), over = key_make2('U', 0, number);

	rec_del(t, &k);
	rec_del(t, &over);
}

int rec_listing_page_get(struct txn *t, uint64_t number, uint32_t page, struct txn_bytes *bytes)
{
	struct key k = key_make2('F', number, page);
	int ret = rec_bytes_get(t, &k, bytes);

	if (!ret)
		return txn_damaged(t, key_bytes(&k), "a page of a listing that is not there");
	if (ret == 1 && bytes->len > DATAFS_LISTING_PAGE_MAX)
		return txn_damaged(t, key_bytes(&k), "page of a listing");
	return ret;
}

void rec_listing_page_put(struct txn *t, uint64_t number, uint32_t page, struct txn_bytes bytes)
{
	struct key k = key_make2('F', number, page);

	rec_bytes_put(t, &k, bytes);
}

void rec_listing_page_del(struct txn *t, uint64_t number, uint32_t page)
{
	struct key k = key_make2('F', number, page);

	rec_del(t, &k);
}

/* Of no length, and the transaction has failed: no memory. */
static struct txn_bytes listed_key(struct txn *t, const struct datafs_metad_listing *l)
{
	uint8_t *p = txn_alloc(t, 17 + l->key_len);

	if (!p)
		return (struct txn_bytes){ 0 };
	*p = 'U';
	datafs_put_be64(p + 1, l->mount);
	datafs_put_be64(p + 9, l->generation);
	if (l->key_len)
		memcpy(p + 17, l->key, l->key_len);
	return (struct txn_bytes){ p, 17 + l->key_len };
}

int rec_listed_get(struct txn *t, const struct datafs_metad_listing *l,
		   struct rec_listed *listed)
{
	struct txn_bytes key = listed_key(t, l), val;
	int ret = key.len ? txn_get(t, key, &val) : txn_error(t);

	*listed = (struct rec_listed){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != LISTED_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key, "listings of a directory");
	listed->published = datafs_get_be64(val.p + 1);
	listed->coming = datafs_get_be64(val.p + 9);
	if ((!listed->published && !listed->coming) || listed->published == listed->coming)
		return txn_damaged(t, key, "numbers of a directory's listings");
	return 1;
}

void rec_listed_put(struct txn *t, const struct datafs_metad_listing *l,
		    const struct rec_listed *listed)
{
	struct txn_bytes key = listed_key(t, l);
	uint8_t val[LISTED_LEN] = { REC_VERSION };

	if (!key.len)
		return;
	datafs_put_be64(val + 1, listed->published);
	datafs_put_be64(val + 9, listed->coming);
	if (listed->published || listed->coming)
		txn_put(t, key, (struct txn_bytes){ val, sizeof(val) });
	else
		txn_del(t, key);
}

int rec_listings_get(struct txn *t, struct rec_listings *all)
{
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&all_key), &val);

	*all = (struct rec_listings){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != LISTINGS_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&all_key), "room of listings");
	all->last = datafs_get_be64(val.p + 1);
	all->charge = datafs_get_be64(val.p + 9);
	all->listings = datafs_get_be32(val.p + 17);
	if (!all->last || all->listings > all->last || all->charge > DATAFS_LISTINGS_BYTES ||
	    all->charge < (uint64_t)all->listings * DATAFS_LISTING_CHARGE)
		return txn_damaged(t, key_bytes(&all_key), "numbers of the room of listings");
	return 1;
}

void rec_listings_put(struct txn *t, const struct rec_listings *all)
{
	uint8_t val[LISTINGS_LEN] = { REC_VERSION };

	datafs_put_be64(val + 1, all->last);
	datafs_put_be64(val + 9, all->charge);
	datafs_put_be32(val + 17, all->listings);
	txn_put(t, key_bytes(&all_key), (struct txn_bytes){ val, sizeof(val) });
}
