// SPDX-License-Identifier: Apache-2.0
/*
 * The tree that is served. It has the same names for ever; an inode number is a
 * node and a generation, so that a node can become another file, as if one had
 * been renamed over it. A content's number tells which of VERSIONS bytes a file
 * has, and that never changes.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "hostile.h"

#define SLOT		(112u * GRANULE)	/* in the backing file, for each data and version */
#define DATA		8
#define LENGTH		(DATA * VERSIONS * SLOT)
#define LEAD		(16u * GRANULE)	/* the second file has the bytes so much later */
#define FIRST		1u		/* ids of backing files */
#define SECOND		2u

/* A number has room for this many nodes; the root's never changes. */
#define NODE_BITS	10
#define ROOT_INO	1

struct node nodes[NODES];
unsigned int n_nodes;

static const uint32_t base_size[DATA] = { 0, 1, 4095, 4096, 8193, 70001, 262144, 400000 };
static unsigned char *slab;
static uint32_t *crcs;			/* of each granule of the slab */
static int backing_fd[BACKING_SHORT + 1];
static uint64_t length_of[BACKING_SHORT + 1];
static char long_target[DATAFS_SYMLINK_MAX + 1];

/* RFC 3720, appendix B.4 */
static uint32_t crc32c(const unsigned char *p, size_t n)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;
	int i, k;

	for (i = 0; !table[255] && i < 256; i++) {
		table[i] = i;
		for (k = 0; k < 8; k++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0);
	}
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 255];
	return ~crc;
}

static uint64_t data_size(unsigned int data, uint64_t content)
{
	return base_size[data] ? base_size[data] + content % VERSIONS * 4097 : 0;
}

/* ------------------------------------------------------------------ making */

static struct node *add(unsigned int parent, uint32_t mode, const char *name)
{
	struct node *n = &nodes[n_nodes++];

