// SPDX-License-Identifier: Apache-2.0
/* The embedded namespace, told about a store that exists only in this file. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "meta/meta.h"
#include "tmpdir.h"

static char dir[4096];
static struct datafs_meta *m;
static uint64_t root;

static struct datafs_under_stat stat_of(uint32_t mode, uint64_t id, uint64_t version)
{
	struct datafs_under_stat st = {
		.file_id = id, .size = version * 100, .mode = mode, .nlink = 1,
		.fp = { { id, version } },
	};

	/* Changed long before it was seen: not young. */
	st.ctime.tv_sec = 1000000;
	st.seen.tv_sec = 2000000;
	return st;
}

static struct datafs_under_stat dir_stat(uint64_t id, uint64_t version)
{
	return stat_of(S_IFDIR | 0755, id, version);
}

static struct datafs_under_stat file_stat(uint64_t id, uint64_t version)
{
	return stat_of(S_IFREG | 0644, id, version);
}

static void open_meta(void)
{
	struct datafs_under_stat st = dir_stat(1, 1);
	struct datafs_meta_inode in;

	assert_int_equal(datafs_meta_open(dir, &m), 0);
	assert_int_equal(datafs_meta_root(m, "/src", &st, datafs_now(), &in), 0);
	assert_int_equal(in.root, in.ino);
	root = in.ino;
}

static void reopen_meta(void)
{
	datafs_meta_close(m);
	open_meta();
}

static int setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	if (tmpdir_make(dir, sizeof(dir), "meta"))
		return -1;
	open_meta();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	datafs_meta_close(m);
	return tmpdir_remove(dir);
}

/* Looks a name up now; if it must be synced, @st is there (NULL: nothing). */
static struct datafs_meta_inode see(uint64_t parent, const char *name,
				    const struct datafs_under_stat *st)
{
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	int64_t now = datafs_now();
	int ret;

	ret = datafs_meta_lookup(m, parent, name, now, &in, &t);
	assert_int_equal(ret, DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(),
					    st ? 0 : -ENOENT, st), 0);
	assert_int_equal(datafs_meta_lookup(m, parent, name, now, &in, &t), 0);
	return in;
}

struct ent {
	const char *name;
	struct datafs_under_stat st;
};

struct seen {
	int n;
	struct {
		uint64_t cookie;
		char name[256];
		struct datafs_meta_inode in;
	} e[64];
};

static int collect(void *arg, uint64_t cookie, const char *name,
		   const struct datafs_meta_inode *in)
{
	struct seen *s = arg;

	assert_true(s->n < 64);
	s->e[s->n].cookie = cookie;
	strcpy(s->e[s->n].name, name);
	s->e[s->n++].in = *in;
	return 0;
}

/* @after: the directory when it has been listed. An entry of mode 0 is hidden. */
static int list_between(uint64_t ino, const struct datafs_under_stat *dst,
			const struct datafs_under_stat *after,
			const struct ent *ents, int n, int err)
{
	struct datafs_meta_listing *l;
	struct datafs_meta_ticket t;
	struct seen s = { 0 };
	bool eof;
	int ret;

	ret = datafs_meta_readdir(m, ino, 0, datafs_now(), collect, &s, &eof, &t);
	assert_int_equal(ret, DATAFS_META_SYNC);
	assert_true(t.list);
	ret = datafs_meta_list_begin(m, &t, datafs_now(), dst, &l);
	if (ret)
		return ret;
	for (int i = 0; i < n; i++)
		assert_int_equal(datafs_meta_list_add(l, ents[i].name,
				 ents[i].st.mode ? &ents[i].st : NULL), 0);
	datafs_meta_list_whole(l, after);
	return datafs_meta_list_end(l, err);
}

static int list_with(uint64_t ino, const struct datafs_under_stat *dst,
		     const struct ent *ents, int n, int err)
{
	return list_between(ino, dst, dst, ents, n, err);
}

static struct seen known(uint64_t ino)
{
	struct datafs_meta_ticket t;
	struct seen s = { 0 };
	bool eof;

	assert_int_equal(datafs_meta_readdir(m, ino, 0, 0, collect, &s, &eof, &t), 0);
	assert_true(eof);
	return s;
}

