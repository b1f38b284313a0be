// SPDX-License-Identifier: Apache-2.0
/* A mount of the quorum of one: what changes, what is told of it, and once. */
#define _GNU_SOURCE
#include "vfs_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOP	1	/* the namespace's root */

static const uint8_t incarnation[16] = { 2 };
static uint64_t next = 1000;

/* A change by mount @mount, with the id @id. */
static int change_as(uint32_t mount, uint64_t id, enum datafs_opcode op, uint64_t ino,
		     const void *body, size_t len, const char *name, const char *more,
		     struct datafs_change_rep *rep)
{
	struct datafs_req req = {
		.opcode = op, .mount_id = mount, .ino = ino, .id = id,
		.namelen = name ? strlen(name) : 0,
	};
	char *buf = calloc(1, len + 2 * (DATAFS_NAME_MAX + 9) +
			   (more ? strlen(more) : 0));
	struct datafs_call call = { .req = &req, .body = buf };
	struct datafs_change_req *c = (void *)buf;
	int ret;

	memcpy(buf, body, len);
	c->lowest = c->lowest ? c->lowest : id;
	if (name) {
		strcpy(call.name, name);
		strcpy(buf + len, name);
	}
	if (more)
		strcpy(buf + len + datafs_round_up(req.namelen, 8), more);
	call.out = op == DATAFS_OP_RELEASE ? NULL : malloc(DATAFS_REPLY_MAX);
	ret = datafs_vfs_call(v, &call);
	if (!ret && call.out) {
		assert_int_equal(call.out_len, sizeof(*rep));
		if (rep)
			memcpy(rep, call.out, sizeof(*rep));
	}
	free(call.out);
	free(buf);
	return ret;
}

static int change(enum datafs_opcode op, uint64_t ino, const void *body, size_t len,
		  const char *name, const char *more, struct datafs_change_rep *rep)
{
	return change_as(2, next++, op, ino, body, len, name, more, rep);
}

static int make(enum datafs_opcode op, uint64_t dir, const char *name,
		struct datafs_change_rep *rep)
{
	struct datafs_make_req m = { .mode = 0755, .umask = 022, .uid = 7, .gid = 8 };

	return change(op, dir, &m, sizeof(m), name, NULL, rep);
}

static int find(uint32_t mount, uint64_t dir, const char *name, struct datafs_attr *attr)
{
	struct answer a = up_flags(DATAFS_OP_LOOKUP, mount, dir, NULL, name, 0);
	const struct datafs_entry *e = (void *)a.out;
	int ret = a.err ? a.err : e->attr.ino ? 0 : -ENOENT;

	if (!a.err)
		assert_int_equal(e->valid_ms, DATAFS_FOREVER);
	if (!ret)
		*attr = e->attr;
	free(a.out);
	return ret;
}

static int attr_of(uint64_t ino, struct datafs_attr *attr)
{
	struct answer a = up_flags(DATAFS_OP_GETATTR, 2, ino, NULL, NULL, 0);

	if (!a.err)
		memcpy(attr, a.out, sizeof(*attr));
	free(a.out);
	return a.err;
}

static int mount_quorum(uint32_t id, const char *source, struct datafs_attr *root)
{
	return mount_as(id, source, "", root);
}

/* How many sessions there are files of. */
static int session_files(void)
{
	char path[4300];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/../cache/sessions", src);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += *e->d_name != '.';
	if (d)
		closedir(d);
	return n;
}

static void adopt(void)
{
	assert_int_equal(datafs_vfs_adopt_mount(v, 2, incarnation, ":/", ""), 0);
}

static int setup(void **state)
{
	struct datafs_attr root_attr;
	int ret;

	before_start = NULL;
	ret = vfs_setup(state);
	if (ret || mount_quorum(2, ":/", &root_attr))
		return -1;
	invalidations = 0;
	return 0;
}

static int teardown(void **state)
{
	before_start = NULL;
	return vfs_teardown(state);
}

