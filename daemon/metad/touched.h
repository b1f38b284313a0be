/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command changes of what sessions may believe: so that they can be told
 * before it is done. What it would fail to do it does not change.
 *
 * An inode without a name is believed by nobody: no answer that tells of one is
 * granted, and what takes the last name is told to all who believe something of it. So
 * nothing is changed by what holds inodes, lets them go, and makes orphans disappear.
 *
 * A change of the table of mounts changes all of it: it is one object.
 *
 * What is not there in a directory that is removed stays so: no name can be made in it.
 */
#ifndef DATAFS_METAD_TOUCHED_H
#define DATAFS_METAD_TOUCHED_H

#include <stdbool.h>

#include "metad/ns.h"
#include "metad/object.h"
#include "meta.pb-c.h"

#define DATAFS_TOUCHED_NAMES	2u
#define DATAFS_TOUCHED_MAX	8u

/* Does such a command change what may be believed? */
bool datafs_touches(const struct Metad__Command *c);

/*
 * The names that it changes, once each; they point into @c. Where they lead must not be
 * changed by anything else from before datafs_touched() until it is done.
 */
unsigned int datafs_touched_names(const struct Metad__Command *c,
				  struct datafs_grant_object names[DATAFS_TOUCHED_NAMES]);

/*
 * What it names itself of what it changes, once each; they point into @c. Who sends it
 * believes none of that from before until it is answered, and need not be told.
 */
unsigned int datafs_touched_said(const struct Metad__Command *c,
				 struct datafs_grant_object objects[DATAFS_TOUCHED_MAX]);

/*
 * All that it changes, once each; names point into @c. The first *@said are those of
 * datafs_touched_said(), the others inodes that its names lead to. Their number; 0: it
 * fails, or was answered before. -ENOMEM; else it cannot be read. May block on the disk.
 */
int datafs_touched(struct datafs_metad *m, const struct Metad__Command *c,
		   struct datafs_grant_object objects[DATAFS_TOUCHED_MAX], unsigned int *said);

#endif
