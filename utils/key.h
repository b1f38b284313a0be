/* SPDX-License-Identifier: Apache-2.0 */
/* datafs key: the files with which nodes know each other. */
#ifndef DATAFS_KEY_H
#define DATAFS_KEY_H

/*
 * The command, with its own commands; argv[0] is its name. As those of report.h:
 * what a file has, but no key, in "NAME VALUE" lines, errors in one line to
 * standard error, an exit status.
 */
int datafs_key_command(int argc, char **argv);

#endif
