// SPDX-License-Identifier: Apache-2.0
/* One tree of a quorum's namespace and of what its table mounts. */
#define _GNU_SOURCE
#include "vfs_walk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vfs/table.h"

/* Directories of the disk: of the bucket, of NFS, of a web server, of this machine. */
enum { S3, NFS, WEB, MINE, NDIRS };
static const char *const dir_names[NDIRS] = { "s3", "nfs", "web", "mine" };
static const char *const paths[NDIRS] = { "", "/shared", "/shared/pub", "/shared/pub/mine" };
static char dirs[NDIRS][4300], base[4300];

static void put(const char *dir, const char *name, unsigned int size, unsigned int seed)
{
	char path[8700], rel[8200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
	/* put_file() writes below src. */
	snprintf(rel, sizeof(rel), "../%s", path + strlen(top) + 1);
	put_file(rel, size, seed);
}

/* Their files have sizes and bytes of their own, so that one is not taken for another. */
static int setup(void **state)
{
	int ret = changes_setup(state);

	snprintf(base, sizeof(base), "%s/base", top);
	if (ret || mkdir(base, 0755))
		return -1;
	for (unsigned int i = 0; i < NDIRS; i++) {
		char name[40];

		snprintf(dirs[i], sizeof(dirs[i]), "%s/%s", top, dir_names[i]);
		if (mkdir(dirs[i], 0755))
			return -1;
		snprintf(name, sizeof(name), "of %s", dir_names[i]);
		put(dirs[i], name, 5000 + i, i);
		put(dirs[i], "same", 6000 + i, 10 + i);
		put(dirs[i], "sub/deep/file", 7000 + i, 20 + i);
		for (unsigned int k = 0; k < 5; k++) {
			snprintf(name, sizeof(name), "many/n%u", k);
			put(dirs[i], name, 10 * i + k, k);
		}
	}
	/* What is covered, and what is a directory on the way already. */
	put(dirs[S3], "shared/covered", 100, 1);
	put(dirs[NFS], "pub/covered too", 101, 2);
	put(dirs[NFS], "pub/mine", 102, 3);
	return 0;
}

#define TABLE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup, changes_teardown)

static void same_as(const char *what, const struct walk_mount *mounts, unsigned int n)
{
	/* All at once, a few, and one at a time. */
	static const uint32_t max[] = { DATAFS_MSG_MAX, 600, 1 };
	static unsigned int turn;
	char *want = walk_expected(base, mounts, n), *have;

	turn = (turn + 1) % 3;
	have = walk_shown(max[turn], NULL);
	if (strcmp(have, want))
		print_error("%s, %u bytes a listing: shown\n%sand not\n%s", what, max[turn],
			    have, want);
	assert_string_equal(have, want);
	free(have);
	free(want);
}

/* Mounts @set, a bit for each. */
static void same_as_set(const char *what, unsigned int set)
{
	struct walk_mount m[NDIRS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < NDIRS; i++)
		if (set & 1u << i)
			m[n++] = (struct walk_mount) { paths[i], dirs[i] };
	same_as(what, m, n);
}

/* A mount of four stores, one in the other, in whatever order they come and go. */
static void test_nesting(void **state)
{
	static const unsigned int orders[][NDIRS] = {
		{ S3, NFS, WEB, MINE }, { MINE, WEB, NFS, S3 }, { WEB, S3, MINE, NFS },
	};
	char what[80];

	(void)state;
	same_as_set("nothing", 0);
	for (unsigned int o = 0; o < 3; o++) {
		unsigned int set = 0;

		for (unsigned int i = 0; i < NDIRS; i++) {
			unsigned int at = orders[o][i];

			assert_int_equal(table_add(paths[at], dirs[at], ""), 0);
			set |= 1u << at;
			snprintf(what, sizeof(what), "order %u, %u added", o, i);
			same_as_set(what, set);
		}
		for (unsigned int i = 0; i < NDIRS; i++) {
			unsigned int at = orders[(o + 1) % 3][i];

			assert_int_equal(table_remove(paths[at]), 0);
			set &= ~(1u << at);
			snprintf(what, sizeof(what), "order %u, %u removed", o, i);
			same_as_set(what, set);
		}
	}
}

static void mount_all(const char *options)
{
	for (unsigned int i = 0; i < NDIRS; i++)
		assert_int_equal(table_add(paths[i], dirs[i], options), 0);
}

/* Each file has its own bytes, and each store its statfs. */
static void test_bytes(void **state)
{
	struct datafs_attr a;
	char path[200], buf[64];

	(void)state;
	mount_all("");
	for (unsigned int i = 0; i < NDIRS; i++) {
		snprintf(path, sizeof(path), "%s/sub/deep/file", paths[i]);
		assert_int_equal(walk_to(path, &a), 0);
		assert_int_equal(a.size, 7000 + i);
		assert_int_equal(walk_read(&a, buf, sizeof(buf)), 0);
		for (unsigned int k = 0; k < sizeof(buf); k++)
			assert_int_equal((unsigned char)buf[k], byte_at(k, 20 + i));
	}
}

/* What is believed costs nothing: no listing, no look, and no question to the quorum. */
static void test_kept(void **state)
{
	uint64_t list, stat, questions;
	struct datafs_attr a;

	(void)state;
	mount_all("sync_interval=never");
	free(walk_shown(DATAFS_MSG_MAX, NULL));
	list = stat_value("under_requests_list");
	stat = stat_value("under_requests_stat");
	questions = stat_value("quorum_questions");
	free(walk_shown(DATAFS_MSG_MAX, NULL));
	assert_int_equal(walk_to("/shared/pub/mine/same", &a), 0);
	assert_int_equal(stat_value("under_requests_list"), list);
	assert_int_equal(stat_value("under_requests_stat"), stat);
	assert_int_equal(stat_value("quorum_questions"), questions);
}

/* A listing of the quorum with a mount in it is kept by the kernel as any. */
static void test_listing_kept(void **state)
{
	struct datafs_readdir_req req = { .max = DATAFS_MSG_MAX };
	const struct datafs_readdir_rep *rep;
	struct answer a;

	(void)state;
	assert_int_equal(table_add("/d", dirs[MINE], ""), 0);
	a = up_flags(DATAFS_OP_READDIR, 2, TOP, &req, NULL, 0);
	rep = (void *)a.out;
	assert_int_equal(rep->count, 1);
	assert_int_equal(rep->flags, DATAFS_READDIR_EOF | DATAFS_READDIR_KEEP);
	free(a.out);
	/* The change takes all of it back, before it is answered. */
	invalidations = 0;
	assert_int_equal(table_remove("/d"), 0);
	assert_int_equal(invalidations, 1);
	assert_int_equal(invalidated.ino, 0);
	assert_int_equal(invalidated.mount_id, 2);
	assert_int_equal(invalidated.what, DATAFS_INVALID_ATTR | DATAFS_INVALID_NAMES);
}

/* The kernel has one inode for the root, whatever is mounted there. */
static void test_root(void **state)
{
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "q", NULL), 0);
	assert_int_equal(table_add("/", dirs[S3], ""), 0);
	assert_int_equal(attr_of(TOP, &a), 0);
	assert_int_equal(a.ino, TOP);
	assert_false(a.flags & DATAFS_ATTR_CHANGES);
	assert_int_equal(walk_to("/q", &a), -ENOENT);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "new", NULL), -EROFS);
	assert_int_equal(table_remove("/"), 0);
	assert_int_equal(attr_of(TOP, &a), 0);
	assert_true(a.flags & DATAFS_ATTR_CHANGES);
	assert_int_equal(walk_to("/q", &a), 0);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "new", NULL), 0);
}

