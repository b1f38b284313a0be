// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: the generic netlink family, for daemons and operators.
 *
 * proto/datafs.yaml is its specification. Nothing here waits for anybody, and
 * no lock is held while a message is filled.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/genetlink.h>

#include "datafs.h"

const char * const datafs_stat_names[DATAFS_STAT_NR] = {
	[DATAFS_STAT_EXTENT_HITS]	= "extent_hits",
	[DATAFS_STAT_EXTENT_MISSES]	= "extent_misses",
	[DATAFS_STAT_PREFETCHES]	= "prefetches",
	[DATAFS_STAT_EXTENTS]		= "extents",
	[DATAFS_STAT_EXTENTS_INSTALLED]	= "extents_installed",
	[DATAFS_STAT_EXTENTS_REVOKED]	= "extents_revoked",
	[DATAFS_STAT_EXTENTS_RECLAIMED]	= "extents_reclaimed",
	[DATAFS_STAT_WAITS]		= "waits",
	[DATAFS_STAT_REPLIES_STALE]	= "replies_stale",
	[DATAFS_STAT_REPLIES_BAD]	= "replies_bad",
	[DATAFS_STAT_CRC_ERRORS]	= "crc_errors",
	[DATAFS_STAT_BACKING_READS]	= "backing_reads",
	[DATAFS_STAT_BACKING_BYTES]	= "backing_bytes",
	[DATAFS_STAT_DIRECT_BYTES]	= "direct_bytes",
	[DATAFS_STAT_CONTENT_CHANGES]	= "content_changes",
	[DATAFS_STAT_INVALIDATIONS]	= "invalidations",
};

/* longest of those above and "requests_" with an opcode's name, with NUL */
#define DATAFS_STAT_NAME_SIZE	32

static struct genl_family datafs_genl;

