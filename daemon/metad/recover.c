// SPDX-License-Identifier: Apache-2.0
/*
 * In the directory where it is made: a checkpoint of the survivor's database, to which the
 * rest of its log, of which a copy is read, is applied; the outcome is a database again.
 * libraft mends a log when it loads it, and LevelDB a database when it opens it: so the
 * survivor's own are never opened.
 */
#define _GNU_SOURCE
#include "metad/recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "base/util.h"
#include "metad/first.h"
#include "metad/member_internal.h"
#include "metad/server_internal.h"

#define PATH_ROOM	(4096 + 64)
#define COPY_BYTES	(64u << 10)

/* One that is under way. */
struct job {
	const char *from;
	const struct datafs_recover *r;		/* NULL: it is looked at only */
	struct datafs_recovered *res;
	char db[PATH_ROOM + 32];		/* the survivor's */
	int lock;
};

static int tell(const struct job *j, const char *what, int err)
{
	datafs_log(LOG_ERR, "%s: %s: %s", j->from, what,
		   err == -EXDEV ? "the new directory must be on the same filesystem" :
		   strerror(-err));
	return err;
}

/* As LevelDB does, so that neither gets past the other. */
static int lock_db(struct job *j)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_ROOM + 40];

	snprintf(path, sizeof(path), "%s/LOCK", j->db);
	j->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock < 0)
		return tell(j, "its database cannot be locked", -errno);
	if (!fcntl(j->lock, F_SETLK, &whole))
		return 0;
	datafs_log(LOG_ERR, "%s: a process runs in it; stop the member first", j->from);
	return -EBUSY;
}

static int find_member(struct job *j)
{
	char path[PATH_ROOM], text[32];
	ssize_t len;
	uint64_t n = 0;
	int err;

	if (snprintf(path, sizeof(path), "%s/raft/member", j->from) >= 4096)
		return tell(j, "is no member's directory", -ENAMETOOLONG);
	len = datafs_read_small(path, text, sizeof(text));
	if (len < 0)
		return tell(j, "is no member's directory", (int)len);
	j->res->id = strtoull(text, NULL, 10);
	snprintf(path, sizeof(path), "%s/db", j->from);
	err = datafs_fsm_newest(path, &n);
	if (!err && !n)
		err = -ENOENT;
	if (err)
		return tell(j, "has no namespace, so nothing can be recovered from it", err);
	snprintf(j->db, sizeof(j->db), "%s/db-%llu", path, (unsigned long long)n);
	return lock_db(j);
}

static int copy_bytes(int from, int to)
{
	static _Thread_local char buf[COPY_BYTES];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(to, buf + done, (size_t)(n - done));
			if (w < 0)
				return -errno;
		}
	return n < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC), to = -1, err = 0;
	struct stat st;

	if (from < 0 || fstat(from, &st))
		err = -errno;
	else if (S_ISREG(st.st_mode))
		to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (!err && S_ISREG(st.st_mode))
		err = to < 0 ? -errno : copy_bytes(from, to);
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return err;
}

