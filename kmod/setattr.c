// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: attributes that are set. Who may, and which set-id bits go, the VFS and
 * setattr_prepare() have decided: the daemon is told the mode. It changes an ACL
 * with it.
 */
#include "change.h"

static void datafs_setattr_fill(struct datafs_setattr_req *body,
				const struct iattr *attr)
{
	if (attr->ia_valid & ATTR_MODE) {
		body->valid |= DATAFS_SET_MODE;
		body->mode = attr->ia_mode & 07777;
	}
	if (attr->ia_valid & ATTR_UID) {
		body->valid |= DATAFS_SET_UID;
		body->uid = from_kuid(&init_user_ns, attr->ia_uid);
	}
	if (attr->ia_valid & ATTR_GID) {
		body->valid |= DATAFS_SET_GID;
		body->gid = from_kgid(&init_user_ns, attr->ia_gid);
	}
	if (attr->ia_valid & ATTR_ATIME) {
		body->valid |= DATAFS_SET_ATIME;
		body->atime = attr->ia_atime.tv_sec;
		body->atime_ns = attr->ia_atime.tv_nsec;
	}
	if (attr->ia_valid & ATTR_MTIME) {
		body->valid |= DATAFS_SET_MTIME;
		body->mtime = attr->ia_mtime.tv_sec;
		body->mtime_ns = attr->ia_mtime.tv_nsec;
	}
}

int datafs_setattr_ask(struct inode *inode, const struct iattr *attr)
{
	struct datafs_about about = { .node = inode };
	struct datafs_change_want want = {};
	struct datafs_change_rep rep;
	struct datafs_request *req;
	int ret;

	req = datafs_change_alloc(DATAFS_OP_SETATTR, inode,
				  sizeof(struct datafs_setattr_req), NULL, NULL, 0);
	if (!req)
		return -ENOMEM;
	datafs_setattr_fill((struct datafs_setattr_req *)req->body, attr);
	ret = datafs_change_call(req, &about, &want, &rep);
	if (!ret)
		datafs_change_publish(req, &about, &rep, get_jiffies_64());
	datafs_change_end(req, &about);
	return ret;
}

/* The VFS has taken bits off a mode that may have been old. */
static void datafs_setattr_kill(const struct inode *inode, struct iattr *attr)
{
	umode_t mode = inode->i_mode;

	if (!(attr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID)))
		return;
	if (attr->ia_valid & ATTR_KILL_SUID)
		mode &= ~S_ISUID;
	if (attr->ia_valid & ATTR_KILL_SGID)
		mode &= ~S_ISGID;
	attr->ia_valid &= ~ATTR_MODE;
	if (mode == inode->i_mode)
		return;
	attr->ia_valid |= ATTR_MODE;
	attr->ia_mode = mode;
}

int datafs_setattr(datafs_idmap *idmap, struct dentry *dentry,
		   struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int ret;

	ret = datafs_inode_revalidate(inode, false);
	if (ret)
		return ret;
	/* Nor are a file's bytes changed, as yet. */
	if (!datafs_may_change(inode) || (attr->ia_valid & ATTR_SIZE))
		return -EROFS;
	/* It has decided by what was known before. */
	datafs_setattr_kill(inode, attr);
	ret = may_setattr(idmap, inode, attr->ia_valid);
	if (!ret)
		ret = setattr_prepare(idmap, dentry, attr);
	return ret ?: datafs_setattr_ask(inode, attr);
}
