// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: file handles, for NFS and open_by_handle_at(2). A handle is the
 * inode number, which is never of another file, and the parent's where it is
 * asked for. So it outlives the inode in the cache, and the mount.
 */
#include <linux/exportfs.h>
#include "datafs.h"

/* A handle's type; on the wire of NFS, so it does not change. */
enum datafs_fh_type {
	DATAFS_FH_INO		= 0x6b,	/* one struct datafs_fh_ino */
	DATAFS_FH_INO_PARENT	= 0x6c,	/* two: the inode's, its parent's */
};

/* Handles are words of 32 bits, aligned to that. */
struct datafs_fh_ino {
	u32	low;
	u32	high;
};

#define DATAFS_FH_WORDS	((int)(sizeof(struct datafs_fh_ino) / sizeof(u32)))

static void datafs_fh_put(struct datafs_fh_ino *fh, u64 ino)
{
	fh->low = lower_32_bits(ino);
	fh->high = upper_32_bits(ino);
}

static int datafs_encode_fh(struct inode *inode, u32 *raw, int *words,
			    struct inode *parent)
{
	int want = DATAFS_FH_WORDS * (parent ? 2 : 1);
	struct datafs_fh_ino *fh = (struct datafs_fh_ino *)raw;
	int room = *words;

	*words = want;
	if (room < want)
		return FILEID_INVALID;
	datafs_fh_put(&fh[0], inode->i_ino);
	if (!parent)
		return DATAFS_FH_INO;
	datafs_fh_put(&fh[1], parent->i_ino);
	return DATAFS_FH_INO_PARENT;
}

static struct dentry *datafs_fh_decode(struct super_block *sb,
				       const struct datafs_fh_ino *fh)
{
	u64 ino = (u64)fh->high << 32 | fh->low;
	struct inode *inode;

	/* Anybody may have written the handle. */
	if (!ino || ino > S64_MAX)
		return ERR_PTR(-ESTALE);
	inode = datafs_ilookup(sb, ino);
	if (!inode)
		inode = datafs_iget_upcall(sb, ino);
	if (IS_ERR(inode) && PTR_ERR(inode) == -ENOENT)
		return ERR_PTR(-ESTALE);
	return d_obtain_alias(inode);
}

static struct dentry *datafs_fh_to_dentry(struct super_block *sb,
					  struct fid *fid, int words, int type)
{
	const struct datafs_fh_ino *fh = (const struct datafs_fh_ino *)fid->raw;

	if ((type != DATAFS_FH_INO && type != DATAFS_FH_INO_PARENT) ||
	    words < DATAFS_FH_WORDS)
		return NULL;
	return datafs_fh_decode(sb, &fh[0]);
}

static struct dentry *datafs_fh_to_parent(struct super_block *sb,
					  struct fid *fid, int words, int type)
{
	const struct datafs_fh_ino *fh = (const struct datafs_fh_ino *)fid->raw;

	if (type != DATAFS_FH_INO_PARENT || words < 2 * DATAFS_FH_WORDS)
		return NULL;
	return datafs_fh_decode(sb, &fh[1]);
}

static struct dentry *datafs_get_parent(struct dentry *child)
{
	struct super_block *sb = child->d_sb;
	struct datafs_request *req;
	struct datafs_entry entry;
	struct inode *inode;
	int ret;

	req = datafs_request_alloc(datafs_mnt(sb), DATAFS_OP_PARENT,
				   d_inode(child)->i_ino, 0, GFP_KERNEL);
	if (!req)
		return ERR_PTR(-ENOMEM);
	ret = datafs_request_call(req);
	if (!ret && (datafs_reply_entry(req->reply, req->reply_len, &entry) ||
		     !S_ISDIR(entry.attr.mode)))
		ret = datafs_request_bad(req, "parent");
	inode = ret ? ERR_PTR(ret) : datafs_iget(sb, &entry.attr, req->head.seq,
						 get_jiffies_64());
	datafs_request_put(req);
	return d_obtain_alias(inode);
}

const struct export_operations datafs_export_ops = {
	.encode_fh	= datafs_encode_fh,
	.fh_to_dentry	= datafs_fh_to_dentry,
	.fh_to_parent	= datafs_fh_to_parent,
	.get_parent	= datafs_get_parent,
};
