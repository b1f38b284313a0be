/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_UTIL_META_H
#define DATAFS_UTIL_META_H

/*
 * `datafs meta`: the metadata quorum, looked at and changed. argv[0] is "meta"; an exit
 * status is returned.
 */
int datafs_meta_command(int argc, char **argv);

#endif
