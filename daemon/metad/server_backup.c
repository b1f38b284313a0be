// SPDX-License-Identifier: Apache-2.0
/*
 * A backup: the member that leads makes sure that it has all that was acknowledged,
 * takes a snapshot, and gives it away piece by piece. On the raft thread.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metad/backup.h"

static void backup_done(struct datafs_member_backup *b, int err)
{
	struct ask *a = (void *)((char *)b - offsetof(struct ask, backup));
	Metad__Backup backup = METAD__BACKUP__INIT;
	Metad__Reply r = METAD__REPLY__INIT;

	/* with what else is in a reply it must fit into one */
	if (!err && b->len > DATAFS_BACKUP_MANIFEST_MAX - 4096)
		err = -EFBIG;
	datafs_log(LOG_NOTICE, "quorum: backup, of a snapshot at entry %llu: %s",
		   (unsigned long long)b->index, err ? strerror(-err) : "begins");
	if (err) {
		server_ask_end(a, -err);
		return;
	}
	backup.has_index = backup.has_term = backup.has_manifest = true;
	backup.index = b->index;
	backup.term = b->term;
	backup.manifest = (ProtobufCBinaryData) { b->len, (uint8_t *)b->manifest };
	r.backup = &backup;
	server_ask_reply(a, &r);
}

static void read_done(struct datafs_member_read *read, int err)
{
	struct ask *a = (void *)((char *)read - offsetof(struct ask, read));
	struct datafs_server *s = a->s;

	if (!err) {
		a->backup = (struct datafs_member_backup) { .done = backup_done };
		err = datafs_member_backup(s->member, &a->backup);
	}
	if (err)
		server_ask_end(a, -err);
}

void server_backup(struct ask *a)
{
	int err;

	a->read.done = read_done;
	err = datafs_member_read(a->s->member, &a->read);
	if (err)
		server_ask_end(a, -err);
}

void server_backup_piece(struct ask *a)
{
	const Metad__Piece *p = a->what.what->admin->piece;
	struct datafs_raft_piece piece = {
		.index = p->index, .term = p->term, .file = p->file ? p->file : "",
		.off = p->off, .len = p->len,
	};
	Metad__Reply r = METAD__REPLY__INIT;
	long n;

	if (!p->len || p->len > DATAFS_MEMBER_PIECE_MAX || p->off > INT64_MAX) {
		server_ask_end(a, EINVAL);
		return;
	}
	r.piece.data = malloc(p->len);
	n = r.piece.data ? datafs_member_backup_piece(a->s->member, &piece, r.piece.data) : -ENOMEM;
	if (n < 0) {
		server_ask_end(a, (int)-n);
	} else {
		r.has_piece = true;
		r.piece.len = (size_t)n;
		server_ask_reply(a, &r);
	}
	free(r.piece.data);
}
