/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a history of operations linearizable? The search of Wing and Gong: take,
 * one after the other, an operation that began before all others that are left
 * had ended, and see whether the model allows its result; go back where none
 * fits. What was tried is remembered (Lowe): the set of operations taken and the
 * state they lead to.
 *
 * An operation whose answer was not seen may have taken effect at any time after its
 * begin, or never: its end is LIN_MAYBE, and its result is not compared. One of which
 * it is known since when it cannot any more has that end, and is "lost".
 * The search takes few of them first, since few ever mattered; and a read as soon as its
 * answer is right.
 *
 * No state but a call's own. The time it takes can grow exponentially with the
 * operations that overlap; the number of steps is bounded.
 */
#ifndef DATAFS_TEST_LIN_CHECK_H
#define DATAFS_TEST_LIN_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIN_MAYBE	UINT64_MAX

struct lin_op {
	uint64_t begin, end;	/* any clock that all share; begin <= end */
	const void *what;	/* for the model: what was asked, and the answer */
	bool lost;		/* maybe it did nothing; its answer is not known */
};

struct lin_model {
	size_t size;		/* bytes of a state, without pointers, padding zeroed */
	void (*init)(void *state);
	/*
	 * Does @op on @state, and tells whether its answer is right. @maybe: there
	 * was no answer. Called with a copy of the state.
	 */
	bool (*step)(void *state, const void *op, bool maybe);
	/* Does @op change no state, whichever it is? */
	bool (*reads)(const void *op);
	uint64_t (*hash)(const void *state);
	bool (*equal)(const void *a, const void *b);
};

enum lin_result { LIN_OK, LIN_BAD, LIN_TOO_HARD };

/* After @steps calls of the model it is LIN_TOO_HARD. */
enum lin_result lin_check(const struct lin_model *model, const struct lin_op *ops,
			  unsigned int n, unsigned long steps);

#endif
