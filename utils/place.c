// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "place.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "datafs_abi.h"

int datafs_places_open(struct datafs_places *p)
{
	struct datafs_genl *g;
	int ret;

	ret = datafs_genl_open(&g);
	if (ret) {
		warnx("netlink: %s%s", strerror(-ret),
		      ret == -ENOENT ? "; is the module loaded (modprobe datafs)?" : "");
		return -1;
	}
	ret = datafs_genl_mounts(g, &p->list, &p->n);
	datafs_genl_close(g);
	if (ret)
		warnx("netlink: %s", strerror(-ret));
	return ret ? -1 : 0;
}

void datafs_places_close(struct datafs_places *p)
{
	datafs_genl_mounts_free(p->list, p->n);
}

/* As mountinfo has it, and sysfs: the file system is not asked, which would ask its store. */
static bool is_device(const struct datafs_genl_mount *m, dev_t dev)
{
	char path[64], have[32] = "", want[32];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/fs/datafs/%" PRIu32 "/dev", m->id);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(have, sizeof(have), f))
		*have = 0;
	fclose(f);
	snprintf(want, sizeof(want), "%u:%u\n", major(dev), minor(dev));
	return !strcmp(have, want);
}

const struct datafs_genl_mount *datafs_place_of(const struct datafs_places *p,
						const char *path, struct stat *st)
{
	struct statfs fs;
	size_t i;

	if (lstat(path, st)) {
		warn("%s", path);
		return NULL;
	}
	for (i = 0; i < p->n; i++)
		if (is_device(&p->list[i], st->st_dev))
			return &p->list[i];
	/* Without /sys. */
	if (statfs(path, &fs)) {
		warn("%s", path);
		return NULL;
	}
	for (i = 0; i < p->n; i++)
		if (fs.f_type == DATAFS_SUPER_MAGIC &&
		    datafs_genl_is_fsid(&p->list[i], &fs.f_fsid))
			return &p->list[i];
	warnx("%s: not in a mount of datafs", path);
	return NULL;
}
