/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One member of a quorum: a replicated log (libraft 0.22.1), and below it a
 * state machine that is told the same entries, in the same order, on all members.
 *
 * How libraft is used. It has two faces. raft_init() with a struct raft_io runs
 * disk, network and state machine for its caller; raft_init() without one and
 * raft_step() is the protocol alone: an event goes in, and what to store and to
 * send comes out. The second is complete and public, and the first is made from
 * it inside the library. A member takes the second:
 *
 *   - Time, network and disk are its owner's, so a simulation runs the very code
 *     that runs in production, and decides everything.
 *   - The callbacks of the first are fired by raft_uv and by raft_fixture only
 *     (the call is not exported): no other raft_io can have them.
 *   - The first ignores errors of the disk (asserts, which Debian's build leaves
 *     out), calls through NULL if a snapshot comes while one is taken, and clears
 *     the stored vote before it stores the same vote again, so that a crash
 *     between the two lets a member vote twice in one term.
 *   - The files of a snapshot must be here before the protocol hears of it.
 *
 * Where the protocol itself is wrong, what goes into it and what comes out is put
 * right: member.c and member_step.c (messages), member_change.c (configurations,
 * transfers).
 *
 * raft_uv's files are still used, without its network: member_uv.h.
 *
 * A member has no thread, no lock and no clock: all calls are of one thread, and
 * so are all callbacks. Any call is allowed in a callback, but close. The callback
 * of an operation, read or change is made once, maybe before the call that
 * began it returns. Whatever
 * makes it unsafe to go on (the disk, the state machine, an entry nobody
 * understands, a log that contradicts what was committed) halts the member: one
 * line in the log, -EIO to all who wait, and nothing is stored or sent any more.
 *
 * Errors of operations and changes:
 *
 *	-EREMOTE	this member does not lead: nothing was done
 *	-EAGAIN		leadership was lost: it may or may not be done. Ask again
 *			with the same request id.
 *	-EIO		the member has halted or is closed: as -EAGAIN
 */
#ifndef DATAFS_MEMBER_H
#define DATAFS_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <raft.h>

/* A follower that hears nothing for 1 to 2 times this asks to be elected. */
#define DATAFS_MEMBER_ELECTION_MS	300
#define DATAFS_MEMBER_HEARTBEAT_MS	100
/*
 * A snapshot whose files do not come for this long is given up; a piece of one is
 * asked for again sooner. Who offers it does not take another one for so long.
 */
#define DATAFS_MEMBER_FETCH_MS		5000
#define DATAFS_MEMBER_PIECE_MS		1000
/* A snapshot for a backup of which no piece is asked for so long may go. */
#define DATAFS_MEMBER_HOLD_MS		30000
#define DATAFS_MEMBER_HOLDS		4u	/* such snapshots at once */
/* Entries sent and not acknowledged yet; libraft's 32 halves the throughput. */
#define DATAFS_MEMBER_INFLIGHT		512
#define DATAFS_MEMBER_SEND_FRAMES	4u	/* to one member at once */
/* Entries proposed and not applied yet; what comes meanwhile is packed. */
#define DATAFS_MEMBER_PROPOSED		8
#define DATAFS_MEMBER_ENTRY_OPS		1024u	/* operations of an entry */
#define DATAFS_MEMBER_STAMP_MAX		64u	/* bytes of a leader's stamp */
#define DATAFS_MEMBER_OP_MAX		(256u << 10)	/* bytes of one operation */
#define DATAFS_MEMBER_QUEUE_MAX		(16u << 20)	/* bytes that wait */
#define DATAFS_MEMBER_PIECE_MAX		(256u << 10)	/* bytes fetched at once */
/* Of entries, or so many of them, applied at once. */
#define DATAFS_MEMBER_APPLY_BYTES	(2u << 20)
#define DATAFS_MEMBER_APPLY_ENTRIES	1024u
#define DATAFS_MEMBER_SNAPSHOT_BYTES	(64u << 20)	/* of entries: then a snapshot is due */
#define DATAFS_MEMBER_TRAILING_BYTES	(16u << 20)	/* of entries, kept before it */
#define DATAFS_MEMBER_SUM_BYTES		(4u << 20)	/* of a snapshot's files, read at once */
/* After a snapshot for which there was no room the next is tried. */
#define DATAFS_MEMBER_SNAPSHOT_AGAIN_MS	10000

