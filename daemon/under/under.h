/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under-stores: where the bytes come from. One file each, one line in the
 * table of under.c. All calls may block and are made from worker threads;
 * all are safe to make from several at once. Errors are negative errnos; an
 * error is never "does not exist" unless it is -ENOENT.
 *
 * A key is the path below the store's root, without a leading '/', "" for the
 * root itself.
 */
#ifndef DATAFS_UNDER_H
#define DATAFS_UNDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>

/*
 * What identifies one state of an object's bytes. Equal fingerprints mean
 * equal bytes unless the object is younger than the clock's grain
 * (datafs_under_young). For posix: device (0 for the root's own, whose number
 * may be another after a reboot), inode, size, mtime, ctime and birth time.
 */
struct datafs_fingerprint {
	uint64_t v[6];
};

struct datafs_under_stat {
	uint64_t file_id;	/* two names with one id are one file; 0 unknown */
	uint64_t size;
	uint64_t blocks;	/* of 512 bytes */
	struct timespec atime, mtime, ctime, btime;
	uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor;
	bool has_btime, has_xattr, has_acl;
	struct datafs_fingerprint fp;
	struct timespec seen;	/* when it was looked at, before looking */
};

struct datafs_under;

/*
 * One entry of a listing; @st NULL: it is there, but cannot be looked at. Return
 * non-zero to stop; that becomes the result.
 */
typedef int (*datafs_under_list_fn)(void *arg, const char *name,
				    const struct datafs_under_stat *st);

struct datafs_under_ops {
	const char *scheme;	/* of "scheme://..."; posix also takes a plain path */
	int (*open)(const char *source, struct datafs_under **res);
	void (*close)(struct datafs_under *u);
	int (*stat)(struct datafs_under *u, const char *key,
		    struct datafs_under_stat *st);
	/* Every entry but "." and "..", in any order, once. */
	int (*list)(struct datafs_under *u, const char *key,
		    datafs_under_list_fn fn, void *arg);
	/*
	 * Reads [off, off+len) of the object whose fingerprint is @fp; looks again
	 * after reading: -ESTALE if it is another. Short only at the end: returns
	 * the bytes read. @buf is aligned to 4096.
	 */
	ssize_t (*read)(struct datafs_under *u, const char *key,
			const struct datafs_fingerprint *fp, uint64_t off,
			void *buf, size_t len);
	ssize_t (*readlink)(struct datafs_under *u, const char *key, char *buf,
			    size_t len);
	ssize_t (*getxattr)(struct datafs_under *u, const char *key,
			    const char *name, void *buf, size_t len);
	ssize_t (*listxattr)(struct datafs_under *u, const char *key, char *buf,
			     size_t len);
	int (*statfs)(struct datafs_under *u, struct statfs *st);
};

struct datafs_under {
	const struct datafs_under_ops *ops;
};

/* Chooses by scheme and opens. -EPROTONOSUPPORT: no such scheme. */
int datafs_under_open(const char *source, struct datafs_under **res);
void datafs_under_close(struct datafs_under *u);

/* Was it changed so shortly before it was seen that a second change could hide? */
bool datafs_under_young(const struct datafs_under_stat *st);

#endif
