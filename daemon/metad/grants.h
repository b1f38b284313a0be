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
 * election, does not wait for. Nor does it count while a recall is not done: so a
 * session delays a change by one lease at most. When something went on because a lease
 * had ended, the session must say that it has forgotten all before another begins.
 *
 * A new leader knows no grant of its predecessor. It lets changes through when each
 * session that there is has said that it has forgotten all it was told
 * (datafs_grants_fresh()), at the latest after one lease.
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

#include "datafs_abi.h"

struct datafs_grants;

enum datafs_grant_kind {
	DATAFS_GRANT_ATTR,	/* attributes of @ino, its xattrs and target */
	DATAFS_GRANT_NAME,	/* what @name leads to in @ino, or that it is not there */
	DATAFS_GRANT_NAMES,	/* all names in @ino, and what is not there */
};

struct datafs_grant_object {
	uint64_t ino;
	enum datafs_grant_kind kind;
	uint8_t len;		/* of @name; NAME only. 0 in a recall for want of room */
	const char *name;	/* without NUL */
};

/* Objects of one change: a rename with another name replaced has most. */
#define DATAFS_CHANGE_OBJECTS	10

/* The caller's, from begin to end. */
struct datafs_change {
	/*
	 * Nobody but @session believes any of it now. -ECANCELED: this member leads no
	 * more, it must not be proposed, and has ended.
	 */
	void (*go)(struct datafs_change *c, int err);
	uint64_t session;		/* whose own grants stay; 0: nobody's */
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
 * This member leads since @now (of the election, or earlier): @sessions are all those
 * of the state. -ENOMEM.
 */
int datafs_grants_new(const struct datafs_grants_conf *conf, uint64_t now,
		      const uint64_t *sessions, size_t n, struct datafs_grants **res);
/* It leads no more: changes under way that did not go get -ECANCELED. */
void datafs_grants_free(struct datafs_grants *g);

/*
 * @session is there, perhaps for the first time, and has forgotten all that it was told
 * before. It came at @asked, confirmed as renewals are. Until the session hears of it, it
 * keeps no answer; of another connection than this, nothing is taken any more. -ENOMEM.
 */
int datafs_grants_fresh(struct datafs_grants *g, uint64_t session, uint64_t asked);
/*
 * A renewal that came at @asked is confirmed. -ENOENT: it is to say fresh first; -EAGAIN:
 * a recall is not done. With an error the lease is as it was.
 */
int datafs_grants_renew(struct datafs_grants *g, uint64_t session, uint64_t asked);
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
