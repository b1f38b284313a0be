/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of one register: put a value, add to it, or get it. The answer of
 * each is the value after it, so that an addition done twice shows.
 */
#ifndef DATAFS_TEST_LIN_REGISTER_H
#define DATAFS_TEST_LIN_REGISTER_H

#include "lin_check.h"

enum register_kind { REGISTER_GET, REGISTER_PUT, REGISTER_ADD };

struct register_op {
	enum register_kind kind;
	uint64_t value;		/* put, or added */
	uint64_t answer;
};

static inline void register_init(void *state)
{
	*(uint64_t *)state = 0;
}

static inline bool register_step(void *state, const void *op, bool maybe)
{
	const struct register_op *o = op;
	uint64_t *v = state;

	if (o->kind == REGISTER_PUT)
		*v = o->value;
	else if (o->kind == REGISTER_ADD)
		*v += o->value;
	return maybe || o->answer == *v;
}

static inline bool register_reads(const void *op)
{
	return ((const struct register_op *)op)->kind == REGISTER_GET;
}

static inline uint64_t register_hash(const void *state)
{
	return *(const uint64_t *)state * 0xff51afd7ed558ccdull;
}

static inline bool register_equal(const void *a, const void *b)
{
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static const struct lin_model register_model = {
	.size = sizeof(uint64_t), .init = register_init, .step = register_step,
	.reads = register_reads, .hash = register_hash, .equal = register_equal,
};

#endif
