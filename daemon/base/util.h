/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that several rooms need. No state, no locks. */
#ifndef DATAFS_UTIL_H
#define DATAFS_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DATAFS_MSEC	1000000ll	/* nanoseconds */
#define DATAFS_SEC	1000000000ll

/* CLOCK_BOOTTIME in nanoseconds: goes on while the machine is suspended. */
int64_t datafs_now(void);

/* "4096", "64k", "10G", "1T" (powers of 1024). -EINVAL, -ERANGE. */
int datafs_parse_size(const char *text, uint64_t *res);

/* Makes a directory and what is missing above it, mode @mode. */
int datafs_mkdirs(const char *path, mode_t mode);

/* Up to @len - 1 bytes of a small file, NUL-terminated; bytes read or error. */
ssize_t datafs_read_small(const char *path, char *buf, size_t len);

/* Replaces a small file as a whole, durably. 0 or a negative errno. */
int datafs_write_small(const char *path, const char *text);

/* All of @buf, in as many reads as it takes. 0 or a negative errno. */
int datafs_random(void *buf, size_t len);

/* Two digits a byte, and a NUL. */
void datafs_hex(const void *buf, size_t len, char *text);
/* The first 2 * @len digits of @text. -EINVAL. */
int datafs_unhex(const char *text, void *buf, size_t len);

static inline void datafs_put_be64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	__builtin_memcpy(p, &v, 8);
}

static inline uint64_t datafs_get_be64(const void *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

static inline void datafs_put_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	__builtin_memcpy(p, &v, 4);
}

static inline uint32_t datafs_get_be32(const void *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline void datafs_put_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	__builtin_memcpy(p, &v, 2);
}

static inline uint16_t datafs_get_be16(const void *p)
{
	uint16_t v;

	__builtin_memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint64_t datafs_round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

static inline uint64_t datafs_round_down(uint64_t v, uint64_t to)
{
	return v / to * to;
}

#define DATAFS_MIN(a, b) ((a) < (b) ? (a) : (b))
#define DATAFS_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
