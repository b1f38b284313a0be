// SPDX-License-Identifier: Apache-2.0
/* The product's state machine on a disk that loses power, with a clock of its own. */
#define _GNU_SOURCE
#include "sim_ns.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "metad/fsm.h"
#include "metad_check.h"
#include "sim_ns_client.h"

#define EPOCH		1700000000000ull	/* milliseconds */
#define SKEW_MS		1500u			/* of two clocks */

struct sim_ns {
	struct sim_store st;
	struct datafs_fsm *fsm;
	struct datafs_raft_fsm ops;
	unsigned int copies;
	uint64_t skew;
};

static void *make(struct sim *s, const char *dir)
{
	struct sim_ns *n = calloc(1, sizeof(*n));

	assert(n);
	sim_store_init(&n->st, s, dir);
	return n;
}

static int env_of(void *ctx, struct datafs_env **res)
{
	*res = fault_env_shim(((struct sim_ns *)ctx)->st.disk);
	return 0;
}

static uint64_t clock_of(void *ctx)
{
	struct sim_ns *n = ctx;

	return (EPOCH + n->st.sim->now + n->skew) * DATAFS_MSEC;
}

static void open_ns(void *state)
{
	struct sim_ns *n = state;
	struct datafs_fsm_options opt = {
		.dir = n->st.root, .id = "sim", .env = env_of, .clock = clock_of, .ctx = n,
	};

	/* after a start it may be set otherwise */
	n->skew = sim_pick(n->st.sim, SKEW_MS);
	assert(!datafs_fsm_open(&opt, &n->fsm));
	fault_env_settle(n->st.disk);
	n->ops = datafs_fsm_ops(n->fsm);
}

static void close_ns(struct sim_ns *n)
{
	datafs_fsm_close(n->fsm);
	n->fsm = NULL;
}

static void crash(void *state)
{
	struct sim_ns *n = state;

	fault_env_cut(n->st.disk, 0);
	close_ns(n);
	fault_env_restart(n->st.disk);
}

static void free_ns(void *state)
{
	struct sim_ns *n = state;

	close_ns(n);
	fault_env_free(n->st.disk);
	free(n);
}

struct datafs_metad *sim_ns_of(void *state)
{
	return datafs_fsm_ns(((struct sim_ns *)state)->fsm);
}

struct datafs_fsm *sim_ns_fsm(void *state)
{
	return ((struct sim_ns *)state)->fsm;
}

/* --- its operations, with copies between the disks --- */

static uint64_t applied(void *ctx)
{
	struct sim_ns *n = ctx;

	return n->ops.applied(n->ops.ctx);
}

static int apply(void *ctx, uint64_t index, uint64_t term, struct datafs_raft_command *cmds,
		 unsigned int count)
{
	struct sim_ns *n = ctx;

	return n->ops.apply(n->ops.ctx, index, term, cmds, count);
}

static size_t stamp(void *ctx, void *buf)
{
	struct sim_ns *n = ctx;

	return n->ops.stamp(n->ops.ctx, buf);
}

static int checkpoint(void *ctx, const char *dir)
{
	struct sim_ns *n = ctx;
	char path[4300];
	int err;

	n->st.sim->snapshots++;
	snprintf(path, sizeof(path), "%s/copy-%u", n->st.root, ++n->copies);
	err = n->ops.checkpoint(n->ops.ctx, path);
	if (!err)
		sim_copy_dir(path, dir);
	return err;
}

static int restore(void *ctx, const char *dir)
{
	struct sim_ns *n = ctx;
	char path[4300];
	int err;

	n->st.sim->restores++;
	snprintf(path, sizeof(path), "%s/copy-%u", n->st.root, ++n->copies);
	sim_copy_dir(dir, path);
	err = n->ops.restore(n->ops.ctx, path);
	fault_env_settle(n->st.disk);
	return err;
}

static struct datafs_raft_fsm ops_of(void *state)
{
	return (struct datafs_raft_fsm) {
		.ctx = state, .applied = applied, .apply = apply, .checkpoint = checkpoint,
		.restore = restore, .stamp = stamp,
	};
}

static const char *snapshots(const void *state)
{
	return ((const struct sim_ns *)state)->st.snapshots;
}

static char *dump(void *state, size_t *len)
{
	return (char *)metad_dump(sim_ns_of(state), len);
}

static const char *broken(void *state)
{
	return metad_check(sim_ns_of(state));
}

const struct sim_machine sim_namespace = {
	.make = make, .free = free_ns, .open = open_ns, .crash = crash, .ops = ops_of,
	.snapshots = snapshots, .dump = dump, .broken = broken,
	.begin = ns_clients_begin, .end = ns_clients_end, .ask = ns_ask, .read = ns_read,
	.told = ns_told, .gave_up = ns_gave_up, .check = ns_check,
};
