/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job of the quorum is (metad/jobs.h), done over a mount: all files below a directory,
 * or one file, each once. An error of a file, or of a directory, is counted, and the others
 * are done all the same. What has been done before costs next to nothing: what is in the
 * cache is not fetched again.
 */
#ifndef DATAFS_VFS_WORK_H
#define DATAFS_VFS_WORK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "metad/jobs.h"

struct datafs_vfs;

struct vfs_work_done {
	uint64_t files;		/* that are done, without an error */
	uint64_t bytes;		/* of LOAD: in the cache now; of FREE: not any more */
	uint64_t errors;	/* files and directories that have failed */
	char error[DATAFS_JOB_ERROR_MAX + 1];	/* the first one, as a job may have it */
};

struct vfs_work {
	struct datafs_vfs *v;
	uint32_t mount;
	unsigned int kind;	/* enum datafs_job_kind */
	const char *path;	/* from the mount's root on; names with one or more slashes between */
	/* How long after a report the next one is due, in ns. */
	int64_t interval;
	/* Called when it is due, never under a lock. Not 0: it ends at once, with that. */
	int (*report)(void *arg, const struct vfs_work_done *done);
	void *arg;
};

/*
 * Does it. 0: all of it, with the errors that *@done tells; else what a report has returned,
 * -ESHUTDOWN (the daemon ends), -ENOENT (the mount is gone), -EOPNOTSUPP (no such kind), -ENOMEM.
 * @done is right in any case. Blocks, with some jobs in the pool at a time, and none when it
 * returns.
 */
int vfs_work(const struct vfs_work *w, struct vfs_work_done *done);

#endif