static void test_mounts(void **state)
{
	struct datafs_attr a, b;
	struct datafs_change_rep rep;

	(void)state;
	assert_int_equal(attr_of(TOP, &a), 0);
	assert_true(a.flags & DATAFS_ATTR_CHANGES);
	assert_int_equal(a.valid_ms, DATAFS_FOREVER);
	assert_int_equal(session_files(), 1);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "d", &rep), 0);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(mount_quorum(3, ":/none", &b), -ENOENT);
	assert_int_equal(mount_quorum(3, ":/f", &b), -ENOTDIR);
	assert_int_equal(mount_quorum(3, "one,two:/d", &b), -EPROTONOSUPPORT);
	assert_int_equal(session_files(), 1);
	assert_int_equal(mount_quorum(3, ":/d/", &b), 0);
	assert_int_equal(b.ino, rep.node.attr.ino);
	umount_id(3);
	umount_id(2);
	assert_int_equal(session_files(), 0);
	/* An under-store's mount changes nothing. */
	assert_int_equal(change_as(1, next++, DATAFS_OP_UNLINK, root,
				   &(struct datafs_remove_req){ .ino = 5 },
				   sizeof(struct datafs_remove_req), "x", NULL, NULL),
			 -ENOSYS);
}

static void test_changes(void **state)
{
	struct datafs_change_rep rep;
	struct datafs_attr a, d;
	struct answer ans;

	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "d", &rep), 0);
	d = rep.node.attr;
	assert_int_equal(d.mode, S_IFDIR | 0755);
	assert_int_equal(d.uid, 7);
	assert_int_equal(rep.node.valid_ms, DATAFS_FOREVER);
	assert_int_equal(rep.parent.ino, TOP);
	assert_int_equal(rep.parent.nlink, 3);
	assert_int_equal(rep.new_parent.ino, 0);
	assert_int_equal(make(DATAFS_OP_CREATE, d.ino, "f", &rep), 0);
	assert_int_equal(make(DATAFS_OP_CREATE, d.ino, "f", &rep), -EEXIST);
	assert_int_equal(find(2, d.ino, "f", &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0755);

	struct datafs_make_req sl = { .target_len = 6 };

	assert_int_equal(change(DATAFS_OP_SYMLINK, TOP, &sl, sizeof(sl), "s", "target",
				&rep), 0);
	ans = up_flags(DATAFS_OP_READLINK, 2, rep.node.attr.ino, NULL, NULL, 0);
	assert_int_equal(ans.len, 6);
	assert_memory_equal(ans.out, "target", 6);
	free(ans.out);

	struct datafs_make_req node = { .mode = S_IFCHR | 0600, .rdev_major = 1, .rdev_minor = 3 };

	assert_int_equal(change(DATAFS_OP_MKNOD, TOP, &node, sizeof(node), "null", NULL, &rep), 0);
	assert_int_equal(rep.node.attr.rdev_minor, 3);

	struct datafs_link_req l = { .ino = a.ino };

	assert_int_equal(change(DATAFS_OP_LINK, TOP, &l, sizeof(l), "f2", NULL, &rep), 0);
	assert_int_equal(rep.node.attr.nlink, 2);

	struct datafs_rename_req r = { .new_parent = d.ino, .new_namelen = 3 };

	assert_int_equal(change(DATAFS_OP_RENAME, TOP, &r, sizeof(r), "f2", "new", &rep), 0);
	assert_int_equal(rep.new_parent.ino, d.ino);
	assert_int_equal(find(2, TOP, "f2", &a), -ENOENT);
	assert_int_equal(find(2, d.ino, "new", &a), 0);
	r = (struct datafs_rename_req) {
		.new_parent = d.ino, .new_namelen = 3, .flags = DATAFS_RENAME_NOREPLACE,
	};
	assert_int_equal(change(DATAFS_OP_RENAME, TOP, &r, sizeof(r), "s", "new", &rep),
			 -EEXIST);
	r.flags = DATAFS_RENAME_EXCHANGE;
	assert_int_equal(change(DATAFS_OP_RENAME, TOP, &r, sizeof(r), "s", "new", &rep), 0);
	assert_int_equal(rep.other.ino, a.ino);

	struct datafs_setattr_req s = {
		.valid = DATAFS_SET_MODE | DATAFS_SET_MTIME, .mode = 0640, .mtime = 12345,
		.mtime_ns = 6,
	};

	assert_int_equal(change(DATAFS_OP_SETATTR, a.ino, &s, sizeof(s), NULL, NULL, &rep), 0);
	assert_int_equal(rep.node.attr.mode, S_IFREG | 0640);
	assert_int_equal(rep.node.attr.mtime, 12345);
	assert_int_equal(rep.node.attr.mtime_ns, 6);
	assert_int_equal(rep.parent.ino, 0);
	s = (struct datafs_setattr_req) { .valid = DATAFS_SET_SIZE, .size = 1 };
	assert_int_equal(change(DATAFS_OP_SETATTR, a.ino, &s, sizeof(s), NULL, NULL, &rep),
			 -EROFS);

	struct datafs_setxattr_req x = { .value_len = 3, .flags = DATAFS_XATTR_CREATE };

	assert_false(rep.node.attr.flags & DATAFS_ATTR_XATTR);
	assert_int_equal(change(DATAFS_OP_SETXATTR, a.ino, &x, sizeof(x), "user.a", "abc", &rep), 0);
	assert_true(rep.node.attr.flags & DATAFS_ATTR_XATTR);
	assert_int_equal(change(DATAFS_OP_SETXATTR, a.ino, &x, sizeof(x), "user.a", "abc", &rep),
			 -EEXIST);
	ans = up_flags(DATAFS_OP_GETXATTR, 2, a.ino, NULL, "user.a", 0);
	assert_int_equal(ans.len, 3);
	free(ans.out);
	ans = up_flags(DATAFS_OP_LISTXATTR, 2, a.ino, NULL, NULL, 0);
	assert_int_equal(ans.len, 7);
	free(ans.out);
	assert_int_equal(change(DATAFS_OP_REMOVEXATTR, a.ino, &(struct datafs_change_req){ 0 },
				8, "user.a", NULL, &rep), 0);
	assert_false(rep.node.attr.flags & DATAFS_ATTR_XATTR);

	assert_int_equal(change(DATAFS_OP_RMDIR, TOP, &(struct datafs_remove_req){ 0 },
				sizeof(struct datafs_remove_req), "d", NULL, &rep), -ENOTEMPTY);
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &(struct datafs_remove_req){ 0 },
				sizeof(struct datafs_remove_req), "s", NULL, &rep), 0);
	assert_int_equal(rep.node.attr.nlink, 1);
}

