/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is written as a whole or not at all: what has its name before keeps it until
 * all of the new one is on the disk. One at a time in a process.
 *
 * Until then it has no name, where the file system has such files (O_TMPFILE): however the
 * process ends, nothing is left. Elsewhere it is PATH with a dot and six characters behind it,
 * which is removed also when a SIGINT, SIGTERM or SIGHUP ends the process.
 */
#ifndef DATAFS_WHOLE_FILE_H
#define DATAFS_WHOLE_FILE_H

#include <stdbool.h>

struct datafs_whole {
	const char *path;	/* the caller's, until the end */
	int fd;			/* to be written to; mode 0600 */
	bool named;
};

/* 0, or a negative errno after a line on stderr; then there is nothing to end. */
int datafs_whole_begin(struct datafs_whole *w, const char *path);
/*
 * It gets its name. Blocks on the disk. 0, or -EIO after a line: the old one is there, or,
 * as that line says, the new one may not outlast a loss of power.
 */
int datafs_whole_commit(struct datafs_whole *w);
/* Once for each begin; without a commit nothing was there. */
void datafs_whole_end(struct datafs_whole *w);

#endif
