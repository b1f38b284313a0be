// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "meta_fixture.h"

#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "tmpdir.h"

char dir[4096];
struct datafs_meta *m;
uint64_t root;

struct datafs_under_stat stat_of(uint32_t mode, uint64_t id, uint64_t version)
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

struct datafs_under_stat dir_stat(uint64_t id, uint64_t version)
{
	return stat_of(S_IFDIR | 0755, id, version);
}

struct datafs_under_stat file_stat(uint64_t id, uint64_t version)
{
	return stat_of(S_IFREG | 0644, id, version);
}

void open_meta(void)
{
	struct datafs_under_stat st = dir_stat(1, 1);
	struct datafs_meta_inode in;

	assert_int_equal(datafs_meta_open(dir, &m), 0);
	assert_int_equal(datafs_meta_root(m, "/src", &st, datafs_now(), &in), 0);
	assert_int_equal(in.root, in.ino);
	root = in.ino;
}

void reopen_meta(void)
{
	datafs_meta_close(m);
	open_meta();
}

int meta_setup(void **state)
{
	(void)state;
	datafs_log_set_level(LOG_CRIT);
	if (tmpdir_make(dir, sizeof(dir), "meta"))
		return -1;
	open_meta();
	return 0;
}

int meta_teardown(void **state)
{
	(void)state;
	datafs_meta_close(m);
	return tmpdir_remove(dir);
}

struct datafs_meta_inode see(uint64_t parent, const char *name,
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

int collect(void *arg, uint64_t cookie, const char *name,
	    const struct datafs_meta_inode *in)
{
	struct seen *s = arg;

	assert_true(s->n < 64);
	s->e[s->n].cookie = cookie;
	strcpy(s->e[s->n].name, name);
	s->e[s->n++].in = *in;
	return 0;
}

int list_between(uint64_t ino, const struct datafs_under_stat *dst,
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

int list_with(uint64_t ino, const struct datafs_under_stat *dst,
	      const struct ent *ents, int n, int err)
{
	return list_between(ino, dst, dst, ents, n, err);
}

struct seen known(uint64_t ino)
{
	struct datafs_meta_ticket t;
	struct seen s = { 0 };
	bool eof;

	assert_int_equal(datafs_meta_readdir(m, ino, 0, 0, collect, &s, &eof, &t), 0);
	assert_true(eof);
	return s;
}
