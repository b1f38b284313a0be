/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: what request.c and transfer.c share: the steps of a request's life.
 */
#ifndef DATAFS_REQUEST_H
#define DATAFS_REQUEST_H

#include "datafs.h"

/* They have an order, and are not ended by the death of who waits for them. */
static inline bool datafs_request_changes(const struct datafs_request *req)
{
	return req->head.opcode >= DATAFS_OP_CREATE;
}

void datafs_request_get(struct datafs_request *req);
/* Drops a reference that has a user of the mount beside it, in that order. */
void datafs_request_put_user(struct datafs_request *req);
/*
 * Takes it from the queues for its end; the caller now has what the queue had.
 * The instance's lock is held.
 */
void datafs_request_detach(struct datafs_request *req,
			   enum datafs_req_state state);
/* After it is DONE and @error is set: tells everybody. May sleep. */
void datafs_request_tell(struct datafs_request *req);

#endif /* DATAFS_REQUEST_H */
