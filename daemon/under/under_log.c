// SPDX-License-Identifier: Apache-2.0
/* The log lines of stores. */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "under_ops.h"

#define LOG_ROOM	2048	/* what datafs_log() writes at the most */

void datafs_under_log(const struct datafs_under_opts *o, int level, const char *fmt, ...)
{
	char line[LOG_ROOM];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	datafs_log(level, "%s%s%s", o->mount ?: "", o->mount ? ": " : "", line);
}
