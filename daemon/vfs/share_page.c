// SPDX-License-Identifier: Apache-2.0
#include "share_page.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define VERSION		1
#define HEAD		3
#define STAT_LEN	156

enum {
	HAS_STAT	= 1u << 0,
	HAS_BTIME	= 1u << 1,
	HAS_XATTR	= 1u << 2,
	HAS_ACL		= 1u << 3,
	STRONG		= 1u << 4,
	KNOWN		= (1u << 5) - 1,
};

_Static_assert(HEAD + DATAFS_NAME_MAX + STAT_LEN == VFS_SHARE_ENTRY_MAX, "the longest entry");

static uint8_t *put64(uint8_t *p, uint64_t v)
{
	datafs_put_be64(p, v);
	return p + 8;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	datafs_put_be32(p, v);
	return p + 4;
}

static uint8_t *put_time(uint8_t *p, const struct timespec *t)
{
	return put32(put64(p, (uint64_t)t->tv_sec), (uint32_t)t->tv_nsec);
}

static const uint8_t *get64(const uint8_t *p, uint64_t *v)
{
	*v = datafs_get_be64(p);
	return p + 8;
}

static const uint8_t *get32(const uint8_t *p, uint32_t *v)
{
	*v = datafs_get_be32(p);
	return p + 4;
}

static const uint8_t *get_time(const uint8_t *p, struct timespec *t)
{
	t->tv_sec = (time_t)datafs_get_be64(p);
	t->tv_nsec = (long)datafs_get_be32(p + 8);
	return p + 12;
}

static uint8_t *put_stat(uint8_t *p, const struct datafs_under_stat *st)
{
	p = put64(put64(put64(p, st->file_id), st->size), st->blocks);
	p = put_time(put_time(put_time(p, &st->atime), &st->mtime), &st->ctime);
	p = put_time(p, &st->btime);
	p = put32(put32(put32(put32(p, st->mode), st->nlink), st->uid), st->gid);
	p = put32(put32(p, st->rdev_major), st->rdev_minor);
	for (size_t i = 0; i < 6; i++)
		p = put64(p, st->fp.v[i]);
	return put_time(p, &st->seen);
}

static bool time_ok(const struct timespec *t)
{
	return t->tv_nsec < DATAFS_SEC;
}

static bool stat_ok(const struct datafs_under_stat *st)
{
	return time_ok(&st->atime) && time_ok(&st->mtime) && time_ok(&st->ctime) &&
	       time_ok(&st->btime) && time_ok(&st->seen) &&
	       (S_ISREG(st->mode) || S_ISDIR(st->mode) || S_ISLNK(st->mode) ||
		S_ISCHR(st->mode) || S_ISBLK(st->mode) || S_ISFIFO(st->mode) ||
		S_ISSOCK(st->mode));
}

static bool get_stat(const uint8_t *p, unsigned int flags, struct datafs_under_stat *st)
{
	*st = (struct datafs_under_stat) {
		.has_btime = flags & HAS_BTIME, .has_xattr = flags & HAS_XATTR,
		.has_acl = flags & HAS_ACL, .strong = flags & STRONG,
	};
	p = get64(get64(get64(p, &st->file_id), &st->size), &st->blocks);
	p = get_time(get_time(get_time(p, &st->atime), &st->mtime), &st->ctime);
	p = get_time(p, &st->btime);
	p = get32(get32(get32(get32(p, &st->mode), &st->nlink), &st->uid), &st->gid);
	p = get32(get32(p, &st->rdev_major), &st->rdev_minor);
	for (size_t i = 0; i < 6; i++)
		p = get64(p, &st->fp.v[i]);
	get_time(p, &st->seen);
	return stat_ok(st);
}

bool vfs_share_page_name(const char *name, size_t len)
{
	return len && len <= DATAFS_NAME_MAX && !memchr(name, 0, len) && !memchr(name, '/', len) &&
	       (len > 2 || memcmp(name, "..", len));
}

void vfs_share_page_begin(struct vfs_share_page *page)
{
	page->b[0] = VERSION;
	page->len = 1;
}

bool vfs_share_page_empty(const struct vfs_share_page *page)
{
	return page->len == 1;
}

bool vfs_share_page_add(struct vfs_share_page *page, const char *name,
			const struct datafs_under_stat *st)
{
	size_t len = strlen(name), need = HEAD + len + (st ? STAT_LEN : 0);
	uint8_t *p = page->b + page->len;

	if (need > sizeof(page->b) - page->len)
		return false;
	p[0] = !st ? 0 : HAS_STAT | (st->has_btime ? HAS_BTIME : 0) |
			 (st->has_xattr ? HAS_XATTR : 0) | (st->has_acl ? HAS_ACL : 0) |
			 (st->strong ? STRONG : 0);
	p[1] = (uint8_t)(len >> 8);
	p[2] = (uint8_t)len;
	memcpy(p + HEAD, name, len);
	if (st)
		put_stat(p + HEAD + len, st);
	page->len += need;
	return true;
}

/* The entry's bytes; 0: it is none. */
static size_t entry_of(const uint8_t *p, size_t left, char name[DATAFS_NAME_MAX + 1],
		       struct datafs_under_stat *st, bool *looked)
{
	size_t len, need;

	if (left < HEAD || p[0] & ~KNOWN)
		return 0;
	*looked = p[0] & HAS_STAT;
	if (p[0] && !*looked)
		return 0;
	len = (size_t)p[1] << 8 | p[2];
	need = HEAD + len + (*looked ? STAT_LEN : 0);
	if (need > left || !vfs_share_page_name((const char *)p + HEAD, len))
		return 0;
	memcpy(name, p + HEAD, len);
	name[len] = '\0';
	return *looked && !get_stat(p + HEAD + len, p[0], st) ? 0 : need;
}

int vfs_share_page_each(const void *bytes, size_t len, datafs_under_list_fn fn, void *arg)
{
	char name[DATAFS_NAME_MAX + 1];
	struct datafs_under_stat st;
	const uint8_t *p = bytes;
	size_t at = 1, n;
	bool looked;
	int ret = 0;

	if (!len || *p != VERSION)
		return -EPROTO;
	for (; !ret && at < len; at += n) {
		n = entry_of(p + at, len - at, name, &st, &looked);
		if (!n)
			return -EPROTO;
		ret = fn(arg, name, looked ? &st : NULL);
	}
	return ret;
}
