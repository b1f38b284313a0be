// SPDX-License-Identifier: Apache-2.0
/*
 * Ways to spoil an answer. Each opcode has those of the fields of its structs,
 * each field with each of a row of values; those of any reply's head and length;
 * and its own.
 */
#include "spoil.h"

struct field {
	const char *name;
	uint16_t offset, width;
};

#define F(type, member) { #member, offsetof(struct type, member), \
			  sizeof(((struct type *)0)->member) }

static const struct field of_attr[] = {
	F(datafs_attr, ino), F(datafs_attr, content), F(datafs_attr, size),
	F(datafs_attr, blocks), F(datafs_attr, atime), F(datafs_attr, mtime),
	F(datafs_attr, ctime), F(datafs_attr, btime), F(datafs_attr, atime_ns),
	F(datafs_attr, mtime_ns), F(datafs_attr, ctime_ns), F(datafs_attr, btime_ns),
	F(datafs_attr, mode), F(datafs_attr, nlink), F(datafs_attr, uid), F(datafs_attr, gid),
	F(datafs_attr, rdev_major), F(datafs_attr, rdev_minor), F(datafs_attr, flags),
	F(datafs_attr, valid_ms),
};
static const struct field of_entry[] = {
	F(datafs_entry, valid_ms), F(datafs_entry, reserved),
};
/* What a change decides; the others are looked at in the same way wherever they are. */
static const struct field of_inode[] = {
	F(datafs_attr, ino), F(datafs_attr, mode), F(datafs_attr, nlink),
};
static const struct field of_readdir[] = {
	F(datafs_readdir_rep, count), F(datafs_readdir_rep, flags),
};
static const struct field of_dirent[] = {
	F(datafs_dirent, cookie), F(datafs_dirent, valid_ms), F(datafs_dirent, namelen),
	F(datafs_dirent, reserved),
};
static const struct field of_extents[] = {
	F(datafs_extent_rep, content), F(datafs_extent_rep, count), F(datafs_extent_rep, crcs),
};
static const struct field of_extent[] = {
	F(datafs_extent, off), F(datafs_extent, backing_off), F(datafs_extent, len),
	F(datafs_extent, backing_id), F(datafs_extent, reserved),
};
static const struct field of_crc[] = { { "crc", 0, 4 } };
static const struct field of_statfs[] = {
	F(datafs_statfs, blocks), F(datafs_statfs, bfree), F(datafs_statfs, bavail),
	F(datafs_statfs, files), F(datafs_statfs, ffree), F(datafs_statfs, bsize),
	F(datafs_statfs, namelen),
};

/* A struct in a reply: where it is, if the reply has one. */
static long at_start(const struct draft *d, uint64_t *choice)
{
	(void)choice;
	return d->len ? 0 : -1;
}

long at_dirent(const struct draft *d, uint64_t *choice)
{
	const struct datafs_readdir_rep *rep = (const void *)d->body;
	uint32_t n = rep->count ? rnd(choice) % rep->count : 0;
	size_t pos = sizeof(*rep);

	if (d->len < sizeof(*rep) || !rep->count)
		return -1;
	while (n--)
		pos += sizeof(struct datafs_dirent) +
		       (((struct datafs_dirent *)(d->body + pos))->namelen + 7) / 8 * 8;
	return pos;
}

long at_dirent_attr(const struct draft *d, uint64_t *choice)
{
	long pos = at_dirent(d, choice);

	return pos < 0 ? pos : pos + (long)offsetof(struct datafs_dirent, attr);
}

long at_extent(const struct draft *d, uint64_t *choice)
{
	const struct datafs_extent_rep *rep = (const void *)d->body;

	if (d->len < sizeof(*rep) || !rep->count)
		return -1;
	return sizeof(*rep) + rnd(choice) % rep->count * sizeof(struct datafs_extent);
}

long at_crc(const struct draft *d, uint64_t *choice)
{
	const struct datafs_extent_rep *rep = (const void *)d->body;

	if (d->len < sizeof(*rep) || !rep->crcs)
		return -1;
	return sizeof(*rep) + rep->count * sizeof(struct datafs_extent) +
	       rnd(choice) % rep->crcs * 4;
}

static long at_part(const struct draft *d, size_t offset)
{
	return d->len == sizeof(struct datafs_change_rep) ? (long)offset : -1;
}

static long at_parent(const struct draft *d, uint64_t *choice)
{
	(void)choice;
	return at_part(d, offsetof(struct datafs_change_rep, parent));
}

static long at_new_parent(const struct draft *d, uint64_t *choice)
{
	(void)choice;
	return at_part(d, offsetof(struct datafs_change_rep, new_parent));
}

static long at_other(const struct draft *d, uint64_t *choice)
{
	(void)choice;
	return at_part(d, offsetof(struct datafs_change_rep, other));
}

struct part {
	const struct field *fields;
	unsigned int n;
	long (*at)(const struct draft *d, uint64_t *choice);
};

#define PART(fields, at) { fields, sizeof(fields) / sizeof(fields[0]), at }
#define PARTS		5
/* Of a change that is not looked at in all of its fields. */
#define CHANGE_PARTS	{ PART(of_inode, at_start), PART(of_entry, at_start), \
			  PART(of_inode, at_parent), PART(of_inode, at_new_parent), \
			  PART(of_inode, at_other) }
