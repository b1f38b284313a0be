/* SPDX-License-Identifier: Apache-2.0 */
/* The files below a path, and what of them is in the cache. */
#ifndef DATAFS_FILES_H
#define DATAFS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "genl.h"

struct datafs_file {
	char *path;
	uint64_t ino;
	uint64_t size, cached;	/* as the daemon knows it; @cached of @size bytes */
	uint64_t staying, leaving;	/* of one that is freed */
	bool failed;		/* said already; whoever sees it next leaves it alone */
	char error[64];		/* what the daemon has said */
};

struct datafs_files {
	const struct datafs_genl_mount *mount;
	struct datafs_file *list;
	size_t n, room;
	size_t failed;		/* files and directories, each after a line that says why */
	uint64_t size, cached;	/* of all that have not failed */
};

/*
 * All regular files at @path and below, in this mount only: no symbolic link is followed,
 * nothing that is mounted below is entered. A file with several names is there once, if
 * they are all below @path. Then the daemon is asked what it has of each. Neither costs
 * more requests to the under-store than looking at the files does.
 *
 * What fails is counted and told. -1 after a line: there is nothing to be done at all.
 * datafs_files_free() is right in either case. Stops early, with what it has, if *@stop
 * becomes nonzero.
 */
int datafs_files_find(struct datafs_files *f, const struct datafs_genl_mount *mount,
		      const char *path, const volatile int *stop);
void datafs_files_free(struct datafs_files *f);
/* The first error of a file is said, and counted. @err: 0 if the daemon has answered. */
void datafs_file_fail(struct datafs_files *f, struct datafs_file *file, int err);
/* "error TEXT" of an answer; true if it was that. */
bool datafs_file_error(struct datafs_file *file, const char *key, const char *value);
/* For struct datafs_many: "size", "cached", "staying" and "leaving" of an answer. */
void datafs_file_line(void *file, const char *key, const char *value);
/* "file WORD MOUNT INODE", the request; a static buffer. */
const char *datafs_file_request(const struct datafs_files *f, const struct datafs_file *file,
				const char *word);

#endif
