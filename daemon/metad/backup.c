// SPDX-License-Identifier: Apache-2.0
#include "metad/backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"

#define MAGIC	0x44465342u
#define VERSION	1u
#define SUM	4u

void datafs_backup_head_encode(const struct datafs_backup_head *h,
			       uint8_t buf[DATAFS_BACKUP_HEAD])
{
	datafs_put_be32(buf, MAGIC);
	datafs_put_be32(buf + 4, VERSION);
	memcpy(buf + 8, h->cluster, sizeof(h->cluster));
	datafs_put_be64(buf + 24, h->index);
	datafs_put_be64(buf + 32, h->term);
	datafs_put_be64(buf + 40, h->time);
	datafs_put_be32(buf + 48, h->manifest);
	datafs_put_be32(buf + 52, datafs_crc32c(buf, 52));
}

int datafs_backup_head_decode(const uint8_t buf[DATAFS_BACKUP_HEAD],
			      struct datafs_backup_head *res)
{
	if (datafs_get_be32(buf) != MAGIC || datafs_get_be32(buf + 4) != VERSION ||
	    datafs_get_be32(buf + 52) != datafs_crc32c(buf, 52))
		return -EBADMSG;
	memcpy(res->cluster, buf + 8, sizeof(res->cluster));
	res->index = datafs_get_be64(buf + 24);
	res->term = datafs_get_be64(buf + 32);
	res->time = datafs_get_be64(buf + 40);
	res->manifest = datafs_get_be32(buf + 48);
	return res->index && res->term && res->manifest &&
	       res->manifest <= DATAFS_BACKUP_MANIFEST_MAX ? 0 : -EBADMSG;
}

uint32_t datafs_backup_sum(unsigned int file, uint64_t off, const void *buf, size_t len)
{
	uint8_t place[12];

	datafs_put_be32(place, file);
	datafs_put_be64(place + 4, off);
	return datafs_crc32c_more(datafs_crc32c(place, sizeof(place)), buf, len);
}

/* The next piece, if there is one. */
static void want_piece(struct datafs_backup_reader *r)
{
	while (r->file < r->manifest.n && r->off == r->manifest.files[r->file].size) {
		r->file++;
		r->off = 0;
		r->crc = 0;
	}
	r->state = r->file < r->manifest.n ? DATAFS_BACKUP_AT_PIECE : DATAFS_BACKUP_DONE;
	if (r->state == DATAFS_BACKUP_AT_PIECE)
		r->want = DATAFS_MIN(r->manifest.files[r->file].size - r->off,
				     DATAFS_BACKUP_PIECE) + SUM;
}

static int take_head(struct datafs_backup_reader *r)
{
	int err = datafs_backup_head_decode(r->buf, &r->head);

	r->state = DATAFS_BACKUP_AT_MANIFEST;
	r->want = r->head.manifest;
	return err;
}

static int take_manifest(struct datafs_backup_reader *r)
{
	int err = datafs_manifest_decode(r->buf, r->want, &r->manifest);

	if (err)
		return err;
	if (r->manifest.index != r->head.index || r->manifest.term != r->head.term)
		return -EBADMSG;
	want_piece(r);
	return 0;
}

static int take_piece(struct datafs_backup_reader *r)
{
	const struct datafs_manifest_file *f = &r->manifest.files[r->file];
	size_t len = r->want - SUM;
	uint64_t off = r->off;
	int err = 0;

	if (datafs_get_be32(r->buf + len) != datafs_backup_sum(r->file, off, r->buf, len))
		return -EBADMSG;
	r->crc = datafs_crc32c_more(r->crc, r->buf, len);
	r->off += len;
	if (r->off == f->size && r->crc != f->crc)
		return -EBADMSG;
	if (r->piece)
		err = r->piece(r->ctx, f, off, r->buf, len);
	if (!err)
		want_piece(r);
	return err;
}

static int take(struct datafs_backup_reader *r)
{
	switch (r->state) {
	case DATAFS_BACKUP_AT_HEAD:
		return take_head(r);
	case DATAFS_BACKUP_AT_MANIFEST:
		return take_manifest(r);
	case DATAFS_BACKUP_AT_PIECE:
		return take_piece(r);
	default:
		return -EBADMSG;
	}
}

int datafs_backup_reader_open(struct datafs_backup_reader *r)
{
	*r = (struct datafs_backup_reader) { .want = DATAFS_BACKUP_HEAD };
	r->buf = malloc(DATAFS_BACKUP_MANIFEST_MAX);
	return r->buf ? 0 : -ENOMEM;
}

void datafs_backup_reader_close(struct datafs_backup_reader *r)
{
	datafs_manifest_free(&r->manifest);
	free(r->buf);
	*r = (struct datafs_backup_reader) { 0 };
}

int datafs_backup_feed(struct datafs_backup_reader *r, const void *buf, size_t len)
{
	const uint8_t *p = buf, *end = p + len;

	while (p < end) {
		size_t n = DATAFS_MIN((size_t)(end - p), r->want - r->have);
		int err;

		if (r->state == DATAFS_BACKUP_DONE)
			return -EBADMSG;
		memcpy(r->buf + r->have, p, n);
		r->have += n;
		p += n;
		if (r->have < r->want)
			break;
		r->have = 0;
		err = take(r);
		if (err)
			return err;
	}
	return 0;
}
