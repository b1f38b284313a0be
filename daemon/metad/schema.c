// SPDX-License-Identifier: Apache-2.0
#include "schema.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define INODE_FIXED	89
#define INODE_DIR	24
#define INODE_DEV	8
#define INODE_QUOTA	8
#define INODE_MAX	(INODE_FIXED + INODE_QUOTA + DATAFS_SYMLINK_MAX)

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
	datafs_put_be64(p, v);
	return p + 8;
}

static const uint8_t *get32(const uint8_t *p, uint32_t *v)
{
	memcpy(v, p, 4);
	*v = __builtin_bswap32(*v);
	return p + 4;
}

static const uint8_t *get64(const uint8_t *p, uint64_t *v)
{
	*v = datafs_get_be64(p);
	return p + 8;
}

struct key key_make(char type, uint64_t a)
{
	struct key k = { .len = 9 };

	k.b[0] = type;
	datafs_put_be64(k.b + 1, a);
	return k;
}

struct key key_make2(char type, uint64_t a, uint64_t b)
{
	struct key k = key_make(type, a);

	datafs_put_be64(k.b + 9, b);
	k.len = 17;
	return k;
}

struct key key_make_name(char type, uint64_t a, const void *name, size_t len)
{
	struct key k = key_make(type, a);

	len = DATAFS_MIN(len, (size_t)DATAFS_NAME_MAX);
	memcpy(k.b + 9, name, len);
	k.len += len;
	return k;
}

static const struct key node_key = { "N", 1 };

static uint8_t *put_time(uint8_t *p, const struct timespec *ts)
{
	return put32(put64(p, (uint64_t)ts->tv_sec), (uint32_t)ts->tv_nsec);
}

static const uint8_t *get_time(const uint8_t *p, struct timespec *ts)
{
	uint64_t sec;
	uint32_t nsec;

	p = get32(get64(p, &sec), &nsec);
	*ts = (struct timespec){ .tv_sec = (time_t)sec, .tv_nsec = nsec };
	return p;
}

static bool time_ok(const struct timespec *ts)
{
	return ts->tv_nsec < DATAFS_SEC;
}

static bool is_dev(uint32_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

/* How much follows the fixed part; -1: no such type. */
static ssize_t inode_more(uint32_t mode, uint64_t size)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return size ? -1 : INODE_DIR;
	case S_IFLNK:
		return size && size <= DATAFS_SYMLINK_MAX ? (ssize_t)size : -1;
	case S_IFCHR:
	case S_IFBLK:
		return size ? -1 : INODE_DEV;
	case S_IFREG:
		return size <= INT64_MAX ? 0 : -1;
	case S_IFIFO:
	case S_IFSOCK:
		return size ? -1 : 0;
	}
	return -1;
}

static bool inode_ok(const struct rec_inode *in)
{
	const struct datafs_metad_attr *a = &in->a;

	if (a->mode & ~(uint32_t)(S_IFMT | 07777) ||
	    a->nlink > DATAFS_METAD_LINK_MAX || in->xattrs > DATAFS_METAD_LIST_MAX)
		return false;
	if (!time_ok(&a->atime) || !time_ok(&a->mtime) || !time_ok(&a->ctime) ||
	    !time_ok(&a->btime))
		return false;
	if (!a->nlink && (!in->holders || in->children))
		return false;
	return !S_ISDIR(a->mode) || !a->nlink ||
	       (a->nlink >= 2 && a->nlink - 2 <= in->children);
}

static bool dir_ok(const struct rec_inode *in)
{
	return in->parent && in->cookie >= DATAFS_FIRST_COOKIE &&
	       in->cookie <= (uint64_t)INT64_MAX + 1 &&
	       in->children <= in->cookie - DATAFS_FIRST_COOKIE;
}

