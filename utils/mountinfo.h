/* SPDX-License-Identifier: Apache-2.0 */
/* The datafs mounts of this process's mount namespace. */
#ifndef DATAFS_MOUNTINFO_H
#define DATAFS_MOUNTINFO_H

#include <stddef.h>
#include <stdio.h>

/* One line of /proc/self/mountinfo. */
struct datafs_mountinfo {
	unsigned int dev_major, dev_minor;
	char *dir;
	char *source;
	char *super_options;	/* values still escaped */
};

/*
 * Reads all mounts of type datafs in the order in which they were made.
 * *@list is an array of *@n, to be given to datafs_mountinfo_free().
 * A negative errno if the table cannot be read.
 */
int datafs_mountinfo_read(struct datafs_mountinfo **list, size_t *n);
/* The same from an open stream, for tests. */
int datafs_mountinfo_parse(FILE *stream, struct datafs_mountinfo **list,
			   size_t *n);
void datafs_mountinfo_free(struct datafs_mountinfo *list, size_t n);

/* What is seen at @dir: the last one mounted there; NULL if none is. */
const struct datafs_mountinfo *
datafs_mountinfo_at(const struct datafs_mountinfo *list, size_t n,
		    const char *dir);

/* Its instance: the option's value, copied to @buf, or "default". */
const char *datafs_mountinfo_instance(const struct datafs_mountinfo *mi,
				      char *buf, size_t size);

#endif
