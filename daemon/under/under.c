// SPDX-License-Identifier: Apache-2.0
/* The table of under-stores, and what is the same for all of them. */
#include "under.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/util.h"
#include "datafs_abi.h"
#include "under_ops.h"

static const struct {
	const char *scheme;
	const struct datafs_under_ops *ops;
} under_table[] = {
	{ "posix", &datafs_under_posix },
	{ "s3", &datafs_under_s3 },
	{ "http", &datafs_under_http },
	{ "https", &datafs_under_http },
	{ "webhdfs", &datafs_under_webhdfs },
	{ "swebhdfs", &datafs_under_webhdfs },
};

#define NTABLE	(sizeof(under_table) / sizeof(under_table[0]))

/* What follows the scheme may be secret, if it was meant for another program. */
static void log_unknown(const struct datafs_under_opts *opts, const char *source, size_t len)
{
	char known[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < NTABLE && n < sizeof(known); i++)
		n += snprintf(known + n, sizeof(known) - n, ", %s://", under_table[i].scheme);
	datafs_under_log(opts, LOG_ERR, "source %.*s://...: no such kind of store; known are absolute paths%s",
			 (int)DATAFS_MIN(len, 32), source, known);
}

static const struct datafs_under_ops *find(const struct datafs_under_opts *opts,
					   const char *source)
{
	const char *end = strstr(source, "://");
	size_t len = end ? (size_t)(end - source) : 0;

	if (!end)
		return &datafs_under_posix;
	for (size_t i = 0; i < NTABLE; i++)
		if (strlen(under_table[i].scheme) == len &&
		    !memcmp(under_table[i].scheme, source, len))
			return under_table[i].ops;
	log_unknown(opts, source, len);
	return NULL;
}

static void release(struct datafs_under *u)
{
	datafs_limit_destroy(&u->requests_up);
	datafs_limit_destroy(&u->requests_down);
	datafs_limit_destroy(&u->bytes_up);
	datafs_limit_destroy(&u->bytes_down);
	free(u);
}

int datafs_under_open(const char *source, const struct datafs_under_opts *opts,
		      struct datafs_under **res)
{
	const struct datafs_under_ops *ops;
	char shown[DATAFS_UNDER_SOURCE_SHOWN];
	struct datafs_under *u;
	const char *alien;
	int err;

	opts = opts ? opts : &datafs_under_opts_default;
	ops = find(opts, source);
	if (!ops)
		return -EPROTONOSUPPORT;
	datafs_under_source_shown(source, shown, sizeof(shown));
	if (datafs_under_source_secret(source)) {
		datafs_under_log(opts, LOG_ERR, "source %s: has a user or a key in it, which all who see the mount would read; leave it out",
				 shown);
		return -EINVAL;
	}
	alien = datafs_under_opts_alien(opts, ops->options | DATAFS_UNDER_FOR_ALL);
	if (alien) {
		datafs_under_log(opts, LOG_ERR, "source %s: option %s is not for this kind of store; leave it out",
				 shown, alien);
		return -EINVAL;
	}
	u = calloc(1, ops->size);
	if (!u)
		return -ENOMEM;
	u->ops = ops;
	u->opts = opts;
	datafs_limit_init(&u->requests_up, opts->requests_up, NULL);
	datafs_limit_init(&u->requests_down, opts->requests_down, NULL);
	datafs_limit_init(&u->bytes_up, opts->up, NULL);
	datafs_limit_init(&u->bytes_down, opts->down, NULL);
	err = ops->open(u, source);
	if (err)
		release(u);
	else
		*res = u;
	return err;
}

void datafs_under_close(struct datafs_under *u)
{
	if (!u)
		return;
	u->ops->close(u);
	release(u);
}

uint32_t datafs_under_caps(const struct datafs_under *u)
{
	static const uint32_t writing = DATAFS_UNDER_WRITE | DATAFS_UNDER_COPY |
		DATAFS_UNDER_RENAME | DATAFS_UNDER_RENAME_DIR | DATAFS_UNDER_IF_ABSENT |
		DATAFS_UNDER_IF_MATCH;

	return u->opts->read_only ? u->caps & ~writing : u->caps;
}

bool datafs_under_key_ok(const char *key)
{
	while (*key) {
		size_t n = strcspn(key, "/");

		if (!n || (n == 1 && key[0] == '.') ||
		    (n == 2 && key[0] == '.' && key[1] == '.'))
			return false;
		key += n;
		if (*key && !*++key)
			return false; /* a '/' at the end */
	}
	return true;
}

/*
 * Local filesystems stamp with the clock of the last timer tick, up to 10 ms
 * ago: two changes within one tick have one ctime, and the second may come
 * after the look. 20 ms covers a tick and the tick's own lateness. Where both
 * stamps have no fraction, the filesystem counts (two) seconds. A stamp from
 * the future says that clocks differ, and nothing else.
 */
