/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk for databases that loses power and fails when it is told to. It goes
 * below an environment of base/env.h, or directly below LevelDB.
 *
 * All below @root is on it, and is real files there, so that other code can read
 * them. What is made there by other means counts as durable; LevelDB's LOCK and
 * LOG do. Nothing is really synced: the disk remembers what was.
 *
 * A loss of power takes from each file a number of its unsynced bytes, from its
 * end and for each file anew, and of each directory names that were made, renamed
 * or removed since its last sync: either the last ones, or any. What is taken
 * follows from the seed and from what was written; LevelDB's own thread, one per
 * disk, must be waited for (fault_env_settle()) where that has to be the same
 * again. There is no state but a disk's own.
 *
 * Any thread, but new, restart and free: no database may be open then.
 */
#ifndef DATAFS_TEST_FAULT_ENV_H
#define DATAFS_TEST_FAULT_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fault_env;

enum fault_op {
	FAULT_WRITE = 1,	/* bytes to a file: half of them arrive */
	FAULT_SYNC = 2,		/* of a file or a directory */
	FAULT_NAME = 4,		/* made, renamed, removed */
};

/* @root: an existing, empty directory, absolute. It uses "@root.inodes" too. */
struct fault_env *fault_env_new(const char *root, uint64_t seed);
/* Leaves what is in @root. */
void fault_env_free(struct fault_env *f);

/* An environment over it: datafs_env_close() it before a restart. */
struct datafs_env *fault_env_shim(struct fault_env *f);
/* LevelDB without one. It belongs to @f. */
leveldb_env_t *fault_env_raw(struct fault_env *f);

/*
 * The @nth (from 1) operation from now on of those in @ops, on a file or
 * directory whose last part has @part in it, fails with @err, and so do the
 * next @times - 1 such. Replaces what was said before; @times 0: none fails.
 */
void fault_env_fail(struct fault_env *f, unsigned int ops, const char *part,
		    unsigned int nth, unsigned int times, int err);

/* The power goes at the @nth operation from now on; 0: now. EIO from then on. */
void fault_env_cut(struct fault_env *f, unsigned int nth);

/* @root becomes what a machine finds after that, and all works again. */
void fault_env_restart(struct fault_env *f);

/* Until LevelDB's thread has nothing to do. */
void fault_env_settle(struct fault_env *f);

#ifdef __cplusplus
}
#endif

#endif
