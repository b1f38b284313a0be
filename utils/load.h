/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about what of the files below a path is in this node's cache: load brings
 * it there, free removes it, du tells how much there is, stat where it is.
 */
#ifndef DATAFS_LOAD_H
#define DATAFS_LOAD_H

/* @argv[0] is the command's name. An exit status. */
int datafs_load_command(int argc, char **argv);
int datafs_free_command(int argc, char **argv);
int datafs_du_command(int argc, char **argv);
int datafs_stat_command(int argc, char **argv);

#endif
