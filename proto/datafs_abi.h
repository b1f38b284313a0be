/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * DataFS: the contract between datafs.ko and a cache daemon.
 *
 * The concepts, in the order in which a daemon meets them:
 *
 *   instance  An open file of /dev/datafs that has said hello under a name.
 *             Mounts name an instance (mount option instance=NAME).
 *   upcall    A request of the kernel, taken with read(2) and answered with
 *             write(2) on the instance. Both carry as many messages as fit.
 *   backing   A file of the daemon (a cache slab) registered with the
 *             instance; the kernel reads it itself.
 *   extent    "This range of the file is in that backing file at that
 *             offset, with these checksums": the answer to a data upcall.
 *             No file data passes through the channel.
 *   content   A generation of a file's bytes. Everything that depends on the
 *             bytes names it; the daemon never gives one value to two
 *             different contents of an inode, not even after a crash.
 *   sequence  The invalidation sequence of a mount. A request carries its
 *             value when the daemon reads it; what its reply would install
 *             is dropped if an invalidation or revocation that covers it
 *             came in between.
 *
 * All integers are in the byte order of the machine. All structs are packed
 * by construction: every field is naturally aligned, every size is a multiple
 * of eight, reserved fields are zero and are refused when they are not.
 * Documentation/protocol.rst is the long form of this file. What anyone privileged may ask
 * the module, and what it tells all of them, is in datafs_netlink.h.
 */
#ifndef DATAFS_ABI_H
#define DATAFS_ABI_H

#include <linux/types.h>
#include <linux/ioctl.h>

/*
 * A different major version is refused by the hello (EPROTONOSUPPORT). A
 * minor version only adds: opcodes (answered ENOSYS by who does not know
 * them), feature bits, netlink attributes.
 */
#define DATAFS_ABI_MAJOR	1
#define DATAFS_ABI_MINOR	4

#define DATAFS_DEVICE		"datafs"	/* below /dev */
#define DATAFS_SUPER_MAGIC	0x44617461	/* "Data"; statfs f_type */

#define DATAFS_NAME_MAX		255	/* bytes of a name, no NUL counted */
#define DATAFS_SYMLINK_MAX	4095	/* bytes of a link's target */
#define DATAFS_XATTR_MAX	65536	/* bytes of a value or a name list */
#define DATAFS_SOURCE_MAX	4095	/* bytes of a mount's source */
#define DATAFS_OPTIONS_MAX	4095	/* bytes of a mount's daemon options */
#define DATAFS_INSTANCE_MAX	63	/* bytes of an instance's name */

#define DATAFS_GRANULE_SHIFT	12
#define DATAFS_GRANULE		(1u << DATAFS_GRANULE_SHIFT)
#define DATAFS_EXTENT_MAX	(64u << 20)	/* bytes one extent may span */
#define DATAFS_EXTENTS_MAX	64	/* extents in one reply */

/* The largest message either way; also a good size for a read buffer. */
#define DATAFS_MSG_MAX		(1u << 20)
/*
 * read(2) with less room than this is refused with EINVAL; with less than the oldest
 * request needs, which only a SETXATTR can make more of, with EMSGSIZE.
 */
#define DATAFS_READ_MIN		(16u << 10)

#define DATAFS_ROOT_COOKIE	0	/* readdir from the beginning */
#define DATAFS_FIRST_COOKIE	16	/* the least cookie of an entry */

#define DATAFS_FOREVER		0xffffffffu	/* a *_valid_ms without end */

/* ---------------------------------------------------------------- hello */

/**
 * struct datafs_hello - make an open /dev/datafs an instance
 * @size:	in: sizeof(struct datafs_hello)
 * @major:	in: DATAFS_ABI_MAJOR of the daemon; out: of the module
 * @minor:	in: DATAFS_ABI_MINOR of the daemon; out: of the module
 * @features:	in: DATAFS_FEATURE_* the daemon has; out: those both have
 * @epoch:	in: orders the daemons of one name; non-zero. A name that is
 *		already known takes only a higher one (ESTALE otherwise).
 *		out: the epoch in force.
 * @flags:	in: DATAFS_HELLO_*
 * @reserved:	zero
 * @session:	in: names the daemon's namespace: what inode numbers and
 *		contents mean. The same for all daemons of a name, while it
 *		has mounts.
 * @name:	in: NUL-terminated, 1 to DATAFS_INSTANCE_MAX bytes of
 *		[A-Za-z0-9._-]
 *
 * With DATAFS_HELLO_TAKEOVER it follows whatever daemon the name has or had:
 * that one is fenced, its registered backing files stay, what it has not
 * answered is sent again with DATAFS_REQ_RESEND. A name that is not known is
 * made. Who has another @session has not the namespace that the mounts were made
 * with.
 *
 * Errors: EPROTONOSUPPORT (@major differs), EINVAL (a field), EBUSY (the name
 * has a living daemon or mounts, and TAKEOVER is not set), EEXIST (it has, and
 * another @session), ESTALE (@epoch), EALREADY (this file has said hello).
 */
