// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: /dev/datafs, where a daemon meets the kernel.
 *
 * A file has an instance from its hello on, in private_data, and keeps the
 * reference until its release; that it has been fenced since is seen by
 * inst->file being another.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/time_namespace.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "datafs.h"

/* One hello a file: held while private_data goes from NULL to the instance. */
static DEFINE_MUTEX(datafs_hello_lock);

static struct datafs_instance *datafs_dev_instance(struct file *file)
{
	/* pairs with the release in datafs_dev_hello() */
	return smp_load_acquire(&file->private_data);
}

static int datafs_dev_open(struct inode *inode, struct file *file)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	file->private_data = NULL;
	/* no position, so no lock of it between threads */
	stream_open(inode, file);
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

static int datafs_dev_release(struct inode *inode, struct file *file)
{
	struct datafs_instance *inst = datafs_dev_instance(file);

	if (inst)
		datafs_instance_bye(inst, file);
	return 0;
}

static ssize_t datafs_dev_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct datafs_instance *inst = datafs_dev_instance(file);

	if (!inst)
		return -ENOTCONN;
	return datafs_requests_read(inst, file, to,
				    (file->f_flags & O_NONBLOCK) ||
				    (iocb->ki_flags & IOCB_NOWAIT));
}

/*
 * IOCB_NOWAIT is let go: a write waits for memory and short locks only, never
 * for another daemon's or reader's progress.
 */
static ssize_t datafs_dev_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct datafs_instance *inst = datafs_dev_instance(file);

	if (!inst)
		return -ENOTCONN;
	return datafs_requests_write(inst, file, from);
}

static __poll_t datafs_dev_poll(struct file *file, poll_table *wait)
{
	struct datafs_instance *inst = datafs_dev_instance(file);
	__poll_t mask = EPOLLOUT | EPOLLWRNORM;

	if (!inst)
		return EPOLLERR;
	poll_wait(file, &inst->readers, wait);
	if (!datafs_instance_serves(inst, file))
		return EPOLLERR | EPOLLHUP;
	if (!list_empty_careful(&inst->pending))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

/*
 * Another major version may have another size, which makes it another ioctl
 * number: it shall hear about versions too, not ENOTTY. The first fields are
 * where they are for good.
 */
static long datafs_dev_hello(struct file *file, unsigned int cmd,
			     void __user *arg)
{
	size_t len = min_t(size_t, _IOC_SIZE(cmd), sizeof(struct datafs_hello));
	struct datafs_instance *inst = NULL;
	struct datafs_hello hello = {};
	long err;

	if (len < offsetofend(struct datafs_hello, minor))
		return -ENOTTY;
	if (copy_from_user(&hello, arg, len))
		return -EFAULT;
	if (hello.size != _IOC_SIZE(cmd))
		return -EINVAL;

	mutex_lock(&datafs_hello_lock);
	if (datafs_dev_instance(file))
		err = -EALREADY;
	else
		err = datafs_instance_hello(file, &hello, &inst);
	if (inst)
		/* pairs with datafs_dev_instance() */
		smp_store_release(&file->private_data, inst);
	mutex_unlock(&datafs_hello_lock);

	/* EFAULT: the hello holds all the same, until the file is closed */
	if ((!err || err == -EPROTONOSUPPORT) && copy_to_user(arg, &hello, len))
		err = -EFAULT;
	return err;
}

static long datafs_dev_backing_add(struct datafs_instance *inst,
				   struct file *file, void __user *arg)
{
	struct datafs_backing backing;
	int err;

	if (copy_from_user(&backing, arg, sizeof(backing)))
		return -EFAULT;
	err = datafs_backing_add(inst, &backing);
	if (err)
		return err;
	return copy_to_user(arg, &backing, sizeof(backing)) ? -EFAULT : 0;
}

static long datafs_dev_backing_del(struct datafs_instance *inst,
				   struct file *file, void __user *arg)
{
	u32 id;

	if (copy_from_user(&id, arg, sizeof(id)))
		return -EFAULT;
	return datafs_backing_del(inst, id);
}

static long datafs_dev_held(struct datafs_instance *inst, struct file *file,
			    void __user *arg)
{
	struct datafs_held_list list;
	struct datafs_held *items;
	size_t size;
	long err;

	if (copy_from_user(&list, arg, sizeof(list)))
		return -EFAULT;
	if (!list.room || list.room > DATAFS_HELD_MAX || list.reserved)
		return -EINVAL;
	size = list.room * sizeof(*items);
	items = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!items)
		return -ENOMEM;
	err = datafs_ext_list(inst, &list, items);
	if (!err && (copy_to_user(u64_to_user_ptr(list.items), items,
				  list.count * sizeof(*items)) ||
		     copy_to_user(arg, &list, sizeof(list))))
		err = -EFAULT;
	kvfree(items);
	return err;
}

