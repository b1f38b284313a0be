// SPDX-License-Identifier: Apache-2.0
#include "metad/touched.h"

#include <errno.h>
#include <string.h>

struct touched {
	struct datafs_grant_object *objects;
	unsigned int n;
};

/* A name that no entry can have leads nowhere, and the command fails. */
static struct datafs_grant_object name_of(uint64_t parent, ProtobufCBinaryData name)
{
	return (struct datafs_grant_object) {
		.ino = parent, .kind = DATAFS_GRANT_NAME, .name = (const char *)name.data,
		.len = name.len > DATAFS_NAME_MAX ? 0 : (uint8_t)name.len,
	};
}

/* The same name twice is one. */
static bool same(const struct datafs_grant_object *a, const struct datafs_grant_object *b)
{
	return a->ino == b->ino && a->kind == b->kind && a->len == b->len &&
	       (!a->len || !memcmp(a->name, b->name, a->len));
}

static void add(struct touched *t, struct datafs_grant_object o)
{
	for (unsigned int i = 0; i < t->n; i++)
		if (same(&t->objects[i], &o))
			return;
	t->objects[t->n++] = o;
}

static void add_attr(struct touched *t, uint64_t ino)
{
	add(t, (struct datafs_grant_object) { .ino = ino, .kind = DATAFS_GRANT_ATTR });
}

/* The name, and what it makes of its directory. */
static void add_name(struct touched *t, const struct datafs_grant_object *name)
{
	add(t, *name);
	add(t, (struct datafs_grant_object) { .ino = name->ino, .kind = DATAFS_GRANT_NAMES });
	add_attr(t, name->ino);
}

unsigned int datafs_touched_names(const Metad__Command *c,
				  struct datafs_grant_object names[DATAFS_TOUCHED_NAMES])
{
	switch (c->op_case) {
	case METAD__COMMAND__OP_CREATE:
	case METAD__COMMAND__OP_MKDIR:
	case METAD__COMMAND__OP_MKNOD:
		names[0] = name_of(c->create->parent, c->create->name);
		return 1;
	case METAD__COMMAND__OP_SYMLINK:
		names[0] = name_of(c->symlink->parent, c->symlink->name);
		return 1;
	case METAD__COMMAND__OP_LINK:
		names[0] = name_of(c->link->parent, c->link->name);
		return 1;
	case METAD__COMMAND__OP_UNLINK:
	case METAD__COMMAND__OP_RMDIR:
		names[0] = name_of(c->unlink->parent, c->unlink->name);
		return 1;
	case METAD__COMMAND__OP_RENAME:
		names[0] = name_of(c->rename->parent, c->rename->name);
		names[1] = name_of(c->rename->new_parent, c->rename->new_name);
		return same(&names[0], &names[1]) ? 1 : 2;
	default:
		return 0;
	}
}

/* The inode that a command names by its number, and changes; 0: none. */
static uint64_t inode_of(const Metad__Command *c)
{
	switch (c->op_case) {
	case METAD__COMMAND__OP_LINK:
		return c->link->ino;
	case METAD__COMMAND__OP_UNLINK:
	case METAD__COMMAND__OP_RMDIR:
		return c->unlink->ino;
	case METAD__COMMAND__OP_RENAME:
		return c->rename->new_ino;
	case METAD__COMMAND__OP_SETATTR:
		return c->setattr->ino;
	case METAD__COMMAND__OP_SETXATTR:
		return c->setxattr->ino;
	case METAD__COMMAND__OP_REMOVEXATTR:
		return c->removexattr->ino;
	default:
		return 0;
	}
}

static bool changes_mounts(const Metad__Command *c)
{
	return c->op_case == METAD__COMMAND__OP_MOUNT_ADD ||
	       c->op_case == METAD__COMMAND__OP_MOUNT_SET ||
	       c->op_case == METAD__COMMAND__OP_MOUNT_REMOVE;
}

bool datafs_touches(const Metad__Command *c)
{
	struct datafs_grant_object names[DATAFS_TOUCHED_NAMES];

	return datafs_touched_names(c, names) || inode_of(c) || changes_mounts(c);
}

static void said(const Metad__Command *c, struct touched *t)
{
	struct datafs_grant_object names[DATAFS_TOUCHED_NAMES];
	unsigned int n = datafs_touched_names(c, names);

	for (unsigned int i = 0; i < n; i++)
		add_name(t, &names[i]);
	if (inode_of(c))
		add_attr(t, inode_of(c));
	if (changes_mounts(c))
		add(t, (struct datafs_grant_object) {
			.ino = DATAFS_METAD_ROOT, .kind = DATAFS_GRANT_MOUNTS,
		});
}

unsigned int datafs_touched_said(const Metad__Command *c,
				 struct datafs_grant_object objects[DATAFS_TOUCHED_MAX])
{
	struct touched t = { .objects = objects };

	said(c, &t);
	return t.n;
}

/* 0: it leads nowhere. */
static int leads_to(struct datafs_metad *m, const struct datafs_grant_object *name,
		    uint64_t *ino)
{
	int err = datafs_metad_leads_to(m, name->ino, name->name, name->len, ino);

	if (err == -ENOENT)
		*ino = 0;
	return err == -ENOENT ? 0 : err;
}

/* Would a command do nothing with names that lead there? */
static bool fails(const Metad__Command *c, unsigned int n, const uint64_t *ino)
{
	switch (c->op_case) {
	case METAD__COMMAND__OP_UNLINK:
	case METAD__COMMAND__OP_RMDIR:
		return !ino[0] || (c->unlink->has_ino && c->unlink->ino != ino[0]);
	case METAD__COMMAND__OP_RENAME:
		/* to itself: nothing is done */
		return !ino[0] || n < 2 ||
		       (c->rename->has_new_ino && c->rename->new_ino != ino[1]);
	default:
		return n && ino[0];
	}
}

int datafs_touched(struct datafs_metad *m, const Metad__Command *c,
		   struct datafs_grant_object objects[DATAFS_TOUCHED_MAX], unsigned int *n_said)
{
	struct datafs_grant_object names[DATAFS_TOUCHED_NAMES];
	unsigned int n = datafs_touched_names(c, names);
	uint64_t ino[DATAFS_TOUCHED_NAMES] = { 0 };
	struct touched t = { .objects = objects };
	int err = datafs_metad_answered(m, c->session, c->request);

	*n_said = 0;
	/* what it told then may be old by now: nobody is to believe it */
	if (err)
		return err < 0 ? err : 0;
	for (unsigned int i = 0; i < n; i++) {
		err = names[i].len ? leads_to(m, &names[i], &ino[i]) : 0;
		if (err || !names[i].len)
			return err;
	}
	if (fails(c, n, ino))
		return 0;
	said(c, &t);
	*n_said = t.n;
	for (unsigned int i = 0; i < n; i++)
		if (ino[i])
			add_attr(&t, ino[i]);
	return (int)t.n;
}
