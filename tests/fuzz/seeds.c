// SPDX-License-Identifier: Apache-2.0
/*
 * seeds DIR: writes valid messages and options of every kind into DIR/TARGET/,
 * for the fuzzers to begin with. Made from the structs, so they follow the ABI.
 */
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datafs_abi.h"
#include "fuzz.h"

static unsigned char buf[DATAFS_MSG_MAX];
static size_t len;
static const char *dir;

static void put(const void *p, size_t n)
{
	memcpy(buf + len, p, n);
	len += n;
}

static void pad(void)
{
	while (len % 8)
		buf[len++] = 0;
}

static void save(const char *target, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, target, name);
	f = fopen(path, "w");
	if (!f || fwrite(buf, 1, len, f) != len || fclose(f))
		err(1, "%s", path);
	len = 0;
}

void seed_save(const char *target, const char *name, const void *p, size_t n)
{
	put(p, n);
	save(target, name);
}

static struct datafs_attr an_attr(uint64_t ino, uint32_t mode)
{
	return (struct datafs_attr) {
		.ino = ino, .content = ino + 1, .size = 12345, .blocks = 32,
		.mtime = 1700000000, .mtime_ns = 999999999, .mode = mode,
		.nlink = 1, .uid = 1000, .gid = 1000,
		.rdev_major = S_ISCHR(mode) ? 8 : 0, .flags = 5, .valid_ms = 1000,
	};
}

static void reply_begin(uint8_t kind)
{
	uint8_t head[REPLY_HEAD] = { kind };

	put(head, sizeof(head));
}

static void reply_dirents(uint32_t n)
{
	struct datafs_readdir_rep rep = { n, n < 3 ? DATAFS_READDIR_EOF : 0 };
	uint32_t i;

	reply_begin(REPLY_READDIR);
	put(&rep, sizeof(rep));
	for (i = 0; i < n; i++) {
		struct datafs_dirent ent = {
			.cookie = DATAFS_FIRST_COOKIE + 2 * i, .valid_ms = 1,
			.namelen = (uint16_t)(1 + i * 7),
			.attr = an_attr(100 + i, S_IFREG | 0644),
		};

		put(&ent, sizeof(ent));
		memset(buf + len, 'a' + (int)i % 26, ent.namelen);
		len += ent.namelen;
		pad();
	}
}

static void reply_extents(uint32_t n, uint64_t granules)
{
	struct datafs_extent_rep rep = { 7, n, (uint32_t)(n * granules) };
	uint32_t i, crc = 0xdeadbeef;

	reply_begin(REPLY_EXTENTS);
	put(&rep, sizeof(rep));
	for (i = 0; i < n; i++) {
		struct datafs_extent e = {
			.off = (i + 1) * granules * 8192, .backing_off = i << 12,
			.len = granules << 12, .backing_id = i + 1,
		};

		put(&e, sizeof(e));
	}
	for (i = 0; i < rep.crcs; i++)
		put(&crc, sizeof(crc));
}

/* Counts that would come out right in 32 bits. */
static void reply_wrapped(void)
{
	struct datafs_extent_rep rep = { .content = 1, .count = 8 };

	rep.crcs = 0u - rep.count * (uint32_t)(sizeof(struct datafs_extent) / 4);
	rep.crcs &= 0x3fffffff;
	reply_begin(REPLY_EXTENTS);
	put(&rep, sizeof(rep));
	save("reply", "wrapped");
}

/* Of inode 9, in directory 7, or from there to 8, where 6 was. */
static void reply_change(uint8_t op, uint32_t mode, uint8_t flags)
{
	bool is_rename = op == DATAFS_OP_RENAME, named = op < DATAFS_OP_SETATTR;
	uint8_t head[REPLY_HEAD] = {
		REPLY_CHANGE, op, flags, (uint8_t)(mode >> 12), 9, named ? 7 : 0,
		is_rename ? 8 : 0, is_rename ? 6 : 0,
	};
	struct datafs_change_rep rep = {
		.node = { .attr = an_attr(9, mode), .valid_ms = 1000 },
	};
	char name[20];

	rep.node.attr.rdev_major = 0;
	if (op == DATAFS_OP_RMDIR || flags & 2)
		rep.node.attr.nlink = 0;
	if (named)
		rep.parent = an_attr(7, S_IFDIR | 0755);
	if (is_rename) {
		rep.new_parent = an_attr(8, S_IFDIR | 0755);
		rep.other = an_attr(6, S_IFREG | 0644);
	}
	put(head, sizeof(head));
	put(&rep, sizeof(rep));
	snprintf(name, sizeof(name), "change%u-%u", op, flags);
	save("reply", name);
}

