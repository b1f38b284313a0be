// SPDX-License-Identifier: Apache-2.0
/*
 * Slab files. A slab is written in full, with zeros, before anything lives in
 * it: later writes then never meet holes or unwritten extents, which would
 * make the filesystem serialise them. All access is aligned direct I/O.
 */
#define _GNU_SOURCE /* O_DIRECT, fallocate */
#include "cache_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void slab_name(char *buf, size_t len, uint32_t nr)
{
	snprintf(buf, len, "slabs/%06u", nr);
}

static int slab_open(struct datafs_cache *c, uint32_t nr, int flags)
{
	char name[32];
	int fd;

	slab_name(name, sizeof(name), nr);
	fd = openat(c->dir_fd, name,
		    O_RDWR | O_DIRECT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd >= 0)
		return fd;
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

const char *datafs_slab_advice(int err)
{
	if (err == -EOPNOTSUPP)
		return "its filesystem has no direct I/O; put the cache directory on ext4 or xfs";
	if (err == -ENOSPC || err == -EDQUOT)
		return "make room there or name another directory";
	return "name another directory";
}

/* Slot states belong to the lock; the slab is ready and registered. */
void datafs_slab_admit(struct datafs_cache *c, uint32_t nr)
{
	c->slabs[nr].ready = true;
	for (uint32_t i = 0; i < SLAB_SLOTS; i++) {
		struct datafs_slot *s = &c->slots[nr * SLAB_SLOTS + i];

		if (s->state == DATAFS_SLOT_ABSENT)
			datafs_slot_move(c, s, DATAFS_SLOT_FREE);
	}
}

static int slab_zero(struct datafs_cache *c, int fd)
{
	struct datafs_iobuf *zeros;
	int err;

	/*
	 * One piece on the disk where the filesystem can; also says early when
	 * there is no room.
	 */
	if (fallocate(fd, 0, 0, DATAFS_SLAB_SIZE) && errno != EOPNOTSUPP &&
	    errno != ENOSYS)
		return -errno;
	err = datafs_iobuf_new(&zeros);
	if (err)
		return err;
	for (uint64_t off = 0; off < DATAFS_SLAB_SIZE && !err;
	     off += DATAFS_CHUNK_SIZE) {
		err = datafs_iobuf_rw(zeros, fd, off, DATAFS_CHUNK_SIZE, true);
		if (__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
			err = err ?: -ECANCELED;
	}
	datafs_iobuf_free(zeros);
	if (!err && fsync(fd))
		err = -errno;
	return err;
}

int datafs_slab_prepare(struct datafs_cache *c, uint32_t nr)
{
	struct datafs_slab *slab = &c->slabs[nr];
	char name[32];
	int err;

	/*
	 * Never over a file that is there: a kernel whose daemon died reads on
	 * in the slabs of that, also in those that the index knows no more.
	 */
	slab_name(name, sizeof(name), nr);
	unlinkat(c->dir_fd, name, 0);
	slab->fd = slab_open(c, nr, O_CREAT | O_EXCL);
	if (slab->fd < 0)
		return slab->fd;
	err = slab_zero(c, slab->fd);
	if (!err)
		err = c->cfg.backing_add(c->cfg.arg, slab->fd, nr + 1);
	if (!err) {
		datafs_index_put_slab(c, nr);
		return 0;
	}
	/* What was written of it only takes room that others may need. */
	unlinkat(c->dir_fd, name, 0);
	close(slab->fd);
	slab->fd = -1;
	return err;
}

static int slab_allocate(int fd, uint64_t len)
{
	int ret;

	do
		ret = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, len) ? -errno : 0;
	while (ret == -EINTR);
	return ret;
}

/*
 * What a daemon that was killed had in flight may still be on its way to the
 * disk, and where it goes is free in the eyes of its successor. Allocating what
 * is allocated waits for direct I/O: of the range in btrfs, of all the file in
 * ext4 and xfs, which on a full disk only has room for a small one.
 */
static int slab_settle(int fd)
{
	int err = slab_allocate(fd, DATAFS_SLAB_SIZE);

	if (err == -ENOSPC || err == -EDQUOT)
		err = slab_allocate(fd, DATAFS_GRANULE);
	return err;
}

static int slab_open_ready(struct datafs_cache *c, uint32_t nr)
{
	struct datafs_slab *slab = &c->slabs[nr];
	struct stat st;
	int err;

	if (!datafs_index_slab_ready(c, nr))
		return 0;
	slab->fd = slab_open(c, nr, 0);
	if (slab->fd == -ENOENT) {
		datafs_index_drop_slab(c, nr);
		return 0;
	}
	if (slab->fd < 0)
		return slab->fd;
	err = fstat(slab->fd, &st) ? -errno : slab_settle(slab->fd);
	if (!err && st.st_size == DATAFS_SLAB_SIZE)
		err = c->cfg.backing_add(c->cfg.arg, slab->fd, nr + 1);
	if (!err && st.st_size == DATAFS_SLAB_SIZE) {
		slab->ready = true;
		return 0;
	}
	close(slab->fd);
	slab->fd = -1;
	/* Where nothing can be waited for, nothing is used again. */
	if (!err || err == -EOPNOTSUPP || err == -ENOSYS) {
		datafs_log(LOG_WARNING, "cache %s: slab %06u %s; it is made again",
			   c->dir, nr, err ? "is on a filesystem without fallocate" :
			   "has another size");
		datafs_index_drop_slab(c, nr);
		return 0;
	}
	return err;
}

/* Slabs of a cache that was larger give their room back. */
static void slab_remove_surplus(struct datafs_cache *c)
{
	int fd = openat(c->dir_fd, "slabs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d))) {
		unsigned int nr;
		int end = 0;

		if (sscanf(e->d_name, "%6u%n", &nr, &end) == 1 &&
		    !e->d_name[end] && nr >= c->max_slabs) {
			datafs_index_drop_slab(c, nr);
			unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	closedir(d);
}

int datafs_slab_open_all(struct datafs_cache *c)
{
	int err;

	if (mkdirat(c->dir_fd, "slabs", 0700) && errno != EEXIST) {
		err = -errno;
		datafs_log(LOG_ERR, "cache %s: cannot make slabs/: %s; the directory must be writable",
			   c->dir, strerror(-err));
		return err;
	}
	slab_remove_surplus(c);
	for (uint32_t nr = 0; nr < c->max_slabs; nr++) {
		err = slab_open_ready(c, nr);
		if (err) {
			datafs_log(LOG_ERR, "cache %s: slab %06u cannot be used: %s; %s",
				   c->dir, nr, strerror(-err),
				   datafs_slab_advice(err));
			return err;
		}
	}
	return 0;
}

void datafs_slab_close_all(struct datafs_cache *c)
{
	for (uint32_t nr = 0; c->slabs && nr < c->max_slabs; nr++)
		if (c->slabs[nr].fd >= 0)
			close(c->slabs[nr].fd);
}

int datafs_slab_rw(struct datafs_cache *c, uint32_t slot, uint32_t granule,
		   struct datafs_iobuf *b, uint32_t len, bool write)
{
	/* Set before the slab's first slot is free, never changed after. */
	int fd = c->slabs[slot / SLAB_SLOTS].fd;
	uint64_t off = (uint64_t)(slot % SLAB_SLOTS) * DATAFS_SLOT_SIZE +
		       (uint64_t)granule * DATAFS_GRANULE;

	return datafs_iobuf_rw(b, fd, off, len, write);
}
