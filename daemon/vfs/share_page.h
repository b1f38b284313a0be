/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of shared listings: what the quorum keeps of a directory, a name after the other.
 * It is read by other daemons, maybe of other versions, and believed only where it is whole:
 *
 *	u8 version, then of each name
 *	u8 flags, u16 length, the name,
 *	and if it was looked at 156 bytes: struct datafs_under_stat in its order
 *
 * All numbers are big-endian; times are seconds (64 bits) and nanoseconds (32 bits).
 */
#ifndef DATAFS_SHARE_PAGE_H
#define DATAFS_SHARE_PAGE_H

#include <stdint.h>

#include "datafs_abi.h"
#include "metad/listings.h"
#include "under/under.h"

struct vfs_share_page {
	size_t len;
	uint8_t b[DATAFS_LISTING_PAGE_MAX];
};

/* What one name takes at the most. */
#define VFS_SHARE_ENTRY_MAX	(3 + DATAFS_NAME_MAX + 156)

/* Nothing is in it. */
void vfs_share_page_begin(struct vfs_share_page *page);
bool vfs_share_page_empty(const struct vfs_share_page *page);
/* Can a page have it? */
bool vfs_share_page_name(const char *name, size_t len);
/*
 * One more, of such a name; @st NULL: it is there and could not be looked at. False: there is
 * no room.
 */
bool vfs_share_page_add(struct vfs_share_page *page, const char *name,
			const struct datafs_under_stat *st);
/*
 * All that are in these bytes; @fn as of datafs_under_list(). An error of @fn; -EPROTO: they
 * are no page of this version, and what @fn was told before that is right or not.
 */
int vfs_share_page_each(const void *bytes, size_t len, datafs_under_list_fn fn, void *arg);

#endif