static void test_listing(void **state)
{
	struct datafs_readdir_req req = { .max = 2000 };
	char name[40];
	int seen = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "name%d", i);
		assert_int_equal(make(DATAFS_OP_CREATE, TOP, name, NULL), 0);
	}
	for (;;) {
		struct answer a = up_flags(DATAFS_OP_READDIR, 2, TOP, &req, NULL, 0);
		const struct datafs_readdir_rep *rep = (void *)a.out;
		const char *p = (char *)(rep + 1);

		assert_int_equal(a.err, 0);
		assert_true(a.len <= 2000 - sizeof(struct datafs_rep));
		for (uint32_t i = 0; i < rep->count; i++) {
			const struct datafs_dirent *de = (void *)p;

			snprintf(name, sizeof(name), "name%d", seen++);
			assert_int_equal(de->namelen, strlen(name));
			assert_memory_equal(de + 1, name, strlen(name));
			assert_true(de->cookie > req.cookie);
			req.cookie = de->cookie;
			p += sizeof(*de) + datafs_round_up(de->namelen, 8);
		}
		assert_ptr_equal(p, a.out + a.len);
		bool eof = rep->flags & DATAFS_READDIR_EOF;

		free(a.out);
		if (eof)
			break;
	}
	assert_int_equal(seen, 100);
}

/* An inode without a name lives on while it is open, and not longer. */
static void test_hold(void **state)
{
	struct datafs_remove_req r = { .flags = DATAFS_REMOVE_HOLD };
	struct datafs_change_rep rep;
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", &rep), 0);
	r.ino = rep.node.attr.ino;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "f", NULL, &rep), 0);
	assert_int_equal(rep.node.attr.nlink, 0);
	assert_int_equal(attr_of(r.ino, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(change(DATAFS_OP_RELEASE, r.ino, &(struct datafs_change_req){ 0 }, 8,
				NULL, NULL, NULL), 0);
	assert_int_equal(attr_of(r.ino, &a), -ESTALE);
	/* What is not there is not held. */
	r.ino = 1ull << 40;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "none", NULL, &rep), -ENOENT);
	/* A release that comes after its mount is none. */
	umount_id(2);
	assert_int_equal(change(DATAFS_OP_RELEASE, r.ino, &(struct datafs_change_req){ 0 }, 8,
				NULL, NULL, NULL), 0);
}

