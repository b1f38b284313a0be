// SPDX-License-Identifier: Apache-2.0
#include "meta/recall.h"

#include <errno.h>
#include <stdlib.h>

#include "datafs_abi.h"

static int object_of(const Metad__Object *o, struct datafs_grant_object *res)
{
	if (o->base.n_unknown_fields || !o->ino || o->kind < METAD__OBJECT_KIND__ATTR ||
	    o->kind > METAD__OBJECT_KIND__MOUNTS || o->name.len > DATAFS_NAME_MAX)
		return -EPROTO;
	*res = (struct datafs_grant_object) {
		.ino = o->ino,
		.kind = (enum datafs_grant_kind)(o->kind - METAD__OBJECT_KIND__ATTR),
		.len = (uint8_t)o->name.len, .name = (const char *)o->name.data,
	};
	return 0;
}

static int objects_of(struct datafs_recall *r)
{
	int err = 0;

	if (r->m->base.n_unknown_fields || !r->m->session ||
	    r->m->n_objects > DATAFS_RECALL_OBJECTS)
		return -EPROTO;
	r->objects = calloc(r->m->n_objects + 1, sizeof(*r->objects));
	if (!r->objects)
		return -ENOMEM;
	for (; !err && r->n < r->m->n_objects; r->n++)
		err = object_of(r->m->objects[r->n], &r->objects[r->n]);
	return err;
}

int datafs_recall_decode(const void *buf, size_t len, struct datafs_recall *res)
{
	int err;

	*res = (struct datafs_recall) { .m = metad__recall__unpack(NULL, len, buf) };
	err = res->m ? objects_of(res) : -EPROTO;
	if (err)
		datafs_recall_free(res);
	return err;
}

void datafs_recall_free(struct datafs_recall *r)
{
	if (r->m)
		metad__recall__free_unpacked(r->m, NULL);
	free(r->objects);
	*r = (struct datafs_recall){ 0 };
}