/* GENL_ADMIN_PERM is CAP_NET_ADMIN; this family is more than that. */
static int datafs_nl_permit(const struct sk_buff *skb)
{
	return netlink_capable(skb, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* ------------------------------------------------------------------ mounts */

static size_t datafs_nl_mount_size(const struct datafs_mount *mnt)
{
	return nla_total_size(sizeof(u32)) +			/* MOUNT_ID */
	       nla_total_size(DATAFS_INSTANCE_MAX + 1) +
	       nla_total_size(strlen(mnt->source) + 1) +
	       nla_total_size(sizeof(u32)) +			/* STATE */
	       nla_total_size_64bit(sizeof(u64)) +		/* EPOCH */
	       nla_total_size(strlen(mnt->options) + 1) +
	       nla_total_size(sizeof(mnt->incarnation));
}

static int datafs_nl_put_name(struct sk_buff *skb,
			      const struct datafs_mount *mnt)
{
	if (nla_put_u32(skb, DATAFS_A_MOUNT_ID, mnt->id) ||
	    nla_put_string(skb, DATAFS_A_INSTANCE, mnt->inst->name) ||
	    nla_put_string(skb, DATAFS_A_SOURCE, mnt->source))
		return -EMSGSIZE;
	return 0;
}

static int datafs_nl_put_mount(struct sk_buff *skb,
			       const struct datafs_mount *mnt, u32 portid,
			       u32 seq, int flags)
{
	struct datafs_instance *inst = mnt->inst;
	enum datafs_state state;
	u64 epoch;
	void *hdr;

	spin_lock(&inst->lock);
	state = mnt->state;
	epoch = inst->epoch;
	spin_unlock(&inst->lock);

	hdr = genlmsg_put(skb, portid, seq, &datafs_genl, flags,
			  DATAFS_CMD_GET_MOUNT);
	if (!hdr)
		return -EMSGSIZE;
	if (datafs_nl_put_name(skb, mnt) ||
	    nla_put_u32(skb, DATAFS_A_STATE, state) ||
	    nla_put_u64_64bit(skb, DATAFS_A_EPOCH, epoch, DATAFS_A_PAD) ||
	    nla_put(skb, DATAFS_A_INCARNATION, sizeof(mnt->incarnation),
		    mnt->incarnation) ||
	    nla_put_string(skb, DATAFS_A_OPTIONS, mnt->options)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* The mount that a command names, with a user; or an error. */
static struct datafs_mount *datafs_nl_mount(struct genl_info *info)
{
	struct datafs_mount *mnt;

	if (GENL_REQ_ATTR_CHECK(info, DATAFS_A_MOUNT_ID))
		return ERR_PTR(-EINVAL);
	mnt = datafs_mount_get(nla_get_u32(info->attrs[DATAFS_A_MOUNT_ID]));
	if (mnt)
		return mnt;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[DATAFS_A_MOUNT_ID],
			    "no such mount");
	return ERR_PTR(-ENOENT);
}

static int datafs_nl_get_mount(struct sk_buff *skb, struct genl_info *info)
{
	struct datafs_mount *mnt;
	struct sk_buff *msg;
	int err;

	err = datafs_nl_permit(skb);
	if (err)
		return err;
	mnt = datafs_nl_mount(info);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	msg = genlmsg_new(datafs_nl_mount_size(mnt), GFP_KERNEL);
	if (msg)
		err = datafs_nl_put_mount(msg, mnt, info->snd_portid,
					  info->snd_seq, 0);
	datafs_mount_put(mnt);
	if (!msg)
		return -ENOMEM;
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return genlmsg_reply(msg, info);
}

static int datafs_nl_dump_start(struct netlink_callback *cb)
{
	/* room for one mount with the longest texts in every buffer */
	cb->min_dump_alloc = 2 * (DATAFS_SOURCE_MAX + DATAFS_OPTIONS_MAX);
	return datafs_nl_permit(cb->skb);
}

/* args[0]: the least mount id that has not been told; 2^32 after the last */
static int datafs_nl_dump_mounts(struct sk_buff *skb,
				 struct netlink_callback *cb)
{
	unsigned long from = cb->args[0];
	struct datafs_mount *mnt;
	int err;

	while (from <= U32_MAX) {
		mnt = datafs_mount_next(from);
		if (!mnt)
			break;
		err = datafs_nl_put_mount(skb, mnt,
					  NETLINK_CB(cb->skb).portid,
					  cb->nlh->nlmsg_seq, NLM_F_MULTI);
		if (!err)
			from = (unsigned long)mnt->id + 1;
		datafs_mount_put(mnt);
		if (err) {
			if (!skb->len)
				return err;
			break;
		}
	}
	cb->args[0] = from;
	return skb->len;
}

/* -------------------------------------------------------------- statistics */

static int datafs_nl_put_stat(struct sk_buff *skb, const char *name, u64 value)
{
	struct nlattr *nest = nla_nest_start(skb, DATAFS_A_STAT);

	if (!nest)
		return -EMSGSIZE;
	if (nla_put_string(skb, DATAFS_A_STAT_NAME, name) ||
	    nla_put_u64_64bit(skb, DATAFS_A_STAT_VALUE, value, DATAFS_A_PAD)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static int datafs_nl_put_stats(struct sk_buff *skb, struct datafs_mount *mnt,
			       struct genl_info *info)
{
	char name[DATAFS_STAT_NAME_SIZE];
	void *hdr;
	int i;

	hdr = genlmsg_put_reply(skb, info, &datafs_genl, 0,
				DATAFS_CMD_GET_STATS);
	if (!hdr || nla_put_u32(skb, DATAFS_A_MOUNT_ID, mnt->id))
		return -EMSGSIZE;
	for (i = 0; i < DATAFS_STAT_NR; i++)
		if (datafs_nl_put_stat(skb, datafs_stat_names[i],
				       atomic64_read(&mnt->stats[i])))
			return -EMSGSIZE;
	for (i = 1; i < DATAFS_OP_NR; i++) {
		snprintf(name, sizeof(name), "requests_%s", datafs_op_names[i]);
		if (datafs_nl_put_stat(skb, name,
				       atomic64_read(&mnt->requests[i])))
			return -EMSGSIZE;
	}
	for (i = 1; i < DATAFS_OP_NR; i++) {
		snprintf(name, sizeof(name), "requeued_%s", datafs_op_names[i]);
		if (datafs_nl_put_stat(skb, name,
				       atomic64_read(&mnt->inst->requeued[i])))
			return -EMSGSIZE;
	}
	/* of the instance: nobody knows whose they were */
	if (datafs_nl_put_stat(skb, "replies_unknown",
			       atomic64_read(&mnt->inst->replies_unknown)))
		return -EMSGSIZE;
	genlmsg_end(skb, hdr);
	return 0;
}

static int datafs_nl_get_stats(struct sk_buff *skb, struct genl_info *info)
{
	const size_t each = nla_total_size(0) +
			    nla_total_size(DATAFS_STAT_NAME_SIZE) +
			    nla_total_size_64bit(sizeof(u64));
	struct datafs_mount *mnt;
	struct sk_buff *msg;
	int err;

	err = datafs_nl_permit(skb);
	if (err)
		return err;
	mnt = datafs_nl_mount(info);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	msg = genlmsg_new(nla_total_size(sizeof(u32)) +
			  (DATAFS_STAT_NR + 2 * DATAFS_OP_NR) * each,
			  GFP_KERNEL);
	if (msg)
		err = datafs_nl_put_stats(msg, mnt, info);
	datafs_mount_put(mnt);
	if (!msg)
		return -ENOMEM;
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return genlmsg_reply(msg, info);
}

/* ------------------------------------------------------------------ revoke */

/* The kernel's copy of the ranges, aligned, checked. */
static struct datafs_range *datafs_nl_ranges(const struct nlattr *attr, u32 *n,
					     struct netlink_ext_ack *extack)
{
	struct datafs_range *ranges;
	u32 i;

	*n = nla_len(attr) / sizeof(*ranges);
	if (!*n || *n > DATAFS_RANGES_MAX || nla_len(attr) % sizeof(*ranges)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "not 1 to 1024 struct datafs_range");
		return ERR_PTR(-EINVAL);
	}
	ranges = kvmalloc_array(*n, sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return ERR_PTR(-ENOMEM);
	memcpy(ranges, nla_data(attr), *n * sizeof(*ranges));
	for (i = 0; i < *n; i++) {
		if (!ranges[i].reserved &&
		    ranges[i].off + ranges[i].len >= ranges[i].off)
			continue;
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "a range has its reserved field set or ends beyond 2^64");
		kvfree(ranges);
		return ERR_PTR(-EINVAL);
	}
	return ranges;
}

static int datafs_nl_revoke(struct sk_buff *skb, struct genl_info *info)
{
	struct datafs_instance *inst;
	struct datafs_range *ranges;
	const struct nlattr *name;
	int err;
	u32 n;

	err = datafs_nl_permit(skb);
	if (err)
		return err;
	if (GENL_REQ_ATTR_CHECK(info, DATAFS_A_INSTANCE) ||
	    GENL_REQ_ATTR_CHECK(info, DATAFS_A_COOKIE) ||
	    GENL_REQ_ATTR_CHECK(info, DATAFS_A_RANGES))
		return -EINVAL;
	ranges = datafs_nl_ranges(info->attrs[DATAFS_A_RANGES], &n,
				  info->extack);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);

	name = info->attrs[DATAFS_A_INSTANCE];
	/* its policy has seen to the NUL */
	inst = datafs_instance_find(nla_data(name));
	if (inst) {
		err = datafs_revoke_start(inst,
				nla_get_u64(info->attrs[DATAFS_A_COOKIE]),
				ranges, n);
		datafs_instance_put(inst);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "no such instance");
		err = -ENOENT;
	}
	kvfree(ranges);
	return err;
}

/* -------------------------------------------------------------- invalidate */

static int datafs_nl_invalidate(struct sk_buff *skb, struct genl_info *info)
{
	struct datafs_instance *inst;
	const struct nlattr *items;
	void *copy;
	int err;

	err = datafs_nl_permit(skb);
	if (err)
		return err;
	if (GENL_REQ_ATTR_CHECK(info, DATAFS_A_INSTANCE) ||
	    GENL_REQ_ATTR_CHECK(info, DATAFS_A_ITEMS))
		return -EINVAL;
	items = info->attrs[DATAFS_A_ITEMS];
	/* aligned */
	copy = kvmalloc(nla_len(items), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, nla_data(items), nla_len(items));
	inst = datafs_instance_find(nla_data(info->attrs[DATAFS_A_INSTANCE]));
	if (inst) {
		err = datafs_invalidate(inst, copy, nla_len(items));
		if (err)
			NL_SET_ERR_MSG_ATTR(info->extack, items,
					    "not struct datafs_invalid, each with its name");
		datafs_instance_put(inst);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[DATAFS_A_INSTANCE],
				    "no such instance");
		err = -ENOENT;
	}
	kvfree(copy);
	return err;
}

/* ------------------------------------------------------------------ events */

static const struct genl_multicast_group datafs_nl_groups[] = {
	{ .name = DATAFS_GENL_MCGRP, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

/* Events are hints: one that cannot be sent is not. */
void datafs_event_mount(enum datafs_genl_cmd cmd, struct datafs_mount *mnt)
{
	struct sk_buff *msg;
	void *hdr;

	msg = genlmsg_new(datafs_nl_mount_size(mnt), GFP_KERNEL);
	if (!msg)
		return;
	hdr = genlmsg_put(msg, 0, 0, &datafs_genl, 0, cmd);
	if (!hdr || datafs_nl_put_name(msg, mnt)) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, hdr);
	genlmsg_multicast(&datafs_genl, msg, 0, 0, GFP_KERNEL);
}

void datafs_event_daemon(enum datafs_genl_cmd cmd, struct datafs_instance *inst)
{
	struct sk_buff *msg;
	void *hdr;
	u64 epoch;

	spin_lock(&inst->lock);
	epoch = inst->epoch;
	spin_unlock(&inst->lock);

	msg = genlmsg_new(nla_total_size(DATAFS_INSTANCE_MAX + 1) +
			  nla_total_size_64bit(sizeof(u64)), GFP_KERNEL);
	if (!msg)
		return;
	hdr = genlmsg_put(msg, 0, 0, &datafs_genl, 0, cmd);
	if (!hdr || nla_put_string(msg, DATAFS_A_INSTANCE, inst->name) ||
	    nla_put_u64_64bit(msg, DATAFS_A_EPOCH, epoch, DATAFS_A_PAD)) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, hdr);
	genlmsg_multicast(&datafs_genl, msg, 0, 0, GFP_KERNEL);
}

/* ------------------------------------------------------------------ family */

static const struct nla_policy datafs_nl_mount_policy[] = {
	[DATAFS_A_MOUNT_ID]	= { .type = NLA_U32 },
};

static const struct nla_policy datafs_nl_revoke_policy[] = {
	[DATAFS_A_INSTANCE]	= { .type = NLA_NUL_STRING,
				    .len = DATAFS_INSTANCE_MAX },
	[DATAFS_A_COOKIE]	= { .type = NLA_U64 },
	[DATAFS_A_RANGES]	= { .type = NLA_BINARY,
				    .len = DATAFS_RANGES_MAX *
					   sizeof(struct datafs_range) },
};

static const struct nla_policy datafs_nl_invalidate_policy[] = {
	[DATAFS_A_INSTANCE]	= { .type = NLA_NUL_STRING,
				    .len = DATAFS_INSTANCE_MAX },
	[DATAFS_A_ITEMS]	= { .type = NLA_BINARY,
				    .len = DATAFS_INVALID_BYTES },
};

static const struct genl_ops datafs_nl_ops[] = {
	{
		.cmd		= DATAFS_CMD_GET_MOUNT,
		.flags		= GENL_ADMIN_PERM,
		.policy		= datafs_nl_mount_policy,
		.maxattr	= ARRAY_SIZE(datafs_nl_mount_policy) - 1,
		.doit		= datafs_nl_get_mount,
		.start		= datafs_nl_dump_start,
		.dumpit		= datafs_nl_dump_mounts,
	},
	{
		.cmd		= DATAFS_CMD_GET_STATS,
		.flags		= GENL_ADMIN_PERM,
		.policy		= datafs_nl_mount_policy,
		.maxattr	= ARRAY_SIZE(datafs_nl_mount_policy) - 1,
		.doit		= datafs_nl_get_stats,
	},
	{
		.cmd		= DATAFS_CMD_REVOKE,
		.flags		= GENL_ADMIN_PERM,
		.policy		= datafs_nl_revoke_policy,
		.maxattr	= ARRAY_SIZE(datafs_nl_revoke_policy) - 1,
		.doit		= datafs_nl_revoke,
	},
	{
		.cmd		= DATAFS_CMD_INVALIDATE,
		.flags		= GENL_ADMIN_PERM,
		.policy		= datafs_nl_invalidate_policy,
		.maxattr	= ARRAY_SIZE(datafs_nl_invalidate_policy) - 1,
		.doit		= datafs_nl_invalidate,
	},
};

/*
 * Not in other network namespaces: not netnsok. Commands come in parallel, so
 * that a revoke does not hold the lock of all families.
 */
static struct genl_family datafs_genl __ro_after_init = {
	.name		= DATAFS_GENL_NAME,
	.version	= DATAFS_GENL_VERSION,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.ops		= datafs_nl_ops,
	.n_ops		= ARRAY_SIZE(datafs_nl_ops),
	.mcgrps		= datafs_nl_groups,
	.n_mcgrps	= ARRAY_SIZE(datafs_nl_groups),
};

int datafs_netlink_init(void)
{
	return genl_register_family(&datafs_genl);
}

void datafs_netlink_exit(void)
{
	genl_unregister_family(&datafs_genl);
}
