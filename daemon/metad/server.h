/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of the metadata quorum that runs: its log (member.h) and namespace
 * (fsm.h), spoken to over the messenger (wire/messenger.h) by the other members
 * and by clients (proto/quorum.proto).
 *
 * Threads. What one owns no other touches; what goes from one to the other is a
 * message with its memory:
 *
 *	raft		a libuv loop: the log's disk, the member, entries applied.
 *			It may block on the disk.
 *	network		a datafs_loop: connections, frames, calls. It never blocks.
 *	workers		questions, once the member has said that they may be
 *			answered; names of hosts looked up
 *
 * All that waits is bounded: frames that find no room are lost, which the protocol
 * of the log expects; questions and commands are told to come again (EAGAIN).
 *
 * A directory of a member has raft/ (the log), snapshots/, and db/ (fsm.h).
 *
 * Leases. What the leader tells a session that has one it notes (grants.h), and it
 * recalls it before it has that changed.
 *
 * A full disk. While less than the reserve (DATAFS_SERVER_RESERVE) is free the leader
 * refuses commands that make something (ENOSPC: nothing was done), below a quarter
 * of it all (EAGAIN); questions are answered as ever. It looks once a second.
 */
#ifndef DATAFS_SERVER_H
#define DATAFS_SERVER_H

#include "metad/ns.h"
#include "metad/raft_conf.h"
#include "wire/keys.h"

/*
 * Bytes of disk, and how many write buffers: the larger. LevelDB makes tables of both buffers,
 * and merges them with the next level, while a checkpoint copies their logs.
 */
#define DATAFS_SERVER_RESERVE	(64ull << 20)
#define DATAFS_SERVER_RESERVE_BUFFERS	4
/* Entries that make a snapshot, and are kept before it. */
#define DATAFS_SERVER_THRESHOLD	65536u
#define DATAFS_SERVER_TRAILING	16384u
/*
 * Milliseconds of a lease; seconds without a sign of life after which a session is ended. 0:
 * never, as long as mounts, which take no lease, give none unless they change something.
 */
#define DATAFS_SERVER_LEASE	5000u
#define DATAFS_SERVER_SESSION	0u
#define DATAFS_SERVER_GRANTS	(1u << 20)	/* in the table, at most */
/*
 * Of a member of datafs-metad, which makes more files a second than a machine by itself. A
 * checkpoint copies what is in the buffers, up to twice as much, and the member does nothing
 * else meanwhile: a leader for longer than DATAFS_MEMBER_ELECTION_MS would be deposed.
 */
#define DATAFS_SERVER_WRITE_BUFFER	(16ull << 20)
#define DATAFS_SERVER_WRITE_BUFFER_MAX	(128ull << 20)

struct datafs_server;

struct datafs_server_config {
	uint64_t id;
	const char *dir;
	const char *listen;			/* HOST:PORT; port 0: any that is free */
	/* A member's, or off. Copied. */
	const struct datafs_keys *keys;
	unsigned int threshold, trailing;	/* of snapshots */
	uint32_t lease;				/* milliseconds, of those that it gives */
	uint32_t session;			/* seconds, see DATAFS_SERVER_SESSION */
	/*
	 * The highest feature level that it takes part in, and tells the others that it
	 * knows. 0: DATAFS_METAD_LEVEL.
	 */
	uint32_t level;
	struct datafs_metad_memory memory;	/* of its database */
	/*
	 * On the raft thread, once: the member has halted for this reason. It goes
	 * on telling its status, and nothing else. May be NULL.
	 */
	void (*halted)(void *arg, int err);
	void *arg;
};

/*
 * Makes the directory of member @id, which is not there or empty: of a new quorum of
 * @peers, itself among them; or with @n 0 of one that will be added to a quorum. It
 * is there as a whole or not at all. 0, or an error that was logged: -EEXIST, -EINVAL
 * (it is not among the peers).
 */
int datafs_server_make(const char *dir, uint64_t id, const struct datafs_raft_peer *peers,
		       unsigned int n);

/* Runs it. Blocks on the disk. 0, or an error that was logged. */
int datafs_server_open(const struct datafs_server_config *cfg, struct datafs_server **res);
/* Blocks until all is written and closed. NULL is nothing. */
void datafs_server_close(struct datafs_server *s);
uint16_t datafs_server_port(const struct datafs_server *s);
/*
 * Other keys, as datafs_wire_rekey() takes them: soon. Copied. What is wrong with
 * them is logged, and then nothing changes. 0 or -ENOMEM.
 */
int datafs_server_rekey(struct datafs_server *s, const struct datafs_keys *keys);

#endif
