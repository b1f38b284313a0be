// SPDX-License-Identifier: Apache-2.0
/*
 * A mount is a session of its quorum. Which one is in a file named by the mount's
 * incarnation, from before the session is opened until it has ended; so a successor goes
 * on with it, and what was answered is not done again.
 *
 *	sessions/INCARNATION		the session of a mount
 *	sessions/SESSION.gone		of a mount that is gone, in a quorum elsewhere
 *	sessions/node			of the daemon as a node of that: quorum_node.c
 *
 * A quorum elsewhere may not be there when its mount goes. Then the session is ended by a
 * job, when it is there again, or by that of the next daemon.
 */
#define _GNU_SOURCE	/* asprintf */
#include "vfs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/source.h"

/* Of an upcall they are higher: see quorum_change.c. */
#define REQUEST_OPEN	1
/* How far above the ones that have ended; each that ends takes so many away. */
#define SESSION_AHEAD	(1ull << 32)
#define OPEN_TRIES	8
/* An umount does not wait longer for its session's end. */
#define END_MS		5000
#define GONE		".gone"

static char *session_path(const struct datafs_vfs *v, const char *name)
{
	char *path;

	return asprintf(&path, "%s/sessions/%s", v->dir, name) < 0 ? NULL : path;
}

/*
 * In the file: the session's id, the namespace that it is of, and the members of a quorum
 * elsewhere.
 */
#define HEX_LEN		(2 * sizeof(((struct datafs_quorum *)0)->id))

struct record {
	unsigned long long session;
	char space[HEX_LEN + 1];
	char members[sizeof(((struct datafs_source *)0)->members)];
};

/* 0; -ENOENT; -EUCLEAN: it is none. */
static int record_read(const char *path, struct record *r)
{
	char text[sizeof(*r) + 32], format[40];
	ssize_t n = datafs_read_small(path, text, sizeof(text));

	*r = (struct record) {};
	if (n < 0)
		return (int)n;
	snprintf(format, sizeof(format), "%%llu %%%zus %%%zus", sizeof(r->space) - 1,
		 sizeof(r->members) - 1);
	return sscanf(text, format, &r->session, r->space, r->members) >= 2 && r->session ?
	       0 : -EUCLEAN;
}

static bool is_of(const struct record *r, const struct datafs_quorum *q)
{
	char own[HEX_LEN + 1];

	datafs_hex(q->id, sizeof(q->id), own);
	return !strcmp(r->space, own);
}

static int session_write(const char *members, const struct datafs_quorum *q, const char *path,
			 uint64_t id)
{
	char own[HEX_LEN + 1], *text;
	int ret;

	datafs_hex(q->id, sizeof(q->id), own);
	if (asprintf(&text, "%llu %s%s%s\n", (unsigned long long)id, own,
		     members ? " " : "", members ? members : "") < 0)
		return -ENOMEM;
	ret = datafs_write_small(path, text);
	free(text);
	return ret;
}

/* An id that no session has had. */
static int session_choose(struct datafs_quorum *q, uint64_t *id)
{
	Metad__Query query = METAD__QUERY__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Answer *a;
	uint64_t r;
	int ret;

	query.of_case = METAD__QUERY__OF_COUNTS;
	query.counts = &counts;
	ret = datafs_random(&r, sizeof(r));
	if (!ret)
		ret = datafs_quorum_ask(q, &query, &a);
	if (ret)
		return ret;
	ret = -(int)a->error;
	*id = a->session_ended + 1 + r % SESSION_AHEAD;
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

/* @c of the session @id, with this number; @more: it is to be asked again. */
static int session_change(struct datafs_quorum *q, Metad__Command *c, uint64_t id,
			  uint64_t request, bool *more)
{
	Metad__Result *res;
	int ret;

	c->has_session = c->has_request = c->has_lowest = true;
	c->session = id;
	c->request = c->lowest = request;
	ret = datafs_quorum_change(q, c, &res);
	if (ret)
		return ret;
	ret = -(int)res->error;
	*more = res->more;
	metad__result__free_unpacked(res, NULL);
	return ret;
}

/* -EALREADY: it is open, and has been used. */
static int session_open(struct datafs_quorum *q, uint64_t id)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	bool more;

	c.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	c.session_open = &open;
	return session_change(q, &c, id, REQUEST_OPEN, &more);
}

/* Ends it, however much it holds; also one that there is not. */
static int session_end(struct datafs_quorum *q, uint64_t id)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__SessionClose close = METAD__SESSION_CLOSE__INIT;
	bool more;
	int ret;

	c.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	c.session_close = &close;
	do {
		ret = session_change(q, &c, id, UINT64_MAX, &more);
	} while (!ret && more);
	return ret;
}

