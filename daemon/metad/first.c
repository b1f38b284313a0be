// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad/first.h"

#include <errno.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/leveldb.h"
#include "base/log.h"
#include "metad/manifest.h"
#include "metad/server_internal.h"

int datafs_first_check(uint64_t id, const char *address)
{
	if (id && id <= SERVER_ID_MAX && !datafs_address_check(address, false))
		return 0;
	datafs_log(LOG_ERR, "member %llu at \"%s\": no member; it has a number and HOST:PORT",
		   (unsigned long long)id, address);
	return -EINVAL;
}

/* A database that is there, with an environment of its own. */
struct open_db {
	const char *path;
	struct datafs_env *env;
	leveldb_options_t *opt;
	leveldb_readoptions_t *ro;
	leveldb_writeoptions_t *wo;
	leveldb_t *db;
};

static void db_close(struct open_db *o)
{
	if (o->db)
		leveldb_close(o->db);
	leveldb_writeoptions_destroy(o->wo);
	leveldb_readoptions_destroy(o->ro);
	leveldb_options_destroy(o->opt);
	datafs_env_close(o->env);
}

static int db_open(const char *path, struct open_db *o)
{
	char *said = NULL;
	int err;

	*o = (struct open_db){ .path = path };
	err = datafs_env_open(&o->env);
	if (err)
		return err;
	o->opt = leveldb_options_create();
	o->ro = leveldb_readoptions_create();
	o->wo = leveldb_writeoptions_create();
	leveldb_options_set_env(o->opt, datafs_env_leveldb(o->env));
	leveldb_options_set_paranoid_checks(o->opt, 1);
	leveldb_readoptions_set_verify_checksums(o->ro, 1);
	leveldb_writeoptions_set_sync(o->wo, 1);
	o->db = leveldb_open(o->opt, path, &said);
	if (o->db)
		return 0;
	datafs_log(LOG_ERR, "namespace in %s: %s", path, said);
	err = datafs_leveldb_error(said);
	leveldb_free(said);
	db_close(o);
	return err;
}

int datafs_first_look(const char *db, struct rec_node *res)
{
	struct open_db o;
	struct txn t;
	int err = db_open(db, &o);

	if (err)
		return err;
	txn_begin(&t, o.db, o.ro, db);
	err = rec_node_get(&t, res);
	txn_end(&t);
	db_close(&o);
	if (!err)
		datafs_log(LOG_ERR, "namespace in %s: there is no state of a member in it", db);
	return err == 1 ? 0 : err ? err : -EUCLEAN;
}

/*
 * The record of the member, with another id; and no node is spoken for, no job is running, and
 * no ticket of a listing held, since nobody goes on with a session of another cluster.
 */
static int rename_cluster(const struct datafs_first *f, const struct open_db *o)
{
	struct rec_node n;
	struct txn t;
	int err;

	txn_begin(&t, o->db, o->ro, o->path);
	err = rec_node_get(&t, &n);
	if (err == 1)
		err = memcmp(n.id, f->was, sizeof(n.id)) || n.c.index != f->index ||
		      n.c.term != f->term ? -EUCLEAN : 0;
	else if (!err)
		err = -EUCLEAN;
	if (!err) {
		memcpy(n.id, f->cluster, sizeof(n.id));
		rec_node_put(&t, &n);
		err = rec_routing_all_away(&t);
		if (!err)
			err = listings_end_tickets(&t);
	}
	if (!err)
		err = rec_jobs_lose(&t, (struct txn_bytes){ (const uint8_t *)"K", 1 }, 0);
	if (!err)
		err = txn_commit(&t, o->wo);
	txn_end(&t);
	return err;
}

/* The database in @db, with the new id, as the directory @to. */
static int make_snapshot(const struct datafs_first *f, const char *db, const char *to)
{
	struct open_db o;
	int err = db_open(db, &o);

	if (err)
		return err;
	err = rename_cluster(f, &o);
	if (!err)
		err = datafs_checkpoint(o.env, db, to);
	db_close(&o);
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

static int make_log(const struct datafs_first *f, const void *manifest, size_t len)
{
	struct datafs_raft_peer self = { f->id, f->address };
	struct raft_buffer buf = { (void *)manifest, len };
	struct raft_snapshot snap = {
		.index = f->index, .term = f->term, .configuration_index = f->index,
		.bufs = &buf, .n_bufs = 1,
	};
	struct datafs_raft_uv *uv;
	char dir[4096 + 64];
	bool is_closed = false;
	uv_loop_t loop;
	int err = datafs_raft_conf_first(&self, 1, &snap.configuration);

	if (err)
		return err;
	if (uv_loop_init(&loop)) {
		raft_configuration_close(&snap.configuration);
		return -ENOMEM;
	}
	snprintf(dir, sizeof(dir), "%s/raft", f->dir);
	err = datafs_raft_uv_open(&loop, dir, f->id, true, &uv);
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

int datafs_first_fill(const struct datafs_first *f, const char *db)
{
	struct datafs_manifest manifest;
	char snap[4096 + 64];
	void *encoded = NULL;
	long len = 0;
	int err;

	snprintf(snap, sizeof(snap), "%s/snapshots/snap-%llu-%llu", f->dir,
		 (unsigned long long)f->index, (unsigned long long)f->term);
	err = make_snapshot(f, db, snap);
	if (!err)
		err = datafs_manifest_make(snap, f->index, f->term, NULL, &manifest);
	if (err)
		return err;
	len = datafs_manifest_encode(&manifest, &encoded);
	datafs_manifest_free(&manifest);
	if (len < 0)
		return (int)len;
	err = make_log(f, encoded, (size_t)len);
	free(encoded);
	if (!err && server_remove_tree(db))
		err = -errno;
	return err;
}
