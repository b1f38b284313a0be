// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "under_fixture.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "tmpdir.h"

char dir[4096];
int dfd;
struct datafs_under *u;

int under_setup(void **state)
{
	(void)state;
	if (tmpdir_make(dir, sizeof(dir), "under"))
		return -1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY);
	return datafs_under_open(dir, NULL, &u);
}

int under_teardown(void **state)
{
	(void)state;
	datafs_under_close(u);
	u = NULL;
	close(dfd);
	return tmpdir_remove(dir);
}

void put(const char *name, const char *text)
{
	int fd = openat(dfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	ssize_t n = strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

struct datafs_under_stat look(const char *key)
{
	struct datafs_under_stat st;

	assert_int_equal(datafs_under_stat(u, key, &st), 0);
	return st;
}

bool same(const struct datafs_under_stat *a,
	  const struct datafs_under_stat *b)
{
	return !memcmp(&a->fp, &b->fp, sizeof(a->fp));
}

ssize_t rd(const char *key, const struct datafs_under_stat *st,
	   uint64_t off, char *buf, size_t len)
{
	return datafs_under_read(u, key, &st->fp, off, buf, len);
}

void a_tick(void)
{
	nanosleep(&(struct timespec){ 0, 25000000 }, NULL);
}
