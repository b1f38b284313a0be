// SPDX-License-Identifier: Apache-2.0
/*
 * Mounts and their quorum: the daemon's own, or one on other machines. Of those there is one
 * in a daemon, since it has one key, and one connection, which its mounts share.
 *
 * Such a quorum may be away. Who waits for it:
 *
 *	a MOUNT		until mount_ms have gone by; in a lane of its own
 *	an upcall	until it is answered, in the pool for those of quorums elsewhere
 *	UMOUNT		for none of them: they end with the mount
 *	the start	never: a mount that is taken over joins when it is asked for something
 *
 * The pool has a bound, and nobody else's upcalls are in it; so whatever the quorum does,
 * under-stores and the daemon's own namespace have their workers. That is simpler than
 * calls that wait without a thread, and costs a thread a call that is under way, which the
 * kernel's callers are, too. See frontend.c.
 */
#define _GNU_SOURCE	/* asprintf */
#include "vfs_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/remote.h"

#define NAP_MS		100
/* Until a key or a name is looked for again, which is logged: twice as long each time. */
#define AGAIN_MS	1000
#define AGAIN_MAX_MS	30000

/* @make: where there is none. */
static int own_quorum(struct datafs_vfs *v, bool make, struct datafs_quorum **res)
{
	char *dir;
	int ret = 0;

	pthread_mutex_lock(&v->quorum_lock);
	*res = atomic_load(&v->quorum);
	if (!*res && asprintf(&dir, "%s/namespace", v->dir) < 0) {
		ret = -ENOMEM;
	} else if (!*res) {
		ret = make || !access(dir, F_OK) ? datafs_quorum_open_local(dir, res) : -errno;
		free(dir);
		if (!ret)
			atomic_store(&v->quorum, *res);
	}
	pthread_mutex_unlock(&v->quorum_lock);
	return ret;
}

int vfs_own_quorum(struct datafs_vfs *v, struct datafs_quorum **res)
{
	return own_quorum(v, true, res);
}

int vfs_own_quorum_there(struct datafs_vfs *v, struct datafs_quorum **res)
{
	return own_quorum(v, false, res);
}

static int load_key(const struct datafs_vfs *v, struct datafs_keys *keys)
{
	if (!v->key_file || datafs_keys_load(keys, v->key_file))
		return -ENOKEY;
	if (keys->holder == DATAFS_ROLE_CLIENT)
		return 0;
	datafs_log(LOG_ERR, "%s: it is no client's key file: see datafs key client", v->key_file);
	datafs_keys_wipe(keys);
	return -ENOKEY;
}

static int open_remote(struct datafs_vfs *v, const char *members, struct datafs_quorum **res)
{
	struct datafs_remote_config cfg = { .members = members };
	struct datafs_keys keys;
	int ret = load_key(v, &keys);

	if (ret)
		return ret;
	cfg.keys = &keys;
	ret = datafs_quorum_open_remote(&cfg, res);
	datafs_keys_wipe(&keys);
	if (ret)
		return ret;
	atomic_store(&v->remote, *res);
	/* vfs_stop() has not seen it, or stops it a second time. */
	if (atomic_load(&v->stopping))
		datafs_quorum_stop(*res);
	return 0;
}

/* Logged. -ENOKEY; -ENOENT, -EAGAIN: no host is found. */
static int connect_once(struct datafs_vfs *v, const char *members, struct datafs_quorum **res)
{
	int ret;

	pthread_mutex_lock(&v->remote_lock);
	*res = atomic_load(&v->remote);
	ret = *res ? datafs_quorum_add_members(*res, members) : open_remote(v, members, res);
	pthread_mutex_unlock(&v->remote_lock);
	return ret;
}

static bool is_over(const struct datafs_vfs *v, const atomic_bool *over)
{
	return atomic_load(&v->stopping) || (over && atomic_load(over));
}

static void nap(const struct datafs_vfs *v, const atomic_bool *over, unsigned int ms)
{
	static const struct timespec ts = { .tv_nsec = NAP_MS * DATAFS_MSEC };

	for (unsigned int at = 0; at < ms && !is_over(v, over); at += NAP_MS)
		nanosleep(&ts, NULL);
}

int vfs_connect_again(struct datafs_vfs *v, const char *members, const atomic_bool *over,
		      struct datafs_quorum **res)
{
	unsigned int ms = AGAIN_MS;
	int ret;

	for (;;) {
		if (is_over(v, over))
			return -ESHUTDOWN;
		ret = connect_once(v, members, res);
		if (ret != -ENOKEY && ret != -ENOENT && ret != -EAGAIN)
			return ret;
		nap(v, over, ms);
		ms = DATAFS_MIN(2 * ms, (unsigned int)AGAIN_MAX_MS);
	}
}

/* The mount's way to @remote, which ends when the mount does. */
static int share_have(struct vfs_mount *mnt, struct datafs_quorum *remote)
{
	struct datafs_quorum *share = atomic_load(&mnt->share);
	int ret = share ? 0 : datafs_quorum_share(remote, &share);

	if (ret)
		return ret;
	atomic_store(&mnt->share, share);
	/* vfs_leave() has not seen it, or stops it a second time. */
	if (atomic_load(&mnt->gone))
		datafs_quorum_stop(share);
	return 0;
}

int vfs_join(struct vfs_mount *mnt, uint32_t ms)
{
	struct datafs_quorum *remote, *share;
	int ret;

	if (!ms) {
		ret = vfs_connect_again(mnt->v, mnt->members, &mnt->gone, &remote);
	} else {
		ret = connect_once(mnt->v, mnt->members, &remote);
		if (ret == -ENOENT || ret == -EAGAIN)
			ret = -EHOSTUNREACH;
	}
	if (!ret)
		ret = share_have(mnt, remote);
	if (ret)
		return ret;
	share = atomic_load(&mnt->share);
	datafs_quorum_limit(share, ms);
	ret = vfs_session_have(mnt, share);
	if (!ret)
		ret = vfs_lease_have(mnt, share);
	if (!ret)
		atomic_store(&mnt->quorum, share);
	return ret;
}

void vfs_joined(struct vfs_mount *mnt)
{
	if (mnt->members)
		datafs_quorum_limit(atomic_load(&mnt->share), 0);
}

void vfs_leave(struct vfs_mount *mnt)
{
	struct datafs_quorum *share;

	atomic_store(&mnt->gone, true);
	share = atomic_load(&mnt->share);
	if (share)
		datafs_quorum_stop(share);
}

int vfs_quorum_of(struct vfs_mount *mnt, struct datafs_quorum **res)
{
	int ret = 0;

	*res = atomic_load(&mnt->quorum);
	if (*res)
		return 0;
	if (!mnt->members)
		return -ESTALE;
	pthread_mutex_lock(&mnt->joining);
	if (atomic_load(&mnt->damaged))
		ret = -ESTALE;
	else if (!atomic_load(&mnt->quorum))
		ret = vfs_join(mnt, 0);
	/* Logged, once. */
	if (ret == -EUCLEAN) {
		atomic_store(&mnt->damaged, true);
		ret = -ESTALE;
	}
	*res = atomic_load(&mnt->quorum);
	pthread_mutex_unlock(&mnt->joining);
	return ret;
}

const char *vfs_quorum_why(const struct vfs_mount *mnt, int err)
{
	if (mnt->members && err == -ETIMEDOUT)
		return "no leader answers: are more than half of its members running?";
	if (mnt->members && err == -EHOSTUNREACH)
		return "none of its members is reached: are they running, and is this daemon's key of their cluster?";
	return strerror(-err);
}
