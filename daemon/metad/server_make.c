// SPDX-License-Identifier: Apache-2.0
/*
 * A member's directory. It is made beside its place and renamed: after a crash
 * there is all of it or nothing.
 */
#define _GNU_SOURCE
#include "metad/server_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void closed(void *ctx)
{
	*(bool *)ctx = true;
}

/* The log with the first configuration, or without any. */
static int make_log(const char *dir, uint64_t id, const struct raft_configuration *conf)
{
	struct datafs_raft_uv *disk;
	bool is_closed = false;
	uv_loop_t loop;
	int err;

	if (uv_loop_init(&loop))
		return -ENOMEM;
	err = datafs_raft_uv_open(&loop, dir, id, true, &disk);
	if (!err) {
		if (conf)
			err = datafs_raft_uv_bootstrap(disk, conf);
		datafs_raft_uv_close(disk, closed, &is_closed);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&loop);
	return err;
}

/* Also if it is not there. @err: it cannot be looked at. */
static bool is_empty(const char *dir, int *err)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	*err = d || errno == ENOENT ? 0 : -errno;
	if (!d)
		return true;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' || (e->d_name[1] && strcmp(e->d_name, "..")))
			break;
	closedir(d);
	return !e;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

static int sync_above(const char *dir)
{
	char above[4096];
	char *slash;

	snprintf(above, sizeof(above), "%s", dir);
	slash = strrchr(above, '/');
	if (!slash)
		strcpy(above, ".");
	else
		slash[slash == above] = 0;
	return sync_dir(above);
}

int server_remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int make_in(const char *new, const char *dir, server_fill fill, void *arg)
{
	char path[4096 + 16];
	int err;

	server_remove_tree(new);
	snprintf(path, sizeof(path), "%s/snapshots", new);
	err = datafs_mkdirs(path, 0700);
	snprintf(path, sizeof(path), "%s/raft", new);
	if (!err)
		err = datafs_mkdirs(path, 0700);
	if (!err)
		err = fill(new, arg);
	if (!err)
		err = sync_dir(path);
	if (!err)
		err = sync_dir(new);
	if (!err && rename(new, dir))
		err = -errno;
	if (err)
		server_remove_tree(new);
	return err ? err : sync_above(dir);
}

static int first_conf(uint64_t id, const struct datafs_raft_peer *peers, unsigned int n,
		      struct raft_configuration *res)
{
	unsigned int i = 0;

	while (i < n && peers[i].id != id)
		i++;
	return i == n ? -EINVAL : datafs_raft_conf_first(peers, n, res);
}

int server_make_dir(const char *arg_dir, server_fill fill, void *arg)
{
	char dir[4096 - 8], new[4096];
	size_t len = strlen(arg_dir);
	bool empty;
	int err;

	/* "DIR/": what is beside it is not in it */
	while (len > 1 && arg_dir[len - 1] == '/')
		len--;
	if (len >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, arg_dir, len);
	dir[len] = 0;
	empty = is_empty(dir, &err);
	if (err || !empty) {
		err = err ? err : -EEXIST;
		datafs_log(LOG_ERR, "%s: %s; a member begins in a directory that is empty or not there",
			   dir, strerror(-err));
		return err;
	}
	snprintf(new, sizeof(new), "%s.new", dir);
	err = make_in(new, dir, fill, arg);
	if (err)
		datafs_log(LOG_ERR, "%s: cannot be made: %s", dir, strerror(-err));
	return err;
}

/* A log for @id. */
struct new_log {
	uint64_t id;
	const struct raft_configuration *conf;
};

static int fill_log(const char *new, void *arg)
{
	const struct new_log *log = arg;
	char path[4096 + 16];

	snprintf(path, sizeof(path), "%s/raft", new);
	return make_log(path, log->id, log->conf);
}

int datafs_server_make(const char *dir, uint64_t id, const struct datafs_raft_peer *peers,
		       unsigned int n)
{
	struct raft_configuration conf;
	struct new_log log = { id, n ? &conf : NULL };
	int err;

	err = n ? first_conf(id, peers, n, &conf) : 0;
	if (err) {
		datafs_log(LOG_ERR, "the members of the new quorum do not make sense: each id and each address once, and %llu among them",
			   (unsigned long long)id);
		return err;
	}
	err = server_make_dir(dir, fill_log, &log);
	if (n)
		raft_configuration_close(&conf);
	return err;
}