static void changes(void)
{
	uint8_t op;

	for (op = DATAFS_OP_CREATE; op < DATAFS_OP_RELEASE; op++)
		reply_change(op, op == DATAFS_OP_SYMLINK ? S_IFLNK | 0777 :
			     op == DATAFS_OP_MKDIR || op == DATAFS_OP_RMDIR ?
			     S_IFDIR | 0755 : S_IFREG | 0644, 0);
	reply_change(DATAFS_OP_RENAME, S_IFDIR | 0755, 1);
	reply_change(DATAFS_OP_SETATTR, S_IFREG | 0600, 2);
}

static void replies(void)
{
	static const uint32_t modes[] = {
		S_IFREG | 0644, S_IFDIR | 01755, S_IFLNK | 0777, S_IFCHR | 0600,
		S_IFSOCK | 0700, S_IFIFO | 0600,
	};
	struct datafs_statfs st = { .blocks = 1000, .bsize = 4096, .namelen = 255 };
	struct datafs_entry entry = { .valid_ms = 5 };
	struct datafs_attr attr;
	char name[20];
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		attr = an_attr(i + 1, modes[i]);
		reply_begin(REPLY_ATTR);
		put(&attr, sizeof(attr));
		snprintf(name, sizeof(name), "attr%zu", i);
		save("reply", name);
	}
	reply_begin(REPLY_ENTRY);
	put(&entry, sizeof(entry));
	save("reply", "absent");
	entry.attr = an_attr(9, S_IFREG | 0600);
	reply_begin(REPLY_ENTRY);
	put(&entry, sizeof(entry));
	save("reply", "entry");
	reply_begin(REPLY_STATFS);
	put(&st, sizeof(st));
	save("reply", "statfs");
	for (i = 0; i < 8; i++) {
		reply_dirents((uint32_t)i);
		snprintf(name, sizeof(name), "readdir%zu", i);
		save("reply", name);
		reply_extents((uint32_t)i, 1 + i % 3);
		snprintf(name, sizeof(name), "extents%zu", i);
		save("reply", name);
	}
	reply_extents(DATAFS_EXTENTS_MAX, 2);
	save("reply", "extents64");
	reply_wrapped();
	changes();
}

static void request(uint16_t op, const void *body, size_t n, uint16_t namelen)
{
	struct datafs_req req = {
		.len = (uint32_t)(sizeof(req) + ((n + 7) & ~(size_t)7)),
		.opcode = op, .id = op, .seq = op, .ino = 1, .mount_id = 1,
		.namelen = namelen,
	};

	put(&req, sizeof(req));
	put(body, n);
	pad();
}

/* A change of inode 1: a struct, a name, and what is behind it. */
static void change(uint16_t op, const void *body, size_t n, const char *name, const char *more)
{
	size_t name_len = (strlen(name) + 7) & ~(size_t)7;
	unsigned char buf[160] = { 0 };

	memcpy(buf, body, n);
	memcpy(buf + n, name, strlen(name));
	memcpy(buf + n + name_len, more, strlen(more));
	request(op, buf, n + name_len + strlen(more), (uint16_t)strlen(name));
}

