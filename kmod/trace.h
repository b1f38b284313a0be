/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DataFS: tracepoints. Numbers only, so that a record costs what it carries;
 * opcodes, flags and states are shown by name.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM datafs

#if !defined(DATAFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DATAFS_TRACE_H

#include <linux/tracepoint.h>

#include "datafs.h"

#define datafs_show_op(op) __print_symbolic(op,		\
	{ DATAFS_OP_MOUNT,	 "mount" },		\
	{ DATAFS_OP_UMOUNT,	 "umount" },		\
	{ DATAFS_OP_LOOKUP,	 "lookup" },		\
	{ DATAFS_OP_GETATTR,	 "getattr" },		\
	{ DATAFS_OP_READDIR,	 "readdir" },		\
	{ DATAFS_OP_READLINK,	 "readlink" },		\
	{ DATAFS_OP_EXTENT,	 "extent" },		\
	{ DATAFS_OP_BAD_EXTENT,	 "bad_extent" },	\
	{ DATAFS_OP_GETXATTR,	 "getxattr" },		\
	{ DATAFS_OP_LISTXATTR,	 "listxattr" },		\
	{ DATAFS_OP_STATFS,	 "statfs" },		\
	{ DATAFS_OP_REVOKE_DONE, "revoke_done" },	\
	{ DATAFS_OP_PARENT,	 "parent" },		\
	{ DATAFS_OP_CREATE,	 "create" },		\
	{ DATAFS_OP_MKDIR,	 "mkdir" },		\
	{ DATAFS_OP_MKNOD,	 "mknod" },		\
	{ DATAFS_OP_SYMLINK,	 "symlink" },		\
	{ DATAFS_OP_LINK,	 "link" },		\
	{ DATAFS_OP_UNLINK,	 "unlink" },		\
	{ DATAFS_OP_RMDIR,	 "rmdir" },		\
	{ DATAFS_OP_RENAME,	 "rename" },		\
	{ DATAFS_OP_SETATTR,	 "setattr" },		\
	{ DATAFS_OP_SETXATTR, "setxattr" },		\
	{ DATAFS_OP_REMOVEXATTR, "removexattr" },		\
	{ DATAFS_OP_RELEASE,	 "release" })

#define datafs_show_state(state) __print_symbolic(state,	\
	{ DATAFS_STATE_LIVE,	"LIVE" },			\
	{ DATAFS_STATE_GRACE,	"GRACE" },			\
	{ DATAFS_STATE_ABORTED,	"ABORTED" })

TRACE_DEFINE_ENUM(DATAFS_OP_MOUNT);
TRACE_DEFINE_ENUM(DATAFS_OP_UMOUNT);
TRACE_DEFINE_ENUM(DATAFS_OP_LOOKUP);
TRACE_DEFINE_ENUM(DATAFS_OP_GETATTR);
TRACE_DEFINE_ENUM(DATAFS_OP_READDIR);
TRACE_DEFINE_ENUM(DATAFS_OP_READLINK);
TRACE_DEFINE_ENUM(DATAFS_OP_EXTENT);
TRACE_DEFINE_ENUM(DATAFS_OP_BAD_EXTENT);
TRACE_DEFINE_ENUM(DATAFS_OP_GETXATTR);
TRACE_DEFINE_ENUM(DATAFS_OP_LISTXATTR);
TRACE_DEFINE_ENUM(DATAFS_OP_STATFS);
TRACE_DEFINE_ENUM(DATAFS_OP_REVOKE_DONE);
TRACE_DEFINE_ENUM(DATAFS_OP_PARENT);
TRACE_DEFINE_ENUM(DATAFS_OP_CREATE);
TRACE_DEFINE_ENUM(DATAFS_OP_MKDIR);
TRACE_DEFINE_ENUM(DATAFS_OP_MKNOD);
TRACE_DEFINE_ENUM(DATAFS_OP_SYMLINK);
TRACE_DEFINE_ENUM(DATAFS_OP_LINK);
TRACE_DEFINE_ENUM(DATAFS_OP_UNLINK);
TRACE_DEFINE_ENUM(DATAFS_OP_RMDIR);
TRACE_DEFINE_ENUM(DATAFS_OP_RENAME);
TRACE_DEFINE_ENUM(DATAFS_OP_SETATTR);
TRACE_DEFINE_ENUM(DATAFS_OP_SETXATTR);
TRACE_DEFINE_ENUM(DATAFS_OP_REMOVEXATTR);
TRACE_DEFINE_ENUM(DATAFS_OP_RELEASE);
TRACE_DEFINE_ENUM(DATAFS_STATE_LIVE);
TRACE_DEFINE_ENUM(DATAFS_STATE_GRACE);
TRACE_DEFINE_ENUM(DATAFS_STATE_ABORTED);

