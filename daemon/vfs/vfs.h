/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's upcalls mean: mounts, names and attributes from the
 * namespace, data from the cache, both filled from the under-stores.
 *
 * All calls are made on worker threads and may block; all are safe from several
 * at once, but MOUNT and UMOUNT of one mount must be called in order.
 */
#ifndef DATAFS_VFS_H
#define DATAFS_VFS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/pool.h"
#include "cache/cache.h"
#include "datafs_netlink.h"
#include "under/under.h"

struct datafs_vfs;

struct datafs_vfs_config {
	const char *dir;	/* exists: meta/, and what the cache makes */
	uint64_t cache_size;
	/* A client's, for a quorum elsewhere; read when it is needed. NULL: none */
	const char *key_file;
	/* Of the node that this is in a quorum elsewhere of which it has mounts. NULL: none */
	const char *node_name;
	struct datafs_pool *pool;	/* for what is fetched ahead */
	/* As in struct datafs_cache_config. */
	int (*backing_add)(void *arg, int fd, uint32_t id);
	int (*revoke)(void *arg, uint64_t cookie,
		      const struct datafs_range *ranges, uint32_t n);
	/* The kernel asks anew for what @items name, from when it returns on. */
	int (*invalidate)(void *arg, const void *items, size_t bytes);
	/*
	 * As @invalidate, on a thread that must not wait for who calls one of the others.
	 * NULL if there are no mounts of quorums elsewhere.
	 */
	int (*recall)(void *arg, const void *items, size_t bytes);
	/*
	 * The kernel uses nothing that it keeps of @mount from @until (datafs_now()) on. Does
	 * not block. -ENOENT: no such mount; -ENOTTY: its module has no leases; -ENOTCONN:
	 * another is its daemon. NULL if there are no mounts of quorums elsewhere.
	 */
	int (*lease)(void *arg, uint32_t mount, uint64_t until);
	void *arg;
};

/* Errors are logged. */
int datafs_vfs_open(const struct datafs_vfs_config *cfg,
		    struct datafs_vfs **res);
/* 16 bytes: the mounts of another namespace cannot be served by this one. */
const uint8_t *datafs_vfs_id(const struct datafs_vfs *v);
/*
 * What a predecessor left in the kernel; before datafs_vfs_start(). The source
 * of a mount need not be there. One that this namespace does not know (logged)
 * is no error: it is a mount, but all that is asked of it is ESTALE.
 */
int datafs_vfs_adopt_mount(struct datafs_vfs *v, uint32_t id,
			   const uint8_t incarnation[16], const char *source,
			   const char *options);
int datafs_vfs_adopt_extent(struct datafs_vfs *v,
			    const struct datafs_held *held);
/* From here on it may be called. @features: DATAFS_FEATURE_* of the module. Logged. */
int datafs_vfs_start(struct datafs_vfs *v, uint64_t features);
/*
 * The pool's jobs are about to be the last: what is fetched ahead ends early, and
 * so does what waits for room in the cache or for a quorum elsewhere, with -ESHUTDOWN. Waits
 * for the thread that does the quorum's jobs: for a look at a store, at the longest. Any thread.
 */
void datafs_vfs_stop(struct datafs_vfs *v);
/* Nothing may run any more, the pool's jobs included. */
void datafs_vfs_close(struct datafs_vfs *v);

/* Room for the body of a reply. */
#define DATAFS_REPLY_MAX	(DATAFS_MSG_MAX - sizeof(struct datafs_rep))

/*
 * A request that its frontend has checked: @body is complete for its opcode, a
 * name body is NUL-terminated in @name and is a name.
 */
struct datafs_call {
	const struct datafs_req *req;
	const void *body;
	char name[DATAFS_NAME_MAX + 1];
	/* DATAFS_REPLY_MAX bytes, aligned to 8; NULL: UMOUNT, REVOKE_DONE */
	void *out;
	uint32_t out_len;	/* 0 at first */
	bool pinned;		/* @ans must be put when the reply is written */
	struct datafs_cache_answer ans;
};

/*
 * Answers a request: 0 and the body in @call->out, or a negative errno. ENOSYS
 * for an opcode it does not know. datafs_vfs_finish() must follow when the
 * reply was written or given up.
 */
int datafs_vfs_call(struct datafs_vfs *v, struct datafs_call *call);
void datafs_vfs_finish(struct datafs_vfs *v, struct datafs_call *call);

/*
 * May the call wait for other machines, for as long as they are away? Of the
 * UMOUNT of a mount that is not served: it may. Does not block. Any thread.
 */
bool datafs_vfs_elsewhere(struct datafs_vfs *v, const struct datafs_req *req, const void *body);

/*
 * Something was changed in the store, and whoever asks for it now sees it, whatever
 * the mount's sync interval: @ino is looked at, a directory is listed; 0: all of the
 * mount is looked at anew when it is asked for. -ENOENT: no such mount; what the
 * store said, logged. Any thread.
 */
int datafs_vfs_invalidate(struct datafs_vfs *v, uint32_t mount, uint64_t ino);

