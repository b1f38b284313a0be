// SPDX-License-Identifier: Apache-2.0
#include "metad/policies.h"

#include <string.h>

static const char *const names[] = {
	[DATAFS_POLICY_NORMAL] = "normal",
	[DATAFS_POLICY_KEEP] = "keep",
	[DATAFS_POLICY_ONCE] = "once",
};

#define NAMES	(sizeof(names) / sizeof(names[0]))

const char *datafs_policy_cache_name(uint32_t cache)
{
	return cache < NAMES ? names[cache] : NULL;
}

uint32_t datafs_policy_cache_value(const char *name)
{
	for (uint32_t i = 1; i < NAMES; i++)
		if (!strcmp(names[i], name))
			return i;
	return 0;
}
