/* SPDX-License-Identifier: Apache-2.0 */
/* `datafs node`: the nodes of the quorum, looked at and changed. */
#ifndef DATAFS_UTIL_NODE_H
#define DATAFS_UTIL_NODE_H

/* argv[0] is "node". The exit status. */
int datafs_node_command(int argc, char **argv);

#endif