/* A new one, of the id *@id. */
static int session_new(struct datafs_quorum *q, uint64_t *id)
{
	int ret = -EIO;

	for (int i = 0; i < OPEN_TRIES; i++) {
		ret = session_choose(q, id);
		if (!ret)
			ret = session_open(q, *id);
		/* One with a higher id has ended meanwhile, or it is somebody else's. */
		if (ret != -ESTALE && ret != -EALREADY)
			return ret;
	}
	return ret;
}

int vfs_session_once(struct datafs_quorum *q, Metad__Command *c)
{
	uint64_t id;
	bool more;
	int ret = session_new(q, &id), err;

	if (ret)
		return ret;
	ret = session_change(q, c, id, REQUEST_OPEN + 1, &more);
	err = session_end(q, id);
	if (err)
		datafs_log(LOG_WARNING, "session %llu of a change of the namespace's tables is not ended: %s",
			   (unsigned long long)id, strerror(-err));
	return ret;
}

int vfs_session_change(struct datafs_quorum *q, Metad__Command *c, uint64_t id,
		       uint64_t request)
{
	bool more;

	return session_change(q, c, id, request, &more);
}

/* The one in @path, made if there is none. */
static int have(struct datafs_quorum *q, const char *members, const char *path,
		uint64_t *session)
{
	struct record r = { .session = 0 };
	int ret = record_read(path, &r);
	bool chosen = false;

	if (!ret && !is_of(&r, q))
		ret = -EUCLEAN;
	if (ret == -ENOENT)
		ret = 0;
	*session = r.session;
	for (int i = 0; !ret && i < OPEN_TRIES; i++) {
		if (!*session) {
			chosen = true;
			ret = session_choose(q, session);
			if (!ret)
				ret = session_write(members, q, path, *session);
		}
		if (!ret)
			ret = session_open(q, *session);
		if (ret == -EALREADY && !chosen)
			return 0;
		if (ret != -ESTALE && ret != -EALREADY)
			return ret;
		/* One with a higher id has ended meanwhile, or it is somebody else's. */
		*session = 0;
		ret = 0;
	}
	return ret ? ret : -EIO;
}

static int dir_have(const struct datafs_vfs *v)
{
	char *path = session_path(v, "");
	int ret = path ? datafs_mkdirs(path, 0700) : -ENOMEM;

	free(path);
	return ret;
}

int vfs_session_at(struct datafs_vfs *v, struct datafs_quorum *q, const char *members,
		   const char *name, uint64_t *id)
{
	int ret = dir_have(v);
	char *path;

	if (ret)
		return ret;
	path = session_path(v, name);
	ret = path ? have(q, members, path, id) : -ENOMEM;
	/* of a cluster that was restored or recovered since, where nobody goes on with it */
	if (ret == -EUCLEAN && !unlink(path))
		ret = have(q, members, path, id);
	free(path);
	return ret;
}

static char *path_of(const struct vfs_mount *mnt)
{
	char hex[2 * sizeof(mnt->incarnation) + 1];

	datafs_hex(mnt->incarnation, sizeof(mnt->incarnation), hex);
	return session_path(mnt->v, hex);
}

int vfs_session_have(struct vfs_mount *mnt, struct datafs_quorum *q)
{
	int ret = dir_have(mnt->v);
	char *path;

	if (ret)
		return ret;
	path = path_of(mnt);
	ret = path ? have(q, mnt->members, path, &mnt->session) : -ENOMEM;
	if (ret == -EUCLEAN)
		datafs_log(LOG_ERR, "mount %u of %s: %s: it is damaged, or of another namespace",
			   mnt->id, mnt->source, path);
	free(path);
	return ret;
}

static void not_ended(uint64_t id, int err)
{
	datafs_log(LOG_ERR, "session %llu of a mount that is gone is not ended: %s; the next start tries again",
		   (unsigned long long)id, strerror(-err));
}

static void end_own(struct datafs_vfs *v, const char *path, const struct record *r)
{
	struct datafs_quorum *q;
	int ret = vfs_own_quorum(v, &q);

	if (!ret && is_of(r, q))
		ret = session_end(q, r->session);
	if (ret)
		not_ended(r->session, ret);
	else
		unlink(path);
}

/* ------------------------------------------------------- of a quorum elsewhere */

/* In a quorum that was connected to. */
static int end_there(struct datafs_quorum *remote, const struct record *r, uint32_t ms)
{
	struct datafs_quorum *q;
	int ret;

	if (!is_of(r, remote))
		return -EUCLEAN;
	ret = datafs_quorum_share(remote, &q);
	if (ret)
		return ret;
	datafs_quorum_limit(q, ms);
	ret = session_end(q, r->session);
	datafs_quorum_close(q);
	return ret;
}

static bool is_gone(const char *name)
{
	size_t len = strlen(name);

	return len > strlen(GONE) && !strcmp(name + len - strlen(GONE), GONE);
}

