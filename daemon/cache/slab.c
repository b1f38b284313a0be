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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define SLAB_STEP (4u << 20)

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
	uint64_t off = 0;
	void *zeros;
	int err = 0;

	/*
	 * One piece on the disk where the filesystem can; also says early when
	 * there is no room.
	 */
	if (fallocate(fd, 0, 0, DATAFS_SLAB_SIZE) && errno != EOPNOTSUPP &&
	    errno != ENOSYS)
		return -errno;
	zeros = mmap(NULL, SLAB_STEP, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (zeros == MAP_FAILED)
		return -ENOMEM;
	while (off < DATAFS_SLAB_SIZE && !err) {
		ssize_t n = pwrite(fd, zeros, SLAB_STEP, off);

		if (n > 0 && !(n % DATAFS_GRANULE))
			off += n;
		else if (n >= 0 || errno != EINTR)
			err = n < 0 ? -errno : -EIO;
		if (__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
			err = err ?: -ECANCELED;
	}
	munmap(zeros, SLAB_STEP);
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

static int slab_open_ready(struct datafs_cache *c, uint32_t nr)
{
	struct datafs_slab *slab = &c->slabs[nr];
	struct stat st;
	int err = 0;

	if (!datafs_index_slab_ready(c, nr))
		return 0;
	slab->fd = slab_open(c, nr, 0);
	if (slab->fd == -ENOENT) {
		datafs_index_drop_slab(c, nr);
		return 0;
	}
	if (slab->fd < 0)
		return slab->fd;
	if (fstat(slab->fd, &st))
		err = -errno;
	else if (st.st_size != DATAFS_SLAB_SIZE)
		datafs_log(LOG_WARNING, "cache %s: slab %06u has %lld bytes; it is made again",
			   c->dir, nr, (long long)st.st_size);
	else
		err = c->cfg.backing_add(c->cfg.arg, slab->fd, nr + 1);
	if (err || st.st_size != DATAFS_SLAB_SIZE) {
		close(slab->fd);
		slab->fd = -1;
		datafs_index_drop_slab(c, nr);
	} else {
		slab->ready = true;
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

static int slab_io(struct datafs_cache *c, uint32_t slot, uint32_t granule,
		   void *buf, size_t len, bool write)
{
	/* Set before the slab's first slot is free, never changed after. */
	int fd = c->slabs[slot / SLAB_SLOTS].fd;
	uint64_t off = (uint64_t)(slot % SLAB_SLOTS) * DATAFS_SLOT_SIZE +
		       (uint64_t)granule * DATAFS_GRANULE;

	while (len) {
		ssize_t n = write ? pwrite(fd, buf, len, off) :
				    pread(fd, buf, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Direct I/O can only go on where a granule ends. */
		if (!n || n % DATAFS_GRANULE)
			return -EIO;
		buf = (char *)buf + n;
		off += n;
		len -= n;
	}
	return 0;
}

int datafs_slab_pread(struct datafs_cache *c, uint32_t slot, uint32_t granule,
		      void *buf, size_t len)
{
	return slab_io(c, slot, granule, buf, len, false);
}

int datafs_slab_pwrite(struct datafs_cache *c, uint32_t slot, uint32_t granule,
		       const void *buf, size_t len)
{
	return slab_io(c, slot, granule, (void *)(uintptr_t)buf, len, true);
}
