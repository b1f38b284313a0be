// SPDX-License-Identifier: Apache-2.0
/*
 * What other mounts of a namespace know of it, for ever, and must not believe any more
 * when one of them has changed it. They are told before the change is answered, so
 * whoever hears of the answer finds the same in all mounts.
 *
 *   mount 2                 daemon                  mount 3
 *                           LOOKUP: not there  ->   known
 *   CREATE             ->   done
 *                           INVALIDATE         ->   to be asked again
 *   known              <-   answered
 *
 * It has been done then, and an error would say that it was not: what could not be told
 * is tried again, and the change is answered.
 */
#include "vfs_internal.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"

#define TELL_TRIES	5
#define TELL_AGAIN	(100 * DATAFS_MSEC)

void vfs_told_inode(struct vfs_told *t, const Metad__Attr *a)
{
	struct datafs_invalid item = { .what = DATAFS_INVALID_ATTR };

	if (!a)
		return;
	item.ino = a->ino;
	memcpy(t->buf + t->len, &item, sizeof(item));
	t->len += sizeof(item);
}

void vfs_told_name(struct vfs_told *t, uint64_t dir, const void *name, size_t len)
{
	struct datafs_invalid item = {
		.ino = dir, .what = DATAFS_INVALID_NAME, .namelen = (uint16_t)len,
	};
	size_t padded = datafs_round_up(len, 8);

	memcpy(t->buf + t->len, &item, sizeof(item));
	t->len += sizeof(item);
	memset(t->buf + t->len, 0, padded);
	memcpy(t->buf + t->len, name, len);
	t->len += padded;
}

/* All items are @mount's. */
static void set_mount(struct vfs_told *t, uint32_t mount)
{
	struct datafs_invalid *item;

	for (size_t at = 0; at < t->len; at += sizeof(*item) + datafs_round_up(item->namelen, 8)) {
		item = (void *)(t->buf + at);
		item->mount_id = mount;
	}
}

/* That of the next id that shows the namespace, with a reference; NULL: no more. */
static struct vfs_mount *next_mount(struct datafs_vfs *v, const struct datafs_quorum *q,
				    uint32_t after)
{
	struct vfs_mount *mnt, *next = NULL;

	pthread_mutex_lock(&v->lock);
	for (mnt = v->mounts; mnt; mnt = mnt->next)
		if (mnt->quorum == q && mnt->id > after && (!next || mnt->id < next->id))
			next = mnt;
	if (next)
		next->refs++;
	pthread_mutex_unlock(&v->lock);
	return next;
}

static int try_to_tell(struct datafs_vfs *v, const void *items, size_t bytes)
{
	static const struct timespec again = { .tv_nsec = TELL_AGAIN };
	int ret;

	for (int i = 0; ; i++) {
		ret = v->invalidate(v->arg, items, bytes);
		if (!ret || i == TELL_TRIES - 1 || atomic_load(&v->stopping))
			break;
		nanosleep(&again, NULL);
	}
	atomic_fetch_add_explicit(&v->quorum_told, 1, memory_order_relaxed);
	return ret;
}

static void tell_all(struct vfs_mount *mnt)
{
	const struct datafs_invalid all = {
		.mount_id = mnt->id, .what = DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES,
	};
	int ret;

	/* Before the kernel asks for what that says. */
	vfs_table_doubt(mnt);
	/* Before: what fails meanwhile, in another thread, stays to be told. */
	atomic_store(&mnt->untold, false);
	ret = try_to_tell(mnt->v, &all, sizeof(all));
	if (!ret)
		return;
	atomic_store(&mnt->untold, true);
	datafs_log(LOG_ERR, "mount %u of %s: the kernel is not told what has changed: %s; it may show what was, until the next change or datafs invalidate --all",
		   mnt->id, mnt->source, strerror(-ret));
}

/* Do they make another directory of one on the way to what is mounted in @mnt's tree? */
static bool names_touch(struct vfs_mount *mnt, const struct vfs_told *t)
{
	const struct datafs_invalid *item;
	struct datafs_grant_object o[2];
	unsigned int n = 0;

	for (size_t at = 0; at < t->len; at += sizeof(*item) + datafs_round_up(item->namelen, 8)) {
		item = (const void *)(t->buf + at);
		if (item->what & DATAFS_INVALID_NAME)
			o[n++] = (struct datafs_grant_object) {
				.ino = item->ino, .kind = DATAFS_GRANT_NAME,
				.len = (uint8_t)item->namelen, .name = (const char *)(item + 1),
			};
	}
	return n && vfs_table_touched(mnt, o, n);
}

void vfs_tell_others(struct vfs_mount *mnt, struct vfs_told *t)
{
	struct datafs_vfs *v = mnt->v;
	struct vfs_mount *other;
	uint32_t id = 0;

	while ((other = next_mount(v, mnt->quorum, id))) {
		id = other->id;
		set_mount(t, id);
		if (names_touch(other, t))
			tell_all(other);
		else if (other != mnt &&
			 (atomic_load(&other->untold) || try_to_tell(v, t->buf, t->len)))
			tell_all(other);
		vfs_mount_put(other);
	}
}

void vfs_tell_doubt(struct datafs_vfs *v, const struct datafs_quorum *q)
{
	struct vfs_mount *mnt;
	uint32_t id = 0;

	while ((mnt = next_mount(v, q, id))) {
		id = mnt->id;
		tell_all(mnt);
		vfs_mount_put(mnt);
	}
}
