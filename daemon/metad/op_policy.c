// SPDX-License-Identifier: Apache-2.0
/*
 * Policies. The table's version rises by one with each command that changes one, and never
 * else: to set what is so already is no change.
 */
#include <errno.h>

#include "mounts.h"
#include "op.h"
#include "policies.h"

/* What a command finds. */
struct found {
	struct datafs_metad_policies table;
	struct datafs_metad_policy policy;	/* all 0: there is none */
	struct txn_bytes key;
};

/* 1: it is there, 0: it is not; or the error. */
static int find(struct op *o, ProtobufCBinaryData path, struct found *f)
{
	int ret;

	*f = (struct found){ 0 };
	if (o->n->c.feature_level < DATAFS_METAD_LEVEL_POLICY)
		return -EOPNOTSUPP;
	if (datafs_mount_path_wrong(path.data, path.len))
		return -EINVAL;
	f->key = rec_policy_key(o->t, path.data, path.len);
	if (!f->key.len)
		return txn_error(o->t);
	ret = rec_policies_get(o->t, &f->table);
	if (ret >= 0)
		ret = rec_policy_get(o->t, f->key, &f->policy);
	if (ret == 1 && !f->table.policies)
		return txn_damaged(o->t, f->key, "a policy that its table does not know");
	return ret;
}

int op_policy_set(struct op *o, const Metad__Command *c)
{
	const Metad__PolicySet *s = c->policy_set;
	struct found f;
	int there = find(o, s->path, &f);

	if (there < 0)
		return there;
	if (!datafs_policy_cache_name(s->cache))
		return -EINVAL;
	if (!there && f.table.policies >= DATAFS_METAD_POLICIES_MAX)
		return -ENOSPC;
	if (f.policy.cache == s->cache)
		return 0;
	f.table.version++;
	f.table.policies += !there;
	rec_policy_put(o->t, f.key, s->cache);
	rec_policies_put(o->t, &f.table);
	return 0;
}

int op_policy_remove(struct op *o, const Metad__Command *c)
{
	struct found f;
	int ret = find(o, c->policy_remove->path, &f);

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	f.table.version++;
	f.table.policies--;
	txn_del(o->t, f.key);
	rec_policies_put(o->t, &f.table);
	return 0;
}
