/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_UNDER_TABLE_H
#define DATAFS_UNDER_TABLE_H

#include "under.h"

extern const struct datafs_under_ops datafs_under_posix;

#endif
