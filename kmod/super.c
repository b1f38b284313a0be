// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: mounting, unmounting, and what is said about a whole mount.
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/workqueue.h>
#include "kept.h"
#include "options.h"

#define DATAFS_INSTANCE_DEFAULT	"default"
/* Read-ahead, unless somebody writes another value to the bdi in sysfs. */
#define DATAFS_READAHEAD	(512u << 10)

/* Under way for one mount, unless somebody writes another value in sysfs. */
#define DATAFS_REQUESTS		1024

static atomic_t datafs_last_mount_id = ATOMIC_INIT(0);

/* ---------------------------------------------------- a mount's beginning */

static void datafs_mount_free(struct datafs_mount *mnt)
{
	if (mnt->umount_req)
		datafs_request_put(mnt->umount_req);
	datafs_instance_put(mnt->inst);
	xa_destroy(&mnt->held);
	kfree(mnt->source);
	kfree(mnt->options);
	kfree_rcu(mnt, rcu);
}

/* Takes over the reference of @inst, also when it fails. */
static struct datafs_mount *datafs_mount_new(struct datafs_instance *inst,
					     const char *source,
					     const struct datafs_opts *opts)
{
	struct datafs_mount *mnt;

	mnt = kzalloc(sizeof(*mnt), GFP_KERNEL);
	if (!mnt) {
		datafs_instance_put(inst);
		return NULL;
	}
	mnt->inst = inst;
	INIT_LIST_HEAD(&mnt->node);
	INIT_LIST_HEAD(&mnt->waiting);
	INIT_LIST_HEAD(&mnt->changes);
	mnt->max_requests = DATAFS_REQUESTS;
	refcount_set(&mnt->users, 1);
	init_completion(&mnt->users_gone);
	spin_lock_init(&mnt->statfs_lock);
	xa_init(&mnt->held);
	spin_lock_init(&mnt->order_lock);
	INIT_LIST_HEAD(&mnt->order);
	mnt->statfs.bsize = DATAFS_GRANULE;
	mnt->statfs.namelen = DATAFS_NAME_MAX;
	mnt->id = atomic_inc_return(&datafs_last_mount_id);
	get_random_bytes(mnt->incarnation, sizeof(mnt->incarnation));
	mnt->attr_policy.max_ms = DATAFS_FOREVER;
	mnt->entry_policy.max_ms = DATAFS_FOREVER;
	atomic64_set(&mnt->lease_until, DATAFS_LEASE_NONE);
	mnt->verify = opts->verify_given ? opts->verify : DATAFS_VERIFY_ALWAYS;
	mnt->source = kstrdup(source, GFP_KERNEL);
	mnt->options = datafs_daemon_options(opts);
	mnt->umount_req = datafs_request_alloc(mnt, DATAFS_OP_UMOUNT, 0, 0,
					       GFP_KERNEL);
	if (!mnt->source || !mnt->options || !mnt->umount_req) {
		datafs_mount_free(mnt);
		return NULL;
	}
	return mnt;
}

static struct datafs_request *datafs_mount_request(struct datafs_mount *mnt)
{
	u32 source_len = strlen(mnt->source), options_len = strlen(mnt->options);
	struct datafs_mount_req *body;
	struct datafs_request *req;

	req = datafs_request_alloc(mnt, DATAFS_OP_MOUNT, 0,
				   sizeof(*body) + source_len + options_len,
				   GFP_KERNEL);
	if (!req)
		return NULL;
	body = (struct datafs_mount_req *)req->body;
	memcpy(body->incarnation, mnt->incarnation, sizeof(body->incarnation));
	body->source_len = source_len;
	body->options_len = options_len;
	memcpy(body + 1, mnt->source, source_len);
	memcpy((char *)(body + 1) + source_len, mnt->options, options_len);
	return req;
}

/*
 * Asks the daemon for the root. Killable, and nothing is locked: the
 * superblock is made afterwards, for sync(2) and suspend would wait for one
 * that is not complete. From the first try on an UMOUNT is owed: whether the
 * daemon saw the MOUNT of a killed mount(2) is not known.
 */
static int datafs_mount_upcall(struct datafs_mount *mnt, struct fs_context *fc)
{
	struct datafs_request *req;
	int ret;

	req = datafs_mount_request(mnt);
	if (!req)
		return -ENOMEM;
	ret = datafs_request_queue(req);
	if (!ret) {
		mnt->asked = true;
		ret = datafs_request_wait(req);
	}
	if (ret && ret != -EINTR)
		errorfc(fc, "source %s: the daemon of instance %s refuses it (error %d); its log says why",
			mnt->source, mnt->inst->name, ret);
	if (!ret && (datafs_reply_attr(req->reply, req->reply_len, &mnt->root) ||
		     !S_ISDIR(mnt->root.mode)))
		ret = datafs_request_bad(req, "root directory");
	mnt->root_seq = req->head.seq;
	mnt->root_when = get_jiffies_64();
	datafs_request_put(req);
	return ret;
}