struct datafs_member;

/* An operation in an entry, as the state machine is told it. */
struct datafs_raft_command {
	const void *buf;
	size_t len;
	/* Out: the answer, malloc()ed, or NULL. The member frees it. */
	void *res;
	size_t res_len;
};

/* The state machine. All calls may block, and hold up the member meanwhile. */
struct datafs_raft_fsm {
	void *ctx;
	/* The index of the last entry that it has, durably or not. */
	uint64_t (*applied)(void *ctx);
	/*
	 * Entry @index, with its operations in order; @n can be 0. Before the first
	 * operation comes the stamp, if there are such. It must do the same on all
	 * members. What it does need not be durable, but what is found
	 * after a crash must be a prefix, with its index. An error halts the member.
	 */
	int (*apply)(void *ctx, uint64_t index, uint64_t term,
		     struct datafs_raft_command *cmds, unsigned int n);
	/*
	 * Makes the directory @dir with all that was applied, durably. -ENOSPC, -EDQUOT:
	 * it is tried again later. Another error halts the member.
	 */
	int (*checkpoint)(void *ctx, const char *dir);
	/* Becomes what is in @dir, which stays as it is. */
	int (*restore)(void *ctx, const char *dir);
	/*
	 * What the leader alone knows, its clock for one, and all members are to be
	 * told: it is called for each entry of operations that is proposed, and @buf
	 * has room for DATAFS_MEMBER_STAMP_MAX bytes. NULL: there are no stamps, the
	 * same on all members. The length.
	 */
	size_t (*stamp)(void *ctx, void *buf);
};

/* A part of a file of the snapshot of this index and term. */
struct datafs_raft_piece {
	uint64_t index, term;
	const char *file;	/* no directory */
	uint64_t off;
	uint32_t len;
};

/* The network: may lose, repeat and delay, but not change. */
struct datafs_raft_net {
	void *ctx;
	/* @buf is the caller's. What arrives is for datafs_member_receive(). */
	void (*send)(void *ctx, uint64_t to, const void *buf, size_t len);
	/*
	 * Ask @from for a piece (datafs_member_piece() there), and tell
	 * datafs_member_fetched() with @token, later, or never: then it is asked for
	 * again. @piece is the caller's.
	 */
	void (*fetch)(void *ctx, uint64_t from, const struct datafs_raft_piece *piece,
		      uint64_t token);
};

/* What a disk had when it was opened; all of it raft_malloc()ed. */
struct datafs_raft_loaded {
	uint64_t term, vote;
	struct raft_snapshot *snapshot;	/* NULL: none; one buffer */
	uint64_t first;			/* index of entries[0], or of what is next */
	struct raft_entry *entries;
	size_t n;
};

/* Something that is being made durable. Owned by who asked, until done. */
struct datafs_raft_io {
	void (*done)(struct datafs_raft_io *io, int err);
};

/*
 * The disk of a log. What is asked is done in the order in which it is asked. The
 * first three are durable when they return. -ECANCELED, at once or to done: it is
 * closed, and the member, which halts without a word, is closed next.
 */
