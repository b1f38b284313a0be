// SPDX-License-Identifier: Apache-2.0
/* Ways to spoil an answer beyond a field of it: any answer, and those of an opcode. */
#include <limits.h>

#include "spoil.h"

/* ---------------------------------------------------------------- any reply */

/* Where @done tells whether it could be done. */
#define WAY_IF(fn, done) \
	static void fn(const struct datafs_req *r, struct draft *d, uint64_t *choice, bool *may) \
	{ \
		(void)r; (void)choice; (void)d; \
		*may = (done); \
	}
/* Where @cond holds, @what is done. */
#define WAY(fn, cond, what) WAY_IF(fn, (cond) && ({ what; true; }))

static void more(struct draft *d, size_t n)
{
	memset(d->body + d->len, 0, n);
	d->len += n;
}

static void noise(struct draft *d, size_t n, uint64_t *choice)
{
	uint64_t x;

	for (d->len = 0; d->len < n; d->len += sizeof(x)) {
		x = rnd(choice);
		memcpy(d->body + d->len, &x, sizeof(x));
	}
	d->len = n;
}

WAY(empty, d->len, d->len = 0)
WAY(cut_one, d->len, d->len--)
WAY(cut_eight, d->len > 8, d->len -= 8)
WAY(cut_any, d->len, d->len -= 1 + rnd(choice) % d->len)
WAY(longer_one, d->len, more(d, 1))
WAY(longer_eight, true, more(d, 8))
WAY(longer_much, true, more(d, 70000))
WAY(longest, rnd(choice) % 8 == 0, more(d, DATAFS_MSG_MAX - sizeof(d->head) - d->len))
WAY(random_same, d->len && d->len < 70000, noise(d, d->len, choice))
WAY(random_any, true, noise(d, 1 + rnd(choice) % 600, choice))
WAY(zeros, d->len, memset(d->body, 0, d->len))
WAY(ones, d->len, memset(d->body, 0xff, d->len))
WAY(some_bits, d->len,
	for (int i = 0; i < 4; i++)
		d->body[rnd(choice) % d->len] ^= 1 << rnd(choice) % 8)
WAY(positive, true, d->head.error = 5; d->len = 0)
WAY(beyond, true, d->head.error = -512; d->len = 0)
WAY(restart, true, d->head.error = -516 + (int)(rnd(choice) % 4); d->len = 0)
WAY(queued, true, d->head.error = -529; d->len = 0)
WAY(eintr, true, d->head.error = -EINTR; d->len = 0)
WAY(euclean, true, d->head.error = -EUCLEAN; d->len = 0)
WAY(least, true, d->head.error = INT_MIN; d->len = 0)
WAY(error_body, d->len, d->head.error = -ENOENT)
WAY(any_error, true, d->head.error = -1 - (int)(rnd(choice) % 511); d->len = 0)
WAY(retry_error, true, d->head.error = rnd(choice) % 2 ? -ESTALE : -EAGAIN; d->len = 0)
WAY(odd_error, true, d->head.error = rnd(choice); d->len = 0)

const struct way any_ways[] = {
	{ "no body", empty }, { "a byte less", cut_one }, { "8 bytes less", cut_eight },
	{ "cut anywhere", cut_any }, { "a byte more", longer_one }, { "8 more", longer_eight },
	{ "70,000 more", longer_much }, { "as long as can be", longest },
	{ "noise", random_same }, { "noise of any length", random_any }, { "zeros", zeros },
	{ "ones", ones }, { "some bits", some_bits }, { "error 5", positive },
	{ "error -512", beyond }, { "error to start again", restart },
	{ "error -529", queued }, { "EINTR", eintr }, { "EUCLEAN", euclean },
	{ "the least error", least }, { "an error with a body", error_body },
	{ "any errno", any_error }, { "ESTALE or EAGAIN", retry_error },
	{ "any error", odd_error }, {}
};

/* --------------------------------------------------------------- its own ways */

