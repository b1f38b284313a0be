// SPDX-License-Identifier: Apache-2.0
/* What a listing proves, whole or torn. */
#define _GNU_SOURCE
#include "meta_fixture.h"

#include <string.h>
#include <unistd.h>

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

/* Where directories have no state, that it is the same proves nothing of its names. */
static void test_no_state(void **state)
{
	struct datafs_under_stat d = dir_stat(0, 0);
	struct ent ents[] = {
		{ "a", file_stat(10, 1) }, { "b", file_stat(11, 1) },
	};
	struct datafs_meta_ticket t;
	struct datafs_meta_inode in;
	uint64_t content;
	int64_t before;

	(void)state;
	assert_true(datafs_fingerprint_none(&d.fp));
	before = datafs_now();
	assert_int_equal(list_with(root, &d, ents, 2, 0), 0);
	assert_int_equal(known(root).n, 2);
	assert_int_equal(datafs_meta_lookup(m, root, "c", before, &in, &t), 0);
	assert_int_equal(in.ino, 0);
	assert_int_equal(datafs_meta_peek(m, root, &in), 0);
	content = in.content;
	before = datafs_now();
	assert_int_equal(datafs_meta_getattr(m, root, before, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), 0, &d), 0);
	assert_int_equal(datafs_meta_lookup(m, root, "c", before, &in, &t), DATAFS_META_SYNC);
	assert_int_equal(datafs_meta_import(m, &t, datafs_now(), -ENOENT, NULL), 0);
	/* what is not listed any more is gone */
	assert_int_equal(list_with(root, &d, ents, 1, 0), 0);
	assert_int_equal(known(root).n, 1);
	assert_int_equal(datafs_meta_peek(m, root, &in), 0);
	assert_int_equal(in.content, content);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(test_listing),
		META_TEST(test_no_state),
		META_TEST(test_hidden),
		META_TEST(test_torn),
		META_TEST(test_listing_races),
		META_TEST(test_old_look),
	};

	return cmocka_run_group_tests_name("meta_list", tests, NULL, NULL);
}
