// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: names. Lookup, symlinks.
 *
 * What a dentry says, a name or its absence, holds until d_time, as long as
 * the directory's generation of names is the one in d_fsdata: that changes when
 * cached names must go, because the daemon says so or with the directory's content.
 * Both are written together, under d_lock, when the daemon has just confirmed the
 * name, and read without a lock: whoever sees one of each is served by a
 * confirmation of this moment, or asks again in vain.
 */
#include <linux/namei.h>
#include <linux/slab.h>
#include "datafs.h"
#include "kept.h"

/* ------------------------------------------------------------------ names */

/*
 *   takes an answer                   datafs_entry_expire()
 *   d_lock: older than name_seq? no
 *                                     raises name_seq
 *   writes d_time
 *                                     d_lock: d_time = 0
 *
 * Of two that confirm a name, neither leaves half of what it has to say.
 */
void datafs_entry_confirm(struct dentry *dentry, const struct inode *dir, u64 names,
			  u64 seq, u64 until)
{
	spin_lock(&dentry->d_lock);
	if (seq < READ_ONCE(datafs_i(dir)->name_seq))
		until = 0;
	WRITE_ONCE(dentry->d_fsdata, (void *)names);
	WRITE_ONCE(dentry->d_time, until);
	spin_unlock(&dentry->d_lock);
}

void datafs_entry_doubt(struct dentry *dentry)
{
	spin_lock(&dentry->d_lock);
	WRITE_ONCE(dentry->d_time, 0);
	spin_unlock(&dentry->d_lock);
}

/*
 *   takes an answer                datafs_invalidate_item()
 *   confirms the name
 *                                  raises name_seq
 *                                  does not find the dentry
 *   hashes the dentry
 *   sees name_seq
 */
void datafs_entry_hashed(struct dentry *dentry, const struct inode *dir, u64 seq)
{
	smp_mb();	/* after it is hashed; pairs with datafs_invalidate_item() */
	if (seq < READ_ONCE(datafs_i(dir)->name_seq))
		datafs_entry_doubt(dentry);
}

void datafs_entry_settle(struct dentry *dentry, struct inode *dir, int changed, u64 seq)
{
	datafs_entry_hashed(dentry, dir, seq);
	if (datafs_names_changed(dir, changed))
		datafs_entry_doubt(dentry);
}

static bool datafs_entry_is_valid(const struct dentry *dentry,
				  const struct inode *dir)
{
	const struct datafs_mount *mnt = datafs_mnt(dir->i_sb);

	return datafs_is_valid(mnt, &mnt->entry_policy,
			       READ_ONCE(dentry->d_time)) &&
	       (u64)READ_ONCE(dentry->d_fsdata) == datafs_dir_names(dir);
}

/* One that is being looked up is not found, and its answer is older than name_seq. */
void datafs_entry_expire(struct inode *dir, const char *name, unsigned int len)
{
	struct qstr qname = QSTR_INIT(name, len);
	struct dentry *parent = d_find_any_alias(dir), *dentry;

	if (!parent)
		return;
	qname.hash = full_name_hash(parent, name, len);
	dentry = d_lookup(parent, &qname);
	if (dentry) {
		datafs_entry_doubt(dentry);
		dput(dentry);
	}
	dput(parent);
}

u64 datafs_entry_until(const struct inode *dir, u32 valid_ms, u64 seq,
			      u64 when)
{
	const struct datafs_mount *mnt = datafs_mnt(dir->i_sb);

	return datafs_until(mnt, &mnt->entry_policy, valid_ms, seq, when);
}

/* LOOKUP; ino 0 if the name is absent. *@seq is what the request carried. */
static int datafs_entry_upcall(struct inode *dir, const struct qstr *name,
			       struct datafs_entry *entry, u64 *seq)
{
	struct datafs_request *req;
	int ret;

