// SPDX-License-Identifier: Apache-2.0
/*
 * Commands, on the raft thread. One that changes what may be believed:
 *
 *	waits	until no other is under way to one of its names (server_names.c)
 *	ready	what it changes is looked up; the table of grants has it recalled
 *	goes	nobody else believes any of it: it is proposed
 *	done	applied, or not: what its session may believe now is said with the answer
 *
 * All others are proposed at once.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "metad/op.h"

_Static_assert(DATAFS_TOUCHED_MAX <= DATAFS_CHANGE_OBJECTS, "the table has room");

/* Its marks are taken away. True: its session believes what it is told now. */
static bool unmark(struct ask *a, bool applied)
{
	struct server_leases *l = &a->s->leases;
	bool believed = false;

	/* those in a table that is gone are gone with it */
	if (a->marked_in && a->marked_in == l->nr && l->table)
		believed = datafs_change_end(l->table, &a->marks, server_now(), applied);
	a->marked_in = 0;
	if (a->unmarked_in && a->unmarked_in == l->nr && l->table)
		l->unmarked--;
	a->unmarked_in = 0;
	server_names_give(a->s, a);
	return believed;
}

static void end(struct ask *a, int error)
{
	unmark(a, false);
	server_ask_end(a, error);
}

/*
 * What it has made, which nobody could be told of before, nor change: what did so meanwhile
 * is not answered yet, and marks it still.
 */
static bool grant_made(struct ask *a, const Metad__Result *res)
{
	struct datafs_grant_object o = { .kind = DATAFS_GRANT_ATTR };

	switch (a->what.command->op_case) {
	case METAD__COMMAND__OP_CREATE:
	case METAD__COMMAND__OP_MKDIR:
	case METAD__COMMAND__OP_MKNOD:
	case METAD__COMMAND__OP_SYMLINK:
		o.ino = res->node ? res->node->ino : 0;
		return o.ino && datafs_grant(a->s->leases.table, a->what.command->session,
					     server_now(), &o);
	default:
		return true;
	}
}

static void note_session(struct ask *a, const Metad__Result *res)
{
	uint64_t session = a->what.command->session;

	if (res->error)
		return;
	if (a->what.command->op_case == METAD__COMMAND__OP_SESSION_OPEN)
		server_session_opened(a->s, session);
	if (a->what.command->op_case == METAD__COMMAND__OP_SESSION_CLOSE)
		server_session_closed(a->s, session, res->more);
}

static void command_done(struct datafs_member_op *op, int err, const void *buf, size_t len)
{
	struct ask *a = (void *)((char *)op - offsetof(struct ask, op));
	Metad__Reply r = METAD__REPLY__INIT;
	Metad__Result *res;
	bool applied;

	if (err) {
		end(a, -err);
		return;
	}
	/* without memory for it nothing of it is believed */
	res = metad__result__unpack(NULL, len, buf);
	applied = a->marked_in && res && !res->error &&
		  server_session_at(a->s, a->what.command->session, a->conn_nr);
	r.has_believe = true;
	r.believe = unmark(a, applied) && grant_made(a, res);
	if (res) {
		note_session(a, res);
		metad__result__free_unpacked(res, NULL);
	}
	r.has_result = true;
	r.result = (ProtobufCBinaryData) { len, (uint8_t *)buf };
	server_ask_reply(a, &r);
}

static void propose(struct ask *a)
{
	int err;

	a->op.done = command_done;
	a->op.buf = a->what.what->command.data;
	a->op.len = a->what.what->command.len;
	err = datafs_member_submit(a->s->member, &a->op);
	if (err)
		end(a, err == -EBUSY ? EAGAIN : -err);
}

void server_command_go(struct ask *a)
{
	if (a->s->leases.closed)
		end(a, EIO);
	/* also if it has lost, and won, leadership since it was let go */
	else if (a->refused || !server_table(a->s) || a->marked_in != a->s->leases.nr)
		end(a, EREMOTE);
	else
		propose(a);
}

