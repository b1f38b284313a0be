/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount needs to be there: the module, and a daemon of its instance. */
#ifndef DATAFS_MOUNT_DAEMON_H
#define DATAFS_MOUNT_DAEMON_H

#include <stddef.h>

#include "mount_opts.h"

#define DATAFS_RUN_DIR	"/run/datafs"

/* How long a daemon may take until it serves. */
#define DATAFS_DAEMON_WAIT_MS	60000

/*
 * Each returns 0 or a negative errno, with one line in @err, unless it tells
 * otherwise.
 */

/* Load the module unless /dev/datafs is there. */
int datafs_module_load(char *err, size_t errlen);

/*
 * datafs_instance_lock - keep an embedded daemon from ending
 *
 * It ends by itself after the last umount, but takes this lock exclusively
 * before it does. Held shared from before mount(2) is tried until it has
 * succeeded, it makes sure that a daemon that was found, or started, serves
 * the mount. Returns a descriptor, which close(2) unlocks. Waits for a daemon
 * that is about to end.
 */
int datafs_instance_lock(const char *instance, char *err, size_t errlen);
/*
 * The same lock, but exclusively: nobody mounts from that instance, or begins to,
 * until it is closed. -ETIMEDOUT: somebody still did after @timeout_ms.
 */
int datafs_instance_lock_alone(const char *instance, int timeout_ms, char *err,
			       size_t errlen);

/*
 * datafs_daemon_start - start an embedded daemon and wait until it serves
 * @timeout_ms:	for how long
 *
 * -EBUSY: another daemon of that instance is there or about to be: look
 * whether it serves. -ETIMEDOUT: it was not ready in time, and was ended.
 */
int datafs_daemon_start(const struct datafs_mount_opts *opts, int timeout_ms,
			char *err, size_t errlen);

#endif