static void test_contents(void **state)
{
	struct datafs_under_stat a1 = file_stat(10, 1), a2 = file_stat(10, 2),
				 b = file_stat(11, 1), d = dir_stat(12, 1);
	struct datafs_meta_inode in, in2, in3, in4;

	(void)state;
	in = see(root, "a", &a1);
	assert_true(in.content);
	in2 = see(root, "a", &a1);
	assert_int_equal(in.ino, in2.ino);
	assert_int_equal(in.content, in2.content);
	/* grown: the same inode, another content */
	in2 = see(root, "a", &a2);
	assert_int_equal(in.ino, in2.ino);
	assert_int_not_equal(in.content, in2.content);
	/* replaced: another inode */
	in3 = see(root, "a", &b);
	assert_int_not_equal(in3.ino, in.ino);
	assert_int_equal(datafs_meta_peek(m, in.ino, &in2), -ESTALE);
	/* another type */
	in4 = see(root, "a", &d);
	assert_int_not_equal(in4.ino, in3.ino);
	assert_int_equal(in4.st.mode, d.mode);
	/* removed */
	in = see(root, "a", NULL);
	assert_int_equal(in.ino, 0);
	assert_int_equal(datafs_meta_peek(m, in4.ino, &in2), -ESTALE);
}

static void test_keys(void **state)
{
	struct datafs_under_stat d = dir_stat(20, 1), f = file_stat(21, 1);
	struct datafs_meta_inode in, in2;
	char name[256], *key;
	size_t len = 0;

	(void)state;
	assert_int_equal(datafs_meta_key(m, root, &key), 0);
	assert_string_equal(key, "");
	free(key);
	memset(name, 'n', 255);
	name[255] = 0;
	in.ino = root;
	for (int i = 0; i < 40; i++) {
		d.file_id = d.fp.v[0] = 1000 + i;
		in = see(in.ino, name, &d);
		len += 256;
	}
	in2 = see(in.ino, "f", &f);
	assert_int_equal(datafs_meta_key(m, in2.ino, &key), 0);
	assert_int_equal(strlen(key), len + 1);
	assert_memory_equal(key, name, 255);
	assert_string_equal(key + len - 1, "/f");
	free(key);
	/* The way is gone: so are all below it, at once. */
	see(root, name, NULL);
	assert_int_equal(datafs_meta_key(m, in2.ino, &key), -ESTALE);
	/* ... and some operations later from the database too. */
	for (int i = 0; i < 50; i++)
		see(root, "x", NULL);
	reopen_meta();
	assert_int_equal(datafs_meta_peek(m, in2.ino, &in), -ESTALE);
}

static void test_listing(void **state)
{
	struct datafs_under_stat d1 = dir_stat(1, 1), d2 = dir_stat(1, 2);
	struct ent ents[] = {
		{ "a", file_stat(10, 1) }, { "b", file_stat(11, 1) },
		{ "c", file_stat(12, 1) }, { "d", dir_stat(13, 1) },
	};
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	struct seen s, s2;
	int64_t before;

	(void)state;
	/* A listing that broke off proves nothing. */
	assert_int_equal(list_with(root, &d1, ents, 2, -EIO), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "zz", 0, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), -EIO, NULL), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "zz", 0, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), -EIO, NULL), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "a", 0, &in, &t), 0);

	before = datafs_now();
	assert_int_equal(list_with(root, &d1, ents, 4, 0), 0);
	s = known(root);
	assert_int_equal(s.n, 4);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(s.e[i].name, ents[i].name);
		assert_true(s.e[i].cookie >= DATAFS_FIRST_COOKIE);
		assert_true(!i || s.e[i].cookie > s.e[i - 1].cookie);
		assert_true(s.e[i].in.synced >= before);
	}
	/* A complete listing proves absence. */
	assert_int_equal(datafs_meta_lookup(m, root, "zz", before, &in, &t), 0);
	assert_int_equal(in.ino, 0);
	assert_int_equal(datafs_meta_lookup(m, root, "b", before, &in, &t), 0);
	assert_int_equal(in.ino, s.e[1].in.ino);

	/* One removed, one replaced, one new: cookies of the rest stay. */
	ents[0].st = file_stat(20, 1);
	ents[1] = (struct ent){ "e", file_stat(21, 1) };
	assert_int_equal(list_with(root, &d2, ents, 4, 0), 0);
	s2 = known(root);
	assert_int_equal(s2.n, 4);
	assert_string_equal(s2.e[0].name, "a");
	assert_int_equal(s2.e[0].cookie, s.e[0].cookie);
	assert_int_not_equal(s2.e[0].in.ino, s.e[0].in.ino);
	assert_string_equal(s2.e[1].name, "c");
	assert_int_equal(s2.e[1].cookie, s.e[2].cookie);
	assert_int_equal(s2.e[1].in.ino, s.e[2].in.ino);
	assert_string_equal(s2.e[3].name, "e");

	/* The directory, unchanged when looked at, proves its names anew. */
	before = datafs_now();
	assert_int_equal(datafs_meta_getattr(m, root, before, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), 0, &d2), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "b", before, &in, &t), 0);
	assert_int_equal(in.ino, 0);
	/* ... changed, it does not. */
	before = datafs_now();
	assert_int_equal(datafs_meta_getattr(m, root, before, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), 0, &d1), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "b", before, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), 0, &ents[2].st), 0);
}

