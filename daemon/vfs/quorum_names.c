// SPDX-License-Identifier: Apache-2.0
/* What is asked of a quorum's namespace. */
#include "vfs_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"

#define BSIZE	4096
/* Of inodes there is no end; some programs want one. */
#define FFREE	(1ull << 32)

void vfs_quorum_attr(const Metad__Attr *a, uint32_t valid_ms, struct datafs_attr *attr)
{
	*attr = (struct datafs_attr) {
		/* The bytes of a file are none yet, and names go by INVALIDATE. */
		.ino = a->ino, .content = 1,
		.size = S_ISDIR(a->mode) ? BSIZE : DATAFS_MIN(a->size, (uint64_t)INT64_MAX),
		.atime = a->atime, .atime_ns = a->atime_ns,
		.mtime = a->mtime, .mtime_ns = a->mtime_ns,
		.ctime = a->ctime, .ctime_ns = a->ctime_ns,
		.btime = a->btime, .btime_ns = a->btime_ns,
		.mode = a->mode, .nlink = a->nlink, .uid = a->uid, .gid = a->gid,
		.flags = DATAFS_ATTR_BTIME | DATAFS_ATTR_CHANGES |
			 (a->xattrs ? DATAFS_ATTR_XATTR | DATAFS_ATTR_ACL : 0),
		.valid_ms = valid_ms,
	};
	if (S_ISBLK(a->mode) || S_ISCHR(a->mode)) {
		attr->rdev_major = a->rdev_major;
		attr->rdev_minor = a->rdev_minor;
	}
}

/* 0 and the answer, or an error of the way or of the question. */
static int ask_told(struct vfs_mount *mnt, const Metad__Query *q, Metad__Answer **res,
		    struct datafs_told *told)
{
	struct datafs_quorum *quorum;
	int ret = vfs_quorum_of(mnt, &quorum);

	return ret ? ret : datafs_quorum_ask_told(quorum, q, res, told);
}

static int ask(struct vfs_mount *mnt, const Metad__Query *q, Metad__Answer **res)
{
	struct datafs_told told;
	int ret = ask_told(mnt, q, res, &told);

	if (ret || !(*res)->error)
		return ret;
	ret = -(int)(*res)->error;
	metad__answer__free_unpacked(*res, NULL);
	return ret;
}

bool vfs_quorum_alien(struct vfs_mount *mnt, uint64_t n)
{
	if (!(n & DATAFS_META_BRANCH))
		return false;
	if (!atomic_exchange(&mnt->alien, true))
		datafs_log(LOG_ERR, "mount %u of %s: its quorum speaks of inode or place %llu, which no quorum has: EIO, now and later, without another line; see to its members",
			   mnt->id, mnt->source, (unsigned long long)n);
	return true;
}

/*
 * 0: the answer has attributes; its error, or -EIO, or -ESTALE: what has no name any more
 * is only there for the mount that holds it, which does not ask.
 */
static int has_attr(struct vfs_mount *mnt, const Metad__Answer *a)
{
	if (a->error)
		return -(int)a->error;
	if (!a->attr || vfs_quorum_alien(mnt, a->attr->ino))
		return -EIO;
	return a->attr->nlink ? 0 : -ESTALE;
}

static void name_query(const struct datafs_call *call, Metad__Query__OfCase of,
		       Metad__Name *name, Metad__Query *q)
{
	metad__name__init(name);
	metad__query__init(q);
	name->has_parent = name->has_name = true;
	name->parent = call->req->ino;
	name->name.data = (uint8_t *)call->name;
	name->name.len = strlen(call->name);
	q->of_case = of;
	/* One of the union; those of a name are pointers to the same type. */
	q->lookup = name;
}

/* Of the call's inode and name. */
static int ask_name(struct vfs_mount *mnt, Metad__Query__OfCase of,
		    const struct datafs_call *call, Metad__Answer **res)
{
	Metad__Name name;
	Metad__Query q;

	name_query(call, of, &name, &q);
	return ask(mnt, &q, res);
}

