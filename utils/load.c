// SPDX-License-Identifier: Apache-2.0
/* datafs load; see load.h. */
#define _GNU_SOURCE 1
#include "load.h"

#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_client.h"
#include "daemon_many.h"
#include "files.h"
#include "place.h"
#include "progress.h"
#include "report.h"

/* What one request is for: a chunk of the cache, which is one request to the store too. */
#define STEP	(4ull << 20)

static volatile int interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

struct loading {
	struct datafs_files files;
	struct datafs_progress progress;
	uint64_t fetched;
};

/* One request. */
struct step {
	struct datafs_file *file;
	uint64_t loaded, fetched;
};

static void have_line(void *arg, const char *key, const char *value)
{
	struct step *s = arg;

	if (datafs_file_error(s->file, key, value))
		return;
	if (!strcmp(key, "loaded"))
		s->loaded = strtoull(value, NULL, 10);
	else if (!strcmp(key, "fetched"))
		s->fetched = strtoull(value, NULL, 10);
}

static void have_step(void *arg, void *item, int err)
{
	struct loading *l = arg;
	struct step *s = item;

	if (err || *s->file->error) {
		datafs_file_fail(&l->files, s->file, err);
	} else {
		l->fetched += s->fetched;
		datafs_progress_add(&l->progress, s->fetched);
	}
	free(s);
}

static void tick(void *arg)
{
	struct loading *l = arg;

	datafs_progress_show(&l->progress);
}

static int load_file(struct loading *l, struct datafs_many *many, struct datafs_file *file)
{
	char request[128];
	struct step *s;

	for (uint64_t off = 0; off < file->size && !file->failed && !interrupted; off += STEP) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->file = file;
		snprintf(request, sizeof(request), "load %" PRIu32 " %" PRIu64 " %" PRIu64 " %llu",
			 l->files.mount->id, file->ino, off, STEP);
		datafs_many_ask(many, request, s);
	}
	return 0;
}

static void have_stat(void *arg, const char *key, const char *value)
{
	if (!strcmp(key, "cache_size"))
		*(uint64_t *)arg = strtoull(value, NULL, 10);
}

static void check_room(const struct datafs_files *f)
{
	uint64_t room = 0;

	datafs_daemon_ask(f->mount->instance, "stats", DATAFS_DAEMON_ASK_S, have_stat, &room);
	if (room && f->size > room)
		warnx("the cache has %" PRIu64 " bytes for %" PRIu64 ": what is loaded first will go again",
		      room, f->size);
}

static void print_result(const struct loading *l, bool dry)
{
	const struct datafs_files *f = &l->files;

	printf("files %zu\nbytes %" PRIu64 "\ncached %" PRIu64 "\n%s %" PRIu64 "\nfailed %zu\n",
	       f->n, f->size, f->cached, dry ? "missing" : "fetched",
	       dry ? f->size - f->cached : l->fetched, f->failed);
}

static int load(struct loading *l, bool dry)
{
	struct datafs_files *f = &l->files;
	struct datafs_many many = {
		.instance = f->mount->instance, .line = have_line, .done = have_step,
		.tick = tick, .arg = l,
	};
	int ret = 0;

	if (!dry && f->cached < f->size) {
		check_room(f);
		datafs_progress_begin(&l->progress, stderr, f->size - f->cached);
		for (size_t i = 0; !ret && !interrupted && i < f->n; i++)
			if (!f->list[i].failed && f->list[i].cached < f->list[i].size)
				ret = load_file(l, &many, &f->list[i]);
		datafs_many_wait(&many);
		datafs_progress_show(&l->progress);
		datafs_progress_end(&l->progress);
	}
	if (ret)
		warnx("out of memory");
	print_result(l, dry);
	if (interrupted) {
		warnx("interrupted; the same command goes on from there");
		return 128 + SIGINT;
	}
	return ret || f->failed ? DATAFS_EXIT_FAIL : 0;
}

int datafs_load_command(int argc, char **argv)
{
	/* The second time it ends at once. */
	const struct sigaction act = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
	const bool dry = argc > 1 && !strcmp(argv[1], "--dry-run");
	const struct datafs_genl_mount *mount;
	struct loading l = { 0 };
	struct datafs_places places;
	int ret = DATAFS_EXIT_FAIL;
	struct stat st;

	if (argc != 2 + dry || argv[1 + dry][0] == '-') {
		warnx("usage: datafs load [--dry-run] PATH");
		return DATAFS_EXIT_USAGE;
	}
	if (datafs_places_open(&places))
		return DATAFS_EXIT_FAIL;
	sigaction(SIGINT, &act, NULL);
	mount = datafs_place_of(&places, argv[1 + dry], &st);
	if (mount) {
		if (!datafs_files_find(&l.files, mount, argv[1 + dry], &interrupted))
			ret = load(&l, dry);
		datafs_files_free(&l.files);
	}
	datafs_places_close(&places);
	return ret;
}
