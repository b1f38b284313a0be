// SPDX-License-Identifier: Apache-2.0
/* A mount of the quorum of one: what it shows, and what changes it. */
#define _GNU_SOURCE
#include "vfs_changes.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/log.h"
#include "quorum_wrap.h"
#include "vfs/vfs_internal.h"

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
	assert_int_equal(mount_quorum(3, "one,,two:/d", &b), -EINVAL);
	assert_int_equal(session_files(), 1);
	assert_int_equal(mount_quorum(3, ":/d/", &b), 0);
	assert_int_equal(b.ino, rep.node.attr.ino);
	/* What changed before it was one of the mounts it is not told. */
	assert_int_equal(b.valid_ms, 1);
	umount_id(3);
	umount_id(2);
	assert_int_equal(session_files(), 0);
	/* An under-store's mount changes nothing. */
	assert_int_equal(change_as(1, 1, DATAFS_OP_UNLINK, root,
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
	assert_int_equal(change(DATAFS_OP_RENAME, TOP, &r, sizeof(r), "s", "new", &rep),
			 -ESTALE);
	r.ino = a.ino;
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
	/* It leads to another inode than the kernel thinks. */
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &(struct datafs_remove_req){ .ino = d.ino },
				sizeof(struct datafs_remove_req), "s", NULL, &rep), -ESTALE);
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &(struct datafs_remove_req){ .ino = a.ino },
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

static const struct datafs_quorum_ops *real_ops;
static unsigned int no_memory, busy;

static int change_later(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res)
{
	int ret;

	if (no_memory) {
		no_memory--;
		return -ENOMEM;
	}
	ret = real_ops->change(q, cmd, res);
	/* Of one that was refused. */
	if (!ret && busy && (*res)->error) {
		busy--;
		(*res)->error = EBUSY;
	}
	return ret;
}

/* Without memory a change fails; but what is released is told once. */
static void test_no_memory(void **state)
{
	struct datafs_quorum *q = atomic_load(&v->quorum);
	struct datafs_remove_req r = { .flags = DATAFS_REMOVE_HOLD };
	struct datafs_quorum_ops ops = *q->ops;
	struct datafs_change_rep rep;

	(void)state;
	real_ops = q->ops;
	ops.change = change_later;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", &rep), 0);
	r.ino = rep.node.attr.ino;
	q->ops = &ops;
	no_memory = 1;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "f", NULL, NULL), -ENOMEM);
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "f", NULL, NULL), 0);
	no_memory = 3;
	assert_int_equal(change(DATAFS_OP_RELEASE, r.ino, &(struct datafs_change_req){ 0 }, 8,
				NULL, NULL, NULL), 0);
	assert_int_equal(no_memory, 0);
	/* Too many answers are remembered, for a while. */
	busy = 2;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "none", NULL, NULL), -ENOENT);
	assert_int_equal(busy, 0);
	q->ops = real_ops;
	assert_int_equal(there(r.ino), -ESTALE);
}

static bool disk_full;

int __wrap_statvfs(const char *path, struct statvfs *st)
{
	int ret = __real_statvfs(path, st);

	if (!ret && disk_full)
		st->f_bavail = (32u << 20) / st->f_frsize;
	return ret;
}

/* What makes room is done, and what may be done already is answered. */
static void test_disk_full(void **state)
{
	struct datafs_make_req m = { .mode = 0644 };
	struct datafs_req req = {
		.opcode = DATAFS_OP_CREATE, .flags = DATAFS_REQ_RESEND, .mount_id = 2,
		.ino = TOP, .id = 999, .namelen = 1,
	};
	struct datafs_call call = { .req = &req, .body = &m, .name = "f" };

	(void)state;
	m.change.lowest = 999;
	assert_int_equal(change_as(2, 999, DATAFS_OP_CREATE, TOP, &m, sizeof(m), "f", NULL, NULL), 0);
	disk_full = true;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "g", NULL), -ENOSPC);
	call.out = malloc(DATAFS_REPLY_MAX);
	assert_int_equal(datafs_vfs_call(v, &call), 0);
	free(call.out);
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &(struct datafs_remove_req){ 0 },
				sizeof(struct datafs_remove_req), "f", NULL, NULL), 0);
	disk_full = false;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "g", NULL), 0);
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
	assert_int_equal(there(r.ino), 0);
	/* Who holds it does not ask, and for all others it is gone. */
	assert_int_equal(attr_of(r.ino, &a), -ESTALE);
	assert_int_equal(change(DATAFS_OP_RELEASE, r.ino, &(struct datafs_change_req){ 0 }, 8,
				NULL, NULL, NULL), 0);
	assert_int_equal(there(r.ino), -ESTALE);
	/* What is not there is not held. */
	r.ino = 1ull << 40;
	assert_int_equal(change(DATAFS_OP_UNLINK, TOP, &r, sizeof(r), "none", NULL, &rep), -ENOENT);
	/* A release that comes after its mount is none. */
	umount_id(2);
	assert_int_equal(change(DATAFS_OP_RELEASE, r.ino, &(struct datafs_change_req){ 0 }, 8,
				NULL, NULL, NULL), 0);
}

