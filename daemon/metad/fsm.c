// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad/fsm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "base/util.h"

#define TIME_LEN	8u

struct datafs_fsm {
	struct datafs_fsm_options opt;
	char *db, *new, *old;
	pthread_rwlock_t lock;		/* written: another database */
	struct datafs_env *env;
	struct datafs_metad *m;		/* NULL: a restore has failed */
	uint64_t applied;
};

static int open_db(struct datafs_fsm *f)
{
	struct datafs_metad_options opt = { .dir = f->db };
	struct datafs_metad_counts c;
	int err = datafs_env_open(&f->env);

	if (err)
		return err;
	memcpy(opt.id, f->opt.id, sizeof(opt.id));
	opt.env = datafs_env_leveldb(f->env);
	err = datafs_metad_open(&opt, &f->m);
	if (!err)
		err = datafs_metad_counts(f->m, &c);
	if (!err)
		f->applied = c.index;
	return err;
}

static void close_db(struct datafs_fsm *f)
{
	datafs_metad_close(f->m);
	datafs_env_close(f->env);
	f->m = NULL;
	f->env = NULL;
}

static void remove_dir(const char *path)
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

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

/* The database is in its place, or as it was before a restore that did not end. */
static int settle(struct datafs_fsm *f)
{
	remove_dir(f->new);
	if (access(f->db, F_OK) && !access(f->old, F_OK) && rename(f->old, f->db))
		return -errno;
	remove_dir(f->old);
	return sync_dir(f->opt.dir);
}

static char *below(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int datafs_fsm_open(const struct datafs_fsm_options *opt, struct datafs_fsm **res)
{
	struct datafs_fsm *f = calloc(1, sizeof(*f));
	pthread_rwlockattr_t attr;
	int err = -ENOMEM;

	if (!f)
		return -ENOMEM;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&f->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	f->opt = *opt;
	f->db = below(opt->dir, "db");
	f->new = below(opt->dir, "db.new");
	f->old = below(opt->dir, "db.old");
	f->opt.dir = strdup(opt->dir);
	if (f->db && f->new && f->old && f->opt.dir)
		err = settle(f);
	if (!err)
		err = open_db(f);
	if (err) {
		datafs_log(LOG_ERR, "%s: the namespace cannot be opened: %s", opt->dir,
			   strerror(-err));
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
	close_db(f);
	pthread_rwlock_destroy(&f->lock);
	free((char *)f->opt.dir);
	free(f->db);
	free(f->new);
	free(f->old);
	free(f);
}

struct datafs_metad *datafs_fsm_read_begin(struct datafs_fsm *f)
{
	pthread_rwlock_rdlock(&f->lock);
	return f->m;
}

void datafs_fsm_read_end(struct datafs_fsm *f)
{
	pthread_rwlock_unlock(&f->lock);
}

int datafs_fsm_command(const Metad__Command *cmd, uint8_t **res, size_t *len)
{
	size_t size = metad__command__get_packed_size(cmd);
	struct timespec now;
	uint8_t *buf = malloc(TIME_LEN + size);

	if (!buf)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &now);
	datafs_put_be64(buf, (uint64_t)now.tv_sec * DATAFS_SEC + (uint64_t)now.tv_nsec);
	metad__command__pack(cmd, buf + TIME_LEN);
	*res = buf;
	*len = TIME_LEN + size;
	return 0;
}

static uint64_t applied(void *ctx)
{
	return ((struct datafs_fsm *)ctx)->applied;
}

/* A packed Entry of packed commands: as protobuf has it. */

#define TAG_TIME	(1 << 3)
#define TAG_COMMAND	(4 << 3 | 2)
#define VARINT_MAX	10u

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v > 127; v >>= 7)
		*p++ = (uint8_t)(v | 128);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *make_entry(const struct datafs_raft_command *cmds, unsigned int n, size_t *len)
{
	size_t room = 1 + VARINT_MAX;
	uint64_t time = 0;
	uint8_t *buf, *p;

	for (unsigned int i = 0; i < n; i++) {
		time = DATAFS_MAX(time, datafs_get_be64(cmds[i].buf));
		room += 1 + VARINT_MAX + cmds[i].len;
	}
	buf = p = malloc(room);
	if (!buf)
		return NULL;
	*p++ = TAG_TIME;
	p = put_varint(p, time);
	for (unsigned int i = 0; i < n; i++) {
		*p++ = TAG_COMMAND;
		p = put_varint(p, cmds[i].len - TIME_LEN);
		memcpy(p, (const uint8_t *)cmds[i].buf + TIME_LEN, cmds[i].len - TIME_LEN);
		p += cmds[i].len - TIME_LEN;
	}
	*len = (size_t)(p - buf);
	return buf;
}

static int apply(void *ctx, uint64_t index, uint64_t term, struct datafs_raft_command *cmds,
		 unsigned int n)
{
	struct datafs_metad_results res;
	struct datafs_fsm *f = ctx;
	uint8_t *entry;
	size_t len;
	int err;

	for (unsigned int i = 0; i < n; i++)
		if (cmds[i].len < TIME_LEN)
			return -EPROTO;
	if (!f->m)
		return -EIO;
	entry = make_entry(cmds, n, &len);
	if (!entry)
		return -ENOMEM;
	err = datafs_metad_apply(f->m, index, term, entry, len, &res);
	free(entry);
	if (err)
		return err < 0 ? err : -EUCLEAN;
	f->applied = index;
	for (unsigned int i = 0; i < n && i < res.n; i++) {
		cmds[i].res = res.r[i].data;
		cmds[i].res_len = res.r[i].len;
		res.r[i].data = NULL;
	}
	datafs_metad_results_free(&res);
	return 0;
}

static int checkpoint(void *ctx, const char *dir)
{
	struct datafs_fsm *f = ctx;

	return datafs_checkpoint(f->env, f->db, dir);
}

/* The same files: LevelDB never changes one, over our environment. */
static int link_all(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *e;
	int err = 0;

	if (!d)
		return -errno;
	if (mkdir(to, 0700))
		err = -errno;
	while (!err && (e = readdir(d))) {
		char *old, *new;

		if (e->d_name[0] == '.')
			continue;
		old = below(from, e->d_name);
		new = below(to, e->d_name);
		err = !old || !new ? -ENOMEM : link(old, new) ? -errno : 0;
		free(old);
		free(new);
	}
	closedir(d);
	return err ? err : sync_dir(to);
}

static int swap_in(struct datafs_fsm *f)
{
	if (rename(f->db, f->old))
		return -errno;
	if (rename(f->new, f->db))
		return -errno;
	return settle(f);
}

static int restore(void *ctx, const char *dir)
{
	struct datafs_fsm *f = ctx;
	int err;

	remove_dir(f->new);
	err = link_all(dir, f->new);
	if (err)
		return err;
	pthread_rwlock_wrlock(&f->lock);
	close_db(f);
	err = swap_in(f);
	if (!err)
		err = open_db(f);
	if (err)
		close_db(f);
	pthread_rwlock_unlock(&f->lock);
	return err;
}

struct datafs_raft_fsm datafs_fsm_raft(struct datafs_fsm *f)
{
	return (struct datafs_raft_fsm) {
		.ctx = f, .applied = applied, .apply = apply, .checkpoint = checkpoint,
		.restore = restore,
	};
}
