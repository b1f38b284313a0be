// SPDX-License-Identifier: Apache-2.0
#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"

#define OOM_SCORE_ADJ	"-900"

/* Where memory is short, the mounts' users shall go before the mounts. */
static void guard_from_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, OOM_SCORE_ADJ, strlen(OOM_SCORE_ADJ)) < 0)
		datafs_log(LOG_DEBUG, "oom_score_adj: %s", strerror(errno));
	close(fd);
}

/*
 * The soft limit is low for the sake of select(2), which nothing here uses.
 * Before any database is open: LevelDB takes its share of what it finds.
 */
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) ||
	    files.rlim_cur == files.rlim_max)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		datafs_log(LOG_WARNING, "RLIMIT_NOFILE: cannot raise the soft limit: %s",
			   strerror(errno));
}

void datafs_limits_set(void)
{
	guard_from_oom();
	raise_file_limit();
}
