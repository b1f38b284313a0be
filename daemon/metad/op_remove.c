// SPDX-License-Identifier: Apache-2.0
/* unlink and rmdir. */
#include <errno.h>
#include <sys/stat.h>

#include "op.h"

/* What is at the name, which is of a directory that is there. -ESTALE: not what it should be. */
static int find(struct op *o, const Metad__Remove *r, struct rec_dirent *de,
		struct op_inode **dir, struct op_inode **in)
{
	int err = op_get_dir(o, r->parent, dir);

	if (!err)
		err = op_lookup(o, *dir, op_bytes(r->name), de);
	if (!err && r->has_ino && r->ino != de->ino)
		err = -ESTALE;
	return err ? err : op_get_named(o, *dir, de, in);
}

static int take(struct op *o, const Metad__Remove *r, bool dir_wanted)
{
	struct op_inode *dir, *in;
	struct rec_dirent de;
	int err = find(o, r, &de, &dir, &in);

	if (err)
		return err;
	if (dir_wanted && !S_ISDIR(in->r.a.mode))
		return -ENOTDIR;
	if (!dir_wanted && S_ISDIR(in->r.a.mode))
		return -EISDIR;
	if (in->r.children)
		return -ENOTEMPTY;
	op_del_name(o, dir, op_bytes(r->name), &de, in);
	op_unlinked(o, in);
	o->told[TOLD_NODE] = in;
	o->told[TOLD_PARENT] = dir;
	return 0;
}

int op_unlink(struct op *o, const Metad__Command *c)
{
	return take(o, c->unlink, false);
}

int op_rmdir(struct op *o, const Metad__Command *c)
{
	return take(o, c->rmdir, true);
}
