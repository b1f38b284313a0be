/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of `datafs meta`: meta.c (arguments; the quorum looked at and
 * changed), meta_backup.c (its state taken away, and brought back), meta_recover.c (gone on
 * with by the last member that is left), meta_quota.c.
 */
#ifndef DATAFS_UTIL_META_INTERNAL_H
#define DATAFS_UTIL_META_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "meta/remote.h"

#define META_STATUS_MS	3000	/* a member that says nothing meanwhile is down */

/* What was said, and whom to ask. */
struct meta_request {
	struct datafs_remote *r;	/* NULL: nobody is asked */
	const char *members, *key_file;
	char cluster[2 * DATAFS_CLUSTER_LEN + 1];	/* with authentication off; else "" */
	uint8_t cluster_id[DATAFS_CLUSTER_LEN];		/* of that, or of the key file */
	bool spare, accept_loss;
	uint64_t id;
	const char *address, *file, *from, *dir, *path;
	uint64_t inodes, bytes;		/* limits of a quota; 0: none */
};

/* Asks @member, as datafs_remote_call(). */
int meta_call(const struct meta_request *q, int member, const Metad__Admin *admin, uint32_t ms,
	      Metad__Reply **res);
/* What a Reply's error means for who administers. */
const char *meta_why(uint32_t error);

/* The commands; an exit status is returned. */
int meta_backup(struct meta_request *q);
int meta_restore(struct meta_request *q);
int meta_inspect(struct meta_request *q);
int meta_recover(struct meta_request *q);
int meta_quota_set(struct meta_request *q);
int meta_quota_list(struct meta_request *q);
int meta_quota_remove(struct meta_request *q);

#endif