static void assert_not_proven(uint64_t dir, const char *name)
{
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;

	assert_int_equal(datafs_meta_lookup(m, dir, name, 0, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), -EIO, NULL), 0);
}

/* What is there but cannot be looked at is neither shown nor absent. */
static void test_hidden(void **state)
{
	struct datafs_under_stat d1 = dir_stat(1, 1), d2 = dir_stat(1, 2);
	struct ent ents[] = {
		{ "a", file_stat(10, 1) }, { "b", file_stat(11, 1) },
		{ "c", { 0 } },
	};
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	struct seen s;

	(void)state;
	assert_int_equal(list_with(root, &d1, ents, 3, 0), 0);
	s = known(root);
	assert_int_equal(s.n, 2);
	assert_not_proven(root, "c");
	/* One that is known stays, and one that is gone goes. */
	ents[1].st.mode = 0;
	assert_int_equal(list_with(root, &d2, ents + 1, 2, 0), 0);
	s = known(root);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.e[0].name, "b");
	assert_true(s.e[0].in.name_synced <= s.e[0].in.synced);
	assert_not_proven(root, "c");
	reopen_meta();
	assert_not_proven(root, "c");
	ents[1].st = ents[2].st = file_stat(11, 1);
	ents[2].st.file_id++;
	assert_int_equal(list_with(root, &d2, ents, 3, 0), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "x", 0, &in, &t), 0);
	assert_int_equal(in.ino, 0);
}

/* A directory that changed while it was listed, or may have. */
static void check_torn(const struct datafs_under_stat *before,
		       const struct datafs_under_stat *after)
{
	struct datafs_under_stat d = dir_stat(1, 100);
	struct ent ents[] = {
		{ "a", file_stat(10, 1) }, { "b", file_stat(11, 1) },
		{ "c", file_stat(12, 1) }, { "d", file_stat(13, 1) },
	};
	char name[DATAFS_NAME_MAX + 1] = "";
	struct datafs_meta_listing *l;
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	struct seen s = { 0 };
	bool eof;

	assert_int_equal(list_with(root, &d, ents, 4, 0), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "x", 0, &in, &t), 0);
	/* Just one name was met. */
	assert_int_equal(list_between(root, before, after, ents + 1, 1, 0), 0);
	s = known(root);
	assert_int_equal(s.n, 4);
	assert_not_proven(root, "x");
	/* Now who lists tells which names to look at. */
	s.n = 0;
	assert_int_equal(datafs_meta_readdir(m, root, 0, datafs_now(), collect,
					     &s, &eof, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_list_begin(m, &t, datafs_now(), before, &l), 0);
	assert_int_equal(datafs_meta_list_add(l, "b", &ents[1].st), 0);
	assert_false(datafs_meta_list_whole(l, after));
	assert_int_equal(datafs_meta_list_unseen(l, name), 1);
	assert_string_equal(name, "a");
	assert_int_equal(datafs_meta_list_unseen(l, name), 1);
	assert_string_equal(name, "c");
	see(root, "c", NULL);
	assert_int_equal(datafs_meta_list_unseen(l, name), 1);
	assert_string_equal(name, "d");
	assert_int_equal(datafs_meta_list_unseen(l, name), 0);
	assert_int_equal(datafs_meta_list_end(l, 0), 0);
	s = known(root);
	assert_int_equal(s.n, 3);
	/* It serves those who waited, not who comes later. */
	usleep(1010000);
	s.n = 0;
	assert_int_equal(datafs_meta_readdir(m, root, 0, 0, collect, &s, &eof, &t),
			 DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, 0, -EIO, NULL), 0);
	assert_int_equal(datafs_meta_readdir(m, root, s.e[0].cookie, 0, collect,
					     &s, &eof, &t), 0);
}

