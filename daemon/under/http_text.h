/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP spells: encoded names, dates, ranges, tags. No state; nothing blocks. */
#ifndef DATAFS_HTTP_TEXT_H
#define DATAFS_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Text that grows; zeros at the beginning. After a failure it stays as it is, and says so. */
struct datafs_text {
	char *s;	/* NULL or NUL-terminated; the owner frees it */
	size_t len, room;
	bool failed;	/* there was no memory */
};

void datafs_text_add(struct datafs_text *t, const void *p, size_t len);
void datafs_text_puts(struct datafs_text *t, const char *s);
void datafs_text_printf(struct datafs_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* With all but letters, digits and "-_.~" as %XX; with @slash '/' stays too. */
void datafs_text_percent(struct datafs_text *t, const char *s, bool slash);
void datafs_text_free(struct datafs_text *t);
/* As RFC 3629 has it: no surrogates, nothing longer than it need be, nothing beyond U+10FFFF. */
bool datafs_text_is_utf8(const char *s);

/* %XX back, in place; the length. -EINVAL: half of one, or a NUL. @plus: '+' is a space. */
long datafs_http_unescape(char *s, bool plus);

/* The date of HTTP, in any of its forms, or of ISO 8601 as XML has it, in UTC. -EINVAL. */
int datafs_http_date(const char *s, struct timespec *res);
int datafs_iso_date(const char *s, struct timespec *res);

/*
 * "bytes FIRST-LAST/TOTAL", each; "*" of the total is -1; of "bytes * / TOTAL" (without the
 * blanks) first and last are -1. -EINVAL.
 */
int datafs_http_range(const char *s, int64_t *first, int64_t *last, int64_t *total);
/* A number without sign, as Content-Length has it. -EINVAL. */
int datafs_http_number(const char *s, int64_t *res);
/* Retry-After: milliseconds, of seconds or of a date, never less than 0. -EINVAL. */
int datafs_http_retry_after(const char *s, time_t now, int64_t *res);

/*
 * What is between the quotes of a strong ETag (or, as some servers send it, all of one
 * without quotes). -EINVAL of a weak one (W/), of an empty one, and of what is none.
 */
int datafs_http_etag(const char *s, const char **tag, size_t *len);

#endif
