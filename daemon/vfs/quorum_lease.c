// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel keeps of a quorum elsewhere, for as long as the mount's session has a
 * lease there: it is told when that ends, and what is not to be kept any more.
 *
 *   kernel                      daemon                      quorum
 *   LOOKUP, sequence 7    ->    asked under the lease  ->   granted
 *                               to be kept             <-   answered
 *                               recalled()             <-   somebody changes it
 *   sequence is 8         <-    INVALIDATE
 *                               forgotten()            ->   the change goes on
 *   older than 8: not kept <-   answered, for ever
 *
 * So nothing is kept here, and there is no lock between an answer and a recall: one that
 * datafs_quorum_keep() has not seen invalidates after it was asked, and the request is older.
 * What the kernel's own changes name it believes by itself no more until they are answered.
 *
 * The kernel is told the lease's end before anything that it may keep, and goes by it with
 * no daemon as well. A successor does not know what the kernel has, so it begins with an
 * INVALIDATE of all. Who cannot invalidate takes the lease away from the kernel, which
 * cannot fail while this daemon is the instance's, and gives it back when it can.
 *
 * Whose instance it is no more (-ENOTCONN) has no say in what the kernel keeps: the session
 * is its successor's. It says nothing is forgotten, and never again that it is fresh.
 */
#include "vfs_internal.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* What one INVALIDATE has room for. */
#define ITEMS_BYTES	DATAFS_INVALID_BYTES

static int invalidate_all(const struct vfs_mount *mnt)
{
	const struct datafs_invalid all = {
		.mount_id = mnt->id, .what = DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES,
	};

	return mnt->v->recall(mnt->v->arg, &all, sizeof(all));
}

static int end_is(const struct vfs_mount *mnt, uint64_t until)
{
	return mnt->v->lease(mnt->v->arg, mnt->id, until);
}

/*
 * The kernel answers nothing by itself until it is told another end. 0; -ENOTCONN: this is
 * not its daemon any more, and it may go on until the lease ends.
 */
static int end_now(const struct vfs_mount *mnt)
{
	int ret = end_is(mnt, 0);

	/* it keeps nothing then */
	return ret == -ENOENT || ret == -ENOTTY ? 0 : ret;
}

/* With mnt->lease_lock. As end_now(); it is told one when it is invalidated. */
static int take_away(struct vfs_mount *mnt, int why)
{
	int ret = end_now(mnt);

	if (ret)
		return ret;
	if (!mnt->lease_doubt)
		datafs_log(LOG_WARNING, "mount %u of %s: the kernel is not told what has changed: %s; it asks for everything until it is",
			   mnt->id, mnt->source, strerror(-why));
	mnt->lease_doubt = true;
	return 0;
}

/* With mnt->lease_lock. As take_away(). */
static int forget_all(struct vfs_mount *mnt)
{
	int ret = invalidate_all(mnt);

	if (ret)
		return take_away(mnt, ret);
	mnt->lease_doubt = false;
	return 0;
}

static const uint16_t what[] = {
	[DATAFS_GRANT_ATTR]	= DATAFS_INVALID_ATTR,
	[DATAFS_GRANT_NAME]	= DATAFS_INVALID_NAME,
	[DATAFS_GRANT_NAMES]	= DATAFS_INVALID_NAMES,
};

/* The item's bytes; 0: it does not fit. */
static size_t put_item(const struct vfs_mount *mnt, const struct datafs_grant_object *o,
		       char *to, size_t room)
{
	struct datafs_invalid item = {
		.ino = o->ino, .mount_id = mnt->id, .what = what[o->kind],
	};
	size_t padded;

	if (o->kind == DATAFS_GRANT_NAME && o->len)
		item.namelen = o->len;
	else if (o->kind == DATAFS_GRANT_NAME)
		item.what = DATAFS_INVALID_NAMES;
	padded = datafs_round_up(item.namelen, 8);
	if (sizeof(item) + padded > room)
		return 0;
	memcpy(to, &item, sizeof(item));
	memset(to + sizeof(item), 0, padded);
	memcpy(to + sizeof(item), item.namelen ? o->name : "", item.namelen);
	return sizeof(item) + padded;
}

