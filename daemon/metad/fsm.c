// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "fsm.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "decode.h"

_Static_assert(DATAFS_MEMBER_ENTRY_OPS <= DATAFS_METAD_COMMANDS_MAX,
	       "a member packs more than is applied");

/* Field 4 of Entry, of bytes. */
#define TAG_COMMAND	(4 << 3 | 2)
#define VARINT_MAX	10u

/* A database that is open. */
struct db {
	uint64_t n;
	char *path;
	struct datafs_env *env;
	struct datafs_metad *ns;
};

struct datafs_fsm {
	struct datafs_fsm_options opt;
	char *dir;
	struct db db;
	uint64_t applied;
};

static void close_db(struct db *db)
{
	datafs_metad_close(db->ns);
	datafs_env_close(db->env);
	free(db->path);
	*db = (struct db){ 0 };
}

/* Its environment and its name; @db is empty. */
static int name_db(struct datafs_fsm *f, uint64_t n, struct db *db)
{
	if (asprintf(&db->path, "%s/db-%llu", f->dir, (unsigned long long)n) < 0) {
		db->path = NULL;
		return -ENOMEM;
	}
	db->n = n;
	return f->opt.env ? f->opt.env(f->opt.ctx, &db->env) : datafs_env_open(&db->env);
}

static int open_db(struct datafs_fsm *f, struct db *db, uint64_t *applied)
{
	struct datafs_metad_options opt = {
		.dir = db->path, .level = f->opt.level, .memory = f->opt.memory,
		.env = datafs_env_leveldb(db->env),
	};
	struct datafs_metad_counts counts = { 0 };
	int err;

	memcpy(opt.id, f->opt.id, sizeof(opt.id));
	err = datafs_metad_open(&opt, &db->ns);
	if (!err)
		err = datafs_metad_counts(db->ns, &counts);
	if (!err)
		*applied = counts.index;
	return err;
}

/* What cannot be removed is in nobody's way but the disk's. */
static void remove_db(struct datafs_env *env, const char *path)
{
	leveldb_options_t *opt = leveldb_options_create();
	char *said = NULL;

	leveldb_options_set_env(opt, datafs_env_leveldb(env));
	leveldb_destroy_db(opt, path, &said);
	leveldb_options_destroy(opt);
	if (said)
		datafs_log(LOG_WARNING, "namespace in %s: an old database stays: %s", path,
			   said);
	leveldb_free(said);
}

/* "db-N" and no more: whole. "db-N" and something: was being made. */
static bool db_number(const char *name, uint64_t *n, bool *whole)
{
	char *end;

	if (strncmp(name, "db-", 3) || name[3] < '1' || name[3] > '9')
		return false;
	*n = strtoull(name + 3, &end, 10);
	*whole = !*end;
	return true;
}

/* Of each name in the directory of databases. */
static int each_db(struct datafs_fsm *f, void (*fn)(struct datafs_fsm *f, const char *name))
{
	DIR *d = opendir(f->dir);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d)))
		fn(f, e->d_name);
	closedir(d);
	return 0;
}

static void highest(struct datafs_fsm *f, const char *name)
{
	uint64_t n;
	bool whole;

	if (db_number(name, &n, &whole) && whole)
		f->db.n = DATAFS_MAX(f->db.n, n);
}

int datafs_fsm_newest(const char *dir, uint64_t *n)
{
	struct datafs_fsm f = { .dir = (char *)dir };
	int err = each_db(&f, highest);

	*n = f.db.n;
	return err;
}

static void remove_other(struct datafs_fsm *f, const char *name)
{
	uint64_t n;
	bool whole;
	char *path;

	if (!db_number(name, &n, &whole) || (whole && n == f->db.n))
		return;
	if (asprintf(&path, "%s/%s", f->dir, name) < 0)
		return;
	remove_db(f->db.env, path);
	free(path);
}

static int open_highest(struct datafs_fsm *f)
{
	int err = datafs_mkdirs(f->dir, 0700);

	if (!err)
		err = each_db(f, highest);
	if (err) {
		datafs_log(LOG_ERR, "namespace in %s: %s", f->dir, strerror(-err));
		return err;
	}
	err = name_db(f, f->db.n ? f->db.n : 1, &f->db);
	if (!err)
		err = open_db(f, &f->db, &f->applied);
	if (err == -EUCLEAN)
		datafs_log(LOG_ERR, "%s: it is damaged; it is made again of the snapshot and the log if this directory is removed",
			   f->dir);
	return err ? err : each_db(f, remove_other);
}

int datafs_fsm_open(const struct datafs_fsm_options *opt, struct datafs_fsm **res)
{
	struct datafs_fsm *f = calloc(1, sizeof(*f));
	int err = -ENOMEM;

	if (!f)
		return -ENOMEM;
	f->opt = *opt;
	f->dir = strdup(opt->dir);
	if (f->dir)
		err = open_highest(f);
	if (err) {
		datafs_fsm_close(f);
		return err;
	}
	*res = f;
	return 0;
}

