/* SPDX-License-Identifier: Apache-2.0 */
/* What test_server_holder stands in front of (the linker's --wrap). */
#ifndef DATAFS_TEST_HOLDER_WRAP_H
#define DATAFS_TEST_HOLDER_WRAP_H

#include "metad/member.h"
#include "metad/touched.h"
#include "wire/messenger.h"

int __real_datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call,
			    const void *body, uint32_t len, uint32_t ms);
int __wrap_datafs_conn_call(struct datafs_conn *conn, struct datafs_call *call,
			    const void *body, uint32_t len, uint32_t ms);
int __real_datafs_touched(struct datafs_metad *m, const struct Metad__Command *c,
			  struct datafs_grant_object objects[DATAFS_TOUCHED_MAX],
			  unsigned int *said);
int __wrap_datafs_touched(struct datafs_metad *m, const struct Metad__Command *c,
			  struct datafs_grant_object objects[DATAFS_TOUCHED_MAX],
			  unsigned int *said);
int __real_datafs_member_submit(struct datafs_member *m, struct datafs_member_op *op);
int __wrap_datafs_member_submit(struct datafs_member *m, struct datafs_member_op *op);

#endif
