/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datafs invalidate: what changed in a mount's source is seen now. The daemon looks
 * at what each PATH is in the source, lists it if it is a directory, and the kernel
 * forgets what it knew of it. With --all nothing that is known of the whole mount
 * answers before it was looked at once more.
 */
#ifndef DATAFS_INVALIDATE_H
#define DATAFS_INVALIDATE_H

/* @argv[0] is the command's name. An exit status. */
int datafs_invalidate_command(int argc, char **argv);

#endif
