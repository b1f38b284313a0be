// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sys/stat.h>

#include "base/util.h"
#include "op.h"

static int check(const struct op_inode *in, const Metad__Setattr *s)
{
	const struct datafs_metad_attr *a = &in->r.a;

	if (s->has_guard && (s->guard != a->ctime.tv_sec ||
			     s->guard_ns != (uint64_t)a->ctime.tv_nsec))
		return -EAGAIN;
	if ((s->has_mode && s->mode & ~07777u) ||
	    (s->has_uid && s->uid == UINT32_MAX) ||
	    (s->has_gid && s->gid == UINT32_MAX) ||
	    s->atime_ns >= DATAFS_SEC || s->mtime_ns >= DATAFS_SEC)
		return -EINVAL;
	if (s->has_mode && S_ISLNK(a->mode))
		return -EOPNOTSUPP;
	if (!s->has_size)
		return 0;
	if (S_ISDIR(a->mode))
		return -EISDIR;
	if (!S_ISREG(a->mode))
		return -EINVAL;
	return s->size > INT64_MAX ? -EFBIG : 0;
}

int op_setattr(struct op *o, const Metad__Command *c)
{
	const Metad__Setattr *s = c->setattr;
	struct op_inode *in;
	struct datafs_metad_attr *a;
	int err = op_get(o, s->ino, &in);

	if (!err)
		err = check(in, s);
	if (!err && s->has_size)
		err = op_quota_resize(o, in, s->size);
	if (err)
		return err;
	a = &in->r.a;
	o->told[TOLD_NODE] = in;
	if (!s->has_mode && !s->has_uid && !s->has_gid && !s->has_size &&
	    !s->has_atime && !s->has_mtime)
		return 0;
	op_changed(o, in);
	if (s->has_mode) {
		a->mode = (a->mode & S_IFMT) | s->mode;
		op_acl_chmod(o, in);
	}
	if (s->has_uid)
		a->uid = s->uid;
	if (s->has_gid)
		a->gid = s->gid;
	if (s->has_size) {
		o->n->c.bytes += s->size - a->size;
		a->size = s->size;
		op_modified(o, in);
	}
	if (s->has_atime)
		a->atime = (struct timespec){ s->atime, s->atime_ns };
	if (s->has_mtime)
		a->mtime = (struct timespec){ s->mtime, s->mtime_ns };
	return 0;
}