/* What was open goes on as itself, or not at all. */
static void test_open_file(void **state)
{
	struct datafs_attr a, b;
	char buf[8];

	(void)state;
	assert_int_equal(table_add("/d", dirs[S3], ""), 0);
	assert_int_equal(walk_to("/d/same", &a), 0);
	assert_int_equal(walk_read(&a, buf, sizeof(buf)), 0);
	assert_int_equal(table_remove("/d"), 0);
	/* Until somebody asks for a name. */
	assert_int_equal(walk_read(&a, buf, sizeof(buf)), 0);
	assert_int_equal((unsigned char)buf[0], byte_at(0, 10 + S3));
	assert_int_equal(walk_to("/d", &b), -ENOENT);
	assert_int_equal(walk_read(&a, buf, sizeof(buf)), -ESTALE);
	/* Another store at the same path, with a file of the same name. */
	assert_int_equal(table_add("/d", dirs[NFS], ""), 0);
	assert_int_equal(walk_to("/d/same", &b), 0);
	assert_int_not_equal(a.ino, b.ino);
	assert_int_equal(walk_read(&a, buf, sizeof(buf)), -ESTALE);
	assert_int_equal(walk_read(&b, buf, sizeof(buf)), 0);
	assert_int_equal((unsigned char)buf[0], byte_at(0, 10 + NFS));
	/* The first one again: it is what it was. */
	assert_int_equal(table_remove("/d"), 0);
	assert_int_equal(table_add("/d", dirs[S3], ""), 0);
	assert_int_equal(walk_read(&a, buf, sizeof(buf)), 0);
	assert_int_equal((unsigned char)buf[0], byte_at(0, 10 + S3));
	/* One store at two places is two trees. */
	assert_int_equal(table_add("/e", dirs[S3], ""), 0);
	assert_int_equal(walk_to("/e/same", &b), 0);
	assert_int_not_equal(a.ino, b.ino);
}

