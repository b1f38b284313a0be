// SPDX-License-Identifier: Apache-2.0
/* datafs free; see load.h. */
#define _GNU_SOURCE 1
#include "load.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon_client.h"
#include "daemon_many.h"
#include "files.h"
#include "place.h"
#include "report.h"

/* Files at one time. */
#define WINDOW		64
#define AGAIN_MS	5
/* For so long a file may be in use, or the kernel not let go of it. */
#define PATIENCE_MS	30000

struct freeing {
	struct datafs_files files;
	uint64_t freed;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Pages that were read of it. Those that are mapped or read just now stay. */
static void drop_pages(const struct datafs_file *file)
{
	int fd = open(file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && st.st_ino == file->ino)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void have_answer(void *arg, void *item, int err)
{
	struct freeing *fr = arg;
	struct datafs_file *file = item;

	if (err || *file->error)
		datafs_file_fail(&fr->files, file, err);
}

struct window {
	struct datafs_file *file;
	int64_t deadline;
};

/* Is there nothing more to do for it? */
static bool settled(struct freeing *fr, struct window *w)
{
	struct datafs_file *file = w->file;

	if (file->failed)
		return true;
	if (!file->staying && !file->leaving) {
		drop_pages(file);
		fr->freed += file->cached;
		return true;
	}
	if (now_ms() < w->deadline)
		return false;
	snprintf(file->error, sizeof(file->error), "in use: %" PRIu64 " bytes stay",
		 file->staying + file->leaving);
	datafs_file_fail(&fr->files, file, 0);
	return true;
}

static void free_files(struct freeing *fr)
{
	const struct timespec again = { .tv_nsec = AGAIN_MS * 1000000 };
	struct datafs_files *f = &fr->files;
	struct datafs_many many = {
		.instance = f->mount->instance, .seconds = DATAFS_DAEMON_ASK_S,
		.line = datafs_file_line, .done = have_answer, .arg = fr,
	};
	struct window w[WINDOW];
	size_t next = 0, n = 0, i;

	while (n || next < f->n) {
		for (; n < WINDOW && next < f->n; next++) {
			struct datafs_file *file = &f->list[next];

			/* Begun with "free" like one that was in use. */
			if (file->failed || !file->cached)
				continue;
			file->staying = file->cached;
			w[n++] = (struct window){ file, now_ms() + PATIENCE_MS };
		}
		for (i = 0; i < n; i++)
			datafs_many_ask(&many,
					datafs_file_request(f, w[i].file,
							    w[i].file->staying ? "free" :
										 "leaving"),
					w[i].file);
		datafs_many_wait(&many);
		for (i = 0; i < n;)
			if (settled(fr, &w[i]))
				w[i] = w[--n];
			else
				i++;
		if (n)
			nanosleep(&again, NULL);
	}
}

int datafs_free_command(int argc, char **argv)
{
	const struct datafs_genl_mount *mount;
	static const int never;
	struct freeing fr = { 0 };
	struct datafs_places places;
	int ret = DATAFS_EXIT_FAIL;
	struct stat st;

	if (argc != 2 || argv[1][0] == '-') {
		warnx("usage: datafs free PATH");
		return DATAFS_EXIT_USAGE;
	}
	if (datafs_places_open(&places))
		return DATAFS_EXIT_FAIL;
	mount = datafs_place_of(&places, argv[1], &st);
	if (mount) {
		if (!datafs_files_find(&fr.files, mount, argv[1], &never)) {
			free_files(&fr);
			printf("files %zu\nfreed %" PRIu64 "\nfailed %zu\n", fr.files.n, fr.freed,
			       fr.files.failed);
			ret = fr.files.failed ? DATAFS_EXIT_FAIL : 0;
		}
		datafs_files_free(&fr.files);
	}
	datafs_places_close(&places);
	return ret;
}
