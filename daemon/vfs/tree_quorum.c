// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of a mount that shows a quorum's namespace: ":/DIR" of the quorum of one in
 * this daemon's directory.
 *
 * A mount is a session of the quorum. Which one is in a file named by the mount's
 * incarnation, from before the session is opened until it has ended; so a successor goes
 * on with it, and what was answered is not done again.
 */
#define _GNU_SOURCE	/* asprintf */
#include "vfs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* Of an upcall they are higher: see quorum_change.c. */
#define REQUEST_OPEN	1
/* How far above the ones that have ended; each that ends takes so many away. */
#define SESSION_AHEAD	(1ull << 32)
#define OPEN_TRIES	8

bool vfs_quorum_source(const char *source)
{
	const char *at = strstr(source, ":/");

	return *source != '/' && at && at[2] != '/';
}

/* Once for the instance. Logged. */
static int local_quorum(struct datafs_vfs *v, struct datafs_quorum **res)
{
	char *dir;
	int ret = 0;

	pthread_mutex_lock(&v->lock);
	if (!v->quorum) {
		ret = asprintf(&dir, "%s/namespace", v->dir) < 0 ? -ENOMEM :
			datafs_quorum_open_local(dir, &v->quorum);
		if (ret != -ENOMEM)
			free(dir);
	}
	*res = v->quorum;
	pthread_mutex_unlock(&v->lock);
	return ret;
}

/* --------------------------------------------------------------- sessions */

static char *session_path(const struct datafs_vfs *v, const char *name)
{
	char *path;

	return asprintf(&path, "%s/sessions/%s", v->dir, name) < 0 ? NULL : path;
}

/* That of the file; 0: there is none. */
static int session_read(const char *path, uint64_t *id)
{
	char text[64];
	ssize_t n = datafs_read_small(path, text, sizeof(text));

	*id = 0;
	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return (int)n;
	return sscanf(text, "%lu", id) == 1 && *id ? 0 : -EUCLEAN;
}

static int session_write(const char *path, uint64_t id)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)id);
	return datafs_write_small(path, text);
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

static int session_open(struct vfs_mount *mnt)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__SessionOpen open = METAD__SESSION_OPEN__INIT;
	Metad__Result *res;
	int ret;

	c.op_case = METAD__COMMAND__OP_SESSION_OPEN;
	c.session_open = &open;
	c.has_session = c.has_request = c.has_lowest = true;
	c.session = mnt->session;
	c.request = c.lowest = REQUEST_OPEN;
	ret = datafs_quorum_change(mnt->quorum, &c, &res);
	if (ret)
		return ret;
	ret = -(int)res->error;
	metad__result__free_unpacked(res, NULL);
	/* It is open, and has been used. */
	return ret == -EALREADY ? 0 : ret;
}

/* Ends it, however much it holds; also one that there is not. */
static int session_end(struct datafs_quorum *q, uint64_t id)
{
	Metad__Command c = METAD__COMMAND__INIT;
	Metad__SessionClose close = METAD__SESSION_CLOSE__INIT;
	Metad__Result *res;
	bool more;
	int ret;

	c.op_case = METAD__COMMAND__OP_SESSION_CLOSE;
	c.session_close = &close;
	c.has_session = c.has_request = c.has_lowest = true;
	c.session = id;
	c.request = c.lowest = UINT64_MAX;
	do {
		ret = datafs_quorum_change(q, &c, &res);
		if (ret)
			return ret;
		ret = -(int)res->error;
		more = res->more;
		metad__result__free_unpacked(res, NULL);
	} while (!ret && more);
	return ret;
}

/* The mount's own, made if it has none. */
static int session_have(struct vfs_mount *mnt, const char *path)
{
	int ret = session_read(path, &mnt->session);

	for (int i = 0; !ret && i < OPEN_TRIES; i++) {
		if (!mnt->session) {
			ret = session_choose(mnt->quorum, &mnt->session);
			if (!ret)
				ret = session_write(path, mnt->session);
		}
		if (!ret)
			ret = session_open(mnt);
		if (ret != -ESTALE)
			return ret;
		/* One with a higher id has ended meanwhile. */
		mnt->session = 0;
		ret = 0;
	}
	return ret ? ret : -EIO;
}

static void end_and_forget(struct datafs_vfs *v, const char *name)
{
	char *path = session_path(v, name);
	struct datafs_quorum *q;
	uint64_t id = 0;
	int ret;

	if (!path)
		return;
	ret = session_read(path, &id);
	if (!ret && id) {
		ret = local_quorum(v, &q);
		if (!ret)
			ret = session_end(q, id);
	}
	if (ret && ret != -EUCLEAN)
		datafs_log(LOG_ERR, "session %llu of a mount that is gone is not ended: %s; the next start tries again",
			   (unsigned long long)id, strerror(-ret));
	else
		unlink(path);
	free(path);
}

