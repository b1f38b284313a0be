// SPDX-License-Identifier: Apache-2.0
/*
 * Upcalls against a real directory, a real cache and a double of the kernel,
 * which reads slabs and answers revocations.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/util.h"
#include "vfs/vfs.h"
#include "tmpdir.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define SLABS_MAX 8

static char top[4096], src[4200], cache_dir[4200];
static struct datafs_vfs *v;
static struct datafs_pool *pool;
static int slabs[SLABS_MAX];
static _Atomic uint64_t next_id = 1;
static uint64_t root;

/* ---- the kernel's double ---- */

static int backing_add(void *arg, int fd, uint32_t id)
{
	(void)arg;
	if (id >= SLABS_MAX)
		return -EINVAL;
	slabs[id] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return slabs[id] < 0 ? -errno : 0;
}

static void *revoke_done(void *arg)
{
	struct datafs_revoke_done done = { .cookie = (uintptr_t)arg };
	struct datafs_req req = { .opcode = DATAFS_OP_REVOKE_DONE };
	struct datafs_call call = { .req = &req, .body = &done };

	datafs_vfs_call(v, &call);
	return NULL;
}

static int send_revoke(void *arg, uint64_t cookie,
		       const struct datafs_range *ranges, uint32_t n)
{
	pthread_t thread;
	int err;

	(void)arg;
	(void)ranges;
	(void)n;
	err = pthread_create(&thread, NULL, revoke_done, (void *)(uintptr_t)cookie);
	if (!err)
		pthread_detach(thread);
	return -err;
}

struct answer {
	int err;
	uint32_t len;
	char *out;
};

/* One upcall. The answer is the caller's to free; its pins are put. */
static struct answer up_flags(enum datafs_opcode op, uint32_t mount, uint64_t ino,
			      const void *body, const char *name, int flags)
{
	struct datafs_req req = {
		.opcode = op, .mount_id = mount, .ino = ino, .flags = flags,
		.id = atomic_fetch_add(&next_id, 1),
		.namelen = name ? strlen(name) : 0,
	};
	struct datafs_call call = { .req = &req, .body = body };
	struct answer a = { 0 };

	if (name)
		strcpy(call.name, name);
	call.out = a.out = malloc(DATAFS_REPLY_MAX);
	a.err = datafs_vfs_call(v, &call);
	a.len = call.out_len;
	datafs_vfs_finish(v, &call);
	return a;
}

static struct answer up(enum datafs_opcode op, uint64_t ino, const void *body,
			const char *name)
{
	return up_flags(op, 1, ino, body, name, 0);
}

static int mount_as(uint32_t id, const char *source, const char *options,
		    struct datafs_attr *attr)
{
	struct datafs_mount_req *m;
	struct answer a;

	m = calloc(1, sizeof(*m) + strlen(source) + strlen(options) + 8);
	m->source_len = strlen(source);
	m->options_len = strlen(options);
	memcpy(m + 1, source, m->source_len);
	memcpy((char *)(m + 1) + m->source_len, options, m->options_len);
	a = up_flags(DATAFS_OP_MOUNT, id, 0, m, NULL, 0);
	if (!a.err && attr)
		memcpy(attr, a.out, sizeof(*attr));
	free(a.out);
	free(m);
	return a.err;
}

static void umount_id(uint32_t id)
{
	free(up_flags(DATAFS_OP_UMOUNT, id, 0, NULL, NULL, 0).out);
}

static int lookup(uint64_t dir, const char *name, struct datafs_entry *e)
{
	struct answer a = up(DATAFS_OP_LOOKUP, dir, NULL, name);

	if (!a.err)
		memcpy(e, a.out, sizeof(*e));
	free(a.out);
	return a.err;
}

static int getattr(uint64_t ino, struct datafs_attr *attr)
{
	struct answer a = up(DATAFS_OP_GETATTR, ino, NULL, NULL);

	if (!a.err)
		memcpy(attr, a.out, sizeof(*attr));
	free(a.out);
	return a.err;
}