struct datafs_hello {
	__u32 size;
	__u16 major;
	__u16 minor;
	__u64 features;
	__u64 epoch;
	__u32 flags;
	__u32 reserved;
	__u8  session[16];
	char  name[64];
};

#define DATAFS_HELLO_TAKEOVER	(1u << 0)	/* fence the predecessor */

#define DATAFS_FEATURE_TAKEOVER	(1ull << 0)	/* a name outlives its daemon */
#define DATAFS_FEATURE_LEASE	(1ull << 1)	/* DATAFS_IOC_LEASE */
#define DATAFS_FEATURE_LISTING	(1ull << 2)	/* DATAFS_READDIR_KEEP */
#define DATAFS_FEATURE_COUNTS	(1ull << 3)	/* DATAFS_IOC_COUNTS */

/**
 * struct datafs_backing - register a backing file
 * @fd:		a regular file, opened O_RDWR or O_RDONLY with O_DIRECT, on a
 *		filesystem that has direct I/O, is not datafs and is not
 *		stacked upon another
 * @id:		chosen by the daemon, 1 to DATAFS_BACKING_IDS - 1
 * @length:	out: its size in bytes; extents beyond it are refused, and the
 *		file must not shrink while it is registered
 *
 * The kernel keeps its own reference and reads under the credentials of the
 * registering thread. Errors: EINVAL (fd, id or alignment), EBADF, EACCES (not readable),
 * ELOOP (on datafs, or stacked), EEXIST (@id names another file),
 * ENOTCONN (no hello, or fenced).
 */
struct datafs_backing {
	__s32 fd;
	__u32 id;
	__u64 length;
};

#define DATAFS_BACKING_IDS	(1u << 20)

#define DATAFS_IOC_MAGIC	0xDF
#define DATAFS_IOC_HELLO	_IOWR(DATAFS_IOC_MAGIC, 0, struct datafs_hello)
#define DATAFS_IOC_BACKING_ADD	_IOWR(DATAFS_IOC_MAGIC, 1, struct datafs_backing)
/*
 * Takes the id. No new extent may name it; those that live go on until they
 * are revoked or dropped. 0: all that this daemon has not registered, which
 * a predecessor had. Errors: ENOENT.
 */
#define DATAFS_IOC_BACKING_DEL	_IOW(DATAFS_IOC_MAGIC, 2, __u32)

/**
 * struct datafs_held - an extent that the kernel holds
 * @ino:	of the file
 * @content:	the generation
 * @off:	in the file
 * @len:	bytes
 * @backing_off: where
 * @backing_id:	where; see DATAFS_HELD_OTHER
 * @mount_id:	of the mount
 * @flags:	DATAFS_HELD_*
 * @reserved:	zero
 */
struct datafs_held {
	__u64 ino;
	__u64 content;
	__u64 off;
	__u64 len;
	__u64 backing_off;
	__u32 backing_id;
	__u32 mount_id;
	__u32 flags;
	__u32 reserved;
};

/* No read finds it any more, but I/O that began before is under way. */
#define DATAFS_HELD_DYING	(1u << 0)
/* It is in a file that had the id before the one that has it now. */
#define DATAFS_HELD_OTHER	(1u << 1)

/**
 * struct datafs_held_list - list the extents that the mounts of a name hold
 * @items:	in: address of struct datafs_held[@room]
 * @room:	in: 1 to DATAFS_HELD_MAX
 * @count:	out: how many were told; 0: that was all
 * @ino:	in, out: where to go on, with @off and @mount_id; 0, 0, 0 first
 * @off:	as told
 * @mount_id:	as told
 * @reserved:	zero
 *
 * A successor asks after its hello and before its first answer: only answers
 * make extents, so the list is then complete. It must not put anything else
 * where such an extent lies before that is revoked. Errors: EINVAL, EFAULT,
 * ENOMEM, ERANGE (@room is too small for one file's dying extents).
 */
struct datafs_held_list {
	__u64 items;
	__u32 room;
	__u32 count;
	__u64 ino;
	__u64 off;
	__u32 mount_id;
	__u32 reserved;
};

