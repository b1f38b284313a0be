/* SPDX-License-Identifier: Apache-2.0 */
/* `datafs job`: what nodes of the quorum are to do, looked at and changed. */
#ifndef DATAFS_UTIL_JOB_H
#define DATAFS_UTIL_JOB_H

/* argv[0] is "job". The exit status. */
int datafs_job_command(int argc, char **argv);

#endif