static int rename_to(uint64_t dir, const char *name, uint64_t to, const char *new)
{
	struct datafs_rename_req r = { .new_parent = to, .new_namelen = strlen(new) };

	return change(DATAFS_OP_RENAME, dir, &r, sizeof(r), name, new, NULL);
}

static int remove_name(enum datafs_opcode op, uint64_t dir, const char *name)
{
	struct datafs_remove_req r = { 0 };

	return change(op, dir, &r, sizeof(r), name, NULL, NULL);
}

static void test_changes(void **state)
{
	struct datafs_setattr_req set = { .valid = DATAFS_SET_MODE, .mode = 0700 };
	struct datafs_change_rep rep;
	struct datafs_attr q, on, way, file;
	struct datafs_link_req ln;
	uint64_t d;

	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "q", &rep), 0);
	q = rep.node.attr;
	assert_int_equal(make(DATAFS_OP_MKDIR, q.ino, "on", &rep), 0);
	d = rep.node.attr.ino;
	assert_int_equal(make(DATAFS_OP_CREATE, q.ino, "f", &rep), 0);
	assert_int_equal(table_add("/q/on", dirs[S3], ""), 0);
	assert_int_equal(table_add("/q/way/there", dirs[NFS], ""), 0);
	assert_int_equal(walk_to("/q/on", &on), 0);
	assert_int_not_equal(on.ino, d);
	assert_int_equal(walk_to("/q/way", &way), 0);
	assert_int_equal(way.mode, S_IFDIR | 0555);
	assert_int_equal(walk_to("/q/on/same", &file), 0);

	/* What is mounted, and what leads to it. */
	assert_int_equal(remove_name(DATAFS_OP_RMDIR, q.ino, "on"), -EBUSY);
	assert_int_equal(remove_name(DATAFS_OP_RMDIR, q.ino, "way"), -EBUSY);
	assert_int_equal(remove_name(DATAFS_OP_RMDIR, TOP, "q"), -EBUSY);
	assert_int_equal(rename_to(TOP, "q", TOP, "r"), -EBUSY);
	assert_int_equal(rename_to(q.ino, "f", q.ino, "on"), -EBUSY);
	assert_int_equal(rename_to(q.ino, "way", TOP, "r"), -EBUSY);
	assert_int_equal(make(DATAFS_OP_MKDIR, q.ino, "way", NULL), -EEXIST);
	assert_int_equal(make(DATAFS_OP_CREATE, q.ino, "on", NULL), -EEXIST);
	/* In it. */
	assert_int_equal(make(DATAFS_OP_CREATE, on.ino, "x", NULL), -EROFS);
	assert_int_equal(make(DATAFS_OP_CREATE, way.ino, "x", NULL), -EROFS);
	assert_int_equal(remove_name(DATAFS_OP_UNLINK, on.ino, "same"), -EROFS);
	assert_int_equal(rename_to(on.ino, "same", on.ino, "other"), -EROFS);
	assert_int_equal(change(DATAFS_OP_SETATTR, file.ino, &set, sizeof(set), NULL, NULL, &rep),
			 -EROFS);
	assert_int_equal(change(DATAFS_OP_SETATTR, way.ino, &set, sizeof(set), NULL, NULL, &rep),
			 -EROFS);
	/* From one to the other. */
	assert_int_equal(rename_to(on.ino, "same", q.ino, "same"), -EXDEV);
	assert_int_equal(rename_to(q.ino, "f", on.ino, "f"), -EXDEV);
	assert_int_equal(rename_to(q.ino, "f", way.ino, "f"), -EXDEV);
	ln = (struct datafs_link_req) { .ino = file.ino };
	assert_int_equal(change(DATAFS_OP_LINK, q.ino, &ln, sizeof(ln), "l", NULL, NULL), -EXDEV);
	/* Beside it. */
	assert_int_equal(change(DATAFS_OP_SETATTR, q.ino, &set, sizeof(set), NULL, NULL, &rep), 0);
	assert_int_equal(rename_to(q.ino, "f", TOP, "f"), 0);
	/* And when it is gone. */
	assert_int_equal(table_remove("/q/on"), 0);
	assert_int_equal(walk_to("/q/on", &on), 0);
	assert_int_equal(on.ino, d);
	assert_int_equal(remove_name(DATAFS_OP_RMDIR, q.ino, "on"), 0);
	assert_int_equal(table_remove("/q/way/there"), 0);
	assert_int_equal(walk_to("/q/way", &way), -ENOENT);
	assert_int_equal(rename_to(TOP, "q", TOP, "r"), 0);
}

