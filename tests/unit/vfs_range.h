/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server on loopback with one file, of which it answers ranges to any number of
 * connections, and counts. Include after _GNU_SOURCE.
 */
#ifndef DATAFS_TEST_VFS_RANGE_H
#define DATAFS_TEST_VFS_RANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern struct range_server {
	uint64_t size;		/* of the file */
	const char *dated;	/* it has this date instead of an ETag; or NULL */
	bool whole;		/* it answers to no ranges: all of it, always */
	unsigned int break_nth;	/* this GET ends in the middle; 0: none */
	unsigned int refuse_first;	/* so many GETs are answered 503 */
	/* GETs wait until so many are there, or were; 0: they do not */
	unsigned int together;
	atomic_uint gets, heads, connections, most;	/* most GETs at one time */
	atomic_ullong bytes;	/* of bodies */
} range_server;

/* "http://127.0.0.1:PORT/", while it runs. */
extern char range_base[64];

/* With nothing counted, and all of the above zero. */
void range_start(uint64_t size);
void range_stop(void);
unsigned char range_byte(uint64_t at);

#endif
