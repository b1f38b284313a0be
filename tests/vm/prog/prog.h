/* SPDX-License-Identifier: Apache-2.0 */
/* What the test programs of this directory share. */
#ifndef DATAFS_TEST_PROG_H
#define DATAFS_TEST_PROG_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NORETURN __attribute__((noreturn))
#define PRINTF(a, b) __attribute__((format(printf, a, b)))

static inline NORETURN PRINTF(1, 2) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

/* A line of the test's report; counts what failed. */
static int failures;

static inline __attribute__((unused)) PRINTF(2, 3)
bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("%s - ", good ? "ok" : "not ok");
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	failures += !good;
	return good;
}

/* splitmix64: the whole sequence follows from the seed that is printed. */
static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t rnd(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ull;
	return mix(*state);
}

static inline uint64_t parse_size(const char *s)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (*end == 'k')
		v <<= 10, end++;
	else if (*end == 'm')
		v <<= 20, end++;
	else if (*end == 'g')
		v <<= 30, end++;
	if (errno || end == s || *end)
		die("not a size: %s", s);
	return v;
}

/* The seed given, or a new one; printed either way, to be given back. */
static inline uint64_t parse_seed(const char *s)
{
	struct timespec ts;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &ts);
	seed = s ? strtoull(s, NULL, 0) :
	       mix((uint64_t)ts.tv_nsec ^ (uint64_t)ts.tv_sec << 32) >> 32;
	printf("# seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

#endif