/* Nobody from outside finds the mount any more, nothing of it is under way. */
static void datafs_mount_stop(struct datafs_mount *mnt)
{
	if (!list_empty(&mnt->node))
		datafs_instance_del_mount(mnt);
	datafs_requests_abort(mnt, -ENOTCONN);
	datafs_mount_put(mnt);
	wait_for_completion(&mnt->users_gone);
}

/* The inodes and their extents are gone: the daemon may use their space. */
static void datafs_mount_finish(struct datafs_mount *mnt)
{
	/* Without a daemon there is nobody who holds space for this mount. */
	if (mnt->asked)
		datafs_request_queue(mnt->umount_req);
	datafs_mount_free(mnt);
}

/* ------------------------------------------------------------- superblock */

static int datafs_statfs_upcall(struct datafs_mount *mnt, u64 ino,
				struct datafs_statfs *st)
{
	struct datafs_request *req;
	int ret;

	req = datafs_request_alloc(mnt, DATAFS_OP_STATFS, ino, 0, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	ret = datafs_request_call(req);
	if (!ret && datafs_reply_statfs(req->reply, req->reply_len, st))
		ret = datafs_request_bad(req, "statfs");
	datafs_request_put(req);
	return ret;
}

/*
 * A directory may have numbers of its own (a quota). Without a daemon the last ones of
 * the root do: umount(8) asks what it is about to unmount, and must not wait for the
 * daemon that it is to be rid of.
 */
static int datafs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct datafs_mount *mnt = datafs_mnt(dentry->d_sb);
	struct datafs_statfs st;
	int ret;

	if (datafs_mount_is_live(mnt)) {
		ret = datafs_statfs_upcall(mnt, d_inode(dentry)->i_ino, &st);
		if (ret)
			return ret;
		spin_lock(&mnt->statfs_lock);
		if (dentry == dentry->d_sb->s_root)
			mnt->statfs = st;
		spin_unlock(&mnt->statfs_lock);
	} else {
		spin_lock(&mnt->statfs_lock);
		st = mnt->statfs;
		spin_unlock(&mnt->statfs_lock);
	}
	buf->f_type = DATAFS_SUPER_MAGIC;
	buf->f_bsize = st.bsize;
	buf->f_frsize = st.bsize;
	buf->f_blocks = st.blocks;
	buf->f_bfree = st.bfree;
	buf->f_bavail = st.bavail;
	buf->f_files = st.files;
	buf->f_ffree = st.ffree;
	buf->f_namelen = st.namelen;
	buf->f_fsid = uuid_to_fsid(mnt->incarnation);
	return 0;
}

/* umount -f: whoever waits now gets EIO, as NFS has it. */
static void datafs_umount_begin(struct super_block *sb)
{
	datafs_requests_abort(datafs_mnt(sb), -EIO);
}

static long datafs_nr_cached(struct super_block *sb, struct shrink_control *sc)
{
	struct datafs_mount *mnt = datafs_mnt(sb);

	return datafs_lru_count(mnt, sc) + datafs_kept_count(mnt, sc);
}

static long datafs_free_cached(struct super_block *sb, struct shrink_control *sc)
{
	struct datafs_mount *mnt = datafs_mnt(sb);
	unsigned long nr = sc->nr_to_scan, kept = datafs_kept_count(mnt, sc);
	unsigned long freed;

	/* Of both as large a part. */
	sc->nr_to_scan = DIV64_U64_ROUND_UP((u64)nr * kept,
					    kept + datafs_lru_count(mnt, sc) + 1);
	nr -= sc->nr_to_scan;
	freed = datafs_kept_scan(mnt, sc);
	sc->nr_to_scan = nr;
	return freed + datafs_lru_scan(mnt, sc);
}

static const struct super_operations datafs_super_ops = {
	.alloc_inode	= datafs_alloc_inode,
	.free_inode	= datafs_free_inode,
	.evict_inode	= datafs_evict_inode,
	.statfs		= datafs_statfs,
	.umount_begin	= datafs_umount_begin,
	.show_options	= datafs_show_options,
	.nr_cached_objects	= datafs_nr_cached,
	.free_cached_objects	= datafs_free_cached,
};

