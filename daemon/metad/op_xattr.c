// SPDX-License-Identifier: Apache-2.0
/*
 * Extended attributes, and the ACLs among them. An access ACL that says no more than
 * the mode is not stored: only the mode is changed.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "acl.h"
#include "op.h"

enum kind { KIND_PLAIN, KIND_ACCESS, KIND_DEFAULT };

static bool begins(struct txn_bytes name, const char *with)
{
	size_t len = strlen(with);

	return name.len > len && !memcmp(name.p, with, len);
}

static bool is(struct txn_bytes name, const char *text)
{
	return name.len == strlen(text) && !memcmp(name.p, text, name.len);
}

static int kind_of(struct txn_bytes name, enum kind *kind)
{
	if (name.len > DATAFS_NAME_MAX)
		return -ERANGE;
	if (!name.len || memchr(name.p, '\0', name.len))
		return -EINVAL;
	*kind = is(name, ACL_ACCESS) ? KIND_ACCESS :
		is(name, ACL_DEFAULT) ? KIND_DEFAULT : KIND_PLAIN;
	return *kind != KIND_PLAIN || begins(name, "user.") ||
	       begins(name, "trusted.") || begins(name, "security.") ? 0 : -EOPNOTSUPP;
}

static struct txn_bytes name_of(const char *text)
{
	return (struct txn_bytes){ (const uint8_t *)text, strlen(text) };
}

static int get(struct op *o, const struct op_inode *in, struct txn_bytes name,
	       struct txn_bytes *val)
{
	struct key k = key_make_name('X', in->r.a.ino, name.p, name.len);

	return in->r.xattrs ? rec_bytes_get(o->t, &k, val) : 0;
}

/* @was: what get() said. */
static int put(struct op *o, struct op_inode *in, struct txn_bytes name,
	       struct txn_bytes val, bool was)
{
	struct key k = key_make_name('X', in->r.a.ino, name.p, name.len);

	if (!was) {
		if (in->r.xattrs + name.len + 1 > DATAFS_METAD_LIST_MAX)
			return -ENOSPC;
		in->r.xattrs += (uint32_t)name.len + 1;
	}
	rec_bytes_put(o->t, &k, val);
	return 0;
}

static int del(struct op *o, struct op_inode *in, struct txn_bytes name)
{
	struct key k = key_make_name('X', in->r.a.ino, name.p, name.len);
	struct key i = key_make('I', in->r.a.ino);

	if (in->r.xattrs < name.len + 1)
		return txn_damaged(o->t, key_bytes(&i), "fewer xattrs than there are");
	in->r.xattrs -= (uint32_t)name.len + 1;
	rec_del(o->t, &k);
	return 0;
}

/* A stored ACL, copied. 1, 0 or an error. */
static int get_acl(struct op *o, const struct op_inode *in, const char *name,
		   struct txn_bytes *val, uint8_t **copy)
{
	struct key k = key_make_name('X', in->r.a.ino, name, strlen(name));
	int ret = get(o, in, name_of(name), val);

	if (ret <= 0)
		return ret;
	if (!acl_valid(val->p, val->len))
		return txn_damaged(o->t, key_bytes(&k), "ACL");
	*copy = txn_alloc(o->t, val->len);
	if (!*copy)
		return txn_error(o->t);
	memcpy(*copy, val->p, val->len);
	return 1;
}

void op_acl_chmod(struct op *o, struct op_inode *in)
{
	struct txn_bytes val;
	uint8_t *acl;

	if (get_acl(o, in, ACL_ACCESS, &val, &acl) != 1)
		return;
	acl_set_mode(acl, val.len, in->r.a.mode);
	put(o, in, name_of(ACL_ACCESS), (struct txn_bytes){ acl, val.len }, true);
}

int op_acl_inherit(struct op *o, const struct op_inode *dir, struct op_inode *in,
		   uint32_t umask)
{
	struct datafs_metad_attr *a = &in->r.a;
	struct txn_bytes val;
	uint8_t *acl;
	int ret = get_acl(o, dir, ACL_DEFAULT, &val, &acl);

	if (ret < 0)
		return ret;
	if (!ret) {
		a->mode &= ~umask;
		return 0;
	}
	if (S_ISDIR(a->mode))
		ret = put(o, in, name_of(ACL_DEFAULT), val, false);
	else
		ret = 0;
	a->mode = (a->mode & ~0777u) | acl_inherit(acl, val.len, a->mode);
	if (!ret && acl_extended(acl, val.len))
		ret = put(o, in, name_of(ACL_ACCESS),
			  (struct txn_bytes){ acl, val.len }, false);
	return ret;
}

/* What of an ACL is not stored becomes an empty value. */
static int check_acl(struct op_inode *in, enum kind kind, bool kill_setgid,
		     struct txn_bytes *val)
{
	uint32_t type = in->r.a.mode & S_IFMT;

	if (type == S_IFLNK)
		return -EOPNOTSUPP;
	if (acl_empty(val->p, val->len)) {
		val->len = 0;
		return 0;
	}
	if (!acl_valid(val->p, val->len))
		return -EINVAL;
	if (kind == KIND_DEFAULT)
		return type == S_IFDIR ? 0 : -EACCES;
	in->r.a.mode = (in->r.a.mode & ~0777u) | acl_mode(val->p, val->len);
	if (kill_setgid)
		in->r.a.mode &= ~(uint32_t)S_ISGID;
	if (!acl_extended(val->p, val->len))
		val->len = 0;
	return 0;
}

int op_setxattr(struct op *o, const Metad__Command *c)
{
	const Metad__Setxattr *x = c->setxattr;
	struct txn_bytes name = op_bytes(x->name), val = op_bytes(x->value), old;
	struct op_inode *in;
	enum kind kind;
	int was, err = kind_of(name, &kind);

	if (!err && x->create && x->replace)
		err = -EINVAL;
	if (!err && val.len > DATAFS_XATTR_MAX)
		err = -E2BIG;
	if (!err)
		err = op_get(o, x->ino, &in);
	if (err)
		return err;
	was = get(o, in, name, &old);
	if (was < 0)
		return was;
	if (was ? x->create : x->replace)
		return was ? -EEXIST : -ENODATA;
	if (kind != KIND_PLAIN)
		err = check_acl(in, kind, x->kill_setgid, &val);
	if (err)
		return err;
	op_changed(o, in);
	o->told[TOLD_NODE] = in;
	if (kind == KIND_PLAIN || val.len)
		return put(o, in, name, val, was);
	return was ? del(o, in, name) : 0;
}

int op_removexattr(struct op *o, const Metad__Command *c)
{
	struct txn_bytes name = op_bytes(c->removexattr->name), old;
	struct op_inode *in;
	enum kind kind;
	int was, err = kind_of(name, &kind);

	if (!err)
		err = op_get(o, c->removexattr->ino, &in);
	if (err)
		return err;
	was = get(o, in, name, &old);
	if (was < 0)
		return was;
	if (!was)
		return -ENODATA;
	op_changed(o, in);
	o->told[TOLD_NODE] = in;
	return del(o, in, name);
}
