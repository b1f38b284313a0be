// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: /sys/fs/datafs, one directory for each mount. What is in it is said
 * in Documentation/ABI/testing/sysfs-fs-datafs, and in the tables here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/backing-dev.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "datafs.h"

/* The largest values that are taken. */
#define DATAFS_READAHEAD_MAX_KB	(64u << 10)
/* a timer that is longer ends too early, at HZ=1000 after twelve days */
#define DATAFS_GRACE_MAX_S	(10u * 86400)
#define DATAFS_REQUESTS_MOST	(64u << 10)
/* a limit below that would have readers take extents from one another */
#define DATAFS_EXTENTS_LEAST	1024u

static struct kset *datafs_kset;

static struct datafs_mount *datafs_kobj_mount(struct kobject *kobj)
{
	return container_of(kobj, struct datafs_mount, kobj);
}

/* -------------------------------------------------------------- the knobs */

/**
 * struct datafs_knob - a file of a mount's directory
 * @attr:	its name and mode
 * @show:	not called if the mode has no reading
 * @store:	not called if it has no writing; gets the value without blanks
 * @count:	of a counter, instead of both: its value
 * @nr:		of a counter: which
 */
struct datafs_knob {
	struct attribute attr;
	ssize_t (*show)(struct datafs_mount *mnt, char *buf);
	int (*store)(struct datafs_mount *mnt, const char *val);
	u64 (*count)(struct datafs_mount *mnt, int nr);
	int nr;
};

static ssize_t datafs_knob_show(struct kobject *kobj, struct attribute *attr,
				char *buf)
{
	const struct datafs_knob *k = container_of(attr, struct datafs_knob, attr);
	struct datafs_mount *mnt = datafs_kobj_mount(kobj);

	if (k->count)
		return sysfs_emit(buf, "%llu\n", k->count(mnt, k->nr));
	/* root may have changed the mode */
	return k->show ? k->show(mnt, buf) : -EIO;
}

static int datafs_knob_number(const char *val, unsigned int min,
			      unsigned int max, unsigned int *res)
{
	int err = kstrtouint(val, 10, res);

	if (err || *res < min || *res > max)
		return -EINVAL;
	return 0;
}

static ssize_t datafs_knob_store(struct kobject *kobj, struct attribute *attr,
				 const char *buf, size_t len)
{
	const struct datafs_knob *k = container_of(attr, struct datafs_knob, attr);
	struct datafs_mount *mnt = datafs_kobj_mount(kobj);
	char *val;
	int err;

	if (!k->store)
		return -EIO;
	val = kmemdup_nul(buf, len, GFP_KERNEL);
	if (!val)
		return -ENOMEM;
	err = k->store(mnt, strim(val));
	kfree(val);
	return err ? err : len;
}

static ssize_t datafs_source_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%s\n", mnt->source);
}

static ssize_t datafs_instance_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%s\n", mnt->inst->name);
}

static ssize_t datafs_dev_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%u:%u\n", MAJOR(mnt->sb->s_dev),
			  MINOR(mnt->sb->s_dev));
}

static ssize_t datafs_state_show(struct datafs_mount *mnt, char *buf)
{
	static const char * const names[] = {
		[DATAFS_STATE_LIVE]	= "LIVE",
		[DATAFS_STATE_GRACE]	= "GRACE",
		[DATAFS_STATE_ABORTED]	= "ABORTED",
	};

	return sysfs_emit(buf, "%s\n", names[READ_ONCE(mnt->state)]);
}

static ssize_t datafs_epoch_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(mnt->inst->epoch));
}

static ssize_t datafs_verify_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  datafs_verify_names[READ_ONCE(mnt->verify)].name);
}

static int datafs_verify_store(struct datafs_mount *mnt, const char *val)
{
	const struct constant_table *t;

	for (t = datafs_verify_names; t->name; t++) {
		if (strcmp(t->name, val))
			continue;
		WRITE_ONCE(mnt->verify, t->value);
		return 0;
	}
	return -EINVAL;
}

static ssize_t datafs_readahead_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%lu\n", READ_ONCE(mnt->sb->s_bdi->ra_pages) <<
			  (PAGE_SHIFT - 10));
}

static int datafs_readahead_store(struct datafs_mount *mnt, const char *val)
{
	unsigned int kb;

	if (datafs_knob_number(val, 0, DATAFS_READAHEAD_MAX_KB, &kb))
		return -EINVAL;
	WRITE_ONCE(mnt->sb->s_bdi->ra_pages, kb >> (PAGE_SHIFT - 10));
	return 0;
}

