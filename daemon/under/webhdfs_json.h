/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What WebHDFS answers, in JSON. All of it is looked at before it is used: types, signs,
 * and names, of which those that cannot be names here are left out and counted. Nothing blocks.
 *
 * Errors are -EPROTO, of what is not such an answer, and -ENOMEM.
 *
 * A symbolic link, which HDFS has had for a short time only, is not shown.
 */
#ifndef DATAFS_WEBHDFS_JSON_H
#define DATAFS_WEBHDFS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct webhdfs_status {
	const char *name;	/* in its directory; "" of what was asked for itself */
	const char *owner, *group;
	bool dir;
	uint64_t file_id;	/* 0: not told */
	uint64_t length;
	int64_t mtime, atime;	/* milliseconds since 1970 */
	uint32_t mode;		/* its 12 bits */
	uint64_t children;	/* of a directory, where it is told */
};

struct webhdfs_statuses {
	struct webhdfs_status *v;
	size_t n;
	size_t skipped;
	bool more;		/* the listing goes on behind the last one */
	struct json_t *doc;	/* in which the strings are */
};

/* One, of GETFILESTATUS. -EOPNOTSUPP: a symbolic link. */
int datafs_webhdfs_status(const char *text, size_t len, struct webhdfs_statuses *res);
/* Those of LISTSTATUS or LISTSTATUS_BATCH, in the order of bytes. */
int datafs_webhdfs_list(const char *text, size_t len, struct webhdfs_statuses *res);
/* After an error there is nothing to free. */
void datafs_webhdfs_statuses_free(struct webhdfs_statuses *s);

/* What RENAME, MKDIRS and DELETE say. */
int datafs_webhdfs_boolean(const char *text, size_t len, bool *res);

/*
 * The errno of a RemoteException, and in @why[@room] its words; 0: it is none. What is not
 * known is -EIO.
 */
int datafs_webhdfs_exception(const char *text, size_t len, char *why, size_t room);

#endif
