/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c: its life, and the members. remote_call.c: a call's. remote_more.c: members that
 * are named later, and calls that somebody ends. All of it is of
 * the network thread, but what says otherwise.
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
	struct datafs_deadline again, end;
	struct remote_target *asked;
	uint32_t wait;		/* for an answer, the next time */
	unsigned int hops;	/* sent on at once, since it last waited */
	unsigned int next;	/* whom to try, if nobody is known to lead */
	bool idle;		/* nobody is up: until somebody is */
	bool unsure;		/* a try may have been done */
	const atomic_bool *over;	/* it is to end; or NULL */
	int err;
	Metad__Reply *reply;
	sem_t done;
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
	pthread_mutex_t lock;		/* protects stop_posted */
	bool stop_posted;
};

/* NULL: not known, and not to be found without looking up a name. */
struct remote_target *remote_target_of(struct datafs_remote *r, uint64_t node,
				       const char *address);

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
/* Any thread; blocks. */
int remote_call(struct datafs_remote *r, const void *ask, size_t len, int member, uint32_t ms,
		const atomic_bool *over, Metad__Reply **res);

#endif
