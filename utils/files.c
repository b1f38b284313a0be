// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "files.h"

#include <err.h>
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon_client.h"
#include "daemon_many.h"

bool datafs_file_error(struct datafs_file *file, const char *key, const char *value)
{
	if (strcmp(key, "error"))
		return false;
	snprintf(file->error, sizeof(file->error), "%s", value);
	return true;
}

void datafs_file_line(void *arg, const char *key, const char *value)
{
	struct datafs_file *file = arg;
	const struct {
		const char *name;
		uint64_t *value;
	} numbers[] = {
		{ "size", &file->size },
		{ "cached", &file->cached },
		{ "staying", &file->staying },
		{ "leaving", &file->leaving },
	};

	if (datafs_file_error(file, key, value))
		return;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!strcmp(key, numbers[i].name))
			*numbers[i].value = strtoull(value, NULL, 10);
}

void datafs_file_fail(struct datafs_files *f, struct datafs_file *file, int err)
{
	if (file->failed)
		return;
	file->failed = true;
	f->failed++;
	warnx("%s: %s", file->path,
	      err == -ENOENT || err == -ECONNREFUSED ? "no daemon runs that serves it" :
	      err ? strerror(-err) : file->error);
}

const char *datafs_file_request(const struct datafs_files *f, const struct datafs_file *file,
				const char *word)
{
	static char request[100];

	snprintf(request, sizeof(request), "file %s %" PRIu32 " %" PRIu64, word, f->mount->id,
		 file->ino);
	return request;
}

/* ---------------------------------------------------------------- the walk */

static int compare(const void *a, const void *b)
{
	const uint64_t x = (uintptr_t)a, y = (uintptr_t)b;

	return x < y ? -1 : x > y;
}

/* Of a file with several names: was another of them here before? */
static bool seen(void **inodes, uint64_t ino)
{
	void *key = (void *)(uintptr_t)ino;

	if (tfind(key, inodes, compare))
		return true;
	/* Without memory it is there twice, which costs time and is not wrong. */
	tsearch(key, inodes, compare);
	return false;
}

static void keep(void *key)
{
	(void)key;
}

static int add(struct datafs_files *f, const char *path, uint64_t ino)
{
	struct datafs_file *more;

	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 64;

		more = reallocarray(f->list, room, sizeof(*more));
		if (!more)
			return -1;
		f->list = more;
		f->room = room;
	}
	f->list[f->n] = (struct datafs_file){ .path = strdup(path), .ino = ino };
	if (!f->list[f->n].path)
		return -1;
	f->n++;
	return 0;
}

static void trouble(struct datafs_files *f, const FTSENT *e, int err)
{
	warnx("%s: %s", e->fts_path, strerror(err));
	f->failed++;
}

/* 0: go on */
static int entry(struct datafs_files *f, const FTSENT *e, dev_t dev, void **inodes)
{
	switch (e->fts_info) {
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		trouble(f, e, e->fts_errno);
		return 0;
	case FTS_DC:
		trouble(f, e, ELOOP);
		return 0;
	case FTS_F:
		break;
	default:
		return 0;
	}
	if (!S_ISREG(e->fts_statp->st_mode) || e->fts_statp->st_dev != dev ||
	    (e->fts_statp->st_nlink > 1 && seen(inodes, e->fts_statp->st_ino)))
		return 0;
	return add(f, e->fts_path, e->fts_statp->st_ino);
}

static int walk(struct datafs_files *f, const char *path, const volatile int *stop)
{
	char *paths[2] = { (char *)path, NULL };
	void *inodes = NULL;
	struct stat st;
	FTSENT *e;
	FTS *fts;
	int ret = 0;

	if (lstat(path, &st)) {
		warn("%s", path);
		return -1;
	}
	if (S_ISLNK(st.st_mode)) {
		warnx("%s: is a symbolic link: name what it leads to", path);
		return -1;
	}
	fts = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	if (!fts) {
		warn("%s", path);
		return -1;
	}
	errno = 0;
	while (!ret && !*stop && (e = fts_read(fts))) {
		ret = entry(f, e, st.st_dev, &inodes);
		errno = ret ? ENOMEM : 0;
	}
	if (errno) {
		warn("%s", path);
		ret = -1;
	}
	fts_close(fts);
	tdestroy(inodes, keep);
	return ret;
}

/* --------------------------------------------------------- what is cached */

static void have_cached(void *arg, void *item, int err)
{
	struct datafs_files *f = arg;
	struct datafs_file *file = item;

	if (err || *file->error) {
		datafs_file_fail(f, file, err);
		return;
	}
	f->size += file->size;
	f->cached += file->cached;
}

int datafs_files_find(struct datafs_files *f, const struct datafs_genl_mount *mount,
		      const char *path, const volatile int *stop)
{
	struct datafs_many many = {
		.instance = mount->instance, .seconds = DATAFS_DAEMON_ASK_S,
		.line = datafs_file_line, .done = have_cached, .arg = f,
	};
	size_t i;

	memset(f, 0, sizeof(*f));
	f->mount = mount;
	if (walk(f, path, stop))
		return -1;
	for (i = 0; i < f->n && !*stop; i++)
		datafs_many_ask(&many, datafs_file_request(f, &f->list[i], "cached"), &f->list[i]);
	datafs_many_wait(&many);
	return 0;
}

void datafs_files_free(struct datafs_files *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		free(f->list[i].path);
	free(f->list);
}
