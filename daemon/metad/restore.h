/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup (backup.h) becomes the first member of a new quorum, which has its state and
 * another cluster's id: so no member or client of the old one is ever taken for one of
 * this, whatever it has. The others join it.
 */
#ifndef DATAFS_METAD_RESTORE_H
#define DATAFS_METAD_RESTORE_H

#include "metad/backup.h"

struct datafs_restore {
	const char *file, *dir;		/* @dir: empty or not there */
	uint64_t id;			/* of the member */
	const char *address;		/* its own, HOST:PORT */
	const uint8_t *cluster;		/* the new one's, DATAFS_BACKUP_CLUSTER bytes */
};

/*
 * Blocks on the disk. All of the file is checked before anything is written, and the
 * directory is there as a whole or not at all. *@head, of the backup, after 0. 0, or an
 * error that was logged: -EBADMSG (damaged, cut off, no backup), -EINVAL (the cluster is
 * the old one, or the member makes no sense), -EEXIST (@dir), -EUCLEAN (what it holds is
 * no member's database), or what the disk said.
 */
int datafs_restore(const struct datafs_restore *r, struct datafs_backup_head *head);

#endif
