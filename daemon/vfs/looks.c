// SPDX-License-Identifier: Apache-2.0
/* Looks at names, several at a time; see looks.h. */
#define _GNU_SOURCE
#include "looks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

static int look_at(const struct vfs_looks *l, struct vfs_look *look)
{
	char *key;
	int err;

	if (asprintf(&key, "%s%s%s", l->key, *l->key ? "/" : "", look->name) < 0)
		return -ENOMEM;
	err = datafs_under_stat(l->u, key, &look->st);
	free(key);
	return err;
}

static void *look_on(void *arg)
{
	struct vfs_looks *l = arg;
	unsigned int i;

	while ((i = atomic_fetch_add(&l->next, 1)) < l->n)
		l->looks[i].err = look_at(l, &l->looks[i]);
	return NULL;
}

void vfs_looks_go(struct vfs_looks *l)
{
	unsigned int threads = 0, wanted = DATAFS_MIN(l->n, VFS_LOOKS_THREADS);
	pthread_t thread[VFS_LOOKS_THREADS];

	atomic_store(&l->next, 0);
	/* This thread is one of them, and without others does all. */
	while (threads + 1 < wanted && !pthread_create(&thread[threads], NULL, look_on, l))
		threads++;
	look_on(l);
	while (threads)
		pthread_join(thread[--threads], NULL);
}
