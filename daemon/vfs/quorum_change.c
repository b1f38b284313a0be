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

#include "base/log.h"
#include "base/util.h"

int vfs_command(struct vfs_mount *mnt, Metad__Command *cmd, uint64_t request,
		uint64_t lowest, Metad__Result **res)
{
	int ret;

	cmd->has_session = cmd->has_request = cmd->has_lowest = true;
	cmd->session = mnt->session;
	cmd->request = request;
	cmd->lowest = DATAFS_MIN(lowest, request);
	ret = datafs_quorum_change(mnt->quorum, cmd, res);
	if (ret)
		return ret;
	ret = -(int)(*res)->error;
	if (!ret)
		return 0;
	metad__result__free_unpacked(*res, NULL);
	if (ret == -ENOTCONN)
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
} commands[DATAFS_OP_NR] = {
	[DATAFS_OP_CREATE]	= { METAD__COMMAND__OP_CREATE, make },
	[DATAFS_OP_MKDIR]	= { METAD__COMMAND__OP_MKDIR, make },
	[DATAFS_OP_MKNOD]	= { METAD__COMMAND__OP_MKNOD, make },
	[DATAFS_OP_SYMLINK]	= { METAD__COMMAND__OP_SYMLINK, do_symlink },
	[DATAFS_OP_LINK]	= { METAD__COMMAND__OP_LINK, do_link },
	[DATAFS_OP_UNLINK]	= { METAD__COMMAND__OP_UNLINK, do_remove },
	[DATAFS_OP_RMDIR]	= { METAD__COMMAND__OP_RMDIR, do_remove },
	[DATAFS_OP_RENAME]	= { METAD__COMMAND__OP_RENAME, do_rename },
	[DATAFS_OP_SETATTR]	= { METAD__COMMAND__OP_SETATTR, do_setattr },
	[DATAFS_OP_SETXATTR]	= { METAD__COMMAND__OP_SETXATTR, do_setxattr },
	[DATAFS_OP_REMOVEXATTR]	= { METAD__COMMAND__OP_REMOVEXATTR, do_removexattr },
	[DATAFS_OP_RELEASE]	= { METAD__COMMAND__OP_RELEASE, do_release },
};

/* What was there before the change may be gone: that is for the change to say. */
static int hold(struct vfs_mount *mnt, uint64_t ino, uint64_t request, uint64_t lowest)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__Hold h = METAD__HOLD__INIT;
	Metad__Result *res;
	int ret;

	h.has_ino = true;
	h.ino = ino;
	c.op_case = METAD__COMMAND__OP_HOLD;
	c.hold = &h;
	ret = vfs_command(mnt, &c, request, lowest, &res);
	if (!ret)
		metad__result__free_unpacked(res, NULL);
	return ret == -ESTALE ? 0 : ret;
}

/* ---------------------------------------------- what other mounts know of it */

/* Room for all items of one change: two names, and four inodes. */
#define ITEM_MAX	(sizeof(struct datafs_invalid) + DATAFS_NAME_MAX + 1)

struct items {
	size_t len;
	char buf[6 * ITEM_MAX];
};

static void add_item(struct items *it, uint32_t mount, uint64_t ino, const uint8_t *name,
		     size_t len)
{
	struct datafs_invalid item = {
		.ino = ino, .mount_id = mount, .namelen = len,
		.what = name ? DATAFS_INVALID_NAME : DATAFS_INVALID_ATTR,
	};

	memcpy(it->buf + it->len, &item, sizeof(item));
	it->len += sizeof(item);
	if (!name)
		return;
	memset(it->buf + it->len, 0, datafs_round_up(len, 8));
	memcpy(it->buf + it->len, name, len);
	it->len += datafs_round_up(len, 8);
}

static void items_of(struct items *it, uint32_t mount, const struct command *c,
		     const struct datafs_call *call, const Metad__Result *res)
{
	it->len = 0;
	if (res->node)
		add_item(it, mount, res->node->ino, NULL, 0);
	if (res->parent)
		add_item(it, mount, res->parent->ino, NULL, 0);
	if (res->new_parent)
		add_item(it, mount, res->new_parent->ino, NULL, 0);
	if (res->other)
		add_item(it, mount, res->other->ino, NULL, 0);
	if (res->parent)
		add_item(it, mount, call->req->ino, (const uint8_t *)call->name,
			 call->req->namelen);
	if (c->c.op_case == METAD__COMMAND__OP_RENAME)
		add_item(it, mount, c->m.rename.new_parent, c->m.rename.new_name.data,
			 c->m.rename.new_name.len);
}

/* That of the next id that shows the namespace of @mnt, with a reference; or NULL. */
static struct vfs_mount *next_mount(const struct vfs_mount *mnt, uint32_t after)
{
	struct vfs_mount *other, *next = NULL;
	struct datafs_vfs *v = mnt->v;

	pthread_mutex_lock(&v->lock);
	for (other = v->mounts; other; other = other->next)
		if (other->quorum == mnt->quorum && other->id > after &&
		    (!next || other->id < next->id))
			next = other;
	if (next)
		next->refs++;
	pthread_mutex_unlock(&v->lock);
	return next;
}

/*
 * The other mounts of the namespace are told before the change is answered: what
 * they knew of it, for ever, is asked for anew from then on. It is done by now, so
 * that somebody cannot be told is no error of it.
 */
static void tell_others(struct vfs_mount *mnt, const struct command *c,
			const struct datafs_call *call, const Metad__Result *res)
{
	struct datafs_vfs *v = mnt->v;
	struct vfs_mount *other;
	struct items it;
	uint32_t id = 0;
	int ret;

	while ((other = next_mount(mnt, id))) {
		id = other->id;
		items_of(&it, id, c, call, res);
		ret = other == mnt ? 0 : v->invalidate(v->arg, it.buf, it.len);
		if (ret)
			datafs_log(LOG_ERR, "mount %u of %s: the kernel is not told what has changed: %s; it may show what was: datafs invalidate --all",
				   id, other->source, strerror(-ret));
		vfs_mount_put(other);
	}
}

static void fill_reply(const Metad__Result *res, struct datafs_call *call)
{
	struct datafs_change_rep *rep = call->out;

	memset(rep, 0, sizeof(*rep));
	if (res->node)
		vfs_quorum_attr(res->node, &rep->node.attr);
	rep->node.valid_ms = DATAFS_FOREVER;
	if (res->parent)
		vfs_quorum_attr(res->parent, &rep->parent);
	if (res->new_parent)
		vfs_quorum_attr(res->new_parent, &rep->new_parent);
	if (res->other)
		vfs_quorum_attr(res->other, &rep->other);
	call->out_len = sizeof(*rep);
}

int vfs_quorum_change(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_change_req *r = call->body;
	const struct datafs_req *req = call->req;
	struct command c = { .c = METAD__COMMAND__INIT };
	uint64_t lowest = 2 * DATAFS_MIN(r->lowest, req->id);
	Metad__Result *res;
	int ret;

	if (!mnt->quorum)
		return -ESTALE;
	c.c.op_case = commands[req->opcode].op;
	ret = commands[req->opcode].fill(call, &c);
	if (!ret && c.hold)
		ret = hold(mnt, c.hold, 2 * req->id, lowest);
	if (!ret)
		ret = vfs_command(mnt, &c.c, 2 * req->id + 1, lowest, &res);
	if (ret)
		return ret;
	tell_others(mnt, &c, call, res);
	if (call->out)
		fill_reply(res, call);
	metad__result__free_unpacked(res, NULL);
	return 0;
}