/* And of one that is. */
#define CHANGE_ALL	{ PART(of_attr, at_start), PART(of_entry, at_start), \
			  PART(of_attr, at_parent), PART(of_inode, at_new_parent), \
			  PART(of_attr, at_other) }

static const struct part parts[DATAFS_OP_NR][PARTS] = {
	[DATAFS_OP_MOUNT] = { PART(of_attr, at_start) },
	[DATAFS_OP_LOOKUP] = { PART(of_attr, at_start), PART(of_entry, at_start) },
	[DATAFS_OP_PARENT] = { PART(of_attr, at_start), PART(of_entry, at_start) },
	[DATAFS_OP_GETATTR] = { PART(of_attr, at_start) },
	[DATAFS_OP_READDIR] = { PART(of_readdir, at_start), PART(of_dirent, at_dirent),
				PART(of_attr, at_dirent_attr) },
	[DATAFS_OP_EXTENT] = { PART(of_extents, at_start), PART(of_extent, at_extent),
			       PART(of_crc, at_crc) },
	[DATAFS_OP_BAD_EXTENT] = { PART(of_extents, at_start), PART(of_extent, at_extent),
				   PART(of_crc, at_crc) },
	[DATAFS_OP_STATFS] = { PART(of_statfs, at_start) },
	[DATAFS_OP_CREATE] = CHANGE_ALL, [DATAFS_OP_MKDIR] = CHANGE_PARTS,
	[DATAFS_OP_MKNOD] = CHANGE_PARTS, [DATAFS_OP_SYMLINK] = CHANGE_PARTS,
	[DATAFS_OP_LINK] = CHANGE_PARTS, [DATAFS_OP_UNLINK] = CHANGE_PARTS,
	[DATAFS_OP_RMDIR] = CHANGE_PARTS, [DATAFS_OP_RENAME] = CHANGE_ALL,
	[DATAFS_OP_SETATTR] = CHANGE_PARTS, [DATAFS_OP_SETXATTR] = CHANGE_PARTS,
	[DATAFS_OP_REMOVEXATTR] = CHANGE_PARTS,
};

/* ------------------------------------------------------------ a field's value */

#define VALUES	14

static const char *const value_name[VALUES] = {
	"0", "1", "all ones", "the sign", "one less", "one more", "2^63-1", "2^63", "2^63-4096",
	"twice", "4096 more", "a bit other", "random", "small",
};

static uint64_t other_value(unsigned int n, uint64_t v, unsigned int width, uint64_t *choice)
{
	switch (n) {
	case 0:	return 0;
	case 1:	return 1;
	case 2:	return ~0ull;
	case 3:	return 1ull << (8 * width - 1);
	case 4:	return v - 1;
	case 5:	return v + 1;
	case 6:	return INT64_MAX;
	case 7:	return 1ull << 63;
	case 8:	return (1ull << 63) - GRANULE;
	case 9:	return 2 * v;
	case 10: return v + GRANULE;
	case 11: return v ^ 1ull << rnd(choice) % (8 * width);
	case 12: return rnd(choice);
	default: return rnd(choice) % 70;
	}
}

static bool spoil_field(const struct field *f, long at, unsigned int value, struct draft *d,
			uint64_t *choice)
{
	uint64_t v = 0, w;

	if (at < 0 || at + f->offset + f->width > (long)d->len)
		return false;
	/* Little-endian: the low bytes are those that a narrow field has. */
	memcpy(&v, d->body + at + f->offset, f->width);
	w = other_value(value, v, f->width, choice);
	memcpy(d->body + at + f->offset, &w, f->width);
	return memcmp(&v, d->body + at + f->offset, f->width);
}

/* ----------------------------------------------------------- all in a row */

/* Finds way @n of @opcode: its field (and @value), or its function. */
static const struct field *find(unsigned int opcode, unsigned int *n, const struct part **part,
				const struct way **way)
{
	unsigned int i;

	for (i = 0; i < PARTS && parts[opcode][i].n; i++) {
		*part = &parts[opcode][i];
		if (*n < (*part)->n * VALUES)
			return &(*part)->fields[*n / VALUES];
		*n -= (*part)->n * VALUES;
	}
	for (*way = any_ways; (*way)->name && *n; (*way)++)
		--*n;
	if (!(*way)->name)
		*way = &own_ways[opcode][*n];
	return NULL;
}

unsigned int spoil_ways(unsigned int opcode)
{
	const struct way *way;
	unsigned int i, n = 0;

	for (i = 0; i < PARTS; i++)
		n += parts[opcode][i].n * VALUES;
	for (way = any_ways; way->name; way++)
		n++;
	for (way = own_ways[opcode]; way->name; way++)
		n++;
	return n;
}

bool spoil(unsigned int n, const struct datafs_req *r, struct draft *d, uint64_t *choice)
{
	const struct part *part;
	const struct way *way;
	const struct field *f = find(r->opcode, &n, &part, &way);
	bool may = false;

	if (f)
		return spoil_field(f, part->at(d, choice), n % VALUES, d, choice);
	way->fn(r, d, choice, &may);
	return may;
}

const char *spoil_name(unsigned int opcode, unsigned int n)
{
	static char text[100];
	const struct part *part;
	const struct way *way;
	const struct field *f = find(opcode, &n, &part, &way);

	if (!f)
		return way->name;
	snprintf(text, sizeof(text), "%s: %s", f->name, value_name[n % VALUES]);
	return text;
}
