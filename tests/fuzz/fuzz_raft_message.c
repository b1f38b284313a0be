// SPDX-License-Identifier: Apache-2.0
/*
 * daemon/metad/raft_wire.c and manifest.c against arbitrary bytes, which lie at
 * the end of an allocation of their exact size. What they let through must be
 * within their bounds, and is the only encoding of what it says.
 */
#include "fuzz.h"

#include <string.h>

#include "base/crc32c.h"
#include "metad/manifest.h"
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

/* With the checksum that it needs to be looked at. */
static void fuzz_manifest(uint8_t *buf, size_t len)
{
	struct datafs_manifest m;
	uint32_t crc;
	void *again;

	if (len < 4)
		return;
	crc = __builtin_bswap32(datafs_crc32c(buf, len - 4));
	memcpy(buf + len - 4, &crc, 4);
	if (datafs_manifest_decode(buf, len, &m))
		return;
	MUST(m.n <= DATAFS_MANIFEST_FILES_MAX);
	for (unsigned int i = 0; i < m.n; i++)
		MUST(datafs_manifest_name(m.files[i].name) && !strchr(m.files[i].name, '/'));
	MUST(datafs_manifest_encode(&m, &again) == (long)len);
	MUST(!memcmp(again, buf, len));
	free(again);
	datafs_manifest_free(&m);
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
	fuzz_manifest(body, size);
	free(body);
	return 0;
}
