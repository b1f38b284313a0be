/* SPDX-License-Identifier: Apache-2.0 */
/* What test_server_questions.c has instead of the product's own (the linker's --wrap). */
#ifndef DATAFS_TEST_QUESTIONS_WRAP_H
#define DATAFS_TEST_QUESTIONS_WRAP_H

#include "metad/answer.h"
#include "metad/member.h"

int __wrap_datafs_member_read(struct datafs_member *m, struct datafs_member_read *read);
int __wrap_datafs_metad_answer(struct datafs_metad *m, const Metad__Query *q,
			       Metad__Answer **res);

#endif
