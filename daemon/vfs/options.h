/* SPDX-License-Identifier: Apache-2.0 */
/* The mount options that are the daemon's. */
#ifndef DATAFS_VFS_OPTIONS_H
#define DATAFS_VFS_OPTIONS_H

#include <stdint.h>

#include "under/under_opts.h"

#define DATAFS_SYNC_ALWAYS	0
#define DATAFS_SYNC_NEVER	(-1)

struct datafs_options {
	int64_t sync;		/* nanoseconds, or DATAFS_SYNC_* */
	uint32_t page_size;
	struct datafs_under_opts under;
};

/*
 * Comma-separated options, "" for the defaults. 0, or -EINVAL and a line in the
 * log that names @source and the option. Whatever it returns, it is freed.
 */
int datafs_options_parse(const char *source, const char *text,
			 struct datafs_options *opt);
/*
 * datafs_options_set - one of them
 * @value:	NULL: there was none
 *
 * -ENOENT: there is none of that name; -EINVAL, and *@want says what it takes; -ENOMEM.
 */
int datafs_options_set(struct datafs_options *opt, const char *name, const char *value,
		       const char **want);
void datafs_options_init(struct datafs_options *opt);	/* the defaults */
void datafs_options_free(struct datafs_options *opt);

#endif