/* The files of one directory. */
static int copy_dir(const char *from, const char *to)
{
	struct dirent *e;
	DIR *d = opendir(from);
	int fd, err = 0;

	if (!d)
		return -errno;
	fd = mkdir(to, 0700) ? -1 : open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err = -errno;
	while (!err && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			err = copy_file(dirfd(d), fd, e->d_name);
	if (fd >= 0)
		close(fd);
	closedir(d);
	return err;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static int load_log(const char *dir, uint64_t id, struct datafs_raft_loaded *res)
{
	struct datafs_raft_disk disk;
	struct datafs_raft_uv *uv;
	bool is_closed = false;
	uv_loop_t loop;
	int err;

	if (uv_loop_init(&loop))
		return -ENOMEM;
	err = datafs_raft_uv_open(&loop, dir, id, false, &uv);
	if (!err) {
		disk = datafs_raft_uv_disk(uv);
		err = disk.load(disk.ctx, res);
		datafs_raft_uv_close(uv, on_closed, &is_closed);
		while (!is_closed)
			uv_run(&loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&loop);
	return err;
}

static int read_log(struct job *j, const char *in, struct datafs_raft_loaded *res)
{
	char from[PATH_ROOM], to[PATH_ROOM];
	int err;

	snprintf(from, sizeof(from), "%s/raft", j->from);
	snprintf(to, sizeof(to), "%s/log", in);
	err = copy_dir(from, to);
	if (!err)
		err = load_log(to, j->res->id, res);
	if (!err && server_remove_tree(to))
		err = -errno;
	if (err)
		return tell(j, "its log cannot be read; if there is another survivor, take that", err);
	datafs_member_half_installed(res);
	return 0;
}

static void keep_peers(struct datafs_recovered *res, const struct raft_configuration *conf)
{
	res->npeers = 0;
	for (unsigned int i = 0; i < conf->n && res->npeers < DATAFS_RAFT_SERVERS_MAX; i++) {
		struct datafs_recover_peer *p = &res->peers[res->npeers++];

		p->id = conf->servers[i].id;
		p->votes = conf->servers[i].role == RAFT_VOTER;
		snprintf(p->address, sizeof(p->address), "%s", conf->servers[i].address);
	}
}

static int note_change(struct datafs_recovered *res, const struct raft_buffer *buf)
{
	struct raft_configuration conf;

	if (raft_configuration_decode(buf, &conf))
		return -EBADMSG;
	keep_peers(res, &conf);
	raft_configuration_close(&conf);
	return 0;
}

static int apply_commands(const struct datafs_raft_fsm *fsm, uint64_t index,
			  const struct raft_entry *e)
{
	struct datafs_raft_command *cmds = calloc(DATAFS_MEMBER_ENTRY_CMDS, sizeof(*cmds));
	long n;
	int err;

	if (!cmds)
		return -ENOMEM;
	n = datafs_member_unpack(e->buf.base, e->buf.len, cmds);
	err = n < 0 ? (int)n : fsm->apply(fsm->ctx, index, e->term, cmds, (unsigned int)n);
	for (long i = 0; i < n; i++)
		free(cmds[i].res);
	free(cmds);
	return err;
}

static int apply_entry(const struct job *j, const struct datafs_raft_fsm *fsm, uint64_t index,
		       const struct raft_entry *e)
{
	int err = e->type == RAFT_CHANGE ? note_change(j->res, &e->buf) : 0;

	if (err || index <= fsm->applied(fsm->ctx))
		return err;
	return e->type == RAFT_COMMAND ? apply_commands(fsm, index, e) :
		fsm->apply(fsm->ctx, index, e->term, NULL, 0);
}

/* The state from the newest snapshot, if it is behind it, as in member_snap.c. */
static int use_snapshot(const struct job *j, const struct datafs_raft_fsm *fsm,
			const struct raft_snapshot *s)
{
	struct datafs_manifest manifest;
	char path[PATH_ROOM];
	int err;

	keep_peers(j->res, &s->configuration);
	if (fsm->applied(fsm->ctx) >= s->index)
		return 0;
	snprintf(path, sizeof(path), "%s/snapshots/snap-%llu-%llu", j->from,
		 (unsigned long long)s->index, (unsigned long long)s->term);
	err = datafs_manifest_decode(s->bufs[0].base, s->bufs[0].len, &manifest);
	if (err)
		return err;
	err = datafs_manifest_check(path, &manifest);
	datafs_manifest_free(&manifest);
	return err ? err : fsm->restore(fsm->ctx, path);
}

static int replay(const struct job *j, const struct datafs_raft_fsm *fsm,
		  const struct datafs_raft_loaded *l)
{
	int err = l->snapshot ? use_snapshot(j, fsm, l->snapshot) : 0;

	if (err)
		return tell(j, "its snapshot cannot be used", err);
	if (l->n && l->first > fsm->applied(fsm->ctx) + 1)
		return tell(j, "its log begins behind its state", -EUCLEAN);
	for (size_t i = 0; !err && i < l->n; i++)
		err = apply_entry(j, fsm, l->first + i, &l->entries[i]);
	return err ? tell(j, "an entry of its log cannot be applied", err) : 0;
}

/* A database with all that the survivor has, as @to. */
static int replay_all(struct job *j, const char *in, const char *to,
		      const struct datafs_raft_loaded *l)
{
	struct datafs_fsm_options opt = { 0 };
	struct datafs_raft_fsm ops;
	struct datafs_fsm *fsm;
	char dir[PATH_ROOM];
	int err;

	snprintf(dir, sizeof(dir), "%s/replay", in);
	opt.dir = dir;
	memcpy(opt.id, j->res->cluster, sizeof(opt.id));
	err = datafs_fsm_open(&opt, &fsm);
	if (err)
		return err;
	ops = datafs_fsm_ops(fsm);
	j->res->applied = ops.applied(ops.ctx);
	err = replay(j, &ops, l);
	if (!err)
		err = ops.checkpoint(ops.ctx, to);
	datafs_fsm_close(fsm);
	if (!err && server_remove_tree(dir))
		err = -errno;
	return err;
}

/* The survivor's database as it is, for replay_all(). */
static int link_db(struct job *j, const char *in)
{
	char path[PATH_ROOM];
	struct datafs_env *env;
	struct rec_node n;
	int err;

	snprintf(path, sizeof(path), "%s/replay", in);
	if (mkdir(path, 0700))
		return -errno;
	strcat(path, "/db-1");
	err = datafs_env_open(&env);
	if (err)
		return err;
	err = datafs_checkpoint(env, j->db, path);
	datafs_env_close(env);
	if (err)
		return tell(j, "its database cannot be used", err);
	err = datafs_first_look(path, &n);
	memcpy(j->res->cluster, n.id, sizeof(n.id));
	return err;
}

static int make_state(struct job *j, const char *in, const char *to)
{
	struct datafs_raft_loaded l = { 0 };
	struct rec_node n;
	int err = link_db(j, in);

	if (!err)
		err = read_log(j, in, &l);
	if (!err)
		err = replay_all(j, in, to, &l);
	datafs_member_loaded_free(&l);
	if (!err)
		err = datafs_first_look(to, &n);
	if (err)
		return err;
	j->res->counts = n.c;
	j->res->time = n.time;
	return n.c.index ? 0 : tell(j, "has no entry, so there is nothing to recover", -ENODATA);
}

static int fill(const char *new, void *arg)
{
	struct job *j = arg;
	struct datafs_first first = {
		.dir = new, .id = j->r->id, .address = j->r->address, .cluster = j->r->cluster,
		.was = j->res->cluster,
	};
	char db[PATH_ROOM];
	int err;

	snprintf(db, sizeof(db), "%s/recovered", new);
	err = make_state(j, new, db);
	if (err)
		return err;
	if (!memcmp(j->res->cluster, j->r->cluster, sizeof(j->res->cluster))) {
		datafs_log(LOG_ERR, "%s: the keys are of the cluster that it is of; what is recovered is another cluster, with keys of its own (datafs key new)",
			   j->from);
		return -EINVAL;
	}
	first.index = j->res->counts.index;
	first.term = j->res->counts.term;
	return datafs_first_fill(&first, db);
}

static int begin(struct job *j)
{
	*j->res = (struct datafs_recovered){ 0 };
	return find_member(j);
}

static void end(const struct job *j)
{
	if (j->lock >= 0)
		close(j->lock);
}

int datafs_recover_look(const char *from, struct datafs_recovered *res)
{
	struct job j = { .from = from, .res = res, .lock = -1 };
	char in[PATH_ROOM], to[PATH_ROOM + 8];
	int err = begin(&j);

	if (!err) {
		/* in it, so on its filesystem */
		snprintf(in, sizeof(in), "%s/inspect-XXXXXX", from);
		if (!mkdtemp(in)) {
			err = tell(&j, "nothing can be written there", -errno);
		} else {
			snprintf(to, sizeof(to), "%s/state", in);
			err = make_state(&j, in, to);
			server_remove_tree(in);
		}
	}
	end(&j);
	return err;
}

int datafs_recover(const struct datafs_recover *r, struct datafs_recovered *res)
{
	struct job j = { .from = r->from, .r = r, .res = res, .lock = -1 };
	int err = datafs_first_check(r->id, r->address);

	if (err)
		return err;
	err = begin(&j);
	if (!err)
		err = server_make_dir(r->dir, fill, &j);
	end(&j);
	return err;
}
