// SPDX-License-Identifier: Apache-2.0
/*
 * Quotas. An inode has the id of the quota of the directory in which it was made. The id is
 * a number that no inode has, so it never comes again, and inodes that still have the
 * id of a quota which was removed belong to none. Names do not cross the boundary
 * of a quota, but that of the directory which has it.
 */
#include <errno.h>
#include <sys/stat.h>

#include "op.h"

/* 1: that of @id. 0: there is none, or not any more. */
static int get(struct op *o, uint64_t id, struct datafs_metad_quota *q)
{
	return id ? rec_quota_get(o->t, id, q) : 0;
}

int op_quota_new(struct op *o, const struct op_inode *dir, struct op_inode *in)
{
	struct datafs_metad_quota q;
	int ret = get(o, dir->r.quota, &q);

	if (ret <= 0)
		return ret;
	if (q.inodes_max && q.inodes >= q.inodes_max)
		return -EDQUOT;
	q.inodes++;
	in->r.quota = q.id;
	rec_quota_put(o->t, &q);
	return 0;
}

void op_quota_gone(struct op *o, const struct op_inode *in)
{
	struct datafs_metad_quota q;
	struct key k = key_make('Q', in->r.quota);

	if (get(o, in->r.quota, &q) != 1)
		return;
	if (S_ISREG(in->r.a.mode))
		q.bytes -= in->r.a.size;
	/* the directory that has it is gone, too */
	if (!--q.inodes)
		rec_del(o->t, &k);
	else
		rec_quota_put(o->t, &q);
}

int op_quota_resize(struct op *o, const struct op_inode *in, uint64_t size)
{
	struct datafs_metad_quota q;
	uint64_t was = in->r.a.size;
	int ret = get(o, in->r.quota, &q);

	if (ret <= 0)
		return ret;
	if (q.bytes_max && size > was &&
	    (q.bytes > q.bytes_max || size - was > q.bytes_max - q.bytes))
		return -EDQUOT;
	q.bytes += size - was;
	rec_quota_put(o->t, &q);
	return 0;
}

int op_quota_same(struct op *o, const struct op_inode *a, const struct op_inode *b)
{
	struct datafs_metad_quota q;
	int in_a, in_b;

	if (a->r.quota == b->r.quota)
		return 0;
	in_a = get(o, a->r.quota, &q);
	in_b = get(o, b->r.quota, &q);
	if (in_a < 0 || in_b < 0)
		return txn_error(o->t);
	return in_a || in_b ? -EXDEV : 0;
}

/* The directory, and its quota if it has one (1). Or the error. */
static int find(struct op *o, uint64_t ino, struct op_inode **dir, struct datafs_metad_quota *q)
{
	int ret;

	if (o->session)
		return -EPERM;
	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_QUOTA)
		return -EOPNOTSUPP;
	ret = op_get_dir(o, ino, dir);
	if (ret)
		return ret;
	ret = get(o, (*dir)->r.quota, q);
	return ret == 1 ? q->root == ino : ret;
}

int op_set_quota(struct op *o, const Metad__Command *c)
{
	const Metad__SetQuota *s = c->set_quota;
	struct datafs_metad_quota q;
	struct op_inode *dir;
	int ret = find(o, s->ino, &dir, &q);

	if (ret < 0)
		return ret;
	if (!ret) {
		if (dir->r.children)
			return -ENOTEMPTY;
		if (o->n->next_ino > DATAFS_METAD_INO_MAX)
			return -ENOSPC;
		op_quota_gone(o, dir);
		q = (struct datafs_metad_quota){
			.id = o->n->next_ino++, .root = s->ino, .inodes = 1,
		};
		dir->r.quota = q.id;
		dir->dirty = true;
	}
	q.inodes_max = s->inodes;
	q.bytes_max = s->bytes;
	rec_quota_put(o->t, &q);
	return 0;
}

int op_remove_quota(struct op *o, const Metad__Command *c)
{
	struct datafs_metad_quota q;
	struct op_inode *dir;
	struct key k;
	int ret = find(o, c->remove_quota->ino, &dir, &q);

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	k = key_make('Q', q.id);
	rec_del(o->t, &k);
	dir->r.quota = 0;
	dir->dirty = true;
	return 0;
}