/* By the clock that the caller reads, which its time namespace may set otherwise. */
static u64 datafs_dev_boottime(u64 ns)
{
	s64 ahead = timens_add_boottime_ns(0);

	/* neither is a time */
	if (!ns || ns == DATAFS_LEASE_NONE)
		return ns;
	if (ahead >= 0)
		return ns > ahead ? ns - ahead : 0;
	return ns < DATAFS_LEASE_NONE + ahead ? ns - ahead : DATAFS_LEASE_NONE - 1;
}

static long datafs_dev_lease(struct datafs_instance *inst, struct file *file,
			     void __user *arg)
{
	struct datafs_lease_end lease;

	if (copy_from_user(&lease, arg, sizeof(lease)))
		return -EFAULT;
	if (lease.reserved)
		return -EINVAL;
	return datafs_instance_lease(inst, file, lease.mount_id,
				     datafs_dev_boottime(lease.until));
}

static long datafs_dev_counts(struct datafs_instance *inst, struct file *file,
			      void __user *arg)
{
	struct datafs_counts counts;

	if (copy_from_user(&counts, arg, sizeof(counts)))
		return -EFAULT;
	if (counts.reserved)
		return -EINVAL;
	return datafs_instance_counts(inst, file, &counts);
}

static long datafs_dev_ioctl(struct file *file, unsigned int cmd,
			     unsigned long val)
{
	static const struct {
		unsigned int cmd;
		long (*call)(struct datafs_instance *inst, struct file *file,
			     void __user *arg);
	} table[] = {
		{ DATAFS_IOC_BACKING_ADD, datafs_dev_backing_add },
		{ DATAFS_IOC_BACKING_DEL, datafs_dev_backing_del },
		{ DATAFS_IOC_HELD, datafs_dev_held },
		{ DATAFS_IOC_LEASE, datafs_dev_lease },
		{ DATAFS_IOC_COUNTS, datafs_dev_counts },
	};
	struct datafs_instance *inst = datafs_dev_instance(file);
	void __user *arg = (void __user *)val;
	int i;

	if (_IOC_TYPE(cmd) == DATAFS_IOC_MAGIC &&
	    _IOC_NR(cmd) == _IOC_NR(DATAFS_IOC_HELLO))
		return datafs_dev_hello(file, cmd, arg);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].cmd != cmd)
			continue;
		if (!inst || !datafs_instance_serves(inst, file))
			return -ENOTCONN;
		return table[i].call(inst, file, arg);
	}
	return -ENOTTY;
}

static const struct file_operations datafs_dev_ops = {
	.owner		= THIS_MODULE,
	.open		= datafs_dev_open,
	.release	= datafs_dev_release,
	.read_iter	= datafs_dev_read,
	.write_iter	= datafs_dev_write,
	.poll		= datafs_dev_poll,
	.unlocked_ioctl	= datafs_dev_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice datafs_dev = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= DATAFS_DEVICE,
	.fops	= &datafs_dev_ops,
	.mode	= 0600,
};

int datafs_dev_init(void)
{
	return misc_register(&datafs_dev);
}

void datafs_dev_exit(void)
{
	misc_deregister(&datafs_dev);
}
