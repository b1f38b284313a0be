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
#include "trace.h"

#define DATAFS_NAME_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* What this module can do of DATAFS_FEATURE_*. */
#define DATAFS_FEATURES	(DATAFS_FEATURE_TAKEOVER | DATAFS_FEATURE_LEASE | \
			 DATAFS_FEATURE_LISTING | DATAFS_FEATURE_COUNTS)

/*
 * The list, and who is on it. Outside of every datafs_instance.lock; held in
 * no upcall and over nothing that sleeps for long.
 */
static DEFINE_MUTEX(datafs_instances_lock);
static LIST_HEAD(datafs_instances);

/* ------------------------------------------------------------------ states */

/*
 * The one place that knows which state may follow which. From LIVE to ABORTED it
 * is an operator's doing, whose daemon does not answer; a mount that is ABORTED
 * does not care whether its daemon dies.
 */
static void datafs_mount_state(struct datafs_mount *mnt, enum datafs_state to)
{
	static const u8 next[] = {
		[DATAFS_STATE_LIVE]	= BIT(DATAFS_STATE_GRACE) |
					  BIT(DATAFS_STATE_ABORTED),
		[DATAFS_STATE_GRACE]	= BIT(DATAFS_STATE_LIVE) |
					  BIT(DATAFS_STATE_ABORTED),
		[DATAFS_STATE_ABORTED]	= BIT(DATAFS_STATE_LIVE),
	};

	lockdep_assert_held(&mnt->inst->lock);
	if (!(next[mnt->state] & BIT(to)))
		return;
	trace_datafs_mount_state(mnt, mnt->state, to);
	WRITE_ONCE(mnt->state, to);
	if (to == DATAFS_STATE_GRACE && mnt->grace_s)
		mod_delayed_work(datafs_wq, &mnt->grace_work,
				 (unsigned long)mnt->grace_s * HZ);
	else
		cancel_delayed_work(&mnt->grace_work);
}

static void datafs_mounts_state(struct datafs_instance *inst,
				enum datafs_state to)
{
	struct datafs_mount *mnt;

	list_for_each_entry(mnt, &inst->mounts, node)
		datafs_mount_state(mnt, to);
}

/* Ends the waiting of a mount whose state has become ABORTED. */
static void datafs_mount_aborted(struct datafs_mount *mnt, const char *why)
{
	pr_warn("mount %u of %s: aborted, %s: what is not cached is ENOTCONN until instance %s has another daemon\n",
		mnt->id, mnt->source, why, mnt->inst->name);
	datafs_requests_abort(mnt, -ENOTCONN);
}

static void datafs_mount_grace_ends(struct work_struct *work)
{
	struct datafs_mount *mnt = container_of(work, struct datafs_mount,
						grace_work.work);
	bool ours;

	spin_lock(&mnt->inst->lock);
	ours = mnt->state == DATAFS_STATE_GRACE;
	if (ours)
		datafs_mount_state(mnt, DATAFS_STATE_ABORTED);
	spin_unlock(&mnt->inst->lock);
	if (ours)
		datafs_mount_aborted(mnt, "no daemon came within the grace timeout");
}

void datafs_mount_abort(struct datafs_mount *mnt)
{
	bool ours;

	spin_lock(&mnt->inst->lock);
	ours = mnt->state != DATAFS_STATE_ABORTED;
	datafs_mount_state(mnt, DATAFS_STATE_ABORTED);
	spin_unlock(&mnt->inst->lock);
	if (ours)
		datafs_mount_aborted(mnt, "as told");
}

void datafs_mount_set_grace(struct datafs_mount *mnt, unsigned int seconds)
{
	spin_lock(&mnt->inst->lock);
	mnt->grace_s = seconds;
	if (!seconds)
		cancel_delayed_work(&mnt->grace_work);
	else if (!list_empty(&mnt->node) && mnt->state == DATAFS_STATE_GRACE)
		mod_delayed_work(datafs_wq, &mnt->grace_work,
				 (unsigned long)seconds * HZ);
	spin_unlock(&mnt->inst->lock);
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
	kfree_rcu(inst, rcu);
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
	inst->epoch = hello->epoch;
	inst->features = hello->features & DATAFS_FEATURES;
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
	return 0;
}

/*
 * @file follows the daemon that there was, dead or alive.
 *
 *   predecessor                            successor
 *   -----------                            ---------
 *   claim: inst->file is mine,
 *     request is ANSWERING, epoch e
 *                                          hello: file, epoch = e + 1
 *                                          HELD: the inode's extents,
 *                                            under extent_lock
 *   install, under extent_lock:
 *     epoch is not e: -EAGAIN
 *
 * In the other order HELD sees the extent. An answer that is not of extents
 * counts as old by its sequence, as far as that matters.
 */