/* The table may call this in any of its calls, and nothing of it may be called here. */
static void go(struct datafs_change *c, int err)
{
	struct ask *a = (void *)((char *)c - offsetof(struct ask, marks));

	a->refused = err;
	TAILQ_INSERT_TAIL(&a->s->leases.going, a, ready);
}

void server_command_ready(struct ask *a)
{
	struct datafs_server *s = a->s;
	unsigned int said = 0;
	int n, err;

	if (s->leases.closed) {
		end(a, EIO);
		return;
	}
	if (s->leases.table && s->leases.idle) {
		a->unmarked_in = s->leases.nr;
		s->leases.unmarked++;
		propose(a);
		return;
	}
	n = s->leases.table ? datafs_touched(s->ns, a->what.command, a->marks.objects, &said) : 0;
	server_damaged(s, n);
	/* who does not lead is refused by the member */
	if (n <= 0) {
		if (n)
			end(a, n == -ENOMEM ? EAGAIN : EIO);
		else
			propose(a);
		return;
	}
	a->marks.n = (unsigned int)n;
	a->marks.session = a->what.command->session;
	/* what was sent before the session began anew it may not know of: it is told, too */
	a->marks.said = server_session_sent(s, a->marks.session, a) ? said : 0;
	a->marks.go = go;
	a->marked_in = s->leases.nr;
	err = datafs_change_begin(s->leases.table, &a->marks, server_now());
	if (err) {
		a->marked_in = 0;
		end(a, -err);
	}
}

/*
 * What needs next to no room, or makes some; or comes before what does: a session, without
 * which a mount does not even read, and the hold of what is open and loses its name.
 */
static bool is_small(Metad__Command__OpCase op)
{
	static const Metad__Command__OpCase small[] = {
		METAD__COMMAND__OP_NOOP, METAD__COMMAND__OP_SESSION_OPEN,
		METAD__COMMAND__OP_SESSION_RENEW, METAD__COMMAND__OP_SESSION_CLOSE,
		METAD__COMMAND__OP_UNLINK, METAD__COMMAND__OP_RMDIR,
		METAD__COMMAND__OP_REMOVEXATTR, METAD__COMMAND__OP_HOLD,
		METAD__COMMAND__OP_RELEASE, METAD__COMMAND__OP_MOUNT_REMOVE,
		METAD__COMMAND__OP_NODE_REMOVE, METAD__COMMAND__OP_POLICY_REMOVE,
		METAD__COMMAND__OP_JOB_CANCEL, METAD__COMMAND__OP_JOB_REMOVE,
		METAD__COMMAND__OP_LISTING_DROP,
	};

	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if (small[i] == op)
			return true;
	return false;
}

/* Of who does not lead the room is not asked. */
static int check_room(struct ask *a)
{
	struct datafs_member_status st;

	if (a->s->room == ROOM_ENOUGH)
		return 0;
	datafs_member_status(a->s->member, &st);
	if (!st.leads || (a->s->room == ROOM_LITTLE && is_small(a->what.command->op_case)))
		return 0;
	return a->s->room == ROOM_LITTLE ? ENOSPC : EAGAIN;
}

static void begin(struct ask *a)
{
	int err = check_room(a);

	if (err) {
		server_ask_end(a, err);
		return;
	}
	server_session_seen(a->s, a->what.command->session);
	if (!datafs_touches(a->what.command))
		propose(a);
	else if (server_names_take(a->s, a))
		TAILQ_INSERT_TAIL(&a->s->leases.ready, a, ready);
}

/* Is the level that has it in force? Members that do not know it would halt. */
static bool has_level(const struct ask *a)
{
	return op_level(a->what.command->op_case) <= datafs_metad_level(datafs_fsm_ns(a->s->fsm));
}

/* The state has all that was raised before. */
static void level_read(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));

	if (err)
		server_ask_end(a, -err);
	else if (!has_level(a))
		server_ask_end(a, EOPNOTSUPP);
	else
		begin(a);
}

void server_command(struct ask *a)
{
	int err;

	if (has_level(a)) {
		begin(a);
		return;
	}
	/* who does not lead, or has just begun to, may be behind */
	a->read.done = level_read;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}