#define DATAFS_HELD_MAX		(16u << 10)

#define DATAFS_IOC_HELD		_IOWR(DATAFS_IOC_MAGIC, 3, struct datafs_held_list)

/**
 * struct datafs_lease_end - until when a mount may use what it was told
 * @mount_id:	of one of the caller's instance
 * @reserved:	zero
 * @until:	CLOCK_BOOTTIME in nanoseconds, as the caller reads it, in whatever time
 *		namespace; 0: at once; DATAFS_LEASE_NONE: there is no lease, and no end
 *
 * From @until on entries and attributes answer nothing without an upcall, however
 * long their own valid_ms is, with a daemon or without one; they are not thrown
 * away, and answer again if a later @until is told. Who comes to a new lease must
 * invalidate before what was told under another one. A mount begins without a
 * lease, and keeps what it was told last when its daemon dies or is followed.
 * Takes effect at once, also if it is earlier than before. Does not sleep.
 *
 * Errors: EINVAL (a field), ENOENT (no such mount), ENOTCONN (no hello, or fenced:
 * nothing is changed).
 */
struct datafs_lease_end {
	__u32 mount_id;
	__u32 reserved;
	__u64 until;
};

#define DATAFS_LEASE_NONE	0xffffffffffffffffull
#define DATAFS_IOC_LEASE	_IOW(DATAFS_IOC_MAGIC, 4, struct datafs_lease_end)

/**
 * enum datafs_count - what a daemon has asked of a mount's store, and what came of it
 *
 * Requests by method, those that were sent again among them; how many of those there
 * were; those that failed; bytes of content read and written; and the price of all so
 * far, in millionths of the unit that the mount's prices are in.
 */
enum datafs_count {
	DATAFS_COUNT_STAT	= 0,
	DATAFS_COUNT_LIST	= 1,
	DATAFS_COUNT_GET	= 2,
	DATAFS_COUNT_PUT	= 3,
	DATAFS_COUNT_COPY	= 4,
	DATAFS_COUNT_DELETE	= 5,
	DATAFS_COUNT_OTHER	= 6,
	DATAFS_COUNT_RETRIES	= 7,
	DATAFS_COUNT_ERRORS	= 8,
	DATAFS_COUNT_BYTES	= 9,
	DATAFS_COUNT_BYTES_UP	= 10,
	DATAFS_COUNT_PRICE	= 11,
	DATAFS_COUNT_NR
};

#define DATAFS_COUNT_NAMES { \
	[DATAFS_COUNT_STAT] = "requests_stat", [DATAFS_COUNT_LIST] = "requests_list", \
	[DATAFS_COUNT_GET] = "requests_get", [DATAFS_COUNT_PUT] = "requests_put", \
	[DATAFS_COUNT_COPY] = "requests_copy", \
	[DATAFS_COUNT_DELETE] = "requests_delete", \
	[DATAFS_COUNT_OTHER] = "requests_other", \
	[DATAFS_COUNT_RETRIES] = "retries", [DATAFS_COUNT_ERRORS] = "errors", \
	[DATAFS_COUNT_BYTES] = "bytes", [DATAFS_COUNT_BYTES_UP] = "bytes_up", \
	[DATAFS_COUNT_PRICE] = "price_millionths", \
}

/**
 * struct datafs_counts - what the kernel shows of a mount's store, in sysfs
 * @mount_id:	the mount
 * @reserved:	zero
 * @count:	by enum datafs_count, since the mount or since this daemon has it
 *
 * With DATAFS_FEATURE_COUNTS only. The kernel makes no use of the numbers: it shows
 * those that it was told last, zeros before that. Does not sleep.
 *
 * Errors: EINVAL (@reserved), ENOENT (no such mount), ENOTCONN (no hello, or fenced:
 * nothing is changed).
 */
struct datafs_counts {
	__u32 mount_id;
	__u32 reserved;
	__u64 count[DATAFS_COUNT_NR];
};

#define DATAFS_IOC_COUNTS	_IOW(DATAFS_IOC_MAGIC, 5, struct datafs_counts)

/* -------------------------------------------------------------- messages */

