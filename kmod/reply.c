// SPDX-License-Identifier: GPL-2.0-only
/*
 * DataFS: checks of all that a daemon says, against proto/datafs_abi.h.
 *
 * Everything is proven here before anybody uses it: lengths to the byte,
 * ranges, order, reserved fields. The functions are pure, so that the unit
 * tests and a fuzzer can have them in userspace.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include <linux/string.h>

#include "datafs.h"
#else
#include "reply_shim.h"
#endif

#define DATAFS_NSEC	1000000000u

/* Bytes of names and targets are the daemon's; their structure is not. */
static bool datafs_name_ok(const char *name, u32 len)
{
	if (!len || len > DATAFS_NAME_MAX)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return !memchr(name, '/', len) && !memchr(name, '\0', len);
}

static bool datafs_all_zero(const void *p, size_t len)
{
	const u8 *b = p;

	while (len--)
		if (*b++)
			return false;
	return true;
}

/* A whole number of granules that ends within what a loff_t can say. */
static bool datafs_range_ok(u64 off, u64 len)
{
	return !((off | len) & (DATAFS_GRANULE - 1)) && off <= S64_MAX &&
	       len <= S64_MAX - off;
}

static bool datafs_mode_ok(const struct datafs_attr *a)
{
	if (a->mode & ~(u32)(S_IFMT | 07777))
		return false;
	switch (a->mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		return a->rdev_major < 1u << 12 && a->rdev_minor < 1u << 20;
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
		return !a->rdev_major && !a->rdev_minor;
	default:
		return false;
	}
}

/* But its count of links. */
static bool datafs_attr_known(const struct datafs_attr *a)
{
	return a->ino && a->ino <= S64_MAX && a->content &&
	       a->size <= S64_MAX &&
	       a->atime_ns < DATAFS_NSEC && a->mtime_ns < DATAFS_NSEC &&
	       a->ctime_ns < DATAFS_NSEC && a->btime_ns < DATAFS_NSEC &&
	       !(a->flags & ~(DATAFS_ATTR_XATTR | DATAFS_ATTR_ACL |
			      DATAFS_ATTR_BTIME | DATAFS_ATTR_CHANGES)) &&
	       datafs_mode_ok(a);
}

static bool datafs_attr_ok(const struct datafs_attr *a)
{
	return a->nlink && datafs_attr_known(a);
}

int datafs_reply_attr(const void *body, u32 len, struct datafs_attr *attr)
{
	if (len != sizeof(*attr))
		return -EIO;
	memcpy(attr, body, sizeof(*attr));
	return datafs_attr_ok(attr) ? 0 : -EIO;
}

int datafs_reply_entry(const void *body, u32 len, struct datafs_entry *entry)
{
	if (len != sizeof(*entry))
		return -EIO;
	memcpy(entry, body, sizeof(*entry));
	if (entry->reserved)
		return -EIO;
	if (!entry->attr.ino)
		return datafs_all_zero(&entry->attr, sizeof(entry->attr)) ?
		       0 : -EIO;
	return datafs_attr_ok(&entry->attr) ? 0 : -EIO;
}

int datafs_reply_statfs(const void *body, u32 len, struct datafs_statfs *st)
{
	if (len != sizeof(*st))
		return -EIO;
	memcpy(st, body, sizeof(*st));
	if (st->bsize < 512 || st->bsize > 65536 ||
	    (st->bsize & (st->bsize - 1)))
		return -EIO;
	if (!st->namelen || st->namelen > DATAFS_NAME_MAX)
		return -EIO;
	return 0;
}

int datafs_reply_dirent(const void *body, u32 len, u32 *pos, u64 prev_cookie,
			struct datafs_dirent *ent, const char **name)
{
	u32 at = *pos ? *pos : (u32)sizeof(struct datafs_readdir_rep);
	const char *bytes;
	u32 padded;

	if (at > len || len - at < sizeof(*ent))
		return -EIO;
	memcpy(ent, (const char *)body + at, sizeof(*ent));
	at += sizeof(*ent);
	padded = (ent->namelen + 7u) & ~7u;
	if (len - at < padded)
		return -EIO;
	bytes = (const char *)body + at;
	if (ent->reserved || ent->cookie < DATAFS_FIRST_COOKIE ||
	    ent->cookie > S64_MAX || ent->cookie <= prev_cookie ||
	    !datafs_name_ok(bytes, ent->namelen) ||
	    !datafs_all_zero(bytes + ent->namelen, padded - ent->namelen) ||
	    !datafs_attr_ok(&ent->attr))
		return -EIO;
	*name = bytes;
	*pos = at + padded;
	return 0;
}

/*
 * All entries are checked with the head, so that a listing is not cut in its
 * middle by what could be known at its beginning.
 */
int datafs_reply_readdir(const void *body, u32 len,
			 struct datafs_readdir_rep *rep)
{
	struct datafs_dirent ent;
	const char *name;
	u64 cookie = 0;
	u32 pos, i;

