/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a posix store that are kept open for the next piece of a sequential
 * read. Few and not for long: a file that was removed keeps its room on the
 * disk while it is here.
 */
#ifndef DATAFS_POSIX_FDS_H
#define DATAFS_POSIX_FDS_H

#include <stdbool.h>

#include "under.h"

struct datafs_posix_fds;
struct datafs_posix_fd;

struct datafs_posix_fds *datafs_posix_fds_new(void); /* NULL: no memory */
void datafs_posix_fds_free(struct datafs_posix_fds *t);

/* All from any thread. NULL: it is not there. */
struct datafs_posix_fd *datafs_posix_fd_get(struct datafs_posix_fds *t,
					    const char *key,
					    const struct datafs_fingerprint *fp);
/* Takes @fd over and answers it in use; NULL: no place, @fd stays the caller's. */
struct datafs_posix_fd *datafs_posix_fd_add(struct datafs_posix_fds *t,
					    const char *key,
					    const struct datafs_fingerprint *fp,
					    int fd);
/* Ends a use. Not @good: nobody is given it again. */
void datafs_posix_fd_put(struct datafs_posix_fds *t, struct datafs_posix_fd *f,
			 bool good);
int datafs_posix_fd_nr(const struct datafs_posix_fd *f);

#endif
