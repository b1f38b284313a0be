// SPDX-License-Identifier: Apache-2.0
#include "op.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const struct command {
	Metad__Command__OpCase op;
	op_fn fn;
	uint32_t level;		/* from which on it is there */
} table[] = {
	{ METAD__COMMAND__OP_NOOP, op_noop, 1 },
	{ METAD__COMMAND__OP_FEATURE, op_feature, 1 },
	{ METAD__COMMAND__OP_SESSION_OPEN, op_session_open, 1 },
	{ METAD__COMMAND__OP_SESSION_RENEW, op_session_renew, 1 },
	{ METAD__COMMAND__OP_SESSION_CLOSE, op_session_close, 1 },
	{ METAD__COMMAND__OP_SESSION_LEASE, op_session_lease, DATAFS_METAD_LEVEL_LEASE },
	{ METAD__COMMAND__OP_CREATE, op_create, 1 },
	{ METAD__COMMAND__OP_MKDIR, op_mkdir, 1 },
	{ METAD__COMMAND__OP_MKNOD, op_mknod, 1 },
	{ METAD__COMMAND__OP_SYMLINK, op_symlink, 1 },
	{ METAD__COMMAND__OP_LINK, op_link, 1 },
	{ METAD__COMMAND__OP_UNLINK, op_unlink, 1 },
	{ METAD__COMMAND__OP_RMDIR, op_rmdir, 1 },
	{ METAD__COMMAND__OP_RENAME, op_rename, 1 },
	{ METAD__COMMAND__OP_SETATTR, op_setattr, 1 },
	{ METAD__COMMAND__OP_SETXATTR, op_setxattr, 1 },
	{ METAD__COMMAND__OP_REMOVEXATTR, op_removexattr, 1 },
	{ METAD__COMMAND__OP_HOLD, op_hold, 1 },
	{ METAD__COMMAND__OP_RELEASE, op_release, 1 },
	{ METAD__COMMAND__OP_SET_QUOTA, op_set_quota, DATAFS_METAD_LEVEL_QUOTA },
	{ METAD__COMMAND__OP_REMOVE_QUOTA, op_remove_quota, DATAFS_METAD_LEVEL_QUOTA },
	{ METAD__COMMAND__OP_MOUNT_ADD, op_mount_add, DATAFS_METAD_LEVEL_MOUNT },
	{ METAD__COMMAND__OP_MOUNT_SET, op_mount_set, DATAFS_METAD_LEVEL_MOUNT },
	{ METAD__COMMAND__OP_MOUNT_REMOVE, op_mount_remove, DATAFS_METAD_LEVEL_MOUNT },
	{ METAD__COMMAND__OP_NODE_JOIN, op_node_join, DATAFS_METAD_LEVEL_NODE },
	{ METAD__COMMAND__OP_NODE_SET, op_node_set, DATAFS_METAD_LEVEL_NODE },
	{ METAD__COMMAND__OP_NODE_REMOVE, op_node_remove, DATAFS_METAD_LEVEL_NODE },
	{ METAD__COMMAND__OP_JOB_ADD, op_job_add, DATAFS_METAD_LEVEL_JOB },
	{ METAD__COMMAND__OP_JOB_CLAIM, op_job_claim, DATAFS_METAD_LEVEL_JOB },
	{ METAD__COMMAND__OP_JOB_REPORT, op_job_report, DATAFS_METAD_LEVEL_JOB },
	{ METAD__COMMAND__OP_JOB_CANCEL, op_job_cancel, DATAFS_METAD_LEVEL_JOB },
	{ METAD__COMMAND__OP_JOB_REMOVE, op_job_remove, DATAFS_METAD_LEVEL_JOB },
	{ METAD__COMMAND__OP_POLICY_SET, op_policy_set, DATAFS_METAD_LEVEL_POLICY },
	{ METAD__COMMAND__OP_POLICY_REMOVE, op_policy_remove, DATAFS_METAD_LEVEL_POLICY },
	{ METAD__COMMAND__OP_LISTING_TICKET, op_listing_ticket, DATAFS_METAD_LEVEL_LISTING },
	{ METAD__COMMAND__OP_LISTING_PUT, op_listing_put, DATAFS_METAD_LEVEL_LISTING },
	{ METAD__COMMAND__OP_LISTING_DROP, op_listing_drop, DATAFS_METAD_LEVEL_LISTING },
};

