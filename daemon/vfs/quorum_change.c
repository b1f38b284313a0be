// SPDX-License-Identifier: Apache-2.0
/*
 * Changes of a quorum's namespace: each upcall is a command, before which another may
 * hold the inode that would lose its last name. The ids of their requests follow from
 * the upcall's, so that one that is sent again is the same: 2 * id the first, 2 * id
 * + 1 the second.
 */
#include "vfs_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"

#define AGAIN_MS	10
/* Until one that holds up thousands of others has been answered. */
#define BUSY_TRIES	500
/* With less on the disk only what makes room is done: a database without is lost for now. */
#define DISK_RESERVE	(64ull << 20)

static void wait_a_little(void)
{
	static const struct timespec ts = { .tv_nsec = AGAIN_MS * DATAFS_MSEC };

	nanosleep(&ts, NULL);
}

/* As datafs_quorum_change_told(); too many answers are remembered if one is long in coming. */
static int change(struct vfs_mount *mnt, const Metad__Command *cmd, Metad__Result **res,
		  struct datafs_told *told)
{
	int ret;

	for (int i = 0; ; i++) {
		ret = datafs_quorum_change_told(mnt->quorum, cmd, res, told);
		if (ret || (*res)->error != EBUSY || i == BUSY_TRIES)
			return ret;
		metad__result__free_unpacked(*res, NULL);
		wait_a_little();
	}
}

int vfs_command(struct vfs_mount *mnt, Metad__Command *cmd, uint64_t request,
		uint64_t lowest, Metad__Result **res, struct datafs_told *told)
{
	int ret;

	cmd->has_session = cmd->has_request = cmd->has_lowest = true;
	cmd->session = mnt->session;
	cmd->request = request;
	cmd->lowest = DATAFS_MIN(lowest, request);
	ret = change(mnt, cmd, res, told);
	/* Perhaps it is done; the error will say that it is not. */
	if (ret == -EIO)
		vfs_tell_doubt(mnt->v, mnt->quorum);
	if (ret)
		return ret;
	ret = -(int)(*res)->error;
	if (!ret)
		return 0;
	metad__result__free_unpacked(*res, NULL);
	if (ret == -ENOTCONN && !atomic_exchange(&mnt->ended, true))
		datafs_log(LOG_ERR, "mount %u of %s: its session has ended; unmount it",
			   mnt->id, mnt->source);
	/* Of the session, not of what was asked. */
	return ret == -ENOTCONN || ret == -EALREADY || ret == -EBUSY || ret == -EUCLEAN ?
	       -EIO : ret;
}

/* The strings of a body: the name is also in the call. */
static ProtobufCBinaryData name_of(const struct datafs_call *call)
{
	return (ProtobufCBinaryData) {
		.len = call->req->namelen, .data = (uint8_t *)call->name,
	};
}

static ProtobufCBinaryData more_of(const struct datafs_call *call, size_t body, size_t len)
{
	return (ProtobufCBinaryData) {
		.len = len,
		.data = (uint8_t *)call->body + body +
			datafs_round_up(call->req->namelen, 8),
	};
}

/* One command, whose message is one of these. */
struct command {
	Metad__Command c;
	uint64_t hold;		/* an inode that is open; 0 */
	union {
		Metad__Make make;
		Metad__Symlink symlink;
		Metad__Link link;
		Metad__Remove remove;
		Metad__Rename rename;
		Metad__Setattr setattr;
		Metad__Setxattr setxattr;
		Metad__Removexattr removexattr;
		Metad__Hold hold;
	} m;
};

static int make(const struct datafs_call *call, struct command *c)
{
	const struct datafs_make_req *r = call->body;
	Metad__Make *m = &c->m.make;

	metad__make__init(m);
	m->has_parent = m->has_name = m->has_mode = m->has_umask = true;
	m->has_uid = m->has_gid = m->has_rdev_major = m->has_rdev_minor = true;
	m->parent = call->req->ino;
	m->name = name_of(call);
	m->mode = r->mode;
	m->umask = r->umask;
	m->uid = r->uid;
	m->gid = r->gid;
	m->rdev_major = r->rdev_major;
	m->rdev_minor = r->rdev_minor;
	c->c.create = m;
	return 0;
}

