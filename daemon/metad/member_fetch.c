// SPDX-License-Identifier: Apache-2.0
/* The files of a snapshot: brought here from another member, and given to others. */
#define _GNU_SOURCE
#include "metad/member_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/util.h"

static int sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

void datafs_member_fetch_end(struct datafs_member *m)
{
	struct fetch *f = &m->fetch;

	if (!f->active)
		return;
	if (f->fd >= 0)
		close(f->fd);
	datafs_raft_frame_free(&f->frame);
	datafs_manifest_free(&f->manifest);
	memset(f, 0, sizeof(*f));
	f->fd = -1;
}

/* Its files are here: now the protocol hears of it. Takes the frame. */
static void deliver(struct datafs_member *m, uint64_t from, struct datafs_raft_frame *frame)
{
	struct event *e = datafs_member_event(m, EVENT_RECEIVE);

	if (!e) {
		datafs_raft_frame_free(frame);
		return;
	}
	e->frame = *frame;
	e->from = from;
}

static int fetch_next(struct datafs_member *m)
{
	struct fetch *f = &m->fetch;
	const struct datafs_manifest_file *file = &f->manifest.files[f->file];
	struct datafs_raft_piece piece = {
		.index = f->manifest.index, .term = f->manifest.term, .file = file->name,
		.off = f->off,
		.len = (uint32_t)DATAFS_MIN(file->size - f->off, DATAFS_MEMBER_PIECE_MAX),
	};

	f->asked = m->cfg.now(m->cfg.ctx);
	f->token = ++m->tokens;
	m->cfg.net.fetch(m->cfg.net.ctx, f->from, &piece, f->token);
	return 0;
}

static int fetch_finish(struct datafs_member *m)
{
	struct fetch *f = &m->fetch;
	char part[DATAFS_SNAP_PATH], path[DATAFS_SNAP_PATH];
	struct datafs_raft_frame frame;
	uint64_t from = f->from;
	int err;

	err = datafs_snap_path(m, f->manifest.index, f->manifest.term, ".part", part);
	if (!err)
		err = datafs_snap_path(m, f->manifest.index, f->manifest.term, "", path);
	if (!err)
		err = sync_path(part);
	if (err)
		return err;
	datafs_snap_remove(path);
	if (rename(part, path))
		return -errno;
	err = sync_path(m->cfg.snapshots);
	if (err)
		return err;
	frame = f->frame;
	f->frame.kind = 0;
	datafs_member_fetch_end(m);
	deliver(m, from, &frame);
	return 0;
}

/* Opens the next file; those that are empty need nothing fetched. */
static int fetch_file(struct datafs_member *m)
{
	struct fetch *f = &m->fetch;

	while (f->file < f->manifest.n) {
		const struct datafs_manifest_file *file = &f->manifest.files[f->file];
		char part[DATAFS_SNAP_PATH], path[DATAFS_SNAP_PATH + DATAFS_MANIFEST_NAME_MAX + 2];

		if (datafs_snap_path(m, f->manifest.index, f->manifest.term, ".part", part))
			return -ENAMETOOLONG;
		snprintf(path, sizeof(path), "%s/%s", part, file->name);
		f->off = 0;
		f->crc = 0;
		f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (f->fd < 0)
			return -errno;
		if (file->size)
			return fetch_next(m);
		close(f->fd);
		f->fd = -1;
		f->file++;
	}
	return fetch_finish(m);
}

