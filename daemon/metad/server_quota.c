// SPDX-License-Identifier: Apache-2.0
/* Quotas: set and removed, as commands of the leader's own. On the raft thread. */
#include "metad/server_internal.h"

#include <errno.h>

#include "metad/decode.h"

static void done(struct datafs_member_op *op, int err, const void *res, size_t len)
{
	struct ask *a = (void *)((char *)op - offsetof(struct ask, own));
	Metad__Result *r = NULL;

	if (!err)
		err = metad_unpack(&metad__result__descriptor, res, len, &r);
	server_ask_end(a, err ? -err : (int)r->error);
	metad__result__free_unpacked(r, NULL);
}

static void propose(struct ask *a)
{
	const Metad__Admin *admin = a->what.what->admin;
	Metad__Command c = METAD__COMMAND__INIT;
	int err;

	if (admin->of_case == METAD__ADMIN__OF_SET_QUOTA) {
		c.op_case = METAD__COMMAND__OP_SET_QUOTA;
		c.set_quota = admin->set_quota;
	} else {
		c.op_case = METAD__COMMAND__OP_REMOVE_QUOTA;
		c.remove_quota = admin->remove_quota;
	}
	a->own.done = done;
	a->own.buf = a->command;
	a->own.len = metad__command__pack(&c, a->command);
	err = datafs_member_submit(a->s->member, &a->own);
	if (err)
		server_ask_end(a, err == -EBUSY ? EAGAIN : -err);
}

/* The state has all that was raised before. */
static void level_read(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));

	if (err)
		server_ask_end(a, -err);
	else if (datafs_metad_level(datafs_fsm_ns(a->s->fsm)) < DATAFS_METAD_LEVEL_QUOTA)
		server_ask_end(a, EOPNOTSUPP);
	else
		propose(a);
}

void server_quota(struct ask *a)
{
	int err;

	/* who has just begun to lead may be behind */
	a->read.done = level_read;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}
