// SPDX-License-Identifier: Apache-2.0
/* The table of under-stores, and what is the same for all of them. */
#include "under.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "under_table.h"

static const struct datafs_under_ops *const under_table[] = {
	&datafs_under_posix,
};

int datafs_under_open(const char *source, struct datafs_under **res)
{
	const char *end = strstr(source, "://");
	size_t len = end ? (size_t)(end - source) : 0;

	if (!end)
		return datafs_under_posix.open(source, res);
	for (size_t i = 0; i < sizeof(under_table) / sizeof(under_table[0]);
	     i++) {
		const struct datafs_under_ops *ops = under_table[i];

		if (strlen(ops->scheme) == len &&
		    !memcmp(ops->scheme, source, len))
			return ops->open(source, res);
	}
	datafs_log(LOG_ERR, "source %.*s://...: no such kind of store; an absolute path or posix:///PATH is known",
		   (int)len, source);
	return -EPROTONOSUPPORT;
}

void datafs_under_close(struct datafs_under *u)
{
	if (u)
		u->ops->close(u);
}

/*
 * Local filesystems stamp with the clock of the last timer tick, up to 10 ms
 * ago: two changes within one tick have one ctime, and the second may come
 * after the look. 20 ms covers a tick and the tick's own lateness. Where both
 * stamps have no fraction, the filesystem counts (two) seconds. A stamp from
 * the future says that clocks differ, and nothing else.
 */
bool datafs_under_young(const struct datafs_under_stat *st)
{
	bool coarse = !st->ctime.tv_nsec && !st->mtime.tv_nsec;
	int64_t grain = coarse ? 2000000000 : 20000000;
	int64_t sec = (int64_t)st->seen.tv_sec - st->ctime.tv_sec;

	if (sec > 3)
		return false;
	if (sec < 0)
		return true;
	return sec * 1000000000 + st->seen.tv_nsec - st->ctime.tv_nsec < grain;
}
