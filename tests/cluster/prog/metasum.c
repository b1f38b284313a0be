// SPDX-License-Identifier: Apache-2.0
/*
 * metasum DB...: what is in each member's database, as a line "RECORDS CRC32C
 * INDEX": the same state is the same number. Index and term of the last entry are not
 * in the sum: an election adds an entry that changes nothing; nor is the cluster's id.
 */
#include <err.h>
#include <leveldb/c.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"

/* Of the record "N" (Documentation/metadata.rst): a version, id, feature level. */
#define ID_AT		1
#define ID_LEN		16
#define INDEX_AT	(ID_AT + ID_LEN + 4)

static void sum(const char *dir)
{
	leveldb_options_t *opt = leveldb_options_create();
	leveldb_readoptions_t *ro = leveldb_readoptions_create();
	char *said = NULL;
	leveldb_t *db = leveldb_open(opt, dir, &said);
	leveldb_iterator_t *it;
	unsigned long long n = 0, index = 0;
	uint32_t crc = 0;

	if (!db)
		errx(1, "%s: %s", dir, said);
	it = leveldb_create_iterator(db, ro);
	for (leveldb_iter_seek_to_first(it); leveldb_iter_valid(it); leveldb_iter_next(it), n++) {
		size_t klen, vlen;
		const char *key = leveldb_iter_key(it, &klen);
		const char *val = leveldb_iter_value(it, &vlen);
		char node[256];

		if (klen == 1 && *key == 'N' && vlen >= INDEX_AT + 16 && vlen <= sizeof(node)) {
			index = datafs_get_be64(val + INDEX_AT);
			memcpy(node, val, vlen);
			memset(node + INDEX_AT, 0, 16);
			memset(node + ID_AT, 0, ID_LEN);
			val = node;
		}
		crc = datafs_crc32c_more(crc, key, klen);
		crc = datafs_crc32c_more(crc, val, vlen);
	}
	printf("%llu %08x %llu\n", n, crc, index);
	leveldb_iter_destroy(it);
	leveldb_close(db);
	leveldb_readoptions_destroy(ro);
	leveldb_options_destroy(opt);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		sum(argv[i]);
	return 0;
}
