/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quorum in the network, asked by many threads: their calls go over one network
 * thread to whoever leads, which is found and found again. The bytes of a call are
 * sent as often as it takes until one answer comes that settles it:
 *
 *	EREMOTE		to who leads, as the answer says, else to the next one
 *	EAGAIN, EIO	again, in a moment; also without an answer in time, and when
 *			the connection is lost
 *	ENOSPC		settles it only if no earlier try may have been done
 *
 * So what is sent must be harmless to do twice: a question, or a command with its
 * session's id.
 */
#ifndef DATAFS_META_REMOTE_H
#define DATAFS_META_REMOTE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "meta/quorum.h"
#include "wire/keys.h"

#define DATAFS_REMOTE_MEMBERS	32u

struct datafs_remote;

struct datafs_remote_config {
	/* "HOST:PORT,HOST:PORT": members to begin with; more are learned. */
	const char *members;
	/* Copied. Whoever has a member's file speaks as one, but takes no part. */
	const struct datafs_keys *keys;
	uint64_t node;		/* of a client: its own id, that of its key file */
};

/* Blocks on the resolver. 0, or an error that was logged: -EINVAL, -ENOENT. */
int datafs_remote_open(const struct datafs_remote_config *cfg, struct datafs_remote **res);
/* No call may be under way; leases that have not ended do. NULL is nothing. */
void datafs_remote_close(struct datafs_remote *r);
/* All calls, now and later, end soon with -ESHUTDOWN. Any thread. */
void datafs_remote_stop(struct datafs_remote *r);

/*
 * More members, as in the configuration; those that are known already are passed over.
 * Blocks on the resolver. 0, or an error that was logged, as above: -ENOBUFS: they are too
 * many. Any thread.
 */
int datafs_remote_add(struct datafs_remote *r, const char *members);

/* How many members the configuration named; their addresses, until closed. */
unsigned int datafs_remote_members(const struct datafs_remote *r);
const char *datafs_remote_member(const struct datafs_remote *r, unsigned int i);

#define DATAFS_REMOTE_LEADER	(-1)

/*
 * The lease of a session; see meta/quorum.h. Several sessions may have theirs on one remote,
 * each once. All of it is of any thread.
 */
struct datafs_lease;
/* Objects that a change names itself. */
#define DATAFS_LEASE_CHANGES	8u

/* Not begun. The watch is copied. NULL: no memory. */
struct datafs_lease *datafs_lease_new(struct datafs_remote *r, uint64_t session,
				      const struct datafs_quorum_watch *watch);
/* Once; from here on the watch is called. Blocks for a moment. */
void datafs_lease_begin(struct datafs_lease *l);
/* Nothing is believed any more, nor is anybody told. Blocks for a moment. */
void datafs_lease_stop(struct datafs_lease *l);
/* It is freed: no call with it may be under way. Blocks for a moment. */
void datafs_lease_end(struct datafs_lease *l);
bool datafs_lease_keep(struct datafs_lease *l, const struct datafs_told *told,
		       const struct datafs_grant_object *o);
int64_t datafs_lease_until(struct datafs_lease *l);
void datafs_lease_forgotten(struct datafs_lease *l, uint64_t ticket);

struct datafs_lease_change;
/*
 * Before a change is sent that names these: they are forgotten, and not kept, until it is
 * said what has become of it. NULL: no memory.
 */
struct datafs_lease_change *datafs_lease_changes(struct datafs_lease *l,
						 const struct datafs_grant_object *objects,
						 unsigned int n);
/*
 * It has, and has changed these: answers that were asked for before are not kept. @told:
 * that of the change, which is.
 */
void datafs_lease_changed(struct datafs_lease *l, struct datafs_lease_change *c,
			  const struct datafs_grant_object *objects, unsigned int n,
			  struct datafs_told *told);
/*
 * It was sent, and may be done at any time: none of it is kept under this lease. With the
 * next one the leader tells the session of such a change, as it tells others.
 */
void datafs_lease_change_unknown(struct datafs_lease *l, struct datafs_lease_change *c);

/*
 * datafs_remote_call - have something answered
 * @ask:	a packed Ask
 * @member:	number of one that the configuration named, which alone is asked;
 *		or DATAFS_REMOTE_LEADER
 * @ms:		then it is given up (-ETIMEDOUT; it may be done), and it is not sent
 *		again for want of an answer before; 0: never
 * @res:	for metad__reply__free_unpacked(, NULL); its error may be one that
 *		asking again does not mend
 *
 * Blocks. 0, -ETIMEDOUT, -EHOSTUNREACH (it was given up, and nobody to ask was ever there),
 * -ESHUTDOWN, -ENOMEM, -EIO (no Reply; logged).
 */
int datafs_remote_call(struct datafs_remote *r, const void *ask, size_t len, int member,
		       uint32_t ms, Metad__Reply **res);
/*
 * ... to the leader, until *@over is set by somebody, who then calls
 * datafs_remote_over(): -ESHUTDOWN soon, as for all calls with it that come later.
 * @told: of when it was asked what is answered, under @lease; NULL: under none.
 */
int datafs_remote_call_until(struct datafs_remote *r, const void *ask, size_t len, uint32_t ms,
			     const atomic_bool *over, Metad__Reply **res,
			     struct datafs_lease *lease, struct datafs_told *told);
/* Blocks for a moment. Any thread but the network's. */
void datafs_remote_over(struct datafs_remote *r);

#endif