/* A directory of the quorum becomes another below a mount's path, by a change from before. */
static void test_way_moves(void **state)
{
	struct datafs_change_rep old, new;
	struct datafs_attr a;

	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "a", &old), 0);
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "b", &new), 0);
	assert_int_equal(table_add("/a/m", dirs[S3], ""), 0);
	assert_int_equal(walk_to("/a/m", &a), 0);

	/* As somebody does who knows of no table: no member looks at it. */
	struct datafs_rename_req r = {
		.change = { .lowest = 1 }, .new_parent = TOP, .new_namelen = 1,
		.flags = DATAFS_RENAME_EXCHANGE, .ino = new.node.attr.ino,
	};
	struct datafs_req req = {
		.opcode = DATAFS_OP_RENAME, .mount_id = 2, .ino = TOP, .id = 9000, .namelen = 1,
	};
	struct vfs_mount *mnt = vfs_mount_get(v, 2);
	char body[sizeof(r) + 16] __attribute__((aligned(8))) = "";
	struct datafs_call call = { .req = &req, .body = body, .name = "a" };

	memcpy(body, &r, sizeof(r));
	body[sizeof(r)] = 'a';
	body[sizeof(r) + 8] = 'b';
	call.out = malloc(DATAFS_REPLY_MAX);
	invalidations = 0;
	assert_int_equal(vfs_quorum_change(mnt, &call), 0);
	vfs_mount_put(mnt);
	free(call.out);
	assert_int_equal(invalidations, 1);
	assert_int_equal(invalidated.ino, 0);
	/* Neither by its new name, nor by its number, does the old one lead there. */
	assert_int_equal(walk_to("/b", &a), 0);
	assert_int_equal(a.ino, old.node.attr.ino);
	assert_int_equal(walk_to("/b/m", &a), -ENOENT);
	assert_int_equal(walk_to("/a/m", &a), 0);
	assert_int_equal(remove_name(DATAFS_OP_RMDIR, TOP, "b"), 0);
}

