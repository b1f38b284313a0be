/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_METAD_ANSWER_H
#define DATAFS_METAD_ANSWER_H

#include "metad/ns.h"
#include "quorum.pb-c.h"

/*
 * Answers a question from what this member has now; whether that is new enough is
 * the caller's to see to. *@res: a packed Reply, for free(). Blocks on the disk. Its
 * length, or -ENOMEM.
 */
long datafs_answer(struct datafs_metad *m, const struct Metad__Query *query, uint8_t **res);

#endif
