// SPDX-License-Identifier: Apache-2.0
#include "meta_internal.h"

#include <string.h>
#include <sys/stat.h>

static bool same_fp(const struct datafs_fingerprint *a,
		    const struct datafs_fingerprint *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* All that is kept on disk but atime, which every read of ours may change. */
static bool same_stat(const struct datafs_under_stat *a,
		      const struct datafs_under_stat *b)
{
	return a->file_id == b->file_id && a->size == b->size &&
	       a->blocks == b->blocks && a->mode == b->mode &&
	       a->nlink == b->nlink && a->uid == b->uid && a->gid == b->gid &&
	       a->rdev_major == b->rdev_major &&
	       a->rdev_minor == b->rdev_minor &&
	       same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime) &&
	       same_time(&a->btime, &b->btime) && same_fp(&a->fp, &b->fp);
}

/*
 * A number that belonged to a removed file is soon given to another one, which
 * then differs in its time of birth; writing in place keeps that.
 */
static bool same_birth(const struct datafs_under_stat *a,
		       const struct datafs_under_stat *b)
{
	return !a->has_btime || !b->has_btime || same_time(&a->btime, &b->btime);
}

bool inode_same_file(const struct node *n, const struct datafs_under_stat *st)
{
	return (n->st.mode & S_IFMT) == (st->mode & S_IFMT) &&
	       (n->st.file_id == st->file_id || !n->st.file_id ||
		!st->file_id) && same_birth(&n->st, st);
}

/* Is it young now? @n has it already, under the same fingerprint. */
static bool still_young(struct node *n, const struct datafs_under_stat *st,
			int64_t looked)
{
	if (!(n->flags & NODE_YOUNG))
		return false;
	if (!n->fp_since)
		n->fp_since = looked;
	return datafs_under_young(st) &&
	       looked - n->fp_since < datafs_meta_settle(st);
}

int inode_update(struct datafs_meta *m, leveldb_writebatch_t *b,
		 struct node *n, const struct datafs_under_stat *st,
		 int64_t looked)
{
	bool known = n->content && same_fp(&n->st.fp, &st->fp), young;
	uint32_t flags = n->flags & ~(NODE_YOUNG | NODE_XATTR | NODE_ACL |
				      NODE_BTIME);
	uint64_t content = n->content;
	bool put;
	int err;

	if (known) {
		young = still_young(n, st, looked);
	} else {
		young = datafs_under_young(st);
		n->fp_since = looked;
	}
	if (!known || (S_ISLNK(st->mode) && n->flags & NODE_YOUNG && !young)) {
		err = store_new_number(m, &content);
		if (err)
			return err;
	}
	flags |= (young ? NODE_YOUNG : 0) | (st->has_xattr ? NODE_XATTR : 0) |
		 (st->has_acl ? NODE_ACL : 0) | (st->has_btime ? NODE_BTIME : 0);

	put = content != n->content || flags != n->flags ||
	      !same_stat(&n->st, st);
	n->content = content;
	n->flags = flags;
	n->st = *st;
	n->synced = looked;
	if (n->flags & NODE_LIST_FP && same_fp(&n->list_fp, &st->fp) &&
	    looked > n->list_synced)
		n->list_synced = looked;
	if (put)
		store_node_put(b, n);
	return put;
}
