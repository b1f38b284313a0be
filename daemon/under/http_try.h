/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request until it is answered: waits for the limits of the mount, counts, and sends
 * again what failed in a way that may pass (the connection, 429, 500, 502, 503, 504), after
 * a random time that doubles, or that the server names. How often, all requests of a
 * store share: where most of them fail, none is sent again any more.
 */
#ifndef DATAFS_HTTP_TRY_H
#define DATAFS_HTTP_TRY_H

#include "http_io.h"

/*
 * As datafs_http_io(), with a method for the counters. 0: there is an answer, and its status
 * is the caller's to judge (http_judge.h); an error is one of the transfer. @a->unsure: a
 * sending before the last one may have been carried out, so that "it is there already" or
 * "it is gone" may be our own doing: look.
 */
int datafs_http_try(struct datafs_http *h, enum datafs_under_method m,
		    const struct datafs_http_request *r, struct datafs_http_answer *a);

#endif
