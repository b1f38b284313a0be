/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c: its life, and the members. remote_call.c: a call's. remote_more.c: what other
 * threads have done meanwhile. remote_lease.c: a session's lease. remote_listen.c: whether
 * somebody else leads by now. remote_recall.c: what it is to forget. remote_told.c: which
 * answers may be kept. All of it is of the network thread, but what says otherwise.
 */
#ifndef DATAFS_META_REMOTE_INTERNAL_H
#define DATAFS_META_REMOTE_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "meta/remote.h"
#include "wire/address.h"
#include "wire/messenger.h"

struct remote_target {
	char address[DATAFS_ADDRESS_MAX + 1];
	uint64_t node;			/* 0: it was never up */
	struct datafs_peer *peer;
	struct datafs_conn *conn;	/* while it is up */
	int64_t silent;			/* it gave no answer in time: others first, until then */
};

/* A call, in its caller's memory until done. */
struct remote_request {
	struct datafs_task task;
	struct datafs_remote *r;
	const void *ask;
	uint32_t len, ms;
	int member;
	TAILQ_ENTRY(remote_request) link;
	struct datafs_call call;
	struct datafs_deadline again, end, patience;
	struct remote_target *asked;
	int64_t listens;	/* since when it is listened for whom it asked */
	struct datafs_lease *lease;	/* that may cover the answer; or NULL */
	struct datafs_told told;	/* of the last try */
	uint32_t wait;		/* for a sign of life, the next time; of one member: for an answer */
	unsigned int hops;	/* sent on at once, since it last waited */
	unsigned int next;	/* whom to try, if nobody is known to lead */
	bool idle;		/* nobody is up: until somebody is */
	bool unsure;		/* a try may have been done */
	const atomic_bool *over;	/* it is to end; or NULL */
	int err;
	Metad__Reply *reply;
	sem_t done;
};

/* Objects taken back that are remembered: an answer that took longer is not kept. */
#define REMOTE_TAKEN	1024u

/* Something that was taken back, by a recall or by a change of this client. */
struct remote_taken {
	uint64_t ino, name;	/* @name: its checksum; 0: all */
	enum datafs_grant_kind kind;
};

enum remote_change {
	CHANGE_GOES,		/* it is under way			-> UNKNOWN */
	CHANGE_UNKNOWN,		/* nobody knows if, or when, it is done	-> PAST */
	CHANGE_PAST,		/* ... and the session says fresh since */
};

/* A change of the session's own. */
struct datafs_lease_change {
	TAILQ_ENTRY(datafs_lease_change) link;
	enum remote_change state;
	unsigned int n;
	struct remote_taken objects[DATAFS_LEASE_CHANGES];
};

/* What other threads see of a lease. */
struct remote_told {
	pthread_mutex_t lock;	/* protects all of it */
	uint64_t lease;		/* number of the one that is held; 0: none */
	int64_t until;		/* datafs_now() */
	uint64_t taken;		/* how many there were ever */
	struct remote_taken ring[REMOTE_TAKEN];
	TAILQ_HEAD(, datafs_lease_change) changes;	/* that may be done at any time */
};

enum lease_state {
	LEASE_NONE,		/* it has ended */
	LEASE_FORGETS,		/* its user is to forget all	-> ASKS */
	LEASE_ASKS,		/* says fresh			-> HELD */
	LEASE_HELD,		/* is renewed			-> FORGETS */
};

/* A recall that is not answered. */
struct remote_recall {
	TAILQ_ENTRY(remote_recall) link;
	struct datafs_conn *conn;	/* not referenced: it goes with the connection */
	uint64_t call, ticket;
	bool done;			/* it waits for room only */
};

/* Of one session; several have theirs on the same connection. */
struct datafs_lease {
	TAILQ_ENTRY(datafs_lease) link;
	struct datafs_remote *r;
	uint64_t session;
	struct datafs_quorum_watch watch;
	enum lease_state state;
	uint64_t number;		/* of the last one */
	uint64_t holder, said;		/* random; how often it has said fresh */
	uint64_t term;			/* as the leader said */
	uint64_t tickets, ticket;	/* given; FORGETS: the one that is waited for */
	struct remote_target *target;	/* ASKS, HELD: whom; NULL: nobody yet */
	unsigned int next;
	struct datafs_call call;
	int64_t sent;			/* the call */
	uint32_t ms;			/* as the leader said */
	struct datafs_deadline again, end;
	/* HELD: */
	struct datafs_deadline listen;
	int64_t heard;			/* of the target, when it was looked last */
	unsigned int quiet;		/* how often it was looked since then */
	struct datafs_call probe;
	struct remote_target *probed;	/* who is asked by it */
	TAILQ_HEAD(, remote_recall) recalls;
	struct remote_told told;
	struct datafs_task forgets;
	/* Of other threads, under the remote's lock: tickets that came back. */
	STAILQ_HEAD(, remote_forgotten) forgotten;
	bool forgets_posted;
};

