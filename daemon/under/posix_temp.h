/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a posix store that are not published yet. They have no name, or a reserved
 * one in the directory where they are to appear:
 *
 *	.datafs-0123456789abcdef0123456789abcdef.part
 *
 * which nobody sees through the store, whoever made it: it may belong to a daemon that
 * lives, here or elsewhere, or that died.
 */
#ifndef DATAFS_POSIX_TEMP_H
#define DATAFS_POSIX_TEMP_H

#include <stdbool.h>

#include "posix_internal.h"

#define DATAFS_POSIX_TEMP_LEN	45	/* of a reserved name */

/* The directory of a key, opened, and the key's last name. */
struct posix_dir {
	int fd;
	const char *name;	/* in the key */
};

/* Of a key that is not "". -EINVAL: the name is reserved. */
int datafs_posix_dir_open(struct posix *p, const char *key, struct posix_dir *d);
/* Makes durable what was done to its names. */
int datafs_posix_dir_sync(const struct posix_dir *d);

struct posix_temp {
	int fd;
	char name[DATAFS_POSIX_TEMP_LEN + 1];	/* "": it has none */
};

bool datafs_posix_is_temp(const char *name);
/* A reserved name that nobody has had. */
int datafs_posix_temp_new_name(char name[DATAFS_POSIX_TEMP_LEN + 1]);
/* Empty, mode 0600. @named: with a name, otherwise without one where that can be. */
int datafs_posix_temp_new(const struct posix_dir *d, bool named, struct posix_temp *t);
/* What an upload into @t, which has a name, is known by. */
int datafs_posix_temp_token(const struct posix_temp *t, struct datafs_under_upload *up);
/* The reserved name in a token, to @name. -EINVAL: the token is none. */
int datafs_posix_temp_name(const struct datafs_under_upload *up, char *name);
/* The file of an upload. -ENOENT: it is not there, or another is; -EINVAL. */
int datafs_posix_temp_open(const struct posix_dir *d, const struct datafs_under_upload *up,
			   struct posix_temp *t);
int datafs_posix_temp_write(const struct posix_temp *t, const void *buf, size_t len,
			    uint64_t off);
/*
 * Makes it durable and puts it where @d says, in the place of what @cond allows there;
 * @fp as under.h has it.
 */
int datafs_posix_temp_publish(struct posix *p, const char *key, const struct posix_dir *d,
			      struct posix_temp *t, const struct datafs_under_attr *attr,
			      const struct datafs_under_cond *cond,
			      struct datafs_fingerprint *fp);
/* Closes it; its name, if it still has one, stays. */
void datafs_posix_temp_close(struct posix_temp *t);
/* ... and goes. */
void datafs_posix_temp_drop(const struct posix_dir *d, struct posix_temp *t);

/* What @cond asks for, at @key, now. */
int datafs_posix_check_cond(struct posix *p, const char *key,
			    const struct datafs_under_cond *cond);
/* Owner and mode of a file that is open. */
int datafs_posix_set_attr(int fd, const struct datafs_under_attr *attr);

#endif
