// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: extended attributes and POSIX ACLs. An inode that has none says so in
 * its attributes and makes no upcall. Who may set one of which class, the VFS has
 * checked.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/slab.h>
#include <linux/xattr.h>
#include "change.h"

/* 1 if @inode has @flag, 0 if not, or an error. */
static int datafs_xattr_flag(struct inode *inode, u32 flag)
{
	int ret = datafs_inode_revalidate(inode, false);

	return ret ?: !!(READ_ONCE(datafs_i(inode)->attr_flags) & flag);
}

/* GETXATTR; the answered request, for the caller to put, or ERR_PTR. */
static struct datafs_request *datafs_xattr_upcall(struct inode *inode,
						  const char *name)
{
	struct datafs_request *req;
	int ret;

	req = datafs_request_alloc_name(datafs_mnt(inode->i_sb),
					DATAFS_OP_GETXATTR, inode->i_ino,
					name, strlen(name));
	if (!req)
		return ERR_PTR(-ENOMEM);
	ret = datafs_request_call(req);
	if (!ret && req->reply_len > DATAFS_XATTR_MAX)
		ret = datafs_request_bad(req, "value");
	if (ret) {
		datafs_request_put(req);
		return ERR_PTR(ret);
	}
	return req;
}

/* As getxattr(2) answers: the length alone if @size is 0. */
static int datafs_xattr_copy(void *to, size_t size, const void *from, u32 len)
{
	if (size) {
		if (len > size)
			return -ERANGE;
		memcpy(to, from, len);
	}
	return len;
}

static int datafs_xattr_get(const struct xattr_handler *handler,
			    struct dentry *dentry, struct inode *inode,
			    const char *name, void *buffer, size_t size)
{
	struct datafs_request *req;
	int ret;

	ret = datafs_xattr_flag(inode, DATAFS_ATTR_XATTR);
	if (ret <= 0)
		return ret ?: -ENODATA;
	req = datafs_xattr_upcall(inode, xattr_full_name(handler, name));
	if (IS_ERR(req))
		return PTR_ERR(req);
	ret = datafs_xattr_copy(buffer, size, req->reply, req->reply_len);
	datafs_request_put(req);
	return ret;
}

/* SETXATTR, or without a @value REMOVEXATTR. */
static int datafs_xattr_change(struct inode *inode, const char *name,
			       const void *value, size_t len, int flags)
{
	struct qstr qname = QSTR_INIT(name, strlen(name));
	struct datafs_about about = { .node = inode };
	struct datafs_change_want want = {};
	struct datafs_setxattr_req *body;
	struct datafs_change_rep rep;
	struct datafs_request *req;
	int ret;

	ret = datafs_inode_revalidate(inode, false);
	if (ret)
		return ret;
	if (!datafs_may_change(inode))
		return -EROFS;
	if (len > DATAFS_XATTR_MAX)
		return -E2BIG;
	if (value)
		req = datafs_change_alloc(DATAFS_OP_SETXATTR, inode,
					  sizeof(*body), &qname, value, len);
	else
		req = datafs_change_alloc(DATAFS_OP_REMOVEXATTR, inode,
					  sizeof(struct datafs_change_req),
					  &qname, NULL, 0);
	if (!req)
		return -ENOMEM;
	if (value) {
		body = (struct datafs_setxattr_req *)req->body;
		body->value_len = len;
		if (flags & XATTR_CREATE)
			body->flags |= DATAFS_XATTR_CREATE;
		if (flags & XATTR_REPLACE)
			body->flags |= DATAFS_XATTR_REPLACE;
	}
	ret = datafs_change_call(req, &about, &want, &rep);
	if (!ret)
		datafs_change_publish(req, &about, &rep, get_jiffies_64());
	datafs_change_end(req, &about);
	return ret;
}

static int datafs_xattr_set(const struct xattr_handler *handler,
			    datafs_idmap *idmap, struct dentry *dentry,
			    struct inode *inode, const char *name,
			    const void *value, size_t size, int flags)
{
	return datafs_xattr_change(inode, xattr_full_name(handler, name), value,
				   size, flags);
}

static const struct xattr_handler datafs_xattr_user = {
	.prefix	= XATTR_USER_PREFIX,
	.get	= datafs_xattr_get,
	.set	= datafs_xattr_set,
};

static const struct xattr_handler datafs_xattr_trusted = {
	.prefix	= XATTR_TRUSTED_PREFIX,
	.get	= datafs_xattr_get,
	.set	= datafs_xattr_set,
};

static const struct xattr_handler datafs_xattr_security = {
	.prefix	= XATTR_SECURITY_PREFIX,
	.get	= datafs_xattr_get,
	.set	= datafs_xattr_set,
};

const struct xattr_handler * const datafs_xattr_handlers[] = {
	&datafs_xattr_user,
	&datafs_xattr_trusted,
	&datafs_xattr_security,
	DATAFS_ACL_HANDLERS
	NULL
};

/* ---------------------------------------------------------------- listing */

