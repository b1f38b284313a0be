/* SPDX-License-Identifier: Apache-2.0 */
/* What the module's requests must look like before anybody looks into them. */
#ifndef DATAFS_FRONTEND_CHECK_H
#define DATAFS_FRONTEND_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "datafs_abi.h"

/* Who works on it; each lane but the pool is one thread, in order. */
enum datafs_lane { DATAFS_LANE_POOL, DATAFS_LANE_MOUNTS, DATAFS_LANE_REVOKED };

enum datafs_name_kind {
	DATAFS_NAME_NONE,
	DATAFS_NAME_ENTRY,	/* not "." nor "..", no '/' */
	DATAFS_NAME_XATTR,
};

/* The struct first, then the name, then one more string, each from a multiple of 8. */
struct datafs_shape {
	uint32_t body;		/* bytes of the struct */
	enum datafs_name_kind name;
	/*
	 * Bytes of the string behind, and whether it is one: NULL: there is none.
	 * @more has @room bytes.
	 */
	bool (*more)(const void *body, const char *more, uint32_t room, uint32_t *len);
	/*
	 * Told once, and what is lost is not seen again: a mount that never
	 * goes, a slot that is never free. No answer has a body.
	 */
	bool once;
	enum datafs_lane lane;
};

/* By opcode. */
extern const struct datafs_shape datafs_shapes[DATAFS_OP_NR];

/* The longest struct of a request that is told once. */
#define DATAFS_ONCE_BODY	8

/* NULL, or what is wrong with a request of a known opcode whose length is as it says. */
const char *datafs_request_check(const struct datafs_req *req, const void *body);

#endif
