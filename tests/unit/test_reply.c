// SPDX-License-Identifier: Apache-2.0
/*
 * The module's checks of what a daemon says: everything right is taken, and
 * each thing wrong is found. Bodies lie at the very end of their allocation,
 * so that the sanitizer sees a byte read too much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../kmod/reply.c"

/* A copy of @len bytes with nothing readable behind it. */
static void *tight(const void *p, size_t len)
{
	void *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	return memcpy(copy, p, len);
}

static const struct datafs_attr good_attr = {
	.ino = 7, .content = 1, .size = 100, .mode = S_IFREG | 0644,
	.nlink = 1, .atime = -5, .atime_ns = 999999999,
};

static int check_attr(const struct datafs_attr *a, u32 len)
{
	void *body = tight(a, len < sizeof(*a) ? len : sizeof(*a));
	struct datafs_attr out;
	int ret = datafs_reply_attr(body, len, &out);

	if (!ret)
		assert_memory_equal(a, &out, sizeof(out));
	free(body);
	return ret;
}

#define ATTR(expect, ...) do {						\
	struct datafs_attr a = good_attr;				\
	__VA_ARGS__;							\
	assert_int_equal(check_attr(&a, sizeof(a)), expect);		\
} while (0)

static void attributes(void **state)
{
	static const u32 types[] = {
		S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK,
	};
	u32 i, known = 0;

	(void)state;
	ATTR(0, (void)0);
	ATTR(0, a.ino = INT64_MAX; a.size = INT64_MAX; a.content = UINT64_MAX);
	ATTR(0, a.mode = S_IFBLK | 07777; a.rdev_major = 4095;
	     a.rdev_minor = (1 << 20) - 1);
	ATTR(0, a.flags = DATAFS_ATTR_XATTR | DATAFS_ATTR_ACL |
	     DATAFS_ATTR_BTIME | DATAFS_ATTR_CHANGES);
	ATTR(-EIO, a.ino = 0);
	ATTR(-EIO, a.ino = 1ull << 63);
	ATTR(-EIO, a.content = 0);
	ATTR(-EIO, a.size = 1ull << 63);
	ATTR(-EIO, a.nlink = 0);
	ATTR(-EIO, a.atime_ns = 1000000000);
	ATTR(-EIO, a.mtime_ns = 1000000000);
	ATTR(-EIO, a.ctime_ns = 1000000000);
	ATTR(-EIO, a.btime_ns = UINT32_MAX);
	ATTR(-EIO, a.mode |= 0200000);
	ATTR(-EIO, a.rdev_minor = 1);
	ATTR(-EIO, a.mode = S_IFCHR; a.rdev_major = 4096);
	ATTR(-EIO, a.mode = S_IFCHR; a.rdev_minor = 1 << 20);
	ATTR(-EIO, a.flags = 16);
	for (i = 0; i < 16; i++) {
		u32 j, mode = i << 12, valid = 0;

		for (j = 0; j < 7; j++)
			valid |= types[j] == mode;
		known += valid;
		ATTR(valid ? 0 : -EIO, a.mode = mode);
	}
	assert_int_equal(known, 7);
	assert_int_equal(check_attr(&good_attr, 0), -EIO);
	assert_int_equal(check_attr(&good_attr, sizeof(good_attr) - 1), -EIO);
	assert_int_equal(datafs_reply_attr("", 0, &(struct datafs_attr){ 0 }),
			 -EIO);
}

static int check_entry(const struct datafs_entry *e)
{
	void *body = tight(e, sizeof(*e));
	struct datafs_entry out;
	int ret = datafs_reply_entry(body, sizeof(*e), &out);

	free(body);
	return ret;
}

static void entries(void **state)
{
	struct datafs_entry e = { .attr = good_attr, .valid_ms = 1 };

	(void)state;
	assert_int_equal(check_entry(&e), 0);
	e.reserved = 1;
	assert_int_equal(check_entry(&e), -EIO);
	e = (struct datafs_entry) { .valid_ms = DATAFS_FOREVER };
	assert_int_equal(check_entry(&e), 0);
	e.attr.mode = S_IFREG;
	assert_int_equal(check_entry(&e), -EIO);
	assert_int_equal(datafs_reply_entry("", 0, &e), -EIO);
}