struct datafs_raft_disk {
	void *ctx;
	int (*load)(void *ctx, struct datafs_raft_loaded *res);
	int (*set_term)(void *ctx, uint64_t term);	/* and no vote */
	int (*set_vote)(void *ctx, uint64_t id);
	/* From @index on, instead of what is there. @entries live until done. */
	int (*append)(void *ctx, uint64_t index, const struct raft_entry *entries,
		      unsigned int n, struct datafs_raft_io *io);
	/*
	 * Then entries up to @trailing before it may go. With @trailing 0 all
	 * entries go. @snapshot lives until done.
	 */
	int (*snapshot)(void *ctx, const struct raft_snapshot *snapshot,
			unsigned int trailing, struct datafs_raft_io *io);
};

struct datafs_member_config {
	uint64_t id;		/* never one that had another disk */
	const char *address;	/* its own, as in the configuration */
	const char *snapshots;	/* a directory for them, on the state's filesystem */
	uint32_t seed;		/* of the timeouts */
	/*
	 * Entries applied after a snapshot that make the next; kept before it. Not 0.
	 * So many bytes of entries make one too, and fewer are kept if they are long.
	 */
	unsigned int threshold, trailing;
	struct datafs_raft_fsm fsm;
	struct datafs_raft_net net;
	struct datafs_raft_disk disk;
	uint64_t (*now)(void *ctx);	/* milliseconds, never back */
	void *ctx;
};

/*
 * Everything in the config is copied, but what its pointers point to; the address
 * is. 0, -ENOMEM, -EINVAL.
 */
int datafs_member_open(const struct datafs_member_config *cfg, struct datafs_member **res);

/*
 * Loads what the disk has and begins. 0, -EUCLEAN: the log is damaged, or the state
 * machine is ahead of the log's end, or behind its begin, and the snapshot it would
 * be restored from is not whole (logged); or what disk and state machine said. After
 * an error: close.
 */
int datafs_member_start(struct datafs_member *m);

/*
 * All that is under way ends with -EIO. The disk must have been closed before:
 * nothing may be under way there.
 */
void datafs_member_close(struct datafs_member *m);

/*
 * Between the two what is asked waits, and is done together: operations go into as few
 * entries as there is room in. Meanwhile only datafs_member_submit(), datafs_member_read()
 * and what changes nothing may be called.
 */
void datafs_member_cork(struct datafs_member *m);
void datafs_member_uncork(struct datafs_member *m);

/* A frame from member @from, which who carries it vouches for. */
void datafs_member_receive(struct datafs_member *m, uint64_t from, const void *buf,
			   size_t len);

/* To be called at datafs_member_deadline(), which any other call may change. */
void datafs_member_tick(struct datafs_member *m);
uint64_t datafs_member_deadline(const struct datafs_member *m);

/* An operation. Its bytes are the caller's until done. */
struct datafs_member_op {
	const void *buf;
	size_t len;
	/* @res is valid in the call. */
	void (*done)(struct datafs_member_op *op, int err, const void *res, size_t len);

	/* the member's */
	TAILQ_ENTRY(datafs_member_op) next;
	int err;
	void *res;
	size_t res_len;
};

/* 0: done will be called. -EREMOTE, -EMSGSIZE, -EBUSY (too much waits), -EIO. */
int datafs_member_submit(struct datafs_member *m, struct datafs_member_op *op);

struct datafs_member_read {
	/*
	 * 0: the state machine has all that was acknowledged, by anybody, before
	 * the call that began this. Read it now. -EREMOTE, -EIO: nothing is known.
	 */
	void (*done)(struct datafs_member_read *read, int err);

	/* the member's */
	TAILQ_ENTRY(datafs_member_read) next;
	uint64_t index;
	int err;
};

/* 0: done will be called. -EREMOTE, -EIO. */
int datafs_member_read(struct datafs_member *m, struct datafs_member_read *read);

enum datafs_change_kind {
	DATAFS_CHANGE_ADD,	/* with @role, which is not voter */
	DATAFS_CHANGE_PROMOTE,	/* to voter, once its log has caught up */
	DATAFS_CHANGE_DEMOTE,	/* to @role */
	DATAFS_CHANGE_REMOVE,
};