/* Under the instance's lock. */
DECLARE_EVENT_CLASS(datafs_request_class,
	TP_PROTO(const struct datafs_request *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, ino)
		__field(u64, seq)
		__field(u32, mount)
		__field(u16, op)
		__field(u16, flags)
	),
	TP_fast_assign(
		__entry->id = req->head.id;
		__entry->ino = req->head.ino;
		__entry->seq = req->head.seq;
		__entry->mount = req->head.mount_id;
		__entry->op = req->head.opcode;
		__entry->flags = req->head.flags;
	),
	TP_printk("id=%llu mount=%u op=%s ino=%llu seq=%llu flags=%s",
		  __entry->id, __entry->mount, datafs_show_op(__entry->op),
		  __entry->ino, __entry->seq,
		  __print_flags(__entry->flags, "|",
				{ DATAFS_REQ_RESEND, "resend" },
				{ DATAFS_REQ_PREFETCH, "prefetch" }))
);

DEFINE_EVENT(datafs_request_class, datafs_request_queue,
	TP_PROTO(const struct datafs_request *req), TP_ARGS(req));
DEFINE_EVENT(datafs_request_class, datafs_request_send,
	TP_PROTO(const struct datafs_request *req), TP_ARGS(req));
DEFINE_EVENT(datafs_request_class, datafs_request_requeue,
	TP_PROTO(const struct datafs_request *req), TP_ARGS(req));

/* It is done: answered by a daemon (@answered), or ended by somebody else. */
TRACE_EVENT(datafs_request_answer,
	TP_PROTO(const struct datafs_request *req, bool answered),
	TP_ARGS(req, answered),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, ino)
		__field(u32, mount)
		__field(int, error)
		__field(u16, op)
		__field(bool, answered)
	),
	TP_fast_assign(
		__entry->id = req->head.id;
		__entry->ino = req->head.ino;
		__entry->mount = req->head.mount_id;
		__entry->error = req->error;
		__entry->op = req->head.opcode;
		__entry->answered = answered;
	),
	TP_printk("id=%llu mount=%u op=%s ino=%llu error=%d %s",
		  __entry->id, __entry->mount, datafs_show_op(__entry->op),
		  __entry->ino, __entry->error,
		  __entry->answered ? "answered" : "ended")
);

DECLARE_EVENT_CLASS(datafs_extent_class,
	TP_PROTO(const struct datafs_ext *ext),
	TP_ARGS(ext),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, content)
		__field(u64, off)
		__field(u64, len)
		__field(u64, backing_off)
		__field(u32, mount)
		__field(u32, backing)
	),
	TP_fast_assign(
		__entry->ino = ext->di->vfs_inode.i_ino;
		__entry->content = ext->content;
		__entry->off = ext->off;
		__entry->len = ext->len;
		__entry->backing_off = ext->backing_off;
		__entry->mount = ext->mnt->id;
		__entry->backing = ext->bf->id;
	),
	TP_printk("mount=%u ino=%llu content=%llu off=%llu len=%llu backing=%u:%llu",
		  __entry->mount, __entry->ino, __entry->content, __entry->off,
		  __entry->len, __entry->backing, __entry->backing_off)
);

DEFINE_EVENT(datafs_extent_class, datafs_extent_insert,
	TP_PROTO(const struct datafs_ext *ext), TP_ARGS(ext));
DEFINE_EVENT(datafs_extent_class, datafs_extent_hit,
	TP_PROTO(const struct datafs_ext *ext), TP_ARGS(ext));
/* Out of the tree: revoked, replaced, its content changed, its inode goes. */
DEFINE_EVENT(datafs_extent_class, datafs_extent_revoke,
	TP_PROTO(const struct datafs_ext *ext), TP_ARGS(ext));

TRACE_EVENT(datafs_mount_state,
	TP_PROTO(const struct datafs_mount *mnt, int from, int to),
	TP_ARGS(mnt, from, to),
	TP_STRUCT__entry(
		__field(u64, epoch)
		__field(u32, mount)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->epoch = mnt->inst->epoch;
		__entry->mount = mnt->id;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("mount=%u %s -> %s epoch=%llu", __entry->mount,
		  datafs_show_state(__entry->from),
		  datafs_show_state(__entry->to), __entry->epoch)
);

#endif /* DATAFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
