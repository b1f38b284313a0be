// SPDX-License-Identifier: Apache-2.0
/*
 * What Documentation/protocol.rst says of an answer. It knows nothing of the tree
 * but the types of inodes.
 */
#include "hostile.h"

const char *law_why;

/* Remembers what did not hold. */
#define HOLDS(what) ((what) || (law_why = #what, false))

static bool type_known(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) ||
	       S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

static bool rdev_right(const struct datafs_attr *a)
{
	if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
		return a->rdev_major < 1 << 12 && a->rdev_minor < 1 << 20;
	return !a->rdev_major && !a->rdev_minor;
}

/* But its count of links. */
static enum verdict law_inode(const struct datafs_attr *a)
{
	unsigned int node = tree_node(a->ino);

	if (!(HOLDS(a->ino >= 1 && a->ino <= INT64_MAX) &&
	      HOLDS(a->content != 0) &&
	      HOLDS(a->size <= INT64_MAX) &&
	      HOLDS(a->atime_ns < 1000000000) && HOLDS(a->mtime_ns < 1000000000) &&
	      HOLDS(a->ctime_ns < 1000000000) && HOLDS(a->btime_ns < 1000000000) &&
	      HOLDS(!(a->mode & ~(S_IFMT | 07777))) &&
	      HOLDS(type_known(a->mode)) &&
	      HOLDS(rdev_right(a)) &&
	      HOLDS(!(a->flags >> 4))))
		return BREACH;
	/* Whether the kernel has the inode, to see that its type changes, is its affair. */
	return HOLDS(node == NO_NODE || (a->mode & S_IFMT) == (nodes[node].mode & S_IFMT)) ?
	       LAWFUL : UNSAID;
}

static enum verdict law_attr(const struct datafs_attr *a)
{
	return HOLDS(a->nlink >= 1) ? law_inode(a) : BREACH;
}

static enum verdict law_entry(const struct datafs_req *r, const struct datafs_entry *e)
{
	static const struct datafs_attr none;

	if (!HOLDS(!e->reserved))
		return BREACH;
	if (!e->attr.ino)
		return HOLDS(!memcmp(&e->attr, &none, sizeof(none))) &&
		       HOLDS(r->opcode != DATAFS_OP_PARENT) ? LAWFUL : BREACH;
	if (!HOLDS(r->opcode != DATAFS_OP_PARENT || S_ISDIR(e->attr.mode)))
		return BREACH;
	return law_attr(&e->attr);
}

static bool name_right(const char *name, size_t len)
{
	size_t i;

	/* Zeros to a multiple of eight. */
	for (i = len; i % 8; i++)
		if (name[i])
			return false;
	return len >= 1 && len <= DATAFS_NAME_MAX && !memchr(name, '/', len) &&
	       !memchr(name, 0, len) && (len > 2 || memcmp(name, "..", len));
}

static enum verdict law_readdir(const struct datafs_req *r, const unsigned char *p, size_t len)
{
	const struct datafs_readdir_req *want = (const void *)(r + 1);
	const struct datafs_readdir_rep *rep = (const void *)p;
	enum verdict verdict, all = LAWFUL;
	uint64_t cookie = want->cookie;
	size_t pos = sizeof(*rep);
	uint32_t i;

	if (!(HOLDS(len >= sizeof(*rep)) && HOLDS(!(rep->flags >> 1)) &&
	      HOLDS(rep->count || rep->flags)))
		return BREACH;
	for (i = 0; i < rep->count; i++) {
		const struct datafs_dirent *e = (const void *)(p + pos);

		if (!(HOLDS(len - pos >= sizeof(*e)) &&
		      HOLDS(len - pos - sizeof(*e) >= (e->namelen + 7u) / 8 * 8) &&
		      HOLDS(e->cookie >= DATAFS_FIRST_COOKIE && e->cookie <= INT64_MAX) &&
		      HOLDS(e->cookie > cookie) &&
		      HOLDS(!e->reserved) &&
		      HOLDS(name_right((const char *)(e + 1), e->namelen))))
			return BREACH;
		verdict = law_attr(&e->attr);
		if (verdict == BREACH)
			return BREACH;
		if (verdict == UNSAID)
			all = UNSAID;
		cookie = e->cookie;
		pos += sizeof(*e) + (e->namelen + 7) / 8 * 8;
	}
	return HOLDS(pos == len) ? all : BREACH;
}