static bool inode_decode(struct txn_bytes val, struct rec_inode *in)
{
	struct datafs_metad_attr *a = &in->a;
	const uint8_t *p = val.p + 1;
	size_t fixed = INODE_FIXED;
	ssize_t more;

	if (val.len && *val.p == REC_VERSION_QUOTA)
		fixed += INODE_QUOTA;
	else if (!val.len || *val.p != REC_VERSION)
		return false;
	if (val.len < fixed)
		return false;
	p = get32(p, &a->mode);
	p = get32(p, &a->nlink);
	p = get32(p, &a->uid);
	p = get32(p, &a->gid);
	p = get64(p, &a->size);
	p = get64(p, &a->version);
	p = get_time(p, &a->atime);
	p = get_time(p, &a->mtime);
	p = get_time(p, &a->ctime);
	p = get_time(p, &a->btime);
	p = get32(p, &in->holders);
	p = get32(p, &in->xattrs);
	if (fixed > INODE_FIXED) {
		p = get64(p, &in->quota);
		if (!in->quota)
			return false;
	}
	more = inode_more(a->mode, a->size);
	if (more < 0 || val.len != fixed + (size_t)more)
		return false;
	if (S_ISDIR(a->mode)) {
		p = get64(p, &in->parent);
		p = get64(p, &in->children);
		get64(p, &in->cookie);
		if (!dir_ok(in))
			return false;
	} else if (is_dev(a->mode)) {
		p = get32(p, &a->rdev_major);
		get32(p, &a->rdev_minor);
	} else if (S_ISLNK(a->mode)) {
		in->target = p;
		if (memchr(p, '\0', a->size))
			return false;
	}
	return inode_ok(in);
}

int rec_inode_get(struct txn *t, uint64_t ino, struct rec_inode *in)
{
	struct key k = key_make('I', ino);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret <= 0)
		return ret;
	*in = (struct rec_inode){ .a.ino = ino };
	if (!inode_decode(val, in))
		return txn_damaged(t, key_bytes(&k), "inode");
	return 1;
}

void rec_inode_put(struct txn *t, const struct rec_inode *in)
{
	const struct datafs_metad_attr *a = &in->a;
	struct key k = key_make('I', a->ino);
	uint8_t val[INODE_MAX], *p = val;

	*p++ = in->quota ? REC_VERSION_QUOTA : REC_VERSION;
	p = put32(p, a->mode);
	p = put32(p, a->nlink);
	p = put32(p, a->uid);
	p = put32(p, a->gid);
	p = put64(p, a->size);
	p = put64(p, a->version);
	p = put_time(p, &a->atime);
	p = put_time(p, &a->mtime);
	p = put_time(p, &a->ctime);
	p = put_time(p, &a->btime);
	p = put32(p, in->holders);
	p = put32(p, in->xattrs);
	if (in->quota)
		p = put64(p, in->quota);
	if (S_ISDIR(a->mode)) {
		p = put64(p, in->parent);
		p = put64(p, in->children);
		p = put64(p, in->cookie);
	} else if (is_dev(a->mode)) {
		p = put32(p, a->rdev_major);
		p = put32(p, a->rdev_minor);
	} else if (S_ISLNK(a->mode)) {
		memcpy(p, in->target, a->size);
		p += a->size;
	}
	txn_put(t, key_bytes(&k), (struct txn_bytes){ val, (size_t)(p - val) });
}

int rec_dirent_get(struct txn *t, uint64_t dir, struct txn_bytes name,
		   struct rec_dirent *de)
{
	struct key k = key_make_name('D', dir, name.p, name.len);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret <= 0)
		return ret;
	if (val.len != 17 || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&k), "name");
	get64(get64(val.p + 1, &de->ino), &de->cookie);
	return 1;
}

void rec_dirent_put(struct txn *t, uint64_t dir, struct txn_bytes name,
		    const struct rec_dirent *de)
{
	struct key d = key_make_name('D', dir, name.p, name.len);
	struct key c = key_make2('C', dir, de->cookie);
	uint8_t val[9 + DATAFS_NAME_MAX] = { REC_VERSION };

	put64(val + 1, de->ino);
	put64(val + 9, de->cookie);
	txn_put(t, key_bytes(&d), (struct txn_bytes){ val, 17 });
	memcpy(val + 9, name.p, name.len);
	txn_put(t, key_bytes(&c), (struct txn_bytes){ val, 9 + name.len });
}

