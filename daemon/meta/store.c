// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/env.h"
#include "base/leveldb.h"
#include "base/log.h"
#include "base/util.h"

#define EPOCH_2020	1577836800ll

size_t store_key(char *key, char type, uint64_t a)
{
	key[0] = type;
	datafs_put_be64(key + 1, a);
	return 9;
}

size_t store_key2(char *key, char type, uint64_t a, uint64_t b)
{
	store_key(key, type, a);
	datafs_put_be64(key + 9, b);
	return 17;
}

size_t store_key_name(char *key, char type, uint64_t a, const char *name)
{
	size_t len = strnlen(name, DATAFS_NAME_MAX);

	store_key(key, type, a);
	memcpy(key + 9, name, len);
	return 9 + len;
}

/* Logs and frees what LevelDB said. */
static int store_error(struct datafs_meta *m, char *err)
{
	if (!err)
		return 0;
	m->failed = datafs_leveldb_error(err);
	datafs_log(LOG_ERR, "namespace in %s: %s%s", m->dir, err,
		   m->open || m->failed == -EUCLEAN ? "" :
		   " (it is kept; mend that and start again, or remove the directory to begin with an empty one)");
	leveldb_free(err);
	return -EIO;
}

int store_get(struct datafs_meta *m, const char *key, size_t len, char **val,
	      size_t *vlen)
{
	char *err = NULL;

	*val = leveldb_get(m->db, m->ropt, key, len, vlen, &err);
	if (err)
		return store_error(m, err);
	return !!*val;
}

int store_write(struct datafs_meta *m, leveldb_writebatch_t *b)
{
	char *err = NULL;

	leveldb_write(m->db, m->wopt, b, &err);
	return store_error(m, err);
}

static int store_put_sync(struct datafs_meta *m, const char *key,
			  const void *val, size_t len)
{
	char *err = NULL;

	leveldb_put(m->db, m->sync_opt, key, strlen(key), val, len, &err);
	return store_error(m, err);
}

int store_u64_get(struct datafs_meta *m, const char *key, size_t len,
		  uint64_t *v)
{
	char *val;
	size_t vlen;
	int ret = store_get(m, key, len, &val, &vlen);

	if (ret <= 0)
		return ret;
	if (vlen == 8)
		memcpy(v, val, 8);
	leveldb_free(val);
	return vlen == 8 ? 1 : -EIO;
}

void store_u64_put(leveldb_writebatch_t *b, const char *key, size_t len,
		   uint64_t v)
{
	leveldb_writebatch_put(b, key, len, (const char *)&v, sizeof(v));
}

int store_new_number(struct datafs_meta *m, uint64_t *res)
{
	uint64_t limit;
	int err;

	if (m->next == m->limit) {
		limit = m->limit + META_LEAP;
		err = store_put_sync(m, "Nnext", &limit, sizeof(limit));
		if (err)
			return err;
		m->limit = limit;
	}
	*res = m->next++;
	return 0;
}

int store_dirent_get(struct datafs_meta *m, uint64_t dir, const char *name,
		     struct store_dirent *de)
{
	char key[META_KEY_MAX], *val;
	size_t vlen;
	int ret;

	ret = store_get(m, key, store_key_name(key, 'D', dir, name), &val, &vlen);
	if (ret <= 0)
		return ret;
	if (vlen == sizeof(*de))
		memcpy(de, val, sizeof(*de));
	leveldb_free(val);
	return vlen == sizeof(*de) ? 1 : -EIO;
}

void store_dirent_put(leveldb_writebatch_t *b, uint64_t dir, const char *name,
		      const struct store_dirent *de)
{
	char key[META_KEY_MAX], val[sizeof(struct store_cookie) + DATAFS_NAME_MAX];
	struct store_cookie c = { .ino = de->ino };
	size_t len = strlen(name);

	leveldb_writebatch_put(b, key, store_key_name(key, 'D', dir, name),
			       (const char *)de, sizeof(*de));
	memcpy(val, &c, sizeof(c));
	memcpy(val + sizeof(c), name, len);
	leveldb_writebatch_put(b, key, store_key2(key, 'C', dir, de->cookie),
			       val, sizeof(c) + len);
}

