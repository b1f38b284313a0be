/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAFS_METAD_ATTR_H
#define DATAFS_METAD_ATTR_H

#include "meta.pb-c.h"
#include "metad/ns.h"

/* Attributes as they are told: all fields. */
Metad__Attr metad_attr_message(const struct datafs_metad_attr *a);

#endif