bool datafs_under_young(const struct datafs_under_stat *st)
{
	bool coarse = !st->ctime.tv_nsec && !st->mtime.tv_nsec;
	int64_t grain = coarse ? 2000000000 : 20000000;
	int64_t sec = (int64_t)st->seen.tv_sec - st->ctime.tv_sec;

	if (st->strong || sec > 3)
		return false;
	if (sec < 0)
		return true;
	return sec * 1000000000 + st->seen.tv_nsec - st->ctime.tv_nsec < grain;
}

struct datafs_fingerprint datafs_fingerprint_tag(const char *tag, size_t len, uint64_t size)
{
	struct datafs_fingerprint fp = { { size, len } };
	const size_t room = sizeof(fp.v) - 2 * sizeof(fp.v[0]);
	XXH128_hash_t hash;

	if (len <= room) {
		memcpy(&fp.v[2], tag, len);
		return fp;
	}
	hash = XXH3_128bits(tag, len);
	fp.v[2] = hash.low64;
	fp.v[3] = hash.high64;
	return fp;
}

/* ---- reading ---- */

int datafs_under_stat(struct datafs_under *u, const char *key, struct datafs_under_stat *st)
{
	if (!datafs_under_key_ok(key))
		return -EINVAL;
	datafs_under_enter(u, DATAFS_UNDER_M_STAT, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_STAT, u->ops->stat(u, key, st), 0);
}

struct list_arg {
	datafs_under_list_fn fn;
	void *arg;
	int ret;	/* of @fn, the last time */
};

static int list_entry(void *arg, const char *name, const struct datafs_under_stat *st)
{
	struct list_arg *a = arg;

	a->ret = a->fn(a->arg, name, st);
	return a->ret;
}

int datafs_under_list(struct datafs_under *u, const char *key, struct datafs_under_place *place,
		      datafs_under_list_fn fn, void *arg)
{
	struct datafs_under_place none = { .token = "" };
	struct list_arg a = { .fn = fn, .arg = arg };
	int ret;

	if (!datafs_under_key_ok(key))
		return -EINVAL;
	datafs_under_enter(u, DATAFS_UNDER_M_LIST, 0, 0);
	ret = u->ops->list(u, key, place ? place : &none, list_entry, &a);
	/* What the caller answers is no trouble of the store's. */
	datafs_under_leave(u, DATAFS_UNDER_M_LIST, a.ret ? 0 : ret, 0);
	return ret;
}

ssize_t datafs_under_read(struct datafs_under *u, const char *key,
			  const struct datafs_fingerprint *fp, uint64_t off, void *buf,
			  size_t len)
{
	if (!datafs_under_key_ok(key))
		return -EINVAL;
	datafs_under_enter(u, DATAFS_UNDER_M_GET, 0, len);
	return datafs_under_leave(u, DATAFS_UNDER_M_GET,
				  u->ops->read(u, key, fp, off, buf, len), 0);
}

int datafs_under_stream(struct datafs_under *u, const char *key,
			const struct datafs_fingerprint *fp, uint64_t off, uint64_t len,
			datafs_under_take_fn take, void *arg)
{
	if (!u->ops->stream)
		return -EOPNOTSUPP;
	if (!datafs_under_key_ok(key))
		return -EINVAL;
	return u->ops->stream(u, key, fp, off, len, take, arg);
}

ssize_t datafs_under_readlink(struct datafs_under *u, const char *key, char *buf, size_t len)
{
	if (!u->ops->readlink)
		return -EOPNOTSUPP;
	if (!datafs_under_key_ok(key))
		return -EINVAL;
	datafs_under_enter(u, DATAFS_UNDER_M_OTHER, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_OTHER, u->ops->readlink(u, key, buf, len), 0);
}

ssize_t datafs_under_getxattr(struct datafs_under *u, const char *key, const char *name,
			      void *buf, size_t len)
{
	if (!u->ops->getxattr)
		return -EOPNOTSUPP;
	if (!datafs_under_key_ok(key))
		return -EINVAL;
	datafs_under_enter(u, DATAFS_UNDER_M_OTHER, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_OTHER,
				  u->ops->getxattr(u, key, name, buf, len), 0);
}

ssize_t datafs_under_listxattr(struct datafs_under *u, const char *key, char *buf, size_t len)
{
	if (!datafs_under_key_ok(key))
		return -EINVAL;
	if (!u->ops->listxattr)
		return 0;
	datafs_under_enter(u, DATAFS_UNDER_M_OTHER, 0, 0);
	return datafs_under_leave(u, DATAFS_UNDER_M_OTHER,
				  u->ops->listxattr(u, key, buf, len), 0);
}

int datafs_under_statfs(struct datafs_under *u, struct statfs *st)
{
	if (u->ops->statfs) {
		datafs_under_enter(u, DATAFS_UNDER_M_OTHER, 0, 0);
		return datafs_under_leave(u, DATAFS_UNDER_M_OTHER, u->ops->statfs(u, st), 0);
	}
	memset(st, 0, sizeof(*st));
	st->f_bsize = st->f_frsize = 4096;
	st->f_namelen = DATAFS_NAME_MAX;
	return 0;
}
