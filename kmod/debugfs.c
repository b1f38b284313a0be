// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: debugfs, datafs/<mount>/requests and extents: what there is just now.
 * For people; no program may depend on it.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "datafs.h"

#define DATAFS_DEBUG_ITEMS	512

static struct dentry *datafs_debug_root;

static void datafs_debug_queue(struct seq_file *m, struct datafs_mount *mnt,
			       const struct list_head *queue, const char *state)
{
	const struct datafs_request *req;

	list_for_each_entry(req, queue, node) {
		if (seq_has_overflowed(m))
			return;
		if (req->head.mount_id != mnt->id)
			continue;
		seq_printf(m, "%llu %s %s ino %llu seq %llu%s%s\n", req->head.id,
			   state, datafs_op_names[req->head.opcode],
			   req->head.ino, req->head.seq,
			   req->head.flags & DATAFS_REQ_RESEND ? " resend" : "",
			   req->head.flags & DATAFS_REQ_PREFETCH ? " prefetch" : "");
	}
}

static int datafs_debug_requests_show(struct seq_file *m, void *v)
{
	struct datafs_mount *mnt = m->private;
	struct datafs_instance *inst = mnt->inst;

	spin_lock(&inst->lock);
	datafs_debug_queue(m, mnt, &mnt->waiting, "waiting");
	datafs_debug_queue(m, mnt, &inst->pending, "pending");
	datafs_debug_queue(m, mnt, &inst->sent, "sent");
	spin_unlock(&inst->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(datafs_debug_requests);

static int datafs_debug_extents_show(struct seq_file *m, void *v)
{
	struct datafs_mount *mnt = m->private;
	struct datafs_held_list list = {
		.room = DATAFS_DEBUG_ITEMS, .mount_id = mnt->id,
	};
	struct datafs_held *items;
	u32 i;
	int err;

	items = kvmalloc_array(list.room, sizeof(*items), GFP_KERNEL);
	if (!items)
		return -ENOMEM;
	do {
		err = datafs_ext_list(mnt->inst, &list, items);
		for (i = 0; !err && i < list.count &&
		     items[i].mount_id == mnt->id; i++)
			seq_printf(m, "ino %llu content %llu off %llu len %llu backing %u:%llu%s%s\n",
				   items[i].ino, items[i].content, items[i].off,
				   items[i].len, items[i].backing_id,
				   items[i].backing_off,
				   items[i].flags & DATAFS_HELD_DYING ? " dying" : "",
				   items[i].flags & DATAFS_HELD_OTHER ? " other" : "");
	} while (!err && list.count && i == list.count &&
		 !seq_has_overflowed(m));
	kvfree(items);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(datafs_debug_extents);

/* debugfs(7) without debugfs is no error. */
void datafs_debugfs_add(struct datafs_mount *mnt)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", mnt->id);
	mnt->debug = debugfs_create_dir(name, datafs_debug_root);
	debugfs_create_file("requests", 0400, mnt->debug, mnt,
			    &datafs_debug_requests_fops);
	debugfs_create_file("extents", 0400, mnt->debug, mnt,
			    &datafs_debug_extents_fops);
}

void datafs_debugfs_del(struct datafs_mount *mnt)
{
	debugfs_remove(mnt->debug);
}

int datafs_debugfs_init(void)
{
	datafs_debug_root = debugfs_create_dir("datafs", NULL);
	return 0;
}

void datafs_debugfs_exit(void)
{
	debugfs_remove(datafs_debug_root);
}
