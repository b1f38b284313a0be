/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a member's log: libraft's raft_uv, without its network (its TCP
 * accepts anybody and trusts lengths) and without its struct raft, which raft_uv
 * provides for: its struct raft_io is called by hand. It needs a libuv loop, whose
 * thread is the one of all calls.
 *
 * A full disk is not an error: raft_uv tries again until there is room. A damaged log
 * is: -EUCLEAN when it is loaded, and nothing of it is given up, since others count on
 * what this member has acknowledged. But for the end of what was being written.
 * A write to what is allocated already that fails ends the process (logged): libraft
 * 0.22.1 would damage its memory next.
 *
 * The directory has a file "member" with the id that it belongs to. A member that
 * has lost its disk has forgotten what it voted for, and must not come back under
 * the same id.
 */
#ifndef DATAFS_RAFT_UV_H
#define DATAFS_RAFT_UV_H

#include <stdbool.h>

#include "metad/member.h"

struct uv_loop_s;
struct datafs_raft_uv;

/*
 * @dir is there. @fresh: @id was never used, and @dir is empty; it becomes this
 * member's. Otherwise it is. Blocks on the disk. 0; -ESTALE (logged): it is
 * another member's, or nobody's, or with @fresh somebody's; or what the disk
 * said (logged).
 */
int datafs_raft_uv_open(struct uv_loop_s *loop, const char *dir, uint64_t id, bool fresh,
			struct datafs_raft_uv **res);

/* The quorum's first configuration, to a fresh disk. Blocks. -EEXIST: it has one. */
int datafs_raft_uv_bootstrap(struct datafs_raft_uv *u, const struct raft_configuration *conf);

struct datafs_raft_disk datafs_raft_uv_disk(struct datafs_raft_uv *u);

/*
 * What is under way is ended, or given up with -ECANCELED. @closed is called from
 * the loop, when @u is gone.
 */
void datafs_raft_uv_close(struct datafs_raft_uv *u, void (*closed)(void *ctx), void *ctx);

#endif