/**
 * enum datafs_opcode - what an upcall asks
 *
 * Column "body" follows struct datafs_req, "reply" follows struct datafs_rep
 * when its error is 0; a reply with an error has no body.
 *
 * opcode       body                      reply
 * MOUNT        datafs_mount_req          datafs_mount_rep
 * UMOUNT       -                         -
 * LOOKUP       name                      datafs_entry (ino 0: proven absent)
 * GETATTR      -                         datafs_attr
 * READDIR      datafs_readdir_req        datafs_readdir_rep, datafs_dirent...
 * READLINK     -                         the target, no NUL
 * EXTENT       datafs_extent_req         datafs_extent_rep, datafs_extent...,
 *                                        __u32 crc...
 * BAD_EXTENT   datafs_bad_extent_req     as EXTENT
 * GETXATTR     name                      the value
 * LISTXATTR    -                         names, each with its NUL
 * STATFS       -                         datafs_statfs
 * REVOKE_DONE  datafs_revoke_done        -
 * PARENT       -                         datafs_entry of the parent directory
 * CREATE       datafs_make_req, name     datafs_change_rep
 * MKDIR        as CREATE                 datafs_change_rep
 * MKNOD        as CREATE                 datafs_change_rep
 * SYMLINK      as CREATE, and the target datafs_change_rep
 * LINK         datafs_link_req, name     datafs_change_rep
 * UNLINK       datafs_remove_req, name   datafs_change_rep
 * RMDIR        as UNLINK                 datafs_change_rep
 * RENAME       datafs_rename_req, both   datafs_change_rep
 *              names
 * SETATTR      datafs_setattr_req        datafs_change_rep
 * SETXATTR     datafs_setxattr_req,      datafs_change_rep
 *              name, value
 * REMOVEXATTR  datafs_change_req, name   datafs_change_rep
 * RELEASE      datafs_change_req         -
 *
 * A "name" body is @datafs_req.namelen bytes without NUL, then zeros to a
 * multiple of eight; where structs or other strings are in a body, each of them
 * begins at a multiple of eight. UMOUNT, REVOKE_DONE and RELEASE have no waiter: they
 * are sent again to a successor until they are answered.
 *
 * From CREATE on they change the namespace: once each, however often they are
 * sent. They are only asked of what has DATAFS_ATTR_CHANGES.
 */
enum datafs_opcode {
	DATAFS_OP_MOUNT		= 1,
	DATAFS_OP_UMOUNT	= 2,
	DATAFS_OP_LOOKUP	= 3,
	DATAFS_OP_GETATTR	= 4,
	DATAFS_OP_READDIR	= 5,
	DATAFS_OP_READLINK	= 6,
	DATAFS_OP_EXTENT	= 7,
	DATAFS_OP_BAD_EXTENT	= 8,
	DATAFS_OP_GETXATTR	= 9,
	DATAFS_OP_LISTXATTR	= 10,
	DATAFS_OP_STATFS	= 11,
	DATAFS_OP_REVOKE_DONE	= 12,
	DATAFS_OP_PARENT	= 13,
	DATAFS_OP_CREATE	= 14,
	DATAFS_OP_MKDIR		= 15,
	DATAFS_OP_MKNOD		= 16,
	DATAFS_OP_SYMLINK	= 17,
	DATAFS_OP_LINK		= 18,
	DATAFS_OP_UNLINK	= 19,
	DATAFS_OP_RMDIR		= 20,
	DATAFS_OP_RENAME	= 21,
	DATAFS_OP_SETATTR	= 22,
	DATAFS_OP_SETXATTR	= 23,
	DATAFS_OP_REMOVEXATTR	= 24,
	DATAFS_OP_RELEASE	= 25,
	DATAFS_OP_NR
};

#define DATAFS_OP_NAMES { \
	[DATAFS_OP_MOUNT] = "mount", [DATAFS_OP_UMOUNT] = "umount", \
	[DATAFS_OP_LOOKUP] = "lookup", [DATAFS_OP_GETATTR] = "getattr", \
	[DATAFS_OP_READDIR] = "readdir", [DATAFS_OP_READLINK] = "readlink", \
	[DATAFS_OP_EXTENT] = "extent", [DATAFS_OP_BAD_EXTENT] = "bad_extent", \
	[DATAFS_OP_GETXATTR] = "getxattr", \
	[DATAFS_OP_LISTXATTR] = "listxattr", \
	[DATAFS_OP_STATFS] = "statfs", \
	[DATAFS_OP_REVOKE_DONE] = "revoke_done", \
	[DATAFS_OP_PARENT] = "parent", [DATAFS_OP_CREATE] = "create", \
	[DATAFS_OP_MKDIR] = "mkdir", [DATAFS_OP_MKNOD] = "mknod", \
	[DATAFS_OP_SYMLINK] = "symlink", [DATAFS_OP_LINK] = "link", \
	[DATAFS_OP_UNLINK] = "unlink", [DATAFS_OP_RMDIR] = "rmdir", \
	[DATAFS_OP_RENAME] = "rename", [DATAFS_OP_SETATTR] = "setattr", \
	[DATAFS_OP_SETXATTR] = "setxattr", \
	[DATAFS_OP_REMOVEXATTR] = "removexattr", \
	[DATAFS_OP_RELEASE] = "release", \
}

