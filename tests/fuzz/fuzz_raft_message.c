// SPDX-License-Identifier: Apache-2.0
/*
 * daemon/metad/raft_wire.c against arbitrary bytes, which lie at the end of an
 * allocation of their exact size. What it lets through must be within its
 * bounds, and is the only encoding of what it says.
 */
#include "fuzz.h"

#include <string.h>

#include "metad/raft_wire.h"

static void append_holds(const struct raft_append_entries *a)
{
	size_t bytes = 0;

	MUST(a->term && a->n_entries <= DATAFS_RAFT_ENTRIES_MAX);
	for (unsigned int i = 0; i < a->n_entries; i++) {
		const struct raft_entry *e = &a->entries[i];
		struct raft_configuration conf;

		MUST(e->term && e->term <= a->term && e->batch == a->entries[0].batch);
		MUST(e->type != RAFT_CHANGE || !i);
		bytes += e->buf.len;
		if (e->type != RAFT_CHANGE)
			continue;
		MUST(!raft_configuration_decode(&e->buf, &conf));
		MUST(conf.n && conf.n <= DATAFS_RAFT_SERVERS_MAX);
		raft_configuration_close(&conf);
	}
	MUST(bytes <= DATAFS_RAFT_BATCH_MAX);
}

static void snapshot_holds(const struct raft_install_snapshot *s)
{
	MUST(s->term && s->last_index && s->last_term && s->last_term <= s->term);
	MUST(s->conf.n && s->conf.n <= DATAFS_RAFT_SERVERS_MAX);
	MUST(s->data.base && s->data.len <= DATAFS_RAFT_MANIFEST_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_raft_frame frame;
	void *body = malloc(size), *again;

	MUST(body || !size);
	if (size)
		memcpy(body, data, size);
	if (!datafs_raft_decode(body, size, &frame)) {
		if (frame.kind == RAFT_APPEND_ENTRIES)
			append_holds(&frame.raft.append_entries);
		if (frame.kind == RAFT_INSTALL_SNAPSHOT)
			snapshot_holds(&frame.raft.install_snapshot);
		MUST(datafs_raft_encode(&frame, &again) == (long)size);
		MUST(!memcmp(again, body, size));
		free(again);
		datafs_raft_frame_free(&frame);
	}
	free(body);
	return 0;
}
