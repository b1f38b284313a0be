/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per event, to stderr. A terminal gets plain lines; anything
 * else (the journal, a pipe) gets them with the "<N>" priority of sd-daemon(3).
 */
#ifndef DATAFS_LOG_H
#define DATAFS_LOG_H

#include <stddef.h>
#include <syslog.h>	/* LOG_ERR ... LOG_DEBUG: the levels */

/* Any thread; may block on stderr; keeps errno. No newline at the end. */
void datafs_log(int level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The last line of LOG_ERR or worse, written or not, for who started us and does
 * not see the log: cut to @len - 1 bytes, "" if there was none. Any thread.
 */
void datafs_log_last_error(char *buf, size_t len);

/*
 * Lines begin with "@name: ", "datafsd: " unless told. Kept, not copied. Before
 * there are threads.
 */
void datafs_log_set_program(const char *name);

/* What is less urgent than @level is not written. LOG_INFO unless told. */
void datafs_log_set_level(int level);

/* The level of a name ("err", "warning", "info", "debug"...), or -EINVAL. */
int datafs_log_level_of(const char *name);

#endif