static int table_set(const char *path, const char *options)
{
	const struct datafs_table_change c = {
		.op = DATAFS_TABLE_SET, .path = path, .options = options,
	};

	return datafs_vfs_table_change(v, &c);
}

static char *status(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	datafs_vfs_status(v, f);
	fclose(f);
	return text;
}

/* A store that is away is EIO, and nothing else is. */
static void test_away(void **state)
{
	char gone[4400], *text;
	struct datafs_attr a;

	(void)state;
	snprintf(gone, sizeof(gone), "%s/gone", top);
	assert_int_equal(table_add("/d/away", gone, ""), 0);
	assert_int_equal(table_add("/d/away/in it", dirs[S3], ""), 0);
	assert_int_equal(table_add("/d/there", dirs[NFS], ""), 0);
	assert_int_equal(table_add("/d/wrong", dirs[NFS], "no_such_option"), 0);
	assert_int_equal(walk_to("/d/away", &a), -EIO);
	assert_int_equal(walk_to("/d/wrong", &a), -EIO);
	assert_int_equal(walk_to("/d/there/same", &a), 0);
	text = status();
	assert_non_null(strstr(text, "\nbranch 2 /d/away "));
	assert_non_null(strstr(text, " - away\n"));
	assert_non_null(strstr(text, " no_such_option refused\n"));
	assert_non_null(strstr(text, " - open\n"));
	assert_non_null(strstr(text, "/d/away/in\\040it "));
	free(text);

	struct datafs_readdir_req req = { .max = DATAFS_MSG_MAX };
	struct answer l;

	assert_int_equal(walk_to("/d", &a), 0);
	l = up_flags(DATAFS_OP_READDIR, 2, a.ino, &req, NULL, 0);
	assert_int_equal(l.err, 0);
	assert_int_equal(((struct datafs_readdir_rep *)l.out)->count, 3);
	assert_int_equal(((struct datafs_readdir_rep *)l.out)->flags, DATAFS_READDIR_EOF);
	free(l.out);
	/* Asked for again when there are other options, or in a while. */
	assert_int_equal(mkdir(gone, 0755), 0);
	assert_int_equal(table_set("/d/away", "sync_interval=1"), 0);
	assert_int_equal(table_set("/d/wrong", ""), 0);
	assert_int_equal(walk_to("/d/away", &a), 0);
	assert_int_equal(walk_to("/d/away/in it/same", &a), 0);
	assert_int_equal(walk_to("/d/wrong/same", &a), 0);
}

static void assert_table(const char *want)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(datafs_vfs_table_list(v, f), 0);
	fclose(f);
	assert_string_equal(text, want);
	free(text);
}

static void test_table(void **state)
{
	(void)state;
	assert_int_equal(table_add("/a b", "/src", "sync_interval=1"), 0);
	assert_int_equal(table_add("/a b", "/src", ""), -EEXIST);
	assert_int_equal(table_add("a", "/src", ""), -EINVAL);
	assert_int_equal(table_remove("/none"), -ENOENT);
	assert_int_equal(table_set("/a b", ""), 0);
	assert_table("version 2\nid 1 generation 2 /a\\040b /src -\n");
	/* The sessions of these changes have ended. */
	assert_int_equal(session_files(), 1);
}

static uint64_t requests(void)
{
	struct datafs_under_stats st;
	uint64_t n = 0;

	assert_int_equal(datafs_vfs_mount_stats(v, 2, &st), 0);
	for (int m = 0; m < DATAFS_UNDER_M_NR; m++)
		n += st.by[m].requests;
	return n;
}

