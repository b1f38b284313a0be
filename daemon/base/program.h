/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This program once more, as it is installed by now: its path, its arguments and
 * its working directory are those of its start.
 */
#ifndef DATAFS_PROGRAM_H
#define DATAFS_PROGRAM_H

#include <stdbool.h>

/* First of all in main(): @argv must stay as it is. */
void datafs_program_note(char *const *argv);
/*
 * Was this process started in a daemon's place, by datafs_program_again()? Told
 * once: what it starts is not.
 */
bool datafs_program_successor(void);
/* What datafs_program_again() executes. */
const char *datafs_program_path(void);
/*
 * datafs_program_again - execute it in this process
 * @fd:	what an argument names as open, and is not any more: is to be
 *	/dev/null; or -1
 *
 * Comes back with a negative errno, logged, if it cannot. Descriptors of others
 * than the three standard ones must have O_CLOEXEC; no other thread may run.
 */
int datafs_program_again(int fd);
/* The same, with the program that runs now. */
int datafs_program_same(int fd);
/* Where it was started: what its arguments are relative to. */
const char *datafs_program_cwd(void);

#endif
