// SPDX-License-Identifier: Apache-2.0
/*
 * The table of mounts. Each change is a version of the table, and the mount that it makes or
 * changes has that version as its generation, and a new one as its id: so a path with a
 * generation says one state of one mount, whatever was there before or comes later.
 */
#include <errno.h>

#include "mounts.h"
#include "op.h"

/* What a command finds. */
struct found {
	struct datafs_metad_mounts table;
	struct datafs_metad_mount mount;	/* all 0: there is none */
	struct txn_bytes key;
};

static const char *texts_wrong(ProtobufCBinaryData path, ProtobufCBinaryData options)
{
	const char *why = datafs_mount_path_wrong(path.data, path.len);

	return why ? why : datafs_mount_options_wrong(options.data, options.len);
}

const char *op_mount_wrong(const Metad__Command *c)
{
	const Metad__MountAdd *a = c->mount_add;
	const char *why;

	switch (c->op_case) {
	case METAD__COMMAND__OP_MOUNT_ADD:
		why = texts_wrong(a->path, a->options);
		return why ? why : datafs_mount_source_wrong(a->source.data, a->source.len);
	case METAD__COMMAND__OP_MOUNT_SET:
		return texts_wrong(c->mount_set->path, c->mount_set->options);
	case METAD__COMMAND__OP_MOUNT_REMOVE:
		return datafs_mount_path_wrong(c->mount_remove->path.data,
					       c->mount_remove->path.len);
	default:
		return NULL;
	}
}

/* 1: it is there, 0: it is not; or the error. */
static int find(struct op *o, const Metad__Command *c, ProtobufCBinaryData path, struct found *f)
{
	int ret;

	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_MOUNT)
		return -EOPNOTSUPP;
	if (op_mount_wrong(c))
		return -EINVAL;
	*f = (struct found){ .key = rec_mount_key(o->t, path.data, path.len) };
	if (!f->key.len)
		return txn_error(o->t);
	ret = rec_mounts_get(o->t, &f->table);
	return ret < 0 ? ret : rec_mount_get(o->t, f->key, &f->mount);
}

/* ... one that must be there, and of that generation. 0 or the error. */
static int find_one(struct op *o, const Metad__Command *c, ProtobufCBinaryData path, bool guarded,
		    uint64_t generation, struct found *f)
{
	int ret = find(o, c, path, f);

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	if (!f->table.mounts || f->mount.generation > f->table.version)
		return txn_damaged(o->t, f->key, "a mount that its table does not know");
	return guarded && f->mount.generation != generation ? -ESTALE : 0;
}

int op_mount_add(struct op *o, const Metad__Command *c)
{
	const Metad__MountAdd *a = c->mount_add;
	struct found f;
	int ret = find(o, c, a->path, &f);

	if (ret)
		return ret < 0 ? ret : -EEXIST;
	if (f.table.mounts >= DATAFS_METAD_MOUNTS_MAX)
		return -ENOSPC;
	f.table.version++;
	f.table.mounts++;
	f.mount = (struct datafs_metad_mount){
		.path = (const char *)a->path.data, .path_len = a->path.len,
		.source = (const char *)a->source.data, .source_len = a->source.len,
		.options = (const char *)a->options.data, .options_len = a->options.len,
		.id = f.table.version, .generation = f.table.version,
	};
	rec_mount_put(o->t, &f.mount);
	rec_mounts_put(o->t, &f.table);
	return 0;
}

int op_mount_set(struct op *o, const Metad__Command *c)
{
	const Metad__MountSet *s = c->mount_set;
	struct found f;
	int ret = find_one(o, c, s->path, s->has_generation, s->generation, &f);

	if (ret)
		return ret;
	f.mount.options = (const char *)s->options.data;
	f.mount.options_len = s->options.len;
	f.mount.generation = ++f.table.version;
	rec_mount_put(o->t, &f.mount);
	rec_mounts_put(o->t, &f.table);
	return 0;
}

int op_mount_remove(struct op *o, const Metad__Command *c)
{
	const Metad__MountRemove *r = c->mount_remove;
	struct found f;
	int ret = find_one(o, c, r->path, r->has_generation, r->generation, &f);

	if (ret)
		return ret;
	f.table.version++;
	f.table.mounts--;
	txn_del(o->t, f.key);
	rec_mounts_put(o->t, &f.table);
	return 0;
}
