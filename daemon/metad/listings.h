/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared listings: what directories of under-stores list, as one daemon has seen it and told
 * the quorum, for the others. Documentation/metadata.rst, "Shared listings".
 *
 *	(none) --ticket--> COMING --last page--> PUBLISHED
 *	                     |                       |
 *	                     +-- dropped, over ------+-- replaced, or no room: OVER
 *
 * Members must agree on all of it.
 */
#ifndef DATAFS_METAD_LISTINGS_H
#define DATAFS_METAD_LISTINGS_H

/* Bytes of all listings that a quorum keeps; of each, DATAFS_LISTING_CHARGE at the least. */
#define DATAFS_LISTINGS_BYTES	(64ull << 20)
/* What a listing, and a page, is charged at the least. */
#define DATAFS_LISTING_CHARGE	2048u
#define DATAFS_LISTING_PAGE_MAX	65536u	/* bytes */
#define DATAFS_LISTING_PAGES	256u	/* of one listing */
#define DATAFS_LISTING_KEY_MAX	4096u	/* bytes */
/* A ticket of which no page came for so long is over; of entries' time. */
#define DATAFS_LISTING_STALL_SECONDS	60u
/* For how long nobody is given a ticket of one that was too large; the same. */
#define DATAFS_LISTING_LARGE_SECONDS	3600u

/* As they are in records, and in what is answered. */
enum datafs_listing_state {
	DATAFS_LISTING_NONE = 0,	/* none is shared: the store is to be asked */
	DATAFS_LISTING_PUBLISHED = 1,	/* all its pages are there */
	DATAFS_LISTING_COMING = 2,	/* somebody has the ticket */
	DATAFS_LISTING_YOURS = 3,	/* ... the session that asks; in no record */
	DATAFS_LISTING_LARGE = 4,	/* it had more than DATAFS_LISTING_PAGES; only in records */
	DATAFS_LISTING_OVER = 5,	/* it is being reaped; only in records */
};

#endif
