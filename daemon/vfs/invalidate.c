// SPDX-License-Identifier: Apache-2.0
#include "vfs_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"

/*
 * Looks at the one inode in the under-store. What is gone is no error: the kernel
 * learns it when it asks.
 */
static int look_at(struct vfs_mount *mnt, uint64_t ino)
{
	int64_t now = datafs_now();
	struct datafs_meta_inode in;
	int ret = vfs_getattr(mnt, ino, now, &in);

	if (!ret && S_ISDIR(in.st.mode))
		ret = vfs_list(mnt, ino, 0, now, NULL, NULL, NULL);
	return ret == -ESTALE ? 0 : ret;
}

int vfs_look_again(struct vfs_mount *mnt, uint64_t ino)
{
	if (ino)
		return look_at(mnt, ino);
	/* First here, so that nothing older is told to whom the kernel asks for. */
	atomic_store(&mnt->not_before, datafs_now());
	return datafs_meta_doubt(mnt->v->meta, mnt->root);
}

int datafs_vfs_invalidate(struct datafs_vfs *v, uint32_t mount, uint64_t ino)
{
	const struct datafs_invalid item = {
		.ino = ino, .mount_id = mount,
		.what = DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES,
	};
	struct vfs_mount *mnt = vfs_mount_get(v, mount);
	int ret;

	if (!mnt)
		return -ENOENT;
	ret = mnt->tree->look_again(mnt, ino);
	/* Of all of it the kernel is told in any case: what it asks for is looked at. */
	if (!ret || !ino) {
		int err = v->invalidate(v->arg, &item, sizeof(item));

		ret = ret ? ret : err;
	}
	if (ret)
		datafs_log(LOG_ERR, "mount %u: %s: inode %llu not invalidated: %s; try again when the source is reachable",
			   mount, mnt->source, (unsigned long long)ino,
			   strerror(-ret));
	vfs_mount_put(mnt);
	return ret;
}
