/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who starts an embedded daemon again, which no service manager does: a small
 * process above it that holds nothing and waits.
 */
#ifndef DATAFS_GUARD_H
#define DATAFS_GUARD_H

#include <stdbool.h>

/* What a successor exits with if another daemon serves, or nobody needs one. */
#define DATAFS_GUARD_TAKEN	3

/*
 * datafs_guard - fork; the child returns and is the daemon
 * @again:	in: this process is a successor's already; out: this child is
 * @ready_fd:	for datafs_program_again()
 *
 * In the parent it does not return: a daemon that was ready and is killed has a
 * successor, which returns from here with *@again set, and so has a successor
 * that cannot begin, unless it exits with DATAFS_GUARD_TAKEN, and one whose event loop
 * cannot go on (DATAFS_LOOP_EXIT); before each that
 * lives shortly the wait is longer, up to ten seconds. After one that has
 * called datafs_guard_upgrade() the guard executes the installed program in its own
 * place, and if that cannot be executed, goes on with this one. With a daemon that ends
 * by itself, or was told to, the guard ends too, with its status. SIGTERM and
 * SIGINT are passed on. Until one was ready the child does not outlive the guard.
 * Before there are threads. Returns a negative errno if there is no child.
 */
int datafs_guard(bool *again, int ready_fd);
/* In the child: from here on it is to have successors. */
void datafs_guard_ready(void);
/* In the child: it was told to end, and needs not to be told again. */
void datafs_guard_ending(void);
/* In the child: it ends to have the installed program in its place. */
void datafs_guard_upgrade(void);
/* In the child: is there a guard that would see how this process ends? */
bool datafs_guard_watches(void);

#endif
