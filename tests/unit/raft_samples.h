/* SPDX-License-Identifier: Apache-2.0 */
/* One frame of each kind, for the unit test and for the fuzzer's seeds. */
#ifndef DATAFS_TEST_RAFT_SAMPLES_H
#define DATAFS_TEST_RAFT_SAMPLES_H

#include <stdio.h>
#include <string.h>

#include "metad/raft_wire.h"

enum { SAMPLE_ENTRIES = 3 };

/* A configuration as libraft encodes it; the buffer is for raft_free(). */
static inline int sample_configuration(struct raft_configuration *conf,
				       struct raft_buffer *buf)
{
	char address[16];

	raft_configuration_init(conf);
	for (int i = 0; i < 3; i++) {
		snprintf(address, sizeof(address), "node-%d", i);
		if (raft_configuration_add(conf, (raft_id)i + 1, address, i))
			return -1;
	}
	return raft_configuration_encode(conf, buf);
}

static inline void sample_append(struct raft_message *m, struct raft_entry *entries,
				 struct raft_buffer conf)
{
	static uint8_t data[2][8] = { { 1, 2 }, { 3 } };

	memset(entries, 0, SAMPLE_ENTRIES * sizeof(*entries));
	entries[0].term = 2;
	entries[0].type = RAFT_CHANGE;
	entries[0].buf = conf;
	for (int i = 1; i < SAMPLE_ENTRIES; i++) {
		entries[i].term = 3;
		entries[i].type = i == 1 ? RAFT_COMMAND : RAFT_BARRIER;
		entries[i].buf.base = data[i - 1];
		entries[i].buf.len = 8;
	}
	m->append_entries.term = 3;
	m->append_entries.prev_log_index = 10;
	m->append_entries.prev_log_term = 2;
	m->append_entries.leader_commit = 9;
	m->append_entries.entries = entries;
	m->append_entries.n_entries = SAMPLE_ENTRIES;
}

static inline void sample_small(struct raft_message *m)
{
	switch (m->type) {
	case RAFT_REQUEST_VOTE:
		m->request_vote.term = 7;
		m->request_vote.candidate_id = 2;
		m->request_vote.last_log_index = 100;
		m->request_vote.last_log_term = 6;
		m->request_vote.pre_vote = true;
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		m->request_vote_result.term = 7;
		m->request_vote_result.vote_granted = true;
		m->request_vote_result.features = 1;
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		m->append_entries_result.term = 7;
		m->append_entries_result.rejected = 5;
		m->append_entries_result.last_log_index = 4;
		m->append_entries_result.capacity = 513;
		break;
	default:
		m->timeout_now.term = 7;
		m->timeout_now.last_log_index = 100;
		m->timeout_now.last_log_term = 6;
	}
}

/* @conf and @entries are what it points into. 0 or -1. */
static inline int sample_frame(unsigned int kind, struct datafs_raft_frame *f,
			       struct raft_configuration *conf, struct raft_buffer *buf,
			       struct raft_entry *entries)
{
	static uint8_t manifest[12] = { 1, 2, 3 };

	memset(f, 0, sizeof(*f));
	if (sample_configuration(conf, buf))
		return -1;
	f->kind = kind;
	if (kind > DATAFS_RAFT_KIND_RAFT_LAST) {
		f->confirm.term = 5;
		f->confirm.round = 1ull << 40;
		return 0;
	}
	f->raft.type = kind;
	if (kind == RAFT_APPEND_ENTRIES) {
		sample_append(&f->raft, entries, *buf);
	} else if (kind == RAFT_INSTALL_SNAPSHOT) {
		f->raft.install_snapshot.term = 9;
		f->raft.install_snapshot.last_index = 1000;
		f->raft.install_snapshot.last_term = 8;
		f->raft.install_snapshot.conf_index = 12;
		f->raft.install_snapshot.conf = *conf;
		f->raft.install_snapshot.data.base = manifest;
		f->raft.install_snapshot.data.len = sizeof(manifest);
	} else {
		sample_small(&f->raft);
	}
	return 0;
}

#endif
