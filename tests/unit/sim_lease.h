/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases in the simulation. On each member's machine is the product's server, but its
 * threads and the messenger: from server_call() to datafs_conn_reply(). A client is the
 * product's quorum in the network (meta/quorum.h), but the messenger; what uses it is a
 * thread, which runs only while the simulation waits for it. Doubles, by the linker's --wrap:
 *
 *	sim_lease_wire.c	connections and calls
 *	sim_lease_time.c	clocks, deadlines, what is posted to a thread, the threads
 *	sim_lease_server.c	what a member's machine is made of; the machine of the simulation
 *	sim_lease_user.c	what a client's user changes and asks
 *	sim_lease_keep.c	... keeps of answers, believes and forgets
 *	sim_lease_trouble.c	what happens to clients
 */
#ifndef DATAFS_TEST_SIM_LEASE_H
#define DATAFS_TEST_SIM_LEASE_H

#include <pthread.h>
#include <semaphore.h>

#include "meta/remote_internal.h"
#include "metad/server_internal.h"
#include "sim.h"
#include "sim_ns.h"

#define LEASE_MS	1500u	/* an election takes less: a new leader must wait */
#define LEASE_DIRS	2u
#define LEASE_NAMES	4u
#define LEASE_FILES	4u	/* that users have heard of lately */
#define LEASE_KEPT	32u	/* attributes that a client keeps */
#define LEASE_DEADLINES	64u
#define LEASE_CONNS	4096u	/* ends of connections of a run */

/* What comes back, on the machine that it is of. */
enum lease_event {
	LEASE_FRAME,		/* at the end @b of a connection */
	LEASE_TIMEOUT,		/* of its call @d */
	LEASE_TASK,		/* posted to its loop */
	LEASE_MAIL,		/* of a member: its raft thread */
	LEASE_JOB,		/* ... a worker */
	LEASE_TICK,		/* ... what is due */
	LEASE_LOOK,		/* ... once a second */
	LEASE_DEADLINE,		/* of a client: the one with token @b */
	LEASE_WAKE,		/* ... its user */
	LEASE_FORGET,		/* ... what it was told to */
	LEASE_CONNECT,		/* ... to member @b */
	LEASE_RESUME,		/* ... goes on */
	LEASE_GLANCE,		/* ... its user looks at what it believes */
	LEASE_TROUBLE,
};

/* Doubles of what is opaque to those that are under test. */
struct datafs_loop {
	STAILQ_HEAD(, datafs_task) tasks;
	unsigned int member, client;	/* @member 0: a client's */
};

struct datafs_deadlines {
	unsigned int client;
	uint64_t token;			/* the last one given */
	struct {
		struct datafs_deadline *d;
		uint64_t token;
	} set[LEASE_DEADLINES];
};

enum lease_frame_kind { FRAME_UP, FRAME_CALL, FRAME_REPLY, FRAME_DOWN };

struct lease_frame {
	STAILQ_ENTRY(lease_frame) link;
	enum lease_frame_kind kind;
	uint64_t id;
	uint32_t len;
	uint8_t body[];
};

struct lease_pending {
	TAILQ_ENTRY(lease_pending) link;
	struct datafs_call *call;
	uint64_t id;
};

/* One end of a connection. */
struct datafs_conn {
	TAILQ_HEAD(, lease_pending) pending;
	STAILQ_HEAD(, lease_frame) frames;	/* on their way here */
	unsigned int nr, member, client;
	bool up, at_member;
	struct datafs_conn *other;
	struct datafs_wire_peer who;
	uint64_t calls;			/* made here */
	uint64_t busy;			/* nothing arrives before */
	int64_t heard;
};

/* On a member's machine. */
struct lease_machine {
	STAILQ_HEAD(, lease_job) jobs;
	void *ns;			/* sim_namespace's */
	struct datafs_server server;
	struct datafs_loop loop;
	uint64_t tick;			/* when it is due next; 0: not */
	int drift;			/* of its clock, per mille */
	bool raising;
	struct datafs_member_op raise;	/* of the feature level */
};

struct lease_job {
	STAILQ_ENTRY(lease_job) link;
	struct datafs_job *job;
};

struct lease_attr {
	bool known;
	struct ns_attr a;
};

