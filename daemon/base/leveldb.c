// SPDX-License-Identifier: Apache-2.0
#include "leveldb.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && !strcmp(s + len - n, end);
}

int datafs_leveldb_error(const char *said)
{
	static const char io[] = "IO error: ";
	/* A file that is named in the database and cannot be there. */
	static const int damage[] = { ENOENT, ENOTDIR, EISDIR, ENAMETOOLONG };
	static const int known[] = { ENOSPC, EDQUOT, EROFS, EACCES, EPERM,
				     EMFILE, ENFILE, ENOMEM, EXDEV };

	/* Corruption, or what does not fit this program. */
	if (strncmp(said, io, sizeof(io) - 1))
		return -EUCLEAN;
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++)
		if (ends_with(said, strerror(damage[i])))
			return -EUCLEAN;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (ends_with(said, strerror(known[i])))
			return -known[i];
	return -EIO;
}
