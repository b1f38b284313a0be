/* SPDX-License-Identifier: Apache-2.0 */
/* `datafs policy`: the policies of the quorum, looked at and changed. */
#ifndef DATAFS_UTIL_POLICY_H
#define DATAFS_UTIL_POLICY_H

/* argv[0] is "policy". The exit status. */
int datafs_policy_command(int argc, char **argv);

#endif
