/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database becomes the state of the first member of a new quorum, which is another
 * cluster: so no member or client of the one whose state it was is ever taken for one of
 * this, whatever it has. The others join it. The state comes from a backup (restore.h)
 * or from the last member that is left (recover.h).
 *
 * The database is told the new cluster's id; a checkpoint of it is the snapshot with
 * which the new member's log begins, as if it had been fetched from a leader. The member
 * takes its state from there when it starts first.
 */
#ifndef DATAFS_METAD_FIRST_H
#define DATAFS_METAD_FIRST_H

#include "metad/schema.h"

struct datafs_first {
	const char *dir;	/* that is being made, as for server_fill */
	uint64_t id;		/* of the member */
	const char *address;	/* its own, HOST:PORT */
	const uint8_t *cluster;	/* the new one's, DATAFS_METAD_ID_LEN bytes */
	/* What the database must be: of that cluster, and at that entry. */
	const uint8_t *was;
	uint64_t index, term;
};

/* 0, or -EINVAL (logged): there can be no member with that number and address. */
int datafs_first_check(uint64_t id, const char *address);

/* What the database @db, which nobody has open, says of itself. 0, -EUCLEAN (logged), -ENOMEM... */
int datafs_first_look(const char *db, struct rec_node *res);

/*
 * Snapshot and log in @f->dir, of @db, a directory in @f->dir, which is gone then. Blocks
 * on the disk. 0; -EUCLEAN: @db is not what it must be; or what the disk said.
 */
int datafs_first_fill(const struct datafs_first *f, const char *db);

#endif
