/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of its mounts, by the generic netlink family. */
#ifndef DATAFS_GENL_H
#define DATAFS_GENL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/vfs.h>

struct datafs_genl;

/* A mount, as DATAFS_CMD_GET_MOUNT tells of it. */
struct datafs_genl_mount {
	uint32_t id;
	uint32_t state;			/* enum datafs_state */
	uint64_t epoch;
	uint8_t incarnation[16];
	char instance[64];
	char *source;
};

/* What the kernel tells of by itself; what does not belong to @cmd is 0 or "". */
struct datafs_genl_event {
	uint32_t cmd;			/* enum datafs_genl_cmd; UNSPEC: some were lost */
	uint32_t mount_id;
	uint64_t epoch;
	char instance[64];
	const char *source;
};

typedef void (*datafs_genl_event_fn)(void *arg,
				     const struct datafs_genl_event *ev);

/* Called for each counter, in the kernel's order. */
typedef void (*datafs_genl_stat_fn)(void *arg, const char *name,
				    uint64_t value);

/*
 * All return 0 or a negative errno. -ENOENT from open: the module is not
 * loaded (or this is not the initial network namespace). -EPERM: not root.
 */
int datafs_genl_open(struct datafs_genl **res);
void datafs_genl_close(struct datafs_genl *g);

/* *@list is an array of *@n, to be given to datafs_genl_mounts_free(). */
int datafs_genl_mounts(struct datafs_genl *g, struct datafs_genl_mount **list,
		       size_t *n);
void datafs_genl_mounts_free(struct datafs_genl_mount *list, size_t n);

/* Is it the mount whose incarnation makes this f_fsid? As the kernel folds it. */
bool datafs_genl_is_fsid(const struct datafs_genl_mount *m, const fsid_t *fsid);

/* -ENOENT: no such mount */
int datafs_genl_stats(struct datafs_genl *g, uint32_t mount_id,
		      datafs_genl_stat_fn fn, void *arg);

/*
 * Calls @joined once events are sure to arrive, then @fn for each, and comes
 * back with an error only. @g is good for nothing else from then on.
 */
int datafs_genl_events(struct datafs_genl *g, void (*joined)(void *arg),
		       datafs_genl_event_fn fn, void *arg);

#endif