/* What a branch has asked of its store is counted, though a call still has it. */
static void test_counters(void **state)
{
	struct vfs_mount *mnt = vfs_mount_get(v, 2);
	struct vfs_table_use use[2];
	struct datafs_attr a;
	uint64_t n;

	(void)state;
	assert_int_equal(table_add("/d", dirs[S3], ""), 0);
	assert_int_equal(walk_to("/d/sub/deep/file", &a), 0);
	n = requests();
	assert_true(n > 0);
	assert_int_equal(vfs_table_get(mnt, &use[0]), 0);
	assert_int_equal(table_set("/d", "sync_interval=never"), 0);
	assert_int_equal(vfs_table_get(mnt, &use[1]), 0);
	assert_ptr_not_equal(use[0].t, use[1].t);
	assert_true(requests() >= n);
	assert_int_equal(walk_to("/d/sub/deep/file", &a), 0);
	n = requests();
	vfs_table_put(mnt, use[0].t);
	assert_int_equal(requests(), n);
	assert_int_equal(table_remove("/d"), 0);
	assert_int_equal(vfs_table_get(mnt, &use[0]), 0);
	assert_int_equal(requests(), n);
	vfs_table_put(mnt, use[1].t);
	assert_int_equal(requests(), n);
	vfs_table_put(mnt, use[0].t);
	vfs_mount_put(mnt);
}

/* Of a daemon without a namespace: who looks makes none. */
static void test_no_namespace(void **state)
{
	char dir[4300];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/namespace", v->dir);
	assert_table("version 0\n");
	assert_int_equal(table_remove("/none"), -ENOENT);
	assert_int_equal(table_set("/none", ""), -ENOENT);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(table_add("/a", "/src", ""), 0);
	assert_int_equal(access(dir, F_OK), 0);
	assert_table("version 1\nid 1 generation 1 /a /src -\n");
}

/* A mount of a directory shows what is mounted below it. */
static void test_directory(void **state)
{
	struct datafs_change_rep d;
	struct datafs_attr a, b;

	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "d", &d), 0);
	assert_int_equal(table_add("/d/in", dirs[S3], ""), 0);
	assert_int_equal(table_add("/da", dirs[NFS], ""), 0);
	assert_int_equal(mount_quorum(3, ":/d/", &a), 0);
	assert_int_equal(a.ino, d.node.attr.ino);
	assert_int_equal(find(3, a.ino, "in", &b), 0);
	assert_int_equal(walk_to("/d/in", &a), 0);
	assert_int_equal(a.ino, b.ino);
	umount_id(3);
	assert_int_equal(walk_to("/d/in/same", &a), 0);
}

/* The daemon dies; what the kernel has of the mount is what it was. */
static void test_restart(void **state)
{
	struct datafs_attr mine, way, in, a;
	struct datafs_entry e;
	char buf[8];

	(void)state;
	assert_int_equal(make(DATAFS_OP_MKDIR, TOP, "q", NULL), 0);
	assert_int_equal(table_add("/q/way/a", dirs[WEB], ""), 0);
	assert_int_equal(table_add("/q/way/a/sub/deep/mine", dirs[MINE], ""), 0);
	assert_int_equal(walk_to("/q/way", &way), 0);
	assert_int_equal(walk_to("/q/way/a/sub/deep", &in), 0);
	assert_int_equal(walk_to("/q/way/a/sub/deep/mine/same", &mine), 0);
	assert_int_equal(walk_read(&mine, buf, sizeof(buf)), 0);
	for (int round = 0; round < 2; round++) {
		struct answer up;

		before_start = adopt;
		stop();
		start("sync_interval=always");
		/* By number alone, each as the first question. */
		if (round) {
			assert_int_equal(walk_read(&mine, buf, sizeof(buf)), 0);
			assert_int_equal((unsigned char)buf[0], byte_at(0, 10 + MINE));
		}
		up = up_flags(DATAFS_OP_LOOKUP, 2, in.ino, NULL, "mine", 0);
		assert_int_equal(up.err, 0);
		memcpy(&e, up.out, sizeof(e));
		free(up.out);
		up = up_flags(DATAFS_OP_LOOKUP, 2, e.attr.ino, NULL, "same", 0);
		assert_int_equal(up.err, 0);
		assert_int_equal(((struct datafs_entry *)up.out)->attr.ino, mine.ino);
		free(up.out);
		up = up_flags(DATAFS_OP_LOOKUP, 2, way.ino, NULL, "a", 0);
		assert_int_equal(up.err, 0);
		free(up.out);
		assert_int_equal(attr_of(way.ino, &a), 0);
		assert_int_equal(a.ino, way.ino);
	}
	/* Another directory is there now: nothing of it is taken for what was. */
	stop();
	assert_int_equal(rename(dirs[MINE], in_src("moved")), 0);
	assert_int_equal(mkdir(dirs[MINE], 0755), 0);
	start("sync_interval=always");
	assert_int_equal(walk_to("/q/way/a/sub/deep/mine/same", &a), -EIO);
	assert_int_equal(walk_to("/q/way/a/same", &a), 0);
}

