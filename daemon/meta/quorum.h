/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespace of a quorum, as its client sees it: changes and questions. The
 * quorum is of one, inside this daemon (quorum_local.c), or somewhere in the
 * network (quorum_remote.c); who asks does not notice which.
 *
 * All calls are safe from several threads, and block: a remote quorum without
 * a majority for as long as that lasts, or until datafs_quorum_stop(). What is
 * answered is linearizable: a question sees all changes that were acknowledged
 * to anybody before it was asked.
 *
 * Errors of a call are of the way there, not of the question, whose own errors
 * are in the result or the answer:
 *
 *	-ETIMEDOUT	datafs_quorum_limit(); a change may or may not be done
 *	-EHOSTUNREACH	the same, and no member was there to be asked; nothing was done
 *	-ESHUTDOWN	datafs_quorum_stop(); a change may or may not be done
 *	-ENOMEM		nothing was asked
 *	-EIO		it is nothing that a client may send, and nothing was done; or
 *			the database failed, or what came back is not an answer:
 *			a change may or may not be done. Logged.
 */
#ifndef DATAFS_QUORUM_H
#define DATAFS_QUORUM_H

#include <stdatomic.h>
#include <stdint.h>

#include "meta.pb-c.h"
#include "quorum.pb-c.h"

struct datafs_quorum;

struct datafs_quorum_ops {
	int (*change)(struct datafs_quorum *q, const Metad__Command *cmd,
		      Metad__Result **res);
	int (*ask)(struct datafs_quorum *q, const Metad__Query *query,
		   Metad__Answer **res);
	void (*stop)(struct datafs_quorum *q);
	void (*close)(struct datafs_quorum *q);
};

/* What both kinds begin with; they count. */
struct datafs_quorum {
	const struct datafs_quorum_ops *ops;
	uint8_t id[16];		/* of the namespace: what its numbers mean */
	atomic_ullong changes, questions;
	/* Of the quorum of one: what it wrote for the changes, and synced. */
	atomic_ullong entries;
};

/*
 * A command with its session, request and lowest (meta.proto). It is done once,
 * however often it is sent on its way. *@res is to be freed with
 * metad__result__free_unpacked(res, NULL).
 */
static inline int datafs_quorum_change(struct datafs_quorum *q,
				       const Metad__Command *cmd,
				       Metad__Result **res)
{
	return q->ops->change(q, cmd, res);
}

/* *@res is to be freed with metad__answer__free_unpacked(res, NULL). */
static inline int datafs_quorum_ask(struct datafs_quorum *q,
				    const Metad__Query *query,
				    Metad__Answer **res)
{
	return q->ops->ask(q, query, res);
}

/* All calls, now and later, end soon. Any thread. */
static inline void datafs_quorum_stop(struct datafs_quorum *q)
{
	q->ops->stop(q);
}

/* No call may be under way. */
static inline void datafs_quorum_close(struct datafs_quorum *q)
{
	if (q)
		q->ops->close(q);
}

/*
 * quorum_local.c: the quorum of one in @dir, made if missing, with a random id.
 * A change is durable when it is answered. Errors are logged.
 */
int datafs_quorum_open_local(const char *dir, struct datafs_quorum **res);

struct datafs_remote_config;	/* meta/remote.h */
/*
 * quorum_remote.c: the quorum in the network of these members. It need not be there
 * yet. Its id is the cluster's. Errors are logged.
 */
int datafs_quorum_open_remote(const struct datafs_remote_config *cfg, struct datafs_quorum **res);
/* As datafs_remote_add(). */
int datafs_quorum_add_members(struct datafs_quorum *remote, const char *members);
/*
 * One more user of @remote's connection, which it must not outlive: what is stopped and
 * closed is this user only, and what is counted is @remote's. 0 or -ENOMEM.
 */
int datafs_quorum_share(struct datafs_quorum *remote, struct datafs_quorum **res);
/* Calls of a remote one end in @ms from now at the latest, begun by then or not; 0: when answered. */
void datafs_quorum_limit(struct datafs_quorum *remote, uint32_t ms);

#endif
