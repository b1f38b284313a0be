// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon as a node of the quorum elsewhere, while it has mounts of it. It has a session of
 * its own for that, which speaks for the node: it has a lease, so the quorum hears of it, and
 * a successor goes on with it.
 *
 *	sessions/node		that session, as quorum_session.c has those of mounts
 *
 * All is done by one job, by the umount of the last mount, or by who uses the session
 * (quorum_job.c), one at a time. The lease's
 * renewals are the clock: when the lease was lost, the session may have been ended, and the
 * node be away; when the last attempt has failed it is made again. No mount waits for this,
 * nor fails with it.
 */
#include "vfs_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "metad/nodes.h"

#define JOIN_MS		5000	/* once there is a lease, whose renewal tries again */
#define AGAIN_MS	5000	/* after one that failed */
#define REQUEST_TRIES	8
#define REQUEST_STEP	(1ull << 50)

int vfs_node_init(struct datafs_vfs *v, const char *name)
{
	const char *wrong = name ? datafs_node_name_wrong(name, strlen(name)) : NULL;
	struct vfs_node *n = &v->node;

	pthread_mutex_init(&n->lock, NULL);
	pthread_mutex_init(&n->share_lock, NULL);
	pthread_cond_init(&n->idle, NULL);
	if (wrong)
		datafs_log(LOG_WARNING, "node name \"%s\": %s; this daemon is no node of a quorum (node_name = in its configuration)",
			   name, wrong);
	if (!name || wrong)
		return 0;
	n->name = strdup(name);
	return n->name ? 0 : -ENOMEM;
}

void vfs_node_exit(struct datafs_vfs *v)
{
	struct vfs_node *n = &v->node;

	datafs_quorum_close(n->share);
	free(n->members);
	free(n->name);
	pthread_cond_destroy(&n->idle);
	pthread_mutex_destroy(&n->share_lock);
	pthread_mutex_destroy(&n->lock);
}

/* ------------------------------------------------------- the session's lease */

/* Nothing is asked under it, so nothing is kept. */
static void recalled(void *arg, uint64_t ticket, const struct datafs_grant_object *objects,
		     unsigned int n)
{
	struct vfs_node *node = arg;

	(void)objects, (void)n;
	datafs_quorum_forgotten(node->share, ticket);
}

static void lost(void *arg, uint64_t ticket)
{
	struct vfs_node *node = arg;

	atomic_store(&node->due, true);
	datafs_quorum_forgotten(node->share, ticket);
}

static void consider(struct datafs_vfs *v);

/* It is renewed, or asked for: of a session that was ended in vain. */
static int held(void *arg, int64_t until)
{
	struct vfs_node *node = arg;

	(void)until;
	if (atomic_load(&node->due))
		consider((void *)((char *)node - offsetof(struct datafs_vfs, node)));
	return 0;
}

/* ------------------------------------------------------------------- joining */

/* The way to the quorum and the session are made anew by the next attempt. */
static void drop(struct vfs_node *n)
{
	pthread_mutex_lock(&n->share_lock);
	/* until it is closed the lease may be told of */
	datafs_quorum_close(n->share);
	n->share = NULL;
	n->stopped = false;
	pthread_mutex_unlock(&n->share_lock);
	n->leased = false;
}

static bool is_stopped(struct vfs_node *n)
{
	bool res;

	pthread_mutex_lock(&n->share_lock);
	res = n->stopped;
	pthread_mutex_unlock(&n->share_lock);
	return res;
}

static int share_have(struct datafs_vfs *v, struct vfs_node *n)
{
	struct datafs_quorum *remote, *share = NULL;
	int ret = vfs_connect_again(v, n->members, &n->over, &remote);

	if (ret || n->share)
		return ret;
	ret = datafs_quorum_share(remote, &share);
	if (ret)
		return ret;
	pthread_mutex_lock(&n->share_lock);
	n->share = share;
	/* vfs_node_unmounted() has not seen it */
	n->stopped = atomic_load(&n->over);
	if (n->stopped)
		datafs_quorum_stop(share);
	pthread_mutex_unlock(&n->share_lock);
	return 0;
}

