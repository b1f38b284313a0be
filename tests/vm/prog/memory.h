/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that look at how much memory is used, and by whom: the figures of
 * the kernel, and memory cgroups (v2, at /sys/fs/cgroup).
 */
#ifndef DATAFS_TEST_MEMORY_H
#define DATAFS_TEST_MEMORY_H

#include <fcntl.h>
#include <sys/stat.h>

#include "prog.h"

#define CGROUPS	"/sys/fs/cgroup"

/* 0 or an errno */
static inline int write_file(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		err = errno;
	close(fd);
	return err;
}

/*
 * The number in a column of the line that begins with @key, or of the first line
 * without a key. The key itself is column 0.
 */
static inline uint64_t number_in(const char *file, const char *key, int column)
{
	char line[1024], *word, *rest;
	FILE *f = fopen(file, "re");

	if (!f)
		die("%s: %m", file);
	while (fgets(line, sizeof(line), f)) {
		word = strtok_r(line, " \t\n", &rest);
		if (!word || (key && strcmp(word, key)))
			continue;
		while (word && column--)
			word = strtok_r(NULL, " \t\n", &rest);
		fclose(f);
		if (!word)
			die("%s: %s has no such column", file, key ?: "it");
		return strtoull(word, NULL, 10);
	}
	die("%s: no %s", file, key ?: "line");
}

/* Objects of a slab cache that are in use, and the bytes of one. */
static inline uint64_t slab_objects(const char *name)
{
	return number_in("/proc/slabinfo", name, 1);
}

static inline uint64_t slab_object_size(const char *name)
{
	return number_in("/proc/slabinfo", name, 3);
}

/* Bytes in slab caches, of the whole machine. */
static inline uint64_t slab_bytes(void)
{
	return number_in("/proc/meminfo", "Slab:", 1) << 10;
}

/* ----------------------------------------------------------------- cgroups */

static inline const char *cgroup_file(const char *name, const char *file)
{
	static char buf[200];

	snprintf(buf, sizeof(buf), CGROUPS "/%s/%s", name, file);
	return buf;
}

static inline uint64_t cgroup_number(const char *name, const char *file, const char *key)
{
	return number_in(cgroup_file(name, file), key, key ? 1 : 0);
}

static inline int cgroup_set(const char *name, const char *file, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return write_file(cgroup_file(name, file), text);
}

/* Does this kernel have cgroups of memory? */
static inline bool cgroups_there(void)
{
	return !write_file(CGROUPS "/cgroup.subtree_control", "+memory");
}

/* @max: bytes; 0: no limit */
static inline void cgroup_make(const char *name, uint64_t max)
{
	int err = 0;

	if (mkdir(cgroup_file(name, ""), 0755))
		err = errno;
	if (!err && max)
		err = cgroup_set(name, "memory.max", max);
	if (err)
		die("cgroup %s: %s", name, strerror(err));
}

/* Also with memory that is charged to it; it must have no process. */
static inline bool cgroup_remove(const char *name)
{
	return !rmdir(cgroup_file(name, ""));
}

static inline void cgroup_enter(const char *name)
{
	int err = write_file(cgroup_file(name, "cgroup.procs"), "0");

	if (err)
		die("cgroup %s: %s", name, strerror(err));
}

#endif
