/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespace (ns.h) as the state machine of a member of a quorum (member.h).
 *
 *	packed Command		an operation, as datafs_member_submit() takes it
 *	packed Result		what it is answered with
 *	stamp			what the leader alone knows of an entry: its clock, and
 *				the feature level; a packed Entry without commands
 *
 * What is applied is the stamp and the commands behind each other, which is how
 * protobuf encodes an Entry that has both. New inode numbers follow from the state,
 * so the leader puts none into it.
 *
 * An entry that one member does not understand halts all of them, at each start
 * again. So nothing is submitted that has not been through datafs_fsm_decode().
 *
 * Databases are directories "db-N" in one directory; the highest N counts, and is
 * whole. A snapshot that is restored becomes the next, by links to its tables, and
 * then the one before goes.
 *
 * All calls are of one thread, the member's. What datafs_fsm_ns() returned is good
 * until the member is called again, which may restore a snapshot.
 */
#ifndef DATAFS_FSM_H
#define DATAFS_FSM_H

#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "member.h"
#include "meta.pb-c.h"
#include "ns.h"

struct datafs_fsm;

struct datafs_fsm_options {
	/* Made if missing; on the filesystem of the member's snapshots. */
	const char *dir;
	/* The namespace's id, the same on all members. */
	uint8_t id[DATAFS_METAD_ID_LEN];
	/* as those of struct datafs_metad_options */
	uint32_t level;
	struct datafs_metad_memory memory;
	/* The environment of each database that is opened; NULL: datafs_env_open(). */
	int (*env)(void *ctx, struct datafs_env **res);
	/* Nanoseconds since 1970; NULL: CLOCK_REALTIME. It may go back. */
	uint64_t (*clock)(void *ctx);
	void *ctx;
};

/* The options are copied, but @ctx. 0, -ENOMEM, or what datafs_metad_open() says. */
int datafs_fsm_open(const struct datafs_fsm_options *opt, struct datafs_fsm **res);
/* After the member was closed. NULL is nothing. */
void datafs_fsm_close(struct datafs_fsm *f);

/* Which database of directory @dir counts; 0: it has none. 0, or what the disk said. */
int datafs_fsm_newest(const char *dir, uint64_t *n);

/* For struct datafs_member_config. */
struct datafs_raft_fsm datafs_fsm_ops(struct datafs_fsm *f);

/* What is read, behind datafs_member_read(). Never NULL; also after a halt. */
struct datafs_metad *datafs_fsm_ns(struct datafs_fsm *f);

/*
 * datafs_fsm_decode - may this be submitted?
 * @res:	the command, for metad__command__free_unpacked(*res, NULL); NULL if
 *		nobody wants it
 * @why:	the reason of -EPROTO, a static text; NULL if nobody wants it
 *
 * 0: all members that run this version apply it, and its errors are its answer.
 * -EMSGSIZE: too long for an entry. -EPROTO: it cannot be decoded, or has a command,
 * a field or a feature level that this version does not know. -ENOMEM.
 *
 * Whose session it names is not looked at: who takes a command from a client refuses
 * one that is not that client's, and session 0, which is the leader's own.
 */
int datafs_fsm_decode(const void *buf, size_t len, struct Metad__Command **res,
		      const char **why);

#endif
