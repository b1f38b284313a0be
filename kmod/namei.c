// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: names that are made, moved and removed.
 *
 * The VFS has checked who may, by attributes that are known here, and holds the
 * directories' i_rwsem. The daemon decides whether it can be: what is known here of
 * a name may be out of date, and then it answers with an error, and the name is
 * asked for anew.
 *
 * A file that loses its last name while it is open must live on: the daemon is
 * told to hold it, and told when the inode goes. So that nobody opens one of
 * which it was not told, its dentry is unhashed before: who looks for the name
 * then waits for the directory.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include "change.h"

/*
 * @dentry, which was not there, leads to @inode. If that is a directory that
 * has a dentry without a name, by a handle, that one is given the name, and
 * @dentry stays as it was, unhashed. Takes over the inode's reference.
 */
static int datafs_name_made(struct dentry *dentry, struct inode *inode,
			    struct inode *dir, u64 names, u64 seq, u64 until)
{
	struct dentry *alias;

	d_drop(dentry);
	datafs_entry_confirm(dentry, dir, names, seq, until);
	alias = datafs_splice(inode, dentry);
	if (IS_ERR(alias))
		return PTR_ERR(alias);
	if (alias)
		datafs_entry_confirm(alias, dir, names, seq, until);
	datafs_entry_hashed(alias ?: dentry, dir, seq);
	dput(alias);
	return 0;
}

/* ----------------------------------------------------------------- making */

static int datafs_make(struct inode *dir, struct dentry *dentry,
		       enum datafs_opcode op, umode_t mode, dev_t rdev,
		       const char *target)
{
	struct datafs_change_want want = {
		.type = mode & S_IFMT,
		.rdev_major = MAJOR(rdev),
		.rdev_minor = MINOR(rdev),
	};
	struct datafs_about about = { .dir = dir };
	u64 now, names = datafs_dir_names(dir);
	struct datafs_change_rep rep;
	struct datafs_make_req *body;
	struct datafs_request *req;
	struct inode *inode;
	int ret;

	if (!datafs_may_change(dir))
		return -EROFS;
	req = datafs_change_alloc(op, dir, sizeof(*body), &dentry->d_name,
				  target, target ? strlen(target) : 0);
	if (!req)
		return -ENOMEM;
	body = (struct datafs_make_req *)req->body;
	body->mode = op == DATAFS_OP_MKNOD ? mode : mode & 07777;
	/* A link's permissions are nobody's affair. */
	body->umask = op == DATAFS_OP_SYMLINK ? 0 : current_umask();
	body->uid = from_kuid(&init_user_ns, current_fsuid());
	body->gid = from_kgid(&init_user_ns, current_fsgid());
	body->rdev_major = want.rdev_major;
	body->rdev_minor = want.rdev_minor;
	body->target_len = target ? strlen(target) : 0;

	ret = datafs_change_call(req, &about, &want, &rep);
	if (!ret) {
		now = get_jiffies_64();
		datafs_change_publish(req, &about, &rep, now);
		inode = datafs_change_made(req, &about, &rep, now);
		ret = IS_ERR(inode) ? PTR_ERR(inode) :
		      datafs_name_made(dentry, inode, dir, names, req->head.seq,
				       datafs_change_until(req, &rep, now));
	}
	if (ret)
		datafs_entry_doubt(dentry);
	datafs_change_end(req, &about);
	return ret;
}

static int datafs_create_core(struct inode *dir, struct dentry *dentry,
			      umode_t mode)
{
	return datafs_make(dir, dentry, DATAFS_OP_CREATE,
			   (mode & 07777) | S_IFREG, 0, NULL);
}

static int datafs_mkdir_core(struct inode *dir, struct dentry *dentry,
			     umode_t mode)
{
	return datafs_make(dir, dentry, DATAFS_OP_MKDIR,
			   (mode & 07777) | S_IFDIR, 0, NULL);
}

static int datafs_mknod(datafs_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode, dev_t rdev)
{
	if (!S_ISCHR(mode) && !S_ISBLK(mode))
		rdev = 0;
	return datafs_make(dir, dentry, DATAFS_OP_MKNOD, mode, rdev, NULL);
}

