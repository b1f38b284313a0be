// SPDX-License-Identifier: Apache-2.0
/* Records of policies. */
#include "schema.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "mounts.h"
#include "policies.h"

#define POLICY_LEN	(1 + 1)
#define TABLE_LEN	(1 + 8 + 4)

static const struct key table_key = { "Z", 1 };

struct txn_bytes rec_policy_key(struct txn *t, const void *path, size_t len)
{
	uint8_t *p = txn_alloc(t, 1 + len);

	if (!p)
		return (struct txn_bytes){ 0 };
	*p = 'Y';
	if (len)
		memcpy(p + 1, path, len);
	return (struct txn_bytes){ p, 1 + len };
}

int rec_policy_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		      struct datafs_metad_policy *policy)
{
	if (key.len < 2 || val.len != POLICY_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key, "policy");
	*policy = (struct datafs_metad_policy){
		.path = (const char *)key.p + 1, .path_len = key.len - 1, .cache = val.p[1],
	};
	if (datafs_mount_path_wrong(policy->path, policy->path_len) ||
	    !datafs_policy_cache_name(policy->cache))
		return txn_damaged(t, key, "policy's path or value");
	return 0;
}

int rec_policy_get(struct txn *t, struct txn_bytes key, struct datafs_metad_policy *policy)
{
	struct txn_bytes val;
	int ret = txn_get(t, key, &val);

	if (ret == 1)
		ret = rec_policy_decode(t, key, val, policy) ? txn_error(t) : 1;
	return ret;
}

void rec_policy_put(struct txn *t, struct txn_bytes key, uint32_t cache)
{
	uint8_t val[POLICY_LEN] = { REC_VERSION, (uint8_t)cache };

	txn_put(t, key, (struct txn_bytes){ val, sizeof(val) });
}

int rec_policies_get(struct txn *t, struct datafs_metad_policies *table)
{
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&table_key), &val);

	*table = (struct datafs_metad_policies){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != TABLE_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&table_key), "table of policies");
	table->version = datafs_get_be64(val.p + 1);
	memcpy(&table->policies, val.p + 9, 4);
	table->policies = __builtin_bswap32(table->policies);
	if (!table->version || table->policies > table->version ||
	    table->policies > DATAFS_METAD_POLICIES_MAX)
		return txn_damaged(t, key_bytes(&table_key), "numbers of the table of policies");
	return 1;
}

void rec_policies_put(struct txn *t, const struct datafs_metad_policies *table)
{
	uint8_t val[TABLE_LEN] = { REC_VERSION };
	uint32_t policies = __builtin_bswap32(table->policies);

	datafs_put_be64(val + 1, table->version);
	memcpy(val + 9, &policies, 4);
	txn_put(t, key_bytes(&table_key), (struct txn_bytes){ val, sizeof(val) });
}
