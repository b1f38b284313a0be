/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_TEST_METAD_CHECK_H
#define DATAFS_TEST_METAD_CHECK_H

#include "metad/ns.h"

/* What schema.h says must hold: NULL, or what does not. */
const char *metad_check(struct datafs_metad *m);
/* All keys and values, to be freed. */
uint8_t *metad_dump(struct datafs_metad *m, size_t *len);

#endif