static int do_symlink(const struct datafs_call *call, struct command *c)
{
	const struct datafs_make_req *r = call->body;
	Metad__Symlink *m = &c->m.symlink;

	metad__symlink__init(m);
	m->has_parent = m->has_name = m->has_target = m->has_uid = m->has_gid = true;
	m->parent = call->req->ino;
	m->name = name_of(call);
	m->target = more_of(call, sizeof(*r), r->target_len);
	m->uid = r->uid;
	m->gid = r->gid;
	c->c.symlink = m;
	return 0;
}

static int do_link(const struct datafs_call *call, struct command *c)
{
	const struct datafs_link_req *r = call->body;
	Metad__Link *m = &c->m.link;

	metad__link__init(m);
	m->has_ino = m->has_parent = m->has_name = true;
	m->ino = r->ino;
	m->parent = call->req->ino;
	m->name = name_of(call);
	c->c.link = m;
	return 0;
}

static int do_remove(const struct datafs_call *call, struct command *c)
{
	const struct datafs_remove_req *r = call->body;
	Metad__Remove *m = &c->m.remove;

	metad__remove__init(m);
	m->has_parent = m->has_name = true;
	m->parent = call->req->ino;
	m->name = name_of(call);
	m->has_ino = r->ino != 0;
	m->ino = r->ino;
	c->c.unlink = m;
	c->hold = r->flags & DATAFS_REMOVE_HOLD ? r->ino : 0;
	return 0;
}

static int do_rename(const struct datafs_call *call, struct command *c)
{
	const struct datafs_rename_req *r = call->body;
	Metad__Rename *m = &c->m.rename;

	metad__rename__init(m);
	m->has_parent = m->has_name = m->has_new_parent = m->has_new_name = true;
	m->parent = call->req->ino;
	m->name = name_of(call);
	m->new_parent = r->new_parent;
	m->new_name = more_of(call, sizeof(*r), r->new_namelen);
	m->has_new_ino = true;
	m->new_ino = r->ino;
	m->has_noreplace = m->noreplace = r->flags & DATAFS_RENAME_NOREPLACE;
	m->has_exchange = m->exchange = r->flags & DATAFS_RENAME_EXCHANGE;
	c->c.rename = m;
	c->hold = r->flags & DATAFS_RENAME_HOLD ? r->ino : 0;
	return 0;
}

static int do_setattr(const struct datafs_call *call, struct command *c)
{
	const struct datafs_setattr_req *r = call->body;
	Metad__Setattr *m = &c->m.setattr;

	/* There is nowhere to keep bytes. */
	if (r->valid & DATAFS_SET_SIZE && r->size)
		return -EROFS;
	metad__setattr__init(m);
	m->has_ino = true;
	m->ino = call->req->ino;
	m->has_mode = r->valid & DATAFS_SET_MODE;
	m->mode = r->mode;
	m->has_uid = r->valid & DATAFS_SET_UID;
	m->uid = r->uid;
	m->has_gid = r->valid & DATAFS_SET_GID;
	m->gid = r->gid;
	m->has_size = r->valid & DATAFS_SET_SIZE;
	m->size = r->size;
	m->has_atime = m->has_atime_ns = r->valid & DATAFS_SET_ATIME;
	m->atime = r->atime;
	m->atime_ns = r->atime_ns;
	m->has_mtime = m->has_mtime_ns = r->valid & DATAFS_SET_MTIME;
	m->mtime = r->mtime;
	m->mtime_ns = r->mtime_ns;
	c->c.setattr = m;
	return 0;
}

static int do_setxattr(const struct datafs_call *call, struct command *c)
{
	const struct datafs_setxattr_req *r = call->body;
	Metad__Setxattr *m = &c->m.setxattr;

	metad__setxattr__init(m);
	m->has_ino = m->has_name = m->has_value = true;
	m->ino = call->req->ino;
	m->name = name_of(call);
	m->value = more_of(call, sizeof(*r), r->value_len);
	m->has_create = m->create = r->flags & DATAFS_XATTR_CREATE;
	m->has_replace = m->replace = r->flags & DATAFS_XATTR_REPLACE;
	c->c.setxattr = m;
	return 0;
}

