/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a database needs below it so that LevelDB keeps what it promises, and
 * checkpoints of it while it is written.
 *
 * An environment (LevelDB's Env, an EnvWrapper around its own) serves one
 * database. Of LevelDB 1.23 it changes this:
 *
 *   - A log with unsynced bytes is synced when LevelDB changes to the next one.
 *     Otherwise a power loss could take its end and leave records of the next.
 *   - After a log could not be written or synced, nothing more is written to any
 *     log until the database is opened again. LevelDB would go on behind the
 *     torn record, and a later open would skip what lies between.
 *   - The directory is synced before the MANIFEST names new files, with the
 *     first sync of a log, and after CURRENT was replaced.
 *   - A file is never truncated by creating it anew: the old one is unlinked, as
 *     it may be linked into a checkpoint.
 *   - While a checkpoint is made no file is removed; that is done after it. If
 *     the process ends before, LevelDB removes them when it opens the database.
 *
 * So what is found after a power loss is always a prefix of what was written, in
 * order, with all in it that was written with sync, or before that. A
 * write that failed may be its last part. The one promise asked of the disk is
 * that the unsynced end of one file is lost from its end.
 *
 * A sync of a log at its change runs under LevelDB's own lock: readers and
 * writers wait for it, once in a write buffer.
 */
#ifndef DATAFS_ENV_H
#define DATAFS_ENV_H

#include <leveldb/c.h>

#ifdef __cplusplus
extern "C" {
#endif

struct datafs_env;

/*
 * An environment over the machine's disk. 0, -ENOMEM, or -ENOTSUP (logged): this
 * LevelDB's leveldb_env_t is not the one this was written for. That type is not
 * in its headers: a struct of the Env's address and of a bool (false: not the
 * default one). What leveldb_create_default_env() makes must look so.
 */
int datafs_env_open(struct datafs_env **res);

/* After the database was closed. NULL is nothing. */
void datafs_env_close(struct datafs_env *env);

/* For leveldb_options_set_env(). It belongs to @env: never destroy it. */
leveldb_env_t *datafs_env_leveldb(struct datafs_env *env);

/*
 * No file of the database is removed between the two. They nest, and may be
 * called from any thread. When unpin returns 0 to the count it removes what was
 * remembered; a writer can wait for the removal of one file.
 */
void datafs_env_pin(struct datafs_env *env);
void datafs_env_unpin(struct datafs_env *env);

/*
 * Makes @to, a new directory on the filesystem of @db: a database of its own
 * with a prefix of what was written to @db, the open database of @env. All that
 * was written when this is called is in it. What is written meanwhile may be,
 * in its order; nothing of what is written later ever shows in it. It is
 * durable when this returns. Made as "@to.tmp", renamed when it is whole; what
 * a crash left under that name is removed.
 *
 * It shares tables with @db, by hard links: open it with an environment of its
 * own, never with LevelDB's, which may truncate a file by creating it.
 *
 * Blocks on the disk; writers do not wait for it. Any thread; several at once if
 * @to differs. 0, -EEXIST (@to is there), -ENOENT (what it is to be in is not), -EUCLEAN (@db is no database, or a
 * file of it is missing), -EXDEV, or what the disk said. Then @to is not there,
 * or (only if the sync of the directory around it failed) not surely durable.
 */
int datafs_checkpoint(struct datafs_env *env, const char *db, const char *to);

#ifdef __cplusplus
}
#endif

#endif
