// SPDX-License-Identifier: Apache-2.0
/* Key files as an operator's tool makes and changes them; see keys.h. */
#define _GNU_SOURCE
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

int datafs_keys_new(struct datafs_keys *keys)
{
	int err;

	*keys = (struct datafs_keys) { .holder = DATAFS_ROLE_MEMBER, .n = 1,
				       .key = { { .id = 1 } } };
	err = datafs_random(keys->cluster, sizeof(keys->cluster));
	return err ? err : datafs_random(keys->key[0].key, DATAFS_HASH_LEN);
}

int datafs_keys_add(struct datafs_keys *keys)
{
	struct datafs_key key = { .id = keys->key[0].id + 1 };
	int err;

	if (keys->holder != DATAFS_ROLE_MEMBER)
		return -EACCES;
	if (keys->n == DATAFS_KEYS_MAX)
		return -ENOSPC;
	if (!key.id)
		return -ERANGE;
	err = datafs_random(key.key, DATAFS_HASH_LEN);
	if (err)
		return err;
	keys->key[1] = keys->key[0];
	keys->key[0] = key;
	keys->n = 2;
	datafs_wipe(&key, sizeof(key));
	return 0;
}

int datafs_keys_retire(struct datafs_keys *keys, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < keys->n && keys->key[i].id != id; i++)
		;
	if (i == keys->n)
		return -ENOENT;
	if (keys->n == 1)
		return -EBUSY;
	keys->key[0] = keys->key[!i];
	datafs_wipe(&keys->key[1], sizeof(keys->key[1]));
	keys->n = 1;
	return 0;
}

/* Of secrets nothing is left in a buffer of stdio. */
static char *put_hex(char *p, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*p++ = digits[bytes[i] >> 4];
		*p++ = digits[bytes[i] & 15];
	}
	return p;
}

static size_t format(const struct datafs_keys *keys, char *text)
{
	char holder[40] = "member", *p = text;

	if (keys->holder == DATAFS_ROLE_PEER)
		strcpy(holder, "peer");
	else if (keys->holder == DATAFS_ROLE_CLIENT)
		snprintf(holder, sizeof(holder), "client:%" PRIu64, keys->node);
	p += sprintf(p, "# cluster id holder key: whoever reads this file speaks for its holder\n");
	for (unsigned int i = 0; i < keys->n; i++) {
		p = put_hex(p, keys->cluster, sizeof(keys->cluster));
		p += sprintf(p, " %" PRIu32 " %s ", keys->key[i].id, holder);
		p = put_hex(p, keys->key[i].key, DATAFS_HASH_LEN);
		*p++ = '\n';
	}
	return p - text;
}

static int sync_dir_of(const char *path)
{
	char copy[PATH_MAX];
	int fd, err = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

int datafs_keys_store(const struct datafs_keys *keys, const char *path,
		      bool replace)
{
	char text[DATAFS_KEYS_FILE_MAX], tmp[PATH_MAX];
	size_t len;
	int fd, err = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	/* Mode 0600 from the beginning. */
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = format(keys, text);
	errno = EIO;	/* of a short write */
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) ||
	    (replace ? rename(tmp, path) : link(tmp, path)))
		err = -errno;
	close(fd);
	if (err || !replace)
		unlink(tmp);
	datafs_wipe(text, sizeof(text));
	return err ? err : sync_dir_of(path);
}
