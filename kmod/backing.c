// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: backing files, as the daemon registers them.
 *
 * Lookups take no lock: they find an id under RCU and win a reference, or the
 * file is on its way out and counts as not registered.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/slab.h>

#include "datafs.h"

static int datafs_backing_check(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct super_block *sb = inode->i_sb;

	if (!S_ISREG(inode->i_mode))
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	/* reads that went through datafs, also below another, could wait for their own answer */
	if (sb->s_magic == DATAFS_SUPER_MAGIC ||
	    sb->s_stack_depth)
		return -ELOOP;
	if (!(file->f_flags & O_DIRECT) || !(file->f_mode & FMODE_CAN_ODIRECT) ||
	    !file->f_op->read_iter)
		return -EINVAL;
	/* extents are placed by granules */
	if (sb->s_bdev && bdev_logical_block_size(sb->s_bdev) > DATAFS_GRANULE)
		return -EINVAL;
	return 0;
}

/*
 * Backing files are a class of locks of their own. A read takes their i_rwsem
 * below invalidate_lock, and a fault takes invalidate_lock below mmap_lock, so
 * nothing may take mmap_lock below their i_rwsem: the daemon, which alone writes
 * them, does that from memory that it registered (daemon/cache/iobuf.h). Other
 * files of their filesystem are written from memory that is pinned or faulted
 * in below i_rwsem, and as one class lockdep would see a circle in both.
 * The key is the module's, so the file gets its old class back, by the very
 * pointers that it had: lockdep compares the names' addresses.
 */
#ifdef CONFIG_LOCKDEP
static struct lock_class_key datafs_backing_key;

/* Nobody may hold it while its class changes; who does keeps the old. */
static bool datafs_backing_idle(struct inode *inode)
{
	if (!inode_trylock(inode))
		return false;
	inode_unlock(inode);
	return true;
}

static void datafs_backing_class_take(struct datafs_backing_file *bf)
{
	struct inode *inode = file_inode(bf->file);
	struct lockdep_map *map = &inode->i_rwsem.dep_map;

	/* registered twice: the first one gives it back */
	if (map->key == &datafs_backing_key || !datafs_backing_idle(inode))
		return;
	bf->lock_key = map->key;
	bf->lock_name = map->name;
	lockdep_set_class(&inode->i_rwsem, &datafs_backing_key);
}

/* False: it cannot be done here, for the caller may hold that lock itself. */
static bool datafs_backing_class_give(struct datafs_backing_file *bf)
{
	struct inode *inode = file_inode(bf->file);

	if (!bf->lock_key)
		return true;
	/* it must be gone with the module, so this waits */
	while (!datafs_backing_idle(inode)) {
		if (current->flags & (PF_MEMALLOC | PF_KSWAPD))
			return false;
		cond_resched();
	}
	lockdep_set_class_and_name(&inode->i_rwsem, bf->lock_key, bf->lock_name);
	return true;
}

static void datafs_backing_free(struct datafs_backing_file *bf);

static void datafs_backing_free_work(struct work_struct *work)
{
	datafs_backing_free(container_of(work, struct datafs_backing_file, work));
}

static void datafs_backing_free_later(struct datafs_backing_file *bf)
{
	INIT_WORK(&bf->work, datafs_backing_free_work);
	queue_work(datafs_wq, &bf->work);
}
#else
static void datafs_backing_class_take(struct datafs_backing_file *bf)
{
}

static bool datafs_backing_class_give(struct datafs_backing_file *bf)
{
	return true;
}

static void datafs_backing_free_later(struct datafs_backing_file *bf)
{
}
#endif

static void datafs_backing_free(struct datafs_backing_file *bf)
{
	if (!datafs_backing_class_give(bf)) {
		datafs_backing_free_later(bf);
		return;
	}
	put_cred(bf->cred);
	fput(bf->file);
	kfree_rcu(bf, rcu);
}

/* Is @id this very file already? Then saying so again does no harm. */
static int datafs_backing_same(struct datafs_instance *inst, u32 id,
			       struct file *file, u64 *size)
{
	struct datafs_backing_file *old = datafs_backing_get(inst, id);
	int err = -EEXIST;

	if (!old)
		return -EEXIST;
	if (file_inode(old->file) == file_inode(file)) {
		WRITE_ONCE(old->epoch, READ_ONCE(inst->epoch));
		*size = old->size;
		err = 0;
	}
	datafs_backing_put(old);
	return err;
}

int datafs_backing_add(struct datafs_instance *inst, struct datafs_backing *arg)
{
	struct datafs_backing_file *bf;
	struct file *file;
	int err;

	if (!arg->id || arg->id >= DATAFS_BACKING_IDS)
		return -EINVAL;
	file = fget(arg->fd);
	if (!file)
		return -EBADF;
	err = datafs_backing_check(file);
	if (err) {
		fput(file);
		return err;
	}
	bf = kzalloc(sizeof(*bf), GFP_KERNEL_ACCOUNT);
	if (!bf) {
		fput(file);
		return -ENOMEM;
	}
	refcount_set(&bf->ref, 1);
	bf->id = arg->id;
	bf->epoch = READ_ONCE(inst->epoch);
	bf->file = file;
	bf->cred = get_current_cred();
	bf->size = i_size_read(file_inode(file));
	arg->length = bf->size;

	datafs_backing_class_take(bf);
	err = xa_insert(&inst->backings, bf->id, bf, GFP_KERNEL_ACCOUNT);
	if (err == -EBUSY)
		err = datafs_backing_same(inst, bf->id, file, &arg->length);
	else if (!err)
		return 0;
	datafs_backing_free(bf);
	return err;
}

/* All of other epochs than @epoch. Others may add and take ids meanwhile. */
static void datafs_backing_del_others(struct datafs_instance *inst, u64 epoch)
{
	struct datafs_backing_file *entry, *bf;
	unsigned long id;

	xa_for_each(&inst->backings, id, entry) {
		bf = datafs_backing_get(inst, id);
		if (!bf)
			continue;
		/* the table's reference, then ours */
		if (READ_ONCE(bf->epoch) != epoch &&
		    xa_cmpxchg(&inst->backings, id, bf, NULL, GFP_KERNEL) == bf)
			datafs_backing_put(bf);
		datafs_backing_put(bf);
	}
}

int datafs_backing_del(struct datafs_instance *inst, u32 id)
{
	struct datafs_backing_file *bf;

	if (!id) {
		datafs_backing_del_others(inst, READ_ONCE(inst->epoch));
		return 0;
	}
	bf = xa_erase(&inst->backings, id);
	if (!bf)
		return -ENOENT;
	datafs_backing_put(bf);
	return 0;
}

void datafs_backing_del_all(struct datafs_instance *inst)
{
	datafs_backing_del_others(inst, 0);
}

struct datafs_backing_file *datafs_backing_get(struct datafs_instance *inst,
					       u32 id)
{
	struct datafs_backing_file *bf;

	rcu_read_lock();
	bf = xa_load(&inst->backings, id);
	if (bf && !refcount_inc_not_zero(&bf->ref))
		bf = NULL;
	rcu_read_unlock();
	return bf;
}

void datafs_backing_put(struct datafs_backing_file *bf)
{
	if (refcount_dec_and_test(&bf->ref))
		datafs_backing_free(bf);
}