static void filesystems(void **state)
{
	struct datafs_statfs good = { .bsize = 4096, .namelen = 255 }, s, out;

	(void)state;
#define STATFS(expect, set) do {					\
	s = good;							\
	set;								\
	assert_int_equal(datafs_reply_statfs(&s, sizeof(s), &out), expect); \
} while (0)
	STATFS(0, (void)0);
	STATFS(0, s.bsize = 512);
	STATFS(0, s.bsize = 65536);
	STATFS(-EIO, s.bsize = 0);
	STATFS(-EIO, s.bsize = 256);
	STATFS(-EIO, s.bsize = 4097);
	STATFS(-EIO, s.bsize = 131072);
	STATFS(-EIO, s.namelen = 0);
	STATFS(-EIO, s.namelen = 256);
	assert_int_equal(datafs_reply_statfs(&good, sizeof(s) - 8, &out), -EIO);
}

/* ---------------------------------------------------------------- listings */

static u8 list[65536];
static u32 list_len;

static struct datafs_dirent *add(u64 cookie, const char *name, u32 namelen)
{
	struct datafs_dirent *d = (void *)(list + list_len);

	*d = (struct datafs_dirent) {
		.cookie = cookie, .namelen = namelen, .attr = good_attr,
	};
	memset(d + 1, 0, (namelen + 7) / 8 * 8);
	memcpy(d + 1, name, namelen);
	list_len += sizeof(*d) + (namelen + 7) / 8 * 8;
	((struct datafs_readdir_rep *)list)->count++;
	return d;
}

static void start(u32 flags)
{
	list_len = sizeof(struct datafs_readdir_rep);
	*(struct datafs_readdir_rep *)list = (struct datafs_readdir_rep) {
		.flags = flags,
	};
}

/* The head's answer; if that is good, all entries must be, again. */
static int check_list(u32 len)
{
	struct datafs_readdir_rep rep;
	void *body = tight(list, len);
	struct datafs_dirent ent;
	const char *name;
	u64 cookie = 0;
	u32 i, pos = 0;
	int ret;

	ret = datafs_reply_readdir(body, len, &rep);
	for (i = 0; !ret && i < rep.count; i++) {
		assert_int_equal(datafs_reply_dirent(body, len, &pos, cookie,
						     &ent, &name), 0);
		assert_true(ent.cookie > cookie);
		cookie = ent.cookie;
		assert_null(memchr(name, 0, ent.namelen));
	}
	if (!ret && rep.count)
		assert_int_equal(pos, len);
	free(body);
	return ret;
}

#define LIST(expect, ...) do {						\
	struct datafs_dirent *d;					\
	start(0);							\
	add(16, "one", 3);						\
	d = add(20, "eightchr", 8);					\
	__VA_ARGS__;							\
	(void)d;							\
	assert_int_equal(check_list(list_len), expect);			\
} while (0)

static void listings(void **state)
{
	static char longest[256];
	u32 i;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	LIST(0, (void)0);
	LIST(0, add(INT64_MAX, longest, 255));
	LIST(-EIO, add(21, longest, 256));
	LIST(-EIO, add(21, "", 0));
	LIST(-EIO, add(1ull << 63, "a", 1));
	LIST(-EIO, add(20, "a", 1));
	LIST(-EIO, add(19, "a", 1));
	LIST(-EIO, add(21, ".", 1));
	LIST(-EIO, add(21, "..", 2));
	LIST(0, add(21, "...", 3));
	LIST(0, add(21, ".a", 2));
	LIST(-EIO, add(21, "a/", 2));
	LIST(-EIO, add(21, "a\0b", 3));
	LIST(-EIO, d->reserved = 1);
	LIST(-EIO, d->attr.ino = 0);
	LIST(-EIO, list_len += 8);
	LIST(-EIO, list[8 + sizeof(*d) + 5] = 1);	/* padding */
	LIST(-EIO, ((struct datafs_readdir_rep *)list)->count = 3);
	LIST(-EIO, ((struct datafs_readdir_rep *)list)->count = 1);
	LIST(-EIO, ((struct datafs_readdir_rep *)list)->count = UINT32_MAX);
	LIST(-EIO, ((struct datafs_readdir_rep *)list)->flags = 4);
	LIST(0, ((struct datafs_readdir_rep *)list)->flags |= DATAFS_READDIR_KEEP);
	LIST(0, ((struct datafs_readdir_rep *)list)->flags = 1);
	start(0);
	add(15, "early", 5);
	assert_int_equal(check_list(list_len), -EIO);

	/* cut anywhere */
	LIST(0, (void)0);
	for (i = 0; i < list_len; i++)
		assert_int_equal(check_list(i), -EIO);

	start(DATAFS_READDIR_EOF);
	assert_int_equal(check_list(list_len), 0);
	start(0);
	assert_int_equal(check_list(list_len), -EIO);
}

/* ----------------------------------------------------------------- extents */