static int do_removexattr(const struct datafs_call *call, struct command *c)
{
	Metad__Removexattr *m = &c->m.removexattr;

	metad__removexattr__init(m);
	m->has_ino = m->has_name = true;
	m->ino = call->req->ino;
	m->name = name_of(call);
	c->c.removexattr = m;
	return 0;
}

static int do_release(const struct datafs_call *call, struct command *c)
{
	Metad__Hold *m = &c->m.hold;

	metad__hold__init(m);
	m->has_ino = true;
	m->ino = call->req->ino;
	c->c.release = m;
	return 0;
}

static const struct {
	Metad__Command__OpCase op;
	int (*fill)(const struct datafs_call *call, struct command *c);
	bool small;		/* takes next to no room on the disk, or makes some */
} commands[DATAFS_OP_NR] = {
	[DATAFS_OP_CREATE]	= { METAD__COMMAND__OP_CREATE, make },
	[DATAFS_OP_MKDIR]	= { METAD__COMMAND__OP_MKDIR, make },
	[DATAFS_OP_MKNOD]	= { METAD__COMMAND__OP_MKNOD, make },
	[DATAFS_OP_SYMLINK]	= { METAD__COMMAND__OP_SYMLINK, do_symlink },
	[DATAFS_OP_LINK]	= { METAD__COMMAND__OP_LINK, do_link },
	[DATAFS_OP_UNLINK]	= { METAD__COMMAND__OP_UNLINK, do_remove, true },
	[DATAFS_OP_RMDIR]	= { METAD__COMMAND__OP_RMDIR, do_remove, true },
	[DATAFS_OP_RENAME]	= { METAD__COMMAND__OP_RENAME, do_rename },
	[DATAFS_OP_SETATTR]	= { METAD__COMMAND__OP_SETATTR, do_setattr },
	[DATAFS_OP_SETXATTR]	= { METAD__COMMAND__OP_SETXATTR, do_setxattr },
	[DATAFS_OP_REMOVEXATTR]	= { METAD__COMMAND__OP_REMOVEXATTR, do_removexattr, true },
	[DATAFS_OP_RELEASE]	= { METAD__COMMAND__OP_RELEASE, do_release, true },
};

/* What was there before the change may be gone: that is for the change to say. */
static int hold(struct vfs_mount *mnt, uint64_t ino, uint64_t request, uint64_t lowest)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Hold h = METAD__HOLD__INIT;
	struct datafs_told told;
	Metad__Result *res;
	int ret;

	h.has_ino = true;
	h.ino = ino;
	c.op_case = METAD__COMMAND__OP_HOLD;
	c.hold = &h;
	ret = vfs_command(mnt, &c, request, lowest, &res, &told);
	if (!ret)
		metad__result__free_unpacked(res, NULL);
	return ret == -ESTALE ? 0 : ret;
}

static void tell(struct vfs_mount *mnt, const struct command *c,
		 const struct datafs_call *call, const Metad__Result *res)
{
	struct vfs_told t;

	/* What nobody else can see goes. */
	if (c->c.op_case == METAD__COMMAND__OP_RELEASE)
		return;
	t.len = 0;
	vfs_told_inode(&t, res->node);
	vfs_told_inode(&t, res->parent);
	vfs_told_inode(&t, res->new_parent);
	vfs_told_inode(&t, res->other);
	if (res->parent)
		vfs_told_name(&t, call->req->ino, call->name, call->req->namelen);
	if (c->c.op_case == METAD__COMMAND__OP_RENAME)
		vfs_told_name(&t, c->m.rename.new_parent, c->m.rename.new_name.data,
			      c->m.rename.new_name.len);
	vfs_tell_others(mnt, &t);
}

static uint32_t keep_name(struct vfs_mount *mnt, const struct datafs_told *told, uint64_t dir,
			  const void *name, size_t len)
{
	const struct datafs_grant_object o = {
		.ino = dir, .kind = DATAFS_GRANT_NAME, .name = name, .len = (uint8_t)len,
	};

	return vfs_keep(mnt, told, true, &o);
}