/* A change of who is in the quorum. */
struct datafs_member_change {
	enum datafs_change_kind kind;
	uint64_t id;
	int role;		/* RAFT_STANDBY: gets the log; RAFT_SPARE: nothing */
	const char *address;	/* of who is added */
	/* 0, -EAGAIN, -EIO, -ETIMEDOUT: it did not catch up */
	void (*done)(struct datafs_member_change *change, int err);

	/* the member's */
	uint64_t index;
	int err;
};

/*
 * One at a time. 0: done will be called. -EREMOTE, -EIO; -EBUSY: another is under
 * way, or this leader has not committed its barrier yet; -EINVAL: it would leave
 * no voter, or it is the leader itself that goes (transfer first), or the kind and
 * the role do not fit; -EEXIST, -ENOENT: that id; -EALREADY: it is so.
 */
int datafs_member_change(struct datafs_member *m, struct datafs_member_change *change);

/*
 * Leadership to voter @id, or any (0). 0: it is tried for one election timeout,
 * and operations get -EREMOTE meanwhile. -EREMOTE, -ENOENT (no such voter), -EIO.
 */
int datafs_member_transfer(struct datafs_member *m, uint64_t id);

struct datafs_member_status {
	uint64_t term, commit, applied, snapshot, last;
	uint64_t leader;	/* 0: not known */
	bool leads, ready;	/* ready: its barrier is committed */
	int role;		/* RAFT_VOTER..., -1: not in the configuration */
	int halted;		/* 0, or the error */
	unsigned int servers, voters;
};
void datafs_member_status(struct datafs_member *m, struct datafs_member_status *res);

/*
 * Its user has met @err, which another member may not: it halts as if it had met that itself,
 * and logs @what was tried. Operations end with -EIO.
 */
void datafs_member_fail(struct datafs_member *m, int err, const char *what);

/* Who is in the quorum, by the last configuration of this member's log. */
struct datafs_member_server {
	uint64_t id;
	int role;		/* RAFT_VOTER... */
	const char *address;	/* until the next call of the member */
};
/* Number @i, from 0. False: there are no more. */
bool datafs_member_server(const struct datafs_member *m, unsigned int i,
			  struct datafs_member_server *res);

/*
 * What another member fetches: @buf has room for @piece->len. Bytes read, fewer
 * only at the file's end, or a negative errno. The two newest snapshots are kept,
 * and one that is being fetched.
 */
long datafs_member_piece(struct datafs_member *m, const struct datafs_raft_piece *piece,
			 void *buf);
/*
 * The answer to datafs_raft_net's fetch; an old token is ignored. @err: as
 * datafs_member_piece() said; -ETIMEDOUT, -ECONNRESET and the like: it did not come.
 */
void datafs_member_fetched(struct datafs_member *m, uint64_t token, int err,
			   const void *buf, size_t len);

/* A snapshot that is asked for, with all that is applied by then. */
struct datafs_member_backup {
	/*
	 * 0: it is there, and its pieces can be had; -ENOSPC, -EDQUOT, -EIO; -EBUSY: too
	 * many are kept; -EAGAIN: it was replaced at once, ask again.
	 */
	void (*done)(struct datafs_member_backup *b, int err);
	/* Of the snapshot; the manifest is valid in the call of done. */
	uint64_t index, term;
	const void *manifest;
	size_t len;

	/* the member's */
	TAILQ_ENTRY(datafs_member_backup) next;
	int err;
};

/* Behind datafs_member_read() it has all that was acknowledged. 0: done will be called. -EIO. */
int datafs_member_backup(struct datafs_member *m, struct datafs_member_backup *b);
/* As datafs_member_piece(), of such a snapshot. -ESTALE: it is not kept any more. */
long datafs_member_backup_piece(struct datafs_member *m, const struct datafs_raft_piece *piece,
				void *buf);

#endif