/* Copies what an answer covers of [off, off+len); checks it all. 1st gap. */
static uint64_t take(const struct answer *a, uint64_t off, uint64_t len, char *buf)
{
	static _Thread_local char page[4096] __attribute__((aligned(4096)));
	const struct datafs_extent_rep *rep = (void *)a->out;
	const struct datafs_extent *e = (void *)(rep + 1);
	const uint32_t *crc = (void *)(e + rep->count);
	uint64_t end = off + len, at = off, prev = 0;

	assert_true(rep->count <= DATAFS_EXTENTS_MAX);
	assert_int_equal(a->len, sizeof(*rep) + rep->count * sizeof(*e) + rep->crcs * 4);
	for (uint32_t i = 0; i < rep->count; i++, e++) {
		assert_true(e->off >= prev && e->len && e->len % 4096 == 0);
		assert_true(e->backing_id && e->backing_id < SLABS_MAX);
		prev = e->off + e->len;
		for (uint64_t o = e->off; o < prev; o += 4096, crc++) {
			ssize_t n;

			if (o < off || o >= end)
				continue;
			n = pread(slabs[e->backing_id], page, 4096,
				  e->backing_off + o - e->off);
			assert_int_equal(n, 4096);
			assert_int_equal(datafs_crc32c(page, 4096), *crc);
			memcpy(buf + (o - off), page, 4096);
			if (o == at)
				at = o + 4096;
		}
	}
	return at;
}

static int ask(uint64_t ino, uint64_t content, uint64_t off, uint64_t len,
	       struct answer *a)
{
	struct datafs_extent_req want = { content, off, len };

	*a = up(DATAFS_OP_EXTENT, ino, &want, NULL);
	return a->err;
}

/* As the kernel reads: asks for what it has not, learns of new contents. */
static int read_file(uint64_t ino, char **data, uint64_t *size)
{
	struct datafs_attr attr;
	struct answer a;
	int err, tries = 0;

again:
	err = getattr(ino, &attr);
	if (err)
		return err;
	*size = attr.size;
	*data = malloc(datafs_round_up(attr.size, 4096) + 4096);
	for (uint64_t at = 0; at < attr.size;) {
		uint64_t len = DATAFS_MIN(datafs_round_up(attr.size, 4096) - at, 64 * KIB);

		err = ask(ino, attr.content, at, len, &a);
		if (!err) {
			len = take(&a, at, len, *data + at) - at;
			at += len;
		}
		free(a.out);
		if (!err)
			continue;
		free(*data);
		if (err == -ESTALE && tries++ < 8)
			goto again;
		return err;
	}
	for (uint64_t i = attr.size; i < datafs_round_up(attr.size, 4096); i++)
		assert_int_equal((*data)[i], 0);
	return 0;
}

static uint64_t stat_value(const char *key)
{
	char *text = NULL, *line;
	unsigned long long val = 0;
	size_t len, klen = strlen(key);
	FILE *f = open_memstream(&text, &len);

	datafs_vfs_stats(v, f);
	fclose(f);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, key, klen) && line[klen] == ' ')
			val = strtoull(line + klen, NULL, 10);
	free(text);
	return val;
}

/* ---- the store ---- */

static const char *in_src(const char *name)
{
	/* Two, for rename and link. */
	static _Thread_local char path[2][8192];
	static _Thread_local int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", src, name);
	return path[turn];
}

static void put_file(const char *name, uint64_t size, unsigned int seed)
{
	char *buf = malloc(size + 1);
	int fd;

	for (uint64_t i = 0; i < size; i++)
		buf[i] = (i * 31 + (i >> 12) * 7 + seed) & 0xff;
	fd = open(in_src(name), O_CREAT | O_WRONLY | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, size), size);
	close(fd);
	free(buf);
}

static void check_file(uint64_t ino, uint64_t size, unsigned int seed)
{
	uint64_t have;
	char *data;

	assert_int_equal(read_file(ino, &data, &have), 0);
	assert_int_equal(have, size);
	for (uint64_t i = 0; i < size; i++)
		if ((data[i] & 0xff) != ((i * 31 + (i >> 12) * 7 + seed) & 0xff))
			fail_msg("byte %lu is wrong", i);
	free(data);
}

/* ---- set-up ---- */

