// SPDX-License-Identifier: Apache-2.0
#include "metad/piece.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define ERRNO_MAX	4095u

size_t datafs_piece_ask(const struct datafs_raft_piece *piece, uint8_t *buf)
{
	size_t len = strlen(piece->file);

	memset(buf, 0, 4);
	buf[0] = DATAFS_PIECE_ASK;
	buf[1] = (uint8_t)len;
	datafs_put_be32(buf + 4, piece->len);
	datafs_put_be64(buf + 8, piece->index);
	datafs_put_be64(buf + 16, piece->term);
	datafs_put_be64(buf + 24, piece->off);
	memcpy(buf + DATAFS_PIECE_ASKED, piece->file, len);
	return DATAFS_PIECE_ASKED + len;
}

void datafs_piece_give(int err, uint8_t buf[DATAFS_PIECE_HEAD])
{
	memset(buf, 0, 4);
	buf[0] = DATAFS_PIECE_GIVE;
	datafs_put_be32(buf + 4, (uint32_t)-err);
}

static int decode_ask(const uint8_t *p, size_t len, struct datafs_piece_frame *res)
{
	size_t name = p[1];

	if (len < DATAFS_PIECE_ASKED || len != DATAFS_PIECE_ASKED + name ||
	    name > DATAFS_MANIFEST_NAME_MAX || memchr(p + DATAFS_PIECE_ASKED, 0, name))
		return -EBADMSG;
	memcpy(res->name, p + DATAFS_PIECE_ASKED, name);
	res->name[name] = 0;
	res->piece = (struct datafs_raft_piece) {
		.index = datafs_get_be64(p + 8), .term = datafs_get_be64(p + 16),
		.off = datafs_get_be64(p + 24), .len = datafs_get_be32(p + 4),
		.file = res->name,
	};
	return datafs_manifest_name(res->name) && res->piece.len <= DATAFS_MEMBER_PIECE_MAX &&
	       res->piece.off <= INT64_MAX ? 0 : -EBADMSG;
}

int datafs_piece_decode(const void *buf, size_t len, struct datafs_piece_frame *res)
{
	const uint8_t *p = buf;
	uint32_t error;

	memset(res, 0, sizeof(*res));
	if (len < DATAFS_PIECE_HEAD || p[2] || p[3])
		return -EBADMSG;
	res->kind = p[0];
	if (p[0] == DATAFS_PIECE_ASK)
		return decode_ask(p, len, res);
	error = datafs_get_be32(p + 4);
	if (p[0] != DATAFS_PIECE_GIVE || p[1] || error > ERRNO_MAX)
		return -EBADMSG;
	res->err = -(int)error;
	res->data = p + DATAFS_PIECE_HEAD;
	res->len = len - DATAFS_PIECE_HEAD;
	return error && res->len ? -EBADMSG : 0;
}
