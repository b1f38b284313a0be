// SPDX-License-Identifier: Apache-2.0
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define STATFS_BSIZE_MIN	512
#define STATFS_BSIZE_MAX	65536

/* Asks the under-store for bytes of the inode's key, and answers them. */
typedef ssize_t (*under_bytes_fn)(struct datafs_under *u, const char *key,
				  struct datafs_call *call, size_t max);

static int answer_bytes(struct vfs_mount *mnt, struct datafs_call *call,
			under_bytes_fn fn, size_t max)
{
	struct datafs_meta_inode in;
	struct datafs_under *u;
	ssize_t n;
	char *key;
	int ret;

	ret = datafs_meta_peek(mnt->v->meta, call->req->ino, &in);
	if (!ret && in.root != mnt->root)
		ret = -ESTALE;
	if (!ret)
		ret = vfs_under(mnt, &u);
	if (!ret)
		ret = datafs_meta_key(mnt->v->meta, call->req->ino, &key);
	if (ret)
		return ret;
	n = fn(u, key, call, max);
	free(key);
	if (n < 0)
		return vfs_lost(mnt, call->req->ino, n);
	if ((size_t)n > max)
		return -EIO;
	call->out_len = n;
	return 0;
}

static ssize_t under_readlink(struct datafs_under *u, const char *key,
			      struct datafs_call *call, size_t max)
{
	/* One more than fits, so that a longer target is not cut silently. */
	ssize_t n = datafs_under_readlink(u, key, call->out, max + 1);

	return n > (ssize_t)max ? -ENAMETOOLONG : n;
}

int vfs_readlink(struct vfs_mount *mnt, struct datafs_call *call)
{
	return answer_bytes(mnt, call, under_readlink, DATAFS_SYMLINK_MAX);
}

static ssize_t under_getxattr(struct datafs_under *u, const char *key,
			      struct datafs_call *call, size_t max)
{
	return datafs_under_getxattr(u, key, call->name, call->out, max);
}

int vfs_getxattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	return answer_bytes(mnt, call, under_getxattr, DATAFS_XATTR_MAX);
}

static ssize_t under_listxattr(struct datafs_under *u, const char *key,
			       struct datafs_call *call, size_t max)
{
	return datafs_under_listxattr(u, key, call->out, max);
}

int vfs_listxattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	return answer_bytes(mnt, call, under_listxattr, DATAFS_XATTR_MAX);
}

/* @n units as blocks of @bsize, where their product may not fit. */
static uint64_t rescale(uint64_t n, uint64_t unit, uint64_t bsize)
{
	return n / bsize * unit + n % bsize * unit / bsize;
}

int vfs_statfs(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_statfs *out = call->out;
	struct datafs_under *u;
	struct statfs st;
	uint64_t bsize, unit;
	int ret;

	ret = vfs_under(mnt, &u);
	if (ret)
		return ret;
	ret = datafs_under_statfs(u, &st);
	if (ret)
		return ret;
	/* f_frsize is what the counts are in; f_bsize only advises. */
	unit = st.f_frsize > 0 ? st.f_frsize : st.f_bsize > 0 ? st.f_bsize : 4096;
	bsize = unit;
	if (bsize & (bsize - 1) || bsize < STATFS_BSIZE_MIN)
		bsize = 4096;
	while (bsize > STATFS_BSIZE_MAX)
		bsize /= 2;
	*out = (struct datafs_statfs) {
		.blocks = rescale(st.f_blocks, unit, bsize),
		.bfree = rescale(st.f_bfree, unit, bsize),
		.bavail = rescale(st.f_bavail, unit, bsize),
		.files = st.f_files, .ffree = st.f_ffree,
		.bsize = bsize,
		.namelen = st.f_namelen > 0 && st.f_namelen < DATAFS_NAME_MAX ?
			   st.f_namelen : DATAFS_NAME_MAX,
	};
	call->out_len = sizeof(*out);
	return 0;
}