static int datafs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct datafs_mount *mnt = datafs_mnt(sb);
	struct inode *root;
	int ret;

	sb->s_flags |= SB_NOATIME | SB_POSIXACL;
	sb->s_magic = DATAFS_SUPER_MAGIC;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_blocksize = DATAFS_GRANULE;
	sb->s_blocksize_bits = DATAFS_GRANULE_SHIFT;
	sb->s_op = &datafs_super_ops;
	sb->s_export_op = &datafs_export_ops;
	datafs_set_d_op(sb, &datafs_dentry_ops);
	datafs_set_xattr_handlers(sb, datafs_xattr_handlers);
	datafs_set_uuid(sb, mnt->incarnation);

	ret = super_setup_bdi(sb);
	if (ret)
		return ret;
	sb->s_bdi->ra_pages = DATAFS_READAHEAD >> PAGE_SHIFT;
	sb->s_bdi->io_pages = DATAFS_READAHEAD >> PAGE_SHIFT;
	ret = datafs_lru_init(mnt, sb);
	if (!ret)
		ret = datafs_kept_mount(mnt, sb);
	if (ret)
		return ret;
	mnt->retry_wq = alloc_workqueue("datafs_retry", WQ_UNBOUND, 0);
	if (!mnt->retry_wq)
		return -ENOMEM;

	/* From now on a revocation may look for inodes. */
	smp_store_release(&mnt->sb, sb);
	ret = datafs_sysfs_add(mnt);
	if (ret)
		return ret;
	datafs_debugfs_add(mnt);
	root = datafs_iget(sb, &mnt->root, mnt->root_seq, mnt->root_when);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	datafs_event_mount(DATAFS_CMD_MOUNTED, mnt);
	return 0;
}

/* Also after a mount(2) that failed. */
static void datafs_kill_sb(struct super_block *sb)
{
	struct datafs_mount *mnt = datafs_mnt(sb);
	bool mounted = sb->s_root;

	datafs_debugfs_del(mnt);
	datafs_sysfs_del(mnt);
	datafs_mount_stop(mnt);
	/*
	 * What is cached below a directory that was reached by a handle, and never
	 * connected, is not found from the root.
	 */
	shrink_dcache_sb(sb);
	kill_anon_super(sb);
	datafs_lru_exit(mnt);
	datafs_kept_umount(mnt);
	if (mnt->retry_wq)
		destroy_workqueue(mnt->retry_wq);
	if (mounted)
		datafs_event_mount(DATAFS_CMD_UNMOUNTED, mnt);
	datafs_mount_finish(mnt);
}

/* ----------------------------------------------------------- mount context */

static int datafs_get_tree(struct fs_context *fc)
{
	const struct datafs_opts *opts = fc->fs_private;
	const char *name = opts->instance ?: DATAFS_INSTANCE_DEFAULT;
	struct datafs_instance *inst;
	struct datafs_mount *mnt;
	int ret;

	if (!fc->source || !*fc->source)
		return invalfc(fc, "no source: name the tree to mount");
	if (strlen(fc->source) > DATAFS_SOURCE_MAX)
		return invalfc(fc, "the source is longer than %d bytes",
			       DATAFS_SOURCE_MAX);
	inst = datafs_instance_find(name);
	if (!inst) {
		errorfc(fc, "instance %s: no daemon of that name runs; start datafsd, or mount with mount.datafs",
			name);
		return -ENOTCONN;
	}
	mnt = datafs_mount_new(inst, fc->source, opts);
	if (!mnt)
		return -ENOMEM;
	if (strlen(mnt->options) > DATAFS_OPTIONS_MAX) {
		datafs_mount_free(mnt);
		return invalfc(fc, "the options are longer than %d bytes",
			       DATAFS_OPTIONS_MAX);
	}
	/* Belongs to the superblock as soon as there is one. */
	fc->s_fs_info = mnt;
	ret = datafs_instance_add_mount(inst, mnt);
	if (ret) {
		errorfc(fc, "instance %s: its daemon has ended; start it again",
			name);
		return ret;
	}
	ret = datafs_mount_upcall(mnt, fc);
	if (ret)
		return ret;
	if (!(mnt->root.flags & DATAFS_ATTR_CHANGES))
		fc->sb_flags |= SB_RDONLY;
	return get_tree_nodev(fc, datafs_fill_super);
}

static void datafs_free_fc(struct fs_context *fc)
{
	/* A mount that got no superblock. */
	if (fc->s_fs_info) {
		datafs_mount_stop(fc->s_fs_info);
		datafs_mount_finish(fc->s_fs_info);
	}
	datafs_opts_free(fc->fs_private);
}

static const struct fs_context_operations datafs_context_ops = {
	.parse_param	= datafs_parse_param,
	.get_tree	= datafs_get_tree,
	.reconfigure	= datafs_reconfigure,
	.free		= datafs_free_fc,
};

static int datafs_init_fs_context(struct fs_context *fc)
{
	/* The VFS refuses it too, later, and without a word. */
	if (fc->user_ns != &init_user_ns) {
		pr_notice_ratelimited("datafs: a mount by a user namespace is refused: the daemon's user ids are those of the initial one\n");
		return -EPERM;
	}
	fc->fs_private = kzalloc(sizeof(struct datafs_opts), GFP_KERNEL);
	if (!fc->fs_private)
		return -ENOMEM;
	fc->ops = &datafs_context_ops;
	return 0;
}

/* Neither FS_USERNS_MOUNT nor FS_ALLOW_IDMAP. */
struct file_system_type datafs_fs_type = {
	.owner			= THIS_MODULE,
	.name			= "datafs",
	.init_fs_context	= datafs_init_fs_context,
	.parameters		= datafs_params,
	.kill_sb		= datafs_kill_sb,
};