static void test_torn(void **state)
{
	struct datafs_under_stat d1 = dir_stat(1, 1), d2 = dir_stat(1, 2),
				 young = dir_stat(1, 3);

	(void)state;
	check_torn(&d1, &d2);
	young.ctime = young.seen;
	young.ctime.tv_nsec = young.seen.tv_nsec = 1;
	check_torn(&young, &young);
}

static void test_listing_races(void **state)
{
	struct datafs_under_stat d1 = dir_stat(1, 1), x = file_stat(30, 1);
	struct ent a = { "a", file_stat(10, 1) };
	struct datafs_meta_listing *l;
	struct datafs_meta_ticket t, t2;
	struct datafs_meta_inode in;
	struct seen s = { 0 };
	bool eof;

	(void)state;
	see(root, "gone", &x);
	assert_int_equal(datafs_meta_readdir(m, root, 0, datafs_now(), collect,
					     &s, &eof, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_list_begin(m, &t, datafs_now(), &d1, &l), 0);
	/* While it goes on, one name comes and one goes. */
	x.file_id = 31;
	in = see(root, "new", &x);
	see(root, "gone", NULL);
	assert_int_equal(datafs_meta_list_add(l, "a", &a.st), 0);
	assert_int_equal(datafs_meta_list_add(l, "gone", &a.st), 0);
	assert_true(datafs_meta_list_whole(l, &d1));
	assert_int_equal(datafs_meta_list_end(l, 0), 0);
	s = known(root);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.e[0].name, "new");
	assert_int_equal(s.e[0].in.ino, in.ino);
	assert_string_equal(s.e[1].name, "a");

	/* What was remembered as absent and is listed is there. */
	see(root, "b", NULL);
	a.name = "b";
	a.st.file_id = 32;
	assert_int_equal(list_with(root, &d1, &a, 1, 0), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "b", 1, &in, &t2), 0);
	assert_true(in.ino);

	/* A ticket is used once; what comes with an old one changes nothing. */
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), 0, &x), -EAGAIN);
	assert_int_equal(datafs_meta_list_begin(m, &t, datafs_now(), &d1, &l), -EAGAIN);
}

