// SPDX-License-Identifier: Apache-2.0
#include "frontend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* The files stay: to remove one that another has open would make it two. */
static int open_lock(const char *dir, const char *name, const char *suffix)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, name, suffix);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		return fd;
	fd = -errno;
	datafs_log(LOG_ERR, "%s: %s", path, strerror(-fd));
	return fd;
}

int datafs_life_begin(struct datafs_life *life, const char *dir,
		      const char *name)
{
	int err;

	/* The umask is the daemon's, who keeps others out; this they may see. */
	if (!mkdir(dir, 0755)) {
		chmod(dir, 0755);
	} else if (errno != EEXIST) {
		err = -errno;
		datafs_log(LOG_ERR, "%s: %s", dir, strerror(-err));
		return err;
	}
	life->daemon = open_lock(dir, name, "daemon");
	if (life->daemon < 0)
		return life->daemon;
	if (flock(life->daemon, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (err == -EBUSY)
			datafs_log(LOG_ERR, "second daemon of the same name: \"%s\" has one already",
				   name);
		else
			datafs_log(LOG_ERR, "%s/%s.daemon: %s", dir, name,
				   strerror(-err));
		close(life->daemon);
		return err;
	}
	life->lock = open_lock(dir, name, "lock");
	if (life->lock < 0) {
		close(life->daemon);
		return life->lock;
	}
	return 0;
}

/* Of an attribute file: is it this word? */
static bool says(const char *dir, const char *mount, const char *attr,
		 const char *word)
{
	char path[PATH_MAX], text[DATAFS_INSTANCE_MAX + 2];

	snprintf(path, sizeof(path), "%s/%s/%s", dir, mount, attr);
	if (datafs_read_small(path, text, sizeof(text)) < 0)
		return false;
	text[strcspn(text, "\n")] = 0;
	return !strcmp(text, word);
}

bool datafs_life_missed(const char *sysfs, const char *name)
{
	DIR *dir = opendir(sysfs);
	struct dirent *de;
	bool missed = false;

	while (dir && !missed && (de = readdir(dir)))
		missed = says(sysfs, de->d_name, "instance", name) &&
			 !says(sysfs, de->d_name, "state", "LIVE");
	if (dir)
		closedir(dir);
	return missed;
}

bool datafs_life_may_end(struct datafs_life *life)
{
	return !flock(life->lock, LOCK_EX | LOCK_NB);
}

void datafs_life_end(struct datafs_life *life)
{
	/* In this order: who gets the second may start a daemon at once. */
	close(life->daemon);
	close(life->lock);
}
