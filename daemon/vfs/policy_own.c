// SPDX-License-Identifier: Apache-2.0
/* The policies of the daemon's own namespace, which no member elsewhere changes. */
#include "policy.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "metad/mounts.h"
#include "metad/policies.h"
#include "vfs_internal.h"

int datafs_vfs_policy_change(struct datafs_vfs *v, const char *path, uint32_t cache)
{
	ProtobufCBinaryData text = { strlen(path), (uint8_t *)path };
	Metad__PolicyRemove rm = METAD__POLICY_REMOVE__INIT;
	Metad__PolicySet set = METAD__POLICY_SET__INIT;
	Metad__Command c = METAD__COMMAND__INIT;
	struct datafs_quorum *q;
	int ret;

	if (datafs_mount_path_wrong(path, strlen(path)) ||
	    (cache && !datafs_policy_cache_name(cache)))
		return -EINVAL;
	ret = cache ? vfs_own_quorum(v, &q) : vfs_own_quorum_there(v, &q);
	if (ret)
		return ret;
	if (cache) {
		set.has_path = set.has_cache = true;
		set.path = text;
		set.cache = cache;
		c.op_case = METAD__COMMAND__OP_POLICY_SET;
		c.policy_set = &set;
	} else {
		rm.has_path = true;
		rm.path = text;
		c.op_case = METAD__COMMAND__OP_POLICY_REMOVE;
		c.policy_remove = &rm;
	}
	ret = vfs_session_once(q, &c);
	/* Nobody has ever set one. */
	if (ret == -EOPNOTSUPP && !cache)
		ret = -ENOENT;
	if (!ret)
		datafs_log(LOG_INFO, "policies: %s: %s%s", path, cache ? "cache=" : "removed",
			   cache ? datafs_policy_cache_name(cache) : "");
	return ret;
}

int datafs_vfs_policy_list(struct datafs_vfs *v, FILE *f)
{
	struct datafs_quorum *q;
	int ret = vfs_own_quorum_there(v, &q);

	if (ret != -ENOENT)
		return ret ? ret : vfs_policies_list(q, f);
	/* Nor is one made, to look at it: as a new one has it. */
	fprintf(f, "version 0\n");
	return 0;
}
