// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "sim.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void sim_store_init(struct sim_store *st, struct sim *s, const char *dir)
{
	st->sim = s;
	snprintf(st->root, sizeof(st->root), "%s", dir);
	assert(!mkdir(st->root, 0700));
	st->disk = fault_env_new(st->root, sim_random(s));
	snprintf(st->snapshots, sizeof(st->snapshots), "%s.snapshots", st->root);
	assert(!mkdir(st->snapshots, 0700));
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
	char buf[8192];
	ssize_t n;

	assert(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert(write(out, buf, (size_t)n) == n);
	close(in);
	close(out);
}

void sim_copy_dir(const char *from_dir, const char *to_dir)
{
	char from[4800], to[4800];
	struct dirent *e;
	DIR *d;

	assert(!mkdir(to_dir, 0700));
	d = opendir(from_dir);
	assert(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(from, sizeof(from), "%s/%s", from_dir, e->d_name);
		snprintf(to, sizeof(to), "%s/%s", to_dir, e->d_name);
		copy_file(from, to);
	}
	closedir(d);
}
