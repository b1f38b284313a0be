// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: instances, the lives of their daemons, and their mounts.
 *
 * An instance is on the list for as long as it has a daemon or a mount, and
 * each of those has a reference; so all on the list are alive, and the list
 * itself needs none. When the last of them goes, the instance is @gone under
 * both locks and its name is free.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "datafs.h"

#define DATAFS_NAME_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* What this module can do of DATAFS_FEATURE_*. */
#define DATAFS_FEATURES	0ull

/*
 * The list, and who is on it. Outside of every datafs_instance.lock; held in
 * no upcall and over nothing that sleeps for long.
 */
static DEFINE_MUTEX(datafs_instances_lock);
static LIST_HEAD(datafs_instances);

/* ------------------------------------------------------------------ states */

/* The one place that knows which state may follow which. */
static void datafs_instance_state(struct datafs_instance *inst,
				  enum datafs_state to)
{
	static const u8 next[] = {
		[DATAFS_STATE_LIVE]	= BIT(DATAFS_STATE_GRACE),
		[DATAFS_STATE_GRACE]	= BIT(DATAFS_STATE_LIVE) |
					  BIT(DATAFS_STATE_ABORTED),
		[DATAFS_STATE_ABORTED]	= BIT(DATAFS_STATE_LIVE),
	};

	lockdep_assert_held(&inst->lock);
	WARN_ON_ONCE(!(next[inst->state] & BIT(to)));
	inst->state = to;
}

/*
 * If it has neither daemon nor mount: takes the name away. Tells whether it
 * did; the caller, who still has a reference, then calls
 * datafs_instance_empty() without locks.
 */
static bool datafs_instance_expire(struct datafs_instance *inst)
{
	lockdep_assert_held(&datafs_instances_lock);
	lockdep_assert_held(&inst->lock);
	if (inst->gone || inst->file || !list_empty(&inst->mounts))
		return false;
	inst->gone = true;
	list_del_init(&inst->node);
	return true;
}

/*
 * Nobody will ever answer what is queued. With the mounts away that is UMOUNT
 * and REVOKE_DONE, and the prefetches of a mount on its way out.
 */
static void datafs_instance_empty(struct datafs_instance *inst)
{
	datafs_requests_end_all(inst, -ENOTCONN);
	datafs_backing_del_all(inst);
}

/* -------------------------------------------------------------- references */

static struct datafs_instance *datafs_instance_lookup(const char *name)
{
	struct datafs_instance *inst;

	lockdep_assert_held(&datafs_instances_lock);
	list_for_each_entry(inst, &datafs_instances, node)
		if (!strcmp(inst->name, name))
			return inst;
	return NULL;
}

struct datafs_instance *datafs_instance_find(const char *name)
{
	struct datafs_instance *inst;

	mutex_lock(&datafs_instances_lock);
	inst = datafs_instance_lookup(name);
	if (inst)
		datafs_instance_get(inst);
	mutex_unlock(&datafs_instances_lock);
	return inst;
}

void datafs_instance_get(struct datafs_instance *inst)
{
	refcount_inc(&inst->ref);
}

void datafs_instance_put(struct datafs_instance *inst)
{
	if (!refcount_dec_and_test(&inst->ref))
		return;
	datafs_backing_del_all(inst);
	xa_destroy(&inst->backings);
	kfree(inst);
}

/* ------------------------------------------------------------------- hello */

static struct datafs_instance *datafs_instance_new(struct file *file,
						   const struct datafs_hello *hello)
{
	struct datafs_instance *inst;

	inst = kzalloc(sizeof(*inst), GFP_KERNEL_ACCOUNT);
	if (!inst)
		return NULL;
	refcount_set(&inst->ref, 1);
	INIT_LIST_HEAD(&inst->node);
	strscpy(inst->name, hello->name, sizeof(inst->name));
	memcpy(inst->session, hello->session, sizeof(inst->session));
	spin_lock_init(&inst->lock);
	inst->state = DATAFS_STATE_LIVE;
	inst->epoch = hello->epoch;
	inst->file = file;
	inst->daemon = get_pid(task_tgid(current));
	INIT_LIST_HEAD(&inst->pending);
	INIT_LIST_HEAD(&inst->sent);
	INIT_LIST_HEAD(&inst->mounts);
	init_waitqueue_head(&inst->readers);
	xa_init(&inst->backings);
	return inst;
}

static void datafs_instance_discard(struct datafs_instance *inst)
{
	put_pid(inst->daemon);
	datafs_instance_put(inst);
}

static int datafs_hello_check(struct datafs_hello *hello)
{
	size_t len = strnlen(hello->name, sizeof(hello->name));

	if (hello->major != DATAFS_ABI_MAJOR) {
		pr_warn_ratelimited("hello of process %d refused: it speaks version %u.%u of the protocol, this module %u.%u; install a daemon and a module of the same major version\n",
				    task_tgid_nr(current), hello->major,
				    hello->minor, DATAFS_ABI_MAJOR,
				    DATAFS_ABI_MINOR);
		hello->major = DATAFS_ABI_MAJOR;
		hello->minor = DATAFS_ABI_MINOR;
		return -EPROTONOSUPPORT;
	}
	if (hello->size != sizeof(*hello) || hello->reserved || !hello->epoch ||
	    (hello->flags & ~DATAFS_HELLO_TAKEOVER))
		return -EINVAL;
	if (!len || len > DATAFS_INSTANCE_MAX ||
	    strspn(hello->name, DATAFS_NAME_CHARS) != len)
		return -EINVAL;
	if (hello->flags & DATAFS_HELLO_TAKEOVER)
		return -EOPNOTSUPP;
	return 0;
}

