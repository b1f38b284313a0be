/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the posix store: posix.c finds and reads objects, posix_attr.c tells
 * what they are, posix_write.c changes them.
 */
#ifndef DATAFS_POSIX_INTERNAL_H
#define DATAFS_POSIX_INTERNAL_H

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "under_ops.h"

#define DATAFS_POSIX_STAT	(STATX_BASIC_STATS | STATX_BTIME)
/*
 * Of an open file. The client of a network filesystem would answer with what it
 * saw some seconds ago, and a file that changed since would pass for unchanged.
 */
#define DATAFS_POSIX_LOOK	(AT_EMPTY_PATH | AT_STATX_FORCE_SYNC)
#define NO_XATTR_MAX	8

struct posix {
	struct datafs_under u;
	int root_fd;
	uint64_t root_dev;
	struct datafs_posix_fds *fds;
	/*
	 * Devices whose filesystem has no extended attributes, and the second in
	 * which that was found (see no_xattr()); 0 for none. Any thread reads and
	 * writes entries; one that is lost is found again.
	 */
	uint64_t no_xattr[NO_XATTR_MAX];
	uint32_t no_xattr_next;
};

struct proc_path {
	char s[32 + NAME_MAX + 1];
};

static inline struct posix *posix_of(struct datafs_under *u)
{
	return (struct posix *)u; /* u is the first member */
}

/*
 * The object of an O_PATH file for calls that take a path. The call must follow
 * links: it follows this one to the object itself, and no further even if that
 * is a symbolic link.
 */
static inline struct proc_path proc_path(int fd)
{
	struct proc_path p;

	snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d", fd);
	return p;
}

static inline uint64_t dev_of(const struct statx *x)
{
	return (uint64_t)x->stx_dev_major << 32 | x->stx_dev_minor;
}

/*
 * Opens below the root without following a link, as its directory is on the
 * store now. ENOTDIR: a link or a file is where a directory is wanted; EINVAL:
 * the key is none; ELOOP: it is below a datafs mount.
 */
int datafs_posix_open_key(struct posix *p, const char *key, int flags);
/* statx; -ELOOP on datafs. */
int datafs_posix_look(struct posix *p, int fd, struct statx *x);
/* Opens with O_PATH what may be anything, without touching it, and looks. */
int datafs_posix_open_object(struct posix *p, const char *key, struct statx *x);

struct datafs_fingerprint datafs_posix_fingerprint(struct posix *p,
						   const struct statx *x);
/* Is the open file in the state that @fp names? -ESTALE. */
int datafs_posix_check_state(struct posix *p, int fd, const struct datafs_fingerprint *fp);
/* Opens it for reading; -ESTALE: it is in another state, or no file, or gone. */
int datafs_posix_open_data(struct posix *p, const char *key,
			   const struct datafs_fingerprint *fp);

/* ---- the store's calls, as under_ops.h has them ---- */

int datafs_posix_stat(struct datafs_under *u, const char *key,
		      struct datafs_under_stat *st);
int datafs_posix_list(struct datafs_under *u, const char *key,
		      struct datafs_under_place *place, datafs_under_list_fn fn, void *arg);
ssize_t datafs_posix_readlink(struct datafs_under *u, const char *key,
			      char *buf, size_t len);
ssize_t datafs_posix_getxattr(struct datafs_under *u, const char *key,
			      const char *name, void *buf, size_t len);
ssize_t datafs_posix_listxattr(struct datafs_under *u, const char *key,
			       char *buf, size_t len);

int datafs_posix_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		     const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		     struct datafs_fingerprint *fp);
int datafs_posix_begin(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr, struct datafs_under_upload *up);
int datafs_posix_part(struct datafs_under *u, const char *key,
		      const struct datafs_under_upload *up, struct datafs_under_part *part,
		      const void *buf);
int datafs_posix_complete(struct datafs_under *u, const char *key,
			  const struct datafs_under_upload *up,
			  const struct datafs_under_part *parts, size_t n,
			  const struct datafs_under_attr *attr,
			  const struct datafs_under_cond *cond, struct datafs_fingerprint *fp);
int datafs_posix_abort(struct datafs_under *u, const char *key,
		       const struct datafs_under_upload *up);
int datafs_posix_mkdir(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr);
int datafs_posix_rmdir(struct datafs_under *u, const char *key);
int datafs_posix_remove(struct datafs_under *u, const char *key,
			const struct datafs_under_cond *cond);
int datafs_posix_rename(struct datafs_under *u, const char *from, const char *to);
int datafs_posix_copy(struct datafs_under *u, const char *from,
		      const struct datafs_fingerprint *from_fp, const char *to,
		      const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		      struct datafs_fingerprint *fp);

#endif
