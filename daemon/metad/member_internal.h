/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of a member. Each owns a part of struct datafs_member:
 *
 *	member.c	events, one after the other; begin and end
 *	member_step.c	a step of the protocol, and what it wants done
 *	member_log.c	the log in memory
 *	member_apply.c	operations: queued, packed, proposed, applied, answered
 *	member_read.c	reads
 *	member_snap.c	snapshots: taken, installed
 *	member_fetch.c	their files: from others, and to them
 *	member_backup.c	those that an operator takes away
 *	member_change.c	who is in the quorum
 *
 * What happens is queued as an event, and datafs_member_run() takes one after the
 * other; a call that comes from inside it only queues.
 */
#ifndef DATAFS_MEMBER_INTERNAL_H
#define DATAFS_MEMBER_INTERNAL_H

#include "metad/manifest.h"
#include "metad/member.h"
#include "metad/raft_wire.h"

/*
 * Faults that a test plants, to see that it would find them: it defines this
 * function. In a program without such a test it is not there.
 */
enum datafs_plant {
	DATAFS_PLANT_STALE_READ,	/* no majority is asked */
	DATAFS_PLANT_EARLY_ANSWER,	/* answered when proposed, not when applied */
};
bool datafs_member_plant(enum datafs_plant what) __attribute__((weak));

/* An entry's bytes: in the log, and in writes that are under way. */
struct log_bytes {
	unsigned int refs;
	size_t len;
	uint8_t data[];
};

struct log_entry {
	uint64_t term;
	enum raft_entry_type type;
	struct log_bytes *bytes;
};

/* Entries from first on, without a gap. Before it: a snapshot, or nothing. */
struct log {
	struct log_entry *entries;
	size_t n, room;
	uint64_t first;
	uint64_t snap_index, snap_term;	/* the newest snapshot; 0: none */
};

void datafs_log_free(struct log *log);
uint64_t datafs_log_last(const struct log *log);
/* 0: not known. */
uint64_t datafs_log_term(const struct log *log, uint64_t index);
/* NULL: not there. */
struct log_entry *datafs_log_get(const struct log *log, uint64_t index);
/* Copies of @entries, from @index on, instead of what is there. 0 or -ENOMEM. */
int datafs_log_put(struct log *log, uint64_t index, const struct raft_entry *entries,
		   unsigned int n);
/* A snapshot was taken at @index; entries up to @trailing before it go. */
void datafs_log_compact(struct log *log, uint64_t index, uint64_t term,
			unsigned int trailing);
/* A snapshot is all there is. */
void datafs_log_reset(struct log *log, uint64_t index, uint64_t term);
void datafs_log_bytes_put(struct log_bytes *bytes);

/* Entries that are being written; they are referenced. */
struct append {
	struct datafs_raft_io io;
	struct datafs_member *m;
	uint64_t index;
	unsigned int n;
	struct log_bytes **bytes;
	struct raft_entry *entries;
};

enum event_kind {
	EVENT_STEP,		/* of libraft, as it is */
	EVENT_RECEIVE,		/* the frame is the event's */
	EVENT_PERSISTED,	/* an append is durable */
};

struct event {
	STAILQ_ENTRY(event) next;
	enum event_kind kind;
	struct raft_event raft;
	struct datafs_raft_frame frame;
	uint64_t from;
	struct append *append;
};

/* An entry of ours that is not applied yet. */
struct proposal {
	TAILQ_ENTRY(proposal) next;
	uint64_t index;
	TAILQ_HEAD(, datafs_member_op) ops;
};

/* Who has confirmed which round. */
struct confirmed {
	uint64_t id, round;
};

TAILQ_HEAD(op_list, datafs_member_op);
TAILQ_HEAD(read_list, datafs_member_read);

struct reads {
	struct read_list fresh;		/* for the next round */
	struct read_list asked;		/* in the round under way */
	struct read_list known;		/* confirmed, to be applied */
	uint64_t round, sent_at;
	struct confirmed peers[DATAFS_RAFT_SERVERS_MAX];
};

