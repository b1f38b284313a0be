/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One member of a quorum, driven by hand: the test is its network, its time, its
 * disk, which does at once what it is asked, and its state machine, which counts.
 * It is member 1 of 1 to 3, and its log begins with their configuration.
 */
#ifndef DATAFS_TEST_MEMBER_FIXTURE_H
#define DATAFS_TEST_MEMBER_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metad/member_internal.h"

#define BENCH_SENT	256u
#define BENCH_LOG	64u

struct bench {
	char dir[4096];
	uint64_t now;
	struct datafs_member *m;
	unsigned int threshold;
	size_t entry_len;		/* of commands that it is sent: 8, or more than 12 */

	/* the disk: what is loaded, and what it was asked */
	uint64_t term, vote;
	uint64_t terms[BENCH_LOG];	/* of the commands behind the configuration */
	unsigned int n;
	bool standby;			/* it is, in that configuration */
	struct raft_snapshot snapshot;	/* index 0: none */
	struct raft_buffer snapshot_buf;
	bool hold;			/* what is asked of it is not done yet */
	struct datafs_raft_io *held[BENCH_LOG];
	unsigned int n_held;
	int term_err;
	unsigned int snapshots;
	uint64_t snapshot_index, snapshot_conf_index;
	unsigned int snapshot_servers, snapshot_trailing;

	/* the state machine */
	uint64_t applied;
	size_t (*stamp)(void *ctx, void *buf);
	unsigned int cmds;		/* of the last entry */
	uint64_t first;			/* the first of them, if it is of 8 bytes */
	int checkpoint_err;
	size_t file_size;		/* of the one file of a checkpoint */
	unsigned int checkpoints, restored;

	/* the network */
	struct datafs_raft_frame sent[BENCH_SENT];
	uint64_t to[BENCH_SENT];
	unsigned int n_sent;
	uint64_t fetch_from, fetch_token, fetch_index, fetch_off;
	unsigned int fetches;
};

void bench_init(struct bench *b);
/* 0, or what datafs_member_start() said; then the member is closed. */
int bench_start(struct bench *b);
void bench_stop(struct bench *b);
void bench_free(struct bench *b);

/* Servers 1 to @n, all of them voters; for raft_free(). */
struct raft_buffer bench_conf(unsigned int n);
/* The same, but 1 has @role. */
struct raft_buffer bench_conf_role(unsigned int n, int role);

/* What is sent so far is forgotten. */
void bench_forget(struct bench *b);
/* How many were sent of a kind. */
unsigned int bench_count(const struct bench *b, unsigned int kind);

void bench_receive(struct bench *b, uint64_t from, const struct datafs_raft_frame *frame);
/* An entry (a change, if @conf has servers; a command) or, with none, a heartbeat. */
void bench_entry(struct bench *b, uint64_t term, uint64_t prev, uint64_t prev_term,
		 uint64_t commit, uint64_t entry_term, unsigned int conf);
void bench_heartbeat(struct bench *b, uint64_t term, uint64_t prev, uint64_t prev_term,
		     uint64_t commit);
/* What was held is done, in order. */
void bench_release(struct bench *b);
/* Becomes the leader, by the vote of 2. */
void bench_lead(struct bench *b);
/* 2 has all entries up to @index. */
void bench_ack(struct bench *b, uint64_t from, uint64_t index);
/* @from does not have entry @prev; its last is @last. */
void bench_reject(struct bench *b, uint64_t from, uint64_t prev, uint64_t last);
/* To its deadline, if that is not behind @ms from now, and a tick there. */
bool bench_tick(struct bench *b, uint64_t ms);

/* An offer of the snapshot @index by member 2, in @term; one file of @size bytes 'x'. */
void bench_offer(struct bench *b, uint64_t term, uint64_t index, size_t size);
/* Answers what it fetches, until it fetches nothing more. */
void bench_feed(struct bench *b, size_t size);
/* Entries of the directory of snapshots. */
unsigned int bench_dirs(const struct bench *b);

#endif