/**
 * struct datafs_req - the head of every request
 * @len:	bytes of the message with this head; a multiple of eight
 * @opcode:	enum datafs_opcode
 * @flags:	DATAFS_REQ_*
 * @id:		names the request in its reply; counts up, never reused while
 *		the module is loaded. With the mount's incarnation it is
 *		unique for ever.
 * @seq:	the mount's invalidation sequence when this was read
 * @ino:	the inode asked about; 0 where none is
 * @mount_id:	the mount; 0 for REVOKE_DONE
 * @namelen:	bytes of a name body, else 0
 * @reserved:	zero
 */
struct datafs_req {
	__u32 len;
	__u16 opcode;
	__u16 flags;
	__u64 id;
	__u64 seq;
	__u64 ino;
	__u32 mount_id;
	__u16 namelen;
	__u16 reserved;
};

#define DATAFS_REQ_RESEND	(1u << 0)	/* a predecessor may have had it */
#define DATAFS_REQ_PREFETCH	(1u << 1)	/* nobody waits for it yet */

/**
 * struct datafs_rep - the head of every reply
 * @len:	bytes of the message with this head and its body, without
 *		padding. The next reply in the same write(2) begins at the
 *		next multiple of eight.
 * @error:	0, or a negative errno (-1 to -511, but EINTR and EUCLEAN)
 * @id:		of the request
 *
 * write(2) answers how many bytes it consumed: all, or up to the reply that
 * broke the framing (then EINVAL if that is the first). A reply whose id
 * is unknown (abandoned, answered already, another epoch) is consumed and
 * counted. A reply whose body breaks the contract is EIO for its caller.
 */
struct datafs_rep {
	__u32 len;
	__s32 error;
	__u64 id;
};

/**
 * struct datafs_mount_req - somebody mounts
 * @incarnation: random identity of this mount
 * @flags:	zero
 * @source_len:	bytes of the source, which follows
 * @options_len: bytes of the options, which follow the source: those that are
 *		the daemon's, comma-separated as given
 * @reserved:	zero
 */
struct datafs_mount_req {
	__u8  incarnation[16];
	__u32 flags;
	__u32 source_len;
	__u32 options_len;
	__u32 reserved;
};

/**
 * struct datafs_attr - an inode's attributes
 * @ino:	1 to 2^63-1, never reused for another file
 * @content:	the generation of its bytes, non-zero; for what is no regular
 *		file it changes when cached names or targets must go
 * @size:	bytes, at most 2^63-1
 * @blocks:	units of 512 bytes
 * @atime:	@mtime, @ctime, @btime: seconds since the Epoch
 * @atime_ns:	@mtime_ns, @ctime_ns, @btime_ns: 0 to 999,999,999
 * @mode:	type and permissions as in stat(2); the type of an inode never
 *		changes
 * @nlink:	1 or more
 * @uid:	@gid: in the initial user namespace
 * @rdev_major:	@rdev_minor: of a device node, else 0
 * @flags:	DATAFS_ATTR_*
 * @valid_ms:	for how long these attributes answer without an upcall;
 *		0 not at all, DATAFS_FOREVER until invalidated
 */
struct datafs_attr {
	__u64 ino;
	__u64 content;
	__u64 size;
	__u64 blocks;
	__s64 atime;
	__s64 mtime;
	__s64 ctime;
	__s64 btime;
	__u32 atime_ns;
	__u32 mtime_ns;
	__u32 ctime_ns;
	__u32 btime_ns;
	__u32 mode;
	__u32 nlink;
	__u32 uid;
	__u32 gid;
	__u32 rdev_major;
	__u32 rdev_minor;
	__u32 flags;
	__u32 valid_ms;
};

#define DATAFS_ATTR_XATTR	(1u << 0)	/* it has extended attributes */
#define DATAFS_ATTR_ACL		(1u << 1)	/* among them a POSIX ACL */
#define DATAFS_ATTR_BTIME	(1u << 2)	/* @btime is known */
/*
 * Its attributes, xattrs and, of a directory, its names may be changed; else all
 * that would is EROFS without an upcall. A mount whose root lacks it is read-only.
 */