/* The newest snapshot of this member. */
struct snap {
	uint64_t index, term, conf_index;
	struct raft_configuration conf;
	void *manifest;
	size_t len;
};

/* One that is being written: taken here, or installed. */
struct snap_write {
	struct datafs_raft_io io;
	struct datafs_member *m;
	bool active, install;
	/* before it is stored: its files are there, and are being read */
	bool summing;
	struct datafs_manifest_job job;
	struct datafs_manifest old;
	unsigned int trailing;
	struct snap snap;
	struct raft_snapshot raft;
	struct raft_buffer buf;
};

/* One whose files are being fetched. */
struct fetch {
	bool active;
	uint64_t from, token;
	uint64_t since, asked;		/* the last piece that came; that was asked for */
	struct datafs_raft_frame frame;
	struct datafs_manifest manifest;
	unsigned int file;
	uint64_t off;
	uint32_t crc;
	int fd;
};

/* A snapshot that is kept for a backup: its index, 0: none; when it was last asked for. */
struct hold {
	uint64_t index, at;
};

TAILQ_HEAD(backup_list, datafs_member_backup);

struct datafs_member {
	struct datafs_member_config cfg;
	struct raft raft;
	struct log log;
	STAILQ_HEAD(, event) events;
	bool busy, started, corked;
	bool stale;			/* the step is of a message of an older term */
	uint64_t heard;			/* when a leader of this term was last heard of */
	uint64_t ticked;		/* when libraft was last told the time */
	int halted;

	uint64_t disk_term, disk_vote;	/* what the disk has */
	bool leads;			/* as of the last step */
	uint64_t leads_term;
	uint64_t applied;		/* or a snapshot's index */
	uint64_t applied_bytes;		/* of entries, since the last snapshot */
	uint64_t snap_again;		/* none is taken before, after one has failed */

	struct op_list queue;		/* not proposed */
	size_t queued;			/* their bytes */
	TAILQ_HEAD(, proposal) proposals;
	unsigned int proposed;
	struct op_list ops_done;
	struct read_list reads_done;

	struct reads reads;

	struct snap snap;
	struct snap_write snap_write;
	struct fetch fetch;
	uint64_t tokens;
	uint64_t fetch_again;		/* no other before, after one has failed */
	uint64_t served, served_at;	/* which snapshot somebody fetches */
	bool restore;			/* the snapshot, before anything is applied */
	struct backup_list backups, backups_done;
	struct hold holds[DATAFS_MEMBER_HOLDS];

	struct datafs_member_change *change, *change_done;
	uint64_t hurried;		/* who is to lead was told at this entry */
};

void datafs_append_free(struct append *a);
int datafs_raft_error(int rv);	/* of libraft, as a negative errno */

void datafs_member_run(struct datafs_member *m);
/* Logs it, the first time. */
void datafs_member_halt(struct datafs_member *m, int err, const char *what);
/* Queues it. NULL: no memory, and the member has halted. */
struct event *datafs_member_event(struct datafs_member *m, enum event_kind kind);
/*
 * Proposes an entry now: its index, or 0 with the error. @buf is raft_malloc()ed,
 * and taken. Not inside a step.
 */
uint64_t datafs_member_propose(struct datafs_member *m, enum raft_entry_type type,
			       struct raft_buffer buf, int *err);
int datafs_member_step(struct datafs_member *m, struct raft_event *event);
/* The same, of an event RAFT_RECEIVE. */
int datafs_member_step_receive(struct datafs_member *m, struct raft_event *event);
void datafs_member_send(struct datafs_member *m, uint64_t to,
			const struct datafs_raft_frame *frame);
/* It leads, and has committed an entry of its own term. */
bool datafs_member_ready(struct datafs_member *m);
unsigned int datafs_member_voters(const struct datafs_member *m);

static inline bool datafs_planted(enum datafs_plant what)
{
	return datafs_member_plant && datafs_member_plant(what);
}

/* What disk.load() gave. */
void datafs_member_loaded_free(struct datafs_raft_loaded *l);
/*
 * A crash can leave a snapshot that was being installed and the log that it was to
 * replace. Nothing of that log counts: not even this member knows where it and the
 * log of the others part. True: it was so, and its entries are gone from @l.
 */
