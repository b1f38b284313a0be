/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the quorum's policies say of the files of a mount of that quorum. They are asked for
 * again while files are read, every VFS_POLICY_AGAIN at the most, by a job of the pool that
 * nobody waits for: a read goes by what was known last, and until something is known its
 * slots stay as they are.
 */
#ifndef DATAFS_VFS_POLICY_H
#define DATAFS_VFS_POLICY_H

#include <pthread.h>
#include <stdio.h>

#include "base/pool.h"
#include "base/util.h"
#include "cache/cache.h"
#include "trie.h"

#define VFS_POLICY_AGAIN	(5 * DATAFS_SEC)

struct datafs_quorum;
struct vfs_mount;

/* Of a mount of a quorum. */
struct vfs_policies {
	pthread_mutex_t lock;	/* protects what follows; nothing is waited for in it */
	struct trie_node *root;	/* of the namespace; NULL: nothing is known yet */
	uint64_t version;	/* of what is known */
	int64_t next;		/* they are not asked for before; datafs_now() */
	bool busy;		/* @job is in the pool, with a reference to the mount */
	/* of the job */
	struct datafs_job job;
	bool told;		/* that they cannot be had */
};

void vfs_policies_init(struct vfs_policies *p);
void vfs_policies_exit(struct vfs_policies *p);

/*
 * The class of the file with this key in the store of @mnt, a branch; of any other mount,
 * which no policy is of, DATAFS_CACHE_AS_IS. Does not block.
 */
enum datafs_cache_class vfs_policy_class(struct vfs_mount *mnt, const char *key);
/* They are asked for, unless that was lately. @mnt: of a quorum. Does not block. */
void vfs_policy_look(struct vfs_mount *mnt);

/*
 * "version N" and a line "PATH cache=VALUE" for each, by their paths, all of one version;
 * nothing where it is an error. It blocks.
 */
int vfs_policies_list(struct datafs_quorum *q, FILE *f);

#endif