static atomic_bool over;

static void *add_and_remove(void *arg)
{
	unsigned int *rounds = arg;

	while (!atomic_load(&over)) {
		if (table_add("/shared/pub/busy", dirs[S3], "") ||
		    table_remove("/shared/pub/busy"))
			return (void *)1;
		++*rounds;
	}
	return NULL;
}

/* What is mounted elsewhere comes and goes, and nothing of the rest is ever missed. */
static void test_threads(void **state)
{
	struct walk_mount m[NDIRS];
	unsigned int rounds = 0;
	char *want, *have;
	pthread_t thread;
	void *failed;

	(void)state;
	mount_all("");
	for (unsigned int i = 0; i < NDIRS; i++)
		m[i] = (struct walk_mount) { paths[i], dirs[i] };
	want = walk_expected(base, m, NDIRS);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, add_and_remove, &rounds), 0);
	for (int i = 0; i < 4; i++) {
		have = walk_shown(i % 2 ? 600 : DATAFS_MSG_MAX, "/shared/pub/busy");
		assert_string_equal(have, want);
		free(have);
	}
	atomic_store(&over, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_true(rounds > 0);
	free(want);
}

/* Any mounts at any of these paths, and directories of the quorum that come and go. */
static void test_random(void **state)
{
	static const char *const at[] = {
		"", "/q", "/q/x", "/sub", "/sub/deep", "/sub/deep/file", "/sub/deep/new/more", "/same",
	};
	const unsigned int n = sizeof(at) / sizeof(*at);
	unsigned int seed = (unsigned int)time(NULL);
	struct walk_mount m[WALK_MOUNTS];
	int dir[WALK_MOUNTS];

	(void)state;
	print_message("seed %u\n", seed);
	srandom(seed);
	memset(dir, -1, sizeof(dir));
	for (int i = 0; i < 24; i++) {
		unsigned int k = (unsigned int)random() % n, used = 0;
		char what[40];

		if (dir[k] < 0) {
			dir[k] = (int)(random() % NDIRS);
			assert_int_equal(table_add(at[k], dirs[dir[k]], ""), 0);
		} else {
			assert_int_equal(table_remove(at[k]), 0);
			dir[k] = -1;
		}
		for (unsigned int j = 0; j < n; j++)
			if (dir[j] >= 0)
				m[used++] = (struct walk_mount) { at[j], dirs[dir[j]] };
		snprintf(what, sizeof(what), "seed %u, step %d", seed, i);
		same_as(what, m, used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(test_nesting),
		TABLE_TEST(test_bytes),
		TABLE_TEST(test_kept),
		TABLE_TEST(test_listing_kept),
		TABLE_TEST(test_root),
		TABLE_TEST(test_open_file),
		TABLE_TEST(test_changes),
		TABLE_TEST(test_way_moves),
		TABLE_TEST(test_away),
		TABLE_TEST(test_table),
		TABLE_TEST(test_counters),
		VFS_TEST(test_no_namespace),
		TABLE_TEST(test_directory),
		TABLE_TEST(test_restart),
		TABLE_TEST(test_threads),
		TABLE_TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
