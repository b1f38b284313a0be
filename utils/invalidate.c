// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "invalidate.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "daemon_client.h"
#include "datafs_abi.h"
#include "genl.h"
#include "report.h"

struct answer {
	char error[200];
	bool done;
};

static void see_answer(void *arg, const char *key, const char *value)
{
	struct answer *a = arg;

	if (!strcmp(key, "error"))
		snprintf(a->error, sizeof(a->error), "%s", value);
	else if (!strcmp(key, "invalidated"))
		a->done = true;
}

/* The mount that @path is in, and its inode there; NULL, after a line. */
static const struct datafs_genl_mount *
mount_of(const struct datafs_genl_mount *list, size_t n, const char *path,
	 uint64_t *ino)
{
	struct statfs fs;
	struct stat st;
	size_t i;

	if (lstat(path, &st) || statfs(path, &fs)) {
		warn("%s", path);
		return NULL;
	}
	*ino = st.st_ino;
	for (i = 0; i < n; i++)
		if (fs.f_type == DATAFS_SUPER_MAGIC &&
		    datafs_genl_is_fsid(&list[i], &fs.f_fsid))
			return &list[i];
	warnx("%s: not in a mount of datafs", path);
	return NULL;
}

static int tell_daemon(const struct datafs_genl_mount *m, const char *path,
		      uint64_t ino)
{
	struct answer a = { "", false };
	char request[64];
	int ret;

	snprintf(request, sizeof(request), "invalidate %" PRIu32 " %" PRIu64, m->id,
		 ino);
	/* It may list a large directory. */
	ret = datafs_daemon_ask(m->instance, request, 0, see_answer, &a);
	if (!ret && a.done)
		return 0;
	warnx("%s: the daemon of %s: %s", path, m->instance,
	      ret ? strerror(-ret) : *a.error ? a.error : "no answer");
	return DATAFS_EXIT_FAIL;
}

int datafs_invalidate_command(int argc, char **argv)
{
	const bool all = argc > 1 && !strcmp(argv[1], "--all");
	struct datafs_genl_mount *list;
	const struct datafs_genl_mount *m;
	struct datafs_genl *g;
	int i, ret, status = 0;
	uint64_t ino;
	size_t n;

	if (argc < 2 + all || argv[1 + all][0] == '-') {
		warnx("usage: datafs invalidate [--all] PATH...");
		return DATAFS_EXIT_USAGE;
	}
	ret = datafs_genl_open(&g);
	if (ret) {
		warnx("netlink: %s%s", strerror(-ret),
		      ret == -ENOENT ? "; is the module loaded (modprobe datafs)?" : "");
		return DATAFS_EXIT_FAIL;
	}
	ret = datafs_genl_mounts(g, &list, &n);
	datafs_genl_close(g);
	if (ret) {
		warnx("netlink: %s", strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	for (i = 1 + all; i < argc; i++) {
		m = mount_of(list, n, argv[i], &ino);
		if (!m || tell_daemon(m, argv[i], all ? 0 : ino))
			status = DATAFS_EXIT_FAIL;
	}
	datafs_genl_mounts_free(list, n);
	return status;
}
