// SPDX-License-Identifier: Apache-2.0
/* What of a file is in the cache, is to be there, and is not to be any more. */
#include "vfs_internal.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

/* A file that changes while it is loaded is begun with so often. */
#define TRIES	3

/* A reference to the mount, and what is known of the file. */
static int file_get(struct datafs_vfs *v, uint32_t mount, uint64_t ino, struct vfs_mount **res,
		    struct datafs_meta_inode *in)
{
	struct vfs_mount *mnt = vfs_mount_get(v, mount), *branch;
	int ret = 0;

	if (!mnt)
		return -ENOENT;
	if (mnt->tree == &vfs_tree_quorum && ino & DATAFS_META_BRANCH) {
		ret = vfs_table_branch(mnt, ino, &branch);
		if (!ret) {
			vfs_mount_put(mnt);
			mnt = branch;
		}
	}
	if (!ret)
		ret = mnt->tree == &vfs_tree_under ? vfs_file(mnt, ino, in) : -EOPNOTSUPP;
	if (ret)
		vfs_mount_put(mnt);
	else
		*res = mnt;
	return ret;
}

static struct datafs_cache_key key_of(const struct datafs_meta_inode *in)
{
	return (struct datafs_cache_key){ in->ino, in->content };
}

int datafs_vfs_cached(struct datafs_vfs *v, uint32_t mount, uint64_t ino,
		      struct datafs_vfs_cached *res)
{
	struct datafs_meta_inode in;
	struct datafs_cache_key key;
	struct vfs_mount *mnt;
	int ret = file_get(v, mount, ino, &mnt, &in);

	if (ret)
		return ret;
	key = key_of(&in);
	*res = (struct datafs_vfs_cached){
		.size = in.st.size, .content = in.content,
		.bytes = datafs_cache_bytes(v->cache, &key, in.st.size),
	};
	vfs_mount_put(mnt);
	return 0;
}

int datafs_vfs_where(struct datafs_vfs *v, uint32_t mount, uint64_t ino, uint64_t off,
		     struct datafs_extent *runs, uint32_t n)
{
	struct datafs_meta_inode in;
	struct datafs_cache_key key;
	struct vfs_mount *mnt;
	int ret = file_get(v, mount, ino, &mnt, &in);
	uint32_t i;

	if (ret)
		return ret;
	key = key_of(&in);
	for (i = 0; i < n && datafs_cache_next(v->cache, &key, off, in.st.size, &runs[i]); i++)
		off = runs[i].off + runs[i].len;
	vfs_mount_put(mnt);
	return i;
}

/* Of [off, end), in the cache; a file's last granule has as many bytes as the file has. */
static uint64_t bytes_between(struct datafs_cache *c, const struct datafs_meta_inode *in,
			      uint64_t off, uint64_t end)
{
	const struct datafs_cache_key key = key_of(in);
	struct datafs_extent run;
	uint64_t sum = 0;

	while (off < end && datafs_cache_next(c, &key, off, end, &run)) {
		off = run.off + run.len;
		sum += DATAFS_MIN(off, end) - run.off;
	}
	return sum;
}

static int load(struct vfs_mount *mnt, struct datafs_meta_inode *in, uint64_t off, uint64_t len,
		struct datafs_vfs_loaded *res)
{
	uint64_t end;
	int ret = in->young ? vfs_settle(mnt, in) : 0;

	memset(res, 0, sizeof(*res));
	if (ret || off >= in->st.size)
		return ret;
	end = off + DATAFS_MIN(len, in->st.size - off);
	res->bytes = end - off;
	res->fetched = res->bytes - bytes_between(mnt->v->cache, in, off, end);
	return vfs_have(mnt, in, off, datafs_round_up(end, DATAFS_GRANULE));
}

int datafs_vfs_load(struct datafs_vfs *v, uint32_t mount, uint64_t ino, uint64_t off,
		    uint64_t len, struct datafs_vfs_loaded *res)
{
	struct datafs_meta_inode in;
	struct vfs_mount *mnt;
	int ret;

	if (off % DATAFS_GRANULE || len % DATAFS_GRANULE || !len || off + len < off)
		return -EINVAL;
	ret = file_get(v, mount, ino, &mnt, &in);
	if (ret)
		return ret;
	ret = load(mnt, &in, off, len, res);
	for (int i = 1; i < TRIES && ret == -ESTALE; i++) {
		/* What is there now? */
		ret = vfs_getattr(mnt, ino, datafs_now(), &in);
		if (!ret)
			ret = load(mnt, &in, off, len, res);
	}
	vfs_mount_put(mnt);
	return ret;
}

int datafs_vfs_free(struct datafs_vfs *v, uint32_t mount, uint64_t ino,
		    struct datafs_cache_left *left)
{
	struct datafs_meta_inode in;
	struct datafs_cache_key key;
	struct vfs_mount *mnt;
	int ret = file_get(v, mount, ino, &mnt, &in);

	if (ret)
		return ret;
	key = key_of(&in);
	ret = datafs_cache_evict(v->cache, &key, left);
	vfs_mount_put(mnt);
	return ret;
}

int datafs_vfs_leaving(struct datafs_vfs *v, uint32_t mount, uint64_t ino, uint64_t *bytes)
{
	struct datafs_meta_inode in;
	struct datafs_cache_key key;
	struct vfs_mount *mnt;
	int ret = file_get(v, mount, ino, &mnt, &in);

	if (ret)
		return ret;
	key = key_of(&in);
	*bytes = datafs_cache_leaving(v->cache, &key);
	vfs_mount_put(mnt);
	return 0;
}