int datafs_instance_hello(struct file *file, struct datafs_hello *hello,
			  struct datafs_instance **res)
{
	struct datafs_instance *inst, *old;
	int err;

	err = datafs_hello_check(hello);
	if (err)
		return err;
	inst = datafs_instance_new(file, hello);
	if (!inst)
		return -ENOMEM;

	mutex_lock(&datafs_instances_lock);
	old = datafs_instance_lookup(hello->name);
	if (old) {
		/*
		 * It has a daemon or mounts, or it would not be there. The
		 * epoch orders successors, and there are none yet.
		 */
		pr_warn_ratelimited("instance %s: hello of process %d refused: the name has a %s; stop that or choose another name\n",
				    old->name, task_tgid_nr(current),
				    READ_ONCE(old->file) ? "living daemon" :
				    "mount without a daemon");
		mutex_unlock(&datafs_instances_lock);
		datafs_instance_discard(inst);
		return -EBUSY;
	}
	list_add_tail(&inst->node, &datafs_instances);
	mutex_unlock(&datafs_instances_lock);

	hello->major = DATAFS_ABI_MAJOR;
	hello->minor = DATAFS_ABI_MINOR;
	hello->features &= DATAFS_FEATURES;
	memcpy(hello->session, inst->session, sizeof(hello->session));
	pr_info("instance %s: daemon %d, epoch %llu\n", inst->name,
		task_tgid_nr(current), hello->epoch);
	datafs_event_daemon(DATAFS_CMD_DAEMON_BACK, inst);
	*res = inst;
	return 0;
}

void datafs_instance_bye(struct datafs_instance *inst, struct file *file)
{
	struct pid *daemon = NULL;
	bool gone = false, lost;

	mutex_lock(&datafs_instances_lock);
	spin_lock(&inst->lock);
	lost = inst->file == file;
	if (lost) {
		WRITE_ONCE(inst->file, NULL);
		daemon = inst->daemon;
		inst->daemon = NULL;
		datafs_instance_state(inst, DATAFS_STATE_GRACE);
		datafs_requests_requeue(inst);
		gone = datafs_instance_expire(inst);
	}
	spin_unlock(&inst->lock);
	mutex_unlock(&datafs_instances_lock);

	if (lost) {
		put_pid(daemon);
		if (gone)
			pr_info("instance %s: the daemon left\n", inst->name);
		else
			pr_warn("instance %s: the daemon is gone; its mounts serve what is cached, and wait for the rest\n",
				inst->name);
		datafs_event_daemon(DATAFS_CMD_DAEMON_LOST, inst);
	}
	if (gone)
		datafs_instance_empty(inst);
	else if (lost)
		/* Who mounts now has nothing yet that could be worth a wait. */
		datafs_requests_end_mounts(inst, -ENOTCONN);
	datafs_instance_put(inst);
}

bool datafs_instance_serves(struct datafs_instance *inst, struct file *file)
{
	return READ_ONCE(inst->file) == file;
}

/* ------------------------------------------------------------------ mounts */

bool datafs_is_daemon(struct datafs_instance *inst)
{
	struct pid *daemon = READ_ONCE(inst->daemon);

	return daemon && daemon == task_tgid(current);
}

int datafs_instance_add_mount(struct datafs_instance *inst,
			      struct datafs_mount *mnt)
{
	int err = -ENOTCONN;

	mutex_lock(&datafs_instances_lock);
	spin_lock(&inst->lock);
	if (!inst->gone && inst->state == DATAFS_STATE_LIVE) {
		list_add_tail(&mnt->node, &inst->mounts);
		err = 0;
	}
	spin_unlock(&inst->lock);
	mutex_unlock(&datafs_instances_lock);
	return err;
}

void datafs_instance_del_mount(struct datafs_mount *mnt)
{
	struct datafs_instance *inst = mnt->inst;
	bool gone;

	mutex_lock(&datafs_instances_lock);
	spin_lock(&inst->lock);
	list_del_init(&mnt->node);
	gone = datafs_instance_expire(inst);
	spin_unlock(&inst->lock);
	mutex_unlock(&datafs_instances_lock);

	if (gone)
		datafs_instance_empty(inst);
}

struct datafs_mount *datafs_mount_next(u32 from)
{
	struct datafs_mount *mnt, *best = NULL;
	struct datafs_instance *inst;

	/*
	 * A mount that is on its instance's list has its own user still, so
	 * the mutex, which leaving the list needs, keeps @best until it has
	 * ours.
	 */
	mutex_lock(&datafs_instances_lock);
	list_for_each_entry(inst, &datafs_instances, node) {
		spin_lock(&inst->lock);
		list_for_each_entry(mnt, &inst->mounts, node)
			if (mnt->id >= from && (!best || mnt->id < best->id))
				best = mnt;
		spin_unlock(&inst->lock);
	}
	if (best)
		refcount_inc(&best->users);
	mutex_unlock(&datafs_instances_lock);
	return best;
}

struct datafs_mount *datafs_mount_get(u32 id)
{
	struct datafs_mount *mnt = datafs_mount_next(id);

	if (mnt && mnt->id != id) {
		datafs_mount_put(mnt);
		mnt = NULL;
	}
	return mnt;
}

void datafs_mount_put(struct datafs_mount *mnt)
{
	if (refcount_dec_and_test(&mnt->users))
		complete(&mnt->users_gone);
}
