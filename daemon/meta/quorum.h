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
 * What may be believed. A quorum in the network is asked by others, too. Who wants to
 * keep what it was told begins a lease (datafs_quorum_lease()); the quorum then has it
 * forget things before they change. The rules:
 *
 *   - What an answer says may be believed (Answer.believe, Answer.believe_attr,
 *     Dirent.believe_attr; of a change: all that the Result tells, and what it has made
 *     of its names) is kept under a lock of the user's own, and only if
 *     datafs_quorum_keep() says so there. An inode whose nlink is 0 is never kept.
 *   - All that is kept is believed until datafs_quorum_until(), which moves on as the lease
 *     is renewed. Later it is not to be believed, nor thrown away, until lost() is
 *     called: the lease may go on.
 *   - recalled() and lost(): it is forgotten, under that lock; then
 *     datafs_quorum_forgotten(). Somebody's change waits meanwhile, one lease at most.
 *   - A change is seen by others before its caller hears that it is done. So what it names
 *     is forgotten before it is sent (recalled(), with ticket 0, on the caller's own
 *     thread, which does not hold that lock), and none of it is kept until it returns;
 *     of other inodes that it changes the quorum has recalled() called as ever.
 *   - When it has returned, what the Result tells may be kept instead.
 *   - Before its session is closed all is forgotten; nobody is told afterwards.
 *   - Names that a listing has told are kept as NAMES of the directory; the table of mounts
 *     as MOUNTS of the root.
 *
 * The quorum of one tells each change of its mounts itself (vfs/quorum_tell.c): all that it
 * answers may be kept.
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
#include <stdbool.h>
#include <stdint.h>

#include "meta.pb-c.h"
#include "metad/object.h"
#include "quorum.pb-c.h"

struct datafs_quorum;

/* Of which moment an answer is; opaque. */
struct datafs_told {
	uint64_t lease;		/* number of the lease it was asked under; 0: none */
	uint64_t asked;		/* how much had been taken back when it was asked */
	uint64_t own, own_end;	/* what the change itself has taken back */
};

struct datafs_quorum_watch {
	/*
	 * On a thread that must not block for long. @objects and their names are valid in
	 * the call. Of a NAME with @len 0: all names in @ino that are kept singly.
	 * datafs_quorum_forgotten() is called for @ticket, here or later, by any
	 * thread. Ticket 0 is given back to nobody: it is forgotten when this returns. It may be
	 * called by several threads at once.
	 */
	void (*recalled)(void *arg, uint64_t ticket,
			 const struct datafs_grant_object *objects, unsigned int n);
	/* The lease has ended: all of it is to be forgotten. Else as recalled(). */
	void (*lost)(void *arg, uint64_t ticket);
	/*
	 * May be NULL. It lasts until @until (datafs_now()): when it begins, before anything
	 * may be kept, and whenever it is renewed. On that thread, too. @until 0: there is
	 * none, and the session is about to say that it is fresh. Not 0: it must not, since
	 * another has it; there is no lease from then on, and nothing more is called.
	 */
	int (*held)(void *arg, int64_t until);
	void *arg;
};

struct datafs_quorum_ops {
	int (*change)(struct datafs_quorum *q, const Metad__Command *cmd,
		      Metad__Result **res);
	int (*ask)(struct datafs_quorum *q, const Metad__Query *query,
		   Metad__Answer **res);
	/* As change and ask; NULL: these do, and all may be kept. */
	int (*change_told)(struct datafs_quorum *q, const Metad__Command *cmd,
			   Metad__Result **res, struct datafs_told *told);
	int (*ask_told)(struct datafs_quorum *q, const Metad__Query *query,
			Metad__Answer **res, struct datafs_told *told);
	/* NULL: there are no leases, nor anything to be forgotten. */
	int (*lease)(struct datafs_quorum *q, uint64_t session,
		     const struct datafs_quorum_watch *watch);
	bool (*keep)(struct datafs_quorum *q, const struct datafs_told *told,
		     const struct datafs_grant_object *o);
	int64_t (*until)(struct datafs_quorum *q);
	void (*forgotten)(struct datafs_quorum *q, uint64_t ticket);
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

/*
 * From now on @session, which is open, has a lease, or is about to get one again; once, and
 * while no call is under way. The watch is copied. Nothing of it is
 * called after datafs_quorum_close(). 0 or -ENOMEM.
 */
static inline int datafs_quorum_lease(struct datafs_quorum *q, uint64_t session,
				      const struct datafs_quorum_watch *watch)
{
	return q->ops->lease ? q->ops->lease(q, session, watch) : 0;
}

/* As datafs_quorum_change(). *@told is set with 0. */
static inline int datafs_quorum_change_told(struct datafs_quorum *q,
					    const Metad__Command *cmd,
					    Metad__Result **res,
					    struct datafs_told *told)
{
	return q->ops->change_told ? q->ops->change_told(q, cmd, res, told) :
				     q->ops->change(q, cmd, res);
}

/* As datafs_quorum_ask(). *@told is set with 0. */
static inline int datafs_quorum_ask_told(struct datafs_quorum *q,
					 const Metad__Query *query,
					 Metad__Answer **res,
					 struct datafs_told *told)
{
	return q->ops->ask_told ? q->ops->ask_told(q, query, res, told) :
				  q->ops->ask(q, query, res);
}

/*
 * May what an answer says of @o, and says may be believed, be kept? Not if it was taken
 * back since it was asked for. Under the lock under which recalled() and lost()
 * forget. Does not block.
 */
static inline bool datafs_quorum_keep(struct datafs_quorum *q,
				      const struct datafs_told *told,
				      const struct datafs_grant_object *o)
{
	return !q->ops->keep || q->ops->keep(q, told, o);
}

/* Until when (datafs_now()) what is kept is believed; INT64_MAX: for ever. Any thread. */
static inline int64_t datafs_quorum_until(struct datafs_quorum *q)
{
	return q->ops->until ? q->ops->until(q) : INT64_MAX;
}

/* What recalled() or lost() told is forgotten. Any thread, also in these. */
static inline void datafs_quorum_forgotten(struct datafs_quorum *q, uint64_t ticket)
{
	q->ops->forgotten(q, ticket);
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
 * One more user of @remote's connection, which it must not outlive, with a session and a
 * lease of its own: what is stopped and closed is this user only, and what is counted is
 * @remote's. 0 or -ENOMEM.
 */
int datafs_quorum_share(struct datafs_quorum *remote, struct datafs_quorum **res);
/* Calls of a remote one end in @ms from now at the latest, begun by then or not; 0: when answered. */
void datafs_quorum_limit(struct datafs_quorum *remote, uint32_t ms);

#endif
