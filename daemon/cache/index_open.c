// SPDX-License-Identifier: Apache-2.0
/*
 * The index's database: opened, if it is ours and whole; else made anew. What is
 * in it, index.c knows.
 */
#include "cache_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/leveldb.h"
#include "base/log.h"

/* Of all records: an index of another format is discarded. */
#define INDEX_FORMAT	1u

/* The record 'M'. */
struct index_meta {
	uint32_t format, reserved;
	uint64_t slab_size;
	uint8_t namespace_id[16];
};

static void index_path(struct datafs_cache *c, char *buf, size_t len,
		       const char *name)
{
	snprintf(buf, len, "%s/%s", c->dir, name);
}

static int options_init(struct datafs_index *ix)
{
	int err = datafs_env_open(&ix->env);

	if (err)
		return err;
	ix->opts = leveldb_options_create();
	ix->ropts = leveldb_readoptions_create();
	ix->lazy = leveldb_writeoptions_create();
	ix->sync = leveldb_writeoptions_create();
	leveldb_options_set_env(ix->opts, datafs_env_leveldb(ix->env));
	leveldb_options_set_create_if_missing(ix->opts, 1);
	leveldb_options_set_paranoid_checks(ix->opts, 1);
	leveldb_options_set_write_buffer_size(ix->opts, 4u << 20);
	leveldb_options_set_max_open_files(ix->opts, 100);
	/* Mostly checksums, which do not compress. */
	leveldb_options_set_compression(ix->opts, leveldb_no_compression);
	leveldb_readoptions_set_verify_checksums(ix->ropts, 1);
	leveldb_readoptions_set_fill_cache(ix->ropts, 0);
	leveldb_writeoptions_set_sync(ix->sync, 1);
	return 0;
}

static int db_open(struct datafs_cache *c, char **why)
{
	char path[4200];

	*why = NULL;
	index_path(c, path, sizeof(path), "index");
	c->index.db = leveldb_open(c->index.opts, path, why);
	return c->index.db ? 0 : datafs_leveldb_error(*why);
}

static void db_destroy(struct datafs_cache *c, const char *name)
{
	char path[4200], *why = NULL;

	index_path(c, path, sizeof(path), name);
	leveldb_destroy_db(c->index.opts, path, &why);
	if (why) /* then the open that follows fails and says so */
		datafs_log(LOG_WARNING, "cache %s: %s cannot be removed: %s",
			   c->dir, name, why);
	leveldb_free(why);
}

static struct index_meta meta_of(struct datafs_cache *c)
{
	struct index_meta m = {
		.format = INDEX_FORMAT,
		.slab_size = DATAFS_SLAB_SIZE,
	};

	memcpy(m.namespace_id, c->cfg.namespace_id, sizeof(m.namespace_id));
	return m;
}

static int db_new(struct datafs_cache *c)
{
	struct index_meta m = meta_of(c);
	char *why;
	int err = db_open(c, &why);

	if (!err) {
		leveldb_put(c->index.db, c->index.sync, "M", 1, (char *)&m,
			    sizeof(m), &why);
		err = why ? -EIO : 0;
	}
	if (err)
		datafs_log(LOG_ERR, "cache %s: cannot make an index: %s",
			   c->dir, why);
	leveldb_free(why);
	return err;
}

int datafs_index_rebuild(struct datafs_cache *c, const char *why)
{
	datafs_log(LOG_WARNING, "cache %s: the index is discarded, the cache starts empty: %s",
		   c->dir, why);
	if (c->index.db)
		leveldb_close(c->index.db);
	c->index.db = NULL;
	c->stats.index_rebuilt = 1;
	db_destroy(c, "index");
	return db_new(c);
}

/* NULL: it is ours, or new. Otherwise why not; *@err: it cannot be read. */
static const char *db_check(struct datafs_cache *c, bool *fresh, int *err)
{
	struct index_meta want = meta_of(c), *m;
	leveldb_iterator_t *it;
	const char *res = NULL;
	char *why = NULL;
	size_t len = 0;

	m = (struct index_meta *)leveldb_get(c->index.db, c->index.ropts, "M",
					     1, &len, &why);
	if (why) {
		*err = datafs_leveldb_error(why);
		leveldb_free(why);
		return "it is damaged";
	}
	*fresh = false;
	if (!m) {
		it = leveldb_create_iterator(c->index.db, c->index.ropts);
		leveldb_iter_seek_to_first(it);
		*fresh = !leveldb_iter_valid(it);
		leveldb_iter_get_error(it, &why);
		leveldb_iter_destroy(it);
		res = *fresh && !why ? NULL : "it has no head";
		leveldb_free(why);
	} else if (len != sizeof(*m) || m->format != want.format ||
		   m->slab_size != want.slab_size) {
		res = "it is of another format";
	} else if (memcmp(m, &want, sizeof(want))) {
		res = "it belongs to another namespace";
	}
	leveldb_free(m);
	return res;
}

int datafs_index_open(struct datafs_cache *c)
{
	const char *reason;
	char *why = NULL;
	bool fresh;
	int err;

	err = options_init(&c->index);
	if (err)
		return err;
	if (!faccessat(c->dir_fd, "index.lost", F_OK, AT_SYMLINK_NOFOLLOW)) {
		datafs_log(LOG_WARNING, "cache %s: the last run could not write its index, the cache starts empty",
			   c->dir);
		c->stats.index_rebuilt = 1;
		db_destroy(c, "index.lost");
	}
	err = db_open(c, &why);
	if (err == -EUCLEAN) {
		err = datafs_index_rebuild(c, why);
	} else if (err) {
		datafs_log(LOG_ERR, "cache %s: cannot open the index: %s",
			   c->dir, why);
	} else {
		reason = db_check(c, &fresh, &err);
		if (err && err != -EUCLEAN) {
			datafs_log(LOG_ERR, "cache %s: cannot read the index: %s",
				   c->dir, strerror(-err));
		} else if (reason) {
			err = datafs_index_rebuild(c, reason);
		} else if (fresh) {
			leveldb_close(c->index.db);
			c->index.db = NULL;
			err = db_new(c);
		}
	}
	leveldb_free(why);
	return err;
}

void datafs_index_close(struct datafs_cache *c)
{
	struct datafs_index *ix = &c->index;

	if (ix->db)
		leveldb_close(ix->db);
	if (!ix->opts)
		return;
	leveldb_options_destroy(ix->opts);
	leveldb_readoptions_destroy(ix->ropts);
	leveldb_writeoptions_destroy(ix->lazy);
	leveldb_writeoptions_destroy(ix->sync);
	datafs_env_close(ix->env);
}