static bool change_request(unsigned int op)
{
	struct datafs_make_req make = { .mode = 0644, .umask = 022 };
	struct datafs_link_req link = { .ino = 9 };
	struct datafs_remove_req remove = { .ino = 9, .flags = DATAFS_REMOVE_HOLD };
	struct datafs_rename_req rename = {
		.new_parent = 7, .ino = 6, .flags = DATAFS_RENAME_HOLD, .new_namelen = 3,
	};
	struct datafs_setattr_req attr = {
		.valid = DATAFS_SET_MODE | DATAFS_SET_MTIME, .mode = 0600, .mtime = 1700000000,
	};
	struct datafs_setxattr_req xattr = { .value_len = 5, .flags = DATAFS_XATTR_CREATE };
	struct datafs_change_req bare = { .lowest = 3 };

	switch (op) {
	case DATAFS_OP_SYMLINK:
		make.target_len = 6;
		change((uint16_t)op, &make, sizeof(make), "name", "target");
		break;
	case DATAFS_OP_CREATE:
	case DATAFS_OP_MKDIR:
	case DATAFS_OP_MKNOD:
		change((uint16_t)op, &make, sizeof(make), "name", "");
		break;
	case DATAFS_OP_LINK:
		change((uint16_t)op, &link, sizeof(link), "name", "");
		break;
	case DATAFS_OP_UNLINK:
	case DATAFS_OP_RMDIR:
		change((uint16_t)op, &remove, sizeof(remove), "name", "");
		break;
	case DATAFS_OP_RENAME:
		change((uint16_t)op, &rename, sizeof(rename), "name", "new");
		break;
	case DATAFS_OP_SETATTR:
		change((uint16_t)op, &attr, sizeof(attr), "", "");
		break;
	case DATAFS_OP_SETXATTR:
		change((uint16_t)op, &xattr, sizeof(xattr), "user.name", "value");
		break;
	case DATAFS_OP_REMOVEXATTR:
		change((uint16_t)op, &bare, sizeof(bare), "user.name", "");
		break;
	case DATAFS_OP_RELEASE:
		change((uint16_t)op, &bare, sizeof(bare), "", "");
		break;
	default:
		return false;
	}
	return true;
}

static void requests(void)
{
	static const char source[] = "/srv/dataspage_size=64k";
	struct datafs_mount_req m = { .source_len = 9, .options_len = 14 };
	struct datafs_readdir_req rd = { .cookie = 16, .max = 65536 };
	struct datafs_bad_extent_req bad = { .want = { 3, 4096, 8192 }, .backing_id = 1 };
	struct datafs_revoke_done done = { 77 };
	unsigned char body[128];
	char name[20];
	unsigned int op;

	for (op = 1; op <= DATAFS_OP_NR; op++) {
		switch (op) {
		case DATAFS_OP_MOUNT:
			memcpy(body, &m, sizeof(m));
			memcpy(body + sizeof(m), source, sizeof(source));
			request(DATAFS_OP_MOUNT, body, sizeof(m) + 23, 0);
			break;
		case DATAFS_OP_LOOKUP:
		case DATAFS_OP_GETXATTR:
			request((uint16_t)op, "user.name", 9, 9);
			break;
		case DATAFS_OP_READDIR:
			request(DATAFS_OP_READDIR, &rd, sizeof(rd), 0);
			break;
		case DATAFS_OP_EXTENT:
			request(DATAFS_OP_EXTENT, &bad.want, sizeof(bad.want), 0);
			break;
		case DATAFS_OP_BAD_EXTENT:
			request(DATAFS_OP_BAD_EXTENT, &bad, sizeof(bad), 0);
			break;
		case DATAFS_OP_REVOKE_DONE:
			request(DATAFS_OP_REVOKE_DONE, &done, sizeof(done), 0);
			break;
		default:
			if (!change_request(op))
				request((uint16_t)op, "", 0, 0);
		}
		snprintf(name, sizeof(name), "op%u", op);
		save("request", name);
	}
	/* as many at once as one read brings */
	for (op = 1; op < 40; op++) {
		request(DATAFS_OP_GETATTR, "", 0, 0);
		request(DATAFS_OP_LOOKUP, "x", 1, 1);
	}
	save("request", "many");
}

static const char *const all_mount_opts[] = {
	"ro,suid,dev,noexec,nosymfollow,nodiratime,noatime,instance=a.b-c_1",
	"cache=/x y,cache_size=10G,defaults,x-systemd.automount,_netdev",
	"rw,remount,strictatime,verify=\"a,b\",verify=first,sync_interval=0.5",
	"page_size=64k,comment=\"c,d\",allow_suid",
};
static const char *const more_mount_opts[] = {
	"bind", "=", ",,,", "ro=1", "instance=", "instance=/", "\"", "cache",
	"cache_size=1K1", "cache_size=9999999999999999999",
};
static const char *const daemon_opts[] = {
	"", "sync_interval=1", "sync_interval=always,page_size=4k",
	"sync_interval=never,page_size=4M", "sync_interval=0.25", "page_size=65536",
	"sync_interval=1e3", "sync_interval=31536001", "page_size=3", "x=1",
	"sync_interval=0x1p3", "page_size=", "page_size", "sync_interval=nan",
	"read_only,part_size=5m,limit_down=10m,requests_up=100", "price_put=0.005,price_down=0.09",
	"uid=1000,gid=4294967295,file_mode=0640,dir_mode=888", "region=a,region=b,ca_file=/x",
	"anonymous,path_style=0,endpoint=https://h:1", "concurrency=0", "ca_file=x", "price_get=1.2.3",
};