	req = datafs_request_alloc_name(datafs_mnt(dir->i_sb), DATAFS_OP_LOOKUP,
					dir->i_ino, name->name, name->len);
	if (!req)
		return -ENOMEM;
	ret = datafs_request_call(req);
	if (!ret && datafs_reply_entry(req->reply, req->reply_len, entry))
		ret = datafs_request_bad(req, "entry");
	if (ret == -ENOENT) {
		/* Absent now, with nothing said about later. */
		memset(entry, 0, sizeof(*entry));
		ret = 0;
	}
	*seq = req->head.seq;
	datafs_request_put(req);
	return ret;
}

struct dentry *datafs_splice(struct inode *inode, struct dentry *dentry)
{
	struct dentry *root = dentry->d_sb->s_root, *alias;
	bool astray;

	if (inode && S_ISDIR(inode->i_mode) &&
	    dentry->d_parent->d_flags & DCACHE_DISCONNECTED &&
	    !is_subdir(dentry->d_parent, root)) {
		alias = d_find_any_alias(inode);
		astray = alias && is_subdir(alias, root);
		dput(alias);
		if (astray) {
			iput(inode);
			return ERR_PTR(-ESTALE);
		}
	}
	return d_splice_alias(inode, dentry);
}

static int datafs_lookup_upcall(struct inode *dir, const struct qstr *name,
				struct datafs_kept_name *res)
{
	struct datafs_entry entry;
	u64 now;
	int ret;

	*res = (struct datafs_kept_name) { .names = datafs_dir_names(dir) };
	ret = datafs_entry_upcall(dir, name, &entry, &res->seq);
	if (ret)
		return ret;
	now = get_jiffies_64();
	res->until = datafs_entry_until(dir, entry.valid_ms, res->seq, now);
	if (entry.attr.ino)
		res->inode = datafs_iget(dir->i_sb, &entry.attr, res->seq, now);
	return PTR_ERR_OR_ZERO(res->inode);
}

