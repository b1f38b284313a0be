// SPDX-License-Identifier: Apache-2.0
/* datafs status and datafs stats; see report.h. */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/word.h"
#include "daemon_client.h"
#include "datafs_netlink.h"
#include "genl.h"
#include "mount_daemon.h"
#include "mountinfo.h"
#include "report.h"

#define NAME_WIDTH	26

/* All that is mounted, as the kernel tells it and as this namespace sees it. */
struct view {
	struct datafs_genl *genl;
	struct datafs_genl_mount *mounts;
	size_t nmounts;
	struct datafs_mountinfo *infos;
	size_t ninfos;
};

static const char *const state_names[] = {
	[DATAFS_STATE_LIVE]	= "live",
	[DATAFS_STATE_GRACE]	= "grace",
	[DATAFS_STATE_ABORTED]	= "aborted",
};

static const char *state_name(uint32_t state)
{
	return state < sizeof(state_names) / sizeof(*state_names) ?
	       state_names[state] : "?";
}

static int view_open(struct view *v)
{
	int ret;

	memset(v, 0, sizeof(*v));
	if (geteuid()) {
		warnx("only root can ask the kernel and the daemons");
		return DATAFS_EXIT_FAIL;
	}
	ret = datafs_genl_open(&v->genl);
	if (ret) {
		if (ret == -ENOENT)
			warnx("the module datafs is not loaded (modprobe datafs), or this is not the initial network namespace");
		else
			warnx("netlink: %s", strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	ret = datafs_genl_mounts(v->genl, &v->mounts, &v->nmounts);
	if (!ret)
		ret = datafs_mountinfo_read(&v->infos, &v->ninfos);
	if (ret) {
		warnx("listing the mounts: %s", strerror(-ret));
		datafs_genl_mounts_free(v->mounts, v->nmounts);
		datafs_genl_close(v->genl);
		return DATAFS_EXIT_FAIL;
	}
	return 0;
}

static void view_close(struct view *v)
{
	datafs_mountinfo_free(v->infos, v->ninfos);
	datafs_genl_mounts_free(v->mounts, v->nmounts);
	datafs_genl_close(v->genl);
}

/* Does a line of mountinfo fit what the kernel says of a mount? */
static bool fits(const struct datafs_mountinfo *mi,
		 const struct datafs_genl_mount *m)
{
	char instance[64];

	return !strcmp(mi->source, m->source) &&
	       !strcmp(datafs_mountinfo_instance(mi, instance, sizeof(instance)),
		       m->instance);
}

/*
 * Is @mi a place where @m is mounted? The kernel says which device it is; no mounted
 * file system is asked, which may wait for its daemon, or that one for a quorum. Without
 * /sys the names decide, which two mounts may have in common.
 */
static bool belongs(const struct datafs_mountinfo *mi, const struct datafs_genl_mount *m)
{
	char path[64], dev[32] = "", own[32];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/fs/datafs/%" PRIu32 "/dev", m->id);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(dev, sizeof(dev), f))
			*dev = '\0';
		fclose(f);
	}
	if (!*dev)
		return fits(mi, m);
	snprintf(own, sizeof(own), "%u:%u\n", mi->dev_major, mi->dev_minor);
	return !strcmp(own, dev);
}

/* ---------------------------------------------------------------- status */

/* What a daemon says of itself, and of one mount. */
struct daemon_view {
	uint32_t mount_id;
	bool has_mount;
};

static void see_mount(void *arg, const char *key, const char *value)
{
	struct daemon_view *d = arg;

	if (!strcmp(key, "mount") && strtoul(value, NULL, 10) == d->mount_id)
		d->has_mount = true;
}

static void print_line(void *arg, const char *key, const char *value)
{
	(void)arg;
	printf("%-*s %s\n", NAME_WIDTH, key, value);
}

static void print_own_line(void *arg, const char *key, const char *value)
{
	if (strcmp(key, "mount"))
		print_line(arg, key, value);
}

static void print_mount(const struct view *v, const struct datafs_genl_mount *m)
{
	struct daemon_view d = { .mount_id = m->id };
	bool first = true;
	size_t i;
	int ret;

	ret = datafs_daemon_ask(m->instance, "status", DATAFS_DAEMON_ASK_S, see_mount, &d);
	printf("%-5" PRIu32 " %-8s %-8s %-16s ", m->id, state_name(m->state),
	       ret ? "none" : d.has_mount ? "serves" : "unknown", m->instance);
	datafs_word_puts(stdout, m->source);
	for (i = 0; i < v->ninfos; i++) {
		if (!belongs(&v->infos[i], m))
			continue;
		putchar(first ? ' ' : ',');
		datafs_word_puts(stdout, v->infos[i].dir);
		first = false;
	}
	puts(first ? " -" : "");
}

static void print_daemon(const char *name)
{
	int ret;

	printf("\n# daemon of instance %s\n", name);
	fflush(stdout);
	ret = datafs_daemon_ask(name, "status", DATAFS_DAEMON_ASK_S, print_own_line, NULL);
	if (ret)
		printf("%-*s %s\n", NAME_WIDTH, "daemon",
		       ret == -ENOENT || ret == -ECONNREFUSED ? "not running" :
		       strerror(-ret));
}

int datafs_report_status(int argc, char **argv)
{
	static const char suffix[] = ".sock";
	glob_t found = { 0 };
	struct view v;
	size_t i, len;
	char *name;
	int ret;

	(void)argv;
	if (argc > 1) {
		warnx("status takes no arguments");
		return DATAFS_EXIT_USAGE;
	}
	ret = view_open(&v);
	if (ret)
		return ret;
	puts("# ID  STATE    DAEMON   INSTANCE         SOURCE MOUNTPOINTS");
	for (i = 0; i < v.nmounts; i++)
		print_mount(&v, &v.mounts[i]);
	if (!glob(DATAFS_RUN_DIR "/*.sock", 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++) {
			name = strrchr(found.gl_pathv[i], '/') + 1;
			len = strlen(name) - strlen(suffix);
			name[len] = '\0';
			print_daemon(name);
		}
	}
	globfree(&found);
	view_close(&v);
	return 0;
}

/* ----------------------------------------------------------------- stats */

/* A ratio of two counters that pass by. */
struct ratio {
	const char *name, *hits_name, *misses_name;
	uint64_t hits, misses;
};

static void ratio_see(struct ratio *r, const char *name, uint64_t value)
{
	if (!strcmp(name, r->hits_name))
		r->hits = value;
	else if (!strcmp(name, r->misses_name))
		r->misses = value;
}

/* "-" as long as there was nothing to hit or to miss */
static void ratio_print(const struct ratio *r)
{
	uint64_t all = r->hits + r->misses;

	if (all)
		printf("%-*s %.4f\n", NAME_WIDTH, r->name,
		       (double)r->hits / (double)all);
	else
		printf("%-*s -\n", NAME_WIDTH, r->name);
}

static void print_stat(void *arg, const char *name, uint64_t value)
{
	printf("%-*s %" PRIu64 "\n", NAME_WIDTH, name, value);
	ratio_see(arg, name, value);
}

static void print_daemon_stat(void *arg, const char *key, const char *value)
{
	print_line(NULL, key, value);
	ratio_see(arg, key, strtoull(value, NULL, 10));
}

static void print_store_stat(void *arg, const char *key, const char *value)
{
	(void)arg;
	/* A daemon of before has no such request, and says so. */
	if (strcmp(key, "error"))
		print_line(NULL, key, value);
}

static int stats_mount(const struct view *v, const struct datafs_genl_mount *m)
{
	struct ratio r = {
		.name = "extent_hit_ratio",
		.hits_name = "extent_hits",
		.misses_name = "extent_misses",
	};
	char request[32];
	int ret;

	printf("# mount %" PRIu32 " of ", m->id);
	datafs_word_puts(stdout, m->source);
	printf(", instance %s\n", m->instance);
	ret = datafs_genl_stats(v->genl, m->id, print_stat, &r);
	if (ret) {
		fflush(stdout);
		warnx("mount %" PRIu32 ": %s", m->id,
		      ret == -ENOENT ? "was unmounted meanwhile" : strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	ratio_print(&r);
	snprintf(request, sizeof(request), "store %" PRIu32, m->id);
	/* Without a daemon: stats_daemon() says it. */
	datafs_daemon_ask(m->instance, request, DATAFS_DAEMON_ASK_S, print_store_stat, NULL);
	return 0;
}

static int stats_daemon(const char *instance)
{
	struct ratio r = {
		.name = "cache_hit_ratio",
		.hits_name = "cache_hits",
		.misses_name = "cache_misses",
	};
	int ret;

	printf("# daemon of instance %s\n", instance);
	ret = datafs_daemon_ask(instance, "stats", DATAFS_DAEMON_ASK_S, print_daemon_stat, &r);
	if (ret) {
		fflush(stdout);
		warnx("instance %s: %s", instance,
		      ret == -ENOENT || ret == -ECONNREFUSED ?
		      "no daemon of that name runs" : strerror(-ret));
		return DATAFS_EXIT_FAIL;
	}
	ratio_print(&r);
	return 0;
}

/* The mount at @dir, or NULL after saying what is wrong. */
static const struct datafs_genl_mount *mount_at(const struct view *v,
						const char *dir)
{
	const struct datafs_genl_mount *found = NULL;
	const struct datafs_mountinfo *mi;
	char *path = realpath(dir, NULL);
	size_t i;

	if (!path) {
		warn("%s", dir);
		return NULL;
	}
	mi = datafs_mountinfo_at(v->infos, v->ninfos, path);
	free(path);
	if (!mi) {
		warnx("%s: no datafs is mounted there", dir);
		return NULL;
	}
	for (i = 0; i < v->nmounts; i++)
		if (belongs(mi, &v->mounts[i])) {
			if (found) {
				warnx("%s: %s is mounted several times, and /sys/fs/datafs does not tell which this is: use --instance",
				      dir, mi->source);
				return NULL;
			}
			found = &v->mounts[i];
		}
	if (!found)
		warnx("%s: the kernel does not list it (unmounted meanwhile?)", dir);
	return found;
}

/* Mounts that are wanted; then each of their daemons, once. */
static int stats_print(const struct view *v, const char *instance,
		       const struct datafs_genl_mount *only)
{
	const struct datafs_genl_mount *m;
	bool any = false;
	size_t i, j;
	int ret = 0;

	for (i = 0; i < v->nmounts; i++) {
		m = &v->mounts[i];
		if ((only && m != only) || (instance && strcmp(m->instance, instance)))
			continue;
		ret |= stats_mount(v, m);
		any = true;
	}
	if (only)
		return ret | stats_daemon(only->instance);
	if (instance)
		return ret | stats_daemon(instance);
	for (i = 0; i < v->nmounts; i++) {
		for (j = 0; j < i; j++)
			if (!strcmp(v->mounts[i].instance, v->mounts[j].instance))
				break;
		if (j == i)
			ret |= stats_daemon(v->mounts[i].instance);
	}
	if (!any)
		puts("# no mounts");
	return ret;
}

int datafs_report_stats(int argc, char **argv)
{
	const struct datafs_genl_mount *only = NULL;
	const char *instance = NULL;
	struct view v;
	int ret;

	if (argc == 3 && !strcmp(argv[1], "--instance")) {
		instance = argv[2];
	} else if (argc > 2 || (argc == 2 && *argv[1] == '-')) {
		warnx("usage: datafs stats [MOUNTPOINT | --instance NAME]");
		return DATAFS_EXIT_USAGE;
	}
	ret = view_open(&v);
	if (ret)
		return ret;
	if (argc == 2)
		only = mount_at(&v, argv[1]);
	if (argc == 2 && !only)
		ret = DATAFS_EXIT_FAIL;
	else
		ret = stats_print(&v, instance, only);
	view_close(&v);
	return ret;
}