static const struct command *find_command(Metad__Command__OpCase op)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].op == op)
			return &table[i];
	return NULL;
}

op_fn op_find(Metad__Command__OpCase op)
{
	const struct command *c = find_command(op);

	return c ? c->fn : NULL;
}

uint32_t op_level(Metad__Command__OpCase op)
{
	const struct command *c = find_command(op);

	return c ? c->level : 1;
}

int op_get(struct op *o, uint64_t ino, struct op_inode **res)
{
	struct op_inode *in;
	int ret;

	for (unsigned int i = 0; i < o->inodes; i++) {
		if (o->in[i].r.a.ino != ino)
			continue;
		*res = &o->in[i];
		return 0;
	}
	in = &o->in[o->inodes];
	*in = (struct op_inode){ 0 };
	ret = rec_inode_get(o->t, ino, &in->r);
	if (ret <= 0)
		return ret ? ret : -ESTALE;
	o->inodes++;
	*res = in;
	return 0;
}

int op_get_dir(struct op *o, uint64_t ino, struct op_inode **res)
{
	int err = op_get(o, ino, res);

	if (err)
		return err;
	if (!S_ISDIR((*res)->r.a.mode))
		return -ENOTDIR;
	return (*res)->r.a.nlink ? 0 : -ENOENT;
}

int op_new(struct op *o, uint32_t type, struct op_inode **res)
{
	struct op_inode *in = &o->in[o->inodes];
	struct datafs_metad_attr *a = &in->r.a;

	if (o->n->next_ino > DATAFS_METAD_INO_MAX)
		return -ENOSPC;
	o->inodes++;
	*in = (struct op_inode){ .changed = true, .dirty = true };
	a->ino = o->n->next_ino++;
	a->mode = type;
	a->atime = o->now;
	a->mtime = o->now;
	a->ctime = o->now;
	a->btime = o->now;
	if (S_ISDIR(type))
		in->r.cookie = DATAFS_FIRST_COOKIE;
	o->n->c.inodes++;
	*res = in;
	return 0;
}

void op_changed(struct op *o, struct op_inode *in)
{
	in->r.a.ctime = o->now;
	in->changed = true;
	in->dirty = true;
}

void op_modified(struct op *o, struct op_inode *in)
{
	in->r.a.mtime = o->now;
	op_changed(o, in);
}

void op_flush(struct op *o)
{
	for (unsigned int i = 0; i < o->inodes; i++) {
		struct op_inode *in = &o->in[i];

		if (in->changed)
			in->r.a.version++;
		if (in->dirty && !in->gone)
			rec_inode_put(o->t, &in->r);
	}
	o->inodes = 0;
}

int op_is_above(struct op *o, uint64_t above, uint64_t ino)
{
	struct key k = key_make('I', ino);
	struct rec_inode in;
	int ret;

	for (uint64_t steps = 0; steps <= DATAFS_METAD_DEPTH_MAX; steps++) {
		/* A way to the root is shorter than there are inodes. */
		if (steps > o->n->c.inodes)
			return txn_damaged(o->t, key_bytes(&k), "directories in a circle");
		if (ino == above)
			return 1;
		if (ino == DATAFS_METAD_ROOT)
			return 0;
		ret = rec_inode_get(o->t, ino, &in);
		if (ret < 0)
			return ret;
		k = key_make('I', ino);
		if (!ret || !S_ISDIR(in.a.mode) || !in.a.nlink)
			return txn_damaged(o->t, key_bytes(&k), "no directory above");
		ino = in.parent;
	}
	return -ENAMETOOLONG;
}

