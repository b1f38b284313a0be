/* SPDX-License-Identifier: Apache-2.0 */
/* What sd_notify(3) does: tells the service manager how a service is doing. */
#ifndef DATAFS_NOTIFY_H
#define DATAFS_NOTIFY_H

/*
 * @state: "KEY=VALUE" lines, as READY=1. 0 also if nobody wants to know
 * ($NOTIFY_SOCKET is not set), or a negative errno. Any thread.
 */
int datafs_notify(const char *state);

#endif
