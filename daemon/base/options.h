/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program is told: a table of options, each of them a long option of the
 * command line; those that may be in a file, too, are "key = value" lines there, '-'
 * or '_' alike. The file of --config is read first, whatever its place.
 */
#ifndef DATAFS_OPTIONS_H
#define DATAFS_OPTIONS_H

#include <stdbool.h>

struct datafs_option {
	const char *name, *arg;		/* @arg NULL: takes no value */
	bool in_file;
	/* 0, or it is not valid; NULL: it is the file's name. */
	int (*set)(void *cfg, const char *v);
	const char *text;
};

/*
 * The table ends with a name of NULL and has at most 32 lines. 0, or -EINVAL after
 * one line in the log that says what was wrong.
 */
int datafs_options_read(const struct datafs_option *table, void *cfg, int argc, char **argv);
/* For --help, after the line of usage. */
void datafs_options_usage(const struct datafs_option *table);

/* Setters that several programs have: */

/* The log's level; also to *@level, unless that is NULL. */
int datafs_option_log_level(const char *v, int *level);
/* A descriptor that is open. */
int datafs_option_fd(const char *v, int *fd);

#endif
