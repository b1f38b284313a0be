// SPDX-License-Identifier: Apache-2.0
#include "posix_fds.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX		64
#define IDLE_SECONDS	10

struct datafs_posix_fd {
	char *key;		/* NULL: the place is empty */
	struct datafs_fingerprint fp;
	int fd;
	uint32_t users;
	bool good;
	time_t used;
};

struct datafs_posix_fds {
	pthread_mutex_t lock;	/* all places, not what their users do */
	struct datafs_posix_fd place[FDS_MAX];
};

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

static void empty(struct datafs_posix_fd *f)
{
	close(f->fd);
	free(f->key);
	f->key = NULL;
}

struct datafs_posix_fds *datafs_posix_fds_new(void)
{
	struct datafs_posix_fds *t = calloc(1, sizeof(*t));

	if (t)
		pthread_mutex_init(&t->lock, NULL);
	return t;
}

void datafs_posix_fds_free(struct datafs_posix_fds *t)
{
	for (int i = 0; i < FDS_MAX; i++)
		if (t->place[i].key)
			empty(&t->place[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct datafs_posix_fd *datafs_posix_fd_get(struct datafs_posix_fds *t,
					    const char *key,
					    const struct datafs_fingerprint *fp)
{
	struct datafs_posix_fd *found = NULL;
	time_t old = now() - IDLE_SECONDS;

	pthread_mutex_lock(&t->lock);
	for (int i = 0; i < FDS_MAX; i++) {
		struct datafs_posix_fd *f = &t->place[i];

		if (!f->key)
			continue;
		if (!found && f->good && !memcmp(&f->fp, fp, sizeof(*fp)) &&
		    !strcmp(f->key, key)) {
			found = f;
			f->users++;
		} else if (!f->users && f->used < old) {
			empty(f);
		}
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

struct datafs_posix_fd *datafs_posix_fd_add(struct datafs_posix_fds *t,
					    const char *key,
					    const struct datafs_fingerprint *fp,
					    int fd)
{
	struct datafs_posix_fd *to = NULL;
	char *copy = strdup(key);

	if (!copy)
		return NULL;
	pthread_mutex_lock(&t->lock);
	for (int i = 0; i < FDS_MAX; i++) {
		struct datafs_posix_fd *f = &t->place[i];

		if (!f->key) {
			to = f;
			break;
		}
		if (!f->users && (!to || f->used < to->used))
			to = f;
	}
	if (to) {
		if (to->key)
			empty(to);
		*to = (struct datafs_posix_fd){
			.key = copy, .fp = *fp, .fd = fd, .users = 1,
			.good = true, .used = now(),
		};
	}
	pthread_mutex_unlock(&t->lock);
	if (!to)
		free(copy);
	return to;
}

void datafs_posix_fd_put(struct datafs_posix_fds *t, struct datafs_posix_fd *f,
			 bool good)
{
	pthread_mutex_lock(&t->lock);
	f->good = f->good && good;
	f->used = now();
	if (!--f->users && !f->good)
		empty(f);
	pthread_mutex_unlock(&t->lock);
}

int datafs_posix_fd_nr(const struct datafs_posix_fd *f)
{
	return f->fd;
}
