/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_TEST_LOOKS_WRAP_H
#define DATAFS_TEST_LOOKS_WRAP_H

#include "under/under.h"

int __wrap_datafs_under_stat(struct datafs_under *u, const char *key,
			     struct datafs_under_stat *st);

#endif