static enum verdict law_extents(const struct datafs_req *r, const unsigned char *p, size_t len)
{
	const struct datafs_extent_req *want = (const void *)(r + 1);
	const struct datafs_extent_rep *rep = (const void *)p;
	const struct datafs_extent *e = (const void *)(rep + 1);
	uint64_t last = 0, granules = 0;
	bool shrunk = false;
	uint32_t i;

	if (!(HOLDS(len >= sizeof(*rep)) && HOLDS(rep->content != 0) &&
	      HOLDS(rep->count <= DATAFS_EXTENTS_MAX) &&
	      HOLDS(rep->count || r->flags & DATAFS_REQ_PREFETCH) &&
	      HOLDS(len == sizeof(*rep) + rep->count * sizeof(*e) + 4ull * rep->crcs)))
		return BREACH;
	for (i = 0; i < rep->count; i++, e++) {
		if (!(HOLDS(!(e->off % GRANULE || e->backing_off % GRANULE || e->len % GRANULE)) &&
		      HOLDS(e->len && e->len <= DATAFS_EXTENT_MAX) &&
		      HOLDS(!e->reserved) &&
		      HOLDS(e->off >= last) && HOLDS(e->off <= INT64_MAX - e->len) &&
		      HOLDS(e->len <= backing_length(e->backing_id)) &&
		      HOLDS(e->backing_off <= backing_length(e->backing_id) - e->len)))
			return BREACH;
		shrunk |= e->backing_id == BACKING_SHORT;
		last = e->off + e->len;
		granules += e->len / GRANULE;
	}
	if (!HOLDS(rep->crcs == granules))
		return BREACH;
	/*
	 * Of another content all is dropped, before or after the backing files are looked
	 * at. One that became shorter has been registered again by each daemon.
	 */
	return HOLDS(rep->content == want->content) && HOLDS(!shrunk) ? LAWFUL : UNSAID;
}

/* ---------------------------------------------------------------- changes */

static enum verdict worse(enum verdict a, enum verdict b)
{
	return a == BREACH || b == BREACH ? BREACH : a == UNSAID ? a : b;
}

/* @ino 0: there must be nothing. */
static enum verdict law_named(const struct datafs_attr *a, uint64_t ino)
{
	static const struct datafs_attr none;

	if (!ino)
		return HOLDS(!memcmp(a, &none, sizeof(none))) ? LAWFUL : BREACH;
	return HOLDS(a->ino == ino) ? law_inode(a) : BREACH;
}

static enum verdict law_dir(const struct datafs_attr *a, uint64_t ino)
{
	if (ino && !(HOLDS(S_ISDIR(a->mode)) && HOLDS(a->nlink >= 1)))
		return BREACH;
	return law_named(a, ino);
}

static enum verdict law_made(const struct datafs_req *r, const struct datafs_attr *a)
{
	const struct datafs_make_req *m = (const void *)(r + 1);
	uint32_t type = r->opcode == DATAFS_OP_CREATE ? S_IFREG :
			r->opcode == DATAFS_OP_MKDIR ? S_IFDIR :
			r->opcode == DATAFS_OP_SYMLINK ? S_IFLNK : m->mode & S_IFMT;

	if (!(HOLDS((a->mode & S_IFMT) == type) && HOLDS(a->ino != r->ino) &&
	      HOLDS(a->rdev_major == m->rdev_major) && HOLDS(a->rdev_minor == m->rdev_minor)))
		return BREACH;
	return law_attr(a);
}

static enum verdict law_renamed(const struct datafs_req *r, const struct datafs_change_rep *c)
{
	const struct datafs_rename_req *m = (const void *)(r + 1);
	unsigned int node = tree_child(tree_node(r->ino), (const char *)(m + 1), r->namelen);
	bool exchange = m->flags & DATAFS_RENAME_EXCHANGE;

	if (!HOLDS(c->node.attr.ino == tree_ino(node, shared->generation)))
		return BREACH;
	if (m->ino && exchange && !HOLDS(c->other.nlink >= 1))
		return BREACH;
	if (m->ino && !exchange && S_ISDIR(c->other.mode) && !HOLDS(!c->other.nlink))
		return BREACH;
	return worse(law_attr(&c->node.attr),
		     worse(law_dir(&c->new_parent, m->new_parent == r->ino ? 0 : m->new_parent),
			   law_named(&c->other, m->ino)));
}

static enum verdict law_change(const struct datafs_req *r, const struct datafs_change_rep *c)
{
	const struct datafs_attr *a = &c->node.attr;
	enum verdict v;