static void start(const char *options)
{
	struct datafs_vfs_config cfg = {
		.dir = cache_dir, .cache_size = 2 * DATAFS_SLAB_SIZE,
		.backing_add = backing_add, .revoke = send_revoke,
	};
	struct datafs_attr attr;

	assert_int_equal(datafs_pool_new(8, &pool), 0);
	cfg.pool = pool;
	assert_int_equal(datafs_vfs_open(&cfg, &v), 0);
	assert_int_equal(datafs_vfs_start(v), 0);
	assert_int_equal(mount_as(1, src, options, &attr), 0);
	root = attr.ino;
}

static void stop(void)
{
	umount_id(1);
	datafs_pool_free(pool);
	datafs_vfs_close(v);
	for (int i = 0; i < SLABS_MAX; i++) {
		if (slabs[i] >= 0)
			close(slabs[i]);
		slabs[i] = -1;
	}
}

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	if (tmpdir_make(top, sizeof(top), "vfs"))
		return -1;
	snprintf(src, sizeof(src), "%s/src", top);
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache", top);
	memset(slabs, -1, sizeof(slabs));
	if (mkdir(src, 0755) || mkdir(cache_dir, 0755))
		return -1;
	start("sync_interval=always");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	return tmpdir_remove(top);
}

/* ---- tests ---- */

static void test_mounts(void **state)
{
	static const char *const bad[] = {
		"nonsense", "sync_interval", "sync_interval=", "sync_interval=-1",
		"sync_interval=1x", "sync_interval=nan", "page_size=3k",
		"page_size=2k", "page_size=8m", "page_size=64k,foo=1",
	};
	struct datafs_attr a, b;
	struct answer st;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mount_as(2, src, bad[i], NULL), -EINVAL);
	put_file("file", 10, 0);
	assert_int_equal(mount_as(2, in_src("none"), "", NULL), -ENOENT);
	assert_int_equal(mount_as(2, in_src("file"), "", NULL), -ENOTDIR);
	assert_int_equal(mount_as(2, "zzz://host/x", "", NULL), -EPROTONOSUPPORT);
	assert_int_equal(datafs_vfs_mounts(v), 1);
	/* Mounts of one source share its inodes. */
	assert_int_equal(mount_as(2, src, "sync_interval=0.5,page_size=4k", &a), 0);
	assert_int_equal(mount_as(3, src, "sync_interval=never", &b), 0);
	assert_int_equal(a.ino, root);
	assert_int_equal(b.ino, root);
	assert_true(a.valid_ms > 0 && a.valid_ms <= 500);
	assert_int_equal(b.valid_ms, DATAFS_FOREVER);
	assert_int_equal(datafs_vfs_mounts(v), 3);
	umount_id(2);
	umount_id(3);
	umount_id(77);
	assert_int_equal(datafs_vfs_mounts(v), 1);
	st = up_flags(DATAFS_OP_GETATTR, 2, root, NULL, NULL, 0);
	assert_int_equal(st.err, -EIO);
	free(st.out);
	st = up(99, root, NULL, NULL);
	assert_int_equal(st.err, -ENOSYS);
	free(st.out);
	/* An inode of another source is none of this mount. */
	assert_int_equal(mount_as(4, top, "", &a), 0);
	st = up_flags(DATAFS_OP_GETATTR, 4, root, NULL, NULL, 0);
	assert_int_equal(st.err, -ESTALE);
	free(st.out);
	umount_id(4);
}

