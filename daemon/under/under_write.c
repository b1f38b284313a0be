// SPDX-License-Identifier: Apache-2.0
/* The write half of under-stores: what is checked for all of them. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "under_ops.h"

static const struct datafs_under_cond any;

/* May something be made, replaced or removed at @key? */
static int may_write(const struct datafs_under *u, const char *key, bool can)
{
	if (!(u->caps & DATAFS_UNDER_WRITE) || u->opts->read_only)
		return -EROFS;
	if (!can)
		return -EOPNOTSUPP;
	return *key && datafs_under_key_ok(key) ? 0 : -EINVAL;
}

/* @attr, or in @room the mount's mode of files or directories, and now. */
static const struct datafs_under_attr *attr_of(const struct datafs_under *u,
					       const struct datafs_under_attr *attr, bool dir,
					       struct datafs_under_attr *room)
{
	if (attr)
		return attr;
	*room = (struct datafs_under_attr){
		.mode = dir ? u->opts->dir_mode : u->opts->file_mode,
		.uid = UINT32_MAX, .gid = UINT32_MAX,
	};
	clock_gettime(CLOCK_REALTIME, &room->mtime);
	return room;
}

int datafs_under_put(struct datafs_under *u, const char *key, const void *buf, size_t len,
		     const struct datafs_under_attr *attr, const struct datafs_under_cond *cond,
		     struct datafs_fingerprint *fp)
{
	int err = may_write(u, key, u->ops->put);
	struct datafs_fingerprint unwanted;
	struct datafs_under_attr room;

	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_PUT, len, 0);
	err = u->ops->put(u, key, buf, len, attr_of(u, attr, false, &room),
			  cond ? cond : &any, fp ? fp : &unwanted);
	return datafs_under_leave(u, DATAFS_UNDER_M_PUT, err, len);
}

int datafs_under_begin(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr, struct datafs_under_upload *up)
{
	int err = may_write(u, key, u->ops->begin);
	struct datafs_under_attr room;

	memset(up, 0, sizeof(*up));
	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_PUT, 0, 0);
	err = u->ops->begin(u, key, attr_of(u, attr, false, &room), up);
	return datafs_under_leave(u, DATAFS_UNDER_M_PUT, err, 0);
}

int datafs_under_part(struct datafs_under *u, const char *key,
		      const struct datafs_under_upload *up, struct datafs_under_part *part,
		      const void *buf)
{
	int err = may_write(u, key, u->ops->part);

	if (!err && (!part->number || part->off + part->len < part->off))
		err = -EINVAL;
	if (err)
		return err;
	memset(part->tag, 0, sizeof(part->tag));
	datafs_under_enter(u, DATAFS_UNDER_M_PUT, part->len, 0);
	err = u->ops->part(u, key, up, part, buf);
	return datafs_under_leave(u, DATAFS_UNDER_M_PUT, err, part->len);
}

static bool parts_ok(const struct datafs_under_part *parts, size_t n)
{
	uint64_t off = 0;

	for (size_t i = 0; i < n; i++) {
		if (parts[i].number != i + 1 || parts[i].off != off ||
		    off + parts[i].len < off)
			return false;
		off += parts[i].len;
	}
	return n > 0;
}

int datafs_under_complete(struct datafs_under *u, const char *key,
			  const struct datafs_under_upload *up,
			  const struct datafs_under_part *parts, size_t n,
			  const struct datafs_under_attr *attr,
			  const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	int err = may_write(u, key, u->ops->complete);
	struct datafs_fingerprint unwanted;
	struct datafs_under_attr room;

	if (!err && !parts_ok(parts, n))
		err = -EINVAL;
	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_PUT, 0, 0);
	err = u->ops->complete(u, key, up, parts, n, attr_of(u, attr, false, &room),
			       cond ? cond : &any, fp ? fp : &unwanted);
	return datafs_under_leave(u, DATAFS_UNDER_M_PUT, err, 0);
}

int datafs_under_abort(struct datafs_under *u, const char *key,
		       const struct datafs_under_upload *up)
{
	int err = may_write(u, key, u->ops->abort);

	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_DELETE, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_DELETE, u->ops->abort(u, key, up), 0);
}

int datafs_under_mkdir(struct datafs_under *u, const char *key,
		       const struct datafs_under_attr *attr)
{
	int err = may_write(u, key, u->ops->mkdir);
	struct datafs_under_attr room;

	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_PUT, 0, 0);
	err = u->ops->mkdir(u, key, attr_of(u, attr, true, &room));
	return datafs_under_leave(u, DATAFS_UNDER_M_PUT, err, 0);
}

int datafs_under_rmdir(struct datafs_under *u, const char *key)
{
	int err = may_write(u, key, u->ops->rmdir);

	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_DELETE, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_DELETE, u->ops->rmdir(u, key), 0);
}

int datafs_under_remove(struct datafs_under *u, const char *key,
			const struct datafs_under_cond *cond)
{
	int err = may_write(u, key, u->ops->remove);

	if (!err && cond && cond->is == DATAFS_UNDER_ABSENT)
		err = -EINVAL;
	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_DELETE, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_DELETE, u->ops->remove(u, key, cond ? cond : &any), 0);
}

int datafs_under_rename(struct datafs_under *u, const char *from, const char *to)
{
	int err = may_write(u, from, u->ops->rename);

	if (!err)
		err = may_write(u, to, true);
	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_PUT, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_PUT, u->ops->rename(u, from, to), 0);
}

int datafs_under_copy(struct datafs_under *u, const char *from,
		      const struct datafs_fingerprint *from_fp, const char *to,
		      const struct datafs_under_attr *attr,
		      const struct datafs_under_cond *cond, struct datafs_fingerprint *fp)
{
	int err = may_write(u, to, u->ops->copy);
	struct datafs_fingerprint unwanted;
	struct datafs_under_attr room;

	if (!err)
		err = may_write(u, from, true);
	if (err)
		return err;
	datafs_under_enter(u, DATAFS_UNDER_M_COPY, 0, 0);
	err = u->ops->copy(u, from, from_fp, to, attr_of(u, attr, false, &room),
			   cond ? cond : &any, fp ? fp : &unwanted);
	return datafs_under_leave(u, DATAFS_UNDER_M_COPY, err, 0);
}
