/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of an under-store is listed once for all daemons of a cluster: one of them has
 * the ticket, asks the store, and puts what it gets into the quorum beside its own cache; the
 * others take it from there. Documentation/metadata.rst, "Shared listings".
 *
 * That is for branches of a quorum elsewhere, of stores that are the same to all and whose
 * directories have no state of their own, and never for a mount that asks for every look. All
 * of it is worth trying only: what does not work, or not in time, is asked of the store.
 *
 * Calls block for the quorum, for SHARE_MS each at the most (share.c); of worker threads.
 */
#ifndef DATAFS_SHARE_H
#define DATAFS_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "under/under.h"

struct vfs_mount;
struct vfs_shares;

/* Of a mount of a quorum elsewhere. NULL: no memory. */
struct vfs_shares *vfs_shares_new(struct vfs_mount *mnt);
/* No call is under way. NULL is nothing. */
void vfs_shares_free(struct vfs_shares *s);
/* What waits for the mount's quorum ends; its session is ended now or later. */
void vfs_shares_leave(struct vfs_mount *mnt);

struct vfs_share;	/* of one listing; of one thread at a time */

/*
 * The directory at @key of the branch is about to be listed, and what began before @fresh
 * (datafs_now()) is too old. NULL: it is not shared.
 */
struct vfs_share *vfs_share_begin(struct vfs_mount *branch, const char *key, int64_t fresh);
/*
 * A listing may stop between two pages for as long as nobody reads on, and outlive its branch
 * and mount, even by others that show the same. So who goes on with one says first for which
 * branch; NULL is nothing. False: it cannot be gone on with, and is to be begun anew.
 */
bool vfs_share_goes_on(struct vfs_share *sh, struct vfs_mount *branch);
/* It is taken from the quorum; else it is asked of the store, and put there. */
bool vfs_share_follows(const struct vfs_share *sh);
/* Of one that is taken: the least time (datafs_now()) at which it may have been looked at. */
int64_t vfs_share_looked(const struct vfs_share *sh);
/*
 * The next page: DATAFS_UNDER_STOP, there is more; 0, that was the end; what @fn returned. An
 * error -EAGAIN: no more comes, and the directory is to be listed anew. Waits for who makes
 * it, not for long.
 */
int vfs_share_next(struct vfs_share *sh, datafs_under_list_fn fn, void *arg);
/* Of one that is put, and NULL is nothing: the store has told this name; */
void vfs_share_add(struct vfs_share *sh, const char *name, const struct datafs_under_stat *st);
/* ... that is all for now; */
void vfs_share_flush(struct vfs_share *sh);
/* ... that was all, or what has ended it, and nothing of it is remembered. */
void vfs_share_end(struct vfs_share *sh, int err);
/* Does not block. One that is put and was not ended is given up by those who wait for it. */
void vfs_share_free(struct vfs_share *sh);

#endif
