/* SPDX-License-Identifier: Apache-2.0 */
/* The mounting itself: the kernel's calls, and what it says about them. */
#ifndef DATAFS_MOUNT_CALL_H
#define DATAFS_MOUNT_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "mount_check.h"
#include "mount_opts.h"

/**
 * struct datafs_mount_call - one attempt
 * @source:	as datafs_mount_source() made it; NULL for a remount
 * @place:	the mount point
 * @opts:	the options
 * @sloppy:	leave out a parameter that the kernel refuses, and warn
 * @verbose:	print the kernel's warnings and remarks as well
 */
struct datafs_mount_call {
	const char *source;
	const struct datafs_mount_place *place;
	const struct datafs_mount_opts *opts;
	bool sloppy;
	bool verbose;
};

/*
 * Each returns 0 or a negative errno with one line in @err, the kernel's own
 * words where it had any. -ENOTCONN of datafs_mount_new(): no daemon of that
 * instance. Both wait, killably, for the daemon's answer.
 */
int datafs_mount_new(const struct datafs_mount_call *call, char *err,
		     size_t errlen);
int datafs_mount_change(const struct datafs_mount_call *call, char *err,
			size_t errlen);

#endif
