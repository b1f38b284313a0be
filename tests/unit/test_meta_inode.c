// SPDX-License-Identifier: Apache-2.0
/* Which inode a name leads to, and which content it has. */
#define _GNU_SOURCE
#include "meta_fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(test_contents),
		META_TEST(test_keys),
		META_TEST(test_links),
		META_TEST(test_links_moved),
		META_TEST(test_number_reused),
		META_TEST(test_young),
	};

	return cmocka_run_group_tests_name("meta_inode", tests, NULL, NULL);
}
