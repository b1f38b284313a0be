/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of spoiling share. */
#ifndef DATAFS_TEST_HOSTILE_SPOIL_H
#define DATAFS_TEST_HOSTILE_SPOIL_H

#include "hostile.h"

/* Spoils @d, if there is something in it that can be spoilt so: then @may is set. */
struct way {
	const char *name;
	void (*fn)(const struct datafs_req *r, struct draft *d, uint64_t *choice, bool *may);
};

extern const struct way any_ways[];			/* of any answer */
extern const struct way *const own_ways[DATAFS_OP_NR];	/* those of an opcode */

/* Where in @d one of its structs is; below 0: it has none. */
long at_dirent(const struct draft *d, uint64_t *choice);
long at_dirent_attr(const struct draft *d, uint64_t *choice);
long at_extent(const struct draft *d, uint64_t *choice);
long at_crc(const struct draft *d, uint64_t *choice);

#endif
