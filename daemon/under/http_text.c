// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "http_text.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* ---- text that grows ---- */

/* Room for @more bytes and a NUL. */
static bool text_grow(struct datafs_text *t, size_t more)
{
	size_t room = t->len + more + 1;
	char *s;

	if (t->failed)
		return false;
	if (room <= t->room)
		return true;
	room = DATAFS_MAX(room, DATAFS_MAX(t->room * 2, 128));
	s = realloc(t->s, room);
	if (!s) {
		t->failed = true;
		return false;
	}
	t->s = s;
	t->room = room;
	return true;
}

void datafs_text_add(struct datafs_text *t, const void *p, size_t len)
{
	if (!text_grow(t, len))
		return;
	if (len)
		memcpy(t->s + t->len, p, len);
	t->len += len;
	t->s[t->len] = 0;
}

void datafs_text_puts(struct datafs_text *t, const char *s)
{
	datafs_text_add(t, s, strlen(s));
}

void datafs_text_printf(struct datafs_text *t, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	datafs_text_add(t, s, n);
	free(s);
}

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.' || c == '~';
}

void datafs_text_percent(struct datafs_text *t, const char *s, bool slash)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = *s;
		char coded[3] = { '%', digits[c >> 4], digits[c & 15] };

		if (is_plain(c) || (slash && c == '/'))
			datafs_text_add(t, s, 1);
		else
			datafs_text_add(t, coded, 3);
	}
}

void datafs_text_free(struct datafs_text *t)
{
	free(t->s);
	memset(t, 0, sizeof(*t));
}

bool datafs_text_is_utf8(const char *s)
{
	while (*s) {
		unsigned char c = *s++;
		int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 :
			   c >= 0xf0 && c < 0xf5 ? 3 : -1;
		unsigned char next = *s;

		if (more < 0 || (c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) ||
		    (c == 0xf0 && next < 0x90) || (c == 0xf4 && next > 0x8f))
			return false;
		for (; more; more--, s++)
			if ((*s & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long datafs_http_unescape(char *s, bool plus)
{
	char *to = s;

	for (const char *from = s; *from; from++, to++) {
		if (*from == '+' && plus) {
			*to = ' ';
		} else if (*from == '%') {
			int high = hex_of(from[1]), low = high < 0 ? -1 : hex_of(from[2]);

			if (low < 0 || !(high | low))
				return -EINVAL;
			*to = high << 4 | low;
			from += 2;
		} else {
			*to = *from;
		}
	}
	*to = 0;
	return to - s;
}

/* ---- dates ---- */

int datafs_http_date(const char *s, struct timespec *res)
{
	time_t t = curl_getdate(s, NULL);

	if (t == -1)
		return -EINVAL;
	*res = (struct timespec){ .tv_sec = t };
	return 0;
}

/* @n digits, and what must follow them (0: nothing is looked at). */
static const char *digits_of(const char *s, int n, char then, int *res)
{
	if (!s)
		return NULL;
	for (*res = 0; n; n--, s++) {
		if (!isdigit((unsigned char)*s))
			return NULL;
		*res = *res * 10 + (*s - '0');
	}
	if (!then)
		return s;
	return *s == then ? s + 1 : NULL;
}

int datafs_iso_date(const char *s, struct timespec *res)
{
	long ns = 0, unit = 100000000;
	struct tm tm = { 0 };

	s = digits_of(s, 4, '-', &tm.tm_year);
	s = digits_of(s, 2, '-', &tm.tm_mon);
	s = digits_of(s, 2, 'T', &tm.tm_mday);
	s = digits_of(s, 2, ':', &tm.tm_hour);
	s = digits_of(s, 2, ':', &tm.tm_min);
	s = digits_of(s, 2, 0, &tm.tm_sec);
	if (!s || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	if (*s == '.') {
		for (s++; isdigit((unsigned char)*s); s++, unit /= 10)
			ns += (*s - '0') * unit;
	}
	if (strcmp(s, "Z") && strcmp(s, "+00:00"))
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*res = (struct timespec){ .tv_sec = timegm(&tm), .tv_nsec = ns };
	return 0;
}

/* ---- numbers, ranges, tags ---- */

/* Digits; what follows them, or NULL. */
static const char *number_of(const char *s, int64_t *res)
{
	int64_t n = 0;

	if (!isdigit((unsigned char)*s))
		return NULL;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			return NULL;
	*res = n;
	return s;
}

int datafs_http_number(const char *s, int64_t *res)
{
	s = number_of(s, res);
	return s && !*s ? 0 : -EINVAL;
}

int datafs_http_range(const char *s, int64_t *first, int64_t *last, int64_t *total)
{
	if (strncasecmp(s, "bytes ", 6))
		return -EINVAL;
	s += 6;
	*first = *last = *total = -1;
	if (*s == '*') {
		s++;
	} else {
		s = number_of(s, first);
		s = s && *s == '-' ? number_of(s + 1, last) : NULL;
		if (!s || *last < *first)
			return -EINVAL;
	}
	if (*s != '/')
		return -EINVAL;
	if (strcmp(++s, "*") && datafs_http_number(s, total))
		return -EINVAL;
	if (*first < 0 ? *total < 0 : *total >= 0 && *last >= *total)
		return -EINVAL;
	return 0;
}

int datafs_http_retry_after(const char *s, time_t now, int64_t *res)
{
	struct timespec at;
	int64_t n;

	if (!datafs_http_number(s, &n)) {
		*res = n > INT32_MAX ? INT32_MAX * 1000ll : n * 1000;
		return 0;
	}
	if (datafs_http_date(s, &at))
		return -EINVAL;
	n = at.tv_sec > now ? at.tv_sec - now : 0;
	*res = (n > INT32_MAX ? INT32_MAX : n) * 1000;
	return 0;
}

int datafs_http_etag(const char *s, const char **tag, size_t *len)
{
	size_t n = strlen(s);

	if (!strncmp(s, "W/", 2))
		return -EINVAL;
	if (*s == '"') {
		if (n < 3 || s[n - 1] != '"')
			return -EINVAL;
		s++;
		n -= 2;
	}
	for (size_t i = 0; i < n; i++)
		if (s[i] == '"' || (unsigned char)s[i] < ' ')
			return -EINVAL;
	*tag = s;
	*len = n;
	return n ? 0 : -EINVAL;
}
