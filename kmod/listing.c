// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: listing a directory, and what is learnt by it of the names in it.
 */
#include <linux/namei.h>
#include <linux/slab.h>
#include "datafs.h"
#include "kept.h"

/* Bytes of an answer to READDIR: the first one of a directory, and more. */
#define DATAFS_READDIR_FIRST	(64u << 10)
#define DATAFS_READDIR_NEXT	(256u << 10)

/**
 * struct datafs_listing - an open directory
 * @req:	the answered READDIR that entries are taken from, or NULL
 * @when:	jiffies64 when it was answered
 * @names:	the directory's generation before it was asked
 * @changed:	what datafs_names_begin() said then
 * @cookie:	of the last entry taken: where the next one continues
 * @pos:	of the next one in the answer
 * @left:	entries not yet taken
 * @eof:	nothing comes after them; the answer itself is then given back
 *		with its last entry
 * @kept:	all answers from the directory's beginning, or NULL; published when
 *		their names have all been taken
 *
 * Protected by the file's f_pos_lock, or by being known to one thread only.
 */
struct datafs_listing {
	struct datafs_request	*req;
	u64			when;
	u64			names;
	int			changed;
	u64			cookie;
	u32			pos;
	u32			left;
	bool			eof;
	struct datafs_kept	*kept;
};

static void datafs_listing_drop(struct datafs_listing *ls)
{
	if (ls->req)
		datafs_request_put(ls->req);
	datafs_kept_abandon(ls->kept);
	*ls = (struct datafs_listing) {};
}

/* With nothing of @ls left but what goes on: the listing to be kept, or NULL. */
static struct datafs_kept *datafs_listing_begin(struct datafs_listing *ls,
						struct inode *dir, u64 cookie)
{
	struct datafs_kept *kept = ls->kept;

	ls->kept = NULL;
	datafs_listing_drop(ls);
	if (cookie != DATAFS_ROOT_COOKIE)
		return kept;
	datafs_kept_abandon(kept);
	return datafs_kept_begin(dir);
}

static int datafs_listing_fetch(struct datafs_listing *ls, struct inode *dir,
				u64 cookie)
{
	int changed = datafs_names_begin(dir);
	u64 names = datafs_dir_names(dir);
	struct datafs_readdir_req *body;
	struct datafs_readdir_rep rep;
	struct datafs_request *req;
	struct datafs_kept *kept;
	int ret;

	req = datafs_request_alloc(datafs_mnt(dir->i_sb), DATAFS_OP_READDIR,
				   dir->i_ino, sizeof(*body), GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	kept = datafs_listing_begin(ls, dir, cookie);
	body = (struct datafs_readdir_req *)req->body;
	body->cookie = cookie;
	body->max = cookie ? DATAFS_READDIR_NEXT : DATAFS_READDIR_FIRST;
	ret = datafs_request_call(req);
	if (!ret && datafs_reply_readdir(req->reply, req->reply_len, &rep))
		ret = datafs_request_bad(req, "listing");
	else if (!ret && rep.flags & DATAFS_READDIR_KEEP &&
		 !(READ_ONCE(req->mnt->inst->features) & DATAFS_FEATURE_LISTING))
		ret = datafs_request_bad(req, "listing, to be kept");
	/* It would be asked for ever. */
	else if (!ret && !rep.count && !(rep.flags & DATAFS_READDIR_EOF))
		ret = datafs_request_bad(req, "listing without entries");
	if (ret) {
		datafs_kept_abandon(kept);
		datafs_request_put(req);
		return ret;
	}
	if (kept && !datafs_kept_take(kept, req, cookie, &rep, get_jiffies_64())) {
		datafs_kept_abandon(kept);
		kept = NULL;
	}
	*ls = (struct datafs_listing) {
		.req = req,
		.when = get_jiffies_64(),
		.names = names,
		.changed = changed,
		.cookie = cookie,
		.left = rep.count,
		.eof = rep.flags & DATAFS_READDIR_EOF,
		.kept = kept,
	};
	return 0;
}

/*
 * What was listed need not be looked up. A name that is in the dcache already
 * is left to its own revalidation if it leads elsewhere: which of the two is
 * newer is not known here, and what is mounted below must not be detached by
 * the older one. After a change by this mount the rest of the listing is older
 * than what is known. Failing is no error of the listing.
 */
static void datafs_listing_cache(struct datafs_listing *ls,
				 struct dentry *parent,
				 const struct datafs_dirent *ent,
				 const char *name)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wq);
	struct qstr qname = QSTR_INIT(name, ent->namelen);
	struct datafs_mount *mnt = datafs_mnt(parent->d_sb);
	struct inode *inode, *dir = d_inode(parent);
	struct dentry *dentry, *alias;
	u64 seq = ls->req->head.seq;
	u64 until = datafs_entry_until(dir, ent->valid_ms, seq, ls->when);

	/* The answer may be older than the program's last getdents(2). */
	if (!datafs_is_valid(mnt, &mnt->entry_policy, until))
		return;
	if (datafs_names_changed(dir, ls->changed))
		return;
	/* Somebody may be looking one of these names up, and wait for long. */
	if (!datafs_mount_is_live(mnt))
		return;
	qname.hash = full_name_hash(parent, name, ent->namelen);
	dentry = d_lookup(parent, &qname);
	if (!dentry)
		dentry = datafs_d_alloc_parallel(parent, &qname, &wq);
	if (IS_ERR(dentry))
		return;

	if (!d_in_lookup(dentry)) {
		inode = d_inode(dentry);
		if (!inode || inode->i_ino != ent->attr.ino)
			WRITE_ONCE(dentry->d_time, 0);
		else if (!datafs_inode_update(inode, &ent->attr, seq, ls->when))
			datafs_entry_confirm(dentry, dir, ls->names, seq, until);
		datafs_entry_settle(dentry, dir, ls->changed, seq);
		dput(dentry);
		return;
	}

	inode = datafs_iget(parent->d_sb, &ent->attr, seq, ls->when);
	if (IS_ERR(inode)) {
		d_lookup_done(dentry);
		dput(dentry);
		return;
	}
	datafs_entry_confirm(dentry, dir, ls->names, seq, until);
	alias = datafs_splice(inode, dentry);
	d_lookup_done(dentry);
	if (!IS_ERR_OR_NULL(alias))
		datafs_entry_confirm(alias, dir, ls->names, seq, until);
	if (!IS_ERR(alias))
		datafs_entry_settle(alias ?: dentry, dir, ls->changed, seq);
	if (!IS_ERR_OR_NULL(alias))
		dput(alias);
	dput(dentry);
}