#define DATAFS_ATTR_CHANGES	(1u << 3)

/**
 * struct datafs_mount_rep - the mount is served
 * @root:	the root directory's attributes
 */
struct datafs_mount_rep {
	struct datafs_attr root;
};

/**
 * struct datafs_entry - what a name leads to
 * @attr:	of the inode; all zero when the name is proven absent
 * @valid_ms:	for how long the name (or its absence) answers without an
 *		upcall
 * @reserved:	zero
 */
struct datafs_entry {
	struct datafs_attr attr;
	__u32 valid_ms;
	__u32 reserved;
};

/**
 * struct datafs_readdir_req - list a directory
 * @cookie:	DATAFS_ROOT_COOKIE, or the cookie of the last entry had
 * @max:	bytes of reply wanted at the most, head included; at least
 *		one entry is sent if there is one
 * @reserved:	zero
 */
struct datafs_readdir_req {
	__u64 cookie;
	__u32 max;
	__u32 reserved;
};

/**
 * struct datafs_readdir_rep - entries follow, in the order of their cookies
 * @count:	how many
 * @flags:	DATAFS_READDIR_*
 */
struct datafs_readdir_rep {
	__u32 count;
	__u32 flags;
};

#define DATAFS_READDIR_EOF	(1u << 0)	/* nothing comes after these */
/*
 * With DATAFS_FEATURE_LISTING only. These names, and that there is no other between the
 * cookie asked for and the last one here, or the end, hold until they are invalidated,
 * as a name whose valid_ms is DATAFS_FOREVER. A directory of which all was told so
 * answers readdir, and LOOKUP of what is not in it, without an upcall.
 */
#define DATAFS_READDIR_KEEP	(1u << 1)

/**
 * struct datafs_dirent - one entry; its name follows, zeros to a multiple of 8
 * @cookie:	DATAFS_FIRST_COOKIE to 2^63-1, above the one before it. It is
 *		of this name for as long as the name is there.
 * @valid_ms:	as in datafs_entry
 * @namelen:	1 to DATAFS_NAME_MAX; not "." nor "..", no '/', no NUL
 * @reserved:	zero
 * @attr:	of the inode
 */
struct datafs_dirent {
	__u64 cookie;
	__u32 valid_ms;
	__u16 namelen;
	__u16 reserved;
	struct datafs_attr attr;
};

/**
 * struct datafs_extent_req - where are these bytes?
 * @content:	the generation they must be of; if it is not the current one
 *		and its bytes are not to be had, the answer is ESTALE
 * @off:	multiple of DATAFS_GRANULE, below the file's size
 * @len:	multiple of DATAFS_GRANULE, not 0; it may reach past the end of
 *		the file by less than a granule
 *
 * With DATAFS_REQ_PREFETCH nobody waits, and an empty answer (count 0) is
 * allowed. Otherwise the answer must cover at least the granule at @off, and
 * should cover all of [@off, @off + @len); it may reach further on either
 * side.
 */
struct datafs_extent_req {
	__u64 content;
	__u64 off;
	__u64 len;
};

/**
 * struct datafs_bad_extent_req - a checksum did not hold
 * @want:	as in an EXTENT
 * @backing_off: where the bad granule lies in the backing file
 * @backing_id:	which
 * @reserved:	zero
 *
 * The kernel has dropped the extent. The daemon looks at the bytes itself,
 * replaces them, and answers as to an EXTENT.
 */
struct datafs_bad_extent_req {
	struct datafs_extent_req want;
	__u64 backing_off;
	__u32 backing_id;
	__u32 reserved;
};

/**
 * struct datafs_extent_rep - the head of a data answer
 * @content:	the generation of all extents in it
 * @count:	of struct datafs_extent that follow, sorted by @off, without
 *		overlap; at most DATAFS_EXTENTS_MAX
 * @crcs:	of __u32 that follow those: a CRC32C for each granule of each
 *		extent, in order
 */
struct datafs_extent_rep {
	__u64 content;
	__u32 count;
	__u32 crcs;
};

/**
 * struct datafs_extent - a range of the file is in a backing file
 * @off:	in the file; multiple of DATAFS_GRANULE
 * @backing_off: in the backing file; multiple of DATAFS_GRANULE
 * @len:	multiple of DATAFS_GRANULE, 1 granule to DATAFS_EXTENT_MAX. The
 *		granule of the file's end is filled up with zeros, and its
 *		checksum covers them.
 * @backing_id:	a registered backing file
 * @reserved:	zero
 *
 * The bytes stay there, unchanged, until the kernel has said that the range
 * is revoked (REVOKE_DONE) or the mount is gone (UMOUNT). CRC32C is Castagnoli's
 * polynomial (RFC 3720, appendix B.4), initial value and final XOR all ones.
 */
