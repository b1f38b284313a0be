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
 *	-ESHUTDOWN	datafs_quorum_stop(); a change may or may not be done
 *	-ENOMEM		nothing was asked
 *	-EIO		the database failed, or what came back is not an answer;
 *			logged
 */
#ifndef DATAFS_QUORUM_H
#define DATAFS_QUORUM_H

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

/* What both kinds begin with. */
struct datafs_quorum {
	const struct datafs_quorum_ops *ops;
	uint8_t id[16];		/* of the namespace: what its numbers mean */
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

#endif
