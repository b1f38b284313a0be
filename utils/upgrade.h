/* SPDX-License-Identifier: Apache-2.0 */
/* datafs daemon: another program in the place of a daemon that runs. */
#ifndef DATAFS_UPGRADE_H
#define DATAFS_UPGRADE_H

#include <stdio.h>
#include <sys/types.h>

/*
 * The command, with its own commands; argv[0] is its name. As those of report.h:
 * what it has to tell in "NAME VALUE" lines, errors in one line to standard error,
 * an exit status.
 */
int datafs_daemon_command(int argc, char **argv);

/* What a program says of itself with --version. */
struct datafs_program_version {
	char version[64];
	int abi_major;
};

/* 0, or -EINVAL: it is no datafsd that says this. */
int datafs_program_version_parse(FILE *f, struct datafs_program_version *v);
/*
 * Asks @program what it is, with all arguments of process @like, started in
 * @directory (NULL: not known): would it take them? -1: no, and why is said.
 */
int datafs_program_try(const char *program, const char *directory, pid_t like,
		       struct datafs_program_version *v);

#endif