static int invalidate(struct vfs_mount *mnt, const struct datafs_grant_object *objects,
		      unsigned int n)
{
	char items[ITEMS_BYTES] __attribute__((aligned(8)));
	size_t len = 0, more;
	unsigned int i;

	for (i = 0; i < n; i++) {
		/* then all is, which the caller says */
		if (objects[i].kind == DATAFS_GRANT_MOUNTS)
			continue;
		more = put_item(mnt, &objects[i], items + len, sizeof(items) - len);
		if (!more)
			return invalidate_all(mnt);
		len += more;
	}
	return len ? mnt->v->recall(mnt->v->arg, items, len) : 0;
}

static void recalled(void *arg, uint64_t ticket, const struct datafs_grant_object *objects,
		     unsigned int n)
{
	struct vfs_mount *mnt = arg;
	bool all = vfs_table_touched(mnt, objects, n);
	int ret;

	/* of a change of the kernel's own */
	if (!ticket && !all)
		return;
	ret = all ? invalidate_all(mnt) : invalidate(mnt, objects, n);
	if (ret) {
		pthread_mutex_lock(&mnt->lease_lock);
		ret = take_away(mnt, ret);
		pthread_mutex_unlock(&mnt->lease_lock);
	}
	/* else the quorum waits until the lease, and what the kernel knows, has ended */
	if (!ret && ticket)
		datafs_quorum_forgotten(atomic_load(&mnt->share), ticket);
}

/* INVALIDATE is taken from anybody: whether this is its daemon, the end of the lease says. */
static void lost(void *arg, uint64_t ticket)
{
	struct vfs_mount *mnt = arg;
	int ret;

	vfs_table_doubt(mnt);
	pthread_mutex_lock(&mnt->lease_lock);
	ret = end_now(mnt);
	if (!ret)
		ret = forget_all(mnt);
	pthread_mutex_unlock(&mnt->lease_lock);
	if (!ret)
		datafs_quorum_forgotten(atomic_load(&mnt->share), ticket);
}

static int held(void *arg, int64_t until)
{
	struct vfs_mount *mnt = arg;
	int ret = 0;

	pthread_mutex_lock(&mnt->lease_lock);
	if (!until)
		ret = end_now(mnt);
	else if (mnt->lease_doubt)
		ret = forget_all(mnt);
	if (until && !ret && !mnt->lease_doubt)
		ret = end_is(mnt, (uint64_t)until);
	/* ENOENT: it is being unmounted */
	if (ret && ret != -ENOENT && !atomic_exchange(&mnt->lease_none, true))
		datafs_log(LOG_WARNING, "mount %u of %s: the kernel takes no lease: %s; it asks for everything",
			   mnt->id, mnt->source,
			   ret == -ENOTTY ? "its module is older than this daemon" :
					    strerror(-ret));
	pthread_mutex_unlock(&mnt->lease_lock);
	return ret == -ENOTCONN ? ret : 0;
}

int vfs_lease_have(struct vfs_mount *mnt, struct datafs_quorum *q)
{
	const struct datafs_quorum_watch watch = {
		.recalled = recalled, .lost = lost, .held = held, .arg = mnt,
	};
	int ret = 0;

	if (mnt->leased)
		return 0;
	pthread_mutex_lock(&mnt->lease_lock);
	/* A predecessor's; without that it has a lease, and asks for everything. */
	if (mnt->adopted)
		ret = forget_all(mnt);
	pthread_mutex_unlock(&mnt->lease_lock);
	if (!ret)
		ret = datafs_quorum_lease(q, mnt->session, &watch);
	mnt->leased = !ret;
	return ret;
}

uint32_t vfs_keep(struct vfs_mount *mnt, const struct datafs_told *told, bool believe,
		  const struct datafs_grant_object *o)
{
	if (!mnt->members)
		return DATAFS_FOREVER;
	return believe && !atomic_load(&mnt->lease_none) &&
	       datafs_quorum_keep(atomic_load(&mnt->share), told, o) ? DATAFS_FOREVER : 0;
}

uint32_t vfs_keep_attr(struct vfs_mount *mnt, const struct datafs_told *told, bool believe,
		       const Metad__Attr *a)
{
	const struct datafs_grant_object o = { .ino = a->ino, .kind = DATAFS_GRANT_ATTR };

	return vfs_keep(mnt, told, believe, &o);
}
