/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: work on a part of the namespace that outlives who asked for it and who does it.
 * Documentation/metadata.rst, "Jobs".
 *
 * What texts may be:
 *
 *   path   as the path of a mount (mounts.h)
 *   error  255 bytes at the most, without control characters (below 0x20, and 0x7f)
 *
 * Members must agree on it, and have records of it: it may become more with a feature level,
 * and never less.
 */
#ifndef DATAFS_METAD_JOBS_H
#define DATAFS_METAD_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATAFS_METAD_JOBS_MAX	1024	/* those that have ended, too */
#define DATAFS_JOB_ERROR_MAX	255	/* bytes */

/* As they are in records, and in what is asked; jobs.c has their names. */
enum datafs_job_kind {
	DATAFS_JOB_LOAD = 1,	/* all below the path into the cache */
	DATAFS_JOB_FREE = 2,	/* ... out of it */
	DATAFS_JOB_KINDS
};

/* Likewise. */
enum datafs_job_state {
	DATAFS_JOB_WAITING = 1,
	DATAFS_JOB_RUNNING = 2,		/* a session has it */
	DATAFS_JOB_DONE = 3,
	DATAFS_JOB_FAILED = 4,
	DATAFS_JOB_CANCELLED = 5,
	DATAFS_JOB_STATES
};

enum datafs_job_event {
	DATAFS_JOB_CLAIM,	/* by a session; by the one that has it: it begins anew */
	DATAFS_JOB_REPORT,
	DATAFS_JOB_FINISH,
	DATAFS_JOB_FAIL,
	DATAFS_JOB_LOSE,	/* the session has ended, or is of another node */
	DATAFS_JOB_CANCEL,
	DATAFS_JOB_REMOVE,	/* where it may be, the state stays: it is gone */
	DATAFS_JOB_EVENTS
};

/* The state after @event, maybe the same; 0: that is not allowed in this one. */
unsigned int datafs_job_next(unsigned int state, enum datafs_job_event event);
/* "waiting", ...; "?": there is no such state. */
const char *datafs_job_state_name(unsigned int state);
/* Has it ended, so or so? */
bool datafs_job_ended(unsigned int state);

/* "load", ...; NULL: there is no such kind. */
const char *datafs_job_kind_name(unsigned int kind);
/* 0: none has this name. */
unsigned int datafs_job_kind_of(const char *name);

/* NULL, or what is wrong: a static text. */
const char *datafs_job_error_wrong(const void *text, size_t len);

#endif
