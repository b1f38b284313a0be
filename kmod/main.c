// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: the module itself.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>

#include "datafs.h"
#include "kept.h"
#define CREATE_TRACE_POINTS
#include "trace.h"

static int datafs_fs_init(void)
{
	return register_filesystem(&datafs_fs_type);
}

static void datafs_fs_exit(void)
{
	unregister_filesystem(&datafs_fs_type);
}

/*
 * Each needs those above it: mounts and daemons send events, and both need
 * the caches. The device is last, since an open file must not see the module
 * fail to load.
 */
static const struct {
	const char *name;
	int (*init)(void);
	void (*exit)(void);
} datafs_parts[] = {
	{ "inode cache",  datafs_inode_cache_init, datafs_inode_cache_exit },
	{ "extent cache", datafs_ext_cache_init, datafs_ext_cache_exit },
	{ "listing cache", datafs_kept_init,	   datafs_kept_exit },
	{ "I/O",	  datafs_io_init,	   datafs_io_exit },
	{ "netlink",	  datafs_netlink_init,	   datafs_netlink_exit },
	{ "sysfs",	  datafs_sysfs_init,	   datafs_sysfs_exit },
	{ "debugfs",	  datafs_debugfs_init,	   datafs_debugfs_exit },
	{ "filesystem",	  datafs_fs_init,	   datafs_fs_exit },
	{ "device",	  datafs_dev_init,	   datafs_dev_exit },
};

static void datafs_unwind(int parts)
{
	while (parts--)
		datafs_parts[parts].exit();
}

static int __init datafs_init(void)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(datafs_parts); i++) {
		err = datafs_parts[i].init();
		if (err) {
			pr_err("cannot load: %s: error %d\n",
			       datafs_parts[i].name, err);
			datafs_unwind(i);
			return err;
		}
	}
	return 0;
}

static void __exit datafs_exit(void)
{
	datafs_unwind(ARRAY_SIZE(datafs_parts));
}

module_init(datafs_init);
module_exit(datafs_exit);

MODULE_DESCRIPTION("DataFS: remote trees, read through extents of a local cache");
MODULE_VERSION(DATAFS_VERSION);
MODULE_LICENSE("GPL");
MODULE_ALIAS_FS("datafs");
MODULE_SOFTDEP("pre: crc32c");