static void test_old_look(void **state)
{
	struct datafs_under_stat v1 = file_stat(10, 1), v2 = file_stat(10, 2);
	struct datafs_meta_listing *l;
	struct datafs_meta_ticket t;
	struct datafs_under_stat d = dir_stat(1, 1);
	struct datafs_meta_inode in, in2;
	struct seen s = { 0 };
	bool eof;

	(void)state;
	see(root, "a", &v1);
	assert_int_equal(datafs_meta_readdir(m, root, 0, datafs_now(), collect,
					     &s, &eof, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_list_begin(m, &t, datafs_now(), &d, &l), 0);
	in = see(root, "a", &v2);
	/* The listing had looked before. */
	assert_int_equal(datafs_meta_list_add(l, "a", &v1), 0);
	assert_int_equal(datafs_meta_list_end(l, 0), 0);
	assert_int_equal(datafs_meta_peek(m, in.ino, &in2), 0);
	assert_int_equal(in2.content, in.content);
	assert_int_equal(in2.st.size, 200);
}

static void test_links(void **state)
{
	struct datafs_under_stat f = file_stat(10, 1), g = file_stat(10, 2);
	struct datafs_meta_inode a, b;
	struct datafs_meta_ticket t;
	char *key;

	(void)state;
	f.nlink = g.nlink = 2;
	a = see(root, "a", &f);
	b = see(root, "b", &f);
	assert_int_equal(a.ino, b.ino);
	assert_int_equal(datafs_meta_key(m, a.ino, &key), 0);
	assert_string_equal(key, "a");
	free(key);
	/* Seen through one name, it is changed under both. */
	b = see(root, "b", &g);
	assert_int_equal(datafs_meta_lookup(m, root, "a", 0, &a, &t), 0);
	assert_int_equal(a.content, b.content);
	/* The primary name goes, the other carries on, also after a restart. */
	see(root, "a", NULL);
	reopen_meta();
	assert_int_equal(datafs_meta_key(m, b.ino, &key), 0);
	assert_string_equal(key, "b");
	free(key);
	see(root, "b", NULL);
	assert_int_equal(datafs_meta_peek(m, b.ino, &a), -ESTALE);
	/* The number of the file is used anew: another inode. */
	a = see(root, "c", &f);
	assert_int_not_equal(a.ino, b.ino);
}

/* A directory with links in it is renamed. */
static void test_links_moved(void **state)
{
	struct datafs_under_stat a = dir_stat(20, 1), sub = dir_stat(21, 1),
				 f = file_stat(10, 1);
	struct datafs_meta_inode da, dsub, x, y;
	char *key;

	(void)state;
	f.nlink = 2;
	da = see(root, "A", &a);
	dsub = see(da.ino, "sub", &sub);
	x = see(dsub.ino, "x", &f);
	y = see(root, "y", &f);
	assert_int_equal(x.ino, y.ino);
	see(root, "A", NULL);
	/* Found by the name it still has, */
	y = see(root, "y", &f);
	assert_int_equal(datafs_meta_key(m, y.ino, &key), 0);
	assert_string_equal(key, "y");
	free(key);
	/* ... or by a new one. */
	da = see(root, "B", &a);
	dsub = see(da.ino, "sub", &sub);
	f.file_id = 11;
	x = see(dsub.ino, "z", &f);
	see(root, "B", NULL);
	da = see(root, "C", &a);
	dsub = see(da.ino, "sub", &sub);
	y = see(dsub.ino, "z", &f);
	assert_int_equal(datafs_meta_key(m, y.ino, &key), 0);
	assert_string_equal(key, "C/sub/z");
	free(key);
	for (int i = 0; i < 50; i++)
		see(root, "n", NULL);
	reopen_meta();
	assert_int_equal(datafs_meta_key(m, y.ino, &key), 0);
	assert_string_equal(key, "C/sub/z");
	free(key);
}

/* A file system gives the number of a removed file to the next one. */
static void test_number_reused(void **state)
{
	struct datafs_under_stat f = file_stat(10, 1), d = dir_stat(12, 1);
	struct datafs_meta_listing *l;
	struct datafs_meta_inode in, in2;
	struct datafs_meta_ticket t;
	struct seen s = { 0 };
	bool eof;

	(void)state;
	f.has_btime = d.has_btime = true;
	f.btime.tv_sec = d.btime.tv_sec = 1000;
	in = see(root, "f", &f);
	/* Written in place: the same. */
	f.fp.v[1]++;
	in2 = see(root, "f", &f);
	assert_int_equal(in.ino, in2.ino);
	/* A store that stopped telling is no reason either. */
	f.has_btime = false;
	in2 = see(root, "f", &f);
	assert_int_equal(in.ino, in2.ino);
	f.has_btime = true;
	in2 = see(root, "f", &f);
	assert_int_equal(in.ino, in2.ino);
	reopen_meta();
	f.btime.tv_nsec++;
	in2 = see(root, "f", &f);
	assert_int_not_equal(in.ino, in2.ino);
	assert_int_equal(datafs_meta_peek(m, in.ino, &in), -ESTALE);
	/* One with several names that were not looked at since. */
	f.file_id = 11;
	f.nlink = 2;
	in = see(root, "a", &f);
	f.btime.tv_nsec++;
	in2 = see(root, "b", &f);
	assert_int_not_equal(in.ino, in2.ino);
	see(root, "a", NULL);
	f.btime.tv_nsec--;
	in = see(root, "b", &f);
	assert_int_not_equal(in.ino, in2.ino);
	/* A directory, as it is listed. */
	in = see(root, "d", &d);
	assert_int_equal(datafs_meta_readdir(m, in.ino, 0, datafs_now(), collect,
					     &s, &eof, &t), DATAFS_META_SYNC);
	d.btime.tv_sec++;
	assert_int_equal(datafs_meta_list_begin(m, &t, datafs_now(), &d, &l),
			 -ESTALE);
}

static void test_young(void **state)
{
	struct datafs_under_stat f = file_stat(10, 1), l = stat_of(S_IFLNK | 0777, 11, 1);
	struct datafs_meta_inode in, in2;

	(void)state;
	f.ctime = f.seen;
	f.seen.tv_nsec = f.ctime.tv_nsec = 1;	/* a fine clock */
	in = see(root, "f", &f);
	assert_true(in.young);
	in2 = see(root, "f", &f);
	assert_true(in2.young);
	/* Looked at later: no longer young, and nobody has read its bytes. */
	f.seen.tv_sec++;
	in2 = see(root, "f", &f);
	assert_false(in2.young);
	assert_int_equal(in.content, in2.content);
	/* A store whose clock is ahead: two looks far enough apart settle it. */
	f.fp.v[1]++;
	f.ctime.tv_sec = f.seen.tv_sec + 1000;
	in = see(root, "f", &f);
	assert_true(in.young);
	usleep(30000);
	in2 = see(root, "f", &f);
	assert_false(in2.young);
	assert_int_equal(in.content, in2.content);
	/* A link's target may have been read. */
	l.ctime = l.seen;
	l.seen.tv_nsec = l.ctime.tv_nsec = 1;
	in = see(root, "l", &l);
	l.seen.tv_sec++;
	in2 = see(root, "l", &l);
	assert_int_not_equal(in.content, in2.content);
	in = see(root, "l", &l);
	assert_int_equal(in.content, in2.content);
}

static void test_restart(void **state)
{
	struct datafs_under_stat f = file_stat(10, 1), d = dir_stat(1, 1);
	struct ent ents[] = { { "a", f }, { "b", file_stat(11, 1) } };
	struct datafs_meta_inode in, in2;
	struct datafs_meta_ticket t;
	uint8_t id[16];
	struct seen s, s2;
	uint64_t top;

	(void)state;
	memcpy(id, datafs_meta_id(m), 16);
	assert_int_equal(list_with(root, &d, ents, 2, 0), 0);
	s = known(root);
	reopen_meta();
	assert_memory_equal(id, datafs_meta_id(m), 16);
	/* Known, but from too long ago. */
	s2 = known(root);
	assert_int_equal(s2.n, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(s2.e[i].cookie, s.e[i].cookie);
		assert_int_equal(s2.e[i].in.ino, s.e[i].in.ino);
		assert_int_equal(s2.e[i].in.content, s.e[i].in.content);
		assert_int_equal(s2.e[i].in.synced, 0);
	}
	assert_int_equal(datafs_meta_lookup(m, root, "a", 1, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), 0, &f), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "a", 1, &in2, &t), 0);
	assert_int_equal(in2.content, s.e[0].in.content);

	/* Damaged: empty, under another id, and no inode number twice by chance. */
	top = in2.ino;
	datafs_meta_close(m);
	{
		char path[4200];
		int fd;

		snprintf(path, sizeof(path), "%s/CURRENT", dir);
		fd = open(path, O_WRONLY | O_TRUNC);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "rubbish\n", 8), 8);
		close(fd);
	}
	/* ... also if it ended before the first one was given. */
	assert_int_equal(datafs_meta_open(dir, &m), 0);
	reopen_meta();
	assert_memory_not_equal(id, datafs_meta_id(m), 16);
	assert_int_equal(datafs_meta_peek(m, top + 5, &in), -ESTALE);
	in2 = see(root, "a", &f);
	assert_true(root > top && in2.ino > top && in2.content > top);
	assert_true(in2.ino < 1ull << 62);
}