void rec_dirent_del(struct txn *t, uint64_t dir, struct txn_bytes name,
		    const struct rec_dirent *de)
{
	struct key d = key_make_name('D', dir, name.p, name.len);
	struct key c = key_make2('C', dir, de->cookie);

	txn_del(t, key_bytes(&d));
	txn_del(t, key_bytes(&c));
}

int rec_cookie_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		      uint64_t *cookie, uint64_t *ino, struct txn_bytes *name)
{
	if (key.len != 17 || val.len < 10 || val.len > 9 + DATAFS_NAME_MAX ||
	    *val.p != REC_VERSION)
		return txn_damaged(t, key, "entry of a listing");
	get64(key.p + 9, cookie);
	name->p = get64(val.p + 1, ino);
	name->len = val.len - 9;
	return 0;
}

#define SESSION_LEN	41

int rec_session_get(struct txn *t, uint64_t id, struct rec_session *s)
{
	struct key k = key_make('S', id);
	struct txn_bytes val;
	const uint8_t *p;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret <= 0)
		return ret;
	if (val.len != SESSION_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&k), "session");
	p = get64(val.p + 1, &s->lowest);
	p = get32(p, &s->answers);
	p = get32(p, &s->holds);
	p = get64(p, &s->opened);
	p = get64(p, &s->renewed);
	get64(p, &s->closing);
	if (s->answers > DATAFS_METAD_ANSWERS_MAX ||
	    s->holds > DATAFS_METAD_HOLDS_MAX)
		return txn_damaged(t, key_bytes(&k), "session's counts");
	return 1;
}

void rec_session_put(struct txn *t, uint64_t id, const struct rec_session *s)
{
	struct key k = key_make('S', id);
	uint8_t val[SESSION_LEN] = { REC_VERSION }, *p;

	p = put64(val + 1, s->lowest);
	p = put32(p, s->answers);
	p = put32(p, s->holds);
	p = put64(p, s->opened);
	p = put64(p, s->renewed);
	put64(p, s->closing);
	txn_put(t, key_bytes(&k), (struct txn_bytes){ val, sizeof(val) });
}

#define QUOTA_LEN	(1 + 5 * 8)

int rec_quota_decode(struct txn *t, struct txn_bytes key, struct txn_bytes val,
		     struct datafs_metad_quota *q)
{
	const uint8_t *p;

	if (key.len != 9 || val.len != QUOTA_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key, "quota");
	get64(key.p + 1, &q->id);
	p = get64(val.p + 1, &q->root);
	p = get64(p, &q->inodes_max);
	p = get64(p, &q->bytes_max);
	p = get64(p, &q->inodes);
	get64(p, &q->bytes);
	return q->inodes ? 0 : txn_damaged(t, key, "quota's counts");
}

int rec_quota_get(struct txn *t, uint64_t id, struct datafs_metad_quota *q)
{
	struct key k = key_make('Q', id);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	if (ret == 1)
		ret = rec_quota_decode(t, key_bytes(&k), val, q) ? txn_error(t) : 1;
	return ret;
}

void rec_quota_put(struct txn *t, const struct datafs_metad_quota *q)
{
	struct key k = key_make('Q', q->id);
	uint8_t val[QUOTA_LEN] = { REC_VERSION }, *p;

	p = put64(val + 1, q->root);
	p = put64(p, q->inodes_max);
	p = put64(p, q->bytes_max);
	p = put64(p, q->inodes);
	put64(p, q->bytes);
	txn_put(t, key_bytes(&k), (struct txn_bytes){ val, sizeof(val) });
}

#define LEASE_LEN	(1 + 4 + 8)

int rec_lease_get(struct txn *t, uint64_t session, struct datafs_metad_lease *l)
{
	struct key k = key_make('L', session);
	struct txn_bytes val;
	int ret = txn_get(t, key_bytes(&k), &val);

	*l = (struct datafs_metad_lease){ 0 };
	if (ret <= 0)
		return ret;
	if (val.len != LEASE_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&k), "lease");
	get64(get32(val.p + 1, &l->ms), &l->holder);
	return l->ms ? 1 : txn_damaged(t, key_bytes(&k), "a lease of no time");
}

