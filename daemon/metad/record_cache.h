/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the records of a database are, of those that were read or written last: sessions,
 * their answers, inodes. A command finds most of what it asks for here. It has nothing
 * that is not in the database: who writes there says so here, and nobody else writes.
 * Of one thread.
 */
#ifndef DATAFS_METAD_RECORD_CACHE_H
#define DATAFS_METAD_RECORD_CACHE_H

#include <stdbool.h>

#include "txn.h"

struct record_cache;

/* NULL: no memory. */
struct record_cache *record_cache_new(void);
/* Also of NULL. */
void record_cache_free(struct record_cache *c);

/* False: it is not known here. @val is good until the next call. */
bool record_cache_get(const struct record_cache *c, struct txn_bytes key, struct txn_bytes *val);
/* It is so in the database; copied, or forgotten if it is not worth it. */
void record_cache_put(struct record_cache *c, struct txn_bytes key, struct txn_bytes val);
/* It may be anything in the database. */
void record_cache_drop(struct record_cache *c, struct txn_bytes key);

#endif
