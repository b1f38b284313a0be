// SPDX-License-Identifier: Apache-2.0
/*
 * dbsize DB: compacts the database of a member that has ended, and prints "inodes N
 * records N raw N disk N": its records, their bytes, and the bytes of its files.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static unsigned long long disk_bytes(const char *dir)
{
	unsigned long long sum = 0;
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	if (!d)
		err(1, "%s", dir);
	while ((e = readdir(d)))
		if (!fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
			sum += (unsigned long long)st.st_size;
	closedir(d);
	return sum;
}

static leveldb_t *open_db(const char *dir, leveldb_options_t *opt)
{
	char *said = NULL;
	leveldb_t *db = leveldb_open(opt, dir, &said);

	if (!db)
		errx(1, "%s: %s", dir, said);
	return db;
}

int main(int argc, char **argv)
{
	leveldb_options_t *opt = leveldb_options_create();
	leveldb_readoptions_t *ro = leveldb_readoptions_create();
	unsigned long long records = 0, inodes = 0, raw = 0;
	leveldb_iterator_t *it;
	leveldb_t *db;

	if (argc != 2)
		errx(2, "usage: dbsize DB");
	leveldb_options_set_compression(opt, leveldb_snappy_compression);
	/* what a compaction leaves behind goes when it is opened again */
	db = open_db(argv[1], opt);
	leveldb_compact_range(db, NULL, 0, NULL, 0);
	leveldb_close(db);
	db = open_db(argv[1], opt);
	it = leveldb_create_iterator(db, ro);
	for (leveldb_iter_seek_to_first(it); leveldb_iter_valid(it); leveldb_iter_next(it)) {
		size_t klen, vlen;

		inodes += *leveldb_iter_key(it, &klen) == 'I';
		leveldb_iter_value(it, &vlen);
		raw += klen + vlen;
		records++;
	}
	leveldb_iter_destroy(it);
	leveldb_close(db);
	leveldb_readoptions_destroy(ro);
	leveldb_options_destroy(opt);
	printf("inodes %llu records %llu raw %llu disk %llu\n", inodes, records, raw,
	       disk_bytes(argv[1]));
	return 0;
}