static bool datafs_xattr_listed(const char *name)
{
	static const char * const prefixes[] = {
		XATTR_USER_PREFIX,
		XATTR_SECURITY_PREFIX,
		XATTR_NAME_POSIX_ACL_ACCESS,
		XATTR_NAME_POSIX_ACL_DEFAULT,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strstarts(name, prefixes[i]))
			return true;
	return strstarts(name, XATTR_TRUSTED_PREFIX) && capable(CAP_SYS_ADMIN);
}

/* Names each with its NUL, and of a length that getxattr(2) takes. */
static bool datafs_xattr_names_ok(const char *names, u32 len)
{
	size_t n;

	if (len > DATAFS_XATTR_MAX || (len && names[len - 1]))
		return false;
	for (; len; names += n + 1, len -= n + 1) {
		n = strlen(names);
		if (!n || n > XATTR_NAME_MAX)
			return false;
	}
	return true;
}

ssize_t datafs_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct datafs_request *req;
	const char *name, *end;
	ssize_t ret, n = 0;

	ret = datafs_xattr_flag(inode, DATAFS_ATTR_XATTR);
	if (ret <= 0)
		return ret;
	req = datafs_request_alloc(datafs_mnt(inode->i_sb), DATAFS_OP_LISTXATTR,
				   inode->i_ino, 0, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	ret = datafs_request_call(req);
	if (ret)
		goto out;
	if (!datafs_xattr_names_ok(req->reply, req->reply_len)) {
		ret = datafs_request_bad(req, "list of attributes");
		goto out;
	}
	name = req->reply;
	for (end = name + req->reply_len; name < end; name += strlen(name) + 1) {
		size_t len = strlen(name) + 1;

		if (!datafs_xattr_listed(name))
			continue;
		if (size) {
			if (n + len > size) {
				ret = -ERANGE;
				goto out;
			}
			memcpy(list + n, name, len);
		}
		n += len;
	}
	ret = n;
out:
	datafs_request_put(req);
	return ret;
}

/* ------------------------------------------------------------------- ACLs */

static const char *datafs_acl_name(int type)
{
	return type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS :
					 XATTR_NAME_POSIX_ACL_DEFAULT;
}

/* The VFS caches the result; datafs_inode_update() has it forgotten. */
struct posix_acl *datafs_get_acl(struct inode *inode, int type, bool rcu)
{
	struct datafs_request *req;
	struct posix_acl *acl;
	int ret;

	if (rcu)
		return ERR_PTR(-ECHILD);
	if (type == ACL_TYPE_DEFAULT && !S_ISDIR(inode->i_mode))
		return NULL;
	ret = datafs_xattr_flag(inode, DATAFS_ATTR_ACL);
	if (ret <= 0)
		return ERR_PTR(ret);
	req = datafs_xattr_upcall(inode, datafs_acl_name(type));
	if (IS_ERR(req))
		return PTR_ERR(req) == -ENODATA ? NULL : ERR_CAST(req);
	acl = posix_acl_from_xattr(&init_user_ns, req->reply, req->reply_len);
	if (!IS_ERR_OR_NULL(acl) && posix_acl_valid(&init_user_ns, acl)) {
		posix_acl_release(acl);
		acl = ERR_PTR(-EINVAL);
	}
	if (IS_ERR(acl) && PTR_ERR(acl) != -ENOMEM)
		acl = ERR_PTR(datafs_request_bad(req, "ACL"));
	datafs_request_put(req);
	return acl;
}

static int datafs_acl_change(struct inode *inode, int type,
			     const struct posix_acl *acl)
{
	void *value = NULL;
	size_t len = 0;
	int ret;

	if (acl) {
		value = datafs_acl_to_xattr(acl, &len);
		if (IS_ERR(value))
			return PTR_ERR(value);
	}
	ret = datafs_xattr_change(inode, datafs_acl_name(type), value, len, 0);
	/* It had none: that is what was asked for. */
	if (ret == -ENODATA && !acl)
		ret = 0;
	kfree(value);
	return ret;
}

/*
 * The daemon sets the mode that an ACL stands for, and keeps none that says no more
 * than a mode does. But whether the set-group-id bit must go with it depends on who
 * sets it: then that goes first, for it is the safe half of the two.
 */
int datafs_set_acl(datafs_idmap *idmap, datafs_acl_of *of,
		   struct posix_acl *acl, int type)
{
	struct inode *inode = datafs_acl_inode(of);
	struct iattr attr = { .ia_valid = ATTR_MODE };
	struct posix_acl *rest = acl;
	umode_t mode;
	int ret;

	ret = datafs_inode_revalidate(inode, false);
	if (ret)
		return ret;
	if (!datafs_may_change(inode))
		return -EROFS;
	/* The VFS has asked this of what was known before. */
	if (!inode_owner_or_capable(idmap, inode))
		return -EPERM;
	if (type == ACL_TYPE_ACCESS && acl) {
		ret = posix_acl_update_mode(idmap, inode, &mode, &rest);
		if (ret)
			return ret;
		if ((inode->i_mode ^ mode) & S_ISGID) {
			attr.ia_mode = inode->i_mode & ~S_ISGID;
			ret = datafs_setattr_ask(inode, &attr);
			if (ret)
				return ret;
		}
	}
	return datafs_acl_change(inode, type, acl);
}