static void test_counted(void **state)
{
	uint64_t changes, entries, questions;
	struct datafs_attr a;
	char *text = NULL;
	size_t len;
	FILE *f;

	(void)state;
	/* The table of mounts is asked for with the first name, once. */
	assert_int_equal(find(2, TOP, "f", &a), -ENOENT);
	changes = stat_value("quorum_changes");
	entries = stat_value("quorum_entries");
	questions = stat_value("quorum_questions");
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), -EEXIST);
	assert_int_equal(there(TOP), 0);
	assert_int_equal(stat_value("quorum_changes"), changes + 2);
	assert_int_equal(stat_value("quorum_entries"), entries + 2);
	assert_int_equal(stat_value("quorum_questions"), questions + 1);
	assert_int_equal(stat_value("quorum_told"), 0);
	f = open_memstream(&text, &len);
	datafs_vfs_status(v, f);
	fclose(f);
	assert_non_null(strstr(text, "\nnamespace "));
	assert_non_null(strstr(text, "\nmount 2 :/ -\n"));
	free(text);
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

/* Who answers with what only a branch has, in one of its places. */
static const struct datafs_quorum_ops *honest;
static bool lie_of_cookies;

static int lie_asked(struct datafs_quorum *q, const Metad__Query *query, Metad__Answer **res)
{
	int ret = honest->ask(q, query, res);

	if (ret)
		return ret;
	if ((*res)->attr)
		(*res)->attr->ino |= DATAFS_META_BRANCH;
	for (size_t i = 0; i < (*res)->n_entries; i++) {
		Metad__Dirent *d = (*res)->entries[i];

		*(lie_of_cookies ? &d->cookie : &d->attr->ino) |= DATAFS_META_BRANCH;
	}
	return 0;
}

static int lie_changed(struct datafs_quorum *q, const Metad__Command *cmd, Metad__Result **res)
{
	int ret = honest->change(q, cmd, res);

	if (!ret && (*res)->node)
		(*res)->node->ino |= DATAFS_META_BRANCH;
	return ret;
}

static int list_error(void)
{
	struct datafs_readdir_req req = { .max = DATAFS_MSG_MAX };
	struct answer a = up_flags(DATAFS_OP_READDIR, 2, TOP, &req, NULL, 0);

	free(a.out);
	return a.err;
}

/* It is an error, and no inode of a branch. */
static void test_alien(void **state)
{
	struct datafs_quorum *q = atomic_load(&v->quorum);
	static struct datafs_quorum_ops lying;
	struct datafs_attr a;
	unsigned int before;
	char error[512];

	(void)state;
	honest = q->ops;
	lying = *honest;
	lying.ask = lie_asked;
	lying.change = lie_changed;
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "f", NULL), 0);
	assert_int_equal(list_error(), 0);
	before = invalidations;
	q->ops = &lying;
	assert_int_equal(find(2, TOP, "f", &a), -EIO);
	datafs_log_last_error(error, sizeof(error));
	assert_non_null(strstr(error, "which no quorum has"));
	assert_int_equal(attr_of(TOP, &a), -EIO);
	assert_int_equal(list_error(), -EIO);
	lie_of_cookies = true;
	assert_int_equal(list_error(), -EIO);
	/* It is done, and what the kernel knows is in doubt. */
	assert_int_equal(make(DATAFS_OP_CREATE, TOP, "g", NULL), -EIO);
	assert_true(invalidations > before);
	q->ops = honest;
	assert_int_equal(find(2, TOP, "g", &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHANGES_TEST(test_alien),
		CHANGES_TEST(test_mounts),
		CHANGES_TEST(test_changes),
		CHANGES_TEST(test_listing),
		CHANGES_TEST(test_hold),
		CHANGES_TEST(test_no_memory),
		CHANGES_TEST(test_disk_full),
		CHANGES_TEST(test_counted),
		CHANGES_TEST(test_threads),
	};

	return cmocka_run_group_tests_name("vfs_quorum", tests, NULL, NULL);
}