static u8 data[1 << 20];

#define EXT(i)	(&((struct datafs_extent *)(data + 16))[i])
#define HEAD	((struct datafs_extent_rep *)data)

static u32 three(void)
{
	*HEAD = (struct datafs_extent_rep) {
		.content = 9, .count = 3, .crcs = 4,
	};
	*EXT(0) = (struct datafs_extent) {
		.off = 0, .backing_off = 4096, .len = 4096, .backing_id = 1,
	};
	*EXT(1) = (struct datafs_extent) {
		.off = 4096, .len = 8192, .backing_id = DATAFS_BACKING_IDS - 1,
	};
	*EXT(2) = (struct datafs_extent) {
		.off = 1 << 20, .len = 4096, .backing_id = 2,
	};
	return 16 + 3 * sizeof(struct datafs_extent) + 4 * 4;
}

static int check_extents(u32 len)
{
	void *body = tight(data, len);
	const struct datafs_extent *ext;
	struct datafs_extent_rep rep;
	const __u32 *crc;
	int ret = datafs_reply_extents(body, len, &rep, &ext, &crc);

	if (!ret)
		assert_ptr_equal((const u8 *)(crc + rep.crcs),
				 (const u8 *)body + len);
	free(body);
	return ret;
}

#define EXTENTS(expect, ...) do {					\
	u32 len = three();						\
	__VA_ARGS__;							\
	assert_int_equal(check_extents(len), expect);			\
} while (0)

static void extents(void **state)
{
	u32 i, n;

	(void)state;
	EXTENTS(0, (void)0);
	EXTENTS(0, EXT(2)->off = (1ull << 63) - 8192);
	EXTENTS(-EIO, HEAD->content = 0);
	EXTENTS(-EIO, HEAD->crcs = 3);
	EXTENTS(-EIO, HEAD->crcs = 5);
	EXTENTS(-EIO, HEAD->crcs = 3; len -= 4);
	EXTENTS(-EIO, HEAD->crcs = 5; len += 4);
	EXTENTS(-EIO, HEAD->crcs = UINT32_MAX);
	EXTENTS(-EIO, HEAD->count = UINT32_MAX);
	EXTENTS(-EIO, HEAD->count = 2);
	/* counts that make up the same length in 32 bits */
	EXTENTS(-EIO, HEAD->count = 3 + (1u << 27));
	EXTENTS(-EIO, HEAD->crcs = 4 + (1u << 30));
	EXTENTS(-EIO, len += 8);
	EXTENTS(-EIO, len -= 1);
	EXTENTS(-EIO, EXT(0)->off = 1);
	EXTENTS(-EIO, EXT(0)->off = 4096);			/* overlap */
	EXTENTS(-EIO, EXT(2)->off = 0);				/* order */
	EXTENTS(-EIO, EXT(0)->backing_off = 512);
	EXTENTS(-EIO, EXT(0)->len = 0);
	EXTENTS(-EIO, EXT(0)->len = 100);
	EXTENTS(-EIO, EXT(2)->len = UINT64_MAX - 4095);
	EXTENTS(-EIO, EXT(2)->off = UINT64_MAX - 4095);
	EXTENTS(-EIO, EXT(2)->off = (1ull << 63) - 4096; EXT(2)->len = 8192;
		HEAD->crcs = 5; len += 4);
	EXTENTS(-EIO, EXT(2)->backing_off = (1ull << 63));
	EXTENTS(-EIO, EXT(0)->backing_id = 0);
	EXTENTS(-EIO, EXT(0)->backing_id = DATAFS_BACKING_IDS);
	EXTENTS(-EIO, EXT(1)->reserved = 1);

	/* cut anywhere */
	n = three();
	for (i = 0; i < n; i++)
		assert_int_equal(check_extents(i), -EIO);

	/* none, the longest, one longer; the most, one more */
	*HEAD = (struct datafs_extent_rep) { .content = 1 };
	assert_int_equal(check_extents(16), 0);
	*HEAD = (struct datafs_extent_rep) {
		.content = 1, .count = 1, .crcs = DATAFS_EXTENT_MAX >> 12,
	};
	*EXT(0) = (struct datafs_extent) {
		.len = DATAFS_EXTENT_MAX, .backing_id = 1,
	};
	assert_int_equal(check_extents(48 + 4 * HEAD->crcs), 0);
	HEAD->crcs++;
	EXT(0)->len += 4096;
	assert_int_equal(check_extents(48 + 4 * HEAD->crcs), -EIO);
	for (n = DATAFS_EXTENTS_MAX; n <= DATAFS_EXTENTS_MAX + 1; n++) {
		*HEAD = (struct datafs_extent_rep) {
			.content = 1, .count = n, .crcs = n,
		};
		for (i = 0; i < n; i++)
			*EXT(i) = (struct datafs_extent) {
				.off = i * 4096, .len = 4096, .backing_id = 1,
			};
		assert_int_equal(check_extents(16 + n * 36),
				 n > DATAFS_EXTENTS_MAX ? -EIO : 0);
	}
}