/* What cannot be opened just now is not damaged. */
static void test_no_files(void **state)
{
	struct rlimit few, many;
	uint8_t id[16];
	int fd, ret;

	(void)state;
	memcpy(id, datafs_meta_id(m), 16);
	datafs_meta_close(m);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &many), 0);
	few = many;
	fd = open("/dev/null", O_RDONLY);
	/* Whatever it is that fails: the lock, the list of files, a table... */
	for (int i = 0; i < 8; i++) {
		few.rlim_cur = fd + i;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		ret = datafs_meta_open(dir, &m);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
		assert_true(!ret || ret == -EMFILE);
		assert_true(ret || i);
		if (ret)
			assert_int_equal(datafs_meta_open(dir, &m), 0);
		assert_memory_equal(id, datafs_meta_id(m), 16);
		datafs_meta_close(m);
	}
	close(fd);
	open_meta();
}

static void scribble(const char *name, const char *text, size_t len)
{
	char path[4400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

/* What is damaged is replaced, whatever LevelDB calls the damage. */
static void test_scribbled(void **state)
{
	static const char *const current[] = {
		"", "\n", "no newline", "MANIFEST-999999\n", ".\n", "LOCK/x\n",
		"no/such/file\n",
	};
	char rubbish[3000], long_name[600];
	struct dirent *de;
	uint8_t id[16];
	DIR *d;

	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\n';
	for (int i = 0; i < 30; i++) {
		memcpy(id, datafs_meta_id(m), 16);
		datafs_meta_close(m);
		if (i < 7) {
			scribble("CURRENT", current[i], strlen(current[i]));
		} else if (i == 7) {
			scribble("CURRENT", long_name, sizeof(long_name));
		} else {
			d = opendir(dir);
			while ((de = readdir(d))) {
				if (de->d_name[0] == '.')
					continue;
				assert_int_equal(datafs_random(rubbish, sizeof(rubbish)), 0);
				/* One file, or all of them. */
				if (i % 2 || !strncmp(de->d_name, "MANIFEST", 8))
					scribble(de->d_name, rubbish,
						 sizeof(rubbish));
			}
			closedir(d);
		}
		open_meta();
		assert_memory_not_equal(id, datafs_meta_id(m), 16);
	}
}

/* An unclean end: numbers go on above all that may have been given. */
static void test_crash(void **state)
{
	char cmd[13000], copy[4200];
	struct datafs_under_stat f = file_stat(10, 1), d = dir_stat(1, 1);
	struct datafs_meta_inode in, in2;
	struct datafs_meta_ticket t;
	struct ent ent = { "a", f };
	struct seen s = { 0 };
	bool eof;

	(void)state;
	snprintf(copy, sizeof(copy), "%s.copy", dir);
	snprintf(cmd, sizeof(cmd), "cp -r %s %s", dir, copy);
	assert_int_equal(system(cmd), 0);	/* as the disk was at a crash */
	assert_int_equal(list_with(root, &d, &ent, 1, 0), 0);
	in = see(root, "a", &f);
	datafs_meta_close(m);
	snprintf(cmd, sizeof(cmd), "rm -rf %s && mv %s %s", dir, copy, dir);
	assert_int_equal(system(cmd), 0);
	open_meta();
	in2 = see(root, "b", &f);
	assert_true(in2.ino > in.ino && in2.ino > in.content);
	assert_true(in2.content > in.content);
	assert_int_equal(datafs_meta_readdir(m, root, 0, 0, collect, &s, &eof, &t),
			 DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, 0, -EIO, NULL), 0);
}

/* ---- tickets: one looks, the others wait ---- */

static struct {
	pthread_barrier_t start;
	int here;	/* threads that are about to ask */
	int looks;
	int error;
	int64_t fresh;
} race;

static void *race_thread(void *arg)
{
	struct datafs_under_stat st = file_stat(77, 1);
	struct datafs_meta_inode in;
	struct datafs_meta_ticket t;
	int ret;

	(void)arg;
	pthread_barrier_wait(&race.start);
	__atomic_fetch_add(&race.here, 1, __ATOMIC_SEQ_CST);
	ret = datafs_meta_lookup(m, root, "raced", race.fresh, &in, &t);
	if (ret == DATAFS_META_SYNC) {
		__atomic_fetch_add(&race.looks, 1, __ATOMIC_SEQ_CST);
		/* Until all are inside, or as good as: one that comes later looks anew. */
		while (__atomic_load_n(&race.here, __ATOMIC_SEQ_CST) < 8)
			usleep(1000);
		usleep(300000);
		datafs_meta_import(m, &t, datafs_now(), race.error, &st);
		return (void *)(intptr_t)race.error;
	}
	return (void *)(intptr_t)ret;
}

static void run_race(int error)
{
	pthread_t th[8];
	void *res;

	race.looks = 0;
	race.here = 0;
	race.error = error;
	race.fresh = datafs_now();
	pthread_barrier_init(&race.start, NULL, 8);
	for (int i = 0; i < 8; i++)
		pthread_create(&th[i], NULL, race_thread, NULL);
	for (int i = 0; i < 8; i++) {
		pthread_join(th[i], &res);
		assert_int_equal((intptr_t)res, error);
	}
	pthread_barrier_destroy(&race.start);
	assert_int_equal(race.looks, 1);
}

static void test_tickets(void **state)
{
	struct datafs_meta_inode in;
	struct datafs_meta_ticket t;

	(void)state;
	run_race(0);
	run_race(-EIO);
	/* The error was of that look; what was known before still is. */
	assert_int_equal(datafs_meta_lookup(m, root, "raced", 0, &in, &t), 0);
	assert_int_equal(in.st.file_id, 77);
}

/* ---- a random store, from several threads, against a model ---- */

#define NAMES	24
#define STEPS	1500

static struct model {
	pthread_mutex_t lock;
	struct datafs_under_stat st[NAMES];
	bool there[NAMES];
	uint64_t ids, version;
} model;

static void *random_thread(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	char name[8];

	for (int step = 0; step < STEPS; step++) {
		int i = rand_r(&seed) % NAMES, op = rand_r(&seed) % 10, ret;

		snprintf(name, sizeof(name), "n%d", i);
		if (op < 4) {
			pthread_mutex_lock(&model.lock);
			if (op == 0)
				model.there[i] = false;
			else if (op == 1 || !model.there[i])
				model.st[i] = file_stat(++model.ids, 1);
			else
				model.st[i].fp.v[1] = ++model.version;
			model.there[i] = op != 0;
			pthread_mutex_unlock(&model.lock);
		} else if (op < 9) {
			struct datafs_under_stat st;
			int64_t looked;
			bool there;

			ret = datafs_meta_lookup(m, root, name, datafs_now(), &in, &t);
			if (ret != DATAFS_META_SYNC)
				continue;
			looked = datafs_now();
			pthread_mutex_lock(&model.lock);
			st = model.st[i];
			there = model.there[i];
			pthread_mutex_unlock(&model.lock);
			datafs_meta_import(m, &t, looked, there ? 0 : -ENOENT, &st);
		} else {
			struct datafs_under_stat d = dir_stat(1, 1);
			struct datafs_meta_listing *l;
			struct seen s = { 0 };
			int64_t looked;
			bool eof;

			if (datafs_meta_readdir(m, root, 0, datafs_now(), collect,
						&s, &eof, &t) != DATAFS_META_SYNC)
				continue;
			looked = datafs_now();
			if (datafs_meta_list_begin(m, &t, looked, &d, &l))
				continue;
			for (int k = 0; k < NAMES; k++) {
				struct datafs_under_stat st;
				bool there;

				pthread_mutex_lock(&model.lock);
				st = model.st[k];
				there = model.there[k];
				pthread_mutex_unlock(&model.lock);
				snprintf(name, sizeof(name), "n%d", k);
				if (there)
					datafs_meta_list_add(l, name, &st);
			}
			if (rand_r(&seed) % 4)
				datafs_meta_list_whole(l, &d);
			datafs_meta_list_end(l, 0);
		}
	}
	return NULL;
}

static void check_model(void)
{
	struct datafs_under_stat d = dir_stat(1, 1);
	struct ent ents[NAMES];
	char names[NAMES][8];
	struct seen s;
	int n = 0, found;

	for (int i = 0; i < NAMES; i++) {
		struct datafs_meta_inode in;

		snprintf(names[i], 8, "n%d", i);
		in = see(root, names[i], model.there[i] ? &model.st[i] : NULL);
		assert_int_equal(!!in.ino, model.there[i]);
		if (in.ino)
			assert_memory_equal(&in.st.fp, &model.st[i].fp, sizeof(in.st.fp));
		if (model.there[i])
			ents[n++] = (struct ent){ names[i], model.st[i] };
	}
	assert_int_equal(list_with(root, &d, ents, n, 0), 0);
	s = known(root);
	assert_int_equal(s.n, n);
	for (int i = 0; i < n; i++) {
		found = 0;
		for (int k = 0; k < s.n; k++)
			found += !strcmp(s.e[k].name, ents[i].name) &&
				 s.e[k].in.st.file_id == ents[i].st.file_id;
		assert_int_equal(found, 1);
	}
}

static void test_random(void **state)
{
	const char *env = getenv("DATAFS_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)datafs_now();
	pthread_t th[8];

	(void)state;
	print_message("DATAFS_SEED=%u\n", seed);
	memset(&model, 0, sizeof(model));
	model.ids = 100;
	pthread_mutex_init(&model.lock, NULL);
	for (int round = 0; round < 3; round++) {
		for (uintptr_t i = 0; i < 8; i++)
			pthread_create(&th[i], NULL, random_thread,
				       (void *)(uintptr_t)(seed + round * 8 + i));
		for (int i = 0; i < 8; i++)
			pthread_join(th[i], NULL);
		check_model();
		reopen_meta();
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_contents), T(test_keys), T(test_listing),
		T(test_hidden), T(test_torn), T(test_listing_races), T(test_old_look), T(test_links), T(test_links_moved),
		T(test_number_reused), T(test_young), T(test_restart), T(test_crash), T(test_tickets),
		T(test_no_files), T(test_scribbled),
		T(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
