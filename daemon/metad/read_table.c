// SPDX-License-Identifier: Apache-2.0
/* The tables of a namespace are told, a piece at a time, each of a snapshot of its own. */
#include <errno.h>
#include <string.h>

#include "ns_internal.h"

/* Who is told of records, and how one of them is. */
struct listener {
	/* True: no more, of an error too (txn_error()). */
	bool (*one)(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		    const struct listener *l);
	union {
		datafs_metad_quota_fn quota;
		datafs_metad_mount_fn mount;
		datafs_metad_node_fn node;
		datafs_metad_job_fn job;
		datafs_metad_policy_fn policy;
	} fn;
	void *arg;
};

#define LISTENER(record, decode)					\
static bool one_##record(struct txn *t, struct txn_bytes key,		\
			 struct txn_bytes val, const struct listener *l) \
{									\
	struct datafs_metad_##record r;					\
									\
	return decode(t, key, val, &r) || l->fn.record(l->arg, &r);	\
}

LISTENER(quota, rec_quota_decode)
LISTENER(mount, rec_mount_decode)
LISTENER(node, rec_routed_decode)
LISTENER(job, rec_job_decode)
LISTENER(policy, rec_policy_decode)

/* Those that begin with @prefix, from @from on; @beyond: without that one. */
static int tell(struct txn *t, struct txn_bytes prefix, struct txn_bytes from, bool beyond,
		const struct listener *l, bool *eof)
{
	struct txn_bytes key, val;
	struct txn_scan s;
	bool stop = false;

	if (txn_error(t))
		return txn_error(t);
	txn_scan_begin(&s, t, prefix, from);
	while (!stop && txn_scan_next(&s, &key, &val) == 1) {
		if (beyond && key.len == from.len && !memcmp(key.p, from.p, key.len))
			continue;
		stop = l->one(t, key, val, l);
	}
	*eof = !stop && !txn_error(t);
	txn_scan_end(&s);
	return txn_error(t);
}

/* Those that have numbers. */
static int tell_from(struct txn *t, char kind, uint64_t after, const struct listener *l, bool *eof)
{
	struct key from = key_make(kind, after + 1);

	*eof = !(after + 1);
	return *eof ? 0 : tell(t, (struct txn_bytes){ from.b, 1 }, key_bytes(&from), false, l, eof);
}

int datafs_metad_quotas(struct datafs_metad *m, uint64_t after, datafs_metad_quota_fn fn,
			void *arg, bool *eof)
{
	struct listener l = { .one = one_quota, .fn.quota = fn, .arg = arg };
	struct txn t;
	int err;

	txn_view(&t, m->db, m->dir);
	err = tell_from(&t, 'Q', after, &l, eof);
	txn_end(&t);
	return err;
}

int datafs_metad_mounts(struct datafs_metad *m, const void *after, size_t len,
			datafs_metad_mount_fn fn, void *arg, bool *eof,
			struct datafs_metad_mounts *table)
{
	struct listener l = { .one = one_mount, .fn.mount = fn, .arg = arg };
	struct txn t;
	int err;

	*eof = false;
	if (len > DATAFS_METAD_PATH_MAX)
		return -ENAMETOOLONG;
	txn_view(&t, m->db, m->dir);
	err = rec_mounts_get(&t, table);
	if (err >= 0)
		err = tell(&t, rec_mount_key(&t, NULL, 0), rec_mount_key(&t, after, len), len, &l, eof);
	txn_end(&t);
	return err;
}

int datafs_metad_routing(struct datafs_metad *m, struct datafs_metad_routing *res)
{
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = rec_routing_get(&t, res);
	txn_end(&t);
	return ret < 0 ? ret : 0;
}

int datafs_metad_nodes(struct datafs_metad *m, uint64_t after, datafs_metad_node_fn fn,
		       void *arg, bool *eof, struct datafs_metad_routing *routing)
{
	struct listener l = { .one = one_node, .fn.node = fn, .arg = arg };
	struct txn t;
	int err;

	*eof = false;
	txn_view(&t, m->db, m->dir);
	err = rec_routing_get(&t, routing);
	if (err >= 0)
		err = tell_from(&t, 'P', after, &l, eof);
	txn_end(&t);
	return err;
}

int datafs_metad_jobs_table(struct datafs_metad *m, struct datafs_metad_jobs *res)
{
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = rec_jobs_get(&t, res);
	txn_end(&t);
	return ret < 0 ? ret : 0;
}

int datafs_metad_jobs(struct datafs_metad *m, uint64_t after, datafs_metad_job_fn fn,
		      void *arg, bool *eof, struct datafs_metad_jobs *table)
{
	struct listener l = { .one = one_job, .fn.job = fn, .arg = arg };
	struct txn t;
	int err;

	*eof = false;
	txn_view(&t, m->db, m->dir);
	err = rec_jobs_get(&t, table);
	if (err >= 0)
		err = tell_from(&t, 'J', after, &l, eof);
	txn_end(&t);
	return err;
}

int datafs_metad_policies_table(struct datafs_metad *m, struct datafs_metad_policies *res)
{
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = rec_policies_get(&t, res);
	txn_end(&t);
	return ret < 0 ? ret : 0;
}

int datafs_metad_policies(struct datafs_metad *m, const void *after, size_t len,
			  datafs_metad_policy_fn fn, void *arg, bool *eof,
			  struct datafs_metad_policies *table)
{
	struct listener l = { .one = one_policy, .fn.policy = fn, .arg = arg };
	struct txn t;
	int err;

	*eof = false;
	if (len > DATAFS_METAD_PATH_MAX)
		return -ENAMETOOLONG;
	txn_view(&t, m->db, m->dir);
	err = rec_policies_get(&t, table);
	if (err >= 0)
		err = tell(&t, rec_policy_key(&t, NULL, 0), rec_policy_key(&t, after, len), len, &l, eof);
	txn_end(&t);
	return err;
}
