// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "metad/raft_segment.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define FORMAT		8u
#define PREAMBLE	16u	/* both CRCs, and the number of entries */
#define PER_ENTRY	16u
#define SECTOR		512u

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t crc(const uint8_t *p, size_t len)
{
	/* isa-l inverts what goes in and what comes out */
	return ~crc32_ieee(UINT32_MAX, p, len);
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

/* Sectors are those of the file. */
static bool has_zero_sector(const uint8_t *buf, size_t from, size_t to)
{
	for (from = datafs_round_up(from, SECTOR); from + SECTOR <= to; from += SECTOR)
		if (is_zero(buf + from, SECTOR))
			return true;
	return false;
}

/* The batch at @at. False: the end, or libraft is to say what it is. *@next: behind it. */
static bool batch(const uint8_t *buf, size_t len, size_t at, size_t *data, uint64_t *next)
{
	uint64_t n;

	if (len - at < PREAMBLE)
		return false;
	n = le64(buf + at + 8);
	if (!n || n > (len - at - PREAMBLE) / PER_ENTRY)
		return false;
	*data = at + PREAMBLE + n * PER_ENTRY;
	if (le32(buf + at) != crc(buf + at + 8, *data - at - 8))
		return false;
	*next = *data;
	for (uint64_t i = 0; i < n; i++)
		*next += le32(buf + at + PREAMBLE + i * PER_ENTRY + 12);
	return true;
}

enum datafs_segment datafs_segment_check(const uint8_t *buf, size_t len, size_t *at)
{
	uint64_t next;
	size_t data;

	for (*at = FORMAT; *at < len && batch(buf, len, *at, &data, &next); *at = next) {
		if (next > len)
			return SEGMENT_CUT_OFF;
		if (le32(buf + *at + 4) == crc(buf + data, next - data))
			continue;
		return is_zero(buf + next, len - next) && has_zero_sector(buf, data, next) ?
		       SEGMENT_TORN : SEGMENT_SOUND;
	}
	return SEGMENT_SOUND;
}

static int read_all(int fd, uint8_t **buf, size_t *len)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		return -errno;
	*buf = malloc((size_t)st.st_size + 1);
	if (!*buf)
		return -ENOMEM;
	for (*len = 0; *len < (size_t)st.st_size; *len += (size_t)n) {
		n = pread(fd, *buf + *len, (size_t)st.st_size - *len, (off_t)*len);
		if (n <= 0)
			return n ? -errno : 0;
	}
	return 0;
}

/* The rest was all zeros but for that batch. */
static int make_zero(int fd, uint8_t *buf, size_t at, size_t len)
{
	ssize_t n;

	memset(buf + at, 0, len - at);
	for (; at < len; at += (size_t)n) {
		n = pwrite(fd, buf + at, len - at, (off_t)at);
		if (n < 0)
			return -errno;
	}
	return fsync(fd) ? -errno : 0;
}

static int mend(const char *dir, const char *name, int fd)
{
	uint8_t *buf = NULL;
	size_t len = 0, at;
	int err = read_all(fd, &buf, &len);

	if (!err)
		switch (datafs_segment_check(buf, len, &at)) {
		case SEGMENT_SOUND:
			break;
		case SEGMENT_CUT_OFF:
			datafs_log(LOG_ERR, "%s/%s is cut off at byte %zu, in a batch that begins at %zu: the log is damaged, and others count on it; replace this member by one with a new number",
				   dir, name, len, at);
			err = -EUCLEAN;
			break;
		case SEGMENT_TORN:
			datafs_log(LOG_WARNING, "%s/%s: what was being written from byte %zu on, when this machine stopped, is given up: it was not acknowledged",
				   dir, name, at);
			err = make_zero(fd, buf, at, len);
			break;
		}
	free(buf);
	return err;
}

int datafs_segments_mend(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int fd, err = 0;

	if (!d)
		return -errno;
	while (!err && (e = readdir(d))) {
		if (strncmp(e->d_name, "open-", 5))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		err = fd < 0 ? -errno : mend(dir, e->d_name, fd);
		if (fd >= 0)
			close(fd);
		if (err && err != -EUCLEAN)
			datafs_log(LOG_ERR, "%s/%s: %s", dir, e->d_name, strerror(-err));
	}
	closedir(d);
	return err;
}
