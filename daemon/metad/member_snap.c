// SPDX-License-Identifier: Apache-2.0
/*
 * Snapshots. The protocol's is a manifest (manifest.h); its files are a
 * checkpoint, the directory "snap-INDEX-TERM". It comes to be in one of two ways,
 * and is then stored in the log's disk, which makes it the newest:
 *
 *	taken		checkpoint -> manifest -> disk -> the log is shortened
 *	installed	offered -> files fetched as ".part", checked, renamed
 *			-> told to libraft -> disk -> the state is restored
 *
 * A crash leaves directories that no snapshot of the disk names; they are
 * removed when the next one is there. A state that is behind the newest
 * snapshot is restored from it when the member starts.
 */
#define _GNU_SOURCE
#include "metad/member_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define PATIENCE	8u	/* thresholds */

int datafs_snap_path(const struct datafs_member *m, uint64_t index, uint64_t term,
		     const char *tail, char *path)
{
	int n = snprintf(path, DATAFS_SNAP_PATH, "%s/snap-%llu-%llu%s", m->cfg.snapshots,
			 (unsigned long long)index, (unsigned long long)term, tail);

	return n < DATAFS_SNAP_PATH ? 0 : -ENAMETOOLONG;
}

/* A directory of files. */
void datafs_snap_remove(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
}

/*
 * Those that are neither @keep nor the one before it, nor being fetched, here or from
 * here. One that is newer than @keep was fetched whole, and is about to be installed.
 */
static void remove_old(struct datafs_member *m, uint64_t before, uint64_t keep)
{
	DIR *d = opendir(m->cfg.snapshots);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		unsigned long long index, term;
		char path[DATAFS_SNAP_PATH];

		if (sscanf(e->d_name, "snap-%llu-%llu", &index, &term) != 2 ||
		    index == before || index >= keep || datafs_member_serves(m, index) ||
		    datafs_member_holds(m, index))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", m->cfg.snapshots, e->d_name) <
		    (int)sizeof(path))
			datafs_snap_remove(path);
	}
	if (d)
		closedir(d);
}

void datafs_member_snap_clean(struct datafs_member *m)
{
	DIR *d = opendir(m->cfg.snapshots);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		unsigned long long index, term;
		char path[DATAFS_SNAP_PATH], *tail = strrchr(e->d_name, '.');

		if (tail && !strcmp(tail, ".part") &&
		    sscanf(e->d_name, "snap-%llu-%llu", &index, &term) == 2 &&
		    !datafs_snap_path(m, index, term, ".part", path))
			datafs_snap_remove(path);
	}
	if (d)
		closedir(d);
}

static void snap_clear(struct snap *s)
{
	raft_configuration_close(&s->conf);
	free(s->manifest);
	memset(s, 0, sizeof(*s));
	raft_configuration_init(&s->conf);
}

static void sums_end(struct snap_write *w)
{
	if (!w->summing)
		return;
	datafs_manifest_end(&w->job);
	datafs_manifest_free(&w->old);
	w->summing = false;
}

void datafs_member_snap_free(struct datafs_member *m)
{
	datafs_member_fetch_end(m);
	sums_end(&m->snap_write);
	snap_clear(&m->snap);
	snap_clear(&m->snap_write.snap);
}

/* A copy of the snapshot's bytes and configuration. */
static int snap_fill(struct snap *s, uint64_t index, uint64_t term,
		     const struct raft_configuration *conf, uint64_t conf_index,
		     const void *manifest, size_t len)
{
	memset(s, 0, sizeof(*s));
	if (datafs_raft_conf_copy(conf, &s->conf))
		return -ENOMEM;
	s->index = index;
	s->term = term;
	s->conf_index = conf_index;
	s->len = len;
	s->manifest = malloc(len ? len : 1);
	if (!s->manifest) {
		snap_clear(s);
		return -ENOMEM;
	}
	if (len)
		memcpy(s->manifest, manifest, len);
	return 0;
}

static int check_files(const struct datafs_member *m, const char *path)
{
	struct datafs_manifest manifest;
	int err = datafs_manifest_decode(m->snap.manifest, m->snap.len, &manifest);

	if (err)
		return err;
	err = datafs_manifest_check(path, &manifest);
	datafs_manifest_free(&manifest);
	return err;
}

/*
 * The state from the newest snapshot's files, if it is behind it. They are looked at
 * when the member starts; after an install they were when they came.
 */
static int restore(struct datafs_member *m)
{
	char path[DATAFS_SNAP_PATH];
	int err;

	m->restore = false;
	m->applied = m->snap.index;
	m->applied_bytes = 0;
	if (m->cfg.fsm.applied(m->cfg.fsm.ctx) >= m->snap.index)
		return 0;
	err = datafs_snap_path(m, m->snap.index, m->snap.term, "", path);
	if (!err && !m->started)
		err = check_files(m, path);
	if (!err)
		err = m->cfg.fsm.restore(m->cfg.fsm.ctx, path);
	if (!err && m->cfg.fsm.applied(m->cfg.fsm.ctx) != m->snap.index)
		err = -EUCLEAN;
	return err;
}

