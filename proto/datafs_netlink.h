/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * DataFS: generic netlink family "datafs", version 1: what a daemon, or who is privileged,
 * asks datafs.ko beside the channel, and events for all who listen. Every command needs
 * CAP_SYS_ADMIN and the initial network namespace. proto/datafs.yaml is its
 * specification, Documentation/protocol.rst the long form; its version is that of
 * datafs_abi.h.
 */
#ifndef DATAFS_NETLINK_H
#define DATAFS_NETLINK_H

#include "datafs_abi.h"

#define DATAFS_GENL_NAME	"datafs"
#define DATAFS_GENL_VERSION	1
#define DATAFS_GENL_MCGRP	"events"

/**
 * enum datafs_genl_cmd - commands, and events on the multicast group
 * @DATAFS_CMD_GET_MOUNT:	do (MOUNT_ID) or dump: MOUNT_ID, INSTANCE, SOURCE,
 *				STATE, EPOCH, INCARNATION, OPTIONS
 * @DATAFS_CMD_GET_STATS:	do (MOUNT_ID): MOUNT_ID and a STAT nest for each
 *				counter
 * @DATAFS_CMD_REVOKE:		do: COOKIE, RANGES. Forgets all extents that
 *				touch the ranges. Returns at once; REVOKE_DONE
 *				with the cookie follows on /dev/datafs when no
 *				I/O uses them. EINVAL, ENOMEM, ENOENT (no such
 *				instance); ranges of
 *				unknown mounts and inodes hold nothing and are
 *				skipped. INSTANCE names whose ranges they are.
 * @DATAFS_CMD_INVALIDATE:	do: INSTANCE, ITEMS. What the items name is asked for
 *				anew before it answers again, and answers to requests
 *				that were read before are not kept. All of that holds when
 *				the command returns: nothing is to wait for.
 *				EINVAL, ENOENT (no such instance); unknown mounts and
 *				inodes hold nothing and are skipped.
 * @DATAFS_CMD_MOUNTED:		event: MOUNT_ID, INSTANCE, SOURCE
 * @DATAFS_CMD_UNMOUNTED:	event: MOUNT_ID, INSTANCE, SOURCE
 * @DATAFS_CMD_DAEMON_LOST:	event: INSTANCE, EPOCH
 * @DATAFS_CMD_DAEMON_BACK:	event: INSTANCE, EPOCH
 *
 * Events are hints; nothing correct depends on their arrival.
 */
enum datafs_genl_cmd {
	DATAFS_CMD_UNSPEC,
	DATAFS_CMD_GET_MOUNT,
	DATAFS_CMD_GET_STATS,
	DATAFS_CMD_REVOKE,
	DATAFS_CMD_MOUNTED,
	DATAFS_CMD_UNMOUNTED,
	DATAFS_CMD_DAEMON_LOST,
	DATAFS_CMD_DAEMON_BACK,
	DATAFS_CMD_INVALIDATE,
	DATAFS_CMD_NR
};

/**
 * struct datafs_range - a range of a file in a mount
 * @ino:	the inode
 * @off:	@len: bytes; len 0 means to the end
 * @mount_id:	the mount
 * @reserved:	zero
 */
struct datafs_range {
	__u64 ino;
	__u64 off;
	__u64 len;
	__u32 mount_id;
	__u32 reserved;
};

#define DATAFS_RANGES_MAX	1024	/* in one REVOKE */

/**
 * struct datafs_invalid - what is not to be believed any more
 * @ino:	the inode, or the directory of the name; 0 (with
 *		DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES): all of the mount
 * @mount_id:	the mount
 * @what:	DATAFS_INVALID_*
 * @namelen:	with DATAFS_INVALID_NAME: 1 to DATAFS_NAME_MAX; the name follows,
 *		then zeros to a multiple of eight. Else 0.
 *
 * A file's bytes go when its attributes, asked for anew, tell another content.
 */
struct datafs_invalid {
	__u64 ino;
	__u32 mount_id;
	__u16 what;
	__u16 namelen;
};

#define DATAFS_INVALID_ATTR	(1u << 0)	/* attributes, and what they vouch for */
#define DATAFS_INVALID_NAMES	(1u << 1)	/* all names in it, and what is not in it */
#define DATAFS_INVALID_NAME	(1u << 2)	/* that one, or that it is not there */

#define DATAFS_INVALID_BYTES	(32u << 10)	/* of ITEMS in one command */

enum datafs_genl_attr {
	DATAFS_A_UNSPEC,
	DATAFS_A_PAD,
	DATAFS_A_MOUNT_ID,	/* u32 */
	DATAFS_A_INSTANCE,	/* string */
	DATAFS_A_SOURCE,	/* string */
	DATAFS_A_STATE,		/* u32, enum datafs_state */
	DATAFS_A_EPOCH,		/* u64 */
	DATAFS_A_INCARNATION,	/* binary, 16 bytes */
	DATAFS_A_COOKIE,	/* u64 */
	DATAFS_A_RANGES,	/* binary, struct datafs_range[] */
	DATAFS_A_STAT,		/* nest of NAME and VALUE, repeated */
	DATAFS_A_STAT_NAME,	/* string */
	DATAFS_A_STAT_VALUE,	/* u64 */
	DATAFS_A_OPTIONS,	/* string: the daemon's, as given */
	DATAFS_A_ITEMS,		/* binary: struct datafs_invalid, each with its name */
	DATAFS_A_NR
};

/**
 * enum datafs_state - of a mount
 * @DATAFS_STATE_LIVE:		a daemon answers
 * @DATAFS_STATE_GRACE:		no daemon; what it must answer waits
 * @DATAFS_STATE_ABORTED:	what a daemon must answer fails with ENOTCONN,
 *				until the next hello
 */
enum datafs_state {
	DATAFS_STATE_LIVE	= 0,
	DATAFS_STATE_GRACE	= 1,
	DATAFS_STATE_ABORTED	= 2,
};

DATAFS_ABI_ASSERT(datafs_range, 32);
DATAFS_ABI_ASSERT(datafs_invalid, 16);

#endif /* DATAFS_NETLINK_H */