static void test_names(void **state)
{
	struct datafs_entry e, e2;
	struct datafs_attr attr;
	struct answer a;

	(void)state;
	put_file("f", 5000, 1);
	assert_int_equal(mkdir(in_src("d"), 0750), 0);
	put_file("d/g", 1, 2);
	assert_int_equal(symlink("some/where", in_src("l")), 0);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 5000);
	assert_int_equal(e.attr.mode, S_IFREG | 0644);
	assert_int_equal(lookup(root, "none", &e), 0);
	assert_int_equal(e.attr.ino, 0);
	assert_int_equal(lookup(root, "d", &e), 0);
	assert_int_equal(e.attr.mode, S_IFDIR | 0750);
	assert_int_equal(lookup(e.attr.ino, "g", &e2), 0);
	assert_int_equal(e2.attr.size, 1);
	a = up(DATAFS_OP_PARENT, e.attr.ino, NULL, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(((struct datafs_entry *)a.out)->attr.ino, root);
	free(a.out);
	assert_int_equal(lookup(e2.attr.ino, "x", &e2), -ENOTDIR);
	assert_int_equal(lookup(root, "l", &e2), 0);
	a = up(DATAFS_OP_READLINK, e2.attr.ino, NULL, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.len, 10);
	assert_memory_equal(a.out, "some/where", 10);
	free(a.out);
	a = up(DATAFS_OP_STATFS, root, NULL, NULL);
	assert_int_equal(a.err, 0);
	assert_true(((struct datafs_statfs *)a.out)->blocks > 0);
	free(a.out);
	if (!setxattr(in_src("f"), "user.k", "val", 3, 0)) {
		assert_int_equal(lookup(root, "f", &e2), 0);
		assert_true(e2.attr.flags & DATAFS_ATTR_XATTR);
		a = up(DATAFS_OP_GETXATTR, e2.attr.ino, NULL, "user.k");
		assert_int_equal(a.err, 0);
		assert_int_equal(a.len, 3);
		free(a.out);
		a = up(DATAFS_OP_GETXATTR, e2.attr.ino, NULL, "user.none");
		assert_int_equal(a.err, -ENODATA);
		free(a.out);
		a = up(DATAFS_OP_LISTXATTR, e2.attr.ino, NULL, NULL);
		assert_int_equal(a.err, 0);
		assert_int_equal(a.len, 7);
		free(a.out);
	}
	/* The directory goes, a link comes: nobody follows it. */
	assert_int_equal(rename(in_src("d"), in_src("dd")), 0);
	assert_int_equal(symlink("dd", in_src("d")), 0);
	assert_int_equal(lookup(e.attr.ino, "g", &e2), 0);
	assert_int_equal(e2.attr.ino, 0);
	assert_int_equal(getattr(e.attr.ino, &attr), -ESTALE);
}

static int list(uint64_t dir, uint32_t max, char names[][256], int room,
		uint64_t *cookies)
{
	struct datafs_readdir_req req = { .max = max };
	const struct datafs_readdir_rep *rep;
	const struct datafs_dirent *de;
	struct answer a;
	int n = 0;

	do {
		a = up(DATAFS_OP_READDIR, dir, &req, NULL);
		assert_int_equal(a.err, 0);
		rep = (void *)a.out;
		de = (void *)(rep + 1);
		assert_true(rep->count || rep->flags & DATAFS_READDIR_EOF);
		assert_true(rep->count <= 1 || a.len + sizeof(struct datafs_rep) <= max);
		for (uint32_t i = 0; i < rep->count; i++) {
			assert_true(n < room && de->cookie > req.cookie);
			memcpy(names[n], de + 1, de->namelen);
			names[n][de->namelen] = 0;
			cookies[n++] = req.cookie = de->cookie;
			de = (void *)((char *)(de + 1) + datafs_round_up(de->namelen, 8));
		}
		assert_ptr_equal((char *)de, a.out + a.len);
		if (rep->flags & DATAFS_READDIR_EOF)
			req.max = 0;
		free(a.out);
	} while (req.max);
	return n;
}

static void test_readdir(void **state)
{
	static char names[300][256], again[300][256];
	uint64_t cookies[300], cookies2[300];
	char name[64];
	int n;

	(void)state;
	assert_int_equal(list(root, 4096, names, 300, cookies), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%0*d", 1 + i % 50, i);
		put_file(name, i, i);
	}
	n = list(root, 4096, names, 300, cookies);
	assert_int_equal(n, 200);
	for (int i = 0; i < n; i++) {
		struct stat st;

		assert_int_equal(stat(in_src(names[i]), &st), 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(names[i], names[k]);
	}
	/* One reply for each entry gives the same. */
	assert_int_equal(list(root, 1, again, 300, cookies2), 200);
	assert_memory_equal(cookies, cookies2, 200 * sizeof(cookies[0]));
	unlink(in_src(names[7]));
	put_file("zz", 1, 1);
	assert_int_equal(list(root, 65536, again, 300, cookies2), 200);
	assert_memory_equal(cookies, cookies2, 7 * sizeof(cookies[0]));
	assert_memory_equal(cookies + 8, cookies2 + 7, 192 * sizeof(cookies[0]));
	assert_string_equal(again[199], "zz");
}

static void test_data(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000,
					  262145, 5 * MIB + 3, 9 * MIB };
	struct datafs_entry e[9];
	uint64_t bytes;
	char name[16];

	(void)state;
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		put_file(name, sizes[i], i);
	}
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(lookup(root, name, &e[i]), 0);
		check_file(e[i].attr.ino, sizes[i], i);
	}
	while (!datafs_pool_idle(pool))
		usleep(1000);
	bytes = stat_value("under_bytes");
	for (int i = 0; i < 9; i++)
		check_file(e[i].attr.ino, sizes[i], i);
	assert_int_equal(stat_value("under_bytes"), bytes);
	/* ... and after a restart. */
	stop();
	start("sync_interval=always");
	for (int i = 0; i < 9; i++)
		check_file(e[i].attr.ino, sizes[i], i);
	assert_int_equal(stat_value("under_bytes"), 0);
}

