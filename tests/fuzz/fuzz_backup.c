// SPDX-License-Identifier: Apache-2.0
/*
 * Arbitrary bytes as a backup. The first byte says in which parts they come, and whether
 * the sums of head and manifest are put right before. What must hold: a piece that is
 * told lies in its file, behind the one before; all of them are there at the end.
 */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "fuzz.h"
#include "metad/backup.h"

struct told {
	char name[DATAFS_MANIFEST_NAME_MAX + 1];
	uint64_t end, bytes;
};

static int on_piece(void *ctx, const struct datafs_manifest_file *f, uint64_t off, const void *buf,
		    size_t len)
{
	struct told *t = ctx;

	MUST(datafs_manifest_name(f->name) && len && len <= DATAFS_BACKUP_PIECE);
	MUST(off <= f->size && len <= f->size - off);
	if (off) {
		MUST(!strcmp(t->name, f->name) && off == t->end);
	} else {
		MUST(strcmp(t->name, f->name) < 0);
		strcpy(t->name, f->name);
	}
	t->end = off + len;
	/* all of it can be read */
	datafs_crc32c(buf, len);
	t->bytes += len;
	return 0;
}

static void put_right(uint8_t *buf, size_t size)
{
	size_t end;

	if (size < DATAFS_BACKUP_HEAD)
		return;
	datafs_put_be32(buf + 52, datafs_crc32c(buf, 52));
	end = DATAFS_BACKUP_HEAD + (size_t)datafs_get_be32(buf + 48);
	if (end <= size && end >= DATAFS_BACKUP_HEAD + 4)
		datafs_put_be32(buf + end - 4,
				datafs_crc32c(buf + DATAFS_BACKUP_HEAD, end - 4 - DATAFS_BACKUP_HEAD));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datafs_backup_reader r;
	struct told told = { 0 };
	uint64_t bytes = 0;
	uint8_t *buf;
	size_t step;
	int err = 0;

	if (!size)
		return 0;
	buf = malloc(size);
	MUST(buf);
	memcpy(buf, data + 1, --size);
	if (data[0] & 1)
		put_right(buf, size);
	step = 1 + data[0] / 2;
	MUST(!datafs_backup_reader_open(&r));
	r.piece = on_piece;
	r.ctx = &told;
	for (size_t at = 0; !err && at < size; at += step)
		err = datafs_backup_feed(&r, buf + at, DATAFS_MIN(step, size - at));
	MUST(!err || err == -EBADMSG);
	if (!err && r.state == DATAFS_BACKUP_DONE) {
		for (unsigned int i = 0; i < r.manifest.n; i++)
			bytes += r.manifest.files[i].size;
		MUST(bytes == told.bytes);
	}
	datafs_backup_reader_close(&r);
	free(buf);
	return 0;
}
