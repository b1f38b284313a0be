// SPDX-License-Identifier: Apache-2.0
/*
 * kmod/reply.c against arbitrary replies. The body lies at the end of an
 * allocation of its exact size, so a read past it is seen; and what the parser
 * lets through is checked here once more against proto/datafs_abi.h, in other
 * words than its own.
 */
#include "fuzz.h"
#include "reply_shim.h"

static const uint8_t *head;		/* of the input */

/* But that it has a name. */
static void known_holds(const struct datafs_attr *a)
{
	MUST(a->ino && !(a->ino >> 63));
	MUST(a->content);
	MUST(!(a->size >> 63));
	MUST(a->atime_ns <= 999999999 && a->mtime_ns <= 999999999);
	MUST(a->ctime_ns <= 999999999 && a->btime_ns <= 999999999);
	MUST(a->flags <= 15);
	MUST(S_ISREG(a->mode) || S_ISDIR(a->mode) || S_ISLNK(a->mode) ||
	     S_ISCHR(a->mode) || S_ISBLK(a->mode) || S_ISFIFO(a->mode) ||
	     S_ISSOCK(a->mode));
	MUST(a->mode <= 0177777);
}

static void attr_holds(const struct datafs_attr *a)
{
	known_holds(a);
	MUST(a->nlink);
}

static void fuzz_attr(const void *body, u32 len)
{
	struct datafs_attr attr;

	if (!datafs_reply_attr(body, len, &attr))
		attr_holds(&attr);
}

static void fuzz_entry(const void *body, u32 len)
{
	struct datafs_entry entry;

	if (!datafs_reply_entry(body, len, &entry) && entry.attr.ino)
		attr_holds(&entry.attr);
}

static void fuzz_statfs(const void *body, u32 len)
{
	struct datafs_statfs st;

	if (datafs_reply_statfs(body, len, &st))
		return;
	MUST(st.bsize >= 512 && st.bsize <= 65536);
	MUST(__builtin_popcount(st.bsize) == 1);
	MUST(st.namelen >= 1 && st.namelen <= 255);
}

/* As readdir uses it: the head, then entry by entry. */
static void fuzz_readdir(const void *body, u32 len)
{
	struct datafs_readdir_rep rep;
	struct datafs_dirent ent;
	u64 cookie = 0;
	const char *name;
	u32 pos = 0, i, j;

	if (datafs_reply_readdir(body, len, &rep)) {
		/* what is refused as a whole may still not be read beyond */
		while (!datafs_reply_dirent(body, len, &pos, cookie, &ent, &name))
			cookie = ent.cookie;
		return;
	}
	MUST(rep.count || rep.flags);
	for (i = 0; i < rep.count; i++) {
		MUST(!datafs_reply_dirent(body, len, &pos, cookie, &ent, &name));
		MUST(ent.cookie >= DATAFS_FIRST_COOKIE && ent.cookie > cookie);
		MUST(!(ent.cookie >> 63));
		MUST(ent.namelen >= 1 && ent.namelen <= DATAFS_NAME_MAX);
		MUST(name >= (const char *)body &&
		     name + ent.namelen <= (const char *)body + len);
		for (j = 0; j < ent.namelen; j++)
			MUST(name[j] && name[j] != '/');
		MUST(!(ent.namelen == 1 && name[0] == '.'));
		MUST(!(ent.namelen == 2 && name[0] == '.' && name[1] == '.'));
		attr_holds(&ent.attr);
		cookie = ent.cookie;
	}
	MUST(pos == len || (!rep.count && len == sizeof(rep)));
}