	if (len < sizeof(*rep))
		return -EIO;
	memcpy(rep, body, sizeof(*rep));
	if (rep->flags & ~(DATAFS_READDIR_EOF | DATAFS_READDIR_KEEP))
		return -EIO;
	/* no entry and no end: its reader would ask for ever */
	if (!rep->count && !(rep->flags & DATAFS_READDIR_EOF))
		return -EIO;
	pos = sizeof(*rep);
	for (i = 0; i < rep->count; i++) {
		if (datafs_reply_dirent(body, len, &pos, cookie, &ent, &name))
			return -EIO;
		cookie = ent.cookie;
	}
	return pos == len ? 0 : -EIO;
}

int datafs_reply_extents(const void *body, u32 len,
			 struct datafs_extent_rep *rep,
			 const struct datafs_extent **ext, const __u32 **crc)
{
	const struct datafs_extent *e;
	u64 granules = 0, end = 0;
	u32 i;

	if (len < sizeof(*rep))
		return -EIO;
	memcpy(rep, body, sizeof(*rep));
	if (!rep->content || rep->count > DATAFS_EXTENTS_MAX)
		return -EIO;
	/* in 64 bits no count can wrap around */
	if ((u64)len != sizeof(*rep) + (u64)rep->count * sizeof(*e) +
			(u64)rep->crcs * sizeof(**crc))
		return -EIO;
	*ext = (const void *)((const char *)body + sizeof(*rep));
	*crc = (const void *)(*ext + rep->count);
	for (i = 0; i < rep->count; i++) {
		e = &(*ext)[i];
		if (!e->len || e->len > DATAFS_EXTENT_MAX || e->reserved ||
		    !e->backing_id || e->backing_id >= DATAFS_BACKING_IDS ||
		    !datafs_range_ok(e->off, e->len) ||
		    !datafs_range_ok(e->backing_off, e->len) || e->off < end)
			return -EIO;
		end = e->off + e->len;
		granules += e->len >> DATAFS_GRANULE_SHIFT;
	}
	return granules == rep->crcs ? 0 : -EIO;
}

/* ---------------------------------------------------------------- changes */

/* @ino: of what it must tell; 0: of nothing, and then all is zero. */
static bool datafs_change_attr_ok(const struct datafs_attr *a, u64 ino)
{
	if (!ino)
		return datafs_all_zero(a, sizeof(*a));
	return datafs_attr_known(a) && a->ino == ino;
}

static bool datafs_change_dir_ok(const struct datafs_attr *a, u64 ino)
{
	return datafs_change_attr_ok(a, ino) &&
	       (!ino || (a->nlink && S_ISDIR(a->mode)));
}

static bool datafs_change_makes(u16 opcode)
{
	return opcode == DATAFS_OP_CREATE || opcode == DATAFS_OP_MKDIR ||
	       opcode == DATAFS_OP_MKNOD || opcode == DATAFS_OP_SYMLINK;
}

/*
 * Only what removes a name takes the last one, and of a directory there is one. All
 * else finds and leaves it with a name, or held, and without.
 */
static bool datafs_change_nlink_ok(const struct datafs_change_want *want,
				   const struct datafs_attr *a)
{
	switch (want->opcode) {
	case DATAFS_OP_RMDIR:
		return !a->nlink;
	case DATAFS_OP_UNLINK:
		return true;
	default:
		return !a->nlink == want->removed;
	}
}

static bool datafs_change_node_ok(const struct datafs_change_want *want,
				  const struct datafs_attr *a)
{
	if (!datafs_attr_known(a) || !datafs_change_nlink_ok(want, a))
		return false;
	if (!datafs_change_makes(want->opcode))
		return a->ino == want->node;
	return (a->mode & S_IFMT) == want->type && a->ino != want->parent &&
	       a->rdev_major == want->rdev_major &&
	       a->rdev_minor == want->rdev_minor;
}

static bool datafs_change_other_ok(const struct datafs_change_want *want,
				   const struct datafs_attr *a)
{
	if (!datafs_change_attr_ok(a, want->other))
		return false;
	if (!want->other)
		return true;
	if (want->exchange)
		return a->nlink;
	return !S_ISDIR(a->mode) || !a->nlink;
}

int datafs_reply_change(const void *body, u32 len,
			const struct datafs_change_want *want,
			struct datafs_change_rep *rep)
{
	if (len != sizeof(*rep))
		return -EIO;
	memcpy(rep, body, sizeof(*rep));
	if (rep->node.reserved ||
	    !datafs_change_node_ok(want, &rep->node.attr) ||
	    !datafs_change_dir_ok(&rep->parent, want->parent) ||
	    !datafs_change_dir_ok(&rep->new_parent, want->new_parent) ||
	    !datafs_change_other_ok(want, &rep->other))
		return -EIO;
	return 0;
}
