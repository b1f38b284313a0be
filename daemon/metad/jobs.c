// SPDX-License-Identifier: Apache-2.0
#include "metad/jobs.h"

#include <stdbool.h>
#include <string.h>

unsigned int datafs_job_next(unsigned int state, enum datafs_job_event event)
{
	static const uint8_t next[DATAFS_JOB_EVENTS][DATAFS_JOB_STATES] = {
		[DATAFS_JOB_CLAIM] = {
			[DATAFS_JOB_WAITING] = DATAFS_JOB_RUNNING,
			[DATAFS_JOB_RUNNING] = DATAFS_JOB_RUNNING,
		},
		[DATAFS_JOB_REPORT] = {
			[DATAFS_JOB_RUNNING] = DATAFS_JOB_RUNNING,
		},
		[DATAFS_JOB_FINISH] = {
			[DATAFS_JOB_RUNNING] = DATAFS_JOB_DONE,
		},
		[DATAFS_JOB_FAIL] = {
			[DATAFS_JOB_RUNNING] = DATAFS_JOB_FAILED,
		},
		[DATAFS_JOB_LOSE] = {
			[DATAFS_JOB_RUNNING] = DATAFS_JOB_WAITING,
		},
		[DATAFS_JOB_CANCEL] = {
			[DATAFS_JOB_WAITING] = DATAFS_JOB_CANCELLED,
			[DATAFS_JOB_RUNNING] = DATAFS_JOB_CANCELLED,
		},
		[DATAFS_JOB_REMOVE] = {
			[DATAFS_JOB_DONE] = DATAFS_JOB_DONE,
			[DATAFS_JOB_FAILED] = DATAFS_JOB_FAILED,
			[DATAFS_JOB_CANCELLED] = DATAFS_JOB_CANCELLED,
		},
	};

	return state < DATAFS_JOB_STATES && event < DATAFS_JOB_EVENTS ? next[event][state] : 0;
}

const char *datafs_job_state_name(unsigned int state)
{
	static const char *const names[DATAFS_JOB_STATES] = {
		[DATAFS_JOB_WAITING] = "waiting",
		[DATAFS_JOB_RUNNING] = "running",
		[DATAFS_JOB_DONE] = "done",
		[DATAFS_JOB_FAILED] = "failed",
		[DATAFS_JOB_CANCELLED] = "cancelled",
	};

	return state < DATAFS_JOB_STATES && names[state] ? names[state] : "?";
}

bool datafs_job_ended(unsigned int state)
{
	return datafs_job_next(state, DATAFS_JOB_REMOVE) != 0;
}

static const char *const kinds[DATAFS_JOB_KINDS] = {
	[DATAFS_JOB_LOAD] = "load",
	[DATAFS_JOB_FREE] = "free",
};

const char *datafs_job_kind_name(unsigned int kind)
{
	return kind < DATAFS_JOB_KINDS ? kinds[kind] : NULL;
}

unsigned int datafs_job_kind_of(const char *name)
{
	for (unsigned int i = 1; i < DATAFS_JOB_KINDS; i++)
		if (!strcmp(kinds[i], name))
			return i;
	return 0;
}

const char *datafs_job_error_wrong(const void *text, size_t len)
{
	const uint8_t *p = text;

	if (len > DATAFS_JOB_ERROR_MAX)
		return "it is longer than 255 bytes";
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return "it has a control character";
	return NULL;
}
