// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "whole_file.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

#define NSIGNALS	(sizeof(signals) / sizeof(*signals))

static struct sigaction before[NSIGNALS];
static char temp[PATH_MAX];	/* the name it has for now, if it has one */

/* Its own action is the default again, and comes when this returns. */
static void remove_temp(int sig)
{
	unlink(temp);
	raise(sig);
}

static void catch_signals(void)
{
	const struct sigaction act = { .sa_handler = remove_temp, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < NSIGNALS; i++) {
		sigaction(signals[i], NULL, &before[i]);
		/* nohup(1) wants it to go on */
		if (before[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
}

static void release_signals(void)
{
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
}

/* The directory that @path is in, to be freed; NULL: no memory. */
static char *above(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

static int open_above(const char *path, int flags)
{
	char *dir = above(path);
	int fd = dir ? open(dir, flags | O_CLOEXEC, 0600) : -1;

	free(dir);
	return fd;
}

int datafs_whole_begin(struct datafs_whole *w, const char *path)
{
	int err;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp)) {
		warnx("%s: the name is too long", path);
		return -ENAMETOOLONG;
	}
	w->path = path;
	catch_signals();
	w->fd = open_above(path, O_TMPFILE | O_RDWR);
	w->named = w->fd < 0;
	if (w->named)
		w->fd = mkostemp(temp, O_CLOEXEC);
	if (w->fd >= 0)
		return 0;
	err = -errno;
	warn("%s", temp);
	release_signals();
	return err;
}

/* A name of its own first: link(2) replaces nothing. */
static int give_name(struct datafs_whole *w)
{
	char self[40];
	uint64_t random;

	if (w->named)
		return 0;
	if (datafs_random(&random, sizeof(random)))
		return -1;
	/* What mkostemp(3) would have put there. */
	snprintf(temp + strlen(w->path), sizeof(temp) - strlen(w->path), ".%06x",
		 (unsigned int)(random & 0xffffff));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", w->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, temp, AT_SYMLINK_FOLLOW))
		return -1;
	w->named = true;
	return 0;
}

int datafs_whole_commit(struct datafs_whole *w)
{
	int fd, err;

	if (fsync(w->fd) || give_name(w) || rename(temp, w->path)) {
		warn("%s", w->path);
		return -EIO;
	}
	w->named = false;
	fd = open_above(w->path, O_RDONLY | O_DIRECTORY);
	err = fd < 0 || fsync(fd);
	if (fd >= 0)
		close(fd);
	if (!err)
		return 0;
	warnx("%s: it is there, but may not outlast a loss of power: its directory cannot be synced",
	      w->path);
	return -EIO;
}

void datafs_whole_end(struct datafs_whole *w)
{
	if (w->named)
		unlink(temp);
	close(w->fd);
	release_signals();
}