struct datafs_extent {
	__u64 off;
	__u64 backing_off;
	__u64 len;
	__u32 backing_id;
	__u32 reserved;
};

/**
 * struct datafs_statfs - as statfs(2) tells it
 * @blocks:	@bfree, @bavail: in units of @bsize
 * @files:	@ffree: inodes
 * @bsize:	a power of two, 512 to 65,536
 * @namelen:	1 to DATAFS_NAME_MAX
 */
struct datafs_statfs {
	__u64 blocks;
	__u64 bfree;
	__u64 bavail;
	__u64 files;
	__u64 ffree;
	__u32 bsize;
	__u32 namelen;
};

/**
 * struct datafs_revoke_done - no I/O uses the revoked ranges any more
 * @cookie:	of the REVOKE
 */
struct datafs_revoke_done {
	__u64 cookie;
};

/* ------------------------------------------------- changes of the namespace */

/**
 * struct datafs_change_req - first in the body of each change
 * @lowest:	the lowest id of the mount's changes that somebody still waits
 *		for, when this was read: answers to those below need not be
 *		remembered. At most @datafs_req.id.
 *
 * A change is known by the mount's incarnation and @datafs_req.id. If it comes
 * again (DATAFS_REQ_RESEND) it was done already or is done now, and the answer
 * is the same, but for how long it may be used.
 *
 * A mount with a lease (DATAFS_IOC_LEASE) uses nothing without an upcall that a change of
 * its own names, from before it can be read here until it is answered: no INVALIDATE
 * needs to say so.
 */
struct datafs_change_req {
	__u64 lowest;
};

/**
 * struct datafs_make_req - CREATE, MKDIR, MKNOD, SYMLINK: a name in @datafs_req.ino
 * @change:	as above
 * @mode:	permissions, with the set-id and sticky bits asked for; of MKNOD the
 *		type as well. The umask is not taken off.
 * @umask:	taken off unless the directory has a default ACL
 * @uid:	@gid: of who makes it, in the initial user namespace
 * @rdev_major:	@rdev_minor: of a device node, else 0
 * @target_len:	of SYMLINK: 1 to DATAFS_SYMLINK_MAX; else 0
 * @reserved:	zero
 */
struct datafs_make_req {
	struct datafs_change_req change;
	__u32 mode;
	__u32 umask;
	__u32 uid;
	__u32 gid;
	__u32 rdev_major;
	__u32 rdev_minor;
	__u32 target_len;
	__u32 reserved;
};

/**
 * struct datafs_link_req - one more name, in @datafs_req.ino
 * @change:	as above
 * @ino:	of what gets it
 */
struct datafs_link_req {
	struct datafs_change_req change;
	__u64 ino;
};

/**
 * struct datafs_remove_req - UNLINK, RMDIR: a name goes from @datafs_req.ino
 * @change:	as above
 * @ino:	what the name leads to, as the kernel knows it
 * @flags:	DATAFS_REMOVE_*
 * @reserved:	zero
 */
struct datafs_remove_req {
	struct datafs_change_req change;
	__u64 ino;
	__u32 flags;
	__u32 reserved;
};

/*
 * @ino is open here: without a name it lives on until its RELEASE, which follows
 * whatever became of this change.
 */
#define DATAFS_REMOVE_HOLD	(1u << 0)

/**
 * struct datafs_rename_req - the name @datafs_req.namelen of @datafs_req.ino moves
 * @change:	as above
 * @new_parent:	to this directory
 * @ino:	what the new name leads to, as the kernel knows it; 0: nothing
 * @flags:	DATAFS_RENAME_*
 * @new_namelen: bytes of the new name, which follows the old one
 * @reserved:	zero
 */
struct datafs_rename_req {
	struct datafs_change_req change;
	__u64 new_parent;
	__u64 ino;
	__u32 flags;
	__u16 new_namelen;
	__u16 reserved;
};

#define DATAFS_RENAME_NOREPLACE	(1u << 0)	/* EEXIST if the new name is there */
#define DATAFS_RENAME_EXCHANGE	(1u << 1)	/* the two change places */
#define DATAFS_RENAME_HOLD	(1u << 2)	/* of @ino; as DATAFS_REMOVE_HOLD */