struct dentry *datafs_lookup(struct inode *dir, struct dentry *dentry,
			     unsigned int flags)
{
	int changed = datafs_names_begin(dir);
	struct datafs_kept_name name;
	struct dentry *alias;
	int ret;

	if (dentry->d_name.len > DATAFS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (flags & LOOKUP_REVAL || !datafs_kept_lookup(dir, &dentry->d_name, &name)) {
		ret = datafs_lookup_upcall(dir, &dentry->d_name, &name);
		if (ret)
			return ERR_PTR(ret);
	}
	datafs_entry_confirm(dentry, dir, name.names, name.seq, name.until);
	alias = datafs_splice(name.inode, dentry);
	if (!IS_ERR_OR_NULL(alias))
		datafs_entry_confirm(alias, dir, name.names, name.seq, name.until);
	if (!IS_ERR(alias))
		datafs_entry_settle(alias ?: dentry, dir, changed, name.seq);
	return alias;
}

/*
 * The VFS decides by the owner and mode of what a name leads to, and asks nobody: may it
 * be removed from a sticky directory, is a link followed, or made. So a name holds only
 * together with these. On the way to another name ->permission sees to that.
 */
static int datafs_entry_with_attr(const struct dentry *dentry, unsigned int flags)
{
	struct inode *inode = d_inode_rcu(dentry);
	int ret;

	if (!inode || flags & LOOKUP_PARENT || datafs_inode_attr_valid(inode))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	ret = datafs_inode_revalidate(inode, false);
	return ret ?: 1;
}

/* Has it still the name that was asked for? */
static bool datafs_entry_stays(struct dentry *dentry, const struct inode *dir,
			       const struct qstr *name)
{
	bool stays;

	spin_lock(&dentry->d_lock);
	stays = d_inode(dentry->d_parent) == dir &&
		dentry->d_name.len == name->len &&
		!memcmp(dentry->d_name.name, name->name, name->len);
	spin_unlock(&dentry->d_lock);
	return stays;
}

/*
 * May a change by this mount have overtaken the answer that the name leads elsewhere?
 * Where others change names, too, one that is under way beside it says nothing: it may
 * take long, and they are to be seen. One that has just ended may have yet to move it.
 */
static bool datafs_entry_overtaken(const struct inode *dir, const struct inode *inode,
				   int changed, int tries)
{
	/* Nothing is mounted on what is not there. */
	if (!inode || !datafs_names_changed(dir, changed))
		return false;
	return !tries || !datafs_has_lease(datafs_mnt(dir->i_sb)) ||
	       READ_ONCE(datafs_i(inode)->changing_by);
}

/* Does the directory's kept listing say the same? Then the name holds as long as that. */
static bool datafs_entry_is_listed(struct inode *dir, const struct qstr *name,
				   struct dentry *dentry)
{
	int changed = datafs_names_begin(dir);
	struct datafs_kept_name known;
	bool same;

	if (!datafs_kept_lookup(dir, name, &known))
		return false;
	same = known.inode == d_inode(dentry);
	iput(known.inode);
	if (!same)
		return false;
	datafs_entry_confirm(dentry, dir, known.names, known.seq, known.until);
	datafs_entry_settle(dentry, dir, changed, known.seq);
	return true;
}

/* How often a name is asked for while this mount changes names beside it. */
#define DATAFS_NAME_TRIES	4

/*
 * 1: the name leads where it did. 0: the daemon proved that it does not; this
 * detaches what is mounted below, so it is never said for an expiry or an error,
 * nor when a change by this mount overtook the answer: the dentry may have
 * another name by now.
 */
static int datafs_entry_revalidate(struct inode *dir, const struct qstr *name,
				   struct dentry *dentry, unsigned int flags)
{
	int ret, changed, tries = 0;
	struct datafs_entry entry;
	struct inode *inode;
	u64 names, seq, now;

	/* The root, or reached by a file handle: there is no name to ask for. */
	if (IS_ROOT(dentry))
		return 1;
	if (!(flags & LOOKUP_REVAL) && datafs_entry_is_valid(dentry, dir))
		return datafs_entry_with_attr(dentry, flags);
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (!(flags & LOOKUP_REVAL) && datafs_entry_is_listed(dir, name, dentry))
		return datafs_entry_with_attr(dentry, flags);

	do {
		changed = datafs_names_begin(dir);
		names = datafs_dir_names(dir);
		ret = datafs_entry_upcall(dir, name, &entry, &seq);
		if (ret)
			return ret;
		now = get_jiffies_64();
		inode = d_inode(dentry);
		if (entry.attr.ino == (inode ? inode->i_ino : 0))
			break;
		/* It was found before it was moved; what is here now is another. */
		if (!datafs_entry_stays(dentry, dir, name))
			return 1;
		if (!datafs_entry_overtaken(dir, inode, changed, tries))
			return 0;
	} while (++tries < DATAFS_NAME_TRIES);
	if (tries == DATAFS_NAME_TRIES)
		return 1;
	if (inode) {
		ret = datafs_inode_update(inode, &entry.attr, seq, now);
		/* Dropped, and what is known may be older still. */
		if (ret > 0)
			ret = datafs_inode_revalidate(inode, false);
		if (ret < 0)
			return ret;
	}
	datafs_entry_confirm(dentry, dir, names, seq,
			     datafs_entry_until(dir, entry.valid_ms, seq, now));
	datafs_entry_settle(dentry, dir, changed, seq);
	return 1;
}

DATAFS_D_REVALIDATE(datafs_d_revalidate, datafs_entry_revalidate)

/*
 * A name of something leaves the dcache, not because it is gone. Under d_lock, so the
 * parent stays.
 */
static void datafs_d_prune(struct dentry *dentry)
{
	struct inode *dir;

	if (IS_ROOT(dentry) || d_unhashed(dentry) || !d_inode(dentry))
		return;
	dir = d_inode(dentry->d_parent);
	if (dir)
		atomic_inc(&datafs_i(dir)->pruned);
}

const struct dentry_operations datafs_dentry_ops = {
	.d_revalidate	= datafs_d_revalidate,
	.d_prune	= datafs_d_prune,
};

/* --------------------------------------------------------------- symlinks */

void datafs_link_put(struct datafs_link *link)
{
	if (link && refcount_dec_and_test(&link->ref))
		kfree_rcu(link, rcu);
}

/* The VFS is done with a target that datafs_get_link() handed out. */
static void datafs_link_done(void *link)
{
	datafs_link_put(link);
}

static struct datafs_link *datafs_link_find(struct inode *inode)
{
	struct datafs_link *link;

	rcu_read_lock();
	link = rcu_dereference(datafs_i(inode)->link);
	if (link && !refcount_inc_not_zero(&link->ref))
		link = NULL;
	rcu_read_unlock();
	return link;
}

/*
 * Keeps @link, with a reference of its own, unless the target changed after
 * the daemon had read the request, or somebody else was faster.
 */
static void datafs_link_keep(struct inode *inode, struct datafs_link *link,
			     u64 seq)
{
	struct datafs_inode *di = datafs_i(inode);

	spin_lock(&di->attr_lock);
	if (seq >= di->attr_seq &&
	    !rcu_dereference_protected(di->link,
				       lockdep_is_held(&di->attr_lock))) {
		refcount_inc(&link->ref);
		rcu_assign_pointer(di->link, link);
	}
	spin_unlock(&di->attr_lock);
}

/* READLINK; with a reference, or ERR_PTR. */
static struct datafs_link *datafs_link_upcall(struct inode *inode)
{
	struct datafs_link *link = NULL;
	struct datafs_request *req;
	int ret;

	req = datafs_request_alloc(datafs_mnt(inode->i_sb), DATAFS_OP_READLINK,
				   inode->i_ino, 0, GFP_KERNEL);
	if (!req)
		return ERR_PTR(-ENOMEM);
	ret = datafs_request_call(req);
	if (ret)
		goto out;
	if (!req->reply_len || req->reply_len > DATAFS_SYMLINK_MAX ||
	    memchr(req->reply, '\0', req->reply_len)) {
		ret = datafs_request_bad(req, "target");
		goto out;
	}
	link = kmalloc(struct_size(link, target, req->reply_len + 1),
		       GFP_KERNEL_ACCOUNT);
	if (!link) {
		ret = -ENOMEM;
		goto out;
	}
	refcount_set(&link->ref, 1);
	memcpy(link->target, req->reply, req->reply_len);
	link->target[req->reply_len] = '\0';
	datafs_link_keep(inode, link, req->head.seq);
out:
	datafs_request_put(req);
	return ret ? ERR_PTR(ret) : link;
}

/*
 * Not through i_link: the VFS follows that without a reference, and a
 * target here may change while it is followed.
 */
static const char *datafs_get_link(struct dentry *dentry, struct inode *inode,
				   struct delayed_call *done)
{
	struct datafs_link *link;
	int ret;

	if (!datafs_inode_attr_valid(inode)) {
		if (!dentry)
			return ERR_PTR(-ECHILD);
		ret = datafs_inode_revalidate(inode, false);
		if (ret)
			return ERR_PTR(ret);
	}
	link = datafs_link_find(inode);
	if (!link) {
		if (!dentry)
			return ERR_PTR(-ECHILD);
		link = datafs_link_upcall(inode);
		if (IS_ERR(link))
			return ERR_CAST(link);
	}
	set_delayed_call(done, datafs_link_done, link);
	return link->target;
}

const struct inode_operations datafs_symlink_iops = {
	.get_link	= datafs_get_link,
	.setattr	= datafs_setattr,
	.getattr	= datafs_getattr,
	.listxattr	= datafs_listxattr,
};