/* ----------------------------------------------------------------- changes */

/* Inode 9 in directory 7; of a rename it goes to 8, where 6 was. */
static struct datafs_change_rep change_rep;
static struct datafs_change_want change_want;

static struct datafs_attr attr_of(u64 ino, u32 mode)
{
	struct datafs_attr a = good_attr;

	a.ino = ino;
	a.mode = mode;
	return a;
}

static void change_of(u16 op)
{
	bool is_dir = op == DATAFS_OP_MKDIR || op == DATAFS_OP_RMDIR;
	u32 mode = is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;

	change_rep = (struct datafs_change_rep) {
		.node = { .attr = attr_of(9, mode), .valid_ms = 1 },
	};
	change_want = (struct datafs_change_want) {
		.opcode = op, .type = mode & S_IFMT, .node = 9,
	};
	if (op < DATAFS_OP_SETATTR) {
		change_rep.parent = attr_of(7, S_IFDIR | 0755);
		change_want.parent = 7;
	}
	if (op == DATAFS_OP_RMDIR)
		change_rep.node.attr.nlink = 0;
	if (op == DATAFS_OP_RENAME) {
		change_rep.new_parent = attr_of(8, S_IFDIR | 0755);
		change_rep.other = attr_of(6, S_IFREG | 0644);
		change_want.new_parent = 8;
		change_want.other = 6;
	}
}

static int check_change(u32 len)
{
	void *body = tight(&change_rep, len);
	struct datafs_change_rep out;
	int ret = datafs_reply_change(body, len, &change_want, &out);

	if (!ret)
		assert_memory_equal(&out, &change_rep, sizeof(out));
	free(body);
	return ret;
}

#define CHANGE(expect, op, ...) do {					\
	struct datafs_attr *node = &change_rep.node.attr;		\
									\
	change_of(op);							\
	__VA_ARGS__;							\
	(void)node;							\
	assert_int_equal(check_change(sizeof(change_rep)), expect);	\
} while (0)

/* What is so for all of them. */
static void any_change(u16 op)
{
	bool named = op < DATAFS_OP_SETATTR;
	u32 i;

	CHANGE(0, op, (void)0);
	CHANGE(-EIO, op, change_rep.node.reserved = 1);
	CHANGE(-EIO, op, node->ino = 0);
	CHANGE(-EIO, op, node->ino = 1ull << 63);
	CHANGE(-EIO, op, node->content = 0);
	CHANGE(-EIO, op, node->mode = 0);
	CHANGE(-EIO, op, node->flags = 16);
	CHANGE(-EIO, op, change_rep.node = (struct datafs_entry){ 0 });
	CHANGE(-EIO, op, change_rep.parent = attr_of(named ? 10 : 7, S_IFDIR | 0755));
	CHANGE(named ? -EIO : 0, op,
	       memset(&change_rep.parent, 0, sizeof(struct datafs_attr)));
	CHANGE(-EIO, op, change_rep.parent.ino ^= 1);
	CHANGE(-EIO, op, change_rep.parent.mode = S_IFREG | 0755);
	CHANGE(-EIO, op, change_rep.parent.valid_ms = 1; change_rep.parent.nlink = 0);
	if (op != DATAFS_OP_RENAME) {
		CHANGE(-EIO, op, change_rep.new_parent = attr_of(8, S_IFDIR | 0755));
		CHANGE(-EIO, op, change_rep.other = attr_of(6, S_IFREG | 0644));
		CHANGE(-EIO, op, change_rep.other.valid_ms = 1);
	}
	change_of(op);
	for (i = 0; i < sizeof(change_rep); i++)
		assert_int_equal(check_change(i), -EIO);
}