	if (!HOLDS(!c->node.reserved))
		return BREACH;
	v = law_dir(&c->parent, r->opcode < DATAFS_OP_SETATTR ? r->ino : 0);
	if (r->opcode == DATAFS_OP_RENAME)
		return worse(v, law_renamed(r, c));
	v = worse(v, worse(law_named(&c->new_parent, 0), law_named(&c->other, 0)));
	switch (r->opcode) {
	case DATAFS_OP_LINK:
		return worse(v, HOLDS(a->ino == ((const struct datafs_link_req *)(r + 1))->ino) ?
				law_attr(a) : BREACH);
	case DATAFS_OP_RMDIR:
		if (!HOLDS(!a->nlink))
			return BREACH;
		/* fallthrough */
	case DATAFS_OP_UNLINK:
		return worse(v, law_named(a, ((const struct datafs_remove_req *)(r + 1))->ino));
	case DATAFS_OP_SETATTR:
	case DATAFS_OP_SETXATTR:
	case DATAFS_OP_REMOVEXATTR:
		return worse(v, HOLDS(a->ino == r->ino) ? law_attr(a) : BREACH);
	default:
		return worse(v, law_made(r, a));
	}
}

/* Each of 1 to 255 bytes, and a NUL. */
static bool names_right(const unsigned char *p, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (!p[i] && (n < 1 || n > 255))
			return false;
		n = p[i] ? n + 1 : 0;
	}
	return !n;
}

static bool statfs_right(const struct datafs_statfs *s)
{
	return HOLDS(s->bsize >= 512 && s->bsize <= 65536 && !(s->bsize & (s->bsize - 1))) &&
	       HOLDS(s->namelen >= 1 && s->namelen <= DATAFS_NAME_MAX);
}

static enum verdict law_body(const struct datafs_req *r, const unsigned char *p, size_t len)
{
	const struct datafs_attr *a = (const void *)p;

	switch (r->opcode) {
	case DATAFS_OP_MOUNT:
		return HOLDS(len == sizeof(struct datafs_mount_rep)) && HOLDS(S_ISDIR(a->mode)) ?
		       law_attr(a) : BREACH;
	case DATAFS_OP_UMOUNT:
	case DATAFS_OP_REVOKE_DONE:
		return HOLDS(!len) ? LAWFUL : BREACH;
	case DATAFS_OP_LOOKUP:
	case DATAFS_OP_PARENT:
		return HOLDS(len == sizeof(struct datafs_entry)) ?
		       law_entry(r, (const void *)p) : BREACH;
	case DATAFS_OP_GETATTR:
		return HOLDS(len == sizeof(*a)) && HOLDS(a->ino == r->ino) ? law_attr(a) : BREACH;
	case DATAFS_OP_READDIR:
		return law_readdir(r, p, len);
	case DATAFS_OP_READLINK:
		return HOLDS(len >= 1 && len <= DATAFS_SYMLINK_MAX) && HOLDS(!memchr(p, 0, len)) ?
		       LAWFUL : BREACH;
	case DATAFS_OP_EXTENT:
	case DATAFS_OP_BAD_EXTENT:
		return law_extents(r, p, len);
	case DATAFS_OP_GETXATTR:
		return HOLDS(len <= DATAFS_XATTR_MAX) ? LAWFUL : BREACH;
	case DATAFS_OP_LISTXATTR:
		return HOLDS(len <= DATAFS_XATTR_MAX) && HOLDS(names_right(p, len)) ?
		       LAWFUL : BREACH;
	case DATAFS_OP_STATFS:
		return HOLDS(len == sizeof(struct datafs_statfs)) &&
		       statfs_right((const void *)p) ? LAWFUL : BREACH;
	case DATAFS_OP_CREATE ... DATAFS_OP_REMOVEXATTR:
		return HOLDS(len == sizeof(struct datafs_change_rep)) ?
		       law_change(r, (const void *)p) : BREACH;
	case DATAFS_OP_RELEASE:
		return HOLDS(!len) ? LAWFUL : BREACH;
	}
	return UNSAID;
}

enum verdict law(const struct datafs_req *r, const struct draft *d)
{
	int e = d->head.error;

	law_why = "";
	if (!e)
		return law_body(r, d->body, d->len);
	return HOLDS(!d->len) && HOLDS(e >= -511 && e < 0) &&
	       HOLDS(e != -EINTR && e != -EUCLEAN) ? LAWFUL : BREACH;
}
