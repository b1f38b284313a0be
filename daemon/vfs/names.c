// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

int64_t vfs_fresh(const struct vfs_mount *mnt)
{
	int64_t sync = mnt->options.sync, fresh;
	int64_t not_before = atomic_load(&mnt->not_before);

	if (sync == DATAFS_SYNC_NEVER)
		return not_before;
	/* Never 0: that would take what is known from before a restart. */
	fresh = DATAFS_MAX(datafs_now() - sync, 1);
	return DATAFS_MAX(fresh, not_before);
}

/* For how long is good what was seen at @synced? */
static uint32_t valid_ms(const struct vfs_mount *mnt, int64_t synced)
{
	int64_t sync = mnt->options.sync, left;

	if (sync == DATAFS_SYNC_NEVER)
		return DATAFS_FOREVER;
	left = (synced + sync - datafs_now()) / DATAFS_MSEC;
	if (sync == DATAFS_SYNC_ALWAYS)
		return 0;
	/* Never 0, which means more than that it has expired. */
	if (left <= 0)
		return 1;
	return DATAFS_MIN(left, DATAFS_FOREVER - 1);
}

void vfs_attr(const struct vfs_mount *mnt, const struct datafs_meta_inode *in,
	      struct datafs_attr *attr)
{
	const struct datafs_under_stat *st = &in->st;

	*attr = (struct datafs_attr) {
		.ino = in->ino, .content = in->content,
		.size = DATAFS_MIN(st->size, (uint64_t)INT64_MAX),
		.blocks = st->blocks,
		.atime = st->atime.tv_sec, .atime_ns = st->atime.tv_nsec,
		.mtime = st->mtime.tv_sec, .mtime_ns = st->mtime.tv_nsec,
		.ctime = st->ctime.tv_sec, .ctime_ns = st->ctime.tv_nsec,
		.mode = st->mode, .nlink = DATAFS_MAX(st->nlink, 1u),
		.uid = st->uid, .gid = st->gid,
		.flags = (st->has_xattr ? DATAFS_ATTR_XATTR : 0) |
			 (st->has_acl ? DATAFS_ATTR_ACL : 0) |
			 (st->has_btime ? DATAFS_ATTR_BTIME : 0),
		.valid_ms = valid_ms(mnt, in->synced),
	};
	if (st->has_btime) {
		attr->btime = st->btime.tv_sec;
		attr->btime_ns = st->btime.tv_nsec;
	}
	if (S_ISBLK(st->mode) || S_ISCHR(st->mode)) {
		attr->rdev_major = st->rdev_major;
		attr->rdev_minor = st->rdev_minor;
	}
}

static void entry_of(const struct vfs_mount *mnt,
		     const struct datafs_meta_inode *in,
		     struct datafs_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	if (in->ino)
		vfs_attr(mnt, in, &entry->attr);
	entry->valid_ms = valid_ms(mnt, in->name_synced);
}

/* Does the errno say that a key does not lead to anything any more? */
static bool key_lost(int err)
{
	return err == -ENOENT || err == -ENOTDIR || err == -ELOOP ||
	       err == -ESTALE;
}

int vfs_lost(struct vfs_mount *mnt, uint64_t ino, int err)
{
	struct datafs_meta_inode in;
	int ret;

	if (!key_lost(err))
		return err;
	ret = vfs_getattr(mnt, ino, datafs_now(), &in);
	if (ret)
		return ret;
	/* It is there, so it was another that was not. */
	return err == -ENOENT ? -ESTALE : err;
}

int vfs_look(struct vfs_mount *mnt, const char *key, struct datafs_under_stat *st)
{
	struct datafs_under *u;
	int err = vfs_under(mnt, &u);

	if (err)
		return err;
	return datafs_under_stat(u, key, st);
}

int vfs_sync_name(struct vfs_mount *mnt, const struct datafs_meta_ticket *ticket)
{
	struct datafs_meta *meta = mnt->v->meta;
	struct datafs_under_stat st;
	int64_t looked;
	char *key;
	int err, ret;

	err = datafs_meta_ticket_key(meta, ticket, &key);
	if (err) {
		datafs_meta_import(meta, ticket, 0, err, NULL);
		return err;
	}
	looked = datafs_now();
	err = vfs_look(mnt, key, &st);
	free(key);
	ret = datafs_meta_import(meta, ticket, looked, err, &st);
	if (!*ticket->name)	/* the root */
		return err ? err : ret == -EAGAIN ? 0 : ret;
	/* Something on the way is no directory now: find out what. */
	if (err == -ENOTDIR || err == -ELOOP)
		return vfs_lost(mnt, ticket->dir, err);
	if (err && err != -ENOENT)
		return err;
	return ret == -EAGAIN ? 0 : ret;
}

int vfs_getattr(struct vfs_mount *mnt, uint64_t ino, int64_t fresh,
		struct datafs_meta_inode *res)
{
	struct datafs_meta_ticket ticket;
	int ret;