/* All of the directory has been taken. */
static void datafs_listing_end(struct datafs_listing *ls)
{
	if (ls->req)
		datafs_request_put(ls->req);
	ls->req = NULL;
	if (ls->kept)
		datafs_kept_publish(ls->kept);
	ls->kept = NULL;
}

static int datafs_iterate(struct file *file, struct dir_context *ctx)
{
	struct datafs_listing *ls = file->private_data;
	struct inode *dir = file_inode(file);
	struct datafs_dirent ent;
	const char *name;
	u64 cookie;
	u32 pos;
	int ret;

	/* From the beginning: what is there now, not what was. */
	if (ctx->pos < 2)
		datafs_listing_drop(ls);
	if (!dir_emit_dots(file, ctx))
		return 0;
	/* A position between the dots and the first entry, or beyond. */
	cookie = ctx->pos < DATAFS_FIRST_COOKIE ? DATAFS_ROOT_COOKIE : ctx->pos;
	if (datafs_kept_list(dir, cookie, ctx)) {
		datafs_listing_drop(ls);
		return 0;
	}

	if (ls->cookie != cookie || (!ls->req && !ls->eof)) {
		ret = datafs_listing_fetch(ls, dir, cookie);
		if (ret)
			return ret;
	}
	for (;;) {
		if (!ls->left) {
			if (ls->eof) {
				datafs_listing_end(ls);
				return 0;
			}
			ret = datafs_listing_fetch(ls, dir, ls->cookie);
			if (ret)
				return ret;
			continue;
		}
		pos = ls->pos;
		if (datafs_reply_dirent(ls->req->reply, ls->req->reply_len,
					&pos, ls->cookie, &ent, &name)) {
			ret = datafs_request_bad(ls->req, "listed entry");
			datafs_listing_drop(ls);
			return ret;
		}
		/* Taken only when the program has it. */
		if (!dir_emit(ctx, name, ent.namelen, ent.attr.ino,
			      fs_umode_to_dtype(ent.attr.mode)))
			return 0;
		ls->pos = pos;
		ls->left--;
		ls->cookie = ent.cookie;
		ctx->pos = ent.cookie;
		datafs_listing_cache(ls, file->f_path.dentry, &ent, name);
	}
}

static loff_t datafs_dir_llseek(struct file *file, loff_t off, int whence)
{
	switch (whence) {
	case SEEK_CUR:
		off += file->f_pos;
		break;
	case SEEK_SET:
		break;
	default:
		return -EINVAL;
	}
	return vfs_setpos(file, off, S64_MAX);
}

static int datafs_dir_open(struct inode *inode, struct file *file)
{
	int ret = datafs_inode_revalidate(inode, false);

	if (ret)
		return ret;
	file->private_data = kzalloc(sizeof(struct datafs_listing),
				     GFP_KERNEL_ACCOUNT);
	return file->private_data ? 0 : -ENOMEM;
}

static int datafs_dir_release(struct inode *inode, struct file *file)
{
	datafs_listing_drop(file->private_data);
	kfree(file->private_data);
	return 0;
}

const struct file_operations datafs_dir_ops = {
	.owner		= THIS_MODULE,
	.open		= datafs_dir_open,
	.release	= datafs_dir_release,
	.llseek		= datafs_dir_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= datafs_iterate,
	.fsync		= noop_fsync,
};
