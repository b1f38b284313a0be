/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: what holds for all files below a path of the namespace.
 * Documentation/metadata.rst, "Policies".
 *
 * Their paths are as those of mounts (mounts.h). Of a file's path and those above it the
 * longest that has a policy decides, alone; without one all is as by default.
 *
 * Members must agree on it, and have records of it: it may become more with a feature level,
 * and never less.
 */
#ifndef DATAFS_METAD_POLICIES_H
#define DATAFS_METAD_POLICIES_H

#include <stddef.h>
#include <stdint.h>

#define DATAFS_METAD_POLICIES_MAX	1024

/* What the caches of nodes do with contents; as it is in records and in what is answered. */
enum datafs_policy_cache {
	DATAFS_POLICY_NORMAL = 1,	/* the default */
	DATAFS_POLICY_KEEP = 2,		/* they are evicted last */
	DATAFS_POLICY_ONCE = 3,		/* ... first */
};

/* "normal", ...; NULL: there is no such value. */
const char *datafs_policy_cache_name(uint32_t cache);
/* The value of that name; 0: there is none. */
uint32_t datafs_policy_cache_value(const char *name);

#endif