static int fetch_write(struct datafs_member *m, const void *buf, size_t len)
{
	struct fetch *f = &m->fetch;
	const struct datafs_manifest_file *file = &f->manifest.files[f->file];

	if (!len || len > file->size - f->off)
		return -EBADMSG;
	for (size_t done = 0; done < len;) {
		ssize_t n = write(f->fd, (const char *)buf + done, len - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	f->crc = datafs_crc32c_more(f->crc, buf, len);
	f->off += len;
	if (f->off < file->size)
		return fetch_next(m);
	if (f->crc != file->crc)
		return -EUCLEAN;
	if (fsync(f->fd))
		return -errno;
	close(f->fd);
	f->fd = -1;
	f->file++;
	return fetch_file(m);
}

/*
 * What is here of it goes, since the next one can be another. The leader offers one
 * again at once, but what failed is not tried again at once.
 */
static void fetch_failed(struct datafs_member *m, int err)
{
	char part[DATAFS_SNAP_PATH];

	datafs_log(LOG_WARNING, "quorum: snapshot %llu of member %llu is not fetched: %s",
		   (unsigned long long)m->fetch.manifest.index,
		   (unsigned long long)m->fetch.from, strerror(-err));
	if (!datafs_snap_path(m, m->fetch.manifest.index, m->fetch.manifest.term, ".part", part))
		datafs_snap_remove(part);
	m->fetch_again = m->cfg.now(m->cfg.ctx) + DATAFS_MEMBER_PIECE_MS;
	datafs_member_fetch_end(m);
}

/* Whoever has it says so; else it is only that the network does not bring it. */
static bool not_there(int err)
{
	return err == -ENOENT || err == -EINVAL || err == -EIO || err == -ENAMETOOLONG;
}

uint64_t datafs_member_fetch_deadline(const struct datafs_member *m)
{
	const struct fetch *f = &m->fetch;

	if (!f->active)
		return UINT64_MAX;
	return DATAFS_MIN(f->since + DATAFS_MEMBER_FETCH_MS, f->asked + DATAFS_MEMBER_PIECE_MS);
}

void datafs_member_fetch_time(struct datafs_member *m)
{
	uint64_t now = m->cfg.now(m->cfg.ctx);

	if (!m->fetch.active || now < datafs_member_fetch_deadline(m))
		return;
	if (now >= m->fetch.since + DATAFS_MEMBER_FETCH_MS)
		fetch_failed(m, -ETIMEDOUT);
	else
		fetch_next(m);
}

void datafs_member_fetched(struct datafs_member *m, uint64_t token, int err,
			   const void *buf, size_t len)
{
	if (m->halted || !m->fetch.active || m->fetch.token != token)
		return;
	if (!err) {
		m->fetch.since = m->cfg.now(m->cfg.ctx);
		err = fetch_write(m, buf, len);
		if (err)
			fetch_failed(m, err);
	} else if (not_there(err)) {
		fetch_failed(m, err);
	}
	datafs_member_run(m);
}

static int fetch_begin(struct datafs_member *m, uint64_t from, struct datafs_raft_frame *frame)
{
	const struct raft_install_snapshot *s = &frame->raft.install_snapshot;
	struct fetch *f = &m->fetch;
	char part[DATAFS_SNAP_PATH];
	int err;

	/* of another leader: what this one offers has files of its own */
	if (f->active)
		fetch_failed(m, -ESTALE);
	f->active = true;
	f->from = from;
	f->frame = *frame;
	f->since = m->cfg.now(m->cfg.ctx);
	err = datafs_manifest_decode(s->data.base, s->data.len, &f->manifest);
	if (!err && (f->manifest.index != s->last_index || f->manifest.term != s->last_term))
		err = -EBADMSG;
	if (!err)
		err = datafs_snap_path(m, s->last_index, s->last_term, ".part", part);
	if (err)
		return err;
	datafs_snap_remove(part);
	return mkdir(part, 0700) ? -errno : fetch_file(m);
}

void datafs_member_snap_offer(struct datafs_member *m, uint64_t from,
			      struct datafs_raft_frame *frame)
{
	const struct raft_install_snapshot *s = &frame->raft.install_snapshot;
	int err;

	/* an old term, or nothing new: libraft answers that at once */
	if (s->term < raft_current_term(&m->raft) || s->last_index <= m->snap.index ||
	    datafs_log_term(&m->log, s->last_index) == s->last_term) {
		deliver(m, from, frame);
		return;
	}
	/*
	 * The leader repeats itself while it waits, maybe in a later term, or offers a
	 * newer one meanwhile: what is being fetched is as good, and was committed. To
	 * begin anew each time might never end.
	 */
	if (m->fetch.active && m->fetch.from == from) {
		m->fetch.frame.raft.install_snapshot.term =
			DATAFS_MAX(m->fetch.frame.raft.install_snapshot.term, s->term);
		datafs_raft_frame_free(frame);
		return;
	}
	if (m->raft.snapshot.installing || m->snap_write.active ||
	    m->cfg.now(m->cfg.ctx) < m->fetch_again) {
		datafs_raft_frame_free(frame);
		return;
	}
	err = fetch_begin(m, from, frame);
	if (err)
		fetch_failed(m, err);
}

long datafs_member_read_piece(struct datafs_member *m, const struct datafs_raft_piece *piece,
			      void *buf)
{
	char path[DATAFS_SNAP_PATH], file[DATAFS_SNAP_PATH + DATAFS_MANIFEST_NAME_MAX + 2];
	ssize_t n;
	int fd, err;

	if (!datafs_manifest_name(piece->file) || piece->len > DATAFS_MEMBER_PIECE_MAX)
		return -EINVAL;
	err = datafs_snap_path(m, piece->index, piece->term, "", path);
	if (err)
		return err;
	snprintf(file, sizeof(file), "%s/%s", path, piece->file);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	n = pread(fd, buf, piece->len, (off_t)piece->off);
	err = n < 0 ? -errno : 0;
	close(fd);
	return err ? err : n;
}

long datafs_member_piece(struct datafs_member *m, const struct datafs_raft_piece *piece,
			 void *buf)
{
	long n = datafs_member_read_piece(m, piece, buf);

	if (n >= 0) {
		m->served = piece->index;
		m->served_at = m->cfg.now(m->cfg.ctx);
	}
	return n;
}

bool datafs_member_serves(const struct datafs_member *m, uint64_t index)
{
	return m->served == index &&
	       m->cfg.now(m->cfg.ctx) < m->served_at + DATAFS_MEMBER_FETCH_MS;
}
