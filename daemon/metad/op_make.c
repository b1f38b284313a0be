// SPDX-License-Identifier: Apache-2.0
/* New names: create, mkdir, mknod, symlink, link. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "op.h"

/* Can @name be made in @ino? */
static int free_name(struct op *o, uint64_t ino, struct txn_bytes name,
		     struct op_inode **dir)
{
	struct rec_dirent de;
	int err = op_get_dir(o, ino, dir);

	if (err)
		return err;
	err = op_lookup(o, *dir, name, &de);
	return err == -ENOENT ? 0 : err ? err : -EEXIST;
}

/* Its owners: a directory with set-group-ID gives its group, and itself to directories. */
static int new_in(struct op *o, struct op_inode *dir, uint32_t mode,
		  uint32_t uid, uint32_t gid, struct op_inode **res)
{
	struct datafs_metad_attr *a;
	int err;

	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return -EINVAL;
	err = op_new(o, mode & S_IFMT, res);
	if (err)
		return err;
	err = op_quota_new(o, dir, *res);
	if (err)
		return err;
	a = &(*res)->r.a;
	a->mode = mode;
	a->uid = uid;
	a->gid = gid;
	a->nlink = S_ISDIR(mode) ? 2 : 1;
	if (dir->r.a.mode & S_ISGID) {
		a->gid = dir->r.a.gid;
		if (S_ISDIR(mode))
			a->mode |= S_ISGID;
	}
	o->told[TOLD_NODE] = *res;
	o->told[TOLD_PARENT] = dir;
	return 0;
}

static int make(struct op *o, const Metad__Make *m, uint32_t type)
{
	struct txn_bytes name = op_bytes(m->name);
	uint32_t mode = (m->mode & ~(uint32_t)S_IFMT) | type;
	struct op_inode *dir, *in;
	int err;

	if (mode & ~(uint32_t)(S_IFMT | 07777) || m->umask & ~0777u)
		return -EINVAL;
	err = free_name(o, m->parent, name, &dir);
	if (!err)
		err = new_in(o, dir, mode, m->uid, m->gid, &in);
	if (err)
		return err;
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		in->r.a.rdev_major = m->rdev_major;
		in->r.a.rdev_minor = m->rdev_minor;
	}
	err = op_acl_inherit(o, dir, in, m->umask);
	return err ? err : op_add_name(o, dir, name, in);
}

int op_create(struct op *o, const Metad__Command *c)
{
	return c->create->mode & S_IFMT ? -EINVAL : make(o, c->create, S_IFREG);
}

int op_mkdir(struct op *o, const Metad__Command *c)
{
	return c->mkdir->mode & S_IFMT ? -EINVAL : make(o, c->mkdir, S_IFDIR);
}

int op_mknod(struct op *o, const Metad__Command *c)
{
	uint32_t type = c->mknod->mode & S_IFMT;

	switch (type) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return make(o, c->mknod, type);
	}
	return -EINVAL;
}

int op_symlink(struct op *o, const Metad__Command *c)
{
	struct txn_bytes name = op_bytes(c->symlink->name);
	struct txn_bytes target = op_bytes(c->symlink->target);
	struct op_inode *dir, *in;
	int err;

	if (!target.len)
		return -ENOENT;
	if (target.len > DATAFS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	if (memchr(target.p, '\0', target.len))
		return -EINVAL;
	err = free_name(o, c->symlink->parent, name, &dir);
	if (!err)
		err = new_in(o, dir, S_IFLNK | 0777, c->symlink->uid,
			     c->symlink->gid, &in);
	if (err)
		return err;
	in->r.a.size = target.len;
	in->r.target = target.p;
	return op_add_name(o, dir, name, in);
}

int op_link(struct op *o, const Metad__Command *c)
{
	struct txn_bytes name = op_bytes(c->link->name);
	struct op_inode *dir, *in;
	int err = op_get(o, c->link->ino, &in);

	if (err)
		return err;
	/* In the order of Linux: what is at the new name, then what the old one is. */
	err = free_name(o, c->link->parent, name, &dir);
	if (err)
		return err;
	if (S_ISDIR(in->r.a.mode))
		return -EPERM;
	if (!in->r.a.nlink)
		return -ENOENT;
	if (in->r.a.nlink >= DATAFS_METAD_LINK_MAX)
		return -EMLINK;
	err = op_quota_same(o, in, dir);
	if (err)
		return err;
	in->r.a.nlink++;
	op_changed(o, in);
	o->told[TOLD_NODE] = in;
	o->told[TOLD_PARENT] = dir;
	return op_add_name(o, dir, name, in);
}
