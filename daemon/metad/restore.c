// SPDX-License-Identifier: Apache-2.0
/*
 * In the new directory: the files of the backup become a database, which is told the
 * new cluster's id; a checkpoint of that is the snapshot with which the log begins, as
 * if it had been fetched from a leader. The member takes its state from there when it
 * starts first.
 */
#define _GNU_SOURCE
#include "metad/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/leveldb.h"
#include "base/log.h"
#include "base/util.h"
#include "metad/schema.h"
#include "metad/server_internal.h"

/* Of the record "N" (Documentation/metadata.rst), behind the version. */
#define NODE_ID_AT	1u
#define NODE_INDEX_AT	(NODE_ID_AT + DATAFS_METAD_ID_LEN + 4)
#define NODE_TERM_AT	(NODE_INDEX_AT + 8)
#define NODE_MIN	(NODE_TERM_AT + 8)

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

/* The record of the node, with another id. */
static int rename_cluster(const struct job *j, leveldb_t *db)
{
	leveldb_readoptions_t *ro = leveldb_readoptions_create();
	leveldb_writeoptions_t *wo = leveldb_writeoptions_create();
	const struct datafs_backup_head *h = &j->reader.head;
	char *said = NULL, *val;
	size_t len;
	int err = 0;

	leveldb_readoptions_set_verify_checksums(ro, 1);
	leveldb_writeoptions_set_sync(wo, 1);
	val = leveldb_get(db, ro, "N", 1, &len, &said);
	if (!said && (!val || len < NODE_MIN || val[0] != REC_VERSION ||
		      memcmp(val + NODE_ID_AT, h->cluster, sizeof(h->cluster)) ||
		      datafs_get_be64(val + NODE_INDEX_AT) != h->index ||
		      datafs_get_be64(val + NODE_TERM_AT) != h->term))
		err = -EUCLEAN;
	if (!said && !err) {
		memcpy(val + NODE_ID_AT, j->r->cluster, DATAFS_METAD_ID_LEN);
		leveldb_put(db, wo, "N", 1, val, len, &said);
	}
	if (said)
		err = datafs_leveldb_error(said);
	leveldb_free(said);
	leveldb_free(val);
	leveldb_writeoptions_destroy(wo);
	leveldb_readoptions_destroy(ro);
	return err;
}

/* The database in @db, with the new id, as the directory @to. */
static int make_snapshot(const struct job *j, const char *db, const char *to)
{
	leveldb_options_t *opt = leveldb_options_create();
	struct datafs_env *env;
	char *said = NULL;
	leveldb_t *open;
	int err = datafs_env_open(&env);

	if (err) {
		leveldb_options_destroy(opt);
		return err;
	}
	leveldb_options_set_env(opt, datafs_env_leveldb(env));
	leveldb_options_set_paranoid_checks(opt, 1);
	open = leveldb_open(opt, db, &said);
	err = open ? rename_cluster(j, open) : datafs_leveldb_error(said);
	if (!err)
		err = datafs_checkpoint(env, db, to);
	if (open)
		leveldb_close(open);
	leveldb_free(said);
	leveldb_options_destroy(opt);
	datafs_env_close(env);
	return err;
}

struct stored {
	struct datafs_raft_io io;
	bool done;
	int err;
};

static void on_stored(struct datafs_raft_io *io, int err)
{
	struct stored *s = (struct stored *)io;

	s->done = true;
	s->err = err;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void free_loaded(struct datafs_raft_loaded *l)
{
	raft_free(l->entries);
}

/* A log that begins with @snap, and has nothing else. */
static int store(uv_loop_t *loop, struct datafs_raft_uv *uv, const struct raft_snapshot *snap)
{
	struct datafs_raft_disk disk = datafs_raft_uv_disk(uv);
	struct datafs_raft_loaded loaded = { 0 };
	struct stored s = { .io.done = on_stored };
	int err = disk.load(disk.ctx, &loaded);

	free_loaded(&loaded);
	if (!err)
		err = disk.set_term(disk.ctx, snap->term);
	if (!err)
		err = disk.snapshot(disk.ctx, snap, 0, &s.io);
	while (!err && !s.done)
		uv_run(loop, UV_RUN_ONCE);
	return err ? err : s.err;
}

static int make_log(const struct job *j, const char *dir, const void *manifest, size_t len)
{
	struct datafs_raft_peer self = { j->r->id, j->r->address };
	struct raft_buffer buf = { (void *)manifest, len };
	struct raft_snapshot snap = {
		.index = j->reader.head.index, .term = j->reader.head.term,
		.configuration_index = j->reader.head.index, .bufs = &buf, .n_bufs = 1,
	};
	struct datafs_raft_uv *uv;
	bool is_closed = false;
	uv_loop_t loop;
	int err = datafs_raft_conf_first(&self, 1, &snap.configuration);

	if (err)
		return err;
	if (uv_loop_init(&loop)) {
		raft_configuration_close(&snap.configuration);
		return -ENOMEM;
	}
	err = datafs_raft_uv_open(&loop, dir, j->r->id, true, &uv);
	if (!err) {
		err = store(&loop, uv, &snap);
		datafs_raft_uv_close(uv, on_closed, &is_closed);
		while (!is_closed)
			uv_run(&loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&loop);
	raft_configuration_close(&snap.configuration);
	return err;
}

static int fill(const char *new, void *arg)
{
	struct job *j = arg;
	const struct datafs_backup_head *h = &j->reader.head;
	char db[4096 + 64], snap[4096 + 64], raft[4096 + 64];
	struct datafs_manifest manifest;
	void *encoded = NULL;
	long len = 0;
	int err;

	snprintf(db, sizeof(db), "%s/restored", new);
	snprintf(raft, sizeof(raft), "%s/raft", new);
	snprintf(snap, sizeof(snap), "%s/snapshots/snap-%llu-%llu", new,
		 (unsigned long long)h->index, (unsigned long long)h->term);
	datafs_backup_reader_close(&j->reader);
	err = extract(j, db);
	if (!err)
		err = make_snapshot(j, db, snap);
	if (!err)
		err = datafs_manifest_make(snap, h->index, h->term, NULL, &manifest);
	if (err)
		return err;
	len = datafs_manifest_encode(&manifest, &encoded);
	datafs_manifest_free(&manifest);
	if (len < 0)
		return (int)len;
	err = make_log(j, raft, encoded, (size_t)len);
	free(encoded);
	if (!err && server_remove_tree(db))
		err = -errno;
	return err;
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

	if (!r->id || r->id > SERVER_ID_MAX || datafs_address_check(r->address, false)) {
		datafs_log(LOG_ERR, "member %llu at \"%s\": no member; it has a number and HOST:PORT",
			   (unsigned long long)r->id, r->address);
		return -EINVAL;
	}
	err = check(&j);
	if (!err) {
		*head = j.reader.head;
		err = server_make_dir(r->dir, fill, &j);
	}
	datafs_backup_reader_close(&j.reader);
	return err;
}