/* What is sent again, also to a successor, is done once. */
static void test_once(void **state)
{
	struct datafs_make_req m = { .mode = 0644 };
	struct datafs_change_rep one, two;
	struct datafs_attr a;

	(void)state;
	umount_id(2);
	assert_int_equal(mount_quorum(2, ":/", &a), 0);
	assert_int_equal(change_as(2, 100, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &one), 0);
	assert_int_equal(change_as(2, 100, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &two), 0);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_int_equal(change_as(2, 101, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &two),
			 -EEXIST);
	/* Nobody waits for 101 any more when 103 is sent. */
	m.change.lowest = 103;
	assert_int_equal(change_as(2, 103, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &two), 0);
	m.change.lowest = 0;
	assert_int_equal(change_as(2, 101, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, &two),
			 -EIO);

	/* The daemon dies; the mount lives. */
	before_start = adopt;
	assert_int_equal(session_files(), 1);
	stop();
	start("sync_interval=always");
	assert_int_equal(session_files(), 1);
	assert_int_equal(change_as(2, 103, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &one), 0);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_int_equal(change_as(2, 104, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "g", NULL, &one),
			 -EEXIST);
	umount_id(2);
	assert_int_equal(session_files(), 0);
}

/* A mount that is none any more: its session is ended by the next daemon. */
static void test_stale_session(void **state)
{
	struct datafs_remove_req r = { .flags = DATAFS_REMOVE_HOLD };
	struct datafs_change_rep rep;
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", &rep), 0);
	r.ino = rep.node.attr.ino;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "f", NULL, &rep), 0);
	stop();
	assert_int_equal(session_files(), 1);
	start("sync_interval=always");
	assert_int_equal(session_files(), 0);
	assert_int_equal(mount_quorum(2, ":/", &a), 0);
	assert_int_equal(attr_of(r.ino, &a), -ESTALE);
}

/* Other mounts of the namespace hear of a change before it is answered. */
static void test_others(void **state)
{
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "alone", NULL), 0);
	assert_int_equal(invalidations, 0);
	assert_int_equal(mount_quorum(3, ":/", &a), 0);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(invalidations, 1);
	/* The new inode, its directory, and the name. */
	assert_int_equal(invalid_bytes, 3 * sizeof(struct datafs_invalid) + 8);
	assert_int_equal(invalidated.mount_id, 3);
	assert_int_equal(find(3, TOP, "f", &a), 0);
	/* It is done, whether they can be told or not. */
	invalidate_error = -EIO;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "h", NULL), 0);
	assert_int_equal(invalidations, 2);
	invalidate_error = 0;
	umount_id(3);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "g", NULL), 0);
	assert_int_equal(invalidations, 2);
}

#define THREADS	8
#define EACH	50

static void *create_many(void *arg)
{
	struct datafs_make_req m = { .mode = 0644 };
	uint64_t first = (uintptr_t)arg;
	char name[40];

	for (uint64_t i = 0; i < EACH; i++) {
		snprintf(name, sizeof(name), "t%llu", (unsigned long long)(first + i));
		m.change.lowest = 5000;
		if (change_as(2, first + i, DATAFS_OP_CREATE, TOP, &m, sizeof(m), name, NULL, NULL))
			return (void *)1;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[THREADS];
	struct datafs_attr a;
	char name[40];
	void *bad;

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, create_many,
						(void *)(5000 + i * EACH)), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	for (int i = 0; i < THREADS * EACH; i++) {
		snprintf(name, sizeof(name), "t%d", 5000 + i);
		assert_int_equal(find(2, TOP, name, &a), 0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_mounts), T(test_changes), T(test_listing), T(test_hold), T(test_once),
		T(test_stale_session), T(test_others), T(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
