// SPDX-License-Identifier: Apache-2.0
/* What is asked of a quorum's namespace. */
#include "vfs_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define BSIZE	4096
/* Of inodes there is no end; some programs want one. */
#define FFREE	(1ull << 32)

void vfs_quorum_attr(const Metad__Attr *a, struct datafs_attr *attr)
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
		.valid_ms = DATAFS_FOREVER,
	};
	if (S_ISBLK(a->mode) || S_ISCHR(a->mode)) {
		attr->rdev_major = a->rdev_major;
		attr->rdev_minor = a->rdev_minor;
	}
}

/* 0 and the answer, or an error of the way or of the question. */
static int ask(struct vfs_mount *mnt, const Metad__Query *q, Metad__Answer **res)
{
	int ret;

	if (!mnt->quorum)
		return -ESTALE;
	ret = datafs_quorum_ask(mnt->quorum, q, res);
	if (ret || !(*res)->error)
		return ret;
	ret = -(int)(*res)->error;
	metad__answer__free_unpacked(*res, NULL);
	/* Damaged: nothing that a program can do about it. */
	return ret == -EUCLEAN ? -EIO : ret;
}

/* The answer's attributes, which must be there. */
static int take_attr(Metad__Answer *a, struct datafs_attr *attr)
{
	int ret = a->attr ? 0 : -EIO;

	if (!ret)
		vfs_quorum_attr(a->attr, attr);
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

int vfs_quorum_lookup(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_entry *e = call->out;
	Metad__Name name = METAD__NAME__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;
	int ret;

	name.has_parent = name.has_name = true;
	name.parent = call->req->ino;
	name.name.data = (uint8_t *)call->name;
	name.name.len = strlen(call->name);
	q.of_case = METAD__QUERY__OF_LOOKUP;
	q.lookup = &name;
	memset(e, 0, sizeof(*e));
	e->valid_ms = DATAFS_FOREVER;
	call->out_len = sizeof(*e);
	ret = ask(mnt, &q, &a);
	if (ret == -ENOENT)
		return 0;
	return ret ? ret : take_attr(a, &e->attr);
}

static int ask_inode(struct vfs_mount *mnt, Metad__Query__OfCase of, uint64_t ino,
		     Metad__Answer **res)
{
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Inode inode = METAD__INODE__INIT;

	inode.has_ino = true;
	inode.ino = ino;
	q.of_case = of;
	/* One of the union; all are pointers to the same type. */
	q.getattr = &inode;
	return ask(mnt, &q, res);
}

int vfs_quorum_getattr(struct vfs_mount *mnt, struct datafs_call *call)
{
	Metad__Answer *a;
	int ret = ask_inode(mnt, METAD__QUERY__OF_GETATTR, call->req->ino, &a);

	call->out_len = sizeof(struct datafs_attr);
	return ret ? ret : take_attr(a, call->out);
}

int vfs_quorum_parent(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_entry *e = call->out;
	Metad__Answer *a;
	int ret = ask_inode(mnt, METAD__QUERY__OF_PARENT, call->req->ino, &a);

	*e = (struct datafs_entry) { .valid_ms = DATAFS_FOREVER };
	call->out_len = sizeof(*e);
	return ret ? ret : take_attr(a, &e->attr);
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
	Metad__Name name = METAD__NAME__INIT;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Answer *a;
	int ret;

	name.has_parent = name.has_name = true;
	name.parent = call->req->ino;
	name.name.data = (uint8_t *)call->name;
	name.name.len = strlen(call->name);
	q.of_case = METAD__QUERY__OF_GETXATTR;
	q.getxattr = &name;
	ret = ask(mnt, &q, &a);
	return ret ? ret : bytes(a, call, DATAFS_XATTR_MAX);
}

/* The bytes that @d takes in the kernel's form, and writes them if @to. */
static size_t put_entry(const Metad__Dirent *d, char *to)
{
	size_t padded = datafs_round_up(d->name.len, 8);
	struct datafs_dirent *de = (void *)to;

	if (to) {
		memset(de, 0, sizeof(*de) + padded);
		de->cookie = d->cookie;
		de->valid_ms = DATAFS_FOREVER;
		de->namelen = d->name.len;
		vfs_quorum_attr(d->attr, &de->attr);
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
	ret = ask(mnt, &q, &a);
	if (ret)
		return ret;
	max -= DATAFS_MIN(max, sizeof(struct datafs_rep));
	for (i = 0; i < a->n_entries; i++) {
		const Metad__Dirent *d = a->entries[i];

		if (!d->attr || !d->name.len || d->name.len > DATAFS_NAME_MAX) {
			ret = -EIO;
			break;
		}
		if (i && len + put_entry(d, NULL) > max)
			break;
		len += put_entry(d, (char *)call->out + len);
	}
	rep->count = i;
	rep->flags = a->eof && i == a->n_entries ? DATAFS_READDIR_EOF : 0;
	call->out_len = len;
	metad__answer__free_unpacked(a, NULL);
	return ret;
}

int vfs_quorum_statfs(struct vfs_mount *mnt, struct datafs_call *call)
{
	struct datafs_statfs *out = call->out;
	Metad__Query q = METAD__QUERY__INIT;
	Metad__Counts counts = METAD__COUNTS__INIT;
	Metad__Answer *a;
	int ret;

	q.of_case = METAD__QUERY__OF_COUNTS;
	q.counts = &counts;
	ret = ask(mnt, &q, &a);
	if (ret)
		return ret;
	*out = (struct datafs_statfs) {
		.blocks = (a->bytes + BSIZE - 1) / BSIZE,
		.files = a->inodes + FFREE, .ffree = FFREE,
		.bsize = BSIZE, .namelen = DATAFS_NAME_MAX,
	};
	call->out_len = sizeof(*out);
	metad__answer__free_unpacked(a, NULL);
	return 0;
}
