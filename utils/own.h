/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a daemon about its own namespace, where no --members are named: one line
 * to its control socket (daemon/frontend/table.c). A listing goes to standard output.
 */
#ifndef DATAFS_OWN_H
#define DATAFS_OWN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct own_question {
	const char *instance;
	const char *about;	/* a path, for errors; NULL: it is listed */
	const char *none;	/* what is said beside a listing of nothing */
	const char *look;	/* the command that tells what was done */
	const char *(*why)(uint32_t error);
};

/* A space, and the word as the daemon reads it: NULL and "" are "-". */
void own_put_word(FILE *f, const char *s);
/* An exit status; what was wrong is told. */
int own_ask(const struct own_question *q, const char *line);

#endif