int datafs_member_snap_load(struct datafs_member *m, struct raft_snapshot *s)
{
	int err = snap_fill(&m->snap, s->index, s->term, &s->configuration,
			    s->configuration_index, s->bufs[0].base, s->bufs[0].len);

	if (err)
		return err;
	m->log.snap_index = s->index;
	m->log.snap_term = s->term;
	err = restore(m);
	if (err)
		datafs_log(LOG_ERR, "quorum: the state is older than the log, and snapshot %llu cannot be restored: %s",
			   (unsigned long long)s->index, strerror(-err));
	return err == -ENOENT ? -EUCLEAN : err;
}

void datafs_member_snap_restore(struct datafs_member *m)
{
	int err = m->restore ? restore(m) : 0;

	if (err)
		datafs_member_halt(m, err, "a snapshot cannot be restored");
}

/* It is durable: it is the newest. */
static void snap_adopt(struct datafs_member *m)
{
	uint64_t before = m->snap.index;

	snap_clear(&m->snap);
	m->snap = m->snap_write.snap;
	memset(&m->snap_write.snap, 0, sizeof(m->snap_write.snap));
	raft_configuration_init(&m->snap_write.snap.conf);
	remove_old(m, before, m->snap.index);
}

static int tell_stored(struct datafs_member *m)
{
	struct raft_snapshot_metadata meta = {
		.index = m->snap.index, .term = m->snap.term,
		.configuration_index = m->snap.conf_index,
	};
	struct event *e;

	if (datafs_raft_conf_copy(&m->snap.conf, &meta.configuration))
		return -ENOMEM;
	e = datafs_member_event(m, EVENT_STEP);
	if (!e) {
		raft_configuration_close(&meta.configuration);
		return -ENOMEM;
	}
	if (m->snap_write.install) {
		e->raft.type = RAFT_PERSISTED_SNAPSHOT;
		e->raft.persisted_snapshot.metadata = meta;
		e->raft.persisted_snapshot.last = true;
		m->restore = true;
	} else {
		e->raft.type = RAFT_SNAPSHOT;
		e->raft.snapshot.metadata = meta;
		e->raft.snapshot.trailing = m->snap_write.trailing;
		datafs_log_compact(&m->log, m->snap.index, m->snap.term, m->snap_write.trailing);
	}
	return 0;
}

static void snap_stored(struct datafs_raft_io *io, int err)
{
	struct snap_write *w = (struct snap_write *)io;
	struct datafs_member *m = w->m;

	w->active = false;
	if (m->halted)
		return;
	if (!err) {
		snap_adopt(m);
		err = tell_stored(m);
	}
	if (err)
		datafs_member_halt(m, err, "snapshot");
	datafs_member_run(m);
}

static int snap_store(struct datafs_member *m, unsigned int trailing)
{
	struct snap_write *w = &m->snap_write;
	int err;

	w->io.done = snap_stored;
	w->m = m;
	w->active = true;
	w->buf = (struct raft_buffer) { .base = w->snap.manifest, .len = w->snap.len };
	w->raft = (struct raft_snapshot) {
		.index = w->snap.index, .term = w->snap.term, .configuration = w->snap.conf,
		.configuration_index = w->snap.conf_index, .bufs = &w->buf, .n_bufs = 1,
	};
	err = m->cfg.disk.snapshot(m->cfg.disk.ctx, &w->raft, trailing, &w->io);
	if (err)
		w->active = false;
	return err;
}

/* The files; which are read by and by. The member has more to do meanwhile. */
static int take_files(struct datafs_member *m, uint64_t term)
{
	struct snap_write *w = &m->snap_write;
	char path[DATAFS_SNAP_PATH];
	int err = datafs_snap_path(m, m->applied, term, "", path);

	if (err)
		return err;
	/* of a crash: made, but not named by the disk */
	datafs_snap_remove(path);
	err = m->cfg.fsm.checkpoint(m->cfg.fsm.ctx, path);
	if (!err)
		err = datafs_manifest_begin(&w->job, path, m->applied, term);
	if (err) {
		datafs_snap_remove(path);
		return err;
	}
	memset(&w->old, 0, sizeof(w->old));
	if (m->snap.index && datafs_manifest_decode(m->snap.manifest, m->snap.len, &w->old))
		memset(&w->old, 0, sizeof(w->old));
	w->summing = true;
	return 0;
}

/* How many entries before the applied one are kept. */
static unsigned int trailing(const struct datafs_member *m)
{
	uint64_t bytes = 0;
	unsigned int n = 0;

	while (n < m->cfg.trailing) {
		const struct log_entry *e = datafs_log_get(&m->log, m->applied - n);

		bytes += e ? e->bytes->len : 0;
		if (n && bytes > DATAFS_MEMBER_TRAILING_BYTES)
			break;
		n++;
	}
	return n;
}

