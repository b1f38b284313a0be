// SPDX-License-Identifier: Apache-2.0
/* datafs du and datafs stat; see load.h. */
#define _GNU_SOURCE 1
#include "load.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/word.h"
#include "daemon_client.h"
#include "files.h"
#include "place.h"
#include "report.h"

#define NAME_WIDTH	10

static const int never;

static int du_path(const struct datafs_places *places, const char *path)
{
	const struct datafs_genl_mount *mount;
	struct datafs_files f;
	struct stat st;
	int ret;

	mount = datafs_place_of(places, path, &st);
	if (!mount)
		return DATAFS_EXIT_FAIL;
	ret = datafs_files_find(&f, mount, path, &never);
	if (!ret) {
		printf("%" PRIu64 " %" PRIu64 " %zu ", f.cached, f.size, f.n);
		datafs_word_puts(stdout, path);
		putchar('\n');
	}
	ret = ret || f.failed ? DATAFS_EXIT_FAIL : 0;
	datafs_files_free(&f);
	return ret;
}

int datafs_du_command(int argc, char **argv)
{
	struct datafs_places places;
	int i, ret = 0;

	if (argc > 1 && argv[1][0] == '-') {
		warnx("usage: datafs du [PATH...]");
		return DATAFS_EXIT_USAGE;
	}
	if (datafs_places_open(&places))
		return DATAFS_EXIT_FAIL;
	puts("# CACHED SIZE FILES PATH");
	if (argc == 1)
		ret = du_path(&places, ".");
	for (i = 1; i < argc; i++)
		ret |= du_path(&places, argv[i]);
	datafs_places_close(&places);
	return ret;
}

/* ------------------------------------------------------------------ stat */

struct where {
	uint64_t next;		/* where the last run ends; 0: there was none */
	char error[64];
};

static void print_line(void *arg, const char *key, const char *value)
{
	struct where *w = arg;

	if (!strcmp(key, "error"))
		snprintf(w->error, sizeof(w->error), "%s", value);
	else
		printf("%-*s %s\n", NAME_WIDTH, key, value);
}

static void print_run(void *arg, const char *key, const char *value)
{
	unsigned long long off, len, at;
	struct where *w = arg;
	unsigned int slab;

	if (strcmp(key, "run") || sscanf(value, "%llu %llu %u %llu", &off, &len, &slab, &at) != 4)
		return;
	printf("%-*s %llu %llu slabs/%06u %llu\n", NAME_WIDTH, key, off, len, slab, at);
	w->next = off + len;
}

static int ask_daemon(const struct datafs_genl_mount *m, const char *word, const char *path,
		      const struct stat *st, const char *more, datafs_daemon_line_fn fn,
		      struct where *w)
{
	char request[128];
	int ret;

	snprintf(request, sizeof(request), "file %s %" PRIu32 " %" PRIu64 "%s", word, m->id,
		 (uint64_t)st->st_ino, more);
	ret = datafs_daemon_ask(m->instance, request, DATAFS_DAEMON_ASK_S, fn, w);
	if (!ret && !*w->error)
		return 0;
	fflush(stdout);
	warnx("%s: the daemon of %s: %s", path, m->instance, ret ? strerror(-ret) : w->error);
	return DATAFS_EXIT_FAIL;
}

static int stat_path(const struct datafs_places *places, const char *path)
{
	const struct datafs_genl_mount *mount;
	struct where w = { 0 };
	char more[32] = " 0";
	struct stat st;

	mount = datafs_place_of(places, path, &st);
	if (!mount)
		return DATAFS_EXIT_FAIL;
	if (!S_ISREG(st.st_mode)) {
		warnx("%s: is not a regular file, which alone have bytes in the cache", path);
		return DATAFS_EXIT_FAIL;
	}
	printf("%-*s ", NAME_WIDTH, "path");
	datafs_word_puts(stdout, path);
	printf("\n%-*s %" PRIu32 "\n%-*s %s\n%-*s %" PRIu64 "\n", NAME_WIDTH, "mount", mount->id,
	       NAME_WIDTH, "instance", mount->instance, NAME_WIDTH, "inode",
	       (uint64_t)st.st_ino);
	if (ask_daemon(mount, "cached", path, &st, "", print_line, &w))
		return DATAFS_EXIT_FAIL;
	do {
		w.next = 0;
		if (ask_daemon(mount, "where", path, &st, more, print_run, &w))
			return DATAFS_EXIT_FAIL;
		snprintf(more, sizeof(more), " %" PRIu64, w.next);
	} while (w.next);
	return 0;
}

int datafs_stat_command(int argc, char **argv)
{
	struct datafs_places places;
	int i, ret = 0;

	if (argc < 2 || argv[1][0] == '-') {
		warnx("usage: datafs stat PATH...");
		return DATAFS_EXIT_USAGE;
	}
	if (datafs_places_open(&places))
		return DATAFS_EXIT_FAIL;
	for (i = 1; i < argc; i++)
		ret |= stat_path(&places, argv[i]);
	datafs_places_close(&places);
	return ret;
}