/* With a lease, or about to have one. */
static int session_have(struct datafs_vfs *v, struct vfs_node *n)
{
	const struct datafs_quorum_watch watch = {
		.recalled = recalled, .lost = lost, .held = held, .arg = n,
	};
	struct timespec now;
	int ret;

	if (n->leased)
		return 0;
	ret = vfs_session_at(v, n->share, n->members, VFS_NODE_SESSION, &n->session);
	if (ret)
		return ret;
	/* above those of a predecessor, which had the session before */
	clock_gettime(CLOCK_REALTIME, &now);
	n->request = (uint64_t)now.tv_sec * DATAFS_SEC + (uint64_t)now.tv_nsec;
	ret = datafs_quorum_lease(n->share, n->session, &watch);
	n->leased = !ret;
	return ret;
}

int vfs_node_change(struct vfs_node *n, Metad__Command *c)
{
	int ret = -EALREADY;

	for (int i = 0; ret == -EALREADY && i < REQUEST_TRIES; i++) {
		ret = vfs_session_change(n->share, c, n->session, ++n->request);
		/* the clock was set back since a predecessor's last one */
		if (ret == -EALREADY)
			n->request += REQUEST_STEP;
	}
	return ret;
}

static int say(struct vfs_node *n)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__NodeJoin join = METAD__NODE_JOIN__INIT;

	join.has_name = true;
	join.name = (ProtobufCBinaryData) { strlen(n->name), (uint8_t *)n->name };
	c.op_case = METAD__COMMAND__OP_NODE_JOIN;
	c.node_join = &join;
	return vfs_node_change(n, &c);
}

static int try_once(struct datafs_vfs *v, struct vfs_node *n)
{
	int ret;

	if (is_stopped(n))
		drop(n);
	ret = share_have(v, n);
	if (ret)
		return ret;
	/* nothing tries again before there is a lease */
	datafs_quorum_limit(n->share, n->leased ? JOIN_MS : 0);
	ret = session_have(v, n);
	return ret ? ret : say(n);
}

static void tell(struct vfs_node *n, int ret)
{
	if (!ret && n->told != 1)
		datafs_log(LOG_INFO, "node %s has joined the quorum", n->name);
	else if (ret == -EEXIST && n->told != ret)
		datafs_log(LOG_WARNING, "node %s does not join the quorum: another daemon speaks for a node of that name, or did until its session is ended; if there is another, give one a node_name, else `datafs node set --drain` and `remove` it; tried again until it does",
			   n->name);
	else if (ret && n->told != ret)
		datafs_log(LOG_WARNING, "node %s does not join the quorum: %s; tried again until it does; mounts go on without",
			   n->name, strerror(-ret));
	n->told = ret ? ret : 1;
}

/* Below the feature level, and in the end, there is nothing to be told. */
static bool is_quiet(int ret)
{
	return ret == -EOPNOTSUPP || ret == -ESHUTDOWN;
}

static void join(struct datafs_vfs *v, struct vfs_node *n)
{
	int ret;

	/* what loses the lease from here on makes it due again */
	atomic_store(&n->due, false);
	ret = try_once(v, n);
	if (ret == -ENOTCONN) {
		/* the session was ended: another one */
		drop(n);
		ret = try_once(v, n);
	}
	if (ret) {
		atomic_store(&n->not_before, datafs_now() + AGAIN_MS * DATAFS_MSEC);
		atomic_store(&n->due, true);
	}
	if (!is_quiet(ret))
		tell(n, ret);
}

static void run(struct datafs_job *job)
{
	struct datafs_vfs *v = (void *)((char *)job - offsetof(struct datafs_vfs, node.job));
	struct vfs_node *n = &v->node;

	join(v, n);
	pthread_mutex_lock(&n->lock);
	n->busy = false;
	pthread_cond_broadcast(&n->idle);
	pthread_mutex_unlock(&n->lock);
}