static uint32_t other_type(uint32_t mode, uint64_t *choice)
{
	static const uint32_t types[] = {
		S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK,
	};

	return (mode & ~S_IFMT) | types[rnd(choice) % 7];
}

static struct datafs_attr *attr_in(const struct datafs_req *r, struct draft *d, uint64_t *choice)
{
	long at = r->opcode == DATAFS_OP_READDIR ? at_dirent_attr(d, choice) : 0;

	return at < 0 || at + sizeof(struct datafs_attr) > d->len ? NULL :
	       (struct datafs_attr *)(d->body + at);
}

/* What the fields of attributes cannot do one by one. */
static void type(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		 bool *may)
{
	struct datafs_attr *a = attr_in(r, d, choice);

	if (!a)
		return;
	a->mode = other_type(a->mode, choice);
	a->rdev_major = a->rdev_minor = 0;
	*may = true;
}

static void same_content_other_size(const struct datafs_req *r, struct draft *d, uint64_t *choice,
				    bool *may)
{
	struct datafs_attr *a = attr_in(r, d, choice);
	static const uint64_t sizes[] = {
		0, 1, 4096, 1 << 20, 1ull << 40, INT64_MAX - 1, INT64_MAX - 4096,
	};

	if (!a)
		return;
	a->size = sizes[rnd(choice) % 7];
	*may = true;
}

static void forgetful(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		      bool *may)
{
	struct datafs_attr *a = attr_in(r, d, choice);

	if (!a)
		return;
	a->content = 1 + rnd(choice) % 3;
	*may = true;
}

/* Leads to another inode than it should. */
static bool leads(const struct datafs_req *r, struct draft *d, uint64_t ino)
{
	struct datafs_attr *a = attr_in(r, d, &(uint64_t){ 0 });

	if (!a || tree_node(ino) == NO_NODE)
		return false;
	*a = tree_attr(ino);
	return true;
}

static void to_parent(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		      bool *may)
{
	unsigned int node = tree_node(r->ino);

	(void)choice;
	*may = node != NO_NODE &&
	       leads(r, d, tree_ino(nodes[node].parent, shared->generation));
}

WAY_IF(to_root, leads(r, d, tree_ino(0, 0)))
WAY_IF(to_itself, leads(r, d, r->ino))
WAY_IF(to_any, leads(r, d, tree_ino(rnd(choice) % n_nodes, shared->generation)))
WAY(to_same, attr_in(r, d, choice), attr_in(r, d, choice)->ino = r->ino)
WAY_IF(to_renewed, attr_in(r, d, choice) && leads(r, d,
	tree_ino(tree_node(attr_in(r, d, choice)->ino), UNKNOWN_GENERATION + rnd(choice) % 64)))
WAY(absent, d->len >= sizeof(struct datafs_entry), memset(d->body, 0, sizeof(struct datafs_attr)))

static const struct way of_inodes[] = {
	{ "another type", type }, { "another size of the same content", same_content_other_size },
	{ "a content that was", forgetful }, { "to the root", to_root }, { "to itself", to_itself },
	{ "to the parent", to_parent }, { "to anything", to_any },
	{ "the number of another inode", to_same }, { "another file of the name", to_renewed },
	{ "absent", absent }, {}
};

static const struct way of_getattr[] = {
	{ "another type", type }, { "another size of the same content", same_content_other_size },
	{ "a content that was", forgetful }, { "of the root", to_root }, { "of any", to_any }, {}
};

static struct datafs_dirent *some_dirent(struct draft *d, uint64_t *choice)
{
	long at = at_dirent(d, choice);

	return at < 0 ? NULL : (struct datafs_dirent *)(d->body + at);
}

static bool rename_to(struct draft *d, uint64_t *choice, const char *with, size_t n)
{
	struct datafs_dirent *e = some_dirent(d, choice);

	if (!e || e->namelen < n)
		return false;
	memcpy(e + 1, with, n);
	return true;
}