static const char *const sources[] = {
	":/", ":/dir/dir", "h:/", "h:7440:/", "a.b-c_d,10.0.0.1:1,[::1]:65535:/d",
	"[fe80::1%eth0]:/", "[::1:/", "h,,h:/", "h,h:/", "::1:/", "h:0:/", "h:65536:/",
	"[]:/", "[::1]x:/", "h x:/", ",:/",
};

static void options(void)
{
	char name[20];
	size_t i;

	for (i = 0; i < sizeof(all_mount_opts) / sizeof(*all_mount_opts); i++)
		put(all_mount_opts[i], strlen(all_mount_opts[i]) + 1);
	save("mount_opts", "all");
	for (i = 0; i < sizeof(more_mount_opts) / sizeof(*more_mount_opts); i++) {
		put(more_mount_opts[i], strlen(more_mount_opts[i]));
		snprintf(name, sizeof(name), "%zu", i);
		save("mount_opts", name);
	}
	for (i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
		put(sources[i], strlen(sources[i]));
		snprintf(name, sizeof(name), "%zu", i);
		save("source", name);
	}
	for (i = 0; i < sizeof(daemon_opts) / sizeof(*daemon_opts); i++) {
		put(daemon_opts[i], strlen(daemon_opts[i]));
		snprintf(name, sizeof(name), "%zu", i);
		save("daemon_opts", name);
	}
}

static void be(uint64_t v, int bytes)
{
	while (bytes--)
		buf[len++] = (unsigned char)(v >> 8 * bytes);
}

/* The fuzzer puts the checksums right. */
static void frame(uint16_t type, uint32_t n)
{
	put("DFW\001", 4);
	be(type, 2);
	be(0, 2);
	be(n, 4);
	be(0, 4);
	be(7, 8);
	be(0, 4);
}

static void frames(void)
{
	static const unsigned char zero[256];
	static const uint16_t types[] = { 5, 6, 7, 8, 9, 10, 11 };
	uint64_t node;
	char name[20];
	size_t i;

	/* HELLO to a responder, and ANSWER to an initiator */
	for (i = 0; i < 2; i++) {
		node = 2 + i;
		be(i, 1);
		frame((uint16_t)(1 + i), i ? 112 : 80);
		be(1, 2);
		be(0, 2);
		be(1 + i, 2);
		be(1, 2);
		be(7, 8);
		be(node, 8);
		be(1, 1);
		put(zero, 15);
		put("nonce of thirty-two bytes ......", 32);
		be(2, 4);
		be(i ? 0 : 1, 4);
		if (i)
			put(zero, 32);
		frame(3, 32);
		put(zero, 32);
		save("frame", i ? "answer" : "hello");
	}
	be(1, 1);
	frame(4, 8);
	be(7, 2);
	put(zero, 6);
	save("frame", "refuse");
	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		be(2 | (i % 2 ? 0 : 4), 1);
		frame(types[i], i > 1 ? 40 : 0);
		put(zero, i > 1 ? 40 : 0);
		put(zero, 16);
		frame(types[i], 0);
		snprintf(name, sizeof(name), "type%u", types[i]);
		save("frame", name);
	}
}

#define CLUSTER	"00112233445566778899aabbccddeeff "
#define KEY	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"

static const char *const key_files[] = {
	"", "# words\n" CLUSTER "1 member " KEY,
	CLUSTER "1 member " KEY CLUSTER "2 member f" KEY,
	CLUSTER "4294967295 client:18446744073709551615 " KEY, "\t \n\n#",
	CLUSTER "1 peer " KEY,
};

static void key_texts(void)
{
	char name[20];
	size_t i;

	for (i = 0; i < sizeof(key_files) / sizeof(*key_files); i++) {
		put(key_files[i], strlen(key_files[i]));
		snprintf(name, sizeof(name), "%zu", i);
		save("keys", name);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: seeds DIR");
	dir = argv[1];
	replies();
	requests();
	options();
	frames();
	key_texts();
	seeds_entry();
	raft_seeds(dir);
	seeds_ask();
	seeds_backup();
	seeds_s3();
	seeds_http();
	seeds_share();
	return 0;
}