	for (int i = 0; i < VFS_SYNC_TRIES; i++) {
		ret = datafs_meta_getattr(mnt->v->meta, ino, fresh, res,
					  &ticket);
		if (ret == DATAFS_META_SYNC) {
			ret = vfs_sync_name(mnt, &ticket);
			if (!ret)
				continue;
		}
		if (!ret && res->root != mnt->root)
			ret = -ESTALE;
		return ret == -ENOENT ? -ESTALE : ret;
	}
	datafs_log(LOG_WARNING, "mount %u: inode %llu changes faster than it can be looked at",
		   mnt->id, (unsigned long long)ino);
	return -EIO;
}

int vfs_op_getattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_meta_inode in;
	int ret;

	ret = vfs_getattr(mnt, call->req->ino, vfs_fresh(mnt), &in);
	if (ret)
		return ret;
	vfs_attr(mnt, &in, call->out);
	call->out_len = sizeof(struct datafs_attr);
	return 0;
}

/* Is the directory asked about one of this mount? */
static int check_dir(struct vfs_mount *mnt, uint64_t ino)
{
	struct datafs_meta_inode in;
	int ret = datafs_meta_peek(mnt->v->meta, ino, &in);

	if (ret)
		return ret;
	if (in.root != mnt->root)
		return -ESTALE;
	return S_ISDIR(in.st.mode) ? 0 : -ENOTDIR;
}

int vfs_lookup(struct vfs_mount *mnt, struct datafs_call *call)
{
	int64_t fresh = vfs_fresh(mnt);
	struct datafs_meta_ticket ticket;
	struct datafs_meta_inode in;
	int ret;

	ret = check_dir(mnt, call->req->ino);
	for (int i = 0; !ret && i < VFS_SYNC_TRIES; i++) {
		ret = datafs_meta_lookup(mnt->v->meta, call->req->ino,
					 call->name, fresh, &in, &ticket);
		if (ret == DATAFS_META_ANSWER) {
			entry_of(mnt, &in, call->out);
			call->out_len = sizeof(struct datafs_entry);
			return 0;
		}
		if (ret == DATAFS_META_SYNC)
			ret = vfs_sync_name(mnt, &ticket);
	}
	return ret ? ret : -EIO;
}

int vfs_parent(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_meta_inode in;
	uint64_t parent;
	int ret;

	ret = check_dir(mnt, call->req->ino);
	if (!ret)
		ret = datafs_meta_parent(mnt->v->meta, call->req->ino, &parent);
	if (!ret)
		ret = vfs_getattr(mnt, parent, vfs_fresh(mnt), &in);
	if (ret)
		return ret;
	entry_of(mnt, &in, call->out);
	call->out_len = sizeof(struct datafs_entry);
	return 0;
}

struct readdir_arg {
	const struct vfs_mount *mnt;
	char *out;
	size_t len, max;
	uint32_t count;
};

static int readdir_entry(void *arg, uint64_t cookie, const char *name,
			 const struct datafs_meta_inode *in)
{
	struct readdir_arg *a = arg;
	struct datafs_dirent *de = (void *)(a->out + a->len);
	size_t namelen = strlen(name);
	size_t padded = datafs_round_up(namelen, 8);

	if (a->len + sizeof(*de) + padded > (a->count ? a->max :
					     DATAFS_REPLY_MAX))
		return 1;
	memset(de, 0, sizeof(*de));
	de->cookie = cookie;
	de->valid_ms = valid_ms(a->mnt, in->name_synced);
	de->namelen = namelen;
	vfs_attr(a->mnt, in, &de->attr);
	memset((char *)(de + 1) + namelen, 0, padded - namelen);
	memcpy(de + 1, name, namelen);
	a->len += sizeof(*de) + padded;
	a->count++;
	return 0;
}

int vfs_readdir(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_readdir_req *req = call->body;
	struct datafs_readdir_rep *rep = call->out;
	size_t max = DATAFS_MIN(req->max, DATAFS_MSG_MAX);
	struct readdir_arg arg = {
		.mnt = mnt, .out = call->out, .len = sizeof(*rep),
	};
	bool eof;
	int ret;

	if (req->cookie >= INT64_MAX)
		return -EINVAL;
	/* @max counts the reply's head, which is not in @out. */
	arg.max = max - DATAFS_MIN(max, sizeof(struct datafs_rep));
	ret = check_dir(mnt, call->req->ino);
	if (!ret)
		ret = vfs_list(mnt, call->req->ino, req->cookie, vfs_fresh(mnt),
			       readdir_entry, &arg, &eof);
	if (ret)
		return ret;
	rep->count = arg.count;
	rep->flags = eof ? DATAFS_READDIR_EOF : 0;
	call->out_len = arg.len;
	return 0;
}