static void dots(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		 bool *may)
{
	struct datafs_dirent *e = some_dirent(d, choice);

	(void)r;
	if (!e || e->namelen > 8)
		return;
	e->namelen = 1 + rnd(choice) % 2;
	memcpy(e + 1, "..\0\0\0\0\0", 8);
	if (e->namelen == 1)
		((char *)(e + 1))[1] = 0;
	*may = true;
}

/* Entries of a name of @n bytes in place of all there were. */
static bool one_name(struct draft *d, size_t n)
{
	struct datafs_readdir_rep *rep = (void *)d->body;
	struct datafs_dirent *e = (void *)(rep + 1);

	if (d->len < sizeof(*rep) + sizeof(*e))
		return false;
	rep->count = 1;
	e->namelen = n;
	memset(e + 1, 'y', n);
	memset((char *)(e + 1) + n, 0, 8);
	d->len = sizeof(*rep) + sizeof(*e) + (n + 7) / 8 * 8;
	return true;
}

static void same_names(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		       bool *may)
{
	struct datafs_dirent *a = some_dirent(d, choice), *b = some_dirent(d, choice);

	(void)r;
	if (!a || a == b || a->namelen != b->namelen)
		return;
	memcpy(b + 1, a + 1, a->namelen);
	*may = true;
}

static void swapped(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		    bool *may)
{
	struct datafs_dirent *a = some_dirent(d, choice), *b = some_dirent(d, choice);
	uint64_t cookie;

	(void)r;
	if (!a || a == b)
		return;
	cookie = a->cookie;
	a->cookie = b->cookie;
	b->cookie = cookie;
	*may = true;
}

WAY_IF(slash, rename_to(d, choice, "/", 1))
WAY_IF(slash_dots, rename_to(d, choice, "../..", 5))
WAY_IF(nul, rename_to(d, choice, "", 1))
WAY_IF(no_name, one_name(d, 0))
WAY_IF(name_256, one_name(d, 256))
WAY_IF(name_huge, one_name(d, 65535))
WAY(never_ends, d->len >= 8, ((struct datafs_readdir_rep *)d->body)->flags = 0)
WAY(ends, d->len >= 8, ((struct datafs_readdir_rep *)d->body)->flags = DATAFS_READDIR_EOF)
WAY(none_no_end, true, memset(d->body, 0, 8); d->len = 8)
WAY(from_start, d->len >= 8 && some_dirent(d, choice),
	some_dirent(d, choice)->cookie = DATAFS_FIRST_COOKIE)

static const struct way of_listing[] = {
	{ "another type", type }, { "another size of the same content", same_content_other_size },
	{ "to anything", to_any }, { "the number of another inode", to_same },
	{ "a slash", slash }, { "dots and slashes", slash_dots }, { "a NUL", nul },
	{ ". or ..", dots }, { "an empty name", no_name }, { "a name of 256", name_256 },
	{ "a name of 65,535", name_huge }, { "one name twice", same_names },
	{ "cookies in no order", swapped }, { "no end", never_ends }, { "the end", ends },
	{ "nothing, and no end", none_no_end }, { "the first cookie", from_start }, {}
};

static struct datafs_extent *some_extent(struct draft *d, uint64_t *choice)
{
	long at = at_extent(d, choice);

	return at < 0 ? NULL : (struct datafs_extent *)(d->body + at);
}

/* @n extents, one beside the other, each of a granule. */
static bool crowd(struct draft *d, unsigned int n)
{
	struct datafs_extent_rep *rep = (void *)d->body;
	struct datafs_extent *e = (void *)(rep + 1);
	unsigned int i;

	if (d->len < sizeof(*rep))
		return false;
	rep->count = rep->crcs = n;
	for (i = 0; i < n; i++)
		e[i] = (struct datafs_extent) {
			.off = (uint64_t)i * GRANULE, .len = GRANULE, .backing_id = 1,
		};
	memset(e + n, 0, n * 4);
	d->len = sizeof(*rep) + n * (sizeof(*e) + 4);
	return true;
}