static void changes(void **state)
{
	static const u16 makes[] = {
		DATAFS_OP_CREATE, DATAFS_OP_MKDIR, DATAFS_OP_MKNOD,
		DATAFS_OP_SYMLINK,
	};
	static const u16 sets[] = {
		DATAFS_OP_SETATTR, DATAFS_OP_SETXATTR, DATAFS_OP_REMOVEXATTR,
	};
	u16 op;
	u32 i;

	(void)state;
	for (op = DATAFS_OP_CREATE; op < DATAFS_OP_RELEASE; op++)
		any_change(op);
	for (i = 0; i < 4; i++) {
		op = makes[i];
		CHANGE(0, op, node->ino = 10);
		CHANGE(-EIO, op, node->ino = 7);
		CHANGE(-EIO, op, node->nlink = 0);
		CHANGE(-EIO, op, node->mode = S_IFSOCK | 0644);
		CHANGE(-EIO, op, node->mode = S_IFCHR; node->rdev_major = 1);
	}
	CHANGE(0, DATAFS_OP_MKNOD, node->mode = S_IFCHR; node->rdev_major = 1;
	       node->rdev_minor = 3; change_want.type = S_IFCHR;
	       change_want.rdev_major = 1; change_want.rdev_minor = 3);
	CHANGE(-EIO, DATAFS_OP_MKNOD, node->mode = S_IFCHR; node->rdev_major = 1;
	       change_want.type = S_IFCHR; change_want.rdev_major = 2);
	CHANGE(-EIO, DATAFS_OP_MKNOD, node->mode = S_IFCHR; node->rdev_minor = 1;
	       change_want.type = S_IFCHR; change_want.rdev_minor = 2);

	for (op = DATAFS_OP_LINK; op < DATAFS_OP_RELEASE; op++)
		CHANGE(-EIO, op, node->ino = 10);
	CHANGE(-EIO, DATAFS_OP_LINK, node->nlink = 0);
	CHANGE(0, DATAFS_OP_UNLINK, node->nlink = 0);
	CHANGE(-EIO, DATAFS_OP_RMDIR, node->nlink = 1);

	CHANGE(-EIO, DATAFS_OP_RENAME, node->nlink = 0);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_rep.new_parent.ino = 7);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_rep.new_parent.nlink = 0);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_rep.new_parent.mode = S_IFLNK);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_want.new_parent = 0);
	CHANGE(0, DATAFS_OP_RENAME, change_want.new_parent = 0;
	       change_rep.new_parent = (struct datafs_attr){ 0 });
	CHANGE(-EIO, DATAFS_OP_RENAME, change_rep.other.ino = 5);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_rep.other.content = 0);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_want.other = 0);
	CHANGE(-EIO, DATAFS_OP_RENAME,
	       change_rep.other = (struct datafs_attr){ 0 });
	CHANGE(0, DATAFS_OP_RENAME, change_want.other = 0;
	       change_rep.other = (struct datafs_attr){ 0 });
	CHANGE(0, DATAFS_OP_RENAME, change_rep.other.nlink = 0);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_rep.other.mode = S_IFDIR);
	CHANGE(0, DATAFS_OP_RENAME, change_rep.other.mode = S_IFDIR;
	       change_rep.other.nlink = 0);
	CHANGE(0, DATAFS_OP_RENAME, change_want.exchange = true);
	CHANGE(-EIO, DATAFS_OP_RENAME, change_want.exchange = true;
	       change_rep.other.nlink = 0);

	/* what is held without a name, and only that, is told without one */
	for (i = 0; i < 3; i++) {
		CHANGE(-EIO, sets[i], node->nlink = 0);
		CHANGE(0, sets[i], node->nlink = 0; change_want.removed = true);
		CHANGE(-EIO, sets[i], change_want.removed = true);
	}
}

/* Whatever comes, no check reads beyond its body or does not end. */
static void noise(void **state)
{
	const struct datafs_extent *ext;
	struct datafs_readdir_rep rd;
	struct datafs_extent_rep xr;
	struct datafs_entry ent;
	struct datafs_statfs st;
	struct datafs_attr attr;
	const __u32 *crc;
	u64 x = 88172645463325252ull;
	u32 i, k, len;
	u8 *body;

	(void)state;
	for (i = 0; i < 50000; i++) {
		LIST(0, (void)0);
		len = i & 1 ? three() : list_len;
		body = tight(i & 1 ? data : list, len);
		for (k = 0; k < 1 + i % 3; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			body[x % len] ^= x >> 32;
		}
		datafs_reply_readdir(body, len, &rd);
		datafs_reply_extents(body, len, &xr, &ext, &crc);
		datafs_reply_attr(body, len, &attr);
		datafs_reply_entry(body, len, &ent);
		datafs_reply_statfs(body, len, &st);
		free(body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes),
		cmocka_unit_test(entries),
		cmocka_unit_test(filesystems),
		cmocka_unit_test(listings),
		cmocka_unit_test(extents),
		cmocka_unit_test(changes),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
