// SPDX-License-Identifier: Apache-2.0
/* What is on disk after a restart, a crash, and damage. */
#define _GNU_SOURCE
#include "meta_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(test_restart),
		META_TEST(test_crash),
		META_TEST(test_no_files),
		META_TEST(test_scribbled),
	};

	return cmocka_run_group_tests_name("meta_store", tests, NULL, NULL);
}