static ssize_t datafs_grace_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mnt->grace_s));
}

static int datafs_grace_store(struct datafs_mount *mnt, const char *val)
{
	unsigned int seconds;

	if (datafs_knob_number(val, 0, DATAFS_GRACE_MAX_S, &seconds))
		return -EINVAL;
	datafs_mount_set_grace(mnt, seconds);
	return 0;
}

static ssize_t datafs_max_extents_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mnt->max_extents));
}

static int datafs_max_extents_store(struct datafs_mount *mnt, const char *val)
{
	unsigned int max;

	if (datafs_knob_number(val, 0, UINT_MAX, &max) ||
	    (max && max < DATAFS_EXTENTS_LEAST))
		return -EINVAL;
	WRITE_ONCE(mnt->max_extents, max);
	datafs_lru_trim(mnt);
	return 0;
}

static ssize_t datafs_max_requests_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mnt->max_requests));
}

static int datafs_max_requests_store(struct datafs_mount *mnt, const char *val)
{
	unsigned int max;

	if (datafs_knob_number(val, 1, DATAFS_REQUESTS_MOST, &max))
		return -EINVAL;
	datafs_requests_limit(mnt, max);
	return 0;
}

static int datafs_policy_store(struct datafs_policy *policy, const char *val)
{
	unsigned int ms;

	if (datafs_knob_number(val, 0, DATAFS_FOREVER, &ms))
		return -EINVAL;
	/* What was told before may have been for longer. */
	if (ms < READ_ONCE(policy->max_ms))
		atomic_inc(&policy->generation);
	WRITE_ONCE(policy->max_ms, ms);
	return 0;
}

static ssize_t datafs_attr_policy_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mnt->attr_policy.max_ms));
}

static int datafs_attr_policy_store(struct datafs_mount *mnt, const char *val)
{
	return datafs_policy_store(&mnt->attr_policy, val);
}

static ssize_t datafs_entry_policy_show(struct datafs_mount *mnt, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mnt->entry_policy.max_ms));
}

static int datafs_entry_policy_store(struct datafs_mount *mnt, const char *val)
{
	return datafs_policy_store(&mnt->entry_policy, val);
}

static ssize_t datafs_lease_show(struct datafs_mount *mnt, char *buf)
{
	u64 until = atomic64_read(&mnt->lease_until), now = ktime_get_boottime_ns();

	if (until == DATAFS_LEASE_NONE)
		return sysfs_emit(buf, "none\n");
	return sysfs_emit(buf, "%llu\n",
			  until > now ? div_u64(until - now, NSEC_PER_MSEC) : 0);
}

/* Files whose value is a command take "1". */
static int datafs_abort_store(struct datafs_mount *mnt, const char *val)
{
	if (strcmp(val, "1"))
		return -EINVAL;
	datafs_mount_abort(mnt);
	return 0;
}

/* Of all inodes that have, or had, extents: only those have pages. */
static int datafs_drop(struct datafs_mount *mnt, bool pages, bool extents)
{
	unsigned long ino;
	struct inode *inode;
	void *entry;

	xa_for_each(&mnt->held, ino, entry) {
		if (fatal_signal_pending(current))
			return -EINTR;
		inode = datafs_ilookup(mnt->sb, ino);
		if (!inode)
			continue;
		if (pages)
			invalidate_mapping_pages(inode->i_mapping, 0, -1);
		if (extents)
			datafs_ext_forget(datafs_i(inode));
		iput(inode);
		cond_resched();
	}
	return 0;
}

static int datafs_drop_caches_store(struct datafs_mount *mnt, const char *val)
{
	unsigned int what;

	if (datafs_knob_number(val, 1, 3, &what))
		return -EINVAL;
	return datafs_drop(mnt, what & 1, what & 2);
}