int vfs_quorum_lookup(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_grant_object o = {
		.ino = call->req->ino, .kind = DATAFS_GRANT_NAME,
		.len = (uint8_t)strlen(call->name), .name = call->name,
	};
	struct datafs_entry *e = call->out;
	struct datafs_told told;
	Metad__Answer *a;
	Metad__Name name;
	Metad__Query q;
	int ret;

	memset(e, 0, sizeof(*e));
	call->out_len = sizeof(*e);
	name_query(call, METAD__QUERY__OF_LOOKUP, &name, &q);
	ret = ask_told(mnt, &q, &a, &told);
	if (ret)
		return ret;
	ret = has_attr(mnt, a);
	if (!ret)
		vfs_quorum_attr(a->attr, vfs_keep_attr(mnt, &told, a->believe_attr, a->attr),
				&e->attr);
	if (!ret || ret == -ENOENT) {
		e->valid_ms = vfs_keep(mnt, &told, a->believe, &o);
		ret = 0;
	}
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

static void inode_query(uint64_t ino, Metad__Query__OfCase of, Metad__Inode *inode,
			Metad__Query *q)
{
	metad__inode__init(inode);
	metad__query__init(q);
	inode->has_ino = true;
	inode->ino = ino;
	q->of_case = of;
	/* One of the union; all are pointers to the same type. */
	q->getattr = inode;
}

static int ask_inode(struct vfs_mount *mnt, Metad__Query__OfCase of, uint64_t ino,
		     Metad__Answer **res)
{
	Metad__Inode inode;
	Metad__Query q;

	inode_query(ino, of, &inode, &q);
	return ask(mnt, &q, res);
}

/* Attributes: of the inode itself, or of another, which the answer says may be kept. */
static int ask_attr(struct vfs_mount *mnt, Metad__Query__OfCase of, uint64_t ino,
		    struct datafs_attr *attr)
{
	struct datafs_told told;
	Metad__Inode inode;
	Metad__Answer *a;
	Metad__Query q;
	bool believe;
	int ret;

	inode_query(ino, of, &inode, &q);
	ret = ask_told(mnt, &q, &a, &told);
	if (ret)
		return ret;
	ret = has_attr(mnt, a);
	if (!ret) {
		believe = a->attr->ino == ino ? a->believe : a->believe_attr;
		vfs_quorum_attr(a->attr, vfs_keep_attr(mnt, &told, believe, a->attr), attr);
	}
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

int vfs_quorum_getattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	call->out_len = sizeof(struct datafs_attr);
	return ask_attr(mnt, METAD__QUERY__OF_GETATTR, call->req->ino, call->out);
}

int vfs_quorum_parent(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_entry *e = call->out;

	*e = (struct datafs_entry) { .valid_ms = DATAFS_FOREVER };
	call->out_len = sizeof(*e);
	return ask_attr(mnt, METAD__QUERY__OF_PARENT, call->req->ino, &e->attr);
}

static int bytes(Metad__Answer *a, struct datafs_call *call, size_t max)
{
	int ret = a->data.len > max ? -EIO : 0;

	if (!ret) {
		memcpy(call->out, a->data.data, a->data.len);
		call->out_len = a->data.len;
	}
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

int vfs_quorum_readlink(struct vfs_mount *mnt, struct datafs_call *call)
{
	Metad__Answer *a;
	int ret = ask_inode(mnt, METAD__QUERY__OF_READLINK, call->req->ino, &a);

	return ret ? ret : bytes(a, call, DATAFS_SYMLINK_MAX);
}

int vfs_quorum_listxattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	Metad__Answer *a;
	int ret = ask_inode(mnt, METAD__QUERY__OF_LISTXATTR, call->req->ino, &a);

	return ret ? ret : bytes(a, call, DATAFS_XATTR_MAX);
}

int vfs_quorum_getxattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	Metad__Answer *a;
	int ret = ask_name(mnt, METAD__QUERY__OF_GETXATTR, call, &a);

	return ret ? ret : bytes(a, call, DATAFS_XATTR_MAX);
}

