/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quorum in one process, with a time of its own: whatever happens is an event
 * with a time, and is decided by the seed. The members are the product's
 * (metad/member.h), and the state machines' LevelDB is on a disk that loses power
 * (fault_env.h). Doubles are: the network; the disk of the log (sim_disk.c). There
 * are two state machines, each with clients of its own:
 *
 *	sim_registers	a few registers, a double of a state machine (sim_fsm.c); what
 *			is asked of them: sim_register.c
 *	sim_namespace	the product's (metad/fsm.h), sim_ns.c; what is asked of it:
 *			sim_ns_client.c; what is right: sim_ns_model.c
 *	sim_leases	the same below the product's leases, and the product's clients,
 *			which believe what they were told: sim_lease.h
 */
#ifndef DATAFS_TEST_SIM_H
#define DATAFS_TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault_env.h"
#include "lin_check.h"
#include "metad/member.h"

#define SIM_MEMBERS	8u	/* at most, ids 1 to that */
#define SIM_CLIENTS	12u	/* at most */
#define SIM_OPS		4096u

struct sim;
struct sim_event;

/* --- a state machine --- */

enum sim_told {
	SIM_TOLD,	/* it is answered */
	SIM_LOST,	/* it never will be, and cannot take effect any more */
};

/* @state is one member's. */
struct sim_machine {
	/* In the new directory @dir, and one for snapshots beside it. */
	void *(*make)(struct sim *s, const char *dir);
	void (*free)(void *state);
	/* After it was made, and after a crash. */
	void (*open)(void *state);
	void (*crash)(void *state);
	struct datafs_raft_fsm (*ops)(void *state);
	const char *(*snapshots)(const void *state);
	/* All that is in the database, key by key; for free(). */
	char *(*dump)(void *state, size_t *len);
	/* NULL, or what does not hold in it. */
	const char *(*broken)(void *state);

	/* Makes and frees @s->work, what it knows of its clients. */
	void (*begin)(struct sim *s);
	void (*end)(struct sim *s);

	/*
	 * What runs beside the member on its machine; NULL: nothing. Its member may have
	 * done something, in an event that is over; is about to crash, and is there still.
	 */
	void (*ran)(struct sim *s, unsigned int id);
	void (*crashing)(struct sim *s, unsigned int id);
	/* SIM_AT_MEMBER and SIM_AT_CLIENT. */
	void (*event)(struct sim *s, struct sim_event *e);

	/* Clients that ask the member itself; NULL: there are others (@begin). */
	/* What client @i asks next: its request, and what of the history's operation. */
	void (*ask)(struct sim *s, unsigned int i);
	/* The answer of a member that may read; for free(). */
	void *(*read)(void *state, const void *req, size_t len, size_t *answer_len);
	/* Client @i has an answer. */
	enum sim_told (*told)(struct sim *s, unsigned int i, const void *buf, size_t len);
	/* It waits no more for one. */
	void (*gave_up)(struct sim *s, unsigned int i);
	/* NULL, or what is wrong with the history. */
	const char *(*check)(struct sim *s);
};

extern const struct sim_machine sim_registers, sim_namespace, sim_leases;

/*
 * Where a state machine's databases are. The disk that loses power must not have
 * anything removed from it by others: so the member's snapshots are beside it, and
 * what is in them is durable.
 */
struct sim_store {
	struct sim *sim;
	char root[4200], snapshots[4300];
	struct fault_env *disk;
};

void sim_store_init(struct sim_store *st, struct sim *s, const char *dir);
/* Of files only; @to is new. */
void sim_copy_dir(const char *from, const char *to);

/* --- registers, and what was answered to whom: also for other tests --- */

#define SIM_KEYS	3u
#define SIM_SESSIONS	256u	/* client ids of a run: one that gives up gets another */

struct sim_request {
	uint64_t client, request;	/* of a client one after the other */
	uint64_t value;
	uint32_t key, kind;		/* enum register_kind */
};

struct sim_fsm;
void *sim_fsm_new(struct sim *s, const char *dir);
void sim_fsm_free(void *f);
void sim_fsm_open(void *f);
void sim_fsm_crash(void *f);
struct datafs_raft_fsm sim_fsm_ops(void *f);
const char *sim_fsm_snapshots(const void *f);
char *sim_fsm_dump(void *f, size_t *len);
uint64_t sim_fsm_value(const struct sim_fsm *f, uint32_t key);
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
	SIM_AT_MEMBER,		/* the machine's, on that of member @to */
	SIM_AT_CLIENT,		/* ... of client @from */
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
	void *state;
	bool used, gone;		/* gone: removed, or dead at the end, and shall not come back */
	bool paused;
	bool stopped;			/* its clock: its time is never up */
	unsigned int life;		/* counts its starts */
};

struct sim_client {
	unsigned int member;		/* whom it asks next */
	unsigned int tries;
	bool busy, last;
	unsigned int op;		/* in the history */
	void *req;			/* as it is sent; malloc()ed */
	size_t len;
	bool read;			/* it changes nothing */
};

struct sim {
	const struct sim_machine *machine;
	uint64_t seed, random, now, order;
	unsigned int at;		/* the member that is called */
	struct sim_event *heap;
	size_t n, room;
	char dir[4096];

	struct sim_member members[SIM_MEMBERS + 1];
	unsigned int first_members, next_id, n_clients;
	bool cut[SIM_MEMBERS + 1][SIM_MEMBERS + 1];
	unsigned int drop, twice;	/* of 1000 messages */
	bool calm;			/* no more trouble, no new operations */
	bool changes;			/* membership too */
	bool isolate;			/* no trouble but leaders that are cut off */
	unsigned int threshold, pace, apart;

	struct sim_client clients[SIM_CLIENTS];
	struct lin_op history[SIM_OPS];	/* what NULL: not a part of it */
	unsigned int ops;
	void *work;			/* the machine's */
	const char *bad;		/* an answer that cannot be */

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
void sim_clients_end(struct sim *s);
void sim_client_event(struct sim *s, struct sim_event *e);
/* A time for histories: later than all before it. */
uint64_t sim_stamp(struct sim *s);

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
	const struct sim_machine *machine;
	unsigned int members;	/* 3 or 5 */
	unsigned int clients;	/* 0: 4. More than a few are packed into entries */
	uint64_t ms;		/* of trouble */
	unsigned int pace;	/* ms from one trouble to the next, at most; 0: 500, or of @isolate 3000 */
	unsigned int apart;	/* ms that partitions last longer than others' */
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