/* What is made of the names that it is about; of the one kept no longer than the other. */
static uint32_t keep_names(struct vfs_mount *mnt, const struct command *c,
			   const struct datafs_told *told, const struct datafs_call *call)
{
	const Metad__Rename *r = &c->m.rename;
	uint32_t ms = keep_name(mnt, told, call->req->ino, call->name, call->req->namelen);

	if (c->c.op_case != METAD__COMMAND__OP_RENAME)
		return ms;
	return DATAFS_MIN(ms, keep_name(mnt, told, r->new_parent, r->new_name.data,
					r->new_name.len));
}

static void put_attr(struct vfs_mount *mnt, const struct datafs_told *told,
		     const Metad__Attr *a, struct datafs_attr *attr)
{
	if (a)
		vfs_quorum_attr(a, a->nlink ? vfs_keep_attr(mnt, told, true, a) : 0, attr);
}

static void fill_reply(struct vfs_mount *mnt, const struct command *c,
		       const struct datafs_told *told, const Metad__Result *res,
		       struct datafs_call *call)
{
	struct datafs_change_rep *rep = call->out;

	memset(rep, 0, sizeof(*rep));
	put_attr(mnt, told, res->node, &rep->node.attr);
	if (res->parent)
		rep->node.valid_ms = keep_names(mnt, c, told, call);
	put_attr(mnt, told, res->parent, &rep->parent);
	put_attr(mnt, told, res->new_parent, &rep->new_parent);
	put_attr(mnt, told, res->other, &rep->other);
	call->out_len = sizeof(*rep);
}

/* Told once: what is not released is held for as long as the mount is there. */
static int must_command(struct vfs_mount *mnt, Metad__Command *cmd, uint64_t request,
			uint64_t lowest, Metad__Result **res, struct datafs_told *told)
{
	int ret;

	while ((ret = vfs_command(mnt, cmd, request, lowest, res, told)) == -ENOMEM)
		wait_a_little();
	return ret;
}

/* One that comes again may be done already, and its answer must be the same. */
static bool has_room(const struct datafs_vfs *v, const struct datafs_req *req)
{
	struct statvfs st;

	return commands[req->opcode].small || req->flags & DATAFS_REQ_RESEND ||
	       statvfs(v->dir, &st) ||
	       (uint64_t)st.f_bavail * st.f_frsize >= DISK_RESERVE;
}

static bool is_alien(struct vfs_mount *mnt, const Metad__Result *res)
{
	const Metad__Attr *const all[] = { res->node, res->parent, res->new_parent, res->other };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i] && vfs_quorum_alien(mnt, all[i]->ino))
			return true;
	return false;
}

int vfs_quorum_change(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_change_req *r = call->body;
	const struct datafs_req *req = call->req;
	struct command c = { .c = METAD__COMMAND__INIT };
	uint64_t lowest = 2 * DATAFS_MIN(r->lowest, req->id);
	struct datafs_quorum *q;
	struct datafs_told told;
	Metad__Result *res;
	int ret;

	/* The members look at their disks themselves. */
	if (!mnt->members && !has_room(mnt->v, req))
		return -ENOSPC;
	ret = vfs_quorum_of(mnt, &q);
	if (ret)
		return ret;
	c.c.op_case = commands[req->opcode].op;
	ret = commands[req->opcode].fill(call, &c);
	if (!ret && c.hold)
		ret = hold(mnt, c.hold, 2 * req->id, lowest);
	if (!ret)
		ret = (call->out ? vfs_command : must_command)(mnt, &c.c, 2 * req->id + 1,
							       lowest, &res, &told);
	if (ret)
		return ret;
	if (is_alien(mnt, res)) {
		/* Something is done, and nobody knows to what. */
		vfs_tell_doubt(mnt->v, q);
		ret = -EIO;
	} else {
		tell(mnt, &c, call, res);
		if (call->out)
			fill_reply(mnt, &c, &told, res, call);
	}
	metad__result__free_unpacked(res, NULL);
	return ret;
}