static int datafs_symlink(datafs_idmap *idmap, struct inode *dir,
			  struct dentry *dentry, const char *target)
{
	if (strlen(target) > DATAFS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	return datafs_make(dir, dentry, DATAFS_OP_SYMLINK, S_IFLNK | 0777, 0,
			   target);
}

DATAFS_CREATE(datafs_create, datafs_create_core)
DATAFS_MKDIR(datafs_mkdir, datafs_mkdir_core)

static int datafs_link(struct dentry *old, struct inode *dir,
		       struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	struct datafs_about about = { .dir = dir, .node = inode };
	u64 now, names = datafs_dir_names(dir);
	struct datafs_change_want want = {};
	struct datafs_change_rep rep;
	struct datafs_request *req;
	int ret;

	if (!datafs_may_change(dir) || !datafs_may_change(inode))
		return -EROFS;
	req = datafs_change_alloc(DATAFS_OP_LINK, dir,
				  sizeof(struct datafs_link_req),
				  &dentry->d_name, NULL, 0);
	if (!req)
		return -ENOMEM;
	((struct datafs_link_req *)req->body)->ino = inode->i_ino;

	ret = datafs_change_call(req, &about, &want, &rep);
	if (!ret) {
		now = get_jiffies_64();
		datafs_change_publish(req, &about, &rep, now);
		ihold(inode);
		ret = datafs_name_made(dentry, inode, dir, names, req->head.seq,
				       datafs_change_until(req, &rep, now));
	}
	if (ret)
		datafs_entry_doubt(dentry);
	datafs_change_end(req, &about);
	return ret;
}

/* --------------------------------------------------------------- removing */

/**
 * enum datafs_victim - what loses a name
 * @DATAFS_VICTIM_LIVES:	it has others
 * @DATAFS_VICTIM_HELD:	it is used here: its RELEASE is made
 * @DATAFS_VICTIM_HIDDEN:	it is not, and cannot be: its dentry is unhashed
 */
enum datafs_victim {
	DATAFS_VICTIM_LIVES,
	DATAFS_VICTIM_HELD,
	DATAFS_VICTIM_HIDDEN,
};

static int datafs_victim_hold(struct inode *inode)
{
	struct datafs_inode *di = datafs_i(inode);

	if (!di->release)
		di->release = datafs_request_alloc(datafs_mnt(inode->i_sb),
						   DATAFS_OP_RELEASE, inode->i_ino,
						   sizeof(struct datafs_change_req),
						   GFP_KERNEL);
	return di->release ? 0 : -ENOMEM;
}

/*
 * Does anybody else use what @dentry leads to? Its open files have references of
 * this dentry, beside those @refs of the VFS, or of another one. If not, it is
 * unhashed, in the same moment.
 */
static bool datafs_victim_hide(struct dentry *dentry, unsigned int refs)
{
	struct inode *inode = d_inode(dentry);
	bool hidden;

	spin_lock(&inode->i_lock);
	spin_lock(&dentry->d_lock);
	hidden = dentry->d_lockref.count <= refs &&
		 datafs_only_alias(dentry);
	if (hidden)
		__d_drop(dentry);
	spin_unlock(&dentry->d_lock);
	spin_unlock(&inode->i_lock);
	return hidden;
}

/* An enum datafs_victim, or -ENOMEM. */
static int datafs_victim_begin(struct dentry *dentry, unsigned int refs)
{
	struct inode *inode = d_inode(dentry);

	/* Under a lease others may take its other names before this one goes. */
	if (!S_ISDIR(inode->i_mode) && inode->i_nlink > 1 &&
	    !datafs_has_lease(datafs_mnt(inode->i_sb)) &&
	    datafs_inode_attr_valid(inode))
		return DATAFS_VICTIM_LIVES;
	/* What is known of names in it is no use of it. */
	if (S_ISDIR(inode->i_mode))
		shrink_dcache_parent(dentry);
	if (datafs_victim_hide(dentry, refs))
		return DATAFS_VICTIM_HIDDEN;
	return datafs_victim_hold(inode) ?: DATAFS_VICTIM_HELD;
}

static void datafs_victim_spared(struct dentry *dentry, int victim)
{
	datafs_entry_doubt(dentry);
	if (victim == DATAFS_VICTIM_HIDDEN)
		d_rehash(dentry);
}

/*
 * The name is known to be gone, also when the VFS has done away with @dentry, of
 * which it makes no negative one if it is open.
 */
static void datafs_name_gone(struct dentry *dentry, struct inode *dir, u64 names,
			     u64 seq, u64 until)
{
	struct dentry *gone;

	d_drop(dentry);
	if (!until)
		return;
	gone = d_alloc(dentry->d_parent, &dentry->d_name);
	if (!gone)
		return;
	datafs_entry_confirm(gone, dir, names, seq, until);
	d_add(gone, NULL);
	dput(gone);
}

static int datafs_remove(struct inode *dir, struct dentry *dentry,
			 enum datafs_opcode op, unsigned int refs)
{
	struct datafs_about about = { .dir = dir, .node = d_inode(dentry) };
	u64 now, names = datafs_dir_names(dir);
	struct datafs_change_want want = {};
	struct datafs_remove_req *body;
	struct datafs_change_rep rep;
	struct datafs_request *req;
	int ret, victim;

	if (!datafs_may_change(dir))
		return -EROFS;
	req = datafs_change_alloc(op, dir, sizeof(*body), &dentry->d_name, NULL, 0);
	if (!req)
		return -ENOMEM;
	victim = datafs_victim_begin(dentry, refs);
	if (victim < 0) {
		datafs_request_put(req);
		return victim;
	}
	body = (struct datafs_remove_req *)req->body;
	body->ino = about.node->i_ino;
	if (victim == DATAFS_VICTIM_HELD)
		body->flags |= DATAFS_REMOVE_HOLD;