struct lease_client {
	struct sim *s;
	unsigned int nr;
	struct datafs_quorum *q;
	struct datafs_remote *r;
	struct datafs_loop loop;
	struct datafs_deadlines deadlines;
	int drift;
	int64_t offset;			/* of its clock, in ns */
	bool paused;
	uint64_t stalled[SIM_MEMBERS + 1];	/* nothing goes to or from that member before */

	/* its user, a thread; see lease_switch() */
	pthread_t thread;
	void *(*user)(void *arg);
	bool runs, over;
	sem_t go, back;
	uint64_t session, request;
	struct {
		bool known;
		uint64_t ino;		/* 0: it is not there */
	} name[LEASE_DIRS][LEASE_NAMES];
	struct lease_attr attr[LEASE_KEPT];
};

struct lease_work {
	struct lease_client c[SIM_CLIENTS];
	uint64_t sessions;
	bool ends;			/* the run is over, whatever is under way */
	struct datafs_conn *conn[LEASE_CONNS];
	unsigned int conns;
	uint64_t dirs[LEASE_DIRS], files[LEASE_FILES];
	struct ns_op ops[SIM_OPS + 1];
	struct ns_tree tree;
};

/* What has happened, in all runs. */
struct lease_sums {
	unsigned int believed, asked, recalls, lost, kept;
};
extern struct lease_sums lease_sums;

/* Of the run. */
struct lease_work *lease_work(void);
struct sim *lease_sim(void);

/* sim_lease_time.c */
/* The run begins, or ends. */
void lease_time_begin(struct sim *s);
void lease_time_end(void);
/*
 * What is called from here on is on that client's machine; NULL: on that of sim->at.
 * Whose it was.
 */
struct lease_client *lease_at(struct lease_client *c);
/* The first millisecond of the simulation when a clock with that drift shows @ms. */
uint64_t lease_when(uint64_t ms, int drift);
/* Milliseconds of the simulation for so many of the clock here. */
uint64_t lease_delay(uint64_t ms);
void lease_event(struct sim *s, uint64_t delay, enum lease_event kind, unsigned int member,
		 unsigned int client, uint64_t b, uint64_t d);
/* The first one that was posted. False: there was none. */
bool lease_task_run(struct datafs_loop *l);
void lease_deadline_due(struct lease_client *c, uint64_t token);
/* The user's thread: made; runs until it waits, and does so again; waits. */
void lease_user_start(struct lease_client *c, void *(*fn)(void *arg));
void lease_user_run(struct lease_client *c);
void lease_user_join(struct lease_client *c);
void lease_user_wait(struct lease_client *c);
/* For so many milliseconds. */
void lease_user_nap(struct lease_client *c, uint64_t ms);

/* sim_lease_wire.c */
void lease_connect(struct lease_client *c, unsigned int member);
/* @end notices at once, the other one later. */
void lease_break(struct datafs_conn *end);
void lease_frame_arrives(struct datafs_conn *end);
void lease_call_timeout(struct datafs_conn *end, uint64_t id);
/* A member is gone, with all its ends. */
void lease_member_gone(struct datafs_server *server, unsigned int id);
void lease_conns_free(struct lease_work *w);

/* sim_lease_server.c */
struct lease_machine *lease_machine(struct sim *s, unsigned int id);

/* sim_lease_keep.c */
extern const char *const lease_names[LEASE_NAMES];
/* If it may be. @ino 0: the name is not there. */
void lease_keep_name(struct lease_client *c, const struct datafs_told *told, uint64_t dir,
		     const char *name, uint64_t ino);
void lease_keep_attr(struct lease_client *c, const struct datafs_told *told,
		     const struct ns_attr *a);
/* The answer, if it is known and believed now. @name: its number. */
bool lease_believed(struct lease_client *c, const struct ns_op *o, unsigned int name,
		    struct ns_answer *a);
/* Of struct datafs_quorum_watch. */
void lease_recalled(void *arg, uint64_t ticket, const struct datafs_grant_object *objects,
		    unsigned int n);
void lease_lost(void *arg, uint64_t ticket);
/* What was told is forgotten. */
void lease_user_forget(struct lease_client *c, const void *told);

/* sim_lease_user.c */
void lease_users_begin(struct sim *s);
void lease_users_end(struct sim *s);

/* Something is read of what is believed, whatever else is under way; if there is some. */
void lease_user_glance(struct lease_client *c);

/* sim_lease_trouble.c */
void lease_trouble(struct sim *s);

#endif