static int datafs_instance_takeover(struct datafs_instance *inst,
				    struct file *file,
				    const struct datafs_hello *hello)
{
	struct pid *daemon;
	struct datafs_mount *mnt;
	bool fenced;
	int err = 0;

	lockdep_assert_held(&datafs_instances_lock);
	spin_lock(&inst->lock);
	if (hello->epoch <= inst->epoch)
		err = -ESTALE;
	else if (memcmp(hello->session, inst->session, sizeof(inst->session)) &&
		 (inst->file || !list_empty(&inst->mounts)))
		err = -EEXIST;
	if (err) {
		spin_unlock(&inst->lock);
		return err;
	}
	memcpy(inst->session, hello->session, sizeof(inst->session));
	daemon = inst->daemon;
	fenced = inst->file;
	if (fenced)
		datafs_requests_requeue(inst);
	WRITE_ONCE(inst->file, file);
	inst->daemon = get_pid(task_tgid(current));
	WRITE_ONCE(inst->epoch, hello->epoch);
	WRITE_ONCE(inst->features, hello->features & DATAFS_FEATURES);
	list_for_each_entry(mnt, &inst->mounts, node)
		atomic64_inc(&mnt->seq);
	datafs_mounts_state(inst, DATAFS_STATE_LIVE);
	datafs_instance_get(inst);
	spin_unlock(&inst->lock);

	put_pid(daemon);
	/* the fenced one learns it, the new one finds what waited */
	wake_up_interruptible_all(&inst->readers);
	if (fenced)
		pr_warn("instance %s: daemon %d takes over from one that lives; that one is heard no more\n",
			inst->name, task_tgid_nr(current));
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
	if (!old)
		list_add_tail(&inst->node, &datafs_instances);
	else if (hello->flags & DATAFS_HELLO_TAKEOVER)
		err = datafs_instance_takeover(old, file, hello);
	else
		err = -EBUSY;
	mutex_unlock(&datafs_instances_lock);
	if (old) {
		datafs_instance_discard(inst);
		inst = old;
	}
	if (err) {
		pr_warn_ratelimited("instance %s: hello of process %d refused: %s\n",
				    hello->name, task_tgid_nr(current),
				    err == -ESTALE ?
				    "its epoch is not above that of the last daemon" :
				    err == -EEXIST ?
				    "the name has mounts of another namespace" :
				    "the name has a daemon or mounts, and it does not want to take over");
		return err;
	}

	hello->major = DATAFS_ABI_MAJOR;
	hello->minor = DATAFS_ABI_MINOR;
	hello->features &= DATAFS_FEATURES;
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
	LIST_HEAD(mounting);

	mutex_lock(&datafs_instances_lock);
	spin_lock(&inst->lock);
	lost = inst->file == file;
	if (lost) {
		WRITE_ONCE(inst->file, NULL);
		daemon = inst->daemon;
		inst->daemon = NULL;
		datafs_mounts_state(inst, DATAFS_STATE_GRACE);
		/* Who mounts now has nothing yet that could be worth a wait. */
		datafs_requests_take_mounts(inst, -ENOTCONN, &mounting);
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
	datafs_requests_tell(&mounting);
	datafs_instance_put(inst);
}

bool datafs_instance_serves(struct datafs_instance *inst, struct file *file)
{
	return READ_ONCE(inst->file) == file;
}

/* ------------------------------------------------------------------ mounts */

/* A fenced daemon's is refused under the lock that fences it. */
int datafs_instance_lease(struct datafs_instance *inst, struct file *file, u32 mount_id,
			  u64 until)
{
	struct datafs_mount *mnt;
	int ret = -ENOENT;

	spin_lock(&inst->lock);
	if (inst->file != file)
		ret = -ENOTCONN;
	else
		list_for_each_entry(mnt, &inst->mounts, node)
			if (mnt->id == mount_id) {
				atomic64_set(&mnt->lease_until, until);
				ret = 0;
				break;
			}
	spin_unlock(&inst->lock);
	return ret;
}

int datafs_instance_counts(struct datafs_instance *inst, struct file *file,
			   const struct datafs_counts *counts)
{
	struct datafs_mount *mnt;
	int ret = -ENOENT;
	int i;

	spin_lock(&inst->lock);
	if (inst->file != file)
		ret = -ENOTCONN;
	else
		list_for_each_entry(mnt, &inst->mounts, node)
			if (mnt->id == counts->mount_id) {
				for (i = 0; i < DATAFS_COUNT_NR; i++)
					atomic64_set(&mnt->counts[i], counts->count[i]);
				ret = 0;
				break;
			}
	spin_unlock(&inst->lock);
	return ret;
}

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
	if (!inst->gone && inst->file) {
		mnt->state = DATAFS_STATE_LIVE;
		INIT_DELAYED_WORK(&mnt->grace_work, datafs_mount_grace_ends);
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

	/* Not on the list: it enters no other state, and begins no GRACE. */
	cancel_delayed_work_sync(&mnt->grace_work);
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
