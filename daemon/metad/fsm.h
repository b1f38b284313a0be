/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespace (ns.h) as the state machine of a member's log (member.h). An
 * operation of the log is, big-endian: u64 the leader's time (nanoseconds since
 * 1970), then a packed Command; an entry of the log is applied as one Entry of
 * proto/meta.proto, whose time is the latest of its operations'.
 *
 * It is in "db" of a directory. A snapshot that is restored is built in "db.new"
 * and put in its place; what a crash leaves half done is done, or undone, when it
 * is opened.
 */
#ifndef DATAFS_FSM_H
#define DATAFS_FSM_H

#include "meta.pb-c.h"
#include "metad/member.h"
#include "metad/ns.h"

struct datafs_fsm;

struct datafs_fsm_options {
	const char *dir;	/* is there */
	uint8_t id[DATAFS_METAD_ID_LEN];
};

/* As datafs_metad_open(), and logged. */
int datafs_fsm_open(const struct datafs_fsm_options *opt, struct datafs_fsm **res);
/* Nothing may be under way. NULL is nothing. */
void datafs_fsm_close(struct datafs_fsm *f);

/* What a member calls: all of one thread. */
struct datafs_raft_fsm datafs_fsm_raft(struct datafs_fsm *f);

/*
 * A client's command as an operation, with the time of now; for free(). It must be
 * of this version. 0 or -ENOMEM. Any thread.
 */
int datafs_fsm_command(const Metad__Command *cmd, uint8_t **res, size_t *len);

/* To read; any thread. It stays open meanwhile; a restore waits for the end. */
struct datafs_metad *datafs_fsm_read_begin(struct datafs_fsm *f);
void datafs_fsm_read_end(struct datafs_fsm *f);

#endif
