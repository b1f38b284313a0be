/* SPDX-License-Identifier: Apache-2.0 */
/* LevelDB tells errors in words only. This tells what they mean. */
#ifndef DATAFS_LEVELDB_H
#define DATAFS_LEVELDB_H

/*
 * -EUCLEAN: what the database holds is damaged, and stays so. Anything else is
 * no reason to throw it away: the errno of what failed below it, -EIO if that
 * is not known.
 */
int datafs_leveldb_error(const char *said);

#endif
