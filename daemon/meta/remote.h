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

#include "quorum.pb-c.h"
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
/* No call may be under way. NULL is nothing. */
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
 */
int datafs_remote_call_until(struct datafs_remote *r, const void *ask, size_t len, uint32_t ms,
			     const atomic_bool *over, Metad__Reply **res);
/* Blocks for a moment. Any thread but the network's. */
void datafs_remote_over(struct datafs_remote *r);

#endif