struct datafs_remote {
	struct datafs_keys keys;
	struct datafs_loop *loop;
	struct datafs_wire *wire;
	struct datafs_deadlines *deadlines;
	pthread_t thread;
	struct remote_target targets[DATAFS_REMOTE_MEMBERS];
	unsigned int n, named;
	struct remote_target *leader;	/* as far as is known */
	TAILQ_HEAD(, remote_request) requests;
	bool stopped;
	struct datafs_task stop, end;
	pthread_mutex_t lock;		/* protects stop_posted, and what leases say */
	bool stop_posted;
	TAILQ_HEAD(, datafs_lease) leases;
};

/* NULL: not known, and not to be found without looking up a name. */
struct remote_target *remote_target_of(struct datafs_remote *r, uint64_t node,
				       const char *address);

/*
 * Who leads, as far as is known; else the next one that is up, and answers as far as is
 * known; else one that is up; NULL.
 */
struct remote_target *remote_choose(struct datafs_remote *r, unsigned int *next);
/* It gave no answer in time. */
void remote_silent(struct remote_target *t);
/* It has answered as who leads does. */
void remote_leads(struct datafs_remote *r, struct remote_target *t);
/* @asked does not lead; NULL: who does is not known either. */
struct remote_target *remote_hint(struct datafs_remote *r, const struct remote_target *asked,
				  const Metad__Reply *reply);

/* remote_lease.c */
/* With the first state: nobody has told it anything. */
void remote_lease_open(struct datafs_lease *l);
void remote_lease_stop(struct datafs_lease *l);
/* It is stopped, and of no list any more. */
void remote_lease_free(struct datafs_lease *l);
/* All that is kept is forgotten. */
void remote_lease_forgotten(struct datafs_lease *l);
void remote_leases_up(struct datafs_remote *r);
void remote_leases_down(struct datafs_remote *r, struct datafs_conn *conn);
/* @leader has answered as one: leases of another are lost. */
void remote_leases_moved(struct datafs_remote *r, const struct remote_target *leader);
void remote_leases_stop(struct datafs_remote *r);
/* It is held, and no longer: its user is to forget all, and another one is asked for. */
void remote_lease_lose(struct datafs_lease *l);

/* remote_listen.c: from when it is held, until it is not. */
void remote_listen_open(struct datafs_lease *l);
void remote_listen_begin(struct datafs_lease *l);
void remote_listen_end(struct datafs_lease *l);

/* remote_recall.c */
void remote_recall(struct datafs_remote *r, struct datafs_conn *conn, uint64_t call,
		   const void *body, uint32_t len);
void remote_recalls_ready(struct datafs_remote *r, struct datafs_conn *conn);
void remote_recalls_down(struct datafs_lease *l, const struct datafs_conn *conn);
/* All that there is of tickets; nobody gives one back any more. */
void remote_recalls_free(struct datafs_lease *l);

/* remote_told.c: any thread. */
void remote_told_init(struct remote_told *t);
void remote_told_free(struct remote_told *t);
/* What is asked now; @ok: where the lease is from. */
struct datafs_told remote_told_now(struct remote_told *t, bool ok);
/* With the number of another lease: what is past is so for good, the session would be told. */
void remote_told_lease(struct remote_told *t, uint64_t number, int64_t until);
/* The session is about to say fresh. */
void remote_told_fresh(struct remote_told *t);
int64_t remote_told_until(struct remote_told *t);
void remote_told_take(struct remote_told *t, const struct datafs_grant_object *objects,
		      unsigned int n);

/* remote_more.c: another thread has @fn done, and waits. */
struct remote_order {
	struct datafs_task task;
	struct datafs_remote *r;
	sem_t done;
};

void remote_have_done(struct remote_order *o, void (*fn)(struct datafs_task *task));
/* @fn has. */
void remote_is_done(struct remote_order *o);

/* A member at an address that was resolved. 0, -ENOBUFS, -ENOMEM. */
int remote_target_add(struct datafs_remote *r, const char *text,
		      const struct datafs_address *at);
/* Blocks on the resolver. 0, or an error that was logged. */
int remote_resolve(const char *text, struct datafs_address *at);

/* remote_call.c */
void remote_up(struct datafs_remote *r);
void remote_fail_all(struct datafs_remote *r, int err);
/* Ends those whose @over is set. */
void remote_fail_over(struct datafs_remote *r);

#endif
