// SPDX-License-Identifier: Apache-2.0
/*
 * rename. A name that is replaced or exchanged keeps its cookie: a listing that is
 * under way shows it once.
 */
#include <errno.h>
#include <sys/stat.h>

#include "op.h"

struct move {
	struct op_inode *from, *to;	/* directories, perhaps the same */
	struct txn_bytes name, new_name;
	struct rec_dirent de, new_de;
	struct op_inode *in;		/* what is moved */
	struct op_inode *there;		/* at the new name, or NULL */
};

static int find(struct op *o, const Metad__Rename *r, struct move *m)
{
	int err = op_get_dir(o, r->parent, &m->from);

	m->name = op_bytes(r->name);
	m->new_name = op_bytes(r->new_name);
	if (!err)
		err = op_get_dir(o, r->new_parent, &m->to);
	if (!err)
		err = op_lookup(o, m->from, m->name, &m->de);
	if (!err)
		err = op_get_named(o, m->from, &m->de, &m->in);
	if (err)
		return err;
	err = op_lookup(o, m->to, m->new_name, &m->new_de);
	if (err == -ENOENT)
		return 0;
	return err ? err : op_get_named(o, m->to, &m->new_de, &m->there);
}

/* A directory must not come below itself. */
static int check_below(struct op *o, const struct op_inode *moved,
		       const struct op_inode *from, const struct op_inode *to)
{
	int ret;

	if (from == to || !S_ISDIR(moved->r.a.mode))
		return 0;
	ret = op_is_above(o, moved->r.a.ino, to->r.a.ino);
	return ret < 0 ? ret : ret ? -EINVAL : 0;
}

/* In the order of Linux: what is above the old name is not empty, before all else. */
static int check_replaced(struct op *o, const struct move *m)
{
	bool dir = S_ISDIR(m->in->r.a.mode);
	int err;

	if (!dir && m->there->r.children) {
		err = check_below(o, m->there, m->to, m->from);
		if (err)
			return err == -EINVAL ? -ENOTEMPTY : err;
	}
	if (dir && !S_ISDIR(m->there->r.a.mode))
		return -ENOTDIR;
	if (!dir && S_ISDIR(m->there->r.a.mode))
		return -EISDIR;
	return m->there->r.children ? -ENOTEMPTY : 0;
}

/* @in is now what the name @de of @dir means, instead of @was. */
static void point(struct op *o, struct op_inode *dir, struct txn_bytes name,
		  const struct rec_dirent *de, const struct op_inode *was,
		  struct op_inode *in)
{
	struct rec_dirent now = { in->r.a.ino, de->cookie };

	dir->r.a.nlink += S_ISDIR(in->r.a.mode);
	dir->r.a.nlink -= S_ISDIR(was->r.a.mode);
	if (S_ISDIR(in->r.a.mode))
		in->r.parent = dir->r.a.ino;
	op_modified(o, dir);
	op_changed(o, in);
	rec_dirent_put(o->t, dir->r.a.ino, name, &now);
}

static bool no_room(const struct op_inode *dir, const struct op_inode *was,
		    const struct op_inode *in)
{
	return S_ISDIR(in->r.a.mode) && !S_ISDIR(was->r.a.mode) &&
	       dir->r.a.nlink >= DATAFS_METAD_LINK_MAX;
}

static int exchange(struct op *o, struct move *m)
{
	int err;

	if (!m->there)
		return -ENOENT;
	if (m->there == m->in)
		return 0;
	err = op_quota_same(o, m->from, m->to);
	if (!err)
		err = check_below(o, m->in, m->from, m->to);
	if (!err)
		err = check_below(o, m->there, m->to, m->from);
	if (err)
		return err;
	if (m->from != m->to && (no_room(m->to, m->there, m->in) ||
				 no_room(m->from, m->in, m->there)))
		return -EMLINK;
	point(o, m->to, m->new_name, &m->new_de, m->there, m->in);
	point(o, m->from, m->name, &m->de, m->in, m->there);
	return 0;
}

static int move(struct op *o, struct move *m)
{
	int err;

	if (m->there == m->in)
		return 0;
	err = op_quota_same(o, m->from, m->to);
	if (!err)
		err = check_below(o, m->in, m->from, m->to);
	if (!err && m->there)
		err = check_replaced(o, m);
	if (err)
		return err;
	op_del_name(o, m->from, m->name, &m->de, m->in);
	if (m->there) {
		point(o, m->to, m->new_name, &m->new_de, m->there, m->in);
		op_unlinked(o, m->there);
		return 0;
	}
	op_changed(o, m->in);
	return op_add_name(o, m->to, m->new_name, m->in);
}

int op_rename(struct op *o, const Metad__Command *c)
{
	const Metad__Rename *r = c->rename;
	struct move m = { 0 };
	int err;

	if (r->noreplace && r->exchange)
		return -EINVAL;
	err = find(o, r, &m);
	if (!err && m.there && r->noreplace)
		err = -EEXIST;
	if (!err && r->has_new_ino && r->new_ino != (m.there ? m.there->r.a.ino : 0))
		err = -ESTALE;
	if (!err)
		err = r->exchange ? exchange(o, &m) : move(o, &m);
	if (err)
		return err;
	o->told[TOLD_NODE] = m.in;
	o->told[TOLD_PARENT] = m.from;
	if (m.to != m.from)
		o->told[TOLD_NEW_PARENT] = m.to;
	if (m.there && m.there != m.in)
		o->told[TOLD_OTHER] = m.there;
	return 0;
}