static void test_changes(void **state)
{
	struct datafs_entry e, e2;
	struct datafs_attr attr;
	struct answer a;

	(void)state;
	put_file("f", 100000, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	check_file(e.attr.ino, 100000, 1);
	/* Written over, with the same size, at once. */
	put_file("f", 100000, 2);
	check_file(e.attr.ino, 100000, 2);
	put_file("f", 100000, 3);
	check_file(e.attr.ino, 100000, 3);
	put_file("f", 200000, 4);
	check_file(e.attr.ino, 200000, 4);
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_not_equal(attr.content, e.attr.content);
	/* An old generation: what is cached of it serves, the rest does not. */
	put_file("f", 300000, 5);
	assert_int_equal(getattr(e.attr.ino, &e2.attr), 0);
	assert_int_equal(ask(e.attr.ino, attr.content, 0, 196608 + 4096, &a), 0);
	assert_true(((struct datafs_extent_rep *)a.out)->content == attr.content);
	free(a.out);
	assert_int_equal(ask(e.attr.ino, attr.content, 0, 4 * MIB, &a), -ESTALE);
	free(a.out);
	assert_int_equal(ask(e.attr.ino, 123456789, 0, 4096, &a), -ESTALE);
	free(a.out);
	/* Changed since the attributes were told: ESTALE, then the new one. */
	assert_int_equal(lookup(root, "f", &e), 0);
	usleep(60000);
	assert_int_equal(lookup(root, "f", &e), 0);
	put_file("f", 400000, 6);
	assert_int_equal(ask(e.attr.ino, e.attr.content, 0, 4096, &a), -ESTALE);
	free(a.out);
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_equal(attr.size, 400000);
	/* Replaced: the inode is gone. */
	put_file("g", 1000, 7);
	assert_int_equal(rename(in_src("g"), in_src("f")), 0);
	assert_int_equal(getattr(e.attr.ino, &attr), -ESTALE);
	assert_int_equal(lookup(root, "f", &e2), 0);
	check_file(e2.attr.ino, 1000, 7);
	/* Requests that make no sense. */
	assert_int_equal(ask(e2.attr.ino, e2.attr.content, 1, 4096, &a), -EIO);
	free(a.out);
	assert_int_equal(ask(e2.attr.ino, e2.attr.content, 0, 0, &a), -EIO);
	free(a.out);
	assert_int_equal(ask(e2.attr.ino, e2.attr.content, ~0ull << 12, 8192, &a), -EIO);
	free(a.out);
	assert_int_equal(ask(root, 1, 0, 4096, &a), -ESTALE);
	free(a.out);
}

/* A reader who has not heard of the change asks for pieces of what it knows. */
static void test_pieces_of_old(void **state)
{
	static const struct {
		uint64_t off, len;
		int err;
	} pieces[] = {
		{ 0, 128 * KIB, 0 }, { 64 * KIB, 4096, 0 },
		{ 3 * MIB, 2 * MIB, 0 }, { 4 * MIB, MIB, 0 },
		{ 5 * MIB, 4096, 0 },
		{ 5 * MIB, 8192, -ESTALE }, { 5 * MIB + 4096, 4096, -ESTALE },
		{ 8 * MIB, 4096, -ESTALE },
	};
	char *buf = malloc(2 * MIB);
	struct datafs_entry e;
	struct datafs_attr attr;
	struct answer a;

	(void)state;
	put_file("f", 5 * MIB + 3, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	check_file(e.attr.ino, 5 * MIB + 3, 1);
	assert_int_equal(getattr(e.attr.ino, &e.attr), 0);
	put_file("f", 100, 2);
	assert_int_equal(getattr(e.attr.ino, &attr), 0);
	assert_int_not_equal(attr.content, e.attr.content);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		uint64_t off = pieces[i].off, end = off + pieces[i].len;

		assert_int_equal(ask(e.attr.ino, e.attr.content, off,
				     pieces[i].len, &a), pieces[i].err);
		if (!a.err)
			assert_int_equal(take(&a, off, end - off, buf), end);
		for (uint64_t at = off; !a.err && at < end; at++)
			assert_int_equal(buf[at - off] & 0xff,
					 at < 5 * MIB + 3 ?
					 (at * 31 + (at >> 12) * 7 + 1) & 0xff : 0);
		free(a.out);
	}
	free(buf);
	check_file(e.attr.ino, 100, 2);
}

/* A whole cold file: few upcalls. A random reader: no byte too many. */
static void test_amounts(void **state)
{
	struct datafs_entry e;
	uint64_t ups, bytes;
	struct answer a;
	char buf[4096];
	unsigned int seed = 3;

	(void)state;
	put_file("seq", 64 * MIB, 1);
	put_file("rnd", 32 * MIB, 2);
	usleep(60000);
	ups = stat_value("upcalls_extent");
	assert_int_equal(lookup(root, "seq", &e), 0);
	check_file(e.attr.ino, 64 * MIB, 1);
	/* One reads and asks here for 64 KiB at a time, most are answered. */
	assert_true(stat_value("upcalls_extent") - ups <= 1024);
	while (!datafs_pool_idle(pool))
		usleep(1000);
	assert_int_equal(stat_value("under_bytes"), 64 * MIB);

	bytes = stat_value("under_bytes");
	assert_int_equal(lookup(root, "rnd", &e), 0);
	for (int i = 0; i < 100; i++) {
		uint64_t off = rand_r(&seed) % (32 * MIB / 4096) * 4096;

		assert_int_equal(ask(e.attr.ino, e.attr.content, off, 4096, &a), 0);
		assert_int_equal(take(&a, off, 4096, buf), off + 4096);
		free(a.out);
	}
	assert_true(stat_value("under_bytes") - bytes <= 100 * 64 * KIB);
}

static void test_bad_extent(void **state)
{
	struct datafs_bad_extent_req bad = { .want.len = 4096 };
	char junk[4096] __attribute__((aligned(4096))), buf[4096];
	const struct datafs_extent *x;
	struct datafs_entry e;
	struct answer a;

	(void)state;
	put_file("f", 50000, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	check_file(e.attr.ino, 50000, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(ask(e.attr.ino, e.attr.content, 8192, 4096, &a), 0);
	x = (void *)(a.out + sizeof(struct datafs_extent_rep));
	while (x->off + x->len <= 8192)
		x++;
	memset(junk, 0xee, sizeof(junk));
	bad.want.content = e.attr.content;
	bad.want.off = 8192;
	bad.backing_id = x->backing_id;
	bad.backing_off = x->backing_off + 8192 - x->off;
	assert_int_equal(pwrite(slabs[x->backing_id], junk, 4096, bad.backing_off), 4096);
	free(a.out);
	a = up(DATAFS_OP_BAD_EXTENT, e.attr.ino, &bad, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(take(&a, 8192, 4096, buf), 8192 + 4096);
	free(a.out);
	check_file(e.attr.ino, 50000, 1);
	assert_int_equal(stat_value("cache_bad_granules"), 1);
}

static void test_prefetch(void **state)
{
	struct datafs_extent_req want = { .off = MIB, .len = 128 * KIB };
	struct datafs_entry e;
	struct answer a;

	(void)state;
	put_file("f", 20 * MIB, 1);
	usleep(60000);
	assert_int_equal(lookup(root, "f", &e), 0);
	want.content = e.attr.content;
	/* Of nobody who reads in order: nothing. */
	a = up_flags(DATAFS_OP_EXTENT, 1, e.attr.ino, &want, NULL, DATAFS_REQ_PREFETCH);
	assert_int_equal(a.err, 0);
	assert_int_equal(((struct datafs_extent_rep *)a.out)->count, 0);
	assert_int_equal(stat_value("under_bytes"), 0);
	free(a.out);
	/* Behind a reader from the beginning: a window. */
	assert_int_equal(ask(e.attr.ino, e.attr.content, 0, 4096, &a), 0);
	free(a.out);
	want.off = 64 * KIB;
	a = up_flags(DATAFS_OP_EXTENT, 1, e.attr.ino, &want, NULL, DATAFS_REQ_PREFETCH);
	assert_int_equal(a.err, 0);
	assert_true(((struct datafs_extent_rep *)a.out)->crcs >= 1000);
	free(a.out);
}

static void test_sync_interval(void **state)
{
	struct datafs_entry e;
	uint64_t stats;

	(void)state;
	stop();
	start("sync_interval=1");
	put_file("f", 10, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_true(e.valid_ms > 0 && e.valid_ms <= 1000);
	stats = stat_value("under_requests_stat");
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(stat_value("under_requests_stat"), stats);
	put_file("f", 20, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 10);
	usleep(1010000);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 20);
	stop();
	start("sync_interval=never");
	put_file("f", 30, 1);
	assert_int_equal(lookup(root, "f", &e), 0);
	assert_int_equal(e.attr.size, 20);
	assert_int_equal(e.attr.valid_ms, DATAFS_FOREVER);
	/* ... but bytes that are not there are never made up. */
	check_file(e.attr.ino, 30, 1);
}

/* ---- readers against a writer ---- */

static atomic_bool done;
static atomic_int reads;

static void *reader(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!atomic_load(&done)) {
		struct datafs_entry e;
		char name[16], *data;
		uint64_t size;
		int err;

		snprintf(name, sizeof(name), "r%d", rand_r(&seed) % 8);
		err = lookup(root, name, &e);
		assert_true(!err || err == -ESTALE);
		if (err || !e.attr.ino)
			continue;
		err = read_file(e.attr.ino, &data, &size);
		if (err) {
			assert_int_equal(err, -ESTALE);
			continue;
		}
		/* All of one version: each byte is the version's number. */
		for (uint64_t i = 1; i < size; i++)
			if (data[i] != data[0])
				fail_msg("a blend of %d and %d", data[0], data[i]);
		free(data);
		atomic_fetch_add(&reads, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	char name[16], tmp[8300], *buf = malloc(MIB);
	int64_t end = datafs_now() + 3 * DATAFS_SEC;
	pthread_t th[8];

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	stop();
	start("sync_interval=0.02");
	atomic_store(&done, false);
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&th[i], NULL, reader, (void *)(seed + i));
	while (datafs_now() < end) {
		uint64_t size = 1 + rand_r(&seed) % (rand_r(&seed) % 3 ? 20000 : 700000);
		int fd;

		/* Versions come by rename, as whoever wants no blends does it. */
		memset(buf, rand_r(&seed) % 100, size);
		snprintf(tmp, sizeof(tmp), "%s/tmp", top);
		fd = open(tmp, O_CREAT | O_WRONLY | O_TRUNC, 0644);
		assert_int_equal(write(fd, buf, size), size);
		close(fd);
		snprintf(name, sizeof(name), "r%d", rand_r(&seed) % 8);
		if (rand_r(&seed) % 10)
			assert_int_equal(rename(tmp, in_src(name)), 0);
		else
			unlink(in_src(name));
		usleep(rand_r(&seed) % 20000);
	}
	atomic_store(&done, true);
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	assert_true(atomic_load(&reads) > 20);
	free(buf);
}

/* ---- a random tree, compared with what is really there ---- */

static void compare(uint64_t dir, const char *path, int depth)
{
	char names[64][256], below[600];
	uint64_t cookies[64];
	int n, real = 0;
	struct dirent *de;
	DIR *d;

	n = list(dir, 2048, names, 64, cookies);
	d = opendir(in_src(path));
	assert_non_null(d);
	while ((de = readdir(d)))
		real += strcmp(de->d_name, ".") && strcmp(de->d_name, "..");
	closedir(d);
	assert_int_equal(n, real);
	for (int i = 0; i < n; i++) {
		struct datafs_entry e;
		struct stat st;

		snprintf(below, sizeof(below), "%s/%s", path, names[i]);
		assert_int_equal(lstat(in_src(below), &st), 0);
		assert_int_equal(lookup(dir, names[i], &e), 0);
		assert_int_equal(e.attr.mode, st.st_mode);
		assert_int_equal(e.attr.size, st.st_size);
		assert_int_equal(e.attr.nlink, st.st_nlink);
		assert_int_equal(e.attr.mtime, st.st_mtim.tv_sec);
		assert_int_equal(e.attr.mtime_ns, st.st_mtim.tv_nsec);
		if (S_ISDIR(st.st_mode) && depth < 4)
			compare(e.attr.ino, below, depth + 1);
	}
}

static void random_path(unsigned int *seed, char *path, size_t room)
{
	int n = 1 + rand_r(seed) % 3;

	*path = 0;
	for (int i = 0; i < n; i++)
		snprintf(path + strlen(path), room - strlen(path), "%s%c",
			 i ? "/" : "", 'a' + rand_r(seed) % 5);
}

static void test_random_tree(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	char a[64], b[64], full[8300];

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	for (int step = 0; step < 600; step++) {
		random_path(&seed, a, sizeof(a));
		random_path(&seed, b, sizeof(b));
		strcpy(full, in_src(a));
		switch (rand_r(&seed) % 7) {
		case 0:
		case 1:
			mkdir(full, 0755);
			break;
		case 2: {
			int fd = open(full, O_CREAT | O_WRONLY | O_APPEND, 0600);

			if (fd >= 0) {
				assert_int_equal(write(fd, full, 5), 5);
				close(fd);
			}
			break;
		}
		case 3:
			rename(full, in_src(b));
			break;
		case 4:
			link(full, in_src(b));
			break;
		case 5:
			symlink("a/b", full);
			break;
		case 6:
			remove(full);
			break;
		}
		if (step % 20 == 0)
			compare(root, ".", 0);
		if (step % 200 == 199) {
			stop();
			start("sync_interval=always");
		}
	}
	compare(root, ".", 0);
}

/* ---- a directory that changes while it is listed ---- */

static const char *missed;

/* The double of a readdir(3) that misses a name, because others come. */
struct dirent *readdir(DIR *d)
{
	static struct dirent *(*real)(DIR *d);
	struct dirent *de;

	if (!real)
		real = dlsym(RTLD_NEXT, "readdir");
	de = real(d);
	if (de && missed && !strcmp(de->d_name, missed)) {
		missed = NULL;
		put_file("new", 1, 1);
		de = real(d);
	}
	return de;
}

static void test_torn_listing(void **state)
{
	char names[8][256];
	uint64_t cookies[8];
	struct datafs_entry e, e2;

	(void)state;
	stop();
	start("sync_interval=100");
	put_file("a", 1, 1);
	put_file("b", 1, 1);
	put_file("c", 1, 1);
	usleep(60000);
	assert_int_equal(lookup(root, "b", &e), 0);
	missed = "b";
	assert_true(list(root, 4096, names, 8, cookies) >= 3);
	assert_null(missed);
	assert_int_equal(lookup(root, "b", &e2), 0);
	assert_int_equal(e.attr.ino, e2.attr.ino);
	/* Missed, and not known before. */
	missed = "a";
	stop();
	start("sync_interval=0");
	usleep(60000);
	list(root, 4096, names, 8, cookies);
	assert_int_equal(lookup(root, "a", &e), 0);
	assert_true(e.attr.ino);
	/* What is gone is not shown, however lately that was. */
	assert_int_equal(unlink(in_src("b")), 0);
	assert_int_equal(list(root, 4096, names, 8, cookies), 3);
	assert_int_equal(lookup(root, "b", &e2), 0);
	assert_int_equal(e2.attr.ino, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_mounts), T(test_names), T(test_readdir), T(test_data),
		T(test_changes), T(test_pieces_of_old), T(test_amounts),
		T(test_bad_extent), T(test_prefetch), T(test_sync_interval), T(test_threads),
		T(test_random_tree), T(test_torn_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
