// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int log_max = LOG_INFO;
static const char *log_program = "datafsd";

static const struct {
	const char *name;
	int level;
} log_names[] = {
	{ "emerg", LOG_EMERG },	    { "alert", LOG_ALERT },
	{ "crit", LOG_CRIT },	    { "err", LOG_ERR },
	{ "error", LOG_ERR },	    { "warning", LOG_WARNING },
	{ "warn", LOG_WARNING },    { "notice", LOG_NOTICE },
	{ "info", LOG_INFO },	    { "debug", LOG_DEBUG },
};

int datafs_log_level_of(const char *name)
{
	for (size_t i = 0; i < sizeof(log_names) / sizeof(log_names[0]); i++)
		if (!strcmp(log_names[i].name, name))
			return log_names[i].level;
	return -EINVAL;
}

void datafs_log_set_level(int level)
{
	atomic_store_explicit(&log_max, level, memory_order_relaxed);
}

void datafs_log_set_program(const char *name)
{
	log_program = name;
}

static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_error[512];	/* last_lock */

void datafs_log_last_error(char *buf, size_t len)
{
	pthread_mutex_lock(&last_lock);
	snprintf(buf, len, "%s", last_error);
	pthread_mutex_unlock(&last_lock);
}

void datafs_log(int level, const char *fmt, ...)
{
	int saved = errno;
	char line[2048];
	size_t room = sizeof(line) - 1; /* for the newline */
	int n = 0, m, text;
	va_list ap;
	ssize_t res;
	bool hidden = level > atomic_load_explicit(&log_max,
						   memory_order_relaxed);

	if (hidden && level > LOG_ERR)
		return;
	if (!isatty(STDERR_FILENO))
		n = snprintf(line, room, "<%d>", level);
	n += snprintf(line + n, room - n, "%s: ", log_program);
	text = n;
	va_start(ap, fmt);
	m = vsnprintf(line + n, room - n, fmt, ap);
	va_end(ap);
	if (m > 0)
		n = (size_t)m < room - n ? n + m : (int)room - 1;
	/* A name in a message must not be able to forge a second line. */
	for (char *p = line; p < line + n; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	if (level <= LOG_ERR) {
		pthread_mutex_lock(&last_lock);
		snprintf(last_error, sizeof(last_error), "%.*s",
			 n - text, line + text);
		pthread_mutex_unlock(&last_lock);
	}
	line[n++] = '\n';
	/* One write, so that lines of several threads do not mix. */
	res = hidden ? 0 : write(STDERR_FILENO, line, n);
	(void)res; /* nowhere is left to say that the log is gone */
	errno = saved;
}
