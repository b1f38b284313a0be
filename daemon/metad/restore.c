// SPDX-License-Identifier: Apache-2.0
/*
 * In the new directory: the files of the backup become a database, and that the state of
 * the first member of a new quorum (first.h).
 */
#define _GNU_SOURCE
#include "metad/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "metad/first.h"
#include "metad/server_internal.h"

#define READ_BYTES	(64u << 10)

_Static_assert(DATAFS_BACKUP_CLUSTER == DATAFS_METAD_ID_LEN, "a namespace's id is the cluster's");

/* One that is under way. */
struct job {
	const struct datafs_restore *r;
	struct datafs_backup_reader reader;
	int dir;		/* where the files go */
	int fd;			/* the one that is being written */
};

static int put_piece(void *ctx, const struct datafs_manifest_file *f, uint64_t off,
		     const void *buf, size_t len)
{
	struct job *j = ctx;
	int err = 0;

	if (!off) {
		j->fd = openat(j->dir, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (j->fd < 0)
			return -errno;
	}
	for (size_t done = 0; !err && done < len;) {
		ssize_t n = write(j->fd, (const char *)buf + done, len - done);

		if (n < 0)
			err = -errno;
		else
			done += (size_t)n;
	}
	if (!err && off + len < f->size)
		return 0;
	if (!err && fsync(j->fd))
		err = -errno;
	close(j->fd);
	j->fd = -1;
	return err;
}

/* All of the file; what is to be done with the pieces is set already. */
static int read_all(struct job *j, int fd)
{
	static _Thread_local uint8_t buf[READ_BYTES];
	ssize_t n;
	int err;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		err = datafs_backup_feed(&j->reader, buf, (size_t)n);
		if (err)
			return err;
	}
	if (n < 0)
		return -errno;
	return j->reader.state == DATAFS_BACKUP_DONE ? 0 : -EBADMSG;
}

static int read_backup(struct job *j, bool write)
{
	int fd = open(j->r->file, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = datafs_backup_reader_open(&j->reader);
	if (!err) {
		if (write) {
			j->reader.piece = put_piece;
			j->reader.ctx = j;
		}
		err = read_all(j, fd);
	}
	close(fd);
	return err;
}

/* Pieces of empty files never come. */
static int make_empty(const struct job *j)
{
	for (unsigned int i = 0; i < j->reader.manifest.n; i++) {
		const struct datafs_manifest_file *f = &j->reader.manifest.files[i];
		int fd = -1;

		if (!f->size)
			fd = openat(j->dir, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (!f->size && fd < 0)
			return -errno;
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int extract(struct job *j, const char *dir)
{
	int err;

	if (mkdir(dir, 0700))
		return -errno;
	j->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir < 0)
		return -errno;
	err = read_backup(j, true);
	if (!err)
		err = make_empty(j);
	if (j->fd >= 0)
		close(j->fd);
	close(j->dir);
	j->fd = j->dir = -1;
	return err;
}

static int fill(const char *new, void *arg)
{
	struct job *j = arg;
	const struct datafs_backup_head *h = &j->reader.head;
	struct datafs_first first = {
		.dir = new, .id = j->r->id, .address = j->r->address,
		.cluster = j->r->cluster, .was = h->cluster, .index = h->index, .term = h->term,
	};
	char db[4096 + 64];
	int err;

	snprintf(db, sizeof(db), "%s/restored", new);
	datafs_backup_reader_close(&j->reader);
	err = extract(j, db);
	return err ? err : datafs_first_fill(&first, db);
}

static int check(struct job *j)
{
	int err = read_backup(j, false);

	if (err == -EBADMSG)
		datafs_log(LOG_ERR, "%s: it is no backup, or damaged or cut off; nothing of it is used, and nothing is written",
			   j->r->file);
	else if (err)
		datafs_log(LOG_ERR, "%s: cannot be read: %s", j->r->file, strerror(-err));
	if (err)
		return err;
	if (memcmp(j->reader.head.cluster, j->r->cluster, DATAFS_BACKUP_CLUSTER))
		return 0;
	datafs_log(LOG_ERR, "%s: the keys are of the cluster that was backed up; what is restored is another cluster, with keys of its own (datafs key new)",
		   j->r->file);
	return -EINVAL;
}

int datafs_restore(const struct datafs_restore *r, struct datafs_backup_head *head)
{
	struct job j = { .r = r, .dir = -1, .fd = -1 };
	int err;

	err = datafs_first_check(r->id, r->address);
	if (err)
		return err;
	err = check(&j);
	if (!err) {
		*head = j.reader.head;
		err = server_make_dir(r->dir, fill, &j);
	}
	datafs_backup_reader_close(&j.reader);
	return err;
}
