/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What datafsd is told: defaults, then the file of --config, then the command
 * line. The file has "key = value" lines with the names of the long options
 * that take a value (but config and ready-fd), '-' or '_' alike.
 */
#ifndef DATAFS_CONFIG_H
#define DATAFS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "datafs_abi.h"

#define DATAFS_RUN_DIR		"/run/datafs"
#define DATAFS_CACHE_DIR	"/var/cache/datafs"
#define DATAFS_KEY_FILE		"/etc/datafs/client.key"

struct datafs_config {
	char name[DATAFS_INSTANCE_MAX + 1];
	char cache_dir[3072];	/* the instance's own is a directory below it */
	char key_file[3072];	/* for quorums on other machines; need not be there */
	char node_name[65];	/* of the node that this is in such a quorum */
	uint64_t cache_size;	/* 0: by what is free, datafs_config_size() */
	bool embedded;		/* ends after the last umount */
	bool foreground;	/* stays in its working directory */
	bool help;
	bool version;
	int ready_fd;		/* -1: nobody wants to know */
	int log_level;
};

/*
 * 0, or -EINVAL after one line in the log saying what was wrong. Sets the log's
 * level as well.
 */
int datafs_config_parse(struct datafs_config *cfg, int argc, char **argv);
/* For --help. */
void datafs_config_usage(void);
/* For --version: "version X" and "abi MAJOR.MINOR", which `datafs daemon upgrade` reads. */
void datafs_config_version(void);
/*
 * The size to use for a cache in @dir (which exists): as configured, else
 * 10 GiB or 80 % of what is free there or the cache's already.
 */
int datafs_config_size(const struct datafs_config *cfg, const char *dir,
		       uint64_t *size);

#endif
