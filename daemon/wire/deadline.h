/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many deadlines on one timer of the loop: a heap, whose first one a timerfd
 * waits for. All of it is of the loop's thread and does not block.
 */
#ifndef DATAFS_WIRE_DEADLINE_H
#define DATAFS_WIRE_DEADLINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct datafs_deadline {
	void (*fn)(struct datafs_deadline *d);
	int64_t at;	/* datafs_now() */
	size_t pos;	/* in the heap, from 1; 0: not set */
};

struct datafs_deadlines;

int datafs_deadlines_new(struct datafs_loop *loop, struct datafs_deadlines **res);
/* None is called any more. */
void datafs_deadlines_free(struct datafs_deadlines *ds);
/*
 * Sets @d to @ms from now, or anew; @fn is called once, not before, and may set
 * it again. 0 or -ENOMEM, and then it is not set. Setting anew does not fail.
 */
int datafs_deadline_set(struct datafs_deadlines *ds, struct datafs_deadline *d,
			uint32_t ms);
void datafs_deadline_clear(struct datafs_deadlines *ds,
			   struct datafs_deadline *d);

#endif