/**
 * struct datafs_setattr_req - change attributes of @datafs_req.ino
 * @change:	as above
 * @size:	DATAFS_SET_SIZE
 * @atime:	@mtime: DATAFS_SET_ATIME, DATAFS_SET_MTIME; with @atime_ns, @mtime_ns
 * @valid:	DATAFS_SET_*: which of these
 * @mode:	DATAFS_SET_MODE: permissions, with set-id and sticky bits
 * @uid:	@gid: DATAFS_SET_UID, DATAFS_SET_GID
 *
 * The change time becomes that of the change.
 */
struct datafs_setattr_req {
	struct datafs_change_req change;
	__u64 size;
	__s64 atime;
	__s64 mtime;
	__u32 atime_ns;
	__u32 mtime_ns;
	__u32 valid;
	__u32 mode;
	__u32 uid;
	__u32 gid;
};

#define DATAFS_SET_MODE		(1u << 0)
#define DATAFS_SET_UID		(1u << 1)
#define DATAFS_SET_GID		(1u << 2)
#define DATAFS_SET_SIZE		(1u << 3)
#define DATAFS_SET_ATIME	(1u << 4)
#define DATAFS_SET_MTIME	(1u << 5)

/**
 * struct datafs_setxattr_req - set an extended attribute of @datafs_req.ino
 * @change:	as above
 * @value_len:	0 to DATAFS_XATTR_MAX; the value follows the name
 * @flags:	DATAFS_XATTR_CREATE, DATAFS_XATTR_REPLACE, as of setxattr(2)
 */
struct datafs_setxattr_req {
	struct datafs_change_req change;
	__u32 value_len;
	__u32 flags;
};

#define DATAFS_XATTR_CREATE	(1u << 0)
#define DATAFS_XATTR_REPLACE	(1u << 1)

/**
 * struct datafs_change_rep - what is there after a change
 * @node:	what was made, linked, moved, changed or removed. What has no name
 *		any more has @nlink 0 here (and here only).
 * @parent:	of @datafs_req.ino where that is the directory of a name; else zero
 * @new_parent:	of RENAME between two directories; else zero
 * @other:	of RENAME: what was replaced (as @node with @nlink 0, or less) or
 *		exchanged; else zero
 */
struct datafs_change_rep {
	struct datafs_entry node;
	struct datafs_attr parent;
	struct datafs_attr new_parent;
	struct datafs_attr other;
};

/* ---------------------------------------------------- sizes are the ABI */

#define DATAFS_ABI_ASSERT(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type " has changed")

DATAFS_ABI_ASSERT(datafs_hello, 112);
DATAFS_ABI_ASSERT(datafs_backing, 16);
DATAFS_ABI_ASSERT(datafs_held, 56);
DATAFS_ABI_ASSERT(datafs_held_list, 40);
DATAFS_ABI_ASSERT(datafs_req, 40);
DATAFS_ABI_ASSERT(datafs_rep, 16);
DATAFS_ABI_ASSERT(datafs_mount_req, 32);
DATAFS_ABI_ASSERT(datafs_attr, 112);
DATAFS_ABI_ASSERT(datafs_mount_rep, 112);
DATAFS_ABI_ASSERT(datafs_entry, 120);
DATAFS_ABI_ASSERT(datafs_readdir_req, 16);
DATAFS_ABI_ASSERT(datafs_readdir_rep, 8);
DATAFS_ABI_ASSERT(datafs_dirent, 128);
DATAFS_ABI_ASSERT(datafs_extent_req, 24);
DATAFS_ABI_ASSERT(datafs_bad_extent_req, 40);
DATAFS_ABI_ASSERT(datafs_extent_rep, 16);
DATAFS_ABI_ASSERT(datafs_extent, 32);
DATAFS_ABI_ASSERT(datafs_statfs, 48);
DATAFS_ABI_ASSERT(datafs_revoke_done, 8);
DATAFS_ABI_ASSERT(datafs_change_req, 8);
DATAFS_ABI_ASSERT(datafs_make_req, 40);
DATAFS_ABI_ASSERT(datafs_link_req, 16);
DATAFS_ABI_ASSERT(datafs_remove_req, 24);
DATAFS_ABI_ASSERT(datafs_rename_req, 32);
DATAFS_ABI_ASSERT(datafs_setattr_req, 56);
DATAFS_ABI_ASSERT(datafs_setxattr_req, 16);
DATAFS_ABI_ASSERT(datafs_change_rep, 456);
DATAFS_ABI_ASSERT(datafs_lease_end, 16);

#endif /* DATAFS_ABI_H */
