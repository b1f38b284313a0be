/* SPDX-License-Identifier: Apache-2.0 */
/* A Recall of proto/quorum.proto as bytes that came over the network. */
#ifndef DATAFS_META_RECALL_H
#define DATAFS_META_RECALL_H

#include <stddef.h>

#include "metad/object.h"
#include "quorum.pb-c.h"

#define DATAFS_RECALL_OBJECTS	4096u

struct datafs_recall {
	Metad__Recall *m;
	struct datafs_grant_object *objects;	/* names point into @m */
	unsigned int n;
};

/*
 * 0; -EPROTO: it is none, or has something that this version does not understand, and
 * must not be said to be forgotten; -ENOMEM. @res is to be freed after 0.
 */
int datafs_recall_decode(const void *buf, size_t len, struct datafs_recall *res);
void datafs_recall_free(struct datafs_recall *r);

#endif
