/* SPDX-License-Identifier: GPL-2.0-only */
/* DataFS: mount options, between options.c and super.c. */
#ifndef DATAFS_OPTIONS_H
#define DATAFS_OPTIONS_H

#include "datafs.h"

enum datafs_param {
	DATAFS_PARAM_INSTANCE,
	DATAFS_PARAM_VERIFY,
	/* From here on they are the daemon's, who alone knows their values. */
	DATAFS_PARAM_DAEMON,
	DATAFS_PARAM_SYNC_INTERVAL = DATAFS_PARAM_DAEMON,
	DATAFS_PARAM_PAGE_SIZE,
	DATAFS_PARAM_NR
};

#define DATAFS_DAEMON_PARAMS	(DATAFS_PARAM_NR - DATAFS_PARAM_DAEMON)

/**
 * struct datafs_opts - the options of a mount(2) under way
 * @instance:	as given, or NULL
 * @verify:	as given
 * @verify_given: @verify is valid
 * @daemon:	"name=value" of each option of the daemon that was given
 */
struct datafs_opts {
	char			*instance;
	enum datafs_verify	verify;
	bool			verify_given;
	char			*daemon[DATAFS_DAEMON_PARAMS];
};

extern const struct fs_parameter_spec datafs_params[];

int datafs_parse_param(struct fs_context *fc, struct fs_parameter *param);
/* @opts may be NULL. */
void datafs_opts_free(struct datafs_opts *opts);
/* All that are the daemon's, with commas between; NULL without memory. */
char *datafs_daemon_options(const struct datafs_opts *opts);
int datafs_show_options(struct seq_file *m, struct dentry *root);
int datafs_reconfigure(struct fs_context *fc);

#endif
