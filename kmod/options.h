/* SPDX-License-Identifier: GPL-2.0-only */
/* DataFS: mount options, between options.c and super.c. */
#ifndef DATAFS_OPTIONS_H
#define DATAFS_OPTIONS_H

#include "datafs.h"

enum datafs_param {
	DATAFS_PARAM_INSTANCE,
	DATAFS_PARAM_VERIFY,
};

#define DATAFS_DAEMON_OPTIONS	64	/* of a mount */

/**
 * struct datafs_opts - the options of a mount(2) under way
 * @instance:	as given, or NULL
 * @verify:	as given
 * @verify_given: @verify is valid
 * @ndaemon:	how many options of the daemon were given
 * @daemon:	"name=value", or "name", of each
 */
struct datafs_opts {
	char			*instance;
	enum datafs_verify	verify;
	bool			verify_given;
	unsigned int		ndaemon;
	char			*daemon[DATAFS_DAEMON_OPTIONS];
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