void vfs_sessions_clean(struct datafs_vfs *v)
{
	char *path = session_path(v, ""), hex[40];
	DIR *d = path ? opendir(path) : NULL;
	struct vfs_mount *mnt;
	struct dirent *e;

	free(path);
	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		/* No mount comes or goes before the daemon serves. */
		for (mnt = v->mounts; mnt; mnt = mnt->next) {
			datafs_hex(mnt->incarnation, sizeof(mnt->incarnation), hex);
			if (!strcmp(hex, e->d_name))
				break;
		}
		if (!mnt)
			end_and_forget(v, e->d_name);
	}
	if (d)
		closedir(d);
}

/* ---------------------------------------------------------------- the tree */

/* Follows the source's path from the namespace's root. */
static int find_root(struct vfs_mount *mnt, struct datafs_attr *attr)
{
	struct datafs_req req = { .ino = 1, .mount_id = mnt->id };
	const char *p = strstr(mnt->source, ":/") + 1;
	struct datafs_entry entry;
	struct datafs_call call = { .req = &req, .out = attr };
	size_t len;
	int ret;

	ret = vfs_quorum_getattr(mnt, &call);
	while (!ret) {
		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (!len)
			break;
		if (len > DATAFS_NAME_MAX)
			return -ENAMETOOLONG;
		memset(call.name, 0, sizeof(call.name));
		memcpy(call.name, p, len);
		call.out = &entry;
		ret = vfs_quorum_lookup(mnt, &call);
		if (!ret && !entry.attr.ino)
			ret = -ENOENT;
		*attr = entry.attr;
		req.ino = attr->ino;
		p += len;
	}
	if (!ret && !S_ISDIR(attr->mode))
		ret = -ENOTDIR;
	mnt->root = req.ino;
	return ret;
}

static int attach(struct vfs_mount *mnt)
{
	char hex[40], *path;
	int ret;

	if (*mnt->source != ':') {
		datafs_log(LOG_ERR, "%s: a quorum of other machines is not supported yet; :/DIR is the namespace in this daemon",
			   mnt->source);
		return -EPROTONOSUPPORT;
	}
	ret = local_quorum(mnt->v, &mnt->quorum);
	if (ret)
		return ret;
	path = session_path(mnt->v, "");
	ret = path ? datafs_mkdirs(path, 0700) : -ENOMEM;
	free(path);
	if (ret)
		return ret;
	datafs_hex(mnt->incarnation, sizeof(mnt->incarnation), hex);
	path = session_path(mnt->v, hex);
	ret = path ? session_have(mnt, path) : -ENOMEM;
	free(path);
	return ret;
}

static void quorum_gone(struct vfs_mount *mnt)
{
	char hex[40];

	if (!mnt->quorum)
		return;
	datafs_hex(mnt->incarnation, sizeof(mnt->incarnation), hex);
	end_and_forget(mnt->v, hex);
}

static int quorum_open(struct vfs_mount *mnt, struct datafs_attr *root)
{
	int ret = attach(mnt);

	if (!ret)
		ret = find_root(mnt, root);
	if (ret)
		quorum_gone(mnt);
	return ret;
}

static int quorum_adopt(struct vfs_mount *mnt)
{
	struct datafs_attr root;
	int ret = attach(mnt);

	/* It may have been removed, below a mount of it; that is not for us to mind. */
	if (!ret)
		find_root(mnt, &root);
	return ret;
}

static void quorum_close(struct vfs_mount *mnt)
{
	(void)mnt;
}

/* Nothing is known here that could be older than the namespace. */
static int quorum_look_again(struct vfs_mount *mnt, uint64_t ino)
{
	(void)mnt;
	(void)ino;
	return 0;
}

const struct vfs_tree vfs_tree_quorum = {
	.open = quorum_open,
	.adopt = quorum_adopt,
	.gone = quorum_gone,
	.close = quorum_close,
	.look_again = quorum_look_again,
	.calls = {
		[DATAFS_OP_LOOKUP]	= vfs_quorum_lookup,
		[DATAFS_OP_GETATTR]	= vfs_quorum_getattr,
		[DATAFS_OP_READDIR]	= vfs_quorum_readdir,
		[DATAFS_OP_READLINK]	= vfs_quorum_readlink,
		[DATAFS_OP_GETXATTR]	= vfs_quorum_getxattr,
		[DATAFS_OP_LISTXATTR]	= vfs_quorum_listxattr,
		[DATAFS_OP_STATFS]	= vfs_quorum_statfs,
		[DATAFS_OP_PARENT]	= vfs_quorum_parent,
		[DATAFS_OP_CREATE]	= vfs_quorum_change,
		[DATAFS_OP_MKDIR]	= vfs_quorum_change,
		[DATAFS_OP_MKNOD]	= vfs_quorum_change,
		[DATAFS_OP_SYMLINK]	= vfs_quorum_change,
		[DATAFS_OP_LINK]	= vfs_quorum_change,
		[DATAFS_OP_UNLINK]	= vfs_quorum_change,
		[DATAFS_OP_RMDIR]	= vfs_quorum_change,
		[DATAFS_OP_RENAME]	= vfs_quorum_change,
		[DATAFS_OP_SETATTR]	= vfs_quorum_change,
		[DATAFS_OP_SETXATTR]	= vfs_quorum_change,
		[DATAFS_OP_REMOVEXATTR]	= vfs_quorum_change,
		[DATAFS_OP_RELEASE]	= vfs_quorum_change,
	},
};
