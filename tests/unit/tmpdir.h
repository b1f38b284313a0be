/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of a test's own, and its end. Include after _GNU_SOURCE. */
#ifndef DATAFS_TEST_TMPDIR_H
#define DATAFS_TEST_TMPDIR_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * In $TMPDIR, else below build/, which has direct I/O where a tmpfs has none.
 * An absolute path in @dir, or -1.
 */
static inline int tmpdir_make(char *dir, size_t len, const char *what)
{
	const char *base = getenv("TMPDIR");
	char *path;
	int n;

	if (!base)
		base = access("build", W_OK) ? "." : "build";
	path = realpath(base, NULL);
	if (!path)
		return -1;
	n = snprintf(dir, len, "%s/%s-XXXXXX", path, what);
	free(path);
	return n > 0 && (size_t)n < len && mkdtemp(dir) ? 0 : -1;
}

static inline int tmpdir_remove_one(const char *path, const struct stat *st,
				    int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* With all that is in it. */
static inline int tmpdir_remove(const char *dir)
{
	return nftw(dir, tmpdir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