static void overlap(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		    bool *may)
{
	struct datafs_extent *a = some_extent(d, choice), *b = some_extent(d, choice);

	(void)r;
	if (!a || a == b)
		return;
	b->off = a->off;
	*may = true;
}

static void misplaced(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		      bool *may)
{
	struct datafs_extent *e = some_extent(d, choice);

	(void)r;
	if (!e)
		return;
	e->backing_off = rnd(choice) % 2048 * GRANULE;
	*may = true;
}

static void all_crcs(const struct datafs_req *r, struct draft *d, uint64_t *choice,
		     bool *may)
{
	long at = at_crc(d, &(uint64_t){ 0 });

	(void)r;
	if (at < 0)
		return;
	for (at = d->len - 4 * ((struct datafs_extent_rep *)d->body)->crcs; at < (long)d->len; at++)
		d->body[at] = rnd(choice);
	*may = true;
}

#define EXTENT_WAY(fn, what) WAY(fn, some_extent(d, choice), \
	struct datafs_extent *e = some_extent(d, choice); what)
EXTENT_WAY(id_gone, e->backing_id = BACKING_GONE)
EXTENT_WAY(id_short, e->backing_id = BACKING_SHORT)
EXTENT_WAY(id_never, e->backing_id = 77)
EXTENT_WAY(id_last, e->backing_id = DATAFS_BACKING_IDS - 1)
EXTENT_WAY(id_beyond, e->backing_id = DATAFS_BACKING_IDS)
EXTENT_WAY(unaligned, e->off += 512)
EXTENT_WAY(unaligned_backing, e->backing_off += 512)
EXTENT_WAY(unaligned_len, e->len += 512)
EXTENT_WAY(elsewhere, e->off += 1ull << 40)
EXTENT_WAY(near_end, e->off = (1ull << 63) - GRANULE)
EXTENT_WAY(wraps, e->backing_off = -(uint64_t)GRANULE)
EXTENT_WAY(other_place, e->off += e->off ? -GRANULE : GRANULE)
WAY_IF(too_many, crowd(d, DATAFS_EXTENTS_MAX + 1))
WAY_IF(far_too_many, crowd(d, 20000))
WAY_IF(most, crowd(d, DATAFS_EXTENTS_MAX))
WAY(nothing_known, true, memset(d->body + 8, 0, 8); memcpy(d->body, r + 1, 8); d->len = 16)

static const struct way of_data[] = {
	{ "a deleted backing file", id_gone }, { "one that is short", id_short },
	{ "one that never was", id_never }, { "the last id", id_last },
	{ "no id", id_beyond }, { "an unaligned offset", unaligned },
	{ "an unaligned backing offset", unaligned_backing },
	{ "an unaligned length", unaligned_len }, { "far away", elsewhere },
	{ "near 2^63", near_end }, { "a backing offset that wraps", wraps },
	{ "another place", other_place }, { "65 extents", too_many },
	{ "20,000 extents", far_too_many }, { "64 extents", most }, { "nothing", nothing_known },
	{ "two in one place", overlap }, { "other bytes", misplaced },
	{ "no right checksum", all_crcs }, {}
};

WAY(link_nul, d->len > 1, d->body[d->len / 2] = 0)
WAY(link_4096, true, memset(d->body, 'z', 4096); d->len = 4096)
WAY(link_slash, true, d->body[0] = '/'; d->len = 1)
WAY(link_itself, d->len >= 4, memcpy(d->body, "link", 4); d->len = 4)

static const struct way of_link[] = {
	{ "a NUL", link_nul }, { "4,096 bytes", link_4096 }, { "a slash", link_slash },
	{ "itself", link_itself }, {}
};