void datafs_fsm_close(struct datafs_fsm *f)
{
	if (!f)
		return;
	close_db(&f->db);
	free(f->dir);
	free(f);
}

struct datafs_metad *datafs_fsm_ns(struct datafs_fsm *f)
{
	return f->db.ns;
}

int datafs_fsm_decode(const void *buf, size_t len, Metad__Command **res, const char **why)
{
	Metad__Command *c;
	const char *said;
	int err;

	if (len > DATAFS_MEMBER_OP_MAX)
		return -EMSGSIZE;
	err = metad_decode_command(buf, len, &c, &said);
	if (err == -EPROTO && why)
		*why = said;
	if (err)
		return err;
	if (res)
		*res = c;
	else
		metad__command__free_unpacked(c, NULL);
	return 0;
}

static uint64_t applied(void *ctx)
{
	return ((struct datafs_fsm *)ctx)->applied;
}

static size_t stamp(void *ctx, void *buf)
{
	struct datafs_fsm *f = ctx;
	Metad__Entry e = METAD__ENTRY__INIT;
	struct timespec now;

	if (f->opt.clock) {
		e.time = f->opt.clock(f->opt.ctx);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		e.time = (uint64_t)now.tv_sec * DATAFS_SEC + (uint64_t)now.tv_nsec;
	}
	e.has_time = e.has_feature_level = true;
	/* not this version's: others may not have it yet */
	e.feature_level = datafs_metad_level(f->db.ns);
	return metad__entry__pack(&e, buf);
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* The Entry: the stamp is the first of @cmds. */
static uint8_t *join(const struct datafs_raft_command *cmds, unsigned int n, size_t *len)
{
	size_t room = n * (1 + VARINT_MAX) + 1;
	uint8_t *buf, *p;

	for (unsigned int i = 0; i < n; i++)
		room += cmds[i].len;
	buf = calloc(1, room);
	if (!buf)
		return NULL;
	/* Of no commands nothing is told, but something pointed to. */
	*buf = 0;
	p = buf;
	for (unsigned int i = 0; i < n; i++) {
		if (i) {
			*p++ = TAG_COMMAND;
			p = put_varint(p, cmds[i].len);
		}
		memcpy(p, cmds[i].buf, cmds[i].len);
		p += cmds[i].len;
	}
	*len = (size_t)(p - buf);
	return buf;
}

/* The answers are the member's now. */
static void hand_over(struct datafs_metad_results *res, struct datafs_raft_command *cmds)
{
	for (size_t i = 0; i < res->n; i++) {
		cmds[i].res = res->r[i].data;
		cmds[i].res_len = res->r[i].len;
	}
	res->n = 0;
}

static int apply(void *ctx, uint64_t index, uint64_t term, struct datafs_raft_command *cmds,
		 unsigned int n)
{
	struct datafs_fsm *f = ctx;
	struct datafs_metad_results res;
	size_t len;
	uint8_t *buf = join(cmds, n, &len);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = datafs_metad_apply(f->db.ns, index, term, buf, len, &res);
	free(buf);
	/* what was applied before is not told again */
	if (ret)
		return ret < 0 ? ret : -EINVAL;
	f->applied = index;
	if (n && res.n == n - 1)
		hand_over(&res, cmds + 1);
	else if (res.n)
		ret = -EPROTO;
	datafs_metad_results_free(&res);
	return ret;
}

static int checkpoint(void *ctx, const char *dir)
{
	struct datafs_fsm *f = ctx;

	return datafs_checkpoint(f->db.env, f->db.path, dir);
}

/* Until the new one is open the old one is used. */
static int restore(void *ctx, const char *dir)
{
	struct datafs_fsm *f = ctx;
	struct db next = { 0 }, old = f->db;
	uint64_t index;
	int err = name_db(f, old.n + 1, &next);

	if (!err)
		err = datafs_checkpoint(next.env, dir, next.path);
	if (!err) {
		err = open_db(f, &next, &index);
		if (err) {
			datafs_metad_close(next.ns);
			next.ns = NULL;
			remove_db(next.env, next.path);
		}
	}
	if (err) {
		close_db(&next);
		return err;
	}
	f->db = next;
	f->applied = index;
	datafs_metad_close(old.ns);
	old.ns = NULL;
	remove_db(old.env, old.path);
	close_db(&old);
	return 0;
}

struct datafs_raft_fsm datafs_fsm_ops(struct datafs_fsm *f)
{
	return (struct datafs_raft_fsm) {
		.ctx = f, .applied = applied, .apply = apply, .checkpoint = checkpoint,
		.restore = restore, .stamp = stamp,
	};
}
