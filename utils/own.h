/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a daemon about its own namespace, where no --members are named: one line
 * to its control socket (daemon/frontend/table.c). A listing goes to standard output.
 */
#ifndef DATAFS_OWN_H
#define DATAFS_OWN_H

#include <stddef.h>
#include <stdint.h>

struct own_question {
	const char *instance;
	const char *about;	/* a path, for errors; NULL: it is listed */
	const char *none;	/* what is said beside a listing of nothing */
	const char *look;	/* the command that tells what was done */
	const char *(*why)(uint32_t error);
};

/*
 * own_ask - ask, and tell what was wrong
 * @what:	"table list", ...
 * @words:	what follows, @n of them; NULL and "" are nothing
 *
 * An exit status.
 */
int own_ask(const struct own_question *q, const char *what, const char *const *words, size_t n);

#endif