WAY(value_large, true, memset(d->body, 'v', 65537); d->len = 65537)
WAY(value_most, true, memset(d->body, 'v', 65536); d->len = 65536)
WAY(value_noise, true, noise(d, rnd(choice) % 64, choice))

static const struct way of_value[] = {
	{ "65,537 bytes", value_large }, { "65,536 bytes", value_most },
	{ "another value", value_noise }, {}
};

WAY(names_no_nul, d->len > 1, d->body[d->len - 1] = 'x')
WAY(names_empty, d->len > 3, d->body[0] = d->body[1] = 0)
WAY(names_long, true, memset(d->body, 'n', 999); d->body[999] = 0; d->len = 1000)
WAY(names_other, d->len > 5, memcpy(d->body, "no.such", 6))

static const struct way of_names[] = {
	{ "no NUL", names_no_nul }, { "empty names", names_empty },
	{ "a name of 999", names_long }, { "names of no class", names_other },
	{ "65,537 bytes", value_large }, { "65,536 bytes", value_most }, {}
};

/* Another inode, of any type, in place of the one that was changed; or all of one row. */
static struct datafs_change_rep *change_in(struct draft *d)
{
	return d->len == sizeof(struct datafs_change_rep) ? (void *)d->body : NULL;
}

WAY(node_of_any, change_in(d), change_in(d)->node.attr =
	tree_attr(tree_ino(rnd(choice) % n_nodes, shared->generation)))
WAY(node_of_parent, change_in(d), change_in(d)->node.attr = change_in(d)->parent)
WAY(node_of_root, change_in(d), change_in(d)->node.attr = tree_attr(tree_ino(0, 0)))
WAY(no_parent, change_in(d), memset(&change_in(d)->parent, 0, sizeof(struct datafs_attr)))
WAY(parent_twice, change_in(d), change_in(d)->new_parent = change_in(d)->parent)
WAY(parent_of_any, change_in(d), change_in(d)->parent =
	tree_attr(tree_ino(rnd(choice) % n_nodes, shared->generation)))
WAY(no_other, change_in(d), memset(&change_in(d)->other, 0, sizeof(struct datafs_attr)))
WAY(other_of_any, change_in(d), change_in(d)->other =
	tree_attr(tree_ino(rnd(choice) % n_nodes, shared->generation)))
WAY(no_name_left, change_in(d), change_in(d)->node.attr.nlink = 0)
WAY(names_left, change_in(d), change_in(d)->node.attr.nlink = 2)

static const struct way of_change[] = {
	{ "another type", type }, { "another size of the same content", same_content_other_size },
	{ "a content that was", forgetful }, { "any inode", node_of_any },
	{ "the directory itself", node_of_parent }, { "the root", node_of_root },
	{ "no directory", no_parent }, { "two directories", parent_twice },
	{ "any directory", parent_of_any }, { "nothing replaced", no_other },
	{ "anything replaced", other_of_any }, { "no name left", no_name_left },
	{ "names left", names_left }, {}
};

static const struct way none[] = { {} };

const struct way *const own_ways[DATAFS_OP_NR] = {
	[DATAFS_OP_MOUNT] = none, [DATAFS_OP_UMOUNT] = none, [DATAFS_OP_STATFS] = none,
	[DATAFS_OP_REVOKE_DONE] = none, [DATAFS_OP_LOOKUP] = of_inodes,
	[DATAFS_OP_PARENT] = of_inodes, [DATAFS_OP_GETATTR] = of_getattr,
	[DATAFS_OP_READDIR] = of_listing, [DATAFS_OP_READLINK] = of_link,
	[DATAFS_OP_EXTENT] = of_data, [DATAFS_OP_BAD_EXTENT] = of_data,
	[DATAFS_OP_GETXATTR] = of_value, [DATAFS_OP_LISTXATTR] = of_names,
	[DATAFS_OP_CREATE ... DATAFS_OP_REMOVEXATTR] = of_change, [DATAFS_OP_RELEASE] = none,
};
