/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the quorum of one are linked in front of. */
#ifndef DATAFS_TEST_QUORUM_WRAP_H
#define DATAFS_TEST_QUORUM_WRAP_H

#include <sys/statvfs.h>

#include "base/env.h"
#include "metad/ns.h"

int __real_datafs_env_open(struct datafs_env **res);
int __real_datafs_metad_apply(struct datafs_metad *m, uint64_t index, uint64_t term,
			      const void *entry, size_t len, struct datafs_metad_results *res);
int __real_statvfs(const char *path, struct statvfs *st);

#endif