	n->parent = parent;
	n->mode = mode;
	n->data = -1;
	snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

static void make_nodes(void)
{
	unsigned int dir, sub, i, big;
	struct node *n;
	char name[256];

	add(0, S_IFDIR | 0755, "");
	dir = n_nodes;
	add(0, S_IFDIR | 0755, "dir")->xattrs = true;
	sub = n_nodes;
	add(dir, S_IFDIR | 0755, "sub")->acl = true;
	big = n_nodes;
	add(0, S_IFDIR | 0755, "big");
	add(sub, S_IFDIR | 0755, "empty");
	for (i = 0; i < DATA; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		n = add(i & 1 ? sub : 0, S_IFREG | 0644, name);
		n->data = i;
		n->xattrs = i % 3 == 0;
		n->acl = i == 6;
	}
	add(0, S_IFLNK | 0777, "link")->target = "dir/sub/file3";
	add(dir, S_IFLNK | 0777, "up")->target = "../file6";
	add(dir, S_IFLNK | 0777, "loop")->target = "loop";
	memset(long_target, 'x', sizeof(long_target) - 1);
	for (i = 200; i < DATAFS_SYMLINK_MAX; i += 200)
		long_target[i] = '/';
	add(0, S_IFLNK | 0777, "long")->target = long_target;
	add(dir, S_IFIFO | 0644, "fifo");
	add(dir, S_IFSOCK | 0644, "socket");
	add(dir, S_IFCHR | 0644, "null");
	memset(name, 'n', DATAFS_NAME_MAX);
	name[DATAFS_NAME_MAX] = 0;
	add(dir, S_IFREG | 0600, name)->data = 4;
	for (i = 0; n_nodes < NODES; i++) {
		snprintf(name, sizeof(name), "entry-%0*u", 3 + (int)(i * 7 % 60), i);
		n = add(big, i % 5 ? S_IFREG | 0444 : S_IFDIR | 0555, name);
		n->data = i % 5 ? (int)(i % DATA) : -1;
	}
}

/* @lead bytes that are of no file, then the slab. */
static int make_file(const char *slabs, const char *name, size_t lead)
{
	char file[4200];
	size_t at;
	int fd;

	snprintf(file, sizeof(file), "%s/hostile-%s", slabs, name);
	fd = open(file, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0 || (lead && pwrite(fd, slab, lead, 0) != (ssize_t)lead))
		die("%s: %m", file);
	for (at = 0; at < LENGTH; at += SLOT)
		if (pwrite(fd, slab + at, SLOT, lead + at) != (ssize_t)SLOT)
			die("%s: %m", file);
	if (fsync(fd))
		die("%s: %m", file);
	return fd;
}

void tree_init(const char *slabs)
{
	uint64_t state = 0x5eed;
	unsigned int d, v;
	size_t i;

	make_nodes();
	slab = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	crcs = calloc(LENGTH / GRANULE, sizeof(*crcs));
	if (slab == MAP_FAILED || !crcs)
		die("no memory");
	for (d = 0; d < DATA; d++)
		for (v = 0; v < VERSIONS; v++) {
			size_t size = data_size(d, v), at = (d * VERSIONS + v) * SLOT;
			unsigned char *p = slab + at;

			for (i = 0; i + 8 <= size; i += 8) {
				uint64_t x = rnd(&state);

				memcpy(p + i, &x, 8);
			}
			for (; i < size; i++)
				p[i] = rnd(&state);
			for (i = 0; i < size; i += GRANULE)
				crcs[(at + i) / GRANULE] = crc32c(p + i, GRANULE);
		}
	backing_fd[FIRST] = make_file(slabs, "first", 0);
	backing_fd[SECOND] = make_file(slabs, "second", LEAD);
	backing_fd[BACKING_GONE] = make_file(slabs, "gone", 0);
	backing_fd[BACKING_SHORT] = make_file(slabs, "short", 0);
}

bool tree_register(int fd)
{
	uint32_t id;

	for (id = FIRST; id <= BACKING_SHORT; id++) {
		struct datafs_backing b = { .fd = backing_fd[id], .id = id };

		if (ioctl(fd, DATAFS_IOC_BACKING_ADD, &b))
			return false;
		/* Longer when it was registered first, and the kernel may go by that. */
		if (!length_of[id])
			length_of[id] = b.length;
	}
	id = BACKING_GONE;
	if (ioctl(fd, DATAFS_IOC_BACKING_DEL, &id))
		return false;
	length_of[id] = 0;
	return !ftruncate(backing_fd[BACKING_SHORT], GRANULE);
}

uint64_t backing_length(uint32_t id)
{
	return id <= BACKING_SHORT ? length_of[id] : 0;
}

/* ------------------------------------------------------------------- nodes */

uint64_t tree_ino(unsigned int node, uint64_t generation)
{
	return node ? (generation + 1) << NODE_BITS | node : ROOT_INO;
}

unsigned int tree_node(uint64_t ino)
{
	unsigned int node = ino & ((1 << NODE_BITS) - 1);

	if (ino == ROOT_INO)
		return 0;
	return ino >> NODE_BITS && ino <= INT64_MAX && node && node < n_nodes ? node : NO_NODE;
}

uint64_t tree_size(unsigned int node, uint64_t content)
{
	const struct node *n = &nodes[node];

	if (n->target)
		return strlen(n->target);
	if (n->data < 0)
		return 4096;
	return data_size(n->data, content);
}

const unsigned char *tree_bytes(unsigned int node, uint64_t content)
{
	return slab + (nodes[node].data * VERSIONS + content % VERSIONS) * SLOT;
}

const char *tree_path(unsigned int node, char *out)
{
	char tail[PATHS];

	out[0] = 0;
	for (; node; node = nodes[node].parent) {
		snprintf(tail, sizeof(tail), "/%s%s", nodes[node].name, out);
		strcpy(out, tail);
	}
	snprintf(tail, sizeof(tail), "%s%s", mount_dir, out);
	return strcpy(out, tail);
}

struct datafs_attr tree_attr(uint64_t ino)
{
	unsigned int node = tree_node(ino);
	const struct node *n = &nodes[node];
	uint64_t content = shared->content[node];
	struct datafs_attr a = {
		.ino = ino, .content = content, .size = tree_size(node, content),
		.blocks = 8 * (node + 1), .atime = 1700000000 + node, .mtime = 1600000000 + content,
		.ctime = -5 - (int64_t)node, .btime = node, .mtime_ns = 999999999, .ctime_ns = node,
		.mode = n->mode, .nlink = 1 + node % 3, .uid = node, .gid = 7,
		.flags = DATAFS_ATTR_BTIME | DATAFS_ATTR_CHANGES | (n->xattrs || n->acl ? DATAFS_ATTR_XATTR : 0) |
			 (n->acl ? DATAFS_ATTR_ACL : 0),
		.valid_ms = DATAFS_FOREVER,
	};