/* The bytes that @d takes in the kernel's form, and writes them if @to. */
static size_t put_entry(const Metad__Dirent *d, uint32_t name_ms, uint32_t attr_ms, char *to)
{
	size_t padded = datafs_round_up(d->name.len, 8);
	struct datafs_dirent *de = (void *)to;

	if (to) {
		memset(de, 0, sizeof(*de) + padded);
		de->cookie = d->cookie;
		de->valid_ms = name_ms;
		de->namelen = d->name.len;
		vfs_quorum_attr(d->attr, attr_ms, &de->attr);
		memcpy(de + 1, d->name.data, d->name.len);
	}
	return sizeof(*de) + padded;
}

int vfs_quorum_readdir(struct vfs_mount *mnt, struct datafs_call *call)
{
	const struct datafs_readdir_req *req = call->body;
	struct datafs_readdir_rep *rep = call->out;
	Metad__Readdir rd = METAD__READDIR__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	size_t max = DATAFS_MIN(req->max, DATAFS_MSG_MAX), len = sizeof(*rep);
	const struct datafs_grant_object names = {
		.ino = call->req->ino, .kind = DATAFS_GRANT_NAMES,
	};
	struct datafs_told told;
	uint32_t name_ms;
	Metad__Answer *a;
	size_t i;
	int ret;

	if (req->cookie >= INT64_MAX)
		return -EINVAL;
	rd.has_ino = rd.has_cookie = rd.has_max = true;
	rd.ino = call->req->ino;
	rd.cookie = req->cookie;
	/* An entry in the kernel's form is the longer one. */
	rd.max = (uint32_t)DATAFS_MIN(DATAFS_MAX(max, (size_t)1), (size_t)(512 << 10));
	q.of_case = METAD__QUERY__OF_READDIR;
	q.readdir = &rd;
	ret = ask_told(mnt, &q, &a, &told);
	if (ret)
		return ret;
	ret = -(int)a->error;
	name_ms = vfs_keep(mnt, &told, a->believe, &names);
	max -= DATAFS_MIN(max, sizeof(struct datafs_rep));
	for (i = 0; i < a->n_entries; i++) {
		const Metad__Dirent *d = a->entries[i];

		if (!d->attr || !d->name.len || d->name.len > DATAFS_NAME_MAX ||
		    vfs_quorum_alien(mnt, d->attr->ino | d->cookie)) {
			ret = -EIO;
			break;
		}
		if (i && len + put_entry(d, 0, 0, NULL) > max)
			break;
		len += put_entry(d, name_ms, vfs_keep_attr(mnt, &told, d->believe_attr, d->attr),
				 (char *)call->out + len);
	}
	rep->count = i;
	rep->flags = (a->eof && i == a->n_entries ? DATAFS_READDIR_EOF : 0) |
		     (name_ms == DATAFS_FOREVER && mnt->v->listings ? DATAFS_READDIR_KEEP : 0);
	call->out_len = len;
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

/* As XFS and ext4 have it of a directory with a project quota: its limits are the size. */
static void quota_statfs(const Metad__Quota *q, struct datafs_statfs *out)
{
	uint64_t used = (q->bytes + BSIZE - 1) / BSIZE, max = q->bytes_max / BSIZE;

	out->blocks = DATAFS_MAX(used, max);
	out->bfree = out->bavail = out->blocks - used;
	if (q->inodes_max)
		out->ffree = q->inodes_max - DATAFS_MIN(q->inodes, q->inodes_max);
	out->files = q->inodes + out->ffree;
}

int vfs_quorum_statfs(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_statfs *out = call->out;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	struct datafs_quorum *quorum;
	Metad__Answer *a;
	int ret;

	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	ret = vfs_quorum_of(mnt, &quorum);
	if (ret)
		return ret;
	/* members of a feature level without leases do not know the field */
	counts.has_ino = !mnt->members || datafs_quorum_until(quorum);
	counts.ino = call->req->ino;
	ret = ask(mnt, &q, &a);
	if (ret)
		return ret;
	*out = (struct datafs_statfs) {
		.blocks = (a->bytes + BSIZE - 1) / BSIZE,
		.files = a->inodes + FFREE, .ffree = FFREE,
		.bsize = BSIZE, .namelen = DATAFS_NAME_MAX,
	};
	if (a->n_quotas == 1)
		quota_statfs(a->quotas[0], out);
	call->out_len = sizeof(*out);
	metad__answer__free_unpacked(a, NULL);
	return 0;
}
