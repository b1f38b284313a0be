/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_UTIL_MOUNT_TABLE_H
#define DATAFS_UTIL_MOUNT_TABLE_H

/*
 * `datafs mount`: the table of mounts of the metadata quorum. argv[0] is "mount"; an exit
 * status is returned.
 */
int datafs_mount_table_command(int argc, char **argv);

#endif