int op_name_check(struct txn_bytes name)
{
	if (name.len > DATAFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!name.len || memchr(name.p, '/', name.len) ||
	    memchr(name.p, '\0', name.len))
		return -EINVAL;
	return name.p[0] == '.' && (name.len == 1 ||
	       (name.len == 2 && name.p[1] == '.')) ? -EINVAL : 0;
}

int op_lookup(struct op *o, const struct op_inode *dir, struct txn_bytes name,
	      struct rec_dirent *de)
{
	int ret = op_name_check(name);

	if (ret)
		return ret;
	ret = rec_dirent_get(o->t, dir->r.a.ino, name, de);
	return ret < 0 ? ret : ret ? 0 : -ENOENT;
}

int op_get_named(struct op *o, const struct op_inode *dir,
		 const struct rec_dirent *de, struct op_inode **res)
{
	struct key k = key_make('I', de->ino);
	int err = op_get(o, de->ino, res);

	if (err && err != -ESTALE)
		return err;
	if (err || !(*res)->r.a.nlink)
		return txn_damaged(o->t, key_bytes(&k), "named, and not there");
	k = key_make('I', dir->r.a.ino);
	if (!dir->r.children ||
	    (S_ISDIR((*res)->r.a.mode) && dir->r.a.nlink <= 2))
		return txn_damaged(o->t, key_bytes(&k), "fewer children than names");
	return 0;
}

int op_add_name(struct op *o, struct op_inode *dir, struct txn_bytes name,
		struct op_inode *in)
{
	struct rec_dirent de = { in->r.a.ino, dir->r.cookie };
	bool is_dir = S_ISDIR(in->r.a.mode);

	if (is_dir && dir->r.a.nlink >= DATAFS_METAD_LINK_MAX)
		return -EMLINK;
	if (dir->r.cookie > INT64_MAX)
		return -ENOSPC;
	dir->r.cookie++;
	dir->r.children++;
	dir->r.a.nlink += is_dir;
	op_modified(o, dir);
	if (is_dir)
		in->r.parent = dir->r.a.ino;
	rec_dirent_put(o->t, dir->r.a.ino, name, &de);
	return 0;
}

void op_del_name(struct op *o, struct op_inode *dir, struct txn_bytes name,
		 const struct rec_dirent *de, const struct op_inode *in)
{
	dir->r.children--;
	dir->r.a.nlink -= S_ISDIR(in->r.a.mode);
	op_modified(o, dir);
	rec_dirent_del(o->t, dir->r.a.ino, name, de);
}

static void del_xattrs(struct op *o, const struct op_inode *in)
{
	struct key prefix = key_make('X', in->r.a.ino);
	struct txn_bytes key;
	struct txn_scan s;

	if (!in->r.xattrs)
		return;
	txn_scan_begin(&s, o->t, key_bytes(&prefix), key_bytes(&prefix));
	while (txn_scan_next(&s, &key, NULL) == 1)
		txn_del(o->t, key);
	txn_scan_end(&s);
}

static void gone(struct op *o, struct op_inode *in)
{
	struct key k = key_make('I', in->r.a.ino);

	del_xattrs(o, in);
	op_quota_gone(o, in);
	rec_del(o->t, &k);
	o->n->c.inodes--;
	if (S_ISREG(in->r.a.mode))
		o->n->c.bytes -= in->r.a.size;
	in->gone = true;
}

void op_unlinked(struct op *o, struct op_inode *in)
{
	struct key k = key_make('O', in->r.a.ino);

	op_changed(o, in);
	if (S_ISDIR(in->r.a.mode))
		in->r.a.nlink = 0;
	else
		in->r.a.nlink--;
	if (in->r.a.nlink)
		return;
	if (in->r.holders) {
		rec_mark_put(o->t, &k);
		o->n->c.orphans++;
		return;
	}
	gone(o, in);
}

void op_let_go(struct op *o, struct op_inode *in)
{
	struct key k = key_make('O', in->r.a.ino);

	in->r.holders--;
	in->dirty = true;
	if (in->r.a.nlink || in->r.holders)
		return;
	rec_del(o->t, &k);
	o->n->c.orphans--;
	gone(o, in);
}
