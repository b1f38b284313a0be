/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quorum in one process, with a time of its own: whatever happens is an event
 * with a time, and is decided by the seed. The members are the product's
 * (metad/member.h), and their state machine is a LevelDB on a disk that loses
 * power (fault_env.h). Doubles are: the network; the disk of the log (sim_disk.c);
 * the state machine's operations (sim_fsm.c), a few registers.
 */
#ifndef DATAFS_TEST_SIM_H
#define DATAFS_TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lin_register.h"
#include "metad/member.h"

#define SIM_MEMBERS	8u	/* at most, ids 1 to that */
#define SIM_KEYS	3u
#define SIM_CLIENTS	4u
#define SIM_SESSIONS	256u	/* client ids of a run: one that gives up gets another */
#define SIM_OPS		4096u

struct sim;

/* --- the state machine: registers, and what was answered to whom --- */

struct sim_request {
	uint64_t client, request;	/* of a client one after the other */
	uint64_t value;
	uint32_t key, kind;		/* enum register_kind */
};

struct sim_fsm;
struct sim_fsm *sim_fsm_new(struct sim *s, const char *dir, uint64_t seed);
void sim_fsm_free(struct sim_fsm *f);
/* After it was made, and after a crash. */
void sim_fsm_open(struct sim_fsm *f);
void sim_fsm_crash(struct sim_fsm *f);
struct datafs_raft_fsm sim_fsm_ops(struct sim_fsm *f);
uint64_t sim_fsm_value(const struct sim_fsm *f, uint32_t key);
/* All that is in the database, key by key; for free(). */
char *sim_fsm_dump(struct sim_fsm *f, size_t *len);
const char *sim_fsm_snapshots(const struct sim_fsm *f);
/* A planted fault: the request id is not looked at. */
extern bool sim_fsm_apply_twice;

/* --- the disk of a log, a double: what is not complete is lost, from its end --- */

struct sim_disk;
struct sim_disk *sim_disk_new(struct sim *sim, unsigned int id);
void sim_disk_free(struct sim_disk *d);
void sim_disk_bootstrap(struct sim_disk *d, const struct raft_configuration *conf);
struct datafs_raft_disk sim_disk_ops(struct sim_disk *d);
/* An operation is complete. */
void sim_disk_complete(struct sim_disk *d);
/* Of those under way some of the first may have been done. */
void sim_disk_crash(struct sim_disk *d);

/* --- the world --- */

enum sim_kind {
	SIM_MESSAGE,		/* to a member */
	SIM_FETCH,		/* a piece is asked for */
	SIM_FETCHED,
	SIM_DISK,		/* an operation of a disk is complete */
	SIM_REQUEST,		/* of a client arrives at a member */
	SIM_ANSWER,
	SIM_CLIENT,		/* a client's time is up */
	SIM_CRASH,
	SIM_RESTART,
	SIM_RESUME,
	SIM_HEAL,
	SIM_TROUBLE,
};

struct sim_event {
	uint64_t time, order;
	enum sim_kind kind;
	unsigned int from, to;
	uint64_t a, b, c, d;	/* by the kind */
	int err;
	void *buf;		/* the event's */
	size_t len;
};

struct sim_member {
	struct datafs_member *m;	/* NULL: down */
	struct sim_disk *disk;
	struct sim_fsm *fsm;
	bool used, gone;		/* gone: removed, and shall not come back */
	bool paused;
	bool stopped;			/* its clock: its time is never up */
	unsigned int life;		/* counts its starts */
};

struct sim_client {
	unsigned int member;		/* whom it asks next */
	unsigned int tries;
	bool busy, last;
	unsigned int op;		/* in the history */
	struct sim_request req;
};

struct sim {
	uint64_t seed, random, now, order;
	struct sim_event *heap;
	size_t n, room;
	char dir[4096];

	struct sim_member members[SIM_MEMBERS + 1];
	unsigned int first_members, next_id;
	bool cut[SIM_MEMBERS + 1][SIM_MEMBERS + 1];
	unsigned int drop, twice;	/* of 1000 messages */
	bool calm;			/* no more trouble, no new operations */
	bool changes;			/* membership too */
	bool isolate;			/* no trouble but leaders that are cut off */
	unsigned int threshold;

	struct sim_client clients[SIM_CLIENTS];
	uint64_t sessions;
	struct lin_op history[SIM_OPS];
	struct register_op what[SIM_OPS];
	uint32_t key[SIM_OPS];
	unsigned int ops;

	struct datafs_member_change change;
	bool changing;

	/* what has happened */
	unsigned int crashes, partitions, transfers, answered, unknown, changed, snapshots,
		restores;
};

uint64_t sim_random(struct sim *s);
/* 0 to n - 1. */
unsigned int sim_pick(struct sim *s, unsigned int n);
void sim_event(struct sim *s, uint64_t delay, struct sim_event e);

/* sim_client.c */
void sim_clients_begin(struct sim *s);
void sim_client_event(struct sim *s, struct sim_event *e);
/* NULL, or what is wrong with the history. */
const char *sim_history_check(struct sim *s);

/* sim_trouble.c */
void sim_trouble(struct sim *s);
void sim_heal(struct sim *s);
/* It comes back, soon or late. */
void sim_crash(struct sim *s, unsigned int id);

/* sim.c */
void sim_member_start(struct sim *s, unsigned int id);
void sim_member_crash(struct sim *s, unsigned int id);
/* The one that leads and is ready, in the latest term; 0: none. */
unsigned int sim_leader(struct sim *s);

struct sim_options {
	unsigned int members;	/* 3 or 5 */
	uint64_t ms;		/* of trouble */
	bool changes, isolate;
	unsigned int threshold;	/* of snapshots */
};
/*
 * A run. NULL: all is well; else what is wrong, and @res can be looked at. Needs an
 * empty directory, which it leaves with files. sim_free() @res in any case.
 */
const char *sim_run(const struct sim_options *opt, uint64_t seed, const char *dir,
		    struct sim *res);
void sim_free(struct sim *s);

#endif