static void take_failed(struct datafs_member *m, int err)
{
	sums_end(&m->snap_write);
	m->snap_write.active = false;
	snap_clear(&m->snap_write.snap);
	datafs_member_drop_backups(m, err);
	if (err != -ENOSPC && err != -EDQUOT) {
		datafs_member_halt(m, err, "no snapshot can be taken");
		return;
	}
	datafs_log(LOG_WARNING, "quorum: no snapshot is taken at entry %llu, and the log grows until there is room in %s: %s",
		   (unsigned long long)m->applied, m->cfg.snapshots, strerror(-err));
	m->snap_again = m->cfg.now(m->cfg.ctx) + DATAFS_MEMBER_SNAPSHOT_AGAIN_MS;
}

static void take(struct datafs_member *m)
{
	struct snap_write *w = &m->snap_write;
	uint64_t term = datafs_log_term(&m->log, m->applied);
	int err = take_files(m, term);

	if (!err)
		err = snap_fill(&w->snap, m->applied, term, &m->raft.configuration_committed,
				m->raft.configuration_committed_index, NULL, 0);
	if (err) {
		take_failed(m, err);
		return;
	}
	w->active = true;
	w->install = false;
	w->trailing = trailing(m);
	m->applied_bytes = 0;
}

/* When all its files are read, it is stored. */
static void take_more(struct datafs_member *m)
{
	struct snap_write *w = &m->snap_write;
	int more = datafs_manifest_step(&w->job, &w->old, DATAFS_MEMBER_SUM_BYTES);
	long len = 0;

	if (more > 0)
		return;
	if (!more) {
		free(w->snap.manifest);
		w->snap.manifest = NULL;
		len = datafs_manifest_encode(&w->job.manifest, &w->snap.manifest);
		w->snap.len = len < 0 ? 0 : (size_t)len;
	}
	sums_end(w);
	if (!more)
		more = len < 0 ? (int)len : w->snap.len > DATAFS_RAFT_MANIFEST_MAX ? -EFBIG :
			snap_store(m, w->trailing);
	if (more)
		take_failed(m, more);
}

/*
 * The configuration that goes into it is the last one that is known to be committed.
 * After a restart that can be one which is not applied yet, and the state can have more
 * than what is known to be committed: it would be more than the snapshot says.
 */
static bool can_take(const struct datafs_member *m)
{
	return !m->halted && !m->snap_write.active && !m->raft.snapshot.installing &&
	       !m->fetch.active &&
	       !m->restore && m->applied > m->snap.index &&
	       m->raft.configuration_committed_index &&
	       m->raft.configuration_committed_index <= m->applied &&
	       m->cfg.fsm.applied(m->cfg.fsm.ctx) <= m->applied &&
	       datafs_log_get(&m->log, m->applied);
}

static bool time_to_take(const struct datafs_member *m)
{
	uint64_t since = m->applied - m->snap.index, bytes = m->applied_bytes;

	if ((since < m->cfg.threshold && bytes < DATAFS_MEMBER_SNAPSHOT_BYTES) ||
	    m->cfg.now(m->cfg.ctx) < m->snap_again)
		return false;
	/* who fetches the last one needs the log behind it, but not for ever */
	return since / PATIENCE >= m->cfg.threshold ||
	       bytes / PATIENCE >= DATAFS_MEMBER_SNAPSHOT_BYTES ||
	       !datafs_member_serves(m, m->snap.index);
}

void datafs_member_snaps(struct datafs_member *m)
{
	bool wanted = datafs_member_backups(m);

	if (can_take(m) && (wanted || time_to_take(m)))
		take(m);
	if (m->snap_write.summing)
		take_more(m);
	datafs_member_fetch_time(m);
}

int datafs_member_snap_fill(struct datafs_member *m, struct raft_install_snapshot *s)
{
	if (s->last_index != m->snap.index)
		return -ESTALE;
	s->last_term = m->snap.term;
	s->conf = m->snap.conf;
	s->conf_index = m->snap.conf_index;
	s->data.base = m->snap.manifest;
	s->data.len = m->snap.len;
	return 0;
}

int datafs_member_snap_again(struct datafs_member *m)
{
	int err = snap_fill(&m->snap_write.snap, m->snap.index, m->snap.term, &m->snap.conf,
			    m->snap.conf_index, m->snap.manifest, m->snap.len);

	if (err)
		return err;
	/* no entries, votes or elections until it is done */
	m->raft.snapshot.installing = true;
	m->snap_write.install = true;
	return snap_store(m, 0);
}

void datafs_member_snap_install(struct datafs_member *m, struct raft_update *u)
{
	const struct raft_snapshot_metadata *meta = &u->snapshot.metadata;
	int err;

	datafs_log_reset(&m->log, meta->index, meta->term);
	err = snap_fill(&m->snap_write.snap, meta->index, meta->term, &meta->configuration,
			meta->configuration_index, u->snapshot.chunk.base,
			u->snapshot.chunk.len);
	raft_configuration_close((struct raft_configuration *)&meta->configuration);
	raft_free(u->snapshot.chunk.base);
	if (!err) {
		m->snap_write.install = true;
		err = snap_store(m, 0);
	}
	if (err)
		datafs_member_halt(m, err, "snapshot");
}
