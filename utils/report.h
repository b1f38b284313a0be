/* SPDX-License-Identifier: Apache-2.0 */
/* The reports of the datafs command. */
#ifndef DATAFS_REPORT_H
#define DATAFS_REPORT_H

/* Exit statuses of the datafs command. */
enum {
	DATAFS_EXIT_FAIL = 1,
	DATAFS_EXIT_USAGE = 2,
};

/*
 * Commands: argv[0] is their name. They print to standard output, errors in
 * one line to standard error, and return an exit status.
 */

/* A block of "NAME VALUE" lines for each mount, with an empty line between. */
int datafs_report_status(int argc, char **argv);

/*
 * "# ..." tells what follows, then "NAME VALUE" lines: the kernel's counters
 * of each mount asked for, and the daemon's of each instance among them. Names
 * are stable; new ones may come.
 */
int datafs_report_stats(int argc, char **argv);

/*
 * A line for each event as it comes, until the program is ended: its name, then
 * NAME=VALUE. The first line is "listening": later events are not missed.
 */
int datafs_report_events(int argc, char **argv);

#endif