	if (S_ISCHR(n->mode)) {
		a.rdev_major = 1;
		a.rdev_minor = 3;
	}
	return a;
}

/* The value that getxattr(2) gives: read and write for the owner, uid 9 and others. */
static size_t acl(unsigned char *out)
{
	static const struct { uint16_t tag, perm; uint32_t id; } entries[] = {
		{ 1, 7, ~0u }, { 2, 5, 9 }, { 4, 5, ~0u }, { 16, 5, ~0u }, { 32, 5, ~0u },
	};
	uint32_t version = 2;

	memcpy(out, &version, 4);
	memcpy(out + 4, entries, sizeof(entries));
	return 4 + sizeof(entries);
}

/* 0: there is no such attribute */
size_t tree_xattr(unsigned int node, const char *name, unsigned char *out)
{
	const struct node *n = &nodes[node];
	size_t len = 0;

	if (n->acl && !strcmp(name, "system.posix_acl_access"))
		return acl(out);
	if (n->xattrs && !strcmp(name, "user.small"))
		len = 5 + node;
	if (n->xattrs && !strcmp(name, "user.large"))
		len = DATAFS_XATTR_MAX - node;
	memcpy(out, slab + 6 * VERSIONS * SLOT + node, len);
	return len;
}

size_t tree_xattrs(unsigned int node, char *out)
{
	static const char names[] = "user.small\0user.large";
	static const char acl_name[] = "system.posix_acl_access";
	size_t n = 0;

	if (nodes[node].xattrs) {
		memcpy(out, names, sizeof(names));
		n = sizeof(names);
	}
	if (nodes[node].acl) {
		memcpy(out + n, acl_name, sizeof(acl_name));
		n += sizeof(acl_name);
	}
	return n;
}

struct datafs_statfs tree_statfs(void)
{
	return (struct datafs_statfs) {
		.blocks = 1000000, .bfree = 3000, .bavail = 2000, .files = NODES, .ffree = 77,
		.bsize = 4096, .namelen = DATAFS_NAME_MAX,
	};
}

unsigned int tree_child(unsigned int dir, const char *name, size_t len)
{
	unsigned int i;

	for (i = 1; i < n_nodes; i++)
		if (nodes[i].parent == dir && strlen(nodes[i].name) == len &&
		    !memcmp(nodes[i].name, name, len))
			return i;
	return NO_NODE;
}

/* ----------------------------------------------------------------- answers */

static void put(struct draft *d, const void *what, size_t len)
{
	memcpy(d->body + d->len, what, len);
	d->len += len;
}

/* The inode of a node, as long as the names lead to it. */
static uint64_t current(unsigned int node)
{
	return tree_ino(node, shared->generation);
}

static void lookup(const struct datafs_req *r, unsigned int dir, struct draft *d)
{
	struct datafs_entry e = { .valid_ms = DATAFS_FOREVER };
	unsigned int i = tree_child(dir, (const char *)(r + 1), r->namelen);

	if (i != NO_NODE)
		e.attr = tree_attr(current(i));
	put(d, &e, sizeof(e));
}

static void parent(unsigned int node, struct draft *d)
{
	struct datafs_entry e = {
		.attr = tree_attr(current(nodes[node].parent)), .valid_ms = DATAFS_FOREVER,
	};

	put(d, &e, sizeof(e));
}

static void readdir_of(const struct datafs_req *r, unsigned int dir, struct draft *d,
		       uint64_t *choice)
{
	const struct datafs_readdir_req *want = (const void *)(r + 1);
	struct datafs_readdir_rep rep = { .flags = DATAFS_READDIR_EOF };
	unsigned int i, most = rnd(choice) % 3 ? NODES : 1 + rnd(choice) % 20;
	size_t room = want->max - sizeof(struct datafs_rep);

	d->len = sizeof(rep);
	for (i = 1; i < n_nodes; i++) {
		struct datafs_dirent e = {
			.cookie = DATAFS_FIRST_COOKIE + i, .valid_ms = DATAFS_FOREVER,
			.namelen = strlen(nodes[i].name),
		};
		size_t padded = (e.namelen + 7) / 8 * 8;

		if (nodes[i].parent != dir || e.cookie <= want->cookie)
			continue;
		if (rep.count == most || (rep.count && d->len + sizeof(e) + padded > room)) {
			rep.flags = 0;
			break;
		}
		e.attr = tree_attr(current(i));
		put(d, &e, sizeof(e));
		memset(d->body + d->len, 0, padded);
		memcpy(d->body + d->len, nodes[i].name, e.namelen);
		d->len += padded;
		rep.count++;
	}
	memcpy(d->body, &rep, sizeof(rep));
}

static void extents(const struct datafs_req *r, unsigned int node, struct draft *d,
		    uint64_t *choice)
{
	const struct datafs_extent_req *want = (const void *)(r + 1);
	uint64_t size = tree_size(node, want->content), first, last, g, n;
	struct datafs_extent_rep rep = { .content = want->content };
	size_t slot = tree_bytes(node, want->content) - slab;

	if (want->off >= size || nodes[node].data < 0 ||
	    (want->content != shared->content[node] && rnd(choice) % 2)) {
		d->head.error = -ESTALE;
		return;
	}
	first = want->off / GRANULE;
	last = (want->off + want->len) / GRANULE;
	if (last > (size + GRANULE - 1) / GRANULE)
		last = (size + GRANULE - 1) / GRANULE;
	if (r->flags & DATAFS_REQ_PREFETCH && rnd(choice) % 4 == 0)
		last = first;
	else if (rnd(choice) % 2)
		first -= rnd(choice) % (first + 1);
	d->len = sizeof(rep);
	for (g = first; g < last && rep.count < DATAFS_EXTENTS_MAX; g += n) {
		struct datafs_extent e = { .off = g * GRANULE, .backing_id = FIRST };

		n = rnd(choice) % 2 ? last - g : 1 + rnd(choice) % (last - g);
		/* What was asked for must be there, however much came before it. */
		if (g < want->off / GRANULE && rep.count > DATAFS_EXTENTS_MAX / 2)
			n = last - g;
		e.len = n * GRANULE;
		e.backing_off = slot + e.off;
		if (rnd(choice) % 2) {
			e.backing_id = SECOND;
			e.backing_off += LEAD;
		}
		put(d, &e, sizeof(e));
		rep.count++;
	}
	rep.crcs = g - first;
	put(d, crcs + slot / GRANULE + first, rep.crcs * sizeof(*crcs));
	memcpy(d->body, &rep, sizeof(rep));
}

/* A node of the type that is asked for stands for what is made, as a new inode. */
static struct datafs_attr made(const struct datafs_req *r)
{
	static const unsigned int like[DATAFS_OP_NR] = {
		[DATAFS_OP_CREATE] = FILE_NODE, [DATAFS_OP_MKDIR] = SUB_NODE,
		[DATAFS_OP_MKNOD] = FIFO_NODE, [DATAFS_OP_SYMLINK] = LINK_NODE,
	};
	static uint64_t n;

