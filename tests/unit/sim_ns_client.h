/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the namespace, for struct sim_machine. */
#ifndef DATAFS_TEST_SIM_NS_CLIENT_H
#define DATAFS_TEST_SIM_NS_CLIENT_H

#include "sim.h"

void ns_clients_begin(struct sim *s);
void ns_clients_end(struct sim *s);
void ns_ask(struct sim *s, unsigned int i);
enum sim_told ns_told(struct sim *s, unsigned int i, const void *buf, size_t len);
void ns_gave_up(struct sim *s, unsigned int i);
const char *ns_check(struct sim *s);

/* sim_ns_read.c */
void *ns_read(void *state, const void *req, size_t len, size_t *answer_len);
struct ns_tree;
/* False: it cannot be read, or is too large. */
bool ns_read_all(void *state, struct ns_tree *tree);

#endif
