// SPDX-License-Identifier: Apache-2.0
/*
 * The namespace: of the raft thread, which applies to it. Workers read it, and a
 * snapshot that is restored is another one: that waits for them.
 */
#include "metad/server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static uint64_t applied(void *ctx)
{
	struct datafs_server *s = ctx;

	return s->apply.applied(s->apply.ctx);
}

static int apply(void *ctx, uint64_t index, uint64_t term, struct datafs_raft_command *cmds,
		 unsigned int n)
{
	struct datafs_server *s = ctx;
	int err;

	/* what other members and clients wait for is on its way meanwhile */
	server_push(s);
	atomic_fetch_add(&s->applies, 1);
	err = s->apply.apply(s->apply.ctx, index, term, cmds, n);
	atomic_fetch_add(&s->applies, 1);
	return err;
}

static int checkpoint(void *ctx, const char *dir)
{
	struct datafs_server *s = ctx;

	server_push(s);
	return s->apply.checkpoint(s->apply.ctx, dir);
}

static int restore(void *ctx, const char *dir)
{
	struct datafs_server *s = ctx;
	int err;

	server_push(s);
	pthread_rwlock_wrlock(&s->ns_lock);
	atomic_fetch_add(&s->applies, 2);
	err = s->apply.restore(s->apply.ctx, dir);
	s->ns = datafs_fsm_ns(s->fsm);
	pthread_rwlock_unlock(&s->ns_lock);
	return err;
}

static size_t stamp(void *ctx, void *buf)
{
	struct datafs_server *s = ctx;

	return s->apply.stamp(s->apply.ctx, buf);
}

int server_fsm_open(struct datafs_server *s)
{
	struct datafs_fsm_options opt = { 0 };
	char dir[4096];
	int err;

	if (snprintf(dir, sizeof(dir), "%s/db", s->dir) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	opt.dir = dir;
	opt.level = s->cfg.level;
	opt.memory = s->cfg.memory;
	memcpy(opt.id, s->keys.cluster, sizeof(opt.id));
	err = datafs_fsm_open(&opt, &s->fsm);
	if (err == -EINVAL)
		datafs_log(LOG_ERR, "%s: is not of this cluster; look at the directory and at the key file",
			   s->dir);
	if (err)
		return err;
	s->apply = datafs_fsm_ops(s->fsm);
	s->ns = datafs_fsm_ns(s->fsm);
	return 0;
}

void server_fsm_close(struct datafs_server *s)
{
	datafs_fsm_close(s->fsm);
}

struct datafs_raft_fsm server_fsm_ops(struct datafs_server *s)
{
	return (struct datafs_raft_fsm) {
		.ctx = s, .applied = applied, .apply = apply, .checkpoint = checkpoint,
		.restore = restore, .stamp = stamp,
	};
}

struct datafs_metad *server_read_begin(struct datafs_server *s)
{
	pthread_rwlock_rdlock(&s->ns_lock);
	return s->ns;
}

void server_read_end(struct datafs_server *s)
{
	pthread_rwlock_unlock(&s->ns_lock);
}
