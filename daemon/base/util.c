// SPDX-License-Identifier: Apache-2.0
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "datafs_put_be64 and its kin swap unconditionally");

int64_t datafs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * DATAFS_SEC + ts.tv_nsec;
}

int datafs_parse_size(const char *text, uint64_t *res)
{
	static const char units[] = "kmgtp";
	unsigned long long v;
	const char *unit;
	int shift = 0;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unit - units + 1);
	}
	if (v > (UINT64_MAX >> shift))
		return -ERANGE;
	*res = v << shift;
	return 0;
}

int datafs_mkdirs(const char *path, mode_t mode)
{
	char *copy = strdup(path);
	int ret = 0;
	char *p;

	if (!copy)
		return -ENOMEM;
	for (p = copy + 1; ; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (mkdir(copy, mode) && errno != EEXIST) {
			ret = -errno;
			break;
		}
		if (!c)
			break;
		*p = c;
	}
	free(copy);
	return ret;
}

ssize_t datafs_read_small(const char *path, char *buf, size_t len)
{
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	if (n < 0)
		n = -errno;
	else
		buf[n] = 0;
	close(fd);
	return n;
}

int datafs_write_small(const char *path, const char *text)
{
	size_t len = strlen(text);
	char tmp[4200];
	int fd, ret = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	errno = EIO;	/* of a short write */
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) ||
	    rename(tmp, path))
		ret = -errno;
	close(fd);
	if (ret)
		unlink(tmp);
	return ret;
}

int datafs_random(void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	while (len) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return 0;
}

void datafs_hex(const void *buf, size_t len, char *text)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		sprintf(text + 2 * i, "%02x", p[i]);
	text[2 * len] = '\0';
}

int datafs_unhex(const char *text, void *buf, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char *p = buf;

	for (size_t i = 0; i < 2 * len; i++) {
		const char *d = text[i] ? strchr(digits, text[i]) : NULL;

		if (!d)
			return -EINVAL;
		p[i / 2] = (unsigned char)(i % 2 ? p[i / 2] << 4 | (d - digits) :
						   d - digits);
	}
	return 0;
}