void store_dirent_del(leveldb_writebatch_t *b, uint64_t dir, const char *name,
		      uint64_t cookie)
{
	char key[META_KEY_MAX];

	leveldb_writebatch_delete(b, key, store_key_name(key, 'D', dir, name));
	leveldb_writebatch_delete(b, key, store_key2(key, 'C', dir, cookie));
}

static const struct {
	size_t off;
} store_times[4] = {
	{ offsetof(struct datafs_under_stat, atime) },
	{ offsetof(struct datafs_under_stat, mtime) },
	{ offsetof(struct datafs_under_stat, ctime) },
	{ offsetof(struct datafs_under_stat, btime) },
};

static struct timespec *store_time(struct datafs_under_stat *st, int i)
{
	return (struct timespec *)((char *)st + store_times[i].off);
}

void store_node_put(leveldb_writebatch_t *b, const struct node *n)
{
	char key[9], val[sizeof(struct store_inode) + DATAFS_NAME_MAX];
	struct datafs_under_stat st = n->st;
	struct store_inode si = {
		.version = META_FORMAT,
		.namelen = strlen(n->name),
		.flags = n->flags,
		.parent = n->parent, .root = n->root, .content = n->content,
		.file_id = st.file_id, .size = st.size, .blocks = st.blocks,
		.mode = st.mode, .nlink = st.nlink, .uid = st.uid, .gid = st.gid,
		.rdev_major = st.rdev_major, .rdev_minor = st.rdev_minor,
		.fp = st.fp, .list_fp = n->list_fp, .list_epoch = n->list_epoch,
	};

	for (int i = 0; i < 4; i++) {
		si.sec[i] = store_time(&st, i)->tv_sec;
		si.nsec[i] = store_time(&st, i)->tv_nsec;
	}
	memcpy(val, &si, sizeof(si));
	memcpy(val + sizeof(si), n->name, si.namelen);
	leveldb_writebatch_put(b, key, store_key(key, 'I', n->ino), val,
			       sizeof(si) + si.namelen);
}

static int store_node_decode(const char *val, size_t vlen, struct node *n)
{
	struct store_inode si;

	if (vlen < sizeof(si))
		return -EIO;
	memcpy(&si, val, sizeof(si));
	if (si.version != META_FORMAT || si.namelen > DATAFS_NAME_MAX ||
	    vlen != sizeof(si) + si.namelen)
		return -EIO;
	n->name = strndup(val + sizeof(si), si.namelen);
	if (!n->name)
		return -ENOMEM;
	n->flags = si.flags;
	n->parent = si.parent;
	n->root = si.root;
	n->content = si.content;
	n->list_fp = si.list_fp;
	n->list_epoch = si.list_epoch;
	n->st = (struct datafs_under_stat) {
		.file_id = si.file_id, .size = si.size, .blocks = si.blocks,
		.mode = si.mode, .nlink = si.nlink, .uid = si.uid, .gid = si.gid,
		.rdev_major = si.rdev_major, .rdev_minor = si.rdev_minor,
		.fp = si.fp,
		.has_btime = si.flags & NODE_BTIME,
		.has_xattr = si.flags & NODE_XATTR,
		.has_acl = si.flags & NODE_ACL,
	};
	for (int i = 0; i < 4; i++) {
		store_time(&n->st, i)->tv_sec = si.sec[i];
		store_time(&n->st, i)->tv_nsec = si.nsec[i];
	}
	return 1;
}