bool datafs_member_half_installed(struct datafs_raft_loaded *l);

/* member_apply.c */
/* Of an entry: its operations, and the stamp before them. */
#define DATAFS_MEMBER_ENTRY_CMDS	(1 + DATAFS_MEMBER_ENTRY_OPS)
/* What is in an entry of type RAFT_COMMAND: their number, or -EBADMSG. */
long datafs_member_unpack(const void *entry, size_t size, struct datafs_raft_command *cmds);
void datafs_member_apply(struct datafs_member *m);
/* There is more to apply, but not all at once. */
bool datafs_member_lags(const struct datafs_member *m);
void datafs_member_flush(struct datafs_member *m);
/* Leadership is lost or it halts: proposed ones get @err, others @unproposed. */
void datafs_member_drop_ops(struct datafs_member *m, int err, int unproposed);
/* True if there was one. */
bool datafs_member_answer(struct datafs_member *m);

/* member_read.c */
void datafs_member_reads(struct datafs_member *m);
void datafs_member_confirm(struct datafs_member *m, uint64_t from,
			   const struct datafs_raft_frame *frame);
void datafs_member_drop_reads(struct datafs_member *m, int err);
bool datafs_member_answer_reads(struct datafs_member *m);

/* member_snap.c */
int datafs_member_snap_load(struct datafs_member *m, struct raft_snapshot *snapshot);
void datafs_member_snap_free(struct datafs_member *m);
void datafs_member_snap_install(struct datafs_member *m, struct raft_update *update);
/* Goes on with an install that a crash has interrupted: the log is not empty yet. */
int datafs_member_snap_again(struct datafs_member *m);
void datafs_member_snap_restore(struct datafs_member *m);
/* Takes one if it is time, or goes on with it; and with one that is fetched. */
void datafs_member_snaps(struct datafs_member *m);
/* Removes what a crash has left of one that was being fetched. */
void datafs_member_snap_clean(struct datafs_member *m);
int datafs_member_snap_fill(struct datafs_member *m, struct raft_install_snapshot *s);

/* "snap-INDEX-TERM" and @tail, below the directory of snapshots. */
#define DATAFS_SNAP_PATH	4096
int datafs_snap_path(const struct datafs_member *m, uint64_t index, uint64_t term,
		     const char *tail, char *path);
/* A directory of files, if it is there. */
void datafs_snap_remove(const char *path);

/* member_fetch.c */
/* A frame with a snapshot: takes it. */
void datafs_member_snap_offer(struct datafs_member *m, uint64_t from,
			      struct datafs_raft_frame *frame);
void datafs_member_fetch_end(struct datafs_member *m);
/* Asks again, or gives up; and when that is due. */
void datafs_member_fetch_time(struct datafs_member *m);
uint64_t datafs_member_fetch_deadline(const struct datafs_member *m);
/* Somebody fetches snapshot @index from here. */
bool datafs_member_serves(const struct datafs_member *m, uint64_t index);

/* As it is on the disk, whoever asks. */
long datafs_member_read_piece(struct datafs_member *m, const struct datafs_raft_piece *piece,
			      void *buf);

/* member_backup.c */
/* Those that have their snapshot now are done. True: others wait for one. */
bool datafs_member_backups(struct datafs_member *m);
void datafs_member_drop_backups(struct datafs_member *m, int err);
bool datafs_member_answer_backup(struct datafs_member *m);
bool datafs_member_holds(const struct datafs_member *m, uint64_t index);

/* member_change.c */
/* Of the configuration in force, or NULL. */
struct raft_server *datafs_member_find(struct datafs_member *m, uint64_t id);
void datafs_member_changes(struct datafs_member *m);
void datafs_member_drop_change(struct datafs_member *m, int err);
/* A step with RAFT_CONFIGURATION; takes what @event points to. */
int datafs_member_conf_committed(struct datafs_member *m, struct raft_event *event);
/* Entries were replaced. 0 or -ENOMEM. */
int datafs_member_conf_cut(struct datafs_member *m);
bool datafs_member_answer_change(struct datafs_member *m);

#endif