/*
 * Of the calls below: -ENOENT, no such mount; -ESTALE, no file of it; -EOPNOTSUPP, a mount
 * of a namespace, whose files have nothing in the cache. Any thread.
 */

/* What of a file is in the cache; neither blocks nor asks the store. */
struct datafs_vfs_cached {
	uint64_t size, content;
	uint64_t bytes;		/* of @size, in the cache */
};

int datafs_vfs_cached(struct datafs_vfs *v, uint32_t mount, uint64_t ino,
		      struct datafs_vfs_cached *res);
/*
 * Where they are, from @off on: up to @n runs, each in one place of one slab
 * (datafs_cache_next()). Their number, or an error.
 */
int datafs_vfs_where(struct datafs_vfs *v, uint32_t mount, uint64_t ino, uint64_t off,
		     struct datafs_extent *runs, uint32_t n);

struct datafs_vfs_loaded {
	uint64_t bytes;		/* of the range that the file has; all are in the cache */
	uint64_t fetched;	/* ... those that were not before */
};

/*
 * Has the bytes of [off, off+len) in the cache; what is there costs nothing. Multiples of
 * a granule, or -EINVAL. One error ends it (-ESHUTDOWN: the daemon ends); what was fetched
 * stays. Blocks.
 */
int datafs_vfs_load(struct datafs_vfs *v, uint32_t mount, uint64_t ino, uint64_t off,
		    uint64_t len, struct datafs_vfs_loaded *res);
/*
 * The file's bytes leave the cache (datafs_cache_evict()); those of older contents, which
 * no new reader is given, are left to go by themselves.
 */
int datafs_vfs_free(struct datafs_vfs *v, uint32_t mount, uint64_t ino,
		    struct datafs_cache_left *left);
/* Bytes that have not left yet. */
int datafs_vfs_leaving(struct datafs_vfs *v, uint32_t mount, uint64_t ino, uint64_t *bytes);

/*
 * A change of the table of mounts of the daemon's own namespace, which is made if there is
 * none. All mounts of it show it when this returns.
 */
enum datafs_table_op {
	DATAFS_TABLE_ADD,
	DATAFS_TABLE_SET,	/* its options */
	DATAFS_TABLE_REMOVE,
	DATAFS_TABLE_NR
};

struct datafs_table_change {
	enum datafs_table_op op;
	const char *path, *source, *options;	/* all are texts */
	uint64_t generation;	/* SET, REMOVE: only of this one; 0: of any */
};

/*
 * 0; as the quorum has it (proto/meta.proto): -EEXIST, -ENOENT, -ESTALE, -EINVAL, -ENOSPC;
 * an error of the way there, logged. Any thread; it may block on the disk.
 */
int datafs_vfs_table_change(struct datafs_vfs *v, const struct datafs_table_change *change);
/*
 * "version N", then a line "id N generation N PATH SOURCE OPTIONS" for each mount, by their
 * paths, as `datafs mount list` prints it; no namespace is made where there is none. 0 or an
 * error. Any thread.
 */
int datafs_vfs_table_list(struct datafs_vfs *v, FILE *f);

/*
 * In the daemon's own namespace the policy of @path says this (enum datafs_policy_cache), or
 * is removed (0). 0; as the quorum has it: -ENOENT, -EINVAL, -ENOSPC; an error of the way
 * there, logged. Any thread; it may block on the disk.
 */
int datafs_vfs_policy_change(struct datafs_vfs *v, const char *path, uint32_t cache);
/*
 * "version N", then a line "PATH cache=VALUE" for each, as `datafs policy list` prints it; no
 * namespace is made where there is none. 0 or an error. Any thread.
 */
int datafs_vfs_policy_list(struct datafs_vfs *v, FILE *f);

/* Mounts served now. */
unsigned int datafs_vfs_mounts(struct datafs_vfs *v);
/*
 * What the mount has asked of its under-store since this daemon has it. Nothing but
 * zeros if it has none. -ENOENT: no such mount. Does not block. Any thread.
 */
int datafs_vfs_mount_stats(struct datafs_vfs *v, uint32_t id, struct datafs_under_stats *res);
/*
 * Calls @fn for each mount for which these have changed since @fn took them (0), at first
 * for each. Under a lock: @fn does not block, and calls nothing of the vfs. Any thread.
 */
void datafs_vfs_tell_stats(struct datafs_vfs *v,
			   int (*fn)(void *arg, uint32_t id, const struct datafs_under_stats *st),
			   void *arg);
/* One mount's, as "key value" lines, with the price so far. */
int datafs_vfs_put_mount_stats(struct datafs_vfs *v, uint32_t id, FILE *f);
/*
 * "key value" lines: the counters of all mounts together, those that were unmounted
 * included. Status: one "mount ID SOURCE OPTIONS" per mount, and below it "branch ID PATH
 * SOURCE OPTIONS STATE" for what its table mounts: open, away (it could not be opened),
 * refused (its options are wrong), unused (not asked for yet).
 */
void datafs_vfs_stats(struct datafs_vfs *v, FILE *f);
void datafs_vfs_status(struct datafs_vfs *v, FILE *f);

#endif