int store_node_get(struct datafs_meta *m, uint64_t ino, struct node *n)
{
	char key[9], *val;
	size_t vlen;
	int ret;

	ret = store_get(m, key, store_key(key, 'I', ino), &val, &vlen);
	if (ret <= 0)
		return ret;
	ret = store_node_decode(val, vlen, n);
	leveldb_free(val);
	if (ret == -EIO)
		datafs_log(LOG_ERR, "namespace in %s: record of inode %llu is damaged",
			   m->dir, (unsigned long long)ino);
	return ret;
}

leveldb_iterator_t *store_iter(struct datafs_meta *m, const char *from,
			       size_t len)
{
	leveldb_iterator_t *it = leveldb_create_iterator(m->db, m->ropt);

	leveldb_iter_seek(it, from, len);
	return it;
}

bool store_iter_at(leveldb_iterator_t *it, const char *prefix, size_t plen,
		   const char **key, size_t *klen)
{
	if (!leveldb_iter_valid(it))
		return false;
	*key = leveldb_iter_key(it, klen);
	return *klen >= plen && !memcmp(*key, prefix, plen);
}

int store_iter_end(struct datafs_meta *m, leveldb_iterator_t *it)
{
	char *err = NULL;

	leveldb_iter_get_error(it, &err);
	leveldb_iter_destroy(it);
	return store_error(m, err);
}

/*
 * Where the numbers of a new namespace begin. NFS handles are inode numbers, and
 * clients may still have some of a namespace that was here before: its numbers
 * must not come again. It cannot have used up one for each 64 ns, so those that
 * have passed since 2020 (below 2^63 for some 18,000 years) are above all of
 * them. Without a clock that can be right they are random.
 */
static int store_first_number(uint64_t *res)
{
	struct timespec now;
	int err;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec < EPOCH_2020) {
		err = datafs_random(res, sizeof(*res));
		*res >>= 16;
	} else {
		err = 0;
		*res = (uint64_t)(now.tv_sec - EPOCH_2020) *
		       (DATAFS_SEC / 64) + now.tv_nsec / 64;
	}
	*res += DATAFS_FIRST_COOKIE;
	return err;
}

/* A database without an id is new. */
static int store_make(struct datafs_meta *m)
{
	uint64_t format = META_FORMAT;
	int err;

	err = datafs_random(m->id, sizeof(m->id));
	if (!err)
		err = store_first_number(&m->next);
	m->limit = m->next;
	if (!err)
		err = store_put_sync(m, "Nformat", &format, sizeof(format));
	if (!err)
		err = store_put_sync(m, "Nnext", &m->limit, sizeof(m->limit));
	if (!err)
		err = store_put_sync(m, "Nid", m->id, sizeof(m->id));
	return err;
}

/*
 * Reads the counters. -EUCLEAN: it is no namespace that this code can use,
 * unless @failed says that it could not be read.
 */
static int store_load(struct datafs_meta *m)
{
	uint64_t format = 0, clean = 0;
	size_t vlen;
	char *val;
	int ret;

	ret = store_get(m, "Nid", 3, &val, &vlen);
	if (ret < 0)
		return -EUCLEAN;
	if (!ret) {
		ret = store_make(m);
	} else {
		if (vlen == sizeof(m->id))
			memcpy(m->id, val, vlen);
		leveldb_free(val);
		if (vlen != sizeof(m->id) ||
		    store_u64_get(m, "Nformat", 7, &format) < 0 ||
		    format != META_FORMAT ||
		    store_u64_get(m, "Nnext", 5, &m->limit) < 0 ||
		    store_u64_get(m, "Nepoch", 6, &m->epoch) < 0 ||
		    store_u64_get(m, "Nclean", 6, &clean) < 0)
			return -EUCLEAN;
		/* The numbers up to the limit may have been given. */
		if (m->limit < DATAFS_FIRST_COOKIE)
			m->limit = DATAFS_FIRST_COOKIE;
		m->next = m->limit;
		ret = 0;
	}
	/*
	 * After a clean end @clean is where the numbers stopped. What a crash
	 * of the machine tore is told by its absence.
	 */
	if (clean)
		m->next = DATAFS_MIN(clean, m->limit);
	else
		m->epoch++;
	clean = 0;
	if (!ret)
		ret = store_put_sync(m, "Nepoch", &m->epoch, sizeof(m->epoch));
	if (!ret)
		ret = store_put_sync(m, "Nclean", &clean, sizeof(clean));
	return ret;
}