/* The path of one, or NULL. */
static char *next_gone(struct datafs_vfs *v)
{
	char *path = session_path(v, ""), *res = NULL;
	DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;

	free(path);
	while (d && !res && (e = readdir(d)))
		if (is_gone(e->d_name))
			res = session_path(v, e->d_name);
	if (d)
		closedir(d);
	return res;
}

static int end_gone(struct datafs_vfs *v, const char *path)
{
	struct datafs_quorum *remote;
	struct record r;
	int ret = record_read(path, &r);

	if (!ret)
		ret = vfs_connect_again(v, r.members, NULL, &remote);
	if (!ret)
		ret = end_there(remote, &r, 0);
	if (ret == -ESHUTDOWN)
		return ret;
	if (ret && ret != -EUCLEAN) {
		not_ended(r.session, ret);
		return ret;
	}
	if (ret)
		datafs_log(LOG_WARNING, "%s: it names no session of the quorum whose key this daemon has: removed",
			   path);
	return unlink(path) ? -errno : 0;
}

/* One at a time: they all wait for the same. */
static void end_all_gone(struct datafs_job *job)
{
	struct datafs_vfs *v = (void *)((char *)job - offsetof(struct datafs_vfs, ending));
	char *path;
	int ret = 0;

	while (!ret) {
		pthread_mutex_lock(&v->lock);
		path = next_gone(v);
		v->is_ending = path != NULL;
		pthread_mutex_unlock(&v->lock);
		if (!path)
			return;
		ret = end_gone(v, path);
		free(path);
	}
	pthread_mutex_lock(&v->lock);
	v->is_ending = false;
	pthread_mutex_unlock(&v->lock);
}

/* What @path is of; NULL: those that a predecessor has left. */
static void end_later(struct datafs_vfs *v, const char *path, uint64_t session)
{
	char name[40], *to;

	snprintf(name, sizeof(name), "%llu" GONE, (unsigned long long)session);
	to = session_path(v, name);
	pthread_mutex_lock(&v->lock);
	if (path && (!to || rename(path, to)))
		datafs_log(LOG_ERR, "%s: %s: %s", path, name, strerror(to ? errno : ENOMEM));
	/* No job is added to a pool that is about to end. */
	if (!v->is_ending && !atomic_load(&v->stopping)) {
		v->is_ending = true;
		v->ending.run = end_all_gone;
		datafs_pool_add(v->pool, &v->ending, DATAFS_PRIO_AHEAD);
	}
	pthread_mutex_unlock(&v->lock);
	free(to);
}

static void end_elsewhere(struct datafs_vfs *v, const char *path, const struct record *r)
{
	struct datafs_quorum *remote = atomic_load(&v->remote);
	int ret = remote ? end_there(remote, r, END_MS) : -ENOTCONN;

	if (ret)
		end_later(v, path, r->session);
	else
		unlink(path);
}

void vfs_session_gone(struct vfs_mount *mnt)
{
	char *path = path_of(mnt);
	struct record r;
	int ret = path ? record_read(path, &r) : -ENOMEM;

	if (ret == -EUCLEAN)
		unlink(path);
	else if (!ret && *r.members)
		end_elsewhere(mnt->v, path, &r);
	else if (!ret)
		end_own(mnt->v, path, &r);
	free(path);
}

void vfs_session_end_at(struct datafs_vfs *v, const char *name)
{
	char *path = session_path(v, name);
	struct record r;
	int ret = path ? record_read(path, &r) : -ENOMEM;

	if (ret == -EUCLEAN)
		unlink(path);
	else if (!ret)
		end_elsewhere(v, path, &r);
	free(path);
}

/* ----------------------------------------------------------------- at the start */

static bool is_mounted(const struct datafs_vfs *v, const char *name)
{
	char hex[2 * sizeof(v->mounts->incarnation) + 1];

	if (!strcmp(name, VFS_NODE_SESSION))
		return v->node.mounts;
	/* No mount comes or goes before the daemon serves. */
	for (struct vfs_mount *mnt = v->mounts; mnt; mnt = mnt->next) {
		datafs_hex(mnt->incarnation, sizeof(mnt->incarnation), hex);
		if (!strcmp(hex, name))
			return true;
	}
	return false;
}

static void clean(struct datafs_vfs *v, const char *name)
{
	char *path = session_path(v, name);
	struct record r;
	int ret = path ? record_read(path, &r) : -ENOMEM;

	if (is_gone(name))
		end_later(v, NULL, 0);
	else if (ret == -EUCLEAN)
		unlink(path);
	else if (!ret && *r.members)
		end_later(v, path, r.session);
	else if (!ret)
		end_own(v, path, &r);
	free(path);
}

void vfs_sessions_clean(struct datafs_vfs *v)
{
	char *path = session_path(v, "");
	DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;

	free(path);
	while (d && (e = readdir(d)))
		if (*e->d_name != '.' && !is_mounted(v, e->d_name))
			clean(v, e->d_name);
	if (d)
		closedir(d);
}
