// SPDX-License-Identifier: Apache-2.0
#include "metad/member_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void datafs_log_bytes_put(struct log_bytes *bytes)
{
	if (!--bytes->refs)
		free(bytes);
}

static void drop(struct log *log, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		datafs_log_bytes_put(log->entries[i].bytes);
}

void datafs_log_free(struct log *log)
{
	drop(log, 0, log->n);
	free(log->entries);
	memset(log, 0, sizeof(*log));
}

uint64_t datafs_log_last(const struct log *log)
{
	return log->first + log->n - 1;
}

struct log_entry *datafs_log_get(const struct log *log, uint64_t index)
{
	if (index < log->first || index >= log->first + log->n)
		return NULL;
	return &log->entries[index - log->first];
}

uint64_t datafs_log_term(const struct log *log, uint64_t index)
{
	const struct log_entry *e = datafs_log_get(log, index);

	if (e)
		return e->term;
	return index && index == log->snap_index ? log->snap_term : 0;
}

static int reserve(struct log *log, size_t n)
{
	size_t room = DATAFS_MAX(log->room * 2, n);
	struct log_entry *entries;

	if (n <= log->room)
		return 0;
	entries = realloc(log->entries, room * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	log->entries = entries;
	log->room = room;
	return 0;
}

int datafs_log_put(struct log *log, uint64_t index, const struct raft_entry *entries,
		   unsigned int n)
{
	if (index < log->first || index > log->first + log->n)
		return -EINVAL;
	drop(log, index - log->first, log->n);
	log->n = index - log->first;
	if (reserve(log, log->n + n))
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		const struct raft_buffer *buf = &entries[i].buf;
		struct log_bytes *bytes = malloc(sizeof(*bytes) + buf->len);

		if (!bytes)
			return -ENOMEM;
		bytes->refs = 1;
		bytes->len = buf->len;
		if (buf->len)
			memcpy(bytes->data, buf->base, buf->len);
		log->entries[log->n++] = (struct log_entry) {
			entries[i].term, entries[i].type, bytes
		};
	}
	return 0;
}

void datafs_log_compact(struct log *log, uint64_t index, uint64_t term,
			unsigned int trailing)
{
	uint64_t first = index >= trailing ? index - trailing + 1 : 1;

	log->snap_index = index;
	log->snap_term = term;
	if (first <= log->first)
		return;
	drop(log, 0, first - log->first);
	log->n -= first - log->first;
	memmove(log->entries, log->entries + (first - log->first),
		log->n * sizeof(*log->entries));
	log->first = first;
}

void datafs_log_reset(struct log *log, uint64_t index, uint64_t term)
{
	drop(log, 0, log->n);
	log->n = 0;
	log->first = index + 1;
	log->snap_index = index;
	log->snap_term = term;
}