	return tree_attr(tree_ino(like[r->opcode], MADE_GENERATION + ++n));
}

/* What the request names, as it is afterwards. */
static struct datafs_attr changed(uint64_t ino, bool gone)
{
	struct datafs_attr a = tree_attr(ino);

	if (gone)
		a.nlink = 0;
	return a;
}

static bool known(uint64_t ino)
{
	return tree_node(ino) != NO_NODE;
}

/*
 * A change is answered as if it had been made, and forgotten: the names are those they
 * have always been when they are asked for again.
 */
static void change(const struct datafs_req *r, struct draft *d)
{
	struct datafs_change_rep rep = { .node.valid_ms = DATAFS_FOREVER };
	const struct datafs_rename_req *move = (const void *)(r + 1);
	const struct datafs_remove_req *gone = (const void *)(r + 1);
	const struct datafs_link_req *link = (const void *)(r + 1);
	unsigned int node;

	if (r->opcode < DATAFS_OP_SETATTR)
		rep.parent = tree_attr(r->ino);
	d->head.error = -ENOENT;
	switch (r->opcode) {
	case DATAFS_OP_LINK:
		if (!known(link->ino))
			return;
		rep.node.attr = tree_attr(link->ino);
		break;
	case DATAFS_OP_UNLINK:
	case DATAFS_OP_RMDIR:
		if (!known(gone->ino))
			return;
		rep.node.attr = changed(gone->ino, true);
		break;
	case DATAFS_OP_RENAME:
		node = tree_child(tree_node(r->ino), (const char *)(move + 1), r->namelen);
		if (node == NO_NODE || !known(move->new_parent) ||
		    (move->ino && !known(move->ino)))
			return;
		rep.node.attr = tree_attr(current(node));
		if (move->new_parent != r->ino)
			rep.new_parent = tree_attr(move->new_parent);
		if (move->ino)
			rep.other = changed(move->ino, !(move->flags & DATAFS_RENAME_EXCHANGE));
		break;
	case DATAFS_OP_SETATTR:
	case DATAFS_OP_SETXATTR:
	case DATAFS_OP_REMOVEXATTR:
		rep.node.attr = tree_attr(r->ino);
		break;
	default:
		rep.node.attr = made(r);
	}
	d->head.error = 0;
	put(d, &rep, sizeof(rep));
}

void tree_answer(const struct datafs_req *r, struct draft *d, uint64_t *choice)
{
	unsigned int node = tree_node(r->ino);
	struct datafs_mount_rep root;
	struct datafs_statfs statfs;
	struct datafs_attr attr;
	char name[DATAFS_NAME_MAX + 1];

	d->head = (struct datafs_rep) { .id = r->id };
	d->len = 0;
	if (r->ino && node == NO_NODE) {
		d->head.error = -ESTALE;
		return;
	}
	switch (r->opcode) {
	case DATAFS_OP_MOUNT:
		root.root = tree_attr(ROOT_INO);
		put(d, &root, sizeof(root));
		break;
	case DATAFS_OP_UMOUNT:
	case DATAFS_OP_REVOKE_DONE:
	case DATAFS_OP_RELEASE:
		break;
	case DATAFS_OP_LOOKUP:
		lookup(r, node, d);
		break;
	case DATAFS_OP_GETATTR:
		attr = tree_attr(r->ino);
		put(d, &attr, sizeof(attr));
		break;
	case DATAFS_OP_READDIR:
		readdir_of(r, node, d, choice);
		break;
	case DATAFS_OP_READLINK:
		if (nodes[node].target)
			put(d, nodes[node].target, strlen(nodes[node].target));
		else
			d->head.error = -EINVAL;
		break;
	case DATAFS_OP_EXTENT:
	case DATAFS_OP_BAD_EXTENT:
		extents(r, node, d, choice);
		break;
	case DATAFS_OP_GETXATTR:
		snprintf(name, sizeof(name), "%.*s", r->namelen, (const char *)(r + 1));
		d->len = tree_xattr(node, name, d->body);
		if (!d->len)
			d->head.error = -ENODATA;
		break;
	case DATAFS_OP_LISTXATTR:
		d->len = tree_xattrs(node, (char *)d->body);
		break;
	case DATAFS_OP_STATFS:
		statfs = tree_statfs();
		put(d, &statfs, sizeof(statfs));
		break;
	case DATAFS_OP_PARENT:
		parent(node, d);
		break;
	case DATAFS_OP_CREATE ... DATAFS_OP_REMOVEXATTR:
		change(r, d);
		break;
	default:
		d->head.error = -ENOSYS;
	}
}
