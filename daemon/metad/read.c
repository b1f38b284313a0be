// SPDX-License-Identifier: Apache-2.0
/* Questions, each to a snapshot of its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "ns_internal.h"
#include "op.h"

static int get(struct txn *t, uint64_t ino, struct rec_inode *in)
{
	int ret = rec_inode_get(t, ino, in);

	if (ret == 1)
		in->a.xattrs = in->xattrs;
	return ret < 0 ? ret : ret ? 0 : -ESTALE;
}

static int get_named(struct txn *t, uint64_t ino, struct rec_inode *in)
{
	struct key k = key_make('I', ino);
	int ret = rec_inode_get(t, ino, in);

	if (ret == 1)
		in->a.xattrs = in->xattrs;
	return ret < 0 ? ret : ret ? 0 :
		txn_damaged(t, key_bytes(&k), "named, and missing");
}

static int get_dir(struct txn *t, uint64_t ino, struct rec_inode *in)
{
	int err = get(t, ino, in);

	return err ? err : S_ISDIR(in->a.mode) ? 0 : -ENOTDIR;
}

int datafs_metad_counts(struct datafs_metad *m, struct datafs_metad_counts *res)
{
	struct rec_node n;
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = rec_node_get(&t, &n);
	txn_end(&t);
	if (ret == 1)
		*res = n.c;
	return ret == 1 ? 0 : ret ? ret : -EUCLEAN;
}

int datafs_metad_sessions(struct datafs_metad *m,
			  int (*fn)(void *arg, uint64_t id, uint32_t lease), void *arg)
{
	struct key prefix = { .b = { 'S' }, .len = 1 };
	struct txn_bytes key;
	struct txn_scan s;
	struct datafs_metad_lease lease;
	struct txn t;
	uint64_t id;
	int ret;

	txn_view(&t, m->db, m->dir);
	txn_scan_begin(&s, &t, key_bytes(&prefix), key_bytes(&prefix));
	while ((ret = txn_scan_next(&s, &key, NULL)) == 1) {
		id = key.len == 9 ? datafs_get_be64(key.p + 1) : 0;
		ret = id ? rec_lease_get(&t, id, &lease) : txn_damaged(&t, key, "no session");
		if (ret >= 0)
			ret = fn(arg, id, lease.ms);
		if (ret)
			break;
	}
	txn_scan_end(&s);
	txn_end(&t);
	return ret;
}

int datafs_metad_session(struct datafs_metad *m, uint64_t id, struct datafs_metad_lease *lease)
{
	struct rec_session s;
	struct txn t;
	int ret, err;

	txn_view(&t, m->db, m->dir);
	ret = rec_session_get(&t, id, &s);
	if (ret == 1 && s.closing)
		ret = 0;
	*lease = (struct datafs_metad_lease){ 0 };
	err = ret == 1 ? rec_lease_get(&t, id, lease) : 0;
	txn_end(&t);
	ret = err < 0 ? err : ret;
	return ret < 0 ? ret : ret ? 0 : -ENOTCONN;
}

int datafs_metad_answered(struct datafs_metad *m, uint64_t session, uint64_t request)
{
	struct key k = key_make2('R', session, request);
	struct txn_bytes val;
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = rec_bytes_get(&t, &k, &val);
	txn_end(&t);
	return ret;
}

int datafs_metad_leads_to(struct datafs_metad *m, uint64_t dir, const char *name,
			  size_t len, uint64_t *ino)
{
	struct txn_bytes n = { (const uint8_t *)name, len };
	struct rec_dirent de;
	struct txn t;
	int ret;

	if (op_name_check(n))
		return -ENOENT;
	txn_view(&t, m->db, m->dir);
	ret = rec_dirent_get(&t, dir, n, &de);
	txn_end(&t);
	if (ret == 1)
		*ino = de.ino;
	return ret < 0 ? ret : ret ? 0 : -ENOENT;
}

int datafs_metad_getattr(struct datafs_metad *m, uint64_t ino,
			 struct datafs_metad_attr *res)
{
	struct rec_inode in;
	struct txn t;
	int err;

	txn_view(&t, m->db, m->dir);
	err = get(&t, ino, &in);
	txn_end(&t);
	if (!err)
		*res = in.a;
	return err;
}

int datafs_metad_lookup(struct datafs_metad *m, uint64_t dir, const char *name,
			size_t len, struct datafs_metad_attr *res)
{
	struct txn_bytes n = { (const uint8_t *)name, len };
	struct rec_dirent de;
	struct rec_inode in;
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = get_dir(&t, dir, &in);
	if (!ret)
		ret = op_name_check(n);
	if (!ret) {
		ret = rec_dirent_get(&t, dir, n, &de);
		ret = ret < 0 ? ret : ret ? get_named(&t, de.ino, &in) : -ENOENT;
	}
	txn_end(&t);
	if (!ret)
		*res = in.a;
	return ret;
}

int datafs_metad_parent(struct datafs_metad *m, uint64_t dir, uint64_t *res)
{
	struct rec_inode in;
	struct txn t;
	int err;

	txn_view(&t, m->db, m->dir);
	err = get_dir(&t, dir, &in);
	txn_end(&t);
	if (!err)
		*res = in.parent;
	return err;
}

static int list(struct txn *t, struct txn_scan *s, datafs_metad_entry_fn fn,
		void *arg, bool *eof)
{
	struct txn_bytes key, val, name;
	struct rec_inode in;
	uint64_t at, ino;
	int ret;

	while ((ret = txn_scan_next(s, &key, &val)) == 1) {
		ret = rec_cookie_decode(t, key, val, &at, &ino, &name);
		if (!ret)
			ret = get_named(t, ino, &in);
		if (ret)
			return ret;
		if (fn(arg, at, (const char *)name.p, name.len, &in.a))
			return 0;
	}
	*eof = !ret;
	return ret;
}

int datafs_metad_readdir(struct datafs_metad *m, uint64_t dir, uint64_t cookie,
			 datafs_metad_entry_fn fn, void *arg, bool *eof)
{
	struct key prefix = key_make('C', dir);
	struct key from = key_make2('C', dir, cookie + 1);
	struct rec_inode in;
	struct txn_scan s;
	struct txn t;
	int err;

	*eof = cookie == UINT64_MAX;
	txn_view(&t, m->db, m->dir);
	err = get_dir(&t, dir, &in);
	if (!err && !*eof) {
		txn_scan_begin(&s, &t, key_bytes(&prefix), key_bytes(&from));
		err = list(&t, &s, fn, arg, eof);
		txn_scan_end(&s);
	}
	txn_end(&t);
	return err;
}

ssize_t datafs_metad_readlink(struct datafs_metad *m, uint64_t ino, char *buf)
{
	struct rec_inode in;
	struct txn t;
	ssize_t ret;

	txn_view(&t, m->db, m->dir);
	ret = get(&t, ino, &in);
	if (!ret && !S_ISLNK(in.a.mode))
		ret = -EINVAL;
	if (!ret) {
		memcpy(buf, in.target, in.a.size);
		ret = (ssize_t)in.a.size;
	}
	txn_end(&t);
	return ret;
}

ssize_t datafs_metad_getxattr(struct datafs_metad *m, uint64_t ino,
			      const char *name, size_t len, void *buf,
			      size_t size)
{
	struct key k = key_make_name('X', ino, name, len);
	struct txn_bytes val;
	struct rec_inode in;
	struct txn t;
	ssize_t ret;

	if (!len || len > DATAFS_NAME_MAX)
		return len ? -ERANGE : -EINVAL;
	txn_view(&t, m->db, m->dir);
	ret = get(&t, ino, &in);
	if (!ret) {
		ret = rec_bytes_get(&t, &k, &val);
		ret = ret < 0 ? ret : ret ? 0 : -ENODATA;
	}
	if (!ret && size && size < val.len)
		ret = -ERANGE;
	if (!ret && size && val.len)
		memcpy(buf, val.p, val.len);
	if (!ret)
		ret = (ssize_t)val.len;
	txn_end(&t);
	return ret;
}

static ssize_t list_xattrs(struct txn *t, struct txn_scan *s, char *buf,
			   size_t size)
{
	struct txn_bytes key;
	size_t at = 0, len;
	int ret;

	while ((ret = txn_scan_next(s, &key, NULL)) == 1) {
		len = key.len - 9;
		if (at + len + 1 > DATAFS_METAD_LIST_MAX)
			return txn_damaged(t, key, "too many xattrs");
		if (size && at + len + 1 > size)
			return -ERANGE;
		if (size) {
			memcpy(buf + at, key.p + 9, len);
			buf[at + len] = '\0';
		}
		at += len + 1;
	}
	return ret ? ret : (ssize_t)at;
}

ssize_t datafs_metad_listxattr(struct datafs_metad *m, uint64_t ino, char *buf,
			       size_t size)
{
	struct key prefix = key_make('X', ino);
	struct rec_inode in;
	struct txn_scan s;
	struct txn t;
	ssize_t ret;

	txn_view(&t, m->db, m->dir);
	ret = get(&t, ino, &in);
	if (!ret && in.xattrs) {
		txn_scan_begin(&s, &t, key_bytes(&prefix), key_bytes(&prefix));
		ret = list_xattrs(&t, &s, buf, size);
		txn_scan_end(&s);
	}
	txn_end(&t);
	return ret;
}

int datafs_metad_quota_of(struct datafs_metad *m, uint64_t ino, struct datafs_metad_quota *res)
{
	struct rec_inode in;
	struct txn t;
	int ret;

	txn_view(&t, m->db, m->dir);
	ret = get(&t, ino, &in);
	if (!ret && in.quota)
		ret = rec_quota_get(&t, in.quota, res);
	txn_end(&t);
	return ret;
}

static int listing_view(struct txn *t, uint64_t now, uint64_t number, uint32_t nr,
			struct datafs_metad_listing *res, struct txn_bytes *page)
{
	int ret = rec_listing_get(t, number, res);

	if (ret <= 0)
		return ret ? ret : -ESTALE;
	ret = listing_is_there(t, now, res);
	if (ret <= 0)
		return ret ? ret : -ESTALE;
	ret = nr < res->pages ? rec_listing_page_get(t, number, nr, page) : 0;
	return ret < 0 ? ret : 0;
}

int datafs_metad_listing_page(struct datafs_metad *m, uint64_t number, uint32_t nr,
			      struct datafs_metad_listing *res, uint8_t **page, size_t *len)
{
	struct txn_bytes b = { 0 };
	struct rec_node n;
	struct txn t;
	int err;

	*page = NULL;
	*len = 0;
	txn_view(&t, m->db, m->dir);
	/* m->n may be ahead */
	err = rec_node_get(&t, &n);
	if (err >= 0)
		err = listing_view(&t, n.time, number, nr, res, &b);
	if (!err && b.p) {
		*page = malloc(b.len + 1);
		*len = b.len;
		if (*page)
			memcpy(*page, b.p, b.len);
		else
			err = -ENOMEM;
	}
	txn_end(&t);
	return err;
}