static int store_open(struct datafs_meta *m)
{
	char *err = NULL;
	int ret;

	m->failed = 0;
	m->db = leveldb_open(m->opt, m->dir, &err);
	if (!m->db) {
		store_error(m, err);
		return m->failed;
	}
	ret = store_load(m);
	if (!ret)
		return 0;
	leveldb_close(m->db);
	m->db = NULL;
	return m->failed ? m->failed : ret;
}

static void store_free(struct datafs_meta *m)
{
	leveldb_options_destroy(m->opt);
	leveldb_filterpolicy_destroy(m->filter);
	leveldb_cache_destroy(m->block_cache);
	leveldb_readoptions_destroy(m->ropt);
	leveldb_writeoptions_destroy(m->wopt);
	leveldb_writeoptions_destroy(m->sync_opt);
	datafs_env_close(m->env);
	pthread_cond_destroy(&m->ticket_ended);
	pthread_mutex_destroy(&m->lock);
	free(m->dir);
	free(m);
}

int datafs_meta_open(const char *dir, struct datafs_meta **res)
{
	struct datafs_meta *m = calloc(1, sizeof(*m));
	pthread_condattr_t attr;
	char *err = NULL;
	int ret;

	if (!m)
		return -ENOMEM;
	m->dir = strdup(dir);
	ret = m->dir ? datafs_env_open(&m->env) : -ENOMEM;
	if (ret) {
		free(m->dir);
		free(m);
		return ret;
	}
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->ticket_ended, &attr);
	pthread_condattr_destroy(&attr);
	nodes_init(m);
	m->opt = leveldb_options_create();
	m->filter = leveldb_filterpolicy_create_bloom(10);
	m->block_cache = leveldb_cache_create_lru(16 << 20);
	leveldb_options_set_env(m->opt, datafs_env_leveldb(m->env));
	leveldb_options_set_create_if_missing(m->opt, 1);
	leveldb_options_set_paranoid_checks(m->opt, 1);
	leveldb_options_set_filter_policy(m->opt, m->filter);
	leveldb_options_set_cache(m->opt, m->block_cache);
	leveldb_options_set_write_buffer_size(m->opt, 8 << 20);
	m->ropt = leveldb_readoptions_create();
	leveldb_readoptions_set_verify_checksums(m->ropt, 1);
	m->wopt = leveldb_writeoptions_create();
	m->sync_opt = leveldb_writeoptions_create();
	leveldb_writeoptions_set_sync(m->sync_opt, 1);

	ret = datafs_mkdirs(dir, 0700);
	if (ret)
		datafs_log(LOG_ERR, "namespace in %s: %s", dir, strerror(-ret));
	else
		ret = store_open(m);
	if (ret == -EUCLEAN) {
		datafs_log(LOG_WARNING, "namespace in %s is damaged: beginning with an empty one; inode numbers change, and the cache is discarded",
			   dir);
		leveldb_destroy_db(m->opt, dir, &err);
		ret = store_error(m, err);
		m->epoch = 0;
		if (!ret)
			ret = store_open(m);
	}
	if (ret) {
		nodes_exit(m);
		store_free(m);
		return ret == -EUCLEAN ? -EIO : ret;
	}
	m->open = true;
	m->have_orphans = true;	/* perhaps */
	*res = m;
	return 0;
}

void datafs_meta_close(struct datafs_meta *m)
{
	if (!m)
		return;
	store_put_sync(m, "Nclean", &m->next, sizeof(m->next));
	leveldb_close(m->db);
	listings_exit(m);
	nodes_exit(m);
	store_free(m);
}

const uint8_t *datafs_meta_id(const struct datafs_meta *m)
{
	return m->id;
}