/* Any thread; does not block for long. */
static void consider(struct datafs_vfs *v)
{
	struct vfs_node *n = &v->node;

	pthread_mutex_lock(&n->lock);
	pthread_mutex_lock(&v->lock);
	/* No job is added to a pool that is about to end. */
	if (!n->busy && n->mounts && !atomic_load(&v->stopping) &&
	    datafs_now() >= atomic_load(&n->not_before)) {
		n->busy = true;
		n->job.run = run;
		datafs_pool_add(v->pool, &n->job, DATAFS_PRIO_AHEAD);
	}
	pthread_mutex_unlock(&v->lock);
	pthread_mutex_unlock(&n->lock);
}

int vfs_node_use(struct datafs_vfs *v, int (*fn)(struct vfs_node *n, void *arg), void *arg)
{
	struct vfs_node *n = &v->node;
	int ret = -ESHUTDOWN;

	pthread_mutex_lock(&n->lock);
	while (n->busy)
		pthread_cond_wait(&n->idle, &n->lock);
	n->busy = n->mounts && !atomic_load(&v->stopping);
	if (n->busy)
		ret = n->share && n->leased && n->told == 1 && !atomic_load(&n->due) ? 0 : -EAGAIN;
	pthread_mutex_unlock(&n->lock);
	if (ret == -ESHUTDOWN)
		return ret;
	if (!ret)
		ret = fn(n, arg);
	pthread_mutex_lock(&n->lock);
	n->busy = false;
	pthread_cond_broadcast(&n->idle);
	pthread_mutex_unlock(&n->lock);
	/* what became due meanwhile has found it busy */
	if (atomic_load(&n->due))
		consider(v);
	return ret;
}

/* -------------------------------------------------------------- of the mounts */

/* If there are any. */
static void now(struct datafs_vfs *v)
{
	atomic_store(&v->node.not_before, 0);
	consider(v);
}

void vfs_node_mounted(struct vfs_mount *mnt)
{
	struct vfs_node *n = &mnt->v->node;
	bool first;

	if (!n->name || !mnt->members || mnt->is_node)
		return;
	pthread_mutex_lock(&n->lock);
	if (!n->members)
		n->members = strdup(mnt->members);
	mnt->is_node = n->members != NULL;
	first = mnt->is_node && !n->mounts++;
	if (first)
		atomic_store(&n->over, false);
	pthread_mutex_unlock(&n->lock);
	if (first)
		now(mnt->v);
}

/* No mount is left: what is under way ends. */
static void stop(struct vfs_node *n)
{
	pthread_mutex_lock(&n->share_lock);
	if (n->share) {
		n->stopped = true;
		datafs_quorum_stop(n->share);
	}
	pthread_mutex_unlock(&n->share_lock);
}

/* The last mount's; another may come meanwhile, and finds it busy. */
static void leave(struct datafs_vfs *v, struct vfs_node *n)
{
	drop(n);
	vfs_session_end_at(v, VFS_NODE_SESSION);
	n->told = 0;
	pthread_mutex_lock(&n->lock);
	if (!n->mounts) {
		free(n->members);
		n->members = NULL;
	}
	n->busy = false;
	pthread_cond_broadcast(&n->idle);
	pthread_mutex_unlock(&n->lock);
}

void vfs_node_unmounted(struct vfs_mount *mnt)
{
	struct datafs_vfs *v = mnt->v;
	struct vfs_node *n = &v->node;
	bool last, ends;

	if (!mnt->is_node)
		return;
	pthread_mutex_lock(&n->lock);
	mnt->is_node = false;
	last = !--n->mounts;
	atomic_store(&n->over, last);
	pthread_mutex_unlock(&n->lock);
	if (!last)
		return;
	stop(n);
	pthread_mutex_lock(&n->lock);
	while (n->busy)
		pthread_cond_wait(&n->idle, &n->lock);
	ends = !n->mounts && n->members;
	n->busy = ends;
	pthread_mutex_unlock(&n->lock);
	if (ends)
		leave(v, n);
	/* one that has come meanwhile needs what was stopped, or left */
	now(v);
}
