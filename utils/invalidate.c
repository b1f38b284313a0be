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

#include "daemon_client.h"
#include "place.h"
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
	const struct datafs_genl_mount *m;
	struct datafs_places places;
	int i, status = 0;
	struct stat st;

	if (argc < 2 + all || argv[1 + all][0] == '-') {
		warnx("usage: datafs invalidate [--all] PATH...");
		return DATAFS_EXIT_USAGE;
	}
	if (datafs_places_open(&places))
		return DATAFS_EXIT_FAIL;
	for (i = 1 + all; i < argc; i++) {
		m = datafs_place_of(&places, argv[i], &st);
		if (!m || tell_daemon(m, argv[i], all ? 0 : st.st_ino))
			status = DATAFS_EXIT_FAIL;
	}
	datafs_places_close(&places);
	return status;
}
