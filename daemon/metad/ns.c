// SPDX-License-Identifier: Apache-2.0
#include "ns_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/leveldb.h"
#include "base/log.h"
#include "base/util.h"
#include "record_cache.h"

static void root_put(struct txn *t)
{
	struct rec_inode root = {
		.a = { .ino = DATAFS_METAD_ROOT, .mode = S_IFDIR | 0755,
		       .nlink = 2, .version = 1 },
		.parent = DATAFS_METAD_ROOT,
		.cookie = DATAFS_FIRST_COOKIE,
	};

	rec_inode_put(t, &root);
}

/* A database without a state is new: then it must be empty. */
static int make(struct datafs_metad *m, struct txn *t, const uint8_t *id)
{
	struct txn_bytes key, val, none = { 0 };
	leveldb_writeoptions_t *sync;
	struct txn_scan s;
	int ret;

	txn_scan_begin(&s, t, none, none);
	ret = txn_scan_next(&s, &key, &val);
	if (ret > 0)
		ret = txn_damaged(t, key, "there is no state of the member beside it");
	txn_scan_end(&s);
	if (ret)
		return ret;
	m->n = (struct rec_node){
		.next_ino = DATAFS_METAD_ROOT + 1,
		.c = { .inodes = 1, .feature_level = 1 },
	};
	memcpy(m->n.id, id, sizeof(m->n.id));
	root_put(t);
	rec_node_put(t, &m->n);
	sync = leveldb_writeoptions_create();
	leveldb_writeoptions_set_sync(sync, 1);
	ret = txn_commit(t, sync);
	leveldb_writeoptions_destroy(sync);
	return ret;
}

static int load(struct datafs_metad *m, const uint8_t *id)
{
	struct txn t;
	int ret;

	txn_begin(&t, m->db, m->ropt, m->dir);
	ret = rec_node_get(&t, &m->n);
	if (!ret) {
		ret = make(m, &t, id);
	} else if (ret == 1 && memcmp(m->n.id, id, sizeof(m->n.id))) {
		datafs_log(LOG_ERR, "namespace in %s: it is another one", m->dir);
		ret = -EINVAL;
	} else if (ret == 1 && m->n.c.feature_level > m->level) {
		datafs_log(LOG_ERR, "namespace in %s: its feature level is %u, and this %s %u: it never falls",
			   m->dir, m->n.c.feature_level,
			   m->level < DATAFS_METAD_LEVEL ? "member is configured for" :
							   "version knows", m->level);
		ret = -EPROTO;
	}
	txn_end(&t);
	return ret < 0 ? ret : 0;
}

/* Of a database that has been used: a log or a table. */
static bool is_of_database(const char *name)
{
	const char *tail = strrchr(name, '.');

	return tail && (!strcmp(tail, ".log") || !strcmp(tail, ".ldb"));
}

/*
 * LevelDB would make a new database where CURRENT is lost, and remove the old one's files.
 * A crash when it was made first leaves none of these.
 */
static int check_current(const char *dir)
{
	bool current = false, used = false;
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		current |= !strcmp(e->d_name, "CURRENT");
		used |= is_of_database(e->d_name);
	}
	closedir(d);
	return current || !used ? 0 : -EUCLEAN;
}

static int open_db(struct datafs_metad *m, const uint8_t *id)
{
	char *said = NULL;
	int err = datafs_mkdirs(m->dir, 0700);

	if (!err)
		err = check_current(m->dir);
	if (err) {
		datafs_log(LOG_ERR, "namespace in %s: %s", m->dir, err == -EUCLEAN ?
			   "the file CURRENT of its database is lost" : strerror(-err));
		return err;
	}
	m->db = leveldb_open(m->opt, m->dir, &said);
	if (m->db)
		return load(m, id);
	datafs_log(LOG_ERR, "namespace in %s: %s", m->dir, said);
	err = datafs_leveldb_error(said);
	leveldb_free(said);
	return err;
}

int datafs_metad_open(const struct datafs_metad_options *opt,
		      struct datafs_metad **res)
{
	struct datafs_metad *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->dir = strdup(opt->dir);
	m->cache = record_cache_new();
	if (!m->dir || !m->cache) {
		record_cache_free(m->cache);
		free(m->dir);
		free(m);
		return -ENOMEM;
	}
	m->level = opt->level ? opt->level : DATAFS_METAD_LEVEL;
	m->opt = leveldb_options_create();
	m->filter = leveldb_filterpolicy_create_bloom(10);
	m->block_cache = leveldb_cache_create_lru(opt->memory.block_cache ? opt->memory.block_cache :
						  DATAFS_METAD_BLOCK_CACHE);
	leveldb_options_set_create_if_missing(m->opt, 1);
	leveldb_options_set_paranoid_checks(m->opt, 1);
	leveldb_options_set_filter_policy(m->opt, m->filter);
	leveldb_options_set_cache(m->opt, m->block_cache);
	leveldb_options_set_write_buffer_size(m->opt, opt->memory.write_buffer ?
					      opt->memory.write_buffer : DATAFS_METAD_WRITE_BUFFER);
	if (opt->env)
		leveldb_options_set_env(m->opt, opt->env);
	m->ropt = leveldb_readoptions_create();
	leveldb_readoptions_set_verify_checksums(m->ropt, 1);
	m->wopt = leveldb_writeoptions_create();
	leveldb_writeoptions_set_sync(m->wopt, opt->sync);
	m->batch = leveldb_writebatch_create();
	err = open_db(m, opt->id);
	if (err) {
		datafs_metad_close(m);
		return err;
	}
	*res = m;
	return 0;
}

void datafs_metad_close(struct datafs_metad *m)
{
	if (!m)
		return;
	if (m->db)
		leveldb_close(m->db);
	leveldb_options_destroy(m->opt);
	leveldb_filterpolicy_destroy(m->filter);
	leveldb_cache_destroy(m->block_cache);
	leveldb_readoptions_destroy(m->ropt);
	leveldb_writeoptions_destroy(m->wopt);
	leveldb_writebatch_destroy(m->batch);
	record_cache_free(m->cache);
	free(m->dir);
	free(m);
}

uint32_t datafs_metad_level(const struct datafs_metad *m)
{
	return m->n.c.feature_level;
}