void rec_lease_put(struct txn *t, uint64_t session, const struct datafs_metad_lease *l)
{
	struct key k = key_make('L', session);
	uint8_t val[LEASE_LEN] = { REC_VERSION };

	put64(put32(val + 1, l->ms), l->holder);
	txn_put(t, key_bytes(&k), (struct txn_bytes){ val, sizeof(val) });
}

#define NODE_LEN	(1 + DATAFS_METAD_ID_LEN + 4 + 9 * 8)

int rec_node_get(struct txn *t, struct rec_node *n)
{
	struct txn_bytes val;
	const uint8_t *p;
	int ret = txn_get(t, key_bytes(&node_key), &val);

	if (ret <= 0)
		return ret;
	if (val.len != NODE_LEN || *val.p != REC_VERSION)
		return txn_damaged(t, key_bytes(&node_key), "the member's state");
	memcpy(n->id, val.p + 1, sizeof(n->id));
	p = get32(val.p + 1 + sizeof(n->id), &n->c.feature_level);
	p = get64(p, &n->c.index);
	p = get64(p, &n->c.term);
	p = get64(p, &n->next_ino);
	p = get64(p, &n->c.inodes);
	p = get64(p, &n->c.orphans);
	p = get64(p, &n->c.sessions);
	p = get64(p, &n->c.bytes);
	p = get64(p, &n->c.session_ended);
	get64(p, &n->time);
	if (n->next_ino <= DATAFS_METAD_ROOT || !n->c.inodes ||
	    n->c.inodes >= n->next_ino || n->c.orphans >= n->c.inodes ||
	    n->c.sessions > DATAFS_METAD_SESSIONS_MAX)
		return txn_damaged(t, key_bytes(&node_key), "the member's counts");
	return 1;
}

void rec_node_put(struct txn *t, const struct rec_node *n)
{
	uint8_t val[NODE_LEN] = { REC_VERSION }, *p;

	memcpy(val + 1, n->id, sizeof(n->id));
	p = put32(val + 1 + sizeof(n->id), n->c.feature_level);
	p = put64(p, n->c.index);
	p = put64(p, n->c.term);
	p = put64(p, n->next_ino);
	p = put64(p, n->c.inodes);
	p = put64(p, n->c.orphans);
	p = put64(p, n->c.sessions);
	p = put64(p, n->c.bytes);
	p = put64(p, n->c.session_ended);
	put64(p, n->time);
	txn_put(t, key_bytes(&node_key), (struct txn_bytes){ val, sizeof(val) });
}

int rec_bytes_get(struct txn *t, const struct key *k, struct txn_bytes *val)
{
	int ret = txn_get(t, key_bytes(k), val);

	if (ret <= 0)
		return ret;
	if (!val->len || *val->p != REC_VERSION)
		return txn_damaged(t, key_bytes(k), "no known version");
	val->p++;
	val->len--;
	return 1;
}

void rec_bytes_put(struct txn *t, const struct key *k, struct txn_bytes val)
{
	uint8_t *p = txn_alloc(t, val.len + 1);

	if (!p)
		return;
	*p = REC_VERSION;
	if (val.len)
		memcpy(p + 1, val.p, val.len);
	txn_put(t, key_bytes(k), (struct txn_bytes){ p, val.len + 1 });
}

void rec_mark_put(struct txn *t, const struct key *k)
{
	static const uint8_t mark = REC_VERSION;

	txn_put(t, key_bytes(k), (struct txn_bytes){ &mark, 1 });
}

int rec_mark_get(struct txn *t, const struct key *k)
{
	struct txn_bytes val;
	int ret = rec_bytes_get(t, k, &val);

	if (ret == 1 && val.len)
		return txn_damaged(t, key_bytes(k), "a mark with a value");
	return ret;
}

void rec_del(struct txn *t, const struct key *k)
{
	txn_del(t, key_bytes(k));
}
