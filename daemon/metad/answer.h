/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of proto/quorum.proto, answered from a member's state as it is now. */
#ifndef DATAFS_METAD_ANSWER_H
#define DATAFS_METAD_ANSWER_H

#include "ns.h"
#include "quorum.pb-c.h"

#define DATAFS_READDIR_MAX	(512u << 10)	/* bytes of entries in one answer */

/* All fields of @res are set. */
void datafs_metad_tell(const struct datafs_metad_attr *attr, Metad__Attr *res);

/*
 * datafs_metad_answer - answer a question
 * @q:		decoded; whatever it holds
 * @res:	to be freed with metad__answer__free_unpacked(); what was asked wrongly
 *		has its error in it
 *
 * 0 or -ENOMEM. Any thread; may block on the disk.
 */
int datafs_metad_answer(struct datafs_metad *m, const Metad__Query *q,
			Metad__Answer **res);

#endif