static void fuzz_extents(const void *body, u32 len)
{
	const struct datafs_extent *ext;
	struct datafs_extent_rep rep;
	const __u32 *crc;
	u64 end = 0, n = 0;
	u32 i, sum = 0;

	if (datafs_reply_extents(body, len, &rep, &ext, &crc))
		return;
	MUST(rep.content && rep.count <= DATAFS_EXTENTS_MAX);
	for (i = 0; i < rep.count; i++) {
		MUST(ext[i].off >= end && ext[i].len);
		MUST(ext[i].off % 4096 == 0 && ext[i].len % 4096 == 0 &&
		     ext[i].backing_off % 4096 == 0);
		MUST(ext[i].len <= DATAFS_EXTENT_MAX);
		MUST(ext[i].backing_id && ext[i].backing_id < DATAFS_BACKING_IDS);
		end = ext[i].off + ext[i].len;
		MUST(!(end >> 63));
		MUST(!((ext[i].backing_off + ext[i].len) >> 63));
		n += ext[i].len / 4096;
	}
	MUST(n == rep.crcs);
	for (i = 0; i < rep.crcs; i++)
		sum ^= crc[i];
	MUST((const char *)(crc + rep.crcs) == (const char *)body + len);
	/* the reads above are for the sanitizer: they must not be left out */
	__asm__ volatile("" : : "r"(sum));
}

static void other_holds(const struct datafs_attr *a, uint64_t ino)
{
	static const struct datafs_attr none;

	if (!ino) {
		MUST(!memcmp(a, &none, sizeof(none)));
		return;
	}
	MUST(a->ino == ino);
	known_holds(a);
}

static void dir_holds(const struct datafs_attr *a, uint64_t ino)
{
	other_holds(a, ino);
	MUST(!ino || (S_ISDIR(a->mode) && a->nlink));
}

static void fuzz_change(const void *body, u32 len)
{
	struct datafs_change_want want = {
		.opcode = head[1] % DATAFS_OP_NR, .exchange = head[2] & 1,
		.removed = head[2] & 2, .type = (u32)(head[3] & 15) << 12,
		.node = head[4], .parent = head[5], .new_parent = head[6],
		.other = head[7],
	};
	const struct datafs_attr *node;
	struct datafs_change_rep rep;

	if (datafs_reply_change(body, len, &want, &rep))
		return;
	node = &rep.node.attr;
	MUST(len == sizeof(rep) && !rep.node.reserved);
	known_holds(node);
	dir_holds(&rep.parent, want.parent);
	dir_holds(&rep.new_parent, want.new_parent);
	other_holds(&rep.other, want.other);
	switch (want.opcode) {
	case DATAFS_OP_CREATE:
	case DATAFS_OP_MKDIR:
	case DATAFS_OP_MKNOD:
	case DATAFS_OP_SYMLINK:
		MUST((node->mode & S_IFMT) == want.type);
		MUST(!node->rdev_major && !node->rdev_minor);
		MUST(node->ino != want.parent);
		break;
	default:
		MUST(node->ino == want.node);
	}
	if (want.opcode == DATAFS_OP_RMDIR)
		MUST(!node->nlink);
	else if (want.opcode != DATAFS_OP_UNLINK)
		MUST(want.removed ? !node->nlink : node->nlink);
	if (want.other && S_ISDIR(rep.other.mode))
		MUST(want.exchange ? rep.other.nlink : !rep.other.nlink);
}

static void (*const kinds[REPLY_KINDS])(const void *body, u32 len) = {
	[REPLY_ATTR] = fuzz_attr,
	[REPLY_ENTRY] = fuzz_entry,
	[REPLY_STATFS] = fuzz_statfs,
	[REPLY_READDIR] = fuzz_readdir,
	[REPLY_EXTENTS] = fuzz_extents,
	[REPLY_CHANGE] = fuzz_change,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len;
	void *body;

	if (size < REPLY_HEAD)
		return -1;
	len = size - REPLY_HEAD;
	body = malloc(len);
	MUST(body || !len);
	if (len)
		memcpy(body, data + REPLY_HEAD, len);
	head = data;
	kinds[data[0] % REPLY_KINDS](body, (u32)len);
	free(body);
	return 0;
}