	ret = datafs_change_call(req, &about, &want, &rep);
	if (!ret) {
		now = get_jiffies_64();
		datafs_change_publish(req, &about, &rep, now);
		datafs_name_gone(dentry, dir, names, req->head.seq,
				 datafs_change_until(req, &rep, now));
	} else {
		datafs_victim_spared(dentry, victim);
	}
	datafs_change_end(req, &about);
	return ret;
}

/* The caller's reference of the dentry, and one of vfs_rmdir() and vfs_rename(). */
#define DATAFS_REFS_UNLINK	1
#define DATAFS_REFS_RMDIR	2
#define DATAFS_REFS_RENAME	2

static int datafs_unlink(struct inode *dir, struct dentry *dentry)
{
	return datafs_remove(dir, dentry, DATAFS_OP_UNLINK, DATAFS_REFS_UNLINK);
}

static int datafs_rmdir(struct inode *dir, struct dentry *dentry)
{
	return datafs_remove(dir, dentry, DATAFS_OP_RMDIR, DATAFS_REFS_RMDIR);
}

/* ----------------------------------------------------------------- moving */

static struct datafs_request *
datafs_rename_request(struct inode *old_dir, struct dentry *old,
		      struct inode *new_dir, struct dentry *new,
		      unsigned int flags, int victim)
{
	struct inode *target = d_inode(new);
	struct datafs_rename_req *body;
	struct datafs_request *req;

	req = datafs_change_alloc(DATAFS_OP_RENAME, old_dir, sizeof(*body),
				  &old->d_name, new->d_name.name,
				  new->d_name.len);
	if (!req)
		return NULL;
	body = (struct datafs_rename_req *)req->body;
	body->new_parent = new_dir->i_ino;
	body->ino = target ? target->i_ino : 0;
	body->new_namelen = new->d_name.len;
	if (flags & RENAME_NOREPLACE)
		body->flags |= DATAFS_RENAME_NOREPLACE;
	if (flags & RENAME_EXCHANGE)
		body->flags |= DATAFS_RENAME_EXCHANGE;
	if (victim == DATAFS_VICTIM_HELD)
		body->flags |= DATAFS_RENAME_HOLD;
	return req;
}

/* The VFS moves the dentries afterwards, with what is said of them here. */
static int datafs_rename(datafs_idmap *idmap, struct inode *old_dir,
			 struct dentry *old, struct inode *new_dir,
			 struct dentry *new, unsigned int flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	struct datafs_about about = {
		.dir = old_dir,
		.new_dir = new_dir != old_dir ? new_dir : NULL,
		.node = d_inode(old),
		.other = d_inode(new),
	};
	struct datafs_change_want want = { .exchange = exchange };
	int ret, victim = DATAFS_VICTIM_LIVES;
	struct datafs_change_rep rep;
	struct datafs_request *req;
	u64 names = datafs_dir_names(old_dir);
	u64 new_names = datafs_dir_names(new_dir);
	u64 now, seq, until;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (!datafs_may_change(old_dir) || !datafs_may_change(new_dir))
		return -EROFS;
	if (about.other && !exchange)
		victim = datafs_victim_begin(new, DATAFS_REFS_RENAME);
	if (victim < 0)
		return victim;
	req = datafs_rename_request(old_dir, old, new_dir, new, flags, victim);
	if (!req) {
		datafs_victim_spared(new, victim);
		return -ENOMEM;
	}

	ret = datafs_change_call(req, &about, &want, &rep);
	if (!ret) {
		now = get_jiffies_64();
		datafs_change_publish(req, &about, &rep, now);
		seq = req->head.seq;
		until = datafs_change_until(req, &rep, now);
		datafs_entry_confirm(old, new_dir, new_names, seq, until);
		if (exchange)
			datafs_entry_confirm(new, old_dir, names, seq, until);
	} else {
		datafs_entry_doubt(old);
		datafs_victim_spared(new, victim);
	}
	datafs_change_end(req, &about);
	return ret;
}

const struct inode_operations datafs_dir_iops = {
	.lookup			= datafs_lookup,
	.create			= datafs_create,
	.mkdir			= datafs_mkdir,
	.mknod			= datafs_mknod,
	.symlink		= datafs_symlink,
	.link			= datafs_link,
	.unlink			= datafs_unlink,
	.rmdir			= datafs_rmdir,
	.rename			= datafs_rename,
	.setattr		= datafs_setattr,
	.getattr		= datafs_getattr,
	.permission		= datafs_permission,
	.listxattr		= datafs_listxattr,
	.DATAFS_IOP_GET_ACL	= datafs_get_acl,
	.set_acl		= datafs_set_acl,
};