#define RO(_name, _show) \
	{ .attr = { .name = #_name, .mode = 0444 }, .show = _show }
#define WO(_name, _store) \
	{ .attr = { .name = #_name, .mode = 0200 }, .store = _store }
#define RW(_name, _show, _store) \
	{ .attr = { .name = #_name, .mode = 0644 }, .show = _show, \
	  .store = _store }

static struct datafs_knob datafs_knobs[] = {
	RO(source,		datafs_source_show),
	RO(instance,		datafs_instance_show),
	RO(dev,			datafs_dev_show),
	RO(state,		datafs_state_show),
	RO(epoch,		datafs_epoch_show),
	RW(verify,		datafs_verify_show, datafs_verify_store),
	RW(read_ahead_kb,	datafs_readahead_show, datafs_readahead_store),
	RW(attr_max_ms,		datafs_attr_policy_show, datafs_attr_policy_store),
	RW(entry_max_ms,	datafs_entry_policy_show, datafs_entry_policy_store),
	RO(lease_ms,		datafs_lease_show),
	RW(grace_timeout_s,	datafs_grace_show, datafs_grace_store),
	RW(max_extents,		datafs_max_extents_show, datafs_max_extents_store),
	RW(max_requests,	datafs_max_requests_show, datafs_max_requests_store),
	WO(abort,		datafs_abort_store),
	WO(drop_caches,		datafs_drop_caches_store),
};

/* ------------------------------------------------------------ the counters */

static u64 datafs_count_stat(struct datafs_mount *mnt, int nr)
{
	return atomic64_read(&mnt->stats[nr]);
}

static u64 datafs_count_requests(struct datafs_mount *mnt, int nr)
{
	return atomic64_read(&mnt->requests[nr]);
}

static u64 datafs_count_requeued(struct datafs_mount *mnt, int nr)
{
	return atomic64_read(&mnt->inst->requeued[nr]);
}

static u64 datafs_count_pending(struct datafs_mount *mnt, int nr)
{
	return datafs_requests_count(mnt, nr, false);
}

static u64 datafs_count_sent(struct datafs_mount *mnt, int nr)
{
	return datafs_requests_count(mnt, nr, true);
}

static u64 datafs_count_store(struct datafs_mount *mnt, int nr)
{
	return atomic64_read(&mnt->counts[nr]);
}

static const char * const datafs_count_names[DATAFS_COUNT_NR] = DATAFS_COUNT_NAMES;

#define DATAFS_COUNTERS_MAX \
	((int)DATAFS_STAT_NR > (int)DATAFS_OP_NR ? (int)DATAFS_STAT_NR : \
	 (int)DATAFS_OP_NR)

/* The directories of counters: what is in each, from which number on. */
static const struct {
	const char *name;
	const char * const *names;
	int from;
	int to;
	umode_t mode;
	u64 (*count)(struct datafs_mount *mnt, int nr);
} datafs_counter_dirs[] = {
	{ "stats", datafs_stat_names, 0, DATAFS_STAT_NR, 0444,
	  datafs_count_stat },
	{ "requests", datafs_op_names, 1, DATAFS_OP_NR, 0444,
	  datafs_count_requests },
	/* these walk the queues under their lock: not for everybody */
	{ "requests_pending", datafs_op_names, 1, DATAFS_OP_NR, 0400,
	  datafs_count_pending },
	{ "requests_sent", datafs_op_names, 1, DATAFS_OP_NR, 0400,
	  datafs_count_sent },
	{ "requeued", datafs_op_names, 1, DATAFS_OP_NR, 0444,
	  datafs_count_requeued },
	{ "store", datafs_count_names, 0, DATAFS_COUNT_NR, 0444,
	  datafs_count_store },
};

#define DATAFS_COUNTER_DIRS	ARRAY_SIZE(datafs_counter_dirs)

/* Filled from the tables above, once. */
static struct attribute *datafs_knob_attrs[ARRAY_SIZE(datafs_knobs) + 1];
static struct datafs_knob datafs_counters[DATAFS_COUNTER_DIRS][DATAFS_COUNTERS_MAX];
static struct attribute *datafs_counter_attrs[DATAFS_COUNTER_DIRS][DATAFS_COUNTERS_MAX + 1];
static struct attribute_group datafs_mount_groups_of[DATAFS_COUNTER_DIRS + 1];
static const struct attribute_group *datafs_mount_groups[DATAFS_COUNTER_DIRS + 2];

static void __init datafs_sysfs_fill(void)
{
	struct datafs_knob *k;
	int dir, nr, n;

	for (n = 0; n < ARRAY_SIZE(datafs_knobs); n++)
		datafs_knob_attrs[n] = &datafs_knobs[n].attr;
	datafs_mount_groups_of[0].attrs = datafs_knob_attrs;
	datafs_mount_groups[0] = &datafs_mount_groups_of[0];
	for (dir = 0; dir < DATAFS_COUNTER_DIRS; dir++) {
		for (nr = datafs_counter_dirs[dir].from, n = 0;
		     nr < datafs_counter_dirs[dir].to; nr++, n++) {
			k = &datafs_counters[dir][n];
			k->attr.name = datafs_counter_dirs[dir].names[nr];
			k->attr.mode = datafs_counter_dirs[dir].mode;
			k->count = datafs_counter_dirs[dir].count;
			k->nr = nr;
			datafs_counter_attrs[dir][n] = &k->attr;
		}
		datafs_mount_groups_of[dir + 1].name = datafs_counter_dirs[dir].name;
		datafs_mount_groups_of[dir + 1].attrs = datafs_counter_attrs[dir];
		datafs_mount_groups[dir + 1] = &datafs_mount_groups_of[dir + 1];
	}
}

/* ------------------------------------------------------- a mount's directory */

static const struct sysfs_ops datafs_knob_ops = {
	.show	= datafs_knob_show,
	.store	= datafs_knob_store,
};

static void datafs_kobj_release(struct kobject *kobj)
{
	complete(&datafs_kobj_mount(kobj)->kobj_gone);
}

static const struct kobj_type datafs_mount_ktype = {
	.sysfs_ops	= &datafs_knob_ops,
	.default_groups	= datafs_mount_groups,
	.release	= datafs_kobj_release,
};

int datafs_sysfs_add(struct datafs_mount *mnt)
{
	int err;

	mnt->kobj.kset = datafs_kset;
	init_completion(&mnt->kobj_gone);
	/* Linux 6.1 has no const there, and writes nothing either. */
	err = kobject_init_and_add(&mnt->kobj, (void *)&datafs_mount_ktype, NULL,
				   "%u", mnt->id);
	if (err) {
		kobject_put(&mnt->kobj);
		wait_for_completion(&mnt->kobj_gone);
		mnt->kobj.kset = NULL;
	}
	return err;
}

void datafs_sysfs_del(struct datafs_mount *mnt)
{
	if (!mnt->kobj.kset)
		return;
	kobject_del(&mnt->kobj);
	kobject_put(&mnt->kobj);
	wait_for_completion(&mnt->kobj_gone);
	mnt->kobj.kset = NULL;
}

/* ---------------------------------------------------------------- the module */

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%s\n", DATAFS_VERSION);
}

static ssize_t protocol_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%u.%u\n", DATAFS_ABI_MAJOR, DATAFS_ABI_MINOR);
}

static ssize_t feature_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "supported\n");
}

static struct kobj_attribute datafs_version_attr = __ATTR_RO(version);
static struct kobj_attribute datafs_protocol_attr = __ATTR_RO(protocol);
static struct kobj_attribute datafs_takeover_attr = __ATTR(takeover, 0444, feature_show, NULL);
static struct kobj_attribute datafs_lease_attr = __ATTR(lease, 0444, feature_show, NULL);
static struct kobj_attribute datafs_counts_attr = __ATTR(counts, 0444, feature_show, NULL);

static struct attribute *datafs_module_attrs[] = {
	&datafs_version_attr.attr,
	&datafs_protocol_attr.attr,
	NULL
};

/* One file for each DATAFS_FEATURE_*. */
static struct attribute *datafs_feature_attrs[] = {
	&datafs_takeover_attr.attr,
	&datafs_lease_attr.attr,
	&datafs_counts_attr.attr,
	NULL
};

static const struct attribute_group datafs_module_group = {
	.attrs = datafs_module_attrs,
};

static const struct attribute_group datafs_feature_group = {
	.name = "features",
	.attrs = datafs_feature_attrs,
};

static const struct attribute_group *datafs_module_groups[] = {
	&datafs_module_group,
	&datafs_feature_group,
	NULL
};

int __init datafs_sysfs_init(void)
{
	int err;

	datafs_sysfs_fill();
	datafs_kset = kset_create_and_add("datafs", NULL, fs_kobj);
	if (!datafs_kset)
		return -ENOMEM;
	err = sysfs_create_groups(&datafs_kset->kobj, datafs_module_groups);
	if (err)
		kset_unregister(datafs_kset);
	return err;
}

void datafs_sysfs_exit(void)
{
	sysfs_remove_groups(&datafs_kset->kobj, datafs_module_groups);
	kset_unregister(datafs_kset);
}
