/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who believes what: the leader's table of grants. A session that was told something
 * may believe it until its lease ends; so before something is changed, each other
 * session that was told of it is told to forget it, and has said that it has, or its
 * lease has ended. Then, and not before, the change is proposed.
 *
 *   an answer                            a change
 *   datafs_grant(): is it noted, and     datafs_change_begin(): from here on none of
 *   may be believed?                     its objects is granted; who has one is
 *   the state is read                    recalled
 *   the answer is sent                   datafs_recall_done(), or a lease's end
 *                                        go(): it is proposed, applied
 *                                        datafs_change_end(): is it noted, and may be
 *                                        believed by who asked for it?
 *                                        it is answered
 *
 * The grant is noted before the state is read: a change that begins in between recalls
 * it. That recall may overtake the answer; so a session keeps no answer to what it had
 * asked before a recall came.
 *
 * Leases. A session counts its lease from when it sent the renewal, by its own clock,
 * less a margin; the leader from when the renewal arrived. A renewal counts only when a
 * majority has confirmed, after it arrived, that this member leads: else an old leader
 * would prolong what its successor, who lets changes through one lease after its
 * election, does not wait for. While a recall is not done it counts from that recall only:
 * so a session delays a change by one lease at most. When something went on because a lease
 * had ended, the session must say that it has forgotten all before another begins.
 *
 * A new leader knows no grant of its predecessor. It lets changes through when each
 * session that may have had a lease has said that it has forgotten all it was told
 * (datafs_grants_fresh()), at the latest after the longest lease that any may have had.
 *
 * Who asked for a change hears last that it is done, perhaps after others who see it: so
 * it believes nothing of what it changes meanwhile. What its command names it forgets
 * itself before it is sent; of inodes that are found by these names it is told as others.
 *
 * All of it is one leader's, has no thread, no lock and no clock; times are
 * milliseconds that never go back. Callbacks may be made from any call but may not
 * call anything here.
 */
#ifndef DATAFS_METAD_GRANTS_H
#define DATAFS_METAD_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "metad/object.h"

struct datafs_grants;

/* Objects of one change: a rename with another name replaced has most. */
#define DATAFS_CHANGE_OBJECTS	10

/* The caller's, from begin to end. */
struct datafs_change {
	/*
	 * Nobody believes any of it now. -ECANCELED: this member leads no
	 * more, it must not be proposed, and has ended.
	 */
	void (*go)(struct datafs_change *c, int err);
	/*
	 * Who asked for it; 0: nobody. It believes none of the first @said objects until
	 * it is answered: its own grants of these stay.
	 */
	uint64_t session;
	unsigned int said;
	unsigned int n;
	struct datafs_grant_object objects[DATAFS_CHANGE_OBJECTS];

	/* the table's */
	TAILQ_ENTRY(datafs_change) next;
	unsigned int waiting;		/* recalls that are not done */
	bool held;			/* until the new leader may let changes through */
	bool gone;			/* go() was called */
	struct {
		void *object;
		uint64_t begun;		/* 0: another change of it was under way */
	} marks[DATAFS_CHANGE_OBJECTS];
};

struct datafs_grants_conf {
	uint32_t lease;		/* milliseconds */
	size_t max;		/* grants in the table, at most */
	/*
	 * @session is to forget @objects and to say so, with @id; ids of a session go
	 * up. They and their names are valid in the call. A session that is not connected
	 * cannot be told: nothing is sent, its lease runs out.
	 */
	void (*recall)(void *ctx, uint64_t session, uint64_t id,
		       const struct datafs_grant_object *objects, unsigned int n);
	void *ctx;
};

/*
 * This member leads, since @now or longer; what a predecessor let be believed was confirmed
 * before its election. @sessions are all those of the state that may have had a lease, none
 * longer than @longest milliseconds. -ENOMEM.
 */
int datafs_grants_new(const struct datafs_grants_conf *conf, uint64_t now, uint32_t longest,
		      const uint64_t *sessions, size_t n, struct datafs_grants **res);
/* It leads no more: changes under way that did not go get -ECANCELED. */
void datafs_grants_free(struct datafs_grants *g);

/*
 * @session is there, perhaps for the first time, and has forgotten all that it was told
 * before. It came at @asked, confirmed as renewals are. Until the session hears of it, it
 * keeps no answer; of another connection than this, nothing is taken any more. -ENOMEM;
 * -EAGAIN: it is noted that it believes nothing, but it has let so many leases run out with
 * recalls unanswered that it gets none for a while.
 */
int datafs_grants_fresh(struct datafs_grants *g, uint64_t session, uint64_t asked);
/*
 * A renewal that came at @asked is confirmed, and lasts for *@ms from then on: of a session
 * with a recall that is not done only till a lease after that recall. -ENOENT: it is to say
 * fresh first; -EAGAIN: that is no longer than the lease is. With an error it is as it was.
 */
int datafs_grants_renew(struct datafs_grants *g, uint64_t session, uint64_t asked, uint32_t *ms);
/* Are changes held for it, which had a lease of another leader, and was not heard of? */
bool datafs_grants_waits(const struct datafs_grants *g, uint64_t session, uint64_t now);
/* Has it a lease now, and said so to this leader? */
bool datafs_grants_believes(const struct datafs_grants *g, uint64_t session, uint64_t now);
/* It has ended: nobody believes anything for it. */
void datafs_grants_gone(struct datafs_grants *g, uint64_t session);

/*
 * @session is about to be told of @object. True: and may believe it while its lease
 * lasts. False: it must ask again each time.
 */
bool datafs_grant(struct datafs_grants *g, uint64_t session, uint64_t now,
		  const struct datafs_grant_object *object);

/*
 * Calls go() when it may be proposed, perhaps at once; datafs_change_end() must follow,
 * whatever became of it, when nothing of it can be applied any more that is not. The
 * objects' names must live until go(). -ENOMEM: it did not begin.
 */
int datafs_change_begin(struct datafs_grants *g, struct datafs_change *c, uint64_t now);
/*
 * @applied: its session is about to be told what is there now. True: all of its objects
 * are granted to it, as by datafs_grant().
 */
bool datafs_change_end(struct datafs_grants *g, struct datafs_change *c, uint64_t now,
		       bool applied);

/* @session has forgotten what the recall @id named; ids unknown are passed over. */
void datafs_recall_done(struct datafs_grants *g, uint64_t session, uint64_t id);

/* To be called at datafs_grants_deadline() (UINT64_MAX: never), which any call may change. */
void datafs_grants_tick(struct datafs_grants *g, uint64_t now);
uint64_t datafs_grants_deadline(const struct datafs_grants *g);

/* Grants that are noted now. */
size_t datafs_grants_count(const struct datafs_grants *g);

#endif
