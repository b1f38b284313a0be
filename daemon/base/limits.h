/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel allows a daemon, and what it spares it. */
#ifndef DATAFS_LIMITS_H
#define DATAFS_LIMITS_H

/* Before anything else is opened. What cannot be had is logged, and no error. */
void datafs_limits_set(void);

#endif
